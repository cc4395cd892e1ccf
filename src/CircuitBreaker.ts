/**
 * Not calling what evidently does not work.
 *
 * A circuit watches the outcomes of the calls to one upstream. When too many of the last ones failed or were slow it opens, and calls are rejected
 * at once instead of waiting for a failure that is to be expected; after a while a few trials find out whether it works again. This spares the
 * callers the waiting, and the upstream the load that keeps it down.
 *
 * The machine is pure (`core/circuit`); this file reads the clock, keeps one state for each key, and lets interruption be no failure.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ApiError from "./ApiError.js"
import * as Backoff from "./Backoff.js"
import * as Check from "./check.js"
import * as CircuitState from "./circuitState.js"
import * as Circuit from "./core/circuit.js"
import * as Idempotency from "./Idempotency.js"
import * as Rejection from "./Rejection.js"
import { type Cell, CircuitOpen, Circuits, nowMillis, type Transition } from "./circuits.js"

export { CircuitOpen } from "./circuits.js"
export type { Transition } from "./circuits.js"

/**
 * Which outcomes count: the last `size` of them, or those of the last `duration`.
 *
 * @since 0.1.0
 * @category models
 */
export type Window =
  | { readonly _tag: "Count"; readonly size: number }
  | { readonly _tag: "Time"; readonly duration: Duration.Duration; readonly buckets: number }

/**
 * How trials decide: `n` successes in a row, or the share of bad ones among `n`.
 *
 * @since 0.1.0
 * @category models
 */
export type HalfOpen =
  | { readonly _tag: "Consecutive"; readonly trials: number }
  | { readonly _tag: "Rate"; readonly trials: number; readonly threshold: number }

/**
 * What an ended call says about the upstream. `Ignored` says nothing. `retryAfter` is what the server asked for.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "Success" }
  | { readonly _tag: "Failure"; readonly retryAfter?: Duration.Duration | undefined }
  | { readonly _tag: "Ignored"; readonly retryAfter?: Duration.Duration | undefined }

/**
 * A window of the last `size` outcomes. Takes a byte for each.
 *
 * @since 0.1.0
 * @category constructors
 */
export const count = (size: number): Window => ({ _tag: "Count", size: Check.integer("size", size, 1) })

/**
 * A window of the outcomes of the last `duration`, cut into `buckets` (default 10).
 *
 * @since 0.1.0
 * @category constructors
 */
export const time = (
  duration: Duration.DurationInput,
  options?: { readonly buckets?: number | undefined }
): Window => ({
  _tag: "Time",
  duration: Check.finiteDuration("duration", Check.positiveDuration("duration", duration)),
  buckets: Check.integer("buckets", options?.buckets ?? 10, 1)
})

/**
 * Closes after `trials` successes in a row; one failed or slow trial opens again.
 *
 * @since 0.1.0
 * @category constructors
 */
export const consecutive = (trials: number): HalfOpen => ({
  _tag: "Consecutive",
  trials: Check.integer("trials", trials, 1)
})

