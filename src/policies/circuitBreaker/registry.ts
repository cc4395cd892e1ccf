/**
 * Keeps the circuits of one breaker: one state for each key, read and changed in one turn of the
 * event loop, so that no other call can come between.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Circuit from "../../core/circuit.js"
import * as Rejection from "../../errors/Rejection.js"
import { Keyed, KeyedState } from "../../runtime/keyedState.js"
import * as CircuitState from "./export.js"

/**
 * Rejects a call because the circuit is open, or all of its trials are running. The call did not
 * run. `retryAfter` is the rest of the open time; while trials run, the latest moment at which one
 * of their slots is free; infinite where only an operator can end it.
 *
 * @since 0.1.0
 * @category errors
 */
export class CircuitOpen extends Rejection.Error("CircuitOpen")<{
  /** The key of the circuit. */
  readonly key: string
  readonly retryAfter: Duration.Duration
}> {}

/**
 * A change of the state that callers meet. `at` is epoch milliseconds. `retryAfter` is how long
 * calls will be rejected, where they will be.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  /** The key of the circuit. */
  readonly key: string
  /** The state before. */
  readonly from: Circuit.Visible
  /** The state after. */
  readonly to: Circuit.Visible
  /** When it happened, in wall-clock epoch milliseconds. */
  readonly at: number
  /** How long calls will be rejected. Absent when they are admitted. */
  readonly retryAfter?: Duration.Duration | undefined
}

/** One circuit and what is counted beside its window. */
export class Cell extends Keyed {
  inFlight = 0
  rejected = 0
  /** Whether observers have been told of it. */
  isCounted = false
  /** Whether a call has come, or only a command. */
  isCalled = false

  constructor(key: string, now: number, public state: Circuit.State) {
    super(key, now)
  }
}

/**
 * What is told to those who count: how a call that was let in ended (`slow`: well, and too late),
 * each rejection, and each circuit that is one more or one less in a state.
 */
export interface Observer {
  readonly ended: (outcome: "success" | "failure" | "slow" | "ignored") => void
  readonly rejected: () => void
  readonly transition: (from: Circuit.Visible, to: Circuit.Visible) => void
  readonly population: (state: Circuit.Visible, change: 1 | -1) => void
}

/** A call that waits for leave to be a trial of a fleet. */
export interface Asking {
  /** Ends with the answer, and after a while without one. */
  readonly wait: Effect.Effect<void>
  /** Gives the leave back: the call was interrupted. */
  readonly giveUp: () => void
}

export class Circuits {
  readonly cells: KeyedState<Cell>
  /** Of circuits that a fleet shares: what a call has to wait for before it is admitted, if any. */
  readonly ask: ((cell: Cell, clock: Clock.Clock, now: number) => Asking | undefined) | undefined
  readonly listeners = new Set<(transition: Transition) => void>()
  /** What waits for a circuit: told the key of each change, also of one that no caller sees. */
  readonly waiting = new Set<(key: string) => void>()
  /** By the name under which each counts. */
  readonly observers = new Map<string, Observer>()
  #control: Circuit.Control = Circuit.uncontrolled

