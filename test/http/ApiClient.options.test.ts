import { HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { ApiClient, ErrorResponse } from "effect-resilience"
import { failed, squashed } from "../support/exits.js"
import { baseUrl, over, range, type Reply, reply, retrying, transport } from "./support.js"

/** Options of a program in JavaScript. */
const untyped = (options: object): Partial<ApiClient.Options> => options

describe("options and addresses", () => {
  const defect = (options: Partial<ApiClient.Options>) =>
    Effect.map(Effect.exit(over([reply(200)], options)), (exit) => {
      if (Exit.isSuccess(exit) || failed(exit) !== undefined) return "accepted"
      const error = Cause.squash(exit.cause)
      return error instanceof RangeError ? error.message : error
    })

  it.effect("DESIGN 6: nonsense is refused when the client is built, by field and value", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Partial<ApiClient.Options>, ReadonlyArray<string>]> = [
        [{ baseUrl: "not an address" }, ["baseUrl", "not an address"]],
        [{ baseUrl: "" }, ["baseUrl"]],
        [{ baseUrl: "/v1" }, ["baseUrl", "/v1"]],
        [{ baseUrl: "ftp://api.example.com" }, ["baseUrl", "ftp"]],
        [{ keyTimeToLive: NaN }, ["keyTimeToLive", "NaN"]],
        [{ keyTimeToLive: -5 }, ["keyTimeToLive", "-5"]],
        [{ keyTimeToLive: 0 }, ["keyTimeToLive", "0"]],
        [{ maxErrorBodyBytes: -1 }, ["maxErrorBodyBytes", "-1"]],
        [{ maxErrorBodyBytes: NaN }, ["maxErrorBodyBytes", "NaN"]],
        [{ maxErrorBodyBytes: 1.5 }, ["maxErrorBodyBytes", "1.5"]],
        [{ idempotencyHeader: "" }, ["idempotencyHeader"]],
        [{ idempotencyHeader: "no spaces" }, ["idempotencyHeader", "no spaces"]],
        [{ name: "" }, ["name"]],
        [untyped({ name: 7 }), ["name", "7"]],
        [untyped({ circuitKey: "host" }), ["circuitKey", "origin", "endpoint", "host"]],
        [untyped({ idempotencyKeyFormat: "plain" }), ["idempotencyKeyFormat", "bare", "plain"]]
      ]
      const messages = yield* Effect.forEach(cases, ([options]) => defect(options))
      const missing = cases.map(([, words], index) =>
        words.filter((word) => !String(messages[index]).includes(word))
      )
      expect(messages.map((message, index) => [message, missing[index]])).toEqual(
        messages.map((message) => [message, []])
      )
    }))

  it.effect("DESIGN 6: the layer refuses the same", () =>
    Effect.gen(function*() {
      const { layer } = transport([reply(200)])
      const exit = yield* Effect.exit(
        Effect.provide(
          Effect.void,
          Layer.provide(ApiClient.layer({ name: "test", baseUrl: "nowhere" }), layer)
        )
      )
      expect(squashed(exit)).toBeInstanceOf(RangeError)
    }))

  it.effect("the base address is put before relative ones, slashes or not", () =>
    Effect.gen(function*() {
      const urls = yield* Effect.forEach(
        [["http://h", "/v1"], ["http://h/", "/v1"], ["http://h/api", "/v1"], [
          "http://h/api/",
          "v1"
        ]],
        ([base, path]) =>
          Effect.gen(function*() {
            const { client, sent } = yield* over([reply(200)], { baseUrl: base! })
            yield* client.get(path!)
            return new URL(sent[0]!.url).href
          })
      )
      expect(urls).toEqual(["http://h/v1", "http://h/v1", "http://h/api/v1", "http://h/api/v1"])
    }))

  it.effect("R16: a defect of the transport and an interruption are passed on, once", () =>
    Effect.gen(function*() {
      let runs = 0
      const dying = HttpClient.make(() => Effect.suspend(() => (runs++, Effect.die("bug"))))
      const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline: yield* retrying() })
        .pipe(
          Effect.provideService(HttpClient.HttpClient, dying)
        )
      const exit = yield* Effect.exit(client.get("/"))
      expect([squashed(exit), runs]).toEqual(["bug", 1])
    }))

  it.effect("concurrent calls through one client do not mix", () =>
    Effect.gen(function*() {
      const echo: Reply = ({ url }) =>
        new Response(new URL(url).pathname, { status: url.endsWith("7") ? 404 : 200 })
      const { client } = yield* over([echo])
      const outcomes = yield* Effect.forEach(range(1, 20), (n) =>
        client.get(`/${n}`).pipe(
          Effect.flatMap(({ text }) => text),
          Effect.catchTag("NotFound", ({ endpoint }) => Effect.succeed(`${endpoint} is missing`)),
          ApiClient.withEndpoint(`/n/${n}`)
        ), { concurrency: "unbounded" })
      expect(outcomes).toEqual(
        range(1, 20).map((n) => n % 10 === 7 ? `/n/${n} is missing` : `/${n}`)
      )
    }))

  it("the default bound on error bodies is 64 KiB", () => {
    expect([ApiClient.defaults.maxErrorBodyBytes, ErrorResponse.defaults.maxBodyBytes]).toEqual([
      65_536,
      65_536
    ])
  })
})
