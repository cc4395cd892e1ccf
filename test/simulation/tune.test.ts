import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber } from "effect"
import * as ApiError from "../../src/errors/ApiError.js"
import * as Verdict from "../../src/errors/Verdict.js"
import * as Operation from "../../src/idempotency/Operation.js"
import * as Pipeline from "../../src/pipeline/Pipeline.js"
import * as Backoff from "../../src/retry/Backoff.js"
import * as Scenario from "../../src/simulation/Scenario.js"
import * as Simulation from "../../src/simulation/Simulation.js"

/** A quarter of a minute of an upstream of which this share fails, with this much room. */
const scenarioOf = (rate: number, workers = 100) =>
  Effect.runSync(Scenario.decode({
    duration: "15 seconds",
    clients: { arrivals: { _tag: "Poisson", perSecond: 20 } },
    services: [{
      network: { _tag: "Constant", value: "5 millis" },
      service: { _tag: "Exponential", mean: "40 millis" },
      capacity: { _tag: "Workers", workers, queue: 50 },
      faults: [{ _tag: "Errors", rate, status: 503 }]
    }]
  }))

const three = [scenarioOf(0.05), scenarioOf(0.1), scenarioOf(0.2)] as const

const single: Simulation.Policy = {
  name: "single",
  stages: { operation: Operation.read, retry: { retries: 0 } }
}

const refusal = (policy: Simulation.Policy, options: Partial<Simulation.TuneOptions>) =>
  Effect.flip(Simulation.tune(policy, {
    scenarios: three,
    search: { "retry.retries": [1] },
    minimize: "failedRate",
    ...options
  }))

