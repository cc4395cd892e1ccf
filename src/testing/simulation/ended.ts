/**
 * How one call ended, on either side of the law of simulation.
 */
import type { Call } from "../../core/callState.js"

export interface Ended {
  readonly number: number
  readonly code: number
  /** Rounds of attempts, of a call that failed; 0 of one that succeeded. */
  readonly attempts: number
  readonly requests: number
  readonly endNanos: number
}

/** How a call of the simulation ended. */
export const endedAt = (
  { attempts, code, number, sent }: Call,
  endNanos: number
): Ended => ({ number, code, attempts: code === 0 ? 0 : attempts, requests: sent, endNanos })
