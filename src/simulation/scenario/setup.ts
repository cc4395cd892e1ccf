/**
 * Brings a scenario into the plain numbers of the core.
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Arrivals from "../../core/arrivals.js"
import type * as Distribution from "../../core/distribution.js"
import type * as Simulation from "../../core/simulation.js"
import type * as Upstream from "../../core/upstream.js"
import * as Operation from "../../idempotency/Operation.js"
import * as Pipeline from "../../pipeline/Pipeline.js"
import { compile, usualStatuses } from "../compile.js"
import type * as Written from "./schema.js"

const millis = Duration.toMillis
const nanos = (time: Duration.Duration): number => Math.round(millis(time) * 1e6)

/** In milliseconds, as the core has them. */
export const distributionOf = (time: Written.Time): Distribution.Distribution => {
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

const arrivalsOf = (arrivals: typeof Written.Arrivals.Type): Arrivals.Arrivals => {
  switch (arrivals._tag) {
    case "Closed":
      return { ...arrivals, think: distributionOf(arrivals.think) }
    case "Trace":
      return { _tag: "Trace", atNanos: arrivals.at.map(nanos) }
    default:
      return arrivals
  }
}

const capacityOf = (capacity: typeof Written.Capacity.Type): Upstream.Capacity => {
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

const faultOf = (fault: typeof Written.Fault.Type): Upstream.Fault => {
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
  rateLimit: (typeof Written.Service.Type)["rateLimit"]
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

/** A scenario in plain numbers, and what a reader of the result has to know of its policies. */
export interface Compiled {
  readonly setup: Omit<Simulation.Setup, "stages">
  readonly warnings: ReadonlyArray<string>
}

/** Every status that a service may answer with. */
export const statusesOf = ({ faults }: Written.Service): ReadonlyArray<number> => [
  ...usualStatuses,
  ...faults.flatMap((fault) => fault._tag === "Errors" ? fault.status : [])
]

const decodePolicy = Schema.decodeUnknownSync(Pipeline.Spec)

/** The scenario in plain numbers. It has been checked. */
export const setupOf = ({ clients, duration, services }: Written.Scenario): Compiled => {
  const warnings: Array<string> = []
  const dependencyOf = (
    { policy, service, times }: Written.Service["calls"][number],
    path: string
  ): Simulation.Dependency => {
    const index = services.findIndex(({ name }) => name === service)
    const compiled = compile(decodePolicy(policy), statusesOf(services[index]!))
    warnings.push(...compiled.warnings.map((warning) => `${path}.policy: ${warning}`))
    return {
      service: index,
      stages: compiled.stages,
      times
    }
  }
  const serviceOf = (service: Written.Service, index: number): Simulation.Service => ({
    network: distributionOf(service.network),
    upstream: {
      service: distributionOf(service.service),
      capacity: capacityOf(service.capacity),
      noticesAbandonment: service.noticesAbandonment,
      rateLimit: rateLimitOf(service.rateLimit),
      faults: service.faults.map(faultOf)
    },
    calls: service.calls.map((call, number) =>
      dependencyOf(call, `services.${index}.calls.${number}`)
    )
  })
  const setup = {
    processes: clients.processes,
    keys: clients.keys,
    arrivals: arrivalsOf(clients.arrivals),
    changes: Arrivals.profile(
      clients.changes.map((change) => ({ ...windowOf(change), times: change.times }))
    ),
    services: Arr.map(services, serviceOf),
    arrivalsEndNanos: nanos(duration),
    endNanos: nanos(duration)
  }
  return { setup, warnings }
}

const operations = {
  read: Operation.read,
  idempotent: Operation.idempotent,
  keyed: Operation.keyed,
  once: Operation.once
} as const

/** The stages of a policy for the operation that the scenario is about. */
export const stagesUnder = (
  { clients: { operation } }: Written.Scenario,
  stages: Pipeline.Stages
): Pipeline.Stages =>
  operation === undefined ? stages : { ...stages, operation: operations[operation] }

/** What the services are called in results. */
export const namesOf = ({ services }: Written.Scenario): ReadonlyArray<string> =>
  services.map(({ name }, index) => name ?? `services.${index}`)

/** From when on calls count. */
export const warmUpNanosOf = ({ warmUp }: Written.Scenario): number => nanos(warmUp)
