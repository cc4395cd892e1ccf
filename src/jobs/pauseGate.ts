/**
 * The gate of bulk work: attempts pass while enough of them succeed. While it is paused, all wait
 * until a trial is due or the circuit has changed.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import { Circuits } from "../policies/circuitBreaker/registry.js"
import { behindOf } from "../runtime/instances.js"
import { Signal } from "../runtime/signal.js"

const key = "bulk"

/** What is left of an opening may be less than a clock can count. */
const leastMillis = 1

/** How often a breaker that was made elsewhere is asked, since it does not say when it changes. */
const lookMillis = 1000

/** The circuits of a breaker that was made here. */
const circuitsOf = (breaker: CircuitBreaker.CircuitBreaker): Circuits | undefined => {
  const inside = behindOf(breaker)?.inside
  return inside instanceof Circuits ? inside : undefined
}

export class Gate {
  /** How often it has begun to pause. */
  pauses = 0
  paused = false
  readonly #circuits: Circuits | undefined
  /** Those who wait, where the breaker was made elsewhere. */
  readonly #signals = new Set<Signal>()

  constructor(
    readonly breaker: CircuitBreaker.CircuitBreaker,
    readonly classify: (exit: Exit.Exit<unknown, unknown>) => CircuitBreaker.Outcome,
    readonly changed: Effect.Effect<void>
  ) {
    this.#circuits = circuitsOf(breaker)
  }

  /** Makes an attempt as soon as it may be made, and ends as the attempt does. */
  through<A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    // The exit is the value, so that an open circuit of the attempt's own is not taken for a pause
    // of ours.
    const guarded = this.breaker.protect(Effect.exit(attempt), {
      key,
      classify: (exit) => this.classify(Exit.flatten(exit))
    })
    return Effect.suspend(() => {
      const before = this.#state()
      return Effect.flatMap(
        Effect.onInterrupt(Effect.either(guarded), () => this.#ended),
        (outcome) =>
          Either.isRight(outcome)
            ? Effect.zipRight(this.#ended, outcome.right)
            : Effect.zipRight(
              this.#pause(outcome.left.retryAfter, before),
              Effect.suspend(() => this.through(attempt))
            )
      )
    })
  }

  /**
   * Waits for the next change of the circuit, at most until a trial is due. A change since `before`
   * leaves nothing to wait for.
   */
  #pause(retryAfter: Duration.Duration, before: unknown): Effect.Effect<void> {
    const wait = Effect.acquireUseRelease(
      Effect.sync(() => this.#listen()),
      ({ signal }) =>
        this.#state() === before ? signal.wait(this.#millis(retryAfter)) : Effect.void,
      ({ leave }) => Effect.sync(leave)
    )
    return Effect.zipRight(Effect.zipRight(this.#look, wait), this.#look)
  }

  #state(): unknown {
    return this.#circuits?.cells.peek(key)?.state
  }

  #millis(retryAfter: Duration.Duration): number {
    const millis = Math.max(leastMillis, Duration.toMillis(retryAfter))
    return this.#circuits === undefined ? Math.min(millis, lookMillis) : millis
  }

  #listen(): { readonly signal: Signal; readonly leave: () => void } {
    const signal = new Signal()
    const waiting = this.#circuits?.waiting
    if (waiting === undefined) {
      this.#signals.add(signal)
      return { signal, leave: () => this.#signals.delete(signal) }
    }
    const changed = (of: string): void => {
      if (of === key) signal.notify()
    }
    waiting.add(changed)
    return { signal, leave: () => waiting.delete(changed) }
  }

  /** A pause begins when the circuit opens and is over when it has closed. */
  readonly #look: Effect.Effect<void> = Effect.suspend(() =>
    Effect.flatMap(this.breaker.state(key), (state) => {
      const paused = state !== "Closed" && state !== "ForcedClosed" && state !== "Disabled"
      if (paused === this.paused) return Effect.void
      this.paused = paused
      if (paused) this.pauses++
      return this.changed
    })
  )

  /** Whatever an attempt came to, those who wait look again. */
  readonly #ended: Effect.Effect<void> = Effect.suspend(() => {
    for (const signal of this.#signals) signal.notify()
    return this.#look
  })
}
