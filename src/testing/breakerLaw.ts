/**
 * What every circuit breaker should do, whatever its options: a slow and obvious model of it, and sequences of commands in which a breaker has to
 * agree with the model after every one.
 *
 * The model shares nothing with the machine but the policy. It keeps every outcome with its time and counts anew whenever it is asked.
 */
import type * as Clock from "effect/Clock"
import { ClockTypeId } from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Check from "../check.js"
import * as CircuitBreaker from "../CircuitBreaker.js"
import * as Backoff from "../core/backoff.js"
import type * as Circuit from "../core/circuit.js"

/** A law that a breaker breaks. The message is the smallest sequence of commands, in words. */
class LawBroken extends Data.TaggedError("LawBroken")<{ readonly message: string }> {}

/** How a call ends. Where it says `retryAfterMillis`, the server asked for that. */
export interface Ending {
  readonly _tag: "Success" | "Failure" | "Ignored" | "Interrupted"
  readonly retryAfterMillis?: number | undefined
  /** The draw for an open time with jitter. */
  readonly unit: number
}

/** What an operator can do. */
export type Operation = Circuit.Order | "Isolate" | "Release" | "Reset"

/**
 * One step of a sequence. `Finish` ends one of the running calls, `isSlow` lets it become too slow before; `Burst` starts some calls together and
 * ends those that were admitted; `Deadline` lets time pass until one of the next moments at which something changes, or just before or after it.
 */
export type Command =
  | { readonly _tag: "Start" }
  | { readonly _tag: "Finish"; readonly pick: number; readonly isSlow: boolean; readonly ending: Ending }
  | { readonly _tag: "Burst"; readonly calls: number; readonly isSlow: boolean; readonly ending: Ending }
  | { readonly _tag: "Pass"; readonly millis: number }
  | { readonly _tag: "Deadline"; readonly pick: number; readonly off: number }
  | { readonly _tag: "WallBack"; readonly millis: number }
  | { readonly _tag: "Operate"; readonly operation: Operation }

/** What can be seen of a breaker from outside. */
export interface Seen {
  readonly state: Circuit.Visible
  readonly calls: number
  readonly failures: number
  readonly slow: number
  readonly openings: number
  readonly inFlight: number
  readonly rejected: number
  readonly retryAfterMillis: number | undefined
}

/** The time that a breaker is shown: `nanos` never goes back, `wallMillis` may. */
export interface Time {
  nanos: bigint
  wallMillis: number
}

/** A breaker that is put to the test. Calls have numbers; `start` answers the wait of a call that is rejected. */
export interface Subject {
  readonly start: (call: number) => number | undefined
  readonly end: (call: number, ending: Ending) => void
  readonly operate: (operation: Operation) => void
  readonly look: () => Seen
}

const millisOf = ({ nanos }: Time): number => Number(nanos) / 1e6

// ── The model ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Shares such as 0.1 * 3 are not exact. */
const rounding = 1e-9

/** However small the share, nothing is no part of it. */
const reaches = (part: number, all: number, share: number): boolean => part > 0 && part >= share * all - rounding

/** The breaker as the rules have it, without a thought of cost. */
export class Model {
  phase: "Closed" | "Open" | "HalfOpen" = "Closed"
  order: Circuit.Order | undefined = undefined
  isolations = 0
  /** Whatever was admitted in an era that is over has nothing to say any more. */
  era = 0
  closedAtMillis: number
  openUntilMillis = 0
  lastOpenMillis = 0
  consecutiveOpenings = 0
  good = 0
  bad = 0
  rejected = 0
  /** Who holds a place as a trial, and until when at most. Nobody's is the one of a trial that was told to wait. */
  held: ReadonlyArray<{ readonly call: number | undefined; readonly untilMillis: number }> = []
  /** Everything that was counted since the window was last emptied. */
  outcomes: Array<{ readonly atMillis: number; readonly failed: boolean; readonly slow: boolean }> = []
  readonly running = new Map<
    number,
    { readonly era: number; readonly startedMillis: number; readonly isTrial: boolean }
  >()

  constructor(readonly policy: Circuit.Policy, readonly time: Time) {
    this.closedAtMillis = this.now
  }

  get now(): number {
    return millisOf(this.time)
  }

