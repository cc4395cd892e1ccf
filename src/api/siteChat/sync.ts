/**
 * Documents that are kept in step with Site Chat: which have been sent, when to pause, when to
 * stop.
 */
import type * as Duration from "effect/Duration"
import * as ApiError from "../../errors/ApiError.js"
import * as Bulk from "../../jobs/Bulk.js"
import * as Idempotency from "../../idempotency/Idempotency.js"
import * as Models from "./models.js"
import { integration } from "./playbook.js"

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
    id: Models.documentId,
    payload: Models.documentPayload,
    result: Models.CreatedDocument,
    timeToLive: options.timeToLive
  }),
  pauseWhen: options.pauseWhen ?? Bulk.defaults.pauseWhen,
  stopWhen: stopsSync
})
