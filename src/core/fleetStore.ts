/**
 * The store of a fleet as a pure machine: one batch of one member, answered at one moment.
 *
 * The memory store runs it, and a script in a database repeats it. State is owned by one store and
 * changed in place. An exchange costs O(commands + changes told), however many members there are;
 * what a dead member said is taken out once. Times are milliseconds of the store.
 */
import * as Records from "./fleetRecords.js"
import type * as Wire from "./fleetWire.js"
import { membersPage, pageSize } from "./fleetWire.js"

/** What the store knows of a member. */
interface Member {
  readonly label: string
  readonly incarnation: number
  readonly sequence: number
  readonly heardMillis: number
  readonly untilMillis: number
  readonly forgottenMillis: number
  readonly circuits: Wire.Batch["circuits"]
}

/**
 * Everything that a store holds of one fleet.
 *
 * @since 0.1.0
 */
export interface State {
  seed: string
  /** The time of the fleet, and the clock that it was read from last. */
  nowMillis: number
  clockMillis: number
  version: number
  /** Living members, oldest word first. */
  readonly living: Map<string, Member>
  /** Members that live no longer, oldest word first. */
  readonly gone: Map<string, Member>
  /** By name, in the order in which each was last looked at for its expiry. */
  readonly records: Map<string, Records.FleetRecord>
  /** Records that were told of, oldest change first. */
  readonly changes: Map<string, Records.Told>
}

/**
 * A fleet that no member has joined.
 *
 * @since 0.1.0
 */
export const make = (): State => ({
  seed: "",
  nowMillis: 0,
  clockMillis: Infinity,
  version: 0,
  living: new Map(),
  gone: new Map(),
  records: new Map(),
  changes: new Map()
})

/** For how many timeouts the sequence of a silent member is remembered. */
const rememberedTimeouts = 12

/** How many records an exchange looks at to forget those that have expired. */
const lookedAt = 4

const forget = (state: State, record: Records.FleetRecord): void => {
  state.records.delete(record.name)
  state.changes.delete(record.name)
}

/** Looks at a few records, each in its turn. */
const sweep = (state: State): void => {
  let looked = 0
  for (const record of state.records.values()) {
    if (looked++ === lookedAt) return
    if (record.expiresMillis <= state.nowMillis) {
      forget(state, record)
    } else {
      state.records.delete(record.name)
      state.records.set(record.name, record)
    }
  }
}

/** Takes out members that have been silent for too long. */
const lapse = ({ gone, living, nowMillis }: State): void => {
  for (const [name, member] of living) {
    if (member.untilMillis > nowMillis) break
    living.delete(name)
    gone.delete(name)
    gone.set(name, member)
  }
  for (const [name, { forgottenMillis }] of gone) {
    if (forgottenMillis > nowMillis) break
    gone.delete(name)
  }
}

const isNewer = (batch: Wire.Batch, last: Member | undefined): boolean =>
  last === undefined || batch.incarnation > last.incarnation ||
  (batch.incarnation === last.incarnation && batch.sequence > last.sequence)

const hear = (state: State, batch: Wire.Batch): void => {
  const { circuits, incarnation, label, memberTimeout, sequence } = batch
  const member: Member = {
    label,
    incarnation,
    sequence,
    heardMillis: state.nowMillis,
    untilMillis: state.nowMillis + memberTimeout,
    forgottenMillis: state.nowMillis + rememberedTimeouts * memberTimeout,
    circuits
  }
  state.living.delete(batch.member)
  state.gone.delete(batch.member)
  if (batch.last) state.gone.set(batch.member, member)
  else state.living.set(batch.member, member)
}

