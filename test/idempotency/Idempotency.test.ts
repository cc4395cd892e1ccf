import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  type Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  FiberRef,
  HashMap,
  Inspectable,
  Logger,
  LogLevel,
  Metric,
  Option,
  Random,
  Redacted,
  Schema,
  TestClock
} from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  Idempotency,
  IdempotencyKey,
  Operation,
  Pipeline,
  Retry,
  Verdict
} from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import {
  conflict,
  invalid,
  network,
  rateLimit,
  rejection,
  server,
  timeout
} from "../support/errors.js"
import { wordsFor } from "../support/exits.js"
import { faultyStore } from "../support/faultyStore.js"
import {
  Busy,
  counting,
  cutOff,
  Declined,
  defaults,
  lease,
  probe,
  type Receipt,
  setting,
  told
} from "../support/idempotent.js"

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

describe("UnknownOutcome", () => {
  it("says that the outcome is unknown and that nothing was sent again", () => {
    const error = new Idempotency.UnknownOutcome()
    expect([error._tag, error.name]).toEqual(["UnknownOutcome", "UnknownOutcome"])
    expect(error.message).toMatch(/unknown/)
    expect(error.message).toMatch(/not sent again/)
  })

  it("is neither an ApiError nor worth another try", () => {
    const error = new Idempotency.UnknownOutcome()
    expect([ApiError.isApiError(error), ApiError.verdict(error)._tag]).toEqual([false, "Terminal"])
  })

  it.effect("can be yielded and caught by its tag", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        yield* new Idempotency.UnknownOutcome()
        return "sent"
      })
      const caught = yield* Effect.catchTag(program, "UnknownOutcome", () =>
        Effect.succeed("look it up"))
      expect(caught).toBe("look it up")
    }))

  it.effect("R14: a retry hands it back as the very same value, after one attempt", () =>
    Effect.gen(function*() {
      const error = new Idempotency.UnknownOutcome()
      let calls = 0
      const call = Effect.suspend(() => {
        calls++
        return Effect.fail(error)
      })
      const failed = yield* Effect.flip(
        Retry.retry(call, { operation: Operation.read, retries: 5 })
      )
      expect([failed === error, calls]).toEqual([true, 1])
    }))
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

describe("a first run", () => {
  it.effect("I20: gives what the work gives, and claims before it runs", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const work = Effect.sync(() => {
        expect(calls).toEqual(["acquire"])
        return { id: "r-1" }
      })
      expect(yield* here(Idempotency.run(work, defaults))).toEqual({ id: "r-1" })
      expect(calls).toEqual(["acquire", "complete"])
    }))

  it.effect("I20: is replayed through the schema of the result, without a second run", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const options = {
        ...defaults,
        result: Schema.Struct({ at: Schema.Date, note: Schema.optional(Schema.String) })
      }
      let begun = 0
      const work = Effect.sync(() => ({ at: new Date(++begun) }))
      const run = here(Idempotency.run(work, options))
      expect([yield* run, yield* run, begun]).toEqual([{ at: new Date(1) }, { at: new Date(1) }, 1])
    }))

  it.effect("I20: a result that is nothing at all is replayed, too", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      let begun = 0
      const work = Effect.sync(() => {
        begun++
      })
      const run = here(Idempotency.run(work, { ...defaults, result: Schema.Void }))
      expect([yield* run, yield* run, begun]).toEqual([undefined, undefined, 1])
    }))

  it.effect("the function form is told that nothing was recovered", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const run = Idempotency.run(
        (run) =>
          Effect.succeed({ id: [run.recovered, run.recoveryPoint._tag, run.protected].join() }),
        defaults
      )
      expect(yield* here(run)).toEqual({ id: "false,None,true" })
    }))

  it.effect("effect first and effect last are the same", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = counting()
      const first = yield* here(Idempotency.run(work, defaults))
      const last = yield* here(work.pipe(Idempotency.run(defaults)))
      const byFunction = yield* here(Idempotency.run(defaults)(() => work))
      expect([first, last, byFunction, counter.begun]).toEqual([{ id: "r-1" }, { id: "r-1" }, {
        id: "r-1"
      }, 1])
    }))

  it.effect("what the work changes in fiber refs stays changed, with a heartbeat as without", () =>
    Effect.gen(function*() {
      for (const heartbeat of [false, true]) {
        const { here } = yield* setting
        const ref = FiberRef.unsafeMake(0)
        yield* here(
          Idempotency.run(Effect.as(FiberRef.set(ref, 1), { id: "r" }), { ...defaults, heartbeat })
        )
        expect(yield* FiberRef.get(ref)).toBe(1)
      }
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
        expect(IdempotencyKey.joined(a) === IdempotencyKey.joined(b)).toBe(
          JSON.stringify(a) === JSON.stringify(b)
        )
      }),
      { numRuns: 2000 }
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

describe("payloads", () => {
  const fingerprintOf = (payload: unknown) =>
    Effect.gen(function*() {
      const { claims, here } = yield* setting
      yield* here(Idempotency.run(Effect.succeed({ id: "r" }), { ...defaults, payload }))
      return claims[0]!.fingerprint
    })

  it.effect("I16: the fingerprint is the SHA-256 of the canonical JSON", () =>
    Effect.gen(function*() {
      // printf '{"1":true,"a":0,"b":[null]}' | sha256sum
      const expected = yield* Effect.promise(async () =>
        Buffer.from(
          await crypto.subtle.digest(
            "SHA-256",
            new TextEncoder().encode("{\"1\":true,\"a\":0,\"b\":[null]}")
          )
        ).toString("hex")
      )
      expect(yield* fingerprintOf({ b: [null], a: -0, c: undefined, 1: true })).toBe(expected)
    }))

  it.effect("I16: what has no canonical JSON is refused before any claim, with the place and without the value", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const { counter, work } = counting()
      const cycle: { self?: unknown } = {}
      cycle.self = cycle
      const bad: ReadonlyArray<readonly [unknown, string]> = [
        [NaN, "payload"],
        [{ amount: Infinity }, "payload.amount"],
        [[1, 2n], "payload[1]"],
        [cycle, "payload.self"]
      ]
      for (const [payload, path] of bad) {
        const error = yield* Effect.flip(here(Idempotency.run(work, { ...defaults, payload })))
        expect([error._tag, "path" in error && error.path]).toEqual(["FingerprintError", path])
      }
      expect([calls, counter.begun]).toEqual([[], 0])
    }))

  it.effect("I13: another payload under the same key is a mismatch, completed, in flight or lapsed", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const other = told(
        here(Idempotency.run(Effect.succeed({ id: "x" }), { ...defaults, payload: "other" }))
      )
      const hung = yield* Effect.fork(here(Idempotency.run(Effect.never, defaults)))
      yield* TestClock.adjust(0)
      const seen = [yield* other]
      yield* Fiber.interrupt(hung)
      yield* TestClock.adjust(lease)
      seen.push(yield* other)
      yield* here(Idempotency.run(() => Effect.succeed({ id: "r" }), defaults))
      seen.push(yield* other)
      expect(seen).toEqual(["Mismatch", "Mismatch", "Mismatch"])
    }))
})

