/**
 * Reads a scenario: who calls how often, what the network does, what the upstream can do and how it
 * fails. All of it is checked before the first event, and all mistakes are reported at once.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Arrivals from "../core/arrivals.js"
import * as Distribution from "../core/distribution.js"
import type * as Simulation from "../core/simulation.js"
import type * as Upstream from "../core/upstream.js"
import { type Finding, findingsOf } from "../pipeline/findings.js"
import { amount, duration, integer, positive, strict } from "../runtime/optionSchema.js"

/** A scenario that cannot be simulated. `findings` has one line for each mistake. */
export class InvalidScenario extends Schema.TaggedError<InvalidScenario>()("InvalidScenario", {
  /** The path of the first value that is refused. */
  path: Schema.String,
  /** The value at that path. */
  value: Schema.Unknown,
  /** One line for each mistake: its path, and what the value should be. */
  findings: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}) {
  override get message(): string {
    return this.findings.map(({ message, path }) => path === "" ? message : `${path}: ${message}`)
      .join("\n")
  }
}

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
const DistributionOfTime = Schema.Union(
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

const ArrivalsOfCalls = Schema.Union(
  tagged("Poisson", { perSecond: above(0) }),
  tagged("Constant", { perSecond: above(0) }),
  tagged("Closed", { clients: whole(1), think: DistributionOfTime }),
  tagged("Trace", { at: Schema.NonEmptyArray(duration("at")) })
)

const Capacity = Schema.Union(
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

const Fault = Schema.Union(
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

const Service = strict("service", {
  name: Schema.optional(Schema.String),
  network: DistributionOfTime,
  service: DistributionOfTime,
  capacity: Schema.optionalWith(Capacity, { default: () => ({ _tag: "Unlimited" as const }) }),
  noticesAbandonment: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  deduplicatesKeys: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  rateLimit: Schema.optional(strict("rateLimit", {
    limit: whole(1),
    interval: positive("interval"),
    burst: Schema.optional(whole(1)),
    retryAfter: Schema.optionalWith(
      Schema.Union(Schema.Literal("exact", "none"), duration("retryAfter")),
      { default: () => "exact" as const }
    )
  })),
  faults: Schema.optionalWith(Schema.Array(Fault), { default: () => [] })
})

const Clients = strict("clients", {
  processes: Schema.optionalWith(whole(1), { default: () => 1 }),
  arrivals: ArrivalsOfCalls,
  changes: Schema.optionalWith(
    Schema.Array(strict("change", { ...window, times: notNegative })),
    { default: () => [] }
  )
})

const Written = strict("scenario", {
  duration: positive("duration"),
  warmUp: Schema.optionalWith(duration("warmUp"), { default: () => Duration.zero }),
  clients: Clients,
  services: Schema.Tuple(Service)
})

/** A scenario that has been read. */
export type Scenario = typeof Written.Type

type Time = typeof DistributionOfTime.Type

const millis = Duration.toMillis
const nanos = (time: Duration.Duration): number => Math.round(millis(time) * 1e6)

/** In milliseconds, as the core has them. */
const distributionOf = (time: Time): Distribution.Distribution => {
  switch (time._tag) {
    case "Constant":
      return { _tag: "Constant", value: millis(time.value) }
    case "Uniform":
      return { _tag: "Uniform", min: millis(time.min), max: millis(time.max) }
    case "Exponential":
      return { _tag: "Exponential", mean: millis(time.mean) }
    case "LogNormal":
      return { _tag: "LogNormal", p50: millis(time.p50), p99: millis(time.p99) }
    case "Pareto":
      return { _tag: "Pareto", min: millis(time.min), alpha: time.alpha }
    case "Weibull":
      return { _tag: "Weibull", scale: millis(time.scale), shape: time.shape }
    case "Hyper":
      return {
        _tag: "Hyper",
        branches: time.branches.map(({ mean, weight }) => ({ weight, mean: millis(mean) }))
      }
    case "Empirical":
      return { _tag: "Empirical", values: time.values.map(millis).sort((a, b) => a - b) }
  }
}

// -----------------------------------------------------------------------------
// what the fields say together
// -----------------------------------------------------------------------------

const finding = (path: string, message: string): ReadonlyArray<Finding> => [{ path, message }]

const checkTime = (path: string, time: Time): ReadonlyArray<Finding> => {
  const { _tag } = time
  if (_tag === "LogNormal" && Duration.lessThan(time.p99, time.p50)) {
    return finding(`${path}.p99`, `should be at least p50, got ${Duration.format(time.p99)}`)
  }
  if (_tag === "Uniform" && Duration.lessThan(time.max, time.min)) {
    return finding(`${path}.max`, `should be at least min, got ${Duration.format(time.max)}`)
  }
  return Number.isFinite(Distribution.mean(distributionOf(time)))
    ? []
    : finding(path, "should have a finite mean")
}

const checkWindow = (
  path: string,
  { from, to }: { readonly from: Duration.Duration; readonly to: Duration.Duration }
): ReadonlyArray<Finding> =>
  Duration.lessThan(from, to)
    ? []
    : finding(`${path}.to`, `should be after from, got ${Duration.format(to)}`)

/** Times are whole nanoseconds in a double, which is exact for 104 days. */
const longest = Duration.days(100)

const checkLength = ({ duration, warmUp }: Scenario): ReadonlyArray<Finding> => [
  ...(Duration.greaterThan(duration, longest)
    ? finding("duration", `should be at most 100 days, got ${Duration.format(duration)}`)
    : []),
  ...(Duration.lessThan(warmUp, duration)
    ? []
    : finding("warmUp", `should be shorter than duration, got ${Duration.format(warmUp)}`))
]

const isZero = (time: Time): boolean => Distribution.mean(distributionOf(time)) === 0

const checkArrivals = (
  { clients: { arrivals }, services: [{ network, service }] }: Scenario
): ReadonlyArray<Finding> => {
  if (arrivals._tag === "Trace") {
    const at = arrivals.at.findIndex((time, index) => {
      const before = arrivals.at[index - 1]
      return !Duration.isFinite(time) || (before !== undefined && Duration.lessThan(time, before))
    })
    return at === -1
      ? []
      : finding(`clients.arrivals.at.${at}`, "should not be before the last one")
  }
  if (arrivals._tag !== "Closed") return []
  const found = checkTime("clients.arrivals.think", arrivals.think)
  // A call that is rejected takes no time at all, so the clients themselves have to take some.
  return isZero(arrivals.think)
    ? [
      ...found,
      ...finding(
        "clients.arrivals.think",
        isZero(network) && isZero(service)
          ? "should be longer than 0, as nothing else takes time"
          : "should be longer than 0, as a rejected call takes no time"
      )
    ]
    : found
}

const checkAll = (scenario: Scenario): ReadonlyArray<Finding> => {
  const { clients, services: [service] } = scenario
  return [
    ...checkLength(scenario),
    ...checkArrivals(scenario),
    ...clients.changes.flatMap((change, index) => checkWindow(`clients.changes.${index}`, change)),
    ...checkTime("services.0.network", service.network),
    ...checkTime("services.0.service", service.service),
    ...service.faults.flatMap((fault, index) =>
      fault._tag === "Outage" || fault._tag === "BrownOut"
        ? checkWindow(`services.0.faults.${index}`, fault)
        : []
    )
  ]
}

const valueAt = (given: unknown, path: string): unknown =>
  path === "" ? given : path.split(".").reduce<unknown>(
    (value, field) =>
      typeof value === "object" && value !== null
        ? (value as Readonly<Record<string, unknown>>)[field]
        : undefined,
    given
  )

const refused = (given: unknown, findings: ReadonlyArray<Finding>): InvalidScenario => {
  const path = findings[0]?.path ?? ""
  return new InvalidScenario({ path, value: valueAt(given, path), findings })
}

const decode = Schema.decodeUnknown(Written, { errors: "all" })

/** Reads a scenario from JSON. Fails with all that is wrong with it. */
export const read = (json: unknown): Effect.Effect<Scenario, InvalidScenario> =>
  decode(json).pipe(
    Effect.mapError(({ issue }) => refused(json, findingsOf(issue))),
    Effect.flatMap((scenario) => {
      const findings = checkAll(scenario)
      return findings.length === 0 ? Effect.succeed(scenario) : refused(json, findings)
    })
  )

// -----------------------------------------------------------------------------
// for the core
// -----------------------------------------------------------------------------

const arrivalsOf = (arrivals: typeof ArrivalsOfCalls.Type): Arrivals.Arrivals => {
  switch (arrivals._tag) {
    case "Closed":
      return { ...arrivals, think: distributionOf(arrivals.think) }
    case "Trace":
      return { _tag: "Trace", atNanos: arrivals.at.map(nanos) }
    default:
      return arrivals
  }
}

const capacityOf = (capacity: typeof Capacity.Type): Upstream.Capacity => {
  switch (capacity._tag) {
    case "LoadDependent":
      return {
        _tag: "LoadDependent",
        baseMillis: millis(capacity.base),
        slopeMillis: millis(capacity.slope),
        power: capacity.power
      }
    case "Workers":
      // Without a limit every request waits.
      return { ...capacity, queue: capacity.queue ?? Infinity }
    default:
      return capacity
  }
}

const windowOf = (
  { from, to }: { readonly from: Duration.Duration; readonly to: Duration.Duration }
) => ({
  fromNanos: nanos(from),
  toNanos: nanos(to)
})

const faultOf = (fault: typeof Fault.Type): Upstream.Fault => {
  switch (fault._tag) {
    case "Outage":
      return { _tag: "Outage", ...windowOf(fault), as: fault.as }
    case "BrownOut": {
      const { capacity, latency } = fault
      return { _tag: "BrownOut", ...windowOf(fault), latency, capacity }
    }
    case "Burst": {
      const { bad, good, rate } = fault
      return { _tag: "Burst", goodMillis: millis(good), badMillis: millis(bad), rate }
    }
    default:
      return fault
  }
}

const rateLimitOf = (
  rateLimit: (typeof Service.Type)["rateLimit"]
): Upstream.Options["rateLimit"] => {
  if (rateLimit === undefined) return undefined
  const { burst, interval, limit, retryAfter } = rateLimit
  return {
    policy: {
      limit: BigInt(limit),
      intervalNanos: Duration.unsafeToNanos(interval),
      burst: burst ?? limit
    },
    retryAfter: typeof retryAfter === "string" ? retryAfter : millis(retryAfter)
  }
}

/** The scenario in plain numbers. */
export const setupOf = (
  { clients, duration, services: [service] }: Scenario
): Omit<Simulation.Setup, "stages"> => ({
  processes: clients.processes,
  arrivals: arrivalsOf(clients.arrivals),
  changes: Arrivals.profile(
    clients.changes.map((change) => ({ ...windowOf(change), times: change.times }))
  ),
  network: distributionOf(service.network),
  upstream: {
    service: distributionOf(service.service),
    capacity: capacityOf(service.capacity),
    noticesAbandonment: service.noticesAbandonment,
    rateLimit: rateLimitOf(service.rateLimit),
    faults: service.faults.map(faultOf)
  },
  arrivalsEndNanos: nanos(duration),
  endNanos: nanos(duration)
})

/** From when on calls count. */
export const warmUpNanosOf = ({ warmUp }: Scenario): number => nanos(warmUp)
