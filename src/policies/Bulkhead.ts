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
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Check from "../runtime/validate.js"
import * as Fifo from "../core/fifo.js"
import * as Permits from "../core/permits.js"
import { remember } from "../runtime/instances.js"
import * as Rejection from "../errors/Rejection.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import { Turn } from "../runtime/signal.js"
import * as Waited from "../runtime/queueTime.js"

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
 * - `queue`: how many more wait for a permit, first come first served. Default 0: whoever finds no
 *   permit is turned away.
 * - `maxWait`: how long one waits at most. Default: for as long as it takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly concurrency: number
  readonly queue?: number | undefined
  readonly maxWait?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { queue: 0, maxWait: Duration.infinity } as const

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
 * A bulkhead. Safe for any number of concurrent callers; every decision is atomic and O(1).
 *
 * **Details**
 *
 * - `protect` fails with `BulkheadFull` without running the call when there is neither a permit nor
 *   a place in the queue. The queue is first come, first served: a permit that is given back goes
 *   to the first in line, and nobody who comes later can take it.
 * - A call has its permit until it has ended: when it is interrupted, until its finalizers have
 *   run.
 * - An interrupted call that still waits leaves the queue at once.
 * - `snapshot` is taken on demand.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bulkhead {
  readonly protect: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | BulkheadFull, R>
  readonly snapshot: Effect.Effect<Snapshot>
}

/** One bulkhead: its permits, and the one answer to whoever is turned away. */
interface Guard {
  readonly permits: Permits.Permits<Turn>
  readonly maxWaitMillis: number
}

const full = ({ permits: { concurrency, queue } }: Guard): Effect.Effect<never, BulkheadFull> =>
  Effect.suspend(() => Effect.fail(new BulkheadFull({ concurrency, queue })))

/** Runs a call that has a permit, and gives the permit back when it has really ended. */
const running = <A, E, R>(
  { permits }: Guard,
  call: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const ended = (exit: Exit.Exit<A, E>): Exit.Exit<A, E> => {
    Permits.release(permits)?.ring()
    return exit
  }
  return Effect.matchCauseEffect(call, {
    onFailure: (cause) => ended(Exit.failCause(cause)),
    onSuccess: (value) => ended(Exit.succeed(value))
  })
}

/**
 * Waits in a place that was taken in the same turn in which there was no permit. Whether there is a
 * permit in the end is a matter of the place alone, so that a permit that comes together with an
 * interruption or the end of `maxWait` is neither lost nor refused.
 */
const waiting = <A, E, R>(
  guard: Guard,
  place: Fifo.Place<Turn>,
  restore: <A1, E1, R1>(self: Effect.Effect<A1, E1, R1>) => Effect.Effect<A1, E1, R1>,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | BulkheadFull, R> =>
  Effect.clockWith((clock) => {
    const startedAt = clock.unsafeCurrentTimeNanos()
    const { maxWaitMillis, permits } = guard
    const turn = place.value.wait
    return Effect.matchCauseEffect(
      restore(
        maxWaitMillis === Infinity ? turn : Effect.raceFirst(turn, sleepAtLeast(maxWaitMillis))
      ),
      {
        onFailure: (cause) => {
          Permits.giveUp(permits, place)?.ring()
          return Effect.zipRight(Waited.since(clock, startedAt), Effect.failCause(cause))
        },
        onSuccess: () => {
          const next: Effect.Effect<A, E | BulkheadFull, R> = place.inLine
            ? full(guard)
            : running(guard, restore(self))
          Fifo.leave(permits.waiting, place)
          return Effect.zipRight(Waited.since(clock, startedAt), next)
        }
      }
    )
  })

/** The one place that guards a call. */
const protect = <A, E, R>(
  guard: Guard,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | BulkheadFull, R> =>
  Effect.uninterruptibleMask((restore) => {
    switch (Permits.enter(guard.permits)) {
      case "Run":
        return running(guard, restore(self))
      case "Wait":
        return waiting(guard, Fifo.join(guard.permits.waiting, new Turn()), restore, self)
      case "Full":
        return full(guard)
    }
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
    const guard: Guard = {
      permits: Permits.make({
        concurrency: Check.integer("concurrency", options.concurrency, 1),
        queue: Check.integer("queue", options.queue ?? defaults.queue, 0)
      }),
      maxWaitMillis: Duration.toMillis(
        Check.duration("maxWait", options.maxWait ?? defaults.maxWait)
      )
    }
    return remember<Bulkhead>({
      protect: (self) => protect(guard, self),
      snapshot: Effect.sync(() => ({
        running: guard.permits.running,
        waiting: guard.permits.waiting.size
      }))
    }, options)
  })

/**
 * A tag for a bulkhead, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string> extends Context.TagClass<Self, Id, Bulkhead> {
  readonly layer: (options: Options) => Layer.Layer<Self>
  readonly protect: <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | BulkheadFull, R | Self>
}

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
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const Base = Context.Tag(id)<Self, Bulkhead>()
  return Object.assign(Base, {
    layer: (options: Options) => Layer.effect(Base, make(options)),
    protect: <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Base, (bulkhead) => bulkhead.protect(self))
  })
}
