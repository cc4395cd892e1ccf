/**
 * The idempotent runs that are under way in this process. Duplicates that wait share the result of
 * such a run without asking the store.
 *
 * Each store has one registry. An entry lives as long as its run.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { globalValue } from "effect/GlobalValue"
import type * as IdempotencyStore from "./IdempotencyStore.js"

/**
 * The result that a run shares with its followers: the stored outcome, that the store did not
 * answer, or that each follower has to ask the store.
 */
export type SharedResult =
  | { readonly _tag: "Outcome"; readonly storedOutcome: string }
  | { readonly _tag: "StoreUnavailable" }
  | { readonly _tag: "Ask" }

/** A run that is under way. `followers` counts the duplicates that have waited for it. */
export interface InFlightRun {
  readonly finished: Deferred.Deferred<SharedResult>
  result: SharedResult
  followers: number
  /** When the claim of the run lapses, as far as this process knows; monotonic. */
  leaseUntilMillis: number
}

const registries = globalValue(
  "effect-resilience/inFlightRuns",
  () => new WeakMap<IdempotencyStore.Service, Map<string, InFlightRun>>()
)

/** The runs under one `id`, which stands for an operation with its payload. */
export class InFlightRuns {
  readonly #runs: Map<string, InFlightRun>

  constructor(store: IdempotencyStore.Service, readonly id: string) {
    const found = registries.get(store)
    this.#runs = found ?? new Map()
    if (found === undefined) registries.set(store, this.#runs)
  }

  /** The run that a duplicate can follow. */
  find(): InFlightRun | undefined {
    return this.#runs.get(this.id)
  }

  /** Starts a run. Duplicates find it, unless they find an earlier one. */
  start(): InFlightRun {
    const run: InFlightRun = {
      finished: Deferred.unsafeMake(FiberId.none),
      result: { _tag: "Ask" },
      followers: 0,
      leaseUntilMillis: 0
    }
    if (!this.#runs.has(this.id)) this.#runs.set(this.id, run)
    return run
  }

  /** Lets duplicates find this run from now on, because it holds the claim. */
  promote(run: InFlightRun): void {
    this.#runs.set(this.id, run)
  }

  /** Ends a run and shares its result. */
  finish(run: InFlightRun): Effect.Effect<void> {
    if (this.#runs.get(this.id) === run) this.#runs.delete(this.id)
    return Effect.asVoid(Deferred.succeed(run.finished, run.result))
  }
}
