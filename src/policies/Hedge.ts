/**
 * Sends a second call when the first one is slow, and takes the answer that comes first.
 *
 * Most calls are fast, and a few are slow for reasons of their own: a garbage collection, a long
 * queue, a lost packet. A caller that waits for the slowest of ten such calls meets one nearly
 * every time. A hedge is a second call, sent when the first one has taken longer than usual. For a
 * few per cent more load, the slow tail nearly disappears.
 *
 * Hedges are sent only where a second execution is harmless. They use the same budget as retries.
 *
 * Source: Dean and Barroso, "The Tail at Scale", 2013.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Latency from "../core/latency.js"
import type * as Operation from "../idempotency/Operation.js"
import type * as RetryBudget from "../retry/RetryBudget.js"
import * as CallContext from "../runtime/callContext.js"
import { nowMillis, turn } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { defaultKey, Keyed, KeyedState } from "../runtime/keyedState.js"
import * as Validate from "../runtime/validate.js"
import * as Guard from "./guard.js"
import { type Plan, Race, type Story } from "./hedge/race.js"

/**
 * A delay that is learned from latencies: this share of the primary calls is faster.
 *
 * @since 0.1.0
 * @category models
 */
export interface Quantile {
  /** Names a delay that is learned. */
  readonly _tag: "Quantile"
  /** The share of primary calls that is faster than the delay, from 0 to 1. */
  readonly quantile: number
  /** The shortest delay. */
  readonly atLeast: Duration.Duration
  /** The longest delay. */
  readonly atMost: Duration.Duration
  /** The delay while fewer than `minimumCalls` latencies are known. */
  readonly initial: Duration.Duration
  /** How many of the last latencies count. */
  readonly samples: number
  /** How many latencies must be known before the delay is learned. */
  readonly minimumCalls: number
}

/**
 * The options of a hedge, as data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R2 = never> {
  /**
   * Says what a second execution would mean (required). `once` is never hedged; `keyed` demands an
   * `IdempotencyKey`.
   */
  readonly operation: Operation.Operation<R2>
  /** The k-th hedge starts `k * delay` after the call (required). */
  readonly delay: Duration.DurationInput
  /** How many calls are sent beside the primary at most. Default 1. */
  readonly hedges?: number | undefined
  /**
   * Pays for hedges: each takes a token. Share it with the retries of the same upstream. Default:
   * none.
   */
  readonly budget?: RetryBudget.RetryBudget | undefined
}

/**
 * The options of a hedge that is made once and shared. Its `delay` may be a `quantile` of the
 * latencies so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface MakeOptions<R2 = never> extends Omit<Options<R2>, "delay"> {
  /** The k-th hedge starts `k * delay` after the call (required). A `quantile` learns the delay. */
  readonly delay: Duration.DurationInput | Quantile
}

/**
 * The options of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** The key whose latencies count, for a delay that is learned. Default `"default"`. */
  readonly key?: string | undefined
}

/**
 * A hedge, with the latencies that it has learned. Safe for concurrent callers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hedge<out R2 = never> {
  /** Runs a call and sends hedges when it is slow. The first success counts. */
  readonly protect: Guard.Protect<never, CallOptions, R2>
  /**
   * Reads how long a call of this key waits before its first hedge. None while too little is known.
   */
  readonly delay: (key?: string) => Effect.Effect<Option.Option<Duration.Duration>>
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `hedges`. */
  hedges: 1,
  /** The defaults of `quantile`. */
  quantile: {
    /** Default of the option `atLeast`. */
    atLeast: Duration.millis(1),
    /** Default of the option `atMost`. */
    atMost: Duration.infinity,
    /** Default of the option `initial`. */
    initial: Duration.infinity,
    /** Default of the option `samples`. */
    samples: 200,
    /** Default of the option `minimumCalls`. */
    minimumCalls: 20
  },
  /** How long the latencies of an unused key are kept. */
  idleTimeToLive: Duration.hours(1)
} as const

/**
 * The largest sizes that options may ask for.
 *
 * @internal
 */
export const bounds = { hedges: 100, samples: 100_000 } as const

