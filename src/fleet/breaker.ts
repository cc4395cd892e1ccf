/**
 * Circuits that a fleet shares. Each key has two: the member's own, as without a fleet, and the
 * fleet's, whose outcomes all members count. Both have to admit a call.
 *
 * The fleet's circuit is decided by what the store adds up: the member whose answer shows enough
 * votes asks the store to open it, and the store does so once. A half-open one leases its trials.
 */
import type * as Clock from "effect/Clock"
import * as Circuit from "../core/circuit.js"
import * as FleetVote from "../core/fleetVote.js"
import type * as Wire from "../core/fleetWire.js"
import * as TimeWindow from "../core/timeWindow.js"
import * as Trials from "../core/trials.js"
import type { Asking, Cell } from "../policies/circuitBreaker/registry.js"
import { Signal } from "../runtime/signal.js"
import {
  type FleetCell,
  type Lease,
  type Leave,
  type Token,
  viewOfCircuit,
  viewOfOrder
} from "./circuit.js"
import { FleetCircuits, type TimePolicy } from "./circuits.js"
import type { Member, Moment, Question, Speaker } from "./member.js"

/** A handle that isolates a key in the whole fleet. */
interface Handle {
  readonly cell: FleetCell
  saidMillis: number
}

export class SharedCircuits extends FleetCircuits implements Speaker {
  readonly #handles = new Map<string, Handle>()

  constructor(
    policy: TimePolicy,
    idleMillis: number,
    member: Member,
    name: string,
    numbers: string
  ) {
    super(policy, idleMillis, member, name, numbers)
    member.join(this)
  }

  // ---------------------------------------------------------------------------
  // Calls
  // ---------------------------------------------------------------------------

  override rejects(cell: Cell, now: number): number | undefined {
    if ((cell as FleetCell).isPlain) return super.rejects(cell, now)
    const wait = this.waitMillis(cell, now)
    if (wait !== undefined) this.reject(cell)
    return wait
  }

  override admit(cell: Cell, now: number, asked?: Asking): Circuit.Token | number {
    const shared = cell as FleetCell
    if (this.member.isSilent(now)) this.member.hasNews()
    if (shared.isPlain && asked === undefined) {
      const token = super.admit(cell, now)
      return typeof token === "number" ? token : shared.token(token, undefined)
    }
    const leave = asked as Leave | undefined
    const token = this.#admitShared(shared, now, leave?.take())
    if (typeof token === "number") leave?.giveUp()
    return token
  }

  #admitShared(cell: FleetCell, now: number, lease: Lease | undefined): Token | number {
    const seen = this.seen(cell)
    const isForced = seen === "ForcedClosed" || seen === "Disabled"
    if (isForced && Circuit.visible(cell.state) !== "Closed") {
      // The order lets it pass; of the own circuit it says nothing.
      cell.isCalled = true
      cell.inFlight++
      const epoch = seen === "Disabled" ? -1 : cell.epoch
      return { generation: -1, trial: -1, epoch, lease: undefined }
    }
    if (!isForced) {
      const wait = lease === undefined
        ? this.#rejectedFor(cell, now)
        : this.waitOfLease(cell, lease, now)
      if (wait !== undefined) {
        this.#free(cell, lease)
        this.reject(cell)
        return wait
      }
    }
    const token = super.admit(cell, now)
    if (typeof token === "number") {
      this.#free(cell, lease)
      return token
    }
    return cell.token(token, isForced ? undefined : lease ?? this.#ownTrial(cell, now))
  }

  /** A lease is used before its end only, and in its epoch. */
  waitOfLease(cell: FleetCell, lease: Lease, now: number): number | undefined {
    return lease.epoch === cell.epoch && lease.untilMillis > now && cell.phase === "HalfOpen"
      ? undefined
      : this.#rejectedFor(cell, now) ?? 0
  }

