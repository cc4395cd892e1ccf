import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import { ApiError, Backoff, IdempotencyKey, Operation, Retry, Verdict } from "effect-resilience"
import { invalid, network, server, unauthorized } from "../support/errors.js"
import { errorOf } from "../support/exits.js"
import { failing, finish, secondly } from "./retry.js"

describe("Retry.retry calls", () => {
  it.effect("R10: two further attempts by default, and attempts on the last error says three", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect([calls, errorOf(exit).attempts]).toEqual([[0, 1000, 2000], 3])
    }))

  it.effect("R10: retries n makes n + 1 calls", () =>
    Effect.gen(function*() {
      const counts: Array<string> = []
      for (const retries of [0, 1, 2, 5]) {
        const { action, calls } = failing(server())
        const exit = yield* Effect.exit(
          Retry.retry(action, { operation: Operation.read, backoff: Backoff.constant(0), retries })
        )
        counts.push(`${retries}: ${calls.length} calls, attempts ${errorOf(exit).attempts}`)
      }
      expect(counts).toEqual([
        "0: 1 calls, attempts 1",
        "1: 2 calls, attempts 2",
        "2: 3 calls, attempts 3",
        "5: 6 calls, attempts 6"
      ])
    }))

  it.effect("R10: retries: 2 over any mix of 503 responses and transport errors makes exactly three calls", () =>
    Effect.gen(function*() {
      for (const mask of [0, 1, 2, 3, 4, 5, 6, 7]) {
        const errors = [0, 1, 2].map((bit) => mask & (1 << bit) ? server() : network())
        const { action, calls } = failing<ApiError.ApiError>(...errors)
        const { exit } = yield* finish(Retry.retry(action, { ...secondly, retries: 2 }))
        expect([calls.length, errorOf(exit)._tag, errorOf(exit).attempts]).toEqual([
          3,
          errors[2]?._tag,
          3
        ])
      }
    }))

  it.effect("it succeeds as soon as an attempt does", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.suspend(() =>
        ++calls < 3 ? Effect.fail(server()) : Effect.succeed(`call ${calls}`)
      )
      const { exit, at } = yield* finish(Retry.retry(action, { ...secondly, retries: 9 }))
      expect([exit, at]).toEqual([Exit.succeed("call 3"), 2000])
    }))

  it.effect("DESIGN 7: data-last and data-first are the same", () =>
    Effect.gen(function*() {
      const a = failing(server())
      const b = failing(server())
      const first = yield* finish(Retry.retry(a.action, secondly))
      const last = yield* finish(b.action.pipe(Retry.retry(secondly)))
      expect([
        a.calls.length,
        b.calls.length,
        errorOf(first.exit).attempts,
        errorOf(last.exit).attempts
      ]).toEqual([
        3,
        3,
        3,
        3
      ])
    }))

  it.effect("one stored policy and one stored effect serve many runs, each with its own count", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const stored = Retry.retry({
        operation: Operation.read,
        backoff: Backoff.constant(0),
        retries: 3
      })
      const effect = stored(action)
      const exits = yield* Effect.all([1, 2, 3].map(() => Effect.exit(effect)), {
        concurrency: "unbounded"
      })
      expect([calls.length, exits.map((exit) => errorOf(exit).attempts)]).toEqual([12, [4, 4, 4]])
    }))

  it.effect("a terminal failure ends the call at once, also after transient ones", () =>
    Effect.gen(function*() {
      const { action, calls } = failing<ApiError.ApiError>(
        server(),
        unauthorized()
      )
      const { exit } = yield* finish(Retry.retry(action, { ...secondly, retries: 9 }))
      expect([calls, errorOf(exit)._tag, errorOf(exit).attempts]).toEqual([[0, 1000], "Auth", 2])
    }))

  it.effect("the caller's own verdict decides for the caller's own errors", () =>
    Effect.gen(function*() {
      class Boom {
        readonly _tag = "Boom"
        constructor(readonly n: number) {}
      }
      const seen: Array<number> = []
      const { action, calls } = failing(new Boom(1), new Boom(2), new Boom(3))
      const { exit } = yield* finish(
        Retry.retry(action, {
          ...secondly,
          retries: 9,
          verdict: (error) => {
            seen.push(error.n)
            return error.n >= 3 ? Verdict.terminal : Verdict.transient({ retryAfter: "4 seconds" })
          }
        })
      )
      expect([calls, seen, errorOf(exit).n]).toEqual([[0, 4000, 8000], [1, 2, 3], 3])
    }))

  it.effect("a hundred thousand retries need no stack", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.suspend(() => {
        calls++
        return Effect.fail("down")
      })
      yield* Effect.exit(
        Retry.retry(action, {
          operation: Operation.read,
          backoff: Backoff.constant(0),
          retries: 100_000,
          verdict: () => Verdict.transient()
        })
      )
      expect(calls).toBe(100_001)
    }))

  it.effect("to `ApiError.verdict` an error that is not ours is terminal", () =>
    Effect.gen(function*() {
      const { action, calls } = failing({ _tag: "RateLimit", status: 429 })
      yield* finish(Retry.retry(action, { ...secondly, verdict: ApiError.verdict }))
      expect(calls.length).toBe(1)
    }))
})

