/**
 * A pipeline as an operator wants to read it before the incident: what it does in which order, what
 * it tries again, and what one call can cost at worst.
 */
import * as Duration from "effect/Duration"
import * as AdaptiveConcurrency from "../policies/AdaptiveConcurrency.js"
import * as AdaptiveThrottle from "../policies/AdaptiveThrottle.js"
import * as Backoff from "../retry/Backoff.js"
import * as Bulkhead from "../policies/Bulkhead.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Cooldown from "../policies/Cooldown.js"
import * as WorstCase from "../core/worstCase.js"
import * as Hedge from "../policies/Hedge.js"
import { optionsOf } from "../runtime/instances.js"
import type * as Operation from "../idempotency/Operation.js"
import type { Stages } from "./stages.js"
import * as RateLimiter from "../policies/RateLimiter.js"
import * as Retry from "../retry/Retry.js"
import * as RetryBudget from "../retry/RetryBudget.js"

/**
 * - `text`: the stages in their order, what is retried, the worst case.
 * - `mermaid`: the stages as a flowchart.
 * - `worstCaseCalls`: how many requests one call makes at most. Budgets and breakers can only lower
 *   it, and do not count.
 * - `worstCaseTime`: how long one call takes at most, waits for Retry-After at their cap included;
 *   infinite where nothing bounds it. Finalizers of what a deadline cuts are not part of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Description {
  readonly text: string
  readonly mermaid: string
  readonly worstCaseCalls: number
  readonly worstCaseTime: Duration.Duration
}

/** One stage in words: a short name, and what it does. */
interface Line {
  readonly name: string
  readonly says: string
}

// -----------------------------------------------------------------------------
// the stages in words
// -----------------------------------------------------------------------------

const time = (duration: Duration.DurationInput): string => {
  const decoded = Duration.decode(duration)
  return Duration.isFinite(decoded) ? Duration.format(decoded) : "for ever"
}

const percent = (share: number): string => `${Number((share * 100).toFixed(2))} %`

const counted = (count: number, one: string, many: string): string =>
  `${count} ${count === 1 ? one : many}`

const jitters: Readonly<Record<Backoff.Jitter["_tag"], string>> = {
  None: "no jitter",
  Full: "full jitter",
  Equal: "equal jitter",
  Additive: "additive jitter"
}

const backoffSays = (backoff: Backoff.Backoff): string => {
  switch (backoff._tag) {
    case "Constant":
      return `${time(backoff.delay)} apart, ${jitters[backoff.jitter._tag]}`
    case "Linear":
      return `linear from ${time(backoff.base)}, at most ${time(backoff.cap)}, ${
        jitters[backoff.jitter._tag]
      }`
    case "Exponential":
      return `exponential from ${time(backoff.base)}, times ${backoff.factor}, at most ${
        time(backoff.cap)
      }, ${jitters[backoff.jitter._tag]}`
    case "Decorrelated":
      return `decorrelated from ${time(backoff.base)}, at most ${time(backoff.cap)}`
  }
}

const retryOf = ({ retry }: Stages) =>
  retry === undefined ? undefined : {
    retries: retry.retries ?? Retry.defaults.retries,
    backoff: retry.backoff ?? Retry.defaults.backoff,
    within: retry.within === undefined ? Duration.infinity : Duration.decode(retry.within),
    retryAfterCap: Duration.decode(retry.retryAfterCap ?? Retry.defaults.retryAfterCap),
    beyondCap: retry.beyondCap ?? Retry.defaults.beyondCap,
    waitForRejections: retry.waitForRejections ?? Retry.defaults.waitForRejections
  }

const retryLine = (stages: Stages): ReadonlyArray<Line> => {
  const retry = retryOf(stages)
  if (retry === undefined) return []
  const { backoff, beyondCap, retries, retryAfterCap, waitForRejections, within } = retry
  const beyond = beyondCap === "fail" ? "gives up beyond that" : "waits no longer than that"
  return [{
    name: "retry",
    says: [
      `up to ${counted(retries, "retry", "retries")}, ${backoffSays(backoff)}`,
      `waits for Retry-After up to ${time(retryAfterCap)}, ${beyond}`,
      ...(Duration.isFinite(within)
        ? [`begins none later than ${time(within)} after the start`]
        : []),
      ...(waitForRejections ? ["waits for the guards too"] : [])
    ].join("; ")
  }]
}

