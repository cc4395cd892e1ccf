/**
 * The engine of idempotent runs: claims the key, runs the work and records its outcome. It knows
 * neither schemas nor HTTP; its caller passes `settle`, which makes a record of an exit, and
 * `replay`, which makes a result of a record.
 *
 * From the claim to the record only the work can be interrupted. No step waits for a store that
 * hangs.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import {
  CorruptRecord,
  type IdempotencyError,
  InFlight,
  Mismatch,
  ResultUnavailable,
  StoreUnavailable,
  UnknownOutcome
} from "../errors/idempotencyErrors.js"
import { nowMillis } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { Beginning } from "./beginning.js"
import * as Claims from "./claim.js"
import * as Fingerprint from "./fingerprint.js"
import type * as IdempotencyKey from "./IdempotencyKey.js"
import * as IdempotencyStore from "./IdempotencyStore.js"
import { type InFlightRun, InFlightRuns } from "./inFlightRuns.js"
import { Lease, type Restore, type Run } from "./lease.js"
import { LooseClaim } from "./looseClaim.js"
import { type Ending, report } from "./report.js"
import type { Settings } from "./settings.js"
import * as Settlement from "./settlement.js"
import { ask, type Failed } from "./storeCalls.js"
import * as StoredOutcome from "./storedOutcome.js"

export interface Request<A, E, RD> {
  readonly key: IdempotencyKey.IdempotencyKey
  readonly scope: ReadonlyArray<string>
  readonly payload: Fingerprint.Digest
  readonly settings: Settings
  /**
   * Whether the work may run again after an unknown outcome. Set it only for work that reads
   * `recovered`.
   */
  readonly reruns: boolean
  /**
   * Called once, after the work has ended. A failure or defect in it counts as `Done` after a
   * success and as `Hold` after a failure.
   */
  readonly settle: (exit: Exit.Exit<A, E>) => Effect.Effect<Settlement.Settlement, never, RD>
  readonly replay: (outcome: string) => Effect.Effect<A, E | ResultUnavailable | CorruptRecord, RD>
}

/** One call, with everything that is fixed before the first call of the store. */
interface Call<A, E, R, RD> {
  readonly request: Request<A, E, RD>
  readonly work: (run: Run) => Effect.Effect<A, E, R>
  readonly store: IdempotencyStore.Service
  readonly claim: IdempotencyStore.Claim
  readonly acquire: Fingerprint.Acquire
  readonly inFlightRuns: InFlightRuns
  /** Whether the store writes in the transaction of the caller, and there is one. */
  readonly inTransaction: boolean
  /** When waiting for a duplicate ends; monotonic. */
  readonly deadlineMillis: number
}

type Result<A, E, R, RD> = Effect.Effect<A, E | IdempotencyError, R | RD>

/** How long a caller waits before it asks a silent store again. */
const retryStoreAfter = Duration.seconds(1)

/**
 * How often a duplicate asks the store about a run on another machine. The pauses double, and a
 * pause ends when the claim of the other run lapses.
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
  Effect.clockWith((clock) =>
    fails(
      call,
      "in_flight",
      () =>
        new InFlight({
          retryAfter: Duration.millis(Math.max(1, Math.ceil(leftMillis))),
          ...(call.inFlightRuns.isHeld(nowMillis(clock)) ? { held: true } : {})
        })
    )
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

/** Follows a run of this process, or leads a new one. */
const enter = <A, E, R, RD>(call: Call<A, E, R, RD>): Result<A, E, R, RD> => {
  const leader = call.request.settings.onDuplicate === "reject"
    ? undefined
    : call.inFlightRuns.find()
  return leader === undefined ? lead(call) : follow(call, leader)
}

const follow = <A, E, R, RD>(call: Call<A, E, R, RD>, leader: InFlightRun): Result<A, E, R, RD> =>
  Effect.clockWith((clock) =>
    Effect.flatMap(
      leader.follow(call.deadlineMillis - nowMillis(clock)),
      (result): Result<A, E, R, RD> => {
        switch (result?._tag) {
          case undefined:
            return inFlight(call, leader.leaseUntilMillis - nowMillis(clock))
          case "Outcome":
            return replay(call, result.storedOutcome)
          case "StoreUnavailable":
            return call.request.settings.onStoreFailure === "fail"
              ? unavailable(call)
              : enter(call)
          case "Ask":
            return enter(call)
        }
      }
    )
  )

const lead = <A, E, R, RD>(call: Call<A, E, R, RD>): Result<A, E, R, RD> =>
  Effect.uninterruptibleMask((restore) => {
    const inFlightRun = call.inFlightRuns.start()
    return whenEnded(claiming(call, inFlightRun, restore, firstPollMillis), (exit) => {
      call.inFlightRuns.finish(inFlightRun)
      return exit
    })
  })

