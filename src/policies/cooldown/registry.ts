/**
 * The keys of one cooldown that are not clear: a state and a line of waiting calls for each, read
 * and changed in one turn of the event loop.
 *
 * A key is made when a call is told to wait and goes when it is clear again. Nothing ticks here.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Core from "../../core/cooldown.js"
import * as Fifo from "../../core/fifo.js"
import * as ApiError from "../../errors/ApiError.js"
import { isHttpClientError, tagOfResponseError } from "../../errors/failureFacts.js"
import * as Rejection from "../../errors/Rejection.js"
import { Keyed, KeyedState } from "../../runtime/keyedState.js"
import type { Signal } from "../../runtime/signal.js"

/**
 * The server asked to be left alone (or a trial finds out whether it still wants to be): the call
 * did not run. `retryAfter` is the time that is left; while there is a trial, when it is over at
 * the latest.
 *
 * @since 0.1.0
 * @category errors
 */
export class CoolingDown extends Rejection.Error("CoolingDown")<{
  readonly key: string
  readonly retryAfter: Duration.Duration
}> {}

/** How long the end of a cooldown is remembered when nobody calls. */
const rememberedMillis = 3_600_000

/** A microsecond: below what a timer can tell. */
const resolutionMillis = 1e-3

/** A call that waits: until when, and how it learns that something has changed. */
export interface Waiter {
  readonly deadlineMillis: number
  readonly signal: Signal
}

/** A key that is not clear, and the calls that wait for it. */
export class Cell extends Keyed {
  state: Core.State = Core.clear
  readonly line: Fifo.Fifo<Waiter> = Fifo.make()
}

/**
 * What becomes of a call: it runs, as the trial or as any other; it is turned away; or there is
 * something to wait for.
 */
export type Entry =
  | { readonly _tag: "Run"; readonly trial: Core.Trial | undefined }
  | { readonly _tag: "Reject"; readonly afterMillis: number }
  | { readonly _tag: "Wait"; readonly millis: number }

export class Cooldowns {
  readonly cells = new KeyedState<Cell>({
    make: (key, now) => new Cell(key, now),
    idleMillis: rememberedMillis,
    isBusy: ({ line, state }, now) =>
      line.size > 0 || (state._tag !== "Clear" && state.untilMillis + rememberedMillis > now)
  })

  constructor(readonly policy: Core.Policy, readonly maxWaitMillis: number) {}

  cell(key: string, clock: Clock.Clock, now: number): Cell {
    return this.cells.use(key, clock, now)
  }

  /**
   * Puts a new state in place. The first in line has to know, and so have those who cannot wait for
   * the end of it.
   */
  change(cell: Cell, state: Core.State): void {
    if (state === cell.state) return
    cell.state = state
    cell.line.first?.value.signal.notify()
    if (state._tag === "Cooling") {
      for (const { deadlineMillis, signal } of Fifo.values(cell.line)) {
        if (state.untilMillis > deadlineMillis) signal.notify()
      }
    }
    this.#forget(cell)
  }

  /** A clear key with no call in line is a key like any other. */
  #forget(cell: Cell): void {
    if (cell.state._tag === "Clear" && cell.line.size === 0) this.cells.delete(cell)
  }

  /**
   * A call leaves the line, to run or for good; whoever is the first now looks at what there is to
   * do.
   */
  leave(cell: Cell, place: Fifo.Place<Waiter>): void {
    const wasFirst = cell.line.first === place
    Fifo.leave(cell.line, place)
    if (wasFirst) cell.line.first?.value.signal.notify()
    this.#forget(cell)
  }

  /**
   * What becomes of a call that may wait until `deadline`. `isFirst` says that no call stands
   * before it. A trial begins here.
   */
  enter(cell: Cell, isFirst: boolean, deadline: number, now: number): Entry {
    const wait = Core.waitMillis(cell.state, now)
    if (wait === 0 && isFirst) {
      if (cell.state._tag === "Clear") return { _tag: "Run", trial: undefined }
      const trial = Core.tryOut(this.policy, now)
      cell.state = trial
      return { _tag: "Run", trial }
    }
    // Those before it are on their way.
    if (cell.state._tag === "Clear") return { _tag: "Wait", millis: Infinity }
    const left = deadline - now
    // How long a trial takes nobody knows; it may well be worth waiting.
    const isHopeless = cell.state._tag === "Cooling" && wait > left
    if (wait === 0 && left <= resolutionMillis) {
      // The time of the first in line has come in the same moment. What it begins decides what this
      // one is told.
      cell.line.first?.value.signal.notify()
      return { _tag: "Wait", millis: 0 }
    }
    if (isHopeless || left <= resolutionMillis) return { _tag: "Reject", afterMillis: wait }
    return { _tag: "Wait", millis: isFirst ? Math.min(wait, left) : left }
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
 * What a failed call says. Of several failures the longest wait counts; who never got through to
 * the server says nothing about it.
 */
export const findingOf = (cause: Cause.Cause<unknown>): Core.Finding => {
  const failures = Chunk.toReadonlyArray(Cause.failures(cause))
  const asked = failures.flatMap((error) => askedMillis(error) ?? [])
  if (asked.length > 0) return { waitMillis: Math.max(...asked) }
  return Cause.isInterruptedOnly(cause) || failures.some(Rejection.isRejection)
    ? "nothing"
    : "serves"
}
