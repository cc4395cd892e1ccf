import { Headers, HttpBody, HttpClient, HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Duration,
  Effect,
  Exit,
  Layer,
  Logger,
  LogLevel,
  Option,
  Runtime,
  Schema,
  TestClock
} from "effect"
import { ApiClient, ApiError, ErrorResponse, IdempotencyKey } from "effect-resilience"
import * as Util from "node:util"
import { closedUrl, serve } from "../support/servers.js"
import { recorder } from "../support/spans.js"
import {
  baseUrl,
  broken,
  failureOf,
  over,
  type Reply,
  reply,
  retrying,
  transport,
  transports
} from "./support.js"

const basic = "YWxpY2U6U0VOVElORUwtYmFzaWM="

const secrets = {
  bearer: "SENTINEL-bearer-1f2e3d",
  basic,
  cookie: "SENTINEL-cookie-4c5b6a",
  secondCookie: "SENTINEL-cookie2-99",
  apiKey: "SENTINEL-api-key-778899",
  custom: "SENTINEL-partner-code-0a",
  pattern: "SENTINEL-pin-123456",
  token: "SENTINEL-token-aabbcc",
  nested: "SENTINEL-nested-ddeeff",
  list: "SENTINEL-list-112233",
  query: "SENTINEL-query-445566",
  urlQuery: "SENTINEL-url-query-778",
  spelled: "SENTINEL \"quoted\" & 100% +/é",
  key: "SENTINEL-idempotency-key-1"
}

const values = Object.values(secrets)

/** Every secret in one text, and in the spellings in which a server could repeat it. */
const echo = values.flatMap((value) => [value, `<${value}>`, `x${value}y`]).join(" | ")

/** The secrets that a text gives away, by name. A text with none of them gives an empty list. */
const leaks = (text: unknown) =>
  Object.entries(secrets).filter(([, value]) => {
    const spelled = [
      value,
      encodeURIComponent(value),
      JSON.stringify(value).slice(1, -1),
      Util.inspect(value).slice(1, -1)
    ]
    return spelled.some((spelling) => String(text).includes(spelling))
  }).map(([name]) => name)

const redactedNames = ["X-Partner-Code", /^pin$/i]

/**
 * A request that sends every secret there is, twice over: `authorization` can only hold one of its
 * two.
 */
const request = (authorization: "Bearer" | "Basic", body: HttpBody.HttpBody = json) =>
  HttpClientRequest.post(`/v1/things?access_token=${secrets.urlQuery}`).pipe(
    HttpClientRequest.setHeaders({
      Authorization: `${authorization} ${
        authorization === "Bearer" ? secrets.bearer : secrets.basic
      }`,
      "Proxy-Authorization": `${authorization} ${
        authorization === "Bearer" ? secrets.basic : secrets.bearer
      }`,
      Cookie: `session=${secrets.cookie}; other=${secrets.secondCookie}`,
      "X-Api-Key": secrets.apiKey,
      "X-Partner-Code": secrets.custom
    }),
    HttpClientRequest.setUrlParam("token", secrets.query),
    HttpClientRequest.setUrlParam("api-key", secrets.spelled),
    HttpClientRequest.setBody(body)
  )

const fields = {
  name: "Ada",
  token: secrets.token,
  pin: secrets.pattern,
  user: { email: "ada@example.com", credentials: [{ password: secrets.nested }] },
  secrets: [secrets.list]
}

const json = HttpBody.unsafeJson(fields)

const key = Effect.runSync(IdempotencyKey.fromString(secrets.key, { madeAt: 0 }))

const errorBody = {
  error: { type: echo, message: `invalid: ${echo}`, code: echo },
  message: `invalid: ${echo}`,
  code: echo,
  title: echo,
  detail: echo,
  request_id: echo,
  issues: [{ path: echo, message: echo }],
  errors: [{ path: echo, message: echo, field: echo, pointer: echo, detail: echo }],
  [secrets.token]: echo
}

/** A header value may hold no quotes and no letters beyond ASCII. */
const headerEcho = values.map((value) =>
  value === secrets.spelled ? encodeURIComponent(value) : value
).join(" ")