/** The record of a name, made by its first use. One of another kind is dropped whole. */
const recordOf = <K extends Records.FleetRecord["kind"]>(
  state: State,
  kind: K,
  name: string,
  make: (name: string, nowMillis: number) => Extract<Records.FleetRecord, { readonly kind: K }>
): Extract<Records.FleetRecord, { readonly kind: K }> => {
  const found = state.records.get(name)
  if (found?.kind === kind && found.expiresMillis > state.nowMillis) {
    return found as Extract<Records.FleetRecord, { readonly kind: K }>
  }
  if (found !== undefined) forget(state, found)
  const made = make(name, state.nowMillis)
  state.records.set(name, made)
  return made
}

/** Answers the oldest living member after a name, a page at a time. */
const listMembers = ({ living, nowMillis }: State, after: string): Wire.Answer => {
  const names = [...living.keys()].sort()
  const from = after === "" ? 0 : names.findIndex((name) => name > after)
  const page = from < 0 ? [] : names.slice(from, from + membersPage)
  return {
    op: "members",
    list: page.flatMap((name) => {
      const member = living.get(name)
      return member === undefined
        ? []
        : [[member.label, nowMillis - member.heardMillis, member.circuits] as const]
    }),
    next: from >= 0 && from + membersPage < names.length ? page.at(-1) ?? "" : ""
  }
}

const told = {
  circuit: Records.circuit,
  order: Records.ordered,
  cooldown: Records.cooldown
} as const

/** The record that a view speaks of. */
const recordOfView = (state: State, view: Wire.View): Records.Told => {
  switch (view.kind) {
    case "circuit":
      return recordOf(state, "circuit", view.name, told.circuit)
    case "order":
      return recordOf(state, "order", view.name, told.order)
    case "cooldown":
      return recordOf(state, "cooldown", view.name, told.cooldown)
  }
}

/** The record of a command, and what the command does to it. */
const applied = (
  state: State,
  { member, memberTimeout }: Wire.Batch,
  command: Exclude<Wire.Command, Wire.Members>
): readonly [Records.FleetRecord, Wire.Answer] => {
  const now = state.nowMillis
  switch (command.op) {
    case "count": {
      const record = recordOf(state, "circuit", command.name, Records.circuit)
      return [record, Records.count(record, member, command, memberTimeout, now)]
    }
    case "open": {
      const record = recordOf(state, "circuit", command.name, Records.circuit)
      return [record, Records.open(record, command, now)]
    }
    case "close": {
      const record = recordOf(state, "circuit", command.name, Records.circuit)
      return [record, Records.close(record, command, now)]
    }
    case "trial": {
      const record = recordOf(state, "circuit", command.name, Records.circuit)
      return [record, Records.trial(record, member, command, now)]
    }
    case "trialEnd": {
      const record = recordOf(state, "circuit", command.name, Records.circuit)
      return [record, Records.trialEnd(record, member, command, now)]
    }
    case "order": {
      const record = recordOf(state, "order", command.name, Records.ordered)
      return [record, Records.order(record, command)]
    }
    case "isolate": {
      const record = recordOf(state, "order", command.name, Records.ordered)
      return [record, Records.isolate(record, command, now)]
    }
    case "release": {
      const record = recordOf(state, "order", command.name, Records.ordered)
      return [record, Records.release(record, command, now)]
    }
    case "tokens": {
      const record = recordOf(state, "line", command.name, Records.line)
      return [record, Records.tokens(record, command, now)]
    }
    case "hold": {
      const record = recordOf(state, "cooldown", command.name, Records.cooldown)
      return [record, Records.hold(record, command, now)]
    }
    case "probe": {
      const record = recordOf(state, "cooldown", command.name, Records.cooldown)
      return [record, Records.probe(record, command, now)]
    }
    case "probeEnd": {
      const record = recordOf(state, "cooldown", command.name, Records.cooldown)
      return [record, Records.probeEnd(record, command, now)]
    }
    case "permits": {
      const record = recordOf(state, "permits", command.name, Records.permits)
      return [record, Records.need(record, member, command, memberTimeout, now)]
    }
    case "known": {
      const record = recordOfView(state, command.view)
      Records.adopt(record, command.view, now)
      return [record, { op: "known" }]
    }
  }
}