/**
 * Opens again when at least `threshold` of the `trials` failed or were slow, closes otherwise, each as soon as it is certain.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rate = (options: { readonly trials: number; readonly threshold: number }): HalfOpen => ({
  _tag: "Rate",
  trials: Check.integer("trials", options.trials, 1),
  threshold: Check.rate("threshold", options.threshold)
})

/**
 * The upstream works.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const success: Outcome = { _tag: "Success" }

/**
 * The upstream does not work. Where it said how long it will not, and this failure opens the circuit, it stays open at least that long.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const failure = (options?: { readonly retryAfter?: Duration.DurationInput | undefined }): Outcome =>
  options?.retryAfter === undefined
    ? { _tag: "Failure" }
    : { _tag: "Failure", retryAfter: Check.duration("retryAfter", options.retryAfter) }

/**
 * Says nothing about the upstream.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const ignored: Outcome = { _tag: "Ignored" }

/**
 * - `window`: which outcomes count. Default: the last 20.
 * - `minimumCalls`: how many of them there must be. Default 10, or the size of a smaller window.
 * - `failureRate`: opens at this share of failures. Default 0.5.
 * - `slowCall`: opens when at least `rate` of the calls took longer than `duration`. Default 0.6 above 3 s; `false`: slowness does not count.
 * - `openDuration`: how long it stays open. Default 30 s. A `Backoff` grows it with each consecutive opening.
 * - `maxOpenDuration`: the most that growth and a server's own wish can make of it. Default 5 min.
 * - `halfOpen`: how trials decide. Default: 3 successes in a row.
 * - `trialTimeout`: when a trial that has not ended loses its slot. Default: the time it was open, at least 10 s.
 * - `idleTimeToLive`: when an unused key is forgotten. Default 1 h.
 * - `classify`: what an exit says. Default `classify`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly window?: Window | undefined
  readonly minimumCalls?: number | undefined
  readonly failureRate?: number | undefined
  readonly slowCall?: { readonly duration: Duration.DurationInput; readonly rate: number } | false | undefined
  readonly openDuration?: Duration.DurationInput | Backoff.Backoff | undefined
  readonly maxOpenDuration?: Duration.DurationInput | undefined
  readonly halfOpen?: HalfOpen | undefined
  readonly trialTimeout?: Duration.DurationInput | undefined
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
}

/**
 * The values that the Widget Session API recommends to its callers.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  window: count(20),
  minimumCalls: 10,
  failureRate: 0.5,
  slowCall: { duration: Duration.seconds(3), rate: 0.6 },
  openDuration: Duration.seconds(30),
  maxOpenDuration: Duration.minutes(5),
  halfOpen: consecutive(3),
  idleTimeToLive: Duration.hours(1)
} as const

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
 * `calls`, `failures` and `slow` are what the window holds; the rates are none below `minimumCalls`. `inFlight` counts everything that still runs,
 * `rejected` everything rejected since the circuit was made, `openings` the consecutive openings.
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
 * `key`: which circuit, default `"default"`. `classify`: what the exit of this call says, instead of the breaker's own.
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
 * A breaker: any number of circuits by key, under one set of options. Safe for any number of concurrent callers; every method is atomic.
 *
 * **Details**
 *
 * - `protect` fails with `CircuitOpen` without running the call when the circuit does not admit it. Interruption is no failure.
 * - `transitions` tells every change of what callers see, from when it is listened to. Without listeners it costs nothing.
 * - `isolate` rejects everything until its scope is closed; handles are counted. `forceOpen`, `forceClosed` and `disable` (passes everything,
 *   counts nothing) last until the next of them or `reset`, which closes and empties the circuit.
 * - `exportState` and `importState` carry all keys across a restart as JSON. Importing what is not of this format fails and changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreaker {
  readonly protect: Protect
  readonly state: (key?: string) => Effect.Effect<State>
  readonly snapshot: (key?: string) => Effect.Effect<Snapshot>
  readonly transitions: Stream.Stream<Transition>
  readonly isolate: (key?: string) => Effect.Effect<void, never, Scope.Scope>
  readonly forceOpen: (key?: string) => Effect.Effect<void>
  readonly forceClosed: (key?: string) => Effect.Effect<void>
  readonly disable: (key?: string) => Effect.Effect<void>
  readonly reset: (key?: string) => Effect.Effect<void>
  readonly exportState: Effect.Effect<unknown>
  readonly importState: (state: unknown) => Effect.Effect<void, ParseResult.ParseError>
}

const defaultKey = "default"

const windowOf = (window: Window): Circuit.Policy["window"] =>
  window._tag === "Count"
    ? { _tag: "Count", size: Check.integer("window.size", window.size, 1) }
    : {
      _tag: "Time",
      durationMillis: Duration.toMillis(Check.positiveDuration("window.duration", window.duration)),
      buckets: Check.integer("window.buckets", window.buckets, 1)
    }

const minimumOf = (minimumCalls: number | undefined, window: Circuit.Policy["window"]): number => {
  const size = window._tag === "Count" ? window.size : Infinity
  const minimum = Check.integer("minimumCalls", minimumCalls ?? Math.min(defaults.minimumCalls, size), 1)
  if (minimum > size) {
    throw new RangeError(`minimumCalls should be at most the window's size of ${size}, got ${minimum}`)
  }
  return minimum
}

const halfOpenOf = (halfOpen: HalfOpen): HalfOpen => {
  Check.integer("halfOpen.trials", halfOpen.trials, 1)
  if (halfOpen._tag === "Rate") Check.rate("halfOpen.threshold", halfOpen.threshold)
  return halfOpen
}

const isBackoff = (open: Duration.DurationInput | Backoff.Backoff): open is Backoff.Backoff =>
  typeof open === "object" && "_tag" in open

const positiveMillis = (field: string, input: Duration.DurationInput): number =>
  Duration.toMillis(Check.finiteDuration(field, Check.positiveDuration(field, input)))

/** The options in plain numbers. Throws a `RangeError` that names field and value. */
export const policyOf = (options: Options): Circuit.Policy => {
  const window = windowOf(options.window ?? defaults.window)
  const slowCall = options.slowCall ?? defaults.slowCall
  const open = options.openDuration ?? defaults.openDuration
  return {
    window,
    minimumCalls: minimumOf(options.minimumCalls, window),
    failureRate: Check.rate("failureRate", options.failureRate ?? defaults.failureRate),
    slow: slowCall === false ? undefined : {
      overMillis: Duration.toMillis(Check.positiveDuration("slowCall.duration", slowCall.duration)),
      rate: Check.rate("slowCall.rate", slowCall.rate)
    },
    open: isBackoff(open) ? Backoff.toCore(open) : positiveMillis("openDuration", open),
    maxOpenMillis: positiveMillis("maxOpenDuration", options.maxOpenDuration ?? defaults.maxOpenDuration),
    halfOpen: halfOpenOf(options.halfOpen ?? defaults.halfOpen),
    trialTimeoutMillis: options.trialTimeout === undefined
      ? undefined
      : positiveMillis("trialTimeout", options.trialTimeout)
  }
}