/** What a budget was made with; none for one that somebody else made. */
const budgetOf = ({ budget }: Stages) => {
  const options = budget === undefined ? undefined : optionsOf<RetryBudget.Options>(budget)
  return options === undefined ? undefined : {
    ratio: options.ratio ?? RetryBudget.defaults.ratio,
    capacity: options.capacity ?? RetryBudget.defaults.capacity,
    reservePerSecond: options.reservePerSecond ?? RetryBudget.defaults.reservePerSecond
  }
}

const budgetLine = (stages: Stages): ReadonlyArray<Line> => {
  if (stages.budget === undefined) return []
  const budget = budgetOf(stages)
  return [{
    name: "budget",
    says: budget === undefined
      ? "pays for the retries, as it was made, shared with others"
      : `a success pays for ${budget.ratio} retries, ${budget.reservePerSecond} a second flow in, at most ${budget.capacity} are saved up`
  }]
}

const isHedged = ({ operation }: Stages): boolean => operation._tag !== "Once"

const hedgesOf = (stages: Stages): number =>
  stages.hedge === undefined || !isHedged(stages) ? 0 : stages.hedge.hedges ?? Hedge.defaults.hedges

const isQuantile = (delay: Hedge.Options["delay"]): delay is Hedge.Quantile =>
  typeof delay === "object" && "_tag" in delay && delay._tag === "Quantile"

/** The longest delay there can be before a hedge. */
const hedgeDelayOf = ({ hedge }: Stages): Duration.Duration => {
  if (hedge === undefined) return Duration.infinity
  return isQuantile(hedge.delay)
    ? Duration.max(hedge.delay.atMost, hedge.delay.initial)
    : Duration.decode(hedge.delay)
}

const hedgeLine = (stages: Stages): ReadonlyArray<Line> => {
  const { hedge } = stages
  if (hedge === undefined) return []
  if (!isHedged(stages)) return [{ name: "hedge", says: "none: the operation must not run twice" }]
  const { delay } = hedge
  const after = isQuantile(delay)
    ? `when an attempt is slower than ${percent(delay.quantile)} of the others`
    : `every ${time(delay)} that an attempt has not answered`
  return [{
    name: "hedge",
    says: `up to ${counted(hedgesOf(stages), "further request", "further requests")}, ${after}`
  }]
}

const openSays = (open: Duration.DurationInput | Backoff.Backoff): string =>
  typeof open === "object" && "_tag" in open ? backoffSays(open) : time(open)

const breakerLine = ({ circuitBreaker }: Stages): ReadonlyArray<Line> => {
  if (circuitBreaker === undefined) return []
  const options = optionsOf<CircuitBreaker.Options>(circuitBreaker)
  if (options === undefined) {
    return [{ name: "circuit breaker", says: "as it was made, shared with others" }]
  }
  const { defaults } = CircuitBreaker
  const window = options.window ?? defaults.window
  const minimum = options.minimumCalls ??
    Math.min(defaults.minimumCalls, window._tag === "Count" ? window.size : Infinity)
  const slow = options.slowCall ?? defaults.slowCall
  const seen = window._tag === "Count"
    ? `of the last ${window.size} attempts`
    : `of the attempts of ${time(window.duration)}`
  return [{
    name: "circuit breaker",
    says: `opens for ${openSays(options.openDuration ?? defaults.openDuration)} when ${
      percent(options.failureRate ?? defaults.failureRate)
    } ${seen} (at least ${minimum}) failed${
      slow === false ? "" : ` or ${percent(slow.rate)} were slower than ${time(slow.duration)}`
    }`
  }]
}

const waitSays = (wait: Duration.DurationInput): string =>
  Duration.isFinite(Duration.decode(wait)) ? `at most ${time(wait)}` : "as long as it takes"

const limiterWait = ({ rateLimiter }: Stages): Duration.Duration => {
  if (rateLimiter === undefined) return Duration.zero
  const options = optionsOf<RateLimiter.Options>(rateLimiter)
  if (options === undefined) return Duration.infinity
  return options.mode === "reject"
    ? Duration.zero
    : Duration.decode(options.maxWait ?? RateLimiter.defaults.maxWait)
}

const limiterLine = (stages: Stages): ReadonlyArray<Line> => {
  if (stages.rateLimiter === undefined) return []
  const options = optionsOf<RateLimiter.Options>(stages.rateLimiter)
  if (options?.limit === undefined || options.interval === undefined) {
    return [{ name: "rate limiter", says: "as it was made, shared with others" }]
  }
  const { burst = options.limit, interval, limit, mode } = options
  const early = mode === "reject"
    ? "turns away who comes early"
    : `waits ${waitSays(limiterWait(stages))} for its turn`
  return [{
    name: "rate limiter",
    says: `${limit} in ${time(interval)}, ${burst} at once; ${early}`
  }]
}

