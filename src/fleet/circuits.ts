/**
 * The circuits of a breaker that a fleet shares: which there are, what callers see of both, and who
 * is told when that changes.
 */
import type * as Clock from "effect/Clock"
import * as Circuit from "../core/circuit.js"
import type * as Wire from "../core/fleetWire.js"
import * as TimeWindow from "../core/timeWindow.js"
import * as Trials from "../core/trials.js"
import { type Asking, type Cell, Circuits } from "../policies/circuitBreaker/registry.js"
import { FleetCell, stricter, viewOfCircuit, viewOfOrder } from "./circuit.js"
import type { Member } from "./member.js"

/** A policy whose window is one of time. */
export type TimePolicy = Circuit.Policy & {
  readonly window: Extract<Circuit.Policy["window"], { readonly _tag: "Time" }>
}

export abstract class FleetCircuits extends Circuits {
  protected readonly dirty = new Set<FleetCell>()
  /** Cells of which the store counts calls, those that were said longest ago first. */
  protected readonly voiced = new Set<FleetCell>()
  protected readonly unwell = new Set<FleetCell>()
  protected readonly joined = new Set<FleetCell>()
  /** What a store says of an opening is bounded by what this member would say itself. */
  protected readonly longestMillis: number

  constructor(
    override readonly policy: TimePolicy,
    idleMillis: number,
    readonly member: Member,
    readonly name: string,
    readonly numbers: string
  ) {
    super(policy, idleMillis, (cell, _, now) => this.askTrial(cell as FleetCell, now))
    this.longestMillis = Math.max(
      policy.maxOpenMillis,
      typeof policy.open === "number" ? policy.open : 0
    )
  }

  /** Asks for a trial of the fleet, where a call needs one. */
  protected abstract askTrial(cell: FleetCell, now: number): Asking | undefined

  /** The fleet says something of a circuit. */
  protected abstract hear(cell: FleetCell, view: Wire.View, now: number): void

  // ---------------------------------------------------------------------------
  // Cells
  // ---------------------------------------------------------------------------

  protected override newCell(key: string, now: number, state: Circuit.State): Cell {
    const { member, name, numbers, policy } = this
    const { durationMillis, buckets } = policy.window
    const cell = new FleetCell(
      key,
      now,
      state,
      member.store.name(`circuit|${name}|${numbers}|${key}`),
      member.store.name(`order|${name}|${key}`),
      TimeWindow.make(durationMillis, buckets, policy.slow === undefined ? 2 : 3)
    )
    for (const record of [cell.circuitName, cell.orderName]) {
      const view = member.knownOf(record, now)
      if (view !== undefined) this.take(cell, view, now)
    }
    return cell
  }

  override cell(key: string, clock: Clock.Clock, now: number): Cell {
    const cell = super.cell(key, clock, now) as FleetCell
    if (!cell.isJoined) this.joinFleet(cell)
    return cell
  }

  protected joinFleet(cell: FleetCell): void {
    const { member } = this
    cell.isJoined = true
    this.joined.add(cell)
    member.labels.set(cell.circuitName, `${this.name}/${cell.key}`)
    for (const record of [cell.circuitName, cell.orderName]) {
      member.route(record, (view, now) => this.hear(cell, view, now))
    }
  }

  protected override isHeld(cell: Cell): boolean {
    const { asking, handles, isolatedUntilMillis, order, phase } = cell as FleetCell
    // A half-open one that no call uses is remembered by the member, without its window.
    return phase === "Open" || order !== "None" || isolatedUntilMillis > 0 || handles > 0 ||
      asking !== undefined
  }

  protected override forgotten(cell: Cell): void {
    const { member } = this
    const gone = cell as FleetCell
    this.joined.delete(gone)
    this.dirty.delete(gone)
    this.voiced.delete(gone)
    this.unwell.delete(gone)
    member.labels.delete(gone.circuitName)
    const { now } = member
    member.unroute(gone.circuitName, viewOfCircuit(gone, now), now)
    member.unroute(gone.orderName, viewOfOrder(gone, now), now)
  }

