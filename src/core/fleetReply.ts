/**
 * Reads what a store says, with bounds: a foreign, newer, corrupt or hostile value is left out and
 * counted, and every number that is let in is one that its reader can use.
 *
 * O(what is read), and no more is read than a store may say.
 */
import type * as Wire from "./fleetWire.js"
import { membersPage, pageSize } from "./fleetWire.js"

/** What was read, and how many values could not be. */
export interface Read<A> {
  readonly value: A
  readonly unreadable: number
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Longer than any name or id that a member makes. */
const textMax = 512

const isText = (value: unknown): value is string =>
  typeof value === "string" && value.length <= textMax

/** Far below what a number can count, so that adding to it stays exact. */
const countMax = 2 ** 50

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= countMax

/** A hundred years, in milliseconds. */
const spanMax = 3.2e12

const isSpan = (value: unknown): value is number =>
  typeof value === "number" && Math.abs(value) <= spanMax

const isSpanAhead = (value: unknown): value is number => isSpan(value) && value >= 0

const isBoolean = (value: unknown): value is boolean => typeof value === "boolean"

const orders: ReadonlyArray<unknown> = ["None", "ForcedOpen", "ForcedClosed", "Disabled"]

const isOrder = (value: unknown): value is Wire.FleetOrder => orders.includes(value)

type Check = (value: unknown) => boolean

/** Tests all fields that a shape names. */
const fits = (shape: Readonly<Record<string, Check>>) => (value: unknown): boolean =>
  isFields(value) && Object.entries(shape).every(([field, check]) => check(value[field]))

const isPair = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 2 && value.every(isText)

/** How many circuits a member tells of. */
const circuitsMax = 32

const isMember = (value: unknown): boolean =>
  Array.isArray(value) && isText(value[0]) && isSpanAhead(value[1]) && Array.isArray(value[2]) &&
  value[2].length <= circuitsMax && value[2].every(isPair)

const views: Readonly<Record<string, Check>> = {
  circuit: fits({
    name: isText,
    epoch: isCount,
    open: isBoolean,
    left: isSpan,
    openings: isCount,
    openMillis: isSpanAhead,
    closedFor: isSpanAhead
  }),
  order: fits({
    name: isText,
    epoch: isCount,
    order: isOrder,
    resets: isCount,
    isolated: isSpanAhead
  }),
  cooldown: fits({ name: isText, epoch: isCount, held: isBoolean, left: isSpan })
}

const answers: Readonly<Record<string, Check>> = {
  count: fits({
    epoch: isCount,
    calls: isCount,
    failures: isCount,
    slow: isCount,
    members: isCount,
    failing: isCount,
    slowing: isCount,
    heard: isCount
  }),
  done: fits({ epoch: isCount, done: isBoolean }),
  lease: fits({ epoch: isCount, granted: isBoolean, left: isSpanAhead }),
  tokens: fits({ granted: isCount, booked: isCount, due: isSpanAhead }),
  permits: fits({ granted: isCount, fair: isCount }),
  members: fits({
    list: (list) => Array.isArray(list) && list.length <= membersPage && list.every(isMember),
    next: isText
  }),
  known: isFields
}

/** Tests a value by the case that it names. An own key only: `toString` is no case. */
const isCase = (
  cases: Readonly<Record<string, Check>>,
  tag: "kind" | "op",
  value: unknown
): boolean => {
  const name = isFields(value) ? value[tag] : undefined
  return typeof name === "string" && Object.hasOwn(cases, name) && cases[name]?.(value) === true
}

const isView = (value: unknown): value is Wire.View => isCase(views, "kind", value)

const isAnswer = (value: unknown): value is Wire.Answer => isCase(answers, "op", value)

/** The views of a list that can be read, of as many as a store may tell. */
const readViews = (value: unknown): Read<ReadonlyArray<Wire.View>> => {
  if (!Array.isArray(value)) return { value: [], unreadable: 1 }
  const told: ReadonlyArray<unknown> = value.slice(0, pageSize)
  const read = told.filter(isView)
  return { value: read, unreadable: value.length - read.length }
}

const head = fits({
  v: (v) => v === 1,
  stale: isBoolean,
  incarnation: isCount,
  seed: isText,
  members: isCount,
  version: isCount,
  more: isBoolean,
  answers: Array.isArray
})

/** Reads a reply to so many commands; undefined where it is none. */
export const reply = (value: unknown, commands: number): Read<Wire.Reply | undefined> => {
  if (!head(value)) return { value: undefined, unreadable: 1 }
  const raw = value as Wire.Reply
  const changes = readViews(raw.changes)
  const given: ReadonlyArray<unknown> = raw.answers.slice(0, commands)
  const read = given.map((answer) => isAnswer(answer) ? answer : null)
  return {
    value: {
      v: 1,
      stale: raw.stale,
      incarnation: raw.incarnation,
      seed: raw.seed,
      members: raw.members,
      version: raw.version,
      more: raw.more,
      changes: changes.value,
      answers: read
    },
    unreadable: changes.unreadable + read.filter((answer) => answer === null).length
  }
}

/** Reads a push; undefined where it is none of this fleet. */
export const push = (value: unknown, fleet: string): Read<ReadonlyArray<Wire.View>> => {
  if (!isFields(value)) return { value: [], unreadable: 1 }
  return value["fleet"] === fleet ? readViews(value["changes"]) : { value: [], unreadable: 0 }
}
