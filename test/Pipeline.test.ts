import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, type Duration, Effect, Exit, Fiber, TestClock } from "effect"
import {
  ApiError,
  Backoff,
  IdempotencyKey,
  Operation,
  Pipeline,
  type Retry,
  RetryBudget,
  Verdict
} from "effect-resilience"

const down = new ApiError.Server({ message: "down", status: 503 })

const secondly = { backoff: Backoff.constant("1 second") }

/** An action that fails for ever, and says when it was called. */
const failing = <E>(error: E) => {
  const calls: Array<number> = []
  const action = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    calls.push(now)
    return Effect.fail(error)
  })
  return { calls, action }
}

/** Runs to its end under the test clock. */
const finish = <A, E, R>(effect: Effect.Effect<A, E, R>, within: Duration.DurationInput = "1 day") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    yield* TestClock.adjust(within)
    return yield* Fiber.join(fiber)
  })

/** How many calls one logical call becomes when it fails for ever. */
const callsThrough = (pipeline: Pipeline.Pipeline) =>
  Effect.gen(function*() {
    const { action, calls } = failing(down)
    yield* finish(Pipeline.protect(action, pipeline), "1 minute")
    return calls.length
  })

/** The message of the RangeError with which something dies. */
const refusal = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return "accepted"
    const defect = Cause.dieOption(exit.cause)
    return defect._tag === "Some" && defect.value instanceof RangeError
      ? defect.value.message
      : Cause.pretty(exit.cause)
  })

describe("make", () => {
  it.effect("applies the same stages to any number of calls", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: { retries: 3, ...secondly } })
      const { action, calls } = failing(down)
      const protectedAction = Pipeline.protect(action, pipeline)
      yield* finish(protectedAction, "10 seconds")
      yield* finish(protectedAction, "10 seconds")
      expect(calls).toEqual([0, 1000, 2000, 3000, 10_000, 11_000, 12_000, 13_000])
    }))

  it.effect("R10: two retries are the default", () =>
    Effect.gen(function*() {
      expect(yield* callsThrough(yield* Pipeline.make({ operation: Operation.read, retry: {} }))).toBe(3)
    }))

  it.effect("E4: the operation decides: once does not repeat what may have been executed", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.once, retry: secondly })
      expect(yield* callsThrough(pipeline)).toBe(1)
    }))

  it.effect("E4: the operation decides: keyed repeats it, under the one key", () =>
    Effect.gen(function*() {
      const keys: Array<IdempotencyKey.IdempotencyKey> = []
      const action = Effect.flatMap(IdempotencyKey.IdempotencyKey, (key) => {
        keys.push(key)
        return Effect.fail(down)
      })
      const pipeline = yield* Pipeline.make({ operation: Operation.keyed, retry: secondly })
      yield* finish(action.pipe(Pipeline.protect(pipeline), IdempotencyKey.provideNew))
      expect([keys.length, new Set(keys).size]).toEqual([3, 1])
    }))

  it.effect("retry.verdict judges errors that are not ours", () =>
    Effect.gen(function*() {
      const judged: Array<unknown> = []
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: {
          ...secondly,
          verdict: (error: unknown) => {
            judged.push(error)
            return judged.length === 2 ? Verdict.terminal : Verdict.transient()
          }
        }
      })
      const { action, calls } = failing("busy" as const)
      const exit = yield* finish(Pipeline.protect(action, pipeline))
      expect([judged, calls, exit]).toEqual([["busy", "busy"], [0, 1000], Exit.fail("busy")])
    }))

  it.effect("without a verdict an error that nobody understands is not repeated", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      const { action, calls } = failing("busy" as const)
      yield* finish(Pipeline.protect(action, pipeline))
      expect(calls).toEqual([0])
    }))

  it.effect("R13: within bounds the waiting, counted anew for each call", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...secondly, retries: 9, within: "2500 millis" }
      })
      expect([yield* callsThrough(pipeline), yield* callsThrough(pipeline)]).toEqual([3, 3])
    }))
})

describe("nonsense is refused when the pipeline is built, by field and value", () => {
  const retries: ReadonlyArray<readonly [field: string, value: string, retry: Partial<Retry.Base>]> = [
    ["retries", "-1", { retries: -1 }],
    ["retries", "1.5", { retries: 1.5 }],
    ["retries", "NaN", { retries: NaN }],
    ["retries", "Infinity", { retries: Infinity }],
    ["within", "-5", { within: -5 }],
    ["within", "NaN", { within: NaN }],
    ["within", "soon", { within: "soon" as "1 second" }],
    ["retryAfterCap", "-1 seconds", { retryAfterCap: "-1 seconds" }],
    ["retryAfterCap", "NaN", { retryAfterCap: NaN }]
  ]

  it.effect.each(retries)("retry.%s: %s", ([field, value, retry]) =>
    Effect.gen(function*() {
      const message = yield* refusal(Pipeline.make({ operation: Operation.read, retry }))
      expect(message).toContain(field)
      expect(message).toContain(value)
    }))

  const budgets: ReadonlyArray<readonly [field: string, value: string, budget: RetryBudget.Options]> = [
    ["ratio", "-0.1", { ratio: -0.1 }],
    ["ratio", "NaN", { ratio: NaN }],
    ["capacity", "-1", { capacity: -1 }],
    ["capacity", "Infinity", { capacity: Infinity }],
    ["reservePerSecond", "NaN", { reservePerSecond: NaN }]
  ]

  it.effect.each(budgets)("budget.%s: %s", ([field, value, budget]) =>
    Effect.gen(function*() {
      const message = yield* refusal(Pipeline.make({ operation: Operation.read, retry: {}, budget }))
      expect(message).toContain(field)
      expect(message).toContain(value)
    }))

  it.effect("a nonsense budget is refused also where no retry spends it", () =>
    Effect.gen(function*() {
      const message = yield* refusal(Pipeline.make({ operation: Operation.read, budget: { ratio: -0.1 } }))
      expect(message).toContain("ratio")
      expect(message).toContain("-0.1")
    }))

  it("nothing is thrown before the effect runs", () => {
    expect(() => Pipeline.make({ operation: Operation.read, retry: { retries: -1 } })).not.toThrow()
  })
})

