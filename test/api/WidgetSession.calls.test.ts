import {
  HttpClient,
  HttpClientError,
  HttpClientResponse,
  HttpServerResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Option, Redacted, TestClock } from "effect"
import { type ApiError, IdempotencyKey } from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import { errorOf } from "../support/exits.js"
import { connect, devSecret, john, live, partner, rows, token, virtual } from "./widgetSession.js"

interface Arrived {
  readonly at: number
  readonly key: string | undefined
}

type Answer = number | "refused" | "reset"

/** A platform client that gives these answers in turn (the last for ever). */
const answering = (...answers: ReadonlyArray<Answer>) => {
  const arrived: Array<Arrived> = []
  const client = HttpClient.make((request) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      const answer = answers[Math.min(arrived.length, answers.length - 1)]!
      arrived.push({ at, key: request.headers["idempotency-key"] })
      return typeof answer === "number"
        ? Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            new Response(answer < 300 ? "{}" : null, { status: answer })
          )
        )
        : new HttpClientError.RequestError({
          request,
          reason: "Transport",
          cause: Object.assign(new Error(answer), {
            code: answer === "refused" ? "ECONNREFUSED" : "ECONNRESET"
          })
        })
    })
  )
  return { arrived, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

/** One logical call, to its end, under the test clock. */
const createVirtually = (layer: Layer.Layer<HttpClient.HttpClient>) =>
  Effect.gen(function*() {
    const api = yield* WidgetSession.make(virtual)
    const fiber = yield* Effect.fork(
      Effect.exit(IdempotencyKey.provideNew(api.createSession(john)))
    )
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(layer))

describe("createSession, in virtual time", () => {
  it.effect("R4, R10: a persistent 503 makes exactly four requests, with waits in the document's intervals", () =>
    Effect.gen(function*() {
      const { arrived, layer } = answering(503)
      const error = errorOf(yield* createVirtually(layer))
      const waits = arrived.slice(1).map(({ at }, n) => at - arrived[n]!.at)
      expect([error._tag, arrived.length]).toEqual(["Server", 4])
      expect(
        waits.map((wait, n) => wait >= 500 * 2 ** n && wait <= 500 * 2 ** n + 300),
        waits.join()
      ).toEqual([
        true,
        true,
        true
      ])
    }))

  it.effect("E20: any mix of answers and transport failures makes four requests as well", () =>
    Effect.gen(function*() {
      const mixes: ReadonlyArray<ReadonlyArray<Answer>> = [
        ["reset", 503],
        [503, "refused", 429, "reset"],
        [500, 502, 504, "reset"],
        ["refused"]
      ]
      const made = yield* Effect.forEach(mixes, (mix) => {
        const { arrived, layer } = answering(...mix)
        return Effect.map(createVirtually(layer), () => arrived.length)
      })
      expect(made).toEqual([4, 4, 4, 4])
    }))

  it.effect.each([401, 403, 404, 422])(
    "E2: a %i makes one request",
    (status) =>
      Effect.gen(function*() {
        const { arrived, layer } = answering(status)
        yield* createVirtually(layer)
        expect(arrived.length).toBe(1)
      })
  )

  it.effect.each([429, 500, 502, 503, 504])(
    "E2: a %i is tried again and the next answer counts",
    (status) =>
      Effect.gen(function*() {
        const { arrived, layer } = answering(status, 200)
        const exit = yield* createVirtually(layer)
        expect([Exit.isSuccess(exit), arrived.length]).toEqual([true, 2])
      })
  )

  it.effect("I1: every attempt carries the same key, the next call another", () =>
    Effect.gen(function*() {
      const { arrived, layer } = answering(503)
      yield* createVirtually(layer)
      yield* createVirtually(layer)
      const keys = arrived.map(({ key }) => key)
      expect([
        keys.length,
        new Set(keys.slice(0, 4)).size,
        new Set(keys.slice(4)).size,
        new Set(keys).size
      ]).toEqual([
        8,
        1,
        1,
        2
      ])
      expect(keys.includes(undefined)).toBe(false)
    }))

  it.effect("R12: interruption during a delay ends the call", () =>
    Effect.gen(function*() {
      const { arrived, layer } = answering(503)
      const api = yield* Effect.provide(WidgetSession.make(virtual), layer)
      const fiber = yield* Effect.fork(IdempotencyKey.provideNew(api.createSession(john)))
      yield* TestClock.adjust("100 millis")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), arrived.length]).toEqual([true, 1])
    }))

  it.effect("E7: a success that cannot be read is final for a call with a key", () =>
    Effect.gen(function*() {
      let requests = 0
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          requests++
          return HttpClientResponse.fromWeb(request, new Response("<html>", { status: 200 }))
        })
      )
      const error = errorOf(yield* createVirtually(Layer.succeed(HttpClient.HttpClient, client)))
      expect([error._tag, "code" in error && error.code, requests]).toEqual([
        "Server",
        "unreadable_response",
        1
      ])
    }))

  /** One logical call to an API that gives this to every attempt. */
  const createdBy = (respond: () => Effect.Effect<Response>) =>
    Effect.gen(function*() {
      const at: Array<number> = []
      const client = HttpClient.make((request) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          at.push(now)
          return Effect.map(respond(), (response) => HttpClientResponse.fromWeb(request, response))
        })
      )
      const exit = yield* createVirtually(Layer.succeed(HttpClient.HttpClient, client))
      return { at, exit }
    })

  it.effect("a head that never comes is cut after 15 s, and the call goes on", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* createdBy(() => Effect.never)
      const waits = at.slice(1).map((time, n) => time - (at[n] ?? 0))
      expect([errorOf(exit)._tag, at.length]).toEqual(["Timeout", 4])
      expect(waits.map((wait, n) => wait >= 15_000 + 500 * 2 ** n && wait <= 15_300 + 500 * 2 ** n))
        .toEqual([
          true,
          true,
          true
        ])
    }))

  it.effect("a body that never ends is cut after 15 s, and the next answer counts", () =>
    Effect.gen(function*() {
      let calls = 0
      const { at, exit } = yield* createdBy(() =>
        Effect.sync(() =>
          calls++ === 0
            ? new Response(
              new ReadableStream<Uint8Array>({
                start: (controller) =>
                  controller.enqueue(new TextEncoder().encode("{\"session_id\""))
              })
            )
            : new Response("{\"session_id\":\"SES-1\"}")
        )
      )
      expect([
        Exit.isSuccess(exit) && exit.value.session.session_id,
        at.length,
        (at[1] ?? 0) >= 15_500
      ]).toEqual([
        "SES-1",
        2,
        true
      ])
    }))

  it("all attempts together have 3 minutes", () => {
    const { attemptTimeout, totalTimeout } = WidgetSession.stages
    expect([attemptTimeout, totalTimeout]).toEqual(["15 seconds", "3 minutes"])
  })

  it.effect.each(
    [
      ["204", null, 204],
      ["an empty 200", "", 200],
      ["fields of another type", "{\"session_id\":7,\"session_token\":{\"a\":1}}", 201],
      ["a list", "[]", 200],
      ["null", "null", 200]
    ] as const
  )(
    "E7: %s is a session that says nothing of itself",
    ([, body, status]) =>
      Effect.gen(function*() {
        const { at, exit } = yield* createdBy(() =>
          Effect.sync(() => new Response(body, { status }))
        )
        expect([Exit.isSuccess(exit) && exit.value, at.length]).toEqual([{
          session: {},
          replayed: false
        }, 1])
      })
  )

  it.effect.each([["true", true], ["?1", true], ["false", false], ["?0", false]] as const)(
    "Idempotent-Replayed: %s is replayed: %s",
    ([header, replayed]) =>
      Effect.gen(function*() {
        const headers = { "idempotent-replayed": header }
        const { exit } = yield* createdBy(() => Effect.sync(() => new Response("{}", { headers })))
        expect(Exit.isSuccess(exit) && exit.value.replayed).toBe(replayed)
      })
  )
})

