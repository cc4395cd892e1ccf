/** Runs one sequence of commands on a store and on the model side by side. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as IdempotencyRecord from "../../core/idempotencyRecord.js"
import type * as IdempotencyStore from "../../idempotency/IdempotencyStore.js"
import type { Command, Deed, Span } from "./commands.js"
import type { Change, Hold, Judgement, Key } from "./model.js"
import { judgeChange, judgeClaim, unclaimed } from "./model.js"

/** The time that really passes, whatever the clock of the program says. */
export const live: Clock.Clock = Clock.make()

/**
 * A clock that stands still until it is moved. Who sleeps by it really sleeps, so that the time
 * limits of a driver keep their meaning.
 */
export class HandClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  millis = 1_700_000_000_000
  readonly unsafeCurrentTimeMillis = () => this.millis
  readonly unsafeCurrentTimeNanos = () => BigInt(this.millis) * 1_000_000n
  readonly currentTimeMillis = Effect.sync(this.unsafeCurrentTimeMillis)
  readonly currentTimeNanos = Effect.sync(this.unsafeCurrentTimeNanos)
  readonly sleep = live.sleep
}

/**
 * A store, and how time passes for it. Where it has a time of its own, spans are short enough to be
 * waited for.
 */
export interface Subject {
  readonly store: IdempotencyStore.Service
  readonly clock: HandClock
  readonly hasOwnTime: boolean
  readonly run: string
}

/** However much time passes in a sequence, it is less than a claim is kept for. */
export const keptMillis = 86_400_000

const spanMillis = ({ hasOwnTime }: Subject, span: Span): number =>
  span === "long" ? 600_000 : hasOwnTime ? 10 : 1000

/** An answer that can be judged. Of a crowd, who was granted the claim came first. */
interface Answered {
  readonly isFirst: boolean
  readonly judge: (key: Key, nowMillis: number) => Judgement
}

/** One thing that is done, in words. */
interface Act {
  readonly words: string
  readonly effect: Effect.Effect<Answered, IdempotencyStore.StoreError>
}

/** Every order of a few things. */
const orders = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length < 2
    ? [items]
    : items.flatMap((first, at) => orders(items.toSpliced(at, 1)).map((rest) => [first, ...rest]))

/** One sequence of commands, driven against a store and the model side by side. */
export class ModelRun {
  readonly #steps: Array<string> = []
  readonly #keys: Array<Key> = [unclaimed, unclaimed, unclaimed]
  #texts = 0
  #newcomers = 0

  constructor(readonly subject: Subject, readonly number: number) {}

