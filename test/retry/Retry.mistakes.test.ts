import { describe, expect, it } from "@effect/vitest"
import { Data, Effect, Fiber, Logger, Metric, TestClock } from "effect"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  Operation,
  Pipeline,
  Retry,
  Verdict
} from "effect-resilience"
import { settle } from "../support/turns.js"

class Busy extends Data.TaggedError("Busy")<{ readonly seconds: number }> {}
class Gone extends Data.TaggedError("Gone") {}

const down = new ApiError.Server({ message: "down", status: 503 })

/** What an effect logs as a warning. */
const warningsOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const warnings: Array<string> = []
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
      if (logLevel._tag === "Warning") warnings.push(String(message))
    })
    return Effect.exit(self).pipe(
      Effect.as(warnings),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger))
    )
  })

const nestedCount = Effect.map(
  Metric.value(Metric.counter("resilience.retry.nested", {
    description: "Retries inside an attempt of another retry",
    incremental: true
  })),
  ({ count }) => count
)

const policy = (retries: number, nested?: "allow") => ({
  operation: Operation.read,
  retries,
  backoff: Backoff.constant(0),
  ...(nested === undefined ? {} : { nested })
})

describe("a retry inside an attempt of another (R24)", () => {
  it.effect("R24: is said once for a pair, with the product, and counted", () =>
    Effect.gen(function*() {
      const before = yield* nestedCount
      let calls = 0
      const call = Effect.zipRight(Effect.sync(() => calls++), down).pipe(
        Retry.retry(policy(3)),
        Retry.retry(policy(2))
      )
      const warnings = yield* warningsOf(Effect.zip(Effect.exit(call), Effect.exit(call)))
      expect(warnings).toEqual([expect.stringContaining("3 * 4 = 12 calls")])
      expect([calls, (yield* nestedCount) - before]).toEqual([24, 4])
    }))

  it.effect("R24: also through pipelines, and a pipeline around a retry", () =>
    Effect.gen(function*() {
      const inner = yield* Pipeline.make({
        operation: Operation.read,
        retry: { retries: 1, backoff: Backoff.constant(0) }
      })
      const outer = yield* Pipeline.make({
        operation: Operation.read,
        retry: { retries: 4, backoff: Backoff.constant(0) }
      })
      const call = Pipeline.protect(Pipeline.protect(down, inner), outer)
      expect(yield* warningsOf(call)).toEqual([expect.stringContaining("5 * 2 = 10 calls")])
    }))

  it.effect("R24: `nested: \"allow\"` on either silences it", () =>
    Effect.gen(function*() {
      const around = (outer: "allow" | undefined, inner: "allow" | undefined) =>
        down.pipe(Retry.retry(policy(1, inner)), Retry.retry(policy(1, outer)))
      expect(yield* warningsOf(around("allow", undefined))).toEqual([])
      expect(yield* warningsOf(around(undefined, "allow"))).toEqual([])
      expect(yield* warningsOf(around(undefined, undefined))).toHaveLength(1)
    }))

  it.effect("R24: one that never repeats, and retries side by side or in turn, multiply nothing", () =>
    Effect.gen(function*() {
      const once = Retry.retry(down, policy(0))
      expect(yield* warningsOf(Retry.retry(once, policy(2)))).toEqual([])
      const twice = Effect.zip(Effect.exit(Retry.retry(down, policy(2))), down)
      expect(yield* warningsOf(twice)).toEqual([])
    }))

  it.effect("G48: a worker that outlives the attempt that started it is outside of it", () =>
    Effect.gen(function*() {
      let attempts = 0
      let worker: Fiber.Fiber<unknown, unknown> | undefined
      const call = Effect.suspend(() => {
        attempts++
        if (attempts < 2) return down
        const work = Effect.sleep("1 second").pipe(
          Effect.zipRight(Retry.retry(down, policy(2)))
        )
        return Effect.map(Effect.forkDaemon(work), (fiber) => {
          worker = fiber
        })
      })
      const warnings = yield* warningsOf(
        Effect.gen(function*() {
          yield* Retry.retry(call, policy(2))
          yield* settle
          yield* TestClock.adjust("1 second")
          yield* Effect.exit(Fiber.join(worker!))
        })
      )
      expect(warnings).toEqual([])
    }))

  it.effect("R24: interrupted within the inner one, nothing is left", () =>
    Effect.gen(function*() {
      const slow = {
        operation: Operation.read,
        retries: 3,
        backoff: Backoff.constant("1 minute")
      }
      let calls = 0
      const fiber = yield* Effect.fork(
        Effect.zipRight(Effect.sync(() => calls++), down).pipe(
          Retry.retry(slow),
          Retry.retry(policy(2))
        )
      )
      yield* settle
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect(calls).toBe(1)
    }))
})

describe("an error that has no verdict (R25)", () => {
  it.effect("R25: a pipeline says so once for each tag", () =>
    Effect.gen(function*() {
      class Unjudged extends Data.TaggedError("Unjudged") {}
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: { retries: 2 } })
      let calls = 0
      const call = Effect.zipRight(Effect.sync(() => calls++), new Unjudged()).pipe(
        Pipeline.protect(pipeline)
      )
      const warnings = yield* warningsOf(Effect.zip(Effect.exit(call), Effect.exit(call)))
      expect(warnings).toEqual([expect.stringContaining("\"Unjudged\", which has no verdict")])
      expect(calls).toBe(2)
    }))

  it.effect("R25: nothing is said of known errors, nor where a verdict is given", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { retries: 1, backoff: Backoff.constant(0) }
      })
      const open = new CircuitBreaker.CircuitOpen({ key: "k", retryAfter: "1 second" } as never)
      const known = [down, new ApiError.NotFound({ message: "no such thing", status: 404 }), open]
      for (const error of known) {
        expect(yield* warningsOf(Pipeline.protect(Effect.fail(error), pipeline))).toEqual([])
      }
      const judged = Retry.retry(new Gone(), { ...policy(1), verdict: () => Verdict.terminal })
      expect(yield* warningsOf(judged)).toEqual([])
    }))
})

describe("Verdict.byTag (R25)", () => {
  const verdict = Verdict.byTag<Busy | Gone>({
    Busy: ({ seconds }) => Verdict.transient({ ambiguous: false, retryAfter: `${seconds} seconds` })
  })

  it("R25: a verdict or a function of the error; what is not named is terminal", () => {
    expect(verdict(new Busy({ seconds: 3 }))).toEqual(
      Verdict.transient({ ambiguous: false, retryAfter: "3 seconds" })
    )
    expect(verdict(new Gone())).toEqual(Verdict.terminal)
    const always = Verdict.byTag<Busy>({ Busy: Verdict.rejected() })
    expect(always(new Busy({ seconds: 1 }))).toEqual(Verdict.rejected())
  })

  it("R25: a tag that is a name of every object is not named", () => {
    expect(Verdict.byTag<{ readonly _tag: string }>({})({ _tag: "toString" })).toEqual(
      Verdict.terminal
    )
  })
})
