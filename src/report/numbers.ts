/** Numbers for readers, the same on every machine: no locale has a say in them. */

const grouped = (digits: string): string => digits.replace(/\B(?=(\d{3})+$)/g, ",")

/** A number with so many decimals, and thousands apart. */
export const decimal = (value: number, decimals: number): string => {
  if (!Number.isFinite(value)) return "–"
  const [whole = "", rest] = Math.abs(value).toFixed(decimals).split(".")
  const isZero = !/[1-9]/.test(whole + (rest ?? ""))
  return `${value < 0 && !isZero ? "−" : ""}${grouped(whole)}${
    rest === undefined ? "" : `.${rest}`
  }`
}

/** With three digits that count, of which those before the point are never left out. */
export const short = (value: number): string => {
  const size = Math.abs(value)
  if (size >= 100 || size === 0) return decimal(value, 0)
  if (size >= 10) return decimal(value, 1)
  return decimal(value, size >= 0.1 ? 2 : size >= 0.01 ? 3 : 4)
}

/** A number that was written by hand: without the digits that say nothing. */
export const written = (value: number): string =>
  short(value).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")

/** A share in per cent. */
export const percent = (share: number): string => {
  const value = share * 100
  const size = Math.abs(value)
  // What there is of something is never written as none of it.
  if (size > 0 && size < 0.005) return value < 0 ? "> −0.01 %" : "< 0.01 %"
  return `${decimal(value, size >= 10 || size === 0 ? 0 : size >= 1 ? 1 : 2)} %`
}

/** Milliseconds, in seconds where that is easier to read. */
export const latency = (millis: number): string => {
  if (!Number.isFinite(millis)) return "–"
  const size = Math.abs(millis)
  return size < 1000 ? `${short(millis)} ms` : `${short(millis / 1000)} s`
}

/** The multiple of 1, 2 or 5 and a power of ten that is at least this. */
const roundStep = (atLeast: number): number => {
  const power = 10 ** Math.floor(Math.log10(atLeast))
  return ([1, 2, 5].find((factor) => factor * power >= atLeast * (1 - 1e-9)) ?? 10) * power
}

/**
 * Round marks from 0 to at least `most`, some `count` of them. The last one is the end of the axis.
 */
export const ticks = (most: number, count: number): ReadonlyArray<number> => {
  const step = roundStep((most > 0 && Number.isFinite(most) ? most : 1) / count)
  const last = Math.ceil((most > 0 ? most : step) / step - 1e-9)
  return Array.from({ length: last + 1 }, (_, index) => Number((index * step).toPrecision(12)))
}

/** Steps of time that a reader knows, in seconds. */
const timeSteps = [
  1,
  2,
  5,
  10,
  15,
  20,
  30,
  60,
  120,
  300,
  600,
  900,
  1800,
  3600,
  7200,
  14_400,
  21_600
]

/** Marks of time from 0 to `seconds`, at most `count` and one. */
export const timeTicks = (seconds: number, count: number): ReadonlyArray<number> => {
  const step = timeSteps.find((each) => seconds / each <= count) ??
    Math.ceil(seconds / count / 86_400) * 86_400
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => index * step)
}

/** A moment on an axis that is this many seconds long. */
export const moment = (seconds: number, length: number): string =>
  length < 600
    ? `${seconds} s`
    : length < 36_000
    ? `${written(seconds / 60)} min`
    : `${written(seconds / 3600)} h`

/** A coordinate, short enough for a file and exact enough for an eye. */
export const coordinate = (value: number): number => Math.round(value * 10) / 10
