import { HttpClient, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Deferred,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Logger,
  Metric,
  Option,
  Redacted,
  Schema,
  type Scope,
  TestClock,
  TestContext
} from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Hedge,
  Idempotency,
  IdempotencyKey,
  IdempotencyStore,
  Operation,
  Pipeline,
  Polling,
  Rejection,
  Retry,
  RetryBudget,
  Verdict
} from "effect-resilience"
import * as Telemetry from "effect-resilience/Telemetry"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import {
  conflict,
  down,
  forbidden,
  invalid,
  locked,
  network,
  notFound,
  timeout,
  unauthorized
} from "../support/errors.js"
import { refusalOf } from "../support/refusal.js"
import { leaks, renderings } from "../support/renderings.js"
import { metricsOf, observed } from "../support/telemetry.js"

let integrations = 0

/** A name of its own for each test, since metrics belong to the process. */
const newName = (): string => `telemetry-test-${++integrations}`

const missing = notFound()

const twice = { retries: 2, backoff: Backoff.constant("1 second") }

const about = { endpoint: "/v1/things/:id", method: "GET" }

/** Runs to its end under the test clock. */
const finish = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  within: Duration.DurationInput = "1 day"
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust(within)
    return yield* Fiber.join(fiber)
  })

/** Fails so many times, then succeeds. */
const failsFirst = <E>(times: number, error: E) => {
  let left = times
  return Effect.suspend(() => left-- > 0 ? Effect.fail(error) : Effect.succeed("done"))
}

const seconds = (duration: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(duration, Duration.toSeconds))

// -----------------------------------------------------------------------------
// metrics
// -----------------------------------------------------------------------------

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

// -----------------------------------------------------------------------------
// figures
// -----------------------------------------------------------------------------

