/** Injects faults on purpose, as a stage. Only code can set it: it has no form in JSON. */
import type * as Effect from "effect/Effect"
import type * as ApiError from "../../errors/ApiError.js"
import * as Chaos from "../Chaos.js"
import { guardStage, type Stage } from "../stage/definition.js"

/**
 * Faults for a pipeline: late calls, interruptions, and failures that are `ApiError`s. What a call
 * succeeds with is not the pipeline's to change.
 *
 * @since 0.1.0
 * @category models
 */
export type Faults =
  | Chaos.Chaos<never, ApiError.ApiError>
  | Chaos.Options<ReadonlyArray<Chaos.Fault<never, ApiError.ApiError>>>

declare module "../stage/definition.js" {
  interface Stages {
    /** Faults injected on purpose, where `Chaos.Enabled` says so. Default: none. */
    readonly chaos?: Faults | undefined
  }
  interface Rejects {
    /** What the stage `chaos` adds to the error type. */
    readonly chaos: ApiError.ApiError
  }
}

const make = (
  options: Chaos.Options<ReadonlyArray<Chaos.Fault<never, ApiError.ApiError>>>
): Effect.Effect<Chaos.Chaos<never, ApiError.ApiError>> => Chaos.make(options)

export const chaos: Stage = guardStage({
  name: "chaos",
  title: "chaos",
  place: "attempt",
  make,
  around: ({ protect }: Chaos.Chaos<never, ApiError.ApiError>) => (self) => protect(self),
  says: () => "injects faults where that is enabled"
})
