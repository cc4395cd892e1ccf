import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import type { Tracer } from "effect"
import { ApiError, CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as Fallback from "effect-resilience/Fallback"
import { offBy } from "../support/clocks.js"
import { countedIn } from "../support/counters.js"
import { down, network, notFound, rejection, server, timeout } from "../support/errors.js"
import { wordOf } from "../support/exits.js"
import { badDurations } from "../support/refusal.js"

const missing = notFound()

type Failures = ApiError.Server | ApiError.NotFound

const failing = (error: Failures): Effect.Effect<string, Failures> => Effect.fail(error)

const attributesIn = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const spans: Array<Tracer.Span> = []
    const watched = Effect.tap(
      self,
      () => Effect.map(Effect.currentSpan, (span) => spans.push(span))
    )
    yield* Effect.exit(Effect.withSpan(watched, "call"))
    return Object.fromEntries(spans[0]?.attributes ?? [])
  })

describe("Fallback admits", () => {
  it.effect("G30: a success stays what it is, and the fallback does not run", () =>
    Effect.gen(function*() {
      let ran = false
      const call: Effect.Effect<string, Failures> = Effect.succeed("real")
      const orElse = () => Effect.sync(() => void (ran = true))
      expect(yield* Fallback.orElse(call, { tags: ["Server"], orElse })).toBe("real")
      expect(ran).toBe(false)
    }))

  it.effect("G30: errors that are not chosen come out as the very same value", () =>
    Effect.gen(function*() {
      const byTag = Fallback.orElse(failing(missing), {
        tags: ["Server"],
        orElse: () => Effect.succeed("other")
      })
      const byTest = Fallback.orElse(failing(missing), {
        when: (error) => error.status === 503,
        orElse: () => Effect.succeed("other")
      })
      expect([yield* Effect.flip(byTag), yield* Effect.flip(byTest)]).toEqual([missing, missing])
      expect(yield* Effect.flip(byTag)).toBe(missing)
    }))

  it.effect("G30: defects are not replaced", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.dieMessage("bug").pipe(
        Fallback.orElse({ when: () => true, orElse: () => Effect.succeed("other") }),
        Effect.exit
      )
      expect(wordOf(exit)).toBe("RuntimeException: bug")
    }))

  it.effect("G30: no tags choose nothing", () =>
    Effect.gen(function*() {
      const call = Fallback.orElse(failing(down), {
        tags: [],
        orElse: () => Effect.succeed("other")
      })
      expect(wordOf(yield* Effect.exit(call))).toBe("Server")
    }))

  it.effect("G30: an error without a tag has none of the tags", () =>
    Effect.gen(function*() {
      const call: Effect.Effect<string, "down" | ApiError.Server> = Effect.fail("down" as const)
      const fallback = Fallback.orElse(call, {
        tags: ["Server"],
        orElse: () => Effect.succeed("other")
      })
      expect(yield* Effect.flip(fallback)).toBe("down")
    }))
})

