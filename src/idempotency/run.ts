/**
 * The engine of idempotent runs: claims the key, runs the work, and takes down what came of it. It
 * knows neither schemas nor HTTP; whoever uses it says how an exit becomes a record and how a
 * record is replayed.
 *
 * From the claim to taking down nothing can interrupt but the work itself, and nothing waits for a
 * store that hangs.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { nowMillis } from "../runtime/clock.js"
import { type InFlightRun, InFlightRuns } from "./inFlightRuns.js"
import * as Claims from "./claim.js"
import {
  CorruptRecord,
  type IdempotencyError,
  InFlight,
  Mismatch,
  ResultUnavailable,
  StoreUnavailable,
  UnknownOutcome
} from "../errors/idempotencyErrors.js"
import type * as IdempotencyKey from "./IdempotencyKey.js"
import { type Ending, report } from "./report.js"
import type { Settings } from "./settings.js"
import * as IdempotencyStore from "./IdempotencyStore.js"
import * as StoredOutcome from "./storedOutcome.js"
import { ask, within } from "./storeCalls.js"
import { Lease, type Run } from "./lease.js"

/**
 * What becomes of the record.
 *
 * - `Store`: this outcome is recorded and replayed.
 * - `Done`: it is over, but there is nothing to replay; a replay is `ResultUnavailable`.
 * - `Release`: the next caller runs. After a run that has recovered an earlier one, the next caller
 *   recovers, too.
 * - `Hold`: it may have been executed; the claim is kept until it lapses.
 */
export type Settlement =
  | { readonly _tag: "Store"; readonly outcome: string }
  | { readonly _tag: "Done" }
  | { readonly _tag: "Release" }
  | { readonly _tag: "Hold" }

export interface Request<A, E, RD> {
  readonly key: IdempotencyKey.IdempotencyKey
  readonly scope: ReadonlyArray<string>
  readonly fingerprint: string
  readonly settings: Settings
  /**
   * Whether the work may run again after an unknown outcome: only work that looks at `recovered`
   * may.
   */
  readonly reruns: boolean
  /**
   * Called once, after the work has ended. What dies here is `Done` after a success and `Hold`
   * after a failure.
   */
  readonly settle: (exit: Exit.Exit<A, E>) => Effect.Effect<Settlement, never, RD>
  readonly replay: (outcome: string) => Effect.Effect<A, E | ResultUnavailable | CorruptRecord, RD>
}

/** One call, with everything that was fixed before the store is asked. */
interface Call<A, E, R, RD> {
  readonly request: Request<A, E, RD>
  readonly work: (run: Run) => Effect.Effect<A, E, R>
  readonly store: IdempotencyStore.Service
  readonly claim: IdempotencyStore.Claim
  readonly flights: InFlightRuns
  /** When waiting for a duplicate ends; monotonic. */
  readonly deadlineMillis: number
}

type Result<A, E, R, RD> = Effect.Effect<A, E | IdempotencyError, R | RD>

/** Makes a region interruptible where the caller is. */
type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** When to ask a store again that did not answer. */
const retryStoreAfter = Duration.seconds(1)

/**
 * How often those who wait for another machine ask: doubling, and never later than the other's
 * claim lapses.
 */
const firstPollMillis = 50
const lastPollMillis = 1000
const shortestPollMillis = 10

const ending = <A, E, R, RD>({ claim }: Call<A, E, R, RD>, ending: Ending): Effect.Effect<void> =>
  report(ending, Claims.kidOf(claim))

const fails = <A, E, R, RD, E2>(
  call: Call<A, E, R, RD>,
  name: Ending,
  error: () => E2
): Effect.Effect<never, E2> => Effect.zipRight(ending(call, name), Effect.failSync(error))

const inFlight = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  leftMillis: number
): Effect.Effect<never, InFlight> =>
  fails(
    call,
    "in_flight",
    () => new InFlight({ retryAfter: Duration.millis(Math.max(1, Math.ceil(leftMillis))) })
  )

const unavailable = <A, E, R, RD>(
  call: Call<A, E, R, RD>
): Effect.Effect<never, StoreUnavailable> =>
  fails(
    call,
    "store_unavailable",
    () => new StoreUnavailable({ retryAfter: retryStoreAfter, during: "acquire" })
  )

const unknown = <A, E, R, RD>(call: Call<A, E, R, RD>): Effect.Effect<never, UnknownOutcome> =>
  fails(call, "unknown", () => new UnknownOutcome())

const corrupt = <A, E, R, RD>(call: Call<A, E, R, RD>): Effect.Effect<never, CorruptRecord> =>
  fails(call, "corrupt", () => new CorruptRecord())

