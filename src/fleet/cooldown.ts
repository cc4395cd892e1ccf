/**
 * A cooldown that a fleet shares: what one member is told to wait, all wait, and one call of the
 * whole fleet goes first.
 */
import type * as Clock from "effect/Clock"
import * as Core from "../core/cooldown.js"
import type * as Wire from "../core/fleetWire.js"
import * as Cooldown from "../policies/Cooldown.js"
import { type Cell, Cooldowns, type Entry } from "../policies/cooldown/registry.js"
import { Keyed, KeyedState } from "../runtime/keyedState.js"
import type { Member, Question, Speaker } from "./member.js"
import type { Plan } from "./plan.js"

/** Leave to be the one trial of the fleet. */
interface Lease {
  readonly id: string
  readonly untilMillis: number
}

/** What the fleet knows of a key, as this member has heard. */
class Shared extends Keyed {
  epoch = 0
  /** A hold that the store has not heard of yet. */
  tellUntilMillis: number | undefined
  isAsking = false
  lease: Lease | undefined
  /** The trial of this member that runs under the lease. */
  trial: Core.Trial | undefined

  constructor(key: string, now: number, readonly name: string) {
    super(key, now)
  }
}

/** How long a key is remembered without calls. */
const idleMillis = 3_600_000

class SharedCooldowns extends Cooldowns implements Speaker {
  readonly #keys: KeyedState<Shared>
  readonly #toTell = new Set<Shared>()