describe("tune", () => {
  it.effect(
    "S19: the winner is shown on unused seeds, beside the base, by the worst scenario",
    () =>
      Effect.gen(function*() {
        const tuned = yield* Simulation.tune(single, {
          scenarios: three,
          search: { "retry.retries": [0, 1, 2, 3] },
          minimize: "failedRate",
          seed: 7
        })
        expect(tuned.isBetter).toBe(true)
        expect(tuned.settings).toEqual({ "retry.retries": 3 })
        expect(tuned.policy.stages.retry).toEqual({ retries: 3 })
        expect(tuned.tried).toBe(5)
        expect(tuned.warnings).toEqual([])
        for (const result of [...tuned.base, ...tuned.results]) {
          expect(result).toMatchObject({ seed: 8, replications: 20 })
        }
        // A fifth fails in the worst scenario, and .2^4 with three retries.
        expect(tuned.base[2]!.metrics.failedRate.mean).toBeCloseTo(0.2, 1)
        expect(tuned.difference.mean).toBeCloseTo(0.0016 - 0.2, 2)
        expect(tuned.difference.isShown).toBe(true)
        // The same figures as a run by itself.
        const alone = yield* Simulation.run(tuned.policy, {
          scenario: three[2],
          seed: 8,
          replications: 20
        })
        expect(tuned.results[2]!.metrics).toEqual(alone.metrics)
      }),
    60_000
  )

  it.effect(
    "S19: a limit that the best breaks gives the answer to another",
    () =>
      Effect.gen(function*() {
        const tuned = yield* Simulation.tune(single, {
          scenarios: three,
          search: { "retry.retries": [0, 1, 2, 3] },
          minimize: "failedRate",
          subjectTo: [{ metric: "amplification", atMost: 1.22 }]
        })
        // In the worst scenario one retry costs 1.2, two 1.24.
        expect(tuned.settings).toEqual({ "retry.retries": 1 })
        expect(Math.max(...tuned.results.map(({ metrics }) => metrics.amplification.mean)))
          .toBeLessThanOrEqual(1.22)
      }),
    60_000
  )

  it.effect(
    "S19: who keeps a limit that the base breaks is better, though its figure is worse",
    () =>
      Effect.gen(function*() {
        const eager: Simulation.Policy = {
          name: "eager",
          stages: { operation: Operation.read, retry: { retries: 3 } }
        }
        const tuned = yield* Simulation.tune(eager, {
          scenarios: three,
          search: { "retry.retries": [1, 2] },
          minimize: "failedRate",
          subjectTo: [{ metric: "amplification", atMost: 1.22 }]
        })
        expect(tuned.isBetter).toBe(true)
        expect(tuned.settings).toEqual({ "retry.retries": 1 })
        expect(tuned.difference.low).toBeGreaterThan(0)
      }),
    60_000
  )

  it.effect(
    "S19: where none is shown to be better, the answer is the base",
    () =>
      Effect.gen(function*() {
        const tuned = yield* Simulation.tune(single, {
          scenarios: [scenarioOf(0)],
          search: { "retry.retries": [0, 1] },
          minimize: "failedRate"
        })
        expect(tuned.isBetter).toBe(false)
        expect(tuned.settings).toEqual({})
        expect(tuned.policy).toBe(single)
        expect(tuned.results).toEqual(tuned.base)
        expect(tuned.warnings).toEqual([
          "1 scenario is few: the policy may fit nothing else; three or more are better"
        ])
      }),
    60_000
  )

  it.effect(
    "S19: of too many combinations some are drawn, by the seed",
    () =>
      Effect.gen(function*() {
        const of = (seed: number) =>
          Simulation.tune(single, {
            scenarios: three,
            search: {
              "retry.retries": [0, 1, 2, 3, 4],
              "attemptTimeout": ["50 millis", "100 millis", "200 millis", null],
              "bulkhead.concurrency": [1, 5, 10, 20]
            },
            minimize: "failedRate",
            trials: 6,
            seed
          })
        const first = yield* of(1)
        expect(first.tried).toBe(7)
        expect(yield* of(1)).toEqual(first)
      }),
    60_000
  )

  it.effect("a stage is taken away by null and brought in by a path", () =>
    Effect.gen(function*() {
      const tuned = yield* Simulation.tune({ name: "standard", stages: Pipeline.standard }, {
        scenarios: three,
        search: {
          budget: [null],
          "retry.backoff": [{
            _tag: "Constant",
            delay: "10 millis",
            jitter: { _tag: "None" }
          }]
        },
        minimize: "p99"
      })
      expect(tuned.isBetter).toBe(true)
      expect(tuned.policy.stages.budget).toBeUndefined()
      expect(tuned.policy.stages.retry?.backoff).toEqual(
        Backoff.constant("10 millis", { jitter: Backoff.none })
      )
      expect(tuned.policy.stages.attemptTimeout).toEqual(Pipeline.standard.attemptTimeout)
    }), 60_000)

  it.effect("stages that only code can say take values of code", () =>
    Effect.gen(function*() {
      const verdict = (error: unknown) =>
        ApiError.isApiError(error) ? ApiError.verdict(error) : Verdict.terminal
      const stages = { operation: Operation.read, retry: { retries: 0, verdict } }
      const tuned = yield* Simulation.tune({ name: "code", stages }, {
        scenarios: three,
        search: { "retry.retries": [2] },
        minimize: "failedRate"
      })
      expect(tuned.isBetter).toBe(true)
      expect(tuned.policy.stages.retry).toEqual({ retries: 2, verdict })
    }), 60_000)

  it.effect("paths and values that no policy can have are refused with their path", () =>
    Effect.gen(function*() {
      const misnamed = yield* refusal(single, { search: { "retry.retires": [1] } })
      expect(misnamed).toMatchObject({ _tag: "InvalidScenario", path: "search.retry.retires.0" })
      expect(misnamed.message).toMatch(/retry\.retires: .*did you mean retries/)
      const negative = yield* refusal(single, { search: { "retry.retries": [1, -1] } })
      expect(negative).toMatchObject({ path: "search.retry.retries.1", value: -1 })
      expect(yield* refusal(single, { search: {} })).toMatchObject({ path: "search" })
      expect(yield* refusal(single, { search: { "retry.retries": [] } })).toMatchObject({
        path: "search.retry.retries"
      })
      expect(yield* refusal(single, { search: { "retry..x": [1] } })).toMatchObject({
        path: "search.retry..x"
      })
      const contradiction = yield* refusal(single, {
        search: { totalTimeout: ["1 second"], attemptTimeout: ["2 seconds"] }
      })
      expect(contradiction).toMatchObject({ path: "search" })
      expect(contradiction.message).toMatch(/attemptTimeout.*at most totalTimeout/)
    }))

  it.effect(
    "a combination that contradicts itself is left out and counted",
    () =>
      Effect.gen(function*() {
        const tuned = yield* Simulation.tune(single, {
          scenarios: three,
          search: {
            totalTimeout: ["1 second", "5 seconds"],
            attemptTimeout: ["500 millis", "2 seconds"],
            "retry.retries": [1]
          },
          minimize: "failedRate"
        })
        expect(tuned).toMatchObject({ tried: 4, leftOut: 1 })
        expect(tuned.warnings[0]).toMatch(/^1 combinations were left out/)
      }),
    60_000
  )

  it.live("S18: interrupted, the search ends", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Simulation.tune(single, {
        scenarios: three,
        search: { "retry.retries": Array.from({ length: 50 }, (_, retries) => retries) },
        minimize: "p99",
        onProgress: () => Deferred.succeed(begun, undefined)
      }))
      yield* Deferred.await(begun)
      const [took, exit] = yield* Effect.timed(Fiber.interrupt(fiber))
      expect(Exit.isInterrupted(exit)).toBe(true)
      expect(Duration.toMillis(took)).toBeLessThan(100)
    }))
})
