/**
 * The permits of a bulkhead: which calls run, which wait, and which are rejected.
 *
 * A permit that is given back goes straight to the first in line, without having been free: so no
 * later call can take it, and permits are free only while no call waits. All of it is O(1). The
 * permits are owned by one bulkhead and changed in place; `W` is whatever stands for a waiting
 * call.
 */
import * as Fifo from "./fifo.js"

/**
 * How many may run, and how many may wait for it.
 *
 * @since 0.1.0
 */
export interface Limits {
  readonly concurrency: number
  readonly queue: number
}

/**
 * @since 0.1.0
 */
export interface Permits<W> extends Limits {
  running: number
  readonly waiting: Fifo.Fifo<W>
}

/**
 * Makes the permits: all free, no call waiting.
 *
 * @since 0.1.0
 */
export const make = <W>({ concurrency, queue }: Limits): Permits<W> => ({
  concurrency,
  queue,
  running: 0,
  waiting: Fifo.make()
})

/**
 * Decides about a new call: it runs with a permit, waits, or is rejected.
 *
 * @since 0.1.0
 */
export const enter = <W>(permits: Permits<W>): "Run" | "Wait" | "Full" => {
  if (permits.running < permits.concurrency) {
    permits.running++
    return "Run"
  }
  return permits.waiting.size < permits.queue ? "Wait" : "Full"
}

/**
 * Gives a permit back. Returns the call that has it now; `undefined` where no call waits.
 *
 * @since 0.1.0
 */
export const release = <W>(permits: Permits<W>): W | undefined => {
  const next = Fifo.take(permits.waiting)
  if (next === undefined) permits.running--
  return next?.value
}

/**
 * A waiting call that will not run leaves. Where it had been handed a permit at that very moment
 * the permit goes on; the answer is to whom.
 *
 * @since 0.1.0
 */
export const giveUp = <W>(permits: Permits<W>, place: Fifo.Place<W>): W | undefined => {
  if (!place.inLine) return release(permits)
  Fifo.leave(permits.waiting, place)
  return undefined
}
