/** What a scenario assumes, in sentences: a figure is worth no more than they are. */
import * as Duration from "effect/Duration"
import type { Scenario } from "../simulation/Scenario.js"
import type { Shade } from "./lines.js"
import { decimal, percent, written } from "./numbers.js"
import { counted, time } from "./words.js"

/** One line of the assumptions. */
export interface Assumption {
  readonly name: string
  readonly says: string
}

type Service = Scenario["services"][0]
type Time = Service["network"]
type Fault = Service["faults"][number]

/** A distribution of time in words. */
export const timeWords = (given: Time): string => {
  switch (given._tag) {
    case "Constant":
      return `always ${time(given.value)}`
    case "Uniform":
      return `evenly between ${time(given.min)} and ${time(given.max)}`
    case "Exponential":
      return `exponential, ${time(given.mean)} on average`
    case "LogNormal":
      return `log-normal, half below ${time(given.p50)}, 99 % below ${time(given.p99)}`
    case "Pareto":
      return `Pareto, at least ${time(given.min)}, alpha ${written(given.alpha)}`
    case "Weibull":
      return `Weibull, scale ${time(given.scale)}, shape ${written(given.shape)}`
    case "Hyper":
      return `one of ${counted(given.branches.length, "exponential")}, ${
        given.branches.map(({ mean, weight }) => `${time(mean)} with weight ${written(weight)}`)
          .join(", ")
      }`
    case "Empirical":
      return `one of ${counted(given.values.length, "measured value")}`
  }
}

const arrivalWords = ({ arrivals, processes }: Scenario["clients"]): string => {
  const from = `from ${counted(processes, "process", "processes")}`
  switch (arrivals._tag) {
    case "Poisson":
      return `${written(arrivals.perSecond)} a second at random moments (Poisson), ${from}`
    case "Constant":
      return `${written(arrivals.perSecond)} a second at equal intervals, ${from}`
    case "Closed": {
      const [wait, think] = arrivals.clients === 1 ? ["waits", "thinks"] : ["wait", "think"]
      return `${counted(arrivals.clients, "client")} that ${wait} for the answer and ${think} ` +
        `before the next call (${timeWords(arrivals.think)}), ${from}`
    }
    case "Trace":
      return `at ${counted(arrivals.at.length, "recorded moment")}, ${from}`
  }
}

const capacityWords = ({ capacity }: Service): string => {
  switch (capacity._tag) {
    case "Unlimited":
      return "unlimited: latency does not depend on load"
    case "Workers": {
      const queue = capacity.queue === undefined
        ? "a queue without limit"
        : `a queue of ${decimal(capacity.queue, 0)}, and ${capacity.overflow} beyond it`
      return `${counted(capacity.workers, "worker")}, ${queue}, ${
        capacity.order === "fifo" ? "the oldest request first" : "the newest request first"
      }`
    }
    case "LoadDependent":
      return `a request takes ${time(capacity.base)}, and ${time(capacity.slope)} more for each${
        capacity.power === 1 ? "" : ` (to the power of ${written(capacity.power)})`
      } that is in progress`
  }
}

const outages: Readonly<Record<string, string>> = {
  refused: "connections are refused",
  reset: "connections are reset",
  "503": "every answer is a 503",
  blackHole: "no request is answered"
}

const faultWords = (fault: Fault): string => {
  switch (fault._tag) {
    case "Outage":
      return `outage from ${time(fault.from)} to ${time(fault.to)}: ${outages[fault.as]}`
    case "Errors":
      return `${percent(fault.rate)} of the answers are a ${fault.status}`
    case "Burst":
      return `bursts: good for ${time(fault.good)} on average, then ${
        percent(fault.rate)
      } fail for ${time(fault.bad)} on average`
    case "BrownOut":
      return `brown-out from ${time(fault.from)} to ${time(fault.to)}: latency times ${
        written(fault.latency)
      }, capacity times ${written(fault.capacity)}`
  }
}

