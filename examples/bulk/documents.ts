/** A thousand documents, and how far their import is, in one line. */
import { Duration, Option } from "effect"
import type { Bulk } from "effect-resilience"

export interface Document {
  readonly source: string
  readonly text: string
}

export const documents: ReadonlyArray<Document> = Array.from({ length: 1000 }, (_, index) => ({
  source: `DOC-${String(index).padStart(4, "0")}`,
  text: `The text of document ${index}.`
}))

export const line = (
  { done, failed, paused, ratePerSecond, retried, skipped, timeLeft, total }: Bulk.Progress
): string =>
  `${done} sent, ${skipped} skipped, ${failed} failed of ${total}; ${retried} retried, ${
    ratePerSecond.toFixed(0)
  } a second` +
  Option.match(timeLeft, {
    onNone: () => "",
    onSome: (left) => `, ${Duration.toSeconds(left).toFixed(0)} s left`
  }) +
  (paused ? ", paused" : "")
