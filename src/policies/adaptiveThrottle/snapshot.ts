/**
 * A snapshot of a throttle in JSON.
 */
import * as Schema from "effect/Schema"
import { count } from "../stage/json.js"

export const Snapshot = Schema.Struct({
  key: Schema.String,
  requests: count,
  accepts: count,
  probability: Schema.Number
})
