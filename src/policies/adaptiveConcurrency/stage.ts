/**
 * A limit of concurrent calls that learns, as a stage.
 */
import * as Schema from "effect/Schema"
import {
  amount,
  buildable,
  hasTag,
  integer,
  madeBy,
  positive,
  share,
  strict
} from "../../runtime/optionSchema.js"
import * as AdaptiveConcurrency from "../AdaptiveConcurrency.js"
import { guardStage, type Stage } from "../stage/definition.js"
import { asJson } from "../stage/json.js"
import { Snapshot } from "./snapshot.js"

declare module "../stage/definition.js" {
  interface Stages {
    /** A limit that learns how many attempts may run at once, and rejects others. Default: none. */
    readonly concurrency?:
      | AdaptiveConcurrency.AdaptiveConcurrency
      | AdaptiveConcurrency.Options
      | undefined
  }
  interface Rejects {
    /** What the stage `concurrency` adds to the error type. */
    readonly concurrency: AdaptiveConcurrency.ConcurrencyLimited
  }
}

const bounds = {
  initial: Schema.optional(integer(1)),
  min: Schema.optional(integer(1)),
  max: Schema.optional(integer(1)),
  backoffRatio: Schema.optional(share)
}

type LimitOf<Tag extends AdaptiveConcurrency.Limit["_tag"]> = Extract<
  AdaptiveConcurrency.Limit,
  { readonly _tag: Tag }
>

const LimitSpec = Schema.Union(
  madeBy(
    Schema.TaggedStruct("Aimd", { ...bounds, timeout: Schema.optional(positive("timeout")) }),
    hasTag<LimitOf<"Aimd">>("Aimd"),
    (options) => AdaptiveConcurrency.aimd(options) as LimitOf<"Aimd">
  ),
  madeBy(
    Schema.TaggedStruct("Gradient", {
      ...bounds,
      smoothing: Schema.optional(share),
      tolerance: Schema.optional(amount),
      headroom: Schema.optional(amount),
      longWindow: Schema.optional(integer(1)),
      shortWindow: Schema.optional(integer(1))
    }),
    hasTag<LimitOf<"Gradient">>("Gradient"),
    (options) => AdaptiveConcurrency.gradient(options) as LimitOf<"Gradient">
  )
)

export const adaptiveConcurrency: Stage = guardStage({
  name: "concurrency",
  title: "concurrency",
  place: "queue",
  rejects: ["ConcurrencyLimited"],
  // No call waits for a limit that learns.
  waits: false,
  spec: strict("concurrency options", {
    limit: Schema.optional(LimitSpec),
    idleTimeToLive: Schema.optional(positive("idleTimeToLive"))
  }).pipe(buildable("concurrency", AdaptiveConcurrency.make)),
  make: (options: AdaptiveConcurrency.Options) => AdaptiveConcurrency.make(options),
  around: (limit: AdaptiveConcurrency.AdaptiveConcurrency) => limit.protect,
  snapshots: (limit) => asJson(Snapshot, limit.snapshots),
  says: (options) => {
    const limit = options?.limit ?? AdaptiveConcurrency.aimd()
    return `learns how many run at once, from ${limit.min} to ${limit.max}; turns away the rest`
  }
})