const echoHeaders: Record<string, string> = {
  ...Object.fromEntries(
    ErrorResponse.keptHeaders.flatMap((rule) =>
      typeof rule === "string" &&
        !["retry-after", "content-length", "content-type", "content-encoding", "date"]
          .includes(rule.toLowerCase()) ?
        [[rule, headerEcho]] :
        []
    )
  ),
  "x-request-id": headerEcho,
  "x-correlation-id": headerEcho,
  "www-authenticate": `Bearer error="invalid_token", error_description="${headerEcho}"`,
  "set-cookie": `session=${secrets.cookie}`,
  location: `/login?token=${secrets.query}`,
  "x-ratelimit-policy": headerEcho,
  "x-echo": headerEcho
}

const html = `<html><body><pre>${echo}</pre></body></html>`

const answers: Record<string, Reply> = {
  "JSON 400": reply(400, errorBody, echoHeaders),
  "JSON 401": reply(401, errorBody, echoHeaders),
  "JSON 409": reply(409, errorBody, echoHeaders),
  "JSON 422": reply(422, errorBody, echoHeaders),
  "JSON 429": reply(429, errorBody, { ...echoHeaders, "retry-after": "0" }),
  "JSON 500": reply(500, errorBody, echoHeaders),
  "flat JSON": reply(
    400,
    { statusCode: 400, error: echo, message: echo, requestId: echo },
    echoHeaders
  ),
  "error as text": reply(404, { error: echo }, echoHeaders),
  "problem": reply(403, { type: echo, title: echo, detail: echo, instance: echo }, {
    ...echoHeaders,
    "content-type": "application/problem+json"
  }),
  "HTML": reply(502, html, { ...echoHeaders, "content-type": "text/html" }),
  "plain text": reply(503, echo, { ...echoHeaders, "content-type": "text/plain" }),
  "headers only": reply(504, undefined, echoHeaders),
  "a content type that tells": reply(500, "{", { "content-type": `text/${secrets.token}` }),
  "a redirect": reply(302, undefined, echoHeaders),
  refused: broken("ECONNREFUSED"),
  reset: broken("ECONNRESET"),
  "a talkative driver": () =>
    Object.assign(new Error(`cannot connect with ${echo}`, { cause: new Error(echo) }), {
      code: "ECONNRESET",
      echo
    })
}

/** Everything that a program could print of an error, outside a fiber. */
const renderings = (error: unknown): Record<string, unknown> => ({
  String: String(error),
  message: error instanceof Error ? error.message : "",
  stack: error instanceof Error ? error.stack : "",
  JSON: JSON.stringify(error),
  inspect: Util.inspect(error, { depth: 10, showHidden: true }),
  "inspect cause": Util.inspect(error instanceof Error ? error.cause : "", {
    depth: 10,
    showHidden: true
  }),
  format: Util.format("%s %o %O %j", error, error, error, error),
  "Cause.pretty": Cause.pretty(Cause.fail(error), { renderErrorCause: true }),
  "die pretty": Cause.pretty(Cause.die(error), { renderErrorCause: true }),
  "Cause JSON": JSON.stringify(Cause.fail(error)),
  "Exit JSON": JSON.stringify(Exit.fail(error)),
  "Exit inspect": Util.inspect(Exit.fail(error), { depth: 10, showHidden: true }),
  "Schema encoded": ApiError.isApiError(error)
    ? JSON.stringify(Schema.encodeSync(ApiError.ApiError)(error))
    : ""
})

/** The log lines about an error, by every logger that effect brings along. */
const logged = (error: unknown) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const keep = (logger: Logger.Logger<unknown, unknown>, show: (line: unknown) => string) =>
      Logger.map(logger, (line) => void lines.push(show(line)))
    const print = (line: unknown) => String(line)
    const inspect = (line: unknown) => Util.inspect(line, { depth: 10 })
    const loggers = [
      keep(Logger.stringLogger, print),
      keep(Logger.logfmtLogger, print),
      keep(Logger.jsonLogger, print),
      keep(Logger.structuredLogger, inspect),
      Logger.make<unknown, void>(({ cause, message }) =>
        void lines.push(inspect(message), Cause.pretty(cause, { renderErrorCause: true }))
      )
    ]
    yield* Effect.logError("the call failed", error).pipe(
      Effect.zipRight(Effect.logError("the call failed", Cause.fail(error))),
      Effect.annotateLogs("error", error),
      Effect.provide(
        Layer.mergeAll(
          Logger.remove(Logger.defaultLogger),
          ...loggers.map((logger) => Logger.add(logger))
        )
      ),
      Logger.withMinimumLogLevel(LogLevel.All)
    )
    return lines
  })

