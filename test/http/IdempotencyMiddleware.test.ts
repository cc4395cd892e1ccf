import {
  Headers as PlatformHeaders,
  HttpApp,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse,
  Multipart
} from "@effect/platform"
import { NodeContext, NodeHttpServerRequest } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { IdempotencyKey } from "effect-resilience"
import * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import {
  Cause,
  Chunk,
  Data,
  Deferred,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Layer,
  Logger,
  Option,
  Redacted,
  Schema,
  Stream,
  TestClock
} from "effect"
import * as Net from "node:net"
import * as Util from "node:util"
import { serveApp } from "../support/servers.js"
import {
  answerOf,
  counting,
  created,
  problemOf,
  requestOf,
  send,
  withCookie
} from "./idempotentApp.js"
import { recorder } from "../support/spans.js"
import { range } from "./support.js"
import { until } from "../support/turns.js"

const scope = () => ["acme", "charge"]

const protect = (options: Partial<IdempotencyMiddleware.Options> = {}) =>
  IdempotencyMiddleware.make({ scope, required: true, ...options })

const memory = IdempotencyStore.layerStoreMemory

/** A store whose claims can be counted and whose operations can be made to fail. */
const watched = (failing: ReadonlyArray<"acquire" | "complete"> = []) => {
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
const gated = Effect.gen(function*() {
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

const json = "application/problem+json"

describe("the key", () => {
  it.effect("I40: a request without a key is refused where it is required, and nothing is claimed", () => {
    const { calls, layer } = watched()
    const { app, runs } = counting()
    return Effect.gen(function*() {
      const answer = yield* send(protect()(app))
      expect([problemOf(answer), runs, calls]).toEqual([
        { type: "key-missing", status: [400, 400], media: json },
        [],
        []
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("I40: a request without a key is executed each time where it is optional, also by default", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      yield* send(protect({ required: false })(app))
      yield* send(IdempotencyMiddleware.make({ scope })(app))
      expect(runs).toEqual([1, 2])
    }).pipe(Effect.provide(memory)))

  it.effect("I40: an invalid key is refused with its reason and without itself, also where it is optional", () => {
    const { calls, layer } = watched()
    const { app, runs } = counting()
    const invalid = [
      "",
      "\"\"",
      "k".repeat(256),
      "kéy",
      "k\ty",
      "a, b",
      "\"a\", \"b\"",
      "\"a",
      "\"a\";p=1"
    ]
    return Effect.gen(function*() {
      const answers = yield* Effect.forEach(
        invalid,
        (key) => send(protect({ required: false })(app), { key })
      )
      expect(answers.map((answer) => problemOf(answer).type)).toEqual(
        invalid.map(() => "key-invalid")
      )
      expect(answers.map(({ body }) => (JSON.parse(body) as { detail: string }).detail)).toEqual([
        "The key is empty",
        "The key is empty",
        "A key is 1 to 255 printable ASCII characters",
        "A key is 1 to 255 printable ASCII characters",
        "A key is 1 to 255 printable ASCII characters",
        "The key was sent twice",
        "The key was sent twice",
        "The key begins with a quote and is no quoted string",
        "The key begins with a quote and is no quoted string"
      ])
      expect([runs, calls]).toEqual([[], []])
    }).pipe(Effect.provide(layer))
  })

  it.effect("I2: bare and quoted are the same key, and a key of 255 characters is one", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const answers = yield* Effect.forEach(
        ["order-1", "\"order-1\"", "k".repeat(255), `"${"k".repeat(255)}"`, "\"with, comma\""],
        (key) => send(protect()(app), { key })
      )
      expect([answers.map(({ replayed }) => replayed), runs]).toEqual([[
        null,
        "true",
        null,
        "true",
        null
      ], [1, 2, 3]])
    }).pipe(Effect.provide(memory)))

  it.effect("I40: POST and PATCH by default; every other method passes untouched, key or not", () => {
    const { calls, layer } = watched()
    return Effect.gen(function*() {
      const { app, runs } = counting()
      const answers = yield* Effect.forEach(
        ["POST", "PATCH", "PUT", "DELETE", "GET"],
        (method) =>
          Effect.forEach([1, 2], () => send(protect()(app), { method, key: `k-${method}` }))
      )
      expect(answers.map((twice) => twice.map(({ replayed }) => replayed))).toEqual([
        [null, "true"],
        [null, "true"],
        [null, null],
        [null, null],
        [null, null]
      ])
      expect([runs.length, calls.filter((call) => call === "acquire").length]).toEqual([8, 4])
    }).pipe(Effect.provide(layer))
  })

  it.effect("I40: the methods and the header are options", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const protectedApp = protect({
        methods: ["put"],
        header: "X-Request-Key",
        replayedHeader: "X-Replayed"
      })(app)
      const sent = { method: "PUT", headers: { "x-request-key": "k" } }
      yield* send(protectedApp, sent)
      const again = yield* send(protectedApp, sent)
      expect([again.headers.get("x-replayed"), again.replayed, runs]).toEqual(["true", null, [1]])
      expect(problemOf(yield* send(protectedApp, { method: "PUT", key: "k" })).type).toBe(
        "key-missing"
      )
      expect((yield* send(protectedApp, { method: "POST" })).status).toBe(201)
    }).pipe(Effect.provide(memory)))

  it.effect("I40: per route required or optional, as route middleware and over a whole router", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const router = HttpRouter.empty.pipe(
        HttpRouter.post("/strict", protect()(app)),
        HttpRouter.post("/lenient", protect({ required: false })(app)),
        HttpRouter.post("/free", app)
      )
      const statuses = yield* Effect.forEach(
        ["/strict", "/lenient", "/free"],
        (path) => send(router, { path })
      )
      expect(statuses.map(({ status }) => status)).toEqual([400, 201, 201])

      const used = HttpRouter.empty.pipe(HttpRouter.post("/a", app), HttpRouter.use(protect()))
      const whole = protect()(HttpRouter.empty.pipe(HttpRouter.post("/a", app)))
      const twice = (app: typeof whole, key: string) =>
        Effect.forEach(
          [1, 2],
          () => Effect.map(send(app, { path: "/a", key }), ({ replayed }) => replayed)
        )
      expect(yield* twice(Effect.orDie(used), "u")).toEqual([null, "true"])
      expect(yield* twice(whole, "w")).toEqual([null, "true"])
      expect(runs).toEqual([1, 2, 3, 4])
    }).pipe(Effect.provide(memory)))

  it.effect("I3: the handler finds the key, and derives the keys of its own calls from it", () =>
    Effect.gen(function*() {
      const found: Array<string> = []
      const app = Effect.map(Effect.serviceOption(IdempotencyKey.IdempotencyKey), (key) => {
        if (Option.isSome(key)) {
          found.push(Redacted.value(IdempotencyKey.derive(key.value, "ledger").value))
        }
        return created(1)
      })
      yield* send(protect()(app), { key: "\"order-1\"" })
      const key = yield* IdempotencyKey.fromString("order-1")
      expect(found).toEqual([Redacted.value(IdempotencyKey.derive(key, "ledger").value)])
    }).pipe(Effect.provide(memory)))
})

describe("the order of refusals", () => {
  it.effect("I40: the same key with another body, path, query, method or media type is 422 and not executed", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      yield* send(protect()(app), { key: "k" })
      const others = [
        { body: "{\"amount\":2}" },
        { path: "/refund" },
        { path: "/charge?dry=1" },
        { method: "PATCH" },
        { headers: { "content-type": "text/plain" } }
      ]
      const answers = yield* Effect.forEach(
        others,
        (other) => send(protect()(app), { key: "k", ...other })
      )
      expect(answers.map(problemOf)).toEqual(
        others.map(() => ({ type: "mismatch", status: [422, 422], media: json }))
      )
      expect(runs).toEqual([1])
    }).pipe(Effect.provide(memory)))

  it.effect("I40: in flight is 409 with whole seconds to wait, at least one", () =>
    Effect.gen(function*() {
      const { app, begun, open, runs } = yield* gated
      const first = yield* Effect.fork(send(protect()(app), { key: "k" }))
      yield* begun
      const waits = ["0 millis", "1 second", "1500 millis", "1 hour"] as const
      const answers = yield* Effect.forEach(
        waits,
        (retryAfter) => send(protect({ retryAfter })(app), { key: "k" })
      )
      expect(answers.map((answer) => [problemOf(answer).type, answer.headers.get("retry-after")]))
        .toEqual([
          ["in-flight", "1"],
          ["in-flight", "1"],
          ["in-flight", "2"],
          ["in-flight", "60"]
        ])
      expect(answers.map(({ status }) => status)).toEqual([409, 409, 409, 409])
      yield* open
      expect([(yield* Fiber.join(first)).status, runs]).toEqual([201, [1]])
    }).pipe(Effect.provide(memory)))

  it.effect("I40: 400 beats 413 beats 422 beats 409 beats replay", () =>
    Effect.gen(function*() {
      const { app, begun, open } = yield* gated
      const limited = protect({ maxBodyBytes: 20 })(app)
      const first = yield* Effect.fork(send(limited, { key: "k" }))
      yield* begun
      const long = "x".repeat(21)
      const during = [
        yield* send(limited, { key: "", body: long }),
        yield* send(limited, { key: "k", body: long }),
        yield* send(limited, { key: "k", body: "other" }),
        yield* send(limited, { key: "k" })
      ]
      yield* open
      yield* Fiber.join(first)
      const after = [
        yield* send(limited, { key: "k", body: "other" }),
        yield* send(limited, { key: "k" })
      ]
      expect([...during, ...after].map(({ replayed, status }) => [status, replayed])).toEqual([
        [400, null],
        [413, null],
        [422, null],
        [409, null],
        [422, null],
        [201, "true"]
      ])
    }).pipe(Effect.provide(memory)))

  it.effect("I22: a duplicate that is told to wait gets the response of the first", () =>
    Effect.gen(function*() {
      const { app, begun, open, runs } = yield* gated
      const waiting = protect({ onDuplicate: { wait: "1 minute" } })(app)
      const first = yield* Effect.fork(send(waiting, { key: "k" }))
      yield* begun
      const second = yield* Effect.fork(send(waiting, { key: "k" }))
      yield* Effect.yieldNow()
      yield* open
      const answers = yield* Fiber.join(Fiber.zip(first, second))
      expect([answers.map(({ body, replayed }) => [body, replayed]), runs]).toEqual([
        [["{\"receipt\":1}", null], ["{\"receipt\":1}", "true"]],
        [1]
      ])
    }).pipe(Effect.provide(memory)))

  it.effect("I40: a JSON body is compared as a value, everything else byte by byte", () =>
    Effect.gen(function*() {
      const { app } = counting()
      const same = (first: string, second: string, type = "application/json") =>
        Effect.gen(function*() {
          const key = `${type}${first}`.replaceAll(/[^ -~]|,/g, "_").slice(0, 255)
          const headers = { "content-type": type }
          yield* send(protect()(app), { key, body: first, headers })
          return (yield* send(protect()(app), { key, body: second, headers })).replayed === "true"
        })
      const big = `{"amount":${"9".repeat(20)}}`
      expect(
        yield* Effect.all([
          same("{\"a\":1,\"b\":[2]}", "{ \"b\": [2.0], \"a\": 1 }"),
          same(
            "{\"s\":\"a:1\\\"\"}",
            "{\"s\" : \"a:1\\u0022\"}",
            "application/merge-patch+json; charset=utf-8"
          ),
          same("{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":3}"),
          same("{\"a\":1,\"a\":2}", "{\"a\":3,\"a\":2}"),
          same(big, big.replace("9}", "8}")),
          same("{\"a\":1e400}", "{\"a\":1e401}"),
          same("not json", "not  json"),
          same("a=1&b=2", "b=2&a=1", "application/x-www-form-urlencoded")
        ])
      ).toEqual([true, true, false, false, false, false, false, false])
    }).pipe(Effect.provide(memory)))

  it.effect("I40: the media type counts without its parameters", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      yield* Effect.forEach(["text/plain", "Text/Plain; charset=utf-8"], (type) =>
        send(protect()(app), { key: "k", headers: { "content-type": type } }))
      expect(runs).toEqual([1])
    }).pipe(Effect.provide(memory)))

  it.effect("I15: another scope is another record, the scope may be an effect, and its failure is the caller's", () =>
    Effect.gen(function*() {
      class NoTenant extends Data.TaggedError("NoTenant")<{}> {}
      const { app, runs } = counting()
      const perTenant = IdempotencyMiddleware.make({
        scope: (request) =>
          request.headers["x-tenant"] === undefined
            ? Effect.fail(new NoTenant())
            : Effect.succeed([request.headers["x-tenant"], "charge"])
      })(app)
      const tenants = ["a", "b", "a"]
      const answers = yield* Effect.forEach(
        tenants,
        (tenant) => send(perTenant, { key: "k", headers: { "x-tenant": tenant } })
      )
      expect([answers.map(({ replayed }) => replayed), runs]).toEqual([[null, null, "true"], [
        1,
        2
      ]])
      expect(yield* Effect.exit(send(perTenant, { key: "k" }))).toEqual(Exit.fail(new NoTenant()))
    }).pipe(Effect.provide(memory)))
})

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
      { numRuns: 500 }
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

