/**
 * A rate limiter whose line is the fleet's: tokens are leased from the store in slices, and calls
 * spend them without asking.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Fifo from "../core/fifo.js"
import * as FleetTokens from "../core/fleetTokens.js"
import type * as Wire from "../core/fleetWire.js"
import * as Gcra from "../core/gcra.js"
import * as Guard from "../policies/guard.js"
import * as RateLimiter from "../policies/RateLimiter.js"
import { RateLimited } from "../policies/rateLimiter/limiter.js"
import { nowMillis } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { withBehind } from "../runtime/instances.js"
import { defaultKey, Keyed, KeyedState } from "../runtime/keyedState.js"
import * as QueueTime from "../runtime/queueTime.js"
import { Signal } from "../runtime/signal.js"
import * as Validate from "../runtime/validate.js"
import type { Member, Moment, Question, Speaker } from "./member.js"
import type { Plan } from "./plan.js"

/** A call that waits for tokens. `rejected` is the wait that the store said it would have. */
interface Waiter {
  readonly cost: number
  readonly deadlineMillis: number
  readonly signal: Signal
  rejectedMillis: number | undefined
}

/** One key: what is leased, and who waits. */
class Rate extends Keyed {
  readonly purse = FleetTokens.make()
  readonly line: Fifo.Fifo<Waiter> = Fifo.make()
  /** What the calls in line cost together. */
  ahead = 0
  isAsking = false
  /** When it was asked for last, and whether all that was wanted came at once. */
  askedMillis = -Infinity
  isPlenty = true
  /** When the store had none, and until when it has none for a call that does not wait. */
  refusedMillis = -Infinity
  noneUntilMillis = -Infinity
  isActive = false
  /** How far the line of this member alone is taken, while it is apart. */
  taken: Gcra.Taken | undefined

  constructor(key: string, now: number, readonly name: string) {
    super(key, now)
  }
}

interface Numbers {
  readonly limit: number
  readonly intervalMillis: number
  readonly burst: number
  readonly maxWaitMillis: number
  readonly isStrict: boolean
  readonly leaseMillis: number
  readonly whenApart: "share" | "reject"
}

const rejected = (key: string, millis: number): RateLimited =>
  new RateLimited({ key, retryAfter: Duration.millis(Math.max(0, millis)) })

class SharedLimiter implements Speaker {
  readonly rates: KeyedState<Rate>
  readonly #active = new Set<Rate>()
  /** How much of the line one token takes. */
  readonly #spacing: number
  #tickedMillis = -Infinity

  constructor(readonly member: Member, readonly name: string, readonly numbers: Numbers) {
    this.#spacing = numbers.intervalMillis / numbers.limit
    this.rates = new KeyedState<Rate>({
      make: (key, now) => new Rate(key, now, member.store.name(`line|${name}|${key}`)),
      idleMillis: Math.max(60_000, numbers.burst * this.#spacing),
      isBusy: ({ isActive, line }) => isActive || line.size > 0,
      forgotten: (rate) => {
        this.#active.delete(rate)
      }
    })
    member.join(this)
  }

  // ---------------------------------------------------------------------------
  // Calls
  // ---------------------------------------------------------------------------

  /** A call that overtakes no other spends tokens that are there. */
  tryTake(rate: Rate, cost: number, now: number): boolean {
    return !this.numbers.isStrict && rate.line.size === 0 && this.#take(rate, cost, now)
  }

  #take(rate: Rate, cost: number, now: number): boolean {
    const isTaken = FleetTokens.take(rate.purse, cost, now)
    if (isTaken) this.#use(rate)
    return isTaken || this.#takeApart(rate, cost, now) === 0
  }

