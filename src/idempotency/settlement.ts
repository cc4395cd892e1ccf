/** Decides what happens to a record after its work has ended. */

/**
 * - `Store`: the store records this outcome, and duplicates replay it.
 * - `Done`: the store records that the work is over, without an outcome. Duplicates fail with
 *   `ResultUnavailable`.
 * - `Release`: the next caller runs the work. After a run that recovered an earlier one, the next
 *   caller recovers too.
 * - `Hold`: the work may have been executed. The claim stays until it lapses.
 */
export type Settlement =
  | { readonly _tag: "Store"; readonly outcome: string }
  | { readonly _tag: "Done" }
  | { readonly _tag: "Release" }
  | { readonly _tag: "Hold" }

/** What the store records: the work has been executed. */
export type Recorded = Extract<Settlement, { readonly _tag: "Store" | "Done" }>

export const isRecorded = (settlement: Settlement): settlement is Recorded =>
  settlement._tag === "Store" || settlement._tag === "Done"

export const store = (outcome: string): Settlement => ({ _tag: "Store", outcome })

export const done: Settlement = { _tag: "Done" }

export const release: Settlement = { _tag: "Release" }

export const hold: Settlement = { _tag: "Hold" }
