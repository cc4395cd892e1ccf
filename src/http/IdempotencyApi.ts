/**
 * Idempotency keys for the endpoints of an `HttpApi`: declared on an endpoint or a group, and
 * visible to its clients and in its OpenAPI document.
 *
 * `IdempotencyMiddleware` protects any app, and its refusals are problem documents that a typed
 * client knows nothing of. Declared on an endpoint, the same refusals are errors of the endpoint,
 * which the client of the `HttpApi` decodes and the compiler makes its caller handle.
 *
 * @since 0.1.0
 */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import type * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ParseResult from "effect/ParseResult"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as IdempotencyStore from "../idempotency/IdempotencyStore.js"
import { Failure } from "./idempotencyApi/failures.js"
import { complete } from "./idempotencyApi/openApi.js"
import * as IdempotencyMiddleware from "./IdempotencyMiddleware.js"

export { Failure, KeyInvalid, KeyMissing, TooLarge } from "./idempotencyApi/failures.js"

/**
 * The middleware to declare: `.middleware(IdempotencyApi.IdempotencyApi)` on an endpoint, a group
 * or an api. `layer` provides it.
 *
 * For endpoints with other options, make a tag of your own and provide it with `layerFor`:
 * `HttpApiMiddleware.Tag<Payments>()("Payments", { failure: IdempotencyApi.Failure })`.
 *
 * @since 0.1.0
 * @category tags
 */
export class IdempotencyApi extends HttpApiMiddleware.Tag<IdempotencyApi>()(
  "effect-resilience/IdempotencyApi",
  { failure: Failure }
) {}

/** The middlewares around a request, by the keys of their tags. */
class Entered extends Context.Reference<Entered>()("effect-resilience/IdempotencyApi/Entered", {
  defaultValue: (): ReadonlySet<string> => new Set()
}) {}

const isKey = (u: unknown): u is IdempotencyKey.IdempotencyKey =>
  hasProperty(u, IdempotencyKey.TypeId)

/** A key as the value of its header. An error does not repeat the value. */
const Key: Schema.Schema<IdempotencyKey.IdempotencyKey, string> = Schema.transformOrFail(
  Schema.String.annotations({
    description: "Names one operation: the same key on every attempt of it",
    jsonSchema: { minLength: 1, maxLength: 255 }
  }),
  Schema.declare(isKey, { identifier: "IdempotencyKey" }),
  {
    strict: true,
    decode: (value, _, ast) =>
      Effect.mapError(
        IdempotencyKey.fromHeader(value),
        () =>
          new ParseResult.Type(
            ast,
            "<redacted>",
            "An idempotency key is 1 to 255 printable ASCII characters"
          )
      ),
    encode: (key) => ParseResult.succeed(IdempotencyKey.toHeader(key))
  }
)

/**
 * The headers of an endpoint that requires a key: `.setHeaders(IdempotencyApi.Headers)`. Its client
 * cannot be called without one, its handler reads it from `headers`, and its OpenAPI document shows
 * it. For headers of your own, spread `IdempotencyApi.Headers.fields`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Headers = Schema.Struct({ "idempotency-key": Key })

/**
 * Adds the header of the key to every endpoint of an OpenAPI document that declares the middleware:
 * `.annotate(OpenApi.Transform, IdempotencyApi.openApi())` on the api. Endpoints with `Headers`
 * show it without that.
 *
 * **Details**
 *
 * - `header` and `methods` as for the layer. `required`: whether the document demands a key.
 *   Default `false`.
 * - A refusal that shares its status with another error, as 400 does, is also shown under
 *   `application/problem+json`.
 *
 * O(document).
 *
 * @since 0.1.0
 * @category rendering
 */
export const openApi = (
  options: Pick<IdempotencyMiddleware.Options, "header" | "methods" | "required"> = {}
): (spec: Readonly<Record<string, unknown>>) => Record<string, unknown> => {
  const {
    header = IdempotencyMiddleware.defaults.header,
    methods = IdempotencyMiddleware.defaults.methods,
    required = IdempotencyMiddleware.defaults.required
  } = options
  const parameter = {
    header,
    required,
    methods: new Set(methods.map((method) => method.toLowerCase()))
  }
  return (spec) => complete(spec, parameter)
}

/**
 * Makes the responses of failures as the api would. The failures of a handler have to be responses
 * before they are recorded.
 */