describe("Retry.retry errors", () => {
  it.effect("R14: the last error comes back unchanged except for attempts, as a new value", () =>
    Effect.gen(function*() {
      const original = new ApiError.RateLimit({
        message: "slow down",
        status: 429,
        code: "slow",
        requestId: "r-1",
        endpoint: "/v1/sessions/:id",
        method: "POST",
        latency: Duration.millis(12),
        headers: { "x-a": "b" },
        repeat: "transient",
        retryAfter: Duration.millis(5),
        limit: 10,
        remaining: 0
      })
      const { action } = failing(original)
      const { exit } = yield* finish(Retry.retry(action, secondly))
      const error = errorOf(exit)
      expect(error).toBeInstanceOf(ApiError.RateLimit)
      expect(ApiError.isApiError(error)).toBe(true)
      expect([original.attempts, error.attempts]).toEqual([undefined, 3])
      const fields = [
        "_tag",
        "message",
        "status",
        "code",
        "requestId",
        "endpoint",
        "method",
        "latency",
        "headers",
        "repeat",
        "retryAfter",
        "limit",
        "remaining"
      ] as const
      expect(fields.map((field) => error[field])).toEqual(fields.map((field) => original[field]))
    }))

  it.effect("R14: attempts is one when there was no retry", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Retry.retry(Effect.fail(invalid()), secondly)
      )
      expect([error._tag, error.attempts]).toEqual(["Validation", 1])
    }))

  it.effect("R14: it is the last error that comes back, not the first", () =>
    Effect.gen(function*() {
      const { action } = failing(server(500), server(502), server(504))
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect(errorOf(exit).status).toBe(504)
    }))

  it.effect("R14: an error that is not ours comes back as the very same value", () =>
    Effect.gen(function*() {
      const values: ReadonlyArray<unknown> = [
        { _tag: "Conflict", attempts: 7 },
        Object.freeze({ _tag: "Frozen" }),
        new Error("boom"),
        "text",
        undefined,
        null,
        NaN,
        Symbol.for("s")
      ]
      for (const value of values) {
        const { action, calls } = failing(value)
        const { exit } = yield* finish(
          Retry.retry(action, { ...secondly, verdict: () => Verdict.transient() })
        )
        expect(calls.length).toBe(3)
        expect(Object.is(errorOf(exit), value)).toBe(true)
      }
    }))

  it.effect("E7: an unreadable response is transient for read and idempotent, terminal for keyed and once", () =>
    Effect.gen(function*() {
      const unreadable = new ApiError.Server({
        message: "unreadable",
        status: 200,
        code: "unreadable_response"
      })
      const probes: Array<string> = []
      const tryOut = <R>(operation: Operation.Operation<R>) =>
        Effect.gen(function*() {
          const { action, calls } = failing(unreadable)
          const { exit } = yield* finish(
            Retry.retry(action, { operation, backoff: Backoff.constant(0) })
          )
          probes.push(`${operation._tag}: ${calls.length}, ${errorOf(exit).code}`)
        })
      yield* tryOut(Operation.read)
      yield* tryOut(Operation.idempotent)
      yield* tryOut(Operation.keyed)
      yield* tryOut(Operation.once)
      expect(probes).toEqual([
        "Read: 3, unreadable_response",
        "Idempotent: 3, unreadable_response",
        "Keyed: 1, unreadable_response",
        "Once: 1, unreadable_response"
      ])
    }).pipe(IdempotencyKey.provideNew))
})
