import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Either, FastCheck, Fiber, Schema, TestClock } from "effect"
import * as IdempotencyKey from "effect-resilience/IdempotencyKey"
import * as Operation from "effect-resilience/Operation"
import * as Pipeline from "effect-resilience/Pipeline"
import { ArrayFormatter } from "effect/ParseResult"
import { down } from "../support/errors.js"
import { runs } from "../support/runs.js"

/** Where a configuration is refused, and why. */
const refusals = (json: unknown) =>
  Either.match(Schema.decodeUnknownEither(Pipeline.Spec, { errors: "all" })(json), {
    onLeft: (error) =>
      ArrayFormatter.formatErrorSync(error).filter(({ message }) =>
        !message.startsWith("Expected undefined")
      )
        .map(({ message, path }) => `${path.join(".")}: ${message}`),
    onRight: () => []
  })

const everything = {
  operation: "idempotent",
  telemetry: {
    integration: "things",
    environment: "staging",
    spans: true,
    logs: "Info",
    maxEndpoints: 10
  },
  totalTimeout: "30 seconds",
  retry: {
    retries: 2,
    backoff: {
      _tag: "Exponential",
      base: "100 millis",
      cap: "2 seconds",
      jitter: { _tag: "Additive", max: 5 }
    },
    within: "20 seconds",
    retryAfterCap: "10 seconds",
    beyondCap: "clamp",
    waitForRejections: true
  },
  budget: { ratio: 0.2, capacity: 5, reservePerSecond: 0 },
  hedge: { delay: { _tag: "Quantile", quantile: 0.95, atLeast: "10 millis" }, hedges: 2 },
  circuitBreaker: {
    window: { _tag: "Time", duration: "1 minute", buckets: 6 },
    minimumCalls: 3,
    failureRate: 0.4,
    slowCall: { duration: "2 seconds", rate: 0.5 },
    openDuration: { _tag: "Constant", delay: "5 seconds" },
    maxOpenDuration: "1 minute",
    halfOpen: { _tag: "Rate", trials: 4, threshold: 0.5 },
    trialTimeout: "11 seconds",
    idleTimeToLive: "10 minutes"
  },
  throttle: { multiplier: 1.5, window: "1 minute", minimumCalls: 5, maxRejection: 0.8 },
  rateLimiter: { limit: 10, interval: "1 second", burst: 5, mode: "reject" },
  bulkhead: { concurrency: 3, queue: 7, maxWait: "1 second" },
  concurrency: { limit: { _tag: "Aimd", initial: 5, max: 50, timeout: "1 second" } },
  cooldown: { mode: "reject", cap: "1 minute" },
  attemptTimeout: 10_000
}

