/** Marks an error of this library whose call may have been executed by an earlier attempt. */
import { hasProperty } from "effect/Predicate"
import { FingerprintError, Mismatch } from "./idempotencyErrors.js"
import * as Rejection from "./Rejection.js"

/** The errors of ours that are copied field by field: rejections and what a run refuses. */
type Plain = Rejection.Rejection | Mismatch | FingerprintError

const isPlain = (error: unknown): error is Plain =>
  Rejection.isRejection(error) || error instanceof Mismatch || error instanceof FingerprintError

/**
 * Tests whether a rejection or a refusal says that an attempt of its call may have been executed.
 */
export const isMarked = (error: unknown): boolean =>
  isPlain(error) && hasProperty(error, "mayHaveRun") && error.mayHaveRun === true

/**
 * Copies an error for a call of several attempts: an error that a guard keeps and returns again
 * must not describe other calls. Errors of other libraries stay as they are.
 *
 * `attempts` does not show in an inspection, so that a rejection prints what its guard said.
 */
export const copyFor = <E>(error: E, attempts: number | undefined, mayHaveRun: boolean): E => {
  if (!isPlain(error)) return error
  const copy = Object.create(
    Object.getPrototypeOf(error) as object,
    Object.getOwnPropertyDescriptors(error)
  ) as E & object
  if (attempts !== undefined) {
    Object.defineProperty(copy, "attempts", {
      value: attempts,
      configurable: true,
      enumerable: false
    })
  }
  if (mayHaveRun) {
    Object.defineProperty(copy, "mayHaveRun", {
      value: true,
      configurable: true,
      enumerable: true
    })
  }
  return copy
}
