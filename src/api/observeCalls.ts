/**
 * Calls of an API in front of a detector, where there is one.
 */
import type * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Incident from "../observability/Incident.js"

export const watchedBy = (
  detector: Incident.Detector | undefined,
  integration: string
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =>
  detector === undefined ? identity : Incident.watch(detector, integration)
