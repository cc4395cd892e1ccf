/**
 * How one call ended, on either side of the law of simulation.
 */
export interface Ended {
  readonly number: number
  readonly code: number
  /** Rounds of attempts, of a call that failed; 0 of one that succeeded. */
  readonly attempts: number
  readonly requests: number
  readonly endNanos: number
}
