/**
 * Decides what becomes of a call that meets a cooldown: it runs, as the trial where there is one,
 * or it waits in line, or it is turned away.
 *
 * The line is owned by one key of one cooldown and changed in place; `W` is what stands for a
 * waiting call.
 */
import * as Cooldown from "./cooldown.js"
import * as Fifo from "./fifo.js"

/**
 * A call that waits: until when, and how it learns that something has changed.
 *
 * @since 0.1.0
 */
export interface Waiter<out W> {
  readonly deadlineMillis: number
  readonly signal: W
}

/**
 * The state of a key, and the calls that wait for it.
 *
 * @since 0.1.0
 */
export interface CooldownLine<W> {
  state: Cooldown.State
  readonly line: Fifo.Fifo<Waiter<W>>
}

/**
 * Decides a call: run it (as the trial, where there is one), reject it, or wait and ask again.
 * `notified` is a call that has to look again first.
 *
 * @since 0.1.0
 */
export type Entry<W> =
  | { readonly _tag: "Run"; readonly trial: Cooldown.Trial | undefined }
  | { readonly _tag: "Reject"; readonly afterMillis: number }
  | { readonly _tag: "Wait"; readonly millis: number; readonly notified?: W | undefined }

/** A microsecond: below what a timer can tell. */
const resolutionMillis = 1e-3

/**
 * What becomes of a call that may wait until `deadline`. `isFirst` says that no call stands before
 * it. A trial begins here. O(1).
 *
 * @since 0.1.0
 */
export const enter = <W>(
  policy: Cooldown.Policy,
  cell: CooldownLine<W>,
  isFirst: boolean,
  deadline: number,
  now: number
): Entry<W> => {
  const wait = Cooldown.waitMillis(cell.state, now)
  if (wait === 0 && isFirst) {
    if (cell.state._tag === "Clear") return { _tag: "Run", trial: undefined }
    const trial = Cooldown.tryOut(policy, now)
    cell.state = trial
    return { _tag: "Run", trial }
  }
  // Those before it are on their way.
  if (cell.state._tag === "Clear") return { _tag: "Wait", millis: Infinity }
  const left = deadline - now
  // The length of a trial is unknown; it may be worth waiting.
  const isHopeless = cell.state._tag === "Cooling" && wait > left
  if (wait === 0 && left <= resolutionMillis) {
    // The time of the first in line has come in the same moment. What it begins decides what this
    // one is told.
    return { _tag: "Wait", millis: 0, notified: cell.line.first?.value.signal }
  }
  if (isHopeless || left <= resolutionMillis) return { _tag: "Reject", afterMillis: wait }
  return { _tag: "Wait", millis: isFirst ? Math.min(wait, left) : left }
}

/**
 * Puts a new state in place and tells who has to look again: the first in line, and those who
 * cannot wait for the end of it. O(calls in line).
 *
 * @since 0.1.0
 */
export const change = <W>(
  cell: CooldownLine<W>,
  state: Cooldown.State,
  notify: (signal: W) => void
): void => {
  cell.state = state
  const { first } = cell.line
  if (first !== undefined) notify(first.value.signal)
  if (state._tag !== "Cooling") return
  for (const { deadlineMillis, signal } of Fifo.values(cell.line)) {
    if (state.untilMillis > deadlineMillis) notify(signal)
  }
}

/**
 * Takes a call out of the line, to run or for good. The answer is the call that is first now and
 * was not before. O(1).
 *
 * @since 0.1.0
 */
export const leave = <W>(cell: CooldownLine<W>, place: Fifo.Place<Waiter<W>>): W | undefined => {
  const wasFirst = cell.line.first === place
  Fifo.leave(cell.line, place)
  return wasFirst ? cell.line.first?.value.signal : undefined
}
