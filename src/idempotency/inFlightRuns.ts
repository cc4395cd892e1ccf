/**
 * The idempotent runs of this process that are under way, so that duplicates which wait can share
 * what comes of them without asking the store.
 *
 * One registry for each store; an entry lives as long as the run that leads it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { globalValue } from "effect/GlobalValue"
import type * as IdempotencyStore from "./IdempotencyStore.js"

/**
 * What those who waited learn: the outcome, that the store did not answer, or that they have to ask
 * for themselves.
 */
export type Landing =
  | { readonly _tag: "Outcome"; readonly outcome: string }
  | { readonly _tag: "StoreUnavailable" }
  | { readonly _tag: "Ask" }

export interface InFlightRun {
  readonly landed: Deferred.Deferred<Landing>
  landing: Landing
  followers: number
  /** When the claim of the run lapses, as far as this process knows; monotonic. */
  leaseUntilMillis: number
}

const registries = globalValue(
  "effect-resilience/flights",
  () => new WeakMap<IdempotencyStore.Service, Map<string, InFlightRun>>()
)

export class InFlightRuns {
  readonly #flights: Map<string, InFlightRun>

  constructor(store: IdempotencyStore.Service, readonly id: string) {
    const found = registries.get(store)
    this.#flights = found ?? new Map()
    if (found === undefined) registries.set(store, this.#flights)
  }

  find(): InFlightRun | undefined {
    return this.#flights.get(this.id)
  }

  /** A new flight; whoever looks finds it, unless there is one already. */
  open(): InFlightRun {
    const flight: InFlightRun = {
      landed: Deferred.unsafeMake(FiberId.none),
      landing: { _tag: "Ask" },
      followers: 0,
      leaseUntilMillis: 0
    }
    if (!this.#flights.has(this.id)) this.#flights.set(this.id, flight)
    return flight
  }

  /** From now on this is the one that is found: it holds the claim. */
  takeOff(flight: InFlightRun): void {
    this.#flights.set(this.id, flight)
  }

  close(flight: InFlightRun): Effect.Effect<void> {
    if (this.#flights.get(this.id) === flight) this.#flights.delete(this.id)
    return Effect.asVoid(Deferred.succeed(flight.landed, flight.landing))
  }
}