describe("the store", () => {
  it.effect("I23: a store that does not answer is 503 with a wait, and nothing runs", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const answer = yield* send(protect()(app), { key: "k" })
      expect([problemOf(answer), answer.headers.get("retry-after"), runs]).toEqual(
        [{ type: "store-unavailable", status: [503, 503], media: json }, "1", []]
      )
    }).pipe(
      Effect.provide(watched(["acquire"]).layer),
      Effect.provide(Logger.remove(Logger.defaultLogger))
    ))

  it.effect("I23: onStoreFailure: run executes, and the response says that it is not recorded", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const answer = yield* send(protect({ onStoreFailure: "run" })(app), { key: "k" })
      expect([answer.status, answer.headers.get("idempotent-recorded"), runs]).toEqual([
        201,
        "false",
        [1]
      ])
    }).pipe(
      Effect.provide(watched(["acquire"]).layer),
      Effect.provide(Logger.remove(Logger.defaultLogger))
    ))

  it.effect("I21: a response that cannot be recorded is the caller's all the same, and its claim is held", () => {
    const { calls, layer } = watched(["complete"])
    return Effect.gen(function*() {
      const { app, runs } = counting()
      const answers = yield* Effect.forEach([1, 2], () => send(protect()(app), { key: "k" }))
      expect([answers.map(({ status }) => status), runs, calls]).toEqual([[201, 409], [1], [
        "acquire",
        "complete",
        "acquire"
      ]])
    }).pipe(Effect.provide(layer), Effect.provide(Logger.remove(Logger.defaultLogger)))
  })
})