describe("budgets", () => {
  const retry = { ...secondly, retries: 9 }
  const dry = { ratio: 0, capacity: 3, reservePerSecond: 0 }

  it.effect("G45: options make a budget that all calls through the pipeline share", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, budget: dry })
      expect([yield* callsThrough(pipeline), yield* callsThrough(pipeline)]).toEqual([4, 1])
    }))

  it.effect("G45: the same options twice make two budgets", () =>
    Effect.gen(function*() {
      const stages = { operation: Operation.read, retry, budget: dry }
      const a = yield* Pipeline.make(stages)
      const b = yield* Pipeline.make(stages)
      expect([yield* callsThrough(a), yield* callsThrough(b)]).toEqual([4, 4])
    }))

  it.effect("G45: one pipeline effect run twice makes two budgets", () =>
    Effect.gen(function*() {
      const make = Pipeline.make({ operation: Operation.read, retry, budget: dry })
      expect([yield* callsThrough(yield* make), yield* callsThrough(yield* make)]).toEqual([4, 4])
    }))

  it.effect("G45: an instance is shared by all pipelines that were given it", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make(dry)
      const a = yield* Pipeline.make({ operation: Operation.read, retry, budget })
      const b = yield* Pipeline.make({ operation: Operation.idempotent, retry, budget })
      expect([yield* callsThrough(a), yield* callsThrough(b), yield* budget.available]).toEqual([4, 1, 0])
    }))

  it.effect("R20, R22: calls at the same time share it, and their first attempts are never refused", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, budget: dry })
      const { action, calls } = failing(down)
      yield* finish(Effect.all(Array.from({ length: 5 }, () => Effect.exit(Pipeline.protect(action, pipeline))), {
        concurrency: "unbounded"
      }))
      expect(calls.length).toBe(5 + 3)
    }))

  it.effect("R20: successes through the pipeline pay in", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ...dry, ratio: 0.5 })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, budget })
      yield* callsThrough(pipeline)
      const empty = yield* budget.available
      yield* Effect.replicateEffect(Pipeline.protect(Effect.void, pipeline), 3)
      expect([empty, yield* budget.available]).toEqual([0, 1.5])
    }))
})

describe("protect", () => {
  it.effect("G40: absent stages cost nothing: the effect comes back unchanged", () =>
    Effect.gen(function*() {
      const { action } = failing(down)
      const bare = yield* Pipeline.make({ operation: Operation.read })
      expect([Pipeline.protect(action, bare) === action, Pipeline.protect(bare)(action) === action]).toEqual([
        true,
        true
      ])
    }))

  it.effect("without a retry stage there is one attempt, and the error is the very same value", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(down)
      const exit = yield* finish(Pipeline.protect(action, yield* Pipeline.make({ operation: Operation.read })))
      expect([calls, Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error === down]).toEqual([
        [0],
        true
      ])
    }))

  it.effect("takes the effect first or last, with and without options", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: { ...secondly, retries: 1 } })
      const { action, calls } = failing(down)
      const styles = [
        Pipeline.protect(action, pipeline),
        Pipeline.protect(action, pipeline, { key: "tenant-1" }),
        action.pipe(Pipeline.protect(pipeline)),
        action.pipe(Pipeline.protect(pipeline, { key: "tenant-1" }))
      ]
      const attempts: Array<number> = []
      for (const style of styles) {
        const before = calls.length
        yield* finish(style, "10 seconds")
        attempts.push(calls.length - before)
      }
      expect(attempts).toEqual([2, 2, 2, 2])
    }))

  it.effect("a success comes through as it is", () =>
    Effect.gen(function*() {
      const value = { id: 1 }
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly, budget: {} })
      expect((yield* Pipeline.protect(Effect.succeed(value), pipeline)) === value).toBe(true)
    }))

  it.effect("R14: the last error comes back with the number of attempts", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      const exit = yield* finish(Pipeline.protect(failing(down).action, pipeline))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      expect([ApiError.isApiError(error) && error.attempts, ApiError.isApiError(error) && error.status]).toEqual([
        3,
        503
      ])
    }))

  it.effect("R16: a defect is not retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const broken = Effect.suspend(() => {
        calls++
        return Effect.die("bug")
      })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      expect([yield* finish(Pipeline.protect(broken, pipeline)), calls]).toEqual([Exit.die("bug"), 1])
    }))

  it.effect("R12: interruption during a delay ends the call at that moment, and the action is not run again", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(down)
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly, budget: {} })
      const fiber = yield* Effect.fork(Pipeline.protect(action, pipeline))
      yield* TestClock.adjust("1500 millis")
      const exit = yield* Fiber.interrupt(fiber)
      const at = yield* Clock.currentTimeMillis
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), at, calls]).toEqual([true, 1500, [0, 1000]])
    }))

  it.effect("R12: interruption during an attempt reaches the action", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const action = Effect.onInterrupt(Effect.never, () => Effect.sync(() => probes.push("released")))
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      const fiber = yield* Effect.fork(Pipeline.protect(action, pipeline))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      expect(probes).toEqual(["released"])
    }))
})
