/**
 * Reads a configuration to its end.
 *
 * A schema checks what values mean together, and what a stage makes of them, only where each value
 * has its form; so the first mistakes hide others. What is refused is left out here, and the rest
 * is read again, until nothing more is refused.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

type Path = ReadonlyArray<PropertyKey>

type Issue = ParseResult.ArrayFormatterIssue

/** That a field could also be left out is no news. */
const isNews = ({ message }: Issue): boolean => !message.startsWith("Expected undefined, actual ")

const nameOf = (path: Path): string => JSON.stringify(path.map(String))

/** The places in which something else has a place. O(issues). */
const placesAbove = (issues: ReadonlyArray<Issue>): ReadonlySet<string> => {
  const found = new Set<string>()
  for (const { path } of issues) {
    for (let length = 0; length < path.length; length++) found.add(nameOf(path.slice(0, length)))
  }
  return found
}

/** Says of a value with fields that it is no text, for example, which another form does not ask. */
const isOtherForm = ({ message, path }: Issue, above: ReadonlySet<string>): boolean =>
  /^Expected .+, actual \{/s.test(message) && above.has(nameOf(path))

/** What an issue says, one for each place and form. */
export const listed = (issue: ParseResult.ParseIssue): ReadonlyArray<Issue> => {
  const news = ParseResult.ArrayFormatter.formatIssueSync(issue).filter(isNews)
  const above = placesAbove(news)
  return news.filter((each) => !isOtherForm(each, above))
}

type Fields = Readonly<Record<PropertyKey, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The value with another field at a path, or without it; nothing where the path leads nowhere. */
const changed = (
  value: unknown,
  [field, ...below]: Path,
  change: (fields: Fields, field: PropertyKey) => Fields | undefined
): unknown => {
  if (field === undefined) return undefined
  if (Array.isArray(value)) {
    const elements: ReadonlyArray<unknown> = value
    const inner = changed(elements[Number(field)], below, change)
    return inner === undefined ? undefined : elements.with(Number(field), inner)
  }
  if (!isFields(value)) return undefined
  if (below.length === 0) return change(value, field)
  const inner = changed(value[field], below, change)
  return inner === undefined ? undefined : { ...value, [field]: inner }
}

const without = (fields: Fields, field: PropertyKey): Fields | undefined => {
  if (!Object.hasOwn(fields, field)) return undefined
  const { [field]: _, ...rest } = fields
  return rest
}

/** Stands in for a field that has to be there: a number or a duration that most allow. */
const withStandIn = (fields: Fields, field: PropertyKey): Fields => ({ ...fields, [field]: 1 })

/** The configuration without its mistakes so far. */
class Rest {
  /** The paths that were refused, and how often. */
  readonly #times = new Map<string, number>()
  readonly #names = new Set<string>()

  constructor(public value: unknown) {}

  /**
   * Whether this is a mistake of its own, and not of a value that was left out: that one counts as
   * its default now, which may contradict what was written beside it.
   */
  isOwn({ _tag, message, path }: Issue): boolean {
    if (path.some((_, index) => this.#times.has(nameOf(path.slice(0, index + 1))))) return false
    const words = message.match(/\w+/g) ?? []
    return _tag === "Unexpected" || !words.some((word) => this.#names.has(word))
  }

  /** Leaves out what was refused. Gives back whether anything is different now. */
  leaveOut(issues: ReadonlyArray<Issue>): boolean {
    const before = this.value
    for (const path of new Map(issues.map(({ path }) => [nameOf(path), path])).values()) {
      this.#names.add(String(path.at(-1)))
      this.#leaveOut(path)
    }
    return this.value !== before
  }

  #leaveOut(path: Path): void {
    const times = this.#times.get(nameOf(path)) ?? 0
    this.#times.set(nameOf(path), times + 1)
    const next = changed(this.value, path, without) ??
      (times < 2 ? changed(this.value, path, withStandIn) : undefined)
    if (next !== undefined) this.value = next
    else if (path.length > 1) this.#leaveOut(path.slice(0, -1))
  }
}

const { ast } = Schema.Unknown

/** A mistake as an issue of the whole. */
const pointed = (given: unknown, { _tag, message, path }: Issue): ParseResult.ParseIssue => {
  const value = path.reduce<unknown>(
    (value, field) =>
      typeof value === "object" && value !== null ? (value as Fields)[field] : undefined,
    given
  )
  const issue = _tag === "Unexpected"
    ? new ParseResult.Unexpected(value, message)
    : new ParseResult.Type(ast, value, message)
  return Arr.isNonEmptyReadonlyArray(path) ? new ParseResult.Pointer(path, given, issue) : issue
}

/** More than there are layers of checks. */
const maxRounds = 20

/** Where so many are refused at once, what they hide can wait. */
const manyIssues = 100

/** Reads a value, or says all that is wrong with it. O(size) for each layer of checks. */
export const decode =
  <A, I>(schema: Schema.Schema<A, I>) =>
  (given: unknown): Effect.Effect<A, ParseResult.ParseIssue> => {
    const read = ParseResult.decodeUnknown(schema, { errors: "all" })
    const goOn = (
      rest: Rest,
      rounds: number
    ): Effect.Effect<ReadonlyArray<ParseResult.ParseIssue>> =>
      rounds === 0
        ? Effect.succeed([])
        : Effect.matchEffect(read(rest.value), {
          onSuccess: () => Effect.succeed([]),
          onFailure: (issue) => {
            const issues = listed(issue)
            const found = issues.filter((each) => rest.isOwn(each))
              .map((each) => pointed(given, each))
            return rest.leaveOut(issues)
              ? Effect.map(goOn(rest, rounds - 1), (further) => [...found, ...further])
              : Effect.succeed(found)
          }
        })
    return Effect.catchAll(read(given), (first) => {
      const issues = listed(first)
      const rest = new Rest(given)
      if (issues.length > manyIssues || !rest.leaveOut(issues)) return Effect.fail(first)
      return Effect.flatMap(goOn(rest, maxRounds), (further) =>
        Effect.fail(
          Arr.isNonEmptyReadonlyArray(further)
            ? new ParseResult.Composite(schema.ast, given, [first, ...further])
            : first
        ))
    })
  }
