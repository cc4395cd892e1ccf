/**
 * Observes the circuits of a breaker for metrics: outcomes, rejections, and how many circuits are
 * in each state.
 *
 * A breaker that is not looked on at pays for one look at an empty map per call.
 */
import * as Metric from "effect/Metric"
import type * as Circuit from "../../core/circuit.js"
import { behindOf } from "../../runtime/instances.js"
import type { Meter } from "../../runtime/meter.js"
import type { Circuits } from "./registry.js"

export const circuitCalls = Metric.counter("resilience.circuit.calls", {
  description: "What circuits were told about calls, and rejected",
  incremental: true
})

export const circuitState = Metric.gauge("resilience.circuit.state", {
  description: "How many circuits are in a state"
})

export const circuitTransitions = Metric.counter("resilience.circuit.transitions", {
  description: "Changes of state of circuits",
  incremental: true
})

/** The circuits of a breaker; none of one that was made elsewhere. */
const circuitsOf = (breaker: object): Circuits | undefined =>
  behindOf(breaker)?.inside as Circuits | undefined

/**
 * Looks on from now on, for as long as the breaker lives. Once under each name, however many
 * pipelines share the breaker.
 */
export const observe = (breaker: object, meter: Meter): void => {
  const circuits = circuitsOf(breaker)
  if (circuits === undefined || circuits.observers.has(meter.name)) return
  const ends = {
    success: meter.counter(circuitCalls, { outcome: "success" }),
    failure: meter.counter(circuitCalls, { outcome: "failure" }),
    slow: meter.counter(circuitCalls, { outcome: "slow" }),
    ignored: meter.counter(circuitCalls, { outcome: "ignored" })
  }
  const population = (state: Circuit.Visible, by: 1 | -1): void =>
    meter.gauge(circuitState, { state })(by)
  circuits.observers.set(meter.name, {
    ended: (outcome) => ends[outcome](),
    rejected: meter.counter(circuitCalls, { outcome: "rejected" }),
    transition: (from, to) => meter.counter(circuitTransitions, { from, to })(),
    population
  })
  for (const cell of circuits.cells.values()) population(circuits.seen(cell), 1)
}
