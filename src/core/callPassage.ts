/**
 * Takes one attempt through what stands inside of the circuit breaker and the throttle: the lines
 * of the guards, then the request and its time limits; and out again, from the inside.
 *
 * Where another fiber of the runtime goes first, a step waits in line here, so calls that meet at
 * one instant have the same order in both. Times are whole nanoseconds; the decisions get
 * milliseconds. A step is O(1), beside what a decision says of itself.
 */
import { maxTimerMillis } from "./backoff.js"
import { Lines } from "./callLines.js"
import {
  type Attempt,
  endings,
  type Host,
  later,
  type Meaning,
  meaningOf,
  none,
  type Pass,
  type Process,
  rounded,
  type Stages,
  type Steps
} from "./callState.js"
import * as Concurrency from "./concurrency.js"
import * as Cooldown from "./cooldown.js"
import * as CooldownLine from "./cooldownLine.js"
import * as Fifo from "./fifo.js"
import * as Permits from "./permits.js"
import * as RateLine from "./rateLine.js"

/**
 * The way of attempts under one policy.
 *
 * @since 0.1.0
 */
export class Passage {
  readonly #stages: Stages
  readonly #host: Host
  readonly #steps: Steps
  readonly #outer: (attempt: Attempt) => void
  readonly #lines: Lines
  /** Whether time is limited, and whether what an attempt waits for is part of the limited time. */
  readonly #isLimited: boolean
  readonly #isQueued: boolean

  /** `outer` hears of an attempt that has left. */
  constructor(stages: Stages, host: Host, steps: Steps, outer: (attempt: Attempt) => void) {
    const { attemptMillis, bulkhead, cooldown, limiter, totalMillis } = stages
    this.#stages = stages
    this.#host = host
    this.#steps = steps
    this.#outer = outer
    this.#lines = new Lines(host, steps, (attempt) => this.#suspend(attempt))
    this.#isLimited = Math.min(attemptMillis, totalMillis) <= maxTimerMillis
    const waits = limiter !== undefined || bulkhead !== undefined || cooldown !== undefined
    this.#isQueued = this.#isLimited && totalMillis !== Infinity && waits
  }

  // ---------------------------------------------------------------------------
  // events
  // ---------------------------------------------------------------------------

  /** The answer to a request has come back. One that was abandoned has none. */
  answered(attempt: Attempt, code: number, retryAfterMillis: number | undefined): void {
    if (attempt.stand !== "sent") return
    attempt.code = code
    attempt.retryAfterMillis = retryAfterMillis
    this.#left(attempt)
  }

  /** A wait in a line has ended by its time. */
  lineTimer(attempt: Attempt, turn: number): void {
    const line = attempt.pass?.line
    if (line?.turn !== turn) return
    line.turn = none
    line.isWaiting = false
    this.wake(attempt)
  }

  /** The time of an attempt, or of its call, is over. */
  limitTimer(attempt: Attempt, limit: number): void {
    if (attempt.limit !== limit) return
    attempt.limit = none
    this.expire(attempt)
  }

