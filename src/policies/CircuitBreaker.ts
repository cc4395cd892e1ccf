/**
 * Stops calling an upstream that fails or is slow, and tries again after a while.
 *
 * A circuit watches the outcomes of the calls to one upstream. When too many of the last calls
 * failed or were slow, it opens and rejects calls at once. After the open time a few trials find
 * out whether the upstream works again. Callers do not wait for a failure, and the upstream gets no
 * load that keeps it down.
 *
 * The state machine is pure (`core/circuit`). This file reads the clock and keeps one state for
 * each key. Interruption is not a failure.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Circuit from "../core/circuit.js"
import { turn } from "../runtime/clock.js"
import { withBehind } from "../runtime/instances.js"
import { defaultKey } from "../runtime/keyedState.js"
import { type Controls, controlsOf } from "./circuitBreaker/controls.js"
import * as CircuitState from "./circuitBreaker/export.js"
import { guard } from "./circuitBreaker/guard.js"
import { defaults, type Options, policyOf, positiveMillis } from "./circuitBreaker/options.js"
import { classify, type Outcome } from "./circuitBreaker/outcome.js"
import {
  type Cell,
  type CircuitOpen,
  Circuits,
  type Transition
} from "./circuitBreaker/registry.js"
import { transitionsOf } from "./circuitBreaker/transitions.js"
import * as Fleet from "./fleet.js"
import * as Guard from "./guard.js"

export type { Controls } from "./circuitBreaker/controls.js"
export { consecutive, count, defaults, rate, time } from "./circuitBreaker/options.js"
export type { HalfOpen, Options, Window } from "./circuitBreaker/options.js"
export { classify, failure, ignored, success } from "./circuitBreaker/outcome.js"
export type { Outcome } from "./circuitBreaker/outcome.js"
export { CircuitOpen } from "./circuitBreaker/registry.js"
export type { Transition } from "./circuitBreaker/registry.js"

/**
 * The state that callers meet. `Isolated`, `ForcedOpen`, `ForcedClosed` and `Disabled` are set by
 * an operator.
 *
 * @since 0.1.0
 * @category models
 */
export type State = Circuit.Visible

/**
 * Shows one circuit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** The key of the circuit. */
  readonly key: string
  /** The state that callers meet. */
  readonly state: State
  /** How many outcomes the window holds. */
  readonly calls: number
  /** How many of them are failures. */
  readonly failures: number
  /** How many of them were slow. */
  readonly slow: number
  /** The share of failures, from 0 to 1. None below `minimumCalls`. */
  readonly failureRate: Option.Option<number>
  /** The share of slow calls, from 0 to 1. None below `minimumCalls`. */
  readonly slowRate: Option.Option<number>
  /** How many admitted calls still run. */
  readonly inFlight: number
  /** How many calls were rejected since the circuit was made. */
  readonly rejected: number
  /** How many times in a row the circuit has opened. */
  readonly openings: number
  /** How long calls will still be rejected. None when the circuit admits calls. */
  readonly retryAfter: Option.Option<Duration.Duration>
}

/**
 * The options of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProtectOptions<in A = never, in E = never> {
  /** The key of the circuit. Default `"default"`. */
  readonly key?: string | undefined
  /** Classifies the exit of this call, in place of the breaker's own `classify`. */
  readonly classify?: ((exit: Exit.Exit<A, E>) => Outcome) | undefined
}

/**
 * Runs a call under a circuit. Effect first or last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never> {
  /** Runs the call under its circuit. Effect first. */
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: ProtectOptions<A, E>
  ): Effect.Effect<A, E | CircuitOpen, R | Self>
  /** Runs a call under its circuit. Effect last, for `pipe`. */
  (options?: {
    /** The key of the circuit. Default `"default"`. */
    readonly key?: string | undefined
    /** Not set here: `classify` has an overload of its own. */
    readonly classify?: undefined
  }): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | CircuitOpen, R | Self>
  /** Runs a call under its circuit with a `classify` of its own. Effect last, for `pipe`. */
  <A, E>(options: ProtectOptions<NoInfer<A>, NoInfer<E>>): <R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | CircuitOpen, R | Self>
}

