/**
 * Makes the same call for many items: a thousand documents to import, a list of results to submit.
 *
 * A plain loop hammers a server that is down, starts from the beginning after a crash, and reports
 * nothing meanwhile. Bulk work pauses when too much fails and goes on after a successful trial. It
 * records every finished item in a sync log, so that a second run sends none of them again. It
 * reports its progress.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as ApiError from "../errors/ApiError.js"
import type * as Verdict from "../errors/Verdict.js"
import * as Idempotency from "../idempotency/Idempotency.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as IdempotencyStore from "../idempotency/IdempotencyStore.js"
import * as Operation from "../idempotency/Operation.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Backoff from "../retry/Backoff.js"
import { check } from "../retry/policy.js"
import * as Retry from "../retry/Retry.js"
import * as Validate from "../runtime/validate.js"
import { Gate } from "./pauseGate.js"
import { record, type Recorded, type SyncLog } from "./syncLog.js"

export { syncLog } from "./syncLog.js"
export type { SyncLog } from "./syncLog.js"

/**
 * The progress of a run.
 *
 * **Details**
 *
 * `done` counts items of this run, `skipped` items that had succeeded before it. `ratePerSecond`
 * counts the items finished in this run, pauses included; `timeLeft` follows from it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  /** How many items there are. */
  readonly total: number
  /** How many items were sent in this run. */
  readonly done: number
  /** How many items had succeeded before this run. */
  readonly skipped: number
  /** How many items failed. */
  readonly failed: number
  /** How many items are being sent. */
  readonly running: number
  /** How many further attempts were made. */
  readonly retried: number
  /** True while the run pauses. */
  readonly paused: boolean
  /** How many pauses there were. */
  readonly pauses: number
  /** The time since the run began. */
  readonly elapsed: Duration.Duration
  /** How many items per second this run finishes, pauses included. */
  readonly ratePerSecond: number
  /** How long the rest will take at this rate. None before the first item is finished. */
  readonly timeLeft: Option.Option<Duration.Duration>
}

/**
 * What became of one item: `Done` in this run, `Skipped` because the sync log has it (with the
 * recorded value), `Failed`, or `Left` because the run stopped before it.
 *
 * @since 0.1.0
 * @category models
 */
export type Result<A, B, E> =
  | {
    /** Names what became of the item. */
    readonly _tag: "Done"
    /** The item. */
    readonly item: A
    /** What the call succeeded with. */
    readonly value: B
  }
  | {
    /** Names what became of the item. */
    readonly _tag: "Skipped"
    /** The item. */
    readonly item: A
    /** The recorded value of an earlier run. */
    readonly value: B
  }
  | {
    /** Names what became of the item. */
    readonly _tag: "Failed"
    /** The item. */
    readonly item: A
    /** What the call failed with. */
    readonly error: E
  }
  | {
    /** Names what became of the item. */
    readonly _tag: "Left"
    /** The item. */
    readonly item: A
  }

/**
 * The result of a run: the numbers, one result for each item in the order of the items, and the
 * error that stopped it, if one did.
 *
 * @since 0.1.0
 * @category models
 */
export interface Summary<A, B, E> extends Progress {
  /** One result for each item, in the order of the items. */
  readonly results: ReadonlyArray<Result<A, B, E>>
  /** The error that stopped the run, if one did. */
  readonly stopped: Option.Option<E>
}

