/** The options of a Messaging client, and what its calls fail with. */
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as ApiError from "../../errors/ApiError.js"
import type * as Idempotency from "../../idempotency/Idempotency.js"
import type * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"
import type * as Operation from "../../idempotency/Operation.js"
import type * as Incident from "../../observability/Incident.js"
import type * as Telemetry from "../../observability/Telemetry.js"
import type * as CircuitBreaker from "../../policies/CircuitBreaker.js"
import type * as RetryBudget from "../../retry/RetryBudget.js"
import type { OperationName, Policy } from "./operations.js"

/**
 * Everything that a call can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure = ApiError.ApiError | Idempotency.UnknownOutcome | CircuitBreaker.CircuitOpen

/**
 * The options of a client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<W = IdempotencyKey.IdempotencyKey> {
  /** The address of the API (required). */
  readonly baseUrl: string
  /**
   * The API key, sent as `Authorization: Bearer` (required). A key that no header can hold fails
   * with `Auth` before it is sent.
   */
  readonly apiKey: Redacted.Redacted<string>
  /**
   * Fetches another key when the API answers 401, once for all calls that are refused together;
   * each of them is sent once more. Default: a 401 is final.
   */
  readonly renewKey?: Effect.Effect<Redacted.Redacted<string>, ApiError.ApiError> | undefined
  /**
   * What a second execution of a call would mean. Default `Operation.keyed`, which demands an
   * idempotency key.
   */
  readonly writes?: Operation.Operation<W> | undefined
  /** Other retries, delays or time limits, by operation. Default: those of `operations`. */
  readonly policies?: Partial<Readonly<Record<OperationName, Partial<Policy>>>> | undefined
  /** Other paths with the same parameters, by operation. Default: those of `operations`. */
  readonly paths?: Partial<Readonly<Record<OperationName, string>>> | undefined
  /** One circuit for each endpoint. Default: a breaker that ignores slow answers. */
  readonly circuitBreaker?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | undefined
  /** Pays for the retries of all operations. Default: none. */
  readonly budget?: RetryBudget.RetryBudget | undefined
  /**
   * Sees the answer to every attempt and raises incidents, so that a trend of 429 or 503 shows
   * although calls succeed in the end. Default: logs those of `incidentRules`. `false`: none.
   */
  readonly detector?: Incident.Detector | false | undefined
  /** Metrics, spans and logs of all operations. Default: none. */
  readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `circuitBreaker`. */
  circuitBreaker: {
    /** Ignores slow answers. */
    slowCall: false
  },
  /** The route that a code takes by default. */
  route: "direct"
} as const
