import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Option, Schema, TestClock } from "effect"
import {
  ApiError,
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Idempotency,
  IdempotencyKey,
  IdempotencyStore,
  Operation,
  Pipeline,
  Polling
} from "effect-resilience"
import * as Telemetry from "effect-resilience/Telemetry"
import {
  conflict,
  down,
  forbidden,
  invalid,
  locked,
  network,
  timeout,
  unauthorized
} from "../support/errors.js"
import { leaks } from "../support/renderings.js"
import { metricsOf } from "../support/telemetry.js"
import { about, failsFirst, finish, missing, newName, twice } from "./telemetry.js"

describe("Telemetry: metrics", () => {
  it.effect("T5: a call that two retries mended is one success and three attempts", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration, logs: false },
        retry: twice
      })
      yield* finish(Pipeline.protect(failsFirst(2, down), pipeline, { about }))
      const labels = "endpoint=/v1/things/:id"
      expect(yield* metricsOf(integration)).toEqual({
        [`resilience.call.outcomes{${labels},family=success,method=GET,operation=read,outcome=success}`]:
          1,
        [`resilience.call.duration{${labels},method=GET,operation=read,time_unit=milliseconds}`]: 1,
        [`resilience.attempt.outcomes{${labels},family=5xx,method=GET,operation=read,outcome=Server}`]:
          2,
        [`resilience.attempt.outcomes{${labels},family=success,method=GET,operation=read,outcome=success}`]:
          1,
        [`resilience.attempt.duration{${labels},method=GET,operation=read,time_unit=milliseconds}`]:
          3,
        "resilience.retry.attempts{decision=retry}": 2
      })
    }))

  it.effect("T5: the environment is a label where there is one", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration, environment: "staging" })
      yield* Telemetry.observe(Effect.void, telemetry)
      expect(Object.keys(yield* metricsOf(integration))).toEqual([
        "resilience.call.outcomes{endpoint=default,environment=staging,family=success,outcome=success}",
        "resilience.call.duration{endpoint=default,environment=staging,time_unit=milliseconds}"
      ])
    }))

  /** What a call ends with, and what it is counted as. */
  const ends: ReadonlyArray<
    readonly [outcome: string, family: string, end: Effect.Effect<unknown, unknown>]
  > = [
    ["success", "success", Effect.void],
    ["Auth", "4xx", unauthorized()],
    ["Policy", "4xx", forbidden()],
    ["Validation", "4xx", invalid()],
    ["NotFound", "4xx", missing],
    ["Conflict", "4xx", conflict()],
    ["Locked", "4xx", locked()],
    ["RateLimit", "4xx", new ApiError.RateLimit({ message: "" })],
    ["Server", "5xx", down],
    ["Server", "failed", new ApiError.Server({ message: "redirect", status: 302 })],
    ["Timeout", "5xx", new ApiError.Timeout({ message: "", status: 504, deadline: "server" })],
    ["Timeout", "unanswered", timeout("attempt")],
    ["Network", "unanswered", network()],
    [
      "CircuitOpen",
      "rejected",
      new CircuitBreaker.CircuitOpen({ key: "k", retryAfter: Duration.zero })
    ],
    ["UnknownOutcome", "failed", new Idempotency.UnknownOutcome()],
    [
      "PollingTimeout",
      "failed",
      new Polling.PollingTimeout({
        requestId: "r",
        lastStatus: Option.none(),
        elapsed: Duration.zero
      })
    ],
    ["other", "failed", Effect.fail({ _tag: "Of somebody else" })],
    ["other", "failed", Effect.fail("a text")],
    ["defect", "failed", Effect.die("boom")],
    ["interrupted", "interrupted", Effect.interrupt]
  ]

  it.effect.each(ends)(
    "T5: counted as %s, among %s",
    ([outcome, family, end]) =>
      Effect.gen(function*() {
        const integration = newName()
        const telemetry = yield* Telemetry.make({ integration, logs: false })
        yield* Effect.exit(Telemetry.observe(end, telemetry))
        const counted = Object.keys(yield* metricsOf(integration)).filter((name) =>
          name.includes("outcomes")
        )
        expect(counted).toEqual([
          `resilience.call.outcomes{endpoint=default,family=${family},outcome=${outcome}}`
        ])
      })
  )

  it.effect("T5: a key, an id, a text and a foreign tag never become a label", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.keyed,
        telemetry: { integration, logs: false },
        retry: { retries: 1, backoff: Backoff.constant("1 millis") },
        circuitBreaker: { minimumCalls: 1, window: CircuitBreaker.count(1) },
        rateLimiter: { limit: 100, interval: "1 second" }
      })
      const call = Effect.fail({
        _tag: "tag-SENTINEL",
        requestId: "request-SENTINEL",
        message: "text-SENTINEL"
      })
      yield* finish(
        Effect.forEach(
          ["tenant-SENTINEL-1", "tenant-SENTINEL-2"],
          (key) =>
            Pipeline.protect(call, pipeline, { key, about: { ...about, kid: "kid-SENTINEL" } })
              .pipe(
                IdempotencyKey.provideNew,
                Effect.exit
              )
        )
      )
      const names = Object.keys(yield* metricsOf(integration))
      expect(names.length).toBeGreaterThan(4)
      expect(leaks(names, "SENTINEL")).toEqual([])
    }))

  it.effect("T5: endpoints beyond the agreed number are counted together", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration, maxEndpoints: 2 })
      yield* Effect.forEach(
        ["/a", "/b", "/c", "/d", "/a"],
        (endpoint) => Telemetry.observe(Effect.void, telemetry, { endpoint, method: "GET" })
      )
      expect(
        (yield* Telemetry.figures(telemetry)).map(({ calls, endpoint }) => [endpoint, calls.count])
      ).toEqual([
        ["/a", 2],
        ["/b", 1],
        ["other", 2]
      ])
    }))

  it.effect("T5: what the circuits are told, what they reject, and in which state they are", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration, logs: false },
        circuitBreaker: {
          window: CircuitBreaker.count(4),
          minimumCalls: 4,
          slowCall: { duration: "1 second", rate: 1 },
          openDuration: "10 seconds",
          halfOpen: CircuitBreaker.consecutive(1)
        }
      })
      const run = <E>(call: Effect.Effect<unknown, E>, key = "a") =>
        finish(Effect.exit(Pipeline.protect(call, pipeline, { key })), "5 seconds")
      const circuits = Effect.map(
        metricsOf(integration),
        (metrics) =>
          Object.fromEntries(
            Object.entries(metrics).filter(([name]) => name.startsWith("resilience.circuit"))
          )
      )

      yield* run(Effect.void, "b")
      yield* run(Effect.void)
      yield* run(Effect.sleep("2 seconds"))
      yield* run(new ApiError.RateLimit({ message: "" }))
      yield* run(Effect.fail(down))
      yield* run(Effect.fail(down))
      yield* run(Effect.void)
      expect(yield* circuits).toEqual({
        "resilience.circuit.calls{outcome=success}": 2,
        "resilience.circuit.calls{outcome=slow}": 1,
        "resilience.circuit.calls{outcome=ignored}": 1,
        "resilience.circuit.calls{outcome=failure}": 2,
        "resilience.circuit.calls{outcome=rejected}": 1,
        "resilience.circuit.state{state=Closed}": 1,
        "resilience.circuit.state{state=Open}": 1,
        "resilience.circuit.transitions{from=Closed,to=Open}": 1
      })

      yield* TestClock.adjust("10 seconds")
      yield* run(Effect.void)
      expect(yield* circuits).toMatchObject({
        "resilience.circuit.state{state=Closed}": 2,
        "resilience.circuit.transitions{from=Open,to=HalfOpen}": 1,
        "resilience.circuit.transitions{from=HalfOpen,to=Closed}": 1
      })
    }))

  it.effect("T5: a circuit that is forgotten is in no state any more", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration })
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      yield* breaker.protect(Effect.void, { key: "before" })
      yield* Telemetry.circuitBreaker(telemetry, breaker)
      yield* Effect.forEach(["a", "b", "c"], (key) => breaker.protect(Effect.void, { key }))
      const closed = Effect.map(
        metricsOf(integration),
        (metrics) => metrics["resilience.circuit.state{state=Closed}"]
      )
      expect(yield* closed).toBe(4)
      yield* TestClock.adjust("2 minutes")
      yield* Effect.repeatN(breaker.protect(Effect.void, { key: "a" }), 4)
      expect(yield* closed).toBe(1)
    }))

  it.effect("T5: a breaker shared by two pipelines of one integration is counted once", () =>
    Effect.gen(function*() {
      const integration = newName()
      const circuitBreaker = yield* CircuitBreaker.make()
      const stages = { operation: Operation.read, telemetry: { integration }, circuitBreaker }
      const [one, other] = [yield* Pipeline.make(stages), yield* Pipeline.make(stages)]
      yield* Pipeline.protect(Effect.void, one)
      yield* Pipeline.protect(Effect.void, other)
      const metrics = yield* metricsOf(integration)
      expect(metrics["resilience.circuit.calls{outcome=success}"]).toBe(2)
      expect(metrics["resilience.circuit.state{state=Closed}"]).toBe(1)
    }))

  it.effect("T5: a breaker of somebody else's is used and not looked at", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration })
      // What it shows, and nothing of what is behind it.
      const copy: CircuitBreaker.CircuitBreaker = Object.assign(
        {},
        ...Object.entries(yield* CircuitBreaker.make()).map(([name, value]) => ({ [name]: value }))
      )
      yield* Telemetry.circuitBreaker(telemetry, copy)
      yield* copy.protect(Effect.void)
      expect(yield* metricsOf(integration)).toEqual({})
    }))

  it.effect("T5: permits in use rise and fall, and waiting is not using", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration })
      const bulkhead = Telemetry.bulkhead(
        telemetry,
        yield* Bulkhead.make({ concurrency: 2, queue: 1 })
      )
      const inUse = Effect.map(
        metricsOf(integration),
        (metrics) => metrics["resilience.bulkhead.in_use{}"] ?? 0
      )
      const gate = yield* Deferred.make<void>()
      const fibers = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.fork(bulkhead.protect(Deferred.await(gate)))
      )
      yield* Effect.yieldNow()
      expect([yield* inUse, yield* bulkhead.snapshot]).toEqual([2, { running: 2, waiting: 1 }])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(fibers)
      expect(yield* inUse).toBe(0)
    }))

  it.effect("T5: what a budget does not pay for, of retries and hedges", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration, logs: false },
        retry: twice,
        budget: { capacity: 1, ratio: 0, reservePerSecond: 0 },
        hedge: { delay: "5 seconds" }
      })
      // One token: it pays for the retry of the first call, and for nothing of the second.
      yield* Effect.exit(finish(Pipeline.protect(Effect.fail(down), pipeline)))
      yield* finish(Pipeline.protect(Effect.sleep("6 seconds"), pipeline))
      const metrics = yield* metricsOf(integration)
      expect(metrics["resilience.budget.refused{}"]).toBe(2)
      expect(metrics["resilience.retry.attempts{decision=budget}"]).toBe(1)
      expect(metrics["resilience.hedge.calls{outcome=refused}"]).toBe(1)
    }))

  it.effect("T5: an idempotent run that is looked at is counted under its integration", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration, logs: false })
      const pay = Idempotency.run(Effect.succeed("paid"), {
        scope: ["pay"],
        payload: { amount: 1 },
        result: Schema.String
      })
      const key = yield* IdempotencyKey.make
      yield* Effect.repeatN(Telemetry.observe(IdempotencyKey.provide(pay, key), telemetry), 1)
      const metrics = yield* metricsOf(integration)
      expect(metrics["resilience.idempotency.outcomes{outcome=executed}"]).toBe(1)
      expect(metrics["resilience.idempotency.outcomes{outcome=replayed}"]).toBe(1)
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("T5: a hundred callers at once are a hundred calls", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration, logs: false })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        retry: twice,
        attemptTimeout: "3 seconds"
      })
      const calls = Array.from({ length: 100 }, (_, n) =>
        Effect.exit(Pipeline.protect(Effect.delay(failsFirst(n % 4, down), "1 second"), pipeline)))
      yield* finish(Effect.all(calls, { concurrency: "unbounded" }))
      const [figures] = yield* Telemetry.figures(telemetry)
      expect([figures?.calls.count, figures?.calls.succeeded, figures?.calls.serverErrors]).toEqual(
        [100, 75, 25]
      )
      expect([figures?.attempts.count, figures?.attempts.succeeded, figures?.attempts.serverErrors])
        .toEqual([
          225,
          75,
          150
        ])
    }))
})