  /** How long a call without a lease is rejected for. */
  #rejectedFor(cell: FleetCell, now: number): number | undefined {
    const wait = this.waitMillis(cell, now)
    if (wait !== undefined) return wait
    const needsLease = cell.phase === "HalfOpen" && !cell.isClosedApart && !this.member.isApart(now)
    return needsLease ? Math.max(0, cell.askAgainMillis - now, cell.freeMillis - now) : undefined
  }

  /** Apart, a half-open circuit has trials of its own. */
  #ownTrial(cell: FleetCell, now: number): Lease | undefined {
    if (cell.phase !== "HalfOpen" || cell.isClosedApart) return undefined
    const untilMillis = now + this.#trialMillis(cell)
    const taken = Trials.take(this.policy.halfOpen, cell.trials, untilMillis, now)
    if (!("trial" in taken)) return undefined
    cell.trials = taken.trials
    return { id: taken.trial, epoch: cell.epoch, untilMillis }
  }

  #trialMillis(cell: FleetCell): number {
    return this.policy.trialTimeoutMillis ?? Math.max(cell.openMillis, 10_000)
  }

  protected override askTrial(cell: FleetCell, now: number): Asking | undefined {
    if (cell.isPlain || cell.phase !== "HalfOpen" || cell.isClosedApart) return undefined
    const seen = this.seen(cell)
    if (seen !== "HalfOpen" || this.member.isApart(now)) return undefined
    const { member } = this
    const signal = new Signal()
    let lease: Lease | undefined
    let isOver = false
    const leave: Leave = {
      wait: signal.wait(member.settings.storeTimeoutMillis),
      take: () => {
        isOver = true
        const taken = lease
        lease = undefined
        return taken
      },
      giveUp: () => this.#free(cell, leave.take())
    }
    const timeout = this.#trialMillis(cell)
    const { epoch } = cell
    const id = member.id()
    cell.asking = leave
    const answered: Question["answered"] = (answer, moment) => {
      if (cell.asking === leave) cell.asking = undefined
      const isGranted = answer?.op === "lease" && answer.granted
      if (isGranted) {
        const granted = { id, epoch, untilMillis: moment.sentMillis + timeout }
        if (isOver || cell.epoch !== epoch) this.#free(cell, granted)
        else lease = granted
      } else this.#denied(cell, answer, moment)
      signal.notify()
    }
    const grace = 2 * member.intervalMillis
    const { trials } = this.policy.halfOpen
    member.ask(
      { op: "trial", name: cell.circuitName, epoch, id, trials, timeout, grace },
      answered
    )
    return leave
  }

  /** It asks again after an interval: a place may be free before it has to be. */
  #denied(cell: FleetCell, answer: Wire.Answer | undefined, { receivedMillis }: Moment): void {
    const { intervalMillis } = this.member
    const left = answer?.op === "lease" ? Math.min(answer.left, this.longestMillis) : 0
    cell.askAgainMillis = receivedMillis +
      (left > 0 ? Math.min(left, intervalMillis) : intervalMillis)
    cell.freeMillis = receivedMillis + left
    if (answer?.op === "lease") this.#compare(cell, answer.epoch, receivedMillis)
  }

  /** A store that is behind has lost what this member knows. */
  #compare(cell: FleetCell, epoch: number, now: number): void {
    if (epoch < cell.epoch) this.member.putBack(viewOfCircuit(cell, now))
  }

  #free(cell: FleetCell, lease: Lease | undefined): void {
    if (lease === undefined) return
    this.#endLease(cell, lease, { result: "free", wait: 0, openMillis: 0 })
  }

  #endLease(
    cell: FleetCell,
    lease: Lease,
    how: Pick<Wire.TrialEnd, "result" | "wait" | "openMillis">
  ): void {
    if (typeof lease.id === "number") return
    const { halfOpen } = this.policy
    const command: Wire.TrialEnd = {
      op: "trialEnd",
      name: cell.circuitName,
      epoch: lease.epoch,
      id: lease.id,
      badLimit: Trials.badLimit(halfOpen),
      goodLimit: Trials.goodLimit(halfOpen),
      openings: cell.openings + 1,
      ...how
    }
    const answered: Question["answered"] = (answer, { receivedMillis }) => {
      // It is held until the store has heard, or until its end.
      if (answer !== undefined || lease.untilMillis <= receivedMillis) return
      if (cell.epoch === lease.epoch) this.member.ask(command, answered)
    }
    this.member.ask(command, answered)
  }

  override record(
    cell: Cell,
    token: Circuit.Token,
    result: Circuit.Result,
    clock: Clock.Clock,
    now: number
  ): void {
    super.record(cell, token, result, clock, now)
    const shared = cell as FleetCell
    const { epoch, lease } = token as Token
    if (epoch !== shared.epoch) return
    if (lease !== undefined) this.#recordTrial(shared, lease, result, now)
    else if (result._tag !== "Ignored" && shared.phase === "Closed") {
      this.#recordClosed(shared, result, now)
    }
  }

  #recordClosed(cell: FleetCell, result: Circuit.Result, now: number): void {
    if (cell.order === "Disabled") return
    const { policy } = this
    const failed = result._tag === "Failure"
    TimeWindow.record(cell.window, { failed, slow: Circuit.isSlow(policy, result) }, now)
    if (failed) {
      cell.hintMillis = result.retryAfterMillis
      cell.unit = result.unit
    }
    this.#touch(cell)
    if (cell.saysFailing && cell.saysSlowing) return
    const { failing, slowing } = FleetVote.voteOf(policy, cell.window)
    const hasTurned = (failing && !cell.saysFailing) || (slowing && !cell.saysSlowing)
    // A vote that turns to and fro is told at once once an interval.
    if (!hasTurned || now - cell.urgedMillis < this.member.intervalMillis) return
    cell.urgedMillis = now
    this.member.urge()
  }

  #touch(cell: FleetCell): void {
    if (cell.isDirty) return
    cell.isDirty = true
    this.dirty.add(cell)
    this.member.hasNews()
  }

  #recordTrial(cell: FleetCell, lease: Lease, result: Circuit.Result, now: number): void {
    const isBad = result._tag === "Failure" || Circuit.isSlow(this.policy, result)
    const wait = Math.min(this.policy.maxOpenMillis, result.retryAfterMillis ?? 0)
    const openMillis = Circuit.openingMillis(this.policy, cell.openings, cell.openMillis, result)
    if (typeof lease.id !== "number") {
      const said = result._tag === "Ignored" ? "free" : isBad ? "bad" : "good"
      this.#endLease(cell, lease, { result: said, wait, openMillis })
      return
    }
    const finding = result._tag === "Ignored" ? { waitMillis: wait } : isBad ? "bad" : "good"
    const ended = Trials.end(this.policy.halfOpen, cell.trials, lease.id, finding, now)
    if (ended === "open") this.changeFleet(cell, now, () => cell.reopenApart(now, openMillis))
    else if (ended === "close") this.changeFleet(cell, now, () => cell.closeApart())
    else cell.trials = ended
  }

  // ---------------------------------------------------------------------------
  // What the member says
  // ---------------------------------------------------------------------------

  say(now: number, room: number): ReadonlyArray<Question> {
    const renewMillis = this.member.settings.memberTimeoutMillis / 3
    const questions: Array<Question> = []
    for (const [id, handle] of this.#handles) {
      if (questions.length === room) return questions
      if (now - handle.saidMillis >= renewMillis) questions.push(this.#isolation(id, handle, now))
    }
    for (const cell of this.dirty) {
      if (questions.length === room) return questions
      questions.push(this.#count(cell, now))
    }
    for (const cell of this.voiced) {
      if (questions.length === room || now - cell.saidMillis < renewMillis) break
      questions.push(this.#count(cell, now))
    }
    return questions
  }

  #count(cell: FleetCell, now: number): Question {
    cell.isDirty = false
    this.dirty.delete(cell)
    this.voiced.delete(cell)
    TimeWindow.advance(cell.window, now)
    const { calls, failures, slow } = cell.window
    const { failing, slowing } = FleetVote.voteOf(this.policy, cell.window)
    cell.saidMillis = now
    cell.saysFailing = failing
    cell.saysSlowing = slowing
    if (calls > 0) this.voiced.add(cell)
    const { circuitName: name, epoch } = cell
    return {
      command: { op: "count", name, epoch, calls, failures, slow, failing, slowing },
      answered: (answer, moment) => this.#counted(cell, epoch, answer, moment)
    }
  }

  #counted(
    cell: FleetCell,
    epoch: number,
    answer: Wire.Answer | undefined,
    { receivedMillis: now }: Moment
  ): void {
    if (epoch !== cell.epoch || !cell.isJoined) return
    if (answer?.op !== "count") return this.#touch(cell)
    if (answer.epoch < epoch) {
      this.#compare(cell, answer.epoch, now)
      return this.#touch(cell)
    }
    const { member, policy } = this
    const isDue = answer.epoch === epoch && cell.phase === "Closed" && cell.order === "None" &&
      !cell.isOpening && FleetVote.opens(policy, member.settings.quorum, answer, member.members)
    if (!isDue) {
      cell.dueSinceMillis = Infinity
      // One that votes and is in use looks what becomes of it.
      const isInUse = now - cell.touchedMillis <= 2 * member.intervalMillis
      return isInUse && (cell.saysFailing || cell.saysSlowing) ? this.#touch(cell) : undefined
    }
    // Those that have said nothing yet may know better.
    cell.dueSinceMillis = Math.min(cell.dueSinceMillis, now)
    if (answer.heard >= member.members || now - cell.dueSinceMillis >= member.intervalMillis) {
      this.#open(cell, now)
    } else this.#touch(cell)
  }

  #open(cell: FleetCell, now: number): void {
    const openings = cell.openingsAt(now)
    const openMillis = Circuit.openingMillis(this.policy, openings, cell.openMillis, {
      retryAfterMillis: cell.hintMillis,
      unit: cell.unit
    })
    cell.isOpening = true
    this.member.ask(
      { op: "open", name: cell.circuitName, epoch: cell.epoch, openMillis, openings: openings + 1 },
      (answer) => {
        cell.isOpening = false
        if (answer === undefined) this.#touch(cell)
      }
    )
  }

  again(now: number): void {
    for (const cell of this.joined) {
      if (cell.epoch > 0) this.member.putBack(viewOfCircuit(cell, now))
      if (cell.orderEpoch > 0) this.member.putBack(viewOfOrder(cell, now))
      cell.askAgainMillis = -Infinity
    }
    for (const cell of this.voiced) this.#touch(cell)
    for (const handle of this.#handles.values()) handle.saidMillis = -Infinity
  }

  givesBack(now: number): ReadonlyArray<Question> {
    const gone: Array<Question> = []
    for (const [id, { cell }] of this.#handles) {
      gone.push({ command: this.releaseOf(cell, id), answered: () => undefined })
    }
    for (const cell of this.voiced) {
      cell.window = TimeWindow.make(cell.window.size, cell.window.size)
      gone.push(this.#count(cell, now))
    }
    return gone
  }

  reconnected(isConnected: boolean, now: number): void {
    if (!isConnected) return
    for (const cell of this.joined) {
      if (cell.isClosedApart) this.changeFleet(cell, now, () => cell.halfOpen())
    }
  }

  circuits(): ReadonlyArray<readonly [string, string]> {
    return [...this.unwell].map((cell) => [cell.circuitName, this.seen(cell)] as const)
  }

  // ---------------------------------------------------------------------------
  // What the member hears
  // ---------------------------------------------------------------------------

  protected override hear(cell: FleetCell, view: Wire.View, now: number): void {
    const { resets } = cell
    this.changeFleet(cell, now, () => this.take(cell, view, now))
    if (cell.resets !== resets) this.#reset(cell, now)
  }

  /** An operator has reset the circuits of this key in all members. */
  #reset(cell: FleetCell, now: number): void {
    this.change(cell, Circuit.reset(cell.state, now), this.member.clock, now)
    const { circuitName: name, epoch } = cell
    this.member.ask({ op: "close", name, epoch }, () => undefined)
  }

  // ---------------------------------------------------------------------------
  // Isolation
  // ---------------------------------------------------------------------------

  #isolation(id: string, handle: Handle, now: number): Question {
    handle.saidMillis = now
    return {
      command: this.isolationOf(handle.cell, id),
      answered: (answer) => {
        if (answer === undefined) handle.saidMillis = -Infinity
      }
    }
  }

  isolationOf({ orderEpoch: epoch, orderName: name }: FleetCell, id: string): Wire.Isolate {
    const hold = this.member.settings.memberTimeoutMillis
    return { op: "isolate", name, epoch, id, hold }
  }

  releaseOf({ orderEpoch: epoch, orderName: name }: FleetCell, id: string): Wire.Release {
    return { op: "release", name, epoch, id }
  }

  /** This member holds a handle, which it keeps alive. */
  holdHandle(cell: FleetCell, id: string, now: number): void {
    this.#handles.set(id, { cell, saidMillis: now })
    this.changeFleet(cell, now, () => cell.handles++)
  }

  dropHandle(cell: FleetCell, id: string, now: number): void {
    if (!this.#handles.delete(id)) return
    this.changeFleet(cell, now, () => cell.handles--)
  }
}
