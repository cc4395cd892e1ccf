/**
 * Counting the permits of a bulkhead that are in use.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { behindOf, withBehind } from "../../runtime/instances.js"
import type { Meter } from "../../runtime/meter.js"
import type * as Bulkhead from "../Bulkhead.js"

export const bulkheadInUse = Metric.gauge("resilience.bulkhead.in_use", {
  description: "Permits of bulkheads in use"
})

/**
 * The same bulkhead, with the permits counted of calls that go through it here. Once under each
 * name.
 */
export const permitsCounted = (bulkhead: Bulkhead.Bulkhead, meter: Meter): Bulkhead.Bulkhead => {
  const behind = behindOf(bulkhead)
  if (behind?.countedAs === meter.name) return bulkhead
  const change = meter.gauge(bulkheadInUse)
  return withBehind<Bulkhead.Bulkhead>({
    ...bulkhead,
    protect: (self, options) =>
      bulkhead.protect(
        Effect.acquireUseRelease(
          Effect.sync(() => change(1)),
          () => self,
          () => Effect.sync(() => change(-1))
        ),
        options
      )
  }, { options: {}, ...behind, countedAs: meter.name })
}
