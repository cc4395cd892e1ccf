/** Random batches of a few members, for two stores that should answer the same. */
import * as FastCheck from "effect/FastCheck"
import type { State } from "../../src/core/fleetStore.js"
import type * as Wire from "../../src/core/fleetWire.js"

/** A command whose epoch is told by how far it is from the store's own. */
type Draft = (epochOf: (name: string) => number) => Wire.Command

export interface Step {
  readonly member: number
  /** How much time passes first; the clock of the store may step back. */
  readonly millis: number
  /** What it does: says something new, sends the batch before again, or begins a new life. */
  readonly how: "next" | "again" | "restart" | "leave"
  /** Whether it tells what it knows already. */
  readonly knows: boolean
  readonly drafts: ReadonlyArray<Draft>
}

export const memberTimeout = 2000

const { constant, constantFrom, integer, nat, record } = FastCheck

const drafted = <A>(
  arbitrary: FastCheck.Arbitrary<A>,
  draft: (value: A, epochOf: (name: string) => number) => Wire.Command
): FastCheck.Arbitrary<Draft> => arbitrary.map((value) => (epochOf) => draft(value, epochOf))

const off = FastCheck.oneof(
  { weight: 6, arbitrary: constant(0) },
  { weight: 1, arbitrary: constantFrom(-1, 1) }
)

/** Mostly a name of its own kind; now and then that of another. */
const nameOf = (...names: ReadonlyArray<string>) =>
  FastCheck.oneof(
    { weight: 40, arbitrary: constantFrom(...names) },
    { weight: 1, arbitrary: constantFrom("c0", "o0", "h0", "t0", "p0") }
  )

const circuit = nameOf("c0", "c1")
const id = constantFrom("x", "y", "z")
const span = constantFrom(0, 1, 100, 500.5, 1000, 5000)
const flag = FastCheck.boolean()

const near = (epoch: number, off: number): number => Math.max(0, epoch + off)

const count = drafted(
  record({ name: circuit, off, calls: nat(20), failures: nat(20), slow: nat(5), failing: flag }),
  ({ off, ...rest }, epochOf) => ({
    op: "count",
    ...rest,
    epoch: near(epochOf(rest.name), off),
    slowing: rest.slow > 2
  })
)

const open = drafted(
  record({ name: circuit, off, openMillis: span, openings: integer({ min: 1, max: 4 }) }),
  ({ off, ...rest }, epochOf) => ({ op: "open", ...rest, epoch: near(epochOf(rest.name), off) })
)

const close = drafted(
  record({ name: circuit, off }),
  ({ name, off }, epochOf) => ({ op: "close", name, epoch: near(epochOf(name), off) })
)

const trial = drafted(
  record({ name: circuit, off, id, trials: integer({ min: 1, max: 3 }), timeout: span }),
  ({ off, ...rest }, epochOf) => ({
    op: "trial",
    ...rest,
    epoch: near(epochOf(rest.name), off),
    grace: 500
  })
)

const trialEnd = drafted(
  record({
    name: circuit,
    off,
    id,
    result: constantFrom("good" as const, "bad" as const, "free" as const),
    wait: span,
    badLimit: integer({ min: 1, max: 2 }),
    goodLimit: integer({ min: 1, max: 3 }),
    openMillis: span
  }),
  ({ off, ...rest }, epochOf) => ({
    op: "trialEnd",
    ...rest,
    epoch: near(epochOf(rest.name), off),
    openings: 2
  })
)

const orders = constantFrom<Wire.FleetOrder>("None", "ForcedOpen", "ForcedClosed", "Disabled")

const order = drafted(
  record({ name: nameOf("o0"), off, order: orders, reset: flag }),
  ({ off, ...rest }, epochOf) => ({ op: "order", ...rest, epoch: near(epochOf(rest.name), off) })
)

const isolate = drafted(
  record({ name: nameOf("o0"), off, id, hold: span }),
  ({ off, ...rest }, epochOf) => ({ op: "isolate", ...rest, epoch: near(epochOf(rest.name), off) })
)

const release = drafted(
  record({ name: nameOf("o0"), off, id }),
  ({ off, ...rest }, epochOf) => ({ op: "release", ...rest, epoch: near(epochOf(rest.name), off) })
)

const tokens = drafted(
  record({
    name: nameOf("t0"),
    spacing: constantFrom(100, 33.3, 1 / 3),
    burst: constantFrom(1, 5, 12),
    want: nat(9),
    first: integer({ min: 1, max: 4 }),
    horizon: span,
    patience: span,
    back: nat(3)
  }),
  (rest) => ({ op: "tokens", ...rest })
)

