/**
 * The same call for many items: a thousand documents to import, a list of results to submit.
 *
 * A loop over a bad day does harm in three ways: it hammers a server that is down, it starts from
 * the beginning after a crash, and it says nothing while it does so. Bulk work pauses when too much
 * fails and goes on after a trial that succeeds; it writes every finished item into a sync log, so
 * that a second run sends nothing that has already succeeded; and it tells how far it is.
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
 * How far a run is.
 *
 * **Details**
 *
 * `done` were sent in this run, `skipped` had succeeded before it. `retried` counts further
 * attempts. `ratePerSecond` is of the items finished in this run, pauses included; `timeLeft`
 * follows from it, and is none before the first item.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  readonly total: number
  readonly done: number
  readonly skipped: number
  readonly failed: number
  readonly running: number
  readonly retried: number
  readonly paused: boolean
  readonly pauses: number
  readonly elapsed: Duration.Duration
  readonly ratePerSecond: number
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
  | { readonly _tag: "Done"; readonly item: A; readonly value: B }
  | { readonly _tag: "Skipped"; readonly item: A; readonly value: B }
  | { readonly _tag: "Failed"; readonly item: A; readonly error: E }
  | { readonly _tag: "Left"; readonly item: A }

/**
 * What a run ended with: the numbers, one result for each item in the order of the items, and the
 * error that stopped it, if one did.
 *
 * @since 0.1.0
 * @category models
 */
export interface Summary<A, B, E> extends Progress {
  readonly results: ReadonlyArray<Result<A, B, E>>
  readonly stopped: Option.Option<E>
}

/**
 * How a run goes about it.
 *
 * **Details**
 *
 * - `concurrency`: how many items at a time. Default 4.
 * - `pauseWhen`: when to pause, in the terms of a circuit breaker; default: when a quarter of the
 *   last 20 attempts (at least 10) failed with something that another try may mend, rate limits
 *   included. It pauses for 30 s (`openDuration`), then sends one item as a trial. An instance is
 *   shared, `false` never pauses.
 * - `retries`: further attempts for an item, pauses not counted. Default 5. `backoff`: the waits
 *   between them. Default: exponential from 1 s, full jitter, at most 30 s. `retryAfterCap`: the
 *   longest wait that a server may ask for. Default 10 min. `verdict`: what an error means for a
 *   retry. Default `ApiError.verdict`.
 * - `stopWhen`: which errors end the run, because every further item would meet them too; items
 *   under way are finished. Default: `Auth` and an idempotency store that cannot be reached.
 * - `onProgress`: told after every item and every pause.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never> {
  readonly concurrency?: number | undefined
  readonly pauseWhen?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | false | undefined
  readonly retries?: number | undefined
  readonly backoff?: Backoff.Backoff | undefined
  readonly retryAfterCap?: Duration.DurationInput | undefined
  readonly verdict?: ((error: E) => Verdict.Verdict) | undefined
  readonly stopWhen?: ((error: E | Idempotency.IdempotencyError) => boolean) | undefined
  readonly onProgress?: ((progress: Progress) => Effect.Effect<void>) | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  concurrency: 4,
  pauseWhen: {
    window: CircuitBreaker.count(20),
    minimumCalls: 10,
    failureRate: 0.25,
    slowCall: false,
    openDuration: Duration.seconds(30),
    halfOpen: CircuitBreaker.consecutive(1)
  },
  retries: 5,
  backoff: Backoff.exponential({ base: "1 second", cap: "30 seconds" }),
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
 * Makes a call for each item.
 *
 * **Details**
 *
 * - Pauses when too much fails, and goes on after a trial that succeeds; see `Options`.
 * - Every attempt of an item runs under one idempotency key, which `f` can send. With a `syncLog`
 *   the key is the same in every run.
 * - With a `syncLog`, an item that has succeeded is not sent again, by no run; one that was under
 *   way when a run was killed is done again under its old key.
 * - An item that fails is a result and ends nothing, unless `stopWhen` says so. A defect ends the
 *   run, and so does interruption: what was under way is left to the next run.
 * - Dies with a `RangeError` for nonsense options. Memory is O(items).
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
 *   ({ done, failed, results }) => ({ done, failed, results: results.map(({ _tag }) => _tag) })
 * )
 *
 * await Effect.runPromise(program) // => { done: 2, failed: 1, results: ["Done", "Failed", "Done"] }
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const forEach: {
  <A, B, E, R, RB>(
    items: Iterable<A>,
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options: Options<NoInfer<E>> & { readonly syncLog: SyncLog<A, B, RB> }
  ): Effect.Effect<
    Summary<A, B, E | Idempotency.IdempotencyError>,
    never,
    Exclude<R, IdempotencyKey.IdempotencyKey> | RB | IdempotencyStore.IdempotencyStore
  >
  <A, B, E, R>(
    items: Iterable<A>,
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options?: Options<NoInfer<E>> & { readonly syncLog?: undefined }
  ): Effect.Effect<Summary<A, B, E>, never, Exclude<R, IdempotencyKey.IdempotencyKey>>
  <A, B, E, R, RB>(
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options: Options<NoInfer<E>> & { readonly syncLog: SyncLog<A, B, RB> }
  ): (items: Iterable<A>) => Effect.Effect<
    Summary<A, B, E | Idempotency.IdempotencyError>,
    never,
    Exclude<R, IdempotencyKey.IdempotencyKey> | RB | IdempotencyStore.IdempotencyStore
  >
  <A, B, E, R>(
    f: (item: A, index: number) => Effect.Effect<B, E, R>,
    options?: Options<NoInfer<E>> & { readonly syncLog?: undefined }
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
