/**
 * The gate of bulk work: attempts pass while enough of them succeed. While it is paused, all wait
 * until a trial is due or has ended, and look again.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import { maxTimerMillis } from "../core/backoff.js"

const key = "bulk"

/** A millisecond at least: what is left of an opening may be less than a clock can count. */
const timer = Duration.clamp({
  minimum: Duration.millis(1),
  maximum: Duration.millis(maxTimerMillis)
})

export class Gate {
  /** How often it has begun to pause. */
  pauses = 0
  paused = false
  /** Done when an attempt has ended while the gate was paused. */
  #news = Deferred.unsafeMake<void>(FiberId.none)

  constructor(
    readonly breaker: CircuitBreaker.CircuitBreaker,
    readonly classify: (exit: Exit.Exit<unknown, unknown>) => CircuitBreaker.Outcome,
    readonly changed: Effect.Effect<void>
  ) {}

  /** Makes an attempt as soon as it may be made, and ends as the attempt does. */
  through<A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    // The exit is the value, so that an open circuit of the attempt's own is not taken for a pause
    // of ours.
    const guarded = this.breaker.protect(Effect.exit(attempt), {
      key,
      classify: (exit) => this.classify(Exit.flatten(exit))
    })
    return Effect.flatMap(
      Effect.onInterrupt(Effect.either(guarded), () => this.#ended),
      (outcome) =>
        Either.isRight(outcome)
          ? Effect.zipRight(this.#ended, outcome.right)
          : Effect.zipRight(
            this.#pause(outcome.left.retryAfter),
            Effect.suspend(() => this.through(attempt))
          )
    )
  }

  #pause(retryAfter: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() => {
      const news = Effect.timeoutOption(Deferred.await(this.#news), timer(retryAfter))
      return Effect.zipRight(this.#look, Effect.asVoid(news))
    })
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
    const news = this.#news
    if (this.paused) {
      this.#news = Deferred.unsafeMake<void>(FiberId.none)
      Deferred.unsafeDone(news, Effect.void)
    }
    return this.#look
  })
}
