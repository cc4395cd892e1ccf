/** Reads one connection of a stream: the body of one response, piece by piece on demand. */
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ApiError from "../../errors/ApiError.js"
import * as Deadline from "../../policies/timeout/deadline.js"
import type { Deadline as Which } from "../../policies/timeout/limits.js"
import { unreadable } from "../responseError.js"
import { isUnended } from "./unended.js"

/** What some bytes said: items, and after them perhaps what is wrong with the rest. */
export interface Batch<A> {
  readonly items: ReadonlyArray<A>
  readonly fault?: ApiError.ApiError | undefined
}

/** Where a body is that can be gone on with: after which event, and after which wait. */
export interface Position {
  readonly lastId: string
  readonly retryMillis: number | undefined
}

/** Makes items of the bytes of one body. */
export interface Decoder<A, R> {
  readonly push: (bytes: Uint8Array) => Effect.Effect<Batch<A>, never, R>
  /** The body was whole. */
  readonly end: Effect.Effect<Batch<A>, never, R>
  readonly position: () => Position | undefined
}

/** The limits of a stream, in milliseconds, and when it began on the monotonic clock. */
export interface Limits {
  readonly idleMillis: number
  readonly totalMillis: number
  readonly startedNanos: bigint
}

type Pull = Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<HttpClientError.ResponseError>>

/** The failure of a stream that ran out of time. */
export const outOfTime = (
  which: Which,
  { idleMillis, totalMillis }: Limits,
  about: Pick<ApiError.Timeout, "status" | "method" | "endpoint">
): ApiError.Timeout =>
  new ApiError.Timeout({
    ...about,
    message: which === "total"
      ? `The stream did not end within ${Duration.format(Duration.millis(totalMillis))}`
      : `The stream was silent for ${Duration.format(Duration.millis(idleMillis))}`,
    deadline: which
  })

/** Starts the reading of a body and stops it at once, which lets go of its connection. */
const startAndStop = (pull: Pull): Effect.Effect<void> =>
  Effect.asVoid(
    Effect.exit(Deadline.run(pull, { attemptMillis: 0, totalMillis: Infinity }))
  )

/** Lets go of a body that is not read. */
export const cancel = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<void> =>
  Effect.asVoid(
    Effect.exit(Effect.scoped(Effect.flatMap(Stream.toPull(response.stream), startAndStop)))
  )

/** To be read by one fiber at a time. */
export class Connection<A, R> {
  #isStarted = false
  #isReading = false
  #isEnded = false
  #isClosed = false
  #fault: ApiError.ApiError | undefined
  #front: ReadonlyArray<A> = []

  private constructor(
    private readonly response: HttpClientResponse.HttpClientResponse,
    private readonly scope: Scope.CloseableScope,
    private readonly pull: Pull,
    private readonly decoder: Decoder<A, R>,
    private readonly limits: Limits,
    private readonly endpoint: string | undefined
  ) {}

  static make<A, R>(
    response: HttpClientResponse.HttpClientResponse,
    decoder: Decoder<A, R>,
    limits: Limits,
    endpoint: string | undefined
  ): Effect.Effect<Connection<A, R>> {
    return Effect.flatMap(Scope.make(), (scope) =>
      Effect.map(
        Scope.extend(Stream.toPull(response.stream), scope),
        (pull) => new Connection(response, scope, pull, decoder, limits, endpoint)
      ))
  }

  /** How far the body has been read. */
  get position(): Position | undefined {
    return this.decoder.position()
  }

  /** The error of a body that ends where it should not. */
  broken(where: string): ApiError.ApiError {
    return unreadable(this.response, where, this.endpoint)
  }

  /** The next items; none where the body has ended, whole. */
  readonly next: Effect.Effect<ReadonlyArray<A>, ApiError.ApiError, R> = Effect.suspend(() => {
    const front = this.#front
    this.#front = []
    if (front.length > 0) return Effect.succeed(front)
    if (this.#fault !== undefined) return Effect.fail(this.#fault)
    if (this.#isEnded) return Effect.succeed([])
    // What an interrupted read had taken is lost.
    if (this.#isReading) return Effect.fail(this.broken("its reading was interrupted"))
    this.#isReading = this.#isStarted = true
    return Effect.flatMap(
      this.#bytes,
      (pieces) =>
        Effect.flatMap(this.#decoded(pieces), ({ fault, items }) => {
          this.#isReading = false
          this.#isEnded = pieces === undefined
          this.#fault = fault
          return items.length > 0 ? Effect.succeed(items) : this.next
        })
    )
  })

  /** Reads until there is something to give out, which `next` then does. */
  readonly first: Effect.Effect<ReadonlyArray<A>, ApiError.ApiError, R> = Effect.tap(
    this.next,
    (items) => {
      this.#front = items
    }
  )

  /** Lets go of the body. Waits for it to be gone. */
  readonly close: Effect.Effect<void> = Effect.uninterruptible(Effect.suspend(() => {
    if (this.#isClosed) return Effect.void
    this.#isClosed = true
    const stop = this.#isStarted ? Effect.void : startAndStop(this.pull)
    // To cancel a body that has failed is to fail again, with fetch.
    return Effect.zipRight(stop, Effect.asVoid(Effect.exit(Scope.close(this.scope, Exit.void))))
  }))

  get #bytes(): Effect.Effect<Iterable<Uint8Array> | undefined, ApiError.ApiError> {
    const { idleMillis, startedNanos, totalMillis } = this.limits
    return Effect.catchAllCause(
      Deadline.run(
        Effect.mapError(this.pull, Option.getOrUndefined),
        { attemptMillis: idleMillis, totalMillis },
        startedNanos
      ),
      (cause) =>
        Option.match(Cause.failureOption(cause), {
          onNone: () => Effect.failCause(cause as Cause.Cause<never>),
          onSome: (error) => this.#ended(error)
        })
    )
  }

  /** What the end of the bytes means: the body is whole, out of time, or broken off. */
  #ended(
    error: HttpClientError.ResponseError | ApiError.Timeout | undefined
  ): Effect.Effect<undefined, ApiError.ApiError> {
    if (ApiError.isApiError(error)) return Effect.fail(this.#late(error))
    const isEnd = error === undefined || error.reason === "EmptyBody"
    if (isEnd && !isUnended(this.response)) return Effect.succeed(undefined)
    return Effect.fail(
      ApiError.isApiError(error?.cause) ? error.cause : this.broken("it broke off")
    )
  }

  #late({ deadline }: ApiError.Timeout): ApiError.Timeout {
    return outOfTime(deadline === "total" ? "total" : "attempt", this.limits, {
      status: this.response.status,
      method: this.response.request.method,
      endpoint: this.endpoint
    })
  }

  #decoded(pieces: Iterable<Uint8Array> | undefined): Effect.Effect<Batch<A>, never, R> {
    if (pieces === undefined) return this.decoder.end
    const items: Array<A> = []
    return Effect.map(
      Effect.reduce(
        pieces,
        undefined as ApiError.ApiError | undefined,
        (fault, piece) =>
          fault !== undefined ? Effect.succeed(fault) : Effect.map(
            this.decoder.push(piece),
            (batch) => {
              items.push(...batch.items)
              return batch.fault
            }
          )
      ),
      (fault) => ({ items, fault })
    )
  }
}
