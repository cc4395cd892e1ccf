import { FetchHttpClient, HttpClient, HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, FiberRef, Option, Tracer } from "effect"
import { ApiClient } from "effect-resilience"
import { recorder } from "../support/spans.js"
import { settle } from "../support/turns.js"
import { baseUrl, over, reply, transport } from "./support.js"

/** What a request needs of the fiber that sends it. */
const seen = Effect.withFiberRuntime<ReadonlyArray<unknown>>((fiber) =>
  Effect.succeed([
    Option.getOrUndefined(Context.getOption(fiber.currentContext, FetchHttpClient.RequestInit)),
    fiber.getFiberRef(HttpClient.currentTracerDisabledWhen)(HttpClientRequest.get("/")),
    Option.match(Context.getOption(fiber.currentContext, Tracer.ParentSpan), {
      onNone: () => undefined,
      onSome: (span) => span._tag === "Span" ? span.name : span._tag
    })
  ])
)

const outside = [undefined, false, undefined]
const get = HttpClientRequest.get("/v1/things")

const clientOver = (upstream: HttpClient.HttpClient) =>
  Effect.provideService(
    ApiClient.make({ name: "test", baseUrl }),
    HttpClient.HttpClient,
    upstream
  )

/** Upstream does something of its own with each request. */
const doing = (self: Effect.Effect<unknown>) =>
  clientOver(HttpClient.transform(
    transport([reply(200, { id: 1 })]).client,
    (sent) => Effect.zipRight(self, sent)
  ))

describe("what a request needs of its fiber", () => {
  it.effect("is there while it is sent, and gone while the answer is read and afterwards", () =>
    Effect.gen(function*() {
      const views: Array<ReadonlyArray<unknown>> = []
      const look = Effect.map(seen, (view) => void views.push(view))
      const client = yield* doing(look)
      yield* ApiClient.execute(client, get, () => look)
      yield* look
      expect(views).toEqual([
        [{ redirect: "manual" }, true, "test GET /v1/things"],
        [undefined, false, "test GET /v1/things"],
        outside
      ])
    }))

  const steps = {
    "the request is sent": (wait: Effect.Effect<never>) =>
      Effect.flatMap(doing(wait), (client) => client.execute(get)),
    "the answer is read": (wait: Effect.Effect<never>) =>
      Effect.flatMap(
        clientOver(transport([reply(200)]).client),
        (client) => ApiClient.execute(client, get, () => wait)
      ),
    "the request is prepared": (wait: Effect.Effect<never>) =>
      Effect.flatMap(
        clientOver(transport([reply(200)]).client),
        (client) => HttpClient.mapRequestEffect(client, () => wait).execute(get)
      )
  }

  for (const [step, call] of Object.entries(steps)) {
    it.effect(`is gone when the call is interrupted while ${step}`, () =>
      Effect.gen(function*() {
        const { spans, tracer } = recorder()
        const views: Array<ReadonlyArray<unknown>> = []
        const fiber = yield* call(Effect.never).pipe(
          Effect.onInterrupt(() => Effect.map(seen, (view) => void views.push(view))),
          Effect.withTracer(tracer),
          Effect.fork
        )
        yield* settle
        expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
        expect(views).toEqual([outside])
        expect(spans.every(({ exit }) => exit !== undefined && Exit.isInterrupted(exit))).toBe(true)
      }))
  }

  it.effect("an interruption that comes with the answer ends the call and both spans", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const self = Effect.withFiberRuntime<void>((fiber) => {
        fiber.unsafeInterruptAsFork(fiber.id())
        return Effect.void
      })
      const client = yield* doing(Effect.uninterruptible(Effect.zipRight(self, Effect.yieldNow())))
      const fiber = yield* Effect.fork(
        Effect.withTracer(ApiClient.execute(client, get, ApiClient.text), tracer)
      )
      expect(Exit.isInterrupted(yield* Fiber.await(fiber))).toBe(true)
      expect(spans.map(({ exit }) => exit !== undefined && Exit.isInterrupted(exit))).toEqual([
        true,
        true
      ])
    }))

  it.effect("what the client below writes to a ref of its own stays written", () =>
    Effect.gen(function*() {
      const counter = FiberRef.unsafeMake(0)
      const client = yield* doing(FiberRef.set(counter, 1))
      yield* ApiClient.execute(client, get, () => FiberRef.update(counter, (n) => n + 1))
      expect(yield* FiberRef.get(counter)).toBe(2)
    }))
})

describe("with tracing off", () => {
  const off = Effect.withTracerEnabled(false)

  it.effect("no trace is named, since there is none", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200)])
      yield* off(client.execute(get))
      expect(sent.map(({ headers }) => Object.keys(headers))).toEqual([[]])
    }))

  it.effect("the headers of the caller's own trace stay", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200)])
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      yield* off(client.execute(HttpClientRequest.setHeader(get, "traceparent", traceparent)))
      expect(sent[0]?.headers["traceparent"]).toBe(traceparent)
    }))
})
