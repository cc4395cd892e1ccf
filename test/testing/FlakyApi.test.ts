import {
  Headers,
  type HttpApp,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Supervisor from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import * as Http from "node:http"
import * as Net from "node:net"
import * as HttpDate from "../../src/core/httpDate.js"
import { eventually } from "../support/turns.js"

interface Ask {
  readonly method?: string
  readonly path?: string
  readonly key?: string
  readonly body?: string
  readonly agent?: Http.Agent
}

interface Seen {
  readonly status: number | undefined
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  /**
   * The code of the error that ended the exchange: before the headers when there is no status, else
   * in the body.
   */
  readonly error: string | undefined
}

/**
 * One request with nothing between the test and the wire: no retries, no pool unless an agent is
 * given.
 */
const ask = (api: Pick<FlakyApi.FlakyApi, "url">, options: Ask = {}): Effect.Effect<Seen> =>
  Effect.async((resume) => {
    const chunks: Array<string> = []
    let response: Http.IncomingMessage | undefined
    const done = (error?: NodeJS.ErrnoException) =>
      resume(Effect.succeed({
        status: response?.statusCode,
        headers: response?.headers ?? {},
        body: chunks.join(""),
        error: error?.code
      }))
    const request = Http.request(`${api.url}${options.path ?? "/v1/things"}`, {
      method: options.method ?? "POST",
      agent: options.agent ?? false,
      headers: options.key === undefined ? {} : { "Idempotency-Key": options.key }
    })
    request.on("error", done)
    request.on("response", (message) => {
      response = message
      message.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk)).on(
        "error",
        done
      ).on("end", done)
    })
    request.end(options.body)
    return Effect.sync(() => request.destroy())
  })

/** What became of an exchange, in a word. */
const outcome = (seen: Seen) => seen.error ?? seen.status

const created = HttpServerResponse.json({ id: 1, name: "thing" }, { status: 201 })
const createdBody = "{\"id\":1,\"name\":\"thing\"}"

const serve = (script: ReadonlyArray<FlakyApi.Fault>) =>
  FlakyApi.make({ app: created, script: FlakyApi.sequence(script) })

const keys = (entries: ReadonlyArray<Pick<FlakyApi.Arrival, "key">>) =>
  entries.map(({ key }) => Option.getOrUndefined(Option.map(key, Redacted.value)))

describe("a good day", () => {
  it.scopedLive("the app answers, and the server keeps count", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      const seen = yield* ask(api, { path: "/v1/things?secret=1", key: "row-1" })
      expect(seen).toMatchObject({ status: 201, body: createdBody, error: undefined })
      expect(seen.headers["content-type"]).toBe("application/json")
      expect(yield* api.received).toMatchObject([
        { index: 0, attempt: 1, method: "POST", path: "/v1/things", fault: FlakyApi.none }
      ])
      expect(yield* api.executed).toMatchObject([{
        method: "POST",
        path: "/v1/things",
        status: 201
      }])
      expect(keys(yield* api.received)).toEqual(["row-1"])
      expect(keys(yield* api.executed)).toEqual(["row-1"])
    }))

  it.scopedLive("keys appear in no rendering of the records", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* ask(api, { key: "a-secret-key" })
      expect(JSON.stringify([yield* api.received, yield* api.executed])).not.toContain(
        "a-secret-key"
      )
    }))

  it.scopedLive("a router, its services and its scope are an app like any other", () => {
    class Greeting extends Context.Tag("Greeting")<Greeting, string>() {}
    const closed: Array<string> = []
    const app = HttpRouter.empty.pipe(
      HttpRouter.get(
        "/greeting",
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.sync(() => closed.push("closed")))
          return HttpServerResponse.stream(
            Stream.make("Hello", yield* Greeting).pipe(Stream.encodeText),
            {
              contentType: "text/plain"
            }
          )
        })
      )
    )
    return Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app })
      expect(yield* ask(api, { method: "GET", path: "/greeting" })).toMatchObject({
        status: 200,
        body: "Hello world"
      })
      expect(closed).toEqual(["closed"])
      expect(yield* ask(api, { method: "GET", path: "/elsewhere" })).toMatchObject({ status: 404 })
    }).pipe(Effect.provideService(Greeting, " world"))
  })

  it.scopedLive("a handler that fails or dies is a 500, and the server goes on", () =>
    Effect.gen(function*() {
      const exits: Array<HttpApp.Default<unknown>> = [
        Effect.fail("no"),
        Effect.die("never"),
        created
      ]
      const api = yield* FlakyApi.make({ app: Effect.suspend(() => exits.shift() ?? created) })
      expect([outcome(yield* ask(api)), outcome(yield* ask(api)), outcome(yield* ask(api))])
        .toEqual([500, 500, 201])
      expect((yield* api.executed).map(({ status }) => status)).toEqual([500, 500, 201])
    }))

  it.scopedLive("the handler reads the request", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          Effect.map(request.text, (text) => HttpServerResponse.text(text.toUpperCase())))
      })
      expect(yield* ask(api, { body: "hello" })).toMatchObject({ status: 200, body: "HELLO" })
    }))
})

