/**
 * A snapshot of a rate limiter in JSON.
 */
import * as Schema from "effect/Schema"
import { count } from "../stage/json.js"

export const Snapshot = Schema.Struct({ key: Schema.String, available: count, waiting: count })
