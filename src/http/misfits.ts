/**
 * Where a value does not fit its schema, in types: the path, what was expected and what was there,
 * never the value.
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

/** The names in a path may be the server's own. */
const oneLine = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1))

const isList = <A>(issues: A | ReadonlyArray<A>): issues is ReadonlyArray<A> =>
  Array.isArray(issues)

const pathOf = (path: PropertyKey | ReadonlyArray<PropertyKey>): ReadonlyArray<PropertyKey> =>
  isList(path) ? path : [path]

/** The innermost issues: each names a place. */
const leaves = (
  issue: ParseResult.ParseIssue,
  path: ReadonlyArray<PropertyKey>
): ReadonlyArray<Misfit> => {
  const at = (expected: string, actual: string): ReadonlyArray<Misfit> => [
    { path: shortened(oneLine(path.map(String).join("."))), expected: shortened(expected), actual }
  ]
  switch (issue._tag) {
    case "Pointer":
      return leaves(issue.issue, [...path, ...pathOf(issue.path)])
    case "Composite":
      return (isList(issue.issues) ? issue.issues : [issue.issues])
        .flatMap((inner) => leaves(inner, path))
    case "Refinement":
      return issue.kind === "From"
        ? leaves(issue.issue, path)
        : at(String(issue.ast), typeOf(issue.actual))
    case "Transformation":
      return leaves(issue.issue, path)
    case "Missing":
      return at(String(issue.ast), "nothing")
    case "Unexpected":
      return at("nothing", typeOf(issue.actual))
    default:
      return at(String(issue.ast), typeOf(issue.actual))
  }
}

/** One line about all that does not fit. Members of a union are one place. O(issues). */
export const misfits = (issue: ParseResult.ParseIssue): string => {
  const places = new Map<string, { readonly expected: Set<string>; readonly actual: string }>()
  for (const { actual, expected, path } of leaves(issue, [])) {
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
