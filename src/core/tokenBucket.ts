/**
 * A bucket of tokens that fills with time and by deposits.
 *
 * Time is an argument, tokens are a fraction, and nothing ticks: what has flowed in since the last
 * read is added at the next one.
 */

/**
 * `capacity` in tokens, `perSecond` what flows in by itself.
 *
 * @since 0.1.0
 */
export interface TokenBucket {
  readonly capacity: number
  readonly perSecond: number
}

/**
 * What is left, and when that was last true (monotonic milliseconds).
 *
 * @since 0.1.0
 */
export interface State {
  readonly tokens: number
  readonly atMillis: number
}

/** What a withdrawal needs: what a fraction of a token lacks in binary is not held against it. */
const enough = 1 - 1e-9

/**
 * Ten deposits of a tenth are shown as one token, although ten times 0.1 is a little less than 1 in
 * binary. Other fractions stay as they are: three rounded thirds would be too little.
 */
const whole = (tokens: number): number => {
  const nearest = Math.round(tokens)
  return Math.abs(tokens - nearest) < 1e-12 ? nearest : tokens
}

/**
 * A full bucket.
 *
 * @since 0.1.0
 */
export const full = (bucket: TokenBucket, nowMillis: number): State => ({
  tokens: bucket.capacity,
  atMillis: nowMillis
})

/**
 * The state at `nowMillis`. A time before the last one adds nothing. O(1).
 *
 * @since 0.1.0
 */
export const refill = (bucket: TokenBucket, state: State, nowMillis: number): State => {
  const elapsed = Math.max(0, nowMillis - state.atMillis)
  return {
    tokens: Math.min(bucket.capacity, state.tokens + (elapsed / 1000) * bucket.perSecond),
    atMillis: Math.max(state.atMillis, nowMillis)
  }
}

/**
 * Puts tokens in, up to the capacity. Needs no time: what flows in by itself is added later and
 * meets the same capacity. O(1).
 *
 * @since 0.1.0
 */
export const deposit = (bucket: TokenBucket, state: State, amount: number): State => ({
  tokens: Math.min(bucket.capacity, whole(state.tokens + amount)),
  atMillis: state.atMillis
})

/**
 * Takes one token, or takes nothing and says so. Up to a billionth of it may be missing. O(1).
 *
 * @since 0.1.0
 */
export const withdraw = (
  bucket: TokenBucket,
  state: State,
  nowMillis: number
): readonly [granted: boolean, state: State] => {
  const now = refill(bucket, state, nowMillis)
  return now.tokens >= enough
    ? [true, { tokens: Math.max(0, now.tokens - 1), atMillis: now.atMillis }]
    : [false, now]
}
