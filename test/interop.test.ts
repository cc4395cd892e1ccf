import { HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Schema as OldSchema } from "@effect/schema"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, ParseResult, Schema } from "effect"
import { ApiClient, type ApiError, ErrorResponse } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

/**
 * A decoder of error bodies as a program on `@effect/schema` has it:
 * `{ "oops": { "text", "nr" } }`.
 */
const OldErrorBody = OldSchema.transform(
  OldSchema.Struct({
    oops: OldSchema.Struct({
      text: OldSchema.NonEmptyTrimmedString,
      nr: OldSchema.optional(OldSchema.NumberFromString)
    })
  }),
  OldSchema.Struct({ message: OldSchema.String, code: OldSchema.UndefinedOr(OldSchema.String) }),
  {
    strict: true,
    decode: ({ oops }) => ({
      message: oops.text,
      code: oops.nr === undefined ? undefined : `E${oops.nr}`
    }),
    encode: ({ code, message }) => ({
      oops: { text: message, ...(code === undefined ? {} : { nr: Number(code.slice(1)) }) }
    })
  }
)

/** The adapter: the old decoder runs as the decoding half of a transformation of today's Schema. */
const adapted = <A extends ApiClient.ErrorBody, I>(
  old: OldSchema.Schema<A, I>
): ErrorResponse.Decoder => {
  const decode = OldSchema.decodeUnknownEither(old)
  return Schema.transformOrFail(
    Schema.Unknown,
    Schema.Unknown as Schema.Schema<ApiClient.ErrorBody, unknown>,
    {
      strict: true,
      decode: (input, _, ast) =>
        Either.mapLeft(decode(input), ({ message }) => new ParseResult.Type(ast, input, message)),
      encode: (body, _, ast) =>
        ParseResult.fail(new ParseResult.Forbidden(ast, body, "error bodies are only read"))
    }
  )
}

const bytes = (body: unknown) =>
  new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body))

const read = (body: unknown, schema: ErrorResponse.Decoder) =>
  ErrorResponse.decode(bytes(body), { schema })

/** A GET against a server that answers 422 with this body. */
const failure = (body: string) =>
  Effect.gen(function*() {
    const api = yield* FlakyApi.make({
      app: HttpServerResponse.empty(),
      script: () => FlakyApi.status(422, { body, headers: { "content-type": "application/json" } })
    })
    const client = yield* ApiClient.make({
      name: "old",
      baseUrl: api.url,
      errorBody: adapted(OldErrorBody)
    })
    return yield* Effect.flip(client.get("/v1/things"))
  }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici))

const said = (error: { readonly _tag: string }) => {
  const { _tag, code, message } = error as ApiError.ApiError
  return { _tag, code, message }
}

describe("an error body decoder written with @effect/schema", () => {
  it("loads beside effect 3.22 and is a schema of another kind", () => {
    expect([OldSchema.isSchema(OldErrorBody), Schema.isSchema(OldErrorBody)]).toEqual([true, false])
  })

  it.effect("E5: plugs into ErrorResponse through a small adapter", () =>
    Effect.gen(function*() {
      expect(yield* read({ oops: { text: "no such widget", nr: "17" } }, adapted(OldErrorBody)))
        .toEqual({
          message: "no such widget",
          code: "E17"
        })
    }))

  it.effect("E5: what does not fit says nothing, and never fails the call", () =>
    Effect.gen(function*() {
      const bodies = [
        { oops: { text: "" } },
        { oops: { text: "x", nr: "seventeen" } },
        {},
        null,
        "<html>",
        ""
      ]
      const answers = yield* Effect.forEach(bodies, (body) => read(body, adapted(OldErrorBody)))
      expect(answers).toEqual(bodies.map(() => ({})))
    }))

  it("the adapter says where the body did not fit, in the words of the old package", () => {
    const decoded = Schema.decodeUnknownEither(adapted(OldErrorBody))({
      oops: { text: "x", nr: "seventeen" }
    })
    expect(Either.isLeft(decoded) && decoded.left.message).toContain("[\"nr\"]")
  })

  it.live("E5: plugs into ApiClient over real HTTP: message and code are the ones it read", () =>
    Effect.gen(function*() {
      const error = yield* failure("{\"oops\":{\"text\":\"no such widget\",\"nr\":\"17\"}}")
      expect(said(error)).toEqual({ _tag: "Validation", code: "E17", message: "no such widget" })
    }))

  it.live("E5: over real HTTP a body that does not fit still has the tag of its status", () =>
    Effect.gen(function*() {
      const error = yield* failure("{\"oops\":17}")
      expect([error._tag, said(error).code]).toEqual(["Validation", undefined])
    }))
})
