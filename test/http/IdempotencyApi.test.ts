import {
  HttpApi,
  HttpApiBuilder,
  HttpApiClient,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpClient,
  type HttpClientResponse,
  HttpLayerRouter,
  HttpServer,
  HttpServerRequest,
  OpenApi
} from "@effect/platform"
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Context,
  Deferred,
  Duration,
  Effect,
  Fiber,
  FiberId,
  Layer,
  Logger,
  Schema
} from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  Idempotency,
  IdempotencyKey,
  type IdempotencyStore,
  Operation,
  Pipeline,
  Retry
} from "effect-resilience"
import * as IdempotencyApi from "effect-resilience/http/IdempotencyApi"
import type * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import * as Http from "node:http"
import { refusal } from "../support/refusal.js"
import { memory, watched } from "./idempotencyMiddleware.js"

class SoldOut extends Schema.TaggedError<SoldOut>()(
  "SoldOut",
  { item: Schema.String },
  HttpApiSchema.annotations({ status: 422 })
) {}

class Unauthorized extends Schema.TaggedError<Unauthorized>()(
  "Unauthorized",
  {},
  HttpApiSchema.annotations({ status: 401 })
) {}

class User extends Context.Tag("User")<User, string>() {}

class Auth
  extends HttpApiMiddleware.Tag<Auth>()("Auth", { provides: User, failure: Unauthorized })
{}

const Order = Schema.Struct({ id: Schema.Number, item: Schema.String })

class Orders extends HttpApiGroup.make("orders")
  .add(
    HttpApiEndpoint.post("create", "/orders")
      .setPayload(Schema.Struct({ item: Schema.String }))
      .setHeaders(IdempotencyApi.Headers)
      .addSuccess(Order, { status: 201 })
      .addError(SoldOut)
      .middleware(IdempotencyApi.IdempotencyApi)
      .middleware(Auth)
  )
  .add(
    HttpApiEndpoint.post("search", "/orders/search")
      .setPayload(Schema.Struct({ item: Schema.String }))
      .addSuccess(Order)
  )
{}

class Items extends HttpApiGroup.make("items")
  .add(
    HttpApiEndpoint.post("change")`/orders/${HttpApiSchema.param("id", Schema.NumberFromString)}`
      .addSuccess(Schema.String)
  )
  .add(HttpApiEndpoint.get("list", "/items").addSuccess(Schema.Number))
  .middleware(IdempotencyApi.IdempotencyApi)
{}

class Shop
  extends HttpApi.make("shop").add(Orders).add(Items).addError(Unauthorized).prefix("/v1")
{}

/** What the handlers have done, and how the next order goes. */
const shop = () => {
  const done: Array<string> = []
  const keys: Array<IdempotencyKey.IdempotencyKey> = []
  const begun = Deferred.unsafeMake<void>(FiberId.none)
  const gate = Deferred.unsafeMake<void>(FiberId.none)
  let users = 0
  const handlers = Layer.mergeAll(
    HttpApiBuilder.group(Shop, "orders", (group) =>
      group
        .handle("create", ({ headers, payload }) =>
          Effect.gen(function*() {
            const user = yield* User
            keys.push(headers["idempotency-key"])
            if (payload.item === "gold") return yield* new SoldOut({ item: "gold" })
            if (payload.item === "bomb") return yield* Effect.die("boom")
            if (payload.item === "slow") {
              yield* Deferred.succeed(begun, undefined)
              yield* Deferred.await(gate)
            }
            done.push(`${user}: ${payload.item}`)
            return { id: done.length, item: payload.item }
          }))
        .handle("search", ({ payload }) =>
          Effect.sync(() => {
            done.push(`search ${payload.item}`)
            return { id: done.length, item: payload.item }
          }))),
    HttpApiBuilder.group(Shop, "items", (group) =>
      group
        .handle(
          "change",
          ({ path }) => Effect.sync(() => `change ${done.push(`change ${path.id}`)}`)
        )
        .handle("list", () => Effect.sync(() => done.push("list"))))
  )
  const auth = Layer.succeed(
    Auth,
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
      Effect.suspend(() => {
        users++
        return headers["x-user"] === undefined
          ? new Unauthorized()
          : Effect.succeed(headers["x-user"])
      }))
  )
  return {
    done,
    keys,
    users: () => users,
    begun: Deferred.await(begun),
    open: Deferred.succeed(gate, undefined),
    handlers: Layer.provide(handlers, auth)
  }
}

const scope = () => ["acme", "shop"]

type Options = Partial<IdempotencyMiddleware.Options<Unauthorized>>

const quiet = Logger.remove(Logger.defaultLogger)