/** What each rendering of an error gives away. */
const given = (error: unknown) =>
  Effect.gen(function*() {
    const lines = yield* logged(error)
    expect(lines.length).toBeGreaterThanOrEqual(10)
    const all = { ...renderings(error), logged: lines.join("\n") }
    return Object.entries(all).map(([name, text]) => [name, leaks(text)] as const).filter((
      [, found]
    ) => found.length > 0)
  })

const authorizations = ["Bearer", "Basic"] as const

const bodies: Record<string, HttpBody.HttpBody> = {
  JSON: json,
  "JSON as text": HttpBody.text(JSON.stringify(fields), "application/json"),
  "JSON as raw text": HttpBody.raw(JSON.stringify(fields), { contentType: "application/json" }),
  "problem of one's own": HttpBody.text(
    JSON.stringify(fields),
    "application/vnd.example+json; charset=utf-8"
  )
}

describe("T1: nothing that was sent under a redacted name comes back in an error", () => {
  for (const [name, answer] of Object.entries(answers)) {
    it.effect(`T1, T2: ${name}`, () =>
      Effect.gen(function*() {
        for (const authorization of authorizations) {
          const { client } = yield* over([answer], { redactedNames })
          const error = yield* failureOf(
            client.execute(request(authorization)).pipe(IdempotencyKey.provide(key))
          )
          expect(ApiError.isApiError(error)).toBe(true)
          expect(yield* given(error)).toEqual([])
        }
      }))
  }

  it.effect("T1, T2: the values are replaced, the message of the API is kept", () =>
    Effect.gen(function*() {
      const { client } = yield* over([
        reply(401, { error: { message: `token ${secrets.bearer} has expired` } })
      ])
      const error = yield* failureOf(client.execute(request("Bearer")))
      expect(ApiError.isApiError(error) && error.message).toBe("token <redacted> has expired")
    }))

  it.effect("T1: the password inside of Basic credentials is a secret as well, encoded or not", () =>
    Effect.gen(function*() {
      const { client } = yield* over([
        reply(401, { error: "no alice with password SENTINEL-of-alice" })
      ])
      const error = yield* failureOf(client.execute(
        HttpClientRequest.basicAuth(HttpClientRequest.get("/"), "alice", "SENTINEL-of-alice")
      ))
      expect(
        Object.entries(renderings(error)).filter(([, text]) => String(text).includes("SENTINEL"))
      ).toEqual([])
    }))

  it.effect("T1: in whichever body they were sent", () =>
    Effect.gen(function*() {
      const found = yield* Effect.forEach(Object.entries(bodies), ([name, body]) =>
        Effect.gen(function*() {
          const { client } = yield* over([reply(400, errorBody)], { redactedNames })
          const error = yield* failureOf(
            client.execute(request("Bearer", body)).pipe(IdempotencyKey.provide(key))
          )
          return [name, yield* given(error)]
        }))
      expect(found).toEqual(Object.keys(bodies).map((name) => [name, []]))
    }))

  it.effect("T1: in a form, encoded or multipart", () =>
    Effect.gen(function*() {
      const form = {
        name: "Ada",
        token: secrets.token,
        pin: secrets.pattern,
        password: secrets.nested
      }
      const data = new FormData()
      for (const [name, value] of Object.entries(form)) data.set(name, value)
      const forms = [
        HttpBody.text(new URLSearchParams(form).toString(), "application/x-www-form-urlencoded"),
        HttpBody.formData(data)
      ]
      const echoed = Object.values(form).join(" ")
      const found = yield* Effect.forEach(forms, (body) =>
        Effect.gen(function*() {
          const { client } = yield* over([reply(400, { error: echoed })], { redactedNames })
          return yield* given(yield* failureOf(client.put("/", { body })))
        }))
      expect(found).toEqual([[], []])
    }))

  it.effect("T1: a key under a header of another name is as secret", () =>
    Effect.gen(function*() {
      const { client } = yield* over([
        reply(400, { error: { message: `key ${secrets.key}`, code: secrets.key } })
      ], {
        idempotencyHeader: "X-Request-Ref"
      })
      const fromContext = yield* failureOf(client.post("/").pipe(IdempotencyKey.provide(key)))
      const fromHeader = yield* failureOf(
        client.post("/", { headers: { "x-request-ref": secrets.key } })
      )
      expect([yield* given(fromContext), yield* given(fromHeader)]).toEqual([[], []])
    }))

  it.effect("T1: quoted on the wire, a key is scrubbed bare and quoted", () =>
    Effect.gen(function*() {
      const { client } = yield* over(
        [reply(400, { error: `"${secrets.key}" or ${secrets.key}` })],
        {
          idempotencyKeyFormat: "quoted"
        }
      )
      expect(yield* given(yield* failureOf(client.post("/").pipe(IdempotencyKey.provide(key)))))
        .toEqual([])
    }))

  it.effect("T1: a header in any letter case", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(400, { error: echo })])
      const plain = HttpClientRequest.get("/")
      const raw: HttpClientRequest.HttpClientRequest = Object.assign(
        Object.create(Object.getPrototypeOf(plain)),
        {
          ...plain,
          headers: Headers.unsafeFromRecord({
            AUTHORIZATION: `bearer ${secrets.bearer}`,
            "X-API-KEY": secrets.apiKey
          })
        }
      )
      const error = yield* failureOf(client.execute(raw))
      expect(
        leaks(`${String(error)} ${JSON.stringify(error)}`).filter((name) =>
          name === "bearer" || name === "apiKey"
        )
      )
        .toEqual([])
    }))

  it.effect("T1: what the transport below adds is on nobody's error either", () =>
    Effect.gen(function*() {
      const { client: below } = transport([broken("ECONNRESET")])
      const signing = HttpClient.mapRequest(
        below,
        HttpClientRequest.setHeader("authorization", `Bearer ${secrets.bearer}`)
      )
      const client = yield* ApiClient.make({ name: "test", baseUrl }).pipe(
        Effect.provideService(HttpClient.HttpClient, signing)
      )
      expect(yield* given(yield* failureOf(client.get("/")))).toEqual([])
    }))

  it.effect("T1: a credential in the base address", () =>
    Effect.gen(function*() {
      const { client } = yield* over([broken("ECONNREFUSED")], {
        baseUrl: `http://api.example.com/?token=${secrets.query}`
      })
      expect(yield* given(yield* failureOf(client.get("/")))).toEqual([])
    }).pipe(Effect.catchAllDefect((defect) => {
      expect(leaks(Util.inspect(defect))).toEqual([])
      return Effect.void
    })))

  it.effect("T1: an old key in an UnknownOutcome", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(200)], { keyTimeToLive: "1 millis" })
      yield* TestClock.setTime(1_000)
      const error = yield* failureOf(client.post("/").pipe(IdempotencyKey.provide(key)))
      expect([error._tag, yield* given(error)]).toEqual(["UnknownOutcome", []])
    }))

  it.effect("T1: a success that cannot be read shows none of its body", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(200, { token: secrets.token, id: secrets.nested })])
      const errors = [
        yield* failureOf(
          Effect.flatMap(client.get("/"), ApiClient.json(Schema.Struct({ id: Schema.Number })))
        ),
        yield* failureOf(
          Effect.flatMap(
            client.get("/"),
            ApiClient.json(Schema.Struct({ id: Schema.Literal("a") }))
          )
        )
      ]
      expect([yield* given(errors[0]), yield* given(errors[1])]).toEqual([[], []])
      const broken = yield* over([reply(200, `{"token": "${secrets.token}`)])
      expect(
        yield* given(
          yield* failureOf(Effect.flatMap(broken.client.get("/"), ApiClient.json(Schema.Unknown)))
        )
      )
        .toEqual([])
    }))

  it.effect("T1: nor what a decoder of the user's makes of the body", () =>
    Effect.gen(function*() {
      const decoder = Schema.transform(
        Schema.Unknown,
        Schema.Any as Schema.Schema<ApiClient.ErrorBody>,
        {
          strict: true,
          decode: () => ({
            message: echo,
            code: echo,
            requestId: echo,
            issues: [{ path: echo, message: echo }],
            retryAfter: Duration.zero
          }),
          encode: () => ({})
        }
      )
      const errors = yield* Effect.forEach([400, 429], (status) =>
        Effect.gen(function*() {
          const { client } = yield* over([reply(status, {})], { errorBody: decoder, redactedNames })
          return yield* failureOf(
            client.execute(request("Bearer")).pipe(IdempotencyKey.provide(key))
          )
        }))
      expect(yield* Effect.forEach(errors, given)).toEqual([[], []])
    }))

  it.effect("E8: the raw body is as it came, for those who ask", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(400, errorBody)], { redactedNames })
      const error = yield* failureOf(client.execute(request("Bearer")))
      const raw = ApiError.isApiError(error) ? ApiError.rawBody(error) : Option.none()
      expect(Option.map(raw, (bytes) => new TextDecoder().decode(bytes))).toEqual(
        Option.some(JSON.stringify(errorBody))
      )
    }))
})

