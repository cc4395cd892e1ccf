/** What the tests of error responses share. */
import { Duration, Effect } from "effect"
import { type ApiError, ErrorResponse, type Playbook } from "effect-resilience"

export const encode = (text: string) => new TextEncoder().encode(text)

export const nowMillis = Date.parse("2026-10-21T07:00:00Z")

export const decode = (
  body: unknown,
  options: { contentType?: string; schema?: ErrorResponse.Decoder } = {}
) =>
  Effect.runSync(ErrorResponse.decode(
    body instanceof Uint8Array
      ? body
      : encode(typeof body === "string" ? body : JSON.stringify(body)),
    { contentType: "application/json", ...options }
  ))

export const errorOf = (
  status: number,
  body: unknown = "",
  headers: Record<string, string> = {},
  playbook?: Playbook.Playbook
) => ErrorResponse.toApiError({ status, headers, body: decode(body), nowMillis }, playbook)

/** Tag, code and message of an error, and whether the standard verdict repeats it. */
export const said = (error: ApiError.ApiError) => [error._tag, error.code, error.message]

export const retryAfter = (error: ApiError.ApiError) =>
  "retryAfter" in error && error.retryAfter !== undefined
    ? Duration.toMillis(error.retryAfter)
    : undefined
