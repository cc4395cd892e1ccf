/** Finds where a reply differs from the model's. */
import type * as Wire from "../../core/fleetWire.js"

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null

/** Spans, which pass while the answer is under way. */
const spans: ReadonlySet<string> = new Set(["left", "closedFor", "isolated", "due"])

const shown = (value: unknown): string => JSON.stringify(value) ?? "nothing"

const fieldDiffers = (
  field: string,
  found: unknown,
  expected: unknown,
  slack: number
): boolean =>
  spans.has(field) && typeof found === "number" && typeof expected === "number"
    ? !(Math.abs(found - expected) <= slack)
    : found !== expected

/** The first difference of two flat values, in words. */
const differs = (
  what: string,
  found: unknown,
  expected: unknown,
  slack: number
): string | undefined => {
  if (!isFields(found) || !isFields(expected)) {
    return found === expected
      ? undefined
      : `${what} is ${shown(found)}, and should be ${shown(expected)}`
  }
  const field = Object.keys(expected).find((field) =>
    fieldDiffers(field, found[field], expected[field], slack)
  )
  return field === undefined ? undefined : `"${field}" of ${what} is ${shown(found[field])}` +
    `, and should be ${shown(expected[field])}`
}

const listed = (answer: Extract<Wire.Answer, { readonly op: "members" }>): string =>
  shown(
    answer.list.map(([id, , circuits]) => [id, circuits])
      .sort(([a], [b]) => String(a) < String(b) ? -1 : 1)
  )

const answerDiffers = (
  command: Wire.Command | undefined,
  found: Wire.Answer | null | undefined,
  expected: Wire.Answer | null | undefined,
  slack: number
): string | undefined => {
  const what = `the answer to "${command?.op ?? ""}"`
  if (found?.op === "members" && expected?.op === "members") {
    return listed(found) === listed(expected)
      ? undefined
      : `${what} lists ${listed(found)}, and should list ${listed(expected)}`
  }
  return differs(what, found, expected, slack)
}

const changesDiffer = (
  found: ReadonlyArray<Wire.View>,
  expected: ReadonlyArray<Wire.View>,
  slack: number
): string | undefined => {
  if (found.length !== expected.length) {
    return `it tells ${found.length} changes, and should tell ${expected.length}`
  }
  for (const [index, view] of expected.entries()) {
    const wrong = differs(`the change of a ${view.kind}`, found[index], view, slack)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

/**
 * What is wrong with a reply, in words. Spans may be off by `slack` milliseconds. How a store
 * numbers its versions is its own affair.
 */
export const replyDiffers = (
  { commands }: Wire.Batch,
  found: Wire.Reply,
  expected: Wire.Reply,
  slack: number
): string | undefined => {
  if (found.stale !== expected.stale) {
    return expected.stale
      ? "a batch that is not newer should be stale"
      : "a newer batch should not be stale"
  }
  if (found.incarnation !== expected.incarnation) {
    return `it knows incarnation ${found.incarnation}, and should know ${expected.incarnation}`
  }
  if (expected.stale) {
    return found.answers.length === 0 && found.changes.length === 0
      ? undefined
      : "a stale batch should have no answers and no changes"
  }
  if (found.answers.length !== commands.length) {
    return `it gives ${found.answers.length} answers to ${commands.length} commands`
  }
  for (const [index, answer] of expected.answers.entries()) {
    const wrong = answerDiffers(commands[index], found.answers[index], answer, slack)
    if (wrong !== undefined) return wrong
  }
  if (found.seed !== expected.seed) return "the seed of the first batch should stay"
  if (found.members !== expected.members) {
    return `${found.members} members live, and should be ${expected.members}`
  }
  return changesDiffer(found.changes, expected.changes, slack)
}
