/**
 * Streams over as many connections as needed.
 *
 * The first connection is made by the client's pipeline, which tries again until there is something
 * to give out. Later ones go on where the last one broke off.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Tracer from "effect/Tracer"
import * as RetryDecision from "../../core/retryDecision.js"
import * as ApiError from "../../errors/ApiError.js"
import * as CallFacts from "../../errors/callFacts.js"
import { singleLine } from "../../errors/redaction/controls.js"
import * as Deadline from "../../policies/timeout/deadline.js"
import { toCore } from "../../retry/policy.js"
import * as CallContext from "../../runtime/callContext.js"
import { elapsedMillis } from "../../runtime/clock.js"
import { sleepAtLeast } from "../../runtime/sleep.js"
import { execute } from "../execute.js"
import * as RequestMetadata from "../requestMetadata.js"
import { fromResponse, unexpected } from "../responseError.js"
import { cancel, Connection, type Decoder, outOfTime, type Position } from "./connection.js"
import type { Settings } from "./settings.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

/** How a stream goes on after its connection broke off. */
export interface Continuation {
  readonly request: Request
  readonly policy: RetryDecision.Policy
}

/**
 * A stream whose connection broke off after `given` items, where its body was, and how often it has
 * gone on since the last item.
 */
export interface Broken {
  readonly given: number
  readonly position: Position | undefined
  readonly attempt: number
}

/** What makes the items of a stream; `B` is what the decoder gives, `A` what is given out. */
export interface Source<B, A, R> {
  readonly noun: "event" | "line"
  readonly accept: string
  readonly settings: Settings
  readonly isLast: ((item: A) => boolean) | undefined
  /** For a new connection. */
  readonly decoder: (response: Response, endpoint: string | undefined) => Decoder<B, R>
  /** Without what has been given out before. */
  readonly news: (items: ReadonlyArray<B>) => ReadonlyArray<A>
  /** How to go on, or why that cannot be. */
  readonly again: (broken: Broken) => Continuation | string
}

/** How often the stream has gone on since the last item, and after which wait. */
interface Row {
  readonly attempt: number
  readonly previousMillis: number
}

const noRow: Row = { attempt: 0, previousMillis: 0 }

const why = {
  terminal: "the error is final",
  notRepeatable: "the operation may not be repeated",
  rejected: "the call was rejected",
  retries: "it had gone on as often as it may without a new one",
  retryAfter: "the API asks for a longer wait than is allowed",
  deadline: "the wait would not end within the total",
  budget: "the budget is spent"
} as const

/** A media type that can be shown, without its parameters. */
const typeOf = ({ headers }: Response): string =>
  (headers["content-type"] ?? "").replace(/;.*$/s, "").trim().toLowerCase()

const shown = (type: string): string =>
  type === "" ? "missing" : /^[\w.+-]{1,40}\/[\w.+-]{1,60}$/.test(type) ? type : "another"

const shownEndpointOf = (request: Request): string =>
  RequestMetadata.scrubberFor(request)(RequestMetadata.endpointOf(request))

/** Statuses of a success that has no body at all (RFC 9110 section 15.3.5, 15.3.6). */
const isBodiless = (status: number): boolean => status === 204 || status === 205

/** To be run by one fiber at a time, under a scope. */
export class Feed<B, A, E, R, R2> {
  #connection: Connection<B, R2> | undefined
  #isDone = false
  #given = 0
  #resumptions = 0
  #row = noRow
  /** Of a path that was not declared, the client says with its first answer what may be shown. */
  #endpoint: string | undefined
  readonly #open = new Set<Connection<B, R2>>()

  constructor(
    private readonly client: HttpClient.HttpClient.With<E, R>,
    private readonly request: Request,
    private readonly source: Source<B, A, R2>,
    private readonly declared: string | undefined,
    private readonly operation: { readonly _tag: string },
    private readonly startedNanos: bigint,
    private readonly span: Tracer.Span
  ) {
    this.#endpoint = declared
  }