describe("Pipeline.Spec", () => {
  it("G42: every stage can be written down", () => {
    const stages = Schema.decodeUnknownSync(Pipeline.Spec)(everything)
    expect(Object.keys(stages).sort()).toEqual(Object.keys(everything).sort())
    expect(Pipeline.describe(stages).worstCaseCalls).toBe(9)
  })

  it.each([
    ["read", Operation.read],
    ["idempotent", Operation.idempotent],
    ["keyed", Operation.keyed],
    ["once", Operation.once]
  ])("G42: the operation is written as \"%s\"", (operation, expected) => {
    const stages = Schema.decodeUnknownSync(Pipeline.Spec)({ operation })
    expect(stages.operation).toBe(expected)
    expect(Schema.encodeSync(Pipeline.Spec)(stages)).toEqual({ operation })
  })

  it("without an operation it is keyed, which is the safe one", () => {
    expect(Schema.decodeUnknownSync(Pipeline.Spec)({}).operation).toBe(Operation.keyed)
  })

  it.each<readonly [path: string, json: unknown]>([
    ["retires", { retires: 1 }],
    ["retry.retires", { retry: { retires: 2 } }],
    ["circuitBreaker.slowCall.ratio", {
      circuitBreaker: { slowCall: { duration: 1, rate: 1, ratio: 1 } }
    }],
    ["bulkhead.size", { bulkhead: { concurrency: 1, size: 2 } }],
    ["cooldown.maxwait", { cooldown: { maxwait: 1 } }]
  ])("G42: a key that is not known is an error that names its path: %s", (path, json) => {
    const found = refusals(json)
    expect(found.some((refusal) => refusal.startsWith(`${path}: is unexpected`))).toBe(true)
  })

  it.each<readonly [refusal: string, json: unknown]>([
    [
      "attemptTimeout: attemptTimeout should be at most totalTimeout (5s), got 10s",
      { totalTimeout: "5 seconds", attemptTimeout: "10 seconds" }
    ],
    [
      "circuitBreaker.slowCall.duration: circuitBreaker.slowCall.duration should be less than attemptTimeout (2s), got 3s",
      {
        attemptTimeout: "2 seconds",
        circuitBreaker: { slowCall: { duration: "3 seconds", rate: 0.5 } }
      }
    ],
    [
      "circuitBreaker.trialTimeout: circuitBreaker.trialTimeout should be at least attemptTimeout (10s), got 5s",
      { attemptTimeout: "10 seconds", circuitBreaker: { trialTimeout: "5 seconds" } }
    ],
    [
      "retry.retries: retry.retries times the smallest delay of retry.backoff (5 times 1s) should be less than totalTimeout (3s), got 5s",
      {
        totalTimeout: "3 seconds",
        retry: { retries: 5, backoff: { _tag: "Constant", delay: "1 second" } }
      }
    ]
  ])("G42: limits that contradict each other are refused with both values: %s", (refusal, json) => {
    expect(refusals(json)).toEqual([refusal])
  })

  it("G42: defaults are not compared, only what was written", () => {
    expect(
      refusals({
        attemptTimeout: "2 seconds",
        circuitBreaker: {},
        retry: {},
        totalTimeout: "3 seconds"
      })
    ).toEqual(
      []
    )
  })

  it.each<readonly [refusal: string, json: unknown]>([
    ["bulkhead.queue: queue should be a whole number of at least 0, got -1", {
      bulkhead: { concurrency: 1, queue: -1 }
    }],
    ["retry.retries: retries should be a whole number of at least 0, got 1.5", {
      retry: { retries: 1.5 }
    }],
    ["budget.ratio: ratio should be a number of at least 0, got -1", { budget: { ratio: -1 } }],
    [
      "circuitBreaker.minimumCalls: minimumCalls should be at most the window's size of 20, got 30",
      { circuitBreaker: { minimumCalls: 30 } }
    ],
    ["rateLimiter.limit: limit should be a whole number of at least 1, got 0", {
      rateLimiter: { limit: 0, interval: 1 }
    }],
    ["totalTimeout: totalTimeout should be a duration longer than zero, got 0", {
      totalTimeout: 0
    }],
    ["totalTimeout: totalTimeout should be a duration that is not negative, got \"-5 seconds\"", {
      totalTimeout: "-5 seconds"
    }]
  ])("nonsense in a stage is refused in the words of the stage: %s", (refusal, json) => {
    expect(refusals(json)).toContain(refusal)
  })

  it("G42: what is encoded and decoded again says the same", () => {
    const stages = Schema.decodeUnknownSync(Pipeline.Spec)(everything)
    const json = Schema.encodeSync(Pipeline.Spec)(stages)
    const again = Schema.decodeUnknownSync(Pipeline.Spec)(JSON.parse(JSON.stringify(json)))
    expect(Pipeline.describe(again)).toEqual(Pipeline.describe(stages))
    expect(Schema.encodeSync(Pipeline.Spec)(again)).toEqual(json)
  })

  it("G42: any choice of stages survives the way to JSON and back", () => {
    const choices = FastCheck.subarray(Object.keys(everything) as Array<keyof typeof everything>)
    FastCheck.assert(
      FastCheck.property(choices, (names) => {
        const chosen = Object.fromEntries(names.map((name) => [name, everything[name]]))
        const stages = Schema.decodeUnknownSync(Pipeline.Spec)(chosen)
        const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(Pipeline.Spec)(stages)))
        expect(Schema.encodeSync(Pipeline.Spec)(Schema.decodeUnknownSync(Pipeline.Spec)(json)))
          .toEqual(json)
      }),
      { numRuns: runs(500) }
    )
  })

  it("is also a JSON Schema that knows every key and no other", () => {
    const schema: object = Pipeline.jsonSchema()
    expect(schema).toMatchObject({ type: "object", additionalProperties: false })
    expect(Object.keys((schema as { readonly properties: object }).properties).sort()).toEqual(
      Object.keys(everything).sort()
    )
  })
})