describe("Telemetry: figures", () => {
  it.effect("T6: for each endpoint the success rate, the 95th percentile, 4xx and 5xx apart", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: false })
      const at = (endpoint: string, method = "GET") =>
        Telemetry.observe(telemetry, { endpoint, method })
      const answer = (n: number): Effect.Effect<void, ApiError.ApiError> => {
        if (n % 10 === 0) return missing
        return n % 25 === 1 ? down : Effect.void
      }
      yield* finish(Effect.forEach(
        Array.from({ length: 100 }, (_, n) => n),
        (n) => Effect.exit(at("/v1/things")(Effect.delay(answer(n), n < 90 ? 80 : 900)))
      ))
      yield* at("/v1/others", "POST")(Effect.void)

      const [others, things] = yield* Telemetry.figures(telemetry)
      expect(things).toMatchObject({ endpoint: "/v1/things", method: "GET" })
      expect(things?.calls).toMatchObject({
        count: 100,
        succeeded: 86,
        clientErrors: 10,
        serverErrors: 4,
        failed: 0
      })
      expect(things?.calls.successRate).toEqual(Option.some(0.86))
      // 90 of 100 took 80 ms, which lies between 75 and 100; the others 900 ms, between 750 and
      // 1000.
      expect(seconds(things?.calls.p50 ?? Option.none())).toBeCloseTo(0.09, 1)
      expect(seconds(things?.calls.p95 ?? Option.none())).toBeGreaterThanOrEqual(0.75)
      expect(seconds(things?.calls.p95 ?? Option.none())).toBeLessThanOrEqual(0.9)
      expect(others).toMatchObject({ endpoint: "/v1/others", method: "POST", calls: { count: 1 } })
    }))

  it.effect("T6: rejections and interruptions say nothing about the API", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: false })
      const observe = Telemetry.observe(telemetry)
      yield* observe(Effect.void)
      yield* Effect.exit(
        observe(new CircuitBreaker.CircuitOpen({ key: "k", retryAfter: Duration.zero }))
      )
      yield* Effect.exit(observe(Effect.interrupt))
      const [figures] = yield* Telemetry.figures(telemetry)
      expect(figures?.calls).toMatchObject({ count: 3, succeeded: 1, rejected: 1, interrupted: 1 })
      expect(figures?.calls.successRate).toEqual(Option.some(1))
    }))

  it.effect("T6: an attempt that our own queue turned away was none", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        bulkhead: { concurrency: 1 }
      })
      const holding = yield* Effect.fork(Pipeline.protect(Effect.never, pipeline))
      yield* Effect.yieldNow()
      const { lines } = yield* observed(Pipeline.protect(Effect.void, pipeline))
      yield* Fiber.interrupt(holding)
      const [figures] = yield* Telemetry.figures(telemetry)
      expect(lines.map(({ fields }) => [fields.error, fields.verdict, fields.attempts])).toEqual([
        ["BulkheadFull", "Rejected", undefined]
      ])
      expect([figures?.calls.rejected, figures?.attempts.rejected, figures?.calls.p95]).toEqual([
        1,
        0,
        Option.none()
      ])
    }))

  it.effect("T6: what was only rejected has no rate and no latency", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: false })
      yield* Effect.exit(
        Telemetry.observe(
          new CircuitBreaker.CircuitOpen({ key: "k", retryAfter: Duration.zero }),
          telemetry
        )
      )
      const [figures] = yield* Telemetry.figures(telemetry)
      expect([figures?.calls.successRate, figures?.calls.p95]).toEqual([
        Option.none(),
        Option.none()
      ])
    }))

  it.effect("T6: a call takes as long as its caller waits, an attempt as long as the API", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        retry: { retries: 1, backoff: Backoff.constant("10 seconds") },
        bulkhead: { concurrency: 1, queue: 1 },
        attemptTimeout: "30 seconds"
      })
      // The second waits 20 s for its turn; the first fails once, waits 10 s, and has to wait for
      // the second.
      const slowly = (first: number) =>
        Effect.zipRight(Effect.sleep("20 seconds"), failsFirst(first, down))
      const calls = [slowly(0), slowly(0)].map((call) => Pipeline.protect(call, pipeline))
      yield* finish(Effect.all(calls, { concurrency: "unbounded" }))
      const [figures] = yield* Telemetry.figures(telemetry)
      expect(seconds(figures?.attempts.p99 ?? Option.none())).toBe(20)
      expect(seconds(figures?.calls.p99 ?? Option.none())).toBeGreaterThan(30)
    }))

  it.effect("T6: an integration is read alone, and so is an environment", () =>
    Effect.gen(function*() {
      const integration = newName()
      const production = yield* Telemetry.make({ integration, environment: "production" })
      const staging = yield* Telemetry.make({ integration, environment: "staging" })
      yield* Telemetry.observe(Effect.void, production)
      expect((yield* Telemetry.figures(production)).length).toBe(1)
      expect(yield* Telemetry.figures(staging)).toEqual([])
    }))
})

// -----------------------------------------------------------------------------
// off
// -----------------------------------------------------------------------------

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

// -----------------------------------------------------------------------------
// spans and logs
// -----------------------------------------------------------------------------

