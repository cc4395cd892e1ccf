import { HttpRouter } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Data, Effect, Exit, Fiber, Option, Redacted } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import { gated, json, memory, protect, scope, watched } from "./idempotencyMiddleware.js"
import { counting, created, problemOf, send } from "./idempotentApp.js"

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
