/**
 * A cooldown, as a stage.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type * as Rejection from "../../errors/Rejection.js"
import { buildable, duration, positive, strict } from "../../runtime/optionSchema.js"
import * as Cooldown from "../Cooldown.js"
import { guardStage, type Stage } from "../stage/definition.js"
import { asJson } from "../stage/json.js"
import { waitSays } from "../stage/words.js"
import { Snapshot } from "./snapshot.js"

declare module "../stage/definition.js" {
  interface Stages {
    /**
     * Attempts wait until a `Retry-After` has passed, or are rejected with `CoolingDown`. Default:
     * none.
     */
    readonly cooldown?: Cooldown.Cooldown | Cooldown.Options | undefined
  }
  interface Rejects {
    /** What the stage `cooldown` adds to the error type. */
    readonly cooldown: Cooldown.CoolingDown | Rejection.QueueTimeout
  }
}

const waitOf = ({ maxWait, mode }: Partial<Cooldown.Options>): Duration.Duration =>
  mode === "reject" ? Duration.zero : Duration.decode(maxWait ?? Cooldown.defaults.maxWait)

export const cooldown: Stage = guardStage({
  name: "cooldown",
  title: "cooldown",
  place: "queue",
  rejects: ["CoolingDown", "QueueTimeout"],
  spec: strict("cooldown options", {
    mode: Schema.optional(Schema.Literal("wait", "reject")),
    maxWait: Schema.optional(duration("maxWait")),
    cap: Schema.optional(positive("cap")),
    trialTimeout: Schema.optional(positive("trialTimeout"))
  }).pipe(buildable("cooldown", Cooldown.make)),
  make: (options: Cooldown.Options) => Cooldown.make(options),
  around: (cooldown: Cooldown.Cooldown) => cooldown.protect,
  snapshots: (cooldown) => asJson(Snapshot, cooldown.snapshots),
  says: (options) => {
    const wait = options === undefined ? Duration.infinity : waitOf(options)
    return Duration.equals(wait, Duration.zero)
      ? "turns away until Retry-After has passed"
      : `waits ${waitSays(wait)} until Retry-After has passed`
  },
  waitMillis: (options) => Duration.toMillis(waitOf(options))
})
