/**
 * Asks the real functions of a policy what each ending of an attempt means, once and beforehand. A
 * simulation then looks the answers up.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import { endings, type Meaning } from "../core/call.js"
import type * as Concurrency from "../core/concurrency.js"
import * as HttpStatus from "../core/httpStatus.js"
import { answers } from "../core/upstream.js"
import * as ApiError from "../errors/ApiError.js"
import * as CallFacts from "../errors/callFacts.js"
import * as Rejection from "../errors/Rejection.js"
import type * as Verdict from "../errors/Verdict.js"
import type * as Operation from "../idempotency/Operation.js"
import * as AdaptiveConcurrency from "../policies/AdaptiveConcurrency.js"
import * as AdaptiveThrottle from "../policies/AdaptiveThrottle.js"
import * as Bulkhead from "../policies/Bulkhead.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Cooldown from "../policies/Cooldown.js"
import { findingOf } from "../policies/cooldown/registry.js"
import * as RateLimiter from "../policies/RateLimiter.js"
import { judge } from "../retry/policy.js"

/** What a program may say of its own about failures. */
export interface Judges {
  readonly operation: Operation.Operation<unknown>
  readonly verdict: (error: never) => Verdict.Verdict
  readonly circuit: (exit: Exit.Exit<unknown, unknown>) => CircuitBreaker.Outcome
  readonly throttle: (exit: Exit.Exit<unknown, unknown>) => CircuitBreaker.Outcome
  readonly concurrency: (exit: Exit.Exit<unknown, unknown>) => CircuitBreaker.Outcome
}

/** The functions that are asked where a program says nothing. */
export const byDefault: Omit<Judges, "operation"> = {
  verdict: ApiError.verdict,
  circuit: CircuitBreaker.classify,
  throttle: AdaptiveThrottle.classify,
  concurrency: AdaptiveConcurrency.classify
}

const key = "default"

/** The failure that a status means, as the HTTP client makes it without a playbook. */
const ofStatus = (status: number, retryAfter: Duration.Duration | undefined): ApiError.ApiError => {
  const message = `The upstream answered ${status}`
  const fields = { message, status, ...(retryAfter === undefined ? {} : { retryAfter }) }
  switch (HttpStatus.tagOf(status)) {
    case "Auth":
      return new ApiError.Auth(fields)
    case "Policy":
      return new ApiError.Policy(fields)
    case "Validation":
      return new ApiError.Validation(fields)
    case "NotFound":
      return new ApiError.NotFound(fields)
    case "Conflict":
      return new ApiError.Conflict({ ...fields, inFlight: false })
    case "Locked":
      return new ApiError.Locked(fields)
    case "RateLimit":
      return new ApiError.RateLimit(fields)
    case "Timeout":
      return new ApiError.Timeout({ ...fields, deadline: "server" })
    default:
      return new ApiError.Server(fields)
  }
}

/**
 * The failure that an ending is, with the wait that comes with it. For all codes but success, a
 * black hole and an interruption.
 */
export const failureOf = (
  code: number,
  retryAfterMillis: number | undefined
): ApiError.ApiError | Rejection.Rejection => {
  const retryAfter = retryAfterMillis === undefined ? undefined : Duration.millis(retryAfterMillis)
  const wait = retryAfter ?? Duration.zero
  switch (code) {
    case answers.refused:
      return new ApiError.Network({ message: "The connection was refused", sent: "no" })
    case answers.reset:
      return new ApiError.Network({ message: "The connection was reset", sent: "unknown" })
    case endings.attemptTimeout:
      return new ApiError.Timeout({ message: "The attempt was too slow", deadline: "attempt" })
    case endings.totalTimeout:
      return new ApiError.Timeout({ message: "The call was too slow", deadline: "total" })
    case endings.circuitOpen:
      return new CircuitBreaker.CircuitOpen({ key, retryAfter: wait })
    case endings.throttled:
      return new AdaptiveThrottle.Throttled({ key, probability: 0 })
    case endings.rateLimited:
      return new RateLimiter.RateLimited({ key, retryAfter: wait })
    case endings.bulkheadFull:
      return new Bulkhead.BulkheadFull({ concurrency: 1, queue: 0 })
    case endings.concurrencyLimited:
      return new AdaptiveConcurrency.ConcurrencyLimited({ key, limit: 1 })
    case endings.coolingDown:
      return new Cooldown.CoolingDown({ key, retryAfter: wait })
    case endings.queueTimeout:
      return new Rejection.QueueTimeout({ stage: "bulkhead", key, waited: Duration.zero })
    default:
      return ofStatus(code, retryAfter)
  }
}

