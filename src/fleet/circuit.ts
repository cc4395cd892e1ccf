/**
 * The fleet's circuit of one key, as one member knows it, beside the member's own.
 */
import type * as Circuit from "../core/circuit.js"
import type * as Wire from "../core/fleetWire.js"
import * as TimeWindow from "../core/timeWindow.js"
import * as Trials from "../core/trials.js"
import { type Asking, Cell } from "../policies/circuitBreaker/registry.js"

/** A trial of the fleet, or of this member alone where the id is a number. */
export interface Lease {
  readonly id: string | number
  readonly epoch: number
  readonly untilMillis: number
}

/** What a call has waited for; it takes the lease that came, if one did. */
export interface Leave extends Asking {
  readonly take: () => Lease | undefined
}

/** Proof of admission by both circuits. */
export interface Token extends Circuit.Token {
  readonly epoch: number
  readonly lease: Lease | undefined
}

/** States, the strictest first. */
const ranks: ReadonlyArray<Circuit.Visible> = [
  "Isolated",
  "ForcedOpen",
  "ForcedClosed",
  "Disabled",
  "Open",
  "HalfOpen",
  "Closed"
]

/** The stricter of two states. */
export const stricter = (a: Circuit.Visible, b: Circuit.Visible): Circuit.Visible => {
  if (a === b || b === "Closed") return a
  if (a === "Closed") return b
  return ranks.indexOf(a) <= ranks.indexOf(b) ? a : b
}

export class FleetCell extends Cell {
  /** Whether the member has this key in use, and is told of it. */
  isJoined = false
  /** Closed, and under no order: nothing of the fleet keeps a call from running. */
  isPlain = true
  visible: Circuit.Visible = "Closed"

  epoch = 0
  phase: Circuit.Phase["_tag"] = "Closed"
  untilMillis = 0
  openings = 0
  openMillis = 0
  closedMillis = -Infinity
  order: Wire.FleetOrder = "None"
  orderEpoch = 0
  resets = 0
  isolatedUntilMillis = 0
  /** Handles of this member that isolate the key. */
  handles = 0

  isDirty = false
  saidMillis = -Infinity
  saysFailing = false
  saysSlowing = false
  urgedMillis = -Infinity
  /** Since when the sums would open it. */
  dueSinceMillis = Infinity
  isOpening = false
  hintMillis: number | undefined
  unit = 0

  asking: Asking | undefined
  askAgainMillis = -Infinity
  freeMillis = -Infinity
  /** Trials of this member alone, while it is apart, and that they have closed the circuit. */
  trials: Trials.Trials = Trials.none
  isClosedApart = false

  constructor(
    key: string,
    now: number,
    state: Circuit.State,
    readonly circuitName: string,
    readonly orderName: string,
    public window: TimeWindow.TimeWindow
  ) {
    super(key, now, state)
  }

  token({ generation, trial }: Circuit.Token, lease: Lease | undefined): Token {
    return { generation, trial, epoch: this.epoch, lease }
  }

  /** Computes what callers see of it. */
  look(): void {
    const { handles, isClosedApart, isolatedUntilMillis, order, phase } = this
    if (handles > 0 || isolatedUntilMillis > 0) this.visible = "Isolated"
    else if (order !== "None") this.visible = order
    else this.visible = isClosedApart ? "Closed" : phase
    this.isPlain = this.visible === "Closed" && phase === "Closed"
  }

  /** Consecutive openings, forgotten after it was closed for as long as it was last open. */
  openingsAt(now: number): number {
    return this.phase === "Closed" && now - this.closedMillis >= this.openMillis
      ? 0
      : this.openings
  }

  halfOpen(): void {
    this.phase = "HalfOpen"
    this.trials = Trials.none
    this.isClosedApart = false
    this.askAgainMillis = -Infinity
    this.freeMillis = -Infinity
  }

  reopenApart(now: number, openMillis: number): void {
    this.phase = "Open"
    this.openMillis = openMillis
    this.openings++
    this.untilMillis = now + openMillis
    this.isClosedApart = false
  }

  closeApart(): void {
    this.isClosedApart = true
    this.trials = Trials.none
  }

  /** Takes over a newer state. What was counted before does not count in it. */
  take(view: Extract<Wire.View, { readonly kind: "circuit" }>, left: number, now: number): void {
    this.epoch = view.epoch
    this.openings = view.openings
    this.openMillis = view.openMillis
    this.closedMillis = now - view.closedFor
    this.untilMillis = view.open ? now + left : 0
    this.halfOpen()
    this.phase = view.open ? "Open" : "Closed"
    if (view.open && left <= 0) this.phase = "HalfOpen"
    this.asking = undefined
    this.saysFailing = false
    this.saysSlowing = false
    this.dueSinceMillis = Infinity
    TimeWindow.clear(this.window)
    this.look()
  }

  obey(view: Extract<Wire.View, { readonly kind: "order" }>, isolated: number, now: number): void {
    this.orderEpoch = view.epoch
    this.order = view.order
    this.resets = view.resets
    this.isolatedUntilMillis = isolated > 0 ? now + isolated : 0
    this.look()
  }
}

export const viewOfCircuit = (cell: FleetCell, now: number): Wire.View => ({
  kind: "circuit",
  name: cell.circuitName,
  epoch: cell.epoch,
  open: cell.phase !== "Closed",
  left: cell.phase === "Closed" ? 0 : cell.untilMillis - now,
  openings: cell.openings,
  openMillis: cell.openMillis,
  closedFor: cell.phase === "Closed" ? Math.max(0, now - cell.closedMillis) : 0
})

export const viewOfOrder = (cell: FleetCell, now: number): Wire.View => ({
  kind: "order",
  name: cell.orderName,
  epoch: cell.orderEpoch,
  order: cell.order,
  resets: cell.resets,
  isolated: Math.max(0, cell.isolatedUntilMillis - now)
})
