/**
 * A claim that a run holds, from the grant until the run completes it, releases it or lets it
 * lapse.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import { StoreUnavailable } from "../errors/idempotencyErrors.js"
import { nowMillis } from "../runtime/clock.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import type { InFlightRun } from "./inFlightRuns.js"
import * as Json from "./json.js"
import * as Repeats from "./repeats.js"
import type { Settings } from "./settings.js"
import { type Answer, ask } from "./storeCalls.js"

/**
 * The run that a piece of work is in: its past, and savepoints for a run that takes over.
 *
 * **Details**
 *
 * - `recovered`: an earlier run started and did not end, and its outcome is unknown.
 *   `recoveryPoint` is the last savepoint of that run.
 * - `savepoint`: stores a value as JSON for a run that takes over. Interrupts the work when the
 *   claim is lost, and in a transaction of the caller when the store fails.
 * - `protected`: false when the work runs without a claim, because the store did not answer and
 *   `onStoreFailure` is `"run"`. Such a run keeps no savepoints.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run {
  /** True when an earlier run started and its outcome is unknown. */
  readonly recovered: boolean
  /** The last savepoint of that run. */
  readonly recoveryPoint: Option.Option<unknown>
  /** False when the work runs without a claim, because the store did not answer. */
  readonly protected: boolean
  /**
   * Stores a value as JSON for a run that takes over. Fails with `StoreUnavailable` when the store
   * does not answer.
   */
  readonly savepoint: (data: unknown) => Effect.Effect<void, StoreUnavailable>
}

type Granted = Extract<IdempotencyStore.Acquired, { readonly _tag: "Acquired" }>

/** Makes a region interruptible where the caller is. */
export type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** A lease that is over at once; a store that keeps none may make it its shortest one. */
const overMillis = 0

const retrySavepointAfter = Duration.seconds(1)

/** The text of a savepoint. Throws a `RangeError` for a value that JSON cannot carry. */
const savepointText = (data: unknown): string => {
  const text = data === undefined ? "null" : JSON.stringify(data)
  if (text === undefined) {
    throw new RangeError(
      `savepoint should be given a value that JSON can carry, got a ${typeof data}`
    )
  }
  return text
}

const keptOf = (answer: Answer<IdempotencyStore.Kept>): IdempotencyStore.Kept | "failed" =>
  answer._tag === "Answered" ? answer.value : "failed"

export class Lease {
  readonly recovered: boolean
  /** Whether another run holds the claim by now. */
  lost = false
  /** Whether a store call has failed in the transaction of the caller, which has to roll back. */
  failed = false
  readonly #held: IdempotencyStore.Held
  /**
   * Ends when the store has finished the savepoint before, so that a slow earlier savepoint does
   * not overwrite a later one.
   */
  #savepointBefore: Effect.Effect<void> = Effect.void

  constructor(
    readonly store: IdempotencyStore.Service,
    readonly claim: IdempotencyStore.Claim,
    readonly granted: Granted,
    readonly settings: Settings,
    readonly inFlightRun: InFlightRun,
    /** Whether the claim is part of a transaction of the caller. */
    readonly inTransaction: boolean
  ) {
    const { keyHash, owner, scope } = claim
    this.recovered = granted.recovered
    this.#held = { scope, keyHash, owner, generation: granted.generation }
  }

  /** The run of work that has no claim. */
  static readonly unprotected: Run = {
    recovered: false,
    recoveryPoint: Option.none(),
    protected: false,
    savepoint: () => Effect.void
  }

  /** The run that the work sees, or `undefined` when the last savepoint cannot be read. */
  run(): Run | undefined {
    const recoveryPoint = Option.map(this.granted.recoveryPoint, Json.parse)
    if (Option.isSome(recoveryPoint) && Option.isNone(recoveryPoint.value)) return undefined
    return {
      recovered: this.recovered,
      recoveryPoint: Option.flatten(recoveryPoint),
      protected: true,
      savepoint: (data) => this.#savepoint(data)
    }
  }

