/**
 * Finds out whether an upstream takes longer the more it has to do, from the latencies of requests
 * and how many were in progress when each began.
 */

/**
 * A request: how many were in progress when it began, itself included, and how long it took.
 *
 * @since 0.1.0
 */
export interface Point {
  readonly inProgress: number
  readonly time: number
}

/**
 * What was found.
 *
 * - `Load`: a request takes `slope * n ** power` longer when `n` are in progress, beside what it
 *   takes anyway. `explained` is the share of the variance of the latencies that this accounts for.
 * - `Unknown`: why it cannot be known
 *
 * @since 0.1.0
 */
export type LoadFit =
  | {
    readonly _tag: "Load"
    readonly slope: number
    readonly power: number
    readonly explained: number
  }
  | { readonly _tag: "Unknown"; readonly reason: string }

/** How many were in progress has to vary by this factor, between its 5th and 95th percentile. */
const variation = 3

/** Less than this share of the variance is no dependence worth a model. */
const worthwhile = 0.1

const powers = Array.from({ length: 26 }, (_, index) => 0.5 + index / 10)

/** The line of least squares through what was measured, for one power. */
const lineOf = (
  points: ReadonlyArray<Point>,
  power: number
): { readonly slope: number; readonly explained: number } => {
  const count = points.length
  let meanX = 0
  let meanY = 0
  for (const { inProgress, time } of points) {
    meanX += inProgress ** power / count
    meanY += time / count
  }
  let xx = 0
  let xy = 0
  let yy = 0
  for (const { inProgress, time } of points) {
    const x = inProgress ** power - meanX
    const y = time - meanY
    xx += x * x
    xy += x * y
    yy += y * y
  }
  return {
    slope: xx === 0 ? 0 : xy / xx,
    explained: xx === 0 || yy === 0 ? 0 : xy * xy / (xx * yy)
  }
}

/**
 * Fits points by least squares, over powers from 0.5 to 3. `Unknown` where how many were in
 * progress does not vary threefold, or the latency does not rise with it. O(n log n).
 *
 * @since 0.1.0
 */
export const loadFit = (points: ReadonlyArray<Point>): LoadFit => {
  if (points.length === 0) return { _tag: "Unknown", reason: "no record says inProgress" }
  const sorted = points.map(({ inProgress }) => inProgress).sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!
  const [low, high] = [at(0.05), at(0.95)]
  if (high < variation * Math.max(1, low)) {
    return {
      _tag: "Unknown",
      reason: `inProgress goes from ${low} to ${high}, and should vary threefold`
    }
  }
  const best = powers
    .map((power) => ({ power, ...lineOf(points, power) }))
    .reduce((best, each) => (each.explained > best.explained ? each : best))
  return best.slope > 0 && best.explained >= worthwhile
    ? { _tag: "Load", slope: best.slope, power: best.power, explained: best.explained }
    : { _tag: "Unknown", reason: "the latency does not rise with inProgress" }
}
