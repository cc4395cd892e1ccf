/** I18 and R19: work that may have been executed keeps its claim, however its error is wrapped. */
import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Data, Effect, Fiber, Option, Schema, Stream, TestClock } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  Hedge,
  Idempotency,
  type IdempotencyKey,
  Operation,
  Pipeline,
  Retry,
  Timeout,
  Verdict
} from "effect-resilience"
import { network, notFound, server, timeout, unauthorized } from "../support/errors.js"
import { Declined, defaults, probe, Receipt, setting } from "../support/idempotent.js"

class ChargeFailed extends Data.TaggedError("ChargeFailed")<{ readonly cause: unknown }> {}
class Opaque extends Data.TaggedError("Opaque")<{}> {}

const late = timeout("attempt")

const quickly = { operation: Operation.keyed, backoff: Backoff.constant(0) } as const

const turns = (...errors: ReadonlyArray<ApiError.ApiError>) => {
  let calls = 0
  return Effect.suspend(() =>
    Effect.fail(errors[Math.min(calls++, errors.length - 1)] as ApiError.ApiError)
  )
}

/** What the next caller finds after work that ends like this. */
const after = <E>(
  work: Effect.Effect<{ readonly id: string }, E, IdempotencyKey.IdempotencyKey>,
  options: { readonly verdict?: (error: unknown) => Verdict.Verdict } = {}
) =>
  Effect.gen(function*() {
    const s = yield* setting
    const run = s.here(Effect.exit(Idempotency.run(work, { ...defaults, ...options })))
    const fiber = yield* Effect.fork(run)
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.join(fiber)
    return (yield* probe(s)) === "InFlight" ? "held" : "released"
  })

const wrappings: ReadonlyArray<readonly [string, (error: ApiError.ApiError) => unknown]> = [
  ["a cause", (cause) => new ChargeFailed({ cause })],
  ["a cause of a cause", (cause) => new Error("no", { cause: new ChargeFailed({ cause }) })],
  ["an array", (error) => ["first", error]],
  ["an aggregate", (error) => new AggregateError([new Error("no"), error])],
  ["an option", (error) => Option.some(error)],
  ["options in a struct", (error) => ({ a: Option.none(), b: Option.some(error) })],
  ["a cause of effect", (error) => Cause.parallel(Cause.fail("no"), Cause.fail(error))],
  ["a cause in an error", (error) => new ChargeFailed({ cause: Cause.fail(error) })],
  ["a chunk", (error) => Chunk.of(error)],
  ["a set", (error) => new Set([error])],
  ["an exception of a promise", (error) => new Cause.UnknownException(error)]
]