describe("Telemetry: spans", () => {
  it.effect("T4: one for the call, one for each attempt in it", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration, environment: "staging" },
        retry: twice
      })
      const call = Pipeline.protect(
        Effect.zipRight(Effect.sleep("250 millis"), Effect.fail(down)),
        pipeline,
        { about }
      )
      const { spans, tree } = yield* finish(observed(call))
      const name = `${integration} GET /v1/things/:id`
      expect(tree).toEqual([name, ...Array(3).fill(`${name} > ${integration} attempt`)])
      expect(Object.fromEntries(spans[0]?.attributes ?? [])).toEqual({
        "resilience.integration": integration,
        "resilience.environment": "staging",
        "resilience.endpoint": "/v1/things/:id",
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "resilience.attempts": 3,
        "resilience.retries": 2,
        "resilience.retry.attempts": 3,
        "resilience.retry.stop": "retries",
        "resilience.latency_ms": 2750,
        "resilience.timed_out": false,
        "resilience.verdict": "Transient",
        "resilience.error": "Server"
      })
      expect(Object.fromEntries(spans[3]?.attributes ?? [])).toEqual({
        "resilience.attempt": 3,
        "resilience.endpoint": "/v1/things/:id",
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "resilience.latency_ms": 250,
        "resilience.error": "Server",
        "resilience.verdict": "Transient",
        "resilience.ambiguous": true
      })
    }))

  it.effect("T4: a success says how many attempts it took", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration },
        retry: twice
      })
      const { spans } = yield* finish(observed(Pipeline.protect(failsFirst(1, down), pipeline)))
      expect(spans[0]?.name).toBe(`${integration} call`)
      expect(Object.fromEntries(spans[0]?.attributes ?? [])).toEqual({
        "resilience.integration": integration,
        "resilience.attempts": 2,
        "resilience.latency_ms": 1000
      })
    }))

  it.scoped("E25: the client's own spans are not doubled, and know more", () =>
    Effect.gen(function*() {
      const integration = newName()
      const api = yield* FlakyApi.make({
        app: HttpServerResponse.empty(),
        script: FlakyApi.sequence([FlakyApi.serverError(), FlakyApi.serverError()])
      })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration, environment: "staging" },
        retry: { retries: 1, backoff: Backoff.constant(0) }
      })
      const client = yield* ApiClient.make({ name: "things", baseUrl: api.url, pipeline })
      const { lines, spans, tree } = yield* observed(client.get("/v1/things/17?token=SENTINEL"))
      const call = "things GET /v1/things/:id"
      expect(tree).toEqual([call, `${call} > things attempt`, `${call} > things attempt`])
      expect(Object.fromEntries(spans[0]?.attributes ?? [])).toMatchObject({
        "resilience.integration": integration,
        "resilience.environment": "staging",
        "resilience.endpoint": "/v1/things/:id",
        "resilience.attempts": 2,
        "resilience.retry.stop": "retries",
        "resilience.timed_out": false,
        "http.response.status_code": 500
      })
      expect(lines.filter(({ level }) => level === "WARN").map(({ fields }) => fields)).toEqual([
        expect.objectContaining({
          integration,
          endpoint: "/v1/things/:id",
          method: "GET",
          status: 500,
          attempts: 2,
          stopReason: "retries"
        })
      ])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

describe("Telemetry: logs", () => {
  it.effect("T4: one line for a call that failed, with its fields and no texts", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration, environment: "staging" })
      const pipeline = yield* Pipeline.make({ operation: Operation.keyed, telemetry, retry: twice })
      const error = new ApiError.Server({
        message: "text-SENTINEL",
        status: 503,
        requestId: "req-7"
      })
      const call = Pipeline.protect(Effect.fail(error), pipeline, {
        about: { ...about, kid: "0a1b2c" }
      }).pipe(
        IdempotencyKey.provideNew,
        Telemetry.withContext({ tenantId: "acme", siteId: "shop", sessionId: "s-1" })
      )
      const { lines } = yield* finish(observed(call))
      expect(lines.filter(({ level }) => level === "WARN")).toEqual([{
        level: "WARN",
        message: "Call failed",
        fields: {
          integration,
          environment: "staging",
          endpoint: "/v1/things/:id",
          method: "GET",
          status: 503,
          tenantId: "acme",
          siteId: "shop",
          sessionId: "s-1",
          requestId: "req-7",
          kid: "0a1b2c",
          attempts: 3,
          retries: 2,
          latencyMillis: 2000,
          timedOut: false,
          verdict: "Transient",
          stopReason: "retries",
          error: "Server"
        }
      }])
    }))

  it.effect("T4: a time-out says so", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        attemptTimeout: "2 seconds"
      })
      const { lines } = yield* finish(observed(Pipeline.protect(Effect.never, pipeline)))
      expect(lines.map(({ fields }) => [fields.timedOut, fields.error, fields.latencyMillis]))
        .toEqual([[
          true,
          "Timeout",
          2000
        ]])
    }))

  it.effect("T4: the reason for stopping of a retry outside of a pipeline", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: "Error" })
      const call = Effect.fail("busy").pipe(
        Retry.retry({ operation: Operation.read, retries: 0, verdict: () => Verdict.transient() }),
        Telemetry.observe(telemetry)
      )
      const { lines } = yield* observed(call)
      expect(lines.filter(({ level }) => level === "ERROR").map(({ fields }) => fields.stopReason))
        .toEqual(["retries"])
    }))

  it.effect("nothing for a success, and nothing for an interruption", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const { lines } = yield* observed(Effect.exit(Effect.zipRight(
        Telemetry.observe(Effect.void, telemetry),
        Telemetry.observe(Effect.interrupt, telemetry)
      )))
      expect(lines).toEqual([])
    }))
})

