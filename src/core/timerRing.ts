/**
 * Timers of equal length, which end in the order in which they begin.
 *
 * Nearly every time limit is cancelled long before it ends. In a heap a million of them would stay
 * behind; here beginning, cancelling and ending cost the same however many there are. A ring on
 * typed arrays, changed in place.
 */

/**
 * The timers from `first` to `next`, which are numbered without end; the number modulo the room is
 * the index. A cancelled one stays until all before it have gone. `time` and `turn` are those of
 * the first timer; `time` is `Infinity` where no timer is left.
 *
 * @since 0.1.0
 */
export interface TimerRing {
  first: number
  next: number
  time: number
  turn: number
  times: Float64Array
  turns: Float64Array
  whats: Int32Array
}

/** Marks a timer that is cancelled. */
const cancelled = -1

/**
 * Makes a ring without timers. The room is a power of 2; it grows when it has to.
 *
 * @since 0.1.0
 */
export const make = (room: number = 1024): TimerRing => ({
  first: 0,
  next: 0,
  time: Infinity,
  turn: 0,
  times: new Float64Array(room),
  turns: new Float64Array(room),
  whats: new Int32Array(room)
})

const grow = (ring: TimerRing): void => {
  const room = ring.times.length
  const { times, turns, whats } = ring
  const larger = make(2 * room)
  for (let number = ring.first; number < ring.next; number++) {
    const from = number & room - 1
    const to = number & 2 * room - 1
    larger.times[to] = times[from]!
    larger.turns[to] = turns[from]!
    larger.whats[to] = whats[from]!
  }
  ring.times = larger.times
  ring.turns = larger.turns
  ring.whats = larger.whats
}

/**
 * Tests whether a timer that ends at this time may be added: not before the last one.
 *
 * @since 0.1.0
 */
export const fits = ({ first, next, times }: TimerRing, time: number): boolean =>
  first === next || times[next - 1 & times.length - 1]! <= time

/**
 * Adds a timer that `fits` and returns its number. `what` is a whole number from 0 on. O(1), or
 * O(timers) when the room is used up.
 *
 * @since 0.1.0
 */
export const add = (ring: TimerRing, time: number, turn: number, what: number): number => {
  if (ring.next - ring.first === ring.times.length) grow(ring)
  const number = ring.next++
  const index = number & ring.times.length - 1
  ring.times[index] = time
  ring.turns[index] = turn
  ring.whats[index] = what
  if (number === ring.first) {
    ring.time = time
    ring.turn = turn
  }
  return number
}

/** Drops the cancelled timers before the first one that is not. */
const skip = (ring: TimerRing): void => {
  const { next, times, turns, whats } = ring
  const mask = times.length - 1
  let { first } = ring
  while (first < next && whats[first & mask] === cancelled) first++
  ring.first = first
  ring.time = first === next ? Infinity : times[first & mask]!
  ring.turn = turns[first & mask]!
}

/**
 * Cancels a timer that has not ended, by its number. Cancelling twice changes nothing. O(1) for
 * each timer there ever was.
 *
 * @since 0.1.0
 */
export const cancel = (ring: TimerRing, number: number): void => {
  if (number < ring.first) return
  ring.whats[number & ring.whats.length - 1] = cancelled
  if (number === ring.first) skip(ring)
}

/**
 * Takes the first timer out and returns what it is. The ring must not be empty. O(1) for each timer
 * there ever was.
 *
 * @since 0.1.0
 */
export const take = (ring: TimerRing): number => {
  const what = ring.whats[ring.first & ring.whats.length - 1]!
  ring.first++
  skip(ring)
  return what
}
