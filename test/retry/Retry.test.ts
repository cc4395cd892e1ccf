import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Option,
  Random,
  TestClock
} from "effect"
import {
  ApiError,
  Backoff,
  IdempotencyKey,
  Operation,
  Retry,
  RetryBudget,
  Verdict
} from "effect-resilience"
import { invalid, network, rateLimit, rejection, server, unauthorized } from "../support/errors.js"
import { errorOf } from "../support/exits.js"
import { badDurations, refusal } from "../support/refusal.js"
import { countingClock } from "../support/clocks.js"

const maxTimer = 2 ** 31 - 1

const secondly = { operation: Operation.read, backoff: Backoff.constant("1 second") } as const

/**
 * An action that fails with each error in turn (the last for ever), and says when it was called.
 */
const failing = <E>(...errors: ReadonlyArray<E>) => {
  const calls: Array<number> = []
  const action = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const error = errors[Math.min(calls.length, errors.length - 1)] as E
    calls.push(now)
    return Effect.fail(error)
  })
  return { calls, action }
}

/** Runs to its end under the test clock: when it ended, and how. */
const finish = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(
      Effect.exit(effect).pipe(Effect.zip(Clock.currentTimeMillis))
    )
    yield* TestClock.adjust("30 days")
    const [exit, at] = yield* Fiber.join(fiber)
    return { exit, at }
  })

const many = <A>(n: number, value: A): ReadonlyArray<A> => Array.from({ length: n }, () => value)

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

  it.effect("without a verdict an error that is not ours is terminal", () =>
    Effect.gen(function*() {
      const { action, calls } = failing({ _tag: "RateLimit", status: 429 })
      yield* finish(Retry.retry(action, secondly))
      expect(calls.length).toBe(1)
    }))
})

