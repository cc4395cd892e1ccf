/**
 * Runs one replication of a scenario: the loop over the events of calls, network and upstream.
 *
 * Every event is three numbers in a queue; what it is about stands in a table. Timers that limit
 * attempts end in the order in which they begin, so they stand in rings and the queue stays short.
 * Times are whole nanoseconds from the start, which is 0.
 */
import * as Arrivals from "./arrivals.js"
import * as Calendar from "./calendar.js"
import * as Call from "./call.js"
import * as Distribution from "./distribution.js"
import * as Draw from "./draw.js"
import type { Observer, Service, Setup } from "./simulationSetup.js"
import * as TimerRing from "./timerRing.js"
import * as Upstream from "./upstream.js"
import * as Zipf from "./zipf.js"

export type { Dependency, Observer, Service, Setup } from "./simulationSetup.js"

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

/** The timers of a ring have even numbers as limits, those of the queue odd ones. */
const limitInRing = (number: number): number => 2 * number
const limitInQueue = (turn: number): number => 2 * turn + 1

const kindBits = 4
const kindMask = 2 ** kindBits - 1

/** What events are about, by their number. A number that is free is used again. */
class Table<A> {
  readonly #free: Array<number> = []
  readonly #entries: Array<A | undefined> = []

  /** How many there are. */
  get size(): number {
    return this.#entries.length - this.#free.length
  }

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

/** Calls from one side to one service, under one policy. The first are those of the clients. */
interface Edge {
  readonly stages: Call.Stages
  readonly machine: Call.Machine
  readonly source: Draw.Source
  readonly service: number
  readonly shared: ReadonlyArray<Call.Shared>
  readonly processes: Array<Call.Process | undefined>
}

/** A service at work. `edges` are the calls that it makes for a request, in their order. */
interface Server {
  readonly upstream: Upstream.Upstream<Call.Attempt>
  readonly source: Draw.Source
  readonly network: (unit: number) => number
  readonly noticesAbandonment: boolean
  readonly edges: ReadonlyArray<number>
}

/** The status of an answer that says that a service further on has failed. */
const badGateway = 502

/**
 * One replication.
 *
 * @since 0.1.0
 */
export class Simulation {
  readonly #edges: Array<Edge> = []
  readonly #servers: ReadonlyArray<Server>
  readonly #think: (unit: number) => number
  readonly #key: (unit: number) => number
  readonly #events = Calendar.make()
  readonly #attemptLimits = TimerRing.make()
  readonly #totalLimits = TimerRing.make()
  readonly #hedges = TimerRing.make()
  readonly #calls = new Table<Call.Call>()
  readonly #attempts = new Table<Call.Attempt>()
  readonly #clock = { nanos: 0 }
  #turn = 0
  #called = 0
  #underWay = 0
  #happened = 0

  constructor(
    readonly setup: Setup,
    readonly source: Draw.Source,
    readonly observer: Observer
  ) {
    const { arrivals, keys, processes, services, stages } = setup
    this.#think = arrivals._tag === "Closed" ? Distribution.sampler(arrivals.think) : () => 0
    this.#key = Zipf.sampler(keys)
    this.#edge(stages, 0, processes)
    this.#servers = services.map((service, number) => this.#server(service, number))
    for (const [number, { upstream }] of services.entries()) {
      for (const nanos of Upstream.changesNanos(upstream)) {
        this.#arrange(nanos, kinds.change, number)
      }
    }
    this.#arrangeFirst()
  }

