/**
 * Metrics, spans and structured logs about calls, where somebody asked for them.
 *
 * It is opt-in for each pipeline, and a pipeline without it has no part of it: no stage, no span,
 * no count. What is counted is tagged with a few words that are known beforehand (the integration,
 * the endpoint's template, how it ended) and never with a key, an id or a text that somebody wrote.
 * What is logged is names and numbers. All of it goes through Effect's own `Metric`, `Tracer` and
 * `Logger`, so whatever exports those exports this.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import type * as Bulkhead from "../policies/Bulkhead.js"
import { bulkheadInUse, permitsCounted } from "../policies/bulkhead/counted.js"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as CircuitObservers from "../policies/circuitBreaker/observers.js"
import { budgetRefused, refusalsCounted } from "../policies/retry/budgetStage.js"
import type * as RetryBudget from "../retry/RetryBudget.js"
import type { About } from "../runtime/callContext.js"
import * as Validate from "../runtime/validate.js"
import * as TelemetryFields from "./telemetry/fields.js"
import * as Figures from "./telemetry/figures.js"
import { isTelemetry, Made, observerOf, type Telemetry } from "./telemetry/instance.js"
import * as Metrics from "./telemetry/metrics.js"
import { Observer, toAttributes } from "./telemetry/observer.js"

export type { About } from "../runtime/callContext.js"
export type { Context, Fields } from "./telemetry/fields.js"
export type { EndpointFigures, Figures } from "./telemetry/figures.js"
export { isTelemetry, TypeId } from "./telemetry/instance.js"
export type { Telemetry } from "./telemetry/instance.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * - `integration`: what the API is called, on everything. `environment`: such as `production`,
 *   where given.
 * - `spans`: whether calls and attempts have spans. Default true. Calls of `ApiClient` always have
 *   spans; then theirs get more attributes.
 * - `logs`: the level of the one line for each call that failed, or false for none. Default
 *   `"Warning"`.
 * - `maxEndpoints`: how many endpoints are counted apart; those that come later are counted as
 *   `other`, together. Default 100.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly integration: string
  readonly environment?: string | undefined
  readonly spans?: boolean | undefined
  readonly logs?: "Fatal" | "Error" | "Warning" | "Info" | "Debug" | "Trace" | false | undefined
  readonly maxEndpoints?: number | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { spans: true, logs: "Warning", maxEndpoints: 100 } as const

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

const isName = (name: string): boolean => name.trim() !== ""

/**
 * Telemetry for one integration. Dies with a `RangeError` that names field and value when an option
 * is nonsense.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Telemetry> =>
  Effect.sync(() => {
    const {
      environment,
      logs = defaults.logs,
      maxEndpoints = defaults.maxEndpoints,
      spans = defaults.spans
    } = options
    return new Made(
      new Observer({
        integration: Validate.text("integration", options.integration, "a name", isName),
        environment: environment === undefined
          ? undefined
          : Validate.text("environment", environment, "a name", isName),
        spans,
        logs: logs === false
          ? undefined
          : LogLevel.fromLiteral(
            Validate.oneOf("logs", logs, ["Fatal", "Error", "Warning", "Info", "Debug", "Trace"])
          ),
        maxEndpoints: Validate.integer("maxEndpoints", maxEndpoints, 0)
      })
    )
  })

/**
 * Telemetry that is there, or one made of options; none where there is neither.
 *
 * @since 0.1.0
 * @category constructors
 */
export const from = (
  telemetry: Telemetry | Options | undefined
): Effect.Effect<Telemetry | undefined> =>
  telemetry === undefined || isTelemetry(telemetry) ? Effect.succeed(telemetry) : make(telemetry)

// -----------------------------------------------------------------------------
// looking on
// -----------------------------------------------------------------------------

/**
 * Looks on at a call, with everything that is done to protect it.
 *
 * **When to use**
 *
 * Around what is not in a pipeline: a job that is polled for, an idempotent run, a retry of your
 * own. A pipeline has a stage for it (`telemetry`).
 *
 * **Details**
 *
 * Counts `resilience.call.outcomes` and `resilience.call.duration`, makes a span, and logs one line
 * when the call failed. Interruption is counted as such, has no duration and is not logged. O(1).
 *
 * **Example** (A call that fails is counted under its endpoint)
 *
 * ```ts
 * import { ApiError, Telemetry } from "effect-resilience"
 * import { Effect, Option } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const telemetry = yield* Telemetry.make({ integration: "docs-tenants", logs: false })
 *   const observe = Telemetry.observe(telemetry, { endpoint: "/v1/tenants/:id", method: "GET" })
 *   yield* observe(Effect.succeed("found"))
 *   yield* Effect.flip(observe(new ApiError.NotFound({ message: "no such tenant", status: 404 })))
 *   const [figures] = yield* Telemetry.figures(telemetry)
 *   return `${figures?.method} ${figures?.endpoint}: ${
 *     Option.getOrUndefined(figures!.calls.successRate)
 *   }`
 * })
 *
 * await Effect.runPromise(program) // => "GET /v1/tenants/:id: 0.5"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const observe: {
  (
    telemetry: Telemetry,
    about?: About
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    telemetry: Telemetry,
    about?: About
  ): Effect.Effect<A, E, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    telemetry: Telemetry,
    about: About = {}
  ): Effect.Effect<A, E, R> => observerOf(telemetry).call(self, about)
)

/**
 * Looks on at one attempt of a call: counts `resilience.attempt.outcomes` and
 * `resilience.attempt.duration`, and makes a span. Time that it waited for its turn in our own
 * guards does not count. Inside of whatever tries again; a pipeline does it by itself.
 *
 * @since 0.1.0
 * @category combinators
 */
