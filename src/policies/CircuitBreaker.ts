/**
 * Not calling what evidently does not work.
 *
 * A circuit watches the outcomes of the calls to one upstream. When too many of the last ones
 * failed or were slow it opens, and calls are rejected at once instead of waiting for a failure
 * that is to be expected; after a while a few trials find out whether it works again. This spares
 * the callers the waiting, and the upstream the load that keeps it down.
 *
 * The machine is pure (`core/circuit`); this file reads the clock, keeps one state for each key,
 * and lets interruption be no failure.
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
 * What callers see. `Isolated`, `ForcedOpen`, `ForcedClosed` and `Disabled` are an operator's.
 *
 * @since 0.1.0
 * @category models
 */
export type State = Circuit.Visible

/**
 * One circuit at one moment.
 *
 * **Details**
 *
 * `calls`, `failures` and `slow` are what the window holds; the rates are none below
 * `minimumCalls`. `inFlight` counts everything that still runs, `rejected` everything rejected
 * since the circuit was made, `openings` the consecutive openings.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly key: string
  readonly state: State
  readonly calls: number
  readonly failures: number
  readonly slow: number
  readonly failureRate: Option.Option<number>
  readonly slowRate: Option.Option<number>
  readonly inFlight: number
  readonly rejected: number
  readonly openings: number
  readonly retryAfter: Option.Option<Duration.Duration>
}

/**
 * `key`: which circuit, default `"default"`. `classify`: what the exit of this call says, instead
 * of the breaker's own.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProtectOptions<in A = never, in E = never> {
  readonly key?: string | undefined
  readonly classify?: ((exit: Exit.Exit<A, E>) => Outcome) | undefined
}

/**
 * Runs a call under a circuit, effect first or effect last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never> {
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: ProtectOptions<A, E>
  ): Effect.Effect<A, E | CircuitOpen, R | Self>
  (options?: { readonly key?: string | undefined; readonly classify?: undefined }): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | CircuitOpen, R | Self>
  <A, E>(options: ProtectOptions<NoInfer<A>, NoInfer<E>>): <R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | CircuitOpen, R | Self>
}

/**
 * A breaker: any number of circuits by key, under one set of options. Safe for any number of
 * concurrent callers; every method is atomic.
 *
 * **Details**
 *
 * - `protect` fails with `CircuitOpen` without running the call when the circuit does not admit it.
 *   Interruption is no failure.
 * - `transitions` tells every change of what callers see, from when it is listened to. Without
 *   listeners it costs nothing.
 * - Operator controls (see `Controls`) are for one key or for all of them. The last command wins,
 *   isolation outranks all. A command for a key that no call has used applies, and is warned about
 *   once with the keys in use.
 * - `exportState` and `importState` carry all keys across a restart as JSON. Importing what is not
 *   of this format fails and changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreaker extends Controls, Guard.View<Snapshot> {
  readonly protect: Protect
  readonly state: (key?: string) => Effect.Effect<State>
  readonly transitions: Stream.Stream<Transition>
  readonly exportState: Effect.Effect<unknown>
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
 * Records the outcome. A `classify` that throws ignores the call, frees its place and is the
 * defect that it is.
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
 * A new breaker. Dies with a `RangeError` that names field and value when an option is nonsense.
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
 * The breaker of a program that needs one. Programs with several make a `Tag` for each.
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
 * The default breaker as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<CircuitBreaker> =>
  Layer.effect(CircuitBreaker, make(options))

/**
 * Runs a call under a circuit of the default breaker.
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
 * A tag for one of several breakers in a program.
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