const limitWords = ({ rateLimit }: Service): string => {
  if (rateLimit === undefined) return "none"
  const { burst, interval, limit, retryAfter } = rateLimit
  const told = retryAfter === "none"
    ? "a 429 without Retry-After"
    : retryAfter === "exact"
    ? "a 429 with the exact Retry-After"
    : `a 429 with Retry-After ${time(retryAfter)}`
  return `${counted(limit, "request")} in ${time(interval)}, at once ${
    decimal(burst ?? limit, 0)
  }; beyond it ${told}`
}

const callWords = ({ policy, service, times }: Service["calls"][number]): string => {
  const stages = Object.keys(policy).filter((stage) => stage !== "operation")
  return `${service}, ${
    times === 1 ? "once" : `${decimal(times, 0)} times, one after the other`
  }, ${stages.length === 0 ? "without guards" : `with ${stages.join(", ")}`}`
}

const serviceAssumptions = (service: Service, prefix: string): ReadonlyArray<Assumption> => [
  { name: `${prefix}network, each way`, says: timeWords(service.network) },
  { name: `${prefix}service time`, says: timeWords(service.service) },
  { name: `${prefix}capacity`, says: capacityWords(service) },
  {
    name: `${prefix}abandoned requests`,
    says: service.noticesAbandonment ? "are stopped when noticed" : "are worked on to their end"
  },
  {
    name: `${prefix}idempotency keys`,
    says: service.deduplicatesKeys ? "deduplicate repeated calls" : "are not looked at"
  },
  { name: `${prefix}rate limit`, says: limitWords(service) },
  ...service.calls.map((call) => ({
    name: `${prefix}calls for each request`,
    says: callWords(call)
  })),
  ...service.faults.length === 0
    ? [{ name: `${prefix}faults`, says: "none" }]
    : service.faults.map((fault) => ({ name: `${prefix}fault`, says: faultWords(fault) }))
]

const keyWords = ({ keys: { count, skew } }: Scenario["clients"]): string =>
  `${decimal(count, 0)}, ${
    skew === 0
      ? "each as often as the others"
      : `that of rank n as often as 1 / n to the power of ${written(skew)}`
  }`

/** What the scenario assumes, the clients first. */
export const assumptions = (scenario: Scenario): ReadonlyArray<Assumption> => {
  const { clients, duration, services, warmUp } = scenario
  return [
    {
      name: "length",
      says: Duration.toMillis(warmUp) === 0
        ? time(duration)
        : `${time(duration)}; calls of the first ${time(warmUp)} count in no total`
    },
    { name: "calls", says: arrivalWords(clients) },
    ...clients.operation === undefined
      ? []
      : [{ name: "operation", says: `${clients.operation}, whatever the policy says` }],
    ...clients.keys.count === 1 ? [] : [{ name: "keys", says: keyWords(clients) }],
    ...clients.changes.map(({ from, times, to }) => ({
      name: "change of the load",
      says: `times ${written(times)} from ${time(from)} to ${time(to)}`
    })),
    ...services.flatMap((service, index) =>
      serviceAssumptions(service, services.length > 1 ? `${service.name ?? index + 1}: ` : "")
    )
  ]
}

/** The times of faults and changes, for the charts. */
export const shadesOf = ({ clients, services }: Scenario): ReadonlyArray<Shade> => [
  ...clients.changes.map(({ from, times, to }) => ({
    from: Duration.toSeconds(from),
    to: Duration.toSeconds(to),
    label: `load ×${written(times)}`
  })),
  ...services.flatMap(({ faults, name }) =>
    faults.flatMap((fault): ReadonlyArray<Shade> => {
      if (fault._tag !== "Outage" && fault._tag !== "BrownOut") return []
      const label = fault._tag === "Outage" ? "outage" : "brown-out"
      return [{
        from: Duration.toSeconds(fault.from),
        to: Duration.toSeconds(fault.to),
        label: services.length === 1 || name === undefined ? label : `${label} of ${name}`
      }]
    })
  )
]

/**
 * The seconds that are of interest: from the first fault or change to the end; all after the
 * warm-up where there is none.
 */
export const windowOf = (
  scenario: Scenario
): { readonly from: number; readonly to: number } => {
  const starts = shadesOf(scenario).map(({ from }) => from)
  return {
    from: starts.length === 0 ? Duration.toSeconds(scenario.warmUp) : Math.min(...starts),
    to: Duration.toSeconds(scenario.duration)
  }
}
