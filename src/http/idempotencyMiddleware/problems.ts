/**
 * The refusals of the idempotency middleware, one problem document for each reason.
 *
 * An outcome that the client has to find out by itself is a 409, not a 5xx. A client that does not
 * know the problem types repeats a 5xx, sooner or later under a new key, and does not repeat a 409.
 */
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import type * as IdempotencyErrors from "../../errors/idempotencyErrors.js"
import { typeOf, type Word } from "../idempotencyTypes.js"
import * as ProblemDetails from "../ProblemDetails.js"

const titles: Readonly<Record<Word, readonly [status: number, title: string]>> = {
  "key-missing": [400, "An idempotency key is required"],
  "key-invalid": [400, "The idempotency key is not valid"],
  mismatch: [422, "The idempotency key was used before for another request"],
  "in-flight": [409, "An earlier request has this idempotency key"],
  "store-unavailable": [
    503,
    "Idempotency cannot be guaranteed at the moment: nothing was executed"
  ],
  "unknown-outcome": [
    409,
    "It is unknown whether the first request with this idempotency key was executed"
  ],
  "result-unavailable": [409, "The request was executed before, but its response was not kept"],
  "corrupt-record": [
    409,
    "The record of the first request with this idempotency key cannot be read"
  ],
  "scope-invalid": [500, "The scope of the idempotency key is not valid"]
}

const problem = (word: Word, detail: string, extensions: { readonly retryAfter?: number } = {}) => {
  const [status, title] = titles[word]
  return ProblemDetails.toResponse({ type: typeOf(word), title, status, detail, ...extensions })
}

export const keyMissing = (header: string): HttpServerResponse.HttpServerResponse =>
  problem(
    "key-missing",
    `Send the header ${header} with a key of your own for each operation, ` +
      "the same one on every attempt"
  )

/** The 400 for an invalid key. The reason does not repeat the key. */
export const keyInvalid = (reason: string): HttpServerResponse.HttpServerResponse =>
  problem("key-invalid", reason)

export const tooLarge = (maxBodyBytes: number): HttpServerResponse.HttpServerResponse =>
  ProblemDetails.toResponse(
    ProblemDetails.ofStatus(413, `At most ${maxBodyBytes} bytes are accepted; nothing was executed`)
  )

export const unreadable: HttpServerResponse.HttpServerResponse = ProblemDetails.toResponse(
  ProblemDetails.ofStatus(400, "The request body broke off; nothing was executed")
)

/** Whole seconds, and at least one. */
const wait = (duration: Duration.Duration): { readonly retryAfter: number } => ({
  retryAfter: Math.max(1, Math.ceil(Duration.toSeconds(duration)))
})

/**
 * The refusal of a duplicate. `longest` limits its `Retry-After`, because the earlier request may
 * end long before its lease does. One that has ended already holds the key for all of its lease: an
 * earlier attempt would learn nothing.
 */
const inFlight = (
  { held, retryAfter }: IdempotencyErrors.InFlight,
  longest: Duration.Duration,
  nowMillis: number
): HttpServerResponse.HttpServerResponse => {
  if (held !== true) {
    return problem(
      "in-flight",
      "It is still running, or was cut off. Repeat it with the same key",
      wait(Duration.min(retryAfter, longest))
    )
  }
  const until = new Date(nowMillis + Duration.toMillis(retryAfter)).toISOString()
  return problem(
    "in-flight",
    `It has ended with an unknown outcome, and the key is held until ${until}. ` +
      "Repeat it then, with the same key",
    wait(retryAfter)
  )
}

/** The refusal for an error of the run. `longest`: the longest `Retry-After` of a duplicate. */
export const of = (
  error: IdempotencyErrors.IdempotencyError,
  longest: Duration.Duration,
  nowMillis: number
): HttpServerResponse.HttpServerResponse => {
  switch (error._tag) {
    case "Mismatch":
      return problem(
        "mismatch",
        "Use a new key for a new operation, and send a repeated one unchanged"
      )
    case "InFlight":
      return inFlight(error, longest, nowMillis)
    case "StoreUnavailable":
      return problem("store-unavailable", "Repeat it with the same key", wait(error.retryAfter))
    case "UnknownOutcome":
      return problem(
        "unknown-outcome",
        "Find out before you send it under another key: it could be executed twice"
      )
    case "ResultUnavailable":
      return problem(
        "result-unavailable",
        "Read the resource; under another key it would be executed twice"
      )
    case "CorruptRecord":
      return problem(
        "corrupt-record",
        "It was not executed again; find out before you send it under another key"
      )
    case "FingerprintError":
      return problem("scope-invalid", error.message)
  }
}