/** A real server on node, and a typed client for it. */
const served = (
  options: Options = {},
  store: Layer.Layer<IdempotencyStore.IdempotencyStore> = memory
) =>
  Effect.gen(function*() {
    const { handlers, ...seen } = shop()
    const api = HttpApiBuilder.api(Shop).pipe(
      Layer.provide(handlers),
      Layer.provide(IdempotencyApi.layer(Shop, { scope, required: true, ...options })),
      Layer.provide(store)
    )
    const context = yield* Layer.build(
      HttpApiBuilder.serve().pipe(
        Layer.provide(api),
        Layer.provideMerge(NodeHttpServer.layer(Http.createServer, { port: 0, host: "127.0.0.1" })),
        Layer.merge(NodeHttpClient.layerUndici)
      )
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    const baseUrl = address._tag === "TcpAddress" ? `http://127.0.0.1:${address.port}` : ""
    const client = yield* HttpApiClient.make(Shop, {
      baseUrl,
      transformClient: HttpClient.mapRequest((request) =>
        ({
          ...request,
          headers: { "x-user": "ann", ...request.headers }
        }) as typeof request
      )
    }).pipe(Effect.provide(context))
    const create = (key: IdempotencyKey.IdempotencyKey, item = "tea") =>
      client.orders.create({ payload: { item }, headers: { "idempotency-key": key } })
    const createWithResponse = (key: IdempotencyKey.IdempotencyKey) =>
      client.orders.create({
        payload: { item: "tea" },
        headers: { "idempotency-key": key },
        withResponse: true
      })
    const post = (
      path: string,
      headers: Readonly<Record<string, string>>,
      body = "{\"item\":\"tea\"}"
    ) =>
      Effect.promise(() =>
        fetch(`${baseUrl}/v1${path}`, {
          method: "POST",
          body,
          headers: { "content-type": "application/json", "x-user": "ann", ...headers }
        })
      )
    return { ...seen, baseUrl, client, context, create, createWithResponse, post }
  })

const replayed = (response: HttpClientResponse.HttpClientResponse) =>
  response.headers["idempotent-replayed"]

describe("a real server", () => {
  it.scopedLive("twenty identical posts are executed once, and each of the others is a replay or in flight", () =>
    Effect.gen(function*() {
      const { createWithResponse, done } = yield* served()
      const key = yield* IdempotencyKey.make
      const post = createWithResponse(key).pipe(
        Retry.retry({
          operation: Operation.idempotent,
          backoff: Backoff.constant("5 millis"),
          retries: 100,
          verdict: ApiError.verdict
        }),
        Effect.map(([order, response]) => [order.id, response.status, replayed(response)])
      )
      const all = yield* Effect.all(Effect.replicate(post, 20), { concurrency: "unbounded" })
      const first = all.filter(([, , marker]) => marker === undefined)
      const others = all.filter(([, , marker]) => marker === "true")
      expect([first, others.length, new Set(all.map(([id]) => id)).size, done]).toEqual([
        [[1, 201, undefined]],
        19,
        1,
        ["ann: tea"]
      ])
    }))

  it.scopedLive("the key with another body is a Mismatch, which the client decodes and can catch", () =>
    Effect.gen(function*() {
      const { create, done } = yield* served()
      const key = yield* IdempotencyKey.make
      yield* create(key)
      const caught = yield* create(key, "coffee").pipe(
        Effect.as("executed"),
        Effect.catchTag("Mismatch", (error) => Effect.succeed(error))
      )
      expect(caught).toBeInstanceOf(Idempotency.Mismatch)
      expect(done).toEqual(["ann: tea"])
    }))

  it.scopedLive("a duplicate of a request that runs is InFlight with its wait, and then a replay", () =>
    Effect.gen(function*() {
      const { begun, create, done, open } = yield* served({ retryAfter: "3 seconds" })
      const key = yield* IdempotencyKey.make
      const first = yield* Effect.fork(create(key, "slow"))
      yield* begun
      const second = yield* Effect.flip(create(key, "slow"))
      yield* open
      const ended = [yield* Fiber.join(first), yield* create(key, "slow")]
      expect(second).toBeInstanceOf(Idempotency.InFlight)
      expect(second).toMatchObject({ retryAfter: Duration.seconds(3) })
      expect([ended, done]).toEqual([
        [{ id: 1, item: "slow" }, { id: 1, item: "slow" }],
        ["ann: slow"]
      ])
    }))

  it.scopedLive("what a handler fails with is the error that the endpoint declares, and releases the key", () =>
    Effect.gen(function*() {
      const { create, done } = yield* served()
      const key = yield* IdempotencyKey.make
      const failed = yield* Effect.flip(create(key, "gold"))
      expect(failed).toEqual(new SoldOut({ item: "gold" }))
      expect([yield* create(key), done]).toEqual([{ id: 1, item: "tea" }, ["ann: tea"]])
    }))

  it.scopedLive("a declared failure can be recorded and replayed like a success", () =>
    Effect.gen(function*() {
      const { create, keys } = yield* served({ storeStatuses: [422] })
      const key = yield* IdempotencyKey.make
      const failures = [
        yield* Effect.flip(create(key, "gold")),
        yield* Effect.flip(create(key, "gold"))
      ]
      expect([failures, keys.length]).toEqual([
        [new SoldOut({ item: "gold" }), new SoldOut({ item: "gold" })],
        1
      ])
    }))

  it.scopedLive("a defect of a handler holds the key, and the next request learns until when", () =>
    Effect.gen(function*() {
      const { create, post } = yield* served({ lease: "10 seconds" })
      const key = yield* IdempotencyKey.make
      const response = yield* post(
        "/orders",
        { "idempotency-key": IdempotencyKey.toHeader(key) },
        "{\"item\":\"bomb\"}"
      )
      const next = yield* Effect.flip(create(key, "bomb"))
      expect([response.status, next]).toMatchObject([500, { _tag: "InFlight" }])
      expect(next._tag === "InFlight" && Duration.toMillis(next.retryAfter)).toBe(10_000)
    }).pipe(Effect.provide(quiet)))

  it.scopedLive("a key that is missing or not valid, and a body that is too long, are errors that say so", () =>
    Effect.gen(function*() {
      const { client, done, post } = yield* served({ maxBodyBytes: 20 })
      const missing = yield* Effect.flip(client.items.change({ path: { id: 1 } }))
      const responses = yield* Effect.all([
        post("/orders", {}),
        post("/orders", { "idempotency-key": "" }),
        post("/orders", { "idempotency-key": "k" }, `{"item":"${"x".repeat(30)}"}`)
      ])
      const problems = yield* Effect.forEach(
        responses,
        (response) =>
          Effect.promise(async () => [response.headers.get("content-type"), await response.json()])
      )
      const decoded = yield* Effect.forEach(
        problems,
        ([, body]) => Schema.decodeUnknown(IdempotencyApi.Failure)(body)
      )
      expect([missing, ...decoded].map(({ _tag }) => _tag)).toEqual([
        "KeyMissing",
        "KeyMissing",
        "KeyInvalid",
        "TooLarge"
      ])
      expect(problems.map(([type]) => type)).toEqual(
        Array.from({ length: 3 }, () => "application/problem+json")
      )
      expect(missing.message).toContain("Idempotency-Key")
      expect(done).toEqual([])
    }))

  it.scopedLive("a store that does not answer is StoreUnavailable, and nothing is executed", () =>
    Effect.gen(function*() {
      const { create, done } = yield* served({}, watched(["acquire"]).layer)
      const error = yield* Effect.flip(create(yield* IdempotencyKey.make))
      expect([error, done]).toMatchObject([{ _tag: "StoreUnavailable" }, []])
    }).pipe(Effect.provide(quiet)))

  it.scopedLive("only endpoints that declare it are protected, by the path that the router takes", () =>
    Effect.gen(function*() {
      const { client, done, post } = yield* served()
      const header = { "idempotency-key": "k" }
      const markers: Array<string | null> = []
      for (const path of ["/orders/7", "/orders/7", "/orders/search", "/orders/search"]) {
        const response = yield* post(path, header)
        markers.push(response.headers.get("idempotent-replayed"))
      }
      yield* client.items.list()
      yield* client.items.list()
      expect([markers, done]).toEqual([
        [null, "true", null, null],
        ["change 7", "search tea", "search tea", "list", "list"]
      ])
    }))

  it.scopedLive("the handler gets the key of the request, and its middlewares run once for each execution", () =>
    Effect.gen(function*() {
      const { create, keys, users } = yield* served()
      const key = yield* IdempotencyKey.make
      yield* create(key)
      yield* create(key)
      expect([keys.map((key) => IdempotencyKey.toHeader(key)), users()]).toEqual([
        [IdempotencyKey.toHeader(key)],
        1
      ])
    }))

  it.scopedLive("a scope that fails with an error of the api answers with it, before the store is asked", () =>
    Effect.gen(function*() {
      const { calls, layer } = watched()
      const { create, done } = yield* served(
        { scope: () => Effect.fail(new Unauthorized()) },
        layer
      )
      const error = yield* Effect.flip(create(yield* IdempotencyKey.make))
      expect([error, done, calls]).toEqual([new Unauthorized(), [], []])
    }))

  it.scopedLive("two callers may use the same key when the scope knows them", () =>
    Effect.gen(function*() {
      const { done, post } = yield* served({
        scope: ({ headers }) => ["shop", headers["x-user"] ?? ""]
      })
      for (const user of ["ann", "bob", "ann"]) {
        yield* post("/orders", { "idempotency-key": "k", "x-user": user })
      }
      expect(done).toEqual(["ann: tea", "bob: tea"])
    }))

  it.scopedLive("a client of the library below the typed client sends the key, and repeats what is in flight", () =>
    Effect.gen(function*() {
      const { baseUrl, context, done } = yield* served()
      const client = yield* HttpApiClient.make(Shop).pipe(
        Effect.provide(
          ApiClient.layer({
            name: "shop",
            baseUrl,
            pipeline: yield* Pipeline.make({
              operation: Operation.keyed,
              retry: { retries: 50, backoff: Backoff.constant("5 millis") }
            })
          }).pipe(Layer.provide(Layer.succeedContext(context)))
        )
      )
      const change = client.items.change({ path: { id: 7 } })
      const key = yield* IdempotencyKey.make
      const all = yield* Effect.all(Effect.replicate(change, 5), { concurrency: "unbounded" }).pipe(
        IdempotencyKey.provide(key)
      )
      expect([new Set(all).size, done]).toEqual([1, ["change 7"]])
    }))
})

describe("an endpoint that declares it", () => {
  const endpoint = HttpApiEndpoint.post("create", "/orders").addSuccess(Schema.Number)

  it.effect("is not executed where nothing protects it, and says what is missing", () =>
    Effect.gen(function*() {
      class Api extends HttpApi.make("api").add(
        HttpApiGroup.make("orders").add(endpoint.middleware(IdempotencyApi.IdempotencyApi))
      ) {}
      const causes: Array<string> = []
      let executed = 0
      const routes = HttpLayerRouter.addHttpApi(Api).pipe(
        Layer.provide(
          HttpApiBuilder.group(
            Api,
            "orders",
            (group) => group.handle("create", () => Effect.sync(() => ++executed))
          )
        ),
        Layer.provide(IdempotencyApi.layer(Api, { scope })),
        Layer.provide([memory, HttpServer.layerContext])
      )
      const logger = Logger.make(({ cause }) => void causes.push(Cause.pretty(cause)))
      const { dispose, handler } = HttpLayerRouter.toWebHandler(
        Layer.provideMerge(routes, Logger.replace(Logger.defaultLogger, logger)),
        { disableLogger: false }
      )
      const response = yield* Effect.promise(() =>
        handler(new Request("http://shop.example/orders", { method: "POST" }))
      )
      yield* Effect.promise(dispose)
      expect([response.status, executed]).toEqual([500, 0])
      expect(causes.join()).toContain("provide IdempotencyApi.layer with the api that is served")
    }))

  it.effect("has a middleware of its own where it needs other options", () =>
    Effect.gen(function*() {
      class Payments extends HttpApiMiddleware.Tag<Payments>()("Payments", {
        failure: IdempotencyApi.Failure
      }) {}
      class Api extends HttpApi.make("api").add(
        HttpApiGroup.make("orders")
          .add(endpoint.middleware(IdempotencyApi.IdempotencyApi))
          .add(
            HttpApiEndpoint.post("pay", "/pay").addSuccess(Schema.Number).middleware(Payments)
          )
      ) {}
      let executed = 0
      const run = Effect.sync(() => ++executed)
      const live = HttpApiBuilder.api(Api).pipe(
        Layer.provide(
          HttpApiBuilder.group(
            Api,
            "orders",
            (group) => group.handle("create", () => run).handle("pay", () => run)
          )
        ),
        Layer.provide(IdempotencyApi.layer(Api, { scope })),
        Layer.provide(IdempotencyApi.layerFor(Payments, Api, { scope, required: true })),
        Layer.provide(memory),
        Layer.merge(HttpServer.layerContext)
      )
      const { dispose, handler } = HttpApiBuilder.toWebHandler(live)
      const statuses: Array<number> = []
      for (const path of ["orders", "orders", "pay"]) {
        const response = yield* Effect.promise(() =>
          handler(new Request(`http://shop.example/${path}`, { method: "POST" }))
        )
        statuses.push(response.status)
      }
      yield* Effect.promise(dispose)
      expect([statuses, executed]).toEqual([[200, 200, 400], 2])
    }))

  it.effect("may be all of an api", () =>
    Effect.gen(function*() {
      const Api = HttpApi.make("api").add(HttpApiGroup.make("orders").add(endpoint))
        .middleware(IdempotencyApi.IdempotencyApi)
      let executed = 0
      const live = HttpApiBuilder.api(Api).pipe(
        Layer.provide(HttpApiBuilder.group(Api, "orders", (group) =>
          group.handle("create", () =>
            Effect.sync(() =>
              ++executed
            )))),
        Layer.provide(IdempotencyApi.layer(Api, { scope })),
        Layer.provide(memory),
        Layer.merge(HttpServer.layerContext)
      )
      const { dispose, handler } = HttpApiBuilder.toWebHandler(live)
      const post = Effect.promise(() =>
        handler(
          new Request("http://shop.example/orders", {
            method: "POST",
            headers: { "idempotency-key": "k" }
          })
        ).then((response) =>
          response.text()
        )
      )
      const answers = [yield* post, yield* post]
      yield* Effect.promise(dispose)
      expect([answers, executed]).toEqual([["1", "1"], 1])
    }))
})

describe("declarations", () => {
  it("Failure has every refusal of the middleware, and no other", () => {
    const decode = Schema.decodeUnknownEither(IdempotencyApi.Failure)
    const tagOf = (word: string) => {
      const read = decode({
        type: `urn:effect-resilience:idempotency:${word}`,
        status: 400,
        retryAfter: 2
      })
      return read._tag === "Right" ? read.right._tag : "Left"
    }
    expect(
      [
        "key-missing",
        "key-invalid",
        "mismatch",
        "in-flight",
        "store-unavailable",
        "unknown-outcome",
        "result-unavailable",
        "corrupt-record",
        "scope-invalid",
        "other"
      ].map(tagOf)
    ).toEqual([
      "KeyMissing",
      "KeyInvalid",
      "Mismatch",
      "InFlight",
      "StoreUnavailable",
      "UnknownOutcome",
      "ResultUnavailable",
      "CorruptRecord",
      "Left",
      "Left"
    ])
  })

  it("what was decoded can be written again", () => {
    const problems = [
      { type: "urn:effect-resilience:idempotency:in-flight", retryAfter: 7 },
      { type: "urn:effect-resilience:idempotency:store-unavailable", retryAfter: 2 },
      { type: "urn:effect-resilience:idempotency:mismatch" },
      { type: "about:blank" }
    ]
    const again = problems.map((problem) =>
      Schema.encodeSync(IdempotencyApi.Failure)(
        Schema.decodeUnknownSync(IdempotencyApi.Failure)(problem)
      )
    )
    expect(again).toMatchObject(problems)
    expect(again.map(({ status }) => status)).toEqual([409, 503, 422, 413])
  })

  it("an invalid key in the header fails, and the error does not repeat it", () => {
    const read = Schema.decodeUnknownEither(IdempotencyApi.Headers)({
      "idempotency-key": "geheim\u0000"
    })
    expect(read._tag).toBe("Left")
    expect(String(read)).not.toContain("geheim")
  })

  const operations = (spec: OpenApi.OpenAPISpec) =>
    Object.entries(spec.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => [method, path, operation] as const)
    )

  it("the OpenAPI document shows the header where it is sent, once, and the refusals with their media type", () => {
    const documented = Shop.annotate(OpenApi.Transform, IdempotencyApi.openApi({ required: true }))
    const spec = OpenApi.fromApi(documented)
    const shown = operations(spec).map(([method, path, { parameters }]) => [
      method,
      path,
      parameters.filter((parameter) => parameter.in === "header").map((
        { name, required }
      ) => [name, required])
    ])
    expect(shown).toEqual([
      ["post", "/v1/orders", [["idempotency-key", true]]],
      ["post", "/v1/orders/search", []],
      ["post", "/v1/orders/{id}", [["Idempotency-Key", true]]],
      ["get", "/v1/items", []]
    ])
    const { responses } = spec.paths["/v1/orders/{id}"]!.post!
    expect(
      Object.entries(responses).map(([status, { content }]) => [status, Object.keys(content ?? {})])
    ).toEqual([
      ["200", ["application/json"]],
      ["400", ["application/json", "application/problem+json"]],
      ["401", ["application/json"]],
      ["409", ["application/problem+json"]],
      ["413", ["application/problem+json"]],
      ["422", ["application/problem+json"]],
      ["503", ["application/problem+json"]]
    ])
  })

  it("invalid options throw when the layer is made", () => {
    expect(refusal(() => IdempotencyApi.layer(Shop, { scope, maxBodyBytes: -1 }))).toContain(
      "maxBodyBytes"
    )
  })
})
