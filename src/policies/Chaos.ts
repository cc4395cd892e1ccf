/**
 * Injects faults at a known rate, to test how the program handles them.
 *
 * Retries, breakers and fallbacks run rarely, and during an outage they are the code that runs.
 * Chaos delays, fails or interrupts calls on purpose, at a known rate and in the same order each
 * time. It sits innermost, where real failures come from. It is off until `Enabled` is provided as
 * `true`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Core from "../core/chaos.js"
import * as CallContext from "../runtime/callContext.js"
import * as Validate from "../runtime/validate.js"

/**
 * Switches faults on. Default `false`.
 *
 * @since 0.1.0
 * @category references
 */
export class Enabled extends Context.Reference<Enabled>()("effect-resilience/Chaos/Enabled", {
  defaultValue: (): boolean => false
}) {}

/**
 * Switches faults on for the effects that it is provided to.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEnabled: Layer.Layer<never> = Layer.succeed(Enabled, true)

/**
 * A fault of one call. `A` is what the fault can make the call succeed with, `E` what it can make
 * it fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault<A = never, E = never> =
  | {
    /** Names the case. */
    readonly _tag: "Latency"
    /** How long the call is delayed. */
    readonly duration: Duration.Duration
  }
  | {
    /** Names the case. */
    readonly _tag: "Failure"
    /** Makes the error that the call fails with. */
    readonly error: () => E
  }
  | {
    /** Names the case. */
    readonly _tag: "Outcome"
    /** Makes the value that the call succeeds with. */
    readonly value: () => A
  }
  | {
    /** Names the case. */
    readonly _tag: "Interruption"
  }

/**
 * Delays the call by this duration, then runs it.
 *
 * @since 0.1.0
 * @category faults
 */
export const latency = (duration: Duration.DurationInput): Fault => ({
  _tag: "Latency",
  duration: Validate.finiteDuration("duration", duration)
})

/**
 * Fails the call with this error, without running it. Each fault makes a new error.
 *
 * @since 0.1.0
 * @category faults
 */
export const failure = <E>(error: () => E): Fault<never, E> => ({ _tag: "Failure", error })

/**
 * Succeeds with this value, without running the call: an empty page, a stale answer.
 *
 * @since 0.1.0
 * @category faults
 */
export const outcome = <A>(value: () => A): Fault<A> => ({ _tag: "Outcome", value })

/**
 * Interrupts the call without running it, as if its caller had gone away.
 *
 * @since 0.1.0
 * @category faults
 */
export const interruption: Fault = { _tag: "Interruption" }

/**
 * The options of a source of faults.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<Faults extends ReadonlyArray<Fault<unknown, unknown>>> {
  /** The faults to inject, each equally often. At least one (required). */
  readonly faults: Faults
  /** The share of calls that get a fault, from 0 to 1. Default 0.1. */
  readonly rate?: number | undefined
  /** A whole number. The same seed gives the same calls the same faults. Default 0. */
  readonly seed?: number | undefined
}

/**
 * The values that these faults can make a call succeed with.
 *
 * @since 0.1.0
 * @category models
 */
export type Value<F> = F extends { readonly _tag: "Outcome"; readonly value: () => infer A } ? A
  : never

/**
 * The errors that these faults can make a call fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure<F> = F extends { readonly _tag: "Failure"; readonly error: () => infer E } ? E
  : never

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `rate`. */
  rate: 0.1,
  /** Default of the option `seed`. */
  seed: 0
} as const

/**
 * A source of faults. The n-th call gets the fault that the seed has for it, independent of the
 * other calls. Safe for concurrent callers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Chaos<out A2 = never, out E2 = never> {
  /** Runs a call, with a fault where the seed has one for it. */
  readonly protect: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E | E2, R>
  /** Lists what the last calls got, newest last, at most 1000 of them. */
  readonly injected: Effect.Effect<ReadonlyArray<Injected>>
}

/**
 * What one call got: `none`, or the fault that was injected.
 *
 * @since 0.1.0
 * @category models
 */
