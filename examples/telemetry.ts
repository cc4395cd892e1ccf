/**
 * What an operator sees: a log line for each call that failed, figures by endpoint, spans as a
 * tree, metrics for Prometheus. `npx tsx examples/telemetry.ts`
 *
 * The library counts, traces and logs with what Effect has for it. Here OpenTelemetry exports that,
 * as it would in production.
 */
import * as Metrics from "@effect/opentelemetry/Metrics"
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Console, Effect, Logger } from "effect"
import { ApiClient, Backoff, Operation, Pipeline, Telemetry } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Report from "./telemetry/report.js"

const times = (count: number, fault: FlakyApi.Fault) => Array.from({ length: count }, () => fault)

/** The first call is mended by its second retry, the second is not, the third finds nothing. */
const flaky = FlakyApi.make({
  app: HttpServerResponse.text("found"),
  script: FlakyApi.sequence([
    ...times(2, FlakyApi.serverError()),
    FlakyApi.none,
    ...times(3, FlakyApi.unavailable()),
    FlakyApi.status(404)
  ])
})

/** Three calls through a pipeline that is looked at. */
const calls = Effect.gen(function*() {
  const server = yield* flaky
  const telemetry = yield* Telemetry.make({ integration: "tenants", environment: "production" })
  const pipeline = yield* Pipeline.make({
    operation: Operation.read,
    telemetry,
    retry: { retries: 2, backoff: Backoff.constant("5 millis") },
    circuitBreaker: {}
  })
  const client = yield* ApiClient.make({ name: "tenants", baseUrl: server.url, pipeline })
  for (const tenantId of ["acme", "globex", "initech"]) {
    yield* client.get(`/v1/tenants/${tenantId}`).pipe(
      ApiClient.withEndpoint("/v1/tenants/:id"),
      Telemetry.withContext({ tenantId }),
      Effect.ignore
    )
  }
  return yield* Telemetry.figures(telemetry)
})

const exporter = new InMemorySpanExporter()

const sdk = NodeSdk.layer(() => ({
  resource: { serviceName: "example" },
  spanProcessor: new SimpleSpanProcessor(exporter)
}))

const program = Effect.gen(function*() {
  const figures = yield* calls
  const producer = yield* Metrics.makeProducer
  yield* Console.log(`\n${figures.map(Report.figures).join("\n")}`)
  yield* Console.log(`\n${Report.tree(exporter.getFinishedSpans())}`)
  yield* Console.log(yield* Effect.promise(() => Report.prometheus(producer)))
})

await Effect.runPromise(
  Effect.scoped(program).pipe(Effect.provide([sdk, FetchHttpClient.layer, Logger.logFmt]))
)
