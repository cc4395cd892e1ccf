/**
 * The one place that arms a timer of the platform itself.
 *
 * A timer under the live clock needs no fiber, and it is on the path of every call with a deadline.
 * Under any other clock the caller forks that clock's `sleep`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"

/** The clock of a program that provides none of its own. */
export const liveClock: Clock.Clock = Context.get(DefaultServices.liveServices, Clock.Clock)

/**
 * Calls `wake` after `millis`, which is at most 2^31-1, and never earlier: a timer counts whole
 * milliseconds, and would round down. The answer disarms it. The global functions are looked up
 * when they are needed, since a test may have replaced them.
 */
export const arm = (millis: number, wake: () => void): () => void => {
  const timer = setTimeout(wake, Math.ceil(millis))
  return () => clearTimeout(timer)
}
