/**
 * The circuits of one breaker: one state for each key, read and changed in one turn of the event
 * loop, so that no two calls can come between.
 *
 * Nothing ticks here. Time is read when somebody calls or looks, idle keys are dropped when others
 * are used, and transitions are told only to those who listen.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as CircuitState from "./export.js"
import * as Circuit from "../../core/circuit.js"
import * as Rejection from "../../errors/Rejection.js"
import { Sweeper } from "../../runtime/sweeper.js"

/**
 * The circuit is open (or all of its trials are under way): the call did not run. `retryAfter` is
 * exactly what is left of an opening; while trials run, it is when one of their places is free at
 * the latest; infinite where only an operator can end it.
 *
 * @since 0.1.0
 * @category errors
 */
export class CircuitOpen extends Rejection.Error("CircuitOpen")<{
  readonly key: string
  readonly retryAfter: Duration.Duration
}> {}

/**
 * One change of what callers see. `at` is epoch milliseconds, `retryAfter` how long calls will be
 * rejected, where they will be.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  readonly key: string
  readonly from: Circuit.Visible
  readonly to: Circuit.Visible
  readonly at: number
  readonly retryAfter?: Duration.Duration | undefined
}

/** One circuit and what is counted beside its window. */
export interface Cell {
  readonly key: string
  state: Circuit.State
  inFlight: number
  rejected: number
  touchedMillis: number
}

/**
 * What is told to somebody who counts: how a call that was let in ended (`slow`: well, and too
 * late), each rejection, and each circuit that is one more or one less in a state.
 */
export interface Watcher {
  readonly ended: (outcome: "success" | "failure" | "slow" | "ignored") => void
  readonly rejected: () => void
  readonly transition: (from: Circuit.Visible, to: Circuit.Visible) => void
  readonly population: (state: Circuit.Visible, change: 1 | -1) => void
}

/** Monotonic: a wall clock that steps must neither prolong an opening nor break a window. */
export const nowMillis = (clock: Clock.Clock): number =>
  Number(clock.unsafeCurrentTimeNanos()) / 1e6

export class Circuits {
  readonly cells = new Map<string, Cell>()
  readonly listeners = new Set<(transition: Transition) => void>()
  readonly watchers = new Set<Watcher>()
  readonly #sweeper = new Sweeper(this.cells)

  constructor(readonly policy: Circuit.Policy, readonly idleMillis: number) {}

  /** The circuit of a key as it is now, if there is one. */
  find(key: string, clock: Clock.Clock, now: number): Cell | undefined {
    const cell = this.cells.get(key)
    if (cell === undefined) return undefined
    this.settle(cell, clock, now)
    if (!this.#isForgotten(cell, now)) return cell
    this.cells.delete(key)
    // Who comes next finds a closed circuit.
    this.change(cell, Circuit.reset(cell.state, now), clock, now)
    for (const watcher of this.watchers) watcher.population(Circuit.visible(cell.state), -1)
    return undefined
  }

  /** The circuit of a key as it is now; a new one is closed. */
  cell(key: string, clock: Clock.Clock, now: number): Cell {
    const found = this.find(key, clock, now)
    if (found !== undefined) return found
    const cell = this.fresh(key, now)
    this.cells.set(key, cell)
    for (const watcher of this.watchers) watcher.population(Circuit.visible(cell.state), 1)
    return cell
  }

  /** A circuit that nobody has called yet. */
  fresh(key: string, now: number): Cell {
    return {
      key,
      state: Circuit.make(this.policy, now),
      inFlight: 0,
      rejected: 0,
      touchedMillis: now
    }
  }

  /** A circuit that nobody would miss. */
  #isForgotten(cell: Cell, now: number): boolean {
    return cell.touchedMillis + this.idleMillis <= now && cell.inFlight === 0 &&
      Circuit.isIdle(cell.state, now)
  }