  /** B12: isolation outranks orders, and orders outrank the rest. */
  get state(): Circuit.Visible {
    return this.isolations > 0 ? "Isolated" : this.order ?? this.phase
  }

  /** B2: the last n outcomes, or those whose bucket is not too old. */
  get window(): Model["outcomes"] {
    const { window } = this.policy
    if (window._tag === "Count") return this.outcomes.slice(-window.size)
    const bucketMillis = window.durationMillis / window.buckets
    const bucketOf = (millis: number) => Math.floor(millis / bucketMillis)
    return this.outcomes.filter(({ atMillis }) => bucketOf(this.now) - bucketOf(atMillis) < window.buckets)
  }

  /** B10: forgotten once it has stayed closed for as long as it was last open. */
  get openings(): number {
    const isForgotten = this.phase === "Closed" && this.now - this.closedAtMillis >= this.lastOpenMillis
    return isForgotten ? 0 : this.consecutiveOpenings
  }

  /** B8: how long a trial may hold its place. */
  get trialMillis(): number {
    return this.policy.trialTimeoutMillis ?? Math.max(10_000, this.lastOpenMillis)
  }

  /** B5, B7, B12: none where a call would be admitted. */
  get retryAfterMillis(): number | undefined {
    switch (this.state) {
      case "Isolated":
      case "ForcedOpen":
        return Infinity
      case "Open":
        return this.openUntilMillis - this.now
      case "HalfOpen": {
        if (this.good + this.bad + this.held.length < this.policy.halfOpen.trials) return undefined
        return Math.min(...this.held.map(({ untilMillis }) => untilMillis)) - this.now
      }
      default:
        return undefined
    }
  }

  /** Time has passed. B6: the end of an opening needs nobody to notice it; B8: nor does the end of a trial's place. */
  settle(): void {
    if (this.phase === "Open" && this.openUntilMillis <= this.now) {
      const { era, state } = this
      this.#enter("HalfOpen")
      // Under an operator's hand nobody sees it, and the calls that run go on to count.
      if (state !== "Open") this.era = era
    }
    this.held = this.held.filter(({ untilMillis }) => untilMillis > this.now)
  }

  start(call: number): number | undefined {
    const wait = this.retryAfterMillis
    if (wait !== undefined) {
      this.rejected++
      return wait
    }
    const isTrial = this.state === "HalfOpen"
    this.running.set(call, { era: this.era, startedMillis: this.now, isTrial })
    if (isTrial) this.held = [...this.held, { call, untilMillis: this.now + this.trialMillis }]
    return undefined
  }

  end(call: number, { _tag, retryAfterMillis, unit }: Ending): void {
    const started = this.running.get(call)
    this.running.delete(call)
    // B9: of an older generation.
    if (started === undefined || started.era !== this.era) return
    const { maxOpenMillis, slow } = this.policy
    const hint = Math.min(retryAfterMillis ?? 0, maxOpenMillis)
    // B1: strictly longer.
    const isSlow = slow !== undefined && this.now - started.startedMillis > slow.overMillis
    const failed = _tag === "Failure"
    // B3: an interrupted call that was already slow counts as slow.
    const isIgnored = _tag === "Ignored" || (_tag === "Interrupted" && !isSlow)

    if (started.isTrial) {
      // B8: too late for a trial that has lost its place.
      if (!this.held.some((slot) => slot.call === call)) return
      this.held = this.held.filter((slot) => slot.call !== call)
      if (isIgnored) {
        if (hint > 0) this.held = [...this.held, { call: undefined, untilMillis: this.now + hint }]
      } else {
        if (failed || isSlow) this.bad++
        else this.good++
        this.#judgeTrials(hint, unit)
      }
    } else if (!isIgnored && this.order !== "Disabled") {
      this.outcomes.push({ atMillis: this.now, failed, slow: isSlow })
      if (this.order === undefined) this.#judgeWindow(hint, unit)
    }
  }

  operate(operation: Operation): void {
    switch (operation) {
      case "Isolate":
        this.isolations++
        if (this.isolations === 1) this.#interfere()
        return
      case "Release":
        this.isolations--
        if (this.isolations === 0) this.#interfere()
        return
      case "Reset":
        this.order = undefined
        this.consecutiveOpenings = 0
        this.lastOpenMillis = 0
        this.#enter("Closed")
        return
      default:
        if (this.order === operation) return
        this.order = operation
        this.#interfere()
    }
  }

