/**
 * The stages of the library, outermost first. This list is the one place that knows them all.
 */
import { telemetry } from "../observability/telemetry/stage.js"
import { adaptiveConcurrency } from "../policies/adaptiveConcurrency/stage.js"
import { adaptiveThrottle } from "../policies/adaptiveThrottle/stage.js"
import { bulkhead } from "../policies/bulkhead/stage.js"
import { chaos } from "../policies/chaos/stage.js"
import { circuitBreaker } from "../policies/circuitBreaker/stage.js"
import { cooldown } from "../policies/cooldown/stage.js"
import { hedge } from "../policies/hedge/stage.js"
import { rateLimiter } from "../policies/rateLimiter/stage.js"
import { budget } from "../policies/retry/budgetStage.js"
import { retry } from "../policies/retry/stage.js"
import type { Stage } from "../policies/stage/definition.js"
import { attemptTimeout, totalTimeout } from "../policies/timeout/stage.js"

/**
 * The stages of the library, outermost first.
 *
 * @since 0.1.0
 * @category defaults
 */
export const stages: ReadonlyArray<Stage> = [
  telemetry,
  totalTimeout,
  retry,
  budget,
  hedge,
  circuitBreaker,
  adaptiveThrottle,
  rateLimiter,
  bulkhead,
  adaptiveConcurrency,
  cooldown,
  attemptTimeout,
  chaos
]

// Named once more, so that the declarations of this file bring those of the stages, and with them
// their fields.
export {
  adaptiveConcurrency,
  adaptiveThrottle,
  attemptTimeout,
  budget,
  bulkhead,
  chaos,
  circuitBreaker,
  cooldown,
  hedge,
  rateLimiter,
  retry,
  telemetry,
  totalTimeout
}