describe("Pipeline.fromConfig", () => {
  it.effect("G42: behaves as the same stages in code", () =>
    Effect.gen(function*() {
      const json = {
        operation: "read",
        retry: { retries: 2, backoff: { _tag: "Constant", delay: "1 second" } },
        circuitBreaker: { minimumCalls: 2, window: { _tag: "Count", size: 2 } }
      }
      let calls = 0
      const call = Effect.suspend(() => (calls++, down))
      const pipeline = yield* Pipeline.fromConfig(json, { operation: Operation.read })
      const fiber = yield* Effect.fork(Effect.flip(Pipeline.protect(call, pipeline)))
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)
      // Two failures of two open the circuit, and the third attempt meets it.
      expect([calls, error._tag]).toEqual([2, "CircuitOpen"])
    }))

  it.effect("without an operation the type demands a key", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.fromConfig({})
      expect(yield* Effect.succeed(1).pipe(Pipeline.protect(pipeline), IdempotencyKey.provideNew))
        .toBe(1)
    }))

  it.effect("the operation that code names counts, where the configuration names none", () =>
    Effect.gen(function*() {
      let calls = 0
      const json = { retry: { retries: 2, backoff: { _tag: "Constant", delay: 0 } } }
      const pipeline = yield* Pipeline.fromConfig(json, { operation: Operation.once })
      yield* Effect.flip(Pipeline.protect(Effect.suspend(() => (calls++, down)), pipeline))
      expect(calls).toBe(1)
    }))

  it.effect("G42: fails with a ParseError, whatever it is given", () =>
    Effect.gen(function*() {
      const errors = yield* Effect.forEach(
        [null, [], "{}", { retry: 3 }, { operation: "sometimes" }],
        (json) => Effect.flip(Pipeline.fromConfig(json))
      )
      expect(errors.map(({ _tag }) => _tag)).toEqual(Array.from({ length: 5 }, () => "ParseError"))
    }))

  it.effect("G45: two pipelines of one configuration share nothing", () =>
    Effect.gen(function*() {
      const json = { operation: "read", bulkhead: { concurrency: 1 } }
      const one = yield* Pipeline.fromConfig(json, { operation: Operation.read })
      const other = yield* Pipeline.fromConfig(json, { operation: Operation.read })
      const fiber = yield* Effect.fork(Pipeline.protect(Effect.never, one))
      yield* Effect.yieldNow()
      expect(yield* Pipeline.protect(Effect.succeed("free"), other)).toBe("free")
      yield* Fiber.interrupt(fiber)
    }))
})

describe("Pipeline.describe", () => {
  it("G43: the standard pipeline as an operator reads it", () => {
    const { text, worstCaseCalls, worstCaseTime } = Pipeline.describe(Pipeline.standard)
    expect([worstCaseCalls, worstCaseTime]).toEqual([4, Duration.seconds(30)])
    expect(text.split("\n")).toEqual([
      "The operation is keyed: it may change something, under one idempotency key that is the same on every attempt.",
      "Outermost first:",
      "  total timeout    30s for the whole call, waits and all attempts included",
      "  retry            up to 3 retries, exponential from 200ms, times 2, at most 20s, full jitter; waits for Retry-After up to 1m, gives up beyond that",
      "  budget           a success pays for 0.1 retries, 1 a second flow in, at most 10 are saved up",
      "  circuit breaker  opens for 30s when 50 % of the last 20 attempts (at least 10) failed or 60 % were slower than 3s",
      "  attempt timeout  10s for each attempt",
      "Retried: 429, 408, 425, 413 with Retry-After, a key that is still in flight, a connection that was never made, time-outs of an attempt, broken connections, 500, 502, 503, 504 and other 5xx.",
      "Not retried: every other 4xx, 501, 505, 506, 508, 510, 511, the total time-out.",
      "Worst case of one call: 4 requests, 30s.",
      "When everything fails: 1 request for each call, and 1 more a second for all of them together, once the 10 saved up are spent."
    ])
  })

  it("G43: as a flowchart, a node for each stage and one for the call", () => {
    const { mermaid } = Pipeline.describe(Pipeline.standard)
    const names = [...mermaid.matchAll(/^ {2}s\d+\["(.+?)(?:<br>|")/gm)].map(([, name]) => name)
    expect(names).toEqual([
      "total timeout",
      "retry",
      "budget",
      "circuit breaker",
      "attempt timeout",
      "call"
    ])
    expect(mermaid.split("\n").filter((line) => line.includes("-->")).length).toBe(5)
  })

  it("G43: without a limit of time there is none to print", () => {
    const { text, worstCaseTime } = Pipeline.describe({ operation: Operation.read, retry: {} })
    expect(text).toContain("Worst case of one call: 3 requests, no limit of time.")
    expect(Duration.isFinite(worstCaseTime)).toBe(false)
  })

  it("G43: what must not run twice is retried only where it certainly did not run", () => {
    const { text } = Pipeline.describe({
      operation: Operation.once,
      retry: {},
      hedge: { delay: "1 second" }
    })
    expect(text).toContain("Retried: only what was certainly not executed")
    expect(text).toContain("hedge  none: the operation must not run twice")
  })

  it.effect("G43: an instance is described as its options are", () =>
    Effect.gen(function*() {
      const options = { limit: 5, interval: "1 second", maxWait: "2 seconds" } as const
      const { make } = yield* Effect.promise(() => import("effect-resilience/RateLimiter"))
      const written = Pipeline.describe({
        operation: Operation.read,
        rateLimiter: options,
        attemptTimeout: "1 second"
      })
      const given = Pipeline.describe({
        operation: Operation.read,
        rateLimiter: yield* make(options),
        attemptTimeout: "1 second"
      })
      expect(given).toEqual(written)
    }))
})
