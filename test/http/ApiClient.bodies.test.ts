import {
  HttpBody,
  HttpClient,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import {
  ApiClient,
  Backoff,
  IdempotencyKey,
  Operation,
  Pipeline,
  Playbook,
  Retry
} from "effect-resilience"
import { someKey } from "./apiClient.js"
import { baseUrl, failureOf, over, type Reply, reply, retrying, transport } from "./support.js"

describe("successes and their bodies", () => {
  const Thing = Schema.Struct({ id: Schema.Number })

  it.effect("E7: 204, 205 and an empty 200 are successes without a body", () =>
    Effect.gen(function*() {
      const bodies = yield* Effect.forEach(
        [reply(204), reply(205), reply(200), reply(201, "")],
        (answer) =>
          Effect.gen(function*() {
            const { client } = yield* over([answer])
            return yield* Effect.flatMap(client.get("/"), ApiClient.json(Schema.Undefined))
          })
      )
      expect(bodies).toEqual([undefined, undefined, undefined, undefined])
    }))

  it.effect("E7, E32: a success that cannot be read, or does not fit, is a Server error with its own code", () =>
    Effect.gen(function*() {
      const answers = [
        reply(200, { id: "not a number, and a secret" }),
        reply(201, "<html>login page</html>"),
        reply(200, "{\"id\": "),
        reply(200),
        reply(204)
      ]
      const errors = yield* Effect.forEach(answers, (answer) =>
        Effect.gen(function*() {
          const { client } = yield* over([answer])
          return yield* failureOf(Effect.flatMap(client.get("/"), ApiClient.json(Thing)))
        }))
      expect(errors.map((error) => [error._tag, "code" in error && error.code])).toEqual(
        ["unexpected", "unreadable", "unreadable", "unexpected", "unexpected"].map((why) => [
          "Server",
          `${why}_response`
        ])
      )
      expect(JSON.stringify(errors)).not.toMatch(/a secret|login page/)
      expect(errors.map((error) => "status" in error && error.status)).toEqual([
        200,
        201,
        200,
        200,
        204
      ])
    }))

  it.effect("E7: repeated for read and idempotent, final for keyed and once", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200, "garbage")])
      const call = Effect.flatMap(client.get("/"), ApiClient.json(Thing))
      const counts: Array<number> = []
      for (
        const operation of [Operation.read, Operation.idempotent, Operation.keyed, Operation.once]
      ) {
        const before = sent.length
        yield* failureOf(
          Retry.retry(call, { operation, retries: 2, backoff: Backoff.constant(0) }).pipe(
            IdempotencyKey.provide(someKey)
          )
        )
        counts.push(sent.length - before)
      }
      expect(counts).toEqual([3, 3, 1, 1])
    }))

  it.effect("E7: and so it is in a pipeline around the call", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200, "garbage")])
      const call = Effect.flatMap(client.get("/"), ApiClient.json(Thing))
      const retry = { retries: 2, backoff: Backoff.constant(0) }
      const read = yield* Pipeline.make({ operation: Operation.read, retry })
      const once = yield* Pipeline.make({ operation: Operation.once, retry })
      yield* failureOf(Pipeline.protect(call, read))
      const afterRead = sent.length
      yield* failureOf(Pipeline.protect(call, once))
      expect([afterRead, sent.length - afterRead]).toEqual([3, 1])
    }))

  it.effect("E7: a body that decodes is decoded", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(200, { id: 7 })])
      expect(yield* Effect.flatMap(client.get("/"), ApiClient.json(Thing))).toEqual({ id: 7 })
    }))

  it.effect("fromResponse passes a 2xx and fails with what any other response means", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.get(baseUrl)
      const web = (status: number, body?: string) =>
        HttpClientResponse.fromWeb(request, new Response(body, { status }))
      const ok = web(204)
      expect(yield* ApiClient.fromResponse(ok)).toBe(ok)
      const playbook = Playbook.extend(Playbook.standard, {
        byStatus: { 404: { ...Playbook.lookup(Playbook.standard, 404), tag: "Policy" } }
      })
      const errors = [
        yield* failureOf(ApiClient.fromResponse(web(404, "{\"error\":\"gone\"}"))),
        yield* failureOf(ApiClient.fromResponse(web(404), playbook)),
        yield* failureOf(ApiClient.fromResponse(web(302)))
      ]
      expect(errors).toMatchObject([
        { _tag: "NotFound", message: "gone" },
        { _tag: "Policy" },
        { _tag: "Server", status: 302 }
      ])
    }))

  it("fromClientError: a transport failure is Network, a refused status goes by that status", () => {
    const request = HttpClientRequest.get("http://api.example.com/v1/things?token=hidden")
    const transportError = (code: string) =>
      new HttpClientError.RequestError({
        request,
        reason: "Transport",
        cause: Object.assign(new Error(), { code })
      })
    const response = HttpClientResponse.fromWeb(request, new Response("", { status: 429 }))
    const errors = [
      ApiClient.fromClientError(transportError("ECONNREFUSED")),
      ApiClient.fromClientError(transportError("ECONNRESET")),
      ApiClient.fromClientError(
        new HttpClientError.ResponseError({ request, response, reason: "StatusCode" })
      )
    ]
    expect(errors).toMatchObject([
      { _tag: "Network", sent: "no" },
      { _tag: "Network", sent: "unknown" },
      { _tag: "RateLimit", status: 429 }
    ])
    expect(errors.map((error) => `${error} ${JSON.stringify(error)}`).join()).not.toContain(
      "hidden"
    )
  })
})