describe("I18: an error made of another", () => {
  for (const [name, wrap] of wrappings) {
    it.effect(`I18: ${name} keeps what it was made of`, () =>
      Effect.gen(function*() {
        expect([
          yield* after(Effect.fail(wrap(late))),
          yield* after(Effect.fail(wrap(notFound())))
        ]).toEqual(["held", "released"])
      }))
  }

  it.effect("I18: mapError around a time limit", () =>
    Effect.gen(function*() {
      const work = Effect.never.pipe(
        Timeout.attempt("1 second"),
        Effect.mapError((cause) => new ChargeFailed({ cause }))
      )
      expect(yield* after(work)).toBe("held")
    }))

  it.effect("I18: Effect.all in validate mode, as an array and as a struct", () =>
    Effect.gen(function*() {
      const [a, b] = [Effect.fail(notFound()), Effect.fail(network())]
      const as = Effect.as({ id: "r" })
      expect([
        yield* after(as(Effect.all([a, b], { mode: "validate" }))),
        yield* after(as(Effect.all({ a, b }, { mode: "validate" }))),
        yield* after(as(Effect.all([a, a], { mode: "validate" })))
      ]).toEqual(["held", "held", "released"])
    }))

  it.live("I18: tryPromise around an effect that runs elsewhere", () =>
    Effect.gen(function*() {
      const outcomes: Array<string> = []
      const failures: ReadonlyArray<Effect.Effect<never, ApiError.ApiError>> = [
        Effect.fail(late),
        Effect.fail(notFound()),
        Effect.die("odd")
      ]
      for (const failure of failures) {
        const s = yield* setting
        const work = Effect.tryPromise(() => Effect.runPromise(failure))
        yield* s.here(Effect.exit(Idempotency.run(work, defaults)))
        outcomes.push(yield* probe(s))
      }
      expect(outcomes).toEqual(["InFlight", "Acquired", "InFlight"])
    }))

  it.effect("I18: a connection that a promise lost, and one that was never made", () =>
    Effect.gen(function*() {
      const failed = (code: string, syscall: string) =>
        new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code, syscall }) })
      expect([
        yield* after(Effect.tryPromise(() => Promise.reject(failed("ECONNRESET", "read")))),
        yield* after(Effect.fail(failed("ECONNRESET", "read"))),
        yield* after(Effect.fail(failed("ECONNREFUSED", "connect"))),
        yield* after(Effect.fail(new TypeError("undefined is no function")))
      ]).toEqual(["held", "held", "released", "released"])
    }))

  it.effect("I18: circles and depths end the search", () =>
    Effect.gen(function*() {
      const circle: { cause?: unknown } = {}
      circle.cause = [circle, { cause: circle }]
      let deep: unknown = "bottom"
      for (let depth = 0; depth < 100_000; depth++) deep = { cause: deep }
      const throwing = Object.defineProperty(new Error("no"), "cause", {
        get: () => {
          throw new Error("unreadable")
        }
      })
      expect([
        yield* after(Effect.fail(circle)),
        yield* after(Effect.fail(deep)),
        yield* after(Effect.fail(throwing))
      ]).toEqual(["released", "released", "released"])
    }))

  it.effect("I18: with a verdict, the verdict says it of errors that are not ours", () =>
    Effect.gen(function*() {
      const opaque = Effect.fail(new Opaque())
      const wrapped = Effect.fail(new ChargeFailed({ cause: late }))
      expect([
        yield* after(opaque),
        yield* after(opaque, { verdict: () => Verdict.transient() }),
        yield* after(opaque, { verdict: () => Verdict.transient({ ambiguous: false }) }),
        yield* after(wrapped, { verdict: () => Verdict.terminal }),
        yield* after(Effect.fail(timeout("total")), { verdict: ApiError.verdict })
      ]).toEqual(["released", "held", "released", "released", "held"])
    }))
})

