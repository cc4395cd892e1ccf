/**
 * The time limits of a pipeline, as stages. They wrap nothing themselves: the place that runs an
 * attempt under a deadline uses both of them.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as ApiError from "../../errors/ApiError.js"
import { positive } from "../../runtime/optionSchema.js"
import * as Validate from "../../runtime/validate.js"
import { compared, written } from "../stage/checks.js"
import { type Name, type Stage, stage } from "../stage/definition.js"
import { time } from "../stage/words.js"

declare module "../stage/definition.js" {
  interface Stages {
    /**
     * How long the whole call may take, waits and all attempts included. It cuts what is running
     * when it ends, and no wait is begun that would not end before it. Default: no limit.
     */
    readonly totalTimeout?: Duration.DurationInput | undefined
    /**
     * How long each attempt may take, without the time it waited for its turn. Default: no limit.
     */
    readonly attemptTimeout?: Duration.DurationInput | undefined
  }
  interface Rejects {
    /** What the stage `totalTimeout` adds to the error type. */
    readonly totalTimeout: ApiError.Timeout
    /** What the stage `attemptTimeout` adds to the error type. */
    readonly attemptTimeout: ApiError.Timeout
  }
}

const limit = (
  name: Extract<Name, "totalTimeout" | "attemptTimeout">,
  millis: "totalMillis" | "attemptMillis",
  definition: {
    readonly title: string
    readonly covers: string
    readonly checks?: Parameters<typeof stage<typeof name>>[0]["checks"]
  }
): Stage =>
  stage({
    name,
    title: definition.title,
    place: "frame",
    spec: positive(name),
    rejects: ["Timeout"],
    frame: (given, frame) =>
      Effect.sync(() => ({
        ...frame,
        [millis]: Duration.toMillis(Validate.positiveDuration(name, given))
      })),
    says: (given) => `${time(given)} ${definition.covers}`,
    cost: (given) => ({ [millis]: Duration.toMillis(given) }),
    checks: definition.checks
  })

export const totalTimeout: Stage = limit("totalTimeout", "totalMillis", {
  title: "total timeout",
  covers: "for the whole call, waits and all attempts included"
})

export const attemptTimeout: Stage = limit("attemptTimeout", "attemptMillis", {
  title: "attempt timeout",
  covers: "for each attempt",
  checks: (given, stages) =>
    compared(
      written(given, "attemptTimeout"),
      "at most",
      written(stages.totalTimeout, "totalTimeout"),
      Duration.lessThanOrEqualTo
    )
})