const bulkheadWait = ({ bulkhead }: Stages): Duration.Duration => {
  if (bulkhead === undefined) return Duration.zero
  const options = optionsOf<Bulkhead.Options>(bulkhead)
  if (options === undefined) return Duration.infinity
  return (options.queue ?? Bulkhead.defaults.queue) === 0
    ? Duration.zero
    : Duration.decode(options.maxWait ?? Bulkhead.defaults.maxWait)
}

const bulkheadLine = (stages: Stages): ReadonlyArray<Line> => {
  if (stages.bulkhead === undefined) return []
  const options = optionsOf<Bulkhead.Options>(stages.bulkhead)
  if (options?.concurrency === undefined) {
    return [{ name: "bulkhead", says: "as it was made, shared with others" }]
  }
  const queue = options.queue ?? Bulkhead.defaults.queue
  const waiting = queue === 0
    ? "turns away the rest"
    : `${queue} more wait, ${waitSays(bulkheadWait(stages))}`
  return [{ name: "bulkhead", says: `${options.concurrency} at a time; ${waiting}` }]
}

const throttleLine = ({ throttle }: Stages): ReadonlyArray<Line> => {
  if (throttle === undefined) return []
  const { defaults } = AdaptiveThrottle
  const options = optionsOf<AdaptiveThrottle.Options>(throttle)
  const most = percent(options?.maxRejection ?? defaults.maxRejection)
  const times = options?.multiplier ?? defaults.multiplier
  const window = time(options?.window ?? defaults.window)
  return [{
    name: "throttle",
    says:
      `turns away up to ${most} when more than ${times} times as many were sent as were accepted, in ${window}`
  }]
}

const concurrencyLine = ({ concurrency }: Stages): ReadonlyArray<Line> => {
  if (concurrency === undefined) return []
  const limit = optionsOf<AdaptiveConcurrency.Options>(concurrency)?.limit ??
    AdaptiveConcurrency.aimd()
  return [{
    name: "concurrency",
    says: `learns how many run at once, from ${limit.min} to ${limit.max}; turns away the rest`
  }]
}

const cooldownWait = ({ cooldown }: Stages): Duration.Duration => {
  if (cooldown === undefined) return Duration.zero
  const options = optionsOf<Cooldown.Options>(cooldown)
  if (options === undefined) return Duration.infinity
  return options.mode === "reject"
    ? Duration.zero
    : Duration.decode(options.maxWait ?? Cooldown.defaults.maxWait)
}

const cooldownLine = (stages: Stages): ReadonlyArray<Line> => {
  if (stages.cooldown === undefined) return []
  const wait = cooldownWait(stages)
  const says = Duration.equals(wait, Duration.zero)
    ? "turns away until Retry-After has passed"
    : `waits ${waitSays(wait)} until Retry-After has passed`
  return [{ name: "cooldown", says }]
}

const chaosLine = ({ chaos }: Stages): ReadonlyArray<Line> =>
  chaos === undefined ? [] : [{ name: "chaos", says: "injects faults where that is enabled" }]

const timeoutLine = (
  name: string,
  duration: Duration.DurationInput | undefined,
  what: string
): ReadonlyArray<Line> =>
  duration === undefined ? [] : [{ name, says: `${time(duration)} ${what}` }]

const operations: Readonly<Record<Operation.Operation["_tag"], string>> = {
  Read: "a read: it changes nothing",
  Idempotent: "idempotent: twice is the same as once",
  Keyed:
    "keyed: it may change something, under one idempotency key that is the same on every attempt",
  Once: "once: it may change something, and nobody would recognise a repeat"
}

const telemetryLine = ({ telemetry }: Stages): ReadonlyArray<Line> =>
  telemetry === undefined
    ? []
    : [{ name: "telemetry", says: `counts, traces and logs as ${telemetry.integration}` }]

/** All stages that are there, outermost first. */
const linesOf = (stages: Stages): ReadonlyArray<Line> => [
  ...telemetryLine(stages),
  ...timeoutLine(
    "total timeout",
    stages.totalTimeout,
    "for the whole call, waits and all attempts included"
  ),
  ...retryLine(stages),
  ...budgetLine(stages),
  ...hedgeLine(stages),
  ...breakerLine(stages),
  ...throttleLine(stages),
  ...limiterLine(stages),
  ...bulkheadLine(stages),
  ...concurrencyLine(stages),
  ...cooldownLine(stages),
  ...timeoutLine("attempt timeout", stages.attemptTimeout, "for each attempt"),
  ...chaosLine(stages)
]

