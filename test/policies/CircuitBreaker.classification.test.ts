import { HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, FiberId, Option, TestClock } from "effect"
import { ApiError, CircuitBreaker } from "effect-resilience"
import { rateLimit, rejection, server } from "../support/errors.js"
import { bothOf, call, calls, down, hold, many, numbers, ok, wordOf } from "./circuitBreaker.js"

describe("what counts", () => {
  const request = HttpClientRequest.get("http://api.example.com/v1/things")
  const responseError = (status: number) =>
    new HttpClientError.ResponseError({
      request,
      response: HttpClientResponse.fromWeb(request, new Response(null, { status })),
      reason: "StatusCode"
    })
  const outcome = (exit: Exit.Exit<unknown, unknown>): string => {
    const found = CircuitBreaker.classify(exit)
    return found._tag === "Success" || found.retryAfter === undefined
      ? found._tag
      : `${found._tag} ${Duration.toMillis(found.retryAfter)}`
  }
  const message = { message: "m" }
  const table: ReadonlyArray<readonly [string, Exit.Exit<unknown, unknown>, string]> = [
    ["a value", Exit.succeed(1), "Success"],
    ["undefined", Exit.void, "Success"],
    ["Server", Exit.fail(server()), "Failure"],
    [
      "Server that answered in another form (E32)",
      Exit.fail(
        new ApiError.Server({ message: "changed", status: 200, code: "unexpected_response" })
      ),
      "Success"
    ],
    [
      "Server whose answer broke off (E7)",
      Exit.fail(
        new ApiError.Server({ message: "broke off", status: 200, code: "unreadable_response" })
      ),
      "Failure"
    ],
    ["Server with a hint", Exit.fail(server(503, "7 seconds")), "Failure 7000"],
    [
      "Timeout of an attempt",
      Exit.fail(new ApiError.Timeout({ ...message, deadline: "attempt" })),
      "Failure"
    ],
    [
      "Timeout of the call",
      Exit.fail(new ApiError.Timeout({ ...message, deadline: "total" })),
      "Failure"
    ],
    [
      "Timeout of the server",
      Exit.fail(new ApiError.Timeout({ ...message, deadline: "server" })),
      "Failure"
    ],
    ["Network, unsent", Exit.fail(new ApiError.Network({ ...message, sent: "no" })), "Failure"],
    ["Network", Exit.fail(new ApiError.Network({ ...message, sent: "unknown" })), "Failure"],
    ["Auth", Exit.fail(new ApiError.Auth(message)), "Success"],
    ["Policy", Exit.fail(new ApiError.Policy(message)), "Success"],
    ["Validation", Exit.fail(new ApiError.Validation(message)), "Success"],
    ["NotFound", Exit.fail(new ApiError.NotFound(message)), "Success"],
    ["Conflict", Exit.fail(new ApiError.Conflict(message)), "Success"],
    ["Locked", Exit.fail(new ApiError.Locked(message)), "Success"],
    ["RateLimit", Exit.fail(rateLimit()), "Ignored"],
    ["RateLimit with a hint", Exit.fail(rateLimit("5 seconds")), "Ignored 5000"],
    ["a rejection", Exit.fail(rejection()), "Ignored"],
    [
      "an inner breaker",
      Exit.fail(new CircuitBreaker.CircuitOpen({ key: "inner", retryAfter: Duration.infinity })),
      "Ignored"
    ],
    ["a defect", Exit.die(new Error("bug")), "Failure"],
    ["interruption", Exit.interrupt(FiberId.none), "Ignored"],
    ["a failure that is not ours", Exit.fail(new Error("mine")), "Failure"],
    ["a string", Exit.fail("mine"), "Failure"],
    ["a tag that only looks like ours", Exit.fail({ _tag: "Auth", status: 401 }), "Failure"],
    ["TimeoutException", Exit.fail(new Cause.TimeoutException()), "Failure"],
    [
      "a RequestError of the transport",
      Exit.fail(
        new HttpClientError.RequestError({
          request,
          reason: "Transport",
          cause: new Error("reset")
        })
      ),
      "Failure"
    ],
    ...[400, 401, 403, 404, 409, 412, 422, 423].map((status) =>
      [`a ResponseError of ${status}`, Exit.fail(responseError(status)), "Success"] as const
    ),
    ["a ResponseError of 429", Exit.fail(responseError(429)), "Ignored"],
    ...[408, 425, 500, 501, 502, 503, 504].map((status) =>
      [`a ResponseError of ${status}`, Exit.fail(responseError(status)), "Failure"] as const
    )
  ]

  it("B3: the default classification", () => {
    expect(table.map(([name, exit]) => `${name}: ${outcome(exit)}`)).toEqual(
      table.map(([name, , expected]) => `${name}: ${expected}`)
    )
  })

  it.effect("B3: the service counts what the table says", () =>
    Effect.gen(function*() {
      const counted = yield* Effect.forEach(
        table.filter(([name]) => name !== "interruption"),
        ([name, exit]) =>
          Effect.gen(function*() {
            const breaker = yield* CircuitBreaker.make()
            yield* call(breaker, exit)
            const { calls, failures } = yield* breaker.snapshot()
            return `${name}: ${failures} of ${calls}`
          })
      )
      const expected = { Success: "0 of 1", Failure: "1 of 1", Ignored: "0 of 0" }
      expect(counted).toEqual(
        table.filter(([name]) => name !== "interruption").map(([name, , word]) =>
          `${name}: ${expected[word.split(" ")[0] as keyof typeof expected]}`
        )
      )
    }))

  it.effect("B3: what goes through comes out as it was", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(100),
        minimumCalls: 100
      })
      const exits = yield* Effect.forEach(table.slice(0, -1), ([, exit]) =>
        Effect.exit(breaker.protect(exit)))
      expect(exits).toEqual(
        table.slice(0, -1).map(([, exit]) =>
          exit
        )
      )
    }))

  it.effect("B3: an interrupted call is ignored", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const held = yield* hold(breaker)
      expect([yield* numbers(breaker), yield* held.interrupt, yield* numbers(breaker)]).toEqual([
        "Closed: 0 calls, 0 failed, 0 slow, 1 in flight",
        "interrupted",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B3: an interrupted call that was slow already counts as slow, one of exactly three seconds does not", () =>
    Effect.gen(function*() {
      const slow: Array<number> = []
      for (const millis of [3000, 3001]) {
        const breaker = yield* CircuitBreaker.make()
        const held = yield* hold(breaker)
        yield* TestClock.adjust(millis)
        yield* held.interrupt
        slow.push((yield* breaker.snapshot()).slow)
      }
      expect(slow).toEqual([0, 1])
    }))

  it.effect("B3: a server that never answers trips the circuit although every caller gives up", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const answers: Array<string> = []
      for (let i = 0; i < 10; i++) {
        const fiber = yield* Effect.fork(
          breaker.protect(Effect.never).pipe(
            Effect.timeoutOption("10 seconds"),
            Effect.exit,
            Effect.map((exit) =>
              Exit.isSuccess(exit) && Option.isNone(exit.value) ? "gave up" : wordOf(exit)
            )
          )
        )
        yield* TestClock.adjust("10 seconds")
        answers.push(yield* Fiber.join(fiber))
      }
      expect([answers, yield* breaker.state()]).toEqual([many(10, "gave up"), "Open"])
    }))

  it.effect("B3: classify of the breaker", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        classify: (exit) =>
          Exit.isSuccess(exit) && exit.value === "ok"
            ? CircuitBreaker.failure()
            : CircuitBreaker.success
      })
      yield* calls(breaker, [ok, ok, down, Effect.succeed("fine")])
      expect(yield* numbers(breaker)).toBe("Closed: 4 calls, 2 failed, 0 slow, 0 in flight")
    }))

  it.effect("B3: classify of a call goes before the breaker's", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ classify: () => CircuitBreaker.failure() })
      yield* breaker.protect(ok, { classify: () => CircuitBreaker.success })
      yield* ok.pipe(breaker.protect({ classify: () => CircuitBreaker.ignored }))
      yield* breaker.protect(ok)
      expect(yield* numbers(breaker)).toBe("Closed: 2 calls, 1 failed, 0 slow, 0 in flight")
    }))

  it.effect("B3: an ignored outcome neither opens nor dilutes", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, bothOf(many(9, down), many(20, Effect.fail(rateLimit("1 hour")))))
      const before = yield* numbers(breaker)
      yield* call(breaker, down)
      expect([before, yield* breaker.state()]).toEqual([
        "Closed: 9 calls, 9 failed, 0 slow, 0 in flight",
        "Open"
      ])
    }))

  it("B3: outcomes are plain values", () => {
    expect([
      CircuitBreaker.success._tag,
      CircuitBreaker.ignored._tag,
      CircuitBreaker.failure()._tag,
      (CircuitBreaker.failure({ retryAfter: "5 seconds" }) as {
        readonly retryAfter?: Duration.Duration
      }).retryAfter
    ]).toEqual(["Success", "Ignored", "Failure", Duration.seconds(5)])
  })
})