/**
 * The options of a bulk run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never> {
  /** How many items are sent at the same time. Default 4. */
  readonly concurrency?: number | undefined
  /**
   * When to pause, as options of a breaker, a breaker to share, or `false` for never. Default: a
   * quarter of the last 20 attempts (at least 10) failed transiently, rate limits included; then a
   * pause of 30 s and one trial.
   */
  readonly pauseWhen?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | false | undefined
  /** How many attempts follow the first for one item, pauses not counted. Default 5. */
  readonly retries?: number | undefined
  /** The delays between attempts. Default: exponential from 1 s, cap 30 s, full jitter. */
  readonly backoff?: Backoff.Backoff | undefined
  /** The longest wait that a server may ask for. Default 10 min. */
  readonly retryAfterCap?: Duration.DurationInput | undefined
  /** Says what an error means for another try. Default `ApiError.verdict`. */
  readonly verdict?: ((error: E) => Verdict.Verdict) | undefined
  /**
   * Chooses the errors that end the run. Items under way are finished. Default: `Auth`, and a store
   * that cannot be reached.
   */
  readonly stopWhen?: ((error: E | Idempotency.IdempotencyError) => boolean) | undefined
  /** Called after every item and every pause. */
  readonly onProgress?: ((progress: Progress) => Effect.Effect<void>) | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `concurrency`. */
  concurrency: 4,
  /** Default of the option `pauseWhen`. */
  pauseWhen: {
    /** Default of the option `pauseWhen.window`. */
    window: CircuitBreaker.count(20),
    /** Default of the option `minimumCalls`. */
    minimumCalls: 10,
    /** Default of the option `failureRate`. */
    failureRate: 0.25,
    /** Default of the option `slowCall`. */
    slowCall: false,
    /** Default of the option `openDuration`. */
    openDuration: Duration.seconds(30),
    /** Default of the option `halfOpen`. */
    halfOpen: CircuitBreaker.consecutive(1)
  },
  /** Default of the option `retries`. */
  retries: 5,
  /** Default of the option `backoff`. */
  backoff: Backoff.exponential({ base: "1 second", cap: "30 seconds" }),
  /** Default of the option `retryAfterCap`. */
  retryAfterCap: Duration.minutes(10)
} as const

const stopsByDefault = (error: unknown): boolean =>
  (ApiError.isApiError(error) && error._tag === "Auth") ||
  error instanceof Idempotency.StoreUnavailable

/**
 * What the breaker that decides on pauses sees of an attempt: only what another try may mend speaks
 * against going on.
 */
const classifyBy =
  (verdict: (error: never) => Verdict.Verdict) =>
  (exit: Exit.Exit<unknown, unknown>): CircuitBreaker.Outcome => {
    if (Exit.isSuccess(exit) || exit.cause._tag !== "Fail") return CircuitBreaker.classify(exit)
    // The errors of an attempt are those that the verdict is about.
    const judged = verdict(exit.cause.error as never)
    switch (judged._tag) {
      case "Transient":
        return CircuitBreaker.failure({ retryAfter: Option.getOrUndefined(judged.retryAfter) })
      case "Rejected":
        return CircuitBreaker.ignored
      case "Terminal":
        return CircuitBreaker.success
    }
  }

const isBreaker = (
  pauseWhen: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options
): pauseWhen is CircuitBreaker.CircuitBreaker => hasProperty(pauseWhen, "protect")

/** The numbers of a run while it goes on. */
class Tally {
  done = 0
  skipped = 0
  failed = 0
  running = 0
  retried = 0

  constructor(readonly total: number, readonly startedAt: bigint) {}

  progress(now: bigint, gate: Gate | undefined): Progress {
    const { done, failed, retried, running, skipped, total } = this
    const elapsedMillis = Number(now - this.startedAt) / 1e6
    const finished = done + skipped + failed
    const ratePerSecond = elapsedMillis > 0 ? finished / (elapsedMillis / 1000) : 0
    return {
      total,
      done,
      skipped,
      failed,
      running,
      retried,
      paused: gate?.paused ?? false,
      pauses: gate?.pauses ?? 0,
      elapsed: Duration.millis(elapsedMillis),
      ratePerSecond,
      timeLeft: ratePerSecond === 0
        ? Option.none()
        : Option.some(Duration.seconds((total - finished) / ratePerSecond))
    }
  }
}