  get seen(): Seen {
    const window = this.window
    return {
      state: this.state,
      calls: window.length,
      failures: window.filter(({ failed }) => failed).length,
      slow: window.filter(({ slow }) => slow).length,
      openings: this.openings,
      inFlight: this.running.size,
      rejected: this.rejected,
      retryAfterMillis: this.retryAfterMillis
    }
  }

  /** The moments still to come at which something changes by itself, or at which the end of a call would mean something else. */
  get deadlines(): ReadonlyArray<number> {
    const { slow, window } = this.policy
    const started = [...this.running.values()].map(({ startedMillis }) => startedMillis)
    const bucketMillis = window._tag === "Time" ? window.durationMillis / window.buckets : 0
    return [
      ...(this.phase === "Open" ? [this.openUntilMillis] : []),
      ...this.held.map(({ untilMillis }) => untilMillis),
      ...(this.phase === "Closed" ? [this.closedAtMillis + this.lastOpenMillis] : []),
      ...(slow === undefined ? [] : started.map((millis) => millis + slow.overMillis)),
      ...(window._tag === "Time"
        ? this.window.slice(0, 3).map(({ atMillis }) =>
          (Math.floor(atMillis / bucketMillis) + window.buckets) * bucketMillis
        )
        : [])
    ].filter((millis) => millis > this.now && millis < Infinity)
  }

  /** B1: the window empties on open, close and reset. */
  #enter(phase: Model["phase"]): void {
    this.phase = phase
    this.era++
    this.good = 0
    this.bad = 0
    this.held = []
    if (phase !== "HalfOpen") this.outcomes = []
    if (phase === "Closed") this.closedAtMillis = this.now
  }

  /** B9, B12: an operator's word ends the generation, and with it the trials that run. */
  #interfere(): void {
    this.era++
    this.held = this.held.filter(({ call }) => call === undefined)
  }

  /** B1: at least `minimumCalls`, and one of the rates at its threshold. */
  #judgeWindow(hint: number, unit: number): void {
    const { failureRate, minimumCalls, slow } = this.policy
    const { calls, failures, slow: slowCalls } = this.seen
    if (calls < minimumCalls) return
    if (reaches(failures, calls, failureRate) || (slow !== undefined && reaches(slowCalls, calls, slow.rate))) {
      this.#open(hint, unit)
    }
  }

  /** B7. */
  #judgeTrials(hint: number, unit: number): void {
    const { halfOpen } = this.policy
    const reopens = (bad: number) =>
      halfOpen._tag === "Consecutive" ? bad > 0 : reaches(bad, halfOpen.trials, halfOpen.threshold)
    if (reopens(this.bad)) this.#open(hint, unit)
    else if (!reopens(halfOpen.trials - this.good)) this.#enter("Closed")
  }

  /** B10. */
  #open(hint: number, unit: number): void {
    const { maxOpenMillis, open } = this.policy
    const openings = this.openings
    const planned = typeof open === "number" ? open : Math.min(
      maxOpenMillis,
      Backoff.delayMillis(open, { attempt: openings, previousMillis: this.lastOpenMillis, unit })
    )
    this.#enter("Open")
    this.consecutiveOpenings = openings + 1
    this.lastOpenMillis = Math.max(planned, hint)
    this.openUntilMillis = this.now + this.lastOpenMillis
  }
}

// ── What is put to the test ──────────────────────────────────────────────────────────────────────────────────────

/** The functions of a pure machine. */
export type Machine = Pick<
  typeof Circuit,
  | "admit"
  | "counts"
  | "isolate"
  | "make"
  | "openings"
  | "order"
  | "record"
  | "reset"
  | "retryAfterMillis"
  | "settle"
  | "visible"
>

