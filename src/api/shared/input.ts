/**
 * Checks the input of the clients. Callers without type checks may pass anything: an input that
 * does not fit is a `Validation` of the call, which names the fields and repeats no value, and
 * nothing is sent.
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import { isRecord } from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as ApiError from "../../errors/ApiError.js"
import * as Endpoint from "../../http/Endpoint.js"

type Issues = ApiError.Validation["issues"]

/** A text. */
export const Text = Schema.String.annotations({ message: () => "should be a text" })

/** A text that may be absent. */
export const OptionalText = Schema.optional(Text)

/** An object of these fields, and of any others. */
export const struct = <Fields extends Schema.Struct.Fields>(
  fields: Fields
): Schema.Struct<Fields> =>
  Schema.Struct(fields).annotations({ message: () => "should be an object" })

/** A list. */
export const list = <Item extends Schema.Schema.Any>(item: Item): Schema.Array$<Item> =>
  Schema.Array(item).annotations({ message: () => "should be a list" })

/**
 * Finds where a value did not fit its schema: each place once, and not the containers of a wrong
 * place. The messages are those of the schema.
 */
export const innermost = (error: ParseResult.ParseError): Issues => {
  const found = new Map<string, string>()
  for (const { _tag, message, path } of ParseResult.ArrayFormatter.formatErrorSync(error)) {
    const place = path.join(".")
    // Of a field that may be absent, being absent is the other form.
    if (!found.has(place)) found.set(place, _tag === "Missing" ? "is required" : message)
  }
  const holds = (path: string) =>
    [...found.keys()].some((other) =>
      other !== path && (path === "" || other.startsWith(`${path}.`))
    )
  return [...found].filter(([path]) => !holds(path)).map(([path, message]) => ({ path, message }))
}

/**
 * Lists where an input does not fit a schema made of the parts above, whose messages repeat no
 * value. Empty when it fits.
 */
export const issuesOf = <A, I>(schema: Schema.Schema<A, I>): (input: unknown) => Issues => {
  const decode = Schema.decodeUnknownEither(schema, { errors: "all" })
  return (input) => {
    const decoded = decode(input)
    return Either.isRight(decoded) ? [] : innermost(decoded.left)
  }
}

/** Reads the fields of an input; a value that is no object has none. */
export const fieldsOf = <A extends object>(input: A): Partial<A> => isRecord(input) ? input : {}

/** What a call would send, and where: for the error of one that is not sent. */
export interface Call {
  readonly method: HttpClientRequest.HttpClientRequest["method"]
  readonly endpoint: string
}

/** Fails when there are issues. What they are about as a whole is called `the input`. */
export const check = (
  { endpoint, method }: Call,
  issues: () => Issues
): Effect.Effect<void, ApiError.Validation> =>
  Effect.suspend(() => {
    const found = issues()
    return found.length === 0 ? Effect.void : Endpoint.notSent({
      method,
      endpoint,
      code: "invalid_request",
      issues: found.map(({ message, path }) => ({ path: path || "the input", message }))
    })
  })

/**
 * A request with a JSON body. Fails for a value that JSON does not hold: one that contains itself,
 * or a `bigint`.
 */
export const withJson = (
  request: HttpClientRequest.HttpClientRequest,
  endpoint: string,
  body: unknown
): Effect.Effect<HttpClientRequest.HttpClientRequest, ApiError.Validation> =>
  Effect.catchAll(
    Effect.try(() => HttpClientRequest.bodyUnsafeJson(request, body)),
    () =>
      Endpoint.notSent({
        method: request.method,
        endpoint,
        code: "invalid_request",
        issues: [{ path: "the body", message: "cannot be written as JSON" }]
      })
  )