describe("Retry.retry delays", () => {
  it.effect("R1: the delays are those of the backoff, drawn from the Random service", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* finish(
        Retry.retry(action, {
          operation: Operation.read,
          retries: 5,
          backoff: Backoff.exponential({ base: 100, cap: 1000 })
        })
      ).pipe(Effect.withRandom(Random.fixed([0.5])))
      expect(calls).toEqual([0, 50, 150, 350, 750, 1250])
    }))

  it.effect("R1, R3: decorrelated remembers the previous delay", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* finish(
        Retry.retry(action, {
          operation: Operation.read,
          retries: 4,
          backoff: Backoff.decorrelated({ base: 100, cap: 800 })
        })
      ).pipe(Effect.withRandom(Random.fixed([0.5])))
      expect(calls).toEqual([0, 200, 550, 1125, 1925])
    }))

  it.effect("R11: without a backoff there is a default one: no hot loop", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const fiber = yield* Effect.fork(
        Effect.exit(Retry.retry(action, { operation: Operation.read }))
      )
      yield* TestClock.adjust("1 millis")
      expect(calls).toEqual([0])
      yield* TestClock.adjust("1 minute")
      expect(calls.length).toBe(3)
      yield* Fiber.join(fiber)
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  it.effect("R11: a zero delay is possible when asked for", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* Effect.exit(
        Retry.retry(action, { operation: Operation.read, backoff: Backoff.constant(0), retries: 4 })
      )
      expect(calls).toEqual([0, 0, 0, 0, 0])
    }))

  it.effect("E12: Retry-After is a floor for the next delay", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(
        rateLimit("5 seconds"),
        rateLimit("10 millis"),
        rateLimit(0)
      )
      yield* finish(Retry.retry(action, { ...secondly, retries: 3 }))
      expect(calls).toEqual([0, 5000, 6000, 7000])
    }))

  it.effect("E12: a wait equal to the cap is honoured, one above it stops and the hint stays on the error", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rateLimit("60 seconds"), rateLimit(60_001))
      const { at, exit } = yield* finish(Retry.retry(action, { ...secondly, retries: 9 }))
      const error = errorOf(exit)
      expect([calls, at, error.attempts, Duration.toMillis(error.retryAfter ?? 0)]).toEqual([
        [0, 60_000],
        60_000,
        2,
        60_001
      ])
    }))

  it.effect("E12: retryAfterCap moves the cap, clamp waits the cap", () =>
    Effect.gen(function*() {
      const a = failing(rateLimit("3 seconds"), rateLimit("4 seconds"))
      yield* finish(Retry.retry(a.action, { ...secondly, retryAfterCap: "3 seconds" }))
      const b = failing(rateLimit("1 hour"))
      const start = yield* Clock.currentTimeMillis
      yield* finish(
        Retry.retry(b.action, {
          ...secondly,
          retries: 1,
          retryAfterCap: "3 seconds",
          beyondCap: "clamp"
        })
      )
      const c = failing(rateLimit(Duration.infinity))
      const later = yield* Clock.currentTimeMillis
      yield* finish(Retry.retry(c.action, { ...secondly, retries: 1, beyondCap: "clamp" }))
      expect([a.calls, b.calls.map((at) => at - start), c.calls.map((at) => at - later)]).toEqual([
        [0, 3000],
        [0, 3000],
        [0, 60_000]
      ])
    }))

  it.effect("E12: a huge delay is clamped to what a timer can fire", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const fiber = yield* Effect.fork(
        Effect.exit(
          Retry.retry(action, {
            operation: Operation.read,
            backoff: Backoff.constant("60 days"),
            retries: 1
          })
        )
      )
      yield* TestClock.adjust(maxTimer - 1)
      expect(calls.length).toBe(1)
      yield* TestClock.adjust(1)
      expect(calls).toEqual([0, maxTimer])
      yield* Fiber.join(fiber)
    }))

  it.effect("R12: interruption during a delay ends the call at that moment; the action is not run again", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const fiber = yield* Effect.fork(Retry.retry(action, { ...secondly, retries: 99 }))
      yield* TestClock.adjust("1500 millis")
      const exit = yield* Fiber.interrupt(fiber)
      expect(yield* Clock.currentTimeMillis).toBe(1500)
      expect(Exit.isInterrupted(exit)).toBe(true)
      yield* TestClock.adjust("1 hour")
      expect(calls).toEqual([0, 1000])
    }))

  it.effect("R12: interruption during an attempt runs its finalizer once and ends the call", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const action = Effect.sync(() => probes.push("call")).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => probes.push("released")))
      )
      const fiber = yield* Effect.fork(Retry.retry(action, { ...secondly, retries: 99 }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect(probes).toEqual(["call", "released"])
    }))

  it.effect("concurrent callers wait each for itself", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* finish(
        Effect.all(many(50, Effect.exit(Retry.retry(action, secondly))), {
          concurrency: "unbounded"
        })
      )
      expect([0, 1000, 2000].map((t) => calls.filter((at) => at === t).length)).toEqual([
        50,
        50,
        50
      ])
    }))
})

describe("Retry.retry deadline", () => {
  it.effect("R13: if the next delay does not end before within, it stops now with the last error", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const { at, exit } = yield* finish(
        Retry.retry(action, { ...secondly, retries: 99, within: "3500 millis" })
      )
      expect([calls, at, errorOf(exit).attempts]).toEqual([[0, 1000, 2000, 3000], 3000, 4])
    }))

  it.effect("R13: a delay that ends exactly at within stops", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const { at } = yield* finish(
        Retry.retry(action, { ...secondly, retries: 99, within: "3 seconds" })
      )
      expect([calls, at]).toEqual([[0, 1000, 2000], 2000])
    }))

  it.effect("R13: one millisecond more and it goes on", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* finish(Retry.retry(action, { ...secondly, retries: 99, within: 3001 }))
      expect(calls).toEqual([0, 1000, 2000, 3000])
    }))

  it.effect("R13: the time counts from the start of the first attempt", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const slow = Effect.zipLeft(Effect.sleep("2 seconds"), Effect.void).pipe(
        Effect.zipRight(action)
      )
      const { at } = yield* finish(
        Retry.retry(slow, { ...secondly, retries: 99, within: "6 seconds" })
      )
      expect([calls, at]).toEqual([[2000, 5000], 5000])
    }))

  it.effect("R13: within bounds the waiting, it does not interrupt a running attempt", () =>
    Effect.gen(function*() {
      const slow = Effect.as(Effect.sleep("1 hour"), "late")
      const { at, exit } = yield* finish(Retry.retry(slow, { ...secondly, within: "1 second" }))
      expect([exit, at]).toEqual([Exit.succeed("late"), 3_600_000])
    }))

  it.effect("R13: within 0 leaves no time for any delay, but the first attempt is made", () =>
    Effect.gen(function*() {
      const a = failing(server())
      const b = failing(server())
      yield* finish(Retry.retry(a.action, { ...secondly, within: 0 }))
      yield* finish(Retry.retry(b.action, { ...secondly, backoff: Backoff.constant(0), within: 0 }))
      expect([a.calls.length, b.calls.length]).toEqual([1, 1])
    }))

  it.effect("R13: it does not sleep into a deadline because of a Retry-After either", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rateLimit("10 seconds"))
      const { at } = yield* finish(Retry.retry(action, { ...secondly, within: "10 seconds" }))
      expect([calls, at]).toEqual([[0], 0])
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

