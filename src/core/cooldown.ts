/**
 * Pauses calls for as long as a server asked for, and then sends one call ahead of the others.
 *
 *     Clear   --(a call is told to wait)-->           Cooling
 *     Cooling --(the time is over, and a call comes)--> Trial
 *     Trial   --(it was not told to wait)-->          Clear
 *     Trial   --(it was told to wait)-->              Cooling
 *     Trial   --(it said nothing)-->                  Cooling
 *
 * Every event is `(policy, state, ..., now) -> state`, plain data, O(1). Times are monotonic
 * milliseconds.
 */

/**
 * `capMillis` is the longest wait that a server may ask for, `trialMillis` how long a trial keeps
 * the others waiting at most.
 *
 * @since 0.1.0
 */
export interface Policy {
  readonly capMillis: number
  readonly trialMillis: number
}

/**
 * A trial under way. The state itself is what the trial shows when it has ended: of another one it
 * changes nothing.
 *
 * @since 0.1.0
 */
export interface Trial {
  readonly _tag: "Trial"
  /** When it loses its place to another call, if it has not ended. */
  readonly untilMillis: number
}

/**
 * `Cooling` goes on until `untilMillis`; after that the next call is the trial.
 *
 * @since 0.1.0
 */
export type State =
  | { readonly _tag: "Clear" }
  | { readonly _tag: "Cooling"; readonly untilMillis: number }
  | Trial

/**
 * No call has been told to wait.
 *
 * @since 0.1.0
 */
export const clear: State = { _tag: "Clear" }

/** A microsecond: below what a timer can tell. */
const resolutionMillis = 1e-3

/**
 * Computes how long until a call may run, as a trial or not; during a trial, the latest moment. 0
 * where it may run now.
 *
 * @since 0.1.0
 */
export const waitMillis = (state: State, nowMillis: number): number => {
  if (state._tag === "Clear") return 0
  const left = state.untilMillis - nowMillis
  return left > resolutionMillis ? left : 0
}

/**
 * Starts the trial. Call it only when `waitMillis` is 0.
 *
 * @since 0.1.0
 */
export const tryOut = (policy: Policy, nowMillis: number): Trial => ({
  _tag: "Trial",
  untilMillis: nowMillis + policy.trialMillis
})

/**
 * Begins or lengthens a cooldown, and never shortens one.
 *
 * @since 0.1.0
 */
export const hold = (state: State, millis: number, nowMillis: number): State => {
  if (!(millis > 0)) return state
  const untilMillis = nowMillis + millis
  return state._tag === "Cooling" && state.untilMillis >= untilMillis
    ? state
    : { _tag: "Cooling", untilMillis }
}

/**
 * What the end of a call says: how long the server asks to wait (0: no wait, but it did not serve
 * the call), that the server serves again, or nothing.
 *
 * @since 0.1.0
 */
export type Finding = { readonly waitMillis: number } | "serves" | "nothing"

/**
 * Applies the end of a call. `trial` is what `tryOut` gave it, if it was a trial.
 *
 * @since 0.1.0
 */
export const end = (
  policy: Policy,
  state: State,
  trial: Trial | undefined,
  finding: Finding,
  nowMillis: number
): State => {
  if (typeof finding === "object" && finding.waitMillis > 0) {
    return hold(state, Math.min(policy.capMillis, finding.waitMillis), nowMillis)
  }
  if (state !== trial) return state
  return finding === "serves" ? clear : { _tag: "Cooling", untilMillis: nowMillis }
}
