/**
 * Finding out beforehand what a bad day does.
 *
 * Retries, breakers and fallbacks are code that hardly ever runs, until it is all that runs. Chaos
 * makes calls late, failed or interrupted on purpose, at a known rate and in the same order each
 * time, so that what is built on top can be watched at work. It sits innermost, where real failures
 * come from, and does nothing at all unless a service says so.
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
 * Whether faults are injected. Off, unless this is provided as `true`.
 *
 * @since 0.1.0
 * @category references
 */
export class Enabled extends Context.Reference<Enabled>()("effect-resilience/Chaos/Enabled", {
  defaultValue: (): boolean => false
}) {}

/**
 * Switches chaos on for everything it is provided to.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEnabled: Layer.Layer<never> = Layer.succeed(Enabled, true)

/**
 * What can befall a call. `A` and `E` are what the fault can make it succeed and fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault<A = never, E = never> =
  | { readonly _tag: "Latency"; readonly duration: Duration.Duration }
  | { readonly _tag: "Failure"; readonly error: () => E }
  | { readonly _tag: "Outcome"; readonly value: () => A }
  | { readonly _tag: "Interruption" }

/**
 * The call is late: it runs after this while.
 *
 * @since 0.1.0
 * @category faults
 */
export const latency = (duration: Duration.DurationInput): Fault => ({
  _tag: "Latency",
  duration: Validate.finiteDuration("duration", duration)
})

/**
 * The call does not run and fails with this. The error is made anew each time.
 *
 * @since 0.1.0
 * @category faults
 */
export const failure = <E>(error: () => E): Fault<never, E> => ({ _tag: "Failure", error })

/**
 * The call does not run and succeeds with this: an empty page, an answer that is out of date.
 *
 * @since 0.1.0
 * @category faults
 */
export const outcome = <A>(value: () => A): Fault<A> => ({ _tag: "Outcome", value })

/**
 * The call does not run and is interrupted, as if somebody had lost interest.
 *
 * @since 0.1.0
 * @category faults
 */
export const interruption: Fault = { _tag: "Interruption" }

/**
 * - `faults`: what is injected, each equally often. At least one.
 * - `rate`: the share of calls that meet one. Default 0.1.
 * - `seed`: a whole number. The same seed gives the same faults to the same calls. Default 0.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<Faults extends ReadonlyArray<Fault<unknown, unknown>>> {
  readonly faults: Faults
  readonly rate?: number | undefined
  readonly seed?: number | undefined
}

/**
 * What these faults can make a call succeed with.
 *
 * @since 0.1.0
 * @category models
 */
export type Value<F> = F extends { readonly _tag: "Outcome"; readonly value: () => infer A } ? A
  : never

/**
 * What these faults can make a call fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure<F> = F extends { readonly _tag: "Failure"; readonly error: () => infer E } ? E
  : never

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { rate: 0.1, seed: 0 } as const

/**
 * A source of faults. The n-th call that goes through it meets what the seed has for the n-th call,
 * whatever became of the others.
 *
 * **Details**
 *
 * `injected` tells what the calls so far have met, newest last, at most the last 1000: `none` or
 * the name of the fault.
 *
 * @since 0.1.0
 * @category models
 */
export interface Chaos<out A2 = never, out E2 = never> {
  readonly protect: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E | E2, R>
  readonly injected: Effect.Effect<ReadonlyArray<Injected>>
}

/**
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
 * A new source of faults. Dies with a `RangeError` that names field and value when an option is
 * nonsense.
 *
 * **When to use**
 *
 * In tests and in staging, around the call itself: inside of everything that should be seen at
 * work.
 *
 * **Details**
 *
 * Calls are counted only while chaos is enabled. O(1) per call; while it is off, a look at
 * `Enabled`. What is injected is on the span (`resilience.chaos.fault`) and in the metric
 * `resilience.chaos.injected`.
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