/** Asks for the claim until the answer is final or the time to wait is over. */
const claiming = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  inFlightRun: InFlightRun,
  restore: Restore,
  pollMillis: number
): Result<A, E, R, RD> =>
  Effect.clockWith((clock) => {
    const { acquire, claim, inTransaction, request: { settings }, store } = call
    const untilMillis = nowMillis(clock) + claim.leaseMillis
    const loose = new LooseClaim(store, claim, acquire, settings, untilMillis, inTransaction)
    const asking = ask(store, () => acquire(claim), {
      timeoutMillis: settings.storeTimeoutMillis,
      wait: restore,
      late: (answer) => loose.granted(answer),
      lost: (failed) => loose.giveBack(failed)
    })
    return Effect.flatMap(asking, (answer): Result<A, E, R, RD> => {
      if (answer._tag === "Failed") {
        return answer.corrupt
          ? corrupt(call)
          : withoutClaim(call, clock, inFlightRun, restore, answer, loose)
      }
      switch (answer.value._tag) {
        case "Mismatch":
          return fails(call, "mismatch", () => new Mismatch())
        case "Completed":
          inFlightRun.result = { _tag: "Outcome", storedOutcome: answer.value.outcome }
          return restore(replay(call, answer.value.outcome))
        case "InFlight": {
          const { retryAfterMillis } = answer.value
          const leftMillis = call.deadlineMillis - nowMillis(clock)
          if (leftMillis <= 0) return inFlight(call, retryAfterMillis)
          inFlightRun.leaseUntilMillis = nowMillis(clock) + retryAfterMillis
          const pause = Math.ceil(
            Math.min(leftMillis, pollMillis, Math.max(shortestPollMillis, retryAfterMillis))
          )
          return Effect.zipRight(
            restore(Effect.sleep(Duration.millis(pause))),
            claiming(call, inFlightRun, restore, Math.min(2 * pollMillis, lastPollMillis))
          )
        }
        case "Acquired": {
          inFlightRun.leaseUntilMillis = untilMillis
          call.inFlightRuns.promote(inFlightRun)
          const lease = new Lease(
            store,
            claim,
            answer.value,
            settings,
            inFlightRun,
            inTransaction
          )
          return claimed(call, clock, lease, restore)
        }
      }
    })
  })

/** Gives out the stored outcome instead of running the work. */
const replay = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  storedOutcome: string
): Result<A, E, R, RD> => {
  const outcome = StoredOutcome.read(storedOutcome)
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

/**
 * Tests whether the store may have forgotten the key by now. Its answer is then the same as for a
 * new key.
 */
const hasOutlived = <A, E, R, RD>(
  { request: { key, settings } }: Call<A, E, R, RD>,
  clock: Clock.Clock
): boolean =>
  key.madeAt + Math.max(Claims.keyLifetimeMillis, settings.timeToLiveMillis) <=
    clock.unsafeCurrentTimeMillis()

/**
 * Fails or runs unprotected, because the store did not answer. A conflict is no outage: a store
 * that has conflicts is there, and another caller may run. In a transaction of the caller nothing
 * can run any more.
 *
 * The store may have made the claim all the same. It is given back, unless unprotected work may
 * have been executed under it.
 */
const withoutClaim = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  clock: Clock.Clock,
  inFlightRun: InFlightRun,
  restore: Restore,
  failed: Failed,
  loose: LooseClaim
): Result<A, E, R, RD> => {
  const giveBack = failed.lost ? loose.giveBack(failed) : Effect.void
  const failsClosed = failed.conflict || call.inTransaction
  if (failsClosed || call.request.settings.onStoreFailure === "fail") {
    inFlightRun.result = { _tag: "StoreUnavailable" }
    return Effect.zipRight(giveBack, unavailable(call))
  }
  if (hasOutlived(call, clock)) return Effect.zipRight(giveBack, unknown(call))
  loose.isUsed = true
  const work = restore(Effect.suspend(() => call.work(Lease.unprotected)))
  return Effect.flatMap(
    Effect.zipRight(ending(call, "unprotected"), Effect.exit(work)),
    (exit) =>
      Effect.flatMap(settle(call, inFlightRun, exit), ({ _tag }) => {
        if (_tag !== "Release") return exit
        loose.isUsed = false
        return Effect.zipRight(giveBack, exit)
      })
  )
}

const claimed = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  clock: Clock.Clock,
  lease: Lease,
  restore: Restore
): Result<A, E, R, RD> => {
  if (lease.recovered ? !call.request.reruns : hasOutlived(call, clock)) {
    return Effect.zipRight(lease.undo, unknown(call))
  }
  const run = lease.run()
  if (run === undefined) return Effect.zipRight(lease.undo, corrupt(call))
  const work = new Beginning(() => call.work(run))
  return Effect.flatMap(lease.hold(work.run, restore), (exit) =>
    // An interruption before the first step: the work did not run.
    work.hasBegun ? ended(call, lease, exit) : Effect.zipRight(lease.undo, exit))
}

