/**
 * Distributions of latencies and gaps: their quantiles, means and draws.
 *
 * A draw is a function of one uniform number, so a simulation that gives the same number to two
 * policies gives them the same latency. Values have the unit of the parameters.
 */

/**
 * - `Constant`: always `value`
 * - `Uniform`: from `min` to `max`, evenly
 * - `Exponential`: by its `mean`
 * - `LogNormal`: by its median and its 99th percentile, as they stand on a dashboard
 * - `Pareto`: from `min` on; the smaller `alpha`, the longer the tail
 * - `Weibull`: `shape` below 1 has a longer tail than the exponential one, above 1 a shorter one
 * - `Hyper`: one of several exponential distributions, by weight
 * - `Empirical`: measured `values` in rising order, evenly spread between neighbours
 *
 * @since 0.1.0
 */
export type Distribution =
  | { readonly _tag: "Constant"; readonly value: number }
  | { readonly _tag: "Uniform"; readonly min: number; readonly max: number }
  | { readonly _tag: "Exponential"; readonly mean: number }
  | { readonly _tag: "LogNormal"; readonly p50: number; readonly p99: number }
  | { readonly _tag: "Pareto"; readonly min: number; readonly alpha: number }
  | { readonly _tag: "Weibull"; readonly scale: number; readonly shape: number }
  | { readonly _tag: "Hyper"; readonly branches: ReadonlyArray<Branch> }
  | { readonly _tag: "Empirical"; readonly values: ReadonlyArray<number> }

/**
 * One exponential distribution of several. Weights need not add up to 1.
 *
 * @since 0.1.0
 */
export interface Branch {
  readonly weight: number
  readonly mean: number
}

/** A polynomial, its coefficients from the constant on. */
const polynomial = (coefficients: ReadonlyArray<number>, x: number): number => {
  let sum = 0
  for (let power = coefficients.length - 1; power >= 0; power--) {
    sum = sum * x + (coefficients[power] as number)
  }
  return sum
}

/** Each part of the line: the numerator and the denominator of a fraction of polynomials. */
const central = [
  [
    3.3871328727963665,
    133.14166789178438,
    1971.5909503065513,
    13731.69376550946,
    45921.95393154987,
    67265.7709270087,
    33430.57558358813,
    2509.0809287301227
  ],
  [
    1,
    42.31333070160091,
    687.1870074920579,
    5394.196021424751,
    21213.794301586597,
    39307.89580009271,
    28729.085735721943,
    5226.495278852854
  ]
] as const

const near = [
  [
    1.4234371107496835,
    4.630337846156546,
    5.769497221460691,
    3.6478483247632045,
    1.2704582524523684,
    0.2417807251774506,
    0.022723844989269184,
    0.0007745450142783414
  ],
  [
    1,
    2.053191626637759,
    1.6763848301838038,
    0.6897673349851,
    0.14810397642748008,
    0.015198666563616457,
    0.0005475938084995345,
    1.0507500716444169e-9
  ]
] as const

const far = [
  [
    6.657904643501103,
    5.463784911164114,
    1.7848265399172913,
    0.29656057182850487,
    0.026532189526576124,
    0.0012426609473880784,
    0.000027115555687434876,
    2.0103343992922881e-7
  ],
  [
    1,
    0.599832206555888,
    0.1369298809227358,
    0.014875361290850615,
    0.0007868691311456133,
    0.000018463183175100548,
    1.421511758316446e-7,
    2.0442631033899397e-15
  ]
] as const

/**
 * The quantile of the standard normal distribution, to 16 digits (Wichura's AS 241). Infinite at 0
 * and 1. O(1).
 *
 * @since 0.1.0
 */
export const normalQuantile = (share: number): number => {
  if (share <= 0) return -Infinity
  if (share >= 1) return Infinity
  const centred = share - 0.5
  if (Math.abs(centred) <= 0.425) {
    const x = 0.180625 - centred * centred
    return centred * polynomial(central[0], x) / polynomial(central[1], x)
  }
  const tail = Math.sqrt(-Math.log(centred < 0 ? share : 1 - share))
  const [numerator, denominator] = tail <= 5 ? near : far
  const x = tail <= 5 ? tail - 1.6 : tail - 5
  const value = polynomial(numerator, x) / polynomial(denominator, x)
  return centred < 0 ? -value : value
}

/** The quantile 0.99 of the standard normal distribution. */
const z99 = normalQuantile(0.99)

const sigmaOf = ({ p50, p99 }: { readonly p50: number; readonly p99: number }): number =>
  Math.log(p99 / p50) / z99

const exponential = (mean: number, share: number): number => -mean * Math.log(1 - share)

const empirical = (values: ReadonlyArray<number>, share: number): number => {
  const place = Math.min(1, Math.max(0, share)) * (values.length - 1)
  const below = Math.floor(place)
  const low = values[below] as number
  const high = values[Math.min(below + 1, values.length - 1)] as number
  return low + (high - low) * (place - below)
}

