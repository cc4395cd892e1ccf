import { HttpClient, HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Random, Redacted, Stream, TestClock } from "effect"
import {
  ApiClient,
  ApiError,
  CircuitBreaker,
  IdempotencyKey,
  Operation,
  Pipeline
} from "effect-resilience"
import { leaks, renderings } from "../support/renderings.js"
import { recorder } from "../support/spans.js"
import { settle, turn } from "../support/turns.js"
import { keyOf } from "./apiClient.js"
import { collected, dataOf, event, get, sse } from "./events.js"
import { baseUrl, over, type Reply, reply, transport } from "./support.js"

/** A body that comes in pieces and then ends, or breaks off. */
const body = (pieces: ReadonlyArray<string>, end: "whole" | "broken" | "silent"): Reply => () => {
  const left = [...pieces]
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const piece = left.shift()
      if (piece !== undefined) return controller.enqueue(new TextEncoder().encode(piece))
      if (end === "whole") return controller.close()
      if (end === "broken") return controller.error(new Error("reset"))
      return new Promise<void>(() => {})
    }
  }, { highWaterMark: 0 })
  return new Response(stream, { headers: { "content-type": sse } })
}

const whole = (...pieces: ReadonlyArray<string>) => body(pieces, "whole")
const broken = (...pieces: ReadonlyArray<string>) => body(pieces, "broken")
const silent = (...pieces: ReadonlyArray<string>) => body(pieces, "silent")

/** Runs an effect in virtual time to its end. */
const inTime = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    while ((yield* Fiber.poll(fiber))._tag === "None") {
      for (let n = 0; n < 20; n++) yield* Effect.zipRight(settle, turn)
      const next = Math.min(...(yield* TestClock.sleeps()))
      if (next < Infinity) yield* TestClock.setTime(next)
    }
    return yield* Fiber.join(fiber)
  })

/** What a stream over replies in memory gives, and when which requests were made. */
const run = (
  replies: ReadonlyArray<Reply>,
  options: ApiClient.EventsOptions = {},
  request = get
) =>
  Effect.gen(function*() {
    const at: Array<number> = []
    const timed = replies.map((next): Reply => (request) => {
      at.push(Effect.runSync(clock.currentTimeMillis))
      return next(request)
    })
    const clock = yield* Effect.clock
    const { client, sent } = yield* over(timed, { pipeline: undefined })
    const { error, items } = yield* inTime(
      collected(ApiClient.events(client, request, options))
    )
    return {
      items,
      data: dataOf(items),
      error,
      sent,
      ids: sent.map(({ headers }) => headers["last-event-id"]),
      waits: at.slice(1).map((time, n) => time - (at[n] ?? 0))
    }
  })

/** Draws that are always this one. */
const drawing = (unit: number) =>
  Effect.withRandom({ ...Random.make("seed"), next: Effect.succeed(unit) } as Random.Random)

describe("events: how long a resumption waits", () => {
  it.effect("3 s and up to a half more; doubled in a row; as before after a new event", () =>
    Effect.gen(function*() {
      const replies = [
        broken(event(1)),
        broken(),
        broken(),
        broken(event(2)),
        broken(),
        whole(event(3))
      ]
      const least = yield* drawing(0)(run(replies))
      expect([least.data, least.waits]).toEqual(["e1 e2 e3", [3000, 6000, 12_000, 3000, 6000]])
      const most = yield* drawing(0.999)(run(replies))
      expect(most.waits.map((wait) => Math.round(wait / 10))).toEqual([450, 900, 1799, 450, 900])
    }))

  it.effect("the server's `retry` is the least wait, also without an event, up to the cap", () =>
    Effect.gen(function*() {
      const replies = [
        broken("retry: 5000\n\n", event(1)),
        broken(event(2)),
        broken("retry: 99999999\n\n", event(3)),
        broken("retry: 0\n\n", event(4)),
        whole(event(5))
      ]
      const { data, waits } = yield* drawing(0)(run(replies))
      expect([data, waits]).toEqual(["e1 e2 e3 e4 e5", [5000, 5000, 30_000, 0]])
    }))

  it.effect("`Retry-After` is a floor, and the errors of a resumption count as one in a row", () =>
    Effect.gen(function*() {
      const later = reply(503, undefined, { "retry-after": "20" })
      const { data, ids, waits } = yield* drawing(0)(
        run([broken(event(1)), later, reply(502), whole(event(2))])
      )
      expect([data, waits, ids]).toEqual([
        "e1 e2",
        [3000, 20_000, 12_000],
        [undefined, "1", "1", "1"]
      ])
    }))

  it.effect("a wait that would not end within the total is not begun", () =>
    Effect.gen(function*() {
      const { error, sent } = yield* run([broken(event(1))], { totalTimeout: "2 seconds" })
      expect(error).toMatchObject({
        code: "unreadable_response",
        message: "The API answered 200, but its body could not be read: it broke off " +
          "(GET /v1/feed, after 1 event, not resumed: the wait would not end within the total)"
      })
      expect(sent.length).toBe(1)
    }))
})