describe("T1: outside and inside a fiber", () => {
  it("T1: the rejection of a promise", async () => {
    for (const name of ["JSON 400", "HTML", "a talkative driver"]) {
      const rejection: unknown = await Effect.runPromise(Effect.gen(function*() {
        const { client } = yield* over([answers[name]!], { redactedNames })
        return yield* client.execute(request("Basic")).pipe(
          IdempotencyKey.provide(key),
          Effect.withSpan("outer")
        )
      })).then(() => undefined, (error: unknown) => error)
      expect(Runtime.isFiberFailure(rejection)).toBe(true)
      expect(
        Object.entries(renderings(rejection)).map(([name, text]) => [name, leaks(text)]).filter((
          [, found]
        ) => found?.length)
      ).toEqual([])
    }
  })

  it("T1: a rejection that was never handled, as Node would print it", async () => {
    const exit = await Effect.runPromiseExit(Effect.gen(function*() {
      const { client } = yield* over([answers["JSON 401"]!], { redactedNames })
      return yield* Effect.orDie(
        client.execute(request("Bearer")).pipe(IdempotencyKey.provide(key))
      )
    }))
    expect([
      leaks(Util.inspect(exit, { depth: 20 })),
      leaks(String(exit)),
      leaks(JSON.stringify(exit))
    ]).toEqual(
      [[], [], []]
    )
  })

  it.effect("T1, T2: spans: names, attributes, events and exits", () =>
    Effect.gen(function*() {
      for (const [, answer] of Object.entries(answers)) {
        const { spans, tracer } = recorder()
        const { client } = yield* over([answer], { redactedNames })
        yield* failureOf(client.execute(request("Bearer")).pipe(IdempotencyKey.provide(key))).pipe(
          Effect.withTracer(tracer),
          Effect.withTracerEnabled(true)
        )
        expect(spans.length).toBeGreaterThanOrEqual(2)
        expect(leaks(Util.inspect(spans, { depth: 12, showHidden: true, maxArrayLength: null })))
          .toEqual([])
        const exits = spans.map(({ exit }) =>
          exit && Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
        )
        expect(leaks(JSON.stringify([spans, exits]))).toEqual([])
      }
    }))

  it.effect("T1: the client says nothing secret in the logs by itself", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ annotations, cause, message, spans }) =>
        void lines.push(
          Util.inspect([message, cause, Array.from(annotations), Array.from(spans)], { depth: 10 })
        )
      )
      for (const answer of Object.values(answers)) {
        const { client } = yield* over([answer], { redactedNames })
        yield* failureOf(client.execute(request("Bearer")).pipe(IdempotencyKey.provide(key))).pipe(
          Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
          Logger.withMinimumLogLevel(LogLevel.All)
        )
      }
      expect(leaks(lines.join("\n"))).toEqual([])
    }))

  it.effect("T1, E26: the layer's RequestError, for every failure of the transport", () =>
    Effect.gen(function*() {
      for (const name of ["refused", "reset", "a talkative driver"]) {
        const { layer } = transport([answers[name]!])
        const ours = ApiClient.layer({
          name: "test",
          baseUrl,
          redactedNames,
          pipeline: yield* retrying()
        })
        const error = yield* failureOf(
          Effect.flatMap(HttpClient.HttpClient, (client) => client.execute(request("Bearer"))).pipe(
            IdempotencyKey.provide(key),
            Effect.provide(Layer.provide(ours, layer))
          )
        )
        expect(error._tag).toBe("RequestError")
        expect(yield* given(error)).toEqual([])
      }
    }))
})

