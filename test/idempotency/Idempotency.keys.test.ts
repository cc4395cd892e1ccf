import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  type Duration,
  Effect,
  FastCheck as fc,
  Fiber,
  HashMap,
  Inspectable,
  Logger,
  LogLevel,
  Metric,
  Random,
  Redacted,
  TestClock
} from "effect"
import {
  ApiClient,
  Backoff,
  Idempotency,
  IdempotencyKey,
  Operation,
  Pipeline,
  Retry,
  Verdict
} from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { joined } from "../../src/idempotency/keyHash.js"
import { wordsFor } from "../support/exits.js"
import { faultyStore } from "../support/faultyStore.js"
import { Busy, counting, defaults, setting, told } from "../support/idempotent.js"
import { runs } from "../support/runs.js"

const day = 24 * 3_600_000

/**
 * A platform client that answers every request with this status and says when it was asked, under
 * which key.
 */
const answering = (status: number) => {
  const seen: Array<readonly [at: number, key: string | undefined]> = []
  const client = HttpClient.make((request) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      seen.push([now, request.headers["idempotency-key"]])
      return HttpClientResponse.fromWeb(request, new Response(null, { status }))
    })
  )
  return { seen, client }
}

/** A client that waits an hour between two attempts. */
const hourly = (upstream: HttpClient.HttpClient, keyTimeToLive?: Duration.DurationInput) =>
  Effect.gen(function*() {
    const pipeline = yield* Pipeline.make({
      operation: Operation.keyed,
      retry: { retries: 5, backoff: Backoff.constant("1 hour") }
    })
    return yield* ApiClient.make({
      name: "sessions",
      baseUrl: "https://api.test",
      pipeline,
      keyTimeToLive
    })
  }).pipe(Effect.provideService(HttpClient.HttpClient, upstream))

const outcome = wordsFor({ value: () => "sent", cause: Cause.pretty })

const post = HttpClientRequest.post("/v1/sessions")

/** Runs to its end under the test clock. */
const finish = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    yield* TestClock.adjust("10 days")
    return outcome(yield* Fiber.join(fiber))
  })

describe("the lifetime of a key", () => {
  const callAt = (age: number, keyTimeToLive?: Duration.DurationInput) =>
    Effect.gen(function*() {
      const { client, seen } = answering(204)
      const api = yield* hourly(client, keyTimeToLive)
      const madeAt = yield* Clock.currentTimeMillis
      const key = yield* IdempotencyKey.fromString("row-17", { madeAt })
      yield* TestClock.adjust(age)
      return [yield* finish(IdempotencyKey.provide(api.execute(post), key)), seen.length]
    })

  it.effect("I4: a key is sent until a day after its making", () =>
    Effect.gen(function*() {
      expect(yield* callAt(day - 1)).toEqual(["sent", 1])
    }))

  it.effect("I4, I11: a day after its making it is over, and nothing is sent", () =>
    Effect.gen(function*() {
      expect(yield* callAt(day)).toEqual(["UnknownOutcome", 0])
    }))

  it.effect("I4: another lifetime can be agreed", () =>
    Effect.gen(function*() {
      expect(yield* callAt(59_999, "1 minute")).toEqual(["sent", 1])
      expect(yield* callAt(60_000, "1 minute")).toEqual(["UnknownOutcome", 0])
    }))

  it.effect("I4: the lifetime counts from when a stored key was made, not from when it was read", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("2 days")
      const { client, seen } = answering(204)
      const api = yield* hourly(client)
      const key = yield* IdempotencyKey.fromString("row-17", { madeAt: 0 })
      expect(yield* finish(IdempotencyKey.provide(api.execute(post), key))).toBe("UnknownOutcome")
      expect(seen).toEqual([])
    }))

  it.effect("I3, I4: a derived key is as old as its parent", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("2 days")
      const { client, seen } = answering(204)
      const api = yield* hourly(client)
      const parent = yield* IdempotencyKey.fromString("row-17", { madeAt: 0 })
      const outcome = yield* finish(
        IdempotencyKey.provide(api.execute(post), IdempotencyKey.derive(parent, "notify"))
      )
      expect([outcome, seen]).toEqual(["UnknownOutcome", []])
    }))

  it.effect("I1, I4: a key that outlives its time between two attempts is not replaced by a fresh one", () =>
    Effect.gen(function*() {
      const { client, seen } = answering(503)
      const api = yield* hourly(client, "150 minutes")
      const key = yield* IdempotencyKey.fromString("row-17")
      expect(yield* finish(IdempotencyKey.provide(api.execute(post), key))).toBe("UnknownOutcome")
      expect(seen).toEqual([[0, "row-17"], [3_600_000, "row-17"], [7_200_000, "row-17"]])
    }))

  it.effect("T1: the error does not show the key", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("2 days")
      const api = yield* hourly(answering(204).client)
      const key = yield* IdempotencyKey.fromString("row-17-secret", { madeAt: 0 })
      const cause = yield* api.execute(post).pipe(
        IdempotencyKey.provide(key),
        Effect.sandbox,
        Effect.flip
      )
      const error = Cause.squash(cause)
      const renderings = [
        Cause.pretty(cause, { renderErrorCause: true }),
        String(error),
        JSON.stringify(error),
        Inspectable.toStringUnknown(error),
        (error as Error).stack
      ]
      expect(renderings.filter((text) => text?.includes("row-17-secret"))).toEqual([])
    }))
})

