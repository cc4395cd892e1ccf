/**
 * Closed forms of queues, retries, budgets, hedges and throttles: what a simulation has to come to
 * where the answer is known.
 *
 * Rates and times are in any unit, as long as it is the same one.
 */

/**
 * The share of calls that `servers` without a queue turn away (Erlang B). `load` is the arrival
 * rate times the mean service time. O(servers).
 *
 * @since 0.1.0
 */
export const erlangB = (servers: number, load: number): number => {
  let blocked = 1
  for (let n = 1; n <= servers; n++) blocked = load * blocked / (n + load * blocked)
  return blocked
}

/**
 * The share of calls that has to wait for one of `servers` with an endless queue (Erlang C): all of
 * them, where the load is not less than the servers. O(servers).
 *
 * @since 0.1.0
 */
export const erlangC = (servers: number, load: number): number => {
  if (load >= servers) return 1
  const blocked = erlangB(servers, load)
  return blocked / (1 - load / servers * (1 - blocked))
}

/**
 * The mean wait for one of `servers` (M/M/c), in mean service times. O(servers).
 *
 * @since 0.1.0
 */
export const waitOfServers = (servers: number, load: number): number =>
  load >= servers ? Infinity : erlangC(servers, load) / (servers - load)

/**
 * The mean wait for one server (M/G/1, Pollaczek and Khinchine), in mean service times. `cv2` is
 * the variance of the service time over the square of its mean: 1 for an exponential one.
 *
 * @since 0.1.0
 */
export const waitOfOne = (load: number, cv2: number): number =>
  load >= 1 ? Infinity : load * (1 + cv2) / (2 * (1 - load))

/**
 * A quantile of wait and service together at one server (M/M/1), in mean service times.
 *
 * @since 0.1.0
 */
export const sojournQuantile = (load: number, share: number): number =>
  load >= 1 ? Infinity : -Math.log1p(-share) / (1 - load)

/**
 * The share of calls that succeed, and the attempts for each call. Attempts fail independently with
 * the probability `failures`; a call makes at most so many `tries`.
 *
 * @since 0.1.0
 */
export interface Outcome {
  readonly success: number
  readonly load: number
}

/**
 * What retries without a budget come to. O(1).
 *
 * @since 0.1.0
 */
export const retried = (failures: number, tries: number): Outcome => {
  const lost = failures ** tries
  return { success: 1 - lost, load: failures === 1 ? tries : (1 - lost) / (1 - failures) }
}

/**
 * What endless retries come to that a budget pays for, which gets `ratio` of a token for each
 * success and nothing else, and is always empty. O(1).
 *
 * @since 0.1.0
 */
export const budgeted = (failures: number, ratio: number): Outcome => {
  const success = (1 - failures) / (1 - ratio * (1 - failures))
  return { success, load: 1 + ratio * success }
}

/**
 * What one hedge comes to after the quantile `share` of an exponential latency of mean 1: the
 * attempts for each call, and a quantile of the latency beyond that delay. O(1).
 *
 * @since 0.1.0
 */
export const hedged = (
  share: number,
  quantile: number
): { readonly load: number; readonly latency: number } => {
  const delay = -Math.log1p(-share)
  const plain = -Math.log1p(-quantile)
  return { load: 2 - share, latency: plain <= delay ? plain : (plain + delay) / 2 }
}

/**
 * The share of requests that an adaptive throttle turns away in the long run, when the upstream
 * accepts `capacity` of what is `offered` and the probability has no cap. O(1).
 *
 * @since 0.1.0
 */
export const throttled = (multiplier: number, capacity: number, offered: number): number =>
  Math.max(0, 1 - multiplier * capacity / offered)