  #use(rate: Rate): void {
    if (rate.isActive) return
    rate.isActive = true
    this.#active.add(rate)
    this.member.hasNews()
  }

  /**
   * Apart, the member has its share of the rate, which begins empty. The answer is the wait; 0
   * where the tokens are taken, infinite where the fleet is asked.
   */
  #takeApart(rate: Rate, cost: number, now: number): number {
    const { burst, intervalMillis, limit, whenApart } = this.numbers
    if (!this.member.isApart(now)) {
      rate.taken = undefined
      return Infinity
    }
    if (whenApart === "reject") return Infinity
    const { members } = this.member
    const nanos = BigInt(Math.round(now * 1e6))
    const policy: Gcra.Policy = {
      limit: BigInt(limit),
      intervalNanos: BigInt(Math.round(intervalMillis * 1e6)) * BigInt(members),
      burst: Math.max(1, Math.floor(burst / members), cost)
    }
    rate.taken ??= Gcra.take(policy, Gcra.unused, policy.burst, nanos)
    const wait = Gcra.waitNanos(policy, rate.taken, 0, cost, nanos)
    if (wait > 0n) return Number(wait) / 1e6
    rate.taken = Gcra.take(policy, rate.taken, cost, nanos)
    return 0
  }

  /** How long a call may wait: for the store's answer it may in any case. */
  deadline(now: number): number {
    const { maxWaitMillis } = this.numbers
    return now + Math.max(maxWaitMillis, this.member.settings.storeTimeoutMillis)
  }

  /** A call joins the line, or is told how long it would wait where that is too long. */
  enter(rate: Rate, cost: number, now: number): Fifo.Place<Waiter> | RateLimited {
    const { maxWaitMillis, whenApart } = this.numbers
    const wait = rate.ahead * this.#spacing
    if (wait > 0 && wait > maxWaitMillis) return rejected(rate.key, wait)
    if (this.member.isApart(now)) {
      if (whenApart === "reject") return rejected(rate.key, this.member.intervalMillis)
      if (maxWaitMillis === 0) return rejected(rate.key, this.#takeApart(rate, cost, now))
    }
    if (maxWaitMillis === 0) {
      if (rate.noneUntilMillis > now) return rejected(rate.key, rate.noneUntilMillis - now)
      // What is booked is the end of the line: the store has none that is due before.
      const due = FleetTokens.dueIn(rate.purse, rate.ahead + cost, now)
      if (due > 0 && due < Infinity) return rejected(rate.key, due)
    }
    rate.ahead += cost
    const deadlineMillis = this.deadline(now)
    const place = Fifo.join<Waiter>(rate.line, {
      cost,
      deadlineMillis,
      signal: new Signal(),
      rejectedMillis: undefined
    })
    this.#ask(rate, now)
    return place
  }

  /**
   * What becomes of a call in line: it runs (undefined), waits for so long, or is rejected.
   */
  look(rate: Rate, place: Fifo.Place<Waiter>, now: number): number | RateLimited | undefined {
    const { cost, deadlineMillis, rejectedMillis } = place.value
    const left = deadlineMillis - now
    if (rejectedMillis !== undefined) return rejected(rate.key, rejectedMillis)
    if (rate.line.first === place) {
      if (this.#take(rate, cost, now)) return undefined
      const apart = this.#takeApart(rate, cost, now)
      const due = Math.min(FleetTokens.dueIn(rate.purse, cost, now), apart)
      if (due === Infinity) this.#ask(rate, now)
      if (left > 0) return Math.min(due, left, 1000)
    }
    return left > 0 ? left : rejected(rate.key, (rate.ahead + cost) * this.#spacing)
  }

  /** Takes a call out of the line, to run or for good. */
  depart(rate: Rate, place: Fifo.Place<Waiter>, now: number): void {
    const wasFirst = rate.line.first === place
    Fifo.leave(rate.line, place)
    rate.ahead -= place.value.cost
    this.#keepTo(rate, now)
    if (wasFirst) rate.line.first?.value.signal.notify()
  }

  givesBack(now: number): ReadonlyArray<Question> {
    return [...this.#active].map((rate) => {
      FleetTokens.empty(rate.purse)
      return this.#question(rate, 0, now)
    })
  }

  // ---------------------------------------------------------------------------
  // The fleet
  // ---------------------------------------------------------------------------

  /** Asks for the calls that wait: at once, or with the next exchange where tokens are short. */
  #ask(rate: Rate, now: number): void {
    if (rate.isAsking || this.member.isApart(now)) return
    if (FleetTokens.leased(rate.purse, now) >= rate.ahead) return
    this.#use(rate)
    this.member.hasNews()
    const isEarly = now - rate.askedMillis < this.member.intervalMillis
    if (isEarly && !rate.isPlenty && !this.numbers.isStrict) return
    rate.isAsking = true
    this.member.urge()
  }

  /** How many tokens it needs in turn. */
  #missing({ ahead, line, purse }: Rate, now: number): number {
    const { burst, isStrict } = this.numbers
    const cost = line.first?.value.cost ?? 1
    if (isStrict) return cost
    const { intervalMillis, members } = this.member
    const share = Math.min(burst, FleetTokens.share(this.#spacing, intervalMillis, members))
    return FleetTokens.missing(purse, { cost, share, waiting: ahead }, now)
  }

  #isWaiting({ line }: Rate): boolean {
    return line.size > 0 && this.numbers.maxWaitMillis > 0
  }

  /**
   * How long it waits for those: as long as the last in line, which uses what those before it have
   * given up. Where calls wait for less than a turn takes, one that was refused books its turn for
   * the calls to come.
   */
  #patience(rate: Rate, now: number): number {
    const { last } = rate.line
    const left = last === undefined || !this.#isWaiting(rate) ? 0 : last.value.deadlineMillis - now
    const turns = 3 * this.member.intervalMillis
    const isRefused = !this.numbers.isStrict && now - rate.refusedMillis < turns
    return Math.max(0, left, isRefused ? turns : 0)
  }

  #question(rate: Rate, want: number, now: number): Question {
    this.#keepTo(rate, now)
    const { burst, isStrict, leaseMillis } = this.numbers
    const { intervalMillis } = this.member
    const missing = this.#missing(rate, now)
    const patience = missing > 0 ? this.#patience(rate, now) : 0
    const command: Wire.Tokens = {
      op: "tokens",
      name: rate.name,
      spacing: this.#spacing,
      burst,
      want: Math.min(want, burst + Math.ceil(intervalMillis / this.#spacing)),
      first: Math.max(1, Math.min(want, missing)),
      // Strict: nothing is leased that no call in line can wait for.
      horizon: isStrict ? Math.min(intervalMillis, patience) : intervalMillis,
      patience,
      back: FleetTokens.takeBack(rate.purse, now)
    }
    const lasts = isStrict ? this.member.settings.storeTimeoutMillis : leaseMillis
    return {
      command,
      answered: (answer, moment) => this.#leased(rate, command, lasts, answer, moment)
    }
  }

  #leased(
    rate: Rate,
    { horizon, patience, want }: Wire.Tokens,
    lasts: number,
    answer: Wire.Answer | undefined,
    moment: Moment
  ): void {
    rate.isAsking = false
    rate.isPlenty = answer?.op === "tokens" && answer.granted >= want
    if (answer?.op === "tokens" && want > 0) {
      // A store that grants more than was asked for is not believed.
      const granted = Math.min(answer.granted, want)
      const booked = Math.min(answer.booked, want - granted)
      // Booked for later than was asked, it is not believed either.
      const latest = granted + booked === 0
        ? this.numbers.intervalMillis * this.numbers.burst
        : Math.max(horizon, patience)
      const due = Math.min(answer.due, latest)
      FleetTokens.put(rate.purse, { granted, booked, due }, this.#spacing, lasts, moment)
      const { receivedMillis } = moment
      if (granted + booked === 0) {
        rate.refusedMillis = receivedMillis
        rate.noneUntilMillis = receivedMillis + due
      }
      if (granted + booked === 0 || granted < want) this.#refuse(rate, due, receivedMillis)
      this.#keepTo(rate, receivedMillis)
    }
    rate.line.first?.value.signal.notify()
  }

  /**
   * Strict: what no call in line waits for is lost. To give it back would move those forward that
   * are booked after it, and two would begin at one time.
   */
  #keepTo({ ahead, purse }: Rate, now: number): void {
    if (!this.numbers.isStrict) return
    FleetTokens.keep(purse, ahead, now)
    FleetTokens.takeBack(purse, now)
  }

  /** The store has no more in time: those in line are rejected for whom none comes due. */
  #refuse(rate: Rate, due: number, now: number): void {
    const isNone = FleetTokens.leased(rate.purse, now) === 0
    let cost = 0
    for (const waiter of Fifo.values(rate.line)) {
      cost += waiter.cost
      const wait = isNone ? due : FleetTokens.dueIn(rate.purse, cost, now)
      const isLate = this.numbers.maxWaitMillis === 0
        ? wait > 0
        : isNone && now + due > waiter.deadlineMillis
      if (!isLate) continue
      waiter.rejectedMillis = wait === Infinity ? cost * this.#spacing : wait
      waiter.signal.notify()
    }
  }

  say(now: number, room: number): ReadonlyArray<Question> {
    const isTick = now - this.#tickedMillis >= this.member.intervalMillis * 0.9
    if (isTick) this.#tickedMillis = now
    const questions: Array<Question> = []
    for (const rate of this.#active) {
      if (questions.length === room) return questions
      const { line, purse } = rate
      const isWaiting = line.size > 0
      if (!isWaiting && !isTick) continue
      const isUsed = purse.used > 0 || isWaiting
      const want = this.numbers.isStrict
        ? Math.max(0, rate.ahead - FleetTokens.leased(purse, now))
        : FleetTokens.wanted(purse, rate.ahead, now)
      if (isTick) FleetTokens.tick(purse)
      rate.isAsking = want > 0
      if (want > 0) rate.askedMillis = now
      this.#keepTo(rate, now)
      if (want > 0 || FleetTokens.hasBack(purse, now)) {
        questions.push(this.#question(rate, want, now))
      }
      // It goes on being asked for until nothing is leased and nothing was used for an interval.
      rate.isActive = isUsed || FleetTokens.leased(purse, now) > 0
      if (!rate.isActive) this.#active.delete(rate)
    }
    if (this.#active.size > 0) this.member.hasNews()
    return questions
  }

  again(): void {
    for (const rate of this.#active) rate.isAsking = false
  }

  reconnected(): void {
    for (const { line } of this.rates.values()) {
      for (const { signal } of Fifo.values(line)) signal.notify()
    }
  }
}

/** Waits in line until the call may run. Fails where it may not. */
const waitForTurn = (
  limiter: SharedLimiter,
  rate: Rate,
  place: Fifo.Place<Waiter>,
  clock: Clock.Clock
): Effect.Effect<void, RateLimited> =>
  Effect.suspend(() => {
    const next = limiter.look(rate, place, nowMillis(clock))
    if (next === undefined) return Effect.void
    if (typeof next !== "number") return Effect.fail(next)
    return Effect.flatMap(
      place.value.signal.wait(next),
      () => waitForTurn(limiter, rate, place, clock)
    )
  })

const later = <A, E, R>(
  limiter: SharedLimiter,
  self: Effect.Effect<A, E, R>,
  key: string,
  cost: number,
  clock: Clock.Clock
): Effect.Effect<A, E | RateLimited, R> =>
  Effect.uninterruptibleMask((restore): Effect.Effect<A, E | RateLimited, R> => {
    const startedAt = clock.unsafeCurrentTimeNanos()
    const now = nowMillis(clock)
    const rate = limiter.rates.use(key, clock, now)
    if (limiter.tryTake(rate, cost, now)) return restore(self)
    const entry = limiter.enter(rate, cost, now)
    if (entry instanceof RateLimited) return Effect.fail(entry)
    return whenEnded(
      restore(waitForTurn(limiter, rate, entry, clock)),
      (exit): Effect.Effect<A, E | RateLimited, R> => {
        limiter.depart(rate, entry, nowMillis(clock))
        const waited = QueueTime.since(clock, startedAt)
        return Exit.isFailure(exit)
          ? Effect.zipRight(waited, Effect.failCause(exit.cause))
          : Effect.zipRight(waited, restore(self))
      }
    )
  })

type Options = RateLimiter.SharedOptions & { readonly name: string }

const numbersOf = (options: Options): Numbers => {
  const limit = Validate.integer("limit", options.limit, 1)
  const millis = (field: string, input: Duration.DurationInput): number =>
    Duration.toMillis(Validate.finiteDuration(field, Validate.positiveDuration(field, input)))
  const isReject = options.mode === "reject"
  return {
    limit,
    intervalMillis: millis("interval", options.interval),
    burst: Validate.integer("burst", options.burst ?? limit, 1),
    maxWaitMillis: isReject ? 0 : Duration.toMillis(
      Validate.duration("maxWait", options.maxWait ?? RateLimiter.defaults.maxWait)
    ),
    isStrict: options.strict ?? false,
    leaseMillis: millis("leaseTime", options.leaseTime ?? "500 millis"),
    whenApart: Validate.oneOf("whenApart", options.whenApart ?? "share", ["share", "reject"])
  }
}

/** Plans a limiter whose rate the fleet shares. */
export const rateLimiter = (member: Member, options: Options): Plan => {
  const numbers = numbersOf(options)
  const costOf = (cost: number = 1): number => {
    Validate.integer("cost", cost, 1)
    if (cost <= numbers.burst) return cost
    throw new RangeError(`cost should be at most the burst of ${numbers.burst}, got ${cost}`)
  }
  return {
    numbers: JSON.stringify(numbers),
    make: () => {
      const limiter = new SharedLimiter(member, options.name, numbers)
      return withBehind<RateLimiter.RateLimiter>({
        protect: dual(
          (args) => {
            const dataFirst = Guard.isDataFirst(args)
            if (!dataFirst) costOf(args[0]?.cost)
            return dataFirst
          },
          <A, E, R>(self: Effect.Effect<A, E, R>, call?: RateLimiter.CallOptions) => {
            const cost = costOf(call?.cost)
            const key = call?.key ?? defaultKey
            return Effect.clockWith((clock): Effect.Effect<A, E | RateLimited, R> => {
              const now = nowMillis(clock)
              return limiter.tryTake(limiter.rates.use(key, clock, now), cost, now)
                ? self
                : later(limiter, self, key, cost, clock)
            })
          }
        ),
        ...Guard.viewOf(limiter.rates, ({ ahead, key, line, purse }, now) => ({
          key,
          available: Math.max(0, FleetTokens.available(purse, now) - ahead),
          waiting: line.size
        }))
      }, { options, inside: limiter })
    }
  }
}
