/**
 * Documents of Site Chat: what is sent, how a sync knows them again, and how their content stays
 * out of errors.
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as ApiError from "../../errors/ApiError.js"
import * as Idempotency from "../../idempotency/Idempotency.js"
import * as Bulk from "../../jobs/Bulk.js"
import * as Input from "../shared/input.js"
import { integration } from "./playbook.js"

/**
 * A document made of text, or of a question and its answer.
 *
 * @since 0.1.0
 * @category models
 */
export type WrittenDocument =
  & {
    /** The name of the document in your own system. */
    readonly sourceId: string
    /** The state of the document in your own system, where states differ. */
    readonly revision?: string | undefined
  }
  & (
    | {
      /** Names the kind of document. */
      readonly kind: "text"
      /** The title. */
      readonly title: string
      /** The text. */
      readonly content: string
    }
    | {
      /** Names the kind of document. */
      readonly kind: "qa"
      /** The question. */
      readonly question: string
      /** The answer to it. */
      readonly answer: string
    }
  )

/**
 * A document that is a file.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileDocument {
  /** Names the kind of document. */
  readonly kind: "file"
  /** The name of the document in your own system. */
  readonly sourceId: string
  /** The state of the document in your own system, where states differ. */
  readonly revision?: string | undefined
  /** The name of the file. */
  readonly name: string
  /** The media type of the file. */
  readonly contentType: string
  /** The bytes of the file. */
  readonly content: Uint8Array<ArrayBuffer>
}

/**
 * A document of any kind.
 *
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
const formOf = (
  { content, contentType, name, revision, sourceId }: FileDocument
): FormData => {
  const form = new FormData()
  form.set("source_id", sourceId)
  if (revision !== undefined) form.set("revision", revision)
  form.set("file", new Blob([content], { type: contentType }), name)
  return form
}

/**
 * Reads the answer to a created document.
 *
 * @since 0.1.0
 * @category schemas
 */
export const CreatedDocument = Schema.Struct({
  /** The id of the document at the API. */
  document_id: Schema.String,
  /** The request id of the API, where it gives one. */
  request_id: Schema.optional(Schema.String)
})

/**
 * The answer to a created document, decoded.
 *
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
 * Makes the options of a document sync,
 * `Bulk.forEach(documents, chat.syncDocument, SiteChat.documentSync(...))`: a sync log from source
 * to document, a pause when too much fails, and an end where the key is refused.
 *
 * **Details**
 *
 * `sourceId` and `revision` identify a document. No run sends a document again that has succeeded.
 * Other content under the same two is a `Mismatch`. `timeToLive` is how long a success is
 * remembered, default 30 days.
 *
 * @since 0.1.0
 * @category policies
 */
export const documentSync = (options: {
  /** The tenant (required). */
  readonly tenantId: string
  /** The site (required). */
  readonly siteId: string
  /** How long a success is remembered. Default 30 days. */
  readonly timeToLive?: Duration.DurationInput | undefined
  /** When to pause. Default `Bulk.defaults.pauseWhen`. */
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
// sending them
// -----------------------------------------------------------------------------

const common = { sourceId: Input.Text, revision: Input.OptionalText }

const TextDocument = Input.struct({
  ...common,
  kind: Schema.Literal("text"),
  title: Input.Text,
  content: Input.Text
})

const Pair = Input.struct({
  ...common,
  kind: Schema.Literal("qa"),
  question: Input.Text,
  answer: Input.Text
})

const UnknownDocument = Input.struct({
  kind: Schema.Literal("text", "qa").annotations({ message: () => "should be text or qa" })
})

/** Lists what cannot be sent of a written document. */
export const issuesOf = (document: unknown): ApiError.Validation["issues"] => {
  const kind = hasProperty(document, "kind") ? document.kind : undefined
  if (kind === "text") return Input.issuesOf(TextDocument)(document)
  return kind === "qa"
    ? Input.issuesOf(Pair)(document)
    : Input.issuesOf(UnknownDocument)(document)
}

const File = Input.struct({
  ...common,
  name: Input.Text,
  contentType: Input.Text,
  content: Schema.Uint8ArrayFromSelf.annotations({ message: () => "should be bytes" })
})

/** How much of a file is looked for in errors, in bytes. */
const maxBytes = 65_536

/** The text of a file, or the front of a long one. Nothing of a file that is no text. */
const textsOf = (content: Uint8Array): ReadonlyArray<string> => {
  try {
    // A letter that is cut at the end is left out.
    return [
      new TextDecoder("utf-8", { fatal: true }).decode(content.subarray(0, maxBytes), {
        stream: true
      })
    ]
  } catch {
    return []
  }
}

/** Sends a file. An API that refuses it may repeat its name or parts of it. */
export const upload = (document: FileDocument) => ({
  issues: () => Input.issuesOf(File)(document),
  body: (request: HttpClientRequest.HttpClientRequest) =>
    Effect.sync(() => HttpClientRequest.bodyFormData(request, formOf(document))),
  texts: () => [document.name, ...textsOf(document.content)]
})