  /** The next items, or the end of the stream. */
  readonly pull: Effect.Effect<
    Chunk.Chunk<A>,
    Option.Option<ApiError.ApiError | E>,
    R | R2
  > = Effect.suspend(() =>
    this.#isDone
      ? Effect.fail(Option.none())
      : Effect.mapError(
        Effect.flatMap(this.#inTime, () =>
          this.#connection === undefined
            ? Effect.zipRight(this.#connect(this.request, this.#startsWithHead), this.#read)
            : this.#read),
        Option.some
      )
  ).pipe(
    Effect.flatMap((items) =>
      items.length > 0
        ? Effect.succeed(Chunk.unsafeFromArray(items))
        : Effect.fail(Option.none())
    ),
    Effect.tapError(() => Effect.zipRight(this.#finish, this.release))
  )

  /** Lets go of every connection. */
  readonly release: Effect.Effect<void> = Effect.suspend(() => this.#closeExcept(undefined))

  /** Says what the stream was, on its span. */
  readonly describe: Effect.Effect<void> = Effect.sync(() => {
    this.span.attribute("resilience.endpoint", this.#endpoint)
    this.span.attribute(`resilience.${this.source.noun}s`, this.#given)
    this.span.attribute("resilience.resumptions", this.#resumptions)
  })

  get #startsWithHead(): boolean {
    return this.source.settings.startsWithHead
  }

  get #limits() {
    const { idleMillis, totalMillis } = this.source.settings
    return { idleMillis, totalMillis, startedNanos: this.startedNanos }
  }

  get #finish(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#isDone = true
    })
  }

  /** A source that never lets its consumer wait is cut here. */
  get #inTime(): Effect.Effect<void, ApiError.Timeout> {
    return Effect.flatMap(this.#elapsed, (elapsed) =>
      elapsed >= this.#limits.totalMillis
        ? Effect.fail(this.#late)
        : Effect.void)
  }

  get #elapsed(): Effect.Effect<number> {
    return Effect.clockWith((clock) => Effect.sync(() => elapsedMillis(clock, this.startedNanos)))
  }

  get #late(): ApiError.Timeout {
    const about = { method: this.request.method, endpoint: this.#endpoint }
    return this.#identified(outOfTime("total", this.#limits, about))
  }

  /** Items that are new; none at the end of the stream. */
  get #read(): Effect.Effect<ReadonlyArray<A>, ApiError.ApiError | E, R | R2> {
    return Effect.suspend(() => {
      const connection = this.#connection
      if (connection === undefined) return Effect.succeed([])
      return Effect.matchEffect(this.#whole(connection, connection.next), {
        onFailure: (error) =>
          ApiError.isUnreadable(error) ? this.#goOn(error) : this.#failed(error),
        onSuccess: (items) => items.length > 0 ? this.#give(items) : Effect.succeed([])
      })
    })
  }

