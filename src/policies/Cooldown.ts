/**
 * Pauses all calls after a 429 with `Retry-After`.
 *
 * `Retry-After` is addressed to the caller, but a program makes many calls at once. While one of
 * them waits, the others get the same answer and count against the quota. A cooldown makes all of
 * them wait. When the time is over, a single call goes first as a trial.
 *
 * The states are in `core/cooldown`. This file waits and learns from how calls end. Interruption is
 * not a failure.
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
import * as Fleet from "./fleet.js"
import * as Guard from "./guard.js"

export { CoolingDown } from "./cooldown/registry.js"

/**
 * The options of a cooldown.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Makes calls wait until the cooldown is over (`"wait"`, the default) or rejects them. */
  readonly mode?: "wait" | "reject" | undefined
  /**
   * How long a call may wait. A longer wait is rejected, at once where it is known. Default 60 s.
   */
  readonly maxWait?: Duration.DurationInput | undefined
  /** The longest cooldown that a server may ask for. Default 5 min. */
  readonly cap?: Duration.DurationInput | undefined
  /**
   * How long calls wait for a trial to end before the next call becomes the trial. Default 30 s.
   */
  readonly trialTimeout?: Duration.DurationInput | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `mode`. */
  mode: "wait",
  /** Default of the option `maxWait`. */
  maxWait: Duration.minutes(1),
  /** Default of the option `cap`. */
  cap: Duration.minutes(5),
  /** Default of the option `trialTimeout`. */
  trialTimeout: Duration.seconds(30)
} as const

/**
 * The options of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** The key that the server limits by. Default `"default"`. */
  readonly key?: string | undefined
}

/**
 * The state of one key. `Clear`: calls run. `Cooling`: calls wait. `Trial`: one call runs as the
 * trial, or the next one will.
 *
 * @since 0.1.0
 * @category models
 */
export type State = Core.State["_tag"]

/**
 * Shows one key. `retryAfter` is how long a call that comes now would wait; none where it would
 * run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** The key. */
  readonly key: string
  /** Whether calls run, wait, or wait for a trial. */
  readonly state: State
  /** How many calls wait. */
  readonly waiting: number
  /** How long a call that comes now would wait. None when it would run. */
  readonly retryAfter: Option.Option<Duration.Duration>
}

/**
 * Runs a call unless its key has a cooldown. Effect first or last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never> extends Guard.Protect<CoolingDown, CallOptions, Self> {}

/**
 * A cooldown for each key, under one set of options. Safe for concurrent callers; every decision is
 * atomic.
 *
 * **Details**
 *
 * • A cooldown begins with a failure that carries a `retryAfter`: `RateLimit`, `Server` with status
 * 503, or the platform's `ResponseError` of these statuses.
 * - Calls that run when a cooldown begins go on. Their answers can lengthen the cooldown and never
 *   shorten it.
 * - When the time is over, the call that has waited longest runs alone, as the trial. When the
 *   trial ends without another `retryAfter`, the other calls follow, first come, first served. With
 *   one, all calls wait on.
 * - A trial that is interrupted, or rejected by another guard, hands the trial to the next call.
 * - `keys` and `snapshots` list the keys that are not clear.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cooldown extends Guard.View<Snapshot> {
  /** Runs a call when its key has no cooldown. Otherwise waits, or fails with `CoolingDown`. */
  readonly protect: Protect
  /** Begins or lengthens a cooldown by hand. Invalid durations die with `RangeError`. */
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
    cooldowns.isClear(key)
      ? watched(cooldowns, key, undefined, restore(self))
      : Effect.clockWith((clock) => later(cooldowns, self, key, clock, restore))
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
 * The options in plain numbers. A call that may not wait at all is rejected whenever there is
 * something to wait for.
 *
 * @internal
 */
export const numbersOf = (
  options: Options
): { readonly policy: Core.Policy; readonly maxWaitMillis: number } => {
  const policy: Core.Policy = {
    capMillis: positiveMillis("cap", options.cap ?? defaults.cap),
    trialMillis: positiveMillis("trialTimeout", options.trialTimeout ?? defaults.trialTimeout)
  }
  const maxWait = Validate.duration("maxWait", options.maxWait ?? defaults.maxWait)
  return {
    policy,
    maxWaitMillis: (options.mode ?? defaults.mode) === "reject" ? 0 : Duration.toMillis(maxWait)
  }
}

/**
 * The cooldown over keys that were made elsewhere.
 *
 * @internal
 */
export const ofCooldowns = (cooldowns: Cooldowns, options: Options): Cooldown =>
  withBehind<Cooldown>({
    protect: Guard.protectByKey((self, key) => guard(cooldowns, self, key)),
    hold: (key, duration) =>
      turn((clock, now) => cooldowns.hold(key, positiveMillis("duration", duration), clock, now)),
    ...Guard.viewOf(cooldowns.cells, snapshotOf)
  }, { options })

/**
 * Makes a cooldown. Invalid options die with `RangeError`, which names field and value.
 *
 * **When to use**
 *
 * For an API that sends `Retry-After`, with the key by which the API counts: an API key, a tenant,
 * an endpoint. A cooldown reacts to the API; to stay below a known rate, use a `RateLimiter` as
 * well.
 *
 * **Details**
 *
 * O(1) for each call, and O(waiting) for a `Retry-After`. A key that is clear takes no memory; one
 * whose cooldown is over and that no call uses is forgotten after an hour, while others are used.
 * No timer runs at rest; each waiting call has a timer for its `maxWait`.
 *
 * **Gotchas**
 *
 * After a successful trial all waiting calls run at once: put a `RateLimiter` or a `Bulkhead`
 * inside it. A trial keeps the other calls waiting, so the protected call needs a timeout. A
 * cooldown does not know your own errors; map them to `ApiError`, or use `hold`.
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
    const { maxWaitMillis, policy } = numbersOf(options)
    return ofCooldowns(new Cooldowns(policy, maxWaitMillis), options)
  })

const kind: Fleet.Kind<Options & Fleet.Named, Cooldown> = { name: "cooldown" }

/**
 * Makes a cooldown that the members of a fleet share. `name` is the same in all of them. Invalid
 * options, and other numbers under a name that this member uses already, die with `RangeError`.
 *
 * **Details**
 *
 * A `Retry-After` that one member gets holds the calls of all, and the end furthest off counts.
 * When the time is over one call of the whole fleet goes first, and its success clears all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeShared = (
  options: Options & Fleet.Named
): Effect.Effect<Cooldown, never, Fleet.Fleet> =>
  Effect.flatMap(Fleet.Fleet, (fleet) => fleet.shared(kind, options))

/**
 * The tag of the default cooldown. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const Cooldown: Context.Tag<Cooldown, Cooldown> = Context.GenericTag<Cooldown>(
  "effect-resilience/Cooldown"
)

/**
 * Makes the default cooldown as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Cooldown> =>
  Layer.effect(Cooldown, make(options))

/**
 * Runs a call unless its key of the default cooldown has a cooldown.
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
  extends
    Guard.TagClass<Self, Id, Cooldown, [options?: Options], Protect<Self>>,
    Guard.SharedLayer<Self, Options>
{}

/**
 * Makes a tag for the cooldown of one upstream.
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
 * const sent = Effect.provide(program, Mailer.layer({ mode: "reject" }))
 * await Effect.runPromise(sent) // => ["sent", "CoolingDown"]
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> =>
  Guard.sharedTagClass(id, make, makeShared)
