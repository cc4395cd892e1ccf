import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, FastCheck as fc, Redacted, TestClock } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  CircuitBreaker,
  Endpoint,
  Pipeline,
  RetryBudget,
  Telemetry
} from "effect-resilience"
import { failureOf } from "./support.js"

const policy: Endpoint.Policy = {
  retries: 2,
  backoff: Backoff.constant(0),
  attemptTimeout: "1 second",
  totalTimeout: "5 seconds"
}

const operations = {
  order: { ...policy, path: "/v1/orders/:orderId", method: "GET" },
  create: { ...policy, path: "/v1/orders", method: "POST" }
} as const

const rangeErrorOf = (thrower: () => unknown): string => {
  try {
    thrower()
    return "nothing was thrown"
  } catch (error) {
    return error instanceof RangeError ? error.message : "no RangeError"
  }
}

describe("override", () => {
  it("changes the fields that are named, and nothing else", () => {
    expect(Endpoint.override(operations, {
      policies: { order: { retries: 0, attemptTimeout: "3 seconds" } },
      paths: { create: "/gateway/orders" }
    })).toEqual({
      order: { ...operations.order, retries: 0, attemptTimeout: "3 seconds" },
      create: { ...operations.create, path: "/gateway/orders" }
    })
  })

  it("takes undefined for no change", () => {
    const nothing = { policies: { order: { retries: undefined } }, paths: { order: undefined } }
    expect(Endpoint.override(operations, {})).toEqual(operations)
    expect(Endpoint.override(operations, Object.assign({}, nothing) as {})).toEqual(operations)
  })

  it("refuses a blank path", () => {
    expect(rangeErrorOf(() => Endpoint.override(operations, { paths: { order: " " } })))
      .toBe("paths.order should be a path, got \" \"")
  })
})

describe("paths", () => {
  const defaults = { order: "/v1/orders/:orderId", create: "/v1/orders" }

  it("changes the paths that are named, and nothing else", () => {
    expect([
      Endpoint.paths(defaults, undefined),
      Endpoint.paths(defaults, { create: undefined }),
      Endpoint.paths(defaults, { create: "/gateway/orders" })
    ]).toEqual([defaults, defaults, { ...defaults, create: "/gateway/orders" }])
  })

  it("refuses a blank path", () => {
    expect(rangeErrorOf(() => Endpoint.paths(defaults, { create: "" })))
      .toBe("paths.create should be a path, got \"\"")
  })
})

const down = new ApiError.Server({ message: "down", status: 503 })

const busy = new ApiError.RateLimit({ message: "busy", status: 429 })

/** A call that counts how often it runs and always fails. */
const failing = (error: ApiError.ApiError) => {
  let runs = 0
  const call = Effect.suspend(() => {
    runs++
    return Effect.fail(error)
  })
  return { call, runs: () => runs }
}

describe("pipelines", () => {
  it.effect("each operation has its own retries and time limits", () =>
    Effect.gen(function*() {
      const { often, seldom } = yield* Endpoint.pipelines({
        often: { ...policy, retries: 3 },
        seldom: { ...policy, retries: 0, attemptTimeout: "2 seconds" }
      })
      const { call, runs } = failing(busy)
      yield* Effect.exit(Pipeline.protect(call, often))
      const late = yield* Effect.fork(Effect.flip(Pipeline.protect(Effect.never, seldom)))
      yield* TestClock.adjust("2 seconds")
      expect([runs(), (yield* late)._tag]).toEqual([4, "Timeout"])
    }))

  it.effect("all operations share the breaker that is made of the options", () =>
    Effect.gen(function*() {
      const { first, second } = yield* Endpoint.pipelines({ first: policy, second: policy }, {
        circuitBreaker: { window: CircuitBreaker.count(1), minimumCalls: 1 }
      })
      yield* Effect.exit(Pipeline.protect(Effect.fail(down), first))
      const error = yield* failureOf(Pipeline.protect(Effect.void, second))
      expect(error._tag).toBe("CircuitOpen")
    }))

  it.effect("an instance of a breaker is used as it is", () =>
    Effect.gen(function*() {
      const circuitBreaker = yield* CircuitBreaker.make()
      const { first } = yield* Endpoint.pipelines({ first: policy }, { circuitBreaker })
      yield* circuitBreaker.forceOpen()
      const error = yield* failureOf(Pipeline.protect(Effect.void, first))
      expect(error._tag).toBe("CircuitOpen")
    }))

  it.effect("without a breaker no call is rejected", () =>
    Effect.gen(function*() {
      const { first } = yield* Endpoint.pipelines({ first: policy })
      const { call, runs } = failing(down)
      yield* Effect.forEach(Array(100), () => Effect.exit(Pipeline.protect(call, first)))
      expect(runs()).toBe(100)
    }))

  it.effect("all operations share the budget", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 3, reservePerSecond: 0 })
      const { first, second } = yield* Endpoint.pipelines({ first: policy, second: policy }, {
        budget
      })
      const { call, runs } = failing(busy)
      yield* Effect.exit(Pipeline.protect(call, first))
      yield* Effect.exit(Pipeline.protect(call, second))
      yield* Effect.exit(Pipeline.protect(call, second))
      expect(runs()).toBe(3 + 3)
    }))

  it.effect("all operations count under one integration", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: "endpoint-test", logs: false })
      const { first, second } = yield* Endpoint.pipelines({ first: policy, second: policy }, {
        telemetry
      })
      yield* Pipeline.protect(Effect.void, first)
      yield* Pipeline.protect(Effect.void, second)
      const [figures] = yield* Telemetry.figures(telemetry)
      expect(figures?.calls.count).toBe(2)
    }))

  it.effect("a call is taken for one that must not run twice", () =>
    Effect.gen(function*() {
      const { first } = yield* Endpoint.pipelines({ first: policy })
      const unclear = failing(down)
      const refused = failing(busy)
      yield* Effect.exit(Pipeline.protect(unclear.call, first))
      yield* Effect.exit(Pipeline.protect(refused.call, first))
      expect([unclear.runs(), refused.runs()]).toEqual([1, 3])
    }))

  it.effect.each(
    [
      ["retries should be a whole number of at least 0, got -1", { retries: -1 }],
      ["attemptTimeout should be a duration longer than zero, got 0", { attemptTimeout: 0 }],
      [
        "attemptTimeout should be at most totalTimeout (\"5 seconds\"), got \"6 seconds\"",
        { attemptTimeout: "6 seconds" }
      ]
    ] as const
  )("a policy that makes no sense is a defect: %s", ([message, changes]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Endpoint.pipelines({ first: { ...policy, ...changes } }))
      expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toEqual(new RangeError(message))
    }))
})