describe("failures", () => {
  const failing = <E>(error: E) => {
    const counter = { begun: 0 }
    const work = Effect.suspend((): Effect.Effect<Receipt, E> => {
      counter.begun++
      return Effect.fail(error)
    })
    return { counter, work }
  }

  it.effect("I20: a member of persistFailure is replayed with the same tag and fields", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = failing(new Declined({ why: "limit" }))
      const run = here(
        Idempotency.run(work, { ...defaults, persistFailure: Schema.Union(Declined, Busy) })
      )
      const [first, second] = [yield* Effect.flip(run), yield* Effect.flip(run)]
      expect([first, second, counter.begun]).toEqual([
        new Declined({ why: "limit" }),
        new Declined({ why: "limit" }),
        1
      ])
      expect(second).toBeInstanceOf(Declined)
    }))

  it.effect("I20: any other failure releases the record, and the next caller runs", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const { counter, work } = failing(new Busy())
      const run = here(Idempotency.run(work, { ...defaults, persistFailure: Declined }))
      expect([yield* told(run), yield* told(run), counter.begun]).toEqual(["Busy", "Busy", 2])
      expect(calls).toEqual(["acquire", "release", "acquire", "release"])
    }))

  it.effect("I20: what certainly was not executed releases the record", () =>
    Effect.gen(function*() {
      const errors = [
        network("no"),
        invalid(),
        conflict(),
        rateLimit(),
        new ApiError.Server({ message: "never", status: 501 }),
        timeout("server"),
        rejection(),
        "a text"
      ]
      for (const error of errors) {
        const s = yield* setting
        yield* told(s.here(Idempotency.run(failing(error).work, defaults)))
        expect([error, yield* probe(s)]).toEqual([error, "Acquired"])
      }
    }))

  it.effect("I20: what may have been executed holds the record until its lease ends, and then it is recovered", () =>
    Effect.gen(function*() {
      const errors = [
        timeout("attempt"),
        timeout("total"),
        network(),
        server(500),
        new ApiError.Server({ message: "oops", status: 503, repeat: "never" }),
        new ApiError.Server({ message: "unreadable", status: 200, code: "unreadable_response" }),
        new Cause.TimeoutException("late"),
        new Idempotency.UnknownOutcome()
      ]
      for (const error of errors) {
        const s = yield* setting
        yield* told(s.here(Idempotency.run(failing(error).work, defaults)))
        yield* TestClock.adjust(lease - 1)
        const before = yield* probe(s)
        yield* TestClock.adjust(1)
        expect([error, before, yield* probe(s)]).toEqual([error, "InFlight", "Recovered"])
      }
    }))

  it.effect("I20: a failure that may have been executed is stored all the same when it is declared an outcome", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = failing(server(500))
      const run = here(Idempotency.run(work, { ...defaults, persistFailure: ApiError.ApiError }))
      expect([yield* told(run), yield* told(run), counter.begun]).toEqual(["Server", "Server", 1])
    }))

  it.effect("I20: a defect and an interruption hold the record", () =>
    Effect.gen(function*() {
      const works: ReadonlyArray<() => Effect.Effect<Receipt>> = [
        () => Effect.die("boom"),
        () => Effect.interrupt,
        () => {
          throw new Error("before the first step")
        }
      ]
      const seen: Array<unknown> = []
      for (const work of works) {
        const s = yield* setting
        seen.push([yield* told(s.here(Idempotency.run(work, defaults))), yield* probe(s)])
      }
      expect(seen).toEqual([["died", "InFlight"], ["interrupted", "InFlight"], [
        "died",
        "InFlight"
      ]])
    }))

  it.effect("I20: of several failures, one sign of an unknown outcome is enough", () =>
    Effect.gen(function*() {
      const declined = Cause.fail(new Declined({ why: "limit" }))
      const late = Cause.fail(timeout("total"))
      const busy = Cause.fail(new Busy())
      const causes: ReadonlyArray<
        readonly [Cause.Cause<Declined | Busy | ApiError.Timeout>, string]
      > = [
        [Cause.parallel(declined, Cause.die("boom")), "InFlight"],
        [Cause.sequential(declined, late), "InFlight"],
        [Cause.sequential(late, declined), "InFlight"],
        [Cause.parallel(busy, late), "InFlight"],
        [Cause.parallel(declined, busy), "Completed"],
        [Cause.parallel(busy, declined), "Acquired"]
      ]
      for (const [cause, expected] of causes) {
        const s = yield* setting
        yield* told(
          s.here(
            Idempotency.run(Effect.failCause(cause), { ...defaults, persistFailure: Declined })
          )
        )
        expect([Cause.pretty(cause), yield* probe(s)]).toEqual([Cause.pretty(cause), expected])
      }
    }))
})

