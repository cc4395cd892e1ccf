import { describe, expect, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Operation,
  Pipeline,
  Rejection,
  RetryBudget
} from "effect-resilience"
import * as Telemetry from "effect-resilience/Telemetry"
import { down } from "../support/errors.js"
import { refusalOf } from "../support/refusal.js"
import { metricsOf, observed } from "../support/telemetry.js"
import { finish, newName } from "./telemetry.js"

describe("Telemetry: off", () => {
  it.effect("T7: a pipeline without it counts no calls, makes no spans and logs no warnings", () =>
    Effect.gen(function*() {
      const ours = (name: string) =>
        /^resilience\.(call|attempt|circuit|bulkhead|budget)\./.test(name)
      const count = Effect.map(
        Metric.snapshot,
        (pairs) =>
          pairs.flatMap(({ metricKey, metricState }) =>
            ours(metricKey.name) ? [`${String(metricKey)} ${JSON.stringify(metricState)}`] : []
          )
      )
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { retries: 3, backoff: Backoff.constant("1 millis") },
        budget: { capacity: 1, ratio: 0, reservePerSecond: 0 },
        circuitBreaker: { window: CircuitBreaker.count(1), minimumCalls: 1 },
        bulkhead: { concurrency: 1 },
        attemptTimeout: "1 second"
      })
      const before = yield* count
      const { lines, tree } = yield* finish(
        observed(Effect.repeatN(Effect.exit(Pipeline.protect(Effect.fail(down), pipeline)), 3))
      )
      expect(yield* count).toEqual(before)
      expect(tree).toEqual([])
      expect(lines.filter(({ level }) => level !== "DEBUG")).toEqual([])
    }))

  it.effect("T7: spans and logs can be off alone", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), spans: false, logs: false })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, telemetry })
      const { lines, tree } = yield* observed(Pipeline.protect(Effect.fail(down), pipeline))
      expect([lines, tree]).toEqual([[], []])
      expect((yield* Telemetry.figures(telemetry)).map(({ calls }) => calls.count)).toEqual([1])
    }))
})

describe("Telemetry: options", () => {
  it.effect.each(
    [
      ["integration should be a name, got \"\"", { integration: "" }],
      ["environment should be a name, got \" \"", { integration: "a", environment: " " }],
      ["maxEndpoints should be a whole number of at least 0, got -1", {
        integration: "a",
        maxEndpoints: -1
      }]
    ] as const
  )("%s", ([message, options]) =>
    Effect.gen(function*() {
      expect(yield* refusalOf(Telemetry.make(options))).toBe(message)
      expect(yield* refusalOf(Pipeline.make({ operation: Operation.read, telemetry: options })))
        .toBe(
          message
        )
    }))

  it.effect("a configuration file can ask for it, and is refused where it is wrong", () =>
    Effect.gen(function*() {
      const integration = newName()
      const json = { telemetry: { integration, logs: false, spans: false } }
      const pipeline = yield* Pipeline.fromConfig(json, { operation: Operation.read })
      yield* Pipeline.protect(Effect.void, pipeline)
      expect(Object.keys(yield* metricsOf(integration))).toHaveLength(4)
      const error = yield* Effect.flip(
        Pipeline.fromConfig({ telemetry: { integration: "" } }, { operation: Operation.read })
      )
      expect(error.message).toBe("telemetry.integration: should be a name, got \"\"")
    }))

  it.effect("a pipeline says that it is looked at", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: "things" })
      const { mermaid, text } = Pipeline.describe({ ...Pipeline.standard, telemetry })
      expect(text).toContain("counts, traces and logs as things")
      expect(mermaid).toContain("telemetry")
    }))

  it.effect("a guard that is looked at is still described by its options", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: "things" })
      const bulkhead = Telemetry.bulkhead(telemetry, yield* Bulkhead.make({ concurrency: 7 }))
      const budget = Telemetry.budget(telemetry, yield* RetryBudget.make({ capacity: 33 }))
      const { text } = Pipeline.describe({ operation: Operation.read, retry: {}, bulkhead, budget })
      expect([text.includes("7 at a time"), text.includes("at most 33 are saved up")]).toEqual([
        true,
        true
      ])
    }))

  it.effect("T5: rejections of the program's own are counted together, however many there are", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration, logs: false })
      yield* Effect.forEach(["acme", "globex"], (tenant) => {
        class Spent extends Rejection.Error(`QuotaSpent-${tenant}`)<{}> {}
        return Effect.exit(Telemetry.observe(new Spent(), telemetry))
      })
      expect(yield* metricsOf(integration)).toEqual({
        "resilience.call.outcomes{endpoint=default,family=rejected,outcome=other}": 2
      })
    }))
})