describe("Retry.retry defects, interruption, success", () => {
  it.effect("R16: a defect is never retried and stays the same defect", () =>
    Effect.gen(function*() {
      const bug = new Error("bug")
      let calls = 0
      const action = Effect.suspend(() => {
        calls++
        return Effect.die(bug)
      })
      const { exit } = yield* finish(
        Retry.retry(action, { ...secondly, verdict: () => Verdict.transient() })
      )
      expect([calls, exit]).toEqual([1, Exit.die(bug)])
    }))

  it.effect("R16: a failure together with a defect is not retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const cause = Cause.parallel(Cause.fail(server()), Cause.die("bug"))
      const action = Effect.suspend(() => {
        calls++
        return Effect.failCause(cause)
      })
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect([calls, Exit.isFailure(exit) && Array.from(Cause.defects(exit.cause))]).toEqual([1, [
        "bug"
      ]])
    }))

  it.effect("R16: a failure together with an interruption is not retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.suspend(() => {
        calls++
        return Effect.fail(server()).pipe(Effect.ensuring(Effect.interrupt))
      })
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect([calls, Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)]).toEqual([1, true])
    }))

  it.effect("R16: interruption of the action itself is never retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.suspend(() => {
        calls++
        return Effect.interrupt
      })
      const { exit } = yield* finish(
        Retry.retry(action, { ...secondly, verdict: () => Verdict.transient() })
      )
      expect([calls, Exit.isInterrupted(exit)]).toEqual([1, true])
    }))

  it.effect("R16: success makes no clock read unless within is given", () =>
    Effect.gen(function*() {
      const { clock, counts } = countingClock(Clock.make())
      const asked = (options: Partial<Retry.Base>) =>
        Retry.retry(Effect.succeed(1), { operation: Operation.read, ...options }).pipe(
          Effect.withClock(clock)
        )
      yield* asked({})
      expect(counts.uses).toBe(0)
      yield* asked({
        backoff: Backoff.decorrelated({ base: 1, cap: 2 }),
        retries: 7,
        retryAfterCap: "1 second"
      })
      expect(counts.uses).toBe(0)
      yield* asked({ waitForRejections: true })
      expect(counts.uses).toBe(0)
      yield* asked({ within: "1 second" })
      expect(counts.uses).toBeGreaterThanOrEqual(0)
    }))

  it.effect("R16: success makes no clock read with a budget either", () =>
    Effect.gen(function*() {
      const { clock, counts } = countingClock(Clock.make())
      const budget = yield* RetryBudget.make()
      yield* Retry.retry(Effect.succeed(1), { operation: Operation.read, budget }).pipe(
        Effect.withClock(clock)
      )
      expect(counts.uses).toBe(0)
    }))

  it.effect("R16: success draws no random number", () =>
    Effect.gen(function*() {
      const refuse = new Proxy(Random.make("x"), {
        get: (target, property, receiver) => {
          if (typeof property === "string" && property.startsWith("next")) {
            throw new Error(`read ${property}`)
          }
          return Reflect.get(target, property, receiver)
        }
      })
      expect(
        yield* Retry.retry(Effect.succeed(1), { operation: Operation.read }).pipe(
          Effect.withRandom(refuse)
        )
      ).toBe(1)
    }))
})

