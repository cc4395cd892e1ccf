import { expect, it } from "@effect/vitest"
import { Clock, Effect, Either, type Layer, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import { IdempotencyStore, StoreError } from "effect-resilience/IdempotencyStore"
import { afterAll, beforeAll, describe } from "vitest"
import { offBy } from "../support/clocks.js"
import { type Server, without } from "../support/processes.js"
import { all, type Options } from "../support/stores.js"

const hour = 3_600_000

/** A machine whose clock is wrong. */
const machine = (layer: Layer.Layer<IdempotencyStore, unknown>, offMillis: number) => {
  const clock = offBy(Clock.make(), { wall: offMillis, monotonic: offMillis })
  return <A, E>(self: Effect.Effect<A, E, IdempotencyStore>) =>
    Effect.withClock(Effect.provide(self, layer), clock)
}

const claim = (keyHash: string, owner: string) => ({
  scope: "shared",
  keyHash,
  fingerprint: "payload",
  owner,
  leaseMillis: 30_000,
  timeToLiveMillis: 30_000
})

const acquire = (keyHash: string, owner: string) =>
  Effect.flatMap(IdempotencyStore, (store) => store.acquire(claim(keyHash, owner)))

/** What a call with this key and payload is told, and what it executes. */
const call = (name: string, payload: unknown, result: string) =>
  Effect.gen(function*() {
    let executions = 0
    const key = yield* IdempotencyKey.fromString(name)
    const told = yield* Effect.sync(() => {
      executions++
      return result
    }).pipe(
      Idempotency.run({ scope: ["shared"], payload, result: Schema.String }),
      IdempotencyKey.provide(key),
      Effect.either,
      Effect.map(Either.match({ onLeft: ({ _tag }) => _tag, onRight: (value) => value }))
    )
    return [told, executions]
  })

for (const backend of all) {
  if (!backend.isInstalled) without(backend.name)

  describe.skipIf(!backend.isInstalled)(`${backend.name}: shared`, () => {
    let server: Server
    beforeAll(async () => {
      server = await backend.start()
    }, 20_000)
    afterAll(() => server.stop())
    const layer = (options?: Options) => backend.layer(() => server.port, options)

    it.live("I28: two machines whose clocks are two hours apart agree on a lease and on what is over", () =>
      Effect.gen(function*() {
        const late = machine(layer(), -hour)
        const early = machine(layer(), hour)
        yield* late(acquire("clocks", "a"))
        const during = yield* early(acquire("clocks", "b"))
        expect(
          during._tag === "InFlight" && during.retryAfterMillis > 20_000 &&
            during.retryAfterMillis <= 30_000
        )
          .toBe(true)
        yield* early(acquire("clocks-2", "a"))
        expect((yield* late(acquire("clocks-2", "b")))._tag).toBe("InFlight")
      }))

    it.live("I28: with the program's clock the machine that is early takes over, which is why it is not the default", () =>
      Effect.gen(function*() {
        const options: Options = { timeSource: "clock" }
        yield* machine(layer(options), -hour)(acquire("their clocks", "a"))
        const answer = yield* machine(layer(options), hour)(acquire("their clocks", "b"))
        expect(answer._tag === "Acquired" && answer.recovered).toBe(true)
      }))

    it.live("I5: what was recorded under a secret is replayed under the next one, and an orphan when the first is forgotten", () =>
      Effect.gen(function*() {
        const under = (secret: string, previousSecrets: ReadonlyArray<string>, result: string) =>
          Effect.provide(call("rotated", "payload", result), layer({ secret, previousSecrets }))
        expect([
          yield* under("A", [], "first"),
          yield* under("B", ["A"], "second"),
          yield* under("C", ["B", "A"], "third"),
          yield* under("B", [], "fourth")
        ]).toEqual([["first", 1], ["first", 0], ["first", 0], ["fourth", 1]])
      }))

    it.live("I13: under a new secret another payload is still a mismatch", () =>
      Effect.gen(function*() {
        yield* Effect.provide(call("mismatched", "payload", "first"), layer({ secret: "A" }))
        const answer = yield* Effect.provide(
          call("mismatched", "other", "second"),
          layer({ secret: "B", previousSecrets: ["A"] })
        )
        expect(answer).toEqual(["Mismatch", 0])
      }))

    it.live("I5, T1: neither key nor payload nor secret is in the store, while the outcome is", () =>
      Effect.gen(function*() {
        yield* Effect.provide(
          call("SENTINEL-KEY", { card: "SENTINEL-PAYLOAD" }, "the outcome"),
          layer({ secret: "SENTINEL-SECRET" })
        )
        const stored = backend.dump(server.port)
        expect([stored.includes("the outcome"), /sentinel/i.exec(stored)]).toEqual([true, null])
      }))

    it.live("I5: a record can be found by the fingerprint of its key that is in the logs", () =>
      Effect.gen(function*() {
        const key = yield* IdempotencyKey.fromString("found")
        const kid = yield* Effect.provide(
          Effect.zipRight(call("found", "payload", "outcome"), IdempotencyKey.kid(key, ["shared"])),
          layer()
        )
        expect([/^[\da-f]{16}$/.test(kid), backend.dump(server.port).includes(kid)]).toEqual([
          true,
          true
        ])
      }))

    it.live("T1: what a driver says is in no error", () =>
      Effect.gen(function*() {
        const error = yield* Effect.provide(
          Effect.zipRight(
            Effect.promise(() => server.kill()),
            Effect.flip(acquire("SENTINEL", "a"))
          ),
          layer()
        )
        yield* Effect.promise(() => server.restart())
        expect([
          error,
          Object.keys(error as StoreError).filter((name) => name !== "operation" && name !== "_tag")
        ])
          .toEqual([
            new StoreError({ operation: "acquire" }),
            []
          ])
        expect(String((error as StoreError).message)).toBe(
          "The idempotency store could not acquire"
        )
      }), 20_000)

    it.live("I12: texts with zeros, halves of characters and of any length come back as they were", () =>
      Effect.gen(function*() {
        const outcome = `\0 \uffff0000 \ud800 \udc00\ud800 \u0001\n漢🙂${"x".repeat(300_000)}`
        const names = {
          scope: `s\0\ud800${"s".repeat(5000)}`,
          keyHash: `k\0\ud800${"k".repeat(5000)}`,
          owner: "o\0\ud800"
        }
        const store = yield* IdempotencyStore
        const asked = { ...claim("", ""), ...names, fingerprint: "f\0\ud800" }
        const first = yield* store.acquire(asked)
        const kept = yield* store.complete({ ...names, generation: 1 }, outcome, hour)
        const again = yield* store.acquire({ ...asked, owner: "b" })
        const other = yield* store.acquire({ ...asked, scope: `s\0\ud801${"s".repeat(5000)}` })
        expect([first._tag, kept, again, other._tag]).toEqual([
          "Acquired",
          "ok",
          { _tag: "Completed", outcome },
          "Acquired"
        ])
      }).pipe(Effect.provide(layer())))

    it.live("I11: a lease and a time to live that never end are written down all the same", () =>
      Effect.gen(function*() {
        const store = yield* IdempotencyStore
        const first = yield* store.acquire({
          ...claim("endless", "a"),
          leaseMillis: Infinity,
          timeToLiveMillis: Infinity
        })
        const during = yield* store.acquire(claim("endless", "b"))
        const kept = yield* store.complete(
          { ...claim("endless", "a"), generation: 1 },
          "done",
          Infinity
        )
        expect([first._tag, during._tag, kept, yield* store.acquire(claim("endless", "b"))])
          .toEqual([
            "Acquired",
            "InFlight",
            "ok",
            { _tag: "Completed", outcome: "done" }
          ])
      }).pipe(Effect.provide(layer())))
  })
}
