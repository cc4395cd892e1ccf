/**
 * Doing as one is told by a 429.
 *
 * `Retry-After` is addressed to the caller, but a program is many callers: while the one that was
 * told waits, the others go on, are told the same, and are counted against the program. A cooldown
 * tells all of them. Once a call has been asked to wait, those to come wait as well, and when the
 * time is over a single one goes ahead of them to see whether it is.
 *
 * The states are in `core/cooldown`; this file waits, learns from how calls end, and lets
 * interruption be no failure.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Core from "../core/cooldown.js"
import * as Fifo from "../core/fifo.js"
import { nowMillis, turn } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { withBehind } from "../runtime/instances.js"
import * as QueueTime from "../runtime/queueTime.js"
import { Signal } from "../runtime/signal.js"
import * as Validate from "../runtime/validate.js"
import {
  type Cell,
  Cooldowns,
  CoolingDown,
  type Entry,
  findingOf,
  type Waiter
} from "./cooldown/registry.js"
import * as Guard from "./guard.js"

export { CoolingDown } from "./cooldown/registry.js"

/**
 * - `mode`: whether calls wait until it has passed (default) or are rejected.
 * - `maxWait`: how long a call waits at most. One that would have to wait longer is rejected, at
 *   once where that is known. Default 60 s.
 * - `cap`: the longest cooldown that a server may ask for. Default 5 min.
 * - `trialTimeout`: how long the others wait for a trial that does not end, before the next of them
 *   is the trial. Default 30 s.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly mode?: "wait" | "reject" | undefined
  readonly maxWait?: Duration.DurationInput | undefined
  readonly cap?: Duration.DurationInput | undefined
  readonly trialTimeout?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  mode: "wait",
  maxWait: Duration.minutes(1),
  cap: Duration.minutes(5),
  trialTimeout: Duration.seconds(30)
} as const

/**
 * `key`: what the server counts by, default `"default"`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly key?: string | undefined
}

/**
 * `Clear`: calls run. `Cooling`: they wait. `Trial`: one is under way, or the next call is it.
 *
 * @since 0.1.0
 * @category models
 */
export type State = Core.State["_tag"]

/**
 * One key at one moment. `retryAfter` is how long a call that comes now would wait, or be rejected
 * for; none where it would run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly key: string
  readonly state: State
  readonly waiting: number
  readonly retryAfter: Option.Option<Duration.Duration>
}

/**
 * Runs a call unless its key is cooling down, effect first or effect last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never> extends Guard.Protect<CoolingDown, CallOptions, Self> {}

/**
 * A cooldown: any number of keys. Safe for any number of concurrent callers; every decision is
 * atomic.
 *
 * **Details**
 *
 * - `protect` learns from the failures of what it protects: `RateLimit`, and `Server` with status
 *   503, where they carry a `retryAfter`; the platform's `ResponseError` of these statuses counts
 *   as well.
 * - Calls under way when a cooldown begins go on. What they are told can make it longer and never
 *   shorter.
 * - When the time is over the call that has waited longest goes first, alone. The others follow,
 *   first come first served, when it ends in any way but being told to wait again; then all wait
 *   on. A trial that is interrupted, or turned away by another guard, leaves it to the next one.
 * - `hold` begins or lengthens a cooldown by hand, for as long as it says. It dies with a
 *   `RangeError` when the duration is nonsense.
 * - `snapshot` is taken on demand. `keys` and `snapshots` name the keys that are not clear.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cooldown extends Guard.View<Snapshot> {
  readonly protect: Protect
  readonly hold: (key: string, duration: Duration.DurationInput) => Effect.Effect<void>
}

/**
 * Runs a call and learns from how it ends. A success, and a failure that asks for nothing, say
 * something only of a trial.
 */
