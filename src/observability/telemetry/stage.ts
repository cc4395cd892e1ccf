/** Telemetry, as a stage. It is asked first, so that other stages count under its labels. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Given, type Stage, stage } from "../../policies/stage/definition.js"
import { buildable, integer, strict } from "../../runtime/optionSchema.js"
import * as Telemetry from "../Telemetry.js"
import { isTelemetry, observerOf } from "./instance.js"
import type { Observer } from "./observer.js"

declare module "../../policies/stage/definition.js" {
  interface Stages {
    /**
     * Metrics, spans and logs about calls and attempts; see `Telemetry.Options`. Default: none, at
     * no cost.
     */
    readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
  }
}

const spec = strict("telemetry options", {
  integration: Schema.String,
  environment: Schema.optional(Schema.String),
  spans: Schema.optional(Schema.Boolean),
  logs: Schema.optional(
    Schema.Literal("Fatal", "Error", "Warning", "Info", "Debug", "Trace", false)
  ),
  maxEndpoints: Schema.optional(integer(0))
}).pipe(buildable("telemetry", Telemetry.make))

const instanceOf = (given: Given<"telemetry">): Effect.Effect<Telemetry.Telemetry> =>
  isTelemetry(given) ? Effect.succeed(given) : Telemetry.make(given)

export const telemetry: Stage = stage({
  name: "telemetry",
  title: "telemetry",
  place: "call",
  spec,
  rejects: [],
  share: instanceOf,
  frame: (given, frame) =>
    Effect.map(instanceOf(given), (made) => ({ ...frame, meter: observerOf(made) })),
  build: (_, { meter }) =>
    Effect.sync(() => {
      // It is what `frame` has put there.
      const observer = meter as Observer
      return {
        around: (self, { about = {} }) => observer.call(self, about),
        attempt: (self, { about = {} }) => observer.attempt(self, about)
      }
    }),
  says: ({ integration }) => `counts, traces and logs as ${integration}`
})
