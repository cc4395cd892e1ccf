/** The telemetry of one integration, and its implementation. */
import { hasProperty } from "effect/Predicate"
import type { Observer } from "./observer.js"

/**
 * Marks telemetry instances at run time.
 *
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/Telemetry")

/**
 * Records the calls of one integration. Make one for each integration, and give it to all of its
 * pipelines.
 *
 * @since 0.1.0
 * @category models
 */
export interface Telemetry {
  readonly [TypeId]: typeof TypeId
  /** The name of the API. */
  readonly integration: string
  /** The environment, where one was given. */
  readonly environment: string | undefined
}

/** What a telemetry really is. */
export class Made implements Telemetry {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly integration: string
  readonly environment: string | undefined
  constructor(readonly observer: Observer) {
    this.integration = observer.settings.integration
    this.environment = observer.settings.environment
  }
}

/** Every telemetry was made here. */
export const observerOf = (telemetry: Telemetry): Observer => (telemetry as Made).observer

/**
 * Tests whether a value is a `Telemetry`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isTelemetry = (u: unknown): u is Telemetry => hasProperty(u, TypeId)