describe("an unknown outcome", () => {
  it.effect("I20: a plain effect is not run again: UnknownOutcome, and the record is not released", () =>
    Effect.gen(function*() {
      const s = yield* setting
      yield* cutOff((work) => s.here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(lease)
      const { counter, work } = counting()
      const run = s.here(Idempotency.run(work, defaults))
      const first = yield* told(run)
      yield* TestClock.adjust(lease)
      expect([first, yield* told(run), counter.begun]).toEqual([
        "UnknownOutcome",
        "UnknownOutcome",
        0
      ])
      expect(s.calls).not.toContain("release")
    }))

  it.effect("I20: within the lease a duplicate is in flight", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff((work) => here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(lease - 1)
      expect(yield* told(here(Idempotency.run(() => Effect.succeed({ id: "r" }), defaults)))).toBe(
        "InFlight"
      )
    }))

  it.effect("I20, I29: the function form is run again, and gets the last recovery point", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const first = (run: Idempotency.Run) =>
        run.savepoint({ step: 1 }).pipe(
          Effect.zipRight(run.savepoint({ step: 2, ids: ["a", null] })),
          Effect.zipRight(Effect.never)
        )
      yield* cutOff(() => here(Idempotency.run(first, defaults)))
      yield* TestClock.adjust(lease)
      const points: Array<unknown> = []
      const second = (run: Idempotency.Run) =>
        Effect.sync(() => {
          points.push(run.recovered, run.recoveryPoint)
          return { id: "r" }
        })
      yield* here(Idempotency.run(second, defaults))
      expect(points).toEqual([true, Option.some({ step: 2, ids: ["a", null] })])
    }))

  it.effect("I20: right after a plain effect has found it unknown, the function form can recover it", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff((work) => here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(lease)
      yield* told(here(Idempotency.run(counting().work, defaults)))
      yield* TestClock.adjust(1)
      const run = Idempotency.run((run) => Effect.succeed({ id: String(run.recovered) }), defaults)
      expect(yield* told(here(run))).toEqual({ id: "true" })
    }))

  it.effect("I29: the savepoint of a run that failed without doubt is not handed on", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const failing = (run: Idempotency.Run) => Effect.zipRight(run.savepoint(1), new Busy())
      yield* told(here(Idempotency.run(failing, defaults)))
      const run = Idempotency.run((run) => Effect.succeed({ id: run.recoveryPoint._tag }), defaults)
      expect(yield* here(run)).toEqual({ id: "None" })
    }))

  it.effect("I29: a savepoint that JSON cannot carry is a defect", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const exit = yield* Effect.exit(
        here(Idempotency.run((run) => Effect.as(run.savepoint(() => 1), { id: "r" }), defaults))
      )
      expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain(
        "savepoint should be given a value that JSON can carry, got a function"
      )
    }))

  it.effect("I29: a savepoint of nothing is one all the same", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff(() =>
        here(
          Idempotency.run(
            (run) => Effect.zipRight(run.savepoint(undefined), Effect.never),
            defaults
          )
        )
      )
      yield* TestClock.adjust(lease)
      const points: Array<unknown> = []
      yield* here(
        Idempotency.run(
          (run) => Effect.sync(() => (points.push(run.recoveryPoint), { id: "r" })),
          defaults
        )
      )
      expect(points).toEqual([Option.some(null)])
    }))
})
