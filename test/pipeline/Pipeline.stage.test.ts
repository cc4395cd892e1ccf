/**
 * A stage of a user's own, in this one file: what comes of it everywhere is what comes of the
 * library's own stages.
 */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Metric, ParseResult, Schema } from "effect"
import type { ApiError } from "effect-resilience"
import { Operation, Pipeline, Rejection } from "effect-resilience"
import { refusalOf } from "../support/refusal.js"
import { metricsOf } from "../support/telemetry.js"

// -----------------------------------------------------------------------------
// the stage
// -----------------------------------------------------------------------------

interface Quota {
  readonly calls: number
  readonly maxWait?: Duration.DurationInput | undefined
}

class QuotaSpent extends Rejection.Error("QuotaSpent")<{ readonly calls: number }> {}

declare module "effect-resilience/Pipeline" {
  interface Stages {
    /** So many calls, and then no more. */
    readonly quota?: Quota | undefined
  }
  interface Rejects {
    readonly quota: QuotaSpent
  }
}

const spent = Metric.counter("test.quota.spent", { incremental: true })

const quota = Pipeline.stage({
  name: "quota",
  title: "quota",
  place: "queue",
  spec: Schema.Struct({ calls: Schema.Int, maxWait: Schema.optional(Schema.String) }),
  build: ({ calls }, { meter }) =>
    Effect.sync(() => {
      if (calls < 1) throw new RangeError(`calls should be at least 1, got ${calls}`)
      const count = meter?.counter(spent)
      let left = calls
      return {
        around: (self) =>
          Effect.suspend(() => {
            if (left-- > 0) return self
            count?.()
            return Effect.fail(new QuotaSpent({ calls }))
          }),
        snapshots: Effect.sync(() => [{ left: Math.max(0, left) }])
      }
    }),
  says: ({ calls }) => `${calls} calls in all`,
  cost: ({ maxWait = 0 }) => ({ queueMillis: Duration.toMillis(maxWait) }),
  checks: ({ calls }, { retry }) =>
    retry?.retries === undefined || retry.retries < calls ? [] : [{
      path: ["quota", "calls"],
      message: `quota.calls should be more than retry.retries (${retry.retries}), got ${calls}`
    }]
})

const Own = Pipeline.of([...Pipeline.stages, quota])

const once = { operation: Operation.once } as const

// -----------------------------------------------------------------------------
// what comes of it
// -----------------------------------------------------------------------------

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false
const is = <_T extends true>(): void => {}

