/**
 * Shares circuits, rate limits, cooldowns and bulkheads between the processes of a program.
 *
 * A fleet is the set of processes that share a store, a secret and a name; each is a member. What
 * one learns all know within an interval. No call waits for the store while its circuit is closed
 * or open, tokens or permits are leased and no cooldown holds. Without the store the guards go on
 * by themselves.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type { Quorum } from "../core/fleetVote.js"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import { Fleet } from "../policies/fleet.js"
import { behindOf, withBehind } from "../runtime/instances.js"
import * as Validate from "../runtime/validate.js"
import { FleetStore } from "./FleetStore.js"
import { guardsOf } from "./guards.js"
import { Member, type Settings } from "./member.js"
import * as Telemetry from "./telemetry.js"

export type { Quorum } from "../core/fleetVote.js"
export { Fleet } from "../policies/fleet.js"
export type { Runtime } from "../policies/fleet.js"

/**
 * The options of a member.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name of the fleet (required), the same in all members. */
  readonly name: string
  /**
   * The name of this member, which survives a restart, such as the name of its pod. A restart then
   * replaces what the life before said. Default: a random one.
   */
  readonly member?: string | undefined
  /**
   * How long between two exchanges. Default 250 ms. A fleet of more than 250 members asks more
   * rarely: each member at most once in `members` milliseconds.
   */
  readonly interval?: Duration.DurationInput | undefined
  /** How long an exchange may take. Default 200 ms. */
  readonly storeTimeout?: Duration.DurationInput | undefined
  /**
   * How long a silent member counts as living. Default 5 s. At least four intervals and one
   * `storeTimeout`.
   */
  readonly memberTimeout?: Duration.DurationInput | undefined
  /**
   * How many members have to vote before a circuit opens for all: a share of those with calls, or
   * a number. Two at least where there are two. Default `{ share: 0.5 }`.
   */
  readonly quorum?: Quorum | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `interval`. */
  interval: Duration.millis(250),
  /** Default of the option `storeTimeout`. */
  storeTimeout: Duration.millis(200),
  /** Default of the option `memberTimeout`. */
  memberTimeout: Duration.seconds(5),
  /** Default of the option `quorum`. */
  quorum: {
    /** Default of the option `quorum.share`. */
    share: 0.5
  }
} as const

/** A day: longer than any of these times makes sense, and within what a timer holds. */
const maxMillis = 86_400_000

const millisOf = (field: string, input: Duration.DurationInput): number =>
  Validate.number(
    field,
    Duration.toMillis(Validate.positiveDuration(field, input)),
    1,
    maxMillis
  )

const quorumOf = (quorum: Quorum): Quorum => {
  if (typeof quorum !== "object") {
    throw new RangeError(`quorum should be { share } or { atLeast }, got ${String(quorum)}`)
  }
  return "atLeast" in quorum
    ? { atLeast: Validate.integer("quorum.atLeast", quorum.atLeast, 1) }
    : { share: Validate.rate("quorum.share", quorum.share) }
}

/** Shorter, a member that misses a few exchanges would count as dead. */
const memberTimeoutOf = (millis: number, interval: number, storeTimeout: number): number => {
  const least = 4 * interval + storeTimeout
  if (millis >= least) return millis
  throw new RangeError(
    `memberTimeout should be at least 4 times interval and one storeTimeout ` +
      `(4 * ${interval} ms + ${storeTimeout} ms = ${least} ms), got ${millis} ms`
  )
}

const nameOf = (field: string, text: string): string =>
  Validate.text(
    field,
    text,
    "a text of 1 to 200 characters",
    (value) => typeof value === "string" && value.length > 0 && value.length <= 200
  )

const settingsOf = (options: Options, byDefault: string): Settings => {
  const intervalMillis = millisOf("interval", options.interval ?? defaults.interval)
  const storeTimeoutMillis = millisOf(
    "storeTimeout",
    options.storeTimeout ?? defaults.storeTimeout
  )
  const memberTimeoutMillis = millisOf(
    "memberTimeout",
    options.memberTimeout ?? defaults.memberTimeout
  )
  return {
    fleet: nameOf("name", options.name),
    member: nameOf("member", options.member ?? byDefault),
    intervalMillis,
    storeTimeoutMillis,
    memberTimeoutMillis: memberTimeoutOf(memberTimeoutMillis, intervalMillis, storeTimeoutMillis),
    quorum: quorumOf(options.quorum ?? defaults.quorum)
  }
}