  get #now(): number {
    return this.subject.clock.millis
  }

  /** What went wrong, in words, if anything did. */
  run(commands: ReadonlyArray<Command>): Effect.Effect<string | undefined> {
    return Effect.reduce(
      commands,
      undefined as string | undefined,
      (wrong, command) => wrong === undefined ? this.#command(command) : Effect.succeed(wrong)
    ).pipe(
      Effect.catchAll((error) => Effect.succeed(`it fails: ${error.message}`)),
      Effect.map((wrong) =>
        wrong === undefined ? undefined : `After ${this.#steps.join(", ")}: ${wrong}`
      )
    )
  }

  #command(command: Command): Effect.Effect<string | undefined, IdempotencyStore.StoreError> {
    switch (command._tag) {
      case "Do":
        return this.#acts(command.key, [command.deed])
      case "Together":
        return this.#acts(command.key, command.deeds)
      case "Crowd": {
        const crowd = Array.from({ length: command.size }, (): Deed => ({
          _tag: "Claim",
          owner: 0,
          isOther: false,
          span: "long"
        }))
        return this.#acts(command.key, crowd)
      }
      case "Pass":
        return this.#pass(spanMillis(this.subject, "short"))
      case "Deadline": {
        if (this.subject.hasOwnTime) return Effect.succeed(undefined)
        const deadlines = this.#keys.flatMap(({ record }) => {
          if (record._tag === "InProgress") return [record.leaseUntilMillis]
          return record._tag === "Absent" ? [] : [record.expiresAtMillis]
        }).filter((deadline) => deadline >= this.#now)
        const deadline = deadlines[command.pick % deadlines.length]
        return deadline === undefined
          ? Effect.succeed(undefined)
          : this.#pass(Math.max(0, deadline + command.off - this.#now))
      }
      case "Sweep":
        return this.#sweep(command.limit)
    }
  }

  #then<E>(
    first: Effect.Effect<string | undefined, E>,
    second: () => Effect.Effect<string | undefined, E>
  ): Effect.Effect<string | undefined, E> {
    return Effect.flatMap(first, (wrong) => wrong === undefined ? second() : Effect.succeed(wrong))
  }

  #pass(millis: number): Effect.Effect<string | undefined, IdempotencyStore.StoreError> {
    return Effect.suspend(() => {
      this.#steps.push(`${millis} ms pass`)
      const { clock, hasOwnTime } = this.subject
      clock.millis += millis
      return hasOwnTime ? live.sleep(Duration.millis(millis * 2)) : Effect.void
    }).pipe(Effect.zipRight(Effect.suspend(() => this.#lookAtAll())))
  }

  #lookAtAll(): Effect.Effect<string | undefined, IdempotencyStore.StoreError> {
    return this.#keys.reduce(
      (looked, _, key) => this.#then(looked, () => this.#look(key)),
      Effect.succeed(undefined) as Effect.Effect<string | undefined, IdempotencyStore.StoreError>
    )
  }

  #sweep(limit: number): Effect.Effect<string | undefined, IdempotencyStore.StoreError> {
    this.#steps.push(`a sweep of ${limit}`)
    const swept = Effect.map(
      this.subject.store.sweep(limit),
      (removed) =>
        Number.isSafeInteger(removed) && removed >= 0 && removed <= limit
          ? undefined
          : `it removes ${removed} records, and may remove ${limit}`
    )
    return this.#then(swept, () => this.#lookAtAll())
  }

  /**
   * Does some things to one key at the same time. Some order of them has to explain the answers.
   */
  #acts(
    at: number,
    deeds: ReadonlyArray<Deed>
  ): Effect.Effect<string | undefined, IdempotencyStore.StoreError> {
    const key = this.#keys[at] ?? unclaimed
    const acts = deeds.map((deed) => this.#act(at, key, deed, deeds.length === 1)).filter((act) =>
      act !== undefined
    )
    if (acts.length === 0) return Effect.succeed(undefined)
    this.#steps.push(
      acts.length > 3
        ? `${acts.length} owners claim key ${at + 1} at the same time`
        : acts.map(({ words }) => words).join(" and at the same time ")
    )
    const done = Effect.map(
      Effect.all(acts.map(({ effect }) => effect), { concurrency: "unbounded" }),
      (answers) => {
        let wrong: string | undefined
        const crowd = answers.toSorted((a, b) => Number(b.isFirst) - Number(a.isFirst))
        for (const order of answers.length > 3 ? [crowd] : orders(answers)) {
          const judged = this.#judged(key, order)
          if (typeof judged !== "string") {
            this.#keys[at] = judged
            return undefined
          }
          wrong ??= judged
        }
        return answers.length === 1
          ? wrong
          : `no order of these explains the answers: in one ${wrong}`
      }
    )
    // Whether a short time is over is unknown until it surely is.
    const isUnsure = this.subject.hasOwnTime &&
      deeds.some((deed) => "span" in deed && deed.span === "short")
    return this.#then(
      done,
      () => isUnsure ? this.#pass(spanMillis(this.subject, "short")) : this.#look(at)
    )
  }

  #judged(key: Key, answers: ReadonlyArray<Answered>): Judgement {
    let judged: Judgement = key
    for (const { judge } of answers) {
      if (typeof judged !== "string") judged = judge(judged, this.#now)
    }
    return judged
  }

  #claim(at: number, owner: string, isOther: boolean, leaseMillis: number): IdempotencyStore.Claim {
    const scope = `law-${this.subject.run}-${this.number}-${at === 2 ? "b" : "a"}`
    const fingerprint = isOther ? "other" : "payload"
    return {
      scope,
      keyHash: at === 1 ? "y" : "x",
      fingerprint,
      owner,
      leaseMillis,
      timeToLiveMillis: keptMillis
    }
  }

  #act(at: number, key: Key, deed: Deed, isAlone: boolean): Act | undefined {
    const { store } = this.subject
    if (deed._tag === "Claim") {
      const owner = isAlone ? `owner ${deed.owner}` : `newcomer ${++this.#newcomers}`
      const leaseMillis = this.#leaseMillis(key, owner, deed.span)
      const claim = this.#claim(at, owner, deed.isOther, leaseMillis)
      return {
        words: `${owner} claims key ${at + 1}${
          deed.isOther ? " with another payload" : ""
        } for ${leaseMillis} ms`,
        effect: Effect.map(store.acquire(claim), (found) => ({
          isFirst: found._tag === "Acquired",
          judge: (key, now) => judgeClaim(key, claim, found, now)
        }))
      }
    }
    const hold = key.holds[deed.pick % key.holds.length]
    if (hold === undefined) return undefined
    const [words, change, effect] = this.#change(key, hold, deed, `key ${at + 1}`)
    return {
      words: `${hold.owner} ${words}`,
      effect: Effect.map(effect, (found) => ({
        isFirst: false,
        judge: (key, now) => judgeChange(key, hold, change, found, now)
      }))
    }
  }

  /** Whether less than what is left shortens a lease is up to the store. */
  #leaseMillis({ record }: Key, owner: string, span: Span): number {
    const left = record._tag === "InProgress" && record.owner === owner
      ? record.leaseUntilMillis - this.#now
      : 0
    return Math.max(spanMillis(this.subject, span), left)
  }

  #change(
    key: Key,
    { held }: Hold,
    deed: Exclude<Deed, { _tag: "Claim" }>,
    name: string
  ): readonly [
    words: string,
    Change,
    Effect.Effect<IdempotencyStore.Kept, IdempotencyStore.StoreError>
  ] {
    const { store } = this.subject
    const text = `text ${++this.#texts}`
    switch (deed._tag) {
      case "Complete": {
        const timeToLiveMillis = spanMillis(this.subject, deed.span)
        const change: Change = { _tag: "Complete", outcome: text, timeToLiveMillis }
        return [
          `completes ${name} with "${text}" for ${timeToLiveMillis} ms`,
          change,
          store.complete(held, text, timeToLiveMillis)
        ]
      }
      case "Extend": {
        const leaseMillis = this.#leaseMillis(key, held.owner, deed.span)
        return [
          `extends its claim of ${name} to ${leaseMillis} ms`,
          { _tag: "Extend", leaseMillis },
          store.extend(held, leaseMillis)
        ]
      }
      case "Release":
        return [`releases ${name}`, { _tag: "Release" }, store.release(held)]
      case "Savepoint":
        return [
          `leaves "${text}" with ${name}`,
          { _tag: "Savepoint", data: text },
          store.savepoint(held, text)
        ]
    }
  }

  /**
   * What a stranger is told of a key, as far as asking changes nothing: a lapsed claim is looked at
   * with another payload.
   */
  #look(at: number): Effect.Effect<string | undefined, IdempotencyStore.StoreError> {
    return Effect.suspend(() => {
      const key = this.#keys[at] ?? unclaimed
      const { record } = key
      if (!IdempotencyRecord.isLive(record, this.#now)) return Effect.succeed(undefined)
      const hasLapsed = record._tag === "InProgress" && record.leaseUntilMillis <= this.#now
      const isOther = hasLapsed === (record.fingerprint === "payload")
      const claim = this.#claim(at, "a stranger", isOther, spanMillis(this.subject, "long"))
      return Effect.map(this.subject.store.acquire(claim), (found) => {
        const judged = judgeClaim(key, claim, found, this.#now)
        if (typeof judged !== "string") return undefined
        return `when a stranger claims key ${at + 1}${
          hasLapsed ? " with another payload" : ""
        }, ${judged}`
      })
    })
  }
}
