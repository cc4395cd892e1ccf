/** A policy in place of another while calls go on: what keeps its state, and what is refused. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, ParseResult, Schema, TestClock } from "effect"
import { Backoff, CircuitBreaker, Hedge, Operation, Pipeline, RetryBudget } from "effect-resilience"
import { isUnchanged } from "../../src/pipeline/unchanged.js"
import { down as unavailable } from "../support/errors.js"
import { metricsOf } from "../support/telemetry.js"
import { callsThrough, endOf, failing, finish, secondly } from "./pipeline.js"

const { read } = Operation

const tripping = { window: CircuitBreaker.count(1), minimumCalls: 1 }

const down = Effect.fail({ _tag: "Down" } as const)

/** What a reload says is wrong, one line each. */
const wrong = (
  pipeline: Pipeline.Pipeline<unknown, unknown>,
  stages: Pipeline.Stages & { readonly operation: Operation.Operation<unknown> }
) =>
  Effect.map(Effect.flip(Pipeline.reload(pipeline, stages)), (error) => {
    expect(error).toBeInstanceOf(ParseResult.ParseError)
    return [error.message.split("\n"), Pipeline.errors(error).map(({ path }) => path)]
  })

describe("reload", () => {
  it.effect("uses the new policy for calls that begin later, and for those derived before", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: read, retry: secondly })
      const idempotent = Pipeline.forOperation(pipeline, Operation.idempotent)
      const { action, calls } = failing(unavailable)
      const declaredBefore = Pipeline.protect(action, pipeline)
      expect(yield* callsThrough(pipeline)).toBe(3)
      yield* Pipeline.reload(pipeline, { operation: read, retry: { ...secondly, retries: 1 } })
      expect(yield* callsThrough(pipeline)).toBe(2)
      expect(yield* callsThrough(idempotent)).toBe(2)
      yield* finish(declaredBefore)
      expect(calls.length).toBe(2)
    }))

  it.effect("keeps the state of stages whose options did not change", () =>
    Effect.gen(function*() {
      const policy = {
        operation: read,
        circuitBreaker: tripping,
        bulkhead: { concurrency: 1, queue: 0 },
        budget: { ratio: 0, capacity: 1, reservePerSecond: 0 },
        retry: { retries: 1, ...secondly }
      }
      const pipeline = yield* Pipeline.make(policy)
      const gate = yield* Deferred.make<void>()
      const running = yield* Effect.fork(Pipeline.protect(Deferred.await(gate), pipeline))
      yield* TestClock.adjust(0)
      yield* Pipeline.reload(pipeline, { ...policy, totalTimeout: "1 minute" } as never)
      // The permit is taken still.
      expect(endOf(yield* Effect.exit(Pipeline.protect(Effect.void, pipeline)))).toContain(
        "BulkheadFull"
      )
      yield* Deferred.succeed(gate, undefined)
      expect(endOf(yield* Fiber.await(running))).toBe("ok")
      yield* Effect.exit(Pipeline.protect(down, pipeline))
      yield* Pipeline.reload(pipeline, { ...policy, retry: { retries: 2, ...secondly } })
      expect(endOf(yield* Effect.exit(Pipeline.protect(Effect.void, pipeline)))).toContain(
        "CircuitOpen"
      )
      // The same in other objects, and a duration of the same length.
      yield* Pipeline.reload(pipeline, {
        ...policy,
        circuitBreaker: { ...tripping, window: { ...tripping.window }, failureRate: undefined }
      })
      expect(endOf(yield* Effect.exit(Pipeline.protect(Effect.void, pipeline)))).toContain(
        "CircuitOpen"
      )
      // Other options begin anew.
      yield* Pipeline.reload(pipeline, {
        ...policy,
        circuitBreaker: { ...tripping, failureRate: 0.9 }
      })
      expect(endOf(yield* Effect.exit(Pipeline.protect(Effect.void, pipeline)))).toBe("ok")
    }))

  it.effect("keeps what a hedge has measured when the budget changes", () =>
    Effect.gen(function*() {
      const hedge = {
        delay: Hedge.quantile(0.5, { initial: "1 hour", minimumCalls: 1, samples: 1 })
      }
      const pipeline = yield* Pipeline.make({ operation: read, hedge })
      yield* finish(Pipeline.protect(Effect.sleep("1 second"), pipeline), "1 second")
      const budget = yield* RetryBudget.make()
      yield* Pipeline.reload(pipeline, { operation: read, hedge, budget })
      let begun = 0
      const call = Effect.zipRight(Effect.sync(() => begun++), Effect.sleep("10 seconds"))
      const running = yield* Effect.fork(Pipeline.protect(call, pipeline))
      // A second has been measured: without it the second attempt would begin after an hour.
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.interrupt(running)
      expect(begun).toBe(2)
    }))

  it.effect("a shared instance stays what it is, and telemetry counts under the same name", () =>
    Effect.gen(function*() {
      const integration = "reloaded"
      const breaker = yield* CircuitBreaker.make(tripping)
      const policy = { operation: read, telemetry: { integration }, circuitBreaker: breaker }
      const pipeline = yield* Pipeline.make(policy)
      yield* Effect.exit(Pipeline.protect(down, pipeline))
      yield* Pipeline.reload(pipeline, { ...policy, retry: secondly })
      yield* Effect.exit(Pipeline.protect(Effect.void, pipeline))
      const metrics = yield* metricsOf(integration)
      expect(metrics["resilience.circuit.calls{outcome=failure}"]).toBe(1)
      expect(metrics["resilience.circuit.calls{outcome=rejected}"]).toBe(1)
      expect((yield* breaker.snapshot()).state).toBe("Open")
    }))

  it.effect("a call under way ends under the policy it began with", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: read, totalTimeout: "1 minute" })
      const running = yield* Effect.fork(Pipeline.protect(Effect.sleep("30 seconds"), pipeline))
      yield* TestClock.adjust("1 second")
      yield* Pipeline.reload(pipeline, { operation: read, totalTimeout: "2 seconds" })
      yield* TestClock.adjust("30 seconds")
      expect(endOf(yield* Fiber.await(running))).toBe("ok")
    }))

  it.effect("refuses a bad one with a line for each mistake, and keeps the old", () =>
    Effect.gen(function*() {
      const policy = { operation: read, circuitBreaker: tripping, retry: secondly }
      const pipeline = yield* Pipeline.make(policy)
      yield* Effect.exit(Pipeline.protect(down, pipeline))
      const bad = {
        operation: Operation.keyed,
        retry: { retries: -1 },
        attemptTimeout: -1,
        budget: { ratio: -1 },
        breaker: {},
        circuitBreaker: { ...tripping, failureRate: 2 }
      } as unknown as Pipeline.Stages
      const [lines, paths] = yield* wrong(pipeline, bad)
      expect(lines).toEqual([
        "operation: should demand no key, as before, got \"keyed\" in place of \"read\"",
        expect.stringMatching(/^breaker: is not a stage of this pipeline \(telemetry, /),
        expect.stringMatching(/^retry\.retries: should be a whole number of at least 0, got -1$/),
        expect.stringMatching(/^budget\.ratio: should be /),
        expect.stringMatching(/^circuitBreaker\.failureRate: should be .*, got 2$/),
        expect.stringMatching(/^attemptTimeout: should be /)
      ])
      expect(paths).toEqual([
        "operation",
        "breaker",
        "retry.retries",
        "budget.ratio",
        "circuitBreaker.failureRate",
        "attemptTimeout"
      ])
      expect(endOf(yield* Effect.exit(Pipeline.protect(Effect.void, pipeline)))).toContain(
        "CircuitOpen"
      )
    }))

  it.effect("refuses contradictions with their path", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: read, totalTimeout: "5 seconds" })
      expect(
        yield* wrong(pipeline, {
          operation: read,
          totalTimeout: "5 seconds",
          attemptTimeout: "10 seconds"
        })
      ).toEqual([
        ["attemptTimeout: should be at most totalTimeout (\"5 seconds\"), got \"10 seconds\""],
        ["attemptTimeout"]
      ])
    }))

  it.effect("takes what Spec has decoded, for a pipeline that is read from a configuration", () =>
    Effect.gen(function*() {
      const decode = Schema.decodeUnknown(Pipeline.Spec)
      const json = { operation: "read", circuitBreaker: { minimumCalls: 1, window: undefined } }
      const pipeline = yield* Pipeline.fromConfig(json, { operation: read })
      const before = yield* Pipeline.snapshot(pipeline)
      yield* Effect.exit(Pipeline.protect(down, pipeline))
      yield* Pipeline.reload(pipeline, yield* decode({ ...json, totalTimeout: "1 minute" }))
      expect(before).toEqual({ circuitBreaker: [] })
      expect((yield* Pipeline.snapshot(pipeline))["circuitBreaker"]).toMatchObject([{
        state: "Open"
      }])
    }))

  it.effect("G12: interrupted at any point it has happened or it has not", () =>
    Effect.gen(function*() {
      const reached = new Set<number>()
      for (let steps = 0; steps < 40; steps++) {
        const pipeline = yield* Pipeline.make({ operation: read, retry: secondly })
        const reload = Pipeline.reload(pipeline, {
          operation: read,
          retry: { ...secondly, retries: 1 }
        })
        const fiber = yield* Effect.fork(Effect.withMaxOpsBeforeYield(reload, 16 + steps % 3))
        yield* Effect.repeatN(Effect.yieldNow(), steps)
        yield* Fiber.interrupt(fiber)
        reached.add(yield* callsThrough(pipeline))
        // The next one is not kept waiting.
        yield* reload
        expect(yield* callsThrough(pipeline)).toBe(2)
      }
      expect([...reached].sort()).toEqual([2, 3])
    }))

  it.effect("two at once: one after the other", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: read, circuitBreaker: tripping })
      yield* Effect.exit(Pipeline.protect(down, pipeline))
      yield* Effect.withMaxOpsBeforeYield(
        Effect.forEach([0, 1, 2], (retries) =>
          Pipeline.reload(pipeline, {
            operation: read,
            circuitBreaker: tripping,
            retry: { ...secondly, retries }
          }), { concurrency: 3 }),
        16
      )
      expect(endOf(yield* Effect.exit(Pipeline.protect(Effect.void, pipeline)))).toContain(
        "CircuitOpen"
      )
    }))
})

