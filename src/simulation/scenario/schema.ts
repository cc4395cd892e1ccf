/**
 * A scenario as it is written: the fields, and what each of them may be on its own.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import {
  amount,
  duration as possiblyInfinite,
  integer,
  positive as positivePossiblyInfinite,
  strict
} from "../../runtime/optionSchema.js"

/** Nothing in a scenario takes for ever: a run would not end, or would tell nothing. */
const finite = <I>(schema: Schema.Schema<Duration.Duration, I>) =>
  schema.pipe(
    Schema.filter((duration) =>
      Duration.isFinite(duration) || "should be a finite duration, got Infinity"
    )
  )

const duration = (field: string) => finite(possiblyInfinite(field))

const positive = (field: string) => finite(positivePossiblyInfinite(field))

const tagged = <const Tag extends string, const Fields extends Schema.Struct.Fields>(
  tag: Tag,
  fields: Fields
) =>
  Schema.TaggedStruct(tag, fields).annotations({
    title: tag,
    parseOptions: { onExcessProperty: "error" }
  })

const share = Schema.Number.pipe(Schema.between(0, 1, {
  message: ({ actual }) => `should be from 0 to 1, got ${String(actual)}`
}))

const above = (minimum: number) =>
  Schema.Number.pipe(
    Schema.filter((value) =>
      Number.isFinite(value) && value > minimum
        ? undefined
        : `should be a number above ${minimum}, got ${value}`
    )
  )

const whole = (minimum: number) =>
  integer(minimum).pipe(
    Schema.filter((value) =>
      Number.isSafeInteger(value) && value >= minimum
        ? undefined
        : `should be a whole number from ${minimum} on, got ${value}`
    )
  )

const notNegative = amount.pipe(
  Schema.filter((value) =>
    Number.isFinite(value) && value >= 0
      ? undefined
      : `should be a number from 0 on, got ${value}`
  )
)

/** Latencies are durations. */
export const Time = Schema.Union(
  tagged("Constant", { value: duration("value") }),
  tagged("Uniform", { min: duration("min"), max: duration("max") }),
  tagged("Exponential", { mean: positive("mean") }),
  tagged("LogNormal", { p50: positive("p50"), p99: positive("p99") }),
  tagged("Pareto", { min: positive("min"), alpha: above(1) }),
  tagged("Weibull", { scale: positive("scale"), shape: above(0) }),
  tagged("Hyper", {
    branches: Schema.NonEmptyArray(
      strict("branch", { weight: above(0), mean: positive("mean") })
    )
  }),
  tagged("Empirical", { values: Schema.NonEmptyArray(duration("values")) })
)

const window = { from: duration("from"), to: duration("to") }

export const Arrivals = Schema.Union(
  tagged("Poisson", { perSecond: above(0) }),
  tagged("Constant", { perSecond: above(0) }),
  tagged("Closed", { clients: whole(1), think: Time }),
  tagged("Trace", { at: Schema.NonEmptyArray(duration("at")) })
)

export const Capacity = Schema.Union(
  tagged("Unlimited", {}),
  tagged("Workers", {
    workers: whole(1),
    queue: Schema.optional(whole(0)),
    order: Schema.optionalWith(Schema.Literal("fifo", "lifo"), { default: () => "fifo" as const }),
    overflow: Schema.optionalWith(Schema.Literal(429, 500, 502, 503, 504), {
      default: () => 503 as const
    })
  }),
  tagged("LoadDependent", {
    base: duration("base"),
    slope: duration("slope"),
    power: Schema.optionalWith(above(0), { default: () => 1 })
  })
)

export const Fault = Schema.Union(
  tagged("Outage", { ...window, as: Schema.Literal("refused", "reset", "503", "blackHole") }),
  tagged("Errors", {
    rate: share,
    status: Schema.Number.pipe(
      Schema.filter((status) =>
        Number.isInteger(status) && status >= 400 && status <= 599
          ? undefined
          : `should be a status from 400 to 599, got ${status}`
      )
    )
  }),
  tagged("Burst", { good: positive("good"), bad: positive("bad"), rate: share }),
  tagged("BrownOut", { ...window, latency: above(0), capacity: above(0) })
)

