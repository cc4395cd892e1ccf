/**
 * A snapshot of a cooldown in JSON.
 */
import * as Schema from "effect/Schema"
import { count, wait } from "../stage/json.js"

export const Snapshot = Schema.Struct({
  key: Schema.String,
  state: Schema.Literal("Clear", "Cooling", "Trial"),
  waiting: count,
  retryAfter: wait
})

/** As it stands in JSON. */
export type Encoded = typeof Snapshot.Encoded
