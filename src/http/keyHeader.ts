/**
 * Reads the idempotency key of an incoming request.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"

export type KeyHeader =
  | { readonly _tag: "Key"; readonly key: IdempotencyKey.IdempotencyKey }
  | { readonly _tag: "Missing" }
  | { readonly _tag: "Invalid"; readonly reason: string }

const invalid = (reason: string): Effect.Effect<KeyHeader> =>
  Effect.succeed({ _tag: "Invalid", reason })

/**
 * How many lines of the request on the wire have this field name. Only Node keeps these lines;
 * elsewhere `undefined`.
 */
const linesOf = (
  { source }: HttpServerRequest.HttpServerRequest,
  name: string
): number | undefined =>
  hasProperty(source, "rawHeaders") && Array.isArray(source.rawHeaders)
    ? source.rawHeaders.filter((text, index) =>
      index % 2 === 0 && String(text).toLowerCase() === name
    ).length
    : undefined

/** A structured-field string (RFC 9651). Only in this form may a key begin with a quote. */
const quoted = /^"(?:[^"\\]|\\["\\])*"$/

/**
 * Reads the key from the header `name` (lower case).
 *
 * A field that was sent twice is invalid even if both values are equal, because servers in between
 * may pick either. Node and fetch join the two values with a comma, and a bare key may contain a
 * comma. So Node's lines are counted; elsewhere a bare value with a comma counts as two.
 */
export const read = (
  request: HttpServerRequest.HttpServerRequest,
  name: string
): Effect.Effect<KeyHeader> => {
  const value = request.headers[name]?.trim()
  if (value === undefined) return Effect.succeed({ _tag: "Missing" })
  const lines = linesOf(request, name)
  const isQuoted = quoted.test(value)
  if (lines === undefined ? !isQuoted && value.includes(",") : lines > 1) {
    return invalid("The key was sent twice")
  }
  if (value === "" || value === "\"\"") return invalid("The key is empty")
  if (value.startsWith("\"") && !isQuoted) {
    return invalid("The key begins with a quote and is no quoted string")
  }
  return IdempotencyKey.fromHeader(value).pipe(
    Effect.map((key): KeyHeader => ({ _tag: "Key", key })),
    Effect.catchAll(() => invalid("A key is 1 to 255 printable ASCII characters"))
  )
}
