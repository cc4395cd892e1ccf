/**
 * An adaptive throttle, as a stage.
 */
import * as Schema from "effect/Schema"
import { amount, buildable, integer, positive, share, strict } from "../../runtime/optionSchema.js"
import * as AdaptiveThrottle from "../AdaptiveThrottle.js"
import { guardStage, type Stage } from "../stage/definition.js"
import { asJson } from "../stage/json.js"
import { percent, time } from "../stage/words.js"
import { Snapshot } from "./snapshot.js"

declare module "../stage/definition.js" {
  interface Stages {
    /** Turns attempts away with `Throttled` while the upstream accepts too few. Default: none. */
    readonly throttle?: AdaptiveThrottle.AdaptiveThrottle | AdaptiveThrottle.Options | undefined
  }
  interface Rejects {
    /** What the stage `throttle` adds to the error type. */
    readonly throttle: AdaptiveThrottle.Throttled
  }
}

const spec = strict("throttle options", {
  multiplier: Schema.optional(amount),
  window: Schema.optional(positive("window")),
  minimumCalls: Schema.optional(integer(1)),
  maxRejection: Schema.optional(share),
  idleTimeToLive: Schema.optional(positive("idleTimeToLive"))
}).pipe(buildable("throttle", AdaptiveThrottle.make))

export const adaptiveThrottle: Stage = guardStage({
  name: "throttle",
  title: "throttle",
  place: "guard",
  rejects: ["Throttled"],
  spec,
  make: (options: AdaptiveThrottle.Options) => AdaptiveThrottle.make(options),
  around: (throttle: AdaptiveThrottle.AdaptiveThrottle) => throttle.protect,
  snapshots: (throttle) => asJson(Snapshot, throttle.snapshots),
  says: (options) => {
    const { defaults } = AdaptiveThrottle
    const most = percent(options?.maxRejection ?? defaults.maxRejection)
    const times = options?.multiplier ?? defaults.multiplier
    const window = time(options?.window ?? defaults.window)
    return `turns away up to ${most} when more than ${times} times as many were sent as were ` +
      `accepted, in ${window}`
  }
})
