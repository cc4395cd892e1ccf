/** Decodes the bytes of a body into events and lines. */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as EventStream from "../../core/eventStream.js"
import * as Lines from "../../core/lines.js"
import type * as ApiError from "../../errors/ApiError.js"
import { misfits } from "../misfits.js"
import { scrubberFor } from "../requestMetadata.js"
import { unexpected, unreadable } from "../responseError.js"
import type { Batch, Decoder } from "./connection.js"

/** Where the bytes come from, and how many of them one item may have. */
interface Body {
  readonly response: HttpClientResponse.HttpClientResponse
  readonly endpoint: string | undefined
  readonly maxBytes: number
}

const tooLarge = (noun: string, { endpoint, maxBytes, response }: Body): ApiError.ApiError =>
  unexpected(response, `one ${noun} has more than ${maxBytes} bytes`, endpoint)

/** Events after the one with `lastId`. What has come of an event whose end has not is dropped. */
export const events = (body: Body, lastId: string): Decoder<EventStream.Event, never> => {
  const parser = new EventStream.Parser(body.maxBytes, lastId)
  return {
    push: (bytes) =>
      Effect.sync(() => {
        const items = parser.push(bytes)
        return parser.isTooLarge ? { items, fault: tooLarge("event", body) } : { items }
      }),
    end: Effect.succeed({ items: [] }),
    position: () => parser
  }
}

/** Lines of JSON, each decoded; empty ones are left out. */
export const lines = <A, I, R>(body: Body, schema: Schema.Schema<A, I, R>): Decoder<A, R> => {
  const reader = new Reader(body, Schema.decodeUnknown(schema))
  return {
    push: (bytes) => reader.push(bytes),
    end: Effect.suspend(() => reader.end()),
    position: () => undefined
  }
}

const json = (text: string): Either.Either<unknown, string> =>
  Either.try({ try: (): unknown => JSON.parse(text), catch: () => "it is not JSON" })

class Reader<A, R> {
  readonly #lines = new Lines.Lines("lf")
  #number = 0

  constructor(
    private readonly body: Body,
    private readonly decode: ReturnType<typeof Schema.decodeUnknown<A, unknown, R>>
  ) {}

  push(bytes: Uint8Array): Effect.Effect<Batch<A>, never, R> {
    const texts: Array<string> = []
    const { maxBytes } = this.body
    const isWhole = this.#lines.push(bytes, (line) => {
      if (line.length > maxBytes) return false
      texts.push(Lines.textOf(line, this.#number + texts.length === 0))
      return true
    })
    const fits = isWhole && this.#lines.pending <= maxBytes
    return Effect.map(
      this.#batch(texts, (where) => this.#misfit(where)),
      (batch) => fits ? batch : { fault: tooLarge("line", this.body), ...batch }
    )
  }

  /** The last line needs no end; but where it is no JSON, there was more of it. */
  end(): Effect.Effect<Batch<A>, never, R> {
    const { endpoint, response } = this.body
    const text = Lines.textOf(this.#lines.rest(), this.#number === 0)
    return this.#batch([text], (where, isJson) =>
      isJson
        ? this.#misfit(where)
        : unreadable(response, `line ${this.#number} broke off`, endpoint))
  }

  #misfit(where: string): ApiError.ApiError {
    const { endpoint, response } = this.body
    return unexpected(response, `line ${this.#number}: ${where}`, endpoint)
  }

  /** The values of lines, up to the first that does not fit. */
  #batch(
    texts: ReadonlyArray<string>,
    fault: (where: string, isJson: boolean) => ApiError.ApiError
  ): Effect.Effect<Batch<A>, never, R> {
    const items: Array<A> = []
    return Effect.forEach(texts, (text) => {
      this.#number += 1
      if (text.trim() === "") return Effect.void
      const parsed = json(text)
      return Either.isLeft(parsed)
        ? Effect.fail(fault(parsed.left, false))
        : Effect.matchEffect(this.decode(parsed.right), {
          onSuccess: (item) => Effect.sync(() => void items.push(item)),
          onFailure: (error) =>
            Effect.fail(fault(misfits(error.issue, scrubberFor(this.body.response.request)), true))
        })
    }, { discard: true }).pipe(Effect.match({
      onSuccess: () => ({ items }),
      onFailure: (fault) => ({ items, fault })
    }))
  }
}