  /** Makes the next edge, and returns its number. */
  #edge(stages: Call.Stages, service: number, processes: number): number {
    const number = this.#edges.length
    const isClients = number === 0
    const source = isClients ? this.source : Draw.fork(this.source, number)
    const machine = new Call.Machine(stages, {
      clock: this.#clock,
      draw: (call) => Draw.unit(source, call.number, Draw.purposes.policy, call.draws++),
      armCall: (call, endNanos) => this.#armCall(call, endNanos),
      armLine: (attempt, endNanos) =>
        this.#arrange(endNanos, kinds.lineTimer, this.#slotOf(attempt)),
      armLimit: (attempt, endNanos) => this.#armLimit(attempt, endNanos),
      disarmLimit: (attempt) => this.#disarmLimit(attempt),
      send: (attempt) => this.#send(attempt),
      abandon: (attempt) => this.#abandon(attempt),
      attemptEnded: (attempt) => this.#release(attempt),
      callEnded: isClients ? (call) => this.#ended(call) : (call) => this.#returned(call),
      transition: (of, from, to, atMillis) => {
        if (isClients) this.observer.transition?.(of, from, to, atMillis)
      }
    })
    const shared = Array.from(
      { length: processes },
      (_, process) => Call.shared(stages, number, process, 0)
    )
    this.#edges.push({ stages, machine, source, service, shared, processes: [] })
    return number
  }