/**
 * A breaker: one circuit for each key, under one set of options. Safe for concurrent callers; every
 * method is atomic.
 *
 * **Details**
 *
 * • `protect` fails with `CircuitOpen`, without running the call, when the circuit rejects it.
 * Interruption is not a failure.
 * - `transitions` starts at the moment of subscription.
 * - Operator controls (see `Controls`) apply to one key or to all of them. The last command wins;
 *   isolation outranks all. A command for an unused key applies, and logs one warning with the keys
 *   in use.
 * - `exportState` and `importState` carry all keys across a restart as JSON. An import that does
 *   not fit fails and changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreaker extends Controls, Guard.View<Snapshot> {
  /**
   * Runs a call under the circuit of its key. Fails with `CircuitOpen` when the circuit rejects it.
   */
  readonly protect: Protect
  /** Reads the state that callers of a key meet. Default key `"default"`. */
  readonly state: (key?: string) => Effect.Effect<State>
  /**
   * Streams every change of state from the moment of subscription. Costs nothing without
   * subscribers.
   */
  readonly transitions: Stream.Stream<Transition>
  /** Exports the circuits of all keys as JSON, for `importState` after a restart. */
  readonly exportState: Effect.Effect<unknown>
  /**
   * Imports circuits from `exportState`. Fails with `ParseError` and changes nothing when the JSON
   * does not fit.
   */
  readonly importState: (state: unknown) => Effect.Effect<void, ParseResult.ParseError>
}

const protectOf = (
  circuits: Circuits,
  byDefault: (exit: Exit.Exit<unknown, unknown>) => Outcome
): Protect => {
  const run = <A, E, R>(self: Effect.Effect<A, E, R>, options?: ProtectOptions<A, E>) =>
    guard(circuits, self, options?.key ?? defaultKey, options?.classify ?? byDefault)
  return dual(Guard.isDataFirst, run)
}

const snapshotOf = (circuits: Circuits, cell: Cell, now: number): Snapshot => {
  const { policy } = circuits
  const { inFlight, key, rejected, state } = cell
  const counts = Circuit.counts(state, now)
  const share = (part: number): Option.Option<number> =>
    counts.calls >= policy.minimumCalls ? Option.some(part / counts.calls) : Option.none()
  const wait = circuits.waitMillis(cell, now)
  return {
    key,
    state: circuits.seen(cell),
    ...counts,
    failureRate: share(counts.failures),
    slowRate: share(counts.slow),
    inFlight,
    rejected,
    openings: Circuit.openings(state, now),
    retryAfter: wait === undefined ? Option.none() : Option.some(Duration.millis(wait))
  }
}

/**
 * The breaker over circuits that were made elsewhere.
 *
 * @internal
 */
export const ofCircuits = (circuits: Circuits, options: Options): CircuitBreaker => {
  const looked = (key: string) =>
    turn((clock, now) => [circuits.look(key, clock, now), now] as const)
  const all = turn((clock, now) => circuits.all(clock, now).map((cell) => [cell, now] as const))

  return withBehind<CircuitBreaker>({
    protect: protectOf(circuits, options.classify ?? classify),
    state: (key = defaultKey) => Effect.map(looked(key), ([cell]) => circuits.seen(cell)),
    snapshot: (key = defaultKey) =>
      Effect.map(looked(key), ([cell, now]) => snapshotOf(circuits, cell, now)),
    keys: Effect.map(all, (cells) => cells.map(([{ key }]) => key)),
    snapshots: Effect.map(
      all,
      (cells) => cells.map(([cell, now]) => snapshotOf(circuits, cell, now))
    ),
    transitions: transitionsOf(circuits),
    ...controlsOf(circuits),
    exportState: turn((clock, now) =>
      CircuitState.encode(
        clock.unsafeCurrentTimeMillis(),
        circuits.all(clock, now).map(({ key, state }) => CircuitState.exported(key, state, now)),
        circuits.order
      )
    ),
    importState: (json) =>
      Effect.flatMap(
        CircuitState.decode(json, circuits.policy),
        ({ circuits: imported, exportedAt, order }) =>
          turn((clock, now) => {
            const passed = Math.max(0, clock.unsafeCurrentTimeMillis() - exportedAt)
            circuits.orderOfNew(order)
            for (const circuit of imported) circuits.restore(circuit, passed, clock, now)
          })
      )
  }, { options, inside: circuits })
}

