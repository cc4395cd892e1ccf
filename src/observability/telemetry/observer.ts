/**
 * Observes calls and their attempts: how long they took, how they ended, and one log line for each
 * that failed.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { globalValue } from "effect/GlobalValue"
import type * as LogLevel from "effect/LogLevel"
import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import type * as Tracer from "effect/Tracer"
import * as ApiError from "../../errors/ApiError.js"
import type { About } from "../../runtime/callContext.js"
import * as CallContext from "../../runtime/callContext.js"
import { clockOf, elapsedMillis } from "../../runtime/clock.js"
import type { Labels, Meter } from "../../runtime/meter.js"
import * as QueueTime from "../../runtime/queueTime.js"
import * as Fields from "./fields.js"
import * as Metrics from "./metrics.js"
import * as Outcome from "./outcome.js"

/** What has been decided beforehand. Without a level nothing is logged. */
export interface Settings {
  readonly integration: string
  readonly environment: string | undefined
  readonly spans: boolean
  readonly logs: LogLevel.LogLevel | undefined
  readonly maxEndpoints: number
}

/** When a call or an attempt began. */
interface Begin {
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  readonly at: bigint
  readonly waited: number
}

const begin = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Begin => ({
  fiber,
  at: clockOf(fiber).unsafeCurrentTimeNanos(),
  waited: QueueTime.millisOf(fiber)
})

const millisSince = ({ at, fiber }: Begin): number => elapsedMillis(clockOf(fiber), at)

const attributes: Readonly<Record<string, string>> = {
  status: "http.response.status_code",
  method: "http.request.method",
  requestId: "resilience.request_id",
  tenantId: "resilience.tenant_id",
  siteId: "resilience.site_id",
  sessionId: "resilience.session_id",
  latencyMillis: "resilience.latency_ms",
  timedOut: "resilience.timed_out",
  stopReason: "resilience.retry.stop"
}

/** Renames fields to the names that spans have for them. */
export const toAttributes = (fields: Fields.Fields): Fields.Fields =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [attributes[name] ?? `resilience.${name}`, value])
  )

const write = (span: Tracer.Span, fields: Fields.Fields): void => {
  for (const [name, value] of Object.entries(toAttributes(fields))) span.attribute(name, value)
}

