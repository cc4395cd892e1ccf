/**
 * The tokens of a rate that one member of a fleet has leased: which are due, which have ended, and
 * how many to ask for.
 *
 * A lease runs from the sending of the question, so it ends before the store thinks that it does.
 * Each token is spent or given back once. The purse is owned by one key of one limiter and changed
 * in place; all of it is O(slices), of which there are few. Times are monotonic milliseconds.
 */

/** Tokens that come due one after the other, each `spacing` after the one before. */
interface Slice {
  /** When the first of those that are left is due, and when its lease ends. */
  dueMillis: number
  endMillis: number
  left: number
  readonly spacing: number
}

/** What a member has leased, and what it has spent. */
export interface Purse {
  readonly slices: Array<Slice>
  /** How many tokens were spent in this interval, and in the one before. */
  used: number
  usedBefore: number
  /** How many to ask for next. */
  slice: number
  /** How many have ended unspent and go back. */
  back: number
}

/** A purse with nothing in it. */
export const make = (): Purse => ({ slices: [], used: 0, usedBefore: 0, slice: 1, back: 0 })

/** When a question was sent, and when its answer came. */
interface Moment {
  readonly sentMillis: number
  readonly receivedMillis: number
}

/** Puts leased tokens in: those that are there, and those that come due. */
export const put = (
  purse: Purse,
  lease: { readonly granted: number; readonly booked: number; readonly due: number },
  spacing: number,
  leaseMillis: number,
  { receivedMillis, sentMillis }: Moment
): void => {
  const { booked, due, granted } = lease
  if (granted > 0) {
    const endMillis = sentMillis + leaseMillis
    purse.slices.push({ dueMillis: receivedMillis, endMillis, left: granted, spacing: 0 })
  }
  if (booked > 0) {
    const endMillis = sentMillis + due + leaseMillis
    purse.slices.push({ dueMillis: receivedMillis + due, endMillis, left: booked, spacing })
  }
}

/** Below what a clock can tell. */
const resolution = 1e-6

/** How many steps of a slice lie between a time and now, the first at that time included. */
const steps = (fromMillis: number, { left, spacing }: Slice, now: number): number => {
  if (fromMillis > now + resolution) return 0
  return spacing === 0
    ? left
    : Math.min(left, Math.floor((now - fromMillis) / spacing + resolution) + 1)
}

const drop = (slice: Slice, tokens: number): void => {
  slice.left -= tokens
  slice.dueMillis += tokens * slice.spacing
  slice.endMillis += tokens * slice.spacing
}

/** Takes out what has ended. It goes back with the next question. */
const expire = (purse: Purse, now: number): void => {
  for (const slice of purse.slices) {
    const ended = steps(slice.endMillis, slice, now)
    purse.back += ended
    drop(slice, ended)
  }
  while (purse.slices.some(({ left }) => left === 0)) {
    purse.slices.splice(purse.slices.findIndex(({ left }) => left === 0), 1)
  }
}

/** How many tokens could be spent now. */
export const available = (purse: Purse, now: number): number => {
  expire(purse, now)
  return purse.slices.reduce((sum, slice) => sum + steps(slice.dueMillis, slice, now), 0)
}

/** How many tokens are leased, due or not. */
export const leased = (purse: Purse, now: number): number => {
  expire(purse, now)
  return purse.slices.reduce((sum, { left }) => sum + left, 0)
}

/** Spends tokens, those first that were leased first. False where too few are due. */
export const take = (purse: Purse, cost: number, now: number): boolean => {
  if (available(purse, now) < cost) return false
  let missing = cost
  for (const slice of purse.slices) {
    const taken = Math.min(missing, steps(slice.dueMillis, slice, now))
    drop(slice, taken)
    missing -= taken
  }
  purse.used += cost
  return true
}

/** How long until so many tokens are due; infinite where too few are leased. */
export const dueIn = (purse: Purse, cost: number, now: number): number => {
  let missing = cost - available(purse, now)
  if (missing <= 0) return 0
  for (const slice of purse.slices) {
    const due = steps(slice.dueMillis, slice, now)
    const coming = Math.min(missing, slice.left - due)
    missing -= coming
    if (missing > 0 || coming === 0) continue
    return Math.max(0, slice.dueMillis + (due + coming - 1) * slice.spacing - now)
  }
  return Infinity
}

/** An interval is over: what was used in it tells how much the next one will. */
export const tick = (purse: Purse): void => {
  purse.usedBefore = purse.used
  purse.used = 0
}

/**
 * How many tokens to ask for, with so many waited for and so many leased: a slice, which doubles
 * with each question up to what was used.
 */
export const wanted = (purse: Purse, waiting: number, now: number): number => {
  // An eighth more: intervals differ, and what is not spent goes back.
  const used = Math.ceil(Math.max(purse.used, purse.usedBefore) * 1.125)
  const slice = Math.min(purse.slice, used)
  purse.slice = Math.max(1, Math.min(2 * purse.slice, used))
  return Math.max(0, Math.max(waiting, slice) - leased(purse, now))
}

/** How many tokens of an interval are the share of one member, where all want them. */
export const share = (spacing: number, intervalMillis: number, members: number): number =>
  Math.floor(intervalMillis / (spacing * members))

/**
 * How many tokens to book whenever they come due, so that a member gets its turn while others want
 * more than there is: its share of an interval. One that has as many leaves the line to others, and
 * so the line is never much longer than two intervals.
 */
export const missing = (
  purse: Purse,
  { cost, share, waiting }: {
    /** What the first call in line costs, and what all of them do. */
    readonly cost: number
    readonly waiting: number
    readonly share: number
  },
  now: number
): number => Math.max(0, Math.max(cost, Math.min(share, waiting)) - leased(purse, now))

/** Tests whether anything has ended unspent. */
export const hasBack = (purse: Purse, now: number): boolean => {
  expire(purse, now)
  return purse.back > 0
}

/** Takes out what goes back; it is given back once, heard or not. */
export const takeBack = (purse: Purse, now: number): number => {
  expire(purse, now)
  const { back } = purse
  purse.back = 0
  return back
}

/** Keeps so many, those that come due first, and gives the others back. */
export const keep = (purse: Purse, tokens: number, now: number): void => {
  let left = Math.max(0, tokens)
  // What has ended goes back first: it is not among those that are kept.
  const given = Math.max(0, leased(purse, now) - left)
  purse.back += given
  const kept = [...purse.slices].sort((a, b) => a.dueMillis - b.dueMillis)
  for (const slice of kept) {
    slice.left = Math.min(slice.left, left)
    left -= slice.left
  }
  expire(purse, now)
}

/** Gives everything back. */
export const empty = (purse: Purse): void => {
  for (const { left } of purse.slices) purse.back += left
  purse.slices.length = 0
}
