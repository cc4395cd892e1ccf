/**
 * What the commands of a shared circuit do to its record.
 *
 * Everything is O(1) but the lapse of what dead members said, which costs O(1) for each of them
 * once, and trials, of which there are few.
 */
import type { CircuitRecord, Said, Slot, Sums } from "./fleetRecord.js"
import { done, heldSlots, lease } from "./fleetRecord.js"
import type * as Wire from "./fleetWire.js"

/** How many members are remembered as having failed a trial. */
const rememberedFailures = 32

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
export const begin = (record: CircuitRecord, epoch: number): void => {
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

const soonest = (slots: ReadonlyArray<Slot>, nowMillis: number): number =>
  slots.length === 0
    ? 0
    : Math.max(0, Math.min(...slots.map(({ untilMillis }) => untilMillis)) - nowMillis)

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
