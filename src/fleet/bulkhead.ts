/**
 * A bulkhead whose permits are the fleet's: a member leases as many as it needs, and its calls run
 * on them without asking.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fifo from "../core/fifo.js"
import * as FleetPermits from "../core/fleetPermits.js"
import type * as Wire from "../core/fleetWire.js"
import * as Permits from "../core/permits.js"
import * as Bulkhead from "../policies/Bulkhead.js"
import { clockOf, nowMillis, turn } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { defaultKey, Keyed, KeyedState } from "../runtime/keyedState.js"
import * as QueueTime from "../runtime/queueTime.js"
import { Signal } from "../runtime/signal.js"
import * as Validate from "../runtime/validate.js"
import type { Member, Question, Speaker } from "./member.js"
import type { Plan } from "./plan.js"

interface Numbers extends Permits.Limits {
  readonly maxWaitMillis: number
  readonly perKey: boolean
  readonly whenApart: "share" | "reject"
}

/** Calls that share permits. */
class Compartment extends Keyed {
  readonly lease = FleetPermits.make()
  isActive = false

  constructor(
    key: string,
    now: number,
    readonly name: string,
    readonly permits: Permits.Permits<Signal>
  ) {
    super(key, now)
  }
}

/** How long a key is remembered that has no permit in use. */
const idleMillis = 60_000

class SharedPermits implements Speaker {
  readonly compartments: KeyedState<Compartment>
  readonly #active = new Set<Compartment>()

  constructor(readonly member: Member, readonly name: string, readonly numbers: Numbers) {
    this.compartments = new KeyedState<Compartment>({
      make: (key, now) =>
        new Compartment(
          key,
          now,
          member.store.name(`permits|${name}|${key}`),
          Permits.make(numbers)
        ),
      idleMillis,
      isBusy: ({ isActive, permits }) => isActive || permits.running > 0 || permits.waiting.size > 0
    })
    member.join(this)
  }

  // ---------------------------------------------------------------------------
  // Calls
  // ---------------------------------------------------------------------------

  /** How many calls of this member may run now. */
  #limit({ lease, permits: { running } }: Compartment, now: number): number {
    const leased = FleetPermits.limit(lease, running, now)
    const { concurrency, whenApart } = this.numbers
    // What is leased outlasts a store that is silent for less than a member's timeout.
    if (now < lease.endMillis || whenApart === "reject" || !this.member.isForgotten(now)) {
      return leased
    }
    return Math.max(1, Math.floor(concurrency / this.member.members))
  }

  #use(compartment: Compartment): void {
    const { lease, permits } = compartment
    lease.peak = Math.max(lease.peak, permits.running + permits.waiting.size)
    if (compartment.isActive) return
    compartment.isActive = true
    this.#active.add(compartment)
    this.member.hasNews()
  }

  tryRun(compartment: Compartment, now: number): boolean {
    const { permits } = compartment
    const isFree = permits.waiting.size === 0 && permits.running < this.#limit(compartment, now)
    if (!isFree) return false
    permits.running++
    FleetPermits.begin(compartment.lease)
    this.#use(compartment)
    return true
  }

  /** How long a call without a permit may wait for one; undefined where it is rejected. */
  waits(compartment: Compartment, now: number): number | undefined {
    const { member, numbers: { concurrency, maxWaitMillis, queue } } = this
    const { lease, permits } = compartment
    const { storeTimeoutMillis } = member.settings
    const isAsked = lease.isPlenty || now - lease.saidMillis >= member.intervalMillis
    if (permits.waiting.size < queue) {
      this.#ask(compartment, isAsked)
      return maxWaitMillis
    }
    // In front of a full queue a call waits for an answer that may bring a permit.
    if (!isAsked || member.isApart(now) || permits.waiting.size >= queue + concurrency) {
      return undefined
    }
    this.#ask(compartment, true)
    return storeTimeoutMillis
  }

  #ask(compartment: Compartment, isUrgent: boolean): void {
    this.#use(compartment)
    if (isUrgent) this.member.urge()
    else this.member.hasNews()
  }

  join(compartment: Compartment): Fifo.Place<Signal> {
    const place = Fifo.join(compartment.permits.waiting, new Signal())
    this.#use(compartment)
    return place
  }

  /** A call has ended: its permit goes to the first in line where it may still be used. */
  release(compartment: Compartment, now: number): void {
    const { permits } = compartment
    permits.running--
    this.#handOut(compartment, now)
    if (permits.waiting.size > 0) this.member.hasNews()
  }

  /** A waiting call leaves; a permit that it was handed at that very moment goes on. */
  giveUp(compartment: Compartment, place: Fifo.Place<Signal>, now: number): void {
    if (place.inLine) Fifo.leave(compartment.permits.waiting, place)
    else this.release(compartment, now)
  }

  #handOut(compartment: Compartment, now: number): void {
    const { permits } = compartment
    while (permits.running < this.#limit(compartment, now)) {
      const next = Fifo.take(permits.waiting)
      if (next === undefined) return
      permits.running++
      FleetPermits.begin(compartment.lease)
      next.value.notify()
    }
  }

  // ---------------------------------------------------------------------------
  // The fleet
  // ---------------------------------------------------------------------------

  say(now: number, room: number): ReadonlyArray<Question> {
    const { member, numbers: { concurrency } } = this
    const renewMillis = member.settings.memberTimeoutMillis / 3
    const questions: Array<Question> = []
    for (const compartment of this.#active) {
      if (questions.length === room) return questions
      const { lease, permits: { running, waiting: { size } } } = compartment
      if (FleetPermits.hasNews(lease, running, size, concurrency, renewMillis, now)) {
        questions.push(this.#question(compartment, now))
      } else lease.peak = running + size
      compartment.isActive = running + size > 0 || lease.held > 0 || lease.saidNeed > 0
      if (!compartment.isActive) this.#active.delete(compartment)
      else if (size > 0 || running < lease.held || lease.fair < lease.held) member.hasNews()
    }
    return questions
  }

  #question(compartment: Compartment, now: number): Question {
    const { lease, name, permits: { running, waiting } } = compartment
    const { concurrency } = this.numbers
    const said = FleetPermits.say(lease, running, waiting.size, concurrency, now)
    return {
      command: { op: "permits", name, concurrency, ...said },
      answered: (answer, moment) => {
        if (answer?.op === "permits") {
          const endMillis = moment.sentMillis + this.member.settings.memberTimeoutMillis
          FleetPermits.granted(lease, answer, concurrency, endMillis)
        } else lease.saidMillis = -Infinity
        this.#answered(compartment, moment.receivedMillis)
      }
    }
  }

  /** Hands out what came; those in front of a full queue are told that it is full. */
  #answered(compartment: Compartment, now: number): void {
    this.#handOut(compartment, now)
    const { permits: { waiting } } = compartment
    let before = 0
    for (const signal of Fifo.values(waiting)) {
      if (before++ >= this.numbers.queue) signal.notify()
    }
  }

  again(): void {
    for (const { lease } of this.#active) lease.saidMillis = -Infinity
  }

  givesBack(): ReadonlyArray<Question> {
    const { concurrency } = this.numbers
    return [...this.#active].map(({ name, permits: { running } }) => {
      // What still runs counts until it lapses.
      const command: Wire.Permits = {
        op: "permits",
        name,
        concurrency,
        held: running,
        need: running
      }
      return { command, answered: () => undefined }
    })
  }

  reconnected(_: boolean, now: number): void {
    for (const compartment of this.#active) this.#handOut(compartment, now)
  }
}