const makeGate = (
  pauseWhen: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | false,
  verdict: (error: never) => Verdict.Verdict,
  changed: Effect.Effect<void>
): Effect.Effect<Gate | undefined> => {
  if (pauseWhen === false) return Effect.succeed(undefined)
  const classify = !isBreaker(pauseWhen) && pauseWhen.classify !== undefined
    ? pauseWhen.classify
    : classifyBy(verdict)
  const breaker = isBreaker(pauseWhen)
    ? Effect.succeed(pauseWhen)
    : CircuitBreaker.make({ ...defaults.pauseWhen, ...pauseWhen })
  return Effect.map(breaker, (breaker) => new Gate(breaker, classify, changed))
}

/**
 * How an item is recorded where there is no sync log: not at all. It still has a key, the same on
 * all of its attempts.
 */
const unrecorded = <B, E, R>(work: Effect.Effect<B, E, R>) =>
  Effect.map(IdempotencyKey.provideNew(work), (value) => ({ value, skipped: false }))

const run = <A, B, E, R, E2, R2>(
  items: Iterable<A>,
  f: (item: A, index: number) => Effect.Effect<B, E, R>,
  options: Options<E>,
  recorded: (
    item: A,
    work: Effect.Effect<B, E, R | IdempotencyKey.IdempotencyKey>
  ) => Effect.Effect<Recorded<B>, E | E2, R2>
): Effect.Effect<Summary<A, B, E | E2>, never, R2> =>
  Effect.gen(function*() {
    const all = Array.from(items)
    const clock = yield* Effect.clock
    const tally = new Tally(all.length, clock.unsafeCurrentTimeNanos())
    const concurrency = Validate.integer(
      "concurrency",
      options.concurrency ?? defaults.concurrency,
      1
    )
    const verdict = options.verdict ?? ApiError.verdict
    const stops: (error: never) => boolean = options.stopWhen ?? stopsByDefault
    const { onProgress } = options
    const progress = () => tally.progress(clock.unsafeCurrentTimeNanos(), gate)
    const report = onProgress === undefined
      ? Effect.void
      : Effect.suspend(() => onProgress(progress()))
    const gate: Gate | undefined = yield* makeGate(
      options.pauseWhen ?? defaults.pauseWhen,
      verdict,
      report
    )
    const policy = {
      operation: Operation.keyed,
      retries: options.retries ?? defaults.retries,
      backoff: options.backoff ?? defaults.backoff,
      retryAfterCap: options.retryAfterCap ?? defaults.retryAfterCap,
      verdict,
      waitForRejections: true
    }
    yield* Effect.sync(() => check(policy))
    let stopped: Option.Option<E | E2> = Option.none()

    const attemptsOf = (item: A, index: number) => {
      let attempts = 0
      const attempt = Effect.suspend(() => {
        if (attempts++ > 0) tally.retried++
        return f(item, index)
      })
      return Retry.retry(gate === undefined ? attempt : gate.through(attempt), policy)
    }

    const one = (item: A, index: number): Effect.Effect<Result<A, B, E | E2>, never, R2> =>
      Effect.suspend(() => {
        if (Option.isSome(stopped)) {
          return Effect.succeed<Result<A, B, E | E2>>({ _tag: "Left", item })
        }
        tally.running++
        return recorded(item, attemptsOf(item, index)).pipe(
          Effect.ensuring(Effect.sync(() => tally.running--)),
          Effect.match({
            onFailure: (error): Result<A, B, E | E2> => {
              tally.failed++
              // What stops a run is asked about the errors it can have.
              if (stops(error as never) && Option.isNone(stopped)) stopped = Option.some(error)
              return { _tag: "Failed", item, error }
            },
            onSuccess: ({ skipped, value }): Result<A, B, E | E2> => {
              if (skipped) tally.skipped++
              else tally.done++
              return { _tag: skipped ? "Skipped" : "Done", item, value }
            }
          }),
          Effect.zipLeft(report)
        )
      })

    const results = yield* Effect.forEach(all, one, { concurrency })
    return { ...progress(), results, stopped }
  })