describe("R19: attempts inside a run", () => {
  it.effect("R19: one key, two calls, a lost answer and then a 401: executed once", () =>
    Effect.gen(function*() {
      const s = yield* setting
      let executed = 0
      const work = Effect.suspend((): Effect.Effect<never, ApiError.ApiError> =>
        executed++ === 0 ? Effect.fail(network()) : Effect.fail(unauthorized())
      )
      const once = s.here(
        Effect.flip(Idempotency.run(Retry.retry(work, quickly), { ...defaults, lease: "1 minute" }))
      )
      const first = yield* once
      yield* TestClock.adjust("2 minutes")
      const second = yield* once
      expect([first._tag, second._tag, executed]).toEqual(["Auth", "UnknownOutcome", 2])
    }))

  it.effect("R19: mapping the last error to nothing at all does not lose it", () =>
    Effect.gen(function*() {
      const opaque = Effect.mapError(() => new Opaque())
      const refused = turns(network("no"), unauthorized())
      expect([
        yield* after(opaque(Retry.retry(turns(network(), unauthorized()), quickly))),
        yield* after(opaque(Retry.retry(turns(server()), quickly))),
        yield* after(opaque(Retry.retry(refused, quickly)))
      ]).toEqual(["held", "held", "released"])
    }))

  it.effect("R19: of a hedge that was lost, too", () =>
    Effect.gen(function*() {
      let calls = 0
      const work = Effect.suspend((): Effect.Effect<never, ApiError.ApiError> =>
        calls++ === 0
          ? Effect.delay(Effect.fail(unauthorized()), "3 seconds")
          : Effect.fail(network())
      ).pipe(
        Hedge.hedge({ operation: Operation.keyed, delay: "1 second" }),
        Effect.mapError(() => new Opaque())
      )
      expect([yield* after(work), calls]).toEqual(["held", 2])
    }))

  it.effect("R19: a time limit of the caller's own cuts an attempt, or the wait after one", () =>
    Effect.gen(function*() {
      const cut = Effect.timeoutFail({ duration: "2 seconds", onTimeout: () => new Opaque() })
      const slowly = { ...quickly, backoff: Backoff.constant("5 seconds") }
      expect([
        yield* after(cut(Retry.retry(Effect.never, quickly))),
        yield* after(cut(Retry.retry(turns(network()), slowly))),
        yield* after(cut(Retry.retry(turns(network("no")), slowly)))
      ]).toEqual(["held", "held", "released"])
    }))

  it.effect("R19: a defect that was caught", () =>
    Effect.gen(function*() {
      const work = Retry.retry(Effect.die("odd"), quickly).pipe(
        Effect.catchAllDefect(() => new Opaque())
      )
      expect(yield* after(work)).toBe("held")
    }))

  it.effect("R19: a call that succeeded after all says nothing of what comes later", () =>
    Effect.gen(function*() {
      let calls = 0
      const call = Effect.suspend(() => calls++ === 0 ? Effect.fail(server()) : Effect.void)
      const work = Effect.zipRight(Retry.retry(call, quickly), Effect.fail(new Opaque()))
      expect([yield* after(work), calls]).toEqual(["released", 2])
    }))

  it.effect("I20: a failure that is an outcome of the work is stored all the same", () =>
    Effect.gen(function*() {
      const s = yield* setting
      const work = Retry.retry(turns(server(), notFound()), quickly).pipe(
        Effect.mapError(() => new Declined({ why: "funds" }))
      )
      yield* s.here(
        Effect.exit(Idempotency.run(work, { ...defaults, persistFailure: Declined }))
      )
      expect(yield* probe(s)).toBe("Completed")
    }))

  it.effect("R19: of what nothing repeats no mapping loses how it ended", () =>
    Effect.gen(function*() {
      const opaque = Effect.mapError(() => new Opaque())
      const limited = yield* Pipeline.make({
        operation: Operation.once,
        attemptTimeout: "1 second"
      })
      const guarded = yield* Pipeline.make({ operation: Operation.once, circuitBreaker: {} })
      const bare = yield* Pipeline.make({ operation: Operation.once })
      const repeating = yield* Pipeline.make({
        operation: Operation.once,
        retry: { retries: 1, backoff: Backoff.constant("1 second") }
      })
      const answering = (status: number) =>
        HttpClient.make((request) =>
          Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}", { status })))
        )
      const options = { name: "shop", baseUrl: "https://shop.example" }
      const posted = (status: number, pipeline?: Pipeline.Pipeline<unknown>) =>
        ApiClient.make({ ...options, pipeline }).pipe(
          Effect.flatMap((client) => client.post("/orders")),
          Effect.zipRight(Effect.fail(new Opaque())),
          Effect.provideService(HttpClient.HttpClient, answering(status))
        )
      const handedOut = (status: number) =>
        HttpClient.post("/orders").pipe(
          Effect.provide(ApiClient.layer(options)),
          Effect.zipRight(Effect.fail(new Opaque())),
          Effect.provideService(HttpClient.HttpClient, answering(status))
        )
      const outcomes = yield* Effect.all({
        attempt: after(opaque(Timeout.attempt(Effect.never, "1 second"))),
        total: after(opaque(Timeout.total(Effect.never, "1 second"))),
        inTime: after(opaque(Timeout.total(Effect.fail(notFound()), "1 second"))),
        cut: after(opaque(Pipeline.protect(Effect.never, limited))),
        broken: after(opaque(Pipeline.protect(turns(server()), guarded))),
        refused: after(opaque(Pipeline.protect(turns(notFound()), guarded))),
        "503 from the client": after(opaque(posted(503))),
        "404 from the client": after(opaque(posted(404))),
        "503 without a stage": after(opaque(posted(503, bare))),
        "503 within a limit": after(opaque(posted(503, limited))),
        "503 given up": after(opaque(posted(503, repeating))),
        "503 handed out": after(handedOut(503)),
        "404 handed out": after(handedOut(404))
      })
      expect(outcomes).toEqual({
        attempt: "held",
        total: "held",
        inTime: "released",
        cut: "held",
        broken: "held",
        refused: "released",
        "503 from the client": "held",
        "404 from the client": "released",
        "503 without a stage": "held",
        "503 within a limit": "held",
        "503 given up": "held",
        "503 handed out": "held",
        "404 handed out": "released"
      })
    }))

  it.effect("R19, E32: what a success was executed for stays executed when it cannot be read", () =>
    Effect.gen(function*() {
      const limited = yield* Pipeline.make({
        operation: Operation.once,
        attemptTimeout: "1 second"
      })
      const read = (method: "POST" | "PUT" | "GET", error: unknown, pipeline = limited) =>
        ApiClient.make({ name: "shop", baseUrl: "https://shop.example", pipeline }).pipe(
          Effect.flatMap((client) =>
            ApiClient.execute(
              client,
              HttpClientRequest.make(method)("/orders"),
              (response) =>
                error === "the platform's"
                  ? HttpClientResponse.schemaBodyJson(Receipt)(response)
                  : Effect.fail(error)
            )
          ),
          Effect.mapError(() => new Opaque()),
          Effect.provideService(
            HttpClient.HttpClient,
            HttpClient.make((request) =>
              Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}")))
            )
          )
        )
      const declined = new ApiError.Validation({ message: "declined", issues: [] })
      const bare = yield* Pipeline.make({ operation: Operation.once })
      expect({
        schema: yield* after(read("POST", "the platform's")),
        own: yield* after(read("POST", new Declined({ why: "funds" }))),
        bare: yield* after(read("POST", new Declined({ why: "funds" }), bare)),
        put: yield* after(read("PUT", new Declined({ why: "funds" }))),
        get: yield* after(read("GET", new Declined({ why: "funds" }))),
        ours: yield* after(read("POST", declined))
      }).toEqual({
        schema: "held",
        own: "held",
        bare: "held",
        put: "held",
        get: "released",
        ours: "released"
      })
    }))

  it.effect("R19: a stream that breaks after its first event was executed", () =>
    Effect.gen(function*() {
      const answer = () => {
        let events = 0
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) =>
            events++ === 0
              ? controller.enqueue(new TextEncoder().encode("data: one\n\n"))
              : controller.error(new Error("reset"))
        }, { highWaterMark: 0 })
        return new Response(body, { headers: { "content-type": "text/event-stream" } })
      }
      const streamed = (method: "POST" | "GET", status: number) =>
        ApiClient.make({ name: "model", baseUrl: "https://model.example" }).pipe(
          Effect.flatMap((client) =>
            Stream.runDrain(
              ApiClient.events(client, HttpClientRequest.make(method)("/answers"), {
                resume: false
              })
            )
          ),
          Effect.mapError(() => new Opaque()),
          Effect.as({ id: "r" }),
          Effect.provideService(
            HttpClient.HttpClient,
            HttpClient.make((request) =>
              Effect.sync(() =>
                HttpClientResponse.fromWeb(
                  request,
                  status === 200 ? answer() : new Response("{}", { status })
                )
              )
            )
          )
        )
      expect([
        yield* after(streamed("POST", 200)),
        yield* after(streamed("GET", 200)),
        yield* after(streamed("POST", 404))
      ]).toEqual(["held", "released", "released"])
    }))

  it.effect("R19: runs side by side do not know of each other's attempts", () =>
    Effect.gen(function*() {
      const opaque = Effect.mapError(() => new Opaque())
      const outcomes = yield* Effect.all([
        after(opaque(Retry.retry(turns(server()), quickly))),
        after(opaque(Retry.retry(turns(network("no")), quickly))),
        after(Effect.fail(new Opaque()))
      ])
      expect(outcomes).toEqual(["held", "released", "released"])
    }))

  it.effect("I18: the type of the options", () =>
    Effect.sync(() => {
      const options: Idempotency.Options<{ readonly id: string }, { readonly id: string }, never> =
        {
          scope: ["shop"],
          payload: 1,
          result: Schema.Struct({ id: Schema.String }),
          verdict: (error: unknown) => ApiError.verdict(error)
        }
      expect(options.verdict?.(server())._tag).toBe("Transient")
    }))
})