/** A wait that a server asked for, kept in an outcome. */
const waiting = (_tag: "Failure" | "Ignored", retryAfter: Duration.Duration | undefined): Outcome =>
  retryAfter === undefined ? { _tag } : { _tag, retryAfter }

const classifyError = (error: unknown): Outcome => {
  if (Rejection.isRejection(error) || error instanceof Idempotency.UnknownOutcome) return ignored
  const tag = ApiError.isApiError(error) ? error._tag : ApiError.tagOfResponseError(error)
  switch (tag) {
    case "Auth":
    case "Policy":
    case "Validation":
    case "NotFound":
    case "Conflict":
    case "Locked":
      return success
    default: {
      const verdict = ApiError.verdict(error)
      const retryAfter = verdict._tag === "Terminal" ? undefined : Option.getOrUndefined(verdict.retryAfter)
      return waiting(tag === "RateLimit" ? "Ignored" : "Failure", retryAfter)
    }
  }
}

/**
 * What an exit says about the upstream.
 *
 * **Details**
 *
 * - Success: a success, and so are `Auth`, `Policy`, `Validation`, `NotFound`, `Conflict` and `Locked`: the server evidently works.
 * - `Server`, `Timeout`, `Network`, defects and errors that are not ours: failures.
 * - `RateLimit`, interruption and the rejections of our own guards: ignored.
 * - A `ResponseError` of the platform's client goes by its status.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const classify = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return success
  if (Cause.isInterruptedOnly(exit.cause)) return ignored
  const error = Cause.failureOption(exit.cause)
  return Option.isNone(error) || Option.isSome(Cause.dieOption(exit.cause)) ? failure() : classifyError(error.value)
}

/** What is taken down of an exit. An interrupted call that was already too slow was slow: else a server that never answers would go unnoticed. */
const resultOf = (
  policy: Circuit.Policy,
  exit: Exit.Exit<unknown, unknown>,
  outcome: Outcome,
  durationMillis: number,
  unit: number
): Circuit.Result => {
  const retryAfterMillis = outcome._tag === "Success" || outcome.retryAfter === undefined
    ? undefined
    : Duration.toMillis(outcome.retryAfter)
  const isSlowInterruption = outcome._tag === "Ignored" && policy.slow !== undefined &&
    durationMillis > policy.slow.overMillis && Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)
  return { _tag: isSlowInterruption ? "Success" : outcome._tag, retryAfterMillis, durationMillis, unit }
}

