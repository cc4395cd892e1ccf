import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Backoff from "effect-resilience/Backoff"
import * as Operation from "effect-resilience/Operation"
import * as Pipeline from "effect-resilience/Pipeline"
import * as Laws from "effect-resilience/testing/Laws"
import { squashed } from "../../support/exits.js"

const law = (stages: Pipeline.Stages, description?: Partial<Pipeline.Description>) =>
  Laws.pipeline(stages, {
    runs: 60,
    description: description === undefined
      ? undefined
      : { ...Pipeline.describe(stages), ...description }
  })

const retry = { retries: 2, backoff: Backoff.exponential({ base: "100 millis", cap: "2 seconds" }) }

const policies: ReadonlyArray<readonly [name: string, stages: Pipeline.Stages]> = [
  ["the standard", Pipeline.standard],
  ["nothing at all", { operation: Operation.read }],
  ["retries without a limit of time", { operation: Operation.idempotent, retry }],
  ["retries within a time", {
    operation: Operation.read,
    retry: { ...retry, within: "5 seconds" },
    attemptTimeout: "1 second"
  }],
  ["what must not run twice", { operation: Operation.once, retry, attemptTimeout: "2 seconds" }],
  ["hedges", {
    operation: Operation.read,
    hedge: { delay: "50 millis", hedges: 2 },
    attemptTimeout: "1 second"
  }],
  ["hedges and retries", {
    operation: Operation.keyed,
    totalTimeout: "8 seconds",
    retry,
    budget: {},
    hedge: { delay: "200 millis" },
    attemptTimeout: "2 seconds"
  }],
  ["a cooldown", {
    operation: Operation.read,
    retry,
    cooldown: { maxWait: "10 seconds" },
    attemptTimeout: "1 second"
  }],
  ["waits for guards", {
    operation: Operation.read,
    totalTimeout: "20 seconds",
    retry: { ...retry, waitForRejections: true },
    circuitBreaker: { minimumCalls: 1, openDuration: "1 second" },
    rateLimiter: { limit: 1, interval: "3 seconds" },
    bulkhead: { concurrency: 1, queue: 2 },
    attemptTimeout: "1 second"
  }]
]

describe("Laws.pipeline", () => {
  it.live.each(policies)("G43: what is said of it is true: %s", ([, stages]) => law(stages), 60_000)

  it.live("finds a description that promises too few requests", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(law(Pipeline.standard, { worstCaseCalls: 3 }))
      expect(message).toMatch(
        /^Laws\.pipeline: When the API answers .+: 4 requests, where at most 3 are said$/
      )
    }), 60_000)

  it.live("finds a description that promises too little time", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(
        law(Pipeline.standard, { worstCaseTime: Duration.seconds(20) })
      )
      expect(message).toMatch(
        /^Laws\.pipeline: When the API answers .+: \d+ ms, where at most 20000 ms are said$/
      )
    }), 60_000)

  it.live("stages that cannot be built are refused as they are elsewhere", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Laws.pipeline({ operation: Operation.read, bulkhead: { concurrency: 0 } })
      )
      expect(squashed(exit)).toEqual(
        new RangeError("concurrency should be a whole number of at least 1, got 0")
      )
    }))
})
