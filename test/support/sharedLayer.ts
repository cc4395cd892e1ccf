import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

/**
 * A layer that is built once for many tests, and not before a test needs it: connecting takes
 * longer than most of them.
 */
export const sharedLayer = <A, E>(layer: Layer.Layer<A, E>) => {
  const scope = Effect.runSync(Scope.make())
  let built: Promise<Context.Context<A>> | undefined
  return {
    layer: Layer.unwrapEffect(
      Effect.map(
        Effect.promise(() => built ??= Effect.runPromise(Layer.buildWithScope(layer, scope))),
        (context) => Layer.succeedContext(context)
      )
    ),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
