import { Headers, HttpServerRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Supervisor from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import * as Http from "node:http"
import * as Net from "node:net"
import { eventually } from "../support/turns.js"
import { ask, created, createdBody, keys, outcome, serve } from "./flakyApi.js"

describe("scripts", () => {
  const arrival = (key: string | undefined, attempt: number, index = 0): FlakyApi.Arrival => ({
    index,
    attempt,
    method: "POST",
    path: "/v1/things",
    key: Option.map(Option.fromNullable(key), Redacted.make),
    headers: Headers.empty
  })
  const rows = Array.from({ length: 500 }, (_, row) => `row-${row}`)
  const firsts = (script: FlakyApi.Script) => rows.map((key) => script(arrival(key, 1)))
  const faults = [FlakyApi.reset(), FlakyApi.unavailable(), FlakyApi.truncated]

  it("a sequence gives one fault per request, then none", () => {
    const script = FlakyApi.sequence(new Set([FlakyApi.truncated, FlakyApi.malformed]))
    expect([0, 1, 2, 3].map((index) => script(arrival(undefined, 1, index))._tag)).toEqual([
      "Truncated",
      "Malformed",
      "None",
      "None"
    ])
  })

  it("the same seed gives the same faults, in any order; another seed gives others", () => {
    const options = { seed: "one", rate: 0.5, faults }
    expect(firsts(FlakyApi.seeded(options))).toEqual(firsts(FlakyApi.seeded(options)))
    const backwards = FlakyApi.seeded(options)
    expect(rows.toReversed().map((key) => backwards(arrival(key, 1, 7))).toReversed()).toEqual(
      firsts(FlakyApi.seeded(options))
    )
    expect(firsts(FlakyApi.seeded({ ...options, seed: "two" }))).not.toEqual(
      firsts(FlakyApi.seeded(options))
    )
  })

  it("the rate is the share of attempts that meet a fault, and every fault is as likely as the others", () => {
    const drawn = firsts(FlakyApi.seeded({ seed: 1, rate: 0.6, faults })).filter(({ _tag }) =>
      _tag !== "None"
    )
    expect(drawn.length / rows.length).toBeGreaterThan(0.52)
    expect(drawn.length / rows.length).toBeLessThan(0.68)
    for (const fault of faults) {
      expect(drawn.filter(({ _tag }) => _tag === fault._tag).length / drawn.length).toBeGreaterThan(
        0.25
      )
    }
    const none = FlakyApi.seeded({ seed: 1, rate: 0, faults })
    expect(firsts(none).every(({ _tag }) => _tag === "None")).toBe(true)
    const all = FlakyApi.seeded({ seed: 1, rate: 1, faults })
    expect(firsts(all).every(({ _tag }) => _tag !== "None")).toBe(true)
  })

  it("attempts of one call draw anew, and after maxPerKey faults it meets none", () => {
    for (const rate of [0.5, 1]) {
      const free = FlakyApi.seeded({ seed: 1, rate, faults })
      const bounded = FlakyApi.seeded({ seed: 1, rate, faults, maxPerKey: 2 })
      for (const key of rows.slice(0, 50)) {
        const attempts = Array.from({ length: 20 }, (_, index) => arrival(key, index + 1))
        const hits = attempts.filter((call) => free(call)._tag !== "None")
        expect(attempts.filter((call) => bounded(call)._tag !== "None")).toEqual(hits.slice(0, 2))
      }
    }
  })

  it.scopedLive("a script is asked with what arrived, and any function is one", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: created,
        script: (call) =>
          call.path === "/slow" && call.attempt < 3 ? FlakyApi.unavailable() : FlakyApi.none
      })
      const statuses = yield* Effect.forEach(
        ["/slow", "/quick", "/slow", "/slow"],
        (path) => Effect.map(ask(api, { path }), outcome)
      )
      expect(statuses).toEqual([503, 201, 503, 201])
    }))

  it.live("the same calls meet the same faults in every run, however they interleave", () => {
    const run = (concurrency: number) =>
      Effect.gen(function*() {
        const api = yield* FlakyApi.make({
          app: created,
          script: FlakyApi.seeded({ seed: "run", rate: 0.5, faults, maxPerKey: 3 })
        })
        const call = (key: string) =>
          Effect.repeat(ask(api, { key }), {
            until: (seen) => seen.status === 201 && seen.error === undefined
          })
        yield* Effect.forEach(rows.slice(0, 60), call, { concurrency })
        expect(new Set(keys(yield* api.executed)).size).toBe(60)
        expect(yield* api.executed).toHaveLength(60)
        const met = (yield* api.received).map(({ attempt, fault, key }) =>
          `${Option.getOrThrow(Option.map(key, Redacted.value))} ${attempt} ${fault._tag}`
        )
        return met.toSorted()
      }).pipe(Effect.scoped)
    return Effect.gen(function*() {
      expect(yield* run(12)).toEqual(yield* run(1))
    })
  })
})