/**
 * Learns the delay: this share of the primary calls ends within it. At 0.95, one call in twenty is
 * hedged.
 *
 * **Details**
 *
 * • Set `atLeast` above the latency of cached answers, so that they do not double the real calls.
 * - `samples` takes two numbers for each latency. Below `1 / (1 - quantile)` samples the delay is
 *   the largest of them.
 * - The latency of a primary counts when it succeeds. A primary that was overtaken, cancelled or
 *   failed counts only when it took longer than the delay, so that hedging does not hide a slower
 *   upstream.
 * - O(log samples) per call. Invalid options throw `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const quantile = (quantile: number, options: {
  /** The shortest delay. Default 1 ms. */
  readonly atLeast?: Duration.DurationInput | undefined
  /** The longest delay. Default: none. */
  readonly atMost?: Duration.DurationInput | undefined
  /** The delay while fewer than `minimumCalls` latencies are known. Default: no hedges by time. */
  readonly initial?: Duration.DurationInput | undefined
  /** How many of the last latencies count. Default 200, at most 100,000. */
  readonly samples?: number | undefined
  /** How many latencies must be known first. Default 20, or `samples` if that is less. */
  readonly minimumCalls?: number | undefined
} = {}): Quantile => {
  const byDefault = defaults.quantile
  const samples = Validate.integer(
    "samples",
    options.samples ?? byDefault.samples,
    1,
    bounds.samples
  )
  const atLeast = Validate.finiteDuration("atLeast", options.atLeast ?? byDefault.atLeast)
  const atMost = Validate.duration("atMost", options.atMost ?? byDefault.atMost)
  const minimumCalls = Validate.integer(
    "minimumCalls",
    options.minimumCalls ?? Math.min(byDefault.minimumCalls, samples),
    1
  )
  if (minimumCalls > samples) {
    throw new RangeError(
      `minimumCalls should be at most the ${samples} samples, got ${minimumCalls}`
    )
  }
  if (Duration.greaterThan(atLeast, atMost)) {
    throw new RangeError(
      `atLeast should be at most atMost (${Duration.format(atMost)}), got ${
        Duration.format(atLeast)
      }`
    )
  }
  return {
    _tag: "Quantile",
    quantile: Validate.rate("quantile", quantile),
    atLeast,
    atMost,
    initial: Validate.duration("initial", options.initial ?? byDefault.initial),
    samples,
    minimumCalls
  }
}

const isQuantile = (delay: Duration.DurationInput | Quantile): delay is Quantile =>
  typeof delay === "object" && "_tag" in delay && delay._tag === "Quantile"

const calls = Metric.counter("resilience.hedge.calls", {
  description: "Calls for which a hedge was due, by whose answer they ended with",
  incremental: true
})

const outcomeOf = ({ hedges, isRefused, winner }: Story): string => {
  if (winner !== undefined) return winner > 0 ? "hedge" : hedges > 0 ? "primary" : "refused"
  return isRefused && hedges === 0 ? "refused" : "failed"
}

/** What happened, where an operator looks for it. A call whose hedge was never due says nothing. */
const report = (story: Story): Effect.Effect<void> =>
  story.hedges === 0 && !story.isRefused ? Effect.void : Effect.zipRight(
    Effect.annotateCurrentSpan({
      "resilience.hedge.hedges": story.hedges,
      "resilience.hedge.outcome": outcomeOf(story)
    }),
    CallContext.count(Metric.tagged(calls, "outcome", outcomeOf(story)))
  )

const answerOf = <A, E, R>(race: Race<A, E, R>): Effect.Effect<A, E> =>
  Effect.zipRight(
    report(race.story),
    // An answer is there whenever this is asked.
    Effect.suspend(() => race.result as Effect.Effect<A, E>)
  )

/**
 * The caller waits without a mask, all else is masked: a running attempt is always known to the
 * code that interrupts it. Losers that have to be interrupted while the caller has not waited at
 * all get their turn before the caller goes on.
 */
