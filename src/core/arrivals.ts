/**
 * Decides when calls arrive.
 *
 * Open arrivals come whether or not the upstream keeps up; a closed loop of clients waits for its
 * answers first, so an upstream that slows down gets less to do. Times are whole nanoseconds.
 */
import type * as Distribution from "./distribution.js"
import * as Draw from "./draw.js"

/**
 * - `Poisson`: independent calls, so many a second on average
 * - `Constant`: so many a second, evenly
 * - `Trace`: at given times in rising order
 * - `Closed`: so many clients, each of which thinks, calls, and thinks again after the answer;
 *   `think` in milliseconds
 *
 * @since 0.1.0
 */
export type Arrivals =
  | { readonly _tag: "Poisson"; readonly perSecond: number }
  | { readonly _tag: "Constant"; readonly perSecond: number }
  | { readonly _tag: "Trace"; readonly atNanos: ReadonlyArray<number> }
  | {
    readonly _tag: "Closed"
    readonly clients: number
    readonly think: Distribution.Distribution
  }

/**
 * A stretch of time in which so many times as many calls arrive, or clients think so many times
 * less long. Where stretches overlap, their factors multiply.
 *
 * @since 0.1.0
 */
export interface Change {
  readonly fromNanos: number
  readonly toNanos: number
  readonly times: number
}

/**
 * The factor from each moment on, in rising order; 1 before the first.
 *
 * @since 0.1.0
 */
export interface Profile {
  readonly fromNanos: ReadonlyArray<number>
  readonly factors: ReadonlyArray<number>
}

/**
 * Adds changes up to one factor for each moment. O(changes squared).
 *
 * @since 0.1.0
 */
export const profile = (changes: ReadonlyArray<Change>): Profile => {
  const moments = [...new Set(changes.flatMap(({ fromNanos, toNanos }) => [fromNanos, toNanos]))]
    .sort((a, b) => a - b)
  return {
    fromNanos: moments,
    factors: moments.map((moment) =>
      changes.reduce(
        (factor, { fromNanos, times, toNanos }) =>
          fromNanos <= moment && moment < toNanos ? factor * times : factor,
        1
      )
    )
  }
}

/**
 * The factor at a moment. O(changes).
 *
 * @since 0.1.0
 */
export const factorAt = ({ factors, fromNanos }: Profile, nanos: number): number => {
  let index = fromNanos.length - 1
  while (index >= 0 && (fromNanos[index] as number) > nanos) index--
  return index < 0 ? 1 : factors[index] as number
}

/**
 * When so many calls' worth of time has passed since a moment, at a rate that changes. `Infinity`
 * where it never does.
 */
const passed = (
  { factors, fromNanos }: Profile,
  perSecond: number,
  calls: number,
  afterNanos: number
): number => {
  let left = calls
  let from = afterNanos
  let index = 0
  while (index < fromNanos.length && (fromNanos[index] as number) <= from) index++
  for (;;) {
    const perNano = perSecond * (index === 0 ? 1 : factors[index - 1] as number) / 1e9
    const until = index < fromNanos.length ? fromNanos[index] as number : Infinity
    const end = perNano > 0 ? from + left / perNano : Infinity
    if (end <= until) return end
    left -= (until - from) * perNano
    from = until
    index++
  }
}

/**
 * When the call of this number arrives, given when the one before did: whole nanoseconds, and
 * `Infinity` where none comes. For open arrivals. O(changes).
 *
 * @since 0.1.0
 */
export const next = (
  arrivals: Exclude<Arrivals, { readonly _tag: "Closed" }>,
  changes: Profile,
  source: Draw.Source,
  number: number,
  afterNanos: number
): number => {
  switch (arrivals._tag) {
    case "Trace":
      return arrivals.atNanos[number] ?? Infinity
    case "Constant":
      return Math.round(passed(changes, arrivals.perSecond, 1, afterNanos))
    case "Poisson": {
      const calls = -Math.log(1 - Draw.unit(source, number, Draw.purposes.arrival, 0))
      return Math.round(passed(changes, arrivals.perSecond, calls, afterNanos))
    }
  }
}

/**
 * When a client of a closed loop makes the call of this number, after an answer or the start. A
 * factor of 0 stops the clients until it changes. O(changes).
 *
 * @since 0.1.0
 */
export const afterThinking = (
  think: (unit: number) => number,
  changes: Profile,
  source: Draw.Source,
  number: number,
  fromNanos: number
): number => {
  const millis = think(Draw.unit(source, number, Draw.purposes.think, 0))
  // A second of thinking passes at a rate of one a second.
  return Math.round(passed(changes, 1, millis / 1000, fromNanos))
}
