/**
 * Computes how long to wait before the next attempt.
 *
 * A backoff is a pure function of the attempt number, the previous delay and one uniform draw, so
 * that every property of it (it never exceeds its cap, it still spreads once the cap is reached, it
 * survives attempt one million) can be tested without a clock.
 *
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog (2015), for full, equal and
 * decorrelated jitter.
 */

/**
 * The longest delay, in milliseconds, that a JavaScript timer can hold. Longer ones never fire in
 * Effect 3, so every delay is clamped to it.
 *
 * @since 0.1.0
 */
export const maxTimerMillis = 2 ** 31 - 1

/**
 * How a computed delay `e` is spread: `None` keeps it, `Full` draws from `[0, e)`, `Equal` from
 * `[e / 2, e)`, `Additive` from `[e, e + maxMillis)`.
 *
 * @since 0.1.0
 */
export type Jitter =
  | { readonly _tag: "None" }
  | { readonly _tag: "Full" }
  | { readonly _tag: "Equal" }
  | { readonly _tag: "Additive"; readonly maxMillis: number }

/**
 * A backoff in plain milliseconds.
 *
 * @since 0.1.0
 */
export type Backoff =
  | { readonly _tag: "Constant"; readonly delayMillis: number; readonly jitter: Jitter }
  | {
    readonly _tag: "Linear"
    readonly baseMillis: number
    readonly capMillis: number
    readonly jitter: Jitter
  }
  | {
    readonly _tag: "Exponential"
    readonly baseMillis: number
    readonly factor: number
    readonly capMillis: number
    readonly jitter: Jitter
  }
  | { readonly _tag: "Decorrelated"; readonly baseMillis: number; readonly capMillis: number }

/**
 * What one draw depends on: `attempt` counts from 0 after the first failure, `previousMillis` is
 * the delay before this one, `unit` is a draw from `[0, 1)`.
 *
 * @since 0.1.0
 */
export interface Draw {
  readonly attempt: number
  readonly previousMillis: number
  readonly unit: number
}

/**
 * The delay before jitter, already under the cap. Saturates: `factor ** attempt` may overflow to
 * infinity, the minimum with the cap does not. O(1).
 */
const ceilingMillis = (
  backoff: Exclude<Backoff, { _tag: "Decorrelated" }>,
  attempt: number
): number => {
  switch (backoff._tag) {
    case "Constant":
      return backoff.delayMillis
    case "Linear":
      return Math.min(backoff.capMillis, backoff.baseMillis * (attempt + 1))
    case "Exponential":
      return Math.min(backoff.capMillis, backoff.baseMillis * backoff.factor ** attempt)
  }
}

const capOf = (backoff: Backoff): number =>
  backoff._tag === "Constant" ? Infinity : backoff.capMillis

/** Only an infinite cap lets an infinite value through; no timer could hold it anyway. */
const finite = (millis: number): number => Math.min(millis, Number.MAX_SAFE_INTEGER)

/**
 * The delay in milliseconds: finite, never negative, never above the cap.
 *
 * Full and equal jitter are drawn under the cap, so they still spread once it is reached; additive
 * and decorrelated jitter are cut by it. The first decorrelated delay takes the base for the
 * previous one. O(1).
 *
 * @since 0.1.0
 */
export const delayMillis = (backoff: Backoff, { attempt, previousMillis, unit }: Draw): number => {
  if (backoff._tag === "Decorrelated") {
    const { baseMillis, capMillis } = backoff
    const previous = attempt === 0
      ? baseMillis
      : Math.min(capMillis, Math.max(baseMillis, previousMillis))
    return finite(Math.min(capMillis, baseMillis + unit * (3 * previous - baseMillis)))
  }
  const ceiling = finite(ceilingMillis(backoff, attempt))
  switch (backoff.jitter._tag) {
    case "None":
      return ceiling
    case "Full":
      return unit * ceiling
    case "Equal":
      return ceiling / 2 + unit * (ceiling / 2)
    case "Additive":
      return finite(Math.min(capOf(backoff), ceiling + unit * backoff.jitter.maxMillis))
  }
}

/**
 * The smallest and the largest delay in milliseconds that `delayMillis` can return for this
 * attempt. O(1).
 *
 * @since 0.1.0
 */
export const envelopeMillis = (
  backoff: Backoff,
  attempt: number
): { readonly min: number; readonly max: number } => {
  if (backoff._tag === "Decorrelated") {
    const { baseMillis, capMillis } = backoff
    return {
      min: finite(baseMillis),
      max: finite(Math.min(capMillis, baseMillis * 3 ** (attempt + 1)))
    }
  }
  const ceiling = finite(ceilingMillis(backoff, attempt))
  switch (backoff.jitter._tag) {
    case "None":
      return { min: ceiling, max: ceiling }
    case "Full":
      return { min: 0, max: ceiling }
    case "Equal":
      return { min: ceiling / 2, max: ceiling }
    case "Additive":
      return {
        min: ceiling,
        max: finite(Math.min(capOf(backoff), ceiling + backoff.jitter.maxMillis))
      }
  }
}
