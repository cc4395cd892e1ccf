/** R19: the ambiguity of a call is that of all its attempts. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, Exit, Option, Schema } from "effect"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  Idempotency,
  IdempotencyKey,
  Operation,
  RateLimiter,
  Rejection,
  Retry,
  Verdict
} from "effect-resilience"
import {
  conflict,
  forbidden,
  invalid,
  locked,
  network,
  notFound,
  rateLimit,
  rejection,
  server,
  timeout,
  unauthorized
} from "../support/errors.js"
import { errorOf } from "../support/exits.js"
import { failing, finish, secondly } from "./retry.js"

const refusals: ReadonlyArray<readonly [string, () => ApiError.ApiError]> = [
  ["401", unauthorized],
  ["403", forbidden],
  ["404", notFound],
  ["409", conflict],
  ["409 in flight", () => conflict({ inFlight: true })],
  ["412", () => new ApiError.Conflict({ message: "no", status: 412 })],
  ["422", invalid],
  ["423", locked],
  ["425", () => server(425)],
  ["429", rateLimit],
  ["501", () => server(501)],
  ["a refused connection", () => network("no")],
  ["408", () => timeout("server")]
]

const openings: ReadonlyArray<readonly [string, () => ApiError.ApiError]> = [
  ["a reset", network],
  ["a time limit", () => timeout("attempt")],
  ["503", server]
]

/** What a call ends with whose attempts fail with these errors in turn. */
const ended = <E>(...errors: ReadonlyArray<E>) =>
  Effect.map(
    finish(
      Retry.retry(failing(...errors).action, {
        ...secondly,
        verdict: ApiError.verdict,
        retries: errors.length - 1,
        waitForRejections: true
      })
    ),
    ({ exit }) => errorOf(exit)
  )