/** Follows a run of this process, or leads one of its own. */
const enter = <A, E, R, RD>(call: Call<A, E, R, RD>): Result<A, E, R, RD> =>
  Effect.suspend(() => {
    const flight = call.request.settings.onDuplicate === "reject" ? undefined : call.flights.find()
    return flight === undefined ? lead(call) : follow(call, flight)
  })

const follow = <A, E, R, RD>(call: Call<A, E, R, RD>, flight: InFlightRun): Result<A, E, R, RD> =>
  Effect.clockWith((clock) => {
    flight.followers++
    return Effect.flatMap(
      within(flight.landed, Math.max(0, call.deadlineMillis - nowMillis(clock))),
      Option.match({
        onNone: () =>
          Effect.suspend(() => inFlight(call, flight.leaseUntilMillis - nowMillis(clock))),
        onSome: (landing): Result<A, E, R, RD> => {
          switch (landing._tag) {
            case "Outcome":
              return replay(call, landing.outcome)
            case "StoreUnavailable":
              return call.request.settings.onStoreFailure === "fail"
                ? unavailable(call)
                : enter(call)
            case "Ask":
              return enter(call)
          }
        }
      })
    )
  })

const lead = <A, E, R, RD>(call: Call<A, E, R, RD>): Result<A, E, R, RD> =>
  Effect.uninterruptibleMask((restore) => {
    const flight = call.flights.open()
    return Effect.ensuring(
      claiming(call, flight, restore, firstPollMillis),
      Effect.suspend(() => call.flights.close(flight))
    )
  })

/**
 * Asks for the claim until there is an answer that does not change by waiting, or no time left to
 * wait.
 */
const claiming = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  flight: InFlightRun,
  restore: Restore,
  pollMillis: number
): Result<A, E, R, RD> =>
  Effect.clockWith((clock) => {
    const askedMillis = nowMillis(clock)
    const asking = ask(() => call.store.acquire(call.claim), {
      timeoutMillis: call.request.settings.storeTimeoutMillis,
      wait: restore,
      late: (answer) => Lease.undo(call.store, call.claim, answer, call.request.settings, flight)
    })
    return Effect.flatMap(asking, (answer): Result<A, E, R, RD> => {
      if (answer._tag === "Failed") {
        return answer.corrupt
          ? corrupt(call)
          : withoutClaim(call, flight, restore)
      }
      switch (answer.value._tag) {
        case "Mismatch":
          return fails(call, "mismatch", () => new Mismatch())
        case "Completed":
          flight.landing = { _tag: "Outcome", outcome: answer.value.outcome }
          return restore(replay(call, answer.value.outcome))
        case "InFlight": {
          const { retryAfterMillis } = answer.value
          const leftMillis = call.deadlineMillis - nowMillis(clock)
          if (leftMillis <= 0) return inFlight(call, retryAfterMillis)
          flight.leaseUntilMillis = nowMillis(clock) + retryAfterMillis
          const pause = Math.ceil(
            Math.min(leftMillis, pollMillis, Math.max(shortestPollMillis, retryAfterMillis))
          )
          return Effect.zipRight(
            restore(Effect.sleep(Duration.millis(pause))),
            claiming(call, flight, restore, Math.min(2 * pollMillis, lastPollMillis))
          )
        }
        case "Acquired": {
          flight.leaseUntilMillis = askedMillis + call.claim.leaseMillis
          call.flights.takeOff(flight)
          const lease = new Lease(
            call.store,
            call.claim,
            answer.value,
            call.request.settings,
            flight
          )
          return claimed(call, lease, restore)
        }
      }
    })
  })

/** The text of an outcome, given out instead of running. */
const replay = <A, E, R, RD>(call: Call<A, E, R, RD>, text: string): Result<A, E, R, RD> => {
  const outcome = StoredOutcome.read(text)
  switch (outcome._tag) {
    case "Corrupt":
      return corrupt(call)
    case "NotKept":
      return fails(call, "result_unavailable", () => new ResultUnavailable())
    case "Kept":
      return Effect.onExit(call.request.replay(outcome.outcome), (exit) => {
        const error = Exit.isFailure(exit)
          ? Option.getOrUndefined(Cause.failureOption(exit.cause))
          : undefined
        if (error instanceof CorruptRecord) return ending(call, "corrupt")
        return ending(call, error instanceof ResultUnavailable ? "result_unavailable" : "replayed")
      })
  }
}

/** A store that has forgotten a key by now, and one that never saw it, say the same. */
const hasOutlived = <A, E, R, RD>({ request }: Call<A, E, R, RD>): Effect.Effect<boolean> =>
  Effect.map(
    Clock.currentTimeMillis,
    (now) =>
      request.key.madeAt + Math.max(Claims.keyLifetimeMillis, request.settings.timeToLiveMillis) <=
        now
  )

