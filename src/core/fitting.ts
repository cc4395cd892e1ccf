/**
 * Finds the distribution that measured times come from. A time may be cut off: of an attempt that
 * was given up it is only known that it would have taken longer.
 *
 * Each of five families is fitted by maximum likelihood, the most likely one is kept, and its
 * distance from what was measured is the greatest difference between both curves (Kolmogorov). The
 * curve of what was measured is the product-limit estimate (Kaplan and Meier, 1958), which is the
 * plain share where nothing was cut off.
 */
import * as Distribution from "./distribution.js"

/**
 * Times in one unit. `cut` are the times of those that took longer than that.
 *
 * @since 0.1.0
 */
export interface Times {
  readonly measured: ReadonlyArray<number>
  readonly cut: ReadonlyArray<number>
}

/**
 * A distribution, and the greatest difference between its curve and the measured one, from 0 to 1.
 *
 * @since 0.1.0
 */
export interface Fit {
  readonly distribution: Distribution.Distribution
  readonly distance: number
}

// -----------------------------------------------------------------------------
// the normal distribution
// -----------------------------------------------------------------------------

const logRootTwoPi = Math.log(2 * Math.PI) / 2

/** The ratio of the tail above `z` to the density at `z` (Mills), for `z` above 2. */
const tailRatio = (z: number): number => {
  let fraction = z
  for (let depth = 80; depth >= 1; depth--) fraction = z + depth / fraction
  return 1 / fraction
}

/** The share below `z`, by Marsaglia's series; exact to 15 digits for `z` from -2 to 2. */
const centralShare = (z: number): number => {
  let sum = z
  let term = z
  for (let odd = 3; Math.abs(term) > 1e-17 * Math.abs(sum) && odd < 200; odd += 2) {
    term *= z * z / odd
    sum += term
  }
  return 0.5 + sum * Math.exp(-z * z / 2 - logRootTwoPi)
}

/** The logarithm of the share above `z`. */
const logTail = (z: number): number => {
  if (z > 2) return -z * z / 2 - logRootTwoPi + Math.log(tailRatio(z))
  return Math.log1p(z < -2 ? -Math.exp(logTail(-z)) : -centralShare(z))
}

/** The density at `z` over the share above it. */
const hazard = (z: number): number =>
  z > 2 ? 1 / tailRatio(z) : Math.exp(-z * z / 2 - logRootTwoPi - logTail(z))

// -----------------------------------------------------------------------------
// the families
// -----------------------------------------------------------------------------

/** A family with its parameters: what it is, its curves, and how many parameters it has. */
interface Candidate {
  readonly distribution: Distribution.Distribution
  readonly parameters: number
  readonly logDensity: (time: number) => number
  readonly logAbove: (time: number) => number
}

const sum = (values: ReadonlyArray<number>, of: (value: number) => number): number => {
  let total = 0
  for (const value of values) total += of(value)
  return total
}

const exponential = ({ cut, measured }: Times): Candidate => {
  const mean = (sum(measured, (time) => time) + sum(cut, (time) => time)) / measured.length
  return {
    distribution: { _tag: "Exponential", mean },
    parameters: 1,
    logDensity: (time) => -time / mean - Math.log(mean),
    logAbove: (time) => -time / mean
  }
}

