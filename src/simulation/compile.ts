/**
 * Brings the stages of a pipeline into plain numbers, for the machine that simulates calls.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type * as Core from "../core/call.js"
import type * as Concurrency from "../core/concurrency.js"
import type * as Pipeline from "../pipeline/Pipeline.js"
import * as AdaptiveConcurrency from "../policies/AdaptiveConcurrency.js"
import * as AdaptiveThrottle from "../policies/AdaptiveThrottle.js"
import * as Bulkhead from "../policies/Bulkhead.js"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import { policyOf as circuitPolicyOf } from "../policies/circuitBreaker/options.js"
import * as Cooldown from "../policies/Cooldown.js"
import * as Hedge from "../policies/Hedge.js"
import * as RateLimiter from "../policies/RateLimiter.js"
import { policyFor } from "../retry/policy.js"
import * as RetryBudget from "../retry/RetryBudget.js"
import { behindOf, isInstance, optionsOf } from "../runtime/instances.js"
import { byDefault, meanings } from "./samples.js"

/** The stages in plain numbers, and what a reader of the result has to know. */
export interface Compiled {
  readonly stages: Core.Stages
  readonly warnings: ReadonlyArray<string>
}

/** Stages that leave calls as they are, or whose faults come from the scenario. */
const passed: Readonly<Record<string, string>> = {
  telemetry: "telemetry is not simulated: it changes no call",
  chaos: "chaos is not simulated: the faults of the scenario apply"
}

const simulated: ReadonlySet<string> = new Set([
  "operation",
  "totalTimeout",
  "retry",
  "budget",
  "hedge",
  "circuitBreaker",
  "throttle",
  "rateLimiter",
  "bulkhead",
  "concurrency",
  "cooldown",
  "attemptTimeout"
])

const millis = (duration: Duration.DurationInput): number =>
  Duration.toMillis(Duration.decode(duration))

const isShared = (guard: object): boolean => behindOf(guard)?.sharedAs !== undefined

/**
 * The options of a guard, which may be given as an instance. Throws for an instance that was made
 * elsewhere.
 */
const given = <O extends object>(
  name: string,
  guard: object | undefined,
  warnings: Array<string>
): O | undefined => {
  if (guard === undefined) return undefined
  const options = optionsOf<O>(guard)
  if (options === undefined) {
    throw new RangeError(`${name} should be made by this library, got an instance made elsewhere`)
  }
  if (isInstance(guard)) {
    warnings.push(
      isShared(guard)
        ? `${name} is shared by a fleet: it is simulated as one of all processes, without the ` +
          "time that their exchange takes"
        : `${name} is an instance: it is simulated by its options, from a fresh state`
    )
  }
  // Options of this guard are behind every instance of it.
  return options as O
}

const concurrencyOf = (
  options: AdaptiveConcurrency.Options | undefined
): Concurrency.Policy | undefined => {
  if (options === undefined) return undefined
  const limit = options.limit ?? AdaptiveConcurrency.aimd()
  if (limit._tag === "Gradient") return limit
  const { timeout, ...rest } = limit
  return { ...rest, timeoutMillis: Duration.toMillis(timeout) }
}

const limiterOf = (options: RateLimiter.Options | undefined): Core.Stages["limiter"] => {
  if (options === undefined) return undefined
  const isRejecting = (options.mode ?? RateLimiter.defaults.mode) === "reject"
  const maxWait = Duration.decode(options.maxWait ?? RateLimiter.defaults.maxWait)
  return {
    policy: {
      limit: BigInt(options.limit),
      intervalNanos: Duration.unsafeToNanos(options.interval),
      burst: options.burst ?? options.limit
    },
    maxWaitNanos: isRejecting ? 0n : Option.getOrUndefined(Duration.toNanos(maxWait))
  }
}

const cooldownOf = (options: Cooldown.Options | undefined): Core.Stages["cooldown"] => {
  if (options === undefined) return undefined
  const { defaults } = Cooldown
  const isRejecting = (options.mode ?? defaults.mode) === "reject"
  return {
    policy: {
      capMillis: millis(options.cap ?? defaults.cap),
      trialMillis: millis(options.trialTimeout ?? defaults.trialTimeout)
    },
    maxWaitMillis: isRejecting ? 0 : millis(options.maxWait ?? defaults.maxWait)
  }
}

const throttleOf = (options: AdaptiveThrottle.Options | undefined): Core.Stages["throttle"] => {
  if (options === undefined) return undefined
  const { defaults } = AdaptiveThrottle
  return {
    policy: {
      multiplier: options.multiplier ?? defaults.multiplier,
      minimumCalls: options.minimumCalls ?? defaults.minimumCalls,
      maxRejection: options.maxRejection ?? defaults.maxRejection
    },
    windowMillis: millis(options.window ?? defaults.window),
    buckets: 8
  }
}