describe("faults on the wire", () => {
  const statuses: ReadonlyArray<readonly [string, FlakyApi.Fault, number]> = [
    ["rateLimited", FlakyApi.rateLimited(), 429],
    ["serverError", FlakyApi.serverError(), 500],
    ["badGateway", FlakyApi.badGateway(), 502],
    ["unavailable", FlakyApi.unavailable(), 503],
    ["gatewayTimeout", FlakyApi.gatewayTimeout(), 504],
    ["status", FlakyApi.status(418), 418]
  ]
  for (const [name, fault, status] of statuses) {
    it.scopedLive(`${name} is a ${status} problem document, and nothing was executed`, () =>
      Effect.gen(function*() {
        const api = yield* serve([fault])
        const seen = yield* ask(api)
        expect(seen.status).toBe(status)
        expect(seen.headers["content-type"]).toBe("application/problem+json")
        expect(seen.headers["retry-after"]).toBe(undefined)
        expect(JSON.parse(seen.body)).toMatchObject({ status })
        expect(yield* api.executed).toEqual([])
      }))
  }

  it.scopedLive("a status after the execution hides that the call was executed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.gatewayTimeout({ when: "after" })])
      expect(outcome(yield* ask(api, { key: "row-1" }))).toBe(504)
      expect(yield* api.executed).toMatchObject([{ status: 201 }])
      expect(yield* ask(api, { key: "row-1" })).toMatchObject({ status: 201, body: createdBody })
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scoped("E10: Retry-After is digits, an HTTP-date, or an HTTP-date that far from the Clock's now", () =>
    Effect.gen(function*() {
      const api = yield* serve([
        FlakyApi.rateLimited({ retryAfter: 7 }),
        FlakyApi.unavailable({ retryAfter: new Date(784_111_777_000) }),
        FlakyApi.unavailable({ retryAfter: { dateIn: "1500 millis" } }),
        FlakyApi.rateLimited({ retryAfter: 7, headers: { "Retry-After": "-5" } })
      ])
      yield* TestClock.setTime(1_000_000)
      const values = [yield* ask(api), yield* ask(api), yield* ask(api), yield* ask(api)].map((
        { headers }
      ) => headers)
      expect(values.map((headers) => headers["retry-after"])).toEqual([
        "7",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Thu, 01 Jan 1970 00:16:42 GMT",
        "-5"
      ])
      expect(HttpDate.parse(values[1]?.["retry-after"] ?? "", 0)).toBe(784_111_777_000)
      // 1000 s and 1.5 s, rounded up: never sooner than it was meant.
      expect(HttpDate.parse(values[2]?.["retry-after"] ?? "", 0)).toBe(1_002_000)
      expect(HttpDate.parse(values[2]?.date ?? "", 0)).toBe(1_000_000)
    }))

  it.scopedLive("a body and headers of one's own", () =>
    Effect.gen(function*() {
      const api = yield* serve([
        FlakyApi.status(400, {
          body: "<no>",
          headers: { "Content-Type": "text/xml", "x-request-id": "r1" }
        })
      ])
      const seen = yield* ask(api)
      expect(seen).toMatchObject({ status: 400, body: "<no>" })
      expect(seen.headers).toMatchObject({ "content-type": "text/xml", "x-request-id": "r1" })
    }))

  it.scopedLive("htmlPage is HTML where JSON was expected", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.htmlPage(), FlakyApi.htmlPage(503, { retryAfter: 1 })])
      const first = yield* ask(api)
      expect(first).toMatchObject({ status: 502, body: expect.stringMatching(/^<!DOCTYPE html>/) })
      expect(first.headers["content-type"]).toBe("text/html; charset=utf-8")
      const second = yield* ask(api)
      expect([second.status, second.headers["retry-after"]]).toEqual([503, "1"])
    }))

  it.scopedLive("reset before: ECONNRESET, not executed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.reset()])
      expect(yield* ask(api)).toMatchObject({ status: undefined, error: "ECONNRESET" })
      expect(yield* api.executed).toEqual([])
      expect(yield* ask(api)).toMatchObject({ status: 201 })
    }))

  it.scopedLive("reset after: ECONNRESET, executed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.reset({ when: "after" })])
      expect(yield* ask(api, { key: "row-1" })).toMatchObject({
        status: undefined,
        error: "ECONNRESET"
      })
      expect(yield* api.executed).toHaveLength(1)
      expect((yield* ask(api, { key: "row-1" })).headers["idempotent-replayed"]).toBe("true")
    }))

  it.scopedLive("reset afterHeaders: status and half of the body, then ECONNRESET", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.reset({ when: "afterHeaders" })])
      const seen = yield* ask(api, { key: "row-1" })
      expect(seen).toMatchObject({
        status: 201,
        error: "ECONNRESET",
        body: createdBody.slice(0, 12)
      })
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("a reset is an RST and no orderly end", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.reset(), FlakyApi.reset({ when: "after" })])
      const events = Effect.async<ReadonlyArray<string>>((resume) => {
        const seen: Array<string> = []
        const socket = Net.connect(api.port, "127.0.0.1")
        socket.on("data", () => seen.push("data")).on("end", () => seen.push("end"))
        socket.on("error", (error: NodeJS.ErrnoException) => seen.push(String(error.code)))
        socket.on("close", () => resume(Effect.succeed(seen)))
        socket.write("GET / HTTP/1.1\r\nHost: here\r\n\r\n")
      })
      expect(yield* events).toEqual(["ECONNRESET"])
      expect(yield* events).toEqual(["ECONNRESET"])
    }))

  it.scopedLive("truncated: the connection ends before the body is as long as promised", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.truncated])
      const seen = yield* ask(api, { key: "row-1" })
      expect(seen).toMatchObject({ status: 201, error: "ECONNRESET" })
      expect(Number(seen.headers["content-length"])).toBeGreaterThan(seen.body.length)
      expect(createdBody.startsWith(seen.body)).toBe(true)
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("an answer without a body can be truncated too", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: Effect.succeed(HttpServerResponse.empty({ status: 200 })),
        script: FlakyApi.sequence([FlakyApi.truncated, FlakyApi.reset({ when: "afterHeaders" })])
      })
      expect(yield* ask(api)).toMatchObject({ status: 200, error: "ECONNRESET" })
      expect(yield* ask(api)).toMatchObject({ status: 200, error: "ECONNRESET" })
    }))

  it.scopedLive("malformed: complete, of the right status, and no JSON", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.malformed])
      const seen = yield* ask(api, { key: "row-1" })
      expect(seen).toMatchObject({ status: 201, error: undefined })
      expect(seen.headers["content-type"]).toBe("application/json")
      expect(() => JSON.parse(seen.body) as unknown).toThrow(SyntaxError)
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scoped("slowHeaders: executed at once, answered when the delay has passed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.slowHeaders("1 hour")])
      const fiber = yield* Effect.fork(ask(api))
      yield* eventually(TestClock.sleeps(), (sleeps) => Chunk.isNonEmpty(sleeps))
      expect(yield* api.executed).toHaveLength(1)
      expect(yield* Fiber.poll(fiber)).toEqual(Option.none())
      yield* TestClock.adjust("1 hour")
      expect(yield* Fiber.join(fiber)).toMatchObject({ status: 201, body: createdBody })
    }))

  it.scoped("slowBody: the headers and half of the body at once, the rest when the delay has passed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.slowBody("1 hour")])
      const response = yield* Effect.promise(() =>
        fetch(`${api.url}/v1/things`, { method: "POST" })
      )
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      const read = Effect.promise(async () => (await reader?.read())?.value)
      expect(yield* read).toBe(createdBody.slice(0, 12))
      yield* eventually(TestClock.sleeps(), (sleeps) => Chunk.isNonEmpty(sleeps))
      yield* TestClock.adjust("1 hour")
      expect(yield* read).toBe(createdBody.slice(12))
      expect(yield* read).toBe(undefined)
    }))

  it.scopedLive("refused: this connection is reset, the next are refused, and then all is well", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.refused("50 millis")])
      expect(outcome(yield* ask(api))).toBe("ECONNRESET")
      expect(outcome(yield* ask(api))).toBe("ECONNREFUSED")
      expect(outcome(yield* eventually(ask(api), (seen) => seen.status !== undefined))).toBe(201)
      expect((yield* api.received).map(({ fault }) => fault._tag).slice(0, 2)).toEqual([
        "Refused",
        "None"
      ])
    }))
})

