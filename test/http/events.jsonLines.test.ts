import { HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, FastCheck as fc, Schema, Stream } from "effect"
import { ApiClient, ApiError, Backoff } from "effect-resilience"
import type * as Http from "node:http"
import { runs } from "../support/runs.js"
import { until } from "../support/turns.js"
import { between, broken, collected, get, ndjson, silent, whole, wires } from "./events.js"
import { transport } from "./support.js"

const Row = Schema.Struct({ id: Schema.Number })
const retry = { retries: 2, backoff: Backoff.constant(0) }

for (const [name, wire] of Object.entries(wires)) {
  describe(`jsonLines over ${name}`, () => {
    const answering = (
      send: (response: Http.ServerResponse, path: string, index: number) => void,
      stages?: object
    ) => between(wire, (response, { url }, index) => send(response, url, index), stages)

    it.scopedLive("lines one by one, empty ones left out, the last one without an end", () =>
      Effect.gen(function*() {
        const { client, server } = yield* answering((response) =>
          whole(response, "\uFEFF{\"id\":1}\r\n\n \n{\"id\":2}\n{\"id\":3}", ndjson)
        )
        const { error, items } = yield* collected(ApiClient.jsonLines(client, get, Row))
        expect([items, error]).toEqual([[{ id: 1 }, { id: 2 }, { id: 3 }], undefined])
        expect(server.requests[0]?.headers.accept).toContain(ndjson)
      }))

    it.scopedLive("tried again until the first line, and never after it", () =>
      Effect.gen(function*() {
        const { client, server } = yield* answering((response, _, index) => {
          if (index === 0) return void response.writeHead(502).end()
          if (index === 1) return broken(response, "{\"id\"", ndjson)
          broken(response, "{\"id\":1}\n{\"id\":2", ndjson)
        }, { retry })
        const { error, items } = yield* collected(ApiClient.jsonLines(client, get, Row))
        expect([items, server.requests.length]).toEqual([[{ id: 1 }], 3])
        expect(error).toMatchObject({
          _tag: "Server",
          code: "unreadable_response",
          endpoint: "/v1/feed",
          message: "The API answered 200, but its body could not be read: it broke off " +
            "(GET /v1/feed, after 1 line, not resumed: lines have no ids)"
        })
        expect(ApiError.mayHaveRun(error)).toBe(true)
      }))

    it.scopedLive("silence ends by its limit; an early stop closes the connection", () =>
      Effect.gen(function*() {
        const { client, closed } = yield* answering((response) =>
          silent(response, "{\"id\":1}\n{", ndjson)
        )
        const lines = ApiClient.jsonLines(client, get, Row, { idleTimeout: "100 millis" })
        const { error, items } = yield* collected(lines)
        expect([items, error?._tag]).toEqual([[{ id: 1 }], "Timeout"])
        yield* Stream.runHead(lines)
        yield* until(() => closed.length === 2)
      }))
  })
}

/** A stream over one body in memory, in pieces. */
const read = <A, I, R>(
  pieces: ReadonlyArray<string | Uint8Array>,
  schema: Schema.Schema<A, I, R>,
  options: ApiClient.StreamOptions = {}
) => {
  const bytes = pieces.map((piece) =>
    typeof piece === "string" ? new TextEncoder().encode(piece) : piece
  )
  const body = () =>
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const piece of bytes) controller.enqueue(piece)
        controller.close()
      }
    })
  const { client } = transport([
    () => new Response(body(), { headers: { "content-type": "application/jsonl" } })
  ])
  const request = HttpClientRequest.get("http://api.example.com/v1/rows")
  return collected(client.pipe(ApiClient.jsonLines(request, schema, options)))
}

describe("jsonLines", () => {
  it.effect("E32: a line that does not fit is final, after those before it, without values", () =>
    Effect.gen(function*() {
      const { error, items } = yield* read([
        "{\"id\":1}\n\n{\"id\":\"SENTINEL\"}\n{\"id\":3}\n"
      ], Row)
      expect(items).toEqual([{ id: 1 }])
      expect(error).toMatchObject({
        code: "unexpected_response",
        message: "The API answered 200, but its body is not of the expected form: " +
          "line 3: id: expected number, got string (GET /v1/rows, after 1 line)"
      })
      expect(ApiError.verdict(error)._tag).toBe("Terminal")
      const broken = yield* read(["{\"id\":1}\n{SENTINEL\n"], Row)
      expect(broken.error).toMatchObject({ code: "unexpected_response" })
      expect(broken.error?.message).toContain("line 2: it is not JSON")
    }))

  it.effect("E7: a last line that is no JSON has broken off, one that does not fit has not", () =>
    Effect.gen(function*() {
      const { error, items } = yield* read(["{\"id\":1}\n{\"id\":"], Row)
      expect([items, error?.message]).toEqual([
        [{ id: 1 }],
        "The API answered 200, but its body could not be read: line 2 broke off " +
        "(GET /v1/rows, after 1 line, not resumed: lines have no ids)"
      ])
      expect((yield* read(["{}"], Row)).error).toMatchObject({ code: "unexpected_response" })
    }))

  it.effect("a line that is too large is final, whether its end comes or not", () =>
    Effect.gen(function*() {
      const long = `{"id":${"1".repeat(20)}}`
      for (const pieces of [[`{"id":1}\n${long}\n`], ["{\"id\":1}\n", long], [...long]]) {
        const { error } = yield* read(pieces, Row, { maxBytes: 20 })
        expect(error?.message).toContain("one line has more than 20 bytes")
      }
      expect((yield* read([long], Row, { maxBytes: long.length })).items.length).toBe(1)
    }))

  it.effect("a schema may need services, and `application/json` is taken; HTML is not", () =>
    Effect.gen(function*() {
      class Factor extends Context.Tag("Factor")<Factor, number>() {}
      const Scaled = Schema.transformOrFail(Schema.Number, Schema.Number, {
        decode: (n) => Effect.map(Factor, (factor) => n * factor),
        encode: Effect.succeed
      })
      const { items } = yield* Effect.provideService(read(["1\n2\n3"], Scaled), Factor, 10)
      expect(items).toEqual([10, 20, 30])
      const typed = (type: string) =>
        collected(ApiClient.jsonLines(
          transport([() => new Response("1\n", { headers: { "content-type": type } })]).client,
          HttpClientRequest.get("http://api.example.com"),
          Schema.Number
        ))
      expect((yield* typed("application/json; charset=utf-8")).items).toEqual([1])
      expect((yield* typed("text/html")).error).toMatchObject({ code: "unexpected_response" })
    }))

  it("any cutting into pieces gives the values of the whole", async () => {
    const values = fc.array(fc.jsonValue(), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(
        values,
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.constantFrom("\n", "\r\n", "\n\n"),
        fc.boolean(),
        async (values, places, separator, isEnded) => {
          const text = values.map((value) => JSON.stringify(value)).join(separator) +
            (isEnded ? separator : "")
          const bytes = new TextEncoder().encode(text)
          const cuts = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length]
            .sort((a, b) => a - b)
          const pieces = cuts.slice(1).map((to, n) => bytes.slice(cuts[n], to))
            .filter(({ length }) => length > 0)
          const { error, items } = await Effect.runPromise(read(pieces, Schema.Unknown))
          expect(error).toBe(undefined)
          expect(items).toEqual(values.map((value) => JSON.parse(JSON.stringify(value))))
        }
      ),
      { numRuns: runs(500) }
    )
  })
})