// -----------------------------------------------------------------------------
// interruption, secrets, options
// -----------------------------------------------------------------------------

describe("Telemetry: interruption", () => {
  it.effect("an interrupted call is counted as one, has no duration, and gives its permit back", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration },
        retry: twice,
        bulkhead: { concurrency: 1 },
        attemptTimeout: "1 minute"
      })
      const fiber = yield* Effect.fork(
        Pipeline.protect(Effect.never, pipeline, { about: { endpoint: "/a" } })
      )
      yield* TestClock.adjust("1 second")
      expect((yield* metricsOf(integration))["resilience.bulkhead.in_use{}"]).toBe(1)
      yield* Fiber.interrupt(fiber)
      expect(yield* metricsOf(integration)).toEqual({
        "resilience.call.outcomes{endpoint=/a,family=interrupted,operation=read,outcome=interrupted}":
          1,
        "resilience.attempt.outcomes{endpoint=/a,family=interrupted,operation=read,outcome=interrupted}":
          1
      })
    }))

  it.effect("a hedge that loses is an interrupted attempt of one call", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        hedge: { delay: "1 second" }
      })
      let calls = 0
      const call = Effect.suspend(() => Effect.sleep(++calls === 1 ? "1 hour" : "1 second"))
      yield* finish(Pipeline.protect(call, pipeline))
      const [figures] = yield* Telemetry.figures(telemetry)
      expect([figures?.calls.succeeded, figures?.attempts.succeeded, figures?.attempts.interrupted])
        .toEqual([1, 1, 1])
      expect(Hedge.defaults.hedges).toBe(1)
    }))

  it.effect("interrupting a call ends it at once, its spans too", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, telemetry, retry: twice })
      const { spans } = yield* observed(
        Effect.timeoutOption(Pipeline.protect(Effect.never, pipeline), 0).pipe(
          Effect.fork,
          Effect.tap(() => TestClock.adjust("1 millis")),
          Effect.flatMap(Fiber.join)
        )
      )
      expect(spans.map(({ exit }) => exit !== undefined && Exit.isInterrupted(exit))).toEqual([
        true,
        true
      ])
    }))
})