  #server({ calls, network, upstream }: Service, number: number): Server {
    const source = number === 0 ? this.source : Draw.fork(this.source, -number)
    return {
      source,
      network: Distribution.sampler(network),
      noticesAbandonment: upstream.noticesAbandonment,
      edges: calls.flatMap(({ service, stages, times }) => {
        const edge = this.#edge(stages, service, 1)
        return Array.from({ length: times }, () => edge)
      }),
      upstream: new Upstream.Upstream<Call.Attempt>(upstream, source, {
        serve: (attempt, endNanos) => {
          attempt.of.executions++
          if (attempt.of.parent === undefined) this.observer.executed?.(attempt)
          this.#arrangeFor(attempt, endNanos, kinds.serve)
        },
        answer: (attempt, answer, retryAfterMillis) =>
          this.#answered(attempt, answer, retryAfterMillis)
      })
    }
  }

  #serverOf({ of }: Call.Attempt): Server {
    return this.#servers[this.#edgeOf(of).service]!
  }

  #edgeOf({ process }: Call.Call): Edge {
    return this.#edges[process.edge]!
  }

  #processOf(edge: Edge, number: number, key: number): Call.Process {
    const { processes, shared, stages } = edge
    const index = number * this.setup.keys.count + key
    return processes[index] ??= Call.process(
      stages,
      shared[number]!,
      key,
      this.#clock.nanos,
      number === 0 || stages.inCommon === undefined ? undefined : this.#processOf(edge, 0, key)
    )
  }

  /** How many calls and requests are under way: the larger of both. */
  get pending(): number {
    return Math.max(this.#underWay, this.#attempts.size)
  }

  /** The share of the time that has passed. */
  get share(): number {
    return Math.min(1, this.#clock.nanos / this.setup.endNanos)
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
      ? Arrivals.afterThinking(this.#think, changes, this.source, number, this.#clock.nanos)
      : Arrivals.next(arrivals, changes, this.source, number, this.#clock.nanos)
    if (at < arrivalsEndNanos) this.#arrange(at, kinds.arrival, number)
  }

  #arrange(at: number, kind: number, slot: number): number {
    const turn = this.#turn++
    Calendar.add(this.#events, at, turn, slot << kindBits | kind)
    return turn
  }

  #slotOf(attempt: Call.Attempt): number {
    if (attempt.slot === Call.none) attempt.slot = this.#attempts.add(attempt)
    return attempt.slot
  }

  #arrangeFor(attempt: Call.Attempt, at: number, kind: number): void {
    attempt.events++
    this.#arrange(at, kind, this.#slotOf(attempt))
  }

  /** Hedges are due after the same time for all calls, and most are out of date by then. */
  #armCall(call: Call.Call, endNanos: number): number {
    if (call.slot === Call.none) call.slot = this.#calls.add(call)
    if (call.race === undefined || !TimerRing.fits(this.#hedges, endNanos)) {
      return this.#arrange(endNanos, kinds.callTimer, call.slot)
    }
    const turn = this.#turn++
    TimerRing.add(this.#hedges, endNanos, turn, call.slot)
    return turn
  }

  /** A limit has the number of its timer in a ring, or that of its turn in the queue. */
  #armLimit(attempt: Call.Attempt, endNanos: number): number {
    const ring = attempt.isTotal ? this.#totalLimits : this.#attemptLimits
    const slot = this.#slotOf(attempt)
    return TimerRing.fits(ring, endNanos)
      ? limitInRing(TimerRing.add(ring, endNanos, this.#turn++, slot))
      : limitInQueue(this.#arrange(endNanos, kinds.limitTimer, slot))
  }

  /** A limit that stands in the queue stays there, out of date. */
  #disarmLimit({ isTotal, limit }: Call.Attempt): void {
    if (limit % 2 === 1) return
    TimerRing.cancel(isTotal ? this.#totalLimits : this.#attemptLimits, limit / 2)
  }

  /** Of the queue and the rings, the one whose first event comes first. */
  #next(): boolean {
    const events = this.#events
    const attempts = this.#attemptLimits
    const totals = this.#totalLimits
    const hedges = this.#hedges
    const { times, turns } = events.near
    let at = events.size > 0 ? times[0]! : Infinity
    let turn = turns[0]!
    let ring: TimerRing.TimerRing | undefined
    if (attempts.time < at || (attempts.time === at && attempts.turn < turn)) {
      ring = attempts
      at = ring.time
      turn = ring.turn
    }
    if (totals.time < at || (totals.time === at && totals.turn < turn)) {
      ring = totals
      at = ring.time
      turn = ring.turn
    }
    if (hedges.time < at || (hedges.time === at && hedges.turn < turn)) {
      ring = hedges
      at = ring.time
      turn = ring.turn
    }
    if (at > this.setup.endNanos || at === Infinity) return false
    this.#clock.nanos = at
    this.#happened++
    if (ring === undefined) this.#happen(Calendar.take(events), turn)
    else if (ring === hedges) this.#due(TimerRing.take(ring), turn)
    else {
      const limit = limitInRing(ring.first)
      this.#limited(TimerRing.take(ring), limit)
    }
    return true
  }

  #limited(slot: number, limit: number): void {
    const attempt = this.#attempts.get(slot)
    if (attempt !== undefined) this.#edgeOf(attempt.of).machine.limitTimer(attempt, limit)
  }

  #due(slot: number, turn: number): void {
    const call = this.#calls.get(slot)
    if (call !== undefined) this.#edgeOf(call).machine.callTimer(call, turn)
  }

  #happen(what: number, turn: number): void {
    const slot = what >> kindBits
    const kind = what & kindMask
    switch (kind) {
      case kinds.arrival:
        return this.#arrival(slot)
      case kinds.change:
        return this.#servers[slot]!.upstream.change(this.#clock.nanos)
      case kinds.callTimer:
        return this.#due(slot, turn)
      case kinds.limitTimer:
        return this.#limited(slot, limitInQueue(turn))
      default: {
        const attempt = this.#attempts.get(slot)
        if (attempt === undefined) return
        if (kind === kinds.lineTimer) {
          return this.#edgeOf(attempt.of).machine.lineTimer(attempt, turn)
        }
        attempt.events--
        this.#travelled(attempt, kind)
        this.#release(attempt)
      }
    }
  }

  #travelled(attempt: Call.Attempt, kind: number): void {
    switch (kind) {
      case kinds.arrive: {
        const edge = this.#edgeOf(attempt.of)
        this.observer.received?.(edge.service)
        return this.#servers[edge.service]!.upstream.arrive(attempt, this.#clock.nanos)
      }
      case kinds.serve:
        return this.#worked(attempt)
      case kinds.drop:
        return this.#serverOf(attempt).upstream.drop(attempt, this.#clock.nanos)
      default:
        if (attempt.stand === "sent" && attempt.of.parent === undefined) {
          this.observer.answered?.(attempt)
        }
        return this.#edgeOf(attempt.of).machine.answered(
          attempt,
          attempt.code,
          attempt.retryAfterMillis
        )
    }
  }

  /** A service has done its own work, or a call that it has made for it is over. */
  #worked(attempt: Call.Attempt): void {
    const { edges, upstream } = this.#serverOf(attempt)
    if (edges.length === 0) return upstream.end(attempt, this.#clock.nanos, 0)
    const errands = attempt.errands ??= { calls: 0, cause: 0 }
    const next = edges[errands.calls]
    if (next === undefined || errands.cause !== 0 || attempt.phase !== "served") {
      return upstream.end(attempt, this.#clock.nanos, errands.cause === 0 ? 0 : badGateway)
    }
    const edge = this.#edges[next]!
    const number = Draw.numberOf(attempt.call, attempt.attempt, errands.calls++)
    this.#begin(
      edge,
      new Call.Call(number, this.#processOf(edge, 0, 0), this.#clock.nanos, attempt)
    )
  }

  /** A call that a service has made is over: the service goes on, in a turn of its own. */
  #returned(call: Call.Call): void {
    this.#forget(call)
    const parent = call.parent!
    parent.errands!.cause = call.code
    this.#arrangeFor(parent, this.#clock.nanos, kinds.serve)
  }

  #begin(edge: Edge, call: Call.Call): void {
    this.#underWay++
    if (call.parent === undefined) this.observer.began?.(call)
    edge.machine.begin(call)
  }

  #arrival(number: number): void {
    const { arrivals, processes } = this.setup
    if (arrivals._tag !== "Closed") this.#arrangeArrival()
    const unit = Draw.unit(this.source, number, Draw.purposes.process, 0)
    const key = this.setup.keys.count === 1
      ? 0
      : this.#key(Draw.unit(this.source, number, Draw.purposes.key, 0))
    const edge = this.#edges[0]!
    const process = this.#processOf(edge, Math.floor(unit * processes), key)
    this.#begin(edge, new Call.Call(number, process, this.#clock.nanos, undefined))
  }

  #delayNanos(attempt: Call.Attempt, purpose: Draw.Purpose): number {
    const { network, source } = this.#serverOf(attempt)
    return Math.round(network(Draw.unit(source, attempt.call, purpose, attempt.attempt)) * 1e6)
  }

  #send(attempt: Call.Attempt): void {
    if (attempt.of.parent === undefined) this.observer.sent?.(attempt, this.#clock.nanos)
    const at = this.#clock.nanos + this.#delayNanos(attempt, Draw.purposes.requestNetwork)
    this.#arrangeFor(attempt, at, kinds.arrive)
  }

  /** That the caller has gone is as long under way as the request was. */
  #abandon(attempt: Call.Attempt): void {
    if (attempt.of.parent === undefined) this.observer.abandoned?.(attempt)
    if (!this.#serverOf(attempt).noticesAbandonment || attempt.phase === "over") return
    const at = this.#clock.nanos + this.#delayNanos(attempt, Draw.purposes.requestNetwork)
    this.#arrangeFor(attempt, at, kinds.drop)
  }

  #answered(
    attempt: Call.Attempt,
    answer: number,
    retryAfterMillis: number | undefined
  ): void {
    if (answer === Upstream.answers.blackHole || attempt.stand === "over") return
    attempt.code = answer
    attempt.retryAfterMillis = retryAfterMillis
    const at = this.#clock.nanos + this.#delayNanos(attempt, Draw.purposes.responseNetwork)
    this.#arrangeFor(attempt, at, kinds.answer)
  }

  /** Forgets an attempt of which no event can come. */
  #release(attempt: Call.Attempt): void {
    const { events, phase, slot, stand } = attempt
    if (slot === Call.none || events > 0 || stand !== "over") return
    if (phase === "queued" || phase === "served") return
    attempt.slot = Call.none
    this.#attempts.remove(slot)
  }

  #forget({ slot }: Call.Call): void {
    this.#underWay--
    if (slot !== Call.none) this.#calls.remove(slot)
  }

  #ended(call: Call.Call): void {
    this.#forget(call)
    this.observer.ended?.(call, this.#clock.nanos)
    if (this.setup.arrivals._tag === "Closed") this.#arrangeArrival()
  }
}