export const observeAttempt: {
  (
    telemetry: Telemetry,
    about?: About
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    telemetry: Telemetry,
    about?: About
  ): Effect.Effect<A, E, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    telemetry: Telemetry,
    about: About = {}
  ): Effect.Effect<A, E, R> => observerOf(telemetry).attempt(self, about)
)

/**
 * Looks on at the circuits of a breaker, for as long as it lives: `resilience.circuit.calls`,
 * `resilience.circuit.transitions` and how many circuits are in each state
 * (`resilience.circuit.state`). However often it is asked for the same integration, it counts once.
 * A breaker that is not of this library has nothing that could be looked at.
 *
 * **Details**
 *
 * A circuit whose opening has ended is half-open for who looks or calls, and counted as open until
 * somebody does. The circuits of a breaker that the program lets go of stay in the count: make
 * breakers once.
 *
 * @since 0.1.0
 * @category guards
 */
export const circuitBreaker = (
  telemetry: Telemetry,
  breaker: CircuitBreaker.CircuitBreaker
): Effect.Effect<void> =>
  Effect.sync(() => CircuitObservers.observe(breaker, observerOf(telemetry)))

/**
 * The same bulkhead, with its permits in use counted (`resilience.bulkhead.in_use`) for calls that
 * go through it here.
 *
 * @since 0.1.0
 * @category guards
 */
export const bulkhead = (telemetry: Telemetry, bulkhead: Bulkhead.Bulkhead): Bulkhead.Bulkhead =>
  permitsCounted(bulkhead, observerOf(telemetry))

/**
 * The same budget, with its refusals counted (`resilience.budget.refused`) for retries and hedges
 * that ask it here.
 *
 * @since 0.1.0
 * @category guards
 */
export const budget = (
  telemetry: Telemetry,
  budget: RetryBudget.RetryBudget
): RetryBudget.RetryBudget => refusalsCounted(budget, observerOf(telemetry))

// -----------------------------------------------------------------------------
// looking at
// -----------------------------------------------------------------------------

/**
 * The metrics themselves, to read one under labels of your own choice. A metric is found again by
 * its description too, so one that is made with the same name is another.
 *
 * @since 0.1.0
 * @category figures
 */
export const metrics = {
  callDuration: Metrics.calls.duration,
  callOutcomes: Metrics.calls.outcomes,
  attemptDuration: Metrics.attempts.duration,
  attemptOutcomes: Metrics.attempts.outcomes,
  circuitCalls: CircuitObservers.circuitCalls,
  circuitState: CircuitObservers.circuitState,
  circuitTransitions: CircuitObservers.circuitTransitions,
  budgetRefused,
  bulkheadInUse
} as const

/**
 * How each endpoint is doing: success rate, latencies, 4xx and 5xx apart, once as callers saw it
 * and once as the API behaved. Of everything that this process has counted under the integration
 * and environment. O(metrics of the process).
 *
 * @since 0.1.0
 * @category figures
 */
export const figures = (
  telemetry: Telemetry
): Effect.Effect<ReadonlyArray<Figures.EndpointFigures>> =>
  Effect.map(Metric.snapshot, (snapshot) => Figures.read(snapshot, observerOf(telemetry).labels))

/**
 * What is worth logging about a failure: integration, environment, endpoint, method, status, tenant
 * and site, session, request id, attempts, latency, whether it timed out, verdict, the reason for
 * stopping and the error's tag. Names and numbers; nothing that was sent, nothing that an API
 * wrote. Unknown fields are absent.
 *
 * **Details**
 *
 * A `SubmitFailed` or `PollFailed` has the fields of the failure behind it. `error` stays the tag
 * of the polling error, `requestId` that of the job; `reason` is the tag of the failure behind. A
 * `PollingTimeout` counts as timed out. O(1).
 *
 * **Example** (A line that says enough)
 *
 * ```ts
 * import { ApiError, Telemetry } from "effect-resilience"
 *
 * const error = new ApiError.Server({
 *   message: "oops",
 *   status: 503,
 *   endpoint: "/v1/sites/:id",
 *   method: "GET",
 *   attempts: 3
 * })
 *
 * const fields = Telemetry.fields(error, { integration: "sites", tenantId: "acme" })
 * const { endpoint, integration, method, status, tenantId, ...outcome } = fields
 *
 * const call = [integration, method, endpoint, status, tenantId]
 * call // => ["sites", "GET", "/v1/sites/:id", 503, "acme"]
 * outcome // => { attempts: 3, retries: 2, timedOut: false, verdict: "Transient", error: "Server" }
 * ```
 *
 * @since 0.1.0
 * @category figures
 */
export const fields = (
  error: unknown,
  context: TelemetryFields.Context = {}
): TelemetryFields.Fields => TelemetryFields.explained(error, context)

/**
 * Says whose calls these are, on every log line and every span within: tenant, site, session. Never
 * on a metric.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withContext: {
  (
    context: TelemetryFields.Context
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, context: TelemetryFields.Context): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    context: TelemetryFields.Context
  ): Effect.Effect<A, E, R> => {
    const known = TelemetryFields.known({ ...context })
    return Effect.annotateSpans(Effect.annotateLogs(self, known), toAttributes(known))
  }
)
