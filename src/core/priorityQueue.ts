/**
 * Orders entries by time; entries of the same time by arrival.
 *
 * A binary heap. Owned by one clock and changed in place.
 */

/**
 * @since 0.1.0
 */
export interface Entry<A> {
  readonly at: bigint
  readonly turn: number
  readonly what: A
}

/**
 * @since 0.1.0
 */
export interface PriorityQueue<A> {
  readonly heap: Array<Entry<A>>
  turns: number
}

/**
 * Makes an empty queue.
 *
 * @since 0.1.0
 */
export const make = <A>(): PriorityQueue<A> => ({ heap: [], turns: 0 })

const isBefore = (a: Entry<unknown>, b: Entry<unknown>): boolean =>
  a.at < b.at || (a.at === b.at && a.turn < b.turn)

const swap = <A>(heap: Array<Entry<A>>, a: number, b: number): void => {
  // Both are in range by construction.
  const kept = heap[a] as Entry<A>
  heap[a] = heap[b] as Entry<A>
  heap[b] = kept
}

const comesBefore = <A>(heap: Array<Entry<A>>, a: number, b: number): boolean => {
  const first = heap[a]
  return first !== undefined && isBefore(first, heap[b] as Entry<A>)
}

/**
 * Adds an entry. O(log entries).
 *
 * @since 0.1.0
 */
export const add = <A>(agenda: PriorityQueue<A>, at: bigint, what: A): void => {
  const { heap } = agenda
  heap.push({ at, turn: agenda.turns++, what })
  let child = heap.length - 1
  while (child > 0) {
    const parent = (child - 1) >> 1
    if (!comesBefore(heap, child, parent)) return
    swap(heap, child, parent)
    child = parent
  }
}

/**
 * Takes out the entry that comes first. O(log entries).
 *
 * @since 0.1.0
 */
export const take = <A>({ heap }: PriorityQueue<A>): Entry<A> | undefined => {
  const last = heap.pop()
  const first = heap[0]
  if (first === undefined) return last
  // What was popped is there where something is left.
  heap[0] = last as Entry<A>
  let parent = 0
  for (;;) {
    const left = 2 * parent + 1
    const child = comesBefore(heap, left + 1, left) ? left + 1 : left
    if (!comesBefore(heap, child, parent)) return first
    swap(heap, parent, child)
    parent = child
  }
}