/** What fetch demands of a body that is a stream, and the types do not know. */
const half = { duplex: "half" }

describe("the request body", () => {
  const sent = "{\"amount\":[1,2]}"

  /** Reads the body in every way there is, twice. */
  const readers = Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const once = Effect.all({
      text: request.text,
      json: request.json,
      arrayBuffer: Effect.map(request.arrayBuffer, (bytes) => new TextDecoder().decode(bytes)),
      stream: Stream.mkString(Stream.decodeText(request.stream)),
      urlParamsBody: Effect.map(request.urlParamsBody, (params) => params.length)
    })
    const [first, second] = yield* Effect.all([once, once])
    return HttpServerResponse.unsafeJson({ first, second })
  })
  const read = {
    text: sent,
    json: { amount: [1, 2] },
    arrayBuffer: sent,
    stream: sent,
    urlParamsBody: 1
  }

  it.effect("I43: the handler reads its body however it likes, any number of times", () =>
    Effect.gen(function*() {
      const { body } = yield* send(protect()(readers), { key: "k", body: sent })
      expect(JSON.parse(body)).toEqual({ first: read, second: read })
    }).pipe(Effect.provide(memory)))

  it.live("I43: the same behind a real server, with and without a length", () =>
    Effect.gen(function*() {
      const url = yield* serveApp(protect()(readers))
      const post = (key: string, init: RequestInit) =>
        Effect.promise(() =>
          fetch(url, { method: "POST", headers: { "idempotency-key": key }, ...init }).then((
            response
          ) => response.json())
        )
      const chunked = { body: new Blob([sent]).stream(), ...half }
      expect(yield* post("a", { body: sent })).toEqual({ first: read, second: read })
      expect(yield* post("b", chunked)).toEqual({ first: read, second: read })
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("I43: schemas, forms and multipart forms are read as ever", () =>
    Effect.gen(function*() {
      const form = new FormData()
      form.append("amount", "1")
      form.append("file", new File(["content"], "a.txt"))
      const parts = Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const streamed = yield* Stream.runCollect(request.multipartStream)
        const files = yield* Effect.forEach(
          Chunk.filter(streamed, Multipart.isFile),
          (file) => file.contentEffect
        )
        const fields = yield* HttpServerRequest.schemaBodyForm(
          Schema.Struct({ amount: Schema.NumberFromString })
        )
        return HttpServerResponse.unsafeJson([
          fields.amount,
          files.map((bytes) => new TextDecoder().decode(bytes))
        ])
      })
      const urlencoded = HttpServerRequest.schemaBodyForm(
        Schema.Struct({ amount: Schema.NumberFromString })
      ).pipe(
        Effect.map(({ amount }) => HttpServerResponse.unsafeJson(amount))
      )
      const body = new Response(form)
      const type = body.headers.get("content-type") ?? ""
      const bytes = yield* Effect.promise(() => body.arrayBuffer())
      expect([
        (yield* send(protect()(parts), {
          key: "a",
          body: bytes,
          headers: { "content-type": type }
        })).body,
        (yield* send(protect()(urlencoded), {
          key: "b",
          body: "amount=2",
          headers: { "content-type": "application/x-www-form-urlencoded" }
        })).body
      ]).toEqual(["[1,[\"content\"]]", "2"])
    }).pipe(Effect.scoped, Effect.provide([memory, NodeContext.layer])))

  it.effect("I43: a body that is not JSON is the handler's to refuse, and nothing stays claimed", () =>
    Effect.gen(function*() {
      let runs = 0
      const app = protect()(Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        runs++
        return Effect.flatMap(request.json, HttpServerResponse.json)
      }))
      const answers = yield* Effect.forEach([1, 2], () => send(app, { key: "k", body: "{secret" }))
      expect([answers.map(({ body, status }) => [status, body]), runs]).toEqual([[[400, ""], [
        400,
        ""
      ]], 2])
    }).pipe(Effect.provide(memory)))

  it.effect("I43: the request stays itself: its address, its source, what a router makes of it", () =>
    Effect.gen(function*() {
      const inner = HttpRouter.empty.pipe(HttpRouter.post(
        "/:id",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          const web = request.source as Request
          const { id } = yield* HttpRouter.params
          return HttpServerResponse.unsafeJson([
            id,
            request.url,
            request.originalUrl,
            request.headers["content-type"],
            yield* request.text,
            yield* Effect.promise(() => web.text())
          ])
        })
      ))
      const app = protect()(HttpRouter.empty.pipe(HttpRouter.mount("/v1", inner)))
      const { body } = yield* send(app, { key: "k", path: "/v1/7?x=1" })
      expect(JSON.parse(body)).toEqual([
        "7",
        "/7?x=1",
        "http://shop.example/v1/7?x=1",
        "application/json",
        "{\"amount\":1}",
        "{\"amount\":1}"
      ])
    }).pipe(Effect.provide(memory)))

  it.effect("I43: a request without a body has an empty one", () =>
    Effect.gen(function*() {
      const empty = Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.unsafeJson([
          yield* request.text,
          yield* request.json,
          Chunk.size(yield* Stream.runCollect(request.stream))
        ])
      })
      expect((yield* send(protect()(empty), { key: "k", body: null })).body).toBe("[\"\",null,0]")
    }).pipe(Effect.provide(memory)))

  it.effect("I43: a body over the limit is 413, and nothing is claimed; one at the limit is read", () => {
    const { calls, layer } = watched()
    return Effect.gen(function*() {
      const { app, runs } = counting()
      const limited = protect({ maxBodyBytes: 10 })(app)
      const stream = (size: number) => new Blob(["x".repeat(size)]).stream()
      const bodies = ["x".repeat(11), "x".repeat(10), "é".repeat(6)]
      const answers = yield* Effect.forEach(
        bodies,
        (body, index) => send(limited, { key: `k-${index}`, body })
      )
      const request = new Request("http://shop.example/charge", {
        method: "POST",
        body: stream(11),
        headers: { "idempotency-key": "s" },
        ...half
      })
      const streamed = yield* limited.pipe(
        Effect.provideService(
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromWeb(request)
        )
      )
      expect([answers.map(({ status }) => status), streamed.status, runs]).toEqual([
        [413, 201, 413],
        413,
        [1]
      ])
      expect(calls).toEqual(["acquire", "complete"])
      expect((yield* send(protect()(app), { key: "d", body: "x".repeat(1_048_577) })).status).toBe(
        413
      )
    }).pipe(Effect.provide(layer))
  })

  it.live("I43: a real client that sends too much is told so, with a length and without", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const url = yield* serveApp(protect({ maxBodyBytes: 1000 })(app))
      const post = (init: RequestInit) =>
        Effect.promise(() =>
          fetch(url, { method: "POST", headers: { "idempotency-key": "k" }, ...init }).then(
            answerOf
          )
        )
      const long = "x".repeat(500_000)
      const answers = [
        yield* post({ body: long }),
        yield* post({ body: new Blob([long]).stream(), ...half })
      ]
      expect([answers.map(({ status }) => status), runs]).toEqual([[413, 413], []])
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.effect("I43: a body that breaks off is 400, and nothing is claimed", () => {
    const { calls, layer } = watched()
    return Effect.gen(function*() {
      const { app, runs } = counting()
      const body = new ReadableStream<Uint8Array>({
        pull: (controller) => controller.error(new Error("gone"))
      })
      const request = new Request("http://shop.example/charge", {
        method: "POST",
        body,
        headers: { "idempotency-key": "k" },
        ...half
      })
      const response = yield* protect()(app).pipe(
        Effect.provideService(
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromWeb(request)
        )
      )
      expect([response.status, runs, calls]).toEqual([400, [], []])
    }).pipe(Effect.provide(layer))
  })

  it.effect("I43: with a fingerprint of its own a stream of any length goes to the handler unread", () =>
    Effect.gen(function*() {
      let runs = 0
      const app = Effect.gen(function*() {
        runs++
        const request = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.unsafeJson((yield* Stream.runCollect(request.stream)).length)
      })
      const upload = protect({
        maxBodyBytes: 1,
        fingerprint: (request) => request.headers["content-digest"] ?? ""
      })(app)
      const post = (digest: string) =>
        send(upload, { key: "k", body: "xyz", headers: { "content-digest": digest } })
      const answers = [yield* post("a"), yield* post("a"), yield* post("b")]
      expect([answers.map(({ replayed, status }) => [status, replayed]), runs]).toEqual(
        [[[200, null], [200, "true"], [422, null]], 1]
      )
    }).pipe(Effect.provide(memory)))
})