/** The root of a function that falls, or of one that rises, between two bounds. */
const root = (low: number, high: number, isBefore: (x: number) => boolean): number => {
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2
    if (isBefore(middle)) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** The shape is the root of the derivative, which rises; the scale follows from it. */
const weibull = ({ cut, measured }: Times): Candidate => {
  // In parts of the longest time no power overflows.
  const longest = Math.max(measured[measured.length - 1]!, cut[cut.length - 1] ?? 0)
  const logs = [...measured, ...cut].map((time) => Math.log(time / longest))
  const meanLog = sum(measured, (time) => Math.log(time / longest)) / measured.length
  const isBefore = (shape: number): boolean => {
    let powers = 0
    let weighted = 0
    for (const log of logs) {
      const power = Math.exp(shape * log)
      powers += power
      weighted += power * log
    }
    return weighted / powers - 1 / shape - meanLog < 0
  }
  const shape = root(0.01, 100, isBefore)
  const scale = longest *
    (sum(logs, (log) => Math.exp(shape * log)) / measured.length) ** (1 / shape)
  return {
    distribution: { _tag: "Weibull", scale, shape },
    parameters: 2,
    logDensity: (time) =>
      Math.log(shape / scale) + (shape - 1) * Math.log(time / scale) - (time / scale) ** shape,
    logAbove: (time) => -((time / scale) ** shape)
  }
}

const maxSteps = 500

/** What was cut off counts with what is to be expected of it, until nothing moves any more (EM). */
const logNormal = ({ cut, measured }: Times): Candidate => {
  const count = measured.length + cut.length
  const first = sum(measured, Math.log)
  const second = sum(measured, (time) => Math.log(time) ** 2)
  const logsOfCut = cut.map(Math.log)
  let mean = (first + sum(logsOfCut, (log) => log)) / count
  let deviation = Math.sqrt(
    Math.max(1e-18, (second + sum(logsOfCut, (log) => log * log)) / count - mean * mean)
  )
  for (let step = 0; step < maxSteps && cut.length > 0; step++) {
    let expected = first
    let squares = second
    for (const log of logsOfCut) {
      const rate = deviation * hazard((log - mean) / deviation)
      expected += mean + rate
      squares += mean * mean + deviation * deviation + (mean + log) * rate
    }
    const next = expected / count
    const moved = Math.abs(next - mean)
    mean = next
    deviation = Math.sqrt(Math.max(1e-18, squares / count - mean * mean))
    if (moved < 1e-9) break
  }
  const z99 = Distribution.normalQuantile(0.99)
  const place = (time: number) => (Math.log(time) - mean) / deviation
  return {
    distribution: { _tag: "LogNormal", p50: Math.exp(mean), p99: Math.exp(mean + z99 * deviation) },
    parameters: 2,
    logDensity: (time) =>
      -(place(time) ** 2) / 2 - logRootTwoPi - Math.log(deviation) - Math.log(time),
    logAbove: (time) => logTail(place(time))
  }
}

const pareto = ({ cut, measured }: Times): Candidate | undefined => {
  const min = measured[0]!
  const excess = (time: number) => Math.max(0, Math.log(time / min))
  const alpha = measured.length / (sum(measured, excess) + sum(cut, excess))
  // With an infinite mean it says nothing about a service.
  if (alpha <= 1.001) return undefined
  return {
    distribution: { _tag: "Pareto", min, alpha },
    parameters: 2,
    logDensity: (time) => Math.log(alpha / time) - alpha * excess(time),
    logAbove: (time) => -alpha * excess(time)
  }
}

/** The upper bound is the longest measured time, or further off where longer ones were cut off. */
const uniform = ({ cut, measured }: Times): Candidate => {
  const min = measured[0]!
  const longest = Math.max(measured[measured.length - 1]!, cut[cut.length - 1] ?? 0)
  const beyond = cut.filter((time) => time > min)
  const isTooNear = (max: number) =>
    sum(beyond, (time) => 1 / (max - time)) > (measured.length + beyond.length) / (max - min)
  const max = beyond.length === 0
    ? longest
    : Math.max(measured[measured.length - 1]!, root(longest, min + 1000 * longest, isTooNear))
  return {
    distribution: { _tag: "Uniform", min, max },
    parameters: 2,
    logDensity: (time) => (time <= max ? -Math.log(max - min) : -Infinity),
    logAbove: (time) => (time < min ? 0 : Math.log((max - time) / (max - min)))
  }
}

// -----------------------------------------------------------------------------
// what was measured
// -----------------------------------------------------------------------------

/** A step of the measured curve: at this time, from one share to another. */
interface Step {
  readonly time: number
  readonly before: number
  readonly after: number
}

/** The product-limit estimate. What was cut off at the time of a step was still there. */
const curveOf = ({ cut, measured }: Times): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  let left = measured.length + cut.length
  let above = 1
  let next = 0
  for (let index = 0; index < measured.length;) {
    const time = measured[index]!
    for (; next < cut.length && cut[next]! < time; next++) left--
    let same = 0
    for (; index < measured.length && measured[index] === time; index++) same++
    const before = 1 - above
    above *= 1 - same / left
    left -= same
    steps.push({ time, before, after: 1 - above })
  }
  return steps
}

/** `shareBefore` differs from `shareUpTo` where many times are the same. */
const distanceOf = (
  steps: ReadonlyArray<Step>,
  shareUpTo: (time: number) => number,
  shareBefore = shareUpTo
): number =>
  steps.reduce(
    (most, { after, before, time }) =>
      Math.max(most, Math.abs(shareBefore(time) - before), Math.abs(shareUpTo(time) - after)),
    0
  )

