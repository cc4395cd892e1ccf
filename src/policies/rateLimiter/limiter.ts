/**
 * The keys of one limiter: how far the time of each is taken and who waits for it, read and changed
 * in one turn of the event loop.
 *
 * Nothing ticks here. Keys whose burst is whole again are dropped when others are used.
 */
import * as Duration from "effect/Duration"
import * as Fifo from "../../core/fifo.js"
import * as Gcra from "../../core/gcra.js"
import * as Rejection from "../../errors/Rejection.js"
import { Sweeper } from "../../runtime/sweeper.js"
import { Turn } from "../../runtime/signal.js"

/**
 * The rate is used up (or the wait for it would be longer than `maxWait`): the call did not run.
 * `retryAfter` is exactly when it could run at once, if nobody comes before.
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimited extends Rejection.Error("RateLimited")<{
  readonly key: string
  readonly retryAfter: Duration.Duration
}> {}

/** A call that waits: what it costs, and how it learns that it is the first in line. */
export interface Waiter {
  readonly cost: number
  readonly turn: Turn
}

/** One key: how far its time is taken, who waits, and what all of them cost together. */
export interface Cell {
  readonly key: string
  taken: Gcra.Taken
  readonly line: Fifo.Fifo<Waiter>
  ahead: number
}

/** How much later than asked a timer may fire without that the calls after it are put off. */
const lateNanos = 1_000_000n

const durationOf = (nanos: bigint): Duration.Duration =>
  nanos % 1_000_000n === 0n ? Duration.millis(Number(nanos / 1_000_000n)) : Duration.nanos(nanos)

/**
 * What becomes of a call: it runs and has taken its units, it is turned away, or it stands in line.
 */
export type Entry = "Run" | RateLimited | Fifo.Place<Waiter>

export class Limiter {
  readonly cells = new Map<string, Cell>()
  readonly #sweeper = new Sweeper(this.cells)

  constructor(readonly policy: Gcra.Policy, readonly maxWaitNanos: bigint | undefined) {}

  cell(key: string, now: bigint): Cell {
    if (this.cells.size > 1) this.#sweep(now)
    const found = this.cells.get(key)
    if (found !== undefined) return found
    const cell: Cell = { key, taken: Gcra.unused, line: Fifo.make(), ahead: 0 }
    this.cells.set(key, cell)
    return cell
  }

  /** Looks at other keys at each call, so that idle ones go although nothing ticks. */
  #sweep(now: bigint): void {
    this.#sweeper.sweep(({ key, line, taken }) => {
      if (line.size === 0 && Gcra.isIdle(this.policy, taken, now)) this.cells.delete(key)
    })
  }

  /** A call that may run now and overtakes nobody takes its units. */
  tryTake(cell: Cell, cost: number, now: bigint): boolean {
    if (cell.line.size > 0 || Gcra.waitNanos(this.policy, cell.taken, 0, cost, now) > 0n) {
      return false
    }
    cell.taken = Gcra.take(this.policy, cell.taken, cost, now)
    return true
  }

  enter(cell: Cell, cost: number, now: bigint): Entry {
    if (this.tryTake(cell, cost, now)) return "Run"
    const wait = Gcra.waitNanos(this.policy, cell.taken, cell.ahead, cost, now)
    if (this.maxWaitNanos !== undefined && wait > this.maxWaitNanos) {
      return new RateLimited({ key: cell.key, retryAfter: durationOf(wait) })
    }
    cell.ahead += cost
    return Fifo.join(cell.line, { cost, turn: new Turn() })
  }

  /**
   * A call leaves the line, to run or because it was interrupted. Whoever is the first now hears of
   * it.
   */
  leave(cell: Cell, place: Fifo.Place<Waiter>): void {
    const wasFirst = cell.line.first === place
    Fifo.leave(cell.line, place)
    cell.ahead -= place.value.cost
    if (wasFirst) cell.line.first?.value.turn.ring()
  }

  /**
   * A call takes its units when it leaves the line to run, so one that is interrupted before has
   * taken nothing.
   */
  run(cell: Cell, place: Fifo.Place<Waiter>, now: bigint): void {
    cell.taken = Gcra.take(this.policy, cell.taken, place.value.cost, now, lateNanos)
    this.leave(cell, place)
  }
}