const respondingWith = <Id extends string, Groups extends HttpApiGroup.HttpApiGroup.Any, E, R>(
  api: HttpApi.HttpApi<Id, Groups, E, R>
) =>
  // An api that is made of another has its errors and none of its own middlewares, which run
  // further inside already.
  Effect.map(
    HttpApiBuilder.buildMiddleware(
      HttpApi.make("effect-resilience/IdempotencyApi").addHttpApi(api)
    ),
    // The environment passes through, whatever the type says.
    (encoding) => encoding as <A extends HttpApp.Default<unknown, unknown>>(app: A) => A
  )

type Tag<Self> = Context.Tag<Self, HttpApiMiddleware.HttpApiMiddleware<void, Failure>> & {
  readonly [HttpApiMiddleware.TypeId]: HttpApiMiddleware.TypeId
}

/**
 * Tests whether an endpoint that declares the middleware would get a request. Asks a router of the
 * same endpoints, because the middleware has to stand around the one of the api.
 */
const matching = <Id extends string, Groups extends HttpApiGroup.HttpApiGroup.Any, E, R>(
  api: HttpApi.HttpApi<Id, Groups, E, R>,
  key: string
): Effect.Effect<Effect.Effect<boolean, never, HttpServerRequest.HttpServerRequest>> =>
  Effect.suspend(() => {
    const declared = HttpServerResponse.empty()
    const other = HttpServerResponse.empty()
    const isIn = (tags: ReadonlySet<HttpApiMiddleware.TagClassAny>) =>
      [...tags].some((tag) => tag.key === key)
    const isOnAll = isIn(api.middlewares)
    const routes: Array<HttpRouter.Route<never, never>> = []
    HttpApi.reflect(api, {
      onGroup: () => undefined,
      onEndpoint: ({ endpoint, middleware }) => {
        const answer = isOnAll || isIn(middleware) ? declared : other
        routes.push(HttpRouter.makeRoute(endpoint.method, endpoint.path, answer))
      }
    })
    return Effect.map(
      HttpRouter.toHttpApp(HttpRouter.fromIterable(routes)),
      Effect.match({ onFailure: () => false, onSuccess: (answer) => answer === declared })
    )
  })