/** A pure machine, by itself. */
export const ofMachine = (machine: Machine) => (policy: Circuit.Policy) => (time: Time): Subject => {
  let state = machine.make(policy, millisOf(time))
  let rejected = 0
  const running = new Map<number, { readonly token: Circuit.Token; readonly startedMillis: number }>()
  const settled = (): number => {
    const now = millisOf(time)
    state = machine.settle(state, now)[1]
    return now
  }
  return {
    start: (call) => {
      const now = settled()
      const [admission, next] = machine.admit(policy, state, now)
      state = next
      if (admission._tag === "Admitted") {
        running.set(call, { token: admission.token, startedMillis: now })
        return undefined
      }
      rejected++
      return admission.retryAfterMillis
    },
    end: (call, { _tag, retryAfterMillis, unit }) => {
      const now = settled()
      const started = running.get(call)
      running.delete(call)
      if (started === undefined) return
      const durationMillis = now - started.startedMillis
      const isSlow = policy.slow !== undefined && durationMillis > policy.slow.overMillis
      const tag = _tag === "Interrupted" ? (isSlow ? "Success" : "Ignored") : _tag
      state = machine.record(policy, state, started.token, { _tag: tag, retryAfterMillis, durationMillis, unit }, now)
    },
    operate: (operation) => {
      const now = settled()
      switch (operation) {
        case "Isolate":
          state = machine.isolate(state, 1)
          return
        case "Release":
          state = machine.isolate(state, -1)
          return
        case "Reset":
          state = machine.reset(state, now)
          return
        default:
          state = machine.order(state, operation)
      }
    },
    look: () => {
      const now = settled()
      return {
        state: machine.visible(state),
        ...machine.counts(state, now),
        openings: machine.openings(state, now),
        inFlight: running.size,
        rejected,
        retryAfterMillis: machine.retryAfterMillis(policy, state, now)
      }
    }
  }
}

const clockOf = (time: Time): Clock.Clock => ({
  [ClockTypeId]: ClockTypeId,
  unsafeCurrentTimeMillis: () => time.wallMillis,
  unsafeCurrentTimeNanos: () => time.nanos,
  currentTimeMillis: Effect.sync(() => time.wallMillis),
  currentTimeNanos: Effect.sync(() => time.nanos),
  sleep: () => Effect.never
})

const outcomeOf = ({ _tag, retryAfterMillis }: Ending): CircuitBreaker.Outcome => {
  if (_tag === "Success") return CircuitBreaker.success
  const tag = _tag === "Failure" ? "Failure" : "Ignored"
  return retryAfterMillis === undefined ? { _tag: tag } : { _tag: tag, retryAfter: Duration.millis(retryAfterMillis) }
}

/** The service, with one fiber for each call. What is to happen at once does, so that a sequence of commands is the whole story. */
export const ofService = (options: CircuitBreaker.Options) => (time: Time): Subject => {
  const tasks: Array<() => void> = []
  const scheduler: Scheduler.Scheduler = {
    scheduleTask: (task) => void tasks.push(task),
    shouldYield: () => false
  }
  const flush = (): void => {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task()
  }
  const clock = clockOf(time)
  const run = <A>(effect: Effect.Effect<A>): A => Effect.runSync(Effect.withClock(effect, clock))
  // Nobody but an operator forgets a key here.
  const idleTimeToLive = Duration.millis(Number.MAX_SAFE_INTEGER)
  const breaker = run(CircuitBreaker.make({ ...options, idleTimeToLive }))
  const running = new Map<number, { readonly end: (ending: Ending) => void; readonly interrupt: () => void }>()
  const handles: Array<Scope.CloseableScope> = []
  let unit = 0
  const random = Object.create(Random.make(0), { next: { value: Effect.sync(() => unit) } }) as Random.Random

  return {
    start: (call) => {
      let resume: (ending: Effect.Effect<Ending>) => void = () => {}
      const calling = Effect.async<Ending>((resumes) => {
        resume = resumes
      }).pipe(
        breaker.protect({
          classify: (exit: Exit.Exit<Ending>) =>
            Exit.isSuccess(exit) ? outcomeOf(exit.value) : CircuitBreaker.classify(exit)
        }),
        Effect.withRandom(random),
        Effect.withClock(clock)
      )
      const fiber = Effect.runFork(calling, { scheduler })
      flush()
      const exit = fiber.unsafePoll()
      if (exit === null) {
        running.set(call, {
          end: (ending) => resume(Effect.succeed(ending)),
          interrupt: () => fiber.unsafeInterruptAsFork(FiberId.none)
        })
        return undefined
      }
      const open = Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : undefined
      return open === undefined ? Number.NaN : Duration.toMillis(open.retryAfter)
    },
    end: (call, ending) => {
      unit = ending.unit
      const started = running.get(call)
      running.delete(call)
      if (ending._tag === "Interrupted") started?.interrupt()
      else started?.end(ending)
      flush()
    },
    operate: (operation) => {
      switch (operation) {
        case "Isolate": {
          const scope = run(Scope.make())
          run(Scope.extend(breaker.isolate(), scope))
          return void handles.push(scope)
        }
        case "Release": {
          const scope = handles.pop()
          return scope === undefined ? undefined : run(Scope.close(scope, Exit.void))
        }
        case "Reset":
          return run(breaker.reset())
        case "ForcedOpen":
          return run(breaker.forceOpen())
        case "ForcedClosed":
          return run(breaker.forceClosed())
        case "Disabled":
          return run(breaker.disable())
      }
    },
    look: () => {
      const { retryAfter, ...snapshot } = run(breaker.snapshot())
      return { ...snapshot, retryAfterMillis: Option.getOrUndefined(Option.map(retryAfter, Duration.toMillis)) }
    }
  }
}

// ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Bursts are no longer than this, so that a window of a hundred thousand does not take all day. */
const maxBurst = 1000

/** How much later or earlier than a moment "just" is. */
const justMillis = 1

/** The times that mean something to a policy. */
const timesOf = ({ maxOpenMillis, open, slow, trialTimeoutMillis, window }: Circuit.Policy): ReadonlyArray<number> => {
  const openings = typeof open === "number"
    ? [open]
    : [0, 1, 2].map((attempt) => Backoff.delayMillis(open, { attempt, previousMillis: 0, unit: 0.5 }))
  return [
    ...openings,
    trialTimeoutMillis ?? Math.max(10_000, ...openings),
    ...(slow === undefined ? [] : [slow.overMillis]),
    ...(window._tag === "Time" ? [window.durationMillis / window.buckets, window.durationMillis] : []),
    maxOpenMillis
  ].filter((millis) => millis < Infinity)
}

/** Sequences of commands that are worth trying with a policy. */
export const commandsOf = (policy: Circuit.Policy): FastCheck.Arbitrary<ReadonlyArray<Command>> => {
  const times = timesOf(policy)
  const near = times.flatMap((millis) => [millis, Math.max(0, millis - justMillis), millis + justMillis])
  const hint = FastCheck.option(
    FastCheck.constantFrom(...new Set([0, 1, ...near, policy.maxOpenMillis * 2].map(Math.ceil))),
    { nil: undefined, freq: 1 }
  )
  const unit = FastCheck.constantFrom(0, 0.25, 0.5, 0.999)
  const ending = FastCheck.oneof(
    FastCheck.record({ _tag: FastCheck.constantFrom("Success" as const, "Interrupted" as const), unit }),
    FastCheck.record({ _tag: FastCheck.constant("Failure" as const), unit, retryAfterMillis: hint }),
    FastCheck.record({ _tag: FastCheck.constantFrom("Success" as const, "Failure" as const), unit }),
    FastCheck.record({ _tag: FastCheck.constant("Ignored" as const), unit, retryAfterMillis: hint })
  )
  const isSlow = FastCheck.oneof(
    { withCrossShrink: true },
    { weight: 3, arbitrary: FastCheck.constant(false) },
    { weight: 1, arbitrary: FastCheck.constant(policy.slow !== undefined && policy.slow.overMillis < Infinity) }
  )
  const size = policy.window._tag === "Count" ? policy.window.size : policy.minimumCalls + 1
  const bursts = [2, policy.minimumCalls - 1, policy.minimumCalls, size, policy.halfOpen.trials + 1]
    .map((calls) => Math.min(maxBurst, Math.max(1, calls)))
  const pick = FastCheck.nat({ max: 7 })
  const command: FastCheck.Arbitrary<Command> = FastCheck.oneof(
    { weight: 4, arbitrary: FastCheck.constant({ _tag: "Start" as const }) },
    { weight: 5, arbitrary: FastCheck.record({ _tag: FastCheck.constant("Finish" as const), pick, isSlow, ending }) },
    {
      weight: 3,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Burst" as const),
        calls: FastCheck.constantFrom(...bursts),
        isSlow,
        ending
      })
    },
    {
      weight: 2,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Pass" as const),
        millis: FastCheck.constantFrom(...near)
      })
    },
    {
      weight: 4,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Deadline" as const),
        pick,
        off: FastCheck.constantFrom(0, -justMillis, justMillis)
      })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("WallBack" as const),
        millis: FastCheck.constantFrom(3_600_000, ...times)
      })
    },
    {
      weight: 2,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Operate" as const),
        operation: FastCheck.constantFrom<Array<Operation>>(
          "Reset",
          "Reset",
          "Isolate",
          "Isolate",
          "Release",
          "Release",
          "ForcedOpen",
          "ForcedClosed",
          "Disabled"
        )
      })
    }
  )
  return FastCheck.array(command, { minLength: 1, maxLength: 50, size: "max" })
}

