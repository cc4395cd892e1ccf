/** What the telemetry example prints. */
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus"
import type { MetricProducer } from "@opentelemetry/sdk-metrics"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { Duration, Option } from "effect"
import type { Telemetry } from "effect-resilience"

const percent = Option.match({
  onNone: () => "none",
  onSome: (rate: number) => `${Math.round(100 * rate)} %`
})

/** Success rates, the 95th percentile, 4xx and 5xx apart. */
export const figures = (
  { attempts, calls, endpoint, method }: Telemetry.EndpointFigures
): string => {
  const p95 = Option.match(calls.p95, {
    onNone: () => "-",
    onSome: (p95) => `${Math.ceil(Duration.toMillis(p95))} ms`
  })
  return [
    `${method} ${endpoint}`,
    `  succeeded: ${percent(calls.successRate)} of calls, ${
      percent(attempts.successRate)
    } of attempts`,
    `  failed calls: 4xx ${calls.clientErrors}, 5xx ${calls.serverErrors}; 95 % took less than ${p95}`
  ].join("\n")
}

const startOf = ({ startTime: [seconds, nanos] }: ReadableSpan): number => seconds + nanos / 1e9

const said = ({ attributes }: ReadableSpan): string => {
  const stop = attributes["resilience.retry.stop"]
  return `${attributes["http.response.status_code"] ?? "ok"}${
    stop === undefined ? "" : `, stopped: ${String(stop)}`
  }`
}

/** Each span under the one that it belongs to. */
export const tree = (spans: ReadonlyArray<ReadableSpan>, parent?: string, indent = ""): string =>
  spans
    .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)
    .toSorted((a, b) => startOf(a) - startOf(b))
    .map((span) =>
      `${indent}${span.name}: ${said(span)}\n${
        tree(spans, span.spanContext().spanId, `${indent}  `)
      }`
    )
    .join("")

/** Our metrics in the text format of Prometheus, without the buckets of the histograms. */
export const prometheus = async (producer: MetricProducer): Promise<string> => {
  const { resourceMetrics } = await producer.collect()
  return new PrometheusSerializer(undefined, false, undefined, true, true).serialize(
    resourceMetrics
  )
    .split("\n")
    .filter((line) => line.includes("resilience_") && !line.includes("_bucket"))
    .join("\n")
}