describe("taking the server down", () => {
  it.scopedLive("stop refuses connections, start takes them on the same port, and both may be said twice", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* Effect.zipRight(api.stop, api.stop)
      expect(outcome(yield* ask(api))).toBe("ECONNREFUSED")
      yield* Effect.all([api.start, api.start], { concurrency: 2 })
      expect(outcome(yield* ask(api))).toBe(201)
      expect(yield* api.received).toHaveLength(1)
    }))

  it.scopedLive("stop closes idle connections and lets a request in progress finish", () =>
    Effect.gen(function*() {
      const agent = yield* keepAlive
      const started = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const api = yield* FlakyApi.make({
        app: Deferred.succeed(started, undefined).pipe(
          Effect.zipRight(Deferred.await(finish)),
          Effect.zipRight(created)
        )
      })
      const first = yield* Effect.fork(ask(api, { agent }))
      yield* Deferred.await(started)
      yield* api.stop
      yield* Deferred.succeed(finish, undefined)
      const seen = yield* Fiber.join(first)
      expect(seen).toMatchObject({ status: 201, body: createdBody })
      expect(seen.headers.connection).toBe("close")
      expect(outcome(yield* ask(api, { agent }))).toBe("ECONNREFUSED")
      yield* api.start
      expect(outcome(yield* ask(api, { agent }))).toBe(201)
      yield* api.stop
      expect(["ECONNREFUSED", "ECONNRESET"]).toContain(outcome(yield* ask(api, { agent })))
    }))

  it.scoped("down comes back by itself, and of two outages the longer counts", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* api.down("10 seconds")
      yield* api.down("5 seconds")
      yield* TestClock.adjust("5 seconds")
      expect(outcome(yield* ask(api))).toBe("ECONNREFUSED")
      yield* TestClock.adjust("5 seconds")
      expect(outcome(yield* eventually(ask(api), (seen) => seen.status === 201))).toBe(201)
      yield* api.down("5 seconds")
      yield* api.down("10 seconds")
      yield* TestClock.adjust("5 seconds")
      expect(outcome(yield* ask(api))).toBe("ECONNREFUSED")
      yield* api.start
      expect(outcome(yield* ask(api))).toBe(201)
    }))

  it.scoped("a server that was stopped stays down when an outage is over", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* api.down("5 seconds")
      yield* api.stop
      yield* TestClock.adjust("1 minute")
      expect(outcome(yield* ask(api))).toBe("ECONNREFUSED")
    }))
})

const keepAlive = Effect.acquireRelease(
  Effect.sync(() => new Http.Agent({ keepAlive: true, maxSockets: 1 })),
  (agent) => Effect.sync(() => agent.destroy())
)

