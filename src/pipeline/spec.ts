/**
 * Pipelines in JSON: what a configuration file may say of each stage, read into the options that
 * code would write.
 *
 * Nonsense in one stage is found by building that stage, so code and JSON are refused for the same
 * reasons in the same words; nonsense between stages by the checks that `Pipeline.make` makes. What
 * only code can say (a `verdict`, a `classify`, an instance, chaos) is not part of it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as AdaptiveConcurrency from "../policies/AdaptiveConcurrency.js"
import * as AdaptiveThrottle from "../policies/AdaptiveThrottle.js"
import * as Backoff from "../retry/Backoff.js"
import * as Bulkhead from "../policies/Bulkhead.js"
import * as Check from "../runtime/validate.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Cooldown from "../policies/Cooldown.js"
import * as DurationSchema from "../runtime/durationSchema.js"
import * as Hedge from "../policies/Hedge.js"
import * as Operation from "../idempotency/Operation.js"
import { contradictions } from "./checks.js"
import * as RateLimiter from "../policies/RateLimiter.js"
import * as Retry from "../retry/Retry.js"
import * as RetryBudget from "../retry/RetryBudget.js"
import * as Telemetry from "../observability/Telemetry.js"

// -----------------------------------------------------------------------------
// fields
// -----------------------------------------------------------------------------

/** Only the name has to fit here: whether the number does is found when the stage is built. */
const integer = (minimum: number) =>
  Schema.Number.annotations({ jsonSchema: { type: "integer", minimum } })

const share = Schema.Number.annotations({
  jsonSchema: { type: "number", exclusiveMinimum: 0, maximum: 1 }
})

const amount = Schema.Number.annotations({ jsonSchema: { type: "number", minimum: 0 } })

const duration = (field: string) => DurationSchema.read(field, Check.duration)

const positive = (field: string) => DurationSchema.read(field, Check.positiveDuration)

/** A struct in which a field that is not known is an error. The title is what errors call it. */
const strict = <const Fields extends Schema.Struct.Fields>(title: string, fields: Fields) =>
  Schema.Struct(fields).annotations({ title, parseOptions: { onExcessProperty: "error" } })

/** A check names the field it refuses first, with its path inside the stage. */
const issueOf = (message: string) => ({
  path: /^[\w.]+/.exec(message)?.[0].split(".") ?? [],
  message
})

const refusalOf = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  return issueOf(error instanceof RangeError ? error.message : String(error))
}

/** Options with which the stage can be built. */
const buildable =
  <O>(title: string, make: (options: O) => Effect.Effect<unknown>) =>
  <A extends O, I>(schema: Schema.Schema<A, I>) =>
    Schema.filterEffect(schema, (options) =>
      Effect.matchCause(make(options), {
        onFailure: refusalOf,
        onSuccess: () => true as const
      })).annotations({ title })

// -----------------------------------------------------------------------------
// stages
// -----------------------------------------------------------------------------

const operations = {
  read: Operation.read,
  idempotent: Operation.idempotent,
  keyed: Operation.keyed,
  once: Operation.once
} as const

type Name = keyof typeof operations

const isOperation = (u: unknown): u is Operation.Operation<unknown> =>
  Object.values<unknown>(operations).includes(u)

const OperationName = Schema.transform(
  Schema.Literal("read", "idempotent", "keyed", "once"),
  Schema.declare(isOperation, { identifier: "Operation" }),
  {
    strict: true,
    decode: (name) => operations[name],
    encode: ({ _tag }) => _tag.toLowerCase() as Name
  }
)

const TelemetrySpec = strict("telemetry options", {
  integration: Schema.String,
  environment: Schema.optional(Schema.String),
  spans: Schema.optional(Schema.Boolean),
  logs: Schema.optional(
    Schema.Literal("Fatal", "Error", "Warning", "Info", "Debug", "Trace", false)
  ),
  maxEndpoints: Schema.optional(integer(0))
}).pipe(buildable("telemetry", Telemetry.make))