  /**
   * Gives back a claim whose work did not run. Releases a first claim; lets a recovered one lapse
   * at once, because a release would make the next run a first run.
   */
  get undo(): Effect.Effect<void> {
    return Effect.asVoid(
      this.#tell("claim", (store) =>
        this.recovered
          ? store.extend(this.#held, overMillis)
          : store.release(this.#held))
    )
  }

  get release(): Effect.Effect<IdempotencyStore.Kept | "failed"> {
    return this.#tell("outcome", (store) => store.release(this.#held))
  }

  complete(outcome: string): Effect.Effect<IdempotencyStore.Kept | "failed"> {
    return this.#tell(
      "outcome",
      (store) => store.complete(this.#held, outcome, this.settings.timeToLiveMillis)
    )
  }

  /**
   * Runs the work, with a heartbeat if the settings have one. Call it in an uninterruptible region;
   * `restore` makes the work interruptible.
   */
  hold<A, E, R>(
    work: Effect.Effect<A, E, R>,
    restore: Restore
  ): Effect.Effect<Exit.Exit<A, E>, never, R> {
    return this.settings.heartbeat ? this.#beating(work, restore) : Effect.exit(restore(work))
  }

  /** Tells the store how it ended. What the store did not answer is repeated in the background. */
  #tell(
    kind: Repeats.Kind,
    call: (
      store: IdempotencyStore.Service
    ) => Effect.Effect<IdempotencyStore.Kept, IdempotencyStore.StoreError>
  ): Effect.Effect<IdempotencyStore.Kept | "failed"> {
    const { storeTimeoutMillis: timeoutMillis } = this.settings
    return Effect.flatMap(ask(this.store, call, { timeoutMillis }), (answer) => {
      const kept = this.#noted(keptOf(answer))
      if (answer._tag === "Answered" || answer.corrupt || this.inTransaction) {
        return Effect.succeed(kept)
      }
      const repeats = Repeats.start(this.store, {
        kind,
        untilMillis: this.inFlightRun.leaseUntilMillis,
        timeoutMillis,
        leftBehind: answer.leftBehind,
        ask: (limits) => ask(this.store, call, limits)
      })
      return Effect.as(repeats, kept)
    })
  }

  #noted(kept: IdempotencyStore.Kept | "failed"): IdempotencyStore.Kept | "failed" {
    if (kept === "failed" && this.inTransaction) this.failed = true
    return kept
  }

  #savepoint(data: unknown): Effect.Effect<void, StoreUnavailable> {
    return Effect.uninterruptibleMask((wait) => {
      const text = savepointText(data)
      const before = this.#savepointBefore
      const over = Deferred.unsafeMake<void>(FiberId.none)
      this.#savepointBefore = Deferred.await(over)
      const call = () =>
        Effect.zipRight(before, this.store.savepoint(this.#held, text)).pipe(
          Effect.ensuring(Deferred.succeed(over, undefined))
        )
      return Effect.flatMap(
        ask(this.store, call, { timeoutMillis: this.settings.storeTimeoutMillis, wait }),
        (answer): Effect.Effect<void, StoreUnavailable> => {
          switch (this.#noted(keptOf(answer))) {
            case "ok":
              return Effect.void
            case "failed":
              // The transaction may be over already, and the next statement outside of it.
              if (this.inTransaction) return Effect.interrupt
              return Effect.fail(
                new StoreUnavailable({ retryAfter: retrySavepointAfter, during: "savepoint" })
              )
            case "stale":
              this.lost = true
              return Effect.interrupt
          }
        }
      )
    })
  }

  /** Runs the work in its own fiber, so that a lost claim can interrupt it. */
  #beating<A, E, R>(
    work: Effect.Effect<A, E, R>,
    restore: Restore
  ): Effect.Effect<Exit.Exit<A, E>, never, R> {
    return Effect.flatMap(
      Effect.fork(Effect.exit(restore(work))),
      (working) =>
        Effect.flatMap(
          Effect.fork(this.#beats(working)),
          (beats) =>
            Effect.exit(restore(Fiber.join(working))).pipe(
              // An interruption of the caller interrupts the work, and waits for its end.
              Effect.flatMap((joined) =>
                Exit.isSuccess(joined) ? Effect.succeed(joined) : Fiber.interrupt(working)
              ),
              Effect.map((joined) => Exit.flatten(joined)),
              Effect.zipLeft(Fiber.interrupt(beats))
            )
        )
    )
  }

  /** Extends the lease until the store reports that the claim is lost. Silence changes nothing. */
  #beats(working: Fiber.Fiber<unknown>): Effect.Effect<void> {
    const { leaseMillis, storeTimeoutMillis: timeoutMillis } = this.settings
    const pause = Effect.interruptible(sleepAtLeast(leaseMillis / 3))
    const extending = Effect.clockWith((clock) => {
      const askedMillis = nowMillis(clock)
      return Effect.map(
        ask(this.store, (store) => store.extend(this.#held, leaseMillis), {
          timeoutMillis,
          wait: Effect.interruptible
        }),
        (answer) => {
          const kept = keptOf(answer)
          if (kept === "ok") this.inFlightRun.leaseUntilMillis = askedMillis + leaseMillis
          return kept
        }
      )
    })
    const beat: Effect.Effect<void> = Effect.flatMap(Effect.zipRight(pause, extending), (kept) => {
      if (kept !== "stale") return beat
      this.lost = true
      return Fiber.interruptFork(working)
    })
    return beat
  }
}
