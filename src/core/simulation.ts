/**
 * Runs one replication of a scenario: the loop over the events of calls, network and upstream.
 *
 * Every event is three numbers in a queue; what it is about stands in a table. Timers that limit
 * attempts end in the order in which they begin, so they stand in rings and the queue stays short.
 * Times are whole nanoseconds from the start, which is 0.
 */
import * as Arrivals from "./arrivals.js"
import * as Call from "./call.js"
import * as Distribution from "./distribution.js"
import * as Draw from "./draw.js"
import * as EventQueue from "./eventQueue.js"
import * as TimerRing from "./timerRing.js"
import * as Upstream from "./upstream.js"

/**
 * One scenario under one policy. `network` is the delay of a request or an answer, each way, in
 * milliseconds. At `endNanos` the replication stops, whatever is under way.
 *
 * @since 0.1.0
 */
export interface Setup {
  readonly stages: Call.Stages
  readonly processes: number
  readonly arrivals: Arrivals.Arrivals
  readonly changes: Arrivals.Profile
  readonly network: Distribution.Distribution
  readonly upstream: Upstream.Options
  readonly arrivalsEndNanos: number
  readonly endNanos: number
}

/**
 * What is told of a replication as it happens: a call begins and ends; a request is sent, is worked
 * on, is answered, or is given up by its caller; a circuit goes from one phase to another.
 *
 * @since 0.1.0
 */
export interface Observer {
  readonly began?: ((call: Call.Call) => void) | undefined
  readonly sent?: ((attempt: Call.Attempt, nowNanos: number) => void) | undefined
  readonly answered?: ((attempt: Call.Attempt) => void) | undefined
  readonly executed?: ((attempt: Call.Attempt) => void) | undefined
  readonly abandoned?: ((attempt: Call.Attempt) => void) | undefined
  readonly ended?: ((call: Call.Call, nowNanos: number) => void) | undefined
  readonly transition?: Call.Host["transition"] | undefined
}

/** The kinds of events. */
const kinds = {
  arrival: 0,
  callTimer: 1,
  lineTimer: 2,
  limitTimer: 3,
  arrive: 4,
  serve: 5,
  answer: 6,
  drop: 7,
  change: 8
} as const

const kindBits = 4
const kindMask = 2 ** kindBits - 1

/** What events are about, by their number. A number that is free is used again. */
class Table<A> {
  readonly #free: Array<number> = []
  readonly #entries: Array<A | undefined> = []

  add(entry: A): number {
    const slot = this.#free.pop() ?? this.#entries.length
    this.#entries[slot] = entry
    return slot
  }

  get(slot: number): A | undefined {
    return this.#entries[slot]
  }

  remove(slot: number): void {
    this.#entries[slot] = undefined
    this.#free.push(slot)
  }
}

/** Tests whether the first timer of a ring comes before an event. */
const isBefore = (ring: TimerRing.TimerRing, at: number, turn: number): boolean => {
  if (TimerRing.isEmpty(ring)) return false
  const time = TimerRing.time(ring)
  return time < at || (time === at && TimerRing.turn(ring) < turn)
}

/**
 * One replication.
 *
 * @since 0.1.0
 */
export class Simulation {
  readonly #machine: Call.Machine
  readonly #upstream: Upstream.Upstream<Call.Attempt>
  readonly #processes: ReadonlyArray<Call.Process>
  readonly #network: (unit: number) => number
  readonly #think: (unit: number) => number
  readonly #events = EventQueue.make()
  readonly #attemptLimits = TimerRing.make()
  readonly #totalLimits = TimerRing.make()
  readonly #calls = new Table<Call.Call>()
  readonly #attempts = new Table<Call.Attempt>()
  #now = 0
  #turn = 0
  #called = 0
  #happened = 0

