/**
 * The records that a store keeps for a fleet. A record is owned by one store and changed in place.
 * Times are milliseconds of the store.
 */
import type * as Wire from "./fleetWire.js"

/** What one member said of a circuit. */
export interface Said {
  readonly untilMillis: number
  readonly calls: number
  readonly failures: number
  readonly slow: number
  readonly failing: boolean
  readonly slowing: boolean
}

export interface Slot {
  readonly id: string
  readonly untilMillis: number
}

/** Running totals of what living members said. */
export interface Sums {
  calls: number
  failures: number
  slow: number
  members: number
  failing: number
  slowing: number
}

/** A circuit. It is half-open when it is open and `untilMillis` has passed. */
export interface CircuitRecord {
  readonly kind: "circuit"
  readonly name: string
  expiresMillis: number
  version: number
  epoch: number
  open: boolean
  untilMillis: number
  openings: number
  openMillis: number
  closedMillis: number
  good: number
  bad: number
  slots: ReadonlyArray<Slot>
  /** Members that failed a trial since the last close. */
  failed: ReadonlyArray<string>
  /** Oldest word first. */
  said: Map<string, Said>
  sums: Sums
}

/** What operators said of a name. */
export interface OrderRecord {
  readonly kind: "order"
  readonly name: string
  expiresMillis: number
  version: number
  epoch: number
  order: Wire.FleetOrder
  resets: number
  handles: ReadonlyArray<Slot>
}

/** A cooldown. */
export interface CooldownRecord {
  readonly kind: "cooldown"
  readonly name: string
  expiresMillis: number
  version: number
  epoch: number
  held: boolean
  untilMillis: number
  trial: Slot | undefined
}

/** How far the line of a limiter is taken. */
export interface LineRecord {
  readonly kind: "line"
  readonly name: string
  expiresMillis: number
  takenMillis: number
}

/** What one member said of a bulkhead. */
export interface Holding {
  readonly untilMillis: number
  readonly held: number
}

/** The permits of a bulkhead. */
export interface PermitsRecord {
  readonly kind: "permits"
  readonly name: string
  expiresMillis: number
  /** Oldest word first. */
  holdings: Map<string, Holding>
  /** Members that got less than they need and less than their share, longest wanting first. */
  wanting: Set<string>
  held: number
}

export type FleetRecord =
  | CircuitRecord
  | OrderRecord
  | CooldownRecord
  | LineRecord
  | PermitsRecord

/** Records that all members hear of. */
export type Told = CircuitRecord | OrderRecord | CooldownRecord

const hourMillis = 3_600_000

/** How long a record is kept that was not written since, beyond its end. */
const keptMillis = { order: 7 * 24 * hourMillis, others: hourMillis } as const

/** The answer to a command that changes a record or does not. */
export const done = (record: { readonly epoch: number }, isDone: boolean): Wire.Answer => ({
  op: "done",
  epoch: record.epoch,
  done: isDone
})

/** Slots whose time has not passed. */
export const heldSlots = (slots: ReadonlyArray<Slot>, nowMillis: number): ReadonlyArray<Slot> =>
  slots.filter(({ untilMillis }) => untilMillis > nowMillis)

/** The answer to who asks for a lease: granted, or how long until it is worth asking again. */
export const lease = (
  record: { readonly epoch: number },
  left: number | undefined
): Wire.Answer => ({
  op: "lease",
  epoch: record.epoch,
  granted: left === undefined,
  left: left ?? 0
})

/** The epoch after one that its asker knows: a store that has lost the record does not go back. */
export const nextEpoch = (record: { epoch: number }, known: number): void => {
  record.epoch = Math.max(record.epoch, known) + 1
}

/** When a record may be forgotten: so long after it was written, and after its end. */
export const expiry = (record: FleetRecord, nowMillis: number): number => {
  const kept = record.kind === "order" ? keptMillis.order : keptMillis.others
  const end = "untilMillis" in record ? record.untilMillis : 0
  const taken = record.kind === "line" ? record.takenMillis : 0
  return Math.max(nowMillis, end, taken) + kept
}
