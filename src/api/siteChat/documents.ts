/**
 * Documents of Site Chat: what is sent, how a sync knows them again, and how their content stays
 * out of errors.
 */
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as ApiError from "../../errors/ApiError.js"
import * as Redaction from "../../errors/Redaction.js"
import * as Idempotency from "../../idempotency/Idempotency.js"
import * as Bulk from "../../jobs/Bulk.js"
import type { Failure } from "./jobs.js"
import { integration } from "./playbook.js"

/**
 * A document made of text, or of a question and its answer. `sourceId` names it in your own system;
 * `revision` which state of it, where states differ.
 *
 * @since 0.1.0
 * @category models
 */
export type WrittenDocument =
  & { readonly sourceId: string; readonly revision?: string | undefined }
  & (
    | { readonly kind: "text"; readonly title: string; readonly content: string }
    | { readonly kind: "qa"; readonly question: string; readonly answer: string }
  )

/**
 * A document that is a file.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileDocument {
  readonly kind: "file"
  readonly sourceId: string
  readonly revision?: string | undefined
  readonly name: string
  readonly contentType: string
  readonly content: Uint8Array<ArrayBuffer>
}

/**
 * @since 0.1.0
 * @category models
 */
export type Document = WrittenDocument | FileDocument

/** The JSON body of a written document. */
export const bodyOf = ({ revision, sourceId, ...document }: WrittenDocument): object => ({
  source_id: sourceId,
  ...(revision === undefined ? {} : { revision }),
  ...document
})

/** The multipart body of a file. */
export const formOf = (
  { content, contentType, name, revision, sourceId }: FileDocument
): FormData => {
  const form = new FormData()
  form.set("source_id", sourceId)
  if (revision !== undefined) form.set("revision", revision)
  form.set("file", new Blob([content], { type: contentType }), name)
  return form
}

/**
 * @since 0.1.0
 * @category schemas
 */
export const CreatedDocument = Schema.Struct({
  document_id: Schema.String,
  request_id: Schema.optional(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type CreatedDocument = typeof CreatedDocument.Type

// -----------------------------------------------------------------------------
// keeping them in step
// -----------------------------------------------------------------------------

/** What a document is in one revision: the same in every run of a sync. */
const idOf = ({ revision, sourceId }: Document): string =>
  JSON.stringify(revision === undefined ? [sourceId] : [sourceId, revision])

/** What must not change under the same id: of a file its hash. */
const payloadOf = (document: Document): unknown =>
  document.kind === "file"
    ? { ...document, content: bytesToHex(sha256(document.content)) }
    : document

/** What every further document would meet as well. */
const stopsSync = (error: unknown): boolean =>
  (ApiError.isApiError(error) && (error._tag === "Auth" || error._tag === "Policy")) ||
  error instanceof Idempotency.StoreUnavailable

/**
 * How documents are synced with
 * `Bulk.forEach(documents, chat.syncDocument, SiteChat.documentSync(...))`: a sync log from source
 * to document, a pause when too much fails, and an end where the key is refused.
 *
 * **Details**
 *
 * A document is known by its `sourceId` and `revision`: one that has succeeded is not sent again,
 * by no run. Other content under the same two is a `Mismatch`. `timeToLive` is how long a success
 * is remembered, default 30 days.
 *
 * @since 0.1.0
 * @category policies
 */
export const documentSync = (options: {
  readonly tenantId: string
  readonly siteId: string
  readonly timeToLive?: Duration.DurationInput | undefined
  readonly pauseWhen?: Bulk.Options["pauseWhen"]
}) => ({
  syncLog: Bulk.syncLog({
    scope: [integration, options.tenantId, options.siteId, "documents"],
    id: idOf,
    payload: payloadOf,
    result: CreatedDocument,
    timeToLive: options.timeToLive
  }),
  pauseWhen: options.pauseWhen ?? Bulk.defaults.pauseWhen,
  stopWhen: stopsSync
})

// -----------------------------------------------------------------------------
// keeping their content private
// -----------------------------------------------------------------------------

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
 *
 * An API that refuses a file may repeat parts of it. The client knows no field names of a file, so
 * it cannot tell by name what is private; here the file itself is known.
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
