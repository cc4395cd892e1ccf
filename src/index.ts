/** An `HttpClient` for one API, whose failures are tagged values. */
export * as ApiClient from "./http/ApiClient.js"

/** The ten ways in which a call fails, as tagged values. */
export * as ApiError from "./errors/ApiError.js"

/** A limit of concurrent calls that learns. */
export * as AdaptiveConcurrency from "./policies/AdaptiveConcurrency.js"

/** Sending less to an upstream that accepts little. */
export * as AdaptiveThrottle from "./policies/AdaptiveThrottle.js"

/** How long to wait between attempts, as a value. */
export * as Backoff from "./retry/Backoff.js"

/** The same call for many items: pauses, resumes, sends nothing twice. */
export * as Bulk from "./jobs/Bulk.js"

/** So many calls at a time, a bounded number waiting. */
export * as Bulkhead from "./policies/Bulkhead.js"

/** Faults injected on purpose. */
export * as Chaos from "./policies/Chaos.js"

/** Refuses options that make no sense. */
export * as Check from "./errors/Check.js"

/** Not calling what evidently does not work. */
export * as CircuitBreaker from "./policies/CircuitBreaker.js"

/** Leaving an upstream alone for as long as it asked. */
export * as Cooldown from "./policies/Cooldown.js"

/** The operations of one API as data, and requests that are refused before they are sent. */
export * as Endpoint from "./http/Endpoint.js"

/** From a response that is not a success to the right `ApiError`. */
export * as ErrorResponse from "./http/ErrorResponse.js"

/** The FaceSign API. */
export * as FaceSign from "./api/FaceSign.js"

/** Something instead of a failure. */
export * as Fallback from "./policies/Fallback.js"

/** The integration API of a field-activities product. */
export * as FieldActivities from "./api/FieldActivities.js"

/** Asking again before the first answer is late. */
export * as Hedge from "./policies/Hedge.js"

/** At most one recorded outcome for work under a key. */
export * as Idempotency from "./idempotency/Idempotency.js"

/** The name of one logical operation, the same on every attempt. */
export * as IdempotencyKey from "./idempotency/IdempotencyKey.js"

/** A server that executes once and replays. */
export * as IdempotencyMiddleware from "./http/IdempotencyMiddleware.js"

/** Where the records of idempotent work live. */
export * as IdempotencyStore from "./idempotency/IdempotencyStore.js"

/** From failures to somebody who looks. */
export * as Incident from "./observability/Incident.js"

/** Properties to run on policies of your own. */
export * as Laws from "./testing/Laws.js"

/** The API of a messaging product. */
export * as Messaging from "./api/Messaging.js"

/** What it would mean to run a call twice. */
export * as Operation from "./idempotency/Operation.js"

/** One value that says how a call is protected. */
export * as Pipeline from "./pipeline/Pipeline.js"

/** What a status means for one API, as data. */
export * as Playbook from "./errors/Playbook.js"

/** What guards show to an operator, as plain JSON. */
export * as Snapshot from "./pipeline/Snapshot.js"

/** Submit once, ask until it is done, within a time. */
export * as Polling from "./jobs/Polling.js"

/** Errors as RFC 9457 documents, in both directions. */
export * as ProblemDetails from "./http/ProblemDetails.js"

/** Staying below an agreed rate. */
export * as RateLimiter from "./policies/RateLimiter.js"

/** Keeping secrets out of everything that is printed. */
export * as Redaction from "./errors/Redaction.js"

/** Being turned away by one of our own guards. */
export * as Rejection from "./errors/Rejection.js"

/** One driver that tries again. */
export * as Retry from "./retry/Retry.js"

/** Retries paid for by successes. */
export * as RetryBudget from "./retry/RetryBudget.js"

/** Ready schedules and combinators of schedules. */
export * as Schedules from "./retry/Schedules.js"

/** The Site Chat API. */
export * as SiteChat from "./api/SiteChat.js"

/** Metrics, spans and logs about calls, where somebody asked for them. */
export * as Telemetry from "./observability/Telemetry.js"

/** A limit of time for an attempt or a whole call. */
export * as Timeout from "./policies/Timeout.js"

/** What a person may read when something has failed. */
export * as UserMessage from "./observability/UserMessage.js"

/** What a failure means for the next step. */
export * as Verdict from "./errors/Verdict.js"

/** Hours in milliseconds, for tests and simulations. */
export * as VirtualTime from "./testing/VirtualTime.js"

/** The Create Session API of a widget partner. */
export * as WidgetSession from "./api/WidgetSession.js"
