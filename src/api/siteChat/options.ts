/** The options of a Site Chat client. */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"
import type * as Operation from "../../idempotency/Operation.js"
import type * as Incident from "../../observability/Incident.js"
import type * as Telemetry from "../../observability/Telemetry.js"
import type * as CircuitBreaker from "../../policies/CircuitBreaker.js"
import type * as RetryBudget from "../../retry/RetryBudget.js"
import type { OperationName, Policy } from "./operations.js"

/**
 * The options of a client.
 *
 * **Details**
 *
 * A `tenantId` or `siteId` that cannot be in a path (`""`, `".."`) is refused; as the id of a call
 * it is a `Validation`, and nothing is sent. The calls of the `detector` are those of `site-chat`;
 * asynchronous answers are those of `site-chat jobs`. `telemetry` files asynchronous answers under
 * `jobs`.
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
  /** The tenant, as in the paths (required). */
  readonly tenantId: string
  /** The site, as in the paths (required). */
  readonly siteId: string
  /**
   * What a second execution of an unsafe call would mean. Default `Operation.keyed`, which demands
   * an idempotency key.
   */
  readonly writes?: Operation.Operation<W> | undefined
  /** Other retries, delays or time limits, by operation. Default: those of `operations`. */
  readonly policies?: Partial<Readonly<Record<OperationName, Partial<Policy>>>> | undefined
  /** Other paths with the same parameters, by operation. Default: those of `operations`. */
  readonly paths?: Partial<Readonly<Record<OperationName, string>>> | undefined
  /** One circuit for all operations. Default: a breaker that ignores slow answers. */
  readonly circuitBreaker?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | undefined
  /** Pays for the retries of all operations. Default: none. */
  readonly budget?: RetryBudget.RetryBudget | undefined
  /**
   * Which words of the API end the waiting; it waits on at any other. Default `defaults.jobStates`.
   */
  readonly jobStates?: {
    /** The words for an answer that is there. */
    readonly done: ReadonlyArray<string>
    /** The words for an answer that will not come. */
    readonly failed: ReadonlyArray<string>
  } | undefined
  /** The time budget of an asynchronous answer. Default 2 min. */
  readonly askWithin?: Duration.DurationInput | undefined
  /**
   * Sees how every call ended and raises incidents. Default: logs those of `incidentRules`.
   * `false`: none.
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
  /** Default of the option `askWithin`. */
  askWithin: "2 minutes",
  /** Default of the option `circuitBreaker`. */
  circuitBreaker: {
    /** Ignores slow answers. */
    slowCall: false
  },
  /** Default of the option `jobStates`. */
  jobStates: {
    /** The words for an answer that is there. */
    done: ["completed", "done", "succeeded"],
    /** The words for an answer that will not come. */
    failed: ["failed", "error", "cancelled"]
  }
} as const
