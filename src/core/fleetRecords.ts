/**
 * What commands do to the records that a store keeps for a fleet, kind by kind; here those of
 * orders and cooldowns, and what all members hear of a record. O(1), but for isolations, of which
 * there are few.
 */
import { begin } from "./fleetCircuitRecord.js"
import type { CooldownRecord, OrderRecord, Told } from "./fleetRecord.js"
import { done, heldSlots, lease, nextEpoch } from "./fleetRecord.js"
import type * as Wire from "./fleetWire.js"

export { circuit, close, count, open, trial, trialEnd } from "./fleetCircuitRecord.js"
export { line, need, permits, tokens } from "./fleetLimits.js"
export { expiry } from "./fleetRecord.js"
export type { FleetRecord, Told } from "./fleetRecord.js"

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
