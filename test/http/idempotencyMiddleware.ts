/** What the tests of the middleware share: routes with a store behind them. */
import { Deferred, Effect, Layer } from "effect"
import * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { counting } from "./idempotentApp.js"

export const scope = () => ["acme", "charge"]

export const protect = (options: Partial<IdempotencyMiddleware.Options> = {}) =>
  IdempotencyMiddleware.make({ scope, required: true, ...options })

export const memory = IdempotencyStore.layerStoreMemory

/** A store whose claims can be counted and whose operations can be made to fail. */
export const watched = (failing: ReadonlyArray<"acquire" | "complete"> = []) => {
  const calls: Array<string> = []
  const layer = Layer.effect(
    IdempotencyStore.IdempotencyStore,
    Effect.map(IdempotencyStore.IdempotencyStore, (store): IdempotencyStore.Service => {
      const told = <A>(
        operation: "acquire" | "complete" | "release",
        call: Effect.Effect<A, IdempotencyStore.StoreError>
      ) =>
        Effect.suspend(() => {
          calls.push(operation)
          return operation !== "release" && failing.includes(operation)
            ? Effect.fail(new IdempotencyStore.StoreError({ operation }))
            : call
        })
      return {
        ...store,
        acquire: (claim) => told("acquire", store.acquire(claim)),
        complete: (held, outcome, millis) =>
          told("complete", store.complete(held, outcome, millis)),
        release: (held) => told("release", store.release(held))
      }
    })
  ).pipe(Layer.provide(memory))
  return { calls, layer }
}

/** A handler that says when it has begun and waits until it may end. */
export const gated = Effect.gen(function*() {
  const begun = yield* Deferred.make<void>()
  const gate = yield* Deferred.make<void>()
  const { app, runs } = counting()
  const waiting = Effect.zipRight(
    Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(gate)),
    app
  )
  return {
    app: waiting,
    runs,
    begun: Deferred.await(begun),
    open: Deferred.succeed(gate, undefined)
  }
})

export const json = "application/problem+json"

/** What fetch demands of a body that is a stream, and the types do not know. */
export const half = { duplex: "half" }
