/** Counts the permits of a bulkhead that are in use. */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Metric from "effect/Metric"
import { behindOf, withBehind } from "../../runtime/instances.js"
import type { Meter } from "../../runtime/meter.js"
import type * as Bulkhead from "../Bulkhead.js"
import * as Guard from "../guard.js"

export const bulkheadInUse = Metric.gauge("resilience.bulkhead.in_use", {
  description: "Permits of bulkheads in use"
})

/**
 * Makes the same bulkhead count its permits for calls that go through it here. Once under each
 * name.
 */
export const permitsCounted = (bulkhead: Bulkhead.Bulkhead, meter: Meter): Bulkhead.Bulkhead => {
  const behind = behindOf(bulkhead)
  if (behind?.countedAs === meter.name) return bulkhead
  const change = meter.gauge(bulkheadInUse)
  return withBehind<Bulkhead.Bulkhead>({
    ...bulkhead,
    protect: dual(
      Guard.isDataFirst,
      <A, E, R>(self: Effect.Effect<A, E, R>, options?: Bulkhead.CallOptions) =>
        bulkhead.protect(
          Effect.acquireUseRelease(
            Effect.sync(() => change(1)),
            () => self,
            () => Effect.sync(() => change(-1))
          ),
          options
        )
    )
  }, { options: {}, ...behind, countedAs: meter.name })
}