  /** Looks at other circuits at each admission, so that idle ones go although nothing ticks. */
  #sweep(clock: Clock.Clock, now: number): void {
    this.#sweeper.sweep(({ key }) => this.find(key, clock, now))
  }

  settle(cell: Cell, clock: Clock.Clock, now: number): void {
    if (cell.state.phase._tag !== "Open") return
    const [happened, state] = Circuit.settle(cell.state, now)
    if (state === cell.state) return
    // It is not idle while it is open: what it waits for after that begins now.
    cell.touchedMillis = Math.max(cell.touchedMillis, happened)
    this.change(cell, state, clock, now, happened)
  }

  /** Puts a new state in place and tells who listens when callers will see a difference. */
  change(
    cell: Cell,
    state: Circuit.State,
    clock: Clock.Clock,
    now: number,
    happened: number = now
  ): void {
    const before = cell.state
    if (before === state) return
    cell.state = state
    if (before.generation === state.generation || this.listeners.size + this.watchers.size === 0) {
      return
    }
    const [from, to] = [Circuit.visible(before), Circuit.visible(state)]
    if (from === to) return
    for (const watcher of this.watchers) {
      watcher.transition(from, to)
      watcher.population(from, -1)
      watcher.population(to, 1)
    }
    if (this.listeners.size === 0) return
    const wait = Circuit.retryAfterMillis(this.policy, state, now)
    const transition: Transition = {
      key: cell.key,
      from,
      to,
      at: clock.unsafeCurrentTimeMillis() - (now - happened),
      ...(wait === undefined ? {} : { retryAfter: Duration.millis(wait) })
    }
    for (const listener of this.listeners) listener(transition)
  }

  /** How long a settled circuit rejects calls for, when it does; the rejection is counted. */
  rejects(cell: Cell, now: number): number | undefined {
    if (cell.state.phase._tag === "Closed" && Circuit.visible(cell.state) === "Closed") {
      return undefined
    }
    const wait = Circuit.retryAfterMillis(this.policy, cell.state, now)
    if (wait !== undefined) {
      this.#reject(cell)
      cell.touchedMillis = now
    }
    return wait
  }

  #reject(cell: Cell): void {
    cell.rejected++
    for (const watcher of this.watchers) watcher.rejected()
  }

  /** Admits a call to a settled circuit, or says how long it is rejected for. */
  admit(cell: Cell, clock: Clock.Clock, now: number): Circuit.Token | number {
    if (this.cells.size > 1) this.#sweep(clock, now)
    const [admission, state] = Circuit.admit(this.policy, cell.state, now)
    cell.state = state
    cell.touchedMillis = now
    if (admission._tag === "Rejected") {
      this.#reject(cell)
      return admission.retryAfterMillis
    }
    cell.inFlight++
    return admission.token
  }

  /** Takes down how an admitted call ended. */
  record(
    cell: Cell,
    token: Circuit.Token,
    result: Circuit.Result,
    clock: Clock.Clock,
    now: number
  ): void {
    cell.inFlight--
    cell.touchedMillis = now
    this.settle(cell, clock, now)
    this.change(cell, Circuit.record(this.policy, cell.state, token, result, now), clock, now)
    if (this.watchers.size > 0) this.#count(result)
  }

  #count(result: Circuit.Result): void {
    const success = Circuit.isSlow(this.policy, result) ? "slow" : "success"
    const outcome = result._tag === "Success"
      ? success
      : result._tag === "Failure"
      ? "failure"
      : "ignored"
    for (const watcher of this.watchers) watcher.ended(outcome)
  }

  /**
   * Puts an exported circuit in the place of the one there is. Calls that are under way belong to
   * what was before.
   */
  restore(
    from: CircuitState.ExportedCircuit,
    passedMillis: number,
    clock: Clock.Clock,
    now: number
  ): void {
    const cell = this.cell(from.key, clock, now)
    const fresh = { ...Circuit.make(this.policy, now), isolations: cell.state.isolations }
    const restored = CircuitState.imported(fresh, from, passedMillis, now)
    cell.touchedMillis = now
    this.change(cell, { ...restored, generation: cell.state.generation + 1 }, clock, now)
    this.settle(cell, clock, now)
  }
}
