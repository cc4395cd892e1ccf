/**
 * One member of a fleet: when it asks the store, what it says, and what it learns.
 *
 * Guards leave what they have to say with a member, which says all of it in one exchange an
 * interval, and at once what others must know. State is changed in one turn of the event loop.
 * Times are monotonic milliseconds of this process.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FleetReply from "../core/fleetReply.js"
import type * as Wire from "../core/fleetWire.js"
import { pageSize } from "../core/fleetWire.js"
import { nowMillis } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { Signal } from "../runtime/signal.js"
import type { Service } from "./FleetStore.js"
import { type Known, matters, shifted } from "./known.js"
import type { Question, Settings, Speaker, Watcher } from "./speaker.js"

export type { Moment, Question, Settings, Speaker, Watcher } from "./speaker.js"

/** How many records are remembered that no guard uses. */
const knownMax = 10_000

/** How many pages of changes are read in a row before the interval applies again. */
const pagesMax = 50

/** How many circuits are told of. */
const circuitsMax = 32

/**
 * Runs a question for so long at most. The answer is how it ended; undefined where it has not: it
 * is interrupted then, and not waited for. It ends in time also where nothing can interrupt, as
 * when a member leaves.
 */
const within = <A, E>(
  question: Effect.Effect<A, E>,
  millis: number
): Effect.Effect<Exit.Exit<A, E> | undefined> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDaemon(Effect.interruptible(question)), (fiber) => {
      const signal = new Signal()
      let ended: Exit.Exit<A, E> | undefined
      fiber.addObserver((exit) => {
        ended = exit
        signal.notify()
      })
      return whenEnded(restore(signal.wait(millis)), (exit) => {
        if (ended === undefined) fiber.unsafeInterruptAsFork(FiberId.none)
        return Exit.isFailure(exit) ? Effect.failCause(exit.cause) : Effect.succeed(ended)
      })
    })
  )

/** A living member. */
export interface Listed {
  readonly id: string
  readonly heard: number
  readonly circuits: ReadonlyArray<readonly [name: string, state: string]>
}

export class Member {
  readonly #speakers = new Set<Speaker>()
  readonly #routes = new Map<string, (view: Wire.View, now: number) => void>()
  readonly #known = new Map<string, Known>()
  readonly #signal = new Signal()
  #queue: Array<Question> = []
  #hasNews = false
  #isUrgent = false
  #hasFailed = false
  #failures = 0
  #sequence = 0
  #incarnation: number
  #version = 0
  #seed = ""
  #pages = 0
  #lastSentMillis = -Infinity
  /** When the first question was sent that has no answer yet. */
  #askedSinceMillis: number | undefined
  /** When the last question was sent that was answered. */
  #freshMillis: number
  #isConnected = true
  #ids = 0
  /** What operators call a circuit, by its name in the store. */
  readonly labels = new Map<string, string>()
  members = 1
  unreadable = 0
  exchanges = 0

  constructor(
    readonly settings: Settings,
    readonly store: Service,
    readonly clock: Clock.Clock,
    readonly watcher: Watcher,
    readonly seedOf: () => string
  ) {
    this.#incarnation = Math.max(1, Math.floor(clock.unsafeCurrentTimeMillis()))
    this.#freshMillis = nowMillis(clock)
  }

  get now(): number {
    return nowMillis(this.clock)
  }

  /** A text that no other member makes. */
  id(): string {
    return `${this.settings.member}:${this.#incarnation}:${this.#ids++}`
  }

  /** How long between two exchanges: longer in a large fleet, never so long that members lapse. */
  get intervalMillis(): number {
    const { intervalMillis, memberTimeoutMillis } = this.settings
    return Math.min(Math.max(intervalMillis, this.members), memberTimeoutMillis / 4)
  }