type Classify<A, E> = (exit: Exit.Exit<A, E>) => Outcome

const openFor = (key: string, millis: number): CircuitOpen =>
  new CircuitOpen({ key, retryAfter: millis === Infinity ? Duration.infinity : Duration.millis(millis) })

/**
 * The one place that guards a call. From admission to taking down the outcome nothing can interrupt, but the call itself.
 */
const guard = <A, E, R>(
  circuits: Circuits,
  self: Effect.Effect<A, E, R>,
  key: string,
  classify: Classify<A, E>
): Effect.Effect<A, E | CircuitOpen, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.clockWith((clock): Effect.Effect<A, E | CircuitOpen, R> => {
      const started = nowMillis(clock)
      const cell = circuits.cell(key, clock, started)
      const token = circuits.admit(cell, clock, started)
      if (typeof token === "number") return Effect.fail(openFor(key, token))
      const leave = (exit: Exit.Exit<A, E>, unit: number): Exit.Exit<A, E> => {
        const now = nowMillis(clock)
        let outcome: Outcome = ignored
        try {
          outcome = classify(exit)
        } finally {
          circuits.record(cell, token, resultOf(circuits.policy, exit, outcome, now - started, unit), clock, now)
        }
        return exit
      }
      const done = typeof circuits.policy.open === "number"
        ? (exit: Exit.Exit<A, E>) => leave(exit, 0)
        : (exit: Exit.Exit<A, E>) => Effect.flatMap(Random.next, (unit) => leave(exit, unit))
      return Effect.matchCauseEffect(restore(self), {
        onFailure: (cause) => done(Exit.failCause(cause)),
        onSuccess: (value) => done(Exit.succeed(value))
      })
    })
  )

const protectOf = (circuits: Circuits, byDefault: Classify<unknown, unknown>): Protect => {
  const run = <A, E, R>(self: Effect.Effect<A, E, R>, options?: ProtectOptions<A, E>) =>
    guard(circuits, self, options?.key ?? defaultKey, options?.classify ?? byDefault)
  return dual((args) => Effect.isEffect(args[0]), run)
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
    retryAfter: wait === undefined ? Option.none() : Option.some(openFor(key, wait).retryAfter)
  }
}

/**
 * Every transition from now on. While somebody listens, the end of an opening is told when it comes; the fibers that wait for it belong to the
 * listener's scope.
 */
