/**
 * Reads options in JSON: the same fields as in code, refused for the same reasons in the same
 * words.
 *
 * A schema here only names the fields; whether the values make sense is found by building what they
 * are for. JSON Schema, which cannot build anything, is told the bounds besides. Durations are
 * written as in code: `"500 millis"`, or a number of milliseconds.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Validate from "./validate.js"

/** As text, with nothing lost. */
const write = (duration: Duration.Duration): string => {
  if (!Duration.isFinite(duration)) return "Infinity"
  const nanos = Duration.unsafeToNanos(duration)
  return nanos % 1_000_000n === 0n ? `${nanos / 1_000_000n} millis` : `${nanos} nanos`
}

/** What JSON holds; code may pass a `Duration` too, of which a JSON Schema says nothing. */
const Written = Schema.Union(Schema.String, Schema.Number, Schema.DurationFromSelf).annotations({
  jsonSchema: {
    description: "A duration such as \"500 millis\" or \"2 minutes\", \"Infinity\", " +
      "or a number of milliseconds",
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
export const read = (field: string, check: typeof Validate.duration) =>
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

/** Zero or longer. */
export const duration = (field: string) => read(field, Validate.duration)

/** Longer than zero. */
export const positive = (field: string) => read(field, Validate.positiveDuration)

/** A whole number between these bounds. */
export const integer = (minimum: number, maximum: number = Infinity) =>
  Schema.Number.annotations({
    jsonSchema: {
      type: "integer",
      minimum,
      ...(maximum === Infinity ? {} : { maximum })
    }
  })

/** A share: above zero and at most one. */
export const share = Schema.Number.annotations({
  jsonSchema: { type: "number", exclusiveMinimum: 0, maximum: 1 }
})

/** A number that is not negative. */
export const amount = Schema.Number.annotations({ jsonSchema: { type: "number", minimum: 0 } })

/** A struct in which an unknown field is an error. The title is what errors call it. */
export const strict = <const Fields extends Schema.Struct.Fields>(title: string, fields: Fields) =>
  Schema.Struct(fields).annotations({ title, parseOptions: { onExcessProperty: "error" } })

/** A check names the field it refuses first, with its path inside the options. */
export const issueOf = (message: string) => ({
  path: /^[\w.]+/.exec(message)?.[0].split(".") ?? [],
  message
})

/** What is refused on purpose. */
const isRefusal = (cause: Cause.Cause<unknown>): boolean =>
  Cause.squash(cause) instanceof RangeError

const refusalOf = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  return issueOf(error instanceof RangeError ? error.message : String(error))
}

type Path = ReadonlyArray<string>

/** Options with something else at a path, or without it; none where the path leads nowhere. */
const changed = (options: object, [field, ...below]: Path, to: unknown): object | undefined => {
  if (field === undefined) return undefined
  const { [field]: value, ...rest } = options as Readonly<Record<string, unknown>>
  if (below.length === 0) return to === undefined ? rest : { ...rest, [field]: to }
  if (typeof value !== "object" || value === null) return undefined
  const inner = changed(value, below, to)
  return inner === undefined ? undefined : { ...rest, [field]: inner }
}

type Refusal = ReturnType<typeof issueOf>

/** What stands in for a field that has to be there: a number or a duration that most allow. */
const standIn = 1

/**
 * All that building refuses. A field that is refused is left out, and it is tried again: then the
 * field has its default, or it is refused for its absence and something stands in for it.
 */
const refusalsOf = (
  build: (options: object) => Effect.Effect<unknown>,
  options: object,
  found: ReadonlyArray<Refusal> = [],
  changes: ReadonlyArray<string> = []
): Effect.Effect<ReadonlyArray<Refusal>> =>
  Effect.matchCauseEffect(Effect.suspend(() => build(options)), {
    onSuccess: () => Effect.succeed(found),
    onFailure: (cause) => {
      const refusal = refusalOf(cause)
      // Without a field that has to be there, building may break in any way.
      if (found.length > 0 && !isRefusal(cause)) return Effect.succeed(found)
      const field = refusal.path.join(".")
      const times = changes.filter((name) => name === field).length
      const all = times === 0 ? [...found, refusal] : found
      const next = times < 2
        ? changed(options, refusal.path, times === 0 ? undefined : standIn)
        : undefined
      return next === undefined
        ? Effect.succeed(all)
        : refusalsOf(build, next, all, [...changes, field])
    }
  })

/** Options of which something can be built. */
export const buildable =
  <O>(title: string, make: (options: O) => Effect.Effect<unknown>) =>
  <A extends O, I>(schema: Schema.Schema<A, I>): Schema.Schema<A, I> =>
    Schema.filterEffect(schema, (options) =>
      // A field that is left out has its default, or is refused for its absence.
      refusalsOf((given) => make(given as O), options as object)).annotations({ title })

/** What a constructor refuses, at the field that it names if that is written. */
const refusedField = (
  options: unknown,
  ast: ParseResult.Type["ast"],
  { message }: RangeError
): ParseResult.ParseIssue => {
  const { path: [field] } = issueOf(message)
  if (field === undefined || !hasProperty(options, field)) {
    return new ParseResult.Type(ast, options, message)
  }
  return new ParseResult.Pointer(
    field,
    options,
    new ParseResult.Type(ast, options[field], message)
  )
}

/**
 * What a constructor makes of what is written. Made, it says all of it, so it is written as it is.
 */
export const madeBy = <A, I, B extends A>(
  written: Schema.Schema<A, I>,
  isMade: (u: unknown) => u is B,
  make: (written: A) => B
): Schema.Schema<B, I> =>
  Schema.transformOrFail(written, Schema.declare(isMade), {
    strict: true,
    decode: (options, _, ast) =>
      ParseResult.try({
        try: () => make(options),
        catch: (error) =>
          error instanceof RangeError
            ? refusedField(options, ast, error)
            : new ParseResult.Type(ast, options)
      }),
    encode: (made) => ParseResult.succeed(made)
  })

/** Recognises what a constructor made by its tag. */
export const hasTag =
  <B extends { readonly _tag: string }>(tag: B["_tag"]) => (u: unknown): u is B =>
    typeof u === "object" && u !== null && "_tag" in u && u._tag === tag
