/** Decides when and how a stream of events goes on after its connection broke off. */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as EventStream from "../../core/eventStream.js"
import type * as RetryDecision from "../../core/retryDecision.js"
import * as RequestMetadata from "../requestMetadata.js"
import type { Broken, Continuation } from "./feed.js"
import { Replay } from "./replay.js"
import type { ResumptionSettings } from "./settings.js"

type Request = HttpClientRequest.HttpClientRequest

const header = "last-event-id"

/** The longest wait that an API may ask for with `Retry-After`. */
const retryAfterCapMillis = 60_000

/** The bytes of an id in UTF-8, as the characters that a header is made of. */
const headerOf = (id: string): string => {
  const bytes = new TextEncoder().encode(id)
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
}

/** The resumptions of one run of a stream. */
export class Resumption {
  readonly #replay = new Replay()
  #lastId = ""
  #retryMillis: number

  constructor(
    private readonly request: Request,
    private readonly operation: { readonly _tag: string },
    private readonly settings: ResumptionSettings,
    private readonly totalMillis: number
  ) {
    this.#retryMillis = settings.retryWaitMillis
  }

  /** Of the last connection that broke off; empty where there is none. */
  get lastId(): string {
    return this.#lastId
  }

  /** Events that have not been given out before. */
  news(events: ReadonlyArray<EventStream.Event>): ReadonlyArray<EventStream.Event> {
    return this.#replay.news(events)
  }

  /** How to go on, or why that cannot be. */
  again({ attempt, given, position }: Broken): Continuation | string {
    this.#lastId = position?.lastId ?? this.#lastId
    this.#retryMillis = position?.retryMillis ?? this.#retryMillis
    const refusal = this.#refusal(given)
    if (refusal !== undefined) return refusal
    this.#replay.begin()
    return {
      request: this.#lastId === "" ? this.request : HttpClientRequest.setHeader(
        RequestMetadata.withoutHeader(this.request, header),
        header,
        headerOf(this.#lastId)
      ),
      policy: this.#policy(attempt)
    }
  }

  #refusal(given: number): string | undefined {
    const { _tag } = this.operation
    const { maxResumptions, resume } = this.settings
    if (resume === false || maxResumptions === 0) return "the options say so"
    if (resume !== true && _tag !== "Read" && _tag !== "Idempotent") {
      return "the operation may not be repeated"
    }
    if (this.#lastId === "") return given === 0 ? undefined : "its events have no id"
    return RequestMetadata.isFieldValue(headerOf(this.#lastId))
      ? undefined
      : "the id of its last event cannot be sent"
  }

  /** The wait that was asked for is a floor: what is drawn comes on top of it. */
  #policy(attempt: number): RetryDecision.Policy {
    const { maxResumptions, maxRetryWaitMillis } = this.settings
    const delayMillis = Math.min(this.#retryMillis * 2 ** attempt, maxRetryWaitMillis)
    return {
      // Whether it may be repeated has been decided.
      operation: "Read",
      backoff: {
        _tag: "Constant",
        delayMillis,
        jitter: { _tag: "Additive", maxMillis: delayMillis / 2 }
      },
      retries: maxResumptions,
      withinMillis: this.totalMillis,
      retryAfterCapMillis,
      beyondCap: "fail",
      waitForRejections: false
    }
  }
}
