/**
 * A snapshot of a circuit in JSON.
 */
import * as Schema from "effect/Schema"
import type * as CircuitBreaker from "../CircuitBreaker.js"
import { count, maybe, wait } from "../stage/json.js"

export const Snapshot: Schema.Schema<CircuitBreaker.Snapshot, unknown> = Schema.Struct({
  key: Schema.String,
  state: Schema.Literal(
    "Closed",
    "Open",
    "HalfOpen",
    "Isolated",
    "ForcedOpen",
    "ForcedClosed",
    "Disabled"
  ),
  calls: count,
  failures: count,
  slow: count,
  failureRate: maybe,
  slowRate: maybe,
  inFlight: count,
  rejected: count,
  openings: count,
  retryAfter: wait
}) as Schema.Schema<CircuitBreaker.Snapshot, unknown>
