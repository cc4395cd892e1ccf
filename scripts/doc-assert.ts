/**
 * What a `// => value` line of a documentation example turns into. See doc-examples.ts.
 */
import { inspect } from "node:util"

const reached = new Set<string>()

const toJson = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value)
  } catch {
    // A bigint or a circle has no JSON form.
    return undefined
  }
}

/** The ways a value may be written after `// =>`. */
export const renderings = (value: unknown): ReadonlyArray<string> => {
  const shown = inspect(value, { breakLength: Infinity, depth: 5 })
  if (typeof value === "string") return [value, JSON.stringify(value), shown]
  const json = toJson(value)
  return json === undefined ? [shown] : [shown, json]
}

/** Space beside punctuation and the kind of quote say nothing about a value. */
const normalise = (text: string): string =>
  text.replaceAll("'", "\"").replace(/\s*([[\]{}(),:])\s*/g, "$1")

const says = (value: unknown, expected: string): boolean =>
  typeof value === "string"
    ? renderings(value).includes(expected)
    : renderings(value).some((shown) => normalise(shown) === normalise(expected))

/** Returns the value, so that it can stand inside a larger expression. */
export const check = <A>(value: A, expected: string, where: string): A => {
  reached.add(where)
  if (!says(value, expected)) {
    const shown = typeof value === "string" ? JSON.stringify(value) : renderings(value)[0]
    throw new Error(`${where}: the example says ${expected}, but the value is ${shown}`)
  }
  return value
}

/** Forgets the places checked so far. */
export const forget = (places: Iterable<string>): void => {
  for (const place of places) reached.delete(place)
}

export const wasReached = (where: string): boolean => reached.has(where)