// ── In words ─────────────────────────────────────────────────────────────────────────────────────────────────────

const operations: Readonly<Record<Operation, string>> = {
  Isolate: "it is isolated",
  Release: "an isolation ends",
  Reset: "it is reset",
  ForcedOpen: "it is forced open",
  ForcedClosed: "it is forced closed",
  Disabled: "it is disabled"
}

/** What a call does that ends so, or what several do. */
const ended = ({ _tag, retryAfterMillis }: Ending, isOne: boolean): string => {
  const wish = retryAfterMillis === undefined ? "" : ` asking for ${retryAfterMillis} ms`
  const are = isOne ? "is" : "are"
  switch (_tag) {
    case "Success":
      return isOne ? "succeeds" : "succeed"
    case "Failure":
      return `${isOne ? "fails" : "fail"}${wish}`
    case "Ignored":
      return `${are} ignored${wish}`
    case "Interrupted":
      return `${are} interrupted`
  }
}

// ── The law ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** What may become of a state without an operator. */
const edges = {
  passing: ["Open HalfOpen"],
  starting: [],
  ending: ["Closed Open", "HalfOpen Open", "HalfOpen Closed"]
} as const

/** What is seen, one thing after the other, with a name that completes "it has". */
const facts: ReadonlyArray<readonly [name: string, of: (seen: Seen) => number]> = [
  ["calls in its window", ({ calls }) => calls],
  ["failures in its window", ({ failures }) => failures],
  ["slow calls in its window", ({ slow }) => slow],
  ["calls in flight", ({ inFlight }) => inFlight],
  ["rejected calls", ({ rejected }) => rejected],
  ["consecutive openings", ({ openings }) => openings]
]

/** A wait may be off by what a nanosecond and a sum of fractions do to it. */
const isSameWait = (a: number | undefined, b: number | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && Math.abs(a - b) < 1e-3)

const waitInWords = (millis: number | undefined): string =>
  millis === undefined ? "admits calls" : `rejects calls for ${millis} ms`

/** One sequence of commands, driven against a breaker and the model side by side. */
class Rehearsal {
  readonly steps: Array<string> = []
  readonly time: Time = { nanos: 0n, wallMillis: 1_700_000_000_000 }
  readonly model: Model
  readonly subject: Subject
  #before: Circuit.Visible
  #calls = 0
  #admitted = 0
  #ended = 0

  constructor(policy: Circuit.Policy, subjectOf: (time: Time) => Subject) {
    this.model = new Model(policy, this.time)
    this.subject = subjectOf(this.time)
    this.#before = this.subject.look().state
  }

  /** Runs a command; the answer is what went wrong. */
  run(command: Command): string | undefined {
    switch (command._tag) {
      case "Start":
        this.steps.push(`call ${this.#calls + 1} starts`)
        return this.#start()
      case "Finish": {
        const running = [...this.model.running.keys()]
        const call = running[command.pick % running.length]
        if (call === undefined) return undefined
        const passed = command.isSlow ? this.#becomeSlow(call) : 0
        const after = passed > 0 ? `${passed} ms pass and ` : ""
        this.steps.push(`${after}call ${call} ${ended(command.ending, true)}`)
        return this.#compare("passing") ?? this.#end(call, command.ending)
      }
      case "Burst":
        return this.#burst(command)
      case "Pass":
        return this.#pass(command.millis)
      case "Deadline": {
        const { deadlines, now } = this.model
        const deadline = deadlines[command.pick % deadlines.length]
        return deadline === undefined ? undefined : this.#pass(Math.max(0, deadline + command.off - now))
      }
      case "WallBack":
        this.steps.push(`the wall clock steps back by ${command.millis} ms`)
        this.time.wallMillis -= command.millis
        return this.#compare("starting")
      case "Operate":
        if (command.operation === "Release" && this.model.isolations === 0) return undefined
        this.steps.push(operations[command.operation])
        this.model.operate(command.operation)
        this.subject.operate(command.operation)
        return this.#compare()
    }
  }

