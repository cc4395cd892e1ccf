/** Lists the mistakes of a configuration, one line for each, instead of a tree. */
import * as Arr from "effect/Array"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { nearest } from "../core/nearest.js"
import type { Contradiction } from "../policies/stage/checks.js"
import { listed } from "./everyIssue.js"

/**
 * One thing that is wrong: where, and what.
 *
 * @since 0.1.0
 * @category models
 */
export interface Finding {
  /** The path of the value. */
  readonly path: string
  /** What the value should be, and what it is. */
  readonly message: string
}

/** A name of a field at the end of a message that speaks of names. */
const names = /"([^"]+)"/g

/** What only a guard has that a fleet shares. `fromConfigShared` has read what it can read. */
const unexpectedOfFleet = (key: string): string | undefined => {
  if (key === "shared") return "should be a name, and is read by Pipeline.fromConfigShared only"
  return /^(strict|leaseTime|whenApart)$/.test(key)
    ? "is for a guard with \"shared\" only, or its value is of another type"
    : undefined
}

const unexpected = (key: string, message: string): string => {
  const known = [...message.matchAll(names)].map(([, name]) => name as string)
  const neighbour = nearest(key, known)
  const list = known.join(", ")
  return neighbour === undefined
    ? `is not known here; known are ${list}`
    : `is not known here; did you mean ${neighbour}? Known are ${list}`
}

const types: Readonly<Record<string, string>> = {
  number: "a number",
  string: "a text",
  boolean: "true or false",
  DurationFromSelf: "a duration such as \"5 seconds\""
}

/** What a schema expects, without the notation of types. */
const inWords = (expected: string): string => {
  if (expected.startsWith("readonly [")) return "a list that is not empty"
  if (expected.startsWith("ReadonlyArray<")) return "a list"
  if (!/^[A-Z]\w+( \| [A-Z]\w+)+$/.test(expected)) return types[expected] ?? expected
  return `an object with the _tag ${expected.split(" | ").join(", ").replace(/, (\w+)$/, " or $1")}`
}

/** In the words of the checks: what it should be, and what it is. */
const reworded = (path: ReadonlyArray<PropertyKey>, message: string): string => {
  const [, expected, actual] = /^Expected (.+), actual (.+)$/s.exec(message) ?? []
  if (expected !== undefined && actual !== undefined) {
    return `should be ${inWords(expected)}, got ${actual}`
  }
  // A check names the field that it refuses, with its path inside the stage.
  const said = /^([\w.]+) (should .+)$/s.exec(message)
  const isNamed = said !== null && path.map(String).join(".").endsWith(said[1] as string)
  return isNamed ? said[2] as string : message
}

const singleLine = (text: string): string => text.replace(/\s*\n\s*/g, " ")

const findingOf = ({ _tag, message, path }: ParseResult.ArrayFormatterIssue): Finding => ({
  path: path.map(String).join("."),
  message: singleLine(
    _tag === "Unexpected"
      ? unexpectedOfFleet(String(path.at(-1))) ?? unexpected(String(path.at(-1)), message)
      : reworded(path, message)
  )
})

/** A duration is a text, a number or a `Duration`: the three are one form of it. */
const oneOf = (parts: ReadonlyArray<string | undefined>): string => {
  const isDuration = parts.includes(types["DurationFromSelf"])
  const shown = parts.filter((part) =>
    !isDuration || part !== types["string"] && part !== types["number"]
  )
  return shown.join(" or ")
}

/** One sentence of what several forms want; what the value is stands once, at the end. */
const alternatives = (messages: ReadonlyArray<string>): string => {
  const parts = messages.map((message) => /^should be (.+), got (.+)$/s.exec(message))
  const values = new Set(parts.map((part) => part?.[2]))
  return parts.length === 1 || values.size > 1 || values.has(undefined)
    ? messages.join(", or ")
    : `should be ${oneOf(parts.map((part) => part?.[1]))}, got ${[...values].join("")}`
}

/** Of a value that fits none of several forms, one finding says what each of them wants. */
const byPath = (findings: ReadonlyArray<Finding>): ReadonlyArray<Finding> => {
  const messages = new Map<string, Set<string>>()
  for (const { message, path } of findings) {
    messages.set(path, (messages.get(path) ?? new Set()).add(message))
  }
  return [...messages].map(([path, all]) => ({ path, message: alternatives([...all]) }))
}

/** Lists what an issue of a schema says, one finding for each path, in the order of the fields. */
export const findingsOf = (issue: ParseResult.ParseIssue): ReadonlyArray<Finding> =>
  byPath(listed(issue).map(findingOf))

const lineOf = ({ message, path }: Finding): string => path === "" ? message : `${path}: ${message}`

/** A `ParseError` whose message has one line for each finding. */
export class ConfigurationError extends ParseResult.ParseError {
  override toString(): string {
    return findingsOf(this.issue).map(lineOf).join("\n")
  }
}

const valueAt = (given: unknown, [field, ...below]: ReadonlyArray<string>): unknown =>
  field === undefined
    ? given
    : typeof given === "object" && given !== null
    ? valueAt((given as Readonly<Record<string, unknown>>)[field], below)
    : undefined

/** An error with one line for each finding. */
export const refused = (
  given: unknown,
  findings: Arr.NonEmptyReadonlyArray<Contradiction>
): ParseResult.ParseError => {
  const { ast } = Schema.Unknown
  const issues = Arr.map(findings, ({ message, path }) => {
    const issue = new ParseResult.Type(ast, valueAt(given, path), message)
    return Arr.isNonEmptyReadonlyArray(path) ? new ParseResult.Pointer(path, given, issue) : issue
  })
  return new ConfigurationError({ issue: new ParseResult.Composite(ast, given, issues) })
}

/**
 * Lists what is wrong with a configuration, one finding for each path, from the `ParseError` of
 * `fromConfig`, `reload` or `Schema.decodeUnknown(Pipeline.Spec)`.
 *
 * **Example** (A mistyped key and a value that is no number of retries)
 *
 * ```ts
 * import { Pipeline } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const json = { retry: { retries: -1 }, atemptTimeout: "5 seconds" }
 *
 * const program = Pipeline.fromConfig(json).pipe(
 *   Effect.flip,
 *   Effect.map((error) => Pipeline.errors(error).map(({ path }) => path))
 * )
 *
 * await Effect.runPromise(program) // => ["atemptTimeout", "retry.retries"]
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export const errors = (error: ParseResult.ParseError): ReadonlyArray<Finding> =>
  findingsOf(error.issue)
