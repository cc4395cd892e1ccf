/** Runs an effect in a span of its own, in as few steps as that takes. */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as Tracer from "effect/Tracer"
import { clockOf } from "./clock.js"
import { whenEnded } from "./ending.js"

/** What lets an interruption through again, as far as it came through before. */
export type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** What is inside of a span: the fiber that runs it, and what may be interrupted in it. */
export interface Inside {
  readonly span: Tracer.Span
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  readonly restore: Restore
}

const end = (
  span: Tracer.Span,
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  exit: Exit.Exit<unknown, unknown>
): void => {
  if (span.status._tag === "Ended") return
  const isTimed = fiber.getFiberRef(FiberRef.currentTracerTimingEnabled)
  span.end(isTimed ? clockOf(fiber).unsafeCurrentTimeNanos() : BigInt(0), exit)
}

/**
 * Runs what `use` makes in a new span, which ends when that does. `use` runs where nothing can
 * interrupt, and restores what may be interrupted. The span is not the parent of spans inside.
 */
export const useSpan = <A, E, R>(
  name: string,
  kind: Tracer.SpanKind,
  use: (inside: Inside) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.makeSpan(name, { kind, captureStackTrace: false }),
      (span) =>
        Effect.withFiberRuntime<A, E, R>((fiber) =>
          whenEnded(use({ span, fiber, restore }), (exit) => {
            end(span, fiber, exit)
            return exit
          })
        )
    )
  )
