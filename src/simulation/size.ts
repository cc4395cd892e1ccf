/**
 * Estimates how large a simulation is before it begins, and whether its load fits.
 */
import * as Distribution from "../core/distribution.js"
import type * as Simulation from "../core/simulation.js"
import type * as Upstream from "../core/upstream.js"
import { bytesPerCall, type Job, type limits } from "./replication.js"

const nanosPerSecond = 1e9

/** Arrive, serve, answer, and the beginning; with retries, about twice of that. */
const eventsPerCall = 8

/** A row of the series has 8 bytes a second, and there are seven of them. */
const bytesPerSecond = 7 * 8

/** The guards of a process, with their windows. */
const bytesPerProcess = 2000

/** How long a request takes on its way, there and back, and at an idle upstream: in seconds. */
const idleSeconds = (
  { services }: Pick<Simulation.Setup, "services">,
  of = services[0]
): number => {
  const { calls, network, upstream: { capacity, service } } = of
  const base = capacity._tag === "LoadDependent" ? capacity.baseMillis : 0
  return calls.reduce(
    (sum, call) => sum + call.times * idleSeconds({ services }, services[call.service]),
    (2 * Distribution.mean(network) + Distribution.mean(service) + base) / 1000
  )
}

/** How many requests one call is, at the first service and at those that it calls. */
const requestsOf = ({ services }: Pick<Simulation.Setup, "services">, of = services[0]): number =>
  of.calls.reduce(
    (sum, call) => sum + call.times * requestsOf({ services }, services[call.service]),
    1
  )

/** Calls a second while they come at this factor; of a closed loop, at its fastest. */
const callsPerSecond = (setup: Simulation.Setup, factor: number): number => {
  const { arrivals, arrivalsEndNanos } = setup
  switch (arrivals._tag) {
    case "Trace":
      return arrivals.atNanos.length * nanosPerSecond / arrivalsEndNanos
    case "Closed": {
      const think = Distribution.mean(arrivals.think) / 1000
      return factor === 0 ? 0 : arrivals.clients / (think / factor + idleSeconds(setup))
    }
    default:
      return arrivals.perSecond * factor
  }
}

/** Adds up over the time of the simulation what comes of each rate of calls in a second. */
const overTime = (setup: Simulation.Setup, of: (perSecond: number) => number): number => {
  const { arrivalsEndNanos, changes: { factors, fromNanos } } = setup
  const moments = [0, ...fromNanos, Infinity].map((nanos) => Math.min(nanos, arrivalsEndNanos))
  return [1, ...factors].reduce((sum, factor, index) => {
    const seconds = (moments[index + 1]! - moments[index]!) / nanosPerSecond
    return sum + seconds * of(callsPerSecond(setup, factor))
  }, 0)
}

/**
 * The most requests that an upstream answers in a second. Under a load that slows it down, that is
 * the highest value of `n / (service + slope n^power)`.
 */
const capacityPerSecond = ({ capacity, service }: Upstream.Options): number => {
  const seconds = Distribution.mean(service) / 1000
  switch (capacity._tag) {
    case "Unlimited":
      return Infinity
    case "Workers":
      return capacity.workers / seconds
    case "LoadDependent": {
      const { baseMillis, power, slopeMillis } = capacity
      const fixed = seconds + baseMillis / 1000
      const slope = slopeMillis / 1000
      if (slope === 0 || power < 1) return Infinity
      if (power === 1) return 1 / slope
      const requests = (fixed / (slope * (power - 1))) ** (1 / power)
      return requests / (fixed + slope * requests ** power)
    }
  }
}

/** Whether requests wait in a line that has no end. */
const isEndless = ({ capacity }: Upstream.Options): boolean =>
  capacity._tag === "LoadDependent" || (capacity._tag === "Workers" && capacity.queue === Infinity)

/** How many requests are under way at the same time, at the most. */
const pending = (setup: Simulation.Setup): number => {
  const { arrivals, changes, services: [{ upstream }] } = setup
  if (arrivals._tag === "Closed") return arrivals.clients
  const most = isEndless(upstream) ? capacityPerSecond(upstream) : Infinity
  const peak = callsPerSecond(setup, Math.max(1, ...changes.factors))
  return overTime(setup, (perSecond) => Math.max(0, perSecond - most)) + peak * idleSeconds(setup)
}

/** Guards are made for each process, and for each key that it meets. */
const processesOf = (setup: Simulation.Setup): number => {
  const calls = overTime(setup, (perSecond) => perSecond)
  return setup.processes + Math.min(setup.processes * (setup.keys.count - 1), calls)
}

/** Of all replications of all policies together; they are run one after the other. */
export const sizeOf = (
  jobs: ReadonlyArray<Job>,
  replications: number
): Readonly<Record<keyof typeof limits, number>> => {
  let events = 0
  let kept = 0
  let used = 0
  for (const { setup } of jobs) {
    const seconds = setup.arrivalsEndNanos / nanosPerSecond
    const perCall = eventsPerCall * requestsOf(setup)
    events += overTime(setup, (perSecond) => perSecond * perCall) * replications
    kept += bytesPerSecond * seconds * replications
    used = Math.max(used, pending(setup) * bytesPerCall + processesOf(setup) * bytesPerProcess)
  }
  return { events, bytes: kept + used }
}

const digits = (value: number): number => Number(value.toPrecision(3))

/** The warnings that a service cannot do what is asked of it, and nothing limits its line. */
export const overloads = (
  { arrivals, services }: Simulation.Setup,
  names: ReadonlyArray<string>
): ReadonlyArray<string> => {
  if (arrivals._tag !== "Poisson" && arrivals._tag !== "Constant") return []
  const asked = services.map(() => 0)
  const ask = (service: number, perSecond: number): void => {
    asked[service]! += perSecond
    for (const call of services[service]!.calls) ask(call.service, perSecond * call.times)
  }
  ask(0, arrivals.perSecond)
  return services.flatMap(({ upstream }, index) => {
    const most = capacityPerSecond(upstream)
    return isEndless(upstream) && asked[index]! > most
      ? [
        `${names[index]} answers at most ${digits(most)} of ${digits(asked[index]!)} requests a ` +
        "second, and its line has no limit: latencies grow until the end"
      ]
      : []
  })
}
