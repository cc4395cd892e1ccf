/**
 * What the fields of a scenario say together.
 */
import * as Duration from "effect/Duration"
import * as Distribution from "../../core/distribution.js"
import type { Finding } from "../../pipeline/findings.js"
import type { Scenario, Time } from "./schema.js"
import { distributionOf } from "./setup.js"

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

/** Lists what contradicts itself. O(the values of the scenario). */
export const check = (scenario: Scenario): ReadonlyArray<Finding> => {
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
