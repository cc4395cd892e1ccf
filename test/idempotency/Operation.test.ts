import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ApiError, Backoff, IdempotencyKey, Operation, Retry } from "effect-resilience"
import { conflict, network, rateLimit, server, timeout } from "../support/errors.js"

const unknownOutcome = server()
const notExecuted = rateLimit()

const callsOf = <R>(operation: Operation.Operation<R>, error: ApiError.ApiError) =>
  Effect.gen(function*() {
    let calls = 0
    const action = Effect.suspend(() => {
      calls++
      return Effect.fail(error)
    })
    yield* Effect.exit(Retry.retry(action, { operation, backoff: Backoff.constant(0) }))
    return calls
  })

describe("Operation", () => {
  it("DESIGN 3: the four operations", () => {
    expect([
      Operation.read._tag,
      Operation.idempotent._tag,
      Operation.keyed._tag,
      Operation.once._tag
    ]).toEqual([
      "Read",
      "Idempotent",
      "Keyed",
      "Once"
    ])
  })

  it.effect("DESIGN 3: ambiguous failures of once are never retried, those of the others are", () =>
    Effect.gen(function*() {
      const calls = yield* Effect.all([
        callsOf(Operation.read, unknownOutcome),
        callsOf(Operation.idempotent, unknownOutcome),
        callsOf(Operation.keyed, unknownOutcome),
        callsOf(Operation.once, unknownOutcome)
      ])
      expect(calls).toEqual([3, 3, 3, 1])
    }).pipe(IdempotencyKey.provideNew))

  it.effect("E4, the decision table: once retries only what certainly was not executed", () =>
    Effect.gen(function*() {
      const calls = yield* Effect.all([
        callsOf(Operation.once, notExecuted),
        callsOf(Operation.once, network("no")),
        callsOf(
          Operation.once,
          conflict({ inFlight: true })
        ),
        callsOf(Operation.once, server(425)),
        callsOf(
          Operation.once,
          timeout("server")
        ),
        callsOf(Operation.once, network()),
        callsOf(Operation.once, timeout("attempt"))
      ])
      expect(calls).toEqual([3, 3, 3, 3, 3, 1, 1])
    }))
})
