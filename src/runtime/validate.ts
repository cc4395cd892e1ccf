/**
 * Checks options, and refuses invalid values with a message that names the field and the value.
 *
 * `Duration.decode` turns -5 and NaN into zero, and a zero wait is a hot loop; numbers are
 * therefore checked before they are decoded.
 */
import * as Duration from "effect/Duration"

const refuse = (field: string, should: string, value: unknown): never => {
  throw new RangeError(
    `${field} should be ${should}, got ${
      typeof value === "string" ? JSON.stringify(value) : String(value)
    }`
  )
}

/** Tests whether the input is a duration at all: no NaN, nothing negative, no unreadable string. */
const readable = (input: Duration.DurationInput): boolean => {
  if (typeof input === "number") return input >= 0
  if (typeof input === "bigint") return input >= 0n
  if (typeof input === "string") {
    return !input.trimStart().startsWith("-") && Duration.decodeUnknown(input)._tag === "Some"
  }
  if (Array.isArray(input)) return input.every((part) => part >= 0)
  return Duration.isDuration(input)
}

/** Zero or longer, possibly infinite. */
export const duration = (field: string, input: Duration.DurationInput): Duration.Duration =>
  readable(input)
    ? Duration.decode(input)
    : refuse(
      field,
      typeof input === "string" && !/^\s*-/.test(input)
        ? "a duration such as \"5 seconds\""
        : "a duration that is not negative",
      input
    )

/** Longer than zero, possibly infinite. */
export const positiveDuration = (
  field: string,
  input: Duration.DurationInput
): Duration.Duration => {
  const decoded = duration(field, input)
  return Duration.greaterThan(decoded, Duration.zero)
    ? decoded
    : refuse(field, "a duration longer than zero", input)
}

/** Zero or longer, and finite. */
export const finiteDuration = (field: string, input: Duration.DurationInput): Duration.Duration => {
  const decoded = duration(field, input)
  return Duration.isFinite(decoded) ? decoded : refuse(field, "a finite duration", input)
}

/** A whole number of at least `minimum` and at most `maximum`. `Infinity` is not one. */
export const integer = (
  field: string,
  value: number,
  minimum: number,
  maximum: number = Infinity
): number => {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return value
  const should = maximum === Infinity || value < minimum
    ? `a whole number of at least ${minimum}`
    : `a whole number of at most ${maximum}`
  return refuse(
    field,
    Number.isSafeInteger(value) ? should : `a whole number of at least ${minimum}`,
    value
  )
}

/** A finite number of at least `minimum` and at most `maximum`. */
export const number = (field: string, value: number, minimum: number, maximum = Infinity): number =>
  Number.isFinite(value) && value >= minimum && value <= maximum
    ? value
    : refuse(
      field,
      maximum === Infinity
        ? `a number of at least ${minimum}`
        : `a number between ${minimum} and ${maximum}`,
      value
    )

/** A share: above zero and at most one. */
export const rate = (field: string, value: number): number =>
  value > 0 && value <= 1 ? value : refuse(field, "a number above 0 and at most 1", value)

/** One of a few words. */
export const oneOf = <const Word extends string>(
  field: string,
  value: Word,
  words: ReadonlyArray<Word>
): Word => words.includes(value) ? value : refuse(field, `one of ${words.join(", ")}`, value)

/** A text that passes a test. */
export const text = (
  field: string,
  value: string,
  should: string,
  test: (value: string) => boolean
): string => test(value) ? value : refuse(field, should, value)
