/** Starts a fiber from within another one, without an effect. */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import * as FiberRefs from "effect/FiberRefs"
import { identity } from "effect/Function"
import * as Runtime from "effect/Runtime"
import type * as RuntimeFlags from "effect/RuntimeFlags"

export interface Options {
  /** Default: those that a program begins with. */
  readonly runtimeFlags?: RuntimeFlags.RuntimeFlags
  /** Whether it goes as far as it can on the caller's turn. Default true. */
  readonly immediate?: boolean | undefined
  /** Sees what the fiber begins with, and may change it. Default: no change. */
  readonly refs?:
    | ((refs: FiberRefs.FiberRefs, id: FiberId.Runtime) => FiberRefs.FiberRefs)
    | undefined
}

/**
 * Starts a fiber with the context of another one and with its refs as a child has them: an
 * interruption that the other has had is none of the new one's. Nothing waits for its end, and
 * nothing interrupts it. O(fiber refs).
 */
export const forkFrom = <A, E, R>(
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  effect: Effect.Effect<A, E, R>,
  { immediate = true, refs = identity, runtimeFlags = Runtime.defaultRuntimeFlags }: Options = {}
): Fiber.RuntimeFiber<A, E> => {
  const runtime = Runtime.make({
    context: fiber.currentContext as Context.Context<R>,
    runtimeFlags,
    // Those of a runtime would be copied once more.
    fiberRefs: FiberRefs.empty()
  })
  return Runtime.runFork(runtime, effect, {
    immediate,
    updateRefs: (_, id) => refs(FiberRefs.forkAs(fiber.getFiberRefs(), id), id)
  })
}
