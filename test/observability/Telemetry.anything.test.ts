import { HttpClient, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Logger,
  Option,
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
  Operation,
  Pipeline,
  Retry,
  RetryBudget,
  Verdict
} from "effect-resilience"
import * as Telemetry from "effect-resilience/Telemetry"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import { down } from "../support/errors.js"
import { leaks } from "../support/renderings.js"
import { runs } from "../support/runs.js"
import { metricsOf, observed } from "../support/telemetry.js"
import { about, failsFirst, finish, newName, seconds, twice } from "./telemetry.js"

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
          { numRuns: runs(200) }
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