/** So many quantiles stand for times that come from none of the families. */
const quantiles = 512

/** How many of the rising values a condition holds for; it holds for the first ones. */
const leading = (values: ReadonlyArray<number>, holds: (value: number) => boolean): number => {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(values[middle]!)) low = middle + 1
    else high = middle
  }
  return low
}

/** The share of an empirical distribution below a time, after so many of its values. */
const empiricalShare = (values: ReadonlyArray<number>, count: number, time: number): number => {
  const [from, to] = [values[count - 1], values[count]]
  if (from === undefined) return 0
  return to === undefined ? 1 : (count - 1 + (time - from) / (to - from)) / (values.length - 1)
}

/** Beyond the last step nothing is known: the longest time stands for it. */
const empirical = (steps: ReadonlyArray<Step>, longest: number): Fit => {
  const values: Array<number> = []
  const known = steps.at(-1)!.after
  let at = 0
  for (let index = 0; index < quantiles; index++) {
    // The last share is 1 but for rounding.
    const share = Math.min(index / (quantiles - 1), known > 1 - 1e-9 ? known : 1)
    while (at < steps.length && steps[at]!.after < share) at++
    values.push(steps[at]?.time ?? longest)
  }
  return {
    distribution: { _tag: "Empirical", values },
    distance: distanceOf(
      steps,
      (time) => empiricalShare(values, leading(values, (value) => value <= time), time),
      (time) => empiricalShare(values, leading(values, (value) => value < time), time)
    )
  }
}

/** More times than that are thinned, evenly over their order. */
const most = 20_000

const thinned = (sorted: ReadonlyArray<number>, share: number): ReadonlyArray<number> => {
  const count = Math.round(sorted.length * share)
  return Array.from(
    { length: count },
    (_, index) => sorted[Math.floor((index + 0.5) * sorted.length / count)]!
  )
}

/** Times below a nanosecond (in milliseconds) have no logarithm that means anything. */
const least = 1e-6

const prepared = ({ cut, measured }: Times): Times => {
  const sorted = (times: ReadonlyArray<number>) =>
    Float64Array.from(times, (time) => Math.max(least, time)).sort()
  const share = Math.min(1, most / (measured.length + cut.length))
  return {
    measured: thinned(Array.from(sorted(measured)), share),
    cut: thinned(Array.from(sorted(cut)), share)
  }
}

/**
 * The greatest distance at which a family is said to be where the times come from: what chance
 * leaves in 95 of 100 samples of this size, and 0.02 more, since no real service is a formula.
 *
 * @since 0.1.0
 */
export const tolerance = (count: number): number => 0.02 + 1.36 / Math.sqrt(count)

/**
 * Fits times, of which at least one is measured. The most likely of five families (uniform,
 * exponential, log-normal, Weibull, Pareto; a second parameter has to be worth it, by the Bayesian
 * information criterion); where its distance is above `tolerance`, 512 quantiles. Times that are
 * all the same are constant. O(n log n), with at most 20,000 times looked at more than once.
 *
 * @since 0.1.0
 */
export const fit = (times: Times): Fit => {
  const { cut, measured } = prepared(times)
  const [shortest] = measured
  const longest = measured[measured.length - 1]!
  const steps = curveOf({ measured, cut })
  const lastCut = cut[cut.length - 1] ?? 0
  if (shortest === longest && lastCut <= longest) {
    return { distribution: { _tag: "Constant", value: shortest! }, distance: 0 }
  }
  const penalty = Math.log(measured.length + cut.length)
  const costOf = ({ logAbove, logDensity, parameters }: Candidate): number =>
    parameters * penalty - 2 * (sum(measured, logDensity) + sum(cut, logAbove))
  const [best] = [uniform, exponential, logNormal, weibull, pareto]
    .flatMap((family) => family({ measured, cut }) ?? [])
    .map((candidate) => ({ candidate, cost: costOf(candidate) }))
    .filter(({ cost }) => Number.isFinite(cost))
    .sort((a, b) => a.cost - b.cost)
  if (best === undefined) return empirical(steps, Math.max(longest, lastCut))
  const { distribution, logAbove } = best.candidate
  const distance = distanceOf(steps, (time) => -Math.expm1(Math.min(0, logAbove(time))))
  return distance <= tolerance(measured.length + cut.length)
    ? { distribution, distance }
    : empirical(steps, Math.max(longest, lastCut))
}
