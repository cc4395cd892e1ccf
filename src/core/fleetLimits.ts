/**
 * What the commands of shared rate limits and bulkheads do to their records.
 *
 * Everything is O(1) but the lapse of what dead members held, which costs O(1) for each of them
 * once, and the place of a member among those that want permits.
 */
import type { LineRecord, PermitsRecord } from "./fleetRecord.js"
import type * as Wire from "./fleetWire.js"

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
