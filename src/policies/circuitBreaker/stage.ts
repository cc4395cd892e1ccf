/**
 * A circuit breaker, as a stage.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Backoff from "../../retry/Backoff.js"
import { isInstance } from "../../runtime/instances.js"
import { buildable, integer, positive, share, strict } from "../../runtime/optionSchema.js"
import * as CircuitBreaker from "../CircuitBreaker.js"
import { compared, written } from "../stage/checks.js"
import { guardStage, type Stage } from "../stage/definition.js"
import { asJson } from "../stage/json.js"
import { backoffSays, percent, shared, time } from "../stage/words.js"
import { observe } from "./observers.js"
import { bounds } from "./options.js"
import { Snapshot } from "./snapshot.js"

declare module "../stage/definition.js" {
  interface Stages {
    /** Rejects attempts with `CircuitOpen` while the upstream does not work. Default: none. */
    readonly circuitBreaker?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | undefined
  }
  interface Rejects {
    /** What the stage `circuitBreaker` adds to the error type. */
    readonly circuitBreaker: CircuitBreaker.CircuitOpen
  }
}

const spec = strict("circuitBreaker options", {
  window: Schema.optional(
    Schema.Union(
      Schema.TaggedStruct("Count", { size: integer(1, bounds.windowSize) }),
      Schema.TaggedStruct("Time", {
        duration: positive("window.duration"),
        buckets: integer(1, bounds.buckets)
      })
    ).annotations({ title: "Count | Time" })
  ),
  minimumCalls: Schema.optional(integer(1)),
  failureRate: Schema.optional(share),
  slowCall: Schema.optional(
    Schema.Union(
      Schema.Literal(false),
      strict("slowCall", { duration: positive("slowCall.duration"), rate: share })
    )
  ),
  openDuration: Schema.optional(Schema.Union(positive("openDuration"), Backoff.Backoff)),
  maxOpenDuration: Schema.optional(positive("maxOpenDuration")),
  halfOpen: Schema.optional(
    Schema.Union(
      Schema.TaggedStruct("Consecutive", { trials: integer(1, bounds.trials) }),
      Schema.TaggedStruct("Rate", { trials: integer(1, bounds.trials), threshold: share })
    ).annotations({ title: "Consecutive | Rate" })
  ),
  trialTimeout: Schema.optional(positive("trialTimeout")),
  idleTimeToLive: Schema.optional(positive("idleTimeToLive"))
}).pipe(buildable("circuitBreaker", CircuitBreaker.make))

const openSays = (open: Duration.DurationInput | Backoff.Backoff): string =>
  typeof open === "object" && "_tag" in open ? backoffSays(open) : time(open)

const says = (options: Partial<CircuitBreaker.Options> | undefined): string => {
  if (options === undefined) return shared
  const { defaults } = CircuitBreaker
  const window = options.window ?? defaults.window
  const minimum = options.minimumCalls ??
    Math.min(defaults.minimumCalls, window._tag === "Count" ? window.size : Infinity)
  const slow = options.slowCall ?? defaults.slowCall
  const seen = window._tag === "Count"
    ? `of the last ${window.size} attempts`
    : `of the attempts of ${time(window.duration)}`
  const slowly = slow === false
    ? ""
    : ` or ${percent(slow.rate)} were slower than ${time(slow.duration)}`
  return `opens for ${openSays(options.openDuration ?? defaults.openDuration)} when ${
    percent(options.failureRate ?? defaults.failureRate)
  } ${seen} (at least ${minimum}) failed${slowly}`
}

export const circuitBreaker: Stage = guardStage({
  name: "circuitBreaker",
  title: "circuit breaker",
  place: "guard",
  rejects: ["CircuitOpen"],
  spec,
  make: (options: CircuitBreaker.Options) => CircuitBreaker.make(options),
  around: (breaker: CircuitBreaker.CircuitBreaker) => breaker.protect,
  watched: (breaker, meter) => {
    observe(breaker, meter)
    return breaker
  },
  snapshots: (breaker) => asJson(Snapshot, breaker.snapshots),
  says,
  checks: (given, stages) => {
    const { slowCall, trialTimeout }: CircuitBreaker.Options =
      isInstance<CircuitBreaker.CircuitBreaker, CircuitBreaker.Options>(given) ? {} : given
    const attempt = written(stages.attemptTimeout, "attemptTimeout")
    const slow = slowCall === false ? undefined : slowCall?.duration
    return [
      ...compared(
        written(slow, "circuitBreaker", "slowCall", "duration"),
        "less than",
        attempt,
        Duration.lessThan
      ),
      ...compared(
        written(trialTimeout, "circuitBreaker", "trialTimeout"),
        "at least",
        attempt,
        Duration.greaterThanOrEqualTo
      )
    ]
  }
})
