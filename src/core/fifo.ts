/**
 * A queue: first in, first out. Any member may leave early.
 *
 * A doubly linked list, so that joining, taking the first and leaving from the middle are all O(1),
 * and who has left takes no memory. It is owned by one guard and changed in place.
 */

/**
 * A place in the queue. `inLine` until it was taken or left.
 *
 * @since 0.1.0
 */
export interface Place<A> {
  readonly value: A
  inLine: boolean
  before: Place<A> | undefined
  after: Place<A> | undefined
}

/**
 * @since 0.1.0
 */
export interface Fifo<A> {
  size: number
  first: Place<A> | undefined
  last: Place<A> | undefined
}

/**
 * An empty line.
 *
 * @since 0.1.0
 */
export const make = <A>(): Fifo<A> => ({ size: 0, first: undefined, last: undefined })

/**
 * Joins the line at its end. O(1).
 *
 * @since 0.1.0
 */
export const join = <A>(line: Fifo<A>, value: A): Place<A> => {
  const place: Place<A> = { value, inLine: true, before: line.last, after: undefined }
  if (line.last === undefined) line.first = place
  else line.last.after = place
  line.last = place
  line.size++
  return place
}

/**
 * Leaves the line, from wherever the place is. A place that is no longer in line stays as it is.
 * O(1).
 *
 * @since 0.1.0
 */
export const leave = <A>(line: Fifo<A>, place: Place<A>): void => {
  if (!place.inLine) return
  if (place.before === undefined) line.first = place.after
  else place.before.after = place.after
  if (place.after === undefined) line.last = place.before
  else place.after.before = place.before
  place.inLine = false
  place.before = undefined
  place.after = undefined
  line.size--
}

/**
 * Takes the first place out of the line. O(1).
 *
 * @since 0.1.0
 */
export const take = <A>(line: Fifo<A>): Place<A> | undefined => {
  const { first } = line
  if (first !== undefined) leave(line, first)
  return first
}

/**
 * All members of the queue, first in first. O(size).
 *
 * @since 0.1.0
 */
export const values = <A>(line: Fifo<A>): ReadonlyArray<A> => {
  const all: Array<A> = []
  for (let place = line.first; place !== undefined; place = place.after) all.push(place.value)
  return all
}