describe("interruption", () => {
  it.effect("I44: an interrupted handler leaves its claim held, and the next is not a second run", () =>
    Effect.gen(function*() {
      const { app, begun, runs } = yield* gated
      const short = protect({ lease: "10 seconds" })(app)
      const first = yield* Effect.fork(send(short, { key: "k" }))
      yield* begun
      yield* Fiber.interrupt(first)
      expect(problemOf(yield* send(short, { key: "k" })).type).toBe("in-flight")
      yield* TestClock.adjust("10 seconds")
      expect(problemOf(yield* send(short, { key: "k" })).type).toBe("unknown-outcome")
      expect(runs).toEqual([])
    }).pipe(Effect.provide(memory), Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.effect("I25: interrupted while the body is read, nothing is claimed", () => {
    const { calls, layer } = watched()
    return Effect.gen(function*() {
      const { app } = counting()
      const body = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => undefined) })
      const request = new Request("http://shop.example/", {
        method: "POST",
        body,
        headers: { "idempotency-key": "k" },
        ...half
      })
      const sending = yield* Effect.fork(
        Effect.uninterruptible(protect()(app)).pipe(
          Effect.provideService(
            HttpServerRequest.HttpServerRequest,
            HttpServerRequest.fromWeb(request)
          )
        )
      )
      yield* Effect.yieldNow()
      const exit = yield* Fiber.interrupt(sending)
      expect([Exit.isInterrupted(exit), calls]).toEqual([true, []])
    }).pipe(Effect.provide(layer))
  })

  /** A raw client that sends a request and goes away. */
  const sendAndLeave = (url: string, path: string, key: string) =>
    Effect.async<Net.Socket>((resume) => {
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => {
        socket.write(
          `POST ${path} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: ${key}\r\nContent-Length: 0\r\n\r\n`
        )
        resume(Effect.succeed(socket))
      })
    })

  const post = (url: string, key: string) =>
    Effect.promise(() =>
      fetch(url, { method: "POST", headers: { "idempotency-key": key } }).then(answerOf)
    )

  it.live("I44: a client that goes away stops an interruptible route, and the claim is held", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const slow = Effect.sync(() => events.push("begun")).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => events.push("stopped")))
      )
      const router = HttpRouter.empty.pipe(HttpRouter.post("/slow", protect()(slow)))
      const url = yield* serveApp(router)
      const socket = yield* sendAndLeave(url, "/slow", "k")
      yield* until(() => events.includes("begun"))
      socket.destroy()
      yield* until(() => events.includes("stopped"))
      expect(problemOf(yield* post(`${url}/slow`, "k")).type).toBe("in-flight")
      expect(events).toEqual(["begun", "stopped"])
    }).pipe(
      Effect.scoped,
      Effect.provide(memory),
      Effect.provide(Logger.remove(Logger.defaultLogger))
    ))

  it.live("I44: a handler that is not interruptible runs to its end, and the next request is a replay", () =>
    Effect.gen(function*() {
      const { app, begun, open, runs } = yield* gated
      const url = yield* serveApp(protect()(app))
      const socket = yield* sendAndLeave(url, "/", "k")
      yield* begun
      socket.destroy()
      yield* open
      yield* until(() => runs.length === 1)
      yield* Effect.yieldNow()
      const answer = yield* post(url, "k")
      expect([answer.status, answer.replayed, runs]).toEqual([201, "true", [1]])
    }).pipe(Effect.scoped, Effect.provide(memory)))
})

