/** The time limits of a call, and the failure when it takes longer. */
import * as Duration from "effect/Duration"
import { maxTimerMillis } from "../../core/backoff.js"
import * as ApiError from "../../errors/ApiError.js"

/**
 * How long something may take, in milliseconds; `Infinity` where nothing limits it.
 *
 * - `attemptMillis` counts from when the attempt begins, `totalMillis` from the moment that comes
 *   with it.
 * - `detach`: what has run out of time goes on in the background.
 * - `attempts`: how many calls the failure is to speak of, where that is known beforehand.
 */
export interface Limits {
  readonly attemptMillis: number
  readonly totalMillis: number
  readonly detach?: boolean | undefined
  readonly attempts?: number | undefined
}

/** Which limit it was. */
export type Deadline = "attempt" | "total"

/** Tests whether there is anything to wait for: what is longer than a timer can be never ends. */
export const isLimited = ({ attemptMillis, totalMillis }: Limits): boolean =>
  Math.min(attemptMillis, totalMillis) <= maxTimerMillis

const subjects = { attempt: "The attempt", total: "The call" } as const

/** The failure that a deadline is. It has no stack: that would show a timer. */
export const timeout = (deadline: Deadline, limits: Limits): ApiError.Timeout => {
  const { attemptMillis, attempts, totalMillis } = limits
  const limit = Duration.format(
    Duration.millis(deadline === "attempt" ? attemptMillis : totalMillis)
  )
  const message = `${subjects[deadline]} did not end within ${limit}`
  const traced = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return new ApiError.Timeout({
      message,
      deadline,
      ...(attempts === undefined ? {} : { attempts })
    }, {
      disableValidation: true
    })
  } finally {
    Error.stackTraceLimit = traced
  }
}