const hold = drafted(
  record({ name: nameOf("h0"), off, left: span }),
  ({ off, ...rest }, epochOf) => ({ op: "hold", ...rest, epoch: near(epochOf(rest.name), off) })
)

const probe = drafted(
  record({ name: nameOf("h0"), id, timeout: span }),
  (rest) => ({ op: "probe", ...rest })
)

const probeEnd = drafted(
  record({ name: nameOf("h0"), id, serves: flag }),
  (rest) => ({ op: "probeEnd", ...rest })
)

const permits = drafted(
  record({ name: nameOf("p0"), concurrency: constantFrom(1, 4, 7), held: nat(2), more: nat(6) }),
  ({ held, more, ...rest }) => ({ op: "permits", ...rest, held, need: held + more })
)

const left = integer({ min: -200, max: 3000 })

const known = drafted(
  FastCheck.oneof(
    record({
      kind: constant("circuit" as const),
      name: circuit,
      off,
      open: flag,
      left,
      openings: nat(3),
      openMillis: span,
      closedFor: span
    }),
    record({
      kind: constant("order" as const),
      name: nameOf("o0"),
      off,
      order: orders,
      resets: nat(3),
      isolated: constant(0)
    }),
    record({ kind: constant("cooldown" as const), name: nameOf("h0"), off, held: flag, left })
  ),
  ({ off, ...view }, epochOf) => ({
    op: "known",
    view: { ...view, epoch: near(epochOf(view.name), off) }
  })
)

const members = drafted(
  constantFrom("", "m1", "m9"),
  (after) => ({ op: "members", after })
)

const command = FastCheck.oneof(
  { weight: 5, arbitrary: count },
  { weight: 3, arbitrary: open },
  { weight: 1, arbitrary: close },
  { weight: 4, arbitrary: trial },
  { weight: 4, arbitrary: trialEnd },
  { weight: 1, arbitrary: order },
  { weight: 2, arbitrary: isolate },
  { weight: 2, arbitrary: release },
  { weight: 3, arbitrary: tokens },
  { weight: 2, arbitrary: hold },
  { weight: 2, arbitrary: probe },
  { weight: 2, arbitrary: probeEnd },
  { weight: 4, arbitrary: permits },
  { weight: 2, arbitrary: known },
  { weight: 1, arbitrary: members }
)

export const steps: FastCheck.Arbitrary<ReadonlyArray<Step>> = FastCheck.array(
  record({
    member: nat(3),
    millis: constantFrom(0, 0, 1, 10, 100.25, 500, 1000, 2000, 6000, -300),
    how: FastCheck.oneof(
      { weight: 16, arbitrary: constant("next" as const) },
      { weight: 2, arbitrary: constant("again" as const) },
      { weight: 1, arbitrary: constantFrom("restart" as const, "leave" as const) }
    ),
    knows: flag,
    drafts: FastCheck.array(command, { maxLength: 5 })
  }),
  { minLength: 5, maxLength: 30, size: "max" }
)

/** Members that number their batches and remember what they were told. */
export class Members {
  readonly #members = new Map<number, {
    incarnation: number
    sequence: number
    version: number
    seed: string
    last: Wire.Batch | undefined
  }>()
  #count = 0

  constructor(readonly fleet: string) {}

  batch(step: Step, { records }: State): Wire.Batch {
    const member = this.#members.get(step.member) ??
      { incarnation: 1, sequence: 0, version: 0, seed: "", last: undefined }
    this.#members.set(step.member, member)
    if (step.how === "again" && member.last !== undefined) return member.last
    if (step.how === "restart") {
      member.incarnation++
      member.sequence = 0
    }
    const epochOf = (name: string): number => {
      const record = records.get(name)
      return record !== undefined && "epoch" in record ? record.epoch : 0
    }
    const batch: Wire.Batch = {
      v: 1,
      fleet: this.fleet,
      member: `m${step.member}`,
      label: `member ${step.member}`,
      incarnation: member.incarnation,
      sequence: ++member.sequence,
      memberTimeout,
      since: step.knows ? member.version : 0,
      knows: member.seed,
      seed: `seed ${++this.#count}`,
      last: step.how === "leave",
      circuits: step.knows ? [["c0", "Open"]] : [],
      commands: step.drafts.map((draft) => draft(epochOf))
    }
    member.last = batch
    return batch
  }

  told(step: Step, { seed, stale, version }: Wire.Reply): void {
    const member = this.#members.get(step.member)
    if (member === undefined || stale) return
    member.version = version
    member.seed = seed
  }
}
