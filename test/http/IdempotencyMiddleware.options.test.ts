import { Headers as PlatformHeaders, HttpApp, HttpServerRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, Redacted } from "effect"
import { IdempotencyKey } from "effect-resilience"
import type * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import type * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import * as Util from "node:util"
import { recorder } from "../support/spans.js"
import { json, memory, protect, scope, watched } from "./idempotencyMiddleware.js"
import { answerOf, counting, problemOf, requestOf, send } from "./idempotentApp.js"

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
