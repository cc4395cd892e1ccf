/** An `HttpClient` for one API, whose failures are tagged values. */
export * as ApiClient from "./http/ApiClient.js"

/** The ten ways in which a call fails, as tagged values. */
export * as ApiError from "./ApiError.js"

/** How long to wait between attempts, as a value. */
export * as Backoff from "./Backoff.js"

/** From a response that is not a success to the right `ApiError`. */
export * as ErrorResponse from "./http/ErrorResponse.js"

/** Not calling what evidently does not work. */
export * as CircuitBreaker from "./CircuitBreaker.js"

/** What can be said about the outcome of a call that carries an idempotency key. */
export * as Idempotency from "./Idempotency.js"

/** The name of one logical operation, the same on every attempt. */
export * as IdempotencyKey from "./IdempotencyKey.js"

/** What it would mean to run a call twice. */
export * as Operation from "./Operation.js"

/** One value that says how a call is protected. */
export * as Pipeline from "./Pipeline.js"

/** Properties to run on policies of your own. */
export * as Laws from "./testing/Laws.js"

/** What a status means for one API, as data. */
export * as Playbook from "./Playbook.js"

/** Keeping secrets out of everything that is printed. */
export * as Redaction from "./Redaction.js"

/** Being turned away by one of our own guards. */
export * as Rejection from "./Rejection.js"

/** One driver that tries again. */
export * as Retry from "./Retry.js"

/** Retries paid for by successes. */
export * as RetryBudget from "./RetryBudget.js"

/** Ready schedules and combinators of schedules. */
export * as Schedules from "./Schedules.js"

/** The Create Session API of a widget partner. */
export * as WidgetSession from "./api/WidgetSession.js"

/** What a failure means for the next step. */
export * as Verdict from "./Verdict.js"
