import { HttpRouter, HttpServerRequest, HttpServerResponse, Multipart } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Schema, Stream } from "effect"
import { serveApp } from "../support/servers.js"
import { half, memory, protect, watched } from "./idempotencyMiddleware.js"
import { answerOf, counting, send } from "./idempotentApp.js"

describe("the request body", () => {
  const sent = "{\"amount\":[1,2]}"

  /** Reads the body in every way there is, twice. */
  const readers = Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const once = Effect.all({
      text: request.text,
      json: request.json,
      arrayBuffer: Effect.map(request.arrayBuffer, (bytes) => new TextDecoder().decode(bytes)),
      stream: Stream.mkString(Stream.decodeText(request.stream)),
      urlParamsBody: Effect.map(request.urlParamsBody, (params) => params.length)
    })
    const [first, second] = yield* Effect.all([once, once])
    return HttpServerResponse.unsafeJson({ first, second })
  })
  const read = {
    text: sent,
    json: { amount: [1, 2] },
    arrayBuffer: sent,
    stream: sent,
    urlParamsBody: 1
  }

  it.effect("I43: the handler reads its body however it likes, any number of times", () =>
    Effect.gen(function*() {
      const { body } = yield* send(protect()(readers), { key: "k", body: sent })
      expect(JSON.parse(body)).toEqual({ first: read, second: read })
    }).pipe(Effect.provide(memory)))

  it.live("I43: the same behind a real server, with and without a length", () =>
    Effect.gen(function*() {
      const url = yield* serveApp(protect()(readers))
      const post = (key: string, init: RequestInit) =>
        Effect.promise(() =>
          fetch(url, { method: "POST", headers: { "idempotency-key": key }, ...init }).then((
            response
          ) => response.json())
        )
      const chunked = { body: new Blob([sent]).stream(), ...half }
      expect(yield* post("a", { body: sent })).toEqual({ first: read, second: read })
      expect(yield* post("b", chunked)).toEqual({ first: read, second: read })
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("I43: schemas, forms and multipart forms are read as ever", () =>
    Effect.gen(function*() {
      const form = new FormData()
      form.append("amount", "1")
      form.append("file", new File(["content"], "a.txt"))
      const parts = Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const streamed = yield* Stream.runCollect(request.multipartStream)
        const files = yield* Effect.forEach(
          Chunk.filter(streamed, Multipart.isFile),
          (file) => file.contentEffect
        )
        const fields = yield* HttpServerRequest.schemaBodyForm(
          Schema.Struct({ amount: Schema.NumberFromString })
        )
        return HttpServerResponse.unsafeJson([
          fields.amount,
          files.map((bytes) => new TextDecoder().decode(bytes))
        ])
      })
      const urlencoded = HttpServerRequest.schemaBodyForm(
        Schema.Struct({ amount: Schema.NumberFromString })
      ).pipe(
        Effect.map(({ amount }) => HttpServerResponse.unsafeJson(amount))
      )
      const body = new Response(form)
      const type = body.headers.get("content-type") ?? ""
      const bytes = yield* Effect.promise(() => body.arrayBuffer())
      expect([
        (yield* send(protect()(parts), {
          key: "a",
          body: bytes,
          headers: { "content-type": type }
        })).body,
        (yield* send(protect()(urlencoded), {
          key: "b",
          body: "amount=2",
          headers: { "content-type": "application/x-www-form-urlencoded" }
        })).body
      ]).toEqual(["[1,[\"content\"]]", "2"])
    }).pipe(Effect.scoped, Effect.provide([memory, NodeContext.layer])))

  it.effect("I43: a body that is not JSON is the handler's to refuse, and nothing stays claimed", () =>
    Effect.gen(function*() {
      let runs = 0
      const app = protect()(Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        runs++
        return Effect.flatMap(request.json, HttpServerResponse.json)
      }))
      const answers = yield* Effect.forEach([1, 2], () => send(app, { key: "k", body: "{secret" }))
      expect([answers.map(({ body, status }) => [status, body]), runs]).toEqual([[[400, ""], [
        400,
        ""
      ]], 2])
    }).pipe(Effect.provide(memory)))

  it.effect("I43: the request stays itself: its address, its source, what a router makes of it", () =>
    Effect.gen(function*() {
      const inner = HttpRouter.empty.pipe(HttpRouter.post(
        "/:id",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          const web = request.source as Request
          const { id } = yield* HttpRouter.params
          return HttpServerResponse.unsafeJson([
            id,
            request.url,
            request.originalUrl,
            request.headers["content-type"],
            yield* request.text,
            yield* Effect.promise(() => web.text())
          ])
        })
      ))
      const app = protect()(HttpRouter.empty.pipe(HttpRouter.mount("/v1", inner)))
      const { body } = yield* send(app, { key: "k", path: "/v1/7?x=1" })
      expect(JSON.parse(body)).toEqual([
        "7",
        "/7?x=1",
        "http://shop.example/v1/7?x=1",
        "application/json",
        "{\"amount\":1}",
        "{\"amount\":1}"
      ])
    }).pipe(Effect.provide(memory)))

  it.effect("I43: a request without a body has an empty one", () =>
    Effect.gen(function*() {
      const empty = Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.unsafeJson([
          yield* request.text,
          yield* request.json,
          Chunk.size(yield* Stream.runCollect(request.stream))
        ])
      })
      expect((yield* send(protect()(empty), { key: "k", body: null })).body).toBe("[\"\",null,0]")
    }).pipe(Effect.provide(memory)))

  it.effect("I43: a body over the limit is 413, and nothing is claimed; one at the limit is read", () => {
    const { calls, layer } = watched()
    return Effect.gen(function*() {
      const { app, runs } = counting()
      const limited = protect({ maxBodyBytes: 10 })(app)
      const stream = (size: number) => new Blob(["x".repeat(size)]).stream()
      const bodies = ["x".repeat(11), "x".repeat(10), "é".repeat(6)]
      const answers = yield* Effect.forEach(
        bodies,
        (body, index) => send(limited, { key: `k-${index}`, body })
      )
      const request = new Request("http://shop.example/charge", {
        method: "POST",
        body: stream(11),
        headers: { "idempotency-key": "s" },
        ...half
      })
      const streamed = yield* limited.pipe(
        Effect.provideService(
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromWeb(request)
        )
      )
      expect([answers.map(({ status }) => status), streamed.status, runs]).toEqual([
        [413, 201, 413],
        413,
        [1]
      ])
      expect(calls).toEqual(["acquire", "complete"])
      expect((yield* send(protect()(app), { key: "d", body: "x".repeat(1_048_577) })).status).toBe(
        413
      )
    }).pipe(Effect.provide(layer))
  })

  it.live("I43: a real client that sends too much is told so, with a length and without", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const url = yield* serveApp(protect({ maxBodyBytes: 1000 })(app))
      const post = (init: RequestInit) =>
        Effect.promise(() =>
          fetch(url, { method: "POST", headers: { "idempotency-key": "k" }, ...init }).then(
            answerOf
          )
        )
      const long = "x".repeat(500_000)
      const answers = [
        yield* post({ body: long }),
        yield* post({ body: new Blob([long]).stream(), ...half })
      ]
      expect([answers.map(({ status }) => status), runs]).toEqual([[413, 413], []])
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("I43: a body that breaks off is 400, and nothing is claimed", () => {
    const { calls, layer } = watched()
    return Effect.gen(function*() {
      const { app, runs } = counting()
      const body = new ReadableStream<Uint8Array>({
        pull: (controller) => controller.error(new Error("gone"))
      })
      const request = new Request("http://shop.example/charge", {
        method: "POST",
        body,
        headers: { "idempotency-key": "k" },
        ...half
      })
      const response = yield* protect()(app).pipe(
        Effect.provideService(
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromWeb(request)
        )
      )
      expect([response.status, runs, calls]).toEqual([400, [], []])
    }).pipe(Effect.provide(layer))
  })

  it.effect("I43: with a fingerprint of its own a stream of any length goes to the handler unread", () =>
    Effect.gen(function*() {
      let runs = 0
      const app = Effect.gen(function*() {
        runs++
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.unsafeJson((yield* Stream.runCollect(request.stream)).length)
      })
      const upload = protect({
        maxBodyBytes: 1,
        fingerprint: (request) => request.headers["content-digest"] ?? ""
      })(app)
      const post = (digest: string) =>
        send(upload, { key: "k", body: "xyz", headers: { "content-digest": digest } })
      const answers = [yield* post("a"), yield* post("a"), yield* post("b")]
      expect([answers.map(({ replayed, status }) => [status, replayed]), runs]).toEqual(
        [[[200, null], [200, "true"], [422, null]], 1]
      )
    }).pipe(Effect.provide(memory)))
})
