/**
 * Orders the events of a simulation by time, however many there are: those that come next stand in
 * a short heap, those of the near future in buckets by time, and the rest in a list.
 *
 * A heap alone costs the logarithm of all pending events, and most of that is waiting for memory.
 * Here an event is put into its bucket, and meets only those of the same bucket in the heap. Once
 * the buckets are used up, those of the list are spread over new ones, as wide as events are
 * frequent. After R. Brown, "Calendar Queues" (1988), and W. T. Tang et al., "Ladder Queue" (2005).
 */
import * as EventQueue from "./eventQueue.js"

/**
 * The first event of all stands at index 0 of `near`, as long as `size` is above 0. Each of `heads`
 * is the first event of a bucket; `slots` say of each event which comes next in its bucket or list.
 *
 * @since 0.1.0
 */
export interface Calendar {
  readonly near: EventQueue.EventQueue
  size: number
  /** Where the buckets begin, and how many there are in a unit of time: 0 while there are none. */
  start: number
  perTime: number
  /** The bucket whose events stand in `near`, with all that are earlier. */
  current: number
  heads: Int32Array
  far: number
  taken: number
  /** So many events in the heap, while there are no buckets, are worth some. */
  enough: number
  times: Float64Array
  turns: Float64Array
  whats: Int32Array
  slots: Int32Array
  free: number
}

const none = -1

/** So many events need no buckets. */
const fewEvents = 256

/** So many events share a bucket, where they are as frequent as they were. */
const perBucket = 3

const maxBuckets = 2 ** 20

/**
 * Makes an empty calendar.
 *
 * @since 0.1.0
 */
export const make = (): Calendar => ({
  near: EventQueue.make(),
  size: 0,
  start: 0,
  perTime: 0,
  current: 0,
  heads: new Int32Array(0),
  far: none,
  taken: 0,
  enough: 2 * fewEvents,
  times: new Float64Array(0),
  turns: new Float64Array(0),
  whats: new Int32Array(0),
  slots: new Int32Array(0),
  free: none
})

/** Twice the room; the new places are free. */
const grow = (calendar: Calendar): void => {
  const from = calendar.times.length
  const room = Math.max(1024, 2 * from)
  const times = new Float64Array(room)
  const turns = new Float64Array(room)
  const whats = new Int32Array(room)
  const slots = new Int32Array(room)
  times.set(calendar.times)
  turns.set(calendar.turns)
  whats.set(calendar.whats)
  slots.set(calendar.slots)
  for (let slot = from; slot < room; slot++) slots[slot] = slot + 1 < room ? slot + 1 : none
  calendar.free = from
  calendar.times = times
  calendar.turns = turns
  calendar.whats = whats
  calendar.slots = slots
}

/** Which bucket a time is in: up to the next whole number. Not a number where there are none. */
const bucketOf = ({ perTime, start }: Calendar, time: number): number => (time - start) * perTime

/** Puts the event of a slot into a bucket, or into the list where it is beyond the last one. */
const link = (calendar: Calendar, bucket: number, slot: number): void => {
  const { heads, slots } = calendar
  if (bucket < heads.length) {
    // A bucket is a whole number below 2^20 here.
    const index = bucket | 0
    slots[slot] = heads[index]!
    heads[index] = slot
  } else {
    slots[slot] = calendar.far
    calendar.far = slot
  }
}

/** Stores an event that is not for the heap. */
const store = (
  calendar: Calendar,
  bucket: number,
  time: number,
  turn: number,
  what: number
): void => {
  if (calendar.free === none) grow(calendar)
  const slot = calendar.free
  calendar.free = calendar.slots[slot]!
  calendar.times[slot] = time
  calendar.turns[slot] = turn
  calendar.whats[slot] = what
  link(calendar, bucket, slot)
}

/** Puts an event into its bucket or the list, or into the heap where its bucket is the current. */
const place = (calendar: Calendar, time: number, turn: number, what: number): void => {
  const bucket = bucketOf(calendar, time)
  if (bucket >= calendar.current + 1) store(calendar, bucket, time, turn, what)
  else EventQueue.add(calendar.near, time, turn, what)
}

