import { HttpApp, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Effect,
  FastCheck as fc,
  Fiber,
  Logger,
  Option,
  Schema,
  Stream,
  TestClock
} from "effect"
import * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { runs } from "../support/runs.js"
import { gated, json, memory, protect } from "./idempotencyMiddleware.js"
import {
  answerOf,
  counting,
  created,
  problemOf,
  requestOf,
  send,
  withCookie
} from "./idempotentApp.js"
import { range } from "./support.js"

describe("replay", () => {
  it.effect("I41: same status, same bytes, the listed headers, marked, and never a cookie", () =>
    Effect.gen(function*() {
      const { app, runs } = counting((run) =>
        withCookie(HttpServerResponse.uint8Array(Uint8Array.from(range(0, 255)), {
          status: 202,
          contentType: "application/x-things",
          headers: { location: `/r/${run}`, etag: "\"1\"", "set-cookie": "raw=1", "x-own": "1" }
        }))
      )
      const first = yield* send(protect()(app), { key: "k" })
      const second = yield* send(protect()(app), { key: "k" })
      expect([first.status, first.body.length, first.cookies, first.replayed]).toEqual(
        [202, second.body.length, ["raw=1", "session=s1; Path=/"], null]
      )
      expect([second.status, second.body === first.body, second.cookies, second.replayed]).toEqual(
        [202, true, [], "true"]
      )
      expect(Object.fromEntries(second.headers)).toEqual({
        "content-length": "256",
        "content-type": "application/x-things",
        etag: "\"1\"",
        location: "/r/1",
        "idempotent-replayed": "true"
      })
      expect(runs).toEqual([1])
    }).pipe(Effect.provide(memory)))

  it.effect("I41: a cookie is not replayed although a program lists it", () =>
    Effect.gen(function*() {
      const { app } = counting((run) =>
        withCookie(
          HttpServerResponse.setHeaders(created(run), { "set-cookie": "raw=1", "x-own": "1" })
        )
      )
      const listing = protect({ replayedHeaders: ["Set-Cookie", "X-Own", "Content-Type"] })(app)
      yield* send(listing, { key: "k" })
      const { cookies, headers } = yield* send(listing, { key: "k" })
      expect([cookies, headers.get("x-own"), headers.get("location")]).toEqual([[], "1", null])
    }).pipe(Effect.provide(memory)))

  it.effect("I41: cookies that a pre-response handler adds are the first caller's only", () =>
    Effect.gen(function*() {
      const handler = HttpApp.toWebHandlerRuntime(
        yield* Effect.runtime<IdempotencyStore.IdempotencyStore>()
      )(
        protect()(Effect.zipRight(
          HttpApp.appendPreResponseHandler((_, response) =>
            Effect.orDie(HttpServerResponse.setCookie(response, "session", "s1"))
          ),
          counting().app
        ))
      )
      const answers = yield* Effect.forEach(
        [1, 2],
        () => Effect.promise(() => handler(requestOf({ key: "k" })).then(answerOf))
      )
      expect(answers.map(({ cookies }) => cookies)).toEqual([["session=s1"], []])
    }).pipe(Effect.provide(memory)))

  it.effect("I41: any body in memory is replayed byte by byte, also none", () =>
    Effect.gen(function*() {
      const form = new FormData()
      form.append("a", "1")
      const responses = [
        HttpServerResponse.empty({ status: 204 }),
        HttpServerResponse.text(""),
        HttpServerResponse.text("grün 🌱"),
        HttpServerResponse.raw("raw text"),
        HttpServerResponse.raw(new Uint8Array([0, 255, 10])),
        HttpServerResponse.raw(new Uint8Array([1, 2]).buffer, { contentType: "application/x-raw" }),
        HttpServerResponse.formData(form),
        HttpServerResponse.redirect("/receipts/1", { status: 303 })
      ]
      const twice = yield* Effect.forEach(
        responses,
        (response, index) =>
          Effect.forEach(
            [1, 2],
            () => send(protect()(Effect.succeed(response)), { key: `k-${index}` })
          )
      )
      expect(twice.map(([, second]) => [second?.replayed, second?.status, second?.body])).toEqual(
        twice.map(([first]) => ["true", first?.status, first?.body])
      )
      expect(twice.map(([, second]) => second?.headers.get("content-type"))).toEqual(
        twice.map(([first]) => first?.headers.get("content-type"))
      )
    }).pipe(Effect.provide(memory)))

  it("I41: any response that is recorded comes back the same", async () => {
    const header = fc.constantFrom("etag", "location", "content-language")
    const responses = fc.record({
      status: fc.integer({ min: 200, max: 399 }).filter((status) =>
        ![204, 205, 304].includes(status)
      ),
      body: fc.uint8Array({ maxLength: 300 }),
      headers: fc.dictionary(header, fc.stringMatching(/^[!-~]{1,20}$/))
    })
    await fc.assert(
      fc.asyncProperty(responses, ({ body, headers, status }) =>
        Effect.gen(function*() {
          const response = HttpServerResponse.uint8Array(body, {
            status,
            headers,
            contentType: "x/y"
          })
          const read = (app: HttpApp.Default) =>
            app.pipe(
              Effect.map(HttpServerResponse.toWeb),
              Effect.flatMap((response) =>
                Effect.promise(() => response.arrayBuffer().then((bytes) => ({ response, bytes })))
              ),
              Effect.map(({ bytes, response: { headers, status } }) => ({
                status,
                bytes: [...new Uint8Array(bytes)],
                headers: Object.fromEntries(
                  [...headers].filter(([name]) => name !== "idempotent-replayed")
                )
              })),
              Effect.provideService(
                HttpServerRequest.HttpServerRequest,
                HttpServerRequest.fromWeb(requestOf({ key: "k" }))
              )
            )
          const store = yield* IdempotencyStore.IdempotencyStore
          const app = Effect.provideService(
            protect()(Effect.succeed(response)),
            IdempotencyStore.IdempotencyStore,
            store
          )
          expect(yield* read(app)).toEqual(yield* read(app))
        }).pipe(Effect.provide(memory), Effect.runPromise)),
      { numRuns: runs(500) }
    )
  }, 60_000)

  it.effect("I11: a replay ends with the time to live", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const short = protect({ timeToLive: "1 hour" })(app)
      yield* send(short, { key: "k" })
      yield* TestClock.adjust("59 minutes")
      yield* send(short, { key: "k" })
      expect(runs).toEqual([1])
      yield* TestClock.adjust("1 minute")
      yield* send(short, { key: "k" })
      expect(runs).toEqual([1, 2])
    }).pipe(Effect.provide(memory)))
})

