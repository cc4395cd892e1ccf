/**
 * The stores that answer every call within its turn: they cannot hang, so that a call of one needs
 * neither a fiber of its own nor a timer.
 */
import { globalValue } from "effect/GlobalValue"

const stores = globalValue("effect-resilience/storesAtOnce", () => new WeakSet<object>())

/** Marks a store. A store that is made around it is another one, and not marked. */
export const answersAtOnce = <Store extends object>(store: Store): Store => {
  stores.add(store)
  return store
}

export const isAtOnce = (store: object): boolean => stores.has(store)
