/** Counts under the labels of one integration, for the stages that telemetry observes. */
import type * as Metric from "effect/Metric"

/** Labels beside those of the integration: few, and known beforehand. */
export type Labels = Readonly<Record<string, string>>

/**
 * - `name`: under which it counts. What is looked on at twice under one name is counted once.
 * - `counter`: adds one to a counter each time it is called.
 * - `gauge`: changes a gauge by so much each time it is called.
 */
export interface Meter {
  readonly name: string
  readonly counter: (metric: Metric.Metric.Counter<number>, labels?: Labels) => () => void
  readonly gauge: (metric: Metric.Metric.Gauge<number>, labels?: Labels) => (by: number) => void
}