  get #nowMillis(): number {
    return this.#host.clock.nanos / 1e6
  }

  /** A guard turns an attempt away; those around it hear of it at once. */
  #reject(attempt: Attempt, code: number, retryAfterMillis: number | undefined): void {
    attempt.code = code
    attempt.retryAfterMillis = retryAfterMillis
    attempt.stand = "over"
    this.#unwind(attempt)
    this.#disarm(attempt)
    this.#out(attempt, attempt.isForked)
  }

  /** Those outside hear of it: one turn later where the attempt has a fiber of its own. */
  #out(attempt: Attempt, isLater: boolean): void {
    if (isLater) this.#steps.push("outer", attempt)
    else this.#outer(attempt)
  }

  // ---------------------------------------------------------------------------
  // waiting in lines
  // ---------------------------------------------------------------------------

  /** An attempt has to wait for the first time: from here on the limit of the total runs. */
  #suspend(attempt: Attempt): void {
    if (!this.#isQueued || attempt.isForked) return
    attempt.isForked = true
    if (!this.#armLimit(attempt, Infinity)) this.#steps.push("expire", attempt)
  }

  wake(attempt: Attempt): void {
    if (attempt.isLeaving) return this.leaveChild(attempt)
    switch (attempt.stand) {
      case "rate":
        return this.#rateTurn(attempt)
      case "rated":
        return this.#ratePassed(attempt)
      case "permits":
        return this.#permitTurn(attempt)
      case "cooldown":
        return this.#cooldownTurn(attempt)
      default:
    }
  }

  /** An attempt comes in, past the throttle. */
  enter(attempt: Attempt): void {
    const { limiter } = this.#stages
    if (limiter === undefined) return this.#permit(attempt)
    const { rate } = attempt.of.process
    const now = BigInt(this.#host.clock.nanos)
    if (RateLine.tryTake(limiter.policy, rate, 1, now)) return this.#permit(attempt)
    const self = () => attempt
    const entry = RateLine.join(limiter.policy, rate, 1, limiter.maxWaitNanos, self, now)
    if (typeof entry === "bigint") {
      return this.#reject(attempt, endings.rateLimited, Number(entry) / 1e6)
    }
    this.#lines.join(attempt, "rate").rate = entry
    this.#rateTurn(attempt)
  }

  // What has a turn in a line has joined it before, which was for its guard to decide.

  #rateTurn(attempt: Attempt): void {
    const { policy } = this.#stages.limiter!
    const line = attempt.pass!.line!
    const { rate } = attempt.of.process
    const now = BigInt(this.#host.clock.nanos)
    const nanos = RateLine.waitNanos(policy, rate, line.rate!, now)
    if (nanos === undefined) return this.#lines.wait(attempt, line, Infinity)
    if (nanos === 0n) return this.#ratePassed(attempt)
    attempt.stand = "rated"
    this.#lines.arm(attempt, line, Number(nanos) / 1e6)
    this.#suspend(attempt)
  }

  #ratePassed(attempt: Attempt): void {
    const { policy } = this.#stages.limiter!
    const pass = attempt.pass!
    const line = pass.line!
    const now = BigInt(this.#host.clock.nanos)
    const place = line.rate!
    line.rate = undefined
    this.#lines.notify(RateLine.run(policy, attempt.of.process.rate, place, now))
    this.#lines.waited(pass, line)
    this.#permit(attempt)
  }

  #permit(attempt: Attempt): void {
    const { bulkhead } = this.#stages
    if (bulkhead === undefined) return this.#limit(attempt)
    const permits = attempt.of.process.permits!
    switch (Permits.enter(permits)) {
      case "Run":
        attempt.pass!.holdsPermit = true
        return this.#limit(attempt)
      case "Full":
        return this.#reject(attempt, endings.bulkheadFull, undefined)
      case "Wait": {
        const line = this.#lines.join(attempt, "permits")
        line.permit = Fifo.join(permits.waiting, attempt)
        this.#lines.wait(attempt, line, bulkhead.maxWaitMillis)
      }
    }
  }

  #permitTurn(attempt: Attempt): void {
    const pass = attempt.pass!
    const line = pass.line!
    const place = line.permit!
    line.permit = undefined
    this.#lines.waited(pass, line)
    if (place.inLine) {
      Fifo.leave(attempt.of.process.permits!.waiting, place)
      return this.#reject(attempt, endings.bulkheadFull, undefined)
    }
    pass.holdsPermit = true
    this.#limit(attempt)
  }

  #limit(attempt: Attempt): void {
    const { process } = attempt.of
    if (process.concurrency === undefined) return this.#cool(attempt)
    const [token, state] = Concurrency.admit(process.concurrency)
    process.concurrency = state
    if (token === undefined) {
      return this.#reject(attempt, endings.concurrencyLimited, undefined)
    }
    const pass = attempt.pass!
    pass.concurrency = token
    pass.concurrencyMillis = this.#nowMillis
    this.#cool(attempt)
  }

  #cool(attempt: Attempt): void {
    const { cooldown } = this.#stages
    if (cooldown === undefined) return this.#send(attempt)
    const cell = attempt.of.process.cooldown
    const now = this.#nowMillis
    const deadlineMillis = now + cooldown.maxWaitMillis
    const isFirst = cell.line.size === 0
    const entry = CooldownLine.enter(cooldown.policy, cell, isFirst, deadlineMillis, now)
    if (entry._tag === "Wait") {
      const line = this.#lines.join(attempt, "cooldown")
      this.#lines.notify(entry.notified)
      line.cooldown = Fifo.join(cell.line, { deadlineMillis, signal: attempt })
      this.#lines.wait(attempt, line, entry.millis)
    } else this.#cooled(attempt, entry)
  }

  #cooldownTurn(attempt: Attempt): void {
    const { policy } = this.#stages.cooldown!
    const cell = attempt.of.process.cooldown
    const pass = attempt.pass!
    const line = pass.line!
    const place = line.cooldown!
    const isFirst = cell.line.first === place
    const { deadlineMillis } = place.value
    const entry = CooldownLine.enter(policy, cell, isFirst, deadlineMillis, this.#nowMillis)
    if (entry._tag === "Wait") {
      this.#lines.notify(entry.notified)
      return this.#lines.wait(attempt, line, entry.millis)
    }
    line.cooldown = undefined
    this.#lines.notify(CooldownLine.leave(cell, place))
    this.#lines.waited(pass, line)
    this.#cooled(attempt, entry)
  }

  #cooled(
    attempt: Attempt,
    entry: Exclude<CooldownLine.Entry<Attempt>, { readonly _tag: "Wait" }>
  ): void {
    if (entry._tag === "Reject") {
      return this.#reject(attempt, endings.coolingDown, rounded(entry.afterMillis))
    }
    const pass = attempt.pass!
    pass.isWatched = true
    pass.trial = entry.trial
    this.#send(attempt)
  }

  // ---------------------------------------------------------------------------
  // the request, and its time limits
  // ---------------------------------------------------------------------------

  #send(attempt: Attempt): void {
    const { attemptMillis } = this.#stages
    // One that has had to wait is limited before it is sent, any other once it is under way.
    if (attempt.isForked && !this.#armLimit(attempt, attemptMillis)) {
      attempt.code = attempt.isTotal ? endings.totalTimeout : endings.attemptTimeout
      return this.#left(attempt)
    }
    attempt.stand = "sent"
    attempt.attempt = attempt.of.sent++
    this.#host.send(attempt)
    if (!this.#isLimited || attempt.isForked) return
    attempt.isForked = true
    if (!this.#armLimit(attempt, attemptMillis)) this.#steps.push("expire", attempt)
  }

  /** What is left of both time limits from here on. False: the time is over already. */
  #armLimit(attempt: Attempt, ofAttempt: number): boolean {
    const { totalMillis } = this.#stages
    const now = this.#host.clock.nanos
    const ofTotal = totalMillis - (now - attempt.of.fromNanos) / 1e6
    const left = Math.min(ofAttempt, ofTotal)
    this.#disarm(attempt)
    attempt.isTotal = ofTotal <= ofAttempt
    if (left <= 0) return false
    if (left <= maxTimerMillis) attempt.limit = this.#host.armLimit(attempt, later(now, left))
    return true
  }

  #disarm(attempt: Attempt): void {
    if (attempt.limit === none) return
    this.#host.disarmLimit(attempt)
    attempt.limit = none
  }

  /** A time limit is over. What still stands in a line was turned away before it ran. */
  expire(attempt: Attempt): void {
    if (attempt.stand === "over") return
    attempt.retryAfterMillis = undefined
    if (attempt.stand === "sent") {
      attempt.code = attempt.isTotal ? endings.totalTimeout : endings.attemptTimeout
      this.#host.abandon(attempt)
      return this.#left(attempt)
    }
    this.#leaveLine(attempt)
    // The guards inside see an interruption, those outside see why.
    attempt.code = endings.interrupted
    attempt.stand = "over"
    this.#unwind(attempt)
    attempt.code = endings.queueTimeout
    this.#out(attempt, true)
  }

  /** A request is over for its caller: the guards hear of it from the inside out. */
  #left(attempt: Attempt): void {
    attempt.stand = "over"
    this.#disarm(attempt)
    this.#unwind(attempt)
    this.#out(attempt, this.#isQueued)
  }

  /** Another attempt has won. What runs in a fiber of its own hears of it one turn later. */
  leave(attempt: Attempt): void {
    if (attempt.stand === "over") return
    if (!attempt.isForked) return this.leaveChild(attempt)
    attempt.isLeaving = true
    this.#steps.push("leaveChild", attempt)
  }

  leaveChild(attempt: Attempt): void {
    if (attempt.stand === "over") return
    attempt.code = endings.interrupted
    attempt.retryAfterMillis = undefined
    if (attempt.stand === "sent") {
      this.#host.abandon(attempt)
      return this.#left(attempt)
    }
    this.#leaveLine(attempt)
    attempt.stand = "over"
    this.#unwind(attempt)
    this.#disarm(attempt)
    this.#out(attempt, attempt.isForked)
  }

  /** An attempt that will not run gives its place back. */
  #leaveLine(attempt: Attempt): void {
    const { cooldown, permits, rate } = attempt.of.process
    const pass = attempt.pass!
    const line = pass.line!
    this.#lines.waited(pass, line)
    line.isWaiting = false
    line.turn = none
    if (line.rate !== undefined) this.#lines.notify(RateLine.leave(rate, line.rate))
    if (line.permit !== undefined) this.#lines.notify(Permits.giveUp(permits!, line.permit))
    if (line.cooldown !== undefined) this.#lines.notify(CooldownLine.leave(cooldown, line.cooldown))
    line.rate = undefined
    line.permit = undefined
    line.cooldown = undefined
  }

  /** The cooldown, the adaptive limit and the bulkhead hear how an attempt ended, once. */
  #unwind(attempt: Attempt): void {
    const { of: { process }, pass } = attempt
    if (pass === undefined) return
    const meaning = meaningOf(this.#stages, attempt.code)
    if (pass.isWatched) this.#cooldownEnded(process, attempt, pass, meaning)
    if (pass.concurrency !== undefined) {
      const latencyMillis = this.#nowMillis - pass.concurrencyMillis
      const ending: Concurrency.Ending = meaning.concurrency === "Success"
        ? { _tag: "Success", latencyMillis }
        : { _tag: meaning.concurrency }
      process.concurrency = Concurrency.end(
        this.#stages.concurrency!,
        process.concurrency!,
        pass.concurrency,
        ending
      )
    }
    if (pass.holdsPermit) this.#lines.notify(Permits.release(process.permits!))
  }

  #cooldownEnded(process: Process, attempt: Attempt, pass: Pass, meaning: Meaning): void {
    const { policy } = this.#stages.cooldown!
    const { retryAfterMillis } = attempt
    const { trial } = pass
    const asks = meaning.heeds.cooldown && retryAfterMillis !== undefined
    if (trial === undefined && !asks) return
    const finding: Cooldown.Finding = asks
      ? { waitMillis: retryAfterMillis }
      : meaning.cooldown
    const { state } = process.cooldown
    const next = Cooldown.end(policy, state, trial, finding, this.#nowMillis)
    if (next !== state) {
      CooldownLine.change(process.cooldown, next, (waiter) => this.#lines.notify(waiter))
    }
  }
}
