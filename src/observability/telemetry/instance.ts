/**
 * What a telemetry is, and what it really is.
 */
import { hasProperty } from "effect/Predicate"
import type { Observer } from "./observer.js"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/Telemetry")

/**
 * What looks on at the calls of one integration. Make one for each integration, and give it to all
 * of its pipelines.
 *
 * @since 0.1.0
 * @category models
 */
export interface Telemetry {
  readonly [TypeId]: typeof TypeId
  readonly integration: string
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
 * @since 0.1.0
 * @category guards
 */
export const isTelemetry = (u: unknown): u is Telemetry => hasProperty(u, TypeId)
