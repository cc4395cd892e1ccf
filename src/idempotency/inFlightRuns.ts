/**
 * The idempotent runs that are under way in this process, and those that have ended with an unknown
 * outcome. Duplicates that wait share the result of a run without asking the store.
 *
 * Each store has one registry. An entry lives as long as its run, and then as long as its claim.
 */
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import { Signal } from "../runtime/signal.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"

/**
 * The result that a run shares with its followers: the stored outcome, that the store did not
 * answer, or that each follower has to ask the store.
 */
export type SharedResult =
  | { readonly _tag: "Outcome"; readonly storedOutcome: string }
  | { readonly _tag: "StoreUnavailable" }
  | { readonly _tag: "Ask" }

/** A run that is under way. */
export class InFlightRun {
  result: SharedResult = { _tag: "Ask" }
  /** How many duplicates have waited for it. */
  followers = 0
  /** When the claim of the run lapses, as far as this process knows; monotonic. */
  leaseUntilMillis = 0
  #isFinished = false
  /** Made with the first duplicate: most runs have none. */
  #waiting: Set<Signal> | undefined

  /**
   * Waits for the end, at most `millis`: the shared result, or undefined when that was too short.
   */
  follow(millis: number): Effect.Effect<SharedResult | undefined> {
    const shared = Effect.sync(() => this.#isFinished ? this.result : undefined)
    return Effect.suspend(() => {
      this.followers++
      if (this.#isFinished || millis <= 0) return shared
      return Effect.acquireUseRelease(
        Effect.sync(() => {
          const signal = new Signal()
          ;(this.#waiting ??= new Set()).add(signal)
          return signal
        }),
        (signal) => Effect.zipRight(signal.wait(millis), shared),
        (signal) => Effect.sync(() => this.#waiting?.delete(signal))
      )
    })
  }

  finish(): void {
    this.#isFinished = true
    for (const signal of this.#waiting ?? []) signal.notify()
  }
}

/** What a process knows of the claims in one store. */
interface Registry {
  readonly runs: Map<string, InFlightRun>
  /** Claims of runs that ended with an unknown outcome, and when they lapse; monotonic. */
  readonly held: Map<string, number>
}

const registries = globalValue(
  "effect-resilience/inFlightRuns",
  () => new WeakMap<IdempotencyStore.Service, Registry>()
)

const registryOf = (store: IdempotencyStore.Service): Registry => {
  const found = registries.get(store)
  if (found !== undefined) return found
  const made: Registry = { runs: new Map(), held: new Map() }
  registries.set(store, made)
  return made
}

/** The runs under one `id`, which stands for an operation with its payload. */
export class InFlightRuns {
  readonly #runs: Map<string, InFlightRun>
  readonly #held: Map<string, number>

  constructor(store: IdempotencyStore.Service, readonly id: string) {
    const { held, runs } = registryOf(store)
    this.#runs = runs
    this.#held = held
  }

  /** Whether a run of this process has ended with an unknown outcome and its claim still stands. */
  isHeld(nowMillis: number): boolean {
    return (this.#held.get(this.id) ?? 0) > nowMillis
  }

  /** Remembers that. The oldest entries that are over are forgotten, two for each new one. */
  hold(untilMillis: number, nowMillis: number): void {
    this.#held.delete(this.id)
    this.#held.set(this.id, untilMillis)
    let looked = 0
    for (const [id, until] of this.#held) {
      if (++looked > 2) return
      if (until <= nowMillis) this.#held.delete(id)
    }
  }

  /** The run that a duplicate can follow. */
  find(): InFlightRun | undefined {
    return this.#runs.get(this.id)
  }

  /** Starts a run. Duplicates find it, unless they find an earlier one. */
  start(): InFlightRun {
    const run = new InFlightRun()
    if (!this.#runs.has(this.id)) this.#runs.set(this.id, run)
    return run
  }

  /** Lets duplicates find this run from now on, because it holds the claim. */
  promote(run: InFlightRun): void {
    this.#held.delete(this.id)
    this.#runs.set(this.id, run)
  }

  /** Ends a run and shares its result. */
  finish(run: InFlightRun): void {
    if (this.#runs.get(this.id) === run) this.#runs.delete(this.id)
    run.finish()
  }
}
