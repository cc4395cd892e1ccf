/**
 * Decides which calls a rate limit lets run, which wait in line and which are turned away.
 *
 * Calls in line are served in their order, and a call that comes later overtakes none of them. All
 * of it is O(1). The line is owned by one key of one limiter and changed in place; `W` is what
 * stands for a waiting call.
 */
import * as Fifo from "./fifo.js"
import * as Gcra from "./gcra.js"

/**
 * A call that waits: what it costs, and how it learns that it is the first in line.
 *
 * @since 0.1.0
 */
export interface Waiter<out W> {
  readonly cost: number
  readonly signal: W
}

/**
 * How far the time of a key is taken, the calls that wait, and what all of them cost together.
 *
 * @since 0.1.0
 */
export interface RateLine<W> {
  taken: Gcra.Taken
  readonly line: Fifo.Fifo<Waiter<W>>
  ahead: number
}

/** How much later than asked a timer may fire without that the calls after it are put off. */
const lateNanos = 1_000_000n

/**
 * A call that may run now and overtakes no other takes its units.
 *
 * @since 0.1.0
 */
export const tryTake = <W>(
  policy: Gcra.Policy,
  rate: RateLine<W>,
  cost: number,
  now: bigint
): boolean => {
  if (rate.line.size > 0 || Gcra.waitNanos(policy, rate.taken, 0, cost, now) > 0n) return false
  rate.taken = Gcra.take(policy, rate.taken, cost, now)
  return true
}

/**
 * A call that could not run at once joins the line, where its wait is no longer than `maxWaitNanos`
 * (`undefined`: however long). Otherwise the answer is the wait.
 *
 * @since 0.1.0
 */
export const join = <W>(
  policy: Gcra.Policy,
  rate: RateLine<W>,
  cost: number,
  maxWaitNanos: bigint | undefined,
  signal: () => W,
  now: bigint
): Fifo.Place<Waiter<W>> | bigint => {
  const wait = Gcra.waitNanos(policy, rate.taken, rate.ahead, cost, now)
  if (maxWaitNanos !== undefined && wait > maxWaitNanos) return wait
  rate.ahead += cost
  return Fifo.join(rate.line, { cost, signal: signal() })
}

/**
 * How long a call in line still waits before it runs; `undefined` where others go first.
 *
 * @since 0.1.0
 */
export const waitNanos = <W>(
  policy: Gcra.Policy,
  rate: RateLine<W>,
  place: Fifo.Place<Waiter<W>>,
  now: bigint
): bigint | undefined =>
  rate.line.first === place
    ? Gcra.waitNanos(policy, rate.taken, 0, place.value.cost, now)
    : undefined

/**
 * Takes a call out of the line, to run or because it was interrupted. The answer is the call that
 * is first now and was not before.
 *
 * @since 0.1.0
 */
export const leave = <W>(rate: RateLine<W>, place: Fifo.Place<Waiter<W>>): W | undefined => {
  const wasFirst = rate.line.first === place
  Fifo.leave(rate.line, place)
  rate.ahead -= place.value.cost
  return wasFirst ? rate.line.first?.value.signal : undefined
}

/**
 * A call takes its units when it leaves the line to run, so one that is interrupted before has
 * taken nothing. The answer is that of `leave`.
 *
 * @since 0.1.0
 */
export const run = <W>(
  policy: Gcra.Policy,
  rate: RateLine<W>,
  place: Fifo.Place<Waiter<W>>,
  now: bigint
): W | undefined => {
  rate.taken = Gcra.take(policy, rate.taken, place.value.cost, now, lateNanos)
  return leave(rate, place)
}
