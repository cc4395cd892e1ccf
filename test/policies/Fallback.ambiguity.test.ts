/** R19: a second provider is not asked for what the first may have done. */
import { describe, expect, it } from "@effect/vitest"
import { Data, Effect } from "effect"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  Fallback,
  IdempotencyKey,
  Operation,
  Pipeline,
  Retry
} from "effect-resilience"
import { network, server, timeout, unauthorized } from "../support/errors.js"
import { wordOf } from "../support/exits.js"

class Opaque extends Data.TaggedError("Opaque")<{}> {}

type Failure = ApiError.ApiError | CircuitBreaker.CircuitOpen

/** Errors in turn under a retry of this operation, as one effect. */
const call = (
  operation: typeof Operation.read | typeof Operation.keyed,
  ...errors: ReadonlyArray<Failure>
): Effect.Effect<string, Failure> => {
  let calls = 0
  const action = Effect.suspend(() =>
    Effect.fail(errors[Math.min(calls++, errors.length - 1)] as Failure)
  )
  return IdempotencyKey.provideNew(
    Retry.retry(action, { operation, backoff: Backoff.constant(0), retries: errors.length - 1 })
  )
}

const second = <E>(self: Effect.Effect<string, E>) =>
  Effect.map(
    Effect.exit(
      Fallback.orElse(self, { when: () => true, orElse: () => Effect.succeed("second") })
    ),
    wordOf
  )

describe("R19: Fallback.orElse", () => {
  it.effect("R19: is not taken for a refusal after an attempt that may have been executed", () =>
    Effect.gen(function*() {
      expect([
        yield* second(call(Operation.keyed, network(), unauthorized())),
        yield* second(call(Operation.keyed, network("no"), unauthorized())),
        yield* second(call(Operation.read, network(), unauthorized())),
        yield* second(
          Effect.mapError(call(Operation.keyed, server(), unauthorized()), () => new Opaque())
        )
      ]).toEqual(["Auth", "second", "second", "Opaque"])
    }))

  it.effect("R19: an error that says itself that it may have been executed is a choice", () =>
    Effect.gen(function*() {
      expect([
        yield* second(call(Operation.keyed, network(), timeout("attempt"))),
        yield* second(Effect.fail(timeout("total")))
      ]).toEqual(["second", "second"])
    }))

  it.effect("R19: an error that was marked elsewhere is as the mark says", () =>
    Effect.gen(function*() {
      const marked = ApiError.annotate(unauthorized(), { mayHaveRun: true })
      expect([yield* second(Effect.fail(marked)), yield* second(Effect.fail(unauthorized()))])
        .toEqual(["Auth", "second"])
    }))

  it.effect("R19: a pipeline whose circuit its own attempt has opened", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.keyed,
        retry: { retries: 2, backoff: Backoff.constant(0) },
        circuitBreaker: { window: CircuitBreaker.count(1), minimumCalls: 1, failureRate: 1 }
      })
      let elsewhere = 0
      const paid = Effect.fail(network()).pipe(
        Pipeline.protect(pipeline),
        IdempotencyKey.provideNew,
        Fallback.orElse({
          tags: ["CircuitOpen"],
          orElse: () => Effect.sync(() => ++elsewhere)
        })
      )
      const first = yield* Effect.exit(paid)
      expect([wordOf(first), elsewhere]).toEqual(["CircuitOpen", 0])
      expect([wordOf(yield* Effect.exit(paid)), elsewhere]).toEqual(["1", 1])
    }))

  it.effect("R19: values do nothing twice, and are always given", () =>
    Effect.gen(function*() {
      const value = Fallback.orElseSucceed(call(Operation.keyed, network(), unauthorized()), {
        tags: ["Auth"],
        value: () => "value"
      })
      expect(wordOf(yield* Effect.exit(value))).toBe("value")
    }))
})
