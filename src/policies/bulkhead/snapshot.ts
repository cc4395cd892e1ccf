/**
 * A snapshot of a bulkhead in JSON.
 */
import * as Schema from "effect/Schema"
import { count } from "../stage/json.js"

export const Snapshot = Schema.Struct({ key: Schema.String, running: count, waiting: count })
