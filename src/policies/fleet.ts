/**
 * What shared guards ask of a fleet. `fleet/Fleet` implements it.
 *
 * A guard module names the kind of its shared guard and asks the fleet for it; so a program that
 * shares nothing loads nothing of the fleet.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

/**
 * The store did not answer, or could not apply a batch. It carries no text of a driver.
 * `retryable`: a later question may be answered.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreError extends Data.TaggedError("FleetStoreError")<{
  /** True when a later question may be answered. */
  readonly retryable: boolean
}> {
  /** Says that there was no answer, without the text of a driver. */
  override get message(): string {
    return this.retryable
      ? "The fleet's store did not answer"
      : "The fleet's store refused the question"
  }
}

/**
 * The name of a shared guard.
 *
 * @since 0.1.0
 * @category models
 */
export interface Named {
  /** The name of the guard in its fleet (required), the same in all members. */
  readonly name: string
}

/** A kind of shared guard: `Options` make a `Guard`. The type parameters are phantoms. */
export interface Kind<in Options, out Guard> {
  /** Names the kind. */
  readonly name: "breaker" | "rateLimiter" | "cooldown" | "bulkhead"
  /** Never there. */
  readonly made?: ((options: Options) => Guard) | undefined
}

/**
 * A member of a fleet, as guards see it. Made by `Fleet.layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Runtime {
  /**
   * The shared guard of a kind and a name, one for each name in a member. Dies with `RangeError`
   * where a guard of that name was made with other numbers, or where the options are invalid.
   */
  readonly shared: <Options extends Named, Guard>(
    kind: Kind<Options, Guard>,
    options: Options
  ) => Effect.Effect<Guard>
}

/**
 * The tag of a member of a fleet.
 *
 * @since 0.1.0
 * @category tags
 */
export class Fleet extends Context.Tag("effect-resilience/Fleet")<Fleet, Runtime>() {}