/**
 * What a second request finds after a first one that was answered by `app`: its status, and how
 * often the handler ran.
 */
const secondAfter = <E>(
  first: HttpApp.Default<E, never>,
  options: Partial<IdempotencyMiddleware.Options> = {}
) =>
  Effect.gen(function*() {
    let runs = 0
    const app = protect(options)(Effect.zipRight(Effect.sync(() => runs++), first))
    const one = yield* send(app, { key: "k" })
    const two = yield* send(app, { key: "k" })
    return [one.status, two.status, two.replayed === "true" ? "replayed" : `runs: ${runs}`] as const
  }).pipe(Effect.provide(memory), Effect.provide(Logger.remove(Logger.defaultLogger)))

const status = (status: number) => HttpServerResponse.empty({ status })

describe("what is recorded", () => {
  it.effect(
    "I42: 2xx and 3xx are stored, a 4xx and 503 release, any other 5xx holds",
    () =>
      Effect.gen(function*() {
        const expected = (status: number) => {
          if (status < 400) return [status, status, "replayed"]
          return status >= 500 && status !== 503
            ? [status, 409, "runs: 1"]
            : [status, status, "runs: 2"]
        }
        const statuses = range(200, 599).filter((status) => status % 100 <= 31 || status === 599)
        expect(yield* Effect.forEach(statuses, (code) => secondAfter(status(code)))).toEqual(
          statuses.map(expected)
        )
      }),
    60_000
  )

  it.effect("I42: a listed status is stored", () =>
    Effect.gen(function*() {
      const storeStatuses = [402, 422, 500]
      expect(
        yield* Effect.forEach(
          [402, 422, 500, 400],
          (code) => secondAfter(status(code), { storeStatuses })
        )
      )
        .toEqual([
          [402, 402, "replayed"],
          [422, 422, "replayed"],
          [500, 500, "replayed"],
          [400, 400, "runs: 2"]
        ])
    }))

  it.effect("I42: a 5xx and a defect release by option", () =>
    Effect.gen(function*() {
      expect(yield* secondAfter(status(500), { on5xx: "release" })).toEqual([500, 500, "runs: 2"])
      expect(yield* secondAfter(Effect.dieMessage("oops"), { on5xx: "release" })).toEqual([
        500,
        500,
        "runs: 2"
      ])
    }))

  it.effect("I42: failures and defects become the platform's responses first, and are recorded by policy", () =>
    Effect.gen(function*() {
      class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {
        [Symbol.for("@effect/platform/HttpServerRespondable")]() {
          return HttpServerResponse.json({ why: "declined" }, { status: 402 })
        }
      }
      const notValid = Schema.decodeUnknown(Schema.Number)("x").pipe(Effect.as(status(200)))
      expect({
        respondable: yield* secondAfter(new Declined()),
        stored: yield* secondAfter(new Declined(), { storeStatuses: [402] }),
        parseError: yield* secondAfter(notValid),
        unknown: yield* secondAfter(Effect.fail("whatever")),
        notFound: yield* secondAfter(Effect.flatMap(Option.none<number>(), () => status(200))),
        response: yield* secondAfter(Effect.fail(status(410))),
        defect: yield* secondAfter(Effect.dieMessage("oops")),
        diedWithResponse: yield* secondAfter(Effect.die(status(403)))
      }).toEqual({
        respondable: [402, 402, "runs: 2"],
        stored: [402, 402, "replayed"],
        parseError: [400, 400, "runs: 2"],
        unknown: [500, 409, "runs: 1"],
        notFound: [404, 404, "runs: 2"],
        response: [410, 410, "runs: 2"],
        defect: [500, 409, "runs: 1"],
        diedWithResponse: [403, 403, "runs: 2"]
      })
    }))

  it.effect("I42: failures of requests that are not protected become responses, too", () =>
    Effect.gen(function*() {
      const app = protect({ required: false })(Effect.fail("whatever"))
      const answers = [yield* send(app), yield* send(app, { method: "PUT" })]
      expect(answers.map(({ status }) => status)).toEqual([500, 500])
    }).pipe(Effect.provide(memory), Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.effect("I42: what a response hides of a failure is in the log", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ cause, logLevel }) =>
        void logged.push(`${logLevel.label} ${Cause.pretty(cause).split("\n")[0]}`)
      )
      yield* send(protect()(Effect.dieMessage("no ledger")), { key: "k" }).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      expect(logged[0]).toBe("ERROR RuntimeException: no ledger")
    }).pipe(Effect.provide(memory)))

  it.effect("I20, I42: after a held claim lapses the outcome is unknown, and the handler does not run again", () =>
    Effect.gen(function*() {
      const { app, runs } = counting(() => status(500))
      const short = protect({ lease: "10 seconds" })(app)
      yield* send(short, { key: "k" })
      yield* TestClock.adjust("10 seconds")
      const unknown = yield* send(short, { key: "k" })
      yield* TestClock.adjust("1 second")
      const answers = [unknown, yield* send(short, { key: "k" })]
      expect(answers.map(problemOf)).toEqual([
        { type: "unknown-outcome", status: [409, 409], media: json },
        { type: "unknown-outcome", status: [409, 409], media: json }
      ])
      expect(runs).toEqual([1])
    }).pipe(Effect.provide(memory), Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.effect("I20, I42, fault 15: after a held 500 the refusal says until when the key is held, and a client that waits so long needs one try", () =>
    Effect.gen(function*() {
      const { app, runs } = counting(() => status(500))
      const short = protect({ lease: "40 seconds" })(app)
      yield* send(short, { key: "k" })
      yield* TestClock.adjust("5500 millis")
      const held = yield* send(short, { key: "k" })
      expect([problemOf(held).type, held.status, held.headers.get("retry-after")]).toEqual([
        "in-flight",
        409,
        "35"
      ])
      expect(held.body).toContain(
        "It has ended with an unknown outcome, and the key is held until 1970-01-01T00:00:40.000Z"
      )
      expect(held.body).not.toContain("running")
      yield* TestClock.adjust("35 seconds")
      expect(problemOf(yield* send(short, { key: "k" })).type).toBe("unknown-outcome")
      expect(runs).toEqual([1])
    }).pipe(Effect.provide(memory), Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.effect("I22, I42, fault 15: a request that runs is not said to have ended, also under a key that was held before", () =>
    Effect.gen(function*() {
      const { app: failing } = counting(() => status(500))
      const recovering = { lease: "10 seconds", recover: "run" } as const
      yield* send(protect(recovering)(failing), { key: "k" })
      yield* TestClock.adjust("10 seconds")
      const { app, begun, open } = yield* gated
      const first = yield* Effect.fork(send(protect(recovering)(app), { key: "k" }))
      yield* begun
      const during = yield* send(protect(recovering)(app), { key: "k" })
      expect([during.headers.get("retry-after"), during.body.includes("still running")]).toEqual([
        "1",
        true
      ])
      yield* open
      yield* Fiber.join(first)
    }).pipe(Effect.provide(memory), Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.effect("I20, I29: with recover: run the handler runs again, and learns what the first one left behind", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [boolean, Option.Option<unknown>]> = []
      const app = Effect.gen(function*() {
        const run = yield* IdempotencyMiddleware.Recovery
        seen.push([run.recovered, run.recoveryPoint])
        if (run.recovered) return created(2)
        yield* run.savepoint({ booked: 7 })
        return status(500)
      })
      const recovering = protect({ lease: "10 seconds", recover: "run" })(app)
      yield* send(recovering, { key: "k" })
      yield* TestClock.adjust("10 seconds")
      const answers = [yield* send(recovering, { key: "k" }), yield* send(recovering, { key: "k" })]
      expect(answers.map(({ replayed, status }) => [status, replayed])).toEqual([[201, null], [
        201,
        "true"
      ]])
      expect(seen).toEqual([[false, Option.none()], [true, Option.some({ booked: 7 })]])
    }).pipe(Effect.provide(memory)))

  it.effect("I24: a heartbeat keeps the claim of a handler that is slower than the lease", () =>
    Effect.gen(function*() {
      const { app, begun, open, runs } = yield* gated
      const beating = protect({ lease: "9 seconds", heartbeat: true })(app)
      const first = yield* Effect.fork(send(beating, { key: "k" }))
      yield* begun
      yield* Effect.forEach(range(1, 10), () => TestClock.adjust("3 seconds"))
      expect(problemOf(yield* send(beating, { key: "k" })).type).toBe("in-flight")
      yield* open
      expect([(yield* Fiber.join(first)).status, runs]).toEqual([201, [1]])
    }).pipe(Effect.provide(memory)))

  it.effect("I43: a streaming response goes out, says that it is not recorded, and is never executed again", () =>
    Effect.gen(function*() {
      let runs = 0
      const app = protect()(Effect.sync(() => {
        runs++
        return HttpServerResponse.stream(Stream.encodeText(Stream.make("a", "b")), {
          contentType: "text/plain"
        })
      }))
      const first = yield* send(app, { key: "k" })
      const second = yield* send(app, { key: "k" })
      expect([first.body, first.headers.get("idempotent-recorded")]).toEqual(["ab", "false"])
      expect([problemOf(second), runs]).toEqual([{
        type: "result-unavailable",
        status: [409, 409],
        media: json
      }, 1])
    }).pipe(Effect.provide(memory)))

  it.effect("I27: a response that is too long goes out whole, says so, and is never executed again", () =>
    Effect.gen(function*() {
      const { app, runs } = counting(() => HttpServerResponse.text("x".repeat(1000)))
      const small = protect({ maxOutcomeBytes: 1000 })(app)
      const first = yield* send(small, { key: "k" })
      const second = yield* send(small, { key: "k" })
      expect([
        first.body.length,
        first.headers.get("idempotent-recorded"),
        problemOf(second).type,
        runs
      ]).toEqual(
        [1000, "false", "result-unavailable", [1]]
      )
    }).pipe(Effect.provide(memory)))

  it.effect("I27: a record that cannot be read is a conflict, and the handler does not run", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore.IdempotencyStore
      const { app, runs } = counting()
      const damaging = protect()(app)
      const damaged: IdempotencyStore.Service = {
        ...store,
        complete: (held, outcome, millis) => store.complete(held, outcome.slice(0, 5), millis)
      }
      const answers = yield* Effect.forEach([1, 2], () => send(damaging, { key: "k" })).pipe(
        Effect.provideService(IdempotencyStore.IdempotencyStore, damaged)
      )
      expect([answers.map(({ status }) => status), answers.slice(1).map(problemOf)[0]?.type, runs])
        .toEqual(
          [[201, 409], "corrupt-record", [1]]
        )
    }).pipe(Effect.provide(memory), Effect.provide(Logger.remove(Logger.defaultLogger))))
})