/** What the store records, unless it is too large. */
const storedOutcomeOf = (settlement: Settlement.Recorded): string =>
  settlement._tag === "Store" ? StoredOutcome.kept(settlement.outcome) : StoredOutcome.notKept

/**
 * Decides what becomes of the record, and shares the outcome of a success with the followers. When
 * `settle` itself fails, a success is `Done` and a failure is `Hold`.
 */
const settle = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  inFlightRun: InFlightRun,
  exit: Exit.Exit<A, E>
): Effect.Effect<Settlement.Settlement, never, RD> =>
  whenEnded(Effect.suspend(() => call.request.settle(exit)), (settled) => {
    const settlement = Exit.isSuccess(settled)
      ? settled.value
      : Exit.isSuccess(exit)
      ? Settlement.done
      : Settlement.hold
    // What a transaction has done counts when it is committed: followers ask the store.
    if (Exit.isSuccess(exit) && !call.inTransaction && Settlement.isRecorded(settlement)) {
      inFlightRun.result = { _tag: "Outcome", storedOutcome: storedOutcomeOf(settlement) }
    }
    return Effect.succeed(settlement)
  })

/** Records how the work ended. The caller gets the exit of the work, even if the store fails. */
const ended = <A, E, R, RD>(
  call: Call<A, E, R, RD>,
  lease: Lease,
  exit: Exit.Exit<A, E>
): Result<A, E, R, RD> =>
  Effect.flatMap(settle(call, lease.inFlightRun, exit), (settlement): Result<A, E, R, RD> => {
    if (lease.lost && !lease.failed && Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)) {
      return unknown(call)
    }
    const recorded = lease.failed
      ? Effect.succeed<Ending>("store_unavailable")
      : recordOutcome(call, lease, settlement)
    return Effect.flatMap(
      recorded,
      (name) => Effect.zipRight(ending(call, name), lease.failed ? rollingBack(exit) : exit)
    )
  })

/**
 * A store call has failed in the transaction of the caller. The run fails, so that the transaction
 * rolls back. A failure of the work stays in the cause, behind that of the store.
 */
const rollingBack = <A, E>(exit: Exit.Exit<A, E>): Effect.Effect<never, E | StoreUnavailable> => {
  const failure = Cause.fail(new StoreUnavailable({ retryAfter: retryStoreAfter }))
  return Effect.failCause(
    Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)
      ? failure
      : Cause.sequential(failure, exit.cause)
  )
}

const recordOutcome = <A, E, R, RD>(
  { inFlightRuns, request: { settings } }: Call<A, E, R, RD>,
  lease: Lease,
  settlement: Settlement.Settlement
): Effect.Effect<Ending> => {
  switch (settlement._tag) {
    case "Hold":
      return Effect.clockWith((clock) => {
        inFlightRuns.hold(lease.inFlightRun.leaseUntilMillis, nowMillis(clock))
        return Effect.succeed("held")
      })
    case "Release":
      // The outcome of the earlier run stays unknown, so the next run must not be a first run.
      if (lease.recovered) return Effect.as(lease.undo, "held")
      return Effect.map(
        lease.release,
        (kept) => kept === "ok" ? "released" : kept === "stale" ? kept : "unreleased"
      )
    case "Store":
    case "Done": {
      const storedOutcome = storedOutcomeOf(settlement)
      const kept = lease.complete(
        StoredOutcome.isWithin(storedOutcome, settings.maxOutcomeBytes)
          ? storedOutcome
          : StoredOutcome.notKept
      )
      return Effect.map(
        kept,
        (kept) => kept === "ok" ? "executed" : kept === "stale" ? kept : "unrecorded"
      )
    }
  }
}

/**
 * Tests whether the claim is part of a transaction of the caller. A heartbeat cannot be part of
 * one.
 */
const inTransactionOf = (
  transactional: Effect.Effect<boolean>,
  { heartbeat }: Settings
): Effect.Effect<boolean> =>
  heartbeat
    ? Effect.die(
      new RangeError("heartbeat should be false over a store with transactional: true, got true")
    )
    : transactional

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
      Effect.flatMap(Claims.claimOf(store, request), ({ claim, otherFingerprints }) => {
        const begin = (inTransaction: boolean) =>
          Effect.clockWith((clock) => {
            const { onDuplicate } = request.settings
            const waitMillis = onDuplicate === "reject" ? 0 : onDuplicate.waitMillis
            return enter({
              request,
              work,
              store,
              claim,
              acquire: Fingerprint.comparing(store, otherFingerprints),
              inFlightRuns: new InFlightRuns(store, Claims.idOf(claim)),
              inTransaction,
              deadlineMillis: nowMillis(clock) + waitMillis
            })
          })
        return store.transactional === undefined
          ? begin(false)
          : Effect.flatMap(inTransactionOf(store.transactional, request.settings), begin)
      })
  )