const isTold = (record: Records.FleetRecord): record is Records.Told => "epoch" in record

const ops: ReadonlySet<string> = new Set<Wire.Command["op"]>([
  "count",
  "open",
  "close",
  "trial",
  "trialEnd",
  "order",
  "isolate",
  "release",
  "tokens",
  "hold",
  "probe",
  "probeEnd",
  "permits",
  "known",
  "members"
])

/**
 * Applies a command. A record whose epoch has grown is told of. One that a newer member knows, and
 * this store does not, has no answer.
 */
const apply = (
  state: State,
  batch: Wire.Batch,
  command: Wire.Command,
  changed: Set<Records.Told>
): Wire.Answer | null => {
  if (!ops.has(command.op)) return null
  if (command.op === "members") return listMembers(state, command.after)
  const name = command.op === "known" ? command.view.name : command.name
  const before = state.records.get(name)
  const epoch = before !== undefined && isTold(before) ? before.epoch : 0
  const [record, answer] = applied(state, batch, command)
  record.expiresMillis = Math.max(record.expiresMillis, Records.expiry(record, state.nowMillis))
  // A record in place of one that has expired, or of another kind, begins anew.
  if (isTold(record) && record.epoch > (record === before ? epoch : 0)) {
    record.version = ++state.version
    state.changes.delete(name)
    state.changes.set(name, record)
    changed.add(record)
  }
  return answer
}

/** Changes after a version, oldest first; the version up to which they tell all. */
const changesSince = (
  { changes, nowMillis, version }: State,
  since: number
): Pick<Wire.Reply, "changes" | "more" | "version"> => {
  if (since >= version) return { changes: [], more: false, version }
  const newer: Array<Records.Told> = []
  // From the newest back, so that what is known already costs nothing.
  for (const record of [...changes.values()].reverse()) {
    if (record.version <= since) break
    newer.push(record)
  }
  newer.reverse()
  const page = newer.slice(0, pageSize)
  const more = newer.length > page.length
  return {
    changes: page.map((record) => Records.viewOf(record, nowMillis)),
    more,
    version: more ? page.at(-1)?.version ?? version : version
  }
}

/**
 * Answers a batch, and says what all members are to hear. Time does not go back: where a clock
 * shows less than before, the fleet's time stands, and goes on with it.
 *
 * @since 0.1.0
 */
export const exchange = (
  state: State,
  clockMillis: number,
  batch: Wire.Batch
): readonly [reply: Wire.Reply, pushes: ReadonlyArray<Wire.Push>] => {
  // A clock that has stepped back goes on from where the fleet's time stands.
  state.nowMillis += Math.max(0, clockMillis - state.clockMillis)
  state.clockMillis = clockMillis
  if (state.seed === "") state.seed = batch.seed
  lapse(state)
  const { nowMillis, seed } = state
  const last = state.living.get(batch.member) ?? state.gone.get(batch.member)
  if (last !== undefined && !isNewer(batch, last)) {
    const nothing = { members: state.living.size, version: 0, more: false, changes: [] }
    const { incarnation } = last
    return [{ v: 1, stale: true, incarnation, seed, ...nothing, answers: [] }, []]
  }
  hear(state, batch)
  sweep(state)
  const changed = new Set<Records.Told>()
  const answers = batch.commands.map((command) => apply(state, batch, command, changed))
  const pushes = changed.size === 0 ? [] : [{
    fleet: batch.fleet,
    changes: [...changed].map((record) => Records.viewOf(record, nowMillis))
  }]
  return [{
    v: 1,
    stale: false,
    incarnation: batch.incarnation,
    seed,
    members: state.living.size,
    ...changesSince(state, batch.knows === seed && batch.since <= state.version ? batch.since : 0),
    answers
  }, pushes]
}
