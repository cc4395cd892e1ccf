/**
 * Counts the last n outcomes, and how many of them failed or were slow.
 *
 * A ring with running totals: an outcome is added when it comes and subtracted when it is
 * overwritten, so recording costs the same for ten outcomes as for a hundred thousand. (Counting
 * the ring anew each time does not.) It takes one byte for each outcome.
 *
 * A window is owned by one circuit and changed in place.
 */

/**
 * What a circuit remembers of one finished call.
 *
 * @since 0.1.0
 */
export interface Outcome {
  readonly failed: boolean
  readonly slow: boolean
}

/**
 * How many calls a window holds, and how many of them failed or were slow. A call that did both
 * counts in both.
 *
 * @since 0.1.0
 */
export interface Counts {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/**
 * @since 0.1.0
 */
export interface CountWindow {
  readonly _tag: "Count"
  readonly ring: Uint8Array
  /** Where the next outcome goes. */
  next: number
  calls: number
  failures: number
  slow: number
}

const failedBit = 1
const slowBit = 2

/**
 * An empty window of `size` outcomes.
 *
 * @since 0.1.0
 */
export const make = (size: number): CountWindow => ({
  _tag: "Count",
  ring: new Uint8Array(size),
  next: 0,
  calls: 0,
  failures: 0,
  slow: 0
})

/**
 * Adds an outcome; the oldest one leaves a full window. O(1).
 *
 * @since 0.1.0
 */
export const record = (window: CountWindow, { failed, slow }: Outcome): void => {
  const { next, ring } = window
  if (window.calls === ring.length) {
    const evicted = ring[next] ?? 0
    window.failures -= evicted & failedBit
    window.slow -= (evicted & slowBit) >> 1
  } else {
    window.calls++
  }
  ring[next] = (failed ? failedBit : 0) | (slow ? slowBit : 0)
  if (failed) window.failures++
  if (slow) window.slow++
  window.next = next + 1 === ring.length ? 0 : next + 1
}

/**
 * Forgets everything. O(1): what is in the ring is overwritten before it is counted.
 *
 * @since 0.1.0
 */
export const clear = (window: CountWindow): void => {
  window.next = 0
  window.calls = 0
  window.failures = 0
  window.slow = 0
}

/**
 * The outcomes, oldest first. O(size).
 *
 * @since 0.1.0
 */
export const outcomes = ({ calls, next, ring }: CountWindow): ReadonlyArray<Outcome> =>
  Array.from({ length: calls }, (_, index) => {
    const bits = ring[(next - calls + index + ring.length) % ring.length] ?? 0
    return { failed: (bits & failedBit) !== 0, slow: (bits & slowBit) !== 0 }
  })
