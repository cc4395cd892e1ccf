/**
 * Durations in JSON, written as in code: `"500 millis"`, or a number of milliseconds.
 */
import * as Duration from "effect/Duration"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as Check from "./validate.js"

/** As text, with nothing lost. */
const write = (duration: Duration.Duration): string => {
  if (!Duration.isFinite(duration)) return "Infinity"
  const nanos = Duration.unsafeToNanos(duration)
  return nanos % 1_000_000n === 0n ? `${nanos / 1_000_000n} millis` : `${nanos} nanos`
}

/** What JSON holds; code may pass a `Duration` too, of which a JSON Schema says nothing. */
const Written = Schema.Union(Schema.String, Schema.Number, Schema.DurationFromSelf).annotations({
  jsonSchema: {
    description:
      "A duration such as \"500 millis\" or \"2 minutes\", \"Infinity\", or a number of milliseconds",
    anyOf: [
      {
        type: "string",
        pattern: "^(Infinity|[0-9]+(\\.[0-9]+)? +(nano|micro|milli|second|minute|hour|day|week)s?)$"
      },
      { type: "number", minimum: 0 }
    ]
  }
})

/**
 * A field that is a duration, read by one of the readers of `check.ts`, whose words the
 * `ParseError` repeats.
 */
export const read = (field: string, check: typeof Check.duration) =>
  Schema.transformOrFail(
    Written,
    Schema.DurationFromSelf,
    {
      strict: true,
      decode: (input, _, ast) =>
        ParseResult.try({
          try: () =>
            input === "Infinity"
              ? Duration.infinity
              : check(field, input as Duration.DurationInput),
          catch: (error) =>
            new ParseResult.Type(
              ast,
              input,
              error instanceof RangeError ? error.message : undefined
            )
        }),
      encode: (duration) => ParseResult.succeed(write(duration))
    }
  )