  constructor(
    readonly policy: Circuit.Policy,
    readonly idleMillis: number,
    ask?: Circuits["ask"]
  ) {
    this.ask = ask
    this.cells = new KeyedState<Cell>({
      make: (key, now) => this.newCell(key, now, this.#freshState(now)),
      idleMillis,
      isBusy: (cell, now, clock) => {
        this.settle(cell, clock, now)
        return cell.touchedMillis + idleMillis > now || cell.inFlight > 0 || this.isHeld(cell) ||
          !Circuit.isIdle(cell.state, now, this.#control)
      },
      forgotten: (cell, now, clock) => {
        // The call that comes next finds a fresh circuit.
        const generation = cell.state.generation + 1
        this.change(cell, { ...this.#freshState(now), generation }, clock, now)
        if (cell.isCounted) this.#tell((each) => each.population(this.seen(cell), -1))
        this.forgotten(cell)
      }
    })
  }

  // What a fleet adds; see `fleet/breaker`. Circuits of one process are seen as they are.

  protected newCell(key: string, now: number, state: Circuit.State): Cell {
    return new Cell(key, now, state)
  }

  /** Whether something besides its own state keeps a circuit from being forgotten. */
  protected isHeld(_cell: Cell): boolean {
    return false
  }

  protected forgotten(_cell: Cell): void {}

  /** The state that callers meet, of the circuit as it is or of another state of it. */
  seen(cell: Cell, state: Circuit.State = cell.state): Circuit.Visible {
    return Circuit.visible(state)
  }

  /** How long a settled circuit would reject a call for; undefined where it would run. */
  waitMillis(cell: Cell, now: number): number | undefined {
    return Circuit.retryAfterMillis(this.policy, cell.state, now)
  }

  /** When an opening ends by itself; undefined where there is none. */
  openUntil({ state: { phase } }: Cell): number | undefined {
    return phase._tag === "Open" ? phase.untilMillis : undefined
  }

  /** A circuit that no call has used yet is under the control of all of them. */
  #freshState(now: number): Circuit.State {
    const state = Circuit.make(this.policy, now)
    return this.#control === Circuit.uncontrolled ? state : { ...state, ...this.#control }
  }

  #tell(what: (observer: Observer) => void): void {
    if (this.observers.size > 0) { for (const observer of this.observers.values()) what(observer) }
  }

  /** The circuit of a key as it is now, if there is one. */
  find(key: string, clock: Clock.Clock, now: number): Cell | undefined {
    const cell = this.cells.find(key, clock, now)
    if (cell !== undefined) this.settle(cell, clock, now)
    return cell
  }

  /** The circuit of a key as it is now, for a look: a new one is not kept. */
  look(key: string, clock: Clock.Clock, now: number): Cell {
    return this.find(key, clock, now) ?? this.cells.look(key, clock, now)
  }

  /** The circuit of a key as it is now; a new one is closed. */
  cell(key: string, clock: Clock.Clock, now: number): Cell {
    const cell = this.cells.use(key, clock, now)
    if (cell.isCounted) {
      this.settle(cell, clock, now)
    } else {
      cell.isCounted = true
      this.#tell((each) => each.population(this.seen(cell), 1))
    }
    return cell
  }

  /** All circuits as they are now. */
  all(clock: Clock.Clock, now: number): ReadonlyArray<Cell> {
    const cells = this.cells.all(clock, now)
    for (const cell of cells) this.settle(cell, clock, now)
    return cells
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
    if (this.waiting.size > 0) { for (const changed of this.waiting) changed(cell.key) }
    if (before.generation === state.generation) return
    if (this.listeners.size + this.observers.size === 0) return
    this.tell(cell, this.seen(cell, before), clock, now, happened)
  }

  /** Tells who listens that callers see a difference now, if they do. */
  protected tell(
    cell: Cell,
    from: Circuit.Visible,
    clock: Clock.Clock,
    now: number,
    happened: number = now
  ): void {
    const to = this.seen(cell)
    if (from === to) return
    this.#tell((each) => {
      each.transition(from, to)
      each.population(from, -1)
      each.population(to, 1)
    })
    if (this.listeners.size === 0) return
    const wait = this.waitMillis(cell, now)
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
    const { state } = cell
    if (state.phase._tag === "Closed" && Circuit.visible(state) === "Closed") return undefined
    const wait = Circuit.retryAfterMillis(this.policy, state, now)
    if (wait !== undefined) this.reject(cell)
    return wait
  }

  protected reject(cell: Cell): void {
    cell.isCalled = true
    cell.rejected++
    this.#tell((each) => each.rejected())
  }

  /**
   * Admits a call to a settled circuit, or says how long it is rejected for. `asked` is what the
   * call has waited for.
   */
  admit(cell: Cell, now: number, _asked?: Asking): Circuit.Token | number {
    const [admission, state] = Circuit.admit(this.policy, cell.state, now)
    cell.state = state
    if (admission._tag === "Rejected") {
      this.reject(cell)
      return admission.retryAfterMillis
    }
    cell.isCalled = true
    cell.inFlight++
    return admission.token
  }

  /** Records how an admitted call ended. */
  record(
    cell: Cell,
    token: Circuit.Token,
    result: Circuit.Result,
    clock: Clock.Clock,
    now: number
  ): void {
    cell.inFlight--
    this.cells.touch(cell, now)
    this.settle(cell, clock, now)
    this.change(cell, Circuit.record(this.policy, cell.state, token, result, now), clock, now)
    if (this.observers.size > 0) this.#count(result)
  }

  #count(result: Circuit.Result): void {
    const success = Circuit.isSlow(this.policy, result) ? "slow" : "success"
    const outcome = result._tag === "Success"
      ? success
      : result._tag === "Failure"
      ? "failure"
      : "ignored"
    this.#tell((each) => each.ended(outcome))
  }

  /** What an operator says of one circuit. */
  command(
    key: string,
    f: (state: Circuit.State, now: number) => Circuit.State,
    clock: Clock.Clock,
    now: number
  ): void {
    const cell = this.cell(key, clock, now)
    this.change(cell, f(cell.state, now), clock, now)
  }

  /** What an operator says of all circuits, those of keys to come included. */
  commandAll(
    control: (control: Circuit.Control) => Circuit.Control,
    f: (state: Circuit.State, now: number) => Circuit.State,
    clock: Clock.Clock,
    now: number
  ): void {
    const cells = this.all(clock, now)
    this.#control = Circuit.controlled(control(this.#control))
    for (const cell of cells) this.change(cell, f(cell.state, now), clock, now)
  }

  /** What was ordered of the circuits of keys to come. */
  get order(): Circuit.Order | undefined {
    return this.#control.order
  }

  /** Orders it of the circuits of keys to come, and of no other. */
  orderOfNew(order: Circuit.Order | undefined): void {
    this.#control = Circuit.controlled({ ...this.#control, order })
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
    cell.isCalled = true
    const fresh = { ...Circuit.make(this.policy, now), isolations: cell.state.isolations }
    const restored = CircuitState.imported(fresh, from, passedMillis, now)
    this.change(cell, { ...restored, generation: cell.state.generation + 1 }, clock, now)
    this.settle(cell, clock, now)
  }
}