describe("idempotency keys", () => {
  const counting = (respond: (run: number) => HttpServerResponse.HttpServerResponse) => {
    let runs = 0
    return Effect.sync(() => respond(++runs))
  }

  it.scopedLive("I41: a known key is answered with the same status and bytes, and without cookies", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: counting((run) =>
          HttpServerResponse.text(`run ${run}`, {
            status: 202,
            headers: {
              location: "/v1/things/1",
              "x-run": String(run),
              "content-type": "text/plain; charset=latin1"
            }
          }).pipe(HttpServerResponse.unsafeSetCookie("session", "s1"))
        )
      })
      const first = yield* ask(api, { key: "row-1" })
      expect(first.headers).toMatchObject({ "set-cookie": ["session=s1"], "x-run": "1" })
      expect(first.headers["idempotent-replayed"]).toBe(undefined)
      const second = yield* ask(api, { key: "row-1" })
      expect([second.status, second.body]).toEqual([first.status, first.body])
      expect(second.headers).toMatchObject({
        "content-type": first.headers["content-type"],
        location: "/v1/things/1",
        "idempotent-replayed": "true"
      })
      expect(second.headers["set-cookie"]).toBe(undefined)
      expect(second.headers["x-run"]).toBe(undefined)
      expect(yield* api.executed).toHaveLength(1)
      expect((yield* api.received).map(({ attempt }) => attempt)).toEqual([1, 2])
    }))

  it.scopedLive("an answer without a body is replayed without one", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app: Effect.succeed(HttpServerResponse.empty()) })
      yield* ask(api, { key: "row-1" })
      const second = yield* ask(api, { key: "row-1" })
      expect(second).toMatchObject({ status: 204, body: "", error: undefined })
      expect(second.headers["idempotent-replayed"]).toBe("true")
    }))

  it.scopedLive("I2: bare and quoted are the same key", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* ask(api, { key: "row-1" })
      expect((yield* ask(api, { key: "\"row-1\"" })).headers["idempotent-replayed"]).toBe("true")
      expect(keys(yield* api.received)).toEqual(["row-1", "row-1"])
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("another method, path or key is another call, and without a key every request is one", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* ask(api, { key: "row-1" })
      yield* ask(api, { key: "row-1", method: "PATCH" })
      yield* ask(api, { key: "row-1", path: "/v1/others" })
      yield* ask(api, { key: "row-2" })
      yield* ask(api)
      yield* ask(api)
      expect(yield* api.executed).toHaveLength(6)
      expect((yield* api.received).map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1, 1, 2])
    }))

  it.scopedLive("I40: a key that is not valid is a 400, and not executed", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      const seen = yield* ask(api, { key: "x".repeat(256) })
      expect(seen.status).toBe(400)
      expect(seen.headers["content-type"]).toBe("application/problem+json")
      expect(JSON.parse(seen.body)).toMatchObject({
        type: "urn:effect-resilience:idempotency:key-invalid"
      })
      expect(yield* api.executed).toEqual([])
      expect(keys(yield* api.received)).toEqual([undefined])
    }))

  it.scopedLive("a validation answer and a 500 are executed again; only a 2xx is recorded", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: counting((run) =>
          HttpServerResponse.empty({ status: [422, 500, 200][run - 1] ?? 200 })
        )
      })
      const statuses = yield* Effect.replicateEffect(
        Effect.map(ask(api, { key: "row-1" }), outcome),
        4
      )
      expect(statuses).toEqual([422, 500, 200, 200])
      expect((yield* api.executed).map(({ status }) => status)).toEqual([422, 500, 200])
    }))

  it.scopedLive("I40: while the first is running the second is a 409 that says so", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const api = yield* FlakyApi.make({
        app: Deferred.succeed(started, undefined).pipe(
          Effect.zipRight(Deferred.await(finish)),
          Effect.zipRight(created)
        )
      })
      const first = yield* Effect.fork(ask(api, { key: "row-1" }))
      yield* Deferred.await(started)
      const second = yield* ask(api, { key: "row-1" })
      expect(second.status).toBe(409)
      expect(second.headers).toMatchObject({
        "retry-after": "1",
        "content-type": "application/problem+json"
      })
      expect(JSON.parse(second.body)).toMatchObject({
        type: "urn:effect-resilience:idempotency:in-flight",
        status: 409
      })
      yield* Deferred.succeed(finish, undefined)
      expect(outcome(yield* Fiber.join(first))).toBe(201)
      expect((yield* ask(api, { key: "row-1" })).headers["idempotent-replayed"]).toBe("true")
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("a client that goes away does not stop the handler, and finds its answer when it comes back", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const handler = Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Deferred.await(finish)),
        Effect.zipRight(created)
      )
      const api = yield* FlakyApi.make({
        app: HttpRouter.empty.pipe(HttpRouter.post("/v1/things", handler))
      })
      const first = yield* Effect.fork(ask(api, { key: "row-1" }))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(first)
      expect(outcome(yield* ask(api, { key: "row-1" }))).toBe(409)
      yield* Deferred.succeed(finish, undefined)
      yield* eventually(api.executed, (executed) => executed.length > 0)
      expect(yield* ask(api, { key: "row-1" })).toMatchObject({ status: 201, body: createdBody })
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("the header may have another name", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app: created, idempotencyHeader: "X-Request-Key" })
      const post = Effect.promise(() =>
        fetch(api.url, { method: "POST", headers: { "x-request-key": "row-1" } })
      )
      yield* post
      expect((yield* post).headers.get("idempotent-replayed")).toBe("true")
      const [first] = yield* api.received
      expect(first?.headers).not.toHaveProperty("x-request-key")
      expect(first?.headers).toHaveProperty("host")
    }))
})

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
