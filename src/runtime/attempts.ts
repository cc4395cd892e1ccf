/**
 * Records whether attempts of a call may have been executed.
 *
 * The last failure of a call speaks of the last attempt alone. What decides by the whole call
 * (whether a claim may be released, whether a second provider may be asked) puts a record around
 * it; whatever makes attempts inside writes there, so that mapping an error loses nothing.
 */

/**
 * The record of one call. What stands in it also stands in the records around it, until the call
 * succeeds after all.
 */
export class Attempts {
  #around: Attempts | undefined
  #open = 0
  #unsafe = 0
  /** Between two attempts: an interruption cuts none. */
  isResting = false

  constructor(around?: Attempts) {
    this.#around = around
  }

  /** Whether some attempt may have been executed. */
  get mayHaveRun(): boolean {
    return this.#open > 0
  }

  /** Whether one of those was of an operation that does harm when it is executed elsewhere too. */
  get isUnsafe(): boolean {
    return this.#unsafe > 0
  }

  /** An attempt failed that may have been executed. */
  add(isUnsafe: boolean): void {
    this.#change(1, isUnsafe ? 1 : 0)
  }

  /** The call has succeeded: how its earlier attempts ended no longer matters around it. */
  forget(): void {
    if (this.#around !== undefined) this.#around.#change(-this.#open, -this.#unsafe)
    this.#around = undefined
  }

  #change(open: number, unsafe: number): void {
    this.#open += open
    this.#unsafe += unsafe
    if (this.#around !== undefined) this.#around.#change(open, unsafe)
  }
}