const RetrySpec = strict("retry options", {
  retries: Schema.optional(integer(0)),
  backoff: Schema.optional(Backoff.Backoff),
  within: Schema.optional(duration("within")),
  retryAfterCap: Schema.optional(duration("retryAfterCap")),
  beyondCap: Schema.optional(Schema.Literal("fail", "clamp")),
  waitForRejections: Schema.optional(Schema.Boolean)
}).pipe(
  buildable(
    "retry",
    (retry: Omit<Retry.Base, "operation">) =>
      Effect.sync(() => Retry.check({ ...retry, operation: Operation.read }))
  )
)

const BudgetSpec = strict("budget options", {
  ratio: Schema.optional(amount),
  capacity: Schema.optional(amount),
  reservePerSecond: Schema.optional(amount)
}).pipe(buildable("budget", RetryBudget.make))

const BreakerSpec = strict("circuitBreaker options", {
  window: Schema.optional(
    Schema.Union(
      Schema.TaggedStruct("Count", { size: integer(1) }),
      Schema.TaggedStruct("Time", { duration: positive("window.duration"), buckets: integer(1) })
    )
  ),
  minimumCalls: Schema.optional(integer(1)),
  failureRate: Schema.optional(share),
  slowCall: Schema.optional(
    Schema.Union(
      Schema.Literal(false),
      strict("slowCall", { duration: positive("slowCall.duration"), rate: share })
    )
  ),
  openDuration: Schema.optional(Schema.Union(positive("openDuration"), Backoff.Backoff)),
  maxOpenDuration: Schema.optional(positive("maxOpenDuration")),
  halfOpen: Schema.optional(
    Schema.Union(
      Schema.TaggedStruct("Consecutive", { trials: integer(1) }),
      Schema.TaggedStruct("Rate", { trials: integer(1), threshold: share })
    )
  ),
  trialTimeout: Schema.optional(positive("trialTimeout")),
  idleTimeToLive: Schema.optional(positive("idleTimeToLive"))
}).pipe(buildable("circuitBreaker", CircuitBreaker.make))

const RateLimiterSpec = strict("rateLimiter options", {
  limit: integer(1),
  interval: positive("interval"),
  burst: Schema.optional(integer(1)),
  mode: Schema.optional(Schema.Literal("wait", "reject")),
  maxWait: Schema.optional(duration("maxWait"))
}).pipe(buildable("rateLimiter", RateLimiter.make))

const BulkheadSpec = strict("bulkhead options", {
  concurrency: integer(1),
  queue: Schema.optional(integer(0)),
  maxWait: Schema.optional(duration("maxWait"))
}).pipe(buildable("bulkhead", Bulkhead.make))

const ThrottleSpec = strict("throttle options", {
  multiplier: Schema.optional(amount),
  window: Schema.optional(positive("window")),
  minimumCalls: Schema.optional(integer(0)),
  maxRejection: Schema.optional(share),
  idleTimeToLive: Schema.optional(positive("idleTimeToLive"))
}).pipe(buildable("throttle", AdaptiveThrottle.make))

/**
 * What a constructor makes of what is written. Made, it says all of it, so it is written as it is.
 */
const madeBy = <A, I, B extends A>(
  written: Schema.Schema<A, I>,
  isMade: (u: unknown) => u is B,
  make: (written: A) => B
): Schema.Schema<B, I> =>
  Schema.transformOrFail(written, Schema.declare(isMade), {
    strict: true,
    decode: (options, _, ast) =>
      ParseResult.try({
        try: () => make(options),
        catch: (error) =>
          new ParseResult.Type(
            ast,
            options,
            error instanceof RangeError ? error.message : undefined
          )
      }),
    encode: (made) => ParseResult.succeed(made)
  })

const hasTag = <B extends { readonly _tag: string }>(tag: B["_tag"]) => (u: unknown): u is B =>
  typeof u === "object" && u !== null && "_tag" in u && u._tag === tag

