/**
 * Orders the events of a simulation by time; events of the same time by turn.
 *
 * A binary heap on typed arrays, changed in place: an event is three numbers and no object. What
 * adds an event says its turn, so that several queues can share one count of turns, and events of
 * one instant happen in the order in which they were arranged.
 */

/**
 * `size` events are in the queue. The first one stands at index 0 of `times`, `turns` and `whats`.
 *
 * @since 0.1.0
 */
export interface EventQueue {
  size: number
  times: Float64Array
  turns: Float64Array
  whats: Int32Array
}

/**
 * Makes an empty queue with room for as many events; it grows when it has to.
 *
 * @since 0.1.0
 */
export const make = (room: number = 1024): EventQueue => ({
  size: 0,
  times: new Float64Array(room),
  turns: new Float64Array(room),
  whats: new Int32Array(room)
})

/** Twice the room, at least for one event. */
const grow = (queue: EventQueue): void => {
  const room = Math.max(1, queue.times.length * 2)
  const times = new Float64Array(room)
  const turns = new Float64Array(room)
  const whats = new Int32Array(room)
  times.set(queue.times)
  turns.set(queue.turns)
  whats.set(queue.whats)
  queue.times = times
  queue.turns = turns
  queue.whats = whats
}

/**
 * Adds an event. `what` says which it is; turns rise. O(log events), or O(events) when the room is
 * used up.
 *
 * @since 0.1.0
 */
export const add = (queue: EventQueue, time: number, turn: number, what: number): void => {
  if (queue.size === queue.times.length) grow(queue)
  const { times, turns, whats } = queue
  let child = queue.size++
  while (child > 0) {
    const parent = (child - 1) >> 1
    const parentTime = times[parent]!
    if (parentTime < time || (parentTime === time && turns[parent]! < turn)) break
    times[child] = parentTime
    turns[child] = turns[parent]!
    whats[child] = whats[parent]!
    child = parent
  }
  times[child] = time
  turns[child] = turn
  whats[child] = what
}

/** Puts the last event where its place is from the top on. */
const sift = ({ size, times, turns, whats }: EventQueue): void => {
  const time = times[size]!
  const turn = turns[size]!
  const what = whats[size]!
  let parent = 0
  for (;;) {
    let child = 2 * parent + 1
    if (child >= size) break
    const right = child + 1
    if (
      right < size && (times[right]! < times[child]! ||
        (times[child] === times[right] && turns[right]! < turns[child]!))
    ) child = right
    if (times[child]! > time || (time === times[child] && turns[child]! > turn)) break
    times[parent] = times[child]!
    turns[parent] = turns[child]!
    whats[parent] = whats[child]!
    parent = child
  }
  times[parent] = time
  turns[parent] = turn
  whats[parent] = what
}

/**
 * Takes the first event out and returns what it is. The queue must not be empty; its time stands in
 * `times[0]` before. O(log events).
 *
 * @since 0.1.0
 */
export const take = (queue: EventQueue): number => {
  const what = queue.whats[0]!
  queue.size--
  if (queue.size > 0) sift(queue)
  return what
}