describe("Retry.retry and rejections", () => {
  it.effect("R15: a rejection is not retried by default, and comes back as the very same value", () =>
    Effect.gen(function*() {
      const busy = rejection(Duration.seconds(1))
      const { action, calls } = failing(busy)
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect(calls.length).toBe(1)
      expect(errorOf(exit)).toBe(busy)
    }))

  it.effect("R15: opted in, it waits retryAfter, then tries; such a wait counts as a retry", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.seconds(5)))
      yield* finish(Retry.retry(action, { ...secondly, retries: 2, waitForRejections: true }))
      expect(calls).toEqual([0, 5000, 10_000])
    }))

  it.effect("R15: a rejection without a time uses the backoff", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection())
      yield* finish(Retry.retry(action, { ...secondly, retries: 2, waitForRejections: true }))
      expect(calls).toEqual([0, 1000, 2000])
    }))

  it.effect("R11, R15: a rejection that says now does not make a hot loop: the delay is the policy's", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.zero))
      yield* finish(Retry.retry(action, { ...secondly, waitForRejections: true }))
      expect(calls).toEqual([0, 1000, 2000])
    }))

  it.effect("R15: one with an infinite time stops, whatever beyondCap says", () =>
    Effect.gen(function*() {
      const a = failing(rejection(Duration.infinity))
      const b = failing(rejection(Duration.infinity))
      yield* finish(Retry.retry(a.action, { ...secondly, waitForRejections: true }))
      yield* finish(
        Retry.retry(b.action, { ...secondly, waitForRejections: true, beyondCap: "clamp" })
      )
      expect([a.calls.length, b.calls.length]).toEqual([1, 1])
    }))

  it.effect("R15: one above the cap stops, one equal to it is waited for", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(
        rejection(Duration.seconds(60)),
        rejection(Duration.millis(60_001))
      )
      const { at } = yield* finish(
        Retry.retry(action, { ...secondly, retries: 9, waitForRejections: true })
      )
      expect([calls, at]).toEqual([[0, 60_000], 60_000])
    }))

  it.effect("R15: one above the cap stops, also where a server's Retry-After would be clamped", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.minutes(2)))
      yield* finish(
        Retry.retry(action, { ...secondly, waitForRejections: true, beyondCap: "clamp" })
      )
      expect(calls).toEqual([0])
    }))

  it.effect("R15: it costs no budget, by default or opted in, also when the budget is empty", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 1, reservePerSecond: 0 })
      const { action, calls } = failing(rejection(Duration.seconds(1)))
      yield* finish(Retry.retry(action, { ...secondly, budget }))
      expect([calls.length, yield* budget.available]).toEqual([1, 1])
      yield* finish(
        Retry.retry(action, { ...secondly, budget, retries: 5, waitForRejections: true })
      )
      expect([calls.length, yield* budget.available]).toEqual([7, 1])
      yield* budget.withdraw
      yield* finish(
        Retry.retry(action, { ...secondly, budget, retries: 2, waitForRejections: true })
      )
      expect([calls.length, yield* budget.available]).toEqual([10, 0])
    }))

  it.effect("R13, R15: such a wait respects the deadline", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.seconds(5)))
      const { at } = yield* finish(
        Retry.retry(action, {
          ...secondly,
          retries: 9,
          within: "10 seconds",
          waitForRejections: true
        })
      )
      expect([calls, at]).toEqual([[0, 5000], 5000])
    }))

  it.effect("R15: opted in, once waits too: nothing was executed", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.seconds(1)))
      yield* finish(
        Retry.retry(action, { ...secondly, operation: Operation.once, waitForRejections: true })
      )
      expect(calls.length).toBe(3)
    }))
})

