/**
 * Looking on at the circuits of a breaker, for metrics: what they are told, what they reject, how
 * many there are in each state.
 *
 * A breaker that nobody looks on at pays for one look at an empty set per call.
 */
import { globalValue } from "effect/GlobalValue"
import type { Circuits, Watcher } from "./registry.js"
import * as Circuit from "../../core/circuit.js"

const made = globalValue("effect-resilience/circuitWatch", () => new WeakMap<object, Circuits>())

const watching = globalValue(
  "effect-resilience/circuitWatch/names",
  () => new WeakMap<Circuits, Set<string>>()
)

/** Keeps the circuits beside the breaker, for as long as that lives. */
export const remember = <Breaker extends object>(breaker: Breaker, circuits: Circuits): Breaker => {
  made.set(breaker, circuits)
  return breaker
}

/**
 * Looks on from now on, for as long as the breaker lives. Once under each name, however many
 * pipelines share the breaker.
 */
export const watch = (breaker: object, name: string, watcher: Watcher): void => {
  // A breaker that somebody else made has no circuits of ours.
  const circuits = made.get(breaker)
  if (circuits === undefined) return
  const names = watching.get(circuits) ?? new Set()
  watching.set(circuits, names)
  if (names.has(name)) return
  names.add(name)
  circuits.watchers.add(watcher)
  for (const { state } of circuits.cells.values()) watcher.population(Circuit.visible(state), 1)
}