  #start(): string | undefined {
    const call = ++this.#calls
    const expected = this.model.start(call)
    const found = this.subject.start(call)
    if (found === undefined) this.#admitted++
    return isSameWait(found, expected)
      ? this.#compare("starting")
      : `it ${waitInWords(found)}, and should be one that ${waitInWords(expected)}`
  }

  #end(call: number, ending: Ending): string | undefined {
    this.#ended++
    this.model.end(call, ending)
    this.subject.end(call, ending)
    return this.#compare("ending")
  }

  #burst({ calls, ending, isSlow }: Extract<Command, { _tag: "Burst" }>): string | undefined {
    const first = this.#calls + 1
    const before = new Set(this.model.running.keys())
    this.steps.push(calls === 1 ? `call ${first} starts` : `${calls} calls start`)
    for (let call = first; call < first + calls; call++) {
      const wrong = this.#start()
      if (wrong !== undefined) return wrong
    }
    const started = [...this.model.running.keys()].filter((call) => !before.has(call))
    const [oldest] = started
    if (oldest === undefined) return undefined
    const passed = isSlow ? this.#becomeSlow(oldest) : 0
    const who = calls === 1 ? "it" : started.length === calls ? "they" : `the ${started.length} that were admitted`
    const isOne = calls === 1
    this.steps.push(`${passed > 0 ? `${passed} ms pass and ` : ""}${who} ${ended(ending, isOne)}`)
    const wrong = this.#compare("passing")
    if (wrong !== undefined) return wrong
    for (const call of started) {
      const wrong = this.#end(call, ending)
      if (wrong !== undefined) return wrong
    }
    return undefined
  }

  /** Lets a call become just too slow, where it is not yet. */
  #becomeSlow(call: number): number {
    const { now, policy, running } = this.model
    const slowAt = (running.get(call)?.startedMillis ?? now) + (policy.slow?.overMillis ?? 0) + justMillis
    return this.#advance(slowAt - now)
  }

  #pass(millis: number): string | undefined {
    this.steps.push(`${millis} ms pass`)
    this.#advance(millis)
    return this.#compare("passing")
  }

  #advance(millis: number): number {
    const passed = Math.max(0, millis)
    this.time.nanos = BigInt(Math.round((this.model.now + passed) * 1e6))
    this.time.wallMillis += passed
    this.model.settle()
    return passed
  }

  /** What is wrong with what can be seen now. Without the kind of a step it was an operator's, who may go anywhere. */
  #compare(kind?: keyof typeof edges): string | undefined {
    this.model.settle()
    const found = this.subject.look()
    const expected = this.model.seen
    const from = this.#before
    const isLegal = kind === undefined || this.#isLegal(kind, from, found.state)
    this.#before = found.state
    if (!isLegal) return `it goes from ${from} to ${found.state}, which no breaker does then`
    if (found.state !== expected.state) return `it is ${found.state}, and should be ${expected.state}`
    for (const [name, of] of facts) {
      // What an order does to the openings nobody can tell: it ends with a reset.
      if (name === "consecutive openings" && this.model.order !== undefined) continue
      if (of(found) !== of(expected)) return `it has ${of(found)} ${name}, and should have ${of(expected)}`
    }
    if (!isSameWait(found.retryAfterMillis, expected.retryAfterMillis)) {
      return `it ${waitInWords(found.retryAfterMillis)}, and should be one that ${
        waitInWords(expected.retryAfterMillis)
      }`
    }
    return this.#conserve(found)
  }

  #isLegal(kind: keyof typeof edges, from: Circuit.Visible, to: Circuit.Visible): boolean {
    // With jitter an opening may last no time at all: then it is half-open as soon as it is open.
    const seen = to === "HalfOpen" && kind === "ending" && this.model.openUntilMillis <= this.model.now ? "Open" : to
    return from === to || edges[kind].some((edge) => edge === `${from} ${seen}`)
  }

  /** B14: what does not need a model. */
  #conserve({ inFlight, rejected, state }: Seen): string | undefined {
    if (this.#admitted !== this.#ended + inFlight) {
      return `of ${this.#admitted} admitted calls ${this.#ended} have ended and ${inFlight} are in flight`
    }
    if (this.#calls !== this.#admitted + rejected) {
      return `of ${this.#calls} calls ${this.#admitted} were admitted and ${rejected} rejected`
    }
    const { era, now, policy, running, trialMillis } = this.model
    const trials = [...running.values()].filter((call) =>
      call.isTrial && call.era === era && now < call.startedMillis + trialMillis
    )
    return state === "HalfOpen" && trials.length > policy.halfOpen.trials
      ? `it has ${trials.length} trials under way, and may have ${policy.halfOpen.trials}`
      : undefined
  }
}