describe("Fallback takes", () => {
  it.effect("G30: by tag, and it sees the error", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const call = failing(down).pipe(
        Fallback.orElse({
          tags: ["Server", "NotFound"],
          orElse: (error) => {
            seen.push(error)
            return Effect.succeed(`${error._tag} ${error.status}`)
          }
        })
      )
      expect(yield* call).toBe("Server 503")
      expect(seen).toEqual([down])
    }))

  it.effect("G30: by predicate and by type guard", () =>
    Effect.gen(function*() {
      const isServer = (error: Failures): error is ApiError.Server => error._tag === "Server"
      const call = failing(down)
      expect([
        yield* call.pipe(
          Fallback.orElse({ when: (e) => e.status === 503, orElse: (e) => Effect.succeed(e._tag) })
        ),
        yield* Fallback.orElse(call, { when: isServer, orElse: (e) => Effect.succeed(e._tag) })
      ]).toEqual(["Server", "Server"])
    }))

  it.effect("G30: a value, which may depend on the error", () =>
    Effect.gen(function*() {
      const call = failing(down)
      expect([
        yield* call.pipe(Fallback.orElseSucceed({ tags: ["Server"], value: (e) => e.status })),
        yield* Fallback.orElseSucceed(call, { tags: ["Server"], value: () => null }),
        yield* Fallback.orElseSucceed(call, { when: Fallback.isUnavailable, value: () => [] })
      ]).toEqual([503, null, []])
    }))

  it.effect("G30: a fallback that fails fails with its own error, and one that throws is a defect", () =>
    Effect.gen(function*() {
      const call = failing(down)
      const own = Fallback.orElse(call, {
        tags: ["Server"],
        orElse: () => Effect.fail("no cache either")
      })
      expect(yield* Effect.flip(own)).toBe("no cache either")
      const throwing = Fallback.orElseSucceed(call, {
        tags: ["Server"],
        value: () => {
          throw new Error("bug")
        }
      })
      expect(wordOf(yield* Effect.exit(throwing))).toBe("Error: bug")
    }))

  it.effect("G30: fallbacks may be put around each other", () =>
    Effect.gen(function*() {
      const call = failing(down).pipe(
        Fallback.orElse({ tags: ["Server"], orElse: () => failing(missing) }),
        Fallback.orElseSucceed({ tags: ["NotFound"], value: () => "last" })
      )
      expect(yield* call).toBe("last")
    }))

  it.effect("G40: around a pipeline, for what its stages reject with", () =>
    Effect.gen(function*() {
      const circuitBreaker = yield* CircuitBreaker.make()
      yield* circuitBreaker.forceOpen()
      const pipeline = yield* Pipeline.make({ operation: Operation.read, circuitBreaker })
      const call = Effect.succeed(1).pipe(
        Pipeline.protect(pipeline),
        Fallback.orElseSucceed({ tags: ["CircuitOpen"], value: ({ key }) => key })
      )
      expect(yield* call).toBe("default")
    }))
})