/** The store did not answer. */
const withoutClaim = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  flight: InFlightRun,
  restore: Restore
): Result<A, E, R, RD> => {
  if (call.request.settings.onStoreFailure === "fail") {
    flight.landing = { _tag: "StoreUnavailable" }
    return unavailable(call)
  }
  const work = Effect.suspend(() => call.work(Lease.unprotected))
  return Effect.flatMap(hasOutlived(call), (outlived): Result<A, E, R, RD> =>
    outlived
      ? unknown(call)
      : Effect.flatMap(
        Effect.zipRight(ending(call, "unprotected"), Effect.exit(restore(work))),
        (exit) =>
          flight.followers === 0 || Exit.isFailure(exit)
            ? exit
            : Effect.zipRight(settle(call, flight, exit), exit)
      ))
}

const claimed = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  lease: Lease,
  restore: Restore
): Result<A, E, R, RD> =>
  Effect.flatMap(hasOutlived(call), (outlived): Result<A, E, R, RD> => {
    if (lease.recovered ? !call.request.reruns : outlived) {
      return Effect.zipRight(lease.undo, unknown(call))
    }
    const run = lease.run()
    if (run === undefined) {
      return Effect.zipRight(lease.undo, corrupt(call))
    }
    let begun = false
    const work = Effect.suspend(() => {
      begun = true
      return call.work(run)
    })
    return Effect.flatMap(lease.hold(work, restore), (exit) =>
      // Interrupted before its first step: nothing was executed.
      begun ? ended(call, lease, exit) : Effect.zipRight(lease.undo, exit))
  })

/**
 * What becomes of the record. What cannot be settled is over after a success, and unknown after a
 * failure.
 */
const settle = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  flight: InFlightRun,
  exit: Exit.Exit<A, E>
): Effect.Effect<Settlement, never, RD> =>
  Effect.suspend(() => call.request.settle(exit)).pipe(
    Effect.catchAllCause((): Effect.Effect<Settlement> =>
      Effect.succeed({ _tag: Exit.isSuccess(exit) ? "Done" : "Hold" })
    ),
    Effect.tap((settlement) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) return
        if (settlement._tag === "Store") {
          flight.landing = { _tag: "Outcome", outcome: StoredOutcome.kept(settlement.outcome) }
        }
        if (settlement._tag === "Done") {
          flight.landing = { _tag: "Outcome", outcome: StoredOutcome.notKept }
        }
      })
    )
  )

/** Takes down how the work ended. The caller gets what the work gave, whatever the store says. */
const ended = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  lease: Lease,
  exit: Exit.Exit<A, E>
): Result<A, E, R, RD> =>
  Effect.flatMap(settle(call, lease.flight, exit), (settlement): Result<A, E, R, RD> => {
    if (lease.lost && Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)) return unknown(call)
    return Effect.zipRight(
      Effect.flatMap(recordOutcome(call, lease, settlement), (name) => ending(call, name)),
      exit
    )
  })

const recordOutcome = <A, E, R, RD>(
  { request: { settings } }: Call<A, E, R, RD>,
  lease: Lease,
  settlement: Settlement
): Effect.Effect<Ending> => {
  switch (settlement._tag) {
    case "Hold":
      return Effect.succeed("held")
    case "Release":
      // What an earlier run did is as unknown as before: a first run must not follow.
      if (lease.recovered) return Effect.as(lease.undo, "held")
      return Effect.map(
        lease.release,
        (kept) => kept === "ok" ? "released" : kept === "stale" ? kept : "unreleased"
      )
    case "Store":
    case "Done": {
      const text = settlement._tag === "Store"
        ? StoredOutcome.kept(settlement.outcome)
        : StoredOutcome.notKept
      const kept = lease.complete(
        StoredOutcome.isWithin(text, settings.maxOutcomeBytes) ? text : StoredOutcome.notKept
      )
      return Effect.map(
        kept,
        (kept) => kept === "ok" ? "executed" : kept === "stale" ? kept : "unrecorded"
      )
    }
  }
}

/**
 * Runs the work, unless it was run already. O(1) store calls: one before and one after the work,
 * and one for each heartbeat, savepoint and poll.
 */
export const idempotentRun = <A, E, R, RD>(
  request: Request<A, E, RD>,
  work: (run: Run) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | IdempotencyError, R | RD | IdempotencyStore.IdempotencyStore> =>
  Effect.flatMap(
    IdempotencyStore.IdempotencyStore,
    (store) =>
      Effect.flatMap(
        Claims.claimOf(request),
        (claim: IdempotencyStore.Claim) =>
          Effect.clockWith((clock) => {
            const { onDuplicate } = request.settings
            const waitMillis = onDuplicate === "reject" ? 0 : onDuplicate.waitMillis
            const flights = new InFlightRuns(store, Claims.idOf(claim))
            return enter({
              request,
              work,
              store,
              claim,
              flights,
              deadlineMillis: nowMillis(clock) + waitMillis
            })
          })
      )
  )
