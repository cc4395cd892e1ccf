/** The request that creates a FaceSign session, and the checks before it is sent. */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type * as ApiError from "../../errors/ApiError.js"
import * as Input from "../shared/input.js"

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
 * The settings of a session. The document names one required field, `clientReferenceId`; the others
 * are checked where they are there.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SessionSettings = Schema.Struct({
  /** Your own reference of the session (required). */
  clientReferenceId: Required,
  /** Further data, by name. */
  metadata: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  /** The steps of the session. */
  flow: Schema.optional(Schema.Array(Node))
})

/**
 * The settings of a session, decoded.
 *
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
 * Lists what is wrong with the settings, in the words of the API and without their values. An empty
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
  return Input.innermost(decoded.left).map(({ path }) => ({ path, message: problemOf(path) }))
}
