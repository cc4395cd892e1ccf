import { Effect, Metric, MetricState } from "effect"

type Counts = Readonly<Record<string, number>>

/** What a counter has counted so far, by the values of one of its tags. */
const counters = (name: string, tag: string): Effect.Effect<Counts> =>
  Effect.map(Metric.snapshot, (pairs) => {
    const counts: Record<string, number> = {}
    for (const { metricKey, metricState } of pairs) {
      if (metricKey.name !== name || !MetricState.isCounterState(metricState)) continue
      const value = metricKey.tags.find(({ key }) => key === tag)?.value ?? ""
      counts[value] = Number(metricState.count)
    }
    return counts
  })

/** What a counter counts while an effect runs. */
export const countedIn = <A, E, R>(
  name: string,
  tag: string,
  self: Effect.Effect<A, E, R>
): Effect.Effect<Counts, E, R> =>
  Effect.gen(function*() {
    const before = yield* counters(name, tag)
    yield* self
    const after = yield* counters(name, tag)
    return Object.fromEntries(
      Object.entries(after).map(([value, count]) => [value, count - (before[value] ?? 0)] as const)
        .filter(([, n]) => n > 0)
    )
  })