describe("Fallback recovers: the last good value", () => {
  const make = (options?: Partial<Fallback.LastGoodOptions>) =>
    Fallback.lastGood<string>({ staleFor: "1 minute", ...options })

  it.effect("G30: is given while it is not older than staleFor, and not later", () =>
    Effect.gen(function*() {
      const good = yield* make()
      const probes: Array<string> = [wordOf(yield* Effect.exit(good.protect(failing(down))))]
      const look = Effect.map(
        Effect.exit(good.protect(failing(down))),
        (exit) => probes.push(wordOf(exit))
      )
      yield* good.protect(Effect.succeed("first"))
      yield* look
      yield* TestClock.adjust("1 minute")
      yield* look
      yield* TestClock.adjust("1 millis")
      yield* look
      expect(probes).toEqual(["Server", "first", "first", "Server"])
    }))

  it.effect("G30: each success takes the place of the last one, and its age begins anew", () =>
    Effect.gen(function*() {
      const good = yield* make()
      yield* good.protect(Effect.succeed("first"))
      yield* TestClock.adjust("59 seconds")
      yield* good.protect(Effect.succeed("second"))
      yield* TestClock.adjust("59 seconds")
      expect(yield* good.protect(failing(down))).toBe("second")
    }))

  it.effect("G30: taking it does not make it younger", () =>
    Effect.gen(function*() {
      const good = yield* make()
      yield* good.protect(Effect.succeed("first"))
      yield* TestClock.adjust("40 seconds")
      yield* good.protect(failing(down))
      yield* TestClock.adjust("40 seconds")
      expect(wordOf(yield* Effect.exit(good.protect(failing(down))))).toBe("Server")
    }))

  it.effect("G30: by default only when there was no answer; a NotFound is one", () =>
    Effect.gen(function*() {
      const good = yield* make()
      yield* good.protect(Effect.succeed("first"))
      expect(yield* Effect.flip(good.protect(failing(missing)))).toBe(missing)
      const any = yield* make({ when: () => true })
      yield* any.protect(Effect.succeed("first"))
      expect(yield* any.protect(failing(missing))).toBe("first")
    }))

  it.effect("G30: by key, in both styles; forget drops one", () =>
    Effect.gen(function*() {
      const good = yield* make()
      yield* good.protect(Effect.succeed("tea"), { key: "a" })
      yield* Effect.succeed("rice").pipe(good.protect({ key: "b" }))
      const look = Effect.forEach(["a", "b", undefined], (key) =>
        Effect.map(Effect.exit(failing(down).pipe(good.protect({ key }))), wordOf))
      const before = yield* look
      yield* good.forget("a")
      expect([before, yield* look]).toEqual([["tea", "rice", "Server"], [
        "Server",
        "rice",
        "Server"
      ]])
    }))

  it.effect("G30: of more keys than its capacity, those written longest ago are dropped", () =>
    Effect.gen(function*() {
      const good = yield* make({ capacity: 2 })
      for (const key of ["a", "b", "a", "c"]) yield* good.protect(Effect.succeed(key), { key })
      const kept = yield* Effect.forEach(
        ["a", "b", "c"],
        (key) => Effect.map(Effect.exit(good.protect(failing(down), { key })), wordOf)
      )
      expect(kept).toEqual(["a", "Server", "c"])
    }))

  it.effect("G30: undefined is a value as well", () =>
    Effect.gen(function*() {
      const good = yield* Fallback.lastGood<undefined>({ staleFor: "1 minute" })
      yield* good.protect(Effect.succeed(undefined))
      expect(wordOf(yield* Effect.exit(good.protect(Effect.fail(down))))).toBe("undefined")
    }))

  it.effect("G30: a wall clock that steps changes no age", () =>
    Effect.gen(function*() {
      const good = yield* make()
      yield* good.protect(Effect.succeed("first"))
      yield* TestClock.adjust("30 seconds")
      const stepped = Effect.clockWith((clock) =>
        Effect.withClock(
          good.protect(failing(down)),
          offBy(clock, { wall: 3_600_000 })
        )
      )
      expect(yield* stepped).toBe("first")
    }))

  it.effect("nonsense options are refused, by field and value", () =>
    Effect.gen(function*() {
      const refusal = (options: Partial<Fallback.LastGoodOptions>) =>
        Effect.map(Effect.exit(make(options)), wordOf)
      expect(yield* Effect.forEach([{ staleFor: 0 }, { capacity: 0 }], refusal)).toEqual([
        "RangeError: staleFor should be a duration longer than zero, got 0",
        "RangeError: capacity should be a whole number of at least 1, got 0"
      ])
      const messages = yield* Effect.forEach(badDurations, ([staleFor]) => refusal({ staleFor }))
      expect(messages.every((message) => message.startsWith("RangeError: staleFor should be")))
        .toBe(true)
    }))
})

describe("Fallback: interruption releases", () => {
  it.effect("G30: interruption is not replaced", () =>
    Effect.gen(function*() {
      let ran = false
      const good = yield* Fallback.lastGood<void>({ staleFor: "1 minute", when: () => true })
      yield* good.protect(Effect.void)
      const call = Effect.never.pipe(
        Fallback.orElse({ when: () => true, orElse: () => Effect.sync(() => void (ran = true)) }),
        (self) => good.protect(self)
      )
      const fiber = yield* Effect.fork(call)
      yield* TestClock.adjust(0)
      const exit = yield* Fiber.interrupt(fiber)
      expect([Exit.isInterrupted(exit), ran]).toEqual([true, false])
    }))

  it.effect("G30: a fallback that is under way can be interrupted", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(
        Fallback.orElse(failing(down), { tags: ["Server"], orElse: () => Effect.never })
      )
      yield* TestClock.adjust(0)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
    }))
})