/** What is wrong with a breaker after these commands, if anything: what was done, in words, and what came of it. */
export const broken = (
  policy: Circuit.Policy,
  subjectOf: (time: Time) => Subject,
  commands: ReadonlyArray<Command>
): string | undefined => {
  const rehearsal = new Rehearsal(policy, subjectOf)
  for (const command of commands) {
    const wrong = rehearsal.run(command)
    if (wrong !== undefined) return `After ${rehearsal.steps.join(", ")}: ${wrong}`
  }
  return undefined
}

/** Tries a breaker with many sequences of commands. One in which it differs from the model is made as small as possible. */
export const checked = (
  policy: Circuit.Policy,
  subjectOf: (time: Time) => Subject,
  runs: number
): Effect.Effect<void, LawBroken> =>
  Effect.promise((signal) => {
    let run = 0
    return FastCheck.check(
      FastCheck.asyncProperty(commandsOf(policy), async (commands) => {
        // Others get their turn, and may interrupt.
        if (run++ % 16 === 0) await Effect.runPromise(Effect.sleep(0))
        // Nobody is waiting any more: every case that is left fails at once.
        signal.throwIfAborted()
        const message = broken(policy, subjectOf, commands)
        if (message !== undefined) throw new LawBroken({ message: `Laws.breaker: ${message}` })
      }),
      { numRuns: runs }
    )
  }).pipe(Effect.flatMap(({ errorInstance, failed }) => {
    if (!failed) return Effect.void
    return errorInstance instanceof LawBroken ? errorInstance : Effect.die(errorInstance)
  }))

/**
 * The laws of a circuit breaker with these options: whatever calls do, however they end and whatever an operator does meanwhile, it admits, rejects,
 * counts, opens, tries and closes as a slow and obvious model of the rules does.
 *
 * **Details**
 *
 * Each of the `runs` (default 300) is a sequence of up to 50 commands: calls start, succeed, fail, are slow, ignored or interrupted, with and without
 * a `retryAfter`; time passes to, just before and just after the moments that matter to these options; the wall clock steps back; an operator forces,
 * disables, isolates and resets. After each, state, counts, waits, openings and the calls in flight are compared, no more trials are under way than
 * there may be, and no call is lost. Time is virtual. O(runs * commands * window); windows of more than a thousand calls are not filled.
 *
 * **Gotchas**
 *
 * `classify` and `idleTimeToLive` are not tried: every call says for itself how it ended, and no key is forgotten.
 *
 * **Example** (A breaker of one's own)
 *
 * ```ts
 * import { Backoff, CircuitBreaker, Laws } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const options: CircuitBreaker.Options = {
 *   window: CircuitBreaker.time("1 minute"),
 *   minimumCalls: 5,
 *   openDuration: Backoff.exponential({ base: "1 second", cap: "1 minute" }),
 *   halfOpen: CircuitBreaker.rate({ trials: 4, threshold: 0.5 })
 * }
 *
 * const law = Laws.breaker(options, { runs: 50 })
 * await Effect.runPromise(Effect.as(law, "kept")) // => "kept"
 * ```
 *
 * @since 0.1.0
 * @category breakers
 */
export const breaker = (
  options: CircuitBreaker.Options,
  settings?: { readonly runs?: number | undefined }
): Effect.Effect<void, Error> =>
  Effect.suspend(() => {
    const runs = Check.integer("runs", settings?.runs ?? 300, 1)
    // A breaker that cannot be made dies of it here.
    return Effect.zipRight(
      CircuitBreaker.make(options),
      Effect.suspend(() => checked(CircuitBreaker.policyOf(options), ofService(options), runs))
    )
  })