describe("bodies that cannot be replayed", () => {
  /** Takes the body as a socket would, then answers. */
  const consuming = (replies: ReadonlyArray<Reply>, options: Partial<ApiClient.Options> = {}) =>
    Effect.gen(function*() {
      const { client: below, sent } = transport(replies)
      const taking = HttpClient.transform(below, (response, { body }) => {
        if (body._tag === "Stream") {
          return Effect.zipRight(Effect.orDie(Stream.runDrain(body.stream)), response)
        }
        if (body._tag !== "Raw") return response
        return Effect.zipRight(
          Effect.promise(() => new Response(body.body as BodyInit).text()),
          response
        )
      })
      const client = yield* ApiClient.make({
        name: "test",
        baseUrl,
        pipeline: yield* retrying(),
        ...options
      }).pipe(
        Effect.provideService(HttpClient.HttpClient, taking)
      )
      return { client, sent }
    })
  const bytes = () => new Blob(["once only"]).stream()
  const consumed = () => {
    const readable = bytes()
    return HttpBody.stream(Stream.fromReadableStream(() => readable, (cause) => cause))
  }

  it.effect("E23: raw streams are not repeated either, raw text is", () =>
    Effect.gen(function*() {
      const bodies = [HttpBody.raw(bytes()), HttpBody.raw("text")]
      const counts = yield* Effect.forEach(bodies, (body) =>
        Effect.gen(function*() {
          const { client, sent } = yield* consuming([reply(503)])
          expect(yield* failureOf(client.put("/", { body }))).toMatchObject({
            _tag: "Server",
            status: 503
          })
          return sent.length
        }))
      expect(counts).toEqual([1, 3])
    }))

  it.effect("E23: also not on a 429 or on a 401 with a refresh: bytes were sent", () =>
    Effect.gen(function*() {
      const limited = yield* consuming([reply(429)])
      const refused = yield* consuming([reply(401)], { refresh: Effect.void })
      expect(yield* failureOf(limited.client.put("/", { body: consumed() }))).toMatchObject({
        _tag: "RateLimit"
      })
      expect(yield* failureOf(refused.client.put("/", { body: consumed() }))).toMatchObject({
        _tag: "Auth"
      })
      expect([limited.sent.length, refused.sent.length]).toEqual([1, 1])
    }))

  it.effect("E23: a refused connection took nothing of it, so it is sent whole by the next attempt", () =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      const below = HttpClient.make((request) =>
        refusals++ === 0
          ? Effect.fail(
            new HttpClientError.RequestError({
              request,
              reason: "Transport",
              cause: Object.assign(new Error(), { code: "ECONNREFUSED" })
            })
          )
          : request.body._tag === "Stream"
          ? request.body.stream.pipe(
            Stream.decodeText(),
            Stream.mkString,
            Effect.orDie,
            Effect.map((text) => {
              texts.push(text)
              return HttpClientResponse.fromWeb(request, new Response(""))
            })
          )
          : Effect.die("a stream was expected")
      )
      let refusals = 0
      const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline: yield* retrying() })
        .pipe(
          Effect.provideService(HttpClient.HttpClient, below)
        )
      yield* client.put("/", { body: consumed() })
      expect([refusals, texts]).toEqual([2, ["once only"]])
    }))

  it.effect("E23: form data is in memory and is sent again", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      const form = new FormData()
      form.set("name", "value")
      yield* failureOf(client.put("/", { body: HttpBody.formData(form) }))
      expect(sent.length).toBe(3)
    }))
})