const QuantileSpec = madeBy(
  Schema.TaggedStruct("Quantile", {
    quantile: share,
    atLeast: Schema.optional(duration("atLeast")),
    atMost: Schema.optional(duration("atMost")),
    initial: Schema.optional(duration("initial")),
    samples: Schema.optional(integer(1)),
    minimumCalls: Schema.optional(integer(1))
  }),
  hasTag<Hedge.Quantile>("Quantile"),
  ({ quantile, ...options }) => Hedge.quantile(quantile, options)
)

const HedgeSpec = strict("hedge options", {
  delay: Schema.Union(positive("delay"), QuantileSpec),
  hedges: Schema.optional(integer(1))
}).pipe(
  buildable(
    "hedge",
    (hedge: Omit<Hedge.Options, "operation">) => Hedge.make({ ...hedge, operation: Operation.read })
  )
)

const bounds = {
  initial: Schema.optional(integer(1)),
  min: Schema.optional(integer(1)),
  max: Schema.optional(integer(1)),
  backoffRatio: Schema.optional(share)
}

type LimitOf<Tag extends AdaptiveConcurrency.Limit["_tag"]> = Extract<
  AdaptiveConcurrency.Limit,
  { readonly _tag: Tag }
>

const LimitSpec = Schema.Union(
  madeBy(
    Schema.TaggedStruct("Aimd", { ...bounds, timeout: Schema.optional(positive("timeout")) }),
    hasTag<LimitOf<"Aimd">>("Aimd"),
    (options) => AdaptiveConcurrency.aimd(options) as LimitOf<"Aimd">
  ),
  madeBy(
    Schema.TaggedStruct("Gradient", {
      ...bounds,
      smoothing: Schema.optional(share),
      tolerance: Schema.optional(amount),
      headroom: Schema.optional(amount),
      longWindow: Schema.optional(integer(1)),
      shortWindow: Schema.optional(integer(1))
    }),
    hasTag<LimitOf<"Gradient">>("Gradient"),
    (options) => AdaptiveConcurrency.gradient(options) as LimitOf<"Gradient">
  )
)

const ConcurrencySpec = strict("concurrency options", {
  limit: Schema.optional(LimitSpec),
  idleTimeToLive: Schema.optional(positive("idleTimeToLive"))
}).pipe(buildable("concurrency", AdaptiveConcurrency.make))

const CooldownSpec = strict("cooldown options", {
  mode: Schema.optional(Schema.Literal("wait", "reject")),
  maxWait: Schema.optional(duration("maxWait")),
  cap: Schema.optional(positive("cap")),
  trialTimeout: Schema.optional(positive("trialTimeout"))
}).pipe(buildable("cooldown", Cooldown.make))

// -----------------------------------------------------------------------------
// the whole
// -----------------------------------------------------------------------------

const Fields = strict("pipeline", {
  operation: Schema.optionalWith(OperationName, { default: () => Operation.keyed }),
  telemetry: Schema.optional(TelemetrySpec),
  totalTimeout: Schema.optional(positive("totalTimeout")),
  retry: Schema.optional(RetrySpec),
  budget: Schema.optional(BudgetSpec),
  hedge: Schema.optional(HedgeSpec),
  circuitBreaker: Schema.optional(BreakerSpec),
  throttle: Schema.optional(ThrottleSpec),
  rateLimiter: Schema.optional(RateLimiterSpec),
  bulkhead: Schema.optional(BulkheadSpec),
  concurrency: Schema.optional(ConcurrencySpec),
  cooldown: Schema.optional(CooldownSpec),
  attemptTimeout: Schema.optional(positive("attemptTimeout"))
})

/**
 * A pipeline in JSON. Decoding gives `Stages`, encoding writes them back.
 *
 * **Details**
 *
 * Durations are written as in code (`"10 seconds"`) or as a number of milliseconds, the operation
 * as `"read"`, `"idempotent"`, `"keyed"` or `"once"`; without one it is `"keyed"`, which demands a
 * key. A field that is not known, a value that is nonsense and two values that contradict each
 * other fail with a `ParseError` that names the path and the values.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Spec = Fields.pipe(
  Schema.filter((stages): ReadonlyArray<Schema.FilterIssue> => contradictions(stages), {
    title: "a pipeline without contradictions"
  })
)
