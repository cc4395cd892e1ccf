/**
 * Keeps the keys of one limiter: how far the time of each is taken and which calls wait, read and
 * changed in one turn of the event loop.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Fifo from "../../core/fifo.js"
import * as Gcra from "../../core/gcra.js"
import * as RateLine from "../../core/rateLine.js"
import * as Rejection from "../../errors/Rejection.js"
import { Keyed, KeyedState } from "../../runtime/keyedState.js"
import { Signal } from "../../runtime/signal.js"

/**
 * Rejects a call because the rate is used up, or because the wait would be longer than `maxWait`.
 * The call did not run. `retryAfter` is exactly when it could run at once, if no other call comes
 * before.
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimited extends Rejection.Error("RateLimited")<{
  /** The key whose rate is used up. */
  readonly key: string
  readonly retryAfter: Duration.Duration
}> {}

/** A call that waits. */
export type Waiter = RateLine.Waiter<Signal>

/** One key: how far its time is taken, who waits, and what all of them cost together. */
export class Rate extends Keyed implements RateLine.RateLine<Signal> {
  taken: Gcra.Taken = Gcra.unused
  readonly line: Fifo.Fifo<Waiter> = Fifo.make()
  ahead = 0
}

const durationOf = (nanos: bigint): Duration.Duration =>
  nanos % 1_000_000n === 0n ? Duration.millis(Number(nanos / 1_000_000n)) : Duration.nanos(nanos)

/** Monotonic milliseconds. */
const millisOf = (nanos: bigint): number => Number(nanos) / 1e6

/**
 * What becomes of a call: it runs and has taken its units, it is turned away, or it stands in line.
 */
export type Entry = "Run" | RateLimited | Fifo.Place<Waiter>

const newSignal = (): Signal => new Signal()

export class Limiter {
  readonly rates: KeyedState<Rate>

  constructor(readonly policy: Gcra.Policy, readonly maxWaitNanos: bigint | undefined) {
    this.rates = new KeyedState<Rate>({
      make: (key, now) => new Rate(key, now),
      // As long as an empty burst takes to fill, after which there is nothing to remember.
      idleMillis: millisOf(BigInt(policy.burst) * policy.intervalNanos / policy.limit),
      isBusy: ({ line, taken }, _, clock) =>
        line.size > 0 || !Gcra.isIdle(policy, taken, clock.unsafeCurrentTimeNanos())
    })
  }

  rate(key: string, clock: Clock.Clock, now: bigint): Rate {
    return this.rates.use(key, clock, millisOf(now))
  }

  /** A call that may run now and overtakes no other takes its units. */
  tryTake(rate: Rate, cost: number, now: bigint): boolean {
    return RateLine.tryTake(this.policy, rate, cost, now)
  }

  enter(rate: Rate, cost: number, now: bigint): Entry {
    if (this.tryTake(rate, cost, now)) return "Run"
    const entry = RateLine.join(this.policy, rate, cost, this.maxWaitNanos, newSignal, now)
    return typeof entry === "bigint"
      ? new RateLimited({ key: rate.key, retryAfter: durationOf(entry) })
      : entry
  }

  /** Removes a call that was interrupted. The call that is first now is notified. */
  leave(rate: Rate, place: Fifo.Place<Waiter>): void {
    RateLine.leave(rate, place)?.notify()
  }

  /** A call leaves the line to run, and takes its units. */
  run(rate: Rate, place: Fifo.Place<Waiter>, now: bigint): void {
    RateLine.run(this.policy, rate, place, now)?.notify()
  }
}
