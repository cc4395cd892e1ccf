/**
 * Limits how many calls to one upstream run at once.
 *
 * When an upstream becomes slow, calls to it pile up, and with them memory, sockets and waiting
 * callers. A bulkhead runs a fixed number of calls, keeps a bounded number waiting, and rejects the
 * rest at once. The rest of the program keeps its resources.
 *
 * `core/permits` decides which call gets a permit. This file waits, and returns the permit however
 * the call ends.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Fifo from "../core/fifo.js"
import * as Permits from "../core/permits.js"
import * as Rejection from "../errors/Rejection.js"
import { clockOf, turn } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { withBehind } from "../runtime/instances.js"
import { defaultKey, Keyed, KeyedState } from "../runtime/keyedState.js"
import type { Misnamed } from "../runtime/misnamed.js"
import * as QueueTime from "../runtime/queueTime.js"
import { Signal } from "../runtime/signal.js"
import * as Validate from "../runtime/validate.js"
import * as Fleet from "./fleet.js"
import * as Guard from "./guard.js"

/**
 * Rejects a call because all permits and all places in the queue are taken, or because it has
 * waited for `maxWait`. The call did not run. The fields show the options of the bulkhead.
 *
 * @since 0.1.0
 * @category errors
 */
export class BulkheadFull extends Rejection.Error("BulkheadFull")<{
  /** How many calls the bulkhead runs at once. */
  readonly concurrency: number
  /** How many calls the bulkhead lets wait. */
  readonly queue: number
}> {}

/**
 * The options of a bulkhead.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends
  Misnamed<{
    limit: "use concurrency: how many calls run at once"
    maxConcurrent: "use concurrency: how many calls run at once"
    maxQueue: "use queue: how many calls wait"
    timeout: "use maxWait: how long a call waits for a permit"
  }>
{
  /** How many calls run at once (required). */
  readonly concurrency: number
  /**
   * How many calls may wait for a permit, first come, first served. Default 0: a call without a
   * permit is rejected.
   */
  readonly queue?: number | undefined
  /** How long a call may wait for a permit. Default: no limit. */
  readonly maxWait?: Duration.DurationInput | undefined
  /** Gives each key its own permits and queue. Default false: all keys share one set. */
  readonly perKey?: boolean | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `queue`. */
  queue: 0,
  /** Default of the option `maxWait`. */
  maxWait: Duration.infinity,
  /** Default of the option `perKey`. */
  perKey: false
} as const

/**
 * The largest sizes that options may ask for.
 *
 * @internal
 */
export const bounds = { queue: 1_000_000 } as const

/**
 * The options of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** The key whose permits the call uses, with `perKey`. Default `"default"`. */
  readonly key?: string | undefined
}

/**
 * Counts running and waiting calls.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** How many calls hold a permit. */
  readonly running: number
  /** How many calls wait for a permit. */
  readonly waiting: number
}

/**
 * Counts the running and waiting calls of one key.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeySnapshot extends Snapshot {
  /** The key. */
  readonly key: string
}

/**
 * Runs a call with a permit: `bulkhead.protect(call)`, `bulkhead.protect(call, { key })`, or
 * `call.pipe(bulkhead.protect)`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never> {
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: CallOptions
  ): Effect.Effect<A, E | BulkheadFull, R | Self>
}

/**
 * A bulkhead. Safe for concurrent callers; every decision is atomic and O(1).
 *
 * **Details**
 *
 * • `protect` fails with `BulkheadFull`, without running the call, when there is neither a permit
 * nor a place in the queue.
 * - The queue is first come, first served: a returned permit goes to the first call in the queue,
 *   and no later call can take it.
 * - A call keeps its permit until it has ended, finalizers included.
 * - An interrupted call that waits leaves the queue at once.
 * - `snapshot` counts all keys together, `snapshotOf` one of them. Both are computed on demand.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bulkhead {
  /**
   * Runs a call with a permit. Fails with `BulkheadFull` when the queue is full or `maxWait` has
   * passed.
   */
  readonly protect: Protect
  /** Counts the calls of all keys together. */
  readonly snapshot: Effect.Effect<Snapshot>
  /** Counts the calls of one key. Default key `"default"`. */
  readonly snapshotOf: (key?: string) => Effect.Effect<KeySnapshot>
  /** Lists the keys that have a state now. */
  readonly keys: Effect.Effect<ReadonlyArray<string>>
  /** Counts the calls of every key that has a state now. */
  readonly snapshots: Effect.Effect<ReadonlyArray<KeySnapshot>>
}

/** How long the permits of a key are remembered that has none in use. */
const idleMillis = 60_000

/** What calls that share permits share. */
class Compartment extends Keyed {
  constructor(key: string, now: number, readonly permits: Permits.Permits<Signal>) {
    super(key, now)
  }
}