describe("Retry.retry and keys", () => {
  it.effect("I1: keyed: every attempt sees the same key, two logical calls see different ones", () =>
    Effect.gen(function*() {
      const seen: Array<IdempotencyKey.IdempotencyKey> = []
      const action = Effect.flatMap(IdempotencyKey.IdempotencyKey, (key) => {
        seen.push(key)
        return Effect.fail(server())
      })
      const call = Retry.retry(action, { operation: Operation.keyed, backoff: Backoff.constant(0) })
        .pipe(
          Effect.exit,
          IdempotencyKey.provideNew
        )
      yield* call
      yield* call
      expect(seen.length).toBe(6)
      expect([new Set(seen.slice(0, 3)).size, new Set(seen.slice(3)).size, new Set(seen).size])
        .toEqual([1, 1, 2])
    }))

  it.effect("R18: a key minted inside a keyed attempt dies with a message that says where to put it", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.flatMap(IdempotencyKey.IdempotencyKey, () => {
        calls++
        return Effect.fail(server())
      }).pipe(IdempotencyKey.provideNew)
      const exit = yield* Effect.exit(
        Retry.retry(action, { operation: Operation.keyed, backoff: Backoff.constant(0) })
      ).pipe(IdempotencyKey.provideNew)
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
      const [defect] = Exit.isFailure(exit) ? Array.from(Cause.defects(exit.cause)) : []
      const message = defect instanceof Error ? defect.message : String(defect)
      expect(message).toContain("provideNew")
      expect(message).toMatch(/outside|around|after|above/i)
      expect(calls).toBe(0)
    }))

  it.effect("R18: provideNew inside the attempts of the other operations is harmless", () =>
    Effect.gen(function*() {
      const action = Effect.as(IdempotencyKey.IdempotencyKey, "fine").pipe(
        IdempotencyKey.provideNew
      )
      const results = yield* Effect.all([
        Retry.retry(action, { operation: Operation.read }),
        Retry.retry(action, { operation: Operation.idempotent }),
        Retry.retry(action, { operation: Operation.once })
      ])
      expect(results).toEqual(["fine", "fine", "fine"])
    }))

  it.effect("R18: provideNew outside, and after the driver has ended, works", () =>
    Effect.gen(function*() {
      const call = Retry.retry(Effect.as(IdempotencyKey.IdempotencyKey, "fine"), {
        operation: Operation.keyed
      })
      const results = yield* Effect.all([
        call.pipe(IdempotencyKey.provideNew),
        call.pipe(IdempotencyKey.provideNew, Effect.zipLeft(call.pipe(IdempotencyKey.provideNew)))
      ])
      expect(results).toEqual(["fine", "fine"])
    }))
})

describe("Retry refusals", () => {
  it("DESIGN 6: retries that are NaN or negative are refused, naming field and value", () => {
    for (const bad of [NaN, -1, -Infinity]) {
      for (
        const build of [
          () => Retry.retry({ operation: Operation.read, retries: bad }),
          () => Retry.retry(Effect.void, { operation: Operation.read, retries: bad })
        ]
      ) {
        const message = refusal(build)
        expect(message).toContain("retries")
        expect(message).toContain(String(bad))
      }
    }
  })

  it("DESIGN 6: durations that are NaN or negative are refused, naming field and value", () => {
    for (const field of ["within", "retryAfterCap"] as const) {
      for (const [bad, shown] of badDurations) {
        for (
          const build of [
            () => Retry.retry({ operation: Operation.read, [field]: bad }),
            () => Retry.retry(Effect.void, { operation: Operation.read, [field]: bad })
          ]
        ) {
          const message = refusal(build)
          expect(message).toContain(field)
          expect(message).toContain(shown)
        }
      }
    }
  })
})