  constructor(
    policy: Core.Policy,
    maxWaitMillis: number,
    readonly member: Member,
    readonly name: string
  ) {
    super(policy, maxWaitMillis)
    this.#keys = new KeyedState<Shared>({
      make: (key, now) => {
        const name = member.store.name(`cooldown|${this.name}|${key}`)
        return new Shared(key, now, name)
      },
      idleMillis,
      isBusy: ({ key }) => this.cells.has(key),
      forgotten: (shared, now) => {
        this.#toTell.delete(shared)
        member.unroute(shared.name, undefined, now)
      }
    })
    member.join(this)
  }

  /** The key as the fleet knows it, from its first use on. */
  #shared(key: string): Shared {
    const { clock } = this.member
    const isNew = !this.#keys.has(key)
    const shared = this.#keys.use(key, clock)
    if (isNew) this.member.route(shared.name, (view, now) => this.#hear(shared, view, now))
    return shared
  }

  override isClear(key: string): boolean {
    const { member } = this
    if (member.isSilent(member.now)) member.hasNews()
    this.#shared(key)
    return super.isClear(key)
  }

  // ---------------------------------------------------------------------------
  // What calls learn
  // ---------------------------------------------------------------------------

  override hold(key: string, millis: number, clock: Clock.Clock, now: number): void {
    super.hold(key, millis, clock, now)
    this.#tell(this.#shared(key), now + millis)
  }

  #tell(shared: Shared, untilMillis: number): void {
    shared.tellUntilMillis = Math.max(shared.tellUntilMillis ?? 0, untilMillis)
    this.#toTell.add(shared)
    this.member.urge()
  }

  override ended(
    key: string,
    trial: Core.Trial | undefined,
    finding: Core.Finding,
    clock: Clock.Clock,
    now: number
  ): void {
    super.ended(key, trial, finding, clock, now)
    const shared = this.#shared(key)
    const isTrial = trial !== undefined && trial === shared.trial
    if (typeof finding === "object" && finding.waitMillis > 0) {
      if (isTrial) this.#forgetTrial(shared)
      this.#tell(shared, now + Math.min(this.policy.capMillis, finding.waitMillis))
    } else if (isTrial) {
      const { lease } = shared
      this.#forgetTrial(shared)
      if (lease !== undefined) this.#end(shared, lease, finding === "serves")
    }
  }

  #forgetTrial(shared: Shared): void {
    shared.trial = undefined
    shared.lease = undefined
  }

  /** Said until the store has heard, or until the end of the lease. */
  #end(shared: Shared, lease: Lease, serves: boolean): void {
    const { id, untilMillis } = lease
    this.member.ask(
      { op: "probeEnd", name: shared.name, id, serves },
      (answer, { receivedMillis }) => {
        if (answer?.op === "done") shared.epoch = Math.max(shared.epoch, answer.epoch)
        else if (untilMillis > receivedMillis) this.#end(shared, lease, serves)
      }
    )
  }

  // ---------------------------------------------------------------------------
  // Who goes first
  // ---------------------------------------------------------------------------

  override enter(cell: Cell, isFirst: boolean, deadline: number, now: number): Entry {
    const isDue = cell.state._tag !== "Clear" && Core.waitMillis(cell.state, now) === 0
    if (!isDue || this.member.isApart(now)) return super.enter(cell, isFirst, deadline, now)
    const shared = this.#shared(cell.key)
    const { lease } = shared
    if (isFirst && lease !== undefined && lease.untilMillis > now) {
      const trial = Core.tryOut(this.policy, now)
      cell.state = trial
      shared.trial = trial
      return { _tag: "Run", trial }
    }
    const timeout = this.member.settings.storeTimeoutMillis
    if (isFirst && !shared.isAsking) {
      this.#ask(shared)
      return { _tag: "Wait", millis: timeout }
    }
    // The call that asks waits for the answer; others as long as they may.
    const left = isFirst ? timeout : deadline - now
    return left > 0 ? { _tag: "Wait", millis: left } : { _tag: "Reject", afterMillis: timeout }
  }

  #ask(shared: Shared): void {
    const { member, policy } = this
    const id = member.id()
    shared.isAsking = true
    const timeout = policy.trialMillis
    member.ask({ op: "probe", name: shared.name, id, timeout }, (answer, moment) => {
      shared.isAsking = false
      const now = moment.receivedMillis
      const cell = this.cells.peek(shared.key)
      if (answer?.op === "lease" && answer.granted) {
        const lease = { id, untilMillis: moment.sentMillis + timeout }
        if (cell === undefined || cell.line.size === 0) return this.#end(shared, lease, false)
        shared.lease = lease
        cell.line.first?.value.signal.notify()
        return
      }
      if (cell === undefined || cell.state._tag === "Clear") return
      if (answer?.op === "lease" && answer.epoch < shared.epoch) {
        this.#tell(shared, now)
      }
      // Another is the trial, or there was no answer: it is looked at again after an interval.
      const left = answer?.op === "lease" ? answer.left : 0
      const millis = left > 0 ? Math.min(left, member.intervalMillis) : member.intervalMillis
      this.change(cell, { _tag: "Cooling", untilMillis: now + millis })
    })
  }

  // ---------------------------------------------------------------------------
  // What the member says and hears
  // ---------------------------------------------------------------------------

  say(now: number, room: number): ReadonlyArray<Question> {
    const questions: Array<Question> = []
    for (const shared of this.#toTell) {
      if (questions.length === room) return questions
      this.#toTell.delete(shared)
      const until = shared.tellUntilMillis
      if (until === undefined) continue
      const left = Math.max(0, until - now)
      const { epoch, name } = shared
      questions.push({
        command: { op: "hold", name, epoch, left },
        answered: (answer, { receivedMillis }) => {
          if (answer?.op === "done") {
            if (shared.tellUntilMillis === until) shared.tellUntilMillis = undefined
          } else if (until > receivedMillis) {
            this.#toTell.add(shared)
            this.member.hasNews()
          }
        }
      })
    }
    return questions
  }

  again(now: number): void {
    for (const cell of this.cells.values()) {
      if (cell.state._tag !== "Cooling") continue
      this.#tell(this.#shared(cell.key), Math.max(now, cell.state.untilMillis))
    }
  }

  givesBack(): ReadonlyArray<Question> {
    const given: Array<Question> = []
    for (const { lease, name } of this.#keys.values()) {
      if (lease === undefined) continue
      const command: Wire.ProbeEnd = { op: "probeEnd", name, id: lease.id, serves: false }
      given.push({ command, answered: () => undefined })
    }
    return given
  }

  reconnected(): void {
    for (const { line } of this.cells.values()) line.first?.value.signal.notify()
  }

  #hear(shared: Shared, view: Wire.View, now: number): void {
    if (view.kind !== "cooldown" || view.epoch <= shared.epoch) return
    shared.epoch = view.epoch
    const { clock } = this.member
    if (!view.held) {
      const known = this.cells.peek(shared.key)
      if (known !== undefined && shared.tellUntilMillis === undefined) {
        this.change(known, Core.clear)
      }
      return
    }
    const cell = this.cell(shared.key, clock, now)
    const left = Math.min(view.left, this.policy.capMillis)
    if (left > 0) this.change(cell, Core.hold(cell.state, left, now))
    else if (cell.state._tag === "Clear") {
      this.change(cell, { _tag: "Cooling", untilMillis: now })
    }
  }
}

/** Plans a cooldown that the fleet shares. */
export const cooldown = (
  member: Member,
  options: Cooldown.Options & { readonly name: string }
): Plan => {
  const numbers = Cooldown.numbersOf(options)
  return {
    numbers: JSON.stringify(numbers),
    make: () => {
      const { maxWaitMillis, policy } = numbers
      const cooldowns = new SharedCooldowns(policy, maxWaitMillis, member, options.name)
      return Cooldown.ofCooldowns(cooldowns, options)
    }
  }
}