/**
 * Makes a call for each item, in parallel, and pauses when too much fails.
 *
 * **Details**
 *
 * - Pauses when too much fails, and goes on after a trial that succeeds; see `Options`.
 * - Every attempt of an item runs under one idempotency key, which `f` can send.
 * - With a `syncLog`, no run sends an item again that has succeeded. An item that was under way
 *   when a run was killed is sent again under the key it had. An item that was refused, corrected
 *   or not, is sent by the next run under a new key.
 * - An item that fails is a result and ends nothing, unless `stopWhen` says so. A defect ends the
 *   run, and so does interruption: what was under way is left to the next run.
 * - Invalid options die with `RangeError`. Memory is O(items).
 *
 * **Gotchas**
 *
 * `f` runs under a key already: `IdempotencyKey.provideNew` inside of it would make a new one for
 * each attempt, and dies. A retry inside `f` multiplies with the one around it.
 *
 * **Example** (One of three is not valid)
 *
 * ```ts
 * import { ApiError, Bulk } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const upload = (document: string) =>
 *   document === ""
 *     ? new ApiError.Validation({ message: "empty", status: 422 })
 *     : Effect.succeed(document.length)
 *
 * const program = Effect.map(
 *   Bulk.forEach(["one", "", "three"], upload),
 *   ({ results }) => results.map(({ _tag }) => _tag)
 * )
 *
 * await Effect.runPromise(program) // => ["Done", "Failed", "Done"]
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const forEach: {
  /** Makes a call for each item that the sync log does not have. Items first. */
  <A, B, E, R, RB>(
    items: Iterable<A>,
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options: Options<NoInfer<E>> & {
      /** Remembers the items that have succeeded, across runs. */
      readonly syncLog: SyncLog<A, B, RB>
    }
  ): Effect.Effect<
    Summary<A, B, E | Idempotency.IdempotencyError>,
    never,
    Exclude<R, IdempotencyKey.IdempotencyKey> | RB | IdempotencyStore.IdempotencyStore
  >
  /** Makes a call for each item. Items first. */
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options?: Options<NoInfer<E>> & {
      /** Not set here: every item is sent. */
      readonly syncLog?: undefined
    }
  ): Effect.Effect<Summary<A, B, E>, never, Exclude<R, IdempotencyKey.IdempotencyKey>>
  /** Makes a call for each item that the sync log does not have. Items last, for `pipe`. */
  <A, B, E, R, RB>(
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options: Options<NoInfer<E>> & {
      /** Remembers the items that have succeeded, across runs. */
      readonly syncLog: SyncLog<A, B, RB>
    }
  ): (items: Iterable<A>) => Effect.Effect<
    Summary<A, B, E | Idempotency.IdempotencyError>,
    never,
    Exclude<R, IdempotencyKey.IdempotencyKey> | RB | IdempotencyStore.IdempotencyStore
  >
  /** Makes a call for each item. Items last, for `pipe`. */
  <A, B, E, R>(
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options?: Options<NoInfer<E>> & {
      /** Not set here: every item is sent. */
      readonly syncLog?: undefined
    }
  ): (
    items: Iterable<A>
  ) => Effect.Effect<Summary<A, B, E>, never, Exclude<R, IdempotencyKey.IdempotencyKey>>
} = dual(
  (args) => typeof args[0] !== "function",
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options: Options<E> & { readonly syncLog?: SyncLog<A, B, unknown> | undefined } = {}
  ): Effect.Effect<Summary<A, B, unknown>, never, unknown> => {
    const { syncLog } = options
    return syncLog === undefined
      ? run(items, f, options, (_, work) => unrecorded(work))
      : run(items, f, options, (item, work) => record(syncLog, item, work))
  }
)
