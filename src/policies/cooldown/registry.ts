/**
 * Keeps the keys of one cooldown that are not clear: a state and a queue of waiting calls for each,
 * read and changed in one turn of the event loop.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Core from "../../core/cooldown.js"
import * as CooldownLine from "../../core/cooldownLine.js"
import * as Fifo from "../../core/fifo.js"
import * as ApiError from "../../errors/ApiError.js"
import { isHttpClientError, tagOfResponseError } from "../../errors/failureFacts.js"
import * as Rejection from "../../errors/Rejection.js"
import { Keyed, KeyedState } from "../../runtime/keyedState.js"
import type { Signal } from "../../runtime/signal.js"

/**
 * Rejects a call because the server asked to wait, or because a trial is running. The call did not
 * run. `retryAfter` is the rest of the wait; during a trial, the latest moment at which it ends.
 *
 * @since 0.1.0
 * @category errors
 */
export class CoolingDown extends Rejection.Error("CoolingDown")<{
  /** The key that has a cooldown. */
  readonly key: string
  readonly retryAfter: Duration.Duration
}> {}

/** How long the end of a cooldown is remembered without calls. */
const rememberedMillis = 3_600_000

/** A call that waits. */
export type Waiter = CooldownLine.Waiter<Signal>

/** A key that is not clear, and the calls that wait for it. */
export class Cell extends Keyed implements CooldownLine.CooldownLine<Signal> {
  state: Core.State = Core.clear
  readonly line: Fifo.Fifo<Waiter> = Fifo.make()
}

/** What becomes of a call. */
export type Entry = CooldownLine.Entry<Signal>

const notify = (signal: Signal): void => signal.notify()

export class Cooldowns {
  readonly cells = new KeyedState<Cell>({
    make: (key, now) => new Cell(key, now),
    idleMillis: rememberedMillis,
    isBusy: ({ line, state }, now) =>
      line.size > 0 || (state._tag !== "Clear" && state.untilMillis + rememberedMillis > now)
  })

  constructor(readonly policy: Core.Policy, readonly maxWaitMillis: number) {}

  /** Whether calls of a key run. The check of a call that meets no cooldown. */
  isClear(key: string): boolean {
    return !this.cells.has(key)
  }

  /** Begins or lengthens a cooldown by hand. */
  hold(key: string, millis: number, clock: Clock.Clock, now: number): void {
    const cell = this.cell(key, clock, now)
    this.change(cell, Core.hold(cell.state, millis, now))
  }

  cell(key: string, clock: Clock.Clock, now: number): Cell {
    return this.cells.use(key, clock, now)
  }

  /**
   * Puts a new state in place. The first in line has to know, and so have those who cannot wait for
   * the end of it.
   */
  change(cell: Cell, state: Core.State): void {
    if (state === cell.state) return
    CooldownLine.change(cell, state, notify)
    this.#forget(cell)
  }

  /** A clear key with no call in line is a key like any other. */
  #forget(cell: Cell): void {
    if (cell.state._tag === "Clear" && cell.line.size === 0) this.cells.delete(cell)
  }

  /**
   * Removes a call from the queue, to run or for good; the call that is first now decides what to
   * do.
   */
  leave(cell: Cell, place: Fifo.Place<Waiter>): void {
    CooldownLine.leave(cell, place)?.notify()
    this.#forget(cell)
  }

  /**
   * What becomes of a call that may wait until `deadline`. `isFirst` says that no call stands
   * before it. A trial begins here.
   */
  enter(cell: Cell, isFirst: boolean, deadline: number, now: number): Entry {
    const entry = CooldownLine.enter(this.policy, cell, isFirst, deadline, now)
    if (entry._tag === "Wait") entry.notified?.notify()
    return entry
  }

  /** Records how a call ended. */
  ended(
    key: string,
    trial: Core.Trial | undefined,
    finding: Core.Finding,
    clock: Clock.Clock,
    now: number
  ): void {
    if (typeof finding !== "object" && !this.cells.has(key)) return
    const cell = this.cell(key, clock, now)
    this.change(cell, Core.end(this.policy, cell.state, trial, finding, now))
  }
}

/** How long the server asked to be left alone. */
const askedMillis = (error: unknown): number | undefined => {
  if (ApiError.isApiError(error)) {
    const asks = error._tag === "RateLimit" || (error._tag === "Server" && error.status === 503)
    return asks && error.retryAfter !== undefined ? Duration.toMillis(error.retryAfter) : undefined
  }
  const tag = tagOfResponseError(error)
  const status = isHttpClientError(error) ? error.response?.status : undefined
  if (tag !== "RateLimit" && !(tag === "Server" && status === 503)) return undefined
  const verdict = ApiError.verdict(error)
  return verdict._tag === "Transient"
    ? Option.getOrUndefined(Option.map(verdict.retryAfter, Duration.toMillis))
    : undefined
}

/**
 * Reads what a failed call says. Of several failures the longest wait counts; a call that did not
 * reach the server says nothing.
 */
export const findingOf = (cause: Cause.Cause<unknown>): Core.Finding => {
  const failures = Chunk.toReadonlyArray(Cause.failures(cause))
  const asked = failures.flatMap((error) => askedMillis(error) ?? [])
  if (asked.length > 0) return { waitMillis: Math.max(...asked) }
  return Cause.isInterruptedOnly(cause) || failures.some(Rejection.isRejection)
    ? "nothing"
    : "serves"
}
