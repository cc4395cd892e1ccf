/**
 * What is sent to Site Chat and what comes back. Its document describes no bodies; what is not
 * needed here is read when it is there.
 */
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import * as Schema from "effect/Schema"

/**
 * The body of a failed request: `error`, as a text or as a small object, and the request id where
 * there is one.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ErrorBody = Schema.Struct({
  error: Schema.optional(
    Schema.Union(
      Schema.String,
      Schema.Struct({
        message: Schema.optional(Schema.String),
        code: Schema.optional(Schema.String)
      })
    )
  ),
  request_id: Schema.optional(Schema.String)
})

const text = Schema.optional(Schema.String)

/**
 * @since 0.1.0
 * @category schemas
 */
export const Tenant = Schema.Struct({ tenant_id: text, name: text, plan: text })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Site = Schema.Struct({ site_id: text, name: text, domain: text })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Session = Schema.Struct({ session_id: Schema.String, status: text })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Statistics = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/**
 * @since 0.1.0
 * @category schemas
 */
export const CreatedDocument = Schema.Struct({ document_id: Schema.String, request_id: text })

/**
 * @since 0.1.0
 * @category models
 */
export type CreatedDocument = typeof CreatedDocument.Type

/**
 * @since 0.1.0
 * @category schemas
 */
export const Answer = Schema.Struct({ answer: Schema.String, session_id: text, request_id: text })

/**
 * @since 0.1.0
 * @category models
 */
export type Answer = typeof Answer.Type

/** Without a request id the answer cannot be asked for. */
export const SubmittedChat = Schema.Struct({
  request_id: Schema.String.pipe(Schema.filter((text) => text.trim() !== ""))
})

export const PolledChat = Schema.Struct({ status: Schema.String, answer: text, session_id: text })

/**
 * What a visitor asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Question {
  readonly message: string
  readonly sessionId?: string | undefined
}

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

/** What a document is in one revision: the same in every run of a sync. */
export const documentId = ({ revision, sourceId }: Document): string =>
  JSON.stringify(revision === undefined ? [sourceId] : [sourceId, revision])

/** What must not change under the same id: of a file its hash. */
export const documentPayload = (document: Document): unknown =>
  document.kind === "file"
    ? { ...document, content: bytesToHex(sha256(document.content)) }
    : document

/** The JSON body of a written document. */
export const documentBody = ({ revision, sourceId, ...document }: WrittenDocument): object => ({
  source_id: sourceId,
  ...(revision === undefined ? {} : { revision }),
  ...document
})

/** The multipart body of a file. */
export const documentForm = (
  { content, contentType, name, revision, sourceId }: FileDocument
): FormData => {
  const form = new FormData()
  form.set("source_id", sourceId)
  if (revision !== undefined) form.set("revision", revision)
  form.set("file", new Blob([content], { type: contentType }), name)
  return form
}

/**
 * What a visitor thought of an answer. `eventId` names the event of the user interface that it
 * comes from: the same event in the same session is one piece of feedback, however often it is
 * sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Feedback {
  readonly eventId: string
  readonly sessionId: string
  readonly rating: "up" | "down"
  readonly comment?: string | undefined
}