// -----------------------------------------------------------------------------
// the worst case
// -----------------------------------------------------------------------------

const millisOf = (duration: Duration.DurationInput | undefined): number =>
  duration === undefined ? Infinity : Duration.toMillis(duration)

const worstCaseOf = (stages: Stages): WorstCase.WorstCase => {
  const retry = retryOf(stages)
  return WorstCase.worstCase({
    retries: retry?.retries ?? 0,
    backoff: Backoff.toCore(retry?.backoff ?? Retry.defaults.backoff),
    retryAfterCapMillis: millisOf(retry?.retryAfterCap),
    withinMillis: millisOf(retry?.within),
    totalMillis: millisOf(stages.totalTimeout),
    hedges: hedgesOf(stages),
    hedgeDelayMillis: Duration.toMillis(hedgeDelayOf(stages)),
    queueMillis: [limiterWait, bulkheadWait, cooldownWait].reduce(
      (sum, wait) => sum + Duration.toMillis(wait(stages)),
      0
    ),
    attemptMillis: millisOf(stages.attemptTimeout)
  })
}

// -----------------------------------------------------------------------------
// the whole
// -----------------------------------------------------------------------------

const retried = (stages: Stages): ReadonlyArray<string> => {
  if (stages.retry === undefined) return ["Nothing is retried."]
  if (stages.retry.verdict !== undefined) return ["Retried: what the policy's own verdict says."]
  const unexecuted =
    "429, 408, 425, a key that is still in flight, a connection that was never made"
  return stages.operation._tag === "Once"
    ? [
      `Retried: only what was certainly not executed (${unexecuted}).`,
      "Not retried: time-outs, broken connections, 5xx and every other 4xx."
    ]
    : [
      `Retried: ${unexecuted}, time-outs of an attempt, broken connections, 500, 502, 503, 504.`,
      "Not retried: every other 4xx, 501, 505, the total time-out."
    ]
}

const amplification = (stages: Stages, { calls }: WorstCase.WorstCase): string => {
  const budget = budgetOf(stages)
  if (budget === undefined) {
    return `When everything fails: ${counted(calls, "request", "requests")} for each call.`
  }
  const { capacity, reservePerSecond } = budget
  return `When everything fails: 1 request for each call, and ${reservePerSecond} more a second for all of them together, ` +
    `once the ${capacity} saved up are spent.`
}

const padded = (lines: ReadonlyArray<Line>): ReadonlyArray<string> => {
  const width = Math.max(...lines.map(({ name }) => name.length))
  return lines.map(({ name, says }) => `  ${name.padEnd(width)}  ${says}`)
}

const textOf = (stages: Stages, lines: ReadonlyArray<Line>, worst: WorstCase.WorstCase): string =>
  [
    `The operation is ${operations[stages.operation._tag]}.`,
    ...(lines.length === 0
      ? ["No stages: one attempt, without a limit."]
      : ["Outermost first:", ...padded(lines)]),
    ...retried(stages),
    `Worst case of one call: ${counted(worst.calls, "request", "requests")}, ${
      worst.millis === Infinity ? "no limit of time" : time(worst.millis)
    }.`,
    amplification(stages, worst)
  ].join("\n")

const label = (text: string): string => text.replaceAll("\"", "#quot;")

const mermaidOf = (lines: ReadonlyArray<Line>): string => {
  const nodes = [...lines, { name: "call", says: "" }].map(({ name, says }, index) =>
    `  s${index}["${label(name)}${says === "" ? "" : `<br>${label(says)}`}"]`
  )
  const arrows = lines.map((_, index) => `  s${index} --> s${index + 1}`)
  return ["flowchart TD", ...nodes, ...arrows].join("\n")
}

/**
 * What a pipeline of these stages does, and what one call through it costs at worst. The stages
 * have to be ones that `make` accepts.
 *
 * @since 0.1.0
 * @category rendering
 */
export const describe = (stages: Stages): Description => {
  const lines = linesOf(stages)
  const worst = worstCaseOf(stages)
  return {
    text: textOf(stages, lines, worst),
    mermaid: mermaidOf(lines),
    worstCaseCalls: worst.calls,
    worstCaseTime: Duration.millis(worst.millis)
  }
}
