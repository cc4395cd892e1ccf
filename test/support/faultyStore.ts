import { Effect, FiberRef, Layer } from "effect"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { currentStoreCall } from "../../src/idempotency/conflicts.js"

export type Operation = "acquire" | "complete" | "release" | "extend" | "savepoint"

/**
 * - `hang`: never answers, and nothing can interrupt it
 * - `refuse`: fails at once; `corrupt`: fails because of the record; `die`: a defect
 * - `lose`: takes effect, and then the answer is lost
 * - a number: takes effect so many milliseconds later, and nothing can interrupt it
 * - `conflictFor`: loses a conflict that lasts so many milliseconds, and nothing can interrupt it
 */
export type Fault =
  | "hang"
  | "refuse"
  | "corrupt"
  | "die"
  | "lose"
  | number
  | { readonly conflictFor: number }

/** A store in memory that says what it was asked, and fails as it is told to. */
export const faultyStore = Effect.gen(function*() {
  const inner = yield* IdempotencyStore.IdempotencyStore
  const calls: Array<Operation> = []
  const claims: Array<IdempotencyStore.Claim> = []
  const texts: Array<string> = []
  const faults: Partial<Record<Operation, Fault>> = {}
  const through = <A>(
    operation: Operation,
    call: Effect.Effect<A, IdempotencyStore.StoreError>
  ): Effect.Effect<A, IdempotencyStore.StoreError> =>
    Effect.suspend(() => {
      calls.push(operation)
      const fault = faults[operation]
      const failed = Effect.fail(
        new IdempotencyStore.StoreError({ operation, corrupt: fault === "corrupt" })
      )
      if (typeof fault === "object") {
        return Effect.uninterruptible(Effect.zipRight(
          Effect.tap(FiberRef.get(currentStoreCall), (current) => {
            if (current !== undefined) current.conflict = true
          }),
          Effect.delay(failed, fault.conflictFor)
        ))
      }
      switch (fault) {
        case undefined:
          return call
        case "hang":
          return Effect.uninterruptible(Effect.never)
        case "lose":
          return Effect.zipRight(call, failed)
        case "die":
          return Effect.die(new Error("a driver's secret"))
        case "refuse":
        case "corrupt":
          return failed
        default:
          return Effect.uninterruptible(Effect.delay(call, fault))
      }
    })
  const store: IdempotencyStore.Service = {
    acquire: (claim) => {
      claims.push(claim)
      return through("acquire", inner.acquire(claim))
    },
    complete: (held, outcome, timeToLiveMillis) => {
      texts.push(outcome)
      return through("complete", inner.complete(held, outcome, timeToLiveMillis))
    },
    release: (held) => through("release", inner.release(held)),
    extend: (held, leaseMillis) => through("extend", inner.extend(held, leaseMillis)),
    savepoint: (held, data) => {
      texts.push(data)
      return through("savepoint", inner.savepoint(held, data))
    },
    sweep: inner.sweep
  }
  return { store, inner, calls, claims, texts, faults }
}).pipe(Effect.provide(Layer.fresh(IdempotencyStore.layerStoreMemory)))
