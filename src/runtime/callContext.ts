/**
 * What is known of a call while it runs, for those who report about it: the retry that stops, the
 * guard that turns an attempt away.
 *
 * There is a story only where telemetry is on. Whoever counts something rare asks for it then, and
 * gives the count the labels of the call.
 */
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as Metric from "effect/Metric"
import type * as MetricLabel from "effect/MetricLabel"

/**
 * One call: under which labels it is counted, how many attempts were begun, and why there was no
 * further one.
 */
export interface Story {
  readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  attempts: number
  stop: string | undefined
}

export const current: FiberRef.FiberRef<Story | undefined> = globalValue(
  "effect-resilience/callStory",
  () => FiberRef.unsafeMake<Story | undefined>(undefined)
)

/** Adds one to a counter, under the labels of the call that is under way. */
export const count = (counter: Metric.Metric.Counter<number>): Effect.Effect<void> =>
  FiberRef.getWith(
    current,
    (story) =>
      Metric.increment(
        story === undefined ? counter : Metric.taggedWithLabels(counter, story.labels)
      )
  )

/** Tells the story of the call that is under way why there will be no further attempt. */
export const stopped = (reason: string): Effect.Effect<void> =>
  FiberRef.getWith(current, (story) =>
    Effect.sync(() => {
      if (story !== undefined) story.stop = reason
    }))
