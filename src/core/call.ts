/**
 * Runs calls through the stages of a pipeline without effects: the order of the stages as one
 * machine over the decisions of this folder.
 *
 * The runtime and a simulation decide by the same functions; what stands here is only which of them
 * is asked when. Here are the retry, the hedge, the circuit breaker and the throttle; what stands
 * inside of them is the `Passage` of an attempt. A law holds this machine to the runtime, call by
 * call and to the nanosecond.
 *
 * Times are whole nanoseconds; the decisions get milliseconds, as from the runtime. An event is
 * O(1), beside what a decision says of itself.
 */
import { maxTimerMillis } from "./backoff.js"
import { Passage } from "./callPassage.js"
import {
  Attempt,
  type Call,
  endings,
  type HedgeDelay,
  type Host,
  later,
  meaningOf,
  none,
  Pass,
  type Process,
  type Race,
  rounded,
  type Stages,
  type Step,
  Steps
} from "./callState.js"
import * as Circuit from "./circuit.js"
import * as Latency from "./latency.js"
import * as RetryDecision from "./retryDecision.js"
import * as Throttle from "./throttle.js"
import * as TimeWindow from "./timeWindow.js"
import * as TokenBucket from "./tokenBucket.js"

export * from "./callState.js"

const requestAccepted = { failed: false, slow: false }
const requestRefused = { failed: true, slow: false }

/**
 * The machine. All calls under one policy go through one of it.
 *
 * @since 0.1.0
 */
export class Machine {
  readonly #stages: Stages
  readonly #host: Host
  readonly #steps = new Steps()
  readonly #passage: Passage
  readonly #hasGuards: boolean
  readonly #take = (step: Step, attempt: Attempt): void => this.#step(step, attempt)

  constructor(stages: Stages, host: Host) {
    this.#stages = stages
    this.#host = host
    const { bulkhead, circuit, concurrency, cooldown, limiter } = stages
    this.#hasGuards = [bulkhead, circuit, concurrency, cooldown, limiter]
      .some((guard) => guard !== undefined)
    this.#passage = new Passage(stages, host, this.#steps, (attempt) => this.#outer(attempt))
  }

  // ---------------------------------------------------------------------------
  // events
  // ---------------------------------------------------------------------------

  /** A call begins. */
  begin(call: Call): void {
    this.#round(call)
    this.#steps.drain(this.#take)
  }

  /** The timer of a call has ended: a delay is over, or a hedge is due. */
  callTimer(call: Call, turn: number): void {
    if (call.turn !== turn) return
    call.turn = none
    if (call.race === undefined) this.#again(call)
    else {
      if (this.#hasNext(call.race)) this.#hedge(call, call.race)
      this.#armHedge(call, call.race)
    }
    this.#steps.drain(this.#take)
  }

  /** The answer to a request has come back. One that was abandoned has none. */
  answered(attempt: Attempt, code: number, retryAfterMillis: number | undefined): void {
    this.#passage.answered(attempt, code, retryAfterMillis)
    this.#steps.drain(this.#take)
  }

  /** A wait in a line has ended by its time. */
  lineTimer(attempt: Attempt, turn: number): void {
    this.#passage.lineTimer(attempt, turn)
    this.#steps.drain(this.#take)
  }

  /** The time of an attempt, or of its call, is over. */
  limitTimer(attempt: Attempt, limit: number): void {
    this.#passage.limitTimer(attempt, limit)
    this.#steps.drain(this.#take)
  }

  #step(step: Step, attempt: Attempt): void {
    switch (step) {
      case "wake":
      case "expire":
      case "leave":
      case "leaveChild":
        return this.#passage[step](attempt)
      case "outer":
        return this.#outer(attempt)
      case "settle":
        return this.#settle(attempt.of, attempt)
    }
  }