describe("events: when there is no resumption", () => {
  const options = [
    ["events without ids", {}, get, "its events have no id", "data: a\n\n"],
    ["an id that was taken back", {}, get, "its events have no id", event(1) + "id\ndata: a\n\n"],
    ["the options", { resume: false }, get, "the options say so", event(1)],
    ["no resumptions", { maxResumptions: 0 }, get, "the options say so", event(1)],
    ["an id that no header holds", {}, get, "cannot be sent", "id: \u0001\ndata: a\n\n"],
    ["POST", {}, HttpClientRequest.post("/v1/chat"), "may not be repeated", event(1)]
  ] as const

  for (const [name, given, request, reason, pieces] of options) {
    it.effect(`${name}: the break is the error, which may have run`, () =>
      Effect.gen(function*() {
        const { error, sent } = yield* run([broken(pieces), whole(event(9))], given, request)
        expect(error).toMatchObject({ _tag: "Server", status: 200, code: "unreadable_response" })
        expect(error?.message).toContain(reason)
        expect([ApiError.mayHaveRun(error), sent.length]).toEqual([true, 1])
      }))
  }

  it.effect("three in a row without a new event, then the break is the error", () =>
    Effect.gen(function*() {
      const { data, error, sent } = yield* run([broken(event(1)), broken(), broken(event(1))])
      expect([data, sent.length, error?.message]).toEqual([
        "e1",
        4,
        "The API answered 200, but its body could not be read: it broke off (GET /v1/feed, after 1 event, " +
        "not resumed: it had gone on as often as it may without a new one)"
      ])
    }))

  it.effect("an error of a resumption that is final ends the stream, and the call may have run", () =>
    Effect.gen(function*() {
      const { error, sent } = yield* run([broken(event(1)), reply(401), whole(event(2))])
      expect(error).toMatchObject({ _tag: "Auth", status: 401, mayHaveRun: true })
      expect([ApiError.mayHaveRun(error), sent.length]).toEqual([true, 2])
    }))

  it.effect("E23: a body that can be read once is not sent twice, also with `resume`", () =>
    Effect.gen(function*() {
      const once = HttpClientRequest.bodyStream(
        HttpClientRequest.post("/v1/chat"),
        Stream.encodeText(Stream.make("question"))
      )
      const read: Reply = (request) => {
        if (request.body._tag === "Stream") Effect.runFork(Stream.runDrain(request.body.stream))
        return broken(event(1))(request)
      }
      const { data, error, sent } = yield* run([read, whole(event(2))], { resume: true }, once)
      expect([data, sent.length]).toEqual(["e1", 1])
      expect(error).toMatchObject({ _tag: "Validation", code: "body_consumed", mayHaveRun: true })
    }))

  it.effect("a POST that the caller declares idempotent, or with `resume`, is sent again", () =>
    Effect.gen(function*() {
      const post = HttpClientRequest.post("/v1/chat")
      const replies = [broken(event(1)), whole(event(2))]
      const said = yield* run(replies, { resume: true }, post).pipe(
        IdempotencyKey.provide(keyOf("row-1"))
      )
      expect([said.data, said.ids]).toEqual(["e1 e2", [undefined, "1"]])
      expect(said.sent.map(({ headers }) => headers["idempotency-key"])).toEqual(["row-1", "row-1"])
      const declared = yield* ApiClient.withOperation(Operation.idempotent)(run(replies, {}, post))
      expect(declared.data).toBe("e1 e2")
    }))
})