describe("keys and scopes", () => {
  it.effect("I1: another key is another operation", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = counting()
      const run = work.pipe(Idempotency.run(defaults))
      yield* here(run)
      yield* here(IdempotencyKey.provideNew(run))
      expect(counter.begun).toBe(2)
    }))

  it.effect("I1: all attempts of a retry are one operation", () =>
    Effect.gen(function*() {
      const { claims, here } = yield* setting
      let begun = 0
      const work = Effect.suspend(() => ++begun < 3 ? new Busy() : Effect.succeed({ id: "r" }))
      const run = Idempotency.run(work, defaults).pipe(
        Retry.retry({
          operation: Operation.keyed,
          backoff: Backoff.constant("1 millis"),
          verdict: () => Verdict.transient()
        })
      )
      const fiber = yield* Effect.fork(here(run))
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toEqual({ id: "r" })
      expect([claims.length, new Set(claims.map((claim) => claim.keyHash)).size]).toEqual([3, 1])
    }))

  it.effect("I3: the steps of one operation are separate records, stable over runs", () =>
    Effect.gen(function*() {
      const { here, key } = yield* setting
      const { counter, work } = counting()
      const step = (name: string) =>
        here(
          work.pipe(
            Idempotency.run(defaults),
            IdempotencyKey.provide(IdempotencyKey.derive(key, name))
          )
        )
      const ids = yield* Effect.all([step("a"), step("b"), step("a"), step("b")])
      expect([ids.map(({ id }) => id), counter.begun]).toEqual([["r-1", "r-2", "r-1", "r-2"], 2])
    }))

  it.effect("I4: a key that has outlived a day and of which nothing is known is an unknown outcome, and leaves no claim", () =>
    Effect.gen(function*() {
      const { calls, claims, inner, store } = yield* faultyStore
      const { counter, work } = counting()
      const aged = (text: string, madeAt: number) =>
        told(
          Effect.flatMap(IdempotencyKey.fromString(text, { madeAt }), (key) =>
            work.pipe(
              Idempotency.run(defaults),
              IdempotencyKey.provide(key),
              Effect.provideService(IdempotencyStore.IdempotencyStore, store)
            ))
        )
      yield* TestClock.adjust(day)
      expect([yield* aged("young", 1), yield* aged("old", 0)]).toEqual([
        { id: "r-1" },
        "UnknownOutcome"
      ])
      expect([counter.begun, calls]).toEqual([1, ["acquire", "complete", "acquire", "release"]])
      expect((yield* inner.acquire({ ...claims[1]!, owner: "next" }))._tag).toBe("Acquired")
    }))

  it.effect("I4: an old key of which something is known is replayed", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = counting()
      yield* TestClock.adjust(day / 2)
      const run = here(Idempotency.run(work, defaults))
      yield* run
      yield* TestClock.adjust(day - 1)
      expect([yield* told(run), counter.begun]).toEqual([{ id: "r-1" }, 1])
      yield* TestClock.adjust(1)
      expect([yield* told(run), counter.begun]).toEqual(["UnknownOutcome", 1])
    }))

  it.effect("I4: where records are kept for longer, keys live longer", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { work } = counting()
      yield* TestClock.adjust("6 days")
      expect(yield* told(here(Idempotency.run(work, { ...defaults, timeToLive: "7 days" }))))
        .toEqual({ id: "r-1" })
      expect(yield* told(here(Idempotency.run(work, { ...defaults, scope: ["other"] })))).toBe(
        "UnknownOutcome"
      )
    }))

  it.effect("I5: the key is neither in the store nor in logs, spans and metrics; its kid is", () =>
    Effect.gen(function*() {
      const { claims, here, key, texts } = yield* setting
      const seen: Array<string> = []
      const logger = Logger.make(({ annotations, message }) => {
        seen.push(Inspectable.toStringUnknown([message, [...HashMap.entries(annotations)]]))
      })
      const run = Effect.gen(function*() {
        yield* Idempotency.run((run) => Effect.as(run.savepoint("half"), { id: "r" }), defaults)
        yield* Idempotency.run(Effect.succeed({ id: "r" }), defaults)
        yield* Effect.ignore(
          Idempotency.run(Effect.succeed({ id: "r" }), { ...defaults, payload: 2 })
        )
        const span = yield* Effect.currentSpan
        seen.push(Inspectable.toStringUnknown([...span.attributes]))
      }).pipe(
        Effect.withSpan("charge"),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      yield* Logger.withMinimumLogLevel(here(run), LogLevel.All)
      const metrics = (yield* Metric.snapshot).map((pair) =>
        Inspectable.toStringUnknown(pair.metricKey)
      )
      const everything = [...seen, ...texts, JSON.stringify(claims), ...metrics]
      expect(everything.filter((text) => text.includes("order-17"))).toEqual([])
      const kid = yield* IdempotencyKey.kid(key, defaults.scope)
      expect(seen.filter((text) => text.includes(kid)).length).toBe(4)
      expect(claims[0]!.keyHash).toMatch(new RegExp(`^${kid}[0-9a-f]{48}$`))
    }))

  it.effect("I5: records outlive a change of the secret, when the one before is given", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = counting()
      const run = Idempotency.run(work, defaults)
      const [old, fresh] = [Redacted.make("old"), Redacted.make("new")]
      yield* here(Effect.provideService(run, IdempotencyKey.Secret, old))
      const rotated = run.pipe(
        Effect.provideService(IdempotencyKey.Secret, fresh),
        Effect.provideService(IdempotencyKey.PreviousSecrets, [fresh, old])
      )
      expect([yield* here(rotated), counter.begun]).toEqual([{ id: "r-1" }, 1])
    }))

  it.effect("I5: without the secret before, the records are not found", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = counting()
      const run = Idempotency.run(work, defaults)
      yield* here(Effect.provideService(run, IdempotencyKey.Secret, Redacted.make("old")))
      yield* here(Effect.provideService(run, IdempotencyKey.Secret, Redacted.make("new")))
      expect(counter.begun).toBe(2)
    }))

  it.effect("I15: the same key in another scope is another key, whatever delimiters the parts contain", () =>
    Effect.gen(function*() {
      const { claims, here } = yield* setting
      const { counter, work } = counting()
      const scopes = [
        ["a", "b"],
        ["ab"],
        ["a:b"],
        ["a", "", "b"],
        ["1:a1:b"],
        ["a,b"],
        ["a\u0000b"],
        ["b", "a"],
        []
      ]
      for (const scope of scopes) yield* here(Idempotency.run(work, { ...defaults, scope }))
      expect(counter.begun).toBe(scopes.length)
      expect(new Set(claims.map((claim) => claim.scope)).size).toBe(scopes.length)
      expect(new Set(claims.map((claim) => claim.keyHash)).size).toBe(scopes.length)
    }))

  it("I15: two lists of parts never make the same names", () => {
    const parts = fc.array(fc.constantFrom("", "1", ":", "1:", "0:", "11:1", "a"), { maxLength: 4 })
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        expect(joined(a) === joined(b)).toBe(
          JSON.stringify(a) === JSON.stringify(b)
        )
      }),
      { numRuns: runs(2000) }
    )
  })

  it.effect("I15: half of a surrogate pair in a scope, which stores would write alike, is refused", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const { counter, work } = counting()
      const run = here(Idempotency.run(work, { ...defaults, scope: ["shop", "\ud800"] }))
      const error = yield* Effect.flip(run)
      expect([error._tag, error.message]).toEqual([
        "FingerprintError",
        "No fingerprint: at scope[1] there is a text with half of a surrogate pair"
      ])
      expect([calls, counter.begun]).toEqual([[], 0])
    }))

  it.effect("I15, I16: what the work does to scope and payload changes nothing", () =>
    Effect.gen(function*() {
      const { claims, here } = yield* setting
      const scope = ["shop"]
      const payload = { items: [1] }
      let begun = 0
      const work = Effect.sync(() => {
        begun++
        scope.push("charge")
        payload.items.push(begun)
        return { id: "r" }
      })
      const run = here(Idempotency.run(work, { ...defaults, scope, payload }))
      yield* run
      yield* run
      expect(begun).toBe(1)
      expect([claims[0]!.scope, claims[0]!.fingerprint]).toEqual([
        claims[1]!.scope,
        claims[1]!.fingerprint
      ])
    }))

  it.effect("owners differ even when the program's Random is seeded", () =>
    Effect.gen(function*() {
      const { claims, here } = yield* setting
      const { work } = counting()
      const seeded = Effect.withRandom(here(Idempotency.run(work, defaults)), Random.make("seed"))
      yield* seeded
      yield* seeded
      expect(new Set(claims.map((claim) => claim.owner)).size).toBe(2)
    }))
})