const raced = <A, E, R>(attempt: Effect.Effect<A, E, R>, plan: Plan): Effect.Effect<A, E, R> =>
  CallContext.attempting(
    plan.isUnsafe,
    (record) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          Effect.runtime<R>(),
          (runtime) =>
            Effect.clockWith((clock) =>
              Effect.fiberIdWith((self) => {
                const race = new Race(runtime, clock, self, attempt, plan, record)
                if (race.result !== undefined) {
                  return race.hasLosers
                    ? Effect.zipRight(Effect.yieldNow(), answerOf(race))
                    : answerOf(race)
                }
                return whenEnded(restore(race.wait), (exit): Effect.Effect<A, E> =>
                  Exit.isFailure(exit)
                    ? Effect.zipRight(race.abandon, Effect.failCause(exit.cause))
                    : answerOf(race))
              })
            )
        )
      )
  )

/** The latencies of one key. */
class Measured extends Keyed {
  constructor(key: string, now: number, readonly latencies: Latency.Latencies) {
    super(key, now)
  }
}

/** What a `Hedge` really is. */
class Built<R2> implements Hedge<R2> {
  readonly #measured: KeyedState<Measured>

  constructor(
    readonly operation: Operation.Operation<R2>,
    readonly hedges: number,
    readonly wait: number | Quantile,
    readonly budget: RetryBudget.RetryBudget | undefined,
    measured?: KeyedState<Measured>
  ) {
    const samples = typeof wait === "number" ? 1 : wait.samples
    this.#measured = measured ?? new KeyedState<Measured>({
      make: (key, now) => new Measured(key, now, Latency.make(samples)),
      idleMillis: Duration.toMillis(defaults.idleTimeToLive)
    })
  }

  /** The same hedging over the same latencies, for another operation and paid by this budget. */
  like<R3>(
    operation: Operation.Operation<R3>,
    budget: RetryBudget.RetryBudget | undefined
  ): Built<R3> {
    return new Built(operation, this.hedges, this.wait, budget, this.#measured)
  }

  #delayMillis(wait: Quantile, latencies: Latency.Latencies): number {
    const known = Latency.count(latencies) < wait.minimumCalls
      ? undefined
      : Latency.quantile(latencies, wait.quantile)
    return known === undefined
      ? Duration.toMillis(wait.initial)
      : Math.min(Duration.toMillis(wait.atMost), Math.max(Duration.toMillis(wait.atLeast), known))
  }

  #run<A, E, R>(self: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E, R> {
    const { budget, hedges, wait } = this
    if (hedges === 0 || this.operation._tag === "Once") return self
    const isUnsafe = this.operation._tag === "Keyed"
    const attempt = isUnsafe ? CallContext.insideAttempt(self) : self
    if (typeof wait === "number") {
      return raced(attempt, { hedges, delayMillis: wait, budget, isUnsafe, observe: undefined })
    }
    return Effect.clockWith((clock) => {
      const { latencies } = this.#measured.use(key, clock, nowMillis(clock))
      const observe = (millis: number) => Latency.record(latencies, millis)
      return raced(attempt, {
        hedges,
        delayMillis: this.#delayMillis(wait, latencies),
        budget,
        isUnsafe,
        observe
      })
    })
  }

  readonly protect: Hedge<R2>["protect"] = dual(
    Guard.isDataFirst,
    <A, E, R>(self: Effect.Effect<A, E, R>, options?: CallOptions) =>
      this.#run(self, options?.key ?? defaultKey)
  )

  readonly delay = (key = defaultKey): Effect.Effect<Option.Option<Duration.Duration>> =>
    turn((clock, now) => {
      const { wait } = this
      const millis = typeof wait === "number"
        ? wait
        : this.#delayMillis(wait, this.#measured.look(key, clock, now).latencies)
      return Number.isFinite(millis) ? Option.some(Duration.millis(millis)) : Option.none()
    })
}

const build = <R2>(options: MakeOptions<R2>): Built<R2> =>
  new Built(
    options.operation,
    Validate.integer("hedges", options.hedges ?? defaults.hedges, 0, bounds.hedges),
    // Checked once more, since a quantile is plain data that can be written by hand.
    isQuantile(options.delay)
      ? quantile(options.delay.quantile, options.delay)
      : Duration.toMillis(Validate.duration("delay", options.delay)),
    options.budget
  )