describe("closing", () => {
  const close = (scope: Scope.CloseableScope) =>
    Effect.gen(function*() {
      const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
      expect(Duration.toMillis(elapsed)).toBeLessThan(500)
    })

  it.scopedLive("ends everything at once: idle connections, stalled bodies, delays, handlers, outages", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const agent = yield* keepAlive
      const interrupted = yield* Deferred.make<void>()
      const hangs = Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
      const faults: Record<string, FlakyApi.Fault> = {
        "/body": FlakyApi.slowBody("1 hour"),
        "/headers": FlakyApi.slowHeaders("1 hour")
      }
      const api = yield* FlakyApi.make({
        app: Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
          if (request.url === "/hangs") return hangs
          return request.url === "/upload" ? Effect.zipRight(request.text, created) : created
        }),
        script: (call) => faults[call.path] ?? FlakyApi.none
      }).pipe(Scope.extend(scope))
      expect(outcome(yield* ask(api, { path: "/idle", agent }))).toBe(201)
      const upload = Net.connect(api.port, "127.0.0.1").on("error", () => {})
      upload.write("POST /upload HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nhalf")
      const clients = yield* Effect.forEach(
        ["/body", "/headers", "/hangs"],
        (path) => Effect.fork(ask(api, { path }))
      )
      yield* eventually(api.received, (received) => received.length === 5)
      yield* eventually(api.executed, (executed) => executed.length === 3)
      yield* close(scope)
      yield* Deferred.await(interrupted)
      const seen = yield* Effect.forEach(clients, Fiber.join)
      expect(seen.map(({ error }) => error)).toEqual(["ECONNRESET", "ECONNRESET", "ECONNRESET"])
      expect(outcome(yield* ask(api))).toBe("ECONNREFUSED")
    }))

  it.scopedLive("a server that is down closes like one that is up, and does not come back", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const api = yield* Scope.extend(serve([]), scope)
      yield* api.down("20 millis")
      yield* close(scope)
      yield* Effect.sleep("30 millis")
      expect(outcome(yield* ask(api))).toBe("ECONNREFUSED")
    }))

  it.live("the port is free again, and can be asked for", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(Effect.map(serve([]), (api) => api.port))
      yield* Effect.scoped(Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: created, port })
        expect(api.url).toBe(`http://127.0.0.1:${port}`)
        expect(outcome(yield* ask(api))).toBe(201)
      }))
    }))

  it.live("a client that leaves during slow headers or a slow body leaves no fiber and no handle behind", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      const handles = () =>
        process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length
      const before = handles()
      yield* Effect.gen(function*() {
        const api = yield* Effect.supervised(
          serve([FlakyApi.slowHeaders("1 hour"), FlakyApi.slowBody("1 hour")]),
          supervisor
        )
        const listening = handles()
        const clients = yield* Effect.replicateEffect(Effect.fork(ask(api)), 2)
        yield* eventually(api.executed, (executed) => executed.length === 2)
        yield* eventually(supervisor.value, (fibers) => fibers.length >= 2)
        yield* Effect.forEach(clients, Fiber.interrupt)
        yield* eventually(supervisor.value, (fibers) => fibers.length === 0)
        yield* eventually(Effect.sync(handles), (count) => count <= listening)
      }).pipe(Effect.scoped)
      yield* eventually(Effect.sync(handles), (count) => count <= before)
    }))
})

describe("options are refused by name and value", () => {
  const refused: ReadonlyArray<readonly [string, () => unknown, string]> = [
    [
      "port",
      () => FlakyApi.make({ app: created, port: 65_536 }),
      "port should be at most 65535, got 65536"
    ],
    [
      "port",
      () => FlakyApi.make({ app: created, port: -1 }),
      "port should be a whole number of at least 0, got -1"
    ],
    [
      "idempotencyHeader",
      () => FlakyApi.make({ app: created, idempotencyHeader: "a b" }),
      "idempotencyHeader should be a header name, got \"a b\""
    ],
    [
      "status",
      () => FlakyApi.status(99),
      "status should be a whole number between 200 and 599, got 99"
    ],
    [
      "status",
      () => FlakyApi.htmlPage(NaN),
      "status should be a whole number between 200 and 599, got NaN"
    ],
    [
      "retryAfter",
      () => FlakyApi.rateLimited({ retryAfter: 1.5 }),
      "retryAfter should be a whole number of at least 0"
    ],
    ["retryAfter", () => FlakyApi.rateLimited({ retryAfter: new Date(NaN) }), "retryAfter"],
    ["retryAfter", () => FlakyApi.rateLimited({ retryAfter: { dateIn: -1 } }), "retryAfter.dateIn"],
    [
      "delay",
      () => FlakyApi.slowHeaders(NaN),
      "delay should be a duration that is not negative, got NaN"
    ],
    [
      "delay",
      () => FlakyApi.slowBody("-1 seconds"),
      "delay should be a duration that is not negative"
    ],
    ["refused", () => FlakyApi.refused(Infinity), "refused should be a finite duration"],
    [
      "rate",
      () => FlakyApi.seeded({ seed: 1, rate: 1.5, faults: [FlakyApi.none] }),
      "rate should be a number between 0 and 1, got 1.5"
    ],
    [
      "rate",
      () => FlakyApi.seeded({ seed: 1, rate: NaN, faults: [FlakyApi.none] }),
      "rate should be a number between 0 and 1, got NaN"
    ],
    ["seed", () => FlakyApi.seeded({ seed: NaN, rate: 1, faults: [FlakyApi.none] }), "seed"],
    [
      "faults",
      () => FlakyApi.seeded({ seed: 1, rate: 1, faults: [] }),
      "faults should be a list of at least one, got []"
    ],
    [
      "maxPerKey",
      () => FlakyApi.seeded({ seed: 1, rate: 1, faults: [FlakyApi.none], maxPerKey: -1 }),
      "maxPerKey"
    ]
  ]
  for (const [field, build, message] of refused) {
    it(`${field}: ${message}`, () => {
      expect(build).toThrow(RangeError)
      expect(build).toThrow(message)
    })
  }

  it.scopedLive("down", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      expect(() => api.down(-1)).toThrow("down should be a duration that is not negative, got -1")
    }))
})
