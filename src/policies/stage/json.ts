/** Shows guards to an operator as plain JSON. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { duration } from "../../runtime/optionSchema.js"

/** A wait that may be none: `null`, or written as in code. */
export const wait = Schema.OptionFromNullOr(duration("retryAfter"))

/** A number that may be none: `null`. */
export const maybe = Schema.OptionFromNullOr(Schema.Number)

export const count = Schema.Number.pipe(Schema.int(), Schema.nonNegative())

/** Every snapshot, encoded. */
export const asJson = <A, I>(
  schema: Schema.Schema<A, I>,
  snapshots: Effect.Effect<ReadonlyArray<A>>
): Effect.Effect<ReadonlyArray<I>> => {
  const encode = Schema.encodeSync(schema)
  return Effect.map(snapshots, (all) => all.map((each) => encode(each)))
}
