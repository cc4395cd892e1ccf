import {
  HttpApi,
  HttpApiBuilder,
  HttpApiEndpoint,
  HttpApiError,
  HttpApiGroup,
  HttpApiSchema,
  HttpServer
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import {
  Arbitrary,
  Cause,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Layer,
  Option,
  Schema
} from "effect"
import { ApiError } from "effect-resilience"
import { runs } from "../support/runs.js"
import { samples, show, tags } from "./apiErrors.js"

const fields = [
  "_tag",
  "message",
  "status",
  "code",
  "requestId",
  "endpoint",
  "method",
  "attempts",
  "latency",
  "headers",
  "repeat",
  "issues",
  "inFlight",
  "retryAfter",
  "limit",
  "remaining",
  "gateway",
  "deadline",
  "sent"
]

const plain = (error: ApiError.ApiError) =>
  fields.map((field) => {
    const value = (error as unknown as Record<string, unknown>)[field]
    return [
      field,
      Duration.isDuration(value)
        ? String(Option.getOrElse(Duration.toNanos(value), () => "for ever"))
        : value
    ]
  })

const text = fc.oneof(fc.string(), fc.fullUnicodeString())
const count = fc.integer({ min: 0, max: 1_000_000 })
const duration = fc.oneof(
  count.map(Duration.millis),
  fc.bigInt({ min: 0n, max: 10n ** 15n }).map(Duration.nanos),
  fc.constantFrom(Duration.zero, Duration.infinity)
)
const context = fc.record({
  status: fc.integer({ min: 100, max: 599 }),
  code: text,
  requestId: text,
  endpoint: text,
  method: fc.constantFrom("GET", "POST"),
  attempts: count,
  latency: duration,
  headers: fc.dictionary(fc.string().filter((name) => name !== "__proto__"), text),
  repeat: fc.constantFrom("never" as const, "transient" as const)
}, { requiredKeys: [] })
const props = <Own>(own: fc.Arbitrary<Own>) =>
  fc.tuple(context, own, text).map(([shared, extra, message]) => ({ ...shared, ...extra, message }))
const nothing = props(fc.constant({}))

const errors: fc.Arbitrary<ApiError.ApiError> = fc.oneof(
  nothing.map((p) => new ApiError.Auth(p)),
  nothing.map((p) => new ApiError.Policy(p)),
  nothing.map((p) => new ApiError.NotFound(p)),
  props(fc.record({ issues: fc.array(fc.record({ path: text, message: text }), { maxLength: 4 }) }))
    .map(
      (p) => new ApiError.Validation(p)
    ),
  props(fc.record({ inFlight: fc.boolean(), retryAfter: duration }, { requiredKeys: [] })).map(
    (p) => new ApiError.Conflict(p)
  ),
  props(fc.record({ retryAfter: duration }, { requiredKeys: [] })).map((p) =>
    new ApiError.Locked(p)
  ),
  props(fc.record({ retryAfter: duration, limit: count, remaining: count }, { requiredKeys: [] }))
    .map(
      (p) => new ApiError.RateLimit(p)
    ),
  props(fc.record({ retryAfter: duration, gateway: fc.boolean() }, { requiredKeys: [] })).map(
    (p) => new ApiError.Server(p)
  ),
  props(
    fc.record({
      deadline: fc.constantFrom("attempt" as const, "total" as const, "server" as const)
    })
  ).map(
    (p) => new ApiError.Timeout(p)
  ),
  props(fc.record({ sent: fc.constantFrom("no" as const, "unknown" as const) })).map((p) =>
    new ApiError.Network(p)
  )
)

describe("ApiError values", () => {
  it("DESIGN 3: ten classes with exactly these tags", () => {
    expect(tags.map((tag) => samples[tag]._tag)).toEqual(tags)
    expect(tags.map((tag) => samples[tag] instanceof Error)).toEqual(tags.map(() => true))
    expect(tags.map((tag) => Schema.is(ApiError.ApiError)(samples[tag]))).toEqual(
      tags.map(() => true)
    )
  })

  it.effect("DESIGN 3: they are values to yield and to catch by tag", () =>
    Effect.gen(function*() {
      const failing = Effect.gen(function*() {
        return yield* new ApiError.RateLimit({ message: "slow down", status: 429 })
      })
      const caught = yield* failing.pipe(
        Effect.catchTag("RateLimit", (error) => Effect.succeed(error.message))
      )
      expect(caught).toBe("slow down")
    }))

  it("DESIGN 3: the defaults: no issues, not in flight", () => {
    expect(new ApiError.Validation({ message: "" }).issues).toEqual([])
    expect(new ApiError.Conflict({ message: "" }).inFlight).toBe(false)
  })

  it("DESIGN 3: the message is the error's message", () => {
    expect([samples.Server.message, String(samples.Server).includes("down")]).toEqual([
      "down",
      true
    ])
  })
})

describe("ApiError.isApiError", () => {
  it("DESIGN 3: all of ours", () => {
    expect(tags.map((tag) => ApiError.isApiError(samples[tag]))).toEqual(tags.map(() => true))
    fc.assert(fc.property(errors, (error) => ApiError.isApiError(error)), { numRuns: runs(500) })
  })

  it("DESIGN 3: by a TypeId, never by the tag", () => {
    const others = [
      ...tags.map((tag) => ({ _tag: tag, message: "", status: 409 })),
      ...tags.map((tag) => Object.assign(new Error("x"), { _tag: tag })),
      new HttpApiError.Conflict(),
      new HttpApiError.NotFound(),
      new Cause.TimeoutException(),
      new Error("x"),
      "Conflict",
      undefined,
      null,
      0,
      Symbol.iterator,
      () => samples.Auth,
      Object.create(null)
    ]
    expect(others.filter(ApiError.isApiError)).toEqual([])
  })

  it("DESIGN 3: a value that came over the wire is one again", () => {
    const wire = JSON.parse(JSON.stringify(Schema.encodeSync(ApiError.ApiError)(samples.Conflict)))
    expect(ApiError.isApiError(wire)).toBe(false)
    expect(ApiError.isApiError(Schema.decodeUnknownSync(ApiError.ApiError)(wire))).toBe(true)
  })
})

describe("ApiError schema", () => {
  it("DESIGN 3: encode and decode through JSON lose nothing", () => {
    fc.assert(
      fc.property(errors, (error) => {
        const wire = JSON.parse(JSON.stringify(Schema.encodeSync(ApiError.ApiError)(error)))
        const back = Schema.decodeUnknownSync(ApiError.ApiError)(wire)
        expect(plain(back)).toEqual(plain(error))
        expect(back.constructor).toBe(error.constructor)
        expect(show(back)).toBe(show(error))
      }),
      { numRuns: runs(1000) }
    )
  })

  it("DESIGN 3: whatever the schema itself can make survives the round trip", () => {
    fc.assert(
      fc.property(Arbitrary.make(ApiError.ApiError), (error) => {
        const back = Schema.decodeSync(ApiError.ApiError)(
          Schema.encodeSync(ApiError.ApiError)(error)
        )
        expect(plain(back)).toEqual(plain(error))
      }),
      { numRuns: runs(500) }
    )
  })

  it("it refuses what is none of the ten", () => {
    const decode = Schema.decodeUnknownEither(ApiError.ApiError)
    const bad = [
      {},
      { _tag: "Nope", message: "" },
      { _tag: "Auth" },
      { _tag: "Timeout", message: "" },
      null,
      1
    ]
    expect(bad.map((input) => decode(input)._tag)).toEqual(bad.map(() => "Left"))
  })
})

describe("ApiError in an HttpApi", () => {
  const statusOf = {
    Auth: HttpApiSchema.getStatusError(ApiError.Auth),
    Policy: HttpApiSchema.getStatusError(ApiError.Policy),
    Validation: HttpApiSchema.getStatusError(ApiError.Validation),
    NotFound: HttpApiSchema.getStatusError(ApiError.NotFound),
    Conflict: HttpApiSchema.getStatusError(ApiError.Conflict),
    Locked: HttpApiSchema.getStatusError(ApiError.Locked),
    RateLimit: HttpApiSchema.getStatusError(ApiError.RateLimit),
    Server: HttpApiSchema.getStatusError(ApiError.Server),
    Timeout: HttpApiSchema.getStatusError(ApiError.Timeout),
    Network: HttpApiSchema.getStatusError(ApiError.Network)
  }

  it("DESIGN 3: each class declares its status", () => {
    expect(statusOf).toMatchObject({
      Auth: 401,
      Policy: 403,
      NotFound: 404,
      Conflict: 409,
      Locked: 423,
      RateLimit: 429
    })
    expect([400, 422]).toContain(statusOf.Validation)
    expect([500, 502, 503]).toContain(statusOf.Server)
    expect([408, 504]).toContain(statusOf.Timeout)
    expect([502, 503]).toContain(statusOf.Network)
  })

  it("DESIGN 3: an endpoint can say another status", () => {
    const endpoint = HttpApiEndpoint.get("x", "/x").addError(ApiError.Policy, { status: 402 })
    const statuses: Array<number> = []
    HttpApi.reflect(HttpApi.make("api").add(HttpApiGroup.make("group").add(endpoint)), {
      onGroup: () => {},
      onEndpoint: ({ errors }) => statuses.push(...errors.keys())
    })
    expect(statuses).toContain(402)
    expect(statuses).not.toContain(403)
  })

  it("DESIGN 3: declared as errors of an endpoint they travel with their status and arrive without loss", async () => {
    const fail = HttpApiEndpoint.get("fail", "/fail/:tag")
      .setPath(Schema.Struct({ tag: Schema.Literal(...tags) }))
      .addError(ApiError.Auth)
      .addError(ApiError.Policy)
      .addError(ApiError.Validation)
      .addError(ApiError.NotFound)
      .addError(ApiError.Conflict)
      .addError(ApiError.Locked)
      .addError(ApiError.RateLimit)
      .addError(ApiError.Server)
      .addError(ApiError.Timeout)
      .addError(ApiError.Network)
    const api = HttpApi.make("api").add(HttpApiGroup.make("group").add(fail))
    const group = HttpApiBuilder.group(
      api,
      "group",
      (handlers) => handlers.handle("fail", ({ path }) => Effect.fail(samples[path.tag]))
    )
    const { dispose, handler } = HttpApiBuilder.toWebHandler(
      Layer.mergeAll(HttpApiBuilder.api(api).pipe(Layer.provide(group)), HttpServer.layerContext)
    )
    const received: Array<unknown> = []
    for (const tag of tags) {
      const response = await handler(new Request(`http://localhost/fail/${tag}`))
      const error = Schema.decodeUnknownSync(ApiError.ApiError)(await response.json())
      received.push([response.status, plain(error)])
    }
    await dispose()
    expect(received).toEqual(tags.map((tag) => [statusOf[tag], plain(samples[tag])]))
  })
})

describe("ApiError causes", () => {
  it.effect("an ApiError in a cause keeps its tag and its message in the rendering", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(samples.RateLimit)
      expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain("slow down")
    }))
})
