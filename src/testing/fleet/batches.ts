/** Random batches of a few members of a fleet. */
import * as FastCheck from "effect/FastCheck"
import type { State } from "../../core/fleetStore.js"
import type * as Wire from "../../core/fleetWire.js"

/** The epoch that the model has of a name. */
type EpochOf = (name: string) => number

/** A command whose epoch is drawn as a distance from the model's. */
type Draft = (epochOf: EpochOf, named: (text: string) => string) => Wire.Command

/** One batch of one member. */
export interface Step {
  readonly member: number
  /** How much time passes first, in milliseconds. Less than none: the store's clock steps back. */
  readonly millis: number
  /** Whether it is sent together with the one before. */
  readonly together: boolean
  /**
   * `again`: the last batch is sent once more. `late`: a batch whose number is used up.
   * `restart`: a new life.
   */
  readonly how: "next" | "again" | "late" | "restart" | "leave"
  /** Whether it tells which changes it knows. */
  readonly knows: boolean
  readonly drafts: ReadonlyArray<Draft>
}

/** The numbers that batches are made of. */
export interface Numbers {
  /** How much time passes between two steps. */
  readonly passes: ReadonlyArray<number>
  /** How long things last. */
  readonly spans: ReadonlyArray<number>
  /** What one token takes of its line. */
  readonly spacings: ReadonlyArray<number>
  /** How long a call waits for a token. */
  readonly patiences: ReadonlyArray<number>
  /** How long what is put back still lasts. */
  readonly lefts: ReadonlyArray<number>
  /** Pages of members begin after one of these. */
  readonly afters: ReadonlyArray<string>
  /** Whether a name is used for records of two kinds now and then. */
  readonly clashes: boolean
}

const { boolean, constant, constantFrom, integer, nat, record } = FastCheck

const near = (epoch: number, off: number): number => Math.max(0, epoch + off)

const drafted = <A extends object>(
  arbitrary: FastCheck.Arbitrary<A>,
  command: (value: A) => Wire.Command
): FastCheck.Arbitrary<Draft> =>
  FastCheck.tuple(
    arbitrary,
    FastCheck.oneof(
      { weight: 6, arbitrary: constant(0) },
      { weight: 1, arbitrary: constantFrom(-1, 1) }
    )
  ).map(([value, off]) => (epochOf, named) => {
    const made = command(value)
    if (made.op === "members") return made
    if (made.op === "known") {
      const { view } = made
      const epoch = near(epochOf(named(view.name)), off)
      return { op: "known", view: { ...view, name: named(view.name), epoch } }
    }
    const name = named(made.name)
    return "epoch" in made
      ? { ...made, name, epoch: near(epochOf(name), off) }
      : { ...made, name }
  })

const epoch = 0

const orderOf = constantFrom<Wire.FleetOrder>("None", "ForcedOpen", "ForcedClosed", "Disabled")

