import type { Duration } from "effect"
import { Rejection } from "effect-resilience"

/**
 * A rejection as a guard of the toolkit would make it: nothing was sent, and it may know when to
 * come back.
 */
export class Busy
  extends Rejection.Error("Busy")<{ readonly retryAfter?: Duration.Duration | undefined }>
{}

export const rejection = (retryAfter?: Duration.Duration): Busy =>
  new Busy(retryAfter === undefined ? {} : { retryAfter })