describe("R19: an attempt that may have been executed", () => {
  for (const [first, opening] of openings) {
    it.effect(`R19: is not forgotten when ${first} is followed by a refusal`, () =>
      Effect.gen(function*() {
        for (const [last, refusal] of refusals) {
          const error = yield* ended(opening(), refusal())
          expect([last, error._tag, ApiError.mayHaveRun(error), error.attempts]).toEqual([
            last,
            refusal()._tag,
            true,
            2
          ])
        }
      }))
  }

  it.effect("R19: refusals alone are no reason to think that anything ran", () =>
    Effect.gen(function*() {
      for (const [, refusal] of refusals) {
        const error = yield* ended<ApiError.ApiError>(rateLimit(), network("no"), refusal())
        expect([ApiError.mayHaveRun(error), "mayHaveRun" in error && error.mayHaveRun]).toEqual(
          [false, false]
        )
      }
    }))

  it.effect("R19: is not forgotten however many refusals follow", () =>
    Effect.gen(function*() {
      const error = yield* ended<ApiError.ApiError>(
        rateLimit(),
        server(),
        rateLimit(),
        network("no"),
        notFound()
      )
      expect([error._tag, ApiError.mayHaveRun(error), error.attempts]).toEqual([
        "NotFound",
        true,
        5
      ])
    }))

  it.effect("R14: apart from attempts and the mark, the last error is the same", () =>
    Effect.gen(function*() {
      const last = new ApiError.RateLimit({
        message: "slow down",
        status: 429,
        code: "quota",
        requestId: "r-1",
        headers: { a: "b" },
        latency: Duration.millis(3),
        retryAfter: Duration.seconds(1),
        remaining: 0
      })
      const error = yield* ended<ApiError.ApiError>(server(), last)
      expect({ ...error }).toEqual({ ...last, attempts: 2, mayHaveRun: true })
      expect([error.stack, error.message]).toEqual([last.stack, last.message])
    }))

  it.effect("R14: an error that says so itself gets no mark", () =>
    Effect.gen(function*() {
      const error = yield* ended<ApiError.ApiError>(network(), server())
      expect([error.mayHaveRun, ApiError.mayHaveRun(error)]).toEqual([undefined, true])
    }))

  it.effect("R19: the mark goes over the wire and comes back", () =>
    Effect.gen(function*() {
      const error = yield* ended<ApiError.ApiError>(server(), notFound())
      const sent = yield* Schema.encode(ApiError.ApiError)(error)
      const back = yield* Schema.decodeUnknown(ApiError.ApiError)(JSON.parse(JSON.stringify(sent)))
      expect(ApiError.mayHaveRun(back)).toBe(true)
    }))

  it.effect("R19: a rejection carries the mark, and the one that its guard keeps does not", () =>
    Effect.gen(function*() {
      const kept = rejection()
      const error = yield* ended<ApiError.ApiError | typeof kept>(server(), kept)
      expect(error).toBeInstanceOf(kept.constructor)
      expect([error._tag, Rejection.isRejection(error), error.mayHaveRun, error.attempts]).toEqual([
        "Busy",
        true,
        true,
        2
      ])
      expect([ApiError.mayHaveRun(error), ApiError.mayHaveRun(kept)]).toEqual([true, false])
      expect(ApiError.verdict(error)).toEqual(ApiError.verdict(kept))
    }))

  it.effect("R19: a rejection without such an attempt is as its guard made it, with attempts", () =>
    Effect.gen(function*() {
      const kept = rejection()
      const error = yield* ended<ApiError.ApiError | typeof kept>(rateLimit(), kept)
      expect(error).toEqual(kept)
      expect([ApiError.mayHaveRun(error), error.attempts]).toEqual([false, 2])
    }))

  it.effect("R19: a circuit that the attempt itself has opened", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(1),
        minimumCalls: 1,
        failureRate: 1
      })
      const { action, calls } = failing(network())
      const { exit } = yield* finish(Retry.retry(breaker.protect(action), secondly))
      const error = errorOf(exit)
      expect([calls.length, error._tag, ApiError.mayHaveRun(error)]).toEqual([
        1,
        "CircuitOpen",
        true
      ])
    }))

  it.effect("R19: a circuit that was open before says that nothing ran", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* breaker.forceOpen()
      const { action, calls } = failing(network())
      const exit = yield* Effect.exit(Retry.retry(breaker.protect(action), secondly))
      const error = errorOf(exit)
      expect([calls.length, error._tag, ApiError.mayHaveRun(error)]).toEqual([
        0,
        "CircuitOpen",
        false
      ])
    }))

  it.effect("R19: a limiter that lets only the first attempt through", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ limit: 1, interval: "1 hour", maxWait: 0 })
      const { exit } = yield* finish(
        Retry.retry(limiter.protect(failing(timeout("attempt")).action), secondly)
      )
      const error = errorOf(exit)
      expect([error._tag, ApiError.mayHaveRun(error)]).toEqual(["RateLimited", true])
    }))

  it.effect("R19: a mismatch after an attempt that may have been executed", () =>
    Effect.gen(function*() {
      const error = yield* ended<ApiError.ApiError | Idempotency.Mismatch>(
        server(),
        new Idempotency.Mismatch()
      )
      expect(error).toBeInstanceOf(Idempotency.Mismatch)
      expect(ApiError.mayHaveRun(error)).toBe(true)
    }))

  it.effect("R14: a foreign error comes back as the very same value", () =>
    Effect.gen(function*() {
      class Boom extends Data.TaggedError("Boom")<{ readonly n: number }> {}
      const last = Object.freeze(new Boom({ n: 2 }))
      const { action } = failing(new Boom({ n: 1 }), last)
      const { exit } = yield* finish(
        Retry.retry(action, {
          ...secondly,
          verdict: ({ n }) => n === 1 ? Verdict.transient() : Verdict.terminal
        })
      )
      expect(errorOf(exit)).toBe(last)
    }))

  it.effect("R19: what the caller's own verdict calls ambiguous marks one of ours after it", () =>
    Effect.gen(function*() {
      class Lost extends Data.TaggedError("Lost")<{}> {}
      for (const ambiguous of [true, false]) {
        const { exit } = yield* finish(
          Retry.retry(failing<ApiError.ApiError | Lost>(new Lost(), notFound()).action, {
            ...secondly,
            verdict: (error) =>
              error._tag === "Lost" ? Verdict.transient({ ambiguous }) : Verdict.terminal
          })
        )
        expect(ApiError.mayHaveRun(errorOf(exit))).toBe(ambiguous)
      }
    }))

  it.effect("R19: one of several failures side by side", () =>
    Effect.gen(function*() {
      const both = Effect.failCause(Cause.parallel(Cause.fail(notFound()), Cause.fail(network())))
      const exit = yield* Effect.exit(Retry.retry(both, { ...secondly, retries: 0 }))
      const error = errorOf<unknown, ApiError.ApiError>(exit)
      expect([error._tag, ApiError.mayHaveRun(error)]).toEqual(["NotFound", true])
    }))

  it.effect("R19: once repeats nothing after a retry inside that may have been executed", () =>
    Effect.gen(function*() {
      for (const last of [rateLimit(), rejection()]) {
        const { action, calls } = failing<ApiError.ApiError | Rejection.Rejection>(server(), last)
        const inner = Retry.retry(action, { ...secondly, retries: 1 })
        yield* finish(
          Retry.retry(inner, { ...secondly, operation: Operation.once, waitForRejections: true })
        )
        expect(calls.length).toBe(2)
      }
    }))

  it.effect("R19: under keyed as well", () =>
    Effect.gen(function*() {
      const { exit } = yield* finish(
        IdempotencyKey.provideNew(
          Retry.retry(failing<ApiError.ApiError>(network(), unauthorized()).action, {
            operation: Operation.keyed,
            backoff: Backoff.constant("1 second")
          })
        )
      )
      expect(ApiError.mayHaveRun(errorOf(exit))).toBe(true)
    }))

  it.effect("R14: a success after it is a success", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.suspend(() => ++calls < 3 ? Effect.fail(server()) : Effect.succeed(3))
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect(exit).toEqual(Exit.succeed(3))
      expect(Option.isNone(Exit.causeOption(exit))).toBe(true)
    }))
})
