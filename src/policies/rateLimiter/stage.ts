/**
 * A rate limiter, as a stage.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type * as Rejection from "../../errors/Rejection.js"
import { buildable, duration, integer, positive, strict } from "../../runtime/optionSchema.js"
import * as RateLimiter from "../RateLimiter.js"
import { guardStage, type Stage } from "../stage/definition.js"
import { asJson } from "../stage/json.js"
import { shared, time, waitSays } from "../stage/words.js"
import { Snapshot } from "./snapshot.js"

declare module "../stage/definition.js" {
  interface Stages {
    /** Attempts wait for their time, or are rejected with `RateLimited`. Default: none. */
    readonly rateLimiter?: RateLimiter.RateLimiter | RateLimiter.Options | undefined
  }
  interface Rejects {
    /** What the stage `rateLimiter` adds to the error type. */
    readonly rateLimiter: RateLimiter.RateLimited | Rejection.QueueTimeout
  }
}

const waitOf = ({ maxWait, mode }: Partial<RateLimiter.Options>): Duration.Duration =>
  mode === "reject" ? Duration.zero : Duration.decode(maxWait ?? RateLimiter.defaults.maxWait)

export const rateLimiter: Stage = guardStage({
  name: "rateLimiter",
  title: "rate limiter",
  place: "queue",
  rejects: ["RateLimited", "QueueTimeout"],
  spec: strict("rateLimiter options", {
    limit: integer(1),
    interval: positive("interval"),
    burst: Schema.optional(integer(1)),
    mode: Schema.optional(Schema.Literal("wait", "reject")),
    maxWait: Schema.optional(duration("maxWait"))
  }).pipe(buildable("rateLimiter", RateLimiter.make)),
  make: RateLimiter.make,
  around: (limiter: RateLimiter.RateLimiter) => limiter.protect,
  snapshots: (limiter) => asJson(Snapshot, limiter.snapshots),
  says: (options) => {
    if (options?.limit === undefined || options.interval === undefined) return shared
    const { burst = options.limit, interval, limit, mode } = options
    const early = mode === "reject"
      ? "turns away calls that come early"
      : `waits ${waitSays(waitOf(options))} for its turn`
    return `${limit} in ${time(interval)}, ${burst} at once; ${early}`
  },
  waitMillis: (options) => Duration.toMillis(waitOf(options))
})
