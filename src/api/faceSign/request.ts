/**
 * What is sent to FaceSign to create a session, and what is wrong with it before it is sent.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as ApiError from "../../errors/ApiError.js"

const Required = Schema.String.pipe(Schema.filter((text) => text.trim() !== "" || "is required"))

/**
 * A step of the flow. What a type needs beside `id` and `type` is the API's business, and is sent
 * as it is.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Node = Schema.Struct({ id: Required, type: Required }, {
  key: Schema.String,
  value: Schema.Unknown
})

/**
 * What a session is created from. The document names one required field, `clientReferenceId`; the
 * others are checked where they are there.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SessionSettings = Schema.Struct({
  clientReferenceId: Required,
  metadata: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  flow: Schema.optional(Schema.Array(Node))
})

/**
 * @since 0.1.0
 * @category models
 */
export type SessionSettings = typeof SessionSettings.Type

const problemOf = (path: string): string => {
  if (path === "") return "The settings should be an object"
  if (path === "metadata" || path.startsWith("metadata.")) {
    return `The '${path}' field should be an object`
  }
  if (path === "flow") return "The 'flow' field should be a list of steps"
  if (/^flow\.\d+$/.test(path)) return `The '${path}' field should be a step with an id and a type`
  return `The '${path}' field is required`
}

/**
 * What is wrong with the settings, in the words of the API, and nothing of what they hold. An empty
 * list is sent.
 *
 * **Example** (A field is missing)
 *
 * ```ts
 * import * as FaceSign from "effect-resilience/api/FaceSign"
 *
 * const [issue] = FaceSign.validate({ metadata: {} })
 * issue?.message // => "The 'clientReferenceId' field is required"
 * ```
 *
 * @since 0.1.0
 * @category validation
 */
export const validate = (settings: unknown): ApiError.Validation["issues"] => {
  const decoded = Schema.decodeUnknownEither(SessionSettings, { errors: "all" })(settings)
  if (Either.isRight(decoded)) return []
  const paths = new Set(
    ParseResult.ArrayFormatter.formatErrorSync(decoded.left).map(({ path }) => path.join("."))
  )
  // What holds a field that is wrong is not wrong by itself.
  const holds = (path: string) => [...paths].some((other) => other.startsWith(`${path}.`))
  return [...paths].filter((path) => !holds(path)).map((path) => ({
    path,
    message: problemOf(path)
  }))
}
