/**
 * What looking on costs a call: a pipeline of four with telemetry and the same without, around a
 * body that resumes in a microtask, in one process.
 *
 * Without it the pipeline has no stage for it, so what is measured as `off` is the pipeline of the
 * other benchmark. With it there are two counts and two histograms for a call of one attempt; spans
 * cost what the tracer costs, so they are compared with the same two from `Effect.withSpan`.
 */
import { Effect } from "effect"
import { Backoff, Operation, Pipeline, type Telemetry } from "effect-resilience"
import { leavesNothing } from "./leaks.js"
import { effect, gated, measure } from "./measure.js"

let calls = 0
const body = Effect.async<number>((resume) => queueMicrotask(() => resume(Effect.succeed(++calls))))

const about = { endpoint: "/v1/things/:id", method: "GET" }

const protectedBy = (
  telemetry: Telemetry.Options | undefined,
  call: Effect.Effect<number> = body
) =>
  Pipeline.protect(
    call,
    Effect.runSync(Pipeline.make({
      operation: Operation.read,
      telemetry,
      totalTimeout: 20_000,
      retry: { retries: 2, backoff: Backoff.exponential({ base: 100 }) },
      circuitBreaker: {},
      attemptTimeout: 5000
    })),
    { about }
  )

export const run = async (): Promise<boolean> => {
  const on = protectedBy({ integration: "bench", spans: false })
  const nanos = await measure({
    off: effect(protectedBy(undefined)),
    on: effect(on),
    spans: effect(protectedBy({ integration: "bench" })),
    plainSpans: effect(
      Effect.withSpan(protectedBy(undefined, Effect.withSpan(body, "attempt")), "call")
    )
  }, { calls: 10_000, rounds: 7 })
  console.log("Pipeline of four, asynchronous body, ns per call (fastest of 7 rounds of 10,000)")
  for (const [name, ns] of Object.entries(nanos)) {
    console.log(`  ${name.padEnd(12)}${ns.toFixed(0).padStart(8)}`)
  }
  return [
    gated("metrics and logs on / off", nanos.on / nanos.off, 2.5),
    gated("metrics, logs and spans / two spans alone", nanos.spans / nanos.plainSpans, 2.5),
    await leavesNothing(on)
  ].every(Boolean)
}