describe("a stage of one's own", () => {
  it.effect("G41: guards calls, and what it rejects with is in the type", () =>
    Effect.gen(function*() {
      const pipeline = yield* Own.make({ ...once, quota: { calls: 1 }, totalTimeout: "1 minute" })
      is<Equal<typeof pipeline, Pipeline.Pipeline<QuotaSpent | ApiError.Timeout>>>()
      const call = Own.protect(Effect.succeed("sent"), pipeline)
      is<Equal<typeof call, Effect.Effect<string, QuotaSpent | ApiError.Timeout>>>()
      expect(yield* call).toBe("sent")
      expect(yield* Effect.flip(call)).toEqual(new QuotaSpent({ calls: 1 }))
    }))

  it.effect("G41: without it, it adds nothing", () =>
    Effect.gen(function*() {
      const pipeline = yield* Own.make(once)
      is<Equal<typeof pipeline, Pipeline.Pipeline>>()
      expect(yield* Own.protect(Effect.succeed(1), pipeline)).toBe(1)
    }))

  it("stands where its place is, whatever was written behind it", () => {
    const names = Own.stages.map(({ name }) => name)
    expect(names.indexOf("quota")).toBe(names.indexOf("cooldown") + 1)
    expect(Pipeline.stages.map(({ name }) => name)).toEqual(
      names.filter((name) => name !== "quota")
    )
  })

  it("is there once", () => {
    expect(() => Pipeline.of([quota, ...Pipeline.stages, quota])).toThrow(
      new RangeError("stages should name each stage once, got quota twice")
    )
  })

  it.effect("G42: is read from JSON, written back, and in the JSON Schema", () =>
    Effect.gen(function*() {
      const json = { operation: "once", quota: { calls: 1 } }
      const stages = yield* Schema.decodeUnknown(Own.Spec)(json)
      expect(yield* Schema.encode(Own.Spec)(stages)).toEqual(json)
      expect(JSON.stringify(Own.jsonSchema())).toContain("\"quota\":{\"type\":\"object\"")
      const pipeline = yield* Own.fromConfig(json, once)
      yield* Own.protect(Effect.void, pipeline)
      expect((yield* Effect.flip(Own.protect(Effect.void, pipeline)))._tag).toBe("QuotaSpent")
    }))

  it.effect("G42: the standard pipelines do not know it", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(Pipeline.fromConfig({ quota: { calls: 1 } }))
      expect(refused.message).toMatch(/^quota: is not known here/)
      expect(JSON.stringify(Pipeline.jsonSchema())).not.toContain("quota")
    }))

  it("G43: is described, drawn, and counted in the worst case", () => {
    const { mermaid, text, worstCaseTime } = Own.describe({
      ...once,
      quota: { calls: 3, maxWait: "2 seconds" },
      attemptTimeout: "1 second"
    })
    expect(text).toContain("  quota            3 calls in all\n  attempt timeout")
    expect(mermaid).toContain("s0[\"quota<br>3 calls in all\"]")
    expect(Duration.toMillis(worstCaseTime)).toBe(3000)
  })

  it.effect("G42: is checked against others, in code and in JSON", () =>
    Effect.gen(function*() {
      const message = "quota.calls should be more than retry.retries (3), got 2"
      const written = { quota: { calls: 2 }, retry: { retries: 3 } }
      expect(yield* refusalOf(Own.make({ ...once, ...written }))).toBe(message)
      const issues = ParseResult.ArrayFormatter.formatErrorSync(
        yield* Effect.flip(Own.fromConfig({ operation: "once", ...written }))
      )
      expect(issues.map(({ message, path }) => [path.join("."), message])).toEqual([
        ["quota.calls", message]
      ])
    }))

  it.effect("G42: nonsense is refused when the pipeline is built", () =>
    Effect.gen(function*() {
      expect(yield* refusalOf(Own.make({ ...once, quota: { calls: 0 } }))).toBe(
        "calls should be at least 1, got 0"
      )
    }))

  it.effect("T5: counts under the labels of the telemetry", () =>
    Effect.gen(function*() {
      const integration = "toy-stage"
      const pipeline = yield* Own.make({
        ...once,
        quota: { calls: 1 },
        telemetry: { integration, logs: false }
      })
      yield* Own.protect(Effect.void, pipeline)
      yield* Effect.exit(Own.protect(Effect.void, pipeline))
      expect(yield* metricsOf(integration)).toMatchObject({ "test.quota.spent{}": 1 })
    }))

  it.effect("an operator sees it beside the others", () =>
    Effect.gen(function*() {
      const pipeline = yield* Own.make({
        ...once,
        quota: { calls: 5 },
        bulkhead: { concurrency: 2 }
      })
      yield* Own.protect(Effect.void, pipeline)
      expect(yield* Pipeline.snapshot(pipeline)).toEqual({
        bulkhead: [{ key: "default", running: 0, waiting: 0 }],
        quota: [{ left: 4 }]
      })
    }))

  it.effect("a tag of it works as any other", () =>
    Effect.gen(function*() {
      class Sessions extends Own.Tag("Sessions")<Sessions>()({ ...once, quota: { calls: 1 } }) {}
      const call = Sessions.protect(Effect.succeed("sent"))
      is<Equal<typeof call, Effect.Effect<string, QuotaSpent, Sessions>>>()
      const both = Effect.zip(call, Effect.flip(call)).pipe(Effect.provide(Sessions.layer))
      expect((yield* both)[1]._tag).toBe("QuotaSpent")
    }))

  it.effect("a field that the list does not know is refused: it would guard nothing", () =>
    Effect.gen(function*() {
      const spending = Pipeline.make({ ...once, quota: { calls: 1 } })
      expect(yield* refusalOf(spending)).toMatch(/^quota should be a stage of this pipeline \(tele/)
      const none = Pipeline.of([]).make({ ...once, bulkhead: { concurrency: 1 } })
      expect(yield* refusalOf(none)).toMatch(/^bulkhead should be a stage of this pipeline/)
      expect(yield* refusalOf(Pipeline.make({ ...once, quota: undefined }))).toMatch(
        /Success|accepted/
      )
    }))
})
