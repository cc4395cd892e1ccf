/**
 * A snapshot of a limit that learns in JSON.
 */
import * as Schema from "effect/Schema"
import { count } from "../stage/json.js"

export const Snapshot = Schema.Struct({ key: Schema.String, limit: count, running: count })