  constructor(
    readonly setup: Setup,
    readonly source: Draw.Source,
    readonly observer: Observer
  ) {
    const { arrivals, network, stages, upstream } = setup
    this.#network = Distribution.sampler(network)
    this.#think = arrivals._tag === "Closed" ? Distribution.sampler(arrivals.think) : () => 0
    this.#processes = Array.from(
      { length: setup.processes },
      (_, number) => Call.process(stages, number, 0)
    )
    this.#machine = new Call.Machine(stages, {
      nowNanos: () => this.#now,
      draw: (call) => Draw.unit(source, call.number, Draw.purposes.policy, call.draws++),
      armCall: (call, endNanos) => this.#arrange(endNanos, kinds.callTimer, call.slot),
      armLine: (attempt, endNanos) =>
        this.#arrange(endNanos, kinds.lineTimer, this.#slotOf(attempt)),
      armLimit: (attempt, endNanos) => this.#armLimit(attempt, endNanos),
      disarmLimit: (attempt) => this.#disarmLimit(attempt),
      send: (attempt) => this.#send(attempt),
      abandon: (attempt) => this.#abandon(attempt),
      attemptEnded: (attempt) => this.#release(attempt),
      callEnded: (call) => this.#ended(call),
      transition: (process, from, to, atMillis) =>
        this.observer.transition?.(process, from, to, atMillis)
    })
    this.#upstream = new Upstream.Upstream<Call.Attempt>(upstream, source, {
      serve: (attempt, endNanos) => {
        attempt.of.executions++
        this.observer.executed?.(attempt)
        this.#arrangeFor(attempt, endNanos, kinds.serve)
      },
      answer: (attempt, answer, retryAfterMillis) =>
        this.#answered(attempt, answer, retryAfterMillis)
    })
    for (const nanos of Upstream.changesNanos(upstream)) this.#arrange(nanos, kinds.change, 0)
    this.#arrangeFirst()
  }

  /** The share of the time that has passed. */
  get share(): number {
    return Math.min(1, this.#now / this.setup.endNanos)
  }

  /** How many events have happened. */
  get happened(): number {
    return this.#happened
  }

  /**
   * Lets at most so many events happen. False when the replication is over. The observer may be
   * asked in between.
   */
  step(events: number): boolean {
    for (let left = events; left > 0; left--) if (!this.#next()) return false
    return true
  }

  #arrangeFirst(): void {
    const { arrivals } = this.setup
    if (arrivals._tag !== "Closed") return this.#arrangeArrival()
    for (let client = 0; client < arrivals.clients; client++) this.#arrangeArrival()
  }

  /** The next call of an open process, or of the client whose call has ended. */
  #arrangeArrival(): void {
    const { arrivals, arrivalsEndNanos, changes } = this.setup
    const number = this.#called++
    const at = arrivals._tag === "Closed"
      ? Arrivals.afterThinking(this.#think, changes, this.source, number, this.#now)
      : Arrivals.next(arrivals, changes, this.source, number, this.#now)
    if (at < arrivalsEndNanos) this.#arrange(at, kinds.arrival, number)
  }

  #arrange(at: number, kind: number, slot: number): number {
    const turn = this.#turn++
    EventQueue.add(this.#events, at, turn, slot << kindBits | kind)
    return turn
  }

  #slotOf(attempt: Call.Attempt): number {
    if (attempt.slot === -1) attempt.slot = this.#attempts.add(attempt)
    return attempt.slot
  }

  #arrangeFor(attempt: Call.Attempt, at: number, kind: number): void {
    attempt.events++
    this.#arrange(at, kind, this.#slotOf(attempt))
  }

  #armLimit(attempt: Call.Attempt, endNanos: number): number {
    const ring = attempt.isTotal ? this.#totalLimits : this.#attemptLimits
    const slot = this.#slotOf(attempt)
    attempt.limitNumber = -1
    if (!TimerRing.fits(ring, endNanos)) return this.#arrange(endNanos, kinds.limitTimer, slot)
    const turn = this.#turn++
    attempt.limitNumber = TimerRing.add(ring, endNanos, turn, slot)
    return turn
  }

  /** A limit that stands in the queue stays there, out of date. */
  #disarmLimit(attempt: Call.Attempt): void {
    if (attempt.limitNumber === -1) return
    const ring = attempt.isTotal ? this.#totalLimits : this.#attemptLimits
    TimerRing.cancel(ring, attempt.limitNumber)
    attempt.limitNumber = -1
  }

  /** Of the queue and the rings, the one whose first event comes first. */
  #next(): boolean {
    const events = this.#events
    let at = events.size > 0 ? events.times[0]! : Infinity
    let turn = events.turns[0]!
    let ring: TimerRing.TimerRing | undefined
    if (isBefore(this.#attemptLimits, at, turn)) {
      ring = this.#attemptLimits
      at = TimerRing.time(ring)
      turn = TimerRing.turn(ring)
    }
    if (isBefore(this.#totalLimits, at, turn)) {
      ring = this.#totalLimits
      at = TimerRing.time(ring)
      turn = TimerRing.turn(ring)
    }
    if (at > this.setup.endNanos || at === Infinity) return false
    this.#now = at
    this.#happened++
    if (ring === undefined) this.#happen(EventQueue.take(events), turn)
    else this.#limited(TimerRing.take(ring), turn)
    return true
  }

  #limited(slot: number, turn: number): void {
    const attempt = this.#attempts.get(slot)
    if (attempt !== undefined) this.#machine.limitTimer(attempt, turn)
  }

  #happen(what: number, turn: number): void {
    const slot = what >> kindBits
    const kind = what & kindMask
    switch (kind) {
      case kinds.arrival:
        return this.#arrival(slot)
      case kinds.change:
        return this.#upstream.change(this.#now)
      case kinds.callTimer: {
        const call = this.#calls.get(slot)
        return call === undefined ? undefined : this.#machine.callTimer(call, turn)
      }
      case kinds.limitTimer:
        return this.#limited(slot, turn)
      default: {
        const attempt = this.#attempts.get(slot)
        if (attempt === undefined) return
        if (kind === kinds.lineTimer) return this.#machine.lineTimer(attempt, turn)
        attempt.events--
        this.#travelled(attempt, kind)
        this.#release(attempt)
      }
    }
  }

  #travelled(attempt: Call.Attempt, kind: number): void {
    switch (kind) {
      case kinds.arrive:
        return this.#upstream.arrive(attempt, this.#now)
      case kinds.serve:
        return this.#upstream.end(attempt, this.#now)
      case kinds.drop:
        return this.#upstream.drop(attempt, this.#now)
      default:
        if (attempt.stand === "sent") this.observer.answered?.(attempt)
        return this.#machine.answered(attempt, attempt.answer, attempt.answerRetryAfterMillis)
    }
  }

  #arrival(number: number): void {
    const { arrivals } = this.setup
    if (arrivals._tag !== "Closed") this.#arrangeArrival()
    const unit = Draw.unit(this.source, number, Draw.purposes.process, 0)
    const process = this.#processes[Math.floor(unit * this.#processes.length)]!
    const call = new Call.Call(number, process, this.#now)
    call.slot = this.#calls.add(call)
    this.observer.began?.(call)
    this.#machine.begin(call)
  }

  #delayNanos({ attempt, call }: Call.Attempt, purpose: Draw.Purpose): number {
    return Math.round(this.#network(Draw.unit(this.source, call, purpose, attempt)) * 1e6)
  }

  #send(attempt: Call.Attempt): void {
    this.observer.sent?.(attempt, this.#now)
    const at = this.#now + this.#delayNanos(attempt, Draw.purposes.requestNetwork)
    this.#arrangeFor(attempt, at, kinds.arrive)
  }

  /** That the caller has gone is as long under way as the request was. */
  #abandon(attempt: Call.Attempt): void {
    this.observer.abandoned?.(attempt)
    if (!this.setup.upstream.noticesAbandonment || attempt.phase === "over") return
    const at = this.#now + this.#delayNanos(attempt, Draw.purposes.requestNetwork)
    this.#arrangeFor(attempt, at, kinds.drop)
  }

  #answered(
    attempt: Call.Attempt,
    answer: number,
    retryAfterMillis: number | undefined
  ): void {
    if (answer === Upstream.answers.blackHole || attempt.stand === "over") return
    attempt.answer = answer
    attempt.answerRetryAfterMillis = retryAfterMillis
    const at = this.#now + this.#delayNanos(attempt, Draw.purposes.responseNetwork)
    this.#arrangeFor(attempt, at, kinds.answer)
  }

  /** Forgets an attempt of which no event can come. */
  #release(attempt: Call.Attempt): void {
    const { events, phase, slot, stand } = attempt
    if (slot === -1 || events > 0 || stand !== "over") return
    if (phase === "queued" || phase === "served") return
    attempt.slot = -1
    this.#attempts.remove(slot)
  }

  #ended(call: Call.Call): void {
    this.#calls.remove(call.slot)
    this.observer.ended?.(call, this.#now)
    if (this.setup.arrivals._tag === "Closed") this.#arrangeArrival()
  }
}