  /** A body that ended, where one item was to be the last, has broken off. */
  #whole(
    connection: Connection<B, R2>,
    items: Effect.Effect<ReadonlyArray<B>, ApiError.ApiError, R2>
  ): Effect.Effect<ReadonlyArray<B>, ApiError.ApiError, R2> {
    return this.source.isLast === undefined
      ? items
      : Effect.filterOrFail(
        items,
        ({ length }) => length > 0,
        () => connection.broken(`it ended before its last ${this.source.noun}`)
      )
  }

  #give(items: ReadonlyArray<B>): Effect.Effect<ReadonlyArray<A>, ApiError.ApiError | E, R | R2> {
    const news = this.source.news(items)
    const { isLast } = this.source
    const last = isLast === undefined ? -1 : news.findIndex(isLast)
    const given = last === -1 ? news : news.slice(0, last + 1)
    this.#given += given.length
    if (given.length === 0) return this.#read
    this.#row = noRow
    return last === -1
      ? Effect.succeed(given)
      : Effect.as(Effect.zipRight(this.#finish, this.release), given)
  }

  /** After an error of a stream that has begun: its call may have run, whatever it is mapped to. */
  #failed<E2>(error: E2, ...more: ReadonlyArray<string>): Effect.Effect<never, E2> {
    const failure = CallFacts.ofCall(error, { mayHaveRun: true })
    return Effect.zipRight(
      CallFacts.executed(this.operation),
      Effect.fail(ApiError.isApiError(failure) ? this.#identified(failure, ...more) : failure)
    )
  }

  /**
   * The error with the stream that it is about in its text, where a client has not put it there.
   */
  #identified<E2 extends ApiError.ApiError>(error: E2, ...more: ReadonlyArray<string>): E2 {
    const { noun } = this.source
    const call = singleLine(`${this.request.method} ${this.#endpoint ?? ""}`).trim()
    const facts = [
      ...(error.message.includes(call) ? [] : [call]),
      `after ${this.#given} ${noun}${this.#given === 1 ? "" : "s"}`,
      ...more
    ]
    return ApiError.annotate(error, { message: `${error.message} (${facts.join(", ")})` })
  }

  /** The next connection, which goes on where the last one broke off. */
  #goOn(
    error: ApiError.ApiError | E
  ): Effect.Effect<ReadonlyArray<A>, ApiError.ApiError | E, R | R2> {
    return Effect.zipRight(
      this.release,
      Effect.suspend(() => {
        const again = this.source.again({
          given: this.#given,
          position: this.#connection?.position,
          attempt: this.#row.attempt
        })
        if (typeof again === "string") return this.#failed(error, `not resumed: ${again}`)
        return Effect.flatMap(Effect.zip(Random.next, this.#elapsed), ([unit, elapsedMillis]) => {
          const decision = RetryDecision.decide(again.policy, {
            ...this.#row,
            unit,
            elapsedMillis,
            verdict: toCore(ApiError.verdict(error)),
            budgetLeft: true
          })
          return decision._tag === "Stop"
            ? this.#failed(error, `not resumed: ${why[decision.reason]}`)
            : this.#reconnect(again.request, decision.delayMillis)
        })
      })
    )
  }

  #reconnect(
    request: Request,
    delayMillis: number
  ): Effect.Effect<ReadonlyArray<A>, ApiError.ApiError | E, R | R2> {
    this.#row = { attempt: this.#row.attempt + 1, previousMillis: delayMillis }
    this.#resumptions += 1
    const connected = Effect.zipRight(
      this.#within(sleepAtLeast(delayMillis)),
      // What a stream that goes on waits for may be long in coming.
      this.#connect(request, true)
    )
    return Effect.matchEffect(connected, {
      onFailure: (error) => this.#goOn(error),
      onSuccess: () => this.#read
    })
  }

  #within<A2, E2, R3>(
    self: Effect.Effect<A2, E2, R3>
  ): Effect.Effect<A2, E2 | ApiError.Timeout, R3> {
    const { totalMillis } = this.#limits
    const limits = { attemptMillis: Infinity, totalMillis }
    return Effect.flatten(
      Effect.mapError(
        Deadline.run(Effect.either(self), limits, this.startedNanos),
        () => this.#late
      )
    )
  }

  #connect(
    request: Request,
    startsWithHead: boolean
  ): Effect.Effect<void, ApiError.ApiError | E, R | R2> {
    const { accept } = this.source
    const asked = RequestMetadata.headerOf(request, "accept") === undefined
      ? HttpClientRequest.setHeader(request, "accept", accept)
      : request
    const connecting = execute(
      this.client,
      asked,
      (response) => this.#opened(response, startsWithHead)
    )
    return this.#within(
      this.declared === undefined
        ? connecting
        : CallContext.endpoint.during(connecting, this.declared)
    ).pipe(
      Effect.withParentSpan(this.span),
      Effect.flatMap((connection) => {
        this.#connection = connection
        if (connection === undefined) this.#isDone = true
        // Of hedges, and of attempts that were too late, there may be others.
        return this.#closeExcept(connection)
      })
    )
  }

  /** Within the attempt: what is wrong here is tried again by the pipeline. */
  #opened(
    answer: Response,
    startsWithHead: boolean
  ): Effect.Effect<Connection<B, R2> | undefined, ApiError.ApiError, R2> {
    return Effect.flatMap(fromResponse(answer), (response) => {
      const type = typeOf(response)
      const endpoint = this.#endpoint ??= shownEndpointOf(response.request)
      if (isBodiless(response.status)) return Effect.as(cancel(response), undefined)
      if (!this.source.settings.contentTypes.includes(type)) {
        return Effect.zipRight(
          cancel(response),
          Effect.fail(unexpected(response, `its content type is ${shown(type)}`, endpoint))
        )
      }
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          Connection.make(
            response,
            this.source.decoder(response, endpoint),
            this.#limits,
            endpoint
          ),
          (connection) => {
            this.#open.add(connection)
            const begun = startsWithHead ? Effect.void : this.#whole(connection, connection.first)
            return Effect.as(restore(begun), connection).pipe(
              Effect.onError(() => this.#close(connection))
            )
          }
        )
      )
    })
  }

  #close(connection: Connection<B, R2>): Effect.Effect<void> {
    return Effect.zipRight(
      Effect.sync(() => this.#open.delete(connection)),
      connection.close
    )
  }

  #closeExcept(kept: Connection<B, R2> | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      const others = [...this.#open].filter((connection) => connection !== kept)
      return Effect.forEach(others, (connection) => this.#close(connection), { discard: true })
    })
  }
}