/** Takes the events of the heap into the list. */
const putOff = (calendar: Calendar): void => {
  const { near } = calendar
  for (let index = 0; index < near.size; index++) {
    store(calendar, Infinity, near.times[index]!, near.turns[index]!, near.whats[index]!)
  }
  near.size = 0
}

/** The first of all times in the list, and how frequent events are up to a quarter of some. */
const survey = ({ far, size, slots, times }: Calendar): readonly [first: number, number] => {
  const step = Math.max(1, Math.floor(size / 128))
  const sample: Array<number> = []
  let first = Infinity
  for (let slot = far, index = 0; slot !== none; slot = slots[slot]!, index++) {
    const time = times[slot]!
    if (time < first) first = time
    if (index % step === 0) sample.push(time)
  }
  sample.sort((a, b) => a - b)
  const [least] = sample
  const quarter = sample[Math.ceil(sample.length / 4)]
  const isSpread = least !== undefined && quarter !== undefined && quarter > least
  return [first, isSpread ? size / 4 / (quarter - least) : 0]
}

/** Spreads all events over new buckets; few of them go into the heap instead. */
const spread = (calendar: Calendar): void => {
  const { heads, perTime, size } = calendar
  putOff(calendar)
  const [first, density] = survey(calendar)
  const before = perTime === 0 ? 0 : calendar.taken * perTime / heads.length
  const frequency = size < fewEvents ? 0 : Math.max(before, density)
  calendar.taken = 0
  calendar.perTime = frequency / perBucket
  calendar.start = first
  calendar.current = 0
  // Those of one instant cannot be spread: there have to be many more before it is tried again.
  calendar.enough = frequency > 0 ? 2 * fewEvents : Math.max(2 * fewEvents, 2 * size)
  if (frequency > 0) {
    const buckets = Math.min(maxBuckets, 2 ** Math.ceil(Math.log2(size)))
    if (heads.length === buckets) heads.fill(none)
    else calendar.heads = new Int32Array(buckets).fill(none)
  }
  const { slots, times, turns, whats } = calendar
  let slot = calendar.far
  calendar.far = none
  while (slot !== none) {
    const next = slots[slot]!
    const bucket = bucketOf(calendar, times[slot]!)
    if (bucket >= 1) link(calendar, bucket, slot)
    else {
      EventQueue.add(calendar.near, times[slot]!, turns[slot]!, whats[slot]!)
      slots[slot] = calendar.free
      calendar.free = slot
    }
    slot = next
  }
}

/** Fills the heap with the next bucket that has events. */
const advance = (calendar: Calendar): void => {
  const { heads, near } = calendar
  let bucket = calendar.current + 1
  while (bucket < heads.length && heads[bucket] === none) bucket++
  if (calendar.perTime === 0 || bucket >= heads.length) return spread(calendar)
  calendar.current = bucket
  const { slots, times, turns, whats } = calendar
  const first = heads[bucket]!
  let last = first
  for (let slot = first; slot !== none; slot = slots[slot]!) {
    EventQueue.add(near, times[slot]!, turns[slot]!, whats[slot]!)
    last = slot
  }
  slots[last] = calendar.free
  calendar.free = first
  heads[bucket] = none
}

/**
 * Adds an event, not before those that were taken. `what` says which it is; turns rise. O(1) where
 * events are spread as before, O(log events) at worst.
 *
 * @since 0.1.0
 */
export const add = (calendar: Calendar, time: number, turn: number, what: number): void => {
  const { near } = calendar
  calendar.size++
  place(calendar, time, turn, what)
  if (near.size === 0) advance(calendar)
  else if (calendar.perTime === 0 && near.size > calendar.enough) spread(calendar)
}

/**
 * Takes the first event out and returns what it is. The calendar must not be empty. O(1) where
 * events are spread as before, O(log events) at worst.
 *
 * @since 0.1.0
 */
export const take = (calendar: Calendar): number => {
  const what = EventQueue.take(calendar.near)
  calendar.size--
  calendar.taken++
  if (calendar.near.size === 0 && calendar.size > 0) advance(calendar)
  return what
}