describe("T1: credentials in the address itself", () => {
  const address = `http://alice:${secrets.bearer}@api.example.com`

  it.effect("T1: neither the client's errors nor the layer's show them, nor the spans", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const { layer } = transport([broken("ECONNRESET")])
      const built = yield* Effect.exit(
        Effect.provide(ApiClient.make({ name: "test", baseUrl: address }), layer)
      )
      if (Exit.isFailure(built)) {
        return expect(leaks(Util.inspect(Cause.squash(built.cause)))).toEqual([])
      }
      const ours = yield* failureOf(built.value.get("/v1/things")).pipe(Effect.withTracer(tracer))
      const theirs = yield* failureOf(
        Effect.flatMap(HttpClient.HttpClient, (client) => client.get("/v1/things")).pipe(
          Effect.provide(Layer.provide(ApiClient.layer({ name: "test", baseUrl: address }), layer))
        )
      )
      expect([yield* given(ours), yield* given(theirs), leaks(Util.inspect(spans, { depth: 12 }))])
        .toEqual([
          [],
          [],
          []
        ])
    }))
})

describe("T1: on the wire", () => {
  for (const [name, layer] of Object.entries(transports)) {
    it.scopedLive(`T1, with ${name}: a server that repeats everything it was sent`, () =>
      Effect.gen(function*() {
        const wire = yield* serve((response, { body, headers, url }) => {
          const heard = JSON.stringify([body, headers, url, decodeURIComponent(url)])
          response.writeHead(400, {
            "content-type": "application/json",
            "x-request-id": secrets.bearer
          })
          response.end(
            JSON.stringify({ error: { message: heard, code: heard }, request_id: heard })
          )
        })
        const client = yield* ApiClient.make({ name: "test", baseUrl: wire.url, redactedNames })
        const fresh = yield* IdempotencyKey.fromString(secrets.key)
        const error = yield* failureOf(
          client.execute(request("Bearer")).pipe(IdempotencyKey.provide(fresh))
        )
        expect(wire.requests[0]?.headers["idempotency-key"]).toBe(secrets.key)
        expect(error._tag).toBe("Validation")
        expect(yield* given(error)).toEqual([])
      }).pipe(Effect.provide(layer)))

    it.scopedLive(`T1, with ${name}: an error body that is cut short says nothing secret in the logs`, () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const logger = Logger.make<unknown, void>(({ cause, message }) =>
          void lines.push(Util.inspect([message, cause], { depth: 10 }))
        )
        const wire = yield* serve((response) => {
          response.writeHead(500, { "content-length": "50" })
          response.write("{\"code\":", () => response.destroy())
        })
        const client = yield* ApiClient.make({ name: "test", baseUrl: wire.url, redactedNames })
        const error = yield* failureOf(client.execute(request("Bearer"))).pipe(
          Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
          Logger.withMinimumLogLevel(LogLevel.All)
        )
        expect([error._tag, leaks(lines.join("\n"))]).toEqual(["Server", []])
      }).pipe(Effect.provide(layer)))

    it.scopedLive(`T1, with ${name}: a server that is not there`, () =>
      Effect.gen(function*() {
        const client = yield* ApiClient.make({
          name: "test",
          baseUrl: yield* closedUrl,
          pipeline: yield* retrying()
        })
        const fresh = yield* IdempotencyKey.fromString(secrets.key)
        const error = yield* failureOf(
          client.execute(request("Bearer")).pipe(IdempotencyKey.provide(fresh))
        )
        expect(error).toMatchObject({ _tag: "Network", sent: "no", attempts: 3 })
        expect(yield* given(error)).toEqual([])
      }).pipe(Effect.provide(layer)))
  }
})
