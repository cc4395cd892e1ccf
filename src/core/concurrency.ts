/**
 * Computes how many calls may run at once, from how they end.
 *
 * Two ways to learn. AIMD asks only whether calls are dropped: a little more after each success, a
 * good part less after a drop. The gradient also asks how long they take: as soon as they take
 * longer than they used to, calls are waiting somewhere, and fewer of them serve as many. What they
 * used to take is learned only where these calls cannot make a queue: an overload that lasts would
 * come to be usual otherwise.
 *
 * Drops come in bursts, since all that run meet the same overload. Of the calls that were let in
 * before a decrease, none decreases again: one decrease for one overload. And a limit that is not
 * used proves nothing, so it does not grow while less than half of it is.
 */

/**
 * What both have: bounds, and what a drop leaves of the limit.
 *
 * @since 0.1.0
 */
interface Bounds {
  readonly initial: number
  readonly min: number
  readonly max: number
  readonly backoffRatio: number
}

/**
 * A success that took longer than `timeoutMillis` is a drop.
 *
 * @since 0.1.0
 */
export interface Aimd extends Bounds {
  readonly _tag: "Aimd"
  readonly timeoutMillis: number
}

/**
 * - `smoothing`: how far each success moves the limit to where it should be
 * - `tolerance`: how many times the usual latency is not yet a queue
 * - `headroom`: how many calls above what is needed are let in, to find out whether there is more
 *   room
 * - `longWindow`, `shortWindow`: over how many calls the usual and the present latency are averaged
 *
 * @since 0.1.0
 */
export interface Gradient extends Bounds {
  readonly _tag: "Gradient"
  readonly smoothing: number
  readonly tolerance: number
  readonly headroom: number
  readonly longWindow: number
  readonly shortWindow: number
}

/**
 * @since 0.1.0
 */
export type Policy = Aimd | Gradient

/**
 * Latencies in milliseconds, averaged over `samples` calls. `usualMillis` is what the present ones
 * are measured by; `resting` calls in a row have ended while the limit was at its rest.
 */
interface Averages {
  readonly samples: number
  readonly longMillis: number
  readonly shortMillis: number
  readonly usualMillis: number
  readonly resting: number
}

/**
 * `round` counts the decreases.
 *
 * @since 0.1.0
 */
export interface State extends Averages {
  readonly limit: number
  readonly running: number
  readonly round: number
}

/**
 * What a call that runs has to give back: the round in which it was let in.
 *
 * @since 0.1.0
 */
export interface Token {
  readonly round: number
}

/**
 * How a call ended. `Ignored` only gives its place back.
 *
 * @since 0.1.0
 */
export type Ending =
  | { readonly _tag: "Success"; readonly latencyMillis: number }
  | { readonly _tag: "Drop" }
  | { readonly _tag: "Ignored" }

/**
 * @since 0.1.0
 */
export const make = ({ initial }: Policy): State => ({
  limit: initial,
  running: 0,
  round: 0,
  samples: 0,
  longMillis: 0,
  shortMillis: 0,
  usualMillis: 0,
  resting: 0
})

/**
 * Computes how many calls may run: the limit without its fraction. O(1).
 *
 * @since 0.1.0
 */
export const allowed = (state: State): number => Math.floor(state.limit)

/**
 * Lets a call in, or says that it must not run. O(1).
 *
 * @since 0.1.0
 */
export const admit = (state: State): readonly [Token | undefined, State] =>
  state.running < allowed(state)
    ? [{ round: state.round }, stateOf(state, state.limit, state.round, state.running + 1)]
    : [undefined, state]

/** Written out, not spread: on the path of every call it costs a twentieth. */
const stateOf = (averages: Averages, limit: number, round: number, running: number): State => ({
  limit,
  running,
  round,
  samples: averages.samples,
  longMillis: averages.longMillis,
  shortMillis: averages.shortMillis,
  usualMillis: averages.usualMillis,
  resting: averages.resting
})

const within = ({ max, min }: Bounds, limit: number): number => Math.min(max, Math.max(min, limit))

/** A limit that has learned from one call: what it is now, and in which round. */
interface Step {
  readonly limit: number
  readonly round: number
}

const decreased = (policy: Policy, { limit, round }: State, token: Token): Step =>
  token.round === round
    ? { limit: within(policy, limit * policy.backoffRatio), round: round + 1 }
    : { limit, round }

/**
 * Over the first few calls the plain mean, then one that forgets: a single outlier at the beginning
 * must not stay.
 */
const averaged = (mean: number, value: number, samples: number, window: number): number =>
  mean + (value - mean) * Math.max(1 / samples, 2 / (window + 1))

/**
 * After a long overload, what has come to be usual is no measure: it comes down faster than it went
 * up.
 */
const measured = (policy: Gradient, state: State, latencyMillis: number): Averages => {
  const samples = state.samples + 1
  const average = averaged(state.longMillis, latencyMillis, samples, policy.longWindow)
  const shortMillis = averaged(state.shortMillis, latencyMillis, samples, policy.shortWindow)
  const longMillis = average > 2 * shortMillis ? average * 0.95 : average
  const resting = isAtRest(policy, state) ? state.resting + 1 : 0
  return {
    samples,
    shortMillis,
    longMillis,
    resting,
    usualMillis: samples <= policy.shortWindow
      ? longMillis
      : resting >= restingWindows * policy.shortWindow
      ? shortMillis
      : state.running * 2 < state.limit
      ? averaged(state.usualMillis, latencyMillis, samples, policy.longWindow)
      : Math.min(state.usualMillis, longMillis)
  }
}

/** After so many short windows nothing of the time before is left in their average. */
const restingWindows = 3

/**
 * Tests whether the limit has come down to a few times its headroom and calls are still slow. Then
 * it is not for a queue that these calls make: the upstream has become slower.
 */
const isAtRest = ({ headroom, min }: Gradient, { limit, running }: State): boolean =>
  running <= limit && limit <= Math.max(min, 3 * headroom)

/**
 * Where the limit should be at these latencies; at worst half of what it is, so that one bad moment
 * does not end everything.
 */
const target = (
  { headroom, tolerance }: Gradient,
  { shortMillis, usualMillis }: Averages,
  limit: number
): number => {
  const gradient = shortMillis > 0
    ? Math.min(1, Math.max(0.5, tolerance * usualMillis / shortMillis))
    : 1
  return limit * gradient + headroom
}

/** A limit of which less than half is used proves nothing, and does not grow. */
const grown = (policy: Policy, { limit, running }: State, averages: Averages): number => {
  if (running * 2 < limit) return limit
  return within(
    policy,
    policy._tag === "Aimd"
      ? limit + 1 / limit
      : limit + policy.smoothing * (target(policy, averages, limit) - limit)
  )
}

/**
 * Records how a call ended, and gives its place back. While it is judged, the call still counts as
 * running. O(1).
 *
 * @since 0.1.0
 */
export const end = (policy: Policy, state: State, token: Token, ending: Ending): State => {
  const running = state.running - 1
  if (ending._tag === "Ignored") return stateOf(state, state.limit, state.round, running)
  if (
    ending._tag === "Drop" ||
    (policy._tag === "Aimd" && ending.latencyMillis > policy.timeoutMillis)
  ) {
    const { limit, round } = decreased(policy, state, token)
    return stateOf(state, limit, round, running)
  }
  const averages = policy._tag === "Aimd" ? state : measured(policy, state, ending.latencyMillis)
  return stateOf(averages, grown(policy, state, averages), state.round, running)
}