/** A wait that no function makes of its own. */
const sampleMillis = 12_345

const concurrencyOf = (outcome: CircuitBreaker.Outcome): Concurrency.Ending["_tag"] =>
  outcome._tag === "Failure" ? "Drop" : outcome._tag

const heedsOutcome = (outcome: CircuitBreaker.Outcome): boolean =>
  outcome._tag !== "Success" && outcome.retryAfter !== undefined

const meaningOfExit = (
  { circuit, concurrency, throttle }: Judges,
  exit: Exit.Exit<unknown, unknown>
): Pick<Meaning, "circuit" | "throttle" | "concurrency"> => ({
  circuit: circuit(exit)._tag,
  throttle: throttle(exit)._tag,
  concurrency: concurrencyOf(concurrency(exit))
})

const heedsNothing = { retry: false, circuit: false, cooldown: false, hedge: false }

const meaningOfFailure = (judges: Judges, code: number): Meaning => {
  const error = failureOf(code, undefined)
  const waiting = failureOf(code, sampleMillis)
  const exit = Exit.fail(waiting)
  const verdict = judge(judges.operation, judges.verdict, error as never)
  const waitingVerdict = judge(judges.operation, judges.verdict, waiting as never)
  const byLibrary = ApiError.verdict(waiting)
  const finding = findingOf(Cause.fail(waiting))
  return {
    ...meaningOfExit(judges, Exit.fail(error)),
    retry: verdict._tag,
    isAmbiguous: CallFacts.isAmbiguous(verdict),
    cooldown: findingOf(Cause.fail(error)) === "serves" ? "serves" : "nothing",
    allowsHedge: ApiError.verdict(error)._tag === "Transient",
    isAnswer: CallFacts.isAnswer(error),
    heeds: {
      retry: waitingVerdict._tag !== "Terminal" && waitingVerdict.retryAfterMillis !== undefined,
      circuit: heedsOutcome(judges.circuit(exit)),
      cooldown: typeof finding === "object",
      hedge: byLibrary._tag === "Transient" && Option.isSome(byLibrary.retryAfter)
    }
  }
}

/** What a success and an interruption mean; a retry hears of neither as of a failure. */
const meaningOf = (
  judges: Judges,
  exit: Exit.Exit<unknown, unknown>,
  cooldown: Meaning["cooldown"]
): Meaning => ({
  ...meaningOfExit(judges, exit),
  retry: "Terminal",
  isAmbiguous: false,
  cooldown,
  allowsHedge: false,
  isAnswer: false,
  heeds: heedsNothing
})

/** What every ending means under these functions, by its code; of statuses, those given. */
export const meanings = (
  judges: Judges,
  statuses: ReadonlyArray<number>
): ReadonlyArray<Meaning | undefined> => {
  const found: Array<Meaning | undefined> = []
  found[answers.success] = meaningOf(judges, Exit.succeed(undefined), "serves")
  const failures = [answers.refused, answers.reset, ...Object.values(endings), ...statuses]
  for (const code of failures) found[code] = meaningOfFailure(judges, code)
  found[endings.interrupted] = meaningOf(judges, Exit.interrupt(FiberId.none), "nothing")
  return found
}
