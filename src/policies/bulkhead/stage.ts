/**
 * A bulkhead, as a stage.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type * as Rejection from "../../errors/Rejection.js"
import { buildable, duration, integer, strict } from "../../runtime/optionSchema.js"
import * as Bulkhead from "../Bulkhead.js"
import { guardStage, type Stage } from "../stage/definition.js"
import { asJson } from "../stage/json.js"
import { shared, waitSays } from "../stage/words.js"
import { permitsCounted } from "./counted.js"
import { Snapshot } from "./snapshot.js"

declare module "../stage/definition.js" {
  interface Stages {
    /**
     * So many attempts run at once; others wait for a permit, or are rejected with `BulkheadFull`.
     * Default: none.
     */
    readonly bulkhead?: Bulkhead.Bulkhead | Bulkhead.Options | undefined
  }
  interface Rejects {
    /** What the stage `bulkhead` adds to the error type. */
    readonly bulkhead: Bulkhead.BulkheadFull | Rejection.QueueTimeout
  }
}

const waitOf = ({ maxWait, queue }: Partial<Bulkhead.Options>): Duration.Duration =>
  (queue ?? Bulkhead.defaults.queue) === 0
    ? Duration.zero
    : Duration.decode(maxWait ?? Bulkhead.defaults.maxWait)

export const bulkhead: Stage = guardStage({
  name: "bulkhead",
  title: "bulkhead",
  place: "queue",
  rejects: ["BulkheadFull", "QueueTimeout"],
  spec: strict("bulkhead options", {
    concurrency: integer(1),
    queue: Schema.optional(integer(0, Bulkhead.bounds.queue)),
    maxWait: Schema.optional(duration("maxWait")),
    perKey: Schema.optional(Schema.Boolean)
  }).pipe(buildable("bulkhead", Bulkhead.make)),
  make: Bulkhead.make,
  around: ({ protect }: Bulkhead.Bulkhead) => protect,
  watched: permitsCounted,
  snapshots: (bulkhead) => asJson(Snapshot, bulkhead.snapshots),
  says: (options) => {
    if (options?.concurrency === undefined) return shared
    const { concurrency, perKey, queue = Bulkhead.defaults.queue } = options
    const waiting = queue === 0
      ? "turns away the rest"
      : `${queue} more wait, ${waitSays(waitOf(options))}`
    return `${concurrency} at a time${perKey === true ? " for each key" : ""}; ${waiting}`
  },
  waitMillis: (options) => Duration.toMillis(waitOf(options))
})
