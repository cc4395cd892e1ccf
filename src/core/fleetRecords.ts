/**
 * The records that a store keeps for a fleet, and what each command does to them.
 *
 * A record is owned by one store and changed in place. Times are milliseconds of the store.
 * Everything is O(1) but the lapse of what dead members said, which costs O(1) for each of them
 * once, and isolations and trials, of which there are few.
 */
import type * as Wire from "./fleetWire.js"

/** What one member said of a circuit. */
interface Said {
  readonly untilMillis: number
  readonly calls: number
  readonly failures: number
  readonly slow: number
  readonly failing: boolean
  readonly slowing: boolean
}

interface Slot {
  readonly id: string
  readonly untilMillis: number
}

/** Running totals of what living members said. */
interface Sums {
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
interface Holding {
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

/** How many members are remembered as having failed a trial. */
const rememberedFailures = 32

// -----------------------------------------------------------------------------
// Circuits
// -----------------------------------------------------------------------------

const noSums = (): Sums => ({
  calls: 0,
  failures: 0,
  slow: 0,
  members: 0,
  failing: 0,
  slowing: 0
})

/** A circuit that no member has spoken of. */
export const circuit = (name: string, nowMillis: number): CircuitRecord => ({
  kind: "circuit",
  name,
  expiresMillis: nowMillis,
  version: 0,
  epoch: 0,
  open: false,
  untilMillis: 0,
  openings: 0,
  openMillis: 0,
  closedMillis: nowMillis,
  good: 0,
  bad: 0,
  slots: [],
  failed: [],
  said: new Map(),
  sums: noSums()
})

const sum = (sums: Sums, said: Said, by: 1 | -1): void => {
  sums.calls += by * said.calls
  sums.failures += by * said.failures
  sums.slow += by * said.slow
  if (said.calls > 0) sums.members += by
  if (said.failing) sums.failing += by
  if (said.slowing) sums.slowing += by
}

const unsay = (record: CircuitRecord, member: string): void => {
  const said = record.said.get(member)
  if (said === undefined) return
  record.said.delete(member)
  sum(record.sums, said, -1)
}

const lapse = (record: CircuitRecord, nowMillis: number): void => {
  for (const [member, { untilMillis }] of record.said) {
    if (untilMillis > nowMillis) return
    unsay(record, member)
  }
}

/** A new epoch begins with nothing said and no trial. */
const begin = (record: CircuitRecord, epoch: number): void => {
  record.epoch = epoch
  record.said = new Map()
  record.sums = noSums()
  record.slots = []
  record.good = 0
  record.bad = 0
}

const opened = (
  record: CircuitRecord,
  openMillis: number,
  openings: number,
  nowMillis: number
): void => {
  begin(record, record.epoch + 1)
  record.open = true
  record.untilMillis = nowMillis + openMillis
  record.openMillis = openMillis
  record.openings = openings
}

const closed = (record: CircuitRecord, nowMillis: number): void => {
  begin(record, record.epoch + 1)
  record.open = false
  record.untilMillis = 0
  record.closedMillis = nowMillis
  record.failed = []
}

/** Replaces what a member said, and answers the sums. */
export const count = (
  record: CircuitRecord,
  member: string,
  command: Wire.Count,
  memberTimeout: number,
  nowMillis: number
): Wire.Answer => {
  lapse(record, nowMillis)
  if (command.epoch === record.epoch) {
    unsay(record, member)
    const { calls, failing, failures, slow, slowing } = command
    const said = {
      untilMillis: nowMillis + memberTimeout,
      calls,
      failures,
      slow,
      failing,
      slowing
    }
    record.said.set(member, said)
    sum(record.sums, said, 1)
  }
  return { op: "count", epoch: record.epoch, ...record.sums, heard: record.said.size }
}

const done = (record: { readonly epoch: number }, isDone: boolean): Wire.Answer => ({
  op: "done",
  epoch: record.epoch,
  done: isDone
})

/** A compare-and-set: one opening, however many members ask for it. */
export const open = (record: CircuitRecord, command: Wire.Open, nowMillis: number): Wire.Answer => {
  const isDone = command.epoch === record.epoch && !record.open
  if (isDone) opened(record, command.openMillis, command.openings, nowMillis)
  return done(record, isDone)
}

export const close = (
  record: CircuitRecord,
  command: Wire.Close,
  nowMillis: number
): Wire.Answer => {
  const isDone = command.epoch === record.epoch
  if (isDone) {
    closed(record, nowMillis)
    record.openings = 0
    record.openMillis = 0
  }
  return done(record, isDone)
}

const heldSlots = (slots: ReadonlyArray<Slot>, nowMillis: number): ReadonlyArray<Slot> =>
  slots.filter(({ untilMillis }) => untilMillis > nowMillis)

const soonest = (slots: ReadonlyArray<Slot>, nowMillis: number): number =>
  slots.length === 0
    ? 0
    : Math.max(0, Math.min(...slots.map(({ untilMillis }) => untilMillis)) - nowMillis)

const lease = (record: { readonly epoch: number }, left: number | undefined): Wire.Answer => ({
  op: "lease",
  epoch: record.epoch,
  granted: left === undefined,
  left: left ?? 0
})

/** Leases a trial of a half-open circuit. */
export const trial = (
  record: CircuitRecord,
  member: string,
  command: Wire.Trial,
  nowMillis: number
): Wire.Answer => {
  if (command.epoch !== record.epoch || !record.open) return lease(record, 0)
  if (record.untilMillis > nowMillis) return lease(record, record.untilMillis - nowMillis)
  const grace = record.untilMillis + command.grace - nowMillis
  if (grace > 0 && record.failed.includes(member)) return lease(record, grace)
  record.slots = heldSlots(record.slots, nowMillis)
  if (record.good + record.bad + record.slots.length >= command.trials) {
    return lease(record, soonest(record.slots, nowMillis))
  }
  record.slots = [...record.slots, { id: command.id, untilMillis: nowMillis + command.timeout }]
  return lease(record, undefined)
}

/** The place of a trial that said nothing: taken for as long as its server asked for. */
const kept = ({ wait }: Wire.TrialEnd, nowMillis: number): ReadonlyArray<Slot> =>
  wait > 0 ? [{ id: "", untilMillis: nowMillis + wait }] : []

/** Applies the end of a trial. Answers whether the phase has changed. */
export const trialEnd = (
  record: CircuitRecord,
  member: string,
  command: Wire.TrialEnd,
  nowMillis: number
): Wire.Answer => {
  const before = heldSlots(record.slots, nowMillis)
  const slots = before.filter(({ id }) => id !== command.id)
  const isHeld = command.epoch === record.epoch && record.open && slots.length < before.length
  if (!isHeld) return done(record, false)
  record.slots = command.result === "free" ? [...slots, ...kept(command, nowMillis)] : slots
  if (command.result === "bad") {
    record.bad++
    record.failed = [...record.failed.filter((each) => each !== member), member]
      .slice(-rememberedFailures)
  }
  if (command.result === "good") record.good++
  if (record.bad >= command.badLimit) {
    opened(record, command.openMillis, command.openings, nowMillis)
    return done(record, true)
  }
  if (record.good < command.goodLimit) return done(record, false)
  closed(record, nowMillis)
  return done(record, true)
}

// -----------------------------------------------------------------------------
// Orders
// -----------------------------------------------------------------------------

/** A name without an order. */
export const ordered = (name: string, nowMillis: number): OrderRecord => ({
  kind: "order",
  name,
  expiresMillis: nowMillis,
  version: 0,
  epoch: 0,
  order: "None",
  resets: 0,
  handles: []
})

/** The epoch after one that its asker knows: a store that has lost the record does not go back. */
const nextEpoch = (record: { epoch: number }, known: number): void => {
  record.epoch = Math.max(record.epoch, known) + 1
}

export const order = (record: OrderRecord, command: Wire.OrderCommand): Wire.Answer => {
  record.order = command.order
  if (command.reset) record.resets++
  nextEpoch(record, command.epoch)
  return done(record, true)
}

/** Others are told of each: they have to know how long it holds now. */
export const isolate = (
  record: OrderRecord,
  { epoch, hold, id }: Wire.Isolate,
  nowMillis: number
): Wire.Answer => {
  record.handles = [
    ...heldSlots(record.handles, nowMillis).filter((each) => each.id !== id),
    { id, untilMillis: nowMillis + hold }
  ]
  nextEpoch(record, epoch)
  return done(record, true)
}

export const release = (
  record: OrderRecord,
  { epoch, id }: Wire.Release,
  nowMillis: number
): Wire.Answer => {
  const before = heldSlots(record.handles, nowMillis)
  record.handles = before.filter((each) => each.id !== id)
  const isDone = record.handles.length < before.length
  if (isDone) nextEpoch(record, epoch)
  return done(record, isDone)
}

// -----------------------------------------------------------------------------
// Limits
// -----------------------------------------------------------------------------

/** A line of which nothing is taken. */
export const line = (name: string, nowMillis: number): LineRecord => ({
  kind: "line",
  name,
  expiresMillis: nowMillis,
  takenMillis: nowMillis
})

/** Below what a clock can tell. */
const tolerance = 1e-6

/**
 * Takes tokens off the line: those that are there, then those that come due within the horizon,
 * and at least the first ones or none at all. What is booked stands in the order of asking.
 */
export const tokens = (
  record: LineRecord,
  { back, burst, first, horizon, patience, spacing, want }: Wire.Tokens,
  nowMillis: number
): Wire.Answer => {
  const taken = Math.max(nowMillis, record.takenMillis - back * spacing)
  const room = burst * spacing - (taken - nowMillis)
  /** How many tokens of those that are wanted are due within a time from now. */
  const within = (millis: number): number =>
    Math.max(0, Math.min(want, Math.floor((room + millis) / spacing + tolerance)))
  const dueOf = (token: number): number => Math.max(0, token * spacing - room)
  const granted = within(0)
  const soon = within(horizon)
  const all = soon < first && dueOf(first) <= patience ? first : soon
  const isLeased = want > 0 && all >= first
  record.takenMillis = isLeased ? taken + all * spacing : taken
  return isLeased
    ? { op: "tokens", granted, booked: all - granted, due: dueOf(granted + 1) }
    : { op: "tokens", granted: 0, booked: 0, due: dueOf(first) }
}

// -----------------------------------------------------------------------------
// Cooldowns
// -----------------------------------------------------------------------------

/** A name that is not held. */
export const cooldown = (name: string, nowMillis: number): CooldownRecord => ({
  kind: "cooldown",
  name,
  expiresMillis: nowMillis,
  version: 0,
  epoch: 0,
  held: false,
  untilMillis: nowMillis,
  trial: undefined
})

/** The end furthest off counts. Being held takes its place from a trial that runs. */
export const hold = (
  record: CooldownRecord,
  { epoch, left }: Wire.Hold,
  nowMillis: number
): Wire.Answer => {
  const untilMillis = nowMillis + left
  if (record.held && record.untilMillis >= untilMillis && record.trial === undefined) {
    return done(record, false)
  }
  record.untilMillis = record.held ? Math.max(record.untilMillis, untilMillis) : untilMillis
  record.held = true
  record.trial = undefined
  nextEpoch(record, epoch)
  return done(record, true)
}

export const probe = (
  record: CooldownRecord,
  { id, timeout }: Wire.Probe,
  nowMillis: number
): Wire.Answer => {
  if (!record.held) return lease(record, 0)
  if (record.untilMillis > nowMillis) return lease(record, record.untilMillis - nowMillis)
  if (record.trial !== undefined && record.trial.untilMillis > nowMillis) {
    return lease(record, record.trial.untilMillis - nowMillis)
  }
  record.trial = { id, untilMillis: nowMillis + timeout }
  return lease(record, undefined)
}

export const probeEnd = (
  record: CooldownRecord,
  { id, serves }: Wire.ProbeEnd,
  nowMillis: number
): Wire.Answer => {
  const { trial: held } = record
  if (held === undefined || held.id !== id || held.untilMillis <= nowMillis) {
    return done(record, false)
  }
  record.trial = undefined
  if (!serves) return done(record, false)
  record.held = false
  record.epoch++
  return done(record, true)
}

// -----------------------------------------------------------------------------
// Permits
// -----------------------------------------------------------------------------

/** Permits of which none is held. */
export const permits = (name: string, nowMillis: number): PermitsRecord => ({
  kind: "permits",
  name,
  expiresMillis: nowMillis,
  holdings: new Map(),
  wanting: new Set(),
  held: 0
})

const drop = (record: PermitsRecord, member: string): void => {
  record.held -= record.holdings.get(member)?.held ?? 0
  record.holdings.delete(member)
}

const lapseHoldings = (record: PermitsRecord, nowMillis: number): void => {
  for (const [member, { untilMillis }] of record.holdings) {
    if (untilMillis > nowMillis) return
    drop(record, member)
    record.wanting.delete(member)
  }
}

/** How many members have wanted for longer. All of them, where this one did not want before. */
const before = ({ wanting }: PermitsRecord, member: string): number => {
  let passed = 0
  for (const each of wanting) {
    if (each === member) return passed
    passed++
  }
  return passed
}

/**
 * Replaces what a member holds. What it says that it holds counts, whatever the sum; it gets more
 * only where the sum fits with one for each member that wants for longer, and beyond its share only
 * while no other wants.
 */
export const need = (
  record: PermitsRecord,
  member: string,
  { concurrency, held, need }: Wire.Permits,
  memberTimeout: number,
  nowMillis: number
): Wire.Answer => {
  lapseHoldings(record, nowMillis)
  drop(record, member)
  const others = record.wanting.size - (record.wanting.has(member) ? 1 : 0)
  const fair = others > 0 ? Math.floor(concurrency / (record.holdings.size + 1)) : concurrency
  const free = Math.max(0, concurrency - record.held - held - before(record, member))
  const granted = Math.max(held, Math.min(need, held + free, Math.max(1, fair)))
  if (granted < Math.min(need, Math.max(1, fair))) record.wanting.add(member)
  else record.wanting.delete(member)
  if (need > 0) {
    record.holdings.set(member, { untilMillis: nowMillis + memberTimeout, held: granted })
    record.held += granted
  }
  // While more run than may, none is to begin.
  return { op: "permits", granted, fair: record.held > concurrency ? 0 : fair }
}

// -----------------------------------------------------------------------------
// Views
// -----------------------------------------------------------------------------

/** What all members hear of a record. */
export const viewOf = (record: Told, nowMillis: number): Wire.View => {
  const { epoch, name } = record
  switch (record.kind) {
    case "circuit":
      return {
        kind: "circuit",
        name,
        epoch,
        open: record.open,
        left: record.open ? record.untilMillis - nowMillis : 0,
        openings: record.openings,
        openMillis: record.openMillis,
        closedFor: record.open ? 0 : nowMillis - record.closedMillis
      }
    case "order":
      return {
        kind: "order",
        name,
        epoch,
        order: record.order,
        resets: record.resets,
        isolated: record.handles.reduce(
          (left, { untilMillis }) => Math.max(left, untilMillis - nowMillis),
          0
        )
      }
    case "cooldown":
      return {
        kind: "cooldown",
        name,
        epoch,
        held: record.held,
        left: record.held ? record.untilMillis - nowMillis : 0
      }
  }
}

/** Takes over what a member knows, where it is newer. Answers whether it was. */
export const adopt = (record: Told, view: Wire.View, nowMillis: number): boolean => {
  if (record.kind !== view.kind || view.epoch <= record.epoch) return false
  if (record.kind === "circuit" && view.kind === "circuit") {
    begin(record, view.epoch)
    record.open = view.open
    record.untilMillis = view.open ? nowMillis + view.left : 0
    record.openings = view.openings
    record.openMillis = view.openMillis
    record.closedMillis = nowMillis - view.closedFor
  }
  if (record.kind === "order" && view.kind === "order") {
    record.epoch = view.epoch
    record.order = view.order
    record.resets = Math.max(record.resets, view.resets)
  }
  if (record.kind === "cooldown" && view.kind === "cooldown") {
    const untilMillis = view.held ? nowMillis + view.left : nowMillis
    record.untilMillis = record.held ? Math.max(record.untilMillis, untilMillis) : untilMillis
    record.epoch = view.epoch
    record.held = record.held || view.held
    record.trial = undefined
  }
  return true
}

/** When a record may be forgotten: so long after it was written, and after its end. */
export const expiry = (record: FleetRecord, nowMillis: number): number => {
  const kept = record.kind === "order" ? keptMillis.order : keptMillis.others
  const end = "untilMillis" in record ? record.untilMillis : 0
  const taken = record.kind === "line" ? record.takenMillis : 0
  return Math.max(nowMillis, end, taken) + kept
}
