import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, type Duration, Effect, Exit, Fiber, Inspectable, TestClock } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  Idempotency,
  IdempotencyKey,
  Operation,
  Pipeline,
  Retry
} from "effect-resilience"

const day = 24 * 3_600_000

/** A platform client that answers every request with this status and says when it was asked, under which key. */
const answering = (status: number) => {
  const seen: Array<readonly [at: number, key: string | undefined]> = []
  const client = HttpClient.make((request) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      seen.push([now, request.headers["idempotency-key"]])
      return HttpClientResponse.fromWeb(request, new Response(null, { status }))
    })
  )
  return { seen, client }
}

/** A client that waits an hour between two attempts. */
const hourly = (upstream: HttpClient.HttpClient, keyTimeToLive?: Duration.DurationInput) =>
  Effect.gen(function*() {
    const pipeline = yield* Pipeline.make({
      operation: Operation.keyed,
      retry: { retries: 5, backoff: Backoff.constant("1 hour") }
    })
    return yield* ApiClient.make({ name: "sessions", baseUrl: "https://api.test", pipeline, keyTimeToLive })
  }).pipe(Effect.provideService(HttpClient.HttpClient, upstream))

const outcome = <A, E>(exit: Exit.Exit<A, E>): unknown => {
  if (Exit.isSuccess(exit)) return "sent"
  const error = Cause.failureOption(exit.cause)
  return error._tag === "Some" && typeof error.value === "object" && error.value !== null && "_tag" in error.value
    ? error.value._tag
    : Cause.pretty(exit.cause)
}

const post = HttpClientRequest.post("/v1/sessions")

/** Runs to its end under the test clock. */
const finish = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    yield* TestClock.adjust("10 days")
    return outcome(yield* Fiber.join(fiber))
  })

describe("UnknownOutcome", () => {
  it("says that the outcome is unknown and that nothing was sent again", () => {
    const error = new Idempotency.UnknownOutcome()
    expect([error._tag, error.name]).toEqual(["UnknownOutcome", "UnknownOutcome"])
    expect(error.message).toMatch(/unknown/)
    expect(error.message).toMatch(/not sent again/)
  })

  it("is neither an ApiError nor worth another try", () => {
    const error = new Idempotency.UnknownOutcome()
    expect([ApiError.isApiError(error), ApiError.verdict(error)._tag]).toEqual([false, "Terminal"])
  })

  it.effect("can be yielded and caught by its tag", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        yield* new Idempotency.UnknownOutcome()
        return "sent"
      })
      const caught = yield* Effect.catchTag(program, "UnknownOutcome", () => Effect.succeed("look it up"))
      expect(caught).toBe("look it up")
    }))

  it.effect("R14: a retry hands it back as the very same value, after one attempt", () =>
    Effect.gen(function*() {
      const error = new Idempotency.UnknownOutcome()
      let calls = 0
      const call = Effect.suspend(() => {
        calls++
        return Effect.fail(error)
      })
      const failed = yield* Effect.flip(Retry.retry(call, { operation: Operation.read, retries: 5 }))
      expect([failed === error, calls]).toEqual([true, 1])
    }))
})

describe("the lifetime of a key", () => {
  const callAt = (age: number, keyTimeToLive?: Duration.DurationInput) =>
    Effect.gen(function*() {
      const { client, seen } = answering(204)
      const api = yield* hourly(client, keyTimeToLive)
      const madeAt = yield* Clock.currentTimeMillis
      const key = yield* IdempotencyKey.fromString("row-17", { madeAt })
      yield* TestClock.adjust(age)
      return [yield* finish(IdempotencyKey.provide(api.execute(post), key)), seen.length]
    })

  it.effect("I4: a key is sent until a day after its making", () =>
    Effect.gen(function*() {
      expect(yield* callAt(day - 1)).toEqual(["sent", 1])
    }))

  it.effect("I4, I11: a day after its making it is over, and nothing is sent", () =>
    Effect.gen(function*() {
      expect(yield* callAt(day)).toEqual(["UnknownOutcome", 0])
    }))

  it.effect("I4: another lifetime can be agreed", () =>
    Effect.gen(function*() {
      expect(yield* callAt(59_999, "1 minute")).toEqual(["sent", 1])
      expect(yield* callAt(60_000, "1 minute")).toEqual(["UnknownOutcome", 0])
    }))

  it.effect("I4: the lifetime counts from when a stored key was made, not from when it was read", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("2 days")
      const { client, seen } = answering(204)
      const api = yield* hourly(client)
      const key = yield* IdempotencyKey.fromString("row-17", { madeAt: 0 })
      expect(yield* finish(IdempotencyKey.provide(api.execute(post), key))).toBe("UnknownOutcome")
      expect(seen).toEqual([])
    }))

  it.effect("I3, I4: a derived key is as old as its parent", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("2 days")
      const { client, seen } = answering(204)
      const api = yield* hourly(client)
      const parent = yield* IdempotencyKey.fromString("row-17", { madeAt: 0 })
      const outcome = yield* finish(IdempotencyKey.provide(api.execute(post), IdempotencyKey.derive(parent, "notify")))
      expect([outcome, seen]).toEqual(["UnknownOutcome", []])
    }))

  it.effect("I1, I4: a key that outlives its time between two attempts is not replaced by a fresh one", () =>
    Effect.gen(function*() {
      const { client, seen } = answering(503)
      const api = yield* hourly(client, "150 minutes")
      const key = yield* IdempotencyKey.fromString("row-17")
      expect(yield* finish(IdempotencyKey.provide(api.execute(post), key))).toBe("UnknownOutcome")
      expect(seen).toEqual([[0, "row-17"], [3_600_000, "row-17"], [7_200_000, "row-17"]])
    }))

  it.effect("T1: the error does not show the key", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("2 days")
      const api = yield* hourly(answering(204).client)
      const key = yield* IdempotencyKey.fromString("row-17-secret", { madeAt: 0 })
      const cause = yield* api.execute(post).pipe(IdempotencyKey.provide(key), Effect.sandbox, Effect.flip)
      const error = Cause.squash(cause)
      const renderings = [
        Cause.pretty(cause, { renderErrorCause: true }),
        String(error),
        JSON.stringify(error),
        Inspectable.toStringUnknown(error),
        (error as Error).stack
      ]
      expect(renderings.filter((text) => text?.includes("row-17-secret"))).toEqual([])
    }))
})