const bulkheadOf = (options: Bulkhead.Options | undefined): Core.Stages["bulkhead"] =>
  options && {
    limits: {
      concurrency: options.concurrency,
      queue: options.queue ?? Bulkhead.defaults.queue
    },
    maxWaitMillis: millis(options.maxWait ?? Bulkhead.defaults.maxWait),
    isPerKey: options.perKey ?? Bulkhead.defaults.perKey
  }

const budgetOf = (options: RetryBudget.Options | undefined): Core.Stages["budget"] =>
  options && {
    bucket: {
      capacity: options.capacity ?? RetryBudget.defaults.capacity,
      perSecond: options.reservePerSecond ?? RetryBudget.defaults.reservePerSecond
    },
    ratio: options.ratio ?? RetryBudget.defaults.ratio
  }

const hedgeOf = ({ hedge, operation }: Pipeline.Stages): Core.Stages["hedge"] => {
  if (hedge === undefined || operation._tag === "Once") return undefined
  const hedges = hedge.hedges ?? Hedge.defaults.hedges
  const { delay } = hedge
  if (typeof delay !== "object" || !("_tag" in delay) || delay._tag !== "Quantile") {
    return { hedges, delay: { _tag: "Fixed", millis: millis(delay as Duration.DurationInput) } }
  }
  return {
    hedges,
    delay: {
      _tag: "Quantile",
      quantile: delay.quantile,
      atLeastMillis: millis(delay.atLeast),
      atMostMillis: millis(delay.atMost),
      initialMillis: millis(delay.initial),
      samples: delay.samples,
      minimumCalls: delay.minimumCalls
    }
  }
}

const retryOf = (
  { operation, retry }: Pipeline.Stages,
  totalMillis: number
): Core.Stages["retry"] => {
  if (retry === undefined) return undefined
  const policy = policyFor({ ...retry, operation })
  return { ...policy, withinMillis: Math.min(policy.withinMillis, totalMillis) }
}

/** What an upstream answers that is overloaded or down. */
export const usualStatuses: ReadonlyArray<number> = [429, 500, 502, 503, 504]

/** The guards that a fleet shares. */
const commonOf = (stages: Pipeline.Stages): ReadonlySet<Core.Common> => {
  const { bulkhead, circuitBreaker, cooldown, rateLimiter } = stages
  const guards = [
    ["circuit", circuitBreaker],
    ["limiter", rateLimiter],
    ["bulkhead", bulkhead],
    ["cooldown", cooldown]
  ] as const
  return new Set(
    guards.flatMap(([name, guard]) => guard !== undefined && isShared(guard) ? [name] : [])
  )
}

/**
 * Compiles valid stages for an upstream that answers with these statuses. Throws a `RangeError` for
 * a stage that is not simulated.
 */
export const compile = (
  stages: Pipeline.Stages,
  statuses: ReadonlyArray<number> = usualStatuses
): Compiled => {
  const warnings: Array<string> = []
  const inCommon = commonOf(stages)
  for (const [name, value] of Object.entries(stages)) {
    if (value === undefined || simulated.has(name)) continue
    const warning = passed[name]
    if (warning === undefined) throw new RangeError(`${name} should be a stage that is simulated`)
    warnings.push(warning)
  }
  const breaker = given<CircuitBreaker.Options>("circuitBreaker", stages.circuitBreaker, warnings)
  const throttle = given<AdaptiveThrottle.Options>("throttle", stages.throttle, warnings)
  const concurrency = given<AdaptiveConcurrency.Options>(
    "concurrency",
    stages.concurrency,
    warnings
  )
  const bulkhead = given<Bulkhead.Options>("bulkhead", stages.bulkhead, warnings)
  const totalMillis = stages.totalTimeout === undefined ? Infinity : millis(stages.totalTimeout)
  return {
    warnings,
    stages: {
      totalMillis,
      attemptMillis: stages.attemptTimeout === undefined ? Infinity : millis(stages.attemptTimeout),
      retry: retryOf(stages, totalMillis),
      budget: budgetOf(given("budget", stages.budget, warnings)),
      hedge: hedgeOf(stages),
      circuit: breaker && circuitPolicyOf(breaker),
      throttle: throttleOf(throttle),
      limiter: limiterOf(given("rateLimiter", stages.rateLimiter, warnings)),
      bulkhead: bulkheadOf(bulkhead),
      concurrency: concurrencyOf(concurrency),
      cooldown: cooldownOf(given("cooldown", stages.cooldown, warnings)),
      inCommon: inCommon.size === 0 ? undefined : inCommon,
      meanings: meanings({
        operation: stages.operation,
        verdict: stages.retry?.verdict ?? byDefault.verdict,
        circuit: breaker?.classify ?? byDefault.circuit,
        throttle: throttle?.classify ?? byDefault.throttle,
        concurrency: concurrency?.classify ?? byDefault.concurrency
      }, statuses)
    }
  }
}