/** Looking on never changes what is looked at: what goes wrong in it is dropped. */
const quietly = (look: () => Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchAllCause(Effect.suspend(look), () => Effect.void)

/**
 * The endpoints that are counted apart, by the labels they are counted under: observers with the
 * same labels share them.
 */
const endpoints = globalValue(
  "effect-resilience/telemetry/endpoints",
  () => new Map<string, Set<string>>()
)

/** One text for several, from which none can be mistaken for two. */
const joined = (...parts: ReadonlyArray<string | undefined>): string => parts.join("\u0000")

export class Observer implements Meter {
  readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  /** Under which name it counts: the same for all observers with the same labels. */
  readonly name: string
  readonly #all: Metrics.Labelled
  readonly #counted: Set<string>
  readonly #labelledAs = new Map<string, Metrics.Labelled>()

  constructor(readonly settings: Settings) {
    const { environment, integration } = settings
    this.labels = [
      MetricLabel.make("integration", integration),
      ...(environment === undefined ? [] : [MetricLabel.make("environment", environment)])
    ]
    this.name = joined(...this.labels.map(({ value }) => value))
    this.#all = new Metrics.Labelled(this.labels)
    this.#counted = endpoints.get(this.name) ?? new Set()
    endpoints.set(this.name, this.#counted)
  }

  #with(labels: Labels = {}): ReadonlyArray<MetricLabel.MetricLabel> {
    return Object.entries(labels).reduce(
      (labelled, [name, value]) => labelled.with(name, value),
      this.#all
    ).labels
  }

  counter(metric: Metric.Metric.Counter<number>, labels?: Labels): () => void {
    const all = this.#with(labels)
    return () => metric.unsafeUpdate(1, all)
  }

  gauge(metric: Metric.Metric.Gauge<number>, labels?: Labels): (by: number) => void {
    const all = this.#with(labels)
    return (by) => metric.unsafeModify(by, all)
  }

  /** What is counted of one endpoint; of all that come after the agreed number, together. */
  #labelled({ endpoint = "default", method, operation }: About): Metrics.Labelled {
    const key = joined(endpoint, method, operation)
    const found = this.#labelledAs.get(key)
    if (found !== undefined) return found
    if (!this.#counted.has(endpoint) && this.#counted.size >= this.settings.maxEndpoints) {
      return this.#all.with("endpoint", "other")
    }
    this.#counted.add(endpoint)
    const named = this.#all.with("endpoint", endpoint)
    const placed = method === undefined ? named : named.with("method", method)
    const labelled = operation === undefined ? placed : placed.with("operation", operation)
    this.#labelledAs.set(key, labelled)
    return labelled
  }

  /**
   * A span around an effect, where spans are on and the caller has none of its own. It ends with
   * names only.
   */
  #spanned<A, E, R>(
    name: string,
    about: About,
    observed: (span: Tracer.Span | undefined) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    if (!this.settings.spans || about.traced === true) return observed(undefined)
    return Effect.acquireUseRelease(
      Effect.makeSpan(name, { kind: "client", captureStackTrace: false }),
      (span) => Effect.withParentSpan(observed(span), span),
      (span, exit) =>
        Effect.clockWith((clock) =>
          quietly(() =>
            Effect.sync(() =>
              span.end(clock.unsafeCurrentTimeNanos(), Outcome.shown(exit, Outcome.of(exit)))
            )
          )
        )
    )
  }

  /** A call from its beginning to its end, everything included. */
  call<A, E, R>(self: Effect.Effect<A, E, R>, about: About): Effect.Effect<A, E, R> {
    const name = [this.settings.integration, about.method, about.endpoint ?? "call"].filter((
      part
    ) => part !== undefined)
    return this.#spanned(
      name.join(" "),
      about,
      (span) =>
        Effect.withFiberRuntime<A, E, R>((fiber) => {
          const started = begin(fiber)
          const call: CallContext.Observed = { labels: this.labels, attempts: 0, stop: undefined }
          return Effect.onExit(
            CallContext.observed.during(self, call),
            (exit) => quietly(() => this.#callEnded(about, started, call, exit, span))
          )
        })
    )
  }

  #callEnded(
    about: About,
    started: Begin,
    observed: CallContext.Observed,
    exit: Exit.Exit<unknown, unknown>,
    span: Tracer.Span | undefined
  ): Effect.Effect<void> {
    const { logs, spans } = this.settings
    const outcome = Outcome.of(exit)
    const latencyMillis = Math.max(0, millisSince(started))
    const ran = outcome.family !== "interrupted" &&
      (outcome.family !== "rejected" || observed.attempts > 0)
    this.#count(Metrics.calls, about, outcome, ran ? latencyMillis : undefined)
    const level = isFailure(outcome) ? logs : undefined
    if (!spans && level === undefined) return Effect.void
    const fields = this.#fieldsOf(about, observed, outcome, latencyMillis)
    if (span !== undefined) write(span, fields)
    const annotated = spans && about.traced === true
      ? Effect.annotateCurrentSpan(toAttributes(fields))
      : Effect.void
    return level === undefined
      ? annotated
      : Effect.zipRight(
        annotated,
        Effect.annotateLogs(Effect.logWithLevel(level, "Call failed"), fields)
      )
  }

  /**
   * What is known of the call counts for more than what an error says, which may be of a call
   * inside of it.
   */
  #fieldsOf(
    about: About,
    observed: CallContext.Observed,
    outcome: Outcome.Outcome,
    latencyMillis: number
  ): Fields.Fields {
    const { environment, integration } = this.settings
    const { endpoint, kid, method } = about
    const context = {
      integration,
      environment,
      endpoint,
      method,
      kid,
      latencyMillis: Math.round(latencyMillis)
    }
    const error = ApiError.isApiError(outcome.error) ? outcome.error : undefined
    const attempts = about.traced === true
      ? Math.max(observed.attempts, error?.attempts ?? 0)
      : observed.attempts
    const counted = attempts > 0 ? attempts : undefined
    if (!isFailure(outcome)) return Fields.known({ ...context, attempts: counted })
    const said = Fields.of(outcome.error, { ...context, stopReason: observed.stop })
    return {
      ...said,
      ...Fields.known({
        endpoint,
        method,
        attempts: counted,
        retries: counted === undefined ? undefined : counted - 1,
        error: said.error === "Unknown" ? outcome.name : undefined
      })
    }
  }

  /** One attempt: what the API itself did. */
  attempt<A, E, R>(self: Effect.Effect<A, E, R>, about: About): Effect.Effect<A, E, R> {
    return this.#spanned(
      `${this.settings.integration} attempt`,
      about,
      (span) =>
        Effect.withFiberRuntime<A, E, R>((fiber) => {
          const started = begin(fiber)
          const current = CallContext.observed.of(fiber)
          // An attempt of a call that another observer records is none of this one's.
          const observed = current?.labels === this.labels ? current : undefined
          const number = observed === undefined ? 1 : ++observed.attempts
          return Effect.onExit(self, (exit) =>
            quietly(() => {
              this.#attemptEnded(about, started, number, exit, observed, span)
              return Effect.void
            }))
        })
    )
  }

  #attemptEnded(
    about: About,
    started: Begin,
    number: number,
    exit: Exit.Exit<unknown, unknown>,
    observed: CallContext.Observed | undefined,
    span: Tracer.Span | undefined
  ): void {
    // What stopped inside of it is no reason for whatever is around it.
    if (observed !== undefined) observed.stop = undefined
    const outcome = Outcome.of(exit)
    // Nothing was tried.
    if (outcome.family === "rejected" && observed !== undefined) observed.attempts--
    // What it stood in front of a limiter or a bulkhead is not the upstream's.
    const latencyMillis = Math.max(
      0,
      millisSince(started) - (QueueTime.millisOf(started.fiber) - started.waited)
    )
    if (outcome.family !== "rejected") {
      this.#count(
        Metrics.attempts,
        about,
        outcome,
        outcome.family === "interrupted" ? undefined : latencyMillis
      )
    }
    if (span === undefined) return
    const { endpoint, kid, method } = about
    const verdict = isFailure(outcome) ? ApiError.verdict(outcome.error) : undefined
    write(
      span,
      Fields.known({
        attempt: number,
        endpoint,
        method,
        kid,
        status: ApiError.isApiError(outcome.error) ? outcome.error.status : undefined,
        latencyMillis: Math.round(latencyMillis),
        error: outcome.family === "success" ? undefined : outcome.name,
        verdict: verdict?._tag,
        ambiguous: verdict?._tag === "Transient" ? verdict.ambiguous : undefined
      })
    )
  }

  #count(
    metrics: typeof Metrics.calls,
    about: About,
    outcome: Outcome.Outcome,
    latencyMillis: number | undefined
  ): void {
    const labelled = this.#labelled(about)
    metrics.outcomes.unsafeUpdate(1, labelled.ended(outcome))
    if (latencyMillis !== undefined) metrics.duration.unsafeUpdate(latencyMillis, labelled.took())
  }
}

const isFailure = ({ family }: Outcome.Outcome): boolean =>
  family !== "success" && family !== "interrupted"
