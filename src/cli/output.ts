/** What `--json` prints where it is not a result or a comparison. */
import * as Schema from "effect/Schema"
import { Result } from "../simulation/Simulation.js"

/** What is wrong with the files that `check` was given. */
export const Checked = Schema.Struct({
  findings: Schema.Array(Schema.Struct({
    file: Schema.String,
    line: Schema.Number,
    column: Schema.Number,
    path: Schema.String,
    value: Schema.String,
    message: Schema.String
  }))
})

/** A pipeline in words, and its worst case; `worstCaseMillis` is null where nothing limits it. */
export const Described = Schema.Struct({
  text: Schema.String,
  mermaid: Schema.String,
  worstCaseCalls: Schema.Number,
  worstCaseMillis: Schema.NullOr(Schema.Number)
})

/**
 * What `tune` has found. The policy is in the form of a policy file; the results are in the order
 * of the scenarios.
 */
export const Tuned = Schema.Struct({
  isBetter: Schema.Boolean,
  settings: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
  policy: Schema.Unknown,
  scenarios: Schema.Array(Schema.String),
  base: Schema.Array(Result),
  results: Schema.Array(Result),
  difference: Schema.Struct({
    mean: Schema.Number,
    low: Schema.Number,
    high: Schema.Number,
    isShown: Schema.Boolean
  }),
  tried: Schema.Number,
  leftOut: Schema.Number,
  warnings: Schema.Array(Schema.String)
})
