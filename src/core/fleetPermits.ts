/**
 * The permits of a bulkhead that one member of a fleet has leased: how many calls may run now, and
 * what to ask for.
 *
 * A lease ends `memberTimeout` after its question was sent, which is before the store thinks that
 * it does. Owned by one bulkhead and changed in place; all of it is O(1). Times are monotonic
 * milliseconds.
 */

/** What a member holds, and what it was told last. */
export interface Lease {
  held: number
  endMillis: number
  /** How many it should keep to while others want. */
  fair: number
  /** How many came with the last answer and were not used yet; they may be used once. */
  fresh: number
  /** The most that were needed at once since the last question. */
  peak: number
  /** What was asked for last, and when. */
  saidNeed: number
  saidMillis: number
  /** Whether all that was needed came. */
  isPlenty: boolean
}

/** A lease of nothing. */
export const make = (): Lease => ({
  held: 0,
  endMillis: -Infinity,
  fair: Infinity,
  fresh: 0,
  peak: 0,
  saidNeed: 0,
  saidMillis: -Infinity,
  isPlenty: true
})

/** How many calls may run on what is leased, with so many running. */
export const limit = (
  { endMillis, fair, fresh, held }: Lease,
  running: number,
  now: number
): number => now < endMillis ? Math.min(held, Math.max(fair, running + fresh)) : 0

/** A call begins. */
export const begin = (lease: Lease): void => {
  if (lease.fresh > 0) lease.fresh--
}

/** What a member says: how many it holds on to, and how many it needs. */
export interface Said {
  readonly held: number
  readonly need: number
}

/**
 * Says what is needed, and gives up what is not, from now on. What runs counts, whatever was
 * leased.
 */
export const say = (
  lease: Lease,
  running: number,
  waiting: number,
  concurrency: number,
  now: number
): Said => {
  const needed = Math.max(running, Math.min(concurrency, Math.max(lease.peak, running + waiting)))
  const kept = Math.min(needed, limit(lease, running, now))
  lease.held = Math.max(running, kept)
  lease.fresh = 0
  lease.peak = running + waiting
  lease.saidNeed = needed
  lease.saidMillis = now
  return { held: lease.held, need: needed }
}

/** Tests whether there is something to say: to renew, to ask for more, or to give back. */
export const hasNews = (
  lease: Lease,
  running: number,
  waiting: number,
  concurrency: number,
  renewMillis: number,
  now: number
): boolean => {
  const needed = Math.min(concurrency, Math.max(lease.peak, running + waiting))
  const isOver = Math.max(running, Math.min(needed, lease.fair)) < lease.held
  const isShort = needed > lease.held || waiting > 0
  const isDue = (lease.held > 0 || lease.saidNeed > 0) && now - lease.saidMillis >= renewMillis
  return isOver || isShort || isDue
}

/** Takes what the store granted, for a question that was sent at that time. */
export const granted = (
  lease: Lease,
  { fair, granted }: { readonly granted: number; readonly fair: number },
  concurrency: number,
  endMillis: number
): void => {
  const held = Math.max(lease.held, Math.min(granted, lease.saidNeed, concurrency))
  lease.fresh = held - lease.held
  lease.held = held
  lease.endMillis = endMillis
  lease.fair = fair >= concurrency ? Infinity : fair
  lease.isPlenty = granted >= lease.saidNeed
}
