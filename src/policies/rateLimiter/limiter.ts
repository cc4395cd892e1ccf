/**
 * The keys of one limiter: how far the time of each is taken and who waits for it, read and changed
 * in one turn of the event loop.
 *
 * Nothing ticks here. Keys whose burst is whole again are dropped when others are used.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Fifo from "../../core/fifo.js"
import * as Gcra from "../../core/gcra.js"
import * as Rejection from "../../errors/Rejection.js"
import { Keyed, KeyedState } from "../../runtime/keyedState.js"
import { Signal } from "../../runtime/signal.js"

/**
 * The rate is used up (or the wait for it would be longer than `maxWait`): the call did not run.
 * `retryAfter` is exactly when it could run at once, if nobody comes before.
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimited extends Rejection.Error("RateLimited")<{
  readonly key: string
  readonly retryAfter: Duration.Duration
}> {}

/** A call that waits: what it costs, and how it learns that it is the first in line. */
export interface Waiter {
  readonly cost: number
  readonly signal: Signal
}

/** One key: how far its time is taken, who waits, and what all of them cost together. */
export class Rate extends Keyed {
  taken: Gcra.Taken = Gcra.unused
  readonly line: Fifo.Fifo<Waiter> = Fifo.make()
  ahead = 0
}

/** How much later than asked a timer may fire without that the calls after it are put off. */
const lateNanos = 1_000_000n

const durationOf = (nanos: bigint): Duration.Duration =>
  nanos % 1_000_000n === 0n ? Duration.millis(Number(nanos / 1_000_000n)) : Duration.nanos(nanos)

/** Monotonic milliseconds. */
const millisOf = (nanos: bigint): number => Number(nanos) / 1e6

/**
 * What becomes of a call: it runs and has taken its units, it is turned away, or it stands in line.
 */
export type Entry = "Run" | RateLimited | Fifo.Place<Waiter>

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
    if (rate.line.size > 0 || Gcra.waitNanos(this.policy, rate.taken, 0, cost, now) > 0n) {
      return false
    }
    rate.taken = Gcra.take(this.policy, rate.taken, cost, now)
    return true
  }

  enter(rate: Rate, cost: number, now: bigint): Entry {
    if (this.tryTake(rate, cost, now)) return "Run"
    const wait = Gcra.waitNanos(this.policy, rate.taken, rate.ahead, cost, now)
    if (this.maxWaitNanos !== undefined && wait > this.maxWaitNanos) {
      return new RateLimited({ key: rate.key, retryAfter: durationOf(wait) })
    }
    rate.ahead += cost
    return Fifo.join(rate.line, { cost, signal: new Signal() })
  }

  /**
   * A call leaves the line, to run or because it was interrupted. Whoever is the first now hears of
   * it.
   */
  leave(rate: Rate, place: Fifo.Place<Waiter>): void {
    const wasFirst = rate.line.first === place
    Fifo.leave(rate.line, place)
    rate.ahead -= place.value.cost
    if (wasFirst) rate.line.first?.value.signal.notify()
  }

  /**
   * A call takes its units when it leaves the line to run, so one that is interrupted before has
   * taken nothing.
   */
  run(rate: Rate, place: Fifo.Place<Waiter>, now: bigint): void {
    rate.taken = Gcra.take(this.policy, rate.taken, place.value.cost, now, lateNanos)
    this.leave(rate, place)
  }
}
