/**
 * Holding a claim: from when it was granted until it is completed, released, or left to lapse.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import { maxTimerMillis } from "../core/backoff.js"
import type { InFlightRun } from "./inFlightRuns.js"
import { StoreUnavailable } from "../errors/idempotencyErrors.js"
import type { Settings } from "./settings.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import { type Answer, ask } from "./storeCalls.js"

/**
 * What work can know of the run it is in, and leave behind for the next one.
 *
 * **Details**
 *
 * - `recovered`: an earlier run was begun and never ended. What it did is unknown; `recoveryPoint`
 *   is what it left behind last.
 * - `savepoint`: leaves something behind, as JSON. When the claim was lost meanwhile it interrupts
 *   the work.
 * - `protected`: false where the work runs without a claim, because the store did not answer and
 *   the options say to run then. Savepoints are not kept there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run {
  readonly recovered: boolean
  readonly recoveryPoint: Option.Option<unknown>
  readonly protected: boolean
  readonly savepoint: (data: unknown) => Effect.Effect<void, StoreUnavailable>
}

type Granted = Extract<IdempotencyStore.Acquired, { readonly _tag: "Acquired" }>

type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** As short as a lease can be. */
const shortestMillis = 1

const retrySavepointAfter = Duration.seconds(1)

/** The text of a savepoint. What JSON cannot carry is a mistake in the program. */
const savepointText = (data: unknown): string => {
  const text = data === undefined ? "null" : JSON.stringify(data)
  if (text === undefined) {
    throw new RangeError(
      `savepoint should be given a value that JSON can carry, got a ${typeof data}`
    )
  }
  return text
}

const parsed = (text: string): Option.Option<unknown> => {
  try {
    return Option.some(JSON.parse(text))
  } catch {
    return Option.none()
  }
}

const keptOf = (answer: Answer<IdempotencyStore.Kept>): IdempotencyStore.Kept | "failed" =>
  answer._tag === "Answered" ? answer.value : "failed"

export class Lease {
  readonly recovered: boolean
  /** Whether somebody else holds the claim by now. */
  lost = false
  readonly #held: IdempotencyStore.Held
  /**
   * Ends when the savepoint before has really ended, so that an earlier one that comes late does
   * not undo a later one.
   */
  #savepointBefore: Effect.Effect<void> = Effect.void

  constructor(
    readonly store: IdempotencyStore.Service,
    readonly claim: IdempotencyStore.Claim,
    readonly granted: Granted,
    readonly settings: Settings,
    readonly flight: InFlightRun
  ) {
    const { keyHash, owner, scope } = claim
    this.recovered = granted.recovered
    this.#held = { scope, keyHash, owner, generation: granted.generation }
  }

  /** Without a claim. */
  static readonly unprotected: Run = {
    recovered: false,
    recoveryPoint: Option.none(),
    protected: false,
    savepoint: () => Effect.void
  }

  /** What is seen of this by the work; nothing where the last savepoint cannot be read. */
  run(): Run | undefined {
    const recoveryPoint = Option.map(this.granted.recoveryPoint, parsed)
    if (Option.isSome(recoveryPoint) && Option.isNone(recoveryPoint.value)) return undefined
    return {
      recovered: this.recovered,
      recoveryPoint: Option.flatten(recoveryPoint),
      protected: true,
      savepoint: (data) => this.#savepoint(data)
    }
  }

  /**
   * Gives the claim back of which no use was made. One that was taken over is not released, which
   * would make the next run a first run, but left to lapse at once.
   */
  get undo(): Effect.Effect<void> {
    return Effect.asVoid(
      this.#tell(() =>
        this.recovered
          ? this.store.extend(this.#held, shortestMillis)
          : this.store.release(this.#held)
      )
    )
  }

  get release(): Effect.Effect<IdempotencyStore.Kept | "failed"> {
    return this.#tell(() => this.store.release(this.#held))
  }

  complete(outcome: string): Effect.Effect<IdempotencyStore.Kept | "failed"> {
    return this.#tell(() =>
      this.store.complete(this.#held, outcome, this.settings.timeToLiveMillis)
    )
  }

  /**
   * Runs the work, with a heartbeat where there is to be one. To be called where nothing
   * interrupts; `restore` makes the work interruptible.
   */
  hold<A, E, R>(
    work: Effect.Effect<A, E, R>,
    restore: Restore
  ): Effect.Effect<Exit.Exit<A, E>, never, R> {
    return this.settings.heartbeat ? this.#beating(work, restore) : Effect.exit(restore(work))
  }

  #tell(
    call: () => Effect.Effect<IdempotencyStore.Kept, IdempotencyStore.StoreError>
  ): Effect.Effect<IdempotencyStore.Kept | "failed"> {
    return Effect.map(ask(call, { timeoutMillis: this.settings.storeTimeoutMillis }), keptOf)
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
        ask(call, { timeoutMillis: this.settings.storeTimeoutMillis, wait }),
        (answer): Effect.Effect<void, StoreUnavailable> => {
          switch (keptOf(answer)) {
            case "ok":
              return Effect.void
            case "failed":
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

  /** The work in a fiber of its own, so that it can be interrupted when the claim is lost. */
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
              // When the caller is interrupted, the work is, and has ended before anything else
              // happens.
              Effect.flatMap((joined) =>
                Exit.isSuccess(joined) ? Effect.succeed(joined) : Fiber.interrupt(working)
              ),
              Effect.map((joined) => Exit.flatten(joined)),
              Effect.zipLeft(Fiber.interrupt(beats))
            )
        )
    )
  }

  /** A store that does not answer says nothing about the claim, and the work goes on. */
  #beats(working: Fiber.Fiber<unknown>): Effect.Effect<void> {
    const { leaseMillis, storeTimeoutMillis: timeoutMillis } = this.settings
    const pause = Effect.interruptible(
      Effect.sleep(Duration.millis(Math.min(leaseMillis / 3, maxTimerMillis)))
    )
    const extending = Effect.clockWith((clock) => {
      const askedMillis = Number(clock.unsafeCurrentTimeNanos()) / 1e6
      return Effect.map(
        ask(() => this.store.extend(this.#held, leaseMillis), {
          timeoutMillis,
          wait: Effect.interruptible,
          drop: true
        }),
        (answer) => {
          const kept = keptOf(answer)
          if (kept === "ok") this.flight.leaseUntilMillis = askedMillis + leaseMillis
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

  /** Gives back what a call for a claim brought when nobody waited for it any more. */
  static undo(
    store: IdempotencyStore.Service,
    claim: IdempotencyStore.Claim,
    answer: IdempotencyStore.Acquired,
    settings: Settings,
    flight: InFlightRun
  ): Effect.Effect<void> {
    return answer._tag === "Acquired"
      ? new Lease(store, claim, answer, settings, flight).undo
      : Effect.void
  }
}
