/**
 * A snapshot of a circuit in JSON.
 */
import * as Schema from "effect/Schema"
import { count, maybe, wait } from "../stage/json.js"

export const Snapshot = Schema.Struct({
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
})

/** As it stands in JSON. */
export type Encoded = typeof Snapshot.Encoded
