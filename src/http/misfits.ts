/**
 * Describes where a value does not fit its schema, in types: the path, the expected and the actual
 * type, never the value.
 */
import type * as ParseResult from "effect/ParseResult"

interface Misfit {
  readonly path: string
  readonly expected: string
  readonly actual: string
}

/** How much of a path or a type is shown. */
const maxLength = 80

/** How many places are shown. */
const maxPlaces = 5

const typeOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value

const shortened = (text: string): string =>
  text.length > maxLength ? `${text.slice(0, maxLength)}...` : text

const isList = <A>(issues: A | ReadonlyArray<A>): issues is ReadonlyArray<A> =>
  Array.isArray(issues)

const pathOf = (path: PropertyKey | ReadonlyArray<PropertyKey>): ReadonlyArray<PropertyKey> =>
  isList(path) ? path : [path]

/** The innermost issues: each names a place. */
const leaves = (
  issue: ParseResult.ParseIssue,
  path: ReadonlyArray<PropertyKey>,
  scrub: (text: string) => string
): ReadonlyArray<Misfit> => {
  const at = (expected: string, actual: string): ReadonlyArray<Misfit> => [
    { path: shortened(scrub(path.map(String).join("."))), expected: shortened(expected), actual }
  ]
  switch (issue._tag) {
    case "Pointer":
      return leaves(issue.issue, [...path, ...pathOf(issue.path)], scrub)
    case "Composite":
      return (isList(issue.issues) ? issue.issues : [issue.issues])
        .flatMap((inner) => leaves(inner, path, scrub))
    case "Refinement":
      return issue.kind === "From"
        ? leaves(issue.issue, path, scrub)
        : at(String(issue.ast), typeOf(issue.actual))
    case "Transformation":
      return leaves(issue.issue, path, scrub)
    case "Missing":
      return at(String(issue.ast.type), "nothing")
    case "Unexpected":
      return at("nothing", typeOf(issue.actual))
    default:
      return at(String(issue.ast), typeOf(issue.actual))
  }
}

/**
 * One line about all that does not fit. Members of a union are one place. The names in a path may
 * be the server's own: `scrub` takes secrets out of each and makes it one line, before it is cut
 * short. O(issues).
 */
export const misfits = (
  issue: ParseResult.ParseIssue,
  scrub: (text: string) => string
): string => {
  const places = new Map<string, { readonly expected: Set<string>; readonly actual: string }>()
  for (const { actual, expected, path } of leaves(issue, [], scrub)) {
    const place = places.get(path)
    if (place === undefined) places.set(path, { expected: new Set([expected]), actual })
    else place.expected.add(expected)
  }
  const shown = [...places].slice(0, maxPlaces).map(([path, { actual, expected }]) =>
    `${path === "" ? "the top" : path}: expected ${[...expected].join(" or ")}, got ${actual}`
  )
  return places.size > maxPlaces
    ? `${shown.join("; ")}; and ${places.size - maxPlaces} more`
    : shown.join("; ")
}