const totalWeight = (branches: ReadonlyArray<Branch>): number =>
  branches.reduce((sum, { weight }) => sum + weight, 0)

/** The share of a mixture that lies above a value. */
const above = (branches: ReadonlyArray<Branch>, value: number): number =>
  branches.reduce((sum, { mean, weight }) => sum + weight * Math.exp(-value / mean), 0) /
  totalWeight(branches)

/** Halves the interval that holds the quantile until no number lies within. */
const hyperQuantile = (branches: ReadonlyArray<Branch>, share: number): number => {
  if (share >= 1) return Infinity
  let low = 0
  let high = exponential(Math.max(...branches.map(({ mean }) => mean)), share)
  for (;;) {
    const middle = (low + high) / 2
    if (middle <= low || middle >= high) return high
    if (above(branches, middle) > 1 - share) low = middle
    else high = middle
  }
}

/** The branch that a draw falls in, and how far into it. */
const hyperDraw = (branches: ReadonlyArray<Branch>, unit: number): number => {
  let left = unit * totalWeight(branches)
  for (const { mean, weight } of branches) {
    if (left < weight) return exponential(mean, left / weight)
    left -= weight
  }
  // Rounding may leave a draw beyond the last branch.
  return 0
}

/**
 * The value that this share of all values does not exceed. O(1), beside a mixture: there, O(number
 * of branches) for each bit.
 *
 * @since 0.1.0
 */
export const quantile = (distribution: Distribution, share: number): number => {
  switch (distribution._tag) {
    case "Constant":
      return distribution.value
    case "Uniform":
      return distribution.min + (distribution.max - distribution.min) * share
    case "Exponential":
      return exponential(distribution.mean, share)
    case "LogNormal":
      return distribution.p50 * Math.exp(sigmaOf(distribution) * normalQuantile(share))
    case "Pareto":
      return distribution.min * (1 - share) ** (-1 / distribution.alpha)
    case "Weibull":
      return distribution.scale * (-Math.log(1 - share)) ** (1 / distribution.shape)
    case "Hyper":
      return hyperQuantile(distribution.branches, share)
    case "Empirical":
      return empirical(distribution.values, share)
  }
}

/** The gamma function for arguments above 0.5, to 15 digits (Lanczos, g = 7). */
const lanczos = [
  676.5203681218851,
  -1259.1392167224028,
  771.3234287776531,
  -176.6150291621406,
  12.507343278686905,
  -0.13857109526572012,
  0.000009984369578019572,
  1.5056327351493116e-7
]

const gamma = (z: number): number => {
  const x = z - 1
  const t = x + 7.5
  const sum = lanczos.reduce(
    (all, coefficient, index) => all + coefficient / (x + index + 1),
    0.9999999999998099
  )
  return Math.sqrt(2 * Math.PI) * t ** (x + 0.5) * Math.exp(-t) * sum
}

/** Between two neighbours the mean is the middle. */
const empiricalMean = (values: ReadonlyArray<number>): number => {
  if (values.length === 1) return values[0] as number
  const ends = ((values[0] as number) + (values.at(-1) as number)) / 2
  return (values.reduce((sum, value) => sum + value, 0) - ends) / (values.length - 1)
}

/**
 * The mean, `Infinity` where the tail is too long to have one. O(1), or O(number of branches or
 * values).
 *
 * @since 0.1.0
 */
export const mean = (distribution: Distribution): number => {
  switch (distribution._tag) {
    case "Constant":
      return distribution.value
    case "Uniform":
      return (distribution.min + distribution.max) / 2
    case "Exponential":
      return distribution.mean
    case "LogNormal":
      return distribution.p50 * Math.exp(sigmaOf(distribution) ** 2 / 2)
    case "Pareto": {
      const { alpha, min } = distribution
      return alpha <= 1 ? Infinity : min * alpha / (alpha - 1)
    }
    case "Weibull":
      return distribution.scale * gamma(1 + 1 / distribution.shape)
    case "Hyper":
      return distribution.branches.reduce((sum, branch) => sum + branch.weight * branch.mean, 0) /
        totalWeight(distribution.branches)
    case "Empirical":
      return empiricalMean(distribution.values)
  }
}

/**
 * Makes the function from a uniform draw to a value, with everything computed beforehand that does
 * not depend on the draw. For all but a mixture it is the quantile; a mixture spends one part of
 * the draw on the choice of a branch.
 *
 * @since 0.1.0
 */
export const sampler = (distribution: Distribution): (unit: number) => number => {
  switch (distribution._tag) {
    case "Constant": {
      const { value } = distribution
      return () => value
    }
    case "LogNormal": {
      const { p50 } = distribution
      const sigma = sigmaOf(distribution)
      return (unit) => p50 * Math.exp(sigma * normalQuantile(unit))
    }
    case "Hyper": {
      const { branches } = distribution
      return (unit) => hyperDraw(branches, unit)
    }
    default:
      return (unit) => quantile(distribution, unit)
  }
}
