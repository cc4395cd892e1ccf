/** What `--json` prints where it is not a result or a comparison. */
import * as Schema from "effect/Schema"

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
