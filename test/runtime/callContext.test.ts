import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Option, Scope } from "effect"
import { Fallback, IdempotencyKey, Operation, Pipeline, Retry, Telemetry } from "effect-resilience"
import { CallRef } from "../../src/runtime/callContext.js"
import { down } from "../support/errors.js"
import { metricsOf } from "../support/telemetry.js"
import { settle } from "../support/turns.js"

let names = 0
const newRef = () => new CallRef<string>(`test ${++names}`)

describe("a value that belongs to a call", () => {
  it.effect("is there during the call, the innermost counts, and afterwards it is as it was", () =>
    Effect.gen(function*() {
      const ref = newRef()
      const seen: Array<string | undefined> = []
      const look = Effect.map(ref.get, (value) => void seen.push(value))
      yield* look
      yield* ref.during(
        Effect.zipRight(look, Effect.zipRight(ref.during(look, "inner"), look)),
        "outer"
      )
      yield* look
      expect(seen).toEqual([undefined, "outer", "inner", "outer", undefined])
    }))

  it.effect.each(
    [
      ["fails", Effect.fail("no")],
      ["dies", Effect.die("no")],
      ["is interrupted", Effect.interrupt]
    ] as const
  )("is gone when the call %s", ([, end]) =>
    Effect.gen(function*() {
      const ref = newRef()
      yield* Effect.exit(ref.during(end, "value"))
      expect(yield* ref.get).toBe(undefined)
    }))

  it.effect("is gone when the call is interrupted while it waits", () =>
    Effect.gen(function*() {
      const ref = newRef()
      const after = yield* Deferred.make<string | undefined>()
      const fiber = yield* Effect.fork(
        Effect.onInterrupt(
          ref.during(Effect.never, "value"),
          () => Effect.flatMap(ref.get, (value) => Deferred.succeed(after, value))
        )
      )
      yield* settle
      yield* Fiber.interrupt(fiber)
      expect(yield* Deferred.await(after)).toBe(undefined)
    }))

  it.effect("G48: a fiber that outlives the call is outside of it, and still within what is around", () =>
    Effect.gen(function*() {
      const ref = newRef()
      const gate = yield* Deferred.make<void>()
      const late = Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), ref.get))
      const seen = yield* ref.during(
        Effect.gen(function*() {
          const fiber = yield* ref.during(late, "inner")
          yield* Deferred.succeed(gate, undefined)
          return yield* Fiber.join(fiber)
        }),
        "outer"
      )
      expect(seen).toBe("outer")
      const again = yield* Deferred.make<void>()
      const worker = yield* ref.during(
        Effect.forkDaemon(Effect.zipRight(Deferred.await(again), ref.get)),
        "call"
      )
      yield* Deferred.succeed(again, undefined)
      expect(yield* Fiber.join(worker)).toBe(undefined)
    }))
})

describe("a worker that was started inside of a call", () => {
  const attempt = Retry.retry({ operation: Operation.keyed })

  it.effect("G48: may make keys of its own when the attempt has ended, and not before", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const gate = yield* Deferred.make<void>()
      const newKey = IdempotencyKey.provideNew(
        Effect.map(IdempotencyKey.IdempotencyKey, () => "key")
      )
      const started = yield* Effect.zipRight(
        Effect.exit(newKey),
        Effect.forkIn(Effect.zipRight(Deferred.await(gate), newKey), scope)
      ).pipe(attempt, IdempotencyKey.provideNew)
      const during = yield* newKey.pipe(attempt, IdempotencyKey.provideNew, Effect.exit)
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Fiber.join(started)).toBe("key")
      const message = Exit.isFailure(during)
        ? String(Option.getOrThrow(Cause.dieOption(during.cause)))
        : "made a key"
      expect(message).toContain("inside an attempt of a keyed retry")
    }))

  it.effect("G48: a cached worker may too", () =>
    Effect.gen(function*() {
      let worker: Effect.Effect<string> = Effect.succeed("none")
      yield* Effect.cached(
        IdempotencyKey.provideNew(Effect.map(IdempotencyKey.IdempotencyKey, () => "key"))
      ).pipe(
        Effect.map((cached) => {
          worker = cached
        }),
        attempt,
        IdempotencyKey.provideNew
      )
      expect(yield* worker).toBe("key")
    }))

  it.effect("G48: is counted under the labels of no call", () =>
    Effect.gen(function*() {
      const integration = `call-context-${++names}`
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration, logs: false }
      })
      const gate = yield* Deferred.make<void>()
      const failing = Effect.exit(Retry.retry(Effect.fail(down), { operation: Operation.once }))
      const worker = yield* Pipeline.protect(
        Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), failing)),
        pipeline
      )
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(worker)
      const counted = Object.keys(yield* metricsOf(integration))
      expect(counted.filter((name) => name.startsWith("resilience.retry"))).toEqual([])
      expect(counted.filter((name) => name.startsWith("resilience.call")).length).toBeGreaterThan(0)
    }))

  it.effect("G48: the fallbacks that it takes are none of the result's", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const taken = Fallback.orElseSucceed(Effect.fail(down), {
        when: () => true,
        value: () => "old"
      })
      const marked = yield* Fallback.marked(
        Effect.zipRight(taken, Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), taken)))
      )
      const before = marked.taken.length
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(marked.value)
      expect([before, marked.taken.length]).toEqual([1, 1])
    }))

  it.effect("telemetry of the worker itself is its own", () =>
    Effect.gen(function*() {
      const integration = `call-context-${++names}`
      const telemetry = yield* Telemetry.make({ integration, logs: false })
      const gate = yield* Deferred.make<void>()
      const worker = yield* Telemetry.observe(
        Effect.forkDaemon(
          Effect.zipRight(Deferred.await(gate), Telemetry.observe(Effect.void, telemetry))
        ),
        telemetry
      )
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(worker)
      const outcomes = Object.entries(yield* metricsOf(integration)).filter(([name]) =>
        name.startsWith("resilience.call.outcomes")
      )
      expect(outcomes.map(([, count]) => count)).toEqual([2])
    }))
})
