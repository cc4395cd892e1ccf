/**
 * Asking again before the first answer is late.
 *
 * Most calls are fast and a few are slow for no reason of their own: a collector ran, a queue was
 * long, a packet got lost. Whoever waits for the slowest of ten such calls meets one nearly every
 * time. A hedge is a second call, sent when the first one has taken longer than usual; the answer
 * that comes first counts. For a few per cent more load, the slow tail all but disappears (Dean and
 * Barroso, "The Tail at Scale", 2013).
 *
 * It is only done where doing it twice is harmless, and it is paid for from the same budget as
 * retries.
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
 * A delay that is learned: this share of the primary calls is faster.
 *
 * @since 0.1.0
 * @category models
 */
export interface Quantile {
  readonly _tag: "Quantile"
  readonly quantile: number
  readonly atLeast: Duration.Duration
  readonly atMost: Duration.Duration
  readonly initial: Duration.Duration
  readonly samples: number
  readonly minimumCalls: number
}

/**
 * How a call is hedged, as data.
 *
 * **Details**
 *
 * - `operation`: what running it twice would mean. `once` is never hedged; `keyed` demands an
 *   `IdempotencyKey`, the same for all hedges.
 * - `delay`: the k-th hedge starts `k * delay` after the call.
 * - `hedges`: the most that are sent beside the primary. Default 1.
 * - `budget`: shared by all calls to one upstream, and with its retries; each hedge takes a token.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R2 = never> {
  readonly operation: Operation.Operation<R2>
  readonly delay: Duration.DurationInput
  readonly hedges?: number | undefined
  readonly budget?: RetryBudget.RetryBudget | undefined
}

/**
 * The same for a hedge that is made once and shared: here the `delay` may also be learned, as a
 * `quantile` of the latencies measured so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface MakeOptions<R2 = never> extends Omit<Options<R2>, "delay"> {
  readonly delay: Duration.DurationInput | Quantile
}

/**
 * What may differ from call to call: `key` says whose latencies count, default `"default"`. It
 * matters only for a delay that is learned.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly key?: string | undefined
}

/**
 * A way of hedging, with what it has learned. Safe for any number of concurrent callers.
 *
 * **Details**
 *
 * `delay` is what a call would wait for before its first hedge: none while too little is known.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hedge<out R2 = never> {
  readonly protect: Guard.Protect<never, CallOptions, R2>
  readonly delay: (key?: string) => Effect.Effect<Option.Option<Duration.Duration>>
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  hedges: 1,
  quantile: {
    atLeast: Duration.millis(1),
    atMost: Duration.infinity,
    initial: Duration.infinity,
    samples: 200,
    minimumCalls: 20
  },
  idleTimeToLive: Duration.hours(1)
} as const

/**
 * The largest sizes that options may ask for.
 *
 * @internal
 */
export const bounds = { hedges: 100, samples: 100_000 } as const

/**
 * A delay of as long as this share of the primary calls takes at most: at 0.95, one call in twenty
 * is hedged.
 *
 * **Details**
 *
 * - `atLeast`, `atMost`: bounds of the delay. Default 1 ms and none. A quantile of answers from a
 *   cache is no reason to double every real call.
 * - `initial`: the delay while fewer than `minimumCalls` (default 20) latencies are known. Default:
 *   no hedges by time until then.
 * - `samples`: how many of the last latencies count. Default 200; takes two numbers for each. Below
 *   `1 / (1 - quantile)` it is the largest of them.
 *
 * Measured is how long the primary takes to succeed. One that has been overtaken, given up or has
 * failed counts with the time it took if that is longer than the delay, and not otherwise: so
 * hedging does not hide from itself that the upstream has become slower. O(log samples) per call.
 *
 * Throws a `RangeError` for nonsense options.
 *
 * @since 0.1.0
 * @category constructors
 */
export const quantile = (quantile: number, options: {
  readonly atLeast?: Duration.DurationInput | undefined
  readonly atMost?: Duration.DurationInput | undefined
  readonly initial?: Duration.DurationInput | undefined
  readonly samples?: number | undefined
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
 * The caller waits without a mask, all else is masked: an attempt that is under way is always known
 * to somebody who interrupts it. Losers that have to be interrupted while the caller has not waited
 * at all get their turn before the caller goes on.
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

  /** The same hedging, over the same latencies, for another kind of operation. */
  for<R3>(operation: Operation.Operation<R3>): Built<R3> {
    return new Built(operation, this.hedges, this.wait, this.budget, this.#measured)
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
 * A way of hedging whose state can be shared and looked at. Dies with a `RangeError` that names
 * field and value when an option is nonsense.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R2 = never>(options: MakeOptions<R2>): Effect.Effect<Hedge<R2>> =>
  Effect.sync(() => build(options))

/**
 * Hedging like this one for another kind of operation, over the same latencies: for a caller that
 * knows better what each call is.
 *
 * @internal
 */
export const forOperation = <R2, R3>(
  hedge: Hedge<R2>,
  operation: Operation.Operation<R3>
): Hedge<R3> =>
  // Every hedge was made here.
  (hedge as Built<R2>).for(operation)

/** Learns nothing, so that it can be made anew for each call. */
const fixed = <R2>(options: Options<R2>): Built<R2> => {
  if (isQuantile(options.delay)) {
    throw new RangeError(
      "delay should be a duration here, got a quantile: what is learned needs a hedge that is made once, with Hedge.make"
    )
  }
  return build(options)
}

/**
 * Sends a call again when it has not been answered after a while, and takes the answer that comes
 * first.
 *
 * **When to use**
 *
 * Around a call whose slowest answers are much slower than most of them, and whose upstream can
 * bear a few per cent more. Around one attempt, inside of a retry; in a pipeline it is there
 * already.
 *
 * **Details**
 *
 * - The k-th hedge starts `k * delay` after the call. When the primary fails, or nothing runs any
 *   more, the next one starts at once.
 * - The first success counts. The others are interrupted then; the answer does not wait for their
 *   finalizers.
 * - When all fail, it is the failure of the primary, marked with `mayHaveRun` when any of them may
 *   have been executed. A hedge that fails while others run changes nothing.
 * - A failure that forbids another try now starts no hedges: one that the API has judged (`Auth`,
 *   `Validation` and their like), one that asks to wait (`retryAfter`), a rejection by one of our
 *   guards. Neither does a defect of the primary, which ends the call at once.
 * - Without a token in the budget there are no further hedges; the primary goes on untouched.
 *   Nothing is paid in: that is for whoever retries.
 * - When the caller is interrupted, all are, and have ended before the caller has.
 * - Fiber refs are those of the attempt whose answer counts. The span has `resilience.hedge.hedges`
 *   and `resilience.hedge.outcome`, the metric `resilience.hedge.calls` the outcome, if a hedge was
 *   due.
 * - Throws a `RangeError` for nonsense options. Attempts are forked; a primary that does not wait
 *   for anything makes no timer.
 *
 * **Gotchas**
 *
 * Losers may have been executed: that is why there is an `operation`. A delay that is learned needs
 * a hedge that is made once, with `make`. Finalizers of losers may still run when the caller has
 * its answer, and when its scope closes.
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
  <R2 = never>(
    options: Options<R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
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