/**
 * Makes a breaker. Invalid options die with `RangeError`, which names field and value.
 *
 * **Example** (Rejecting calls once the circuit opens)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({
 *     window: CircuitBreaker.count(4),
 *     minimumCalls: 2
 *   })
 *   const call = breaker.protect(Effect.fail("down" as const))
 *   const first = yield* Effect.flip(call)
 *   const second = yield* Effect.flip(call)
 *   const third = yield* Effect.flip(call)
 *   return [first, second, typeof third === "string" ? third : third._tag].join()
 * })
 *
 * await Effect.runPromise(program) // => "down,down,CircuitOpen"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<CircuitBreaker> =>
  Effect.sync(() => {
    const idleMillis = positiveMillis(
      "idleTimeToLive",
      options.idleTimeToLive ?? defaults.idleTimeToLive
    )
    return ofCircuits(new Circuits(policyOf(options), idleMillis), options)
  })

/**
 * Operator controls for the circuits of a key in all members of a fleet.
 *
 * **Details**
 *
 * The store keeps a command, members obey it at their next exchange, and one that joins obeys it
 * before its first call. A command that the store does not confirm in `storeTimeout` fails with
 * `StoreError`. Default key `"default"`.
 *
 * @since 0.1.0
 * @category models
 */
export interface FleetControls {
  /**
   * Rejects every call of a key until the scope is closed, or until `memberTimeout` after the
   * death of this member.
   */
  readonly isolate: (key?: string) => Effect.Effect<void, Fleet.StoreError, Scope.Scope>
  /** Rejects every call of a key until the next command or `reset`. */
  readonly forceOpen: (key?: string) => Effect.Effect<void, Fleet.StoreError>
  /** Passes and counts every call of a key until the next command or `reset`. */
  readonly forceClosed: (key?: string) => Effect.Effect<void, Fleet.StoreError>
  /** Passes every call of a key and counts nothing until the next command or `reset`. */
  readonly disable: (key?: string) => Effect.Effect<void, Fleet.StoreError>
  /** Closes and empties the circuits of a key, and ends what was ordered of it. */
  readonly reset: (key?: string) => Effect.Effect<void, Fleet.StoreError>
}

/**
 * A breaker that shares its circuits with a fleet. Each key has two circuits, the member's own and
 * the fleet's, and both have to admit a call. `state` and `transitions` show the stricter of both.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shared extends CircuitBreaker {
  /** Commands all members; the breaker's own controls command this one. */
  readonly fleet: FleetControls
}

const kind: Fleet.Kind<Options & Fleet.Named, Shared> = { name: "breaker" }

/**
 * Makes a breaker that shares what it sees with the other members of a fleet. `name` is the same
 * in all of them. The window has to be one of time, by default 30 seconds. Invalid options, and
 * other numbers under a name that this member uses already, die with `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeShared = (
  options: Options & Fleet.Named
): Effect.Effect<Shared, never, Fleet.Fleet> =>
  Effect.flatMap(Fleet.Fleet, (fleet) => fleet.shared(kind, options))

/**
 * The tag of the default breaker. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const CircuitBreaker: Context.Tag<CircuitBreaker, CircuitBreaker> = Context.GenericTag<
  CircuitBreaker
>(
  "effect-resilience/CircuitBreaker"
)

/**
 * Makes the default breaker as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<CircuitBreaker> =>
  Layer.effect(CircuitBreaker, make(options))

/**
 * Runs a call under a circuit of the default breaker. Fails with `CircuitOpen` when the circuit
 * rejects it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: Protect<CircuitBreaker> = Guard.through(CircuitBreaker)

/**
 * A tag for one of several breakers, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends
    Guard.TagClass<Self, Id, CircuitBreaker, [options?: Options], Protect<Self>>,
    Guard.SharedLayer<Self, Options>
{}

/**
 * Makes a tag for one of several breakers.
 *
 * **Example** (Payments may be down while search works)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-resilience"
 * import { Effect, Layer } from "effect"
 *
 * class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
 * class Search extends CircuitBreaker.Tag("Search")<Search>() {}
 *
 * const program = Effect.zip(
 *   Effect.succeed("paid").pipe(Payments.protect({ key: "eu" })),
 *   Search.protect(Effect.succeed("found"))
 * )
 *
 * const breakers = Layer.merge(Payments.layer({ failureRate: 0.2 }), Search.layer())
 * await Effect.runPromise(Effect.provide(program, breakers)) // => ["paid", "found"]
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> =>
  Guard.sharedTagClass(id, make, makeShared)