describe("a real server", () => {
  it.live("I40, I41: the same POST fifty times at once is executed once, and every answer is the first, a replay or 409", () =>
    Effect.gen(function*() {
      const { app, runs } = counting((run) => withCookie(created(run)))
      const slow = Effect.zipLeft(app, Effect.sleep("50 millis"))
      const url = yield* serveApp(
        HttpRouter.empty.pipe(HttpRouter.post("/charge", protect()(slow)))
      )
      const post = Effect.promise(() =>
        fetch(`${url}/charge`, {
          method: "POST",
          body: "{\"amount\":1}",
          headers: { "idempotency-key": "order-1" }
        })
          .then(answerOf)
      )
      const burst = yield* Effect.all(Effect.replicate(post, 50), { concurrency: "unbounded" })
      const first = burst.filter(({ replayed, status }) => status === 201 && replayed === null)
      const late = yield* post
      expect(runs).toEqual([1])
      expect(first.map(({ body, cookies }) => [body, cookies])).toEqual([["{\"receipt\":1}", [
        "session=s1; Path=/"
      ]]])
      expect(
        burst.filter(({ status }) => status !== 201).every((answer) =>
          problemOf(answer).type === "in-flight"
        )
      )
        .toBe(true)
      expect([late.status, late.body, late.replayed, late.cookies, late.headers.get("location")])
        .toEqual(
          [201, "{\"receipt\":1}", "true", [], "/receipts/1"]
        )
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.live("I22: fifty at once that wait are all answered with the one receipt", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const slow = Effect.zipLeft(app, Effect.sleep("50 millis"))
      const url = yield* serveApp(protect({ onDuplicate: { wait: "10 seconds" } })(slow))
      const post = Effect.promise(() =>
        fetch(url, { method: "POST", body: "1", headers: { "idempotency-key": "order-1" } }).then(
          answerOf
        )
      )
      const burst = yield* Effect.all(Effect.replicate(post, 50), { concurrency: "unbounded" })
      expect(runs).toEqual([1])
      expect(new Set(burst.map(({ body, status }) => `${status} ${body}`))).toEqual(
        new Set(["201 {\"receipt\":1}"])
      )
      expect(burst.filter(({ replayed }) => replayed === null)).toHaveLength(1)
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.live("I40: a key that is sent twice is refused, and one with a comma is a key", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const url = yield* serveApp(protect()(app))
      const statusOf = (lines: ReadonlyArray<string>) =>
        Effect.async<string>((resume) => {
          const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => {
            socket.write(
              [
                "POST / HTTP/1.1",
                "Host: x",
                ...lines,
                "Connection: close",
                "Content-Length: 0",
                "",
                ""
              ].join("\r\n")
            )
          })
          let text = ""
          socket.on("data", (data: Buffer) => text += data.toString())
          socket.on("close", () => resume(Effect.succeed(text.slice(9, 12))))
        })
      expect(
        yield* Effect.all([
          statusOf(["Idempotency-Key: a", "idempotency-key: a"]),
          statusOf(["Idempotency-Key: a", "Idempotency-Key: b"]),
          statusOf(["Idempotency-Key: a, b"]),
          statusOf(["Idempotency-Key:"])
        ])
      ).toEqual(["400", "400", "201", "400"])
      expect(runs).toEqual([1])
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.live("I43: the handler still reaches Node's own request and response", () =>
    Effect.gen(function*() {
      const app = Effect.map(
        HttpServerRequest.HttpServerRequest,
        (request) =>
          HttpServerResponse.unsafeJson([
            NodeHttpServerRequest.toIncomingMessage(request).httpVersion,
            NodeHttpServerRequest.toServerResponse(request).headersSent
          ])
      )
      const url = yield* serveApp(protect()(app))
      expect(
        (yield* Effect.promise(() =>
          fetch(url, { method: "POST", headers: { "idempotency-key": "k" } }).then(answerOf)
        )).body
      ).toBe("[\"1.1\",false]")
    }).pipe(Effect.scoped, Effect.provide(memory)))
})

describe("secrets", () => {
  const key = "key-4711-secret"

  it.effect("I5, T1: the key is in no span, log, problem or inspected request", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const printed: Array<string> = []
      const logger = Logger.make((entry) => void printed.push(Util.inspect(entry, { depth: 5 })))
      const app = Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const names = yield* PlatformHeaders.currentRedactedNames
        printed.push(
          Util.inspect(request),
          JSON.stringify(request),
          Util.inspect(PlatformHeaders.redact(request.headers, names)),
          Util.inspect(yield* Effect.serviceOption(IdempotencyKey.IdempotencyKey))
        )
        yield* Effect.logError("in the handler", request)
        return yield* Effect.die(new Error("oops"))
      })
      const runtime = yield* Effect.runtime<IdempotencyStore.IdempotencyStore>()
      const handler = HttpApp.toWebHandlerRuntime(runtime)(
        protect()(app).pipe(
          Effect.provide(Logger.replace(Logger.defaultLogger, logger))
        ) as HttpApp.Default<never, IdempotencyStore.IdempotencyStore>
      )
      const answers = yield* Effect.forEach([{ key }, { key }, { key, body: "other" }, {
        key: `${key}é`
      }], (sent) => Effect.promise(() => handler(requestOf(sent)).then(answerOf))).pipe(
        Effect.withTracer(tracer)
      )
      expect(answers.map(({ status }) => status)).toEqual([500, 409, 422, 400])
      const shown = [...printed, ...answers.map(({ body }) => body)].join("\n")
      expect(shown.includes("4711")).toBe(false)
      expect(
        spans.flatMap(({ attributes }) => [...attributes.values()]).filter((value) =>
          String(value).includes("4711")
        )
      )
        .toEqual([])
    }).pipe(Effect.provide(memory)))

  it.effect("I5: the span of the server shows the kid in place of the key", () => {
    const { spans, tracer } = recorder()
    return Effect.gen(function*() {
      const { app } = counting()
      yield* Effect.withSpan(send(protect()(app), { key }), "http.server POST").pipe(
        Effect.withTracer(tracer)
      )
      const kid = yield* IdempotencyKey.kid(yield* IdempotencyKey.fromString(key), scope())
      const attributes = Object.fromEntries(spans.flatMap(({ attributes }) => [...attributes]))
      expect(attributes).toMatchObject({
        "http.request.header.idempotency-key": "<redacted>",
        "resilience.idempotency": "executed",
        "resilience.idempotency.kid": kid
      })
    }).pipe(
      Effect.provide(memory),
      Effect.provideService(IdempotencyKey.Secret, Redacted.make("s"))
    )
  })
})