describe("Telemetry: secrets", () => {
  it.scoped("T1: nothing that was sent is in metrics, spans or logs", () =>
    Effect.gen(function*() {
      const integration = newName()
      const sentinels = ["SENTINEL-token", "SENTINEL-query", "SENTINEL-body", "SENTINEL-key"]
      const api = yield* FlakyApi.make({
        app: HttpServerResponse.empty(),
        script: () =>
          FlakyApi.status(503, { body: JSON.stringify({ error: `down for ${sentinels.join()}` }) })
      })
      const pipeline = yield* Pipeline.make({
        operation: Operation.keyed,
        telemetry: { integration, logs: "Trace" },
        retry: { retries: 1, backoff: Backoff.constant(0) },
        circuitBreaker: {},
        bulkhead: { concurrency: 1 }
      })
      const client = yield* ApiClient.make({
        name: "things",
        baseUrl: api.url,
        pipeline,
        secrets: sentinels.map((secret) => Redacted.make(secret)),
        circuitKey: "endpoint"
      })
      const key = yield* Effect.orDie(IdempotencyKey.fromString("SENTINEL-key"))
      const call = client.post("/v1/things?token=SENTINEL-query", {
        headers: { authorization: "Bearer SENTINEL-token" }
      }).pipe(
        IdempotencyKey.provide(key)
      )
      expect(leaks(yield* renderings(call), ...sentinels)).toEqual([])
      expect(leaks(Object.keys(yield* metricsOf(integration)), "SENTINEL")).toEqual([])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
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
      expect(error.message).toContain("[\"telemetry\"]")
      expect(error.message).toContain("integration should be a name, got \"\"")
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

// -----------------------------------------------------------------------------
// whatever happens
// -----------------------------------------------------------------------------

describe("Telemetry: whatever happens", () => {
  it.effect("T1: an error that is not ours ends a span with its name only", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, telemetry })
      const foreign = new Error("https://things.example/?token=SENTINEL", {
        cause: { body: "SENTINEL" }
      })
      const failures = [
        Effect.fail(foreign),
        Effect.die(foreign),
        Effect.zipRight(Effect.fail(foreign), Effect.void)
      ]
      const { lines, spans } = yield* observed(
        Effect.forEach(failures, (failure) => Effect.exit(Pipeline.protect(failure, pipeline)))
      )
      const ended = spans.map(({ exit }) => inspect(exit, { depth: null }))
      expect([
        spans.length,
        leaks([...ended, ...lines.map((line) => inspect(line, { depth: null }))], "SENTINEL")
      ])
        .toEqual([6, []])
    }))

  it.effect("T5: what a path names is no label, unless it is declared", () =>
    Effect.gen(function*() {
      const integration = newName()
      const api = yield* FlakyApi.make({ app: HttpServerResponse.empty() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration }
      })
      const client = yield* ApiClient.make({ name: "things", baseUrl: api.url, pipeline })
      const paths = [
        "jo@example.com",
        "+4917012345",
        "sk_live_abc9",
        "01HZX3Q7J5T8",
        "V1StGXR8_Z5jdHi6B-myT",
        "J%C3%BCrgen"
      ]
      yield* Effect.forEach(paths, (path) => client.get(`/v1/users/${path}`))
      yield* client.get("/v1/users/a.b").pipe(ApiClient.withEndpoint("/v1/users/{name}.json"))
      const telemetry = yield* Telemetry.make({ integration })
      expect(
        (yield* Telemetry.figures(telemetry)).map(({ calls, endpoint }) => [endpoint, calls.count])
      ).toEqual([
        ["/v1/users/:id", 6],
        ["/v1/users/{name}.json", 1]
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici)))

  it.effect("T6: who timed out in our own line was no attempt", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: false })
      const bulkhead = yield* Bulkhead.make({ concurrency: 1, queue: 5 })
      const holding = yield* Effect.fork(bulkhead.protect(Effect.never))
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        totalTimeout: "10 seconds",
        bulkhead
      })
      let ran = 0
      yield* finish(Effect.exit(Pipeline.protect(Effect.sync(() => ran++), pipeline)))
      yield* Fiber.interrupt(holding)
      const [figures] = yield* Telemetry.figures(telemetry)
      expect([ran, figures?.calls.rejected, figures?.attempts.count]).toEqual([0, 1, 0])
    }))

  it.effect("T6: an attempt that timed out after it stood in line took as long as its own limit", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: false })
      const bulkhead = yield* Bulkhead.make({ concurrency: 1, queue: 5 })
      yield* Effect.fork(bulkhead.protect(Effect.sleep("20 seconds")))
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        totalTimeout: "1 minute",
        attemptTimeout: "2 seconds",
        bulkhead
      })
      yield* Effect.yieldNow()
      yield* finish(Effect.exit(Pipeline.protect(Effect.never, pipeline)))
      const [figures] = yield* Telemetry.figures(telemetry)
      expect([
        seconds(figures?.attempts.p99 ?? Option.none()),
        seconds(figures?.calls.p99 ?? Option.none())
      ]).toEqual([
        2,
        22
      ])
    }))

  it.effect("a logger that throws and an error that throws change nothing", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const hostile = {
        get _tag(): string {
          throw new Error("hostile")
        }
      }
      const exits = yield* Effect.forEach(
        ["mine", hostile],
        (error) =>
          Effect.exit(
            Telemetry.observe(Telemetry.observeAttempt(Effect.fail(error), telemetry), telemetry)
          )
      ).pipe(
        Effect.provide(Logger.replace(
          Logger.defaultLogger,
          Logger.make(() => {
            throw new Error("hostile")
          })
        ))
      )
      const causes = exits.map((exit) => Exit.isFailure(exit) ? exit.cause : undefined)
      expect(causes.map((cause) => cause?._tag)).toEqual(["Fail", "Fail"])
    }))

  it.effect("T5: a guard that is looked at already is looked at once", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration, logs: false })
      const bulkhead = Telemetry.bulkhead(telemetry, yield* Bulkhead.make({ concurrency: 5 }))
      const budget = Telemetry.budget(
        telemetry,
        yield* RetryBudget.make({ capacity: 0, ratio: 0, reservePerSecond: 0 })
      )
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        retry: twice,
        budget,
        bulkhead
      })
      const holding = yield* Effect.fork(Pipeline.protect(Effect.never, pipeline))
      yield* Effect.exit(finish(Pipeline.protect(Effect.fail(down), pipeline)))
      const metrics = yield* metricsOf(integration)
      yield* Fiber.interrupt(holding)
      expect([metrics["resilience.bulkhead.in_use{}"], metrics["resilience.budget.refused{}"]])
        .toEqual([1, 1])
    }))

  it.effect("T4: the reason for stopping is that of the call, and a success has none", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const once = Retry.retry({
        operation: Operation.read,
        retries: 0,
        verdict: () => Verdict.transient()
      })
      const outer = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        retry: { ...twice, verdict: () => Verdict.transient() }
      })
      const alone = yield* Pipeline.make({ operation: Operation.read, telemetry })
      const mended = yield* finish(observed(Pipeline.protect(once(failsFirst(2, "busy")), outer)))
      const recovered = yield* observed(
        Pipeline.protect(
          Effect.zipRight(Effect.ignore(once(Effect.fail("inner"))), Effect.fail("own")),
          alone
        )
      )
      expect(Exit.isSuccess(mended.exit)).toBe(true)
      expect(
        recovered.lines.filter(({ level }) => level === "WARN").map(({ fields }) =>
          fields.stopReason
        )
      ).toEqual([
        undefined
      ])
      expect(mended.spans[0]?.attributes.has("resilience.retry.stop")).toBe(false)
    }))

  it.effect("T4: with hedges, log, span and metric count the same attempts", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        retry: { retries: 1, backoff: Backoff.constant("1 second") },
        hedge: { delay: "1 second" }
      })
      const { lines, spans } = yield* finish(
        observed(Pipeline.protect(Effect.zipRight(Effect.sleep("3 seconds"), down), pipeline))
      )
      const [figures] = yield* Telemetry.figures(telemetry)
      const [line] = lines.filter(({ level }) => level === "WARN")
      expect([
        line?.fields.attempts,
        line?.fields.retries,
        spans[0]?.attributes.get("resilience.attempts"),
        figures?.attempts.count
      ])
        .toEqual([4, 3, 4, 4])
    }))

  it.effect("T4: an error of a call inside of it does not say where the call went", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const inner = new ApiError.Server({
        message: "inner",
        status: 503,
        endpoint: "/inner",
        method: "PUT",
        attempts: 3
      })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, telemetry })
      const other = yield* Telemetry.make({ integration: newName() })
      const { lines } = yield* observed(
        Pipeline.protect(Telemetry.observeAttempt(Effect.fail(inner), other), pipeline, { about })
      )
      expect(lines.map(({ fields }) => [fields.endpoint, fields.method, fields.attempts])).toEqual([
        [about.endpoint, about.method, 1]
      ])
    }))

  it.effect("T5: names that look alike when they are joined are counted apart", () =>
    Effect.gen(function*() {
      const integration = newName()
      const breaker = yield* CircuitBreaker.make()
      yield* Telemetry.circuitBreaker(
        yield* Telemetry.make({ integration: `${integration} eu` }),
        breaker
      )
      yield* Telemetry.circuitBreaker(
        yield* Telemetry.make({ integration, environment: "eu" }),
        breaker
      )
      yield* breaker.protect(Effect.void)
      const counted = [yield* metricsOf(`${integration} eu`), yield* metricsOf(integration)].map(
        (metrics) => Object.keys(metrics).filter((name) => name.includes("circuit.calls")).length
      )
      expect(counted).toEqual([1, 1])
    }))

  it.effect("T6: without an environment, those of every environment are not among the figures", () =>
    Effect.gen(function*() {
      const integration = newName()
      const production = yield* Telemetry.make({ integration, environment: "production" })
      yield* Telemetry.observe(Effect.void, production)
      expect(yield* Telemetry.figures(yield* Telemetry.make({ integration }))).toEqual([])
    }))

  it.effect("T5: the cap is for endpoints, whatever is done with them, and shared by those who count together", () =>
    Effect.gen(function*() {
      const integration = newName()
      const [one, two] = [
        yield* Telemetry.make({ integration, maxEndpoints: 1 }),
        yield* Telemetry.make({ integration, maxEndpoints: 1 })
      ]
      for (const method of ["GET", "PUT", "DELETE"]) {
        yield* Telemetry.observe(Effect.void, one, { endpoint: "/a", method })
      }
      yield* Telemetry.observe(Effect.void, two, { endpoint: "/b", method: "GET" })
      expect((yield* Telemetry.figures(one)).map(({ endpoint, method }) => `${method} ${endpoint}`))
        .toEqual([
          "DELETE /a",
          "GET /a",
          "PUT /a",
          "undefined other"
        ])
    }))

  it.effect("T6: errors of the platform's client and of Effect.timeout are understood", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: HttpServerResponse.empty(),
        script: () => FlakyApi.unavailable()
      })
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const get = Effect.flatMap(
        HttpClient.HttpClient,
        (client) => HttpClient.filterStatusOk(client).get(api.url)
      )
      const answered = yield* observed(Effect.asVoid(Telemetry.observe(get, telemetry)))
      const late = yield* finish(
        observed(Telemetry.observe(Effect.timeout(Effect.never, "1 second"), telemetry))
      )
      const [figures] = yield* Telemetry.figures(telemetry)
      expect([figures?.calls.serverErrors, figures?.calls.unanswered]).toEqual([1, 1])
      expect([...answered.lines, ...late.lines].map(({ fields }) => fields.timedOut)).toEqual([
        false,
        true
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici)))

  it("T4: of a polling error, its tag and request id, and the fields of the failure behind it", () => {
    const error = new ApiError.Server({
      message: "down",
      status: 503,
      requestId: "req-1",
      endpoint: "/v1/jobs/:id",
      attempts: 3
    })
    const lastStatus = Option.none()
    const context = { integration: "jobs", tenantId: "acme" }
    const behind = Telemetry.fields(error, context)
    const submitFailed = new Polling.SubmitFailed({ error })
    const pollFailed = new Polling.PollFailed({ error, requestId: "job-7", lastStatus })
    expect(Telemetry.fields(submitFailed, context)).toEqual({
      ...behind,
      error: "SubmitFailed",
      reason: "Server"
    })
    expect(Telemetry.fields(pollFailed, context)).toEqual({
      ...behind,
      error: "PollFailed",
      requestId: "job-7",
      reason: "Server"
    })
  })

  it("T4: of a job that ran out of time, that it timed out", () => {
    const late = new Polling.PollingTimeout({
      requestId: "job-7",
      lastStatus: Option.none(),
      elapsed: Duration.seconds(3)
    })
    expect(Telemetry.fields(late)).toEqual({
      requestId: "job-7",
      timedOut: true,
      verdict: "Terminal",
      error: "PollingTimeout"
    })
  })

  it.effect("T4: a defect and a text have the same name in the log as on the metric", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const { lines } = yield* observed(
        Effect.forEach(
          [Effect.die("boom"), Effect.fail("text")],
          (call) => Effect.exit(Telemetry.observe(call, telemetry))
        )
      )
      expect(lines.map(({ fields }) => fields.error)).toEqual(["defect", "other"])
    }))

  it.effect("where nothing is traced, nothing is written on the span around it", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const { spans } = yield* observed(
        Effect.ignore(
          Effect.withTracerEnabled(Telemetry.observe(Effect.fail(down), telemetry), false)
        ).pipe(
          Effect.withSpan("outer")
        )
      )
      expect(spans.map(({ attributes, name }) => [name, attributes.size])).toEqual([["outer", 0]])
    }))

  it.effect("a clock that goes back makes no negative latency", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      yield* TestClock.setTime(100_000)
      const { lines } = yield* observed(
        Telemetry.observe(Effect.zipRight(TestClock.setTime(1000), Effect.fail(down)), telemetry)
      )
      expect(lines.map(({ fields }) => fields.latencyMillis)).toEqual([0])
    }))

  it.effect(
    "T5: the gauge of states is the number of circuits in each, after whatever happens to them",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.tuple(fc.constantFrom(...moves), fc.constantFrom("a", "b", "c")), {
              maxLength: 25
            }),
            (steps) =>
              Effect.runPromise(
                Effect.map(statesAfter(steps), ({ counted, real }) => {
                  expect(counted).toEqual(real)
                }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext))
              )
          ),
          { numRuns: 200 }
        )
      ),
    60_000
  )
})

