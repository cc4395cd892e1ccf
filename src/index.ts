/**
 * The contents of the library, room by room: what a failure means, what a call needs before it may
 * be repeated, what guards it, what watches it, and HTTP.
 *
 * Every module also has a subpath (`effect-resilience/Retry`). Some have only that: clients of
 * single vendors (`effect-resilience/api/*`), test tools (`effect-resilience/testing/*`), stores
 * (`effect-resilience/store/*`) and adapters (`effect-resilience/http/Rpc`,
 * `effect-resilience/http/IdempotencyApi`, `effect-resilience/PolicyFile`).
 *
 * @since 0.1.0
 */

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** Ten classes for the ways in which an API call fails. */
export * as ApiError from "./errors/ApiError.js"

/** Says what a failure means for the next step: try again, give up, or wait for a guard. */
export * as Verdict from "./errors/Verdict.js"

/** Maps each status of an API to an error class, a repeat rule and the texts to show, as data. */
export * as Playbook from "./errors/Playbook.js"

/** Base class of the errors with which a guard refuses a call before it runs. */
export * as Rejection from "./errors/Rejection.js"

/** Removes secrets from headers, fields and texts before they are printed. */
export * as Redaction from "./errors/Redaction.js"

/** Validates options and throws a `RangeError` that names the field and the value. */
export * as Check from "./errors/Check.js"

// -----------------------------------------------------------------------------
// idempotency
// -----------------------------------------------------------------------------

/** Four kinds of call, by what a second execution would do. */
export * as Operation from "./idempotency/Operation.js"

/** Names one logical operation, with the same key on every attempt. */
export * as IdempotencyKey from "./idempotency/IdempotencyKey.js"

/** Runs work under a key and records at most one outcome for it. */
export * as Idempotency from "./idempotency/Idempotency.js"

/** Stores the claims and the outcomes of idempotent work. */
export * as IdempotencyStore from "./idempotency/IdempotencyStore.js"

// -----------------------------------------------------------------------------
// retry
// -----------------------------------------------------------------------------

/** Computes the delay between attempts: constant, linear, exponential or decorrelated. */
export * as Backoff from "./retry/Backoff.js"

/** Schedules, and combinators of schedules, for `Effect.retry` and `Effect.repeat`. */
export * as Schedules from "./retry/Schedules.js"

/** Repeats a failed call while its operation, its verdict and its time limits allow it. */
export * as Retry from "./retry/Retry.js"

/** Limits retries to a share of the successes, over all calls to one upstream. */
export * as RetryBudget from "./retry/RetryBudget.js"

// -----------------------------------------------------------------------------
// policies
// -----------------------------------------------------------------------------

/** Rejects calls while too many of the last ones failed or were slow. */
export * as CircuitBreaker from "./policies/CircuitBreaker.js"

/** Limits the time of one attempt, or of a whole call. */
export * as Timeout from "./policies/Timeout.js"

/** Limits concurrent calls, with a bounded queue. */
export * as Bulkhead from "./policies/Bulkhead.js"

/** Limits calls to a rate agreed with the upstream. */
export * as RateLimiter from "./policies/RateLimiter.js"

/** Pauses calls after a 429 with `Retry-After`. */
export * as Cooldown from "./policies/Cooldown.js"

/** Sends a second call when the first takes longer than usual, and uses the first result. */
export * as Hedge from "./policies/Hedge.js"

/** Rejects a share of the calls that grows with the share the upstream refuses. */
export * as AdaptiveThrottle from "./policies/AdaptiveThrottle.js"

/** Limits concurrent calls, and adjusts the limit to how calls end. */
export * as AdaptiveConcurrency from "./policies/AdaptiveConcurrency.js"

/** Replaces chosen failures by another result, and marks it. */
export * as Fallback from "./policies/Fallback.js"

/** Injects delays, failures and interruptions at a known rate. */
export * as Chaos from "./policies/Chaos.js"

// -----------------------------------------------------------------------------
// jobs
// -----------------------------------------------------------------------------

/** Runs one call for each of many items, pauses while too much fails, and resumes after a crash. */
export * as Bulk from "./jobs/Bulk.js"

/** Submits a job once, then polls until it is done or its time is over. */
export * as Polling from "./jobs/Polling.js"

// -----------------------------------------------------------------------------
// observability
// -----------------------------------------------------------------------------

/** Metrics, spans and logs of calls, switched on for each pipeline. */
export * as Telemetry from "./observability/Telemetry.js"

/** Detects repeated failures, and emits one incident with the route of its alert. */
export * as Incident from "./observability/Incident.js"

/** Maps a failure to a safe sentence in the language of the user. */
export * as UserMessage from "./observability/UserMessage.js"

// -----------------------------------------------------------------------------
// pipeline
// -----------------------------------------------------------------------------

/** Combines retry, guards and time limits, in a fixed order, into one value that protects calls. */
export * as Pipeline from "./pipeline/Pipeline.js"

/** Encode what guards show to an operator as plain JSON. */
export * as Snapshot from "./pipeline/Snapshot.js"

// -----------------------------------------------------------------------------
// http
// -----------------------------------------------------------------------------

/** Makes an `HttpClient` for one API: failures are `ApiError`s, and retries send the same key. */
export * as ApiClient from "./http/ApiClient.js"

/** Describes the operations of an API as data, and refuses bad paths before a request is sent. */
export * as Endpoint from "./http/Endpoint.js"

/** Decodes a response that is no success into an `ApiError`. */
export * as ErrorResponse from "./http/ErrorResponse.js"

/** Adds idempotency keys to a server: executes a request once, and replays its response. */
export * as IdempotencyMiddleware from "./http/IdempotencyMiddleware.js"

/** Reads and writes RFC 9457 problem documents. */
export * as ProblemDetails from "./http/ProblemDetails.js"