export type Injected = "none" | "latency" | "failure" | "outcome" | "interruption"

const names: Readonly<Record<Fault["_tag"], Injected>> = {
  Latency: "latency",
  Failure: "failure",
  Outcome: "outcome",
  Interruption: "interruption"
}

const injections = Metric.counter("resilience.chaos.injected", {
  description: "Faults injected on purpose",
  incremental: true
})

const report = (name: Injected): Effect.Effect<void> =>
  Effect.zipRight(
    Effect.annotateCurrentSpan("resilience.chaos.fault", name),
    CallContext.count(Metric.tagged(injections, "fault", name))
  )

const struck = <A, E, R, A2, E2>(
  self: Effect.Effect<A, E, R>,
  fault: Fault<A2, E2>
): Effect.Effect<A | A2, E | E2, R> => {
  switch (fault._tag) {
    case "Latency":
      return Effect.zipRight(Effect.sleep(fault.duration), self)
    case "Failure":
      return Effect.failSync(fault.error)
    case "Outcome":
      return Effect.sync(fault.value)
    case "Interruption":
      return Effect.interrupt
  }
}

/** How many of the last calls are remembered. */
const remembered = 1000

/**
 * Makes a source of faults. Invalid options die with `RangeError`, which names field and value.
 *
 * **When to use**
 *
 * In tests and in staging, around the call itself, inside the guards that should be tested.
 *
 * **Details**
 *
 * Calls are counted only while chaos is enabled. O(1) per call; while it is off, a look at
 * `Enabled`. The span (`resilience.chaos.fault`) and the metric `resilience.chaos.injected` show
 * each fault.
 *
 * **Gotchas**
 *
 * Which of several concurrent calls is the n-th depends on which comes first. A retried call counts
 * once for each attempt.
 *
 * **Example** (The same bad day twice)
 *
 * ```ts
 * import { ApiError, Chaos } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const day = Effect.gen(function*() {
 *   const chaos = yield* Chaos.make({
 *     seed: 42,
 *     rate: 0.5,
 *     faults: [Chaos.failure(() => new ApiError.Server({ message: "chaos", status: 503 }))]
 *   })
 *   yield* Effect.forEach(Array(20), () => Effect.exit(chaos.protect(Effect.succeed("ok"))))
 *   return (yield* chaos.injected).join()
 * })
 *
 * const [first, second] = await Effect.runPromise(
 *   Effect.provide(Effect.all([day, day]), Chaos.layerEnabled)
 * )
 *
 * first === second // => true
 * await Effect.runPromise(day) // => ""
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Faults extends ReadonlyArray<Fault<unknown, unknown>>>(
  options: Options<Faults>
): Effect.Effect<Chaos<Value<Faults[number]>, Failure<Faults[number]>>> =>
  Effect.sync(() => {
    type A2 = Value<Faults[number]>
    type E2 = Failure<Faults[number]>
    // The same array, as its own type says it.
    const faults = options.faults as ReadonlyArray<Fault<A2, E2>>
    if (faults.length === 0) throw new RangeError("faults should be at least one fault, got none")
    const plan = {
      seed: Validate.integer("seed", options.seed ?? defaults.seed, Number.MIN_SAFE_INTEGER),
      rate: Validate.number("rate", options.rate ?? defaults.rate, 0, 1),
      faults: faults.length
    }
    let calls = 0
    const injected: Array<Injected> = []
    const remember = (name: Injected): void => {
      injected.push(name)
      if (injected.length > 2 * remembered) injected.splice(0, remembered)
    }
    return {
      protect: <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A | A2, E | E2, R> =>
        Effect.flatMap(Enabled, (enabled): Effect.Effect<A | A2, E | E2, R> => {
          if (!enabled) return self
          const index = Core.pick(plan, calls++)
          const fault = index === undefined ? undefined : faults[index]
          if (fault === undefined) {
            remember("none")
            return self
          }
          const name = names[fault._tag]
          remember(name)
          return Effect.zipRight(report(name), struck(self, fault))
        }),
      injected: Effect.sync(() => injected.slice(-remembered))
    }
  })