  // ---------------------------------------------------------------------------
  // What callers see
  // ---------------------------------------------------------------------------

  override seen(cell: Cell, state: Circuit.State = cell.state): Circuit.Visible {
    return stricter(Circuit.visible(state), (cell as FleetCell).visible)
  }

  override openUntil(cell: Cell): number | undefined {
    const { phase, untilMillis } = cell as FleetCell
    const own = super.openUntil(cell)
    if (phase !== "Open") return own
    return own === undefined ? untilMillis : Math.max(own, untilMillis)
  }

  override waitMillis(cell: Cell, now: number): number | undefined {
    switch (this.seen(cell)) {
      case "Isolated":
      case "ForcedOpen":
        return Infinity
      case "ForcedClosed":
      case "Disabled":
        return undefined
      default: {
        const own = super.waitMillis(cell, now)
        const fleet = this.fleetWait(cell as FleetCell, now)
        if (own === undefined || fleet === undefined) return own ?? fleet
        return Math.max(own, fleet)
      }
    }
  }

  /** How long the fleet's circuit rejects calls; undefined where it admits one or may be asked. */
  protected fleetWait(cell: FleetCell, now: number): number | undefined {
    if (cell.phase === "Open") return cell.untilMillis - now
    if (cell.phase === "Closed" || cell.isClosedApart) return undefined
    if (this.member.isApart(now)) {
      const taken = Trials.take(this.policy.halfOpen, cell.trials, now, now)
      return "freeInMillis" in taken ? taken.freeInMillis : undefined
    }
    if (cell.asking !== undefined) return this.member.settings.storeTimeoutMillis
    return cell.askAgainMillis > now
      ? Math.max(cell.askAgainMillis, cell.freeMillis) - now
      : undefined
  }

  override settle(cell: Cell, clock: Clock.Clock, now: number): void {
    super.settle(cell, clock, now)
    const shared = cell as FleetCell
    if (shared.isPlain) return
    if (shared.isolatedUntilMillis > 0 && shared.isolatedUntilMillis <= now) {
      this.changeFleet(shared, now, () => {
        shared.isolatedUntilMillis = 0
      }, clock)
    }
    if (shared.phase === "Open" && shared.untilMillis <= now) {
      this.changeFleet(shared, now, () => shared.halfOpen(), clock, shared.untilMillis)
    }
  }

  override change(
    cell: Cell,
    state: Circuit.State,
    clock: Clock.Clock,
    now: number,
    happened?: number
  ): void {
    super.change(cell, state, clock, now, happened)
    this.note(cell as FleetCell)
  }

  protected note(cell: FleetCell): void {
    if (this.seen(cell) === "Closed") this.unwell.delete(cell)
    else if (cell.isJoined) this.unwell.add(cell)
  }

  /** Changes the fleet's part of a circuit and tells who listens. */
  protected changeFleet(
    cell: FleetCell,
    now: number,
    how: () => void,
    clock: Clock.Clock = this.member.clock,
    happened: number = now
  ): void {
    const from = this.seen(cell)
    how()
    cell.look()
    this.note(cell)
    if (this.waiting.size > 0) { for (const changed of this.waiting) changed(cell.key) }
    if (this.listeners.size + this.observers.size > 0 && cell.isJoined) {
      this.tell(cell, from, clock, now, happened)
    }
  }

  protected take(cell: FleetCell, view: Wire.View, now: number): void {
    if (view.kind === "circuit" && view.epoch > cell.epoch) {
      cell.take(view, Math.min(view.left, this.longestMillis), now)
      this.voiced.delete(cell)
    }
    if (view.kind === "order" && view.epoch >= cell.orderEpoch) {
      cell.obey(view, Math.min(view.isolated, this.longestMillis), now)
    }
  }
}
