/**
 * Writes a batch as the script reads it: every number finite and within bounds, no field more.
 *
 * A script is not undone where it fails, so nothing may reach it that it cannot work with. A
 * command that cannot be written is left out, and has `null` for an answer.
 */
import type * as Wire from "../../core/fleetWire.js"
import { pageSize } from "../../core/fleetWire.js"
import * as Stored from "../../store/storedRecord.js"
import { keysOf } from "./script.js"

type Fields = Readonly<Record<string, unknown>>

/** Undefined: the value cannot be written. */
type Write = (value: unknown) => unknown

/** A hundred years, in milliseconds: what lasts longer lasts so long. */
const spanMax = 3.2e12

/** Far below what a number can count, so that adding to it stays exact. */
const countMax = 2 ** 50

/** Longer than any name or id that a member makes. */
const textMax = 512

const within = (value: number, low: number, high: number): number =>
  Math.min(high, Math.max(low, value))

const text: Write = (value) =>
  typeof value === "string" && value.length <= textMax ? Stored.toText(value) : undefined

const flag: Write = (value) => typeof value === "boolean" ? value : undefined

const count: Write = (value) =>
  value === Infinity || (Number.isInteger(value) && (value as number) >= 0)
    ? Math.min(countMax, value as number)
    : undefined

const signed: Write = (value) =>
  typeof value === "number" && !Number.isNaN(value) ? within(value, -spanMax, spanMax) : undefined

const span: Write = (value) =>
  typeof value === "number" && value >= 0 ? Math.min(spanMax, value) : undefined

const spacing: Write = (value) =>
  typeof value === "number" && value > 0 ? within(value, 1e-9, spanMax) : undefined

const oneOf = (...values: ReadonlyArray<string>): Write => (value) =>
  values.includes(value as string) ? value : undefined

const order = oneOf("None", "ForcedOpen", "ForcedClosed", "Disabled")

const shaped = (shape: Readonly<Record<string, Write>>): Write => (value) => {
  if (typeof value !== "object" || value === null) return undefined
  const written: Record<string, unknown> = {}
  for (const [field, write] of Object.entries(shape)) {
    const found = write((value as Fields)[field])
    if (found === undefined) return undefined
    written[field] = found
  }
  return written
}

const epoch = count

const views: Readonly<Record<Wire.View["kind"], Write>> = {
  circuit: shaped({
    kind: text,
    name: text,
    epoch,
    open: flag,
    left: signed,
    openings: count,
    openMillis: span,
    closedFor: span
  }),
  order: shaped({ kind: text, name: text, epoch, order, resets: count, isolated: span }),
  cooldown: shaped({ kind: text, name: text, epoch, held: flag, left: signed })
}

const isViewKind = (kind: unknown): kind is Wire.View["kind"] =>
  typeof kind === "string" && Object.hasOwn(views, kind)

const view: Write = (value) => {
  const kind = typeof value === "object" && value !== null ? (value as Fields)["kind"] : undefined
  return isViewKind(kind) ? views[kind](value) : undefined
}

const name = text
const id = text

const commands: Readonly<Record<Wire.Command["op"], Write>> = {
  count: shaped({
    op: text,
    name,
    epoch,
    calls: count,
    failures: count,
    slow: count,
    failing: flag,
    slowing: flag
  }),
  open: shaped({ op: text, name, epoch, openMillis: span, openings: count }),
  close: shaped({ op: text, name, epoch }),
  trial: shaped({ op: text, name, epoch, id, trials: count, timeout: span, grace: span }),
  trialEnd: shaped({
    op: text,
    name,
    epoch,
    id,
    result: oneOf("good", "bad", "free"),
    wait: span,
    badLimit: count,
    goodLimit: count,
    openMillis: span,
    openings: count
  }),
  order: shaped({ op: text, name, epoch, order, reset: flag }),
  isolate: shaped({ op: text, name, epoch, id, hold: span }),
  release: shaped({ op: text, name, epoch, id }),
  tokens: shaped({
    op: text,
    name,
    spacing,
    burst: span,
    want: count,
    first: count,
    horizon: span,
    patience: span,
    back: span
  }),
  hold: shaped({ op: text, name, epoch, left: span }),
  probe: shaped({ op: text, name, id, timeout: span }),
  probeEnd: shaped({ op: text, name, id, serves: flag }),
  permits: shaped({ op: text, name, concurrency: count, held: count, need: count }),
  known: shaped({ op: text, view }),
  members: shaped({ op: text, after: text })
}

const written = (command: Wire.Command): unknown =>
  Object.hasOwn(commands, command.op) ? commands[command.op](command) : undefined

/** What kind of record a command speaks of. */
const kindOf = (command: Exclude<Wire.Command, Wire.Members>): keyof typeof keysOf => {
  switch (command.op) {
    case "count":
    case "open":
    case "close":
    case "trial":
    case "trialEnd":
      return "circuit"
    case "order":
    case "isolate":
    case "release":
      return "order"
    case "hold":
    case "probe":
    case "probeEnd":
      return "cooldown"
    case "tokens":
      return "line"
    case "permits":
      return "permits"
    case "known":
      return command.view.kind
  }
}

/** What the keys of a record begin with: the record, what was said, when it lapses, who waits. */
const marks = ["r", "s", "z", "w"] as const

/** The keys of the fleet itself, in the order in which the script takes them. */
const own = ["f", "m", "l", "g", "n", "c"] as const

const keysOfCommand = (base: string, command: Wire.Command): ReadonlyArray<string> => {
  if (command.op === "members") return []
  const name = Stored.toText(command.op === "known" ? command.view.name : command.name)
  return marks.slice(0, keysOf[kindOf(command)]).map((mark) => `${base}${mark}:${name}`)
}

/** More of what an operator reads of a member is left out. */
const infoMax = 8192

const infoOf = ({ circuits, label }: Wire.Batch): string => {
  const all = JSON.stringify([label, circuits])
  return all.length <= infoMax ? all : JSON.stringify([label.slice(0, textMax), []])
}

/** A question to the script. */
export interface Question {
  readonly keys: ReadonlyArray<string>
  /** The batch, and what an operator reads of the member. */
  readonly args: readonly [batch: string, info: string]
  /** Which of the commands were written. */
  readonly places: ReadonlyArray<number>
}

const head = shaped({
  member: text,
  incarnation: count,
  sequence: count,
  memberTimeout: spacing,
  since: count,
  knows: text,
  seed: text,
  last: flag
})

/**
 * Writes a batch. Undefined where it is none that a store could answer: of another version, or with
 * more commands than a batch has.
 */
export const question = (base: string, batch: Wire.Batch): Question | undefined => {
  const about = head(batch)
  const isReadable = batch.v === 1 && batch.commands.length <= pageSize
  if (!isReadable || typeof about !== "object" || about === null) return undefined
  const keys = own.map((mark) => `${base}${mark}`)
  const places: Array<number> = []
  const said: Array<unknown> = []
  for (const [place, command] of batch.commands.entries()) {
    const found = written(command)
    if (found === undefined) continue
    places.push(place)
    said.push(found)
    keys.push(...keysOfCommand(base, command))
  }
  return {
    keys,
    args: [JSON.stringify({ ...about, commands: said }), infoOf(batch)],
    places
  }
}