describe("Retry.decide", () => {
  type Input = Parameters<typeof Retry.decide>[1]

  const base: Input = {
    verdict: Verdict.transient({ ambiguous: false }),
    attempt: 0,
    elapsedMillis: 0,
    previousMillis: 0,
    unit: 0.5
  }
  const rejected = (retryAfter?: Duration.DurationInput): Verdict.Verdict => ({
    _tag: "Rejected",
    retryAfter: retryAfter === undefined ? Option.none() : Option.some(Duration.decode(retryAfter))
  })
  const decide = (
    options: Partial<Retry.Base<IdempotencyKey.IdempotencyKey>>,
    input: Partial<Input>
  ) => {
    const decision = Retry.decide({ ...secondly, ...options }, { ...base, ...input })
    return decision._tag === "Stop" ? decision.reason : decision.delayMillis
  }

  it("R14: each reason for stopping, one at a time", () => {
    expect([
      decide({}, {}),
      decide({}, { verdict: Verdict.terminal }),
      decide({ operation: Operation.once }, { verdict: Verdict.transient({ ambiguous: true }) }),
      decide({}, { attempt: 2 }),
      decide({ within: "5 seconds" }, { elapsedMillis: 4000 }),
      decide({}, { budgetLeft: false }),
      decide({}, { verdict: rejected("1 second") }),
      decide({}, { verdict: Verdict.transient({ ambiguous: false, retryAfter: "61 seconds" }) })
    ]).toEqual([
      1000,
      "terminal",
      "notRepeatable",
      "retries",
      "deadline",
      "budget",
      "rejected",
      "retryAfter"
    ])
  })

  it("R13: the boundary of the deadline", () => {
    expect(
      [3999, 4000, 4001].map((elapsedMillis) => decide({ within: "5 seconds" }, { elapsedMillis }))
    ).toEqual([
      1000,
      "deadline",
      "deadline"
    ])
  })

  it("R10: the boundary of retries", () => {
    expect([0, 1, 2, 3].map((attempt) => decide({ retries: 2 }, { attempt }))).toEqual([
      1000,
      1000,
      "retries",
      "retries"
    ])
    expect(decide({ retries: 0 }, {})).toBe("retries")
  })

  it("R15: opted in, a rejection waits, counts as a retry and asks no budget", () => {
    const on = { waitForRejections: true }
    expect([
      decide(on, { verdict: rejected("5 seconds"), budgetLeft: false }),
      decide(on, { verdict: rejected(), budgetLeft: false }),
      decide(on, { verdict: rejected("5 seconds"), attempt: 2 }),
      decide(on, { verdict: rejected("60 seconds") })
    ]).toEqual([5000, 1000, "retries", 60_000])
  })

  it("it is pure: the same question has the same answer", () => {
    const options = { ...secondly, backoff: Backoff.exponential({ base: 100 }) }
    const answers = Array.from({ length: 5 }, () => Retry.decide(options, { ...base, attempt: 1 }))
    expect(answers).toEqual(many(5, { _tag: "Retry", delayMillis: 100 }))
  })

  it("E12: never longer than a timer can fire", () => {
    expect(decide({ backoff: Backoff.constant("60 days") }, {})).toBe(maxTimer)
  })

  const operations = fc.constantFrom<Operation.Operation<IdempotencyKey.IdempotencyKey>>(
    Operation.read,
    Operation.idempotent,
    Operation.keyed,
    Operation.once
  )
  const wait = fc.oneof(
    fc.constantFrom<number | undefined>(undefined, undefined, 0, 1000, 60_000, 60_001, Infinity),
    fc.integer({ min: 0, max: 120_000 })
  )
  const verdicts = fc.oneof(
    fc.constant({ kind: "Terminal" as const, ambiguous: false, wait: undefined }),
    fc.record({ kind: fc.constant("Transient" as const), ambiguous: fc.boolean(), wait }),
    fc.record({ kind: fc.constant("Transient" as const), ambiguous: fc.boolean(), wait }),
    fc.record({ kind: fc.constant("Rejected" as const), ambiguous: fc.constant(false), wait })
  )
  const cases = fc.record({
    operation: operations,
    backoff: fc.record({
      kind: fc.constantFrom("constant", "exponential", "full", "linear"),
      base: fc.constantFrom(1, 10, 1000, 5000)
    }),
    retries: fc.constantFrom<number | undefined>(undefined, 0, 1, 2, 5),
    within: fc.oneof(fc.constant(undefined), fc.constantFrom(0, 1, 5000, 6000, 60_000, 200_000)),
    retryAfterCap: fc.constantFrom<number | undefined>(undefined, undefined, 0, 1000, 90_000),
    beyondCap: fc.constantFrom<"fail" | "clamp" | undefined>(undefined, "fail", "clamp"),
    waitForRejections: fc.constantFrom<boolean | undefined>(undefined, false, true, true),
    verdict: verdicts,
    attempt: fc.nat({ max: 6 }),
    elapsedMillis: fc.oneof(fc.constantFrom(0, 999, 4000, 5000, 59_000), fc.nat({ max: 70_000 })),
    unit: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    budgetLeft: fc.constantFrom<boolean | undefined>(undefined, true, true, false)
  })
  type Case = typeof cases extends fc.Arbitrary<infer C> ? C : never

  const ownDelay = ({ attempt, backoff: { base, kind }, unit }: Case) => {
    if (kind === "constant") return base
    if (kind === "linear") return Math.min(20_000, base * (attempt + 1))
    const e = Math.min(20_000, base * 2 ** attempt)
    return kind === "full" ? e * unit : e
  }

  /** Every reason that applies, and the waits that are right when none does. */
  const model = (c: Case) => {
    const reasons = new Set<string>()
    const waits: Array<number> = []
    const own = ownDelay(c)
    const cap = c.retryAfterCap ?? 60_000
    const hint = c.verdict.wait
    if (c.verdict.kind === "Terminal") reasons.add("terminal")
    if (c.operation._tag === "Once" && c.verdict.ambiguous) reasons.add("notRepeatable")
    if (c.attempt >= (c.retries ?? 2)) reasons.add("retries")
    if (c.verdict.kind === "Rejected") {
      if (c.waitForRejections !== true) reasons.add("rejected")
      if (hint !== undefined && hint > cap) reasons.add("rejected").add("retryAfter")
      if (hint === undefined) waits.push(own)
      else waits.push(hint, Math.max(hint, own))
    } else {
      const late = hint !== undefined && hint > cap
      if (late && c.beyondCap !== "clamp") reasons.add("retryAfter")
      waits.push(Math.max(own, late ? (c.beyondCap === "clamp" ? cap : hint) : hint ?? 0))
      if (c.budgetLeft === false) reasons.add("budget")
    }
    const { within } = c
    const open = within === undefined ? waits : waits.filter((w) => c.elapsedMillis + w < within)
    if (open.length < waits.length) reasons.add("deadline")
    return {
      reasons,
      waits,
      mustStop: open.length === 0 ||
        (reasons.size > 0 && !(reasons.size === 1 && reasons.has("deadline")))
    }
  }

  it("R10, R13, R15, E12: it agrees with the decision table over all combinations", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(cases, (c) => {
        const { base: b, kind } = c.backoff
        const backoff = kind === "constant"
          ? Backoff.constant(b)
          : kind === "linear"
          ? Backoff.linear({ base: b, cap: 20_000 })
          : Backoff.exponential({ base: b, jitter: kind === "full" ? Backoff.full : Backoff.none })
        const retryAfter = c.verdict.wait === undefined
          ? undefined
          : c.verdict.wait === Infinity
          ? Duration.infinity
          : Duration.millis(c.verdict.wait)
        const verdict = c.verdict.kind === "Terminal"
          ? Verdict.terminal
          : c.verdict.kind === "Rejected"
          ? rejected(retryAfter)
          : Verdict.transient({ ambiguous: c.verdict.ambiguous, retryAfter })
        const decision = Retry.decide(
          {
            operation: c.operation,
            backoff,
            retries: c.retries,
            within: c.within,
            retryAfterCap: c.retryAfterCap,
            beyondCap: c.beyondCap,
            waitForRejections: c.waitForRejections
          },
          {
            verdict,
            attempt: c.attempt,
            elapsedMillis: c.elapsedMillis,
            previousMillis: 0,
            unit: c.unit,
            budgetLeft: c.budgetLeft
          }
        )
        const { mustStop, reasons, waits } = model(c)
        if (decision._tag === "Stop") {
          seen.add(decision.reason)
          expect([...reasons]).toContain(decision.reason)
        } else {
          seen.add("Retry")
          expect(mustStop, [...reasons].join(", ")).toBe(false)
          expect(waits.some((w) => Math.abs(w - decision.delayMillis) < 1e-6)).toBe(true)
        }
      }),
      { numRuns: 5000 }
    )
    expect([...seen].toSorted()).toEqual([
      "Retry",
      "budget",
      "deadline",
      "notRepeatable",
      "rejected",
      "retries",
      "retryAfter",
      "terminal"
    ])
  })
})