const running = <A, E, R>(
  shared: SharedPermits,
  compartment: Compartment,
  clock: Clock.Clock,
  call: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  whenEnded(call, (exit) => {
    shared.release(compartment, nowMillis(clock))
    return exit
  })

const waiting = <A, E, R>(
  shared: SharedPermits,
  compartment: Compartment,
  millis: number,
  clock: Clock.Clock,
  restore: <A1, E1, R1>(self: Effect.Effect<A1, E1, R1>) => Effect.Effect<A1, E1, R1>,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | Bulkhead.BulkheadFull, R> => {
  const startedAt = clock.unsafeCurrentTimeNanos()
  const place = shared.join(compartment)
  const { concurrency, queue } = shared.numbers
  return whenEnded(
    restore(place.value.wait(millis)),
    (exit): Effect.Effect<A, E | Bulkhead.BulkheadFull, R> => {
      const waited = QueueTime.since(clock, startedAt)
      if (Exit.isFailure(exit)) {
        shared.giveUp(compartment, place, nowMillis(clock))
        return Effect.zipRight(waited, Effect.failCause(exit.cause))
      }
      const next: Effect.Effect<A, E | Bulkhead.BulkheadFull, R> = place.inLine
        ? Effect.fail(new Bulkhead.BulkheadFull({ concurrency, queue }))
        : running(shared, compartment, clock, restore(self))
      Fifo.leave(compartment.permits.waiting, place)
      return Effect.zipRight(waited, next)
    }
  )
}

const guard = <A, E, R>(
  shared: SharedPermits,
  key: string,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | Bulkhead.BulkheadFull, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E | Bulkhead.BulkheadFull, R>((fiber) => {
      const clock = clockOf(fiber)
      const now = nowMillis(clock)
      const compartment = shared.compartments.use(key, clock, now)
      if (shared.tryRun(compartment, now)) {
        return running(shared, compartment, clock, restore(self))
      }
      const millis = shared.waits(compartment, now)
      const { concurrency, queue } = shared.numbers
      return millis === undefined
        ? Effect.fail(new Bulkhead.BulkheadFull({ concurrency, queue }))
        : waiting(shared, compartment, millis, clock, restore, self)
    })
  )

/** Plans a bulkhead whose permits the fleet shares. */
export const bulkhead = (
  member: Member,
  options: Bulkhead.SharedOptions & { readonly name: string }
): Plan => {
  const numbers: Numbers = {
    ...Bulkhead.numbersOf(options),
    whenApart: Validate.oneOf("whenApart", options.whenApart ?? "share", ["share", "reject"])
  }
  return {
    numbers: JSON.stringify(numbers),
    make: () => {
      const shared = new SharedPermits(member, options.name, numbers)
      const { compartments } = shared
      const keyOf = (key: string): string => numbers.perKey ? key : defaultKey
      return Bulkhead.ofPermits({
        run: (self, key) => guard(shared, keyOf(key), self),
        all: turn((clock, now) => compartments.all(clock, now)),
        look: (key) => turn((clock, now) => compartments.look(keyOf(key), clock, now))
      }, options)
    }
  }
}