const watched = <A, E, R>(
  cooldowns: Cooldowns,
  key: string,
  trial: Core.Trial | undefined,
  call: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  whenEnded(call, (exit): Effect.Effect<A, E> => {
    const finding = Exit.isFailure(exit) ? findingOf(exit.cause) : "serves"
    return trial === undefined && typeof finding !== "object"
      ? exit
      : Effect.clockWith((clock) => {
        cooldowns.ended(key, trial, finding, clock, nowMillis(clock))
        return exit
      })
  })

/**
 * A call whose key is not clear. From taking a place to leaving it only the waiting can be
 * interrupted.
 */
const later = <A, E, R>(
  cooldowns: Cooldowns,
  self: Effect.Effect<A, E, R>,
  key: string,
  clock: Clock.Clock,
  restore: <A1, E1, R1>(self: Effect.Effect<A1, E1, R1>) => Effect.Effect<A1, E1, R1>
): Effect.Effect<A, E | CoolingDown, R> => {
  const startedAt = clock.unsafeCurrentTimeNanos()
  const now = nowMillis(clock)
  const cell = cooldowns.cell(key, clock, now)
  const deadlineMillis = now + cooldowns.maxWaitMillis

  const proceed = (
    entry: Exclude<Entry, { readonly _tag: "Wait" }>
  ): Effect.Effect<A, E | CoolingDown, R> =>
    entry._tag === "Run"
      ? watched(cooldowns, key, entry.trial, restore(self))
      : Effect.fail(new CoolingDown({ key, retryAfter: Duration.millis(entry.afterMillis) }))

  const gone = <B, E2, R2>(
    place: Fifo.Place<Waiter>,
    next: Effect.Effect<B, E2, R2>
  ): Effect.Effect<B, E2, R2> => {
    cooldowns.leave(cell, place)
    return Effect.zipRight(QueueTime.since(clock, startedAt), next)
  }

  /**
   * Any change makes a call in line look again; the first one times the end of what they wait for.
   */
  const wait = (
    place: Fifo.Place<Waiter>,
    millis: number
  ): Effect.Effect<A, E | CoolingDown, R> =>
    whenEnded(
      restore(place.value.signal.wait(millis)),
      (exit): Effect.Effect<A, E | CoolingDown, R> => {
        if (Exit.isFailure(exit)) return gone(place, Effect.failCause(exit.cause))
        const isFirst = cell.line.first === place
        const entry = cooldowns.enter(cell, isFirst, deadlineMillis, nowMillis(clock))
        return entry._tag === "Wait" ? wait(place, entry.millis) : gone(place, proceed(entry))
      }
    )

  const entry = cooldowns.enter(cell, cell.line.size === 0, deadlineMillis, now)
  return entry._tag === "Wait"
    ? wait(Fifo.join(cell.line, { deadlineMillis, signal: new Signal() }), entry.millis)
    : proceed(entry)
}

/** What the server says is recorded whatever becomes of the caller meanwhile. */
const guard = <A, E, R>(
  cooldowns: Cooldowns,
  self: Effect.Effect<A, E, R>,
  key: string
): Effect.Effect<A, E | CoolingDown, R> =>
  Effect.uninterruptibleMask((restore): Effect.Effect<A, E | CoolingDown, R> =>
    cooldowns.cells.has(key)
      ? Effect.clockWith((clock) => later(cooldowns, self, key, clock, restore))
      : watched(cooldowns, key, undefined, restore(self))
  )

const snapshotOf = ({ key, line, state }: Cell, now: number): Snapshot => {
  const wait = Core.waitMillis(state, now)
  return {
    key,
    // That the time is over shows although no call has come since.
    state: state._tag === "Cooling" && wait === 0 ? "Trial" : state._tag,
    waiting: line.size,
    retryAfter: wait > 0 ? Option.some(Duration.millis(wait)) : Option.none()
  }
}

const positiveMillis = (field: string, input: Duration.DurationInput): number =>
  Duration.toMillis(Validate.finiteDuration(field, Validate.positiveDuration(field, input)))

/**
 * A new cooldown. Dies with a `RangeError` that names field and value when an option is nonsense.
 *
 * **When to use**
 *
 * For an API that says `Retry-After`, with the key by which it counts: an API key, a tenant, an
 * endpoint. It reacts to what the API says; to stay below a rate that is known is for a
 * `RateLimiter`, and the two go well together.
 *
 * **Details**
 *
 * O(1) for each call, and O(waiting) when a call is told to wait. A key that is clear takes no
 * memory; one whose cooldown is over and that nobody calls is forgotten after an hour, while others
 * are used. Nothing ticks at rest: while calls wait, each has a timer for its `maxWait`.
 *
 * **Gotchas**
 *
 * When the trial has gone well everybody follows at once: put a `RateLimiter` or a `Bulkhead`
 * around what waits. A trial keeps the others waiting, so the protected call needs a timeout.
 * Errors of your own are not understood; map them to `ApiError`, or use `hold`.
 *
 * **Example** (One is told to wait, the next one does not even ask)
 *
 * ```ts
 * import { ApiError, Cooldown } from "effect-resilience"
 * import { Duration, Effect } from "effect"
 *
 * const told = new ApiError.RateLimit({
 *   message: "slow down",
 *   status: 429,
 *   retryAfter: Duration.seconds(10)
 * })
 *
 * const program = Effect.gen(function*() {
 *   const cooldown = yield* Cooldown.make({ mode: "reject" })
 *   const first = yield* Effect.flip(cooldown.protect(Effect.fail(told), { key: "tenant 1" }))
 *   const second = yield* Effect.flip(
 *     cooldown.protect(Effect.succeed("sent"), { key: "tenant 1" })
 *   )
 *   const other = yield* cooldown.protect(Effect.succeed("sent"), { key: "tenant 2" })
 *   return [first._tag, second._tag, other]
 * })
 *
 * await Effect.runPromise(program) // => ["RateLimit", "CoolingDown", "sent"]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Cooldown> =>
  Effect.sync(() => {
    const policy: Core.Policy = {
      capMillis: positiveMillis("cap", options.cap ?? defaults.cap),
      trialMillis: positiveMillis("trialTimeout", options.trialTimeout ?? defaults.trialTimeout)
    }
    const maxWait = Validate.duration("maxWait", options.maxWait ?? defaults.maxWait)
    // Who may not wait at all is rejected whenever there is something to wait for.
    const cooldowns = new Cooldowns(
      policy,
      (options.mode ?? defaults.mode) === "reject" ? 0 : Duration.toMillis(maxWait)
    )

    return withBehind<Cooldown>({
      protect: Guard.protectByKey((self, key) => guard(cooldowns, self, key)),
      hold: (key, duration) =>
        turn((clock, now) => {
          const millis = positiveMillis("duration", duration)
          const cell = cooldowns.cell(key, clock, now)
          cooldowns.change(cell, Core.hold(cell.state, millis, now))
        }),
      ...Guard.viewOf(cooldowns.cells, snapshotOf)
    }, { options })
  })

/**
 * The cooldown of a program that needs one. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const Cooldown: Context.Tag<Cooldown, Cooldown> = Context.GenericTag<Cooldown>(
  "effect-resilience/Cooldown"
)

/**
 * The default cooldown as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Cooldown> =>
  Layer.effect(Cooldown, make(options))

/**
 * Runs a call unless its key of the default cooldown is cooling down.
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: Protect<Cooldown> = Guard.through(Cooldown)

/**
 * A tag for a cooldown, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends Guard.TagClass<Self, Id, Cooldown, [options?: Options], Protect<Self>>
{}

/**
 * A tag for the cooldown of one upstream.
 *
 * **Example** (Each API has a cooldown of its own)
 *
 * ```ts
 * import { Cooldown } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * class Mailer extends Cooldown.Tag("Mailer")<Mailer>() {}
 *
 * const program = Effect.gen(function*() {
 *   const send = Mailer.protect(Effect.succeed("sent"), { key: "tenant 1" })
 *   const before = yield* send
 *   yield* (yield* Mailer).hold("tenant 1", "1 minute") // by hand
 *   const after = yield* Effect.merge(send)
 *   return [before, typeof after === "string" ? after : after._tag]
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Mailer.layer({ mode: "reject" }))) // => ["sent", "CoolingDown"]
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> =>
  Guard.tagClass(id, make)