const moves = [
  "succeed",
  "fail",
  "forceOpen",
  "forceClosed",
  "disable",
  "reset",
  "isolate",
  "import",
  "wait",
  "forget"
] as const

const statesAfter = (steps: ReadonlyArray<readonly [move: typeof moves[number], key: string]>) =>
  Effect.gen(function*() {
    const integration = newName()
    const telemetry = yield* Telemetry.make({ integration })
    const breaker = yield* CircuitBreaker.make({
      window: CircuitBreaker.count(2),
      minimumCalls: 2,
      openDuration: "10 seconds",
      idleTimeToLive: "1 minute",
      halfOpen: CircuitBreaker.consecutive(1)
    })
    const move: Readonly<
      Record<typeof moves[number], (key: string) => Effect.Effect<unknown, unknown, Scope.Scope>>
    > = {
      succeed: (key) => breaker.protect(Effect.void, { key }),
      fail: (key) => breaker.protect(Effect.fail(down), { key }),
      forceOpen: breaker.forceOpen,
      forceClosed: breaker.forceClosed,
      disable: breaker.disable,
      reset: breaker.reset,
      isolate: breaker.isolate,
      import: () => Effect.flatMap(breaker.exportState, breaker.importState),
      wait: () => TestClock.adjust("10 seconds"),
      forget: () => TestClock.adjust("2 minutes")
    }
    for (const [index, [name, key]] of steps.entries()) {
      // From somewhere in the middle on.
      if (index === 3) yield* Telemetry.circuitBreaker(telemetry, breaker)
      yield* Effect.exit(move[name](key))
    }
    yield* Telemetry.circuitBreaker(telemetry, breaker)
    // Looking at all circuits brings them up to the present.
    const exported = (yield* breaker.exportState) as {
      readonly circuits: ReadonlyArray<{ readonly key: string }>
    }
    const real: Record<string, number> = {}
    for (const { key } of exported.circuits) {
      const state = yield* breaker.state(key)
      real[state] = (real[state] ?? 0) + 1
    }
    const metrics = yield* metricsOf(integration)
    const counted = Object.fromEntries(
      Object.entries(metrics).flatMap(([name, value]) => {
        const state = /circuit\.state\{state=(\w+)\}/.exec(name)?.[1]
        return state === undefined ? [] : [[state, value]]
      })
    )
    return { counted, real }
  })