/** Text that no other process draws. */
const drawn = (random: Random.Random): string => {
  const part = () => Math.floor(Effect.runSync(random.next) * 2 ** 32).toString(36)
  return `${part()}${part()}`
}

const joined = (options: Options) =>
  Effect.gen(function*() {
    const store = yield* FleetStore
    const clock = yield* Effect.clock
    const random = yield* Effect.random
    const given = settingsOf(options, drawn(random))
    const settings = { ...given, fleet: store.name(`fleet|${given.fleet}`) }
    const watcher = yield* Telemetry.watcher(given.fleet)
    const member = new Member(settings, store, clock, watcher, () => drawn(random))
    yield* Effect.acquireRelease(
      Effect.void,
      () => Effect.zipRight(member.leave(), watcher.left)
    )
    const heard = Stream.runForEach(store.pushes, (push) => Effect.sync(() => member.pushed(push)))
    yield* Effect.forkScoped(Effect.catchAllCause(heard, () => Effect.void))
    yield* member.first()
    yield* Effect.forkScoped(member.loop)
    return withBehind(guardsOf(member), { options, inside: member })
  })

/**
 * Joins a fleet, for as long as the layer lives. Invalid options die with `RangeError`, which names
 * the field.
 *
 * **Details**
 *
 * The first exchange, which takes `storeTimeout` at most, brings what is open, held or ordered, so
 * that the first call obeys it. A store that does not answer is no failure: the member is apart
 * until it does. Leaving gives back what is leased.
 *
 * One exchange an `interval` at most while there is something to say, beside those that others
 * must hear at once; one each third of `memberTimeout` otherwise.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Fleet, never, FleetStore> =>
  Layer.scoped(Fleet, joined(options))

/**
 * Shows how a member is connected.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  /** False while the member is apart: it goes by what it knows itself. */
  readonly connected: boolean
  /** How old what the member knows of the others is. */
  readonly lag: Duration.Duration
  /** How many members live, this one included, when last heard. */
  readonly members: number
  /** How long between two exchanges. */
  readonly interval: Duration.Duration
  /** How many values of the store could not be read, and were left out. */
  readonly unreadable: number
}

/**
 * Shows one living member.
 *
 * @since 0.1.0
 * @category models
 */
export interface MemberStatus {
  /** The name of the member. */
  readonly id: string
  /** How long ago it was heard. */
  readonly lastHeard: Duration.Duration
  /**
   * Its circuits that are not closed, 32 at most, as `breaker/key`. A circuit that this member
   * does not use stands under its name in the store.
   */
  readonly circuits: Record<string, CircuitBreaker.State>
}

/** The member behind the service; a service that was made elsewhere has none. */
const memberOf = (fleet: object): Member => {
  const inside = behindOf(fleet)?.inside
  if (inside instanceof Member) return inside
  throw new TypeError("Fleet was not provided by Fleet.layer")
}

/**
 * Reads how the member is connected. Asks nothing of the store.
 *
 * @since 0.1.0
 * @category accessors
 */
export const status: Effect.Effect<Status, never, Fleet> = Effect.map(Fleet, (fleet) => {
  const member = memberOf(fleet)
  const { now } = member
  return {
    connected: !member.isApart(now),
    lag: Duration.millis(member.lagMillis(now)),
    members: member.members,
    interval: Duration.millis(member.intervalMillis),
    unreadable: member.unreadable
  }
})

const states: ReadonlyArray<CircuitBreaker.State> = [
  "Closed",
  "Open",
  "HalfOpen",
  "Isolated",
  "ForcedOpen",
  "ForcedClosed",
  "Disabled"
]

/** A state that another version knows, and this one does not, is one that is not closed. */
const stateOf = (text: string): CircuitBreaker.State =>
  states.find((state) => state === text) ?? "Open"

/**
 * Lists the living members. Asks the store, a page of 100 at a time; empty while it does not
 * answer.
 *
 * @since 0.1.0
 * @category accessors
 */
export const members: Effect.Effect<ReadonlyArray<MemberStatus>, never, Fleet> = Effect.flatMap(
  Fleet,
  (fleet) => {
    const member = memberOf(fleet)
    return Effect.map(member.list(), (listed) =>
      listed.map(({ circuits, heard, id }) => ({
        id,
        lastHeard: Duration.millis(heard),
        circuits: Object.fromEntries(
          circuits.map(([name, state]) => [member.labels.get(name) ?? name, stateOf(state)])
        )
      })))
  }
)