describe("a stage of one's own, reloaded", () => {
  const made: Array<number> = []
  const counting = Pipeline.stage({
    name: "counting",
    title: "counting",
    place: "guard",
    build: (limit, { retries }) =>
      Effect.sync(() => {
        if (limit === 13 && retries) throw new RangeError("counting should stand alone, got 13")
        made.push(limit)
        let calls = 0
        return {
          around: (self) => Effect.suspend(() => (calls++, self)),
          snapshots: Effect.sync(() => [{ calls }])
        }
      }),
    says: (limit) => `counts up to ${limit}`
  })
  const Own = Pipeline.of([...Pipeline.stages, counting])

  it.effect("keeps its built part while its options are unchanged", () =>
    Effect.gen(function*() {
      const pipeline = yield* Own.make({ operation: read, counting: 1 })
      yield* Pipeline.protect(Effect.void, pipeline)
      yield* Pipeline.reload(pipeline, { operation: read, counting: 1, retry: secondly })
      yield* Pipeline.protect(Effect.void, pipeline)
      expect(yield* Pipeline.snapshot(pipeline)).toEqual({ counting: [{ calls: 2 }] })
      yield* Pipeline.reload(pipeline, { operation: read, counting: 2, retry: secondly })
      expect(yield* Pipeline.snapshot(pipeline)).toEqual({ counting: [{ calls: 0 }] })
      // A policy that is accepted is built once, and what is unchanged not at all.
      expect(made).toEqual([1, 2])
    }))

  it.effect("what a stage refuses because of others is told too", () =>
    Effect.gen(function*() {
      const pipeline = yield* Own.make({ operation: read, counting: 1 })
      expect(yield* wrong(pipeline, { operation: read, counting: 13, retry: secondly })).toEqual([
        ["counting: should stand alone, got 13"],
        ["counting"]
      ])
    }))
})

declare module "effect-resilience/Pipeline" {
  interface Stages {
    readonly counting?: number | undefined
  }
}

describe("unchanged", () => {
  const f = () => 1
  it.each<readonly [unknown, unknown, boolean]>([
    [{ a: 1 }, { a: 1 }, true],
    [{ a: 1, b: undefined }, { a: 1 }, true],
    [{ a: 1 }, { a: 1, b: 1 }, false],
    [{ a: undefined, b: 1 }, { a: 1, b: undefined }, false],
    [[1, [2]], [1, [2]], true],
    [[1], [1, 2], false],
    [[], {}, false],
    [NaN, NaN, true],
    [null, {}, false],
    [{ f }, { f }, true],
    [{ f }, { f: () => 1 }, false],
    [Duration.seconds(1), Duration.millis(1000), true],
    [Duration.seconds(1), "1 second", false],
    [Backoff.constant("1 second"), Backoff.constant("1 second"), true],
    [new Map(), new Map(), false]
  ])("%o and %o: %s", (a, b, same) => {
    expect([isUnchanged(a, b), isUnchanged(b, a)]).toEqual([same, same])
  })
})
