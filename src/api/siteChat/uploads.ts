/**
 * What was uploaded to Site Chat is in no error.
 *
 * An API that refuses a file may repeat it in its words. Of a body that is a file the client knows
 * no fields, so it cannot tell by their names what is private; here the file itself is known.
 */
import * as Effect from "effect/Effect"
import * as ApiError from "../../errors/ApiError.js"
import * as Redaction from "../../errors/Redaction.js"
import type { Failure } from "./jobs.js"
import type { FileDocument } from "./models.js"

/** How much of a file is looked for. */
const maxBytes = 65_536

/** Shorter lines are words that occur by chance. */
const minLine = 8

/**
 * The text of a file, or the front of a long one, and its lines: what may be repeated. Nothing of a
 * file that is no text.
 */
const textsOf = ({ content }: FileDocument): ReadonlyArray<string> => {
  try {
    // A letter that is cut at the end is left out.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content.subarray(0, maxBytes), {
      stream: true
    })
    const lines = text.split(/[\r\n]+/).filter((line) => line.trim().length >= minLine)
    return [text, ...lines]
  } catch {
    return []
  }
}

/**
 * Takes what was uploaded out of the message, the code and the issues of an error. O(file), when
 * something went wrong.
 */
export const withoutContent =
  (document: FileDocument) => <A>(self: Effect.Effect<A, Failure>): Effect.Effect<A, Failure> =>
    Effect.mapError(self, (error) => {
      if (!ApiError.isApiError(error)) return error
      const scrub = Redaction.scrubber(textsOf(document))
      const said = {
        message: scrub(error.message),
        ...(error.code === undefined ? {} : { code: scrub(error.code) }),
        ...("issues" in error
          ? {
            issues: error.issues.map(({ message, path }) => ({
              message: scrub(message),
              path: scrub(path)
            }))
          }
          : {})
      }
      return ApiError.annotate(error, said)
    })
