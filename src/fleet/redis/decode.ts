/** Reads what the script and its pushes say. What cannot be read is left out. */
import * as Wire from "../../core/fleetWire.js"

const parsed = (text: unknown): unknown => {
  if (typeof text !== "string") return undefined
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

type Row = readonly [
  id: string,
  heard: number,
  circuits: ReadonlyArray<readonly [name: string, state: string]>
]

const isPair = (value: unknown): value is readonly [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string")

/** How many circuits of a member are listed. */
const circuitsMax = 32

/** A member as the script lists it: when it was heard, and what it has written of itself. */
const rowOf = (value: unknown): ReadonlyArray<Row> => {
  if (!Array.isArray(value)) return []
  const [heard, info]: ReadonlyArray<unknown> = value
  const about = parsed(info)
  if (typeof heard !== "number" || !Array.isArray(about)) return []
  const [label, circuits]: ReadonlyArray<unknown> = about
  if (typeof label !== "string" || !Array.isArray(circuits)) return []
  return [[label, heard, circuits.filter(isPair).slice(0, circuitsMax)]]
}

const answerOf = (value: unknown): unknown =>
  isFields(value) && value["op"] === "members" && Array.isArray(value["list"])
    ? { ...value, list: value["list"].flatMap(rowOf) }
    : value

/**
 * Reads a reply to a batch of so many commands, of which those at `places` were asked. Undefined:
 * it is none. Numbers are what the script says: a member reads them with bounds.
 */
export const reply = (
  text: unknown,
  commands: number,
  places: ReadonlyArray<number>
): Wire.Reply | undefined => {
  const value = parsed(text)
  if (!isFields(value) || value["v"] !== 1) return undefined
  const { answers, changes, stale } = value
  if (typeof stale !== "boolean" || !Array.isArray(answers) || !Array.isArray(changes)) {
    return undefined
  }
  if (answers.length !== (stale ? 0 : places.length)) return undefined
  const all = Array.from<unknown>({ length: stale ? 0 : commands }).fill(null)
  for (const [index, answer] of answers.entries()) {
    const place = places[index]
    if (place !== undefined && place < all.length) all[place] = answerOf(answer)
  }
  return { ...value, answers: all } as unknown as Wire.Reply
}

/** Reads a push; undefined where it is none. */
export const push = (fleet: string, text: string): Wire.Push | undefined => {
  const changes = parsed(text)
  if (!Array.isArray(changes) || changes.length > Wire.pageSize) return undefined
  return changes.every(isFields)
    ? { fleet, changes: changes as unknown as ReadonlyArray<Wire.View> }
    : undefined
}