const transitionsOf = (circuits: Circuits): Stream.Stream<Transition> =>
  Stream.asyncPush<Transition>((emit) =>
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const clock = yield* Effect.clock
      const fork = Runtime.runFork(yield* Effect.runtime<never>())
      const look = (key: string) => Effect.sync(() => circuits.find(key, clock, nowMillis(clock)))
      const lookAfter = (key: string, wait: Duration.Duration) =>
        Duration.isFinite(wait) ? void fork(Effect.delay(look(key), wait), { scope }) : undefined
      const listener = (transition: Transition) => {
        emit.single(transition)
        if (transition.to === "Open" && transition.retryAfter !== undefined) {
          lookAfter(transition.key, transition.retryAfter)
        }
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => circuits.listeners.add(listener)),
        () => Effect.sync(() => circuits.listeners.delete(listener))
      )
      const now = nowMillis(clock)
      for (const { key, state } of circuits.cells.values()) {
        if (state.phase._tag === "Open") lookAfter(key, Duration.millis(Math.max(0, state.phase.untilMillis - now)))
      }
    }), { bufferSize: "unbounded" })

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
 *   const breaker = yield* CircuitBreaker.make({ window: CircuitBreaker.count(4), minimumCalls: 2 })
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
    const idleMillis = positiveMillis("idleTimeToLive", options.idleTimeToLive ?? defaults.idleTimeToLive)
    const circuits = new Circuits(policyOf(options), idleMillis)

    const turn = <A>(f: (clock: Clock.Clock, now: number) => A): Effect.Effect<A> =>
      Effect.clockWith((clock) => Effect.sync(() => f(clock, nowMillis(clock))))
    const look = <A>(key: string, f: (cell: Cell, now: number) => A) =>
      turn((clock, now) => f(circuits.find(key, clock, now) ?? circuits.fresh(key, now), now))
    const change = (key: string, f: (state: Circuit.State, now: number) => Circuit.State) =>
      turn((clock, now) => {
        const cell = circuits.cell(key, clock, now)
        circuits.change(cell, f(cell.state, now), clock, now)
      })
    const order = (order: Circuit.Order) => (key = defaultKey) => change(key, (state) => Circuit.order(state, order))

    return {
      protect: protectOf(circuits, options.classify ?? classify),
      state: (key = defaultKey) => look(key, ({ state }) => Circuit.visible(state)),
      snapshot: (key = defaultKey) => look(key, (cell, now) => snapshotOf(circuits, cell, now)),
      transitions: transitionsOf(circuits),
      isolate: (key = defaultKey) =>
        Effect.acquireRelease(
          change(key, (state) => Circuit.isolate(state, 1)),
          () => change(key, (state) => Circuit.isolate(state, -1))
        ),
      forceOpen: order("ForcedOpen"),
      forceClosed: order("ForcedClosed"),
      disable: order("Disabled"),
      reset: (key = defaultKey) => change(key, Circuit.reset),
      exportState: turn((clock, now) => {
        const cells = [...circuits.cells.keys()].flatMap((key) => circuits.find(key, clock, now) ?? [])
        const exported = cells.map(({ key, state }) => CircuitState.exported(key, state, now))
        return CircuitState.encode(clock.unsafeCurrentTimeMillis(), exported)
      }),
      importState: (json) =>
        Effect.flatMap(CircuitState.decode(json), ({ circuits: imported, exportedAt }) =>
          turn((clock, now) => {
            const passed = Math.max(0, clock.unsafeCurrentTimeMillis() - exportedAt)
            for (const circuit of imported) circuits.restore(circuit, passed, clock, now)
          }))
    }
  })

/**
 * The breaker of a program that needs one. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const CircuitBreaker: Context.Tag<CircuitBreaker, CircuitBreaker> = Context.GenericTag<CircuitBreaker>(
  "effect-resilience/CircuitBreaker"
)

/**
 * The default breaker as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<CircuitBreaker> => Layer.effect(CircuitBreaker, make(options))

const protectThrough = <Self>(tag: Context.Tag<Self, CircuitBreaker>): Protect<Self> =>
  dual(
    (args) => Effect.isEffect(args[0]),
    <A, E, R>(self: Effect.Effect<A, E, R>, options?: ProtectOptions<A, E>) =>
      Effect.flatMap(tag, (breaker) => breaker.protect(self, options))
  )

/**
 * Runs a call under a circuit of the default breaker.
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: Protect<CircuitBreaker> = protectThrough(CircuitBreaker)

/**
 * A tag for one of several breakers, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string> extends Context.TagClass<Self, Id, CircuitBreaker> {
  readonly layer: (options?: Options) => Layer.Layer<Self>
  readonly protect: Protect<Self>
}

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
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> => {
  const Base = Context.Tag(id)<Self, CircuitBreaker>()
  return Object.assign(Base, {
    layer: (options?: Options) => Layer.effect(Base, make(options)),
    protect: protectThrough(Base)
  })
}
