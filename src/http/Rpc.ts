/**
 * Protects the calls of an `@effect/rpc` client by a pipeline: retry, breaker, time limits, and one
 * idempotency key for all attempts of a call.
 *
 * The client of `@effect/rpc` sends each call once. What breaks below it comes back as one
 * `RpcClientError`, whatever broke, and a procedure that was executed before its answer was lost
 * looks like one that never arrived. Here transport failures become `ApiError`s, which say whether
 * the call may have been executed, and the failures that a procedure declares stay what they are.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as RpcDefinition from "@effect/rpc/Rpc"
import * as RpcClient from "@effect/rpc/RpcClient"
import type { RpcClientError } from "@effect/rpc/RpcClientError"
import type * as RpcGroup from "@effect/rpc/RpcGroup"
import * as RpcSchema from "@effect/rpc/RpcSchema"
import type * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as ApiError from "../errors/ApiError.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as Operation from "../idempotency/Operation.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import { opening } from "./rpc/opening.js"
import { toApiError } from "./rpc/transportFailure.js"

/**
 * How the calls of a client are protected.
 *
 * **Details**
 *
 * - `pipeline` (required): what all calls go through. Its own operation does not count.
 * - `operation` (required): what executing a procedure twice would mean, by its tag. A `keyed` call
 *   sends a key; the server has to recognise it.
 * - `header`: the RPC header of the key. Default `idempotency-key`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<Tag extends string, E = never> {
  /** The pipeline that all calls go through (required). Its own operation does not count. */
  readonly pipeline: Pipeline.Pipeline<E, unknown>
  /** Says what a second execution of a procedure would mean, by its tag (required). */
  readonly operation: (tag: Tag) => Operation.Operation<unknown>
  /** The RPC header of the key. Default `idempotency-key`. */
  readonly header?: string | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `header`. */
  header: "idempotency-key"
} as const

/** The options of one call that matter here. All others are passed on. */
interface CallOptions {
  readonly headers?: Headers.Input | undefined
  readonly asMailbox?: boolean | undefined
  readonly streamBufferSize?: number | undefined
}

/** A procedure of the client, whatever its types. */
type Procedure = (
  payload: unknown,
  options?: CallOptions
) => Effect.Effect<unknown, unknown> | Stream.Stream<unknown, unknown>

/** One procedure and how its calls are protected. */
interface Guarded {
  readonly tag: string
  readonly procedure: Procedure
  readonly isStream: boolean
  readonly header: string
  readonly isKeyed: boolean
  readonly pipeline: Pipeline.Pipeline<unknown>
}

/** The headers of a call as the caller gave them: with the call, or around it. */
const givenHeaders = (options: CallOptions | undefined): Effect.Effect<Headers.Headers> =>
  Effect.map(
    FiberRef.get(RpcClient.currentHeaders),
    Headers.merge(Headers.fromInput(options?.headers))
  )

/**
 * The options that every attempt of one call is made with. The key is the caller's own header, else
 * the one in the environment, else a new one.
 */
const fixed = (
  { header, isKeyed }: Guarded,
  options: CallOptions | undefined
): Effect.Effect<CallOptions | undefined> =>
  !isKeyed ? Effect.succeed(options) : Effect.flatMap(givenHeaders(options), (given) => {
    if (Headers.has(given, header)) return Effect.succeed(options)
    const stamped = Effect.map(IdempotencyKey.IdempotencyKey, (key) => ({
      ...options,
      headers: Headers.set(
        Headers.fromInput(options?.headers),
        header,
        IdempotencyKey.toHeader(key)
      )
    }))
    return Effect.flatMap(
      Effect.serviceOption(IdempotencyKey.IdempotencyKey),
      Option.match({
        onNone: () => IdempotencyKey.provideNew(stamped),
        onSome: (key) => IdempotencyKey.provide(stamped, key)
      })
    )
  })

