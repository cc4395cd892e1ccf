/**
 * Records metrics, spans and structured logs about calls, where the pipeline has a telemetry stage.
 *
 * It is opt-in for each pipeline, and a pipeline without it has no part of it: no stage, no span,
 * no count. What is counted is tagged with a few words that are known beforehand (the integration,
 * the endpoint's template, how it ended) and never with a key, an id or free text. Logs hold names
 * and numbers. All of it goes through Effect's own `Metric`, `Tracer` and `Logger`, so whatever
 * exports those exports this.
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
 * The options of telemetry.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name of the API on every metric, span and log line (required). */
  readonly integration: string
  /** The environment, such as `production`. Default: none. */
  readonly environment?: string | undefined
  /**
   * Makes spans for calls and attempts. Default true. Calls of `ApiClient` always have spans, and
   * get more attributes here.
   */
  readonly spans?: boolean | undefined
  /**
   * The level of the one log line for each failed call; `false` for no line. Default `"Warning"`.
   */
  readonly logs?: "Fatal" | "Error" | "Warning" | "Info" | "Debug" | "Trace" | false | undefined
  /**
   * How many endpoints are counted apart; later ones are counted together as `other`. Default 100.
   */
  readonly maxEndpoints?: number | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `spans`. */
  spans: true,
  /** Default of the option `logs`. */
  logs: "Warning",
  /** Default of the option `maxEndpoints`. */
  maxEndpoints: 100
} as const

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

const isName = (name: string): boolean => name.trim() !== ""

/**
 * Makes telemetry for one integration. Invalid options die with `RangeError`, which names field and
 * value.
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
 * Reads an option: given telemetry stays, options make one, `undefined` is none.
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
 * Records a call with everything that protects it: metrics, a span, and a log line on failure.
 *
 * **When to use**
 *
 * Around calls outside a pipeline: a polled job, an idempotent run, a retry of your own. A pipeline
 * has a stage for it (`telemetry`).
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
  /** Records one call: metrics, a span, a log line on failure. Effect last, for `pipe`. */
  (
    telemetry: Telemetry,
    about?: About
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Records one call: metrics, a span, a log line on failure. Effect first. */
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
 * Records one attempt of a call: counts `resilience.attempt.outcomes` and
 * `resilience.attempt.duration`, and makes a span. Time in queues of the guards does not count. Put
 * it inside the retry; a pipeline does it by itself.
 *
 * @since 0.1.0
 * @category combinators
 */
export const observeAttempt: {
  /** Records one attempt: metrics and a span. Effect last, for `pipe`. */
  (
    telemetry: Telemetry,
    about?: About
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Records one attempt: metrics and a span. Effect first. */
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
 * Counts the circuits of a breaker for as long as it lives: `resilience.circuit.calls`,
 * `resilience.circuit.transitions`, and how many circuits are in each state
 * (`resilience.circuit.state`). Repeated calls for the same integration count once. A breaker of
 * another library is not counted.
 *
 * **Details**
 *
 * The gauge reports `Open` until the next call, even after the open period ends. The circuits of a
 * dropped breaker stay in the count: make breakers once.
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
 * Makes a bulkhead that counts its permits in use (`resilience.bulkhead.in_use`) for calls that go
 * through it.
 *
 * @since 0.1.0
 * @category guards
 */
export const bulkhead = (telemetry: Telemetry, bulkhead: Bulkhead.Bulkhead): Bulkhead.Bulkhead =>
  permitsCounted(bulkhead, observerOf(telemetry))

/**
 * Makes a budget that counts its refusals (`resilience.budget.refused`) for retries and hedges that
 * use it.
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
 * The metrics of this module, to read one under labels of your own. Effect tells metrics apart by
 * their description too, so a metric of the same name made elsewhere is another one.
 *
 * @since 0.1.0
 * @category figures
 */
export const metrics = {
  /** The histogram `resilience.call.duration`. */
  callDuration: Metrics.calls.duration,
  /** The counter `resilience.call.outcomes`. */
  callOutcomes: Metrics.calls.outcomes,
  /** The histogram `resilience.attempt.duration`. */
  attemptDuration: Metrics.attempts.duration,
  /** The counter `resilience.attempt.outcomes`. */
  attemptOutcomes: Metrics.attempts.outcomes,
  /** The counter `resilience.circuit.calls`. */
  circuitCalls: CircuitObservers.circuitCalls,
  /** The gauge `resilience.circuit.state`. */
  circuitState: CircuitObservers.circuitState,
  /** The counter `resilience.circuit.transitions`. */
  circuitTransitions: CircuitObservers.circuitTransitions,
  /** The counter `resilience.budget.refused`. */
  budgetRefused,
  /** The gauge `resilience.bulkhead.in_use`. */
  bulkheadInUse
} as const

/**
 * Reads how each endpoint performs: success rate, latencies, 4xx and 5xx apart, once as callers saw
 * it and once as the API behaved. Covers everything that this process has counted under the
 * integration and environment. O(metrics of the process).
 *
 * @since 0.1.0
 * @category figures
 */
export const figures = (
  telemetry: Telemetry
): Effect.Effect<ReadonlyArray<Figures.EndpointFigures>> =>
  Effect.map(Metric.snapshot, (snapshot) => Figures.read(snapshot, observerOf(telemetry).labels))

/**
 * Collects the fields to log about a failure: integration, environment, endpoint, method, status,
 * tenant and site, session, request id, attempts, latency, whether it timed out, verdict, the
 * reason for stopping and the error's tag. Names and numbers; nothing that was sent, nothing that
 * an API wrote. Unknown fields are absent.
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
 * Adds tenant, site and session to every log line and every span of an effect. Never to a metric.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withContext: {
  /** Adds the context to every log line and span of an effect. Effect last, for `pipe`. */
  (
    context: TelemetryFields.Context
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Adds the context to every log line and span of the effect. Effect first. */
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