describe("events: nothing twice", () => {
  const cases = [
    ["it begins with the last one", [event(2), event(3)], "e1 e2 e3"],
    ["it begins with the first of all", [event(1), event(2), event(3)], "e1 e2 e3"],
    ["one id has several events", ["id: 2\ndata: more\n\n"], "e1 e2 more"],
    ["its ids begin again", [event(1, "other"), event(2, "others")], "e1 e2 other others"],
    ["the same comes later", [event(3), event(1)], "e1 e2 e3 e1"]
  ] as const
  for (const [name, pieces, data] of cases) {
    it.effect(`of a server that goes on: ${name}`, () =>
      Effect.gen(function*() {
        const result = yield* run([broken(event(1) + event(2)), whole(...pieces)])
        expect([result.data, result.error]).toEqual([data, undefined])
      }))
  }

  it.effect("events without an id: repeated with the one before them, they are left out", () =>
    Effect.gen(function*() {
      const tail = "data: x\n\ndata: x\n\n"
      const again = yield* run([broken(event(1) + tail), whole(event(1) + tail + "data: x\n\n")])
      expect(again.data).toBe("e1 x x x")
      // The server went on after the id: nothing tells its events from new ones.
      const after = yield* run([broken(event(1) + "data: x\n\n"), whole("data: x\n\n")])
      expect(after.data).toBe("e1 x x")
    }))

  it.effect("the id of an event whose end did not come is not used; ids are sent as UTF-8", () =>
    Effect.gen(function*() {
      const { data, ids, items } = yield* run([
        broken("id: \u00fc\u20ac\ndata: a\n\nid: 9\ndata: b\n"),
        whole("data: c\n\n")
      ])
      expect([data, ids]).toEqual(["a c", [undefined, "\u00c3\u00bc\u00e2\u0082\u00ac"]])
      expect(items[1]).toEqual({ id: "\u00fc\u20ac", event: "message", data: "c" })
    }))

  it.effect("a header of the caller is used until the stream has an id of its own", () =>
    Effect.gen(function*() {
      const from = HttpClientRequest.setHeader(get, "Last-Event-ID", "40")
      const { ids } = yield* run([broken(event(41)), whole(event(42))], {}, from)
      expect(ids).toEqual(["40", "41"])
    }))
})