const guard = <A, E, R>(
  { pipeline, tag }: Guarded,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, unknown, R> =>
  Pipeline.protect(
    Effect.mapError(self, (error) => toApiError(error, tag)),
    pipeline,
    { about: { endpoint: tag } }
  )

const callOf = (
  guarded: Guarded,
  payload: unknown,
  options: CallOptions | undefined
): Effect.Effect<unknown, unknown> =>
  Effect.flatMap(fixed(guarded, options), (fixed) => {
    const call = guarded.procedure(payload, fixed)
    return guard(guarded, call as Effect.Effect<unknown, unknown>)
  })

const streamOf = (
  guarded: Guarded,
  payload: unknown,
  options: CallOptions | undefined
): Stream.Stream<unknown, unknown> =>
  Stream.unwrapScoped(
    Effect.flatMap(fixed(guarded, { ...options, asMailbox: false }), (fixed) => {
      const stream = guarded.procedure(payload, fixed) as Stream.Stream<unknown, unknown>
      return Effect.map(
        guard(guarded, opening(stream)),
        Stream.mapError((error) => toApiError(error, guarded.tag))
      )
    })
  )

const mailboxOf = (
  stream: Stream.Stream<unknown, unknown>,
  options: CallOptions
): Effect.Effect<Mailbox.ReadonlyMailbox<unknown, unknown>, never, Scope.Scope> =>
  Mailbox.fromStream(stream, { capacity: options.streamBufferSize ?? 16 })

const protectedProcedure =
  (guarded: Guarded) => (payload: unknown, options?: CallOptions): unknown => {
    if (!guarded.isStream) return callOf(guarded, payload, options)
    const stream = streamOf(guarded, payload, options)
    return options?.asMailbox === true ? mailboxOf(stream, options) : stream
  }

type Methods = { [name: string]: unknown }

/** Where a procedure stands in a client: `"users.get"` is `client.users.get`. */
const placeOf = (tag: string): readonly [prefix: string | undefined, name: string] => {
  const dot = tag.indexOf(".")
  return dot === -1 ? [undefined, tag] : [tag.slice(0, dot), tag.slice(dot + 1)]
}

const protectClient = <Rpcs extends RpcDefinition.Any, E>(
  client: RpcClient.RpcClient<Rpcs, RpcClientError>,
  group: RpcGroup.RpcGroup<Rpcs>,
  options: Options<Rpcs["_tag"], E>
): RpcClient.RpcClient<Rpcs, ApiError.ApiError | E> => {
  const methods = client as Methods
  const result: Methods = {}
  for (const [tag, rpc] of group.requests) {
    const [prefix, name] = placeOf(tag)
    const from = prefix === undefined ? methods : methods[prefix] as Methods
    const to = prefix === undefined ? result : (result[prefix] ??= {}) as Methods
    const operation = options.operation(tag as Rpcs["_tag"])
    const { successSchema } = rpc as unknown as RpcDefinition.AnyWithProps
    to[name] = protectedProcedure({
      tag,
      procedure: from[name] as Procedure,
      isStream: RpcSchema.isStreamSchema(successSchema),
      header: (options.header ?? defaults.header).toLowerCase(),
      isKeyed: operation._tag === "Keyed",
      pipeline: Pipeline.forOperation(options.pipeline, operation)
    })
  }
  // The same methods with other failures, which is what the type says.
  return result as RpcClient.RpcClient<Rpcs, ApiError.ApiError | E>
}

/**
 * Puts a client behind a pipeline. The methods and their types stay; `RpcClientError` is replaced
 * by `ApiError` and by the rejections of the pipeline.
 *
 * **When to use**
 *
 * Around the client of `RpcClient.make`, over any protocol. Do not also retry in the `HttpClient`
 * below it: three attempts of three attempts are nine.
 *
 * **Details**
 *
 * - A transport failure becomes an `ApiError`: `Network` when no answer came, with `sent: "no"`
 *   when the connection could not be made; the error of the status when a server in between
 *   answered with one that is no success (429, 503), `Retry-After` included. An answer that broke
 *   off is a `Network` error too: the status of an RPC answer says nothing of the procedure.
 * - A failure that a procedure declares is never repeated, unless it is an `ApiError` or the
 *   `verdict` of the pipeline's retry says that it is transient. Defects end the call at once.
 * - A `keyed` call sends one key in its RPC headers, the same on every attempt: a header of that
 *   name which the caller gave, else the `IdempotencyKey` in the environment, else a new one for
 *   each call. The handler of the procedure reads it from `headers`.
 * - A stream goes through the pipeline until its first element: retries, time limits and breaker
 *   cover its opening, and nothing after that is repeated. `asMailbox` works as before.
 * - The endpoint in errors and in telemetry is the tag of the procedure.
 *
 * O(procedures) when it is made; nothing is added per call besides the pipeline.
 *
 * **Gotchas**
 *
 * - `RpcClient.layerProtocolHttp` reads the body of any status, and the HTML page of a proxy is a
 *   defect for the serializations that are streams. Use {@link layerProtocolHttp} of this module.
 * - An answer over HTTP that ends without a result leaves its call waiting. Set an
 *   `attemptTimeout`.
 * - One `IdempotencyKey` in the environment of several calls is sent with each of them. Give each
 *   its own: `IdempotencyKey.derive`.
 *
 * **Example** (A charge whose answer is lost)
 *
 * ```ts
 * import { Rpc, RpcClientError, RpcGroup, RpcTest } from "@effect/rpc"
 * import { Effect, Schema } from "effect"
 * import { Backoff, Operation, Pipeline } from "effect-resilience"
 * import * as ProtectedRpc from "effect-resilience/http/Rpc"
 *
 * class Payments extends RpcGroup.make(
 *   Rpc.make("Charge", { payload: { cents: Schema.Number }, success: Schema.String })
 * ) {}
 *
 * const receipts = new Map<string | undefined, string>()
 * const handlers = Payments.toLayer({
 *   Charge: ({ cents }, { headers }) =>
 *     Effect.sync(() => {
 *       const key = headers["idempotency-key"]
 *       const receipt = receipts.get(key) ?? `${cents} cents, receipt ${receipts.size + 1}`
 *       receipts.set(key, receipt)
 *       return receipt
 *     })
 * })
 *
 * const program = Effect.gen(function*() {
 *   const plain = yield* RpcTest.makeClient(Payments)
 *   let calls = 0
 *   const client = ProtectedRpc.protect(
 *     {
 *       Charge: (payload, options) =>
 *         Effect.zipLeft(
 *           plain.Charge(payload, options),
 *           Effect.suspend(() =>
 *             ++calls === 1
 *               ? new RpcClientError.RpcClientError({ reason: "Protocol", message: "lost" })
 *               : Effect.void
 *           )
 *         )
 *     },
 *     Payments,
 *     {
 *       pipeline: yield* Pipeline.make({
 *         operation: Operation.keyed,
 *         retry: { backoff: Backoff.constant("1 millis") }
 *       }),
 *       operation: () => Operation.keyed
 *     }
 *   )
 *   return [yield* client.Charge({ cents: 900 }), calls, receipts.size]
 * })
 *
 * const result = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(handlers)))
 * result // => ["900 cents, receipt 1", 2, 1]
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: {
  /** Puts a client behind a pipeline. Client last, for `pipe`. */
  <Rpcs extends RpcDefinition.Any, E>(
    group: RpcGroup.RpcGroup<Rpcs>,
    options: Options<Rpcs["_tag"], E>
  ): (
    client: RpcClient.RpcClient<Rpcs, RpcClientError>
  ) => RpcClient.RpcClient<Rpcs, ApiError.ApiError | E>
  /** Puts the client behind a pipeline. Client first. */
  <Rpcs extends RpcDefinition.Any, E>(
    client: RpcClient.RpcClient<Rpcs, RpcClientError>,
    group: RpcGroup.RpcGroup<Rpcs>,
    options: Options<Rpcs["_tag"], E>
  ): RpcClient.RpcClient<Rpcs, ApiError.ApiError | E>
} = dual(3, protectClient)

/**
 * Makes the protocol over HTTP, and reads no body of an answer that is not a success. Otherwise the
 * same as `RpcClient.layerProtocolHttp`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerProtocolHttp = (
  options: Parameters<typeof RpcClient.layerProtocolHttp>[0]
): Layer.Layer<
  RpcClient.Protocol,
  never,
  RpcSerialization.RpcSerialization | HttpClient.HttpClient
> =>
  RpcClient.layerProtocolHttp(options).pipe(
    Layer.provide(
      Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.filterStatusOk)
      )
    )
  )
