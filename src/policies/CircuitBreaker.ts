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
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import * as Random from "effect/Random"
import type * as Stream from "effect/Stream"
import * as Circuit from "../core/circuit.js"
import { clockOf, nowMillis, turn } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { withBehind } from "../runtime/instances.js"
import { defaultKey } from "../runtime/keyedState.js"
import * as QueueTime from "../runtime/queueTime.js"
import { type Controls, controlsOf } from "./circuitBreaker/controls.js"
import * as CircuitState from "./circuitBreaker/export.js"
import { defaults, type Options, policyOf, positiveMillis } from "./circuitBreaker/options.js"
import { classify, ignored, type Outcome, resultOf } from "./circuitBreaker/outcome.js"
import { type Cell, CircuitOpen, Circuits, type Transition } from "./circuitBreaker/registry.js"
import { transitionsOf } from "./circuitBreaker/transitions.js"
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

type Classify<A, E> = (exit: Exit.Exit<A, E>) => Outcome

const openFor = (key: string, millis: number): CircuitOpen =>
  new CircuitOpen({ key, retryAfter: Duration.millis(millis) })

/**
 * The one place that guards a call. A call that is rejected is rejected at once; from admission to
 * taking down the outcome nothing can interrupt but the call itself.
 */
const guard = <A, E, R>(
  circuits: Circuits,
  self: Effect.Effect<A, E, R>,
  key: string,
  classify: Classify<A, E>
): Effect.Effect<A, E | CircuitOpen, R> =>
  Effect.withFiberRuntime<A, E | CircuitOpen, R>((fiber) => {
    const clock = clockOf(fiber)
    const started = nowMillis(clock)
    const cell = circuits.cell(key, clock, started)
    const wait = circuits.rejects(cell, started)
    return wait === undefined
      ? Effect.uninterruptibleMask((restore) =>
        admitted(circuits, restore(self), cell, classify, fiber, started)
      )
      : Effect.fail(openFor(key, wait))
  })

const admitted = <A, E, R>(
  circuits: Circuits,
  call: Effect.Effect<A, E, R>,
  cell: Cell,
  classify: Classify<A, E>,
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  started: number
): Effect.Effect<A, E | CircuitOpen, R> => {
  const clock = clockOf(fiber)
  const token = circuits.admit(cell, started)
  // Others may have come between.
  if (typeof token === "number") return Effect.fail(openFor(cell.key, token))
  const waited = QueueTime.millisOf(fiber)
  const admission: Admission<A, E> = {
    circuits,
    cell,
    token,
    classify,
    fiber,
    clock,
    started,
    waited
  }
  return whenEnded(call, (exit) => ended(admission, exit))
}

/** A call that was let in, until it has ended. */
interface Admission<A, E> {
  readonly circuits: Circuits
  readonly cell: Cell
  readonly token: Circuit.Token
  readonly classify: Classify<A, E>
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  readonly clock: Clock.Clock
  readonly started: number
  readonly waited: number
}

/** A draw is needed only where the open time has jitter. */
const ended = <A, E>(admission: Admission<A, E>, exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
  typeof admission.circuits.policy.open === "number"
    ? recordOutcome(admission, exit, 0)
    : Effect.flatMap(Random.next, (unit) => recordOutcome(admission, exit, unit))

/**
 * Records the outcome. A `classify` that throws ignores the call, frees its place and is the defect
 * that it is.
 */
const recordOutcome = <A, E>(
  { cell, circuits, classify, clock, fiber, started, token, waited }: Admission<A, E>,
  exit: Exit.Exit<A, E>,
  unit: number
): Exit.Exit<A, E> => {
  const now = nowMillis(clock)
  // What it stood in front of a limiter or a bulkhead is not the upstream's.
  const duration = now - started - (QueueTime.millisOf(fiber) - waited)
  let outcome: Outcome = ignored
  try {
    outcome = classify(exit)
  } finally {
    circuits.record(
      cell,
      token,
      resultOf(circuits.policy, exit, outcome, duration, unit),
      clock,
      now
    )
  }
  return exit
}

const protectOf = (circuits: Circuits, byDefault: Classify<unknown, unknown>): Protect => {
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
  const wait = Circuit.retryAfterMillis(policy, state, now)
  return {
    key,
    state: Circuit.visible(state),
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
    const circuits = new Circuits(policyOf(options), idleMillis)

    const looked = (key: string) =>
      turn((clock, now) => [circuits.look(key, clock, now), now] as const)
    const all = turn((clock, now) => circuits.all(clock, now).map((cell) => [cell, now] as const))

    return withBehind<CircuitBreaker>({
      protect: protectOf(circuits, options.classify ?? classify),
      state: (key = defaultKey) => Effect.map(looked(key), ([cell]) => Circuit.visible(cell.state)),
      snapshot: (key = defaultKey) =>
        Effect.map(looked(key), ([cell, now]) => snapshotOf(circuits, cell, now)),
      keys: Effect.map(all, (cells) => cells.map(([{ key }]) => key)),
      snapshots: Effect.map(all, (cells) =>
        cells.map(([cell, now]) => snapshotOf(circuits, cell, now))),
      transitions: transitionsOf(circuits),
      ...controlsOf(circuits),
      exportState: turn((clock, now) =>
        CircuitState.encode(
          clock.unsafeCurrentTimeMillis(),
          circuits.all(clock, now).map(({ key, state }) =>
            CircuitState.exported(key, state, now)
          ),
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
  })

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
  extends Guard.TagClass<Self, Id, CircuitBreaker, [options?: Options], Protect<Self>>
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
  Guard.tagClass(id, make)