const create = (
  faults: ReadonlyArray<FlakyApi.Fault> | FlakyApi.Script,
  options: Partial<WidgetSession.Options<never>> = {}
) =>
  Effect.gen(function*() {
    const api = yield* FlakyApi.make({
      app: Effect.orDie(partner),
      script: typeof faults === "function" ? faults : FlakyApi.sequence(faults)
    })
    const client = yield* connect(api, options)
    const exit = yield* Effect.exit(IdempotencyKey.provideNew(client.createSession(john)))
    const received = yield* api.received
    return {
      exit,
      requests: received.length,
      keys: new Set(
        received.map(({ key }) => Option.getOrUndefined(Option.map(key, Redacted.value)))
      ),
      executed: (yield* api.executed).length
    }
  }).pipe(Effect.scoped, live)

describe("createSession, over real HTTP", () => {
  it.live("signs so that a server with node:crypto accepts it, and reads the session", () =>
    Effect.gen(function*() {
      const { executed, exit, requests } = yield* create([])
      const created = Exit.isSuccess(exit) ? exit.value : undefined
      expect([created?.session.session_id, created?.replayed, requests, executed]).toEqual([
        "s-1",
        false,
        1,
        1
      ])
      expect(
        created?.session.session_token === undefined
          ? ""
          : Redacted.value(created.session.session_token)
      ).toBe(
        token
      )
      expect(inspect(created, { depth: null })).not.toContain(token)
    }))

  it.live("the secret of another environment is an Auth", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* create([], { secretKey: Redacted.make(devSecret) })
      expect([errorOf(exit)._tag, errorOf(exit).message, requests]).toEqual([
        "Auth",
        "Invalid Signature",
        1
      ])
    }))

  it.live.each(rows)("E1: %i (retry: %s) is %s", ([status, retry, tag]) =>
    Effect.gen(function*() {
      const { executed, exit, requests } = yield* create(() => FlakyApi.status(status))
      const error = errorOf(exit) as ApiError.ApiError
      expect([error._tag, error.status, error.attempts, requests, executed]).toEqual([
        tag,
        status,
        ...(retry === "Yes" ? [4, 4] : [1, 1]),
        0
      ])
    }))

  it.live("E1: a 504 says that it was a gateway", () =>
    Effect.gen(function*() {
      const error = errorOf((yield* create(() => FlakyApi.gatewayTimeout())).exit)
      expect(error._tag === "Server" && error.gateway).toBe(true)
    }))

  it.live("E9: the endpoint is the template and does not show the partner", () =>
    Effect.gen(function*() {
      const error = errorOf((yield* create(() => FlakyApi.status(404))).exit) as ApiError.ApiError
      expect([error.endpoint, error.method]).toEqual(["/v1/partners/:partnerId/sessions", "POST"])
    }))

  it.live("I1: a reset after the work was done: the same key again, one execution, recognised as replayed", () =>
    Effect.gen(function*() {
      const faults = [
        FlakyApi.unavailable(),
        FlakyApi.reset({ when: "after" }),
        FlakyApi.gatewayTimeout({ when: "after" })
      ]
      const { executed, exit, keys, requests } = yield* create(faults)
      const created = Exit.isSuccess(exit) ? exit.value : undefined
      expect([created?.replayed, created?.session.session_id, requests, keys.size, executed])
        .toEqual([
          true,
          "s-1",
          4,
          1,
          1
        ])
    }))

  it.live("E4: a server that is not there is a Network error that was not sent", () =>
    Effect.gen(function*() {
      const error = yield* Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: Effect.orDie(partner) })
        yield* api.stop
        const client = yield* connect(api)
        return yield* Effect.flip(IdempotencyKey.provideNew(client.createSession(john)))
      }).pipe(Effect.scoped, live)
      expect([
        error._tag,
        error._tag === "Network" && error.sent,
        "attempts" in error && error.attempts
      ]).toEqual([
        "Network",
        "no",
        4
      ])
    }))

  it.live("the domain is sent as Origin, the path can be said", () =>
    Effect.gen(function*() {
      const seen = yield* Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: HttpServerResponse.unsafeJson({}) })
        const client = yield* connect(api, {
          domain: "https://shop.example",
          path: "/api/create-session"
        })
        yield* IdempotencyKey.provideNew(client.createSession(john))
        return yield* api.received
      }).pipe(Effect.scoped, live)
      expect(seen.map(({ headers, method, path }) => [method, path, headers["origin"]])).toEqual([
        ["POST", "/api/create-session", "https://shop.example"]
      ])
    }))

  it.live("E9: a path that is said has the partner filled in, and is the endpoint of errors", () =>
    Effect.gen(function*() {
      const [seen, endpoint] = yield* Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: HttpServerResponse.empty({ status: 404 }) })
        const client = yield* connect(api, { path: "/v2/:partnerId/widget" })
        const error = yield* Effect.flip(IdempotencyKey.provideNew(client.createSession(john)))
        return [yield* api.received, "endpoint" in error && error.endpoint] as const
      }).pipe(Effect.scoped, live)
      expect([seen.map(({ path }) => path), endpoint]).toEqual([
        [`/v2/${encodeURIComponent("partner 1|é")}/widget`],
        "/v2/:partnerId/widget"
      ])
    }))
})