describe("events: the beginning", () => {
  it.effect("start: head waits for no event, and a break before any is resumed without an id", () =>
    Effect.gen(function*() {
      const { data, ids } = yield* run([broken(), broken(), whole("data: a\n\n")], {
        start: "head"
      })
      expect([data, ids]).toEqual(["a", [undefined, undefined, undefined]])
      const first = yield* run([broken(), whole("data: a\n\n")])
      expect([first.error, first.sent.length]).toMatchObject([{ code: "unreadable_response" }, 1])
    }))

  it.effect("`until`: a body that ends before its last event has broken off", () =>
    Effect.gen(function*() {
      const options = { until: ({ event }: ApiClient.Event) => event === "done" }
      const done = "event: done\ndata: z\n\n"
      const { data } = yield* run([whole(event(1)), whole(event(2), done, event(3))], options)
      expect(data).toBe("e1 e2 z")
      const { error } = yield* run([whole("data: a\n\n")], options)
      expect(error?.message).toBe(
        "The API answered 200, but its body could not be read: it ended before its last event " +
          "(GET /v1/feed, after 1 event, not resumed: its events have no id)"
      )
      const empty = yield* run([whole()], options)
      expect(empty.error).toMatchObject({ code: "unreadable_response" })
    }))

  it.effect("a total covers the head, the events, and a consumer that is never made to wait", () =>
    Effect.gen(function*() {
      const never = yield* over([silent()], { pipeline: undefined })
      const totalTimeout = "5 seconds"
      const { error } = yield* inTime(
        collected(ApiClient.events(never.client, get, { totalTimeout }))
      )
      expect(error).toMatchObject({ _tag: "Timeout", deadline: "total", endpoint: "/v1/feed" })
      const pieces = Array.from({ length: 10 }, (_, n) => event(n))
      const busy = yield* over([whole(...pieces)], { pipeline: undefined })
      const items: Array<string> = []
      const late = yield* inTime(Effect.flip(Stream.runForEach(
        ApiClient.events(busy.client, get, { totalTimeout }),
        ({ data }) => Effect.delay(Effect.sync(() => items.push(data)), "2 seconds")
      )))
      expect([late._tag, items]).toEqual(["Timeout", ["e0", "e1", "e2"]])
    }))

  it.effect("the total cuts a body that always has more at hand", () =>
    Effect.gen(function*() {
      const { client } = transport([whole()])
      const endless = HttpClient.transformResponse(
        client,
        Effect.map((response) =>
          Object.create(response, {
            stream: {
              value: Stream.rechunk(Stream.forever(Stream.encodeText(Stream.make(event(1)))), 1)
            }
          }) as typeof response
        )
      )
      const request = HttpClientRequest.get(baseUrl)
      const error = yield* inTime(Effect.flip(Stream.runForEach(
        ApiClient.events(endless, request, { totalTimeout: "1 second" }),
        () => TestClock.adjust("10 millis")
      )))
      expect(error).toMatchObject({ _tag: "Timeout", deadline: "total" })
    }), 5000)

  it.effect("every body but the one that is read is let go of, also where a client sends twice", () =>
    Effect.gen(function*() {
      let cancelled = 0
      const held: Reply = () =>
        new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(new TextEncoder().encode(event(1))),
            cancel: () => void cancelled++
          }),
          { headers: { "content-type": sse } }
        )
      const { client, sent } = yield* over([held, whole(event(2))], { pipeline: undefined })
      const twice = HttpClient.transformResponse(client, (send) => Effect.zipRight(send, send))
      const { items } = yield* collected(
        Stream.map(ApiClient.events(twice, get), ({ data }) => [data, sent.length, cancelled])
      )
      expect(items).toEqual([["e2", 2, 1]])
    }))

  it.effect("an event that is too large is final, after those before it", () =>
    Effect.gen(function*() {
      const { data, error, sent } = yield* run(
        [whole(`${event(1)}data: ${"SENTINEL".repeat(10)}`)],
        { maxBytes: 64 }
      )
      expect(data).toBe("e1")
      expect(error).toMatchObject({
        code: "unexpected_response",
        message: "The API answered 200, but its body is not of the expected form: " +
          "one event has more than 64 bytes (GET /v1/feed, after 1 event)"
      })
      expect([ApiError.verdict(error)._tag, sent.length]).toEqual(["Terminal", 1])
      const unbounded = yield* run([whole(`data: ${"x".repeat(1_100_000)}\n\n`)])
      expect(unbounded.error?.message).toContain("more than 1048576 bytes")
    }))

  it.effect("content types: without regard to case and parameters; others where the caller says", () =>
    Effect.gen(function*() {
      const typed = (type: string): Reply => () =>
        new Response(event(1), { headers: { "content-type": type } })
      const typeOf = (type: string, options: ApiClient.EventsOptions = {}) =>
        Effect.map(run([typed(type)], options), ({ data, error }) => error?.message ?? data)
      expect(yield* typeOf("Text/Event-Stream;charset=utf-8")).toBe("e1")
      expect(yield* typeOf("text/plain", { contentTypes: ["Text/Plain"] })).toBe("e1")
      expect(yield* typeOf("text/plain")).toContain("its content type is text/plain")
      expect(yield* typeOf("<SENTINEL>")).toContain("its content type is another")
    }))

  it.effect("a client that is not ours is read too, and its answers are judged", () =>
    Effect.gen(function*() {
      const at = (replies: ReadonlyArray<Reply>) =>
        inTime(collected(
          transport(replies).client.pipe(
            ApiClient.events(HttpClientRequest.get(`${baseUrl}/v1/feed`), { retryWait: 0 })
          )
        ))
      const { error, items } = yield* at([broken(event(1)), whole(event(2))])
      expect([dataOf(items), error]).toEqual(["e1 e2", undefined])
      expect((yield* at([reply(404)])).error).toMatchObject({ _tag: "NotFound", status: 404 })
    }))

  it.effect("the drop-in client is read too; its failures are as it makes them", () =>
    Effect.gen(function*() {
      const at = (replies: ReadonlyArray<Reply>) =>
        Effect.gen(function*() {
          const client = yield* HttpClient.HttpClient
          return yield* inTime(collected(ApiClient.events(client, get, { retryWait: 0 })))
        }).pipe(
          Effect.provide(ApiClient.layer({ name: "test", baseUrl })),
          Effect.provide(transport(replies).layer)
        )
      const { error, items } = yield* at([broken(event(1)), reply(503), whole(event(2))])
      expect([dataOf(items), error]).toEqual(["e1 e2", undefined])
      expect((yield* at([reply(404)])).error).toMatchObject({ _tag: "NotFound", status: 404 })
    }))

  it.effect("a rejection of a resumption is the error, and says that the call may have run", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        circuitBreaker: { minimumCalls: 2, window: CircuitBreaker.count(2), failureRate: 0.5 }
      })
      const client = yield* Effect.provide(
        ApiClient.make({ name: "test", baseUrl, pipeline }),
        transport([broken(event(1)), reply(500)]).layer
      )
      const { error } = yield* inTime(collected(ApiClient.events(client, get)))
      expect([error?._tag, ApiError.mayHaveRun(error)]).toEqual(["CircuitOpen", true])
    }))

  it("nonsense options are refused with the field and the value", () => {
    const refused = (options: ApiClient.EventsOptions) => () =>
      ApiClient.events(transport([]).client, get, options)
    expect(refused({ idleTimeout: 0 })).toThrow("idleTimeout should be a duration longer than zero")
    expect(refused({ totalTimeout: -1 })).toThrow("totalTimeout should be")
    expect(refused({ maxBytes: 0 })).toThrow(
      "maxBytes should be a whole number of at least 1, got 0"
    )
    expect(refused({ maxResumptions: 1.5 })).toThrow("maxResumptions should be")
    expect(refused({ retryWait: "Infinity" as never })).toThrow("retryWait should be")
    expect(refused({ maxRetryWait: Duration.infinity })).toThrow("maxRetryWait should be")
    expect(refused({ start: "later" as never })).toThrow("start should be one of first, head")
  })
})