/** Ids that encoding leaves as another path, or has no encoding for. */
const strayIds = ["", ".", "..", " ", "\t.", " .. ", "\ud800", "a\udc00"]

describe("options", () => {
  it.each(strayIds)("an id of %j is refused", (value) => {
    expect(rangeErrorOf(() => Endpoint.id("tenantId", value)))
      .toBe(`tenantId should be an id that can be in a path, got ${JSON.stringify(value)}`)
  })

  it("an id that can be in a path comes back, and so does a path", () => {
    expect([Endpoint.id("tenantId", "a/b ..."), Endpoint.path("path", "/v1")]).toEqual([
      "a/b ...",
      "/v1"
    ])
  })
})

describe("request", () => {
  const segmentsOf = (url: string) => new URL(`http://api.test${url}`).pathname.split("/")

  it.effect.prop(
    "any id is refused or stays one segment of the path, and comes back when it is decoded",
    [fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string(),
      fc.constantFrom(...strayIds, "a/b", "%2e")
    )],
    ([orderId]) =>
      Effect.gen(function*() {
        const made = yield* Effect.either(
          Endpoint.request("GET", "/v1/orders/:orderId/lines", { orderId })
        )
        if (made._tag === "Left") {
          expect(made.left.issues).toEqual([{ path: "orderId", message: "should be an id" }])
        } else {
          const [root, version, orders, id = "", lines, ...rest] = segmentsOf(made.right.url)
          expect([root, version, orders, decodeURIComponent(id), lines, rest]).toEqual([
            "",
            "v1",
            "orders",
            orderId,
            "lines",
            []
          ])
        }
      }),
    { fastCheck: { numRuns: 500 } }
  )

  it.effect.each(strayIds)(
    "an id of %j fails before anything is sent, and is not repeated",
    (id) =>
      Effect.gen(function*() {
        const ids = { tenantId: "acme", orderId: id }
        const error = yield* Effect.flip(
          Endpoint.request("POST", "/v1/tenants/:tenantId/orders/:orderId", ids)
        )
        expect([error.message, error.code, error.method, error.endpoint, error.issues]).toEqual([
          "The request was not sent: orderId should be an id",
          "invalid_id",
          "POST",
          "/v1/tenants/:tenantId/orders/:orderId",
          [{ path: "orderId", message: "should be an id" }]
        ])
      })
  )

  it("a parameter without an id stays as it is, also one that every object has", () => {
    expect([
      Endpoint.fill("/v1/:a/:b", { a: "x y" }),
      Endpoint.fill("/v1/:constructor", {}),
      Endpoint.fill("/v1/:a", { a: "$&" })
    ]).toEqual(["/v1/x%20y/:b", "/v1/:constructor", "/v1/%24%26"])
  })
})

describe("checkCredential", () => {
  it.effect.each(
    [
      ["is empty", ""],
      ["is empty", " \t"],
      ["has characters that no header can hold", "SENTINEL\r\nx-evil: 1"],
      ["has characters that no header can hold", "SENTINEL\n"],
      ["has characters that no header can hold", "SENTINEL\u0000"],
      ["has characters that no header can hold", "SENTINELключ"]
    ] as const
  )("a key that %s is refused without being shown", ([problem, key]) =>
    Effect.gen(function*() {
      const error = yield* Endpoint.checkCredential(Redacted.make(key), "GET").pipe(
        ApiClient.withEndpoint("/v1/orders"),
        Effect.flip
      )
      expect([error.message, error.code, error.method, error.endpoint]).toEqual([
        `The API key ${problem}, and was not sent`,
        "malformed_api_key",
        "GET",
        "/v1/orders"
      ])
      expect(JSON.stringify(error)).not.toContain("SENTINEL")
    }))

  it.effect.prop(
    "a key that passes can be sent",
    [fc.string({ unit: "binary" })],
    ([key]) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Endpoint.checkCredential(Redacted.make(key)))
        const send = () => new Headers({ authorization: `Bearer ${key}` })
        if (Exit.isSuccess(exit)) expect(send).not.toThrow()
      }),
    { fastCheck: { numRuns: 500 } }
  )
})
