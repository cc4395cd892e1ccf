/** Sends a request and reads its answer in one attempt. */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as CallContext from "../runtime/callContext.js"
import type { Reading } from "./attempt.js"
import { directOf } from "./direct.js"

type Read<A, E, R> = (
  response: HttpClientResponse.HttpClientResponse
) => Effect.Effect<A, E, R>

/** What `read` has made of responses so far. Of several attempts each has its own. */
class Values<A> {
  readonly #byResponse = new Map<object, { readonly value: A }>()

  set(response: object, value: A): void {
    this.#byResponse.set(response, { value })
  }

  /** A client around ours may hand out a response of its own: then there should be one value. */
  of(response: object): { readonly value: A } | undefined {
    const found = this.#byResponse.get(response)
    if (found !== undefined || this.#byResponse.size !== 1) return found
    return [...this.#byResponse.values()][0]
  }
}

const run = <E, R, A, E2, R2>(
  client: HttpClient.HttpClient.With<E, R>,
  request: HttpClientRequest.HttpClientRequest,
  read: Read<A, E2, R2>
): Effect.Effect<A, E | E2, R | R2> =>
  Effect.withFiberRuntime<A, E | E2, R | R2>((fiber) => {
    const values = new Values<A>()
    // Only clients of the platform are asked, so this is a response of theirs.
    const reading = (response: object) =>
      Effect.map(
        read(response as HttpClientResponse.HttpClientResponse),
        (value) => values.set(response, value)
      )
    // What another call is to be read by is for that one: it says so in the context.
    const send = CallContext.reading.of(fiber) === undefined ? directOf(client, request) : undefined
    // Between here and there, a client of ours adds to the environment and takes nothing from it.
    return Effect.flatMap(
      send === undefined
        ? CallContext.reading.during(
          client.execute(request),
          (response) => within(reading(response), fiber.currentContext as Context.Context<R2>)
        )
        : send(reading as Reading),
      (response): Effect.Effect<A, E2, R2> => {
        const found = values.of(response)
        return found === undefined ? read(response) : Effect.succeed(found.value)
      }
    )
  })

/** Other clients may give what they run an environment of its own. */
const within = <A, E, R>(self: Effect.Effect<A, E, R>, environment: Context.Context<R>) =>
  Effect.mapInputContext(
    self,
    (inner: Context.Context<never>) => Context.merge(environment, inner)
  )

/**
 * Sends a request, reads the response and decodes it, all within one attempt.
 *
 * **When to use**
 *
 * For every call whose body matters. The time limits, the retry, the hedge and the circuit breaker
 * of the client then cover the body: one that stalls runs out of time, one that breaks off is
 * repeated where the operation allows.
 *
 * **Details**
 *
 * - `read` is `json(schema)`, `text`, `bytes`, or a function of your own. It gets successes only;
 *   `layer` also hands it the final response that is none.
 * - `read` runs once for each attempt that gets a success. It may check what a status does not say,
 *   such as a 200 whose body says `ok: false`: fail with an `ApiError` to have the call repeated.
 *   Errors of your own kind end the call as they are. They came after a success, so within an
 *   `Idempotency.run` they hold the claim, unless its `persistFailure` stores them.
 * - Clients derived from ours, with `HttpClient.mapRequest` and its kin, work the same way. With
 *   any other client the request is sent once and read once.
 *
 * **Example** (A body that broke off is asked for again)
 *
 * ```ts
 * import { FetchHttpClient, HttpClientRequest, HttpServerResponse } from "@effect/platform"
 * import { Effect, Schema } from "effect"
 * import { ApiClient, Backoff, Operation, Pipeline } from "effect-resilience"
 * import * as FlakyApi from "effect-resilience/testing/FlakyApi"
 *
 * const Total = ApiClient.json(Schema.Struct({ total: Schema.Number }))
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* FlakyApi.make({
 *     app: HttpServerResponse.json({ total: 3 }),
 *     script: FlakyApi.sequence([FlakyApi.truncated])
 *   })
 *   const client = yield* ApiClient.make({
 *     name: "statistics",
 *     baseUrl: server.url,
 *     pipeline: yield* Pipeline.make({
 *       operation: Operation.read,
 *       retry: { backoff: Backoff.constant("1 millis") }
 *     })
 *   })
 *   const { total } = yield* ApiClient.execute(client, HttpClientRequest.get("/v1/total"), Total)
 *   return [total, (yield* server.received).length]
 * })
 *
 * const run = program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
 * await Effect.runPromise(run) // => [3, 2]
 * ```
 *
 * @since 0.1.0
 * @category execution
 */
export const execute: {
  /** Sends a request and reads its response within one attempt. Client last, for `pipe`. */
  <A, E2, R2>(
    request: HttpClientRequest.HttpClientRequest,
    read: (
      response: HttpClientResponse.HttpClientResponse
    ) => Effect.Effect<A, E2, R2>
  ): <E, R>(client: HttpClient.HttpClient.With<E, R>) => Effect.Effect<A, E | E2, R | R2>
  /** Sends a request and reads its response within one attempt. Client first. */
  <E, R, A, E2, R2>(
    client: HttpClient.HttpClient.With<E, R>,
    request: HttpClientRequest.HttpClientRequest,
    read: (
      response: HttpClientResponse.HttpClientResponse
    ) => Effect.Effect<A, E2, R2>
  ): Effect.Effect<A, E | E2, R | R2>
} = dual(3, run)