const commandOf = (
  { afters, clashes, lefts, patiences, spacings, spans }: Numbers
): FastCheck.Arbitrary<Draft> => {
  const named = (...names: ReadonlyArray<string>) =>
    clashes
      ? FastCheck.oneof(
        { weight: 40, arbitrary: constantFrom(...names) },
        { weight: 1, arbitrary: constantFrom("c0", "o0", "h0", "t0", "p0") }
      )
      : constantFrom(...names)
  const circuit = named("c0", "c1")
  const order = named("o0")
  const cooldown = named("h0")
  const span = constantFrom(...spans)
  const id = constantFrom("x", "y", "z")
  return FastCheck.oneof(
    {
      weight: 5,
      arbitrary: drafted(
        record({
          name: circuit,
          calls: nat(20),
          failures: nat(20),
          slow: nat(5),
          failing: boolean(),
          slowing: boolean()
        }),
        (value) => ({ op: "count", epoch, ...value })
      )
    },
    {
      weight: 3,
      arbitrary: drafted(
        record({ name: circuit, openMillis: span, openings: integer({ min: 1, max: 4 }) }),
        (value) => ({ op: "open", epoch, ...value })
      )
    },
    {
      weight: 1,
      arbitrary: drafted(record({ name: circuit }), (value) => ({ op: "close", epoch, ...value }))
    },
    {
      weight: 4,
      arbitrary: drafted(
        record({
          name: circuit,
          id,
          trials: integer({ min: 1, max: 3 }),
          timeout: span,
          grace: span
        }),
        (value) => ({ op: "trial", epoch, ...value })
      )
    },
    {
      weight: 4,
      arbitrary: drafted(
        record({
          name: circuit,
          id,
          result: constantFrom("good" as const, "bad" as const, "free" as const),
          wait: span,
          badLimit: integer({ min: 1, max: 2 }),
          goodLimit: integer({ min: 1, max: 3 }),
          openMillis: span,
          openings: nat(4)
        }),
        (value) => ({ op: "trialEnd", epoch, ...value })
      )
    },
    {
      weight: 1,
      arbitrary: drafted(
        record({ name: order, order: orderOf, reset: boolean() }),
        (value) => ({ op: "order", epoch, ...value })
      )
    },
    {
      weight: 2,
      arbitrary: drafted(
        record({ name: order, id, hold: span }),
        (value) => ({ op: "isolate", epoch, ...value })
      )
    },
    {
      weight: 2,
      arbitrary: drafted(
        record({ name: order, id }),
        (value) => ({ op: "release", epoch, ...value })
      )
    },
    {
      weight: 3,
      arbitrary: drafted(
        record({
          name: named("t0"),
          spacing: constantFrom(...spacings),
          burst: constantFrom(1, 5, 12),
          want: nat(9),
          first: integer({ min: 1, max: 4 }),
          horizon: span,
          patience: constantFrom(...patiences),
          back: nat(3)
        }),
        (value) => ({ op: "tokens", ...value })
      )
    },
    {
      weight: 2,
      arbitrary: drafted(
        record({ name: cooldown, left: span }),
        (value) => ({ op: "hold", epoch, ...value })
      )
    },
    {
      weight: 2,
      arbitrary: drafted(
        record({ name: cooldown, id, timeout: span }),
        (value) => ({ op: "probe", ...value })
      )
    },
    {
      weight: 2,
      arbitrary: drafted(
        record({ name: cooldown, id, serves: boolean() }),
        (value) => ({ op: "probeEnd", ...value })
      )
    },
    {
      weight: 4,
      arbitrary: drafted(
        record({
          name: named("p0"),
          concurrency: constantFrom(1, 4, 7),
          held: nat(2),
          more: nat(6)
        }),
        ({ concurrency, held, more, name }) => ({
          op: "permits",
          name,
          concurrency,
          held,
          need: held + more
        })
      )
    },
    {
      weight: 2,
      arbitrary: drafted(
        FastCheck.oneof(
          record({
            kind: constant("circuit" as const),
            name: circuit,
            epoch: constant(epoch),
            open: boolean(),
            left: constantFrom(...lefts),
            openings: nat(3),
            openMillis: span,
            closedFor: span
          }),
          record({
            kind: constant("order" as const),
            name: order,
            epoch: constant(epoch),
            order: orderOf,
            resets: nat(3),
            isolated: constant(0)
          }),
          record({
            kind: constant("cooldown" as const),
            name: cooldown,
            epoch: constant(epoch),
            held: boolean(),
            left: constantFrom(...lefts)
          })
        ),
        (view) => ({ op: "known", view })
      )
    },
    {
      weight: 1,
      arbitrary: drafted(
        record({ after: constantFrom(...afters) }),
        ({ after }) => ({ op: "members", after })
      )
    }
  )
}

/** Sequences of batches of four members. */
export const stepsOf = (numbers: Numbers): FastCheck.Arbitrary<ReadonlyArray<Step>> =>
  FastCheck.array(
    record({
      member: nat(3),
      millis: constantFrom(...numbers.passes),
      together: FastCheck.oneof(
        { weight: 3, arbitrary: constant(false) },
        { weight: 1, arbitrary: constant(true) }
      ),
      how: FastCheck.oneof(
        { weight: 16, arbitrary: constant("next" as const) },
        { weight: 3, arbitrary: constantFrom("again" as const, "late" as const) },
        { weight: 1, arbitrary: constantFrom("restart" as const, "leave" as const) }
      ),
      knows: boolean(),
      drafts: FastCheck.array(commandOf(numbers), { maxLength: 5 })
    }),
    { minLength: 5, maxLength: 30, size: "max" }
  )

interface Writer {
  incarnation: number
  sequence: number
  last: Wire.Batch | undefined
}

/** Members that number their batches. */
export class Members {
  readonly #writers = new Map<number, Writer>()
  #batches = 0
  #holds = 0

  constructor(
    readonly fleet: string,
    readonly memberTimeout: number,
    readonly named: (text: string) => string,
    /** How far the ends of any two holds lie apart at least, in milliseconds. */
    readonly apartMillis = 0
  ) {}

  /** The batch of a step; `known` is what the member was told of the changes last. */
  batch(
    { drafts, how, knows, member }: Step,
    { records }: State,
    known: { readonly version: number; readonly seed: string }
  ): Wire.Batch {
    const writer = this.#writers.get(member) ?? { incarnation: 1, sequence: 0, last: undefined }
    this.#writers.set(member, writer)
    if (how === "again" && writer.last !== undefined) return writer.last
    if (how === "restart") {
      writer.incarnation++
      writer.sequence = 0
    }
    if (how !== "late") writer.sequence++
    const epochOf = (name: string): number => {
      const record = records.get(name)
      return record !== undefined && "epoch" in record ? record.epoch : 0
    }
    const batch: Wire.Batch = {
      v: 1,
      fleet: this.fleet,
      member: this.named(`m${member}`),
      label: `member ${member}`,
      incarnation: writer.incarnation,
      sequence: writer.sequence,
      memberTimeout: this.memberTimeout,
      since: knows ? known.version : 0,
      knows: known.seed,
      seed: `seed ${++this.#batches}`,
      last: how === "leave",
      circuits: knows ? [[this.named("c0"), "Open"]] : [],
      commands: drafts.map((draft) => this.#spread(draft(epochOf, this.named)))
    }
    writer.last = batch
    return batch
  }

  #spread(command: Wire.Command): Wire.Command {
    return command.op === "hold"
      ? { ...command, left: command.left + ++this.#holds * this.apartMillis }
      : command
  }
}
