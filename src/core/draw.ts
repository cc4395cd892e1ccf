/**
 * Draws random numbers as a function of what they are for.
 *
 * No generator is carried along: the draw of a call depends on the seed, the replication, the call,
 * the purpose and an index, and on nothing else. Two policies that are simulated under the same
 * seed meet the same arrivals, service times and faults, however many draws either of them takes.
 * A draw has 53 bits and allocates nothing.
 */

/**
 * What a draw is for. Draws for different purposes are independent.
 *
 * - `arrival`: gaps between calls; the call is the number of the arrival
 * - `process`: which process makes a call
 * - `requestNetwork`, `responseNetwork`: the delay of the network, each way; the index is the
 *   attempt
 * - `service`: how long the upstream works; the index is the attempt
 * - `fault`: whether the upstream fails; the index is the attempt
 * - `burst`: how long the upstream stays well or ill; the index is the number of the change
 * - `policy`: what the stages of a call draw, in their order
 * - `think`: how long a client waits between its calls
 * - `key`: which key a call has
 *
 * @since 0.1.0
 */
export const purposes = {
  arrival: 1,
  process: 2,
  requestNetwork: 3,
  service: 4,
  responseNetwork: 5,
  fault: 6,
  burst: 7,
  policy: 8,
  think: 9,
  key: 10
} as const

/**
 * One of `purposes`.
 *
 * @since 0.1.0
 */
export type Purpose = (typeof purposes)[keyof typeof purposes]

/**
 * What all draws of one replication begin with: 64 bits, mixed from the seed and the replication.
 *
 * @since 0.1.0
 */
export interface Source {
  readonly high: number
  readonly low: number
}

/** Spreads every bit over all 32 (the finalizer of MurmurHash3). */
const mixed = (bits: number): number => {
  let hash = bits ^ (bits >>> 16)
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

/** Adds a word to 32 bits. */
const joined = (bits: number, word: number): number => mixed(Math.imul(bits, 0x9e3779b1) + word | 0)

/** The part of a whole number below 2^53 that does not fit into 32 bits. */
const highOf = (whole: number): number => Math.floor(whole / 0x1_0000_0000) | 0

/**
 * Makes the source of one replication. Seed and replication are whole numbers below 2^53.
 *
 * @since 0.1.0
 */
export const source = (seed: number, replication: number): Source => {
  let high = 0x243f6a88
  let low = 0x05a308d3
  for (const whole of [seed, replication]) {
    for (const word of [whole | 0, highOf(whole)]) {
      high = joined(high ^ low, word)
      low = joined(low, high ^ word)
    }
  }
  return { high, low }
}

/**
 * Makes a source of which the draws are independent of those of this one, and of those of every
 * other number.
 *
 * @since 0.1.0
 */
export const fork = ({ high, low }: Source, number: number): Source => {
  const forked = joined(high ^ low, number)
  return { high: forked, low: joined(low, high ^ forked) }
}

/**
 * The number of a call that another one makes, while an attempt of it is worked on: 32 bits, mixed,
 * so that two calls have the same one as good as never.
 *
 * @since 0.1.0
 */
export const numberOf = (call: number, attempt: number, index: number): number =>
  joined(joined(call, attempt), index)

/**
 * Draws a number from `[0, 1)` with 53 bits. `call` and `index` are whole numbers below 2^32. O(1).
 *
 * @since 0.1.0
 */
export const unit = (
  { high, low }: Source,
  call: number,
  purpose: Purpose,
  index: number
): number => {
  const word = Math.imul(purpose, 0x632be5ab) + index | 0
  const first = mixed(mixed(high ^ call) + word | 0)
  const second = mixed(mixed(low + call | 0) ^ word ^ first)
  return ((first >>> 5) * 0x400_0000 + (second >>> 6)) / 0x20_0000_0000_0000
}
