import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, ParseResult, Schema } from "effect"
import { Operation, Pipeline } from "effect-resilience"

const refused = (json: unknown, operation?: Operation.Operation<never>) =>
  Effect.flip(
    operation === undefined
      ? Pipeline.fromConfig(json)
      : Effect.asVoid(Pipeline.fromConfig(json, { operation }))
  )

const linesOf = (json: unknown) => Effect.map(refused(json), ({ message }) => message.split("\n"))

describe("what is wrong with a configuration (G49)", () => {
  it.effect("G49: five mistakes are five lines: path, what it should be, what it is", () =>
    Effect.gen(function*() {
      const json = {
        operation: "keyed",
        totalTimeout: "5 secs",
        retry: { retries: -1, within: "10s", retires: 3 },
        bulkhead: { concurrency: "ten" }
      }
      expect(yield* linesOf(json)).toEqual([
        "totalTimeout: should be a duration such as \"5 seconds\", got \"5 secs\"",
        expect.stringMatching(/^retry\.retires: .*did you mean retries\?/),
        "retry.within: should be a duration such as \"5 seconds\", got \"10s\"",
        "bulkhead.concurrency: should be a number, got \"ten\"",
        "retry.retries: should be a whole number of at least 0, got -1"
      ])
    }))

  it.effect("G49: a mistake hides none beside it, of whatever kind", () =>
    Effect.gen(function*() {
      const unknown = (path: string) => expect.stringMatching(`^${path}: is not known here`)
      expect(yield* linesOf({ bulkhead: { concurency: 1, queue: -1 } })).toEqual([
        unknown("bulkhead.concurency"),
        "bulkhead.concurrency: is missing",
        "bulkhead.queue: should be a whole number of at least 0, got -1"
      ])
      expect(
        yield* linesOf({
          totalTimeout: "1 second",
          attemptTimeout: "2 seconds",
          circuitBreaker: { window: { _tag: "Cuont", size: 3 }, failureRate: 2, trials: 1 }
        })
      ).toEqual([
        unknown("circuitBreaker.trials"),
        "circuitBreaker.window._tag: should be \"Count\" | \"Time\", got \"Cuont\"",
        "circuitBreaker.failureRate: should be a number above 0 and at most 1, got 2",
        "attemptTimeout: should be at most totalTimeout (1s), got 2s"
      ])
      expect(yield* linesOf({ concurrency: { limit: { _tag: "Aimd", min: 0, max: -1 } } }))
        .toEqual([
          "concurrency.limit.min: should be a whole number of at least 1, got 0",
          "concurrency.limit.max: should be a whole number of at least 1, got -1"
        ])
    }))

  it.effect("G49: what is left out for its form contradicts nothing by its default", () =>
    Effect.gen(function*() {
      expect(
        yield* linesOf({
          circuitBreaker: { minimumCalls: 30, window: { _tag: "Count", size: "many" } },
          retry: { backoff: { _tag: "Exponential", base: "30 seconds", cap: "soon" } }
        })
      ).toEqual([
        "retry.backoff.cap: should be a duration such as \"5 seconds\", got \"soon\"",
        "circuitBreaker.window.size: should be a number, got \"many\""
      ])
    }))

  it.effect("G49: of a value with fields, the fields are named, and no other form of it", () =>
    Effect.gen(function*() {
      expect(
        yield* linesOf({
          hedge: { delay: { _tag: "Quantile", quantile: 2 } },
          circuitBreaker: { openDuration: { _tag: "Exponential", base: -1 } }
        })
      ).toEqual([
        "hedge.delay.quantile: should be a number above 0 and at most 1, got 2",
        "circuitBreaker.openDuration.base: should be a duration that is not negative, got -1"
      ])
    }))

  it.effect("G49: values of another form are refused without the notation of types", () =>
    Effect.gen(function*() {
      expect(
        yield* linesOf({
          retry: { retries: 3, backoff: "exponential" },
          circuitBreaker: { window: 20 },
          attemptTimeout: {}
        })
      ).toEqual([
        "retry.backoff: should be an object with the _tag Constant, Linear, Exponential or " +
        "Decorrelated, got \"exponential\"",
        "circuitBreaker.window: should be an object with the _tag Count or Time, got 20",
        "attemptTimeout: should be a duration such as \"5 seconds\", got {}"
      ])
      expect(
        yield* linesOf({
          retry: { backoff: { _tag: "Constant", delay: "1 second", jitter: "full" } }
        })
      ).toEqual([
        "retry.backoff.jitter: should be an object with the _tag None, Full, Equal or Additive, " +
        "got \"full\""
      ])
    }))

  it.effect("G49: of values that are nonsense in one stage each is found", () =>
    Effect.gen(function*() {
      expect(
        yield* linesOf({
          retry: { retries: -1, retryAfterCap: "1 minute" },
          circuitBreaker: { failureRate: 2, minimumCalls: 0 },
          rateLimiter: { limit: 0, interval: "1 second" },
          bulkhead: { concurrency: 0, queue: -1 }
        })
      ).toEqual([
        "retry.retries: should be a whole number of at least 0, got -1",
        "circuitBreaker.minimumCalls: should be a whole number of at least 1, got 0",
        "circuitBreaker.failureRate: should be a number above 0 and at most 1, got 2",
        "rateLimiter.limit: should be a whole number of at least 1, got 0",
        "bulkhead.concurrency: should be a whole number of at least 1, got 0",
        "bulkhead.queue: should be a whole number of at least 0, got -1"
      ])
    }))

  it.effect("G49: a mistyped stage names its neighbour, a foreign one the stages that there are", () =>
    Effect.gen(function*() {
      const [typo, foreign] = yield* linesOf({ circuitbraker: {}, telephone: {} })
      expect(typo).toMatch(/^circuitbraker: is not known here; did you mean circuitBreaker\? Known/)
      expect(foreign).toMatch(/^telephone: is not known here; known are .*circuitBreaker/)
    }))

  it.effect("G49: contradictions, each in a line", () =>
    Effect.gen(function*() {
      expect(yield* linesOf({ totalTimeout: "5 seconds", attemptTimeout: "10 seconds" })).toEqual([
        "attemptTimeout: should be at most totalTimeout (5s), got 10s"
      ])
    }))

  it.effect("G49: an operation that differs from the one in code is refused, with all the rest", () =>
    Effect.gen(function*() {
      const json = { operation: "keyed", retry: { retries: -1 } }
      const { message } = yield* refused(json, Operation.read)
      expect(message.split("\n")).toEqual([
        "operation: should be \"read\", as in the code, got \"keyed\"",
        "retry.retries: should be a whole number of at least 0, got -1"
      ])
      const alone = yield* refused({ operation: "once" }, Operation.read)
      expect(alone.message).toBe("operation: should be \"read\", as in the code, got \"once\"")
      for (const same of [{ operation: "read" }, {}]) {
        expect(Exit.isSuccess(
          yield* Effect.exit(Pipeline.fromConfig(same, { operation: Operation.read }))
        )).toBe(true)
      }
    }))

  it.effect("G49: `Pipeline.errors` gives them one by one, of any `ParseError` of the Spec", () =>
    Effect.gen(function*() {
      const json = { retry: { retries: -1 } }
      const finding = {
        path: "retry.retries",
        message: "should be a whole number of at least 0, got -1"
      }
      expect(Pipeline.errors(yield* refused(json))).toEqual([finding])
      const plain = yield* Effect.flip(Schema.decodeUnknown(Pipeline.Spec)(json))
      expect(Pipeline.errors(plain)).toEqual([finding])
    }))

  it.effect("G49: what is no object is one line, and every rendering is those lines", () =>
    Effect.gen(function*() {
      for (const json of [null, 7, "text", [], undefined]) {
        const error = yield* refused(json)
        expect(error).toBeInstanceOf(ParseResult.ParseError)
        expect(error._tag).toBe("ParseError")
        expect(error.message.split("\n")).toHaveLength(1)
        expect(Cause.pretty(Cause.fail(error))).toContain(error.message)
      }
    }))
})