  /** How old what the member knows is. */
  lagMillis(now: number): number {
    return Math.max(0, now - this.#freshMillis)
  }

  isApart(now: number): boolean {
    const since = this.#askedSinceMillis
    const { memberTimeoutMillis, storeTimeoutMillis } = this.settings
    return (since !== undefined &&
      now - since >= 2 * this.intervalMillis + storeTimeoutMillis) ||
      now - this.#freshMillis >= memberTimeoutMillis
  }

  /**
   * Tests whether the store has forgotten this member, and is not there to say so. After a
   * standstill of the process one question goes unanswered that the store has answered.
   */
  isForgotten(now: number): boolean {
    return this.#failures >= 2 && now - this.#freshMillis >= this.settings.memberTimeoutMillis
  }

  /** Tests whether nothing was asked for two intervals, so that the next call asks. */
  isSilent(now: number): boolean {
    return now - this.#lastSentMillis > 2 * this.intervalMillis
  }

  // ---------------------------------------------------------------------------
  // What guards say
  // ---------------------------------------------------------------------------

  join(speaker: Speaker): void {
    this.#speakers.add(speaker)
  }

  /** Hears of a record from now on, and at once what is known of it. */
  route(name: string, hear: (view: Wire.View, now: number) => void): void {
    this.#routes.set(name, hear)
    const known = this.#known.get(name)
    if (known === undefined) return
    this.#known.delete(name)
    const { now } = this
    hear(shifted(known, now), now)
  }

  /** What is known of a record that no guard uses yet. */
  knownOf(name: string, now: number): Wire.View | undefined {
    const known = this.#known.get(name)
    return known === undefined ? undefined : shifted(known, now)
  }

  unroute(name: string, view: Wire.View | undefined, now: number): void {
    this.#routes.delete(name)
    if (view !== undefined) this.#keep(view, now)
  }

  /** There is something to say with the next exchange. */
  hasNews(): void {
    if (this.#hasNews) return
    this.#hasNews = true
    this.#signal.notify()
  }

  /** There is something that others must know at once. */
  urge(): void {
    this.#hasNews = true
    if (this.#isUrgent) return
    this.#isUrgent = true
    this.#signal.notify()
  }

  /** Asks at once. */
  ask(command: Wire.Command, answered: Question["answered"]): void {
    this.#queue.push({ command, answered })
    this.urge()
  }

  /**
   * Asks at once and waits for the answer, `storeTimeout` at most. A question that has not been
   * sent by then is not asked any more.
   */
  asked(command: Wire.Command): Effect.Effect<Wire.Answer | undefined> {
    return Effect.suspend(() => {
      const signal = new Signal()
      let found: Wire.Answer | undefined
      const question: Question = {
        command,
        answered: (answer) => {
          found = answer
          signal.notify()
        }
      }
      this.#queue.push(question)
      this.urge()
      return Effect.ensuring(
        Effect.map(signal.wait(this.settings.storeTimeoutMillis), () => found),
        Effect.sync(() => this.#withdraw(question))
      )
    })
  }

  #withdraw(question: Question): void {
    const place = this.#queue.indexOf(question)
    if (place >= 0) this.#queue.splice(place, 1)
  }

  /** Lists the living members, page by page. */
  list(after = ""): Effect.Effect<ReadonlyArray<Listed>> {
    return Effect.flatMap(this.asked({ op: "members", after }), (answer) => {
      if (answer?.op !== "members") return Effect.succeed([])
      const page = answer.list.map(([id, heard, circuits]): Listed => ({ id, heard, circuits }))
      // Names grow from page to page; a store whose names do not would be read for ever.
      return answer.next > after
        ? Effect.map(this.list(answer.next), (rest) => [...page, ...rest])
        : Effect.succeed(page)
    })
  }

  // ---------------------------------------------------------------------------
  // What the store says
  // ---------------------------------------------------------------------------

  #keep(view: Wire.View, now: number): void {
    const before = this.#known.get(view.name)
    if (before !== undefined && before.view.epoch > view.epoch) return
    this.#known.delete(view.name)
    if (!matters(view)) return
    this.#known.set(view.name, { view, atMillis: now })
    if (this.#known.size <= knownMax) return
    for (const name of this.#known.keys()) {
      this.#known.delete(name)
      return
    }
  }

  hear(views: ReadonlyArray<Wire.View>, now: number): void {
    for (const view of views) {
      const route = this.#routes.get(view.name)
      if (route === undefined) this.#keep(view, now)
      else route(view, now)
    }
  }

  /** What a push says. It may come in any order: epochs tell what is newer. */
  pushed(push: unknown): void {
    const { unreadable, value } = FleetReply.push(push, this.settings.fleet)
    this.unreadable += unreadable
    this.hear(value, this.now)
  }

  /** The store knows nothing of what was said: all of it is said again, at once. */
  #again(now: number): void {
    for (const [, known] of this.#known) this.#putBack(shifted(known, now))
    for (const speaker of this.#speakers) speaker.again(now)
    this.urge()
  }

  #putBack(view: Wire.View): void {
    this.#queue.push({ command: { op: "known", view }, answered: () => undefined })
  }

  /** Puts back what the store has lost. */
  putBack(view: Wire.View): void {
    this.#putBack(view)
    this.urge()
  }

  #batch(commands: ReadonlyArray<Wire.Command>, last: boolean, now: number): Wire.Batch {
    const { fleet, member, memberTimeoutMillis } = this.settings
    const circuits: Array<readonly [string, string]> = []
    for (const speaker of this.#speakers) circuits.push(...speaker.circuits?.(now) ?? [])
    return {
      v: 1,
      fleet,
      member: this.store.name(`member|${member}`),
      label: member,
      incarnation: this.#incarnation,
      sequence: ++this.#sequence,
      memberTimeout: memberTimeoutMillis,
      since: this.#version,
      knows: this.#seed,
      seed: this.seedOf(),
      last,
      circuits: circuits.slice(0, circuitsMax),
      commands
    }
  }

  /** Everything there is to say, as much as fits. */
  #questions(now: number): ReadonlyArray<Question> {
    const questions = this.#queue.splice(0, pageSize)
    this.#hasNews = false
    this.#isUrgent = this.#queue.length > 0
    let hasMore: Speaker | undefined
    for (const speaker of this.#speakers) {
      const room = pageSize - questions.length
      if (room === 0) {
        this.urge()
        return questions
      }
      const said = speaker.say(now, room)
      questions.push(...said.slice(0, room))
      if (said.length < room) continue
      hasMore = speaker
      break
    }
    if (hasMore === undefined) return questions
    // It may have more to say, and the others are first in the next exchange.
    this.#speakers.delete(hasMore)
    this.#speakers.add(hasMore)
    this.urge()
    return questions
  }

  #failed(questions: ReadonlyArray<Question>, sentMillis: number): void {
    const moment = { sentMillis, receivedMillis: this.now }
    this.#hasFailed = true
    this.#failures++
    this.watcher.exchanged(false, questions.length)
    this.#tellConnected(moment.receivedMillis)
    this.hasNews()
    for (const { answered } of questions) answered(undefined, moment)
  }

  #tellConnected(now: number): void {
    const isConnected = !this.isApart(now)
    if (isConnected === this.#isConnected) return
    this.#isConnected = isConnected
    this.watcher.connected(isConnected)
    for (const speaker of this.#speakers) speaker.reconnected?.(isConnected, now)
  }

  #answered(
    reply: Wire.Reply,
    questions: ReadonlyArray<Question>,
    sentMillis: number
  ): void {
    const receivedMillis = this.now
    const moment = { sentMillis, receivedMillis }
    this.#hasFailed = false
    this.#failures = 0
    this.#askedSinceMillis = undefined
    this.#freshMillis = sentMillis
    this.watcher.exchanged(true, questions.length)
    if (reply.stale) {
      // Another life of this name has spoken. This one is newer from now on.
      this.#incarnation = Math.max(this.#incarnation, reply.incarnation + 1)
      this.#sequence = 0
      for (const { answered } of questions) answered(undefined, moment)
      this.#hasFailed = true
      this.#again(receivedMillis)
      return
    }
    this.members = Math.max(1, reply.members)
    const isLost = this.#seed !== "" && this.#seed !== reply.seed
    const isBehind = reply.more && reply.version > this.#version && this.#pages < pagesMax
    this.#pages = isBehind ? this.#pages + 1 : 0
    this.#version = reply.version
    this.#seed = reply.seed
    this.watcher.heard(this.members, receivedMillis - sentMillis)
    this.hear(reply.changes, receivedMillis)
    if (isLost) this.#again(receivedMillis)
    if (isBehind) this.urge()
    else if (reply.more) this.hasNews()
    this.#tellConnected(receivedMillis)
    questions.forEach(({ answered }, index) => answered(reply.answers[index] ?? undefined, moment))
  }

  // ---------------------------------------------------------------------------
  // When it asks
  // ---------------------------------------------------------------------------

  #dueMillis(): number {
    const { memberTimeoutMillis } = this.settings
    if (this.#isUrgent && !this.#hasFailed) return -Infinity
    return this.#lastSentMillis +
      (this.#hasNews || this.#isUrgent ? this.intervalMillis : memberTimeoutMillis / 3)
  }

  /** Asks for the first time, and on while there is more to hear, in `storeTimeout` at most. */
  first(): Effect.Effect<void> {
    const endMillis = this.now + this.settings.storeTimeoutMillis
    const next: Effect.Effect<void> = Effect.suspend(() =>
      Effect.flatMap(
        this.exchange(),
        () => this.#pages > 0 && this.now < endMillis ? next : Effect.void
      )
    )
    return next
  }

  /** Asks what there is to ask. It ends in `storeTimeout` at most, and never fails. */
  exchange(): Effect.Effect<void> {
    return this.#send(() => this.#questions(this.now), false)
  }

  /** Gives everything back. */
  leave(): Effect.Effect<void> {
    return this.#send(() => {
      const { now } = this
      const given: Array<Question> = []
      for (const speaker of this.#speakers) given.push(...speaker.givesBack(now))
      return [...this.#queue.splice(0), ...given].slice(0, pageSize)
    }, true)
  }

  #send(ask: () => ReadonlyArray<Question>, last: boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const sentMillis = this.now
      // Time that passed in silence is no time without an answer.
      this.#lastSentMillis = sentMillis
      const questions = ask()
      const batch = this.#batch(questions.map(({ command }) => command), last, sentMillis)
      this.#askedSinceMillis ??= sentMillis
      this.exchanges++
      const asked = Effect.suspend((): Effect.Effect<unknown, unknown> =>
        this.store.exchange(batch)
      )
      return Effect.map(within(asked, this.settings.storeTimeoutMillis), (exit) => {
        if (exit === undefined || Exit.isFailure(exit)) return this.#failed(questions, sentMillis)
        const { unreadable, value } = FleetReply.reply(exit.value, questions.length)
        this.unreadable += unreadable
        if (value === undefined) this.#failed(questions, sentMillis)
        else this.#answered(value, questions, sentMillis)
      })
    })
  }

  /** Asks for as long as the member lives. */
  readonly loop: Effect.Effect<never> = Effect.forever(Effect.suspend(() => {
    const wait = this.#dueMillis() - this.now
    return wait > 0 ? this.#signal.wait(wait) : this.exchange()
  }))
}