const fullOf = (
  { permits: { concurrency, queue } }: Compartment
): Effect.Effect<never, BulkheadFull> =>
  Effect.suspend(() => Effect.fail(new BulkheadFull({ concurrency, queue })))

/** Runs a call that has a permit, and gives the permit back when it has really ended. */
const running = <A, E, R>(
  { permits }: Compartment,
  call: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  whenEnded(call, (exit) => {
    Permits.release(permits)?.notify()
    return exit
  })

/**
 * Waits in a place that was taken in the same turn in which there was no permit. Whether there is a
 * permit in the end is a matter of the place alone, so that a permit that comes together with an
 * interruption or the end of `maxWait` is neither lost nor refused.
 */
const waiting = <A, E, R>(
  compartment: Compartment,
  maxWaitMillis: number,
  clock: Clock.Clock,
  restore: <A1, E1, R1>(self: Effect.Effect<A1, E1, R1>) => Effect.Effect<A1, E1, R1>,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | BulkheadFull, R> => {
  const { permits } = compartment
  const startedAt = clock.unsafeCurrentTimeNanos()
  const place = Fifo.join(permits.waiting, new Signal())
  return whenEnded(
    restore(place.value.wait(maxWaitMillis)),
    (exit): Effect.Effect<A, E | BulkheadFull, R> => {
      const waited = QueueTime.since(clock, startedAt)
      if (Exit.isFailure(exit)) {
        Permits.giveUp(permits, place)?.notify()
        return Effect.zipRight(waited, Effect.failCause(exit.cause))
      }
      const next: Effect.Effect<A, E | BulkheadFull, R> = place.inLine
        ? fullOf(compartment)
        : running(compartment, restore(self))
      Fifo.leave(permits.waiting, place)
      return Effect.zipRight(waited, next)
    }
  )
}

/** The one place that guards a call. */
const guard = <A, E, R>(
  compartmentOf: (clock: Clock.Clock) => Compartment,
  maxWaitMillis: number,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | BulkheadFull, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E | BulkheadFull, R>((fiber) => {
      const clock = clockOf(fiber)
      const compartment = compartmentOf(clock)
      switch (Permits.enter(compartment.permits)) {
        case "Run":
          return running(compartment, restore(self))
        case "Wait":
          return waiting(compartment, maxWaitMillis, clock, restore, self)
        case "Full":
          return fullOf(compartment)
      }
    })
  )

/** Calls that share permits. */
interface Counted {
  readonly key: string
  readonly permits: Permits.Permits<unknown>
}

const snapshotOf = ({ key, permits }: Counted): KeySnapshot => ({
  key,
  running: permits.running,
  waiting: permits.waiting.size
})

/**
 * The options in plain numbers.
 *
 * @internal
 */
export const numbersOf = (options: Options): Permits.Limits & {
  readonly maxWaitMillis: number
  readonly perKey: boolean
} => ({
  concurrency: Validate.integer("concurrency", options.concurrency, 1),
  queue: Validate.integer("queue", options.queue ?? defaults.queue, 0, bounds.queue),
  maxWaitMillis: Duration.toMillis(
    Validate.duration("maxWait", options.maxWait ?? defaults.maxWait)
  ),
  perKey: options.perKey ?? defaults.perKey
})

/**
 * The bulkhead over permits that are kept elsewhere.
 *
 * @internal
 */
export const ofPermits = (
  parts: {
    readonly run: <A, E, R>(
      self: Effect.Effect<A, E, R>,
      key: string
    ) => Effect.Effect<A, E | BulkheadFull, R>
    readonly all: Effect.Effect<ReadonlyArray<Counted>>
    readonly look: (key: string) => Effect.Effect<Counted>
  },
  options: Options
): Bulkhead => {
  const { all, look, run } = parts
  return withBehind<Bulkhead>({
    protect: dual(
      Guard.isDataFirst,
      <A, E, R>(self: Effect.Effect<A, E, R>, call?: CallOptions) =>
        run(self, call?.key ?? defaultKey)
    ),
    snapshot: Effect.map(all, (compartments) => {
      let running = 0
      let waiting = 0
      for (const { permits } of compartments) {
        running += permits.running
        waiting += permits.waiting.size
      }
      return { running, waiting }
    }),
    snapshotOf: (key = defaultKey) => Effect.map(look(key), snapshotOf),
    keys: Effect.map(all, (compartments) => compartments.map(({ key }) => key)),
    snapshots: Effect.map(all, (compartments) => compartments.map(snapshotOf))
  }, { options })
}

/**
 * Makes a bulkhead. Invalid options die with `RangeError`, which names field and value.
 *
 * **When to use**
 *
 * Make one for each upstream, or for each resource that calls hold while they wait. It limits how
 * many calls run at once; to limit how many start in a second, use a `RateLimiter`.
 *
 * **Details**
 *
 * `concurrency` is a whole number of at least 1, `queue` of at least 0. A bulkhead at rest has no
 * timer and no fiber; while a call waits there is a timer only for a `maxWait`.
 *
 * **Gotchas**
 *
 * A long queue does not make an upstream faster. A call that waits longer than its caller is wasted
 * work: keep `queue` small or set `maxWait`. A call that enters the same bulkhead again can wait
 * for its own permit for ever.
 *
 * **Example** (The third of three callers at once is turned away)
 *
 * ```ts
 * import { Bulkhead } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const bulkhead = yield* Bulkhead.make({ concurrency: 1, queue: 1 })
 *   const call = bulkhead.protect(Effect.delay(Effect.succeed("done"), "10 millis"))
 *   const outcomes = yield* Effect.all([call, call, call].map(Effect.merge), {
 *     concurrency: "unbounded"
 *   })
 *   return outcomes.map((outcome) => typeof outcome === "string" ? outcome : outcome._tag)
 * })
 *
 * await Effect.runPromise(program) // => ["done", "done", "BulkheadFull"]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Bulkhead> =>
  Effect.sync(() => {
    const { maxWaitMillis, perKey, ...limits } = numbersOf(options)
    const made = (key: string, now: number) => new Compartment(key, now, Permits.make(limits))
    const keyed = new KeyedState({
      make: made,
      idleMillis,
      isBusy: ({ permits }) => permits.running > 0 || permits.waiting.size > 0
    })
    const shared = made(defaultKey, 0)
    return ofPermits({
      run: (self, key) =>
        guard(perKey ? (clock) => keyed.use(key, clock) : () => shared, maxWaitMillis, self),
      all: turn((clock, now) => perKey ? keyed.all(clock, now) : [shared]),
      look: (key) => turn((clock, now) => perKey ? keyed.look(key, clock, now) : shared)
    }, options)
  })

/**
 * The options of a bulkhead that a fleet shares.
 *
 * @since 0.1.0
 * @category models
 */
export interface SharedOptions extends Options {
  /**
   * Without the store, after `memberTimeout`, a member takes its share of `concurrency`
   * (`"share"`, the default), or rejects calls.
   */
  readonly whenApart?: "share" | "reject" | undefined
}

const kind: Fleet.Kind<SharedOptions & Fleet.Named, Bulkhead> = { name: "bulkhead" }

/**
 * Makes a bulkhead whose permits the members of a fleet share. `name` is the same in all of them.
 * Invalid options, and other numbers under a name that this member uses already, die with
 * `RangeError`.
 *
 * **Details**
 *
 * At most `concurrency` calls run at once in the whole fleet; `queue` and `maxWait` are of each
 * member. Permits are leased by need and go back when they are not needed. A call that finds none
 * waits for the answer of the store, `storeTimeout` at most, also with a `queue` of 0.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeShared = (
  options: SharedOptions & Fleet.Named
): Effect.Effect<Bulkhead, never, Fleet.Fleet> =>
  Effect.flatMap(Fleet.Fleet, (fleet) => fleet.shared(kind, options))

/**
 * The tag of the default bulkhead. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const Bulkhead: Context.Tag<Bulkhead, Bulkhead> = Context.GenericTag<Bulkhead>(
  "effect-resilience/Bulkhead"
)

/**
 * Makes the default bulkhead as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Bulkhead> =>
  Layer.effect(Bulkhead, make(options))

/**
 * Runs a call under the default bulkhead. Fails with `BulkheadFull` when it rejects the call.
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: Protect<Bulkhead> = Guard.through(Bulkhead)

/**
 * A tag for a bulkhead, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends
    Guard.TagClass<Self, Id, Bulkhead, [options: Options], Protect<Self>>,
    Guard.SharedLayer<Self, SharedOptions>
{}

/**
 * Makes a tag for the bulkhead of one upstream.
 *
 * **Example** (Reports cannot use up what payments need)
 *
 * ```ts
 * import { Bulkhead } from "effect-resilience"
 * import { Effect, Layer } from "effect"
 *
 * class Payments extends Bulkhead.Tag("Payments")<Payments>() {}
 * class Reports extends Bulkhead.Tag("Reports")<Reports>() {}
 *
 * const program = Effect.zip(
 *   Payments.protect(Effect.succeed("paid")),
 *   Reports.protect(Effect.succeed("written"))
 * )
 *
 * const bulkheads = Layer.merge(
 *   Payments.layer({ concurrency: 20 }),
 *   Reports.layer({ concurrency: 2, queue: 10 })
 * )
 * await Effect.runPromise(Effect.provide(program, bulkheads)) // => ["paid", "written"]
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> =>
  Guard.sharedTagClass(id, make, makeShared)