describe("Fallback: concurrent callers", () => {
  it.effect("G30: of calls side by side each is marked on its own", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const call = (i: number) =>
        Fallback.marked(
          Effect.zipRight(
            Deferred.await(gate),
            i % 2 === 0 ? Effect.succeed("real") : failing(down)
          ).pipe(
            Fallback.orElseSucceed({ tags: ["Server"], value: () => "other" })
          )
        )
      const all = yield* Effect.fork(
        Effect.forEach([0, 1, 2, 3], call, { concurrency: "unbounded" })
      )
      yield* Deferred.succeed(gate, undefined)
      const results = yield* Fiber.join(all)
      expect(results.map(({ isFallback, value }) => [value, isFallback])).toEqual([
        ["real", false],
        ["other", true],
        ["real", false],
        ["other", true]
      ])
    }))
})

describe("Fallback is marked", () => {
  const call = Fallback.orElseSucceed(failing(down), { tags: ["Server"], value: () => "other" })

  it.effect("G30: in the result: which error, and how old a last good value is", () =>
    Effect.gen(function*() {
      const good = yield* Fallback.lastGood<string>({ staleFor: "1 minute" })
      const results = [
        yield* Fallback.marked(call),
        yield* Fallback.marked(good.protect(Effect.succeed("first")))
      ]
      yield* TestClock.adjust("20 seconds")
      results.push(yield* Fallback.marked(good.protect(failing(down))))
      expect(results).toEqual([
        { value: "other", isFallback: true, taken: [{ error: down }] },
        { value: "first", isFallback: false, taken: [] },
        { value: "first", isFallback: true, taken: [{ error: down, ageMillis: 20_000 }] }
      ])
    }))

  it.effect("G30: anywhere inside, and each time anew", () =>
    Effect.gen(function*() {
      const deep = Fallback.marked(
        Effect.all([call, Effect.succeed("real"), call], { concurrency: 3 })
      )
      const counts = [(yield* deep).taken.length, (yield* deep).taken.length]
      const inner = yield* Fallback.marked(Fallback.marked(call))
      expect([counts, inner.isFallback, inner.value.isFallback]).toEqual([[2, 2], true, true])
    }))

  it.effect("G30: a fallback that fails was none", () =>
    Effect.gen(function*() {
      const failed = Fallback.orElse(failing(down), {
        tags: ["Server"],
        orElse: () => Effect.fail("no" as const)
      })
      const result = yield* Fallback.marked(Effect.merge(failed))
      expect(result).toEqual({ value: "no", isFallback: false, taken: [] })
    }))

  it.effect("G30: on the span", () =>
    Effect.gen(function*() {
      const good = yield* Fallback.lastGood<string>({ staleFor: "1 minute" })
      yield* good.protect(Effect.succeed("first"))
      yield* TestClock.adjust(Duration.seconds(5))
      expect(yield* attributesIn(call)).toEqual({ "resilience.fallback.taken": "Server" })
      expect(yield* attributesIn(good.protect(failing(down)))).toEqual({
        "resilience.fallback.taken": "Server",
        "resilience.fallback.age_millis": 5000
      })
      expect(yield* attributesIn(Effect.succeed("real"))).toEqual({})
    }))

  it.effect("G30: in the metric, by the tag of the error", () =>
    Effect.gen(function*() {
      const untagged = Fallback.orElseSucceed(Effect.fail("down"), {
        when: () => true,
        value: () => null
      })
      const calls = Effect.all([call, call, untagged])
      expect(yield* countedIn("resilience.fallback.taken", "error", calls)).toEqual({
        Server: 2,
        other: 1
      })
    }))
})

describe("Fallback.isUnavailable", () => {
  it("G30: is what says that there was no answer", () => {
    const errors = [
      down,
      new ApiError.RateLimit({ message: "" }),
      timeout("total"),
      network("no"),
      server(501),
      rejection(),
      new Cause.TimeoutException()
    ]
    expect(errors.map(Fallback.isUnavailable)).toEqual(errors.map(() => true))
    const answers = [
      missing,
      new ApiError.Validation({ message: "" }),
      new ApiError.Auth({ message: "" }),
      "mine"
    ]
    expect(answers.map(Fallback.isUnavailable)).toEqual(answers.map(() => false))
  })
})