/** A policy in JSON. It is read once its place in the scenario is known. */
const Policy = Schema.Record({ key: Schema.String, value: Schema.Unknown }).annotations({
  title: "policy",
  jsonSchema: {
    anyOf: [
      { type: "object", description: "A policy, as Pipeline.jsonSchema describes it" },
      { type: "string", description: "The name of a file with a policy" }
    ]
  }
})

export const Service = strict("service", {
  /** The name that other services call it by. Default: none. */
  name: Schema.optional(Schema.String),
  /** The delay of a request and of an answer, each way. Default: none. */
  network: Schema.optionalWith(Time, {
    default: () => ({ _tag: "Constant" as const, value: Duration.zero })
  }),
  /** How long the upstream works on a request. */
  service: Time,
  /** How many requests it works on at once. Default: all. */
  capacity: Schema.optionalWith(Capacity, { default: () => ({ _tag: "Unlimited" as const }) }),
  /** Whether work stops, one network delay later, when its caller has left. Default false. */
  noticesAbandonment: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  /** Whether requests with one idempotency key are executed once. Default false. */
  deduplicatesKeys: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  /** What it answers 429 to. Default: nothing. */
  rateLimit: Schema.optional(strict("rateLimit", {
    limit: whole(1),
    interval: positive("interval"),
    burst: Schema.optional(whole(1)),
    retryAfter: Schema.optionalWith(
      Schema.Union(Schema.Literal("exact", "none"), duration("retryAfter")),
      { default: () => "exact" as const }
    )
  })),
  /** How it fails. Default: it does not. */
  faults: Schema.optionalWith(Schema.Array(Fault), { default: () => [] }),
  /** What it calls itself for each request, after its own work. Default: nothing. */
  calls: Schema.optionalWith(
    Schema.Array(strict("call", {
      /** The name of the service. */
      service: Schema.String,
      /** The policy of these calls. Default: none, one attempt without any guard. */
      policy: Schema.optionalWith(Policy, { default: () => ({}) }),
      /** How many calls it makes, one after the other. Default 1. */
      times: Schema.optionalWith(whole(1), { default: () => 1 })
    })),
    { default: () => [] }
  )
})

const Clients = strict("clients", {
  /** How many processes call, each with guards of its own, but for shared ones. Default 1. */
  processes: Schema.optionalWith(whole(1), { default: () => 1 }),
  /** What a second execution of a call would mean. Default: the operation of the policy. */
  operation: Schema.optional(Schema.Literal("read", "idempotent", "keyed", "once")),
  /** How many keys calls have, which guards count by, and how unevenly. Default: one. */
  keys: Schema.optionalWith(
    strict("keys", {
      /** How many there are. */
      count: whole(1),
      /** The one of rank n is met as often as 1 / n ** skew. Default 0: all as often. */
      skew: Schema.optionalWith(notNegative, { default: () => 0 })
    }),
    { default: () => ({ count: 1, skew: 0 }) }
  ),
  /** When calls come. */
  arrivals: Arrivals,
  /** Times in which calls come `times` as often. Default: none. */
  changes: Schema.optionalWith(
    Schema.Array(strict("change", { ...window, times: notNegative })),
    { default: () => [] }
  )
})

export const Written = strict("scenario", {
  /** How long calls come in, at most 100 days. The simulation ends there. */
  duration: positive("duration"),
  /** Calls of this first part count in no total. Default 0. */
  warmUp: Schema.optionalWith(duration("warmUp"), { default: () => Duration.zero }),
  /** Who calls, and how often. */
  clients: Clients,
  /** The upstreams; calls go to the first. */
  services: Schema.NonEmptyArray(Service)
})

/** A scenario that has been read. */
export type Scenario = typeof Written.Type

/** One of its services. */
export type Service = typeof Service.Type

/** How long something takes. */
export type Time = typeof Time.Type

/** A scenario as it is written. */
export type Encoded = typeof Written.Encoded
