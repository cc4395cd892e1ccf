/**
 * What the fields of a scenario say together.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Distribution from "../../core/distribution.js"
import { nearest } from "../../core/nearest.js"
import * as EveryIssue from "../../pipeline/everyIssue.js"
import { type Finding, findingsOf } from "../../pipeline/findings.js"
import * as Pipeline from "../../pipeline/Pipeline.js"
import type { Scenario, Service, Time } from "./schema.js"
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

/** Time is counted in whole nanoseconds, so what takes less takes no time at all. */
const isZero = (time: Time): boolean => Distribution.mean(distributionOf(time)) < 1e-6

const checkArrivals = (
  { clients: { arrivals }, services: [{ network, service }] }: Scenario
): ReadonlyArray<Finding> => {
  if (arrivals._tag === "Trace") {
    const at = arrivals.at.findIndex((time, index) => {
      const before = arrivals.at[index - 1]
      return before !== undefined && Duration.lessThan(time, before)
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

const nameOf = ({ name }: Service, index: number): string => name ?? `services.${index}`

/** A name that stands twice, or that no service has. */
const checkNames = ({ services }: Scenario): ReadonlyArray<Finding> => {
  const names = services.flatMap(({ name }) => name ?? [])
  return services.flatMap(({ calls, name }, index) => [
    ...(name !== undefined && services.findIndex((other) => other.name === name) !== index
      ? finding(`services.${index}.name`, `should be the name of one service alone, got ${name}`)
      : []),
    ...calls.flatMap(({ service }, call) => {
      if (names.includes(service)) return []
      const neighbour = nearest(service, names)
      const hint = neighbour === undefined ? "" : `; did you mean ${neighbour}?`
      return finding(
        `services.${index}.calls.${call}.service`,
        `should be the name of a service, got ${service}${hint}`
      )
    })
  ])
}

/** A service that calls itself, over however many others. */
const checkCycles = ({ services }: Scenario): ReadonlyArray<Finding> => {
  const done = new Set<Service>()
  const visit = (index: number, above: ReadonlyArray<number>): ReadonlyArray<Finding> => {
    const service = services[index]!
    if (done.has(service)) return []
    done.add(service)
    const path = [...above, index]
    return service.calls.flatMap((call, number) => {
      const next = services.findIndex(({ name }) => name === call.service)
      if (next === -1) return []
      if (!path.includes(next)) return visit(next, path)
      const round = [...path.slice(path.indexOf(next)), next]
        .map((each) => nameOf(services[each]!, each))
      return finding(
        `services.${index}.calls.${number}.service`,
        `should not lead back to itself: ${round.join(" calls ")}`
      )
    })
  }
  return services.flatMap((_, index) => visit(index, []))
}

const decodePolicy = EveryIssue.decode(Pipeline.Spec)

const checkPolicy = (path: string, policy: object): ReadonlyArray<Finding> => {
  const decoded = Effect.runSync(Effect.either(decodePolicy(policy)))
  return Either.isRight(decoded)
    ? []
    : findingsOf(decoded.left).map((each) => ({
      path: each.path === "" ? path : `${path}.${each.path}`,
      message: each.message
    }))
}

const checkService = (path: string, service: Service): ReadonlyArray<Finding> => [
  ...checkTime(`${path}.network`, service.network),
  ...checkTime(`${path}.service`, service.service),
  ...service.faults.flatMap((fault, index) =>
    fault._tag === "Outage" || fault._tag === "BrownOut"
      ? checkWindow(`${path}.faults.${index}`, fault)
      : []
  ),
  ...service.calls.flatMap(({ policy }, index) =>
    checkPolicy(`${path}.calls.${index}.policy`, policy)
  )
]

/** Lists what contradicts itself. O(the values of the scenario). */
export const check = (scenario: Scenario): ReadonlyArray<Finding> => {
  const { clients, services } = scenario
  return [
    ...checkLength(scenario),
    ...checkArrivals(scenario),
    ...clients.changes.flatMap((change, index) => checkWindow(`clients.changes.${index}`, change)),
    ...services.flatMap((service, index) => checkService(`services.${index}`, service)),
    ...checkNames(scenario),
    ...checkCycles(scenario)
  ]
}