describe("options", () => {
  it("refuses nonsense, naming the field and the value", () => {
    const refused = (options: Partial<IdempotencyMiddleware.Options>) => {
      try {
        protect(options)
        return "accepted"
      } catch (error) {
        return error instanceof RangeError ? error.message : error
      }
    }
    expect([
      refused({ maxBodyBytes: Number.NaN }),
      refused({ lease: 0 }),
      refused({ timeToLive: -1 }),
      refused({ header: "no header" }),
      refused({ replayedHeader: "" }),
      refused({ on5xx: "keep" as "hold" }),
      refused({ recover: "maybe" as "run" }),
      refused({ storeStatuses: [4.5] }),
      refused({ retryAfter: -5 })
    ]).toEqual([
      "maxBodyBytes should be a whole number of at least 0, got NaN",
      "lease should be a duration longer than zero, got 0",
      "timeToLive should be a duration that is not negative, got -1",
      "header should be a header name, got \"no header\"",
      "replayedHeader should be a header name, got \"\"",
      "on5xx should be \"hold\" or \"release\", got \"keep\"",
      "recover should be \"refuse\" or \"run\", got \"maybe\"",
      "storeStatuses should be a whole number of at least 100, got 4.5",
      "retryAfter should be a duration that is not negative, got -5"
    ])
  })
})
