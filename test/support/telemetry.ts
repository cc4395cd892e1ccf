import { Effect, Layer, Logger, LogLevel, Metric, MetricState } from "effect"
import { type Recorded, recorder } from "./spans.js"

/**
 * A metric with its labels in one line, as it would be exported, without the labels that are named.
 */
const lineOf = (
  name: string,
  tags: ReadonlyArray<{ readonly key: string; readonly value: string }>
): string => `${name}{${tags.map(({ key, value }) => `${key}=${value}`).sort().join(",")}}`

const numberOf = (state: MetricState.MetricState.Untyped): number => {
  if (MetricState.isCounterState(state)) return Number(state.count)
  if (MetricState.isGaugeState(state)) return Number(state.value)
  return MetricState.isHistogramState(state) ? state.count : NaN
}

/**
 * Every metric of one integration: its name and labels, and its value (of a histogram, how many
 * were measured). Those at zero are left out.
 */
export const metricsOf = (integration: string): Effect.Effect<Readonly<Record<string, number>>> =>
  Effect.map(Metric.snapshot, (pairs) =>
    Object.fromEntries(
      pairs.flatMap(({ metricKey, metricState }) => {
        const tags = metricKey.tags.filter(({ key, value }) =>
          key !== "integration" || value !== integration
        )
        const value = numberOf(metricState)
        return tags.length === metricKey.tags.length || value === 0
          ? []
          : [[lineOf(metricKey.name, tags), value]]
      })
    ))

interface Line {
  readonly level: string
  readonly message: unknown
  readonly fields: Readonly<Record<string, unknown>>
}

/** Runs an effect with its log lines and its spans written down. */
export const observed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const lines: Array<Line> = []
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      lines.push({
        level: logLevel.label,
        message: Array.isArray(message) && message.length === 1 ? message[0] : message,
        fields: Object.fromEntries(annotations)
      })
    })
    const { spans, tracer } = recorder()
    const exit = yield* Effect.exit(self).pipe(
      Effect.withTracer(tracer),
      Effect.withTracerEnabled(true),
      Effect.provide(Layer.merge(Logger.remove(Logger.defaultLogger), Logger.add(logger))),
      Logger.withMinimumLogLevel(LogLevel.All)
    )
    return {
      exit,
      lines: [...lines],
      /** Each span under the names of those around it. */
      tree: spans.map((span) => pathOf(spans, span)),
      spans
    }
  })

const pathOf = (spans: ReadonlyArray<Recorded>, { name, parent }: Recorded): string => {
  const around = spans.find(({ spanId }) => spanId === parent)
  return around === undefined ? name : `${pathOf(spans, around)} > ${name}`
}
