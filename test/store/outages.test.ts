import { expect, it } from "@effect/vitest"
import { Duration, Effect, Either, Fiber, Layer, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import type { IdempotencyStore } from "effect-resilience/IdempotencyStore"
import { afterAll, beforeAll, describe } from "vitest"
import { type Server, without } from "../support/processes.js"
import { backends } from "../support/stores.js"

const storeTimeout = Duration.millis(400)

/** Far more than a timeout, far less than for ever. */
const soon = 3000

interface Call {
  readonly key: string
  /** What the work does before it succeeds. */
  readonly during?: Effect.Effect<void, string> | undefined
  readonly onStoreFailure?: "fail" | "run" | undefined
  readonly lease?: Duration.DurationInput | undefined
}

/** One call of work that can look at its run; what it was told, or the tag of the failure. */
const call = ({ during = Effect.void, key, lease = "30 seconds", onStoreFailure = "fail" }: Call) =>
  Effect.gen(function*() {
    const executed: Array<string> = []
    const work = (run: Idempotency.Run) =>
      Effect.suspend(() => {
        executed.push(run.protected ? run.recovered ? "recovered" : "first" : "unprotected")
        return Effect.as(during, "done")
      })
    const made = yield* IdempotencyKey.fromString(key)
    const [took, result] = yield* Effect.timed(Effect.either(
      Idempotency.run(work, {
        scope: ["outage"],
        payload: key,
        result: Schema.String,
        storeTimeout,
        onStoreFailure,
        lease
      }).pipe(
        IdempotencyKey.provide(made)
      )
    ))
    const told = Either.match(result, {
      onLeft: (error) => typeof error === "string" ? error : error._tag,
      onRight: (value) => value
    })
    return { told, executed, isSoon: Duration.toMillis(took) < soon }
  })

/** Asks again until the store answers. */
const answered = (options: Call) =>
  Effect.repeat(Effect.delay(call(options), "50 millis"), {
    until: ({ told }) => told !== "StoreUnavailable",
    times: 150
  })

for (const backend of [backends.PostgreSQL, backends.Redis]) {
  if (!backend.isInstalled) without(backend.name)

  describe.skipIf(!backend.isInstalled)(`${backend.name}: outages`, () => {
    let server: Server
    beforeAll(async () => {
      server = await backend.start()
    }, 20_000)
    afterAll(() => server.stop())

    const kill = Effect.promise(() => server.kill())
    const restart = Effect.promise(() => server.restart())
    const hang = Effect.sync(() => server.signal("SIGSTOP"))
    const goOn = Effect.sync(() => server.signal("SIGCONT"))

    /** The server runs again afterwards, whatever has happened. */
    const fact = (sentence: string, body: Effect.Effect<void, unknown, IdempotencyStore>) =>
      it.live(
        sentence,
        () => Effect.ensuring(body, goOn).pipe(Effect.provide(backend.layer(() => server.port))),
        20_000
      )

    fact(
      "I23, I31: a store that is gone fails the claim soon and nothing runs; by option it runs without protection; later all is well",
      Effect.gen(function*() {
        yield* kill
        const closed = yield* call({ key: "gone" })
        const open = yield* call({ key: "gone", onStoreFailure: "run" })
        yield* restart
        const later = yield* answered({ key: "gone" })
        expect([closed, open, later]).toEqual([
          { told: "StoreUnavailable", executed: [], isSoon: true },
          { told: "done", executed: ["unprotected"], isSoon: true },
          { told: "done", executed: ["first"], isSoon: true }
        ])
      })
    )

    fact(
      "I23, I31: a store that hangs fails the claim soon and nothing runs; the claim it still makes when it wakes up is given back",
      Effect.gen(function*() {
        yield* call({ key: "before" })
        yield* hang
        const closed = yield* call({ key: "hung" })
        const open = yield* call({ key: "hung-open", onStoreFailure: "run" })
        yield* goOn
        const later = yield* Effect.repeat(Effect.delay(call({ key: "hung" }), "100 millis"), {
          until: ({ told }) => told === "done",
          times: 50
        })
        expect([closed, open, later]).toEqual([
          { told: "StoreUnavailable", executed: [], isSoon: true },
          { told: "done", executed: ["unprotected"], isSoon: true },
          { told: "done", executed: ["first"], isSoon: true }
        ])
      })
    )

    fact(
      "I29: a store that hangs or is gone fails the savepoint soon, and the work decides",
      Effect.gen(function*() {
        const key = yield* IdempotencyKey.fromString("savepoint")
        const work = (run: Idempotency.Run) =>
          Effect.gen(function*() {
            yield* hang
            const hung = yield* Effect.timed(Effect.either(run.savepoint("one")))
            yield* kill
            const gone = yield* Effect.timed(Effect.either(run.savepoint("two")))
            return [hung, gone].map(([took, told]) =>
              Either.isLeft(told) && Duration.toMillis(took) < soon
                ? told.left._tag
                : "kept or late"
            )
          })
        const options = {
          scope: ["outage"],
          payload: 1,
          result: Schema.Array(Schema.String),
          storeTimeout
        }
        const told = yield* IdempotencyKey.provide(Idempotency.run(work, options), key)
        yield* restart
        expect(told).toEqual(["StoreUnavailable", "StoreUnavailable"])
      })
    )

    fact(
      "I21: a store that is gone when the work has succeeded, until the lease is over, takes nothing from its success, and the next run is told of it",
      Effect.gen(function*() {
        const success = yield* call({ key: "lost", during: kill, lease: "1 second" })
        yield* Effect.sleep("1 second")
        yield* restart
        const after = yield* answered({ key: "lost" })
        expect([success, after]).toEqual([
          { told: "done", executed: ["first"], isSoon: true },
          { told: "done", executed: ["recovered"], isSoon: true }
        ])
      })
    )

    fact(
      "I21, I23: a store that is back before the lease is over is told of the success, and replays it",
      Effect.gen(function*() {
        const success = yield* call({ key: "back", during: kill })
        yield* restart
        const after = yield* Effect.repeat(Effect.delay(call({ key: "back" }), "100 millis"), {
          until: ({ told }) => told === "done",
          times: 100
        })
        expect([success, after]).toEqual([
          { told: "done", executed: ["first"], isSoon: true },
          { told: "done", executed: [], isSoon: true }
        ])
      })
    )

    fact(
      "I21: a store that hangs when the work has succeeded takes nothing from its success, which it records when it wakes up",
      Effect.gen(function*() {
        const success = yield* call({ key: "slow", during: hang })
        yield* goOn
        const after = yield* Effect.repeat(Effect.delay(call({ key: "slow" }), "100 millis"), {
          until: ({ told }) => told === "done",
          times: 50
        })
        expect([success, after]).toEqual([
          { told: "done", executed: ["first"], isSoon: true },
          { told: "done", executed: [], isSoon: true }
        ])
      })
    )

    fact(
      "I20, I21: a store that hangs when the work has failed leaves it its failure, and releases the claim when it wakes up",
      Effect.gen(function*() {
        const failure = yield* call({
          key: "failed",
          during: Effect.zipRight(hang, Effect.fail("declined"))
        })
        yield* goOn
        const after = yield* Effect.repeat(Effect.delay(call({ key: "failed" }), "100 millis"), {
          until: ({ told }) => told === "done",
          times: 50
        })
        expect([failure, after]).toEqual([
          { told: "declined", executed: ["first"], isSoon: true },
          { told: "done", executed: ["first"], isSoon: true }
        ])
      })
    )
  })
}

describe.skipIf(!backends.Redis.isInstalled)("Redis: starting before the server", () => {
  let server: Server
  beforeAll(async () => {
    server = await backends.Redis.start()
  })
  afterAll(() => server.stop())

  const ready = (
    layer: Layer.Layer<IdempotencyStore, unknown>,
    then: Effect.Effect<void, unknown, IdempotencyStore>
  ) =>
    Effect.flatMap(Effect.timed(Effect.exit(Effect.provide(Effect.clock, layer))), ([took]) => {
      expect(Duration.toMillis(took)).toBeLessThan(soon)
      return Effect.provide(then, layer)
    })

  it.live(
    "I31: without a server the layer comes up soon, its calls fail soon, and work when the server is there",
    () =>
      Effect.gen(function*() {
        yield* Effect.promise(() => server.kill())
        yield* ready(
          backends.Redis.layer(() => server.port),
          Effect.gen(function*() {
            const without = yield* call({ key: "early" })
            yield* Effect.promise(() => server.restart())
            const later = yield* answered({ key: "early" })
            expect([without, later]).toEqual([
              { told: "StoreUnavailable", executed: [], isSoon: true },
              { told: "done", executed: ["first"], isSoon: true }
            ])
          })
        )
      }),
    20_000
  )

  it.live(
    "I31: with a server that hangs the layer comes up soon, and works when the server goes on",
    () =>
      Effect.gen(function*() {
        server.signal("SIGSTOP")
        yield* ready(
          backends.Redis.layer(() => server.port),
          Effect.gen(function*() {
            const during = yield* call({ key: "asleep" })
            server.signal("SIGCONT")
            const later = yield* answered({ key: "asleep" })
            expect([during, later]).toEqual([
              { told: "StoreUnavailable", executed: [], isSoon: true },
              { told: "done", executed: ["first"], isSoon: true }
            ])
          })
        )
      }),
    20_000
  )

  it.live(
    "I31: the wait for a server that hangs ends in time where nothing can be interrupted, and at once where it can",
    () =>
      Effect.gen(function*() {
        server.signal("SIGSTOP")
        const layer = backends.Redis.layer(() => server.port)
        const building = Effect.scoped(Layer.build(layer))
        const [took] = yield* Effect.timed(Effect.uninterruptible(building))
        const fiber = yield* Effect.fork(building)
        yield* Effect.sleep("100 millis")
        const [left] = yield* Effect.timed(Fiber.interrupt(fiber))
        expect([Duration.toMillis(took) < soon, Duration.toMillis(left) < 500]).toEqual([
          true,
          true
        ])
      }).pipe(Effect.ensuring(Effect.sync(() => server.signal("SIGCONT")))),
    20_000
  )
})