  get #nowMillis(): number {
    return this.#host.clock.nanos / 1e6
  }

  // ---------------------------------------------------------------------------
  // the retry, and the hedge inside of it
  // ---------------------------------------------------------------------------

  #attempt(call: Call, race: Race | undefined, isHedge: boolean): Attempt {
    const pass = this.#hasGuards ? new Pass(call.queueMillis) : undefined
    return new Attempt(call, race, isHedge, pass)
  }

  #round(call: Call): void {
    const { hedge } = this.#stages
    if (hedge === undefined) return this.#guards(this.#attempt(call, undefined, false))
    const race: Race = {
      fromMillis: this.#nowMillis,
      delayMillis: this.#delayMillis(hedge.delay, call.process),
      running: [],
      hedges: 0,
      isClosed: false,
      isOver: false,
      failed: undefined
    }
    call.race = race
    const primary = this.#attempt(call, race, false)
    // An array that begins with one entry has room for no more: most races have no hedge.
    race.running = [primary]
    this.#guards(primary)
    this.#armHedge(call, race)
  }

  #delayMillis(delay: HedgeDelay, { latencies }: Process): number {
    if (delay._tag === "Fixed") return delay.millis
    const known = latencies === undefined || Latency.count(latencies) < delay.minimumCalls
      ? undefined
      : Latency.quantile(latencies, delay.quantile)
    return known === undefined
      ? delay.initialMillis
      : Math.min(delay.atMostMillis, Math.max(delay.atLeastMillis, known))
  }

  #hasNext(race: Race): boolean {
    return !race.isClosed && !race.isOver && race.hedges < this.#stages.hedge!.hedges
  }

  /** Waits for the next hedge to be due; those that are due already start. */
  #armHedge(call: Call, race: Race): void {
    while (this.#hasNext(race) && call.turn === none) {
      const elapsed = this.#nowMillis - race.fromMillis
      const left = (race.hedges + 1) * race.delayMillis - elapsed
      if (left > maxTimerMillis) return
      if (left <= 0) this.#hedge(call, race)
      else call.turn = this.#host.armCall(call, later(this.#host.clock.nanos, left))
    }
  }

  #hedge(call: Call, race: Race): void {
    call.turn = none
    race.hedges++
    if (!this.#withdraw(call.process)) {
      race.isClosed = true
      race.hedges--
      if (race.running.length === 0) this.#nextHedge(call, race)
      return
    }
    const attempt = this.#attempt(call, race, true)
    race.running.push(attempt)
    this.#guards(attempt)
  }

  /** Starts a hedge at once, or gives up when nothing is left that could succeed. */
  #nextHedge(call: Call, race: Race): void {
    if (this.#hasNext(race)) {
      this.#hedge(call, race)
      this.#armHedge(call, race)
    } else if (race.running.length === 0 && race.failed !== undefined) {
      this.#won(call, race, race.failed)
    }
  }

  /** An attempt has ended and its guards have been told. */
  #ended(attempt: Attempt): void {
    const { of: call, race } = attempt
    this.#host.attemptEnded(attempt)
    if (race === undefined) return this.#settle(call, attempt)
    const place = race.running.indexOf(attempt)
    if (place === -1) return
    if (race.running.length === 1) race.running.pop()
    else race.running.splice(place, 1)
    if (race.isOver) return
    if (!attempt.isHedge) this.#observe(call, race, attempt.code === 0)
    if (attempt.code === 0) return this.#won(call, race, attempt)
    if (!attempt.isHedge) race.failed = attempt
    const { allowsHedge, heeds } = meaningOf(this.#stages, attempt.code)
    if (!allowsHedge || (heeds.hedge && attempt.retryAfterMillis !== undefined)) {
      race.isClosed = true
    }
    // As long as the primary runs, a hedge that failed changes nothing.
    if (!attempt.isHedge || race.running.length === 0) this.#nextHedge(call, race)
  }

  /** The race has its result. The others leave first, then the call goes on. */
  #won(call: Call, race: Race, attempt: Attempt): void {
    race.isOver = true
    call.turn = none
    for (const loser of race.running) {
      if (!loser.isHedge) this.#observe(call, race, false)
      if (!loser.isForked) loser.isLeaving = true
      this.#steps.push("leave", loser)
    }
    this.#steps.push("settle", attempt)
  }

  /** A primary that has not succeeded counts when it is known to take longer than the delay. */
  #observe({ process }: Call, race: Race, hasSucceeded: boolean): void {
    if (process.latencies === undefined) return
    const elapsed = this.#nowMillis - race.fromMillis
    if (hasSucceeded || elapsed >= race.delayMillis) Latency.record(process.latencies, elapsed)
  }

  #withdraw(process: Process): boolean {
    const { budget } = this.#stages
    if (budget === undefined) return true
    // A process has what its stages need.
    const held = process.budget!
    const [granted, left] = TokenBucket.withdraw(budget.bucket, held.tokens, this.#nowMillis)
    held.tokens = left
    return granted
  }

  #deposit(process: Process): void {
    const { budget } = this.#stages
    if (budget === undefined) return
    const held = process.budget!
    held.tokens = TokenBucket.deposit(budget.bucket, held.tokens, budget.ratio)
  }

  /** The call has the result of one round of attempts. */
  #settle(call: Call, { code, pass, retryAfterMillis }: Attempt): void {
    const { retry } = this.#stages
    call.race = undefined
    if (pass !== undefined) call.queueMillis = pass.queueMillis
    call.code = code
    call.attempts++
    if (code === 0) {
      this.#deposit(call.process)
      return this.#host.callEnded(call)
    }
    const meaning = meaningOf(this.#stages, code)
    if (retry === undefined) return this.#stop(call, undefined)
    const waits = meaning.heeds.retry ? retryAfterMillis : undefined
    const decision = RetryDecision.decide(retry, {
      attempt: call.attempts - 1,
      previousMillis: call.previousMillis ?? 0,
      unit: this.#host.draw(call),
      elapsedMillis: this.#elapsedMillis(call, retry),
      verdict: meaning.retry === "Terminal"
        ? { _tag: "Terminal" }
        : { _tag: meaning.retry, ambiguous: meaning.isAmbiguous, retryAfterMillis: waits },
      budgetLeft: true
    })
    if (decision._tag === "Stop") return this.#stop(call, decision.reason)
    if (meaning.retry !== "Rejected" && !this.#withdraw(call.process)) {
      return this.#stop(call, "budget")
    }
    const { delayMillis } = decision
    call.previousMillis = delayMillis
    if (delayMillis > 0) {
      call.turn = this.#host.armCall(call, later(this.#host.clock.nanos, delayMillis))
    } else this.#again(call)
  }

  #elapsedMillis(call: Call, { withinMillis }: RetryDecision.Policy): number {
    return withinMillis === Infinity ? 0 : (this.#host.clock.nanos - call.fromNanos) / 1e6
  }

  /** The delay is over. A wait may have been rounded up to the deadline. */
  #again(call: Call): void {
    const { retry } = this.#stages
    if (
      retry !== undefined && retry.withinMillis !== Infinity &&
      this.#elapsedMillis(call, retry) >= retry.withinMillis
    ) return this.#stop(call, "deadline")
    this.#round(call)
  }

  #stop(call: Call, reason: RetryDecision.StopReason | undefined): void {
    call.stop = reason
    if (meaningOf(this.#stages, call.code).isAnswer) this.#deposit(call.process)
    this.#host.callEnded(call)
  }

  // ---------------------------------------------------------------------------
  // circuit breaker and throttle
  // ---------------------------------------------------------------------------

  #guards(attempt: Attempt): void {
    if (this.#circuitAdmits(attempt) && this.#throttleAdmits(attempt)) this.#passage.enter(attempt)
  }

  #circuitAdmits(attempt: Attempt): boolean {
    const { circuit } = this.#stages
    const { process } = attempt.of
    if (circuit === undefined) return true
    const now = this.#nowMillis
    const cell = process.circuit!
    const settled = this.#settled(process, cell.state, now)
    const [admission, state] = Circuit.admit(circuit, settled, now)
    cell.state = state
    this.#changed(process, settled, state, now)
    if (admission._tag === "Rejected") {
      attempt.code = endings.circuitOpen
      attempt.retryAfterMillis = rounded(admission.retryAfterMillis)
      attempt.stand = "over"
      this.#ended(attempt)
      return false
    }
    const pass = attempt.pass!
    pass.circuit = admission.token
    pass.circuitMillis = now
    pass.circuitQueueMillis = pass.queueMillis
    return true
  }

  #throttleAdmits(attempt: Attempt): boolean {
    const { throttle } = this.#stages
    if (throttle === undefined) return true
    const requests = attempt.of.process.requests!
    const now = this.#nowMillis
    TimeWindow.advance(requests, now)
    const probability = Throttle.probability(throttle.policy, requests)
    if (probability > 0 && this.#host.draw(attempt.of) < probability) {
      TimeWindow.record(requests, requestRefused, now)
      attempt.code = endings.throttled
      attempt.stand = "over"
      this.#outer(attempt)
      return false
    }
    return true
  }

  /** The throttle and the circuit hear how an attempt ended. */
  #outer(attempt: Attempt): void {
    const { circuit } = this.#stages
    const { requests } = attempt.of.process
    const isInterrupted = attempt.code === endings.interrupted
    const meaning = meaningOf(this.#stages, attempt.code)
    const now = this.#nowMillis
    const isCounted = attempt.code !== endings.throttled && meaning.throttle !== "Ignored"
    if (requests !== undefined && isCounted) {
      const request = meaning.throttle === "Success" ? requestAccepted : requestRefused
      TimeWindow.record(requests, request, now)
    }
    if (circuit !== undefined) {
      const pass = attempt.pass!
      const durationMillis = now - pass.circuitMillis -
        (pass.queueMillis - pass.circuitQueueMillis)
      const isSlow = isInterrupted && meaning.circuit === "Ignored" &&
        circuit.slow !== undefined && durationMillis > circuit.slow.overMillis
      this.#record(attempt.of.process, circuit, pass.circuit!, {
        _tag: isSlow ? "Success" : meaning.circuit,
        retryAfterMillis: meaning.heeds.circuit ? attempt.retryAfterMillis : undefined,
        durationMillis,
        unit: typeof circuit.open === "number" ? 0 : this.#host.draw(attempt.of)
      }, now)
    }
    this.#ended(attempt)
  }

  #record(
    process: Process,
    circuit: Circuit.Policy,
    token: Circuit.Token,
    result: Circuit.Result,
    now: number
  ): void {
    const cell = process.circuit!
    const settled = this.#settled(process, cell.state, now)
    const state = Circuit.record(circuit, settled, token, result, now)
    cell.state = state
    this.#changed(process, settled, state, now)
  }

  #settled(process: Process, state: Circuit.State, now: number): Circuit.State {
    // Only an open circuit changes by time alone. It saves a tuple for each attempt.
    if (state.phase._tag !== "Open") return state
    const [at, settled] = Circuit.settle(state, now)
    this.#changed(process, state, settled, at)
    return settled
  }

  #changed(process: Process, before: Circuit.State, after: Circuit.State, at: number): void {
    if (before.phase === after.phase) return
    const { _tag: from } = before.phase
    const { _tag: to } = after.phase
    if (from === to) return
    const { circuit, key } = process
    this.#host.transition({ key, number: circuit!.number }, from, to, at)
  }
}