/**
 * Does the same as `layer`, for a tag of your own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFor = <
  Self,
  Id extends string,
  Groups extends HttpApiGroup.HttpApiGroup.Any,
  E,
  R,
  R2 = never
>(
  tag: Tag<Self>,
  api: HttpApi.HttpApi<Id, Groups, E, R>,
  options: IdempotencyMiddleware.Options<NoInfer<E>, R2>
): Layer.Layer<
  Self,
  never,
  IdempotencyStore.IdempotencyStore | HttpRouter.HttpRouter.ExcludeProvided<R2>
> => {
  const protect = IdempotencyMiddleware.make(options)
  const around = Effect.gen(function*() {
    const isDeclared = yield* matching(api, tag.key)
    const responding = yield* respondingWith(api)
    return (app: HttpApp.Default): HttpApp.Default<E, R2 | IdempotencyStore.IdempotencyStore> => {
      const inside = Effect.flatMap(
        Entered,
        (tags) => Effect.provideService(app, Entered, new Set([...tags, tag.key]))
      )
      const guarded = protect(responding(inside))
      return Effect.flatMap(isDeclared, (yes) => yes ? guarded : app)
    }
  })
  const entered = Effect.flatMap(Entered, (tags) =>
    tags.has(tag.key)
      ? Effect.void
      : Effect.dieMessage(
        `The endpoint declares ${tag.key}, but runs without it: serve the api with ` +
          "HttpApiBuilder, and provide IdempotencyApi.layer with the api that is served"
      ))
  return Layer.merge(
    Layer.succeed(tag, entered),
    HttpApiBuilder.middleware(api, around, { withContext: true })
  )
}

/**
 * Protects every endpoint of an api that declares `IdempotencyApi`, as `IdempotencyMiddleware`
 * does. Provide it to the groups that declare it.
 *
 * **When to use**
 *
 * For an `HttpApi` whose clients send `Idempotency-Key`. For an `HttpRouter` or any other app use
 * `IdempotencyMiddleware`.
 *
 * **Details**
 *
 * - `options` are those of `IdempotencyMiddleware.make`, and so is all behaviour. `scope` may fail
 *   with an error of the api, which is then the response.
 * - The responses are the ones of `IdempotencyMiddleware`, problem documents among them. `Failure`
 *   declares them as errors of the endpoint: 400 `KeyMissing` and `KeyInvalid`, 409 `InFlight`,
 *   `UnknownOutcome`, `ResultUnavailable` and `CorruptRecord`, 413 `TooLarge`, 422 `Mismatch`, 503
 *   `StoreUnavailable`. `ApiError.verdict` understands them, so `Retry` repeats `InFlight` and
 *   `StoreUnavailable` and nothing else.
 * - Failures of the handler become the responses that the api declares, before the status decides
 *   what is recorded. Requests of other methods than `methods` pass unchanged.
 * - Finds the endpoint of each request by its method and path: as long as routing takes.
 * - Invalid options throw `RangeError`.
 *
 * **Gotchas**
 *
 * - It stands around the router, and so around all middlewares of endpoints and groups, security
 *   among them: a replay does not ask them again. Make the caller a part of `scope`, from the
 *   credential that the request carries, so that one caller cannot read the response of another.
 * - It needs an api that `HttpApiBuilder` serves (`serve`, `toWebHandler`, `httpApp`). An endpoint
 *   that declares the middleware and runs without it, as under `HttpLayerRouter.addHttpApi`, dies
 *   with a message that says so, and is never executed unprotected.
 *
 * **Example** (An order that a client sends twice)
 *
 * ```ts
 * import {
 *   FetchHttpClient,
 *   HttpApi,
 *   HttpApiBuilder,
 *   HttpApiClient,
 *   HttpApiEndpoint,
 *   HttpApiGroup,
 *   HttpServer
 * } from "@effect/platform"
 * import { Effect, Layer, Schema } from "effect"
 * import { IdempotencyKey, IdempotencyStore } from "effect-resilience"
 * import * as IdempotencyApi from "effect-resilience/http/IdempotencyApi"
 *
 * class Orders extends HttpApiGroup.make("orders").add(
 *   HttpApiEndpoint.post("create", "/orders")
 *     .setPayload(Schema.Struct({ item: Schema.String }))
 *     .setHeaders(IdempotencyApi.Headers)
 *     .addSuccess(Schema.Struct({ id: Schema.Number }), { status: 201 })
 *     .middleware(IdempotencyApi.IdempotencyApi)
 * ) {}
 * class Shop extends HttpApi.make("shop").add(Orders) {}
 *
 * let orders = 0
 * const handlers = HttpApiBuilder.group(Shop, "orders", (handlers) =>
 *   handlers.handle("create", () => Effect.sync(() => ({ id: ++orders }))))
 *
 * const server = HttpApiBuilder.api(Shop).pipe(
 *   Layer.provide(handlers),
 *   Layer.provide(IdempotencyApi.layer(Shop, { scope: () => ["acme", "orders"], required: true })),
 *   Layer.provide(IdempotencyStore.layerStoreMemory),
 *   Layer.merge(HttpServer.layerContext)
 * )
 * const { handler } = HttpApiBuilder.toWebHandler(server)
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* HttpApiClient.make(Shop, { baseUrl: "http://shop.example" })
 *   const headers = { "idempotency-key": yield* IdempotencyKey.make }
 *   const order = (item: string) => client.orders.create({ payload: { item }, headers })
 *   const first = yield* order("tea")
 *   const again = yield* order("tea")
 *   const other = yield* order("coffee").pipe(
 *     Effect.catchTag("Mismatch", () => Effect.succeed("the key is taken"))
 *   )
 *   return [first.id, again.id, other, orders]
 * })
 *
 * const result = await Effect.runPromise(
 *   program.pipe(
 *     Effect.provide(FetchHttpClient.layer),
 *     Effect.provideService(
 *       FetchHttpClient.Fetch,
 *       (input, init) => handler(new Request(input, init))
 *     )
 *   )
 * )
 * result // => [1, 1, "the key is taken", 1]
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <
  Id extends string,
  Groups extends HttpApiGroup.HttpApiGroup.Any,
  E,
  R,
  R2 = never
>(
  api: HttpApi.HttpApi<Id, Groups, E, R>,
  options: IdempotencyMiddleware.Options<NoInfer<E>, R2>
): Layer.Layer<
  IdempotencyApi,
  never,
  IdempotencyStore.IdempotencyStore | HttpRouter.HttpRouter.ExcludeProvided<R2>
> => layerFor(IdempotencyApi, api, options)