describe("events: what is told", () => {
  it.effect("one span for the stream, with the calls in it; the error is its end", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const request = HttpClientRequest.get("/v1/jobs/4711/events?token=abc")
      yield* run([broken(event(1) + event(2)), broken(event(3)), reply(401)], {}, request).pipe(
        Effect.withTracer(tracer),
        Effect.withTracerEnabled(true)
      )
      const [stream, ...calls] = spans
      expect(stream?.name).toBe("events GET")
      expect(Object.fromEntries(stream?.attributes ?? [])).toEqual({
        "http.request.method": "GET",
        "resilience.endpoint": "/v1/jobs/:id/events",
        "resilience.operation": "Read",
        "resilience.events": 3,
        "resilience.resumptions": 2
      })
      expect(stream?.exit?._tag).toBe("Failure")
      const inStream = calls.filter(({ parent }) => parent === stream?.spanId)
      expect(inStream.map(({ name }) => name)).toEqual(
        Array(3).fill("test GET /v1/jobs/:id/events")
      )
      expect(calls.length).toBe(6)
    }))

  it.effect("`endpoint` names requests and errors, and so does `withEndpoint` around the run", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.get("/v1/jobs/job-one")
      const named = yield* run([broken("data: a\n\n")], { endpoint: "/v1/jobs/:job" }, request)
      expect(named.error).toMatchObject({ endpoint: "/v1/jobs/:job", method: "GET" })
      const around = yield* ApiClient.withEndpoint("/v1/jobs/:name")(
        run([broken("data: a\n\n")], {}, request)
      )
      expect(around.error).toMatchObject({ endpoint: "/v1/jobs/:name" })
      const first = yield* run([reply(404)], { endpoint: "/v1/jobs/:job" }, request)
      expect(first.error).toMatchObject({ _tag: "NotFound", endpoint: "/v1/jobs/:job" })
    }))

  it.effect("no secret and no data in errors, logs and spans", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.get("/v1/sentinelpath/feed?api_key=SENTINEL-query").pipe(
        HttpClientRequest.bearerToken("SENTINEL-token")
      )
      const endings = [
        [broken("data: SENTINEL-data\n\n")],
        [broken("id: SENTINEL-id\ndata: SENTINEL-data\n\n"), reply(404)],
        [silent("data: SENTINEL-data\n\n")],
        [whole(`data: ${"SENTINEL-data".repeat(9)}`)],
        [broken(), reply(200, "SENTINEL-data")],
        [() => new Error("SENTINEL-reason")]
      ]
      for (const replies of endings) {
        const { client } = yield* over(replies, {
          pipeline: undefined,
          secrets: [Redacted.make("sentinelpath")]
        })
        const texts = yield* inTime(renderings(
          Stream.runDrain(
            ApiClient.events(client, request, { maxBytes: 64, totalTimeout: "1 hour" })
          )
        ))
        expect(texts.length).toBeGreaterThan(20)
        expect(leaks(texts, "SENTINEL")).toEqual([])
      }
    }))
})
