/**
 * What every circuit breaker should do, whatever its options: agree with a slow and obvious model
 * after every one of a sequence of commands.
 */
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type * as Circuit from "../../core/circuit.js"
import * as CircuitBreaker from "../../policies/CircuitBreaker.js"
import { policyOf } from "../../policies/circuitBreaker/options.js"
import * as Validate from "../../runtime/validate.js"
import { LawBroken } from "../lawBroken.js"
import { commandsOf, ended, justMillis, operations } from "./commands.js"
import { type Command, type Ending, Model, type Seen, type Subject, type Time } from "./model.js"
import { ofService } from "./subjects.js"

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
class ModelRun {
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
        return deadline === undefined
          ? undefined
          : this.#pass(Math.max(0, deadline + command.off - now))
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
    const who = calls === 1
      ? "it"
      : started.length === calls
      ? "they"
      : `the ${started.length} that were admitted`
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
    const slowAt = (running.get(call)?.startedMillis ?? now) + (policy.slow?.overMillis ?? 0) +
      justMillis
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

  /**
   * What is wrong with what can be seen now. Without the kind of a step it was an operator's, who
   * may go anywhere.
   */
  #compare(kind?: keyof typeof edges): string | undefined {
    this.model.settle()
    const found = this.subject.look()
    const expected = this.model.seen
    const from = this.#before
    const isLegal = kind === undefined || this.#isLegal(kind, from, found.state)
    this.#before = found.state
    if (!isLegal) return `it goes from ${from} to ${found.state}, which no breaker does then`
    if (found.state !== expected.state) {
      return `it is ${found.state}, and should be ${expected.state}`
    }
    for (const [name, of] of facts) {
      // The effect of a command on the openings is not observable: it ends with a reset.
      if (name === "consecutive openings" && this.model.order !== undefined) continue
      if (of(found) !== of(expected)) {
        return `it has ${of(found)} ${name}, and should have ${of(expected)}`
      }
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
    const seen =
      to === "HalfOpen" && kind === "ending" && this.model.openUntilMillis <= this.model.now
        ? "Open"
        : to
    return from === to || edges[kind].some((edge) => edge === `${from} ${seen}`)
  }

  /** B14: what does not need a model. */
  #conserve({ inFlight, rejected, state }: Seen): string | undefined {
    if (this.#admitted !== this.#ended + inFlight) {
      return `of ${this.#admitted} admitted calls ${this.#ended} have ended ` +
        `and ${inFlight} are in flight`
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

/**
 * Finds what is wrong with a breaker after these commands, if anything: the commands in words, and
 * the difference.
 */
export const broken = (
  policy: Circuit.Policy,
  subjectOf: (time: Time) => Subject,
  commands: ReadonlyArray<Command>
): string | undefined => {
  const modelRun = new ModelRun(policy, subjectOf)
  for (const command of commands) {
    const wrong = modelRun.run(command)
    if (wrong !== undefined) return `After ${modelRun.steps.join(", ")}: ${wrong}`
  }
  return undefined
}

/**
 * Tries a breaker with many sequences of commands. One in which it differs from the model is made
 * as small as possible.
 */
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
        // The caller is gone: every case that is left fails at once.
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
 * Checks a circuit breaker with these options: for any calls, results and operator commands, it
 * admits, rejects, counts, opens, tries and closes as a slow and obvious model of the rules does.
 *
 * **Details**
 *
 * Each of the `runs` (default 300) is a sequence of up to 50 commands: calls start, succeed, fail,
 * are slow, ignored or interrupted, with and without a `retryAfter`; time passes to, just before
 * and just after the moments that matter to these options; the wall clock steps back; an operator
 * forces, disables, isolates and resets. After each, state, counts, waits, openings and the calls
 * in flight are compared, no more trials are under way than there may be, and no call is lost. Time
 * is virtual. O(runs * commands * window); windows of more than a thousand calls are not filled.
 *
 * **Gotchas**
 *
 * `classify` and `idleTimeToLive` are not tested: every call classifies itself, and no key is
 * forgotten.
 *
 * **Example** (A breaker of one's own)
 *
 * ```ts
 * import { Backoff, CircuitBreaker } from "effect-resilience"
 * import * as Laws from "effect-resilience/testing/Laws"
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
  settings?: {
    /** How many sequences of commands are tried. Default 300. */
    readonly runs?: number | undefined
  }
): Effect.Effect<void, Error> =>
  Effect.suspend(() => {
    const runs = Validate.integer("runs", settings?.runs ?? 300, 1)
    // A breaker that cannot be made dies of it here.
    return Effect.zipRight(
      CircuitBreaker.make(options),
      Effect.suspend(() => checked(policyOf(options), ofService(options), runs))
    )
  })