/**
 * Makes a hedge whose state can be shared and read. Invalid options die with `RangeError`, which
 * names field and value.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R2 = never>(options: MakeOptions<R2>): Effect.Effect<Hedge<R2>> =>
  Effect.sync(() => build(options))

/**
 * Hedging like this one over the same latencies, for another kind of operation and paid by another
 * budget: for a caller that knows better what each call is.
 *
 * @internal
 */
export const like = <R2, R3>(
  hedge: Hedge<R2>,
  { budget, operation }: {
    readonly operation: Operation.Operation<R3>
    readonly budget: RetryBudget.RetryBudget | undefined
  }
): Hedge<R3> =>
  // Every hedge was made here.
  (hedge as Built<R2>).like(operation, budget)

/** Learns nothing, so that it can be made anew for each call. */
const fixed = <R2>(options: Options<R2>): Built<R2> => {
  if (isQuantile(options.delay)) {
    throw new RangeError(
      "delay should be a duration here, got a quantile: " +
        "what is learned needs a hedge that is made once, with Hedge.make"
    )
  }
  return build(options)
}

/**
 * Sends a call again when it takes longer than `delay`, and takes the first success.
 *
 * **When to use**
 *
 * Around a call whose slowest answers are much slower than most, for an upstream with a few per
 * cent of spare capacity. Put it around one attempt, inside the retry. A pipeline has a stage for
 * it.
 *
 * **Details**
 *
 * • The k-th hedge starts `k * delay` after the call. When the primary fails, or no attempt runs
 * any more, the next hedge starts at once.
 * - The first success counts. The other attempts are interrupted, and the answer does not wait for
 *   their finalizers.
 * - When all fail, the call fails with the error of the primary, marked with `mayHaveRun` when any
 *   attempt may have been executed. A hedge that fails while others run changes nothing.
 * - No hedge starts after a failure that forbids another try now: an answer of the API (`Auth`,
 *   `Validation` and so on), a `retryAfter`, or a rejection by a guard. A defect of the primary
 *   ends the call at once.
 * - Without a token in the budget no further hedge starts; the primary goes on. Hedges pay nothing
 *   in; the retry does that.
 * - Interrupting the caller interrupts all attempts and waits for them.
 * - Fiber refs are those of the winning attempt. If a hedge was due, the span has
 *   `resilience.hedge.hedges` and `resilience.hedge.outcome`, and the metric
 *   `resilience.hedge.calls` counts the outcome.
 * - Each attempt is forked. A primary that never waits needs no timer.
 * - Invalid options throw `RangeError`.
 *
 * **Gotchas**
 *
 * Losing attempts may have been executed: the `operation` says whether that is harmless. A learned
 * delay needs a hedge that is made once, with `make`. Finalizers of losers may still run when the
 * caller has its answer, and when its scope closes.
 *
 * **Example** (The replica that answers first)
 *
 * ```ts
 * import { Hedge, Operation } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * let calls = 0
 * const read = Effect.suspend(() =>
 *   ++calls === 1 ? Effect.as(Effect.sleep("5 seconds"), "slow") : Effect.succeed("fast")
 * )
 *
 * const program = read.pipe(Hedge.hedge({ operation: Operation.read, delay: "20 millis" }))
 *
 * await Effect.runPromise(program) // => "fast"
 * calls // => 2
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const hedge: {
  /**
   * Sends a second call when the first is slow, and takes the first success. Effect last, for
   * `pipe`. Invalid options throw `RangeError`.
   */
  <R2 = never>(
    options: Options<R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  /**
   * Sends a second call when the first is slow, and takes the first success. Effect first. Invalid
   * options throw `RangeError`.
   */
  <A, E, R, R2 = never>(
    self: Effect.Effect<A, E, R>,
    options: Options<R2>
  ): Effect.Effect<A, E, R | R2>
} = dual(
  (args) => {
    const dataFirst = Guard.isDataFirst(args)
    // Options that come before the effect are checked when they come, not when the effect does.
    if (!dataFirst) fixed(args[0])
    return dataFirst
  },
  <A, E, R, R2>(self: Effect.Effect<A, E, R>, options: Options<R2>): Effect.Effect<A, E, R | R2> =>
    fixed(options).protect(self)
)
