/**
 * Not sinking with one upstream.
 *
 * When an upstream becomes slow, the calls to it pile up, and with them what they hold: memory,
 * sockets, the patience of their own callers. A bulkhead lets a fixed number of them run, keeps a
 * bounded number waiting, and turns the rest away at once, so that the rest of the program stays
 * afloat.
 *
 * Who gets a permit is decided in `core/permits`; this file waits, and gives permits back whatever
 * becomes of a call.
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
import * as QueueTime from "../runtime/queueTime.js"
import { Signal } from "../runtime/signal.js"
import * as Validate from "../runtime/validate.js"
import * as Guard from "./guard.js"

/**
 * As many calls as may run do, and as many as may wait too, or this one has waited for `maxWait`:
 * it did not run. The fields are those of the bulkhead.
 *
 * @since 0.1.0
 * @category errors
 */
export class BulkheadFull extends Rejection.Error("BulkheadFull")<{
  readonly concurrency: number
  readonly queue: number
}> {}

/**
 * - `concurrency`: how many calls run at once.
 * - `queue`: how many more wait for a permit, first come first served. Default 0: a call that finds
 *   no permit is turned away.
 * - `maxWait`: how long a call waits at most. Default: for as long as it takes.
 * - `perKey`: whether each key has permits and a queue of its own. Default false: all keys share
 *   them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly concurrency: number
  readonly queue?: number | undefined
  readonly maxWait?: Duration.DurationInput | undefined
  readonly perKey?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { queue: 0, maxWait: Duration.infinity, perKey: false } as const

/**
 * The largest sizes that options may ask for.
 *
 * @internal
 */
export const bounds = { queue: 1_000_000 } as const

/**
 * `key`: whose permits, where `perKey` is set. Default `"default"`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly key?: string | undefined
}

/**
 * How many calls run, and how many wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly running: number
  readonly waiting: number
}

/**
 * The same for one key.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeySnapshot extends Snapshot {
  readonly key: string
}

/**
 * Runs a call when there is a permit for it: `bulkhead.protect(call)`,
 * `bulkhead.protect(call, { key })`, or `call.pipe(bulkhead.protect)`.
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
 * A bulkhead. Safe for any number of concurrent callers; every decision is atomic and O(1).
 *
 * **Details**
 *
 * - `protect` fails with `BulkheadFull` without running the call when there is neither a permit nor
 *   a place in the queue. The queue is first come, first served: a permit that is given back goes
 *   to the first in line, and no call that comes later can take it.
 * - A call has its permit until it has ended: when it is interrupted, until its finalizers have
 *   run.
 * - An interrupted call that still waits leaves the queue at once.
 * - `snapshot` counts all keys together, `snapshotOf` one of them. Both are taken on demand.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bulkhead {
  readonly protect: Protect
  readonly snapshot: Effect.Effect<Snapshot>
  readonly snapshotOf: (key?: string) => Effect.Effect<KeySnapshot>
  readonly keys: Effect.Effect<ReadonlyArray<string>>
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

const snapshotOf = ({ key, permits }: Compartment): KeySnapshot => ({
  key,
  running: permits.running,
  waiting: permits.waiting.size
})

/**
 * A new bulkhead. Dies with a `RangeError` that names field and value when an option is nonsense.
 *
 * **When to use**
 *
 * One for each upstream, or for each resource that calls hold while they wait. It bounds how many
 * calls are under way; how many begin in a second is for a `RateLimiter`.
 *
 * **Details**
 *
 * `concurrency` is a whole number of at least 1, `queue` of at least 0. A bulkhead at rest has no
 * timer and no fiber; while a call waits there is a timer only for a `maxWait`.
 *
 * **Gotchas**
 *
 * A long queue does not make an upstream faster. What waits for longer than its own caller does is
 * work for nothing: keep `queue` small or set `maxWait`. A call that goes through the same bulkhead
 * again inside of itself can wait for its own permit for ever.
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
    const limits: Permits.Limits = {
      concurrency: Validate.integer("concurrency", options.concurrency, 1),
      queue: Validate.integer("queue", options.queue ?? defaults.queue, 0, bounds.queue)
    }
    const maxWaitMillis = Duration.toMillis(
      Validate.duration("maxWait", options.maxWait ?? defaults.maxWait)
    )
    const perKey = options.perKey ?? defaults.perKey
    const made = (key: string, now: number) => new Compartment(key, now, Permits.make(limits))
    const keyed = new KeyedState({
      make: made,
      idleMillis,
      isBusy: ({ permits }) => permits.running > 0 || permits.waiting.size > 0
    })
    const shared = made(defaultKey, 0)
    const all = turn((clock, now) => perKey ? keyed.all(clock, now) : [shared])
    return withBehind<Bulkhead>({
      protect: dual(
        Guard.isDataFirst,
        <A, E, R>(self: Effect.Effect<A, E, R>, options?: CallOptions) => {
          const key = options?.key ?? defaultKey
          return guard(
            perKey ? (clock) => keyed.use(key, clock) : () => shared,
            maxWaitMillis,
            self
          )
        }
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
      snapshotOf: (key = defaultKey) =>
        turn((clock, now) => snapshotOf(perKey ? keyed.look(key, clock, now) : shared)),
      keys: Effect.map(all, (compartments) => compartments.map(({ key }) => key)),
      snapshots: Effect.map(all, (compartments) => compartments.map(snapshotOf))
    }, { options })
  })

/**
 * The bulkhead of a program that needs one. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const Bulkhead: Context.Tag<Bulkhead, Bulkhead> = Context.GenericTag<Bulkhead>(
  "effect-resilience/Bulkhead"
)

/**
 * The default bulkhead as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Bulkhead> =>
  Layer.effect(Bulkhead, make(options))

/**
 * Runs a call under the default bulkhead.
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
  extends Guard.TagClass<Self, Id, Bulkhead, [options: Options], Protect<Self>>
{}

/**
 * A tag for the bulkhead of one upstream.
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
  Guard.tagClass(id, make)
