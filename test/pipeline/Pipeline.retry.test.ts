import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, TestClock } from "effect"
import { ApiError, IdempotencyKey, Operation, Pipeline, RetryBudget } from "effect-resilience"
import { down } from "../support/errors.js"
import { squashed } from "../support/exits.js"
import { callsThrough, failing, finish, secondly } from "./pipeline.js"

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
      expect([yield* callsThrough(a), yield* callsThrough(b), yield* budget.available]).toEqual([
        4,
        1,
        0
      ])
    }))

  it.effect("R20, R22: calls at the same time share it, and their first attempts are never refused", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, budget: dry })
      const { action, calls } = failing(down)
      yield* finish(
        Effect.all(
          Array.from({ length: 5 }, () => Effect.exit(Pipeline.protect(action, pipeline))),
          {
            concurrency: "unbounded"
          }
        )
      )
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
      expect([Pipeline.protect(action, bare) === action, Pipeline.protect(bare)(action) === action])
        .toEqual([
          true,
          true
        ])
    }))

  it.effect("without a retry stage there is one attempt, and the error is the very same value", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(down)
      const exit = yield* finish(
        Pipeline.protect(action, yield* Pipeline.make({ operation: Operation.read }))
      )
      expect([
        calls,
        Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error === down
      ]).toEqual([
        [0],
        true
      ])
    }))

  it.effect("takes the effect first or last, with and without options", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...secondly, retries: 1 }
      })
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
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: secondly,
        budget: {}
      })
      expect((yield* Pipeline.protect(Effect.succeed(value), pipeline)) === value).toBe(true)
    }))

  it.effect("R14: the last error comes back with the number of attempts", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      const exit = yield* finish(Pipeline.protect(failing(down).action, pipeline))
      const error = squashed(exit)
      expect([
        ApiError.isApiError(error) && error.attempts,
        ApiError.isApiError(error) && error.status
      ]).toEqual([
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
      expect([yield* finish(Pipeline.protect(broken, pipeline)), calls]).toEqual([
        Exit.die("bug"),
        1
      ])
    }))

  it.effect("R12: interruption during a delay ends the call at that moment, and the action is not run again", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(down)
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: secondly,
        budget: {}
      })
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
      const action = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => probes.push("released")))
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      const fiber = yield* Effect.fork(Pipeline.protect(action, pipeline))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      expect(probes).toEqual(["released"])
    }))
})

describe("the key", () => {
  const stages = {
    operation: Operation.keyed,
    retry: { ...secondly, retries: 1 },
    hedge: { delay: "100 millis" }
  } as const

  it.effect("G40: is fixed once, for all retries and hedges", () =>
    Effect.gen(function*() {
      const keys: Array<IdempotencyKey.IdempotencyKey> = []
      const action = IdempotencyKey.IdempotencyKey.pipe(
        Effect.tap((key) => Effect.sync(() => keys.push(key))),
        Effect.zipRight(Effect.sleep("500 millis")),
        Effect.zipRight(Effect.fail(down))
      )
      const pipeline = yield* Pipeline.make({
        ...stages,
        totalTimeout: "1 minute",
        attemptTimeout: "10 seconds"
      })
      yield* finish(action.pipe(Pipeline.protect(pipeline), IdempotencyKey.provideNew))
      expect([keys.length, new Set(keys).size]).toEqual([4, 1])
    }))

  const repeated = ["retry", "hedge"] as const

  it.effect.each(repeated)(
    "R18: an attempt of a %s that would make one dies",
    (stage) =>
      Effect.gen(function*() {
        const pipeline = yield* Pipeline.make({
          operation: Operation.keyed,
          [stage]: stages[stage]
        })
        const exit = yield* finish(
          IdempotencyKey.provideNew(Effect.void).pipe(
            Pipeline.protect(pipeline),
            IdempotencyKey.provideNew
          )
        )
        expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain(
          "would make a new key for every attempt"
        )
      })
  )
})
