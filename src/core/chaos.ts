/**
 * Chooses the fault of a call, as a function of a seed and the number of the call.
 *
 * No generator is carried along: the answer for the hundredth call does not depend on whether the
 * others have asked, or in what order. So the same seed means the same faults, however the calls
 * interleave.
 */

/** Spreads every bit over all others (the finalizer of MurmurHash3). */
const mixed = (bits: number): number => {
  let hash = bits
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

/** The part of a whole number below 2^53 that does not fit into 32 bits. */
const high = (whole: number): number => Math.floor(whole / 0x1_0000_0000)

/**
 * A draw from [0, 1) for one call; each `stream` is a draw of its own. O(1).
 *
 * @since 0.1.0
 */
export const unit = (seed: number, call: number, stream: number): number => {
  const words = [seed, high(seed), call, high(call), stream]
  return (words.reduce(
    (hash, word) => mixed(Math.imul(hash, 31) + (word | 0) + 0x9e3779b9 | 0),
    0
  ) >>> 0) /
    0x1_0000_0000
}

/**
 * The number of the fault that a call meets, of as many as there are; none where it is spared.
 * O(1).
 *
 * @since 0.1.0
 */
export const pick = (
  { faults, rate, seed }: { readonly seed: number; readonly rate: number; readonly faults: number },
  call: number
): number | undefined =>
  unit(seed, call, 0) < rate ? Math.floor(unit(seed, call, 1) * faults) : undefined
