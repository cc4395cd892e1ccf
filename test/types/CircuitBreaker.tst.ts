// @effect-diagnostics *:off
// What must not compile is written as a statement here, so only the compiler's own errors count.
import type { HttpClient } from "@effect/platform"
import type { Duration, Exit, Option, ParseResult, Scope, Stream } from "effect"
import { Effect, Layer } from "effect"
import type { Idempotency, Rejection } from "effect-resilience"
import {
  ApiClient,
  ApiError,
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Operation,
  Pipeline,
  Retry
} from "effect-resilience"
import { describe, expect, test } from "tstyche"

type Failures = ApiError.Auth | ApiError.Validation
type Post = Effect.Effect<{ id: string }, Failures>
declare const post: Post
declare const mine: Effect.Effect<number, { readonly _tag: "Boom"; readonly n: number }, "Env">
declare const breaker: CircuitBreaker.CircuitBreaker

class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
class Search extends CircuitBreaker.Tag("Search")<Search>() {}

type Protected<R = never> = Effect.Effect<{ id: string }, Failures | CircuitBreaker.CircuitOpen, R>

describe("protect", () => {
  test("data-first and data-last add CircuitOpen and nothing else", () => {
    expect(breaker.protect(post)).type.toBe<Protected>()
    expect(breaker.protect(post, {})).type.toBe<Protected>()
    expect(breaker.protect(post, { key: "eu" })).type.toBe<Protected>()
    expect(post.pipe(breaker.protect())).type.toBe<Protected>()
    expect(post.pipe(breaker.protect({}))).type.toBe<Protected>()
    expect(post.pipe(breaker.protect({ key: "eu" }))).type.toBe<Protected>()
  })

  test("the environment of the effect is kept", () => {
    type Mine = Effect.Effect<
      number,
      { readonly _tag: "Boom"; readonly n: number } | CircuitBreaker.CircuitOpen,
      "Env"
    >
    expect(breaker.protect(mine)).type.toBe<Mine>()
    expect(mine.pipe(breaker.protect({ key: "eu" }))).type.toBe<Mine>()
    expect(mine.pipe(breaker.protect({ classify: () => CircuitBreaker.ignored }))).type.toBe<Mine>()
  })

  test("a stored protection stays generic", () => {
    const stored = breaker.protect({ key: "eu" })
    expect(post.pipe(stored)).type.toBe<Protected>()
    expect(Effect.succeed(1).pipe(stored)).type.toBe<
      Effect.Effect<number, CircuitBreaker.CircuitOpen>
    >()
  })

  test("classify sees the value and the failure, typed, in both call styles", () => {
    const last = post.pipe(breaker.protect({
      classify: (exit) => {
        expect(exit).type.toBe<Exit.Exit<{ id: string }, Failures>>()
        return exit._tag === "Success" && exit.value.id === ""
          ? CircuitBreaker.failure()
          : CircuitBreaker.success
      }
    }))
    expect(last).type.toBe<Protected>()
    const first = breaker.protect(post, {
      key: "eu",
      classify: (exit) => {
        expect(exit).type.toBe<Exit.Exit<{ id: string }, Failures>>()
        return exit._tag === "Success" && exit.value.id === ""
          ? CircuitBreaker.failure()
          : CircuitBreaker.success
      }
    })
    expect(first).type.toBe<Protected>()
    const wrong: CircuitBreaker.ProtectOptions<{ id: string }, Failures> = {
      // @ts-expect-error Property 'nonsense' does not exist
      classify: (exit) => exit._tag === "Success" ? exit.value.nonsense : CircuitBreaker.success
    }
    expect(breaker.protect(post, wrong)).type.toBe<Protected>()
    // @ts-expect-error Type 'string' is not assignable to type 'Outcome'
    breaker.protect(post, { classify: () => "no outcome" })
  })

  test("typos do not compile", () => {
    // @ts-expect-error 'kye' does not exist
    breaker.protect(post, { kye: "eu" })
    // @ts-expect-error No overload matches this call
    breaker.protect({ kye: "eu" })
  })

  test("CircuitOpen is caught by its tag, and says key and time", () => {
    const handled = post.pipe(
      breaker.protect({ key: "eu" }),
      Effect.catchTag("CircuitOpen", (error) => {
        expect(error.key).type.toBe<string>()
        expect(error.retryAfter).type.toBe<Duration.Duration>()
        return Effect.succeed({ id: error.key })
      })
    )
    expect(handled).type.toBeAssignableTo<Post>()
    expect<Effect.Effect.Error<typeof handled>>().type.toBe<Failures>()
    expect<CircuitBreaker.CircuitOpen>().type.toBeAssignableTo<Rejection.Rejection>()
    expect<CircuitBreaker.CircuitOpen["_tag"]>().type.toBe<"CircuitOpen">()
  })
})

describe("several breakers", () => {
  test("each protection demands its own tag", () => {
    const b1 = post.pipe(Payments.protect({ key: "eu" }))
    expect(b1).type.toBe<Protected<Payments>>()
    const b2 = post.pipe(
      Search.protect({
        classify: (exit) =>
          exit._tag === "Success" && exit.value.id === ""
            ? CircuitBreaker.failure()
            : CircuitBreaker.success
      })
    )
    expect(b2).type.toBe<Protected<Search>>()
    const both = Effect.zip(b1, b2).pipe(
      Effect.provide(Layer.mergeAll(Payments.layer({ minimumCalls: 3 }), Search.layer()))
    )
    expect<Effect.Effect.Context<typeof both>>().type.toBe<never>()
    const half = Effect.zip(b1, b2).pipe(Effect.provide(Payments.layer()))
    expect<Effect.Effect.Context<typeof half>>().type.toBe<Search>()
  })

  test("both call styles", () => {
    expect(Payments.protect(post)).type.toBe<Protected<Payments>>()
    expect(Payments.protect(post, { key: "eu" })).type.toBe<Protected<Payments>>()
    expect(post.pipe(Payments.protect())).type.toBe<Protected<Payments>>()
    expect(
      Payments.protect(post, {
        classify: (exit) =>
          exit._tag === "Success" && exit.value.id === ""
            ? CircuitBreaker.failure()
            : CircuitBreaker.success
      })
    ).type.toBe<Protected<Payments>>()
  })

  test("layers and services", () => {
    expect(Payments.layer()).type.toBe<Layer.Layer<Payments>>()
    expect(Payments.layer({ minimumCalls: 3 })).type.toBe<Layer.Layer<Payments>>()
    expect<Effect.Effect.Success<typeof Payments>>().type.toBe<CircuitBreaker.CircuitBreaker>()
    expect<Effect.Effect.Context<typeof Payments>>().type.toBe<Payments>()
    // @ts-expect-error 'minimumCall' does not exist
    Payments.layer({ minimumCall: 3 })
  })

  test("the default tag", () => {
    const viaDefault = CircuitBreaker.protect(post)
    expect<Effect.Effect.Context<typeof viaDefault>>().type.toBe<CircuitBreaker.CircuitBreaker>()
    expect(viaDefault).type.toBe<Protected<CircuitBreaker.CircuitBreaker>>()
    expect(post.pipe(CircuitBreaker.protect({ key: "eu" }))).type.toBe<
      Protected<CircuitBreaker.CircuitBreaker>
    >()
    expect(post.pipe(CircuitBreaker.protect())).type.toBe<
      Protected<CircuitBreaker.CircuitBreaker>
    >()
    expect(viaDefault.pipe(Effect.provide(CircuitBreaker.layer()))).type.toBe<Protected>()
    expect(CircuitBreaker.layer({ minimumCalls: 3 })).type.toBe<
      Layer.Layer<CircuitBreaker.CircuitBreaker>
    >()
    // @ts-expect-error Type 'CircuitBreaker' is not assignable to type 'never'
    Effect.runPromise(viaDefault)
  })
})

describe("the service", () => {
  test("what it can be asked and told", () => {
    expect(CircuitBreaker.make()).type.toBe<Effect.Effect<CircuitBreaker.CircuitBreaker>>()
    expect(breaker.state()).type.toBeAssignableTo<Effect.Effect<CircuitBreaker.State>>()
    expect(breaker.state("eu")).type.toBeAssignableTo<Effect.Effect<CircuitBreaker.State>>()
    expect(breaker.snapshot("eu")).type.toBe<Effect.Effect<CircuitBreaker.Snapshot>>()
    expect(breaker.transitions).type.toBe<Stream.Stream<CircuitBreaker.Transition>>()
    expect(breaker.isolate("eu")).type.toBe<Effect.Effect<void, never, Scope.Scope>>()
    expect(breaker.forceOpen()).type.toBe<Effect.Effect<void>>()
    expect(breaker.forceClosed("eu")).type.toBe<Effect.Effect<void>>()
    expect(breaker.disable()).type.toBe<Effect.Effect<void>>()
    expect(breaker.reset()).type.toBe<Effect.Effect<void>>()
    expect(breaker.exportState).type.toBe<Effect.Effect<unknown>>()
    expect(breaker.importState({})).type.toBe<Effect.Effect<void, ParseResult.ParseError>>()
  })

  test("state, snapshot and transition", () => {
    expect<CircuitBreaker.State>().type.toBe<
      "Closed" | "Open" | "HalfOpen" | "Isolated" | "ForcedOpen" | "ForcedClosed" | "Disabled"
    >()
    expect<CircuitBreaker.Snapshot>().type.toBe<{
      readonly key: string
      readonly state: CircuitBreaker.State
      readonly calls: number
      readonly failures: number
      readonly slow: number
      readonly failureRate: Option.Option<number>
      readonly slowRate: Option.Option<number>
      readonly inFlight: number
      readonly rejected: number
      readonly openings: number
      readonly retryAfter: Option.Option<Duration.Duration>
    }>()
    expect<CircuitBreaker.Transition>().type.toBeAssignableTo<{
      readonly key: string
      readonly from: CircuitBreaker.State
      readonly to: CircuitBreaker.State
      readonly at: number
      readonly retryAfter?: Duration.Duration | undefined
    }>()
  })

  test("windows, half-open modes and outcomes are values", () => {
    expect(CircuitBreaker.count(20)).type.toBe<CircuitBreaker.Window>()
    expect(CircuitBreaker.time("1 minute", { buckets: 6 })).type.toBe<CircuitBreaker.Window>()
    expect(CircuitBreaker.consecutive(3)).type.toBe<CircuitBreaker.HalfOpen>()
    expect(CircuitBreaker.rate({ trials: 3, threshold: 0.5 })).type.toBe<CircuitBreaker.HalfOpen>()
    expect(CircuitBreaker.success).type.toBeAssignableTo<CircuitBreaker.Outcome>()
    expect(CircuitBreaker.failure({ retryAfter: "1 second" })).type.toBeAssignableTo<
      CircuitBreaker.Outcome
    >()
    expect(CircuitBreaker.ignored).type.toBeAssignableTo<CircuitBreaker.Outcome>()
    expect(CircuitBreaker.classify).type.toBeCallableWith({} as Exit.Exit<number, string>)
  })

  test("options: all of them, and typos at any depth", () => {
    const options: CircuitBreaker.Options = {
      window: { _tag: "Count", size: 20 },
      minimumCalls: 10,
      failureRate: 0.5,
      slowCall: { duration: "3 seconds", rate: 0.6 },
      openDuration: Backoff.exponential({ base: "1 second" }),
      maxOpenDuration: "5 minutes",
      halfOpen: { _tag: "Consecutive", trials: 3 },
      trialTimeout: 10_000,
      idleTimeToLive: "1 hour",
      classify: (exit) =>
        exit._tag === "Success" ? CircuitBreaker.success : CircuitBreaker.failure()
    }
    expect(CircuitBreaker.make(options)).type.toBe<Effect.Effect<CircuitBreaker.CircuitBreaker>>()
    expect(CircuitBreaker.make({ slowCall: false, openDuration: "30 seconds" })).type.toBe<
      Effect.Effect<CircuitBreaker.CircuitBreaker>
    >()
    // @ts-expect-error 'minimumCall' does not exist
    CircuitBreaker.make({ minimumCall: 3 })
    // @ts-expect-error 'rates' does not exist
    CircuitBreaker.make({ slowCall: { duration: "3 seconds", rate: 0.6, rates: 1 } })
    // @ts-expect-error Type 'true' is not assignable
    CircuitBreaker.make({ slowCall: true })
    // @ts-expect-error is not assignable to type
    CircuitBreaker.make({ openDuration: "30 parsecs" })
  })
})

describe("in a pipeline", () => {
  test("a breaker adds CircuitOpen, by instance and by options", () => {
    type Built = Effect.Effect<Pipeline.Pipeline<CircuitBreaker.CircuitOpen>>
    expect(Pipeline.make({ operation: Operation.read, circuitBreaker: breaker })).type.toBe<Built>()
    expect(Pipeline.make({ operation: Operation.read, circuitBreaker: { minimumCalls: 3 } })).type
      .toBe<Built>()
    expect(Pipeline.make({ operation: Operation.keyed, retry: { retries: 1 }, circuitBreaker: {} }))
      .type.toBe<
      Effect.Effect<Pipeline.Pipeline<CircuitBreaker.CircuitOpen, IdempotencyKey.IdempotencyKey>>
    >()
  })

  test("without one there is nothing to catch", () => {
    expect(Pipeline.make({ operation: Operation.read, retry: { retries: 1 } })).type.toBe<
      Effect.Effect<Pipeline.Pipeline<never, never>>
    >()
  })

  test("typos in its options do not compile", () => {
    // @ts-expect-error 'minimumCall' does not exist
    Pipeline.make({ operation: Operation.read, circuitBreaker: { minimumCall: 3 } })
    // @ts-expect-error 'circuitbreaker' does not exist
    Pipeline.make({ operation: Operation.read, circuitbreaker: {} })
  })

  test("protected and handled by tag", () => {
    const p1 = {} as Pipeline.Pipeline<CircuitBreaker.CircuitOpen, IdempotencyKey.IdempotencyKey>
    const handled = post.pipe(
      Pipeline.protect(p1, { key: "a" }),
      IdempotencyKey.provideNew,
      Effect.catchTags({
        CircuitOpen: (e) => Effect.succeed({ id: e.key }),
        Validation: () => Effect.succeed({ id: "" })
      })
    )
    expect(handled).type.toBeAssignableTo<Effect.Effect<{ id: string }, ApiError.Auth, never>>()
    expect<Effect.Effect.Error<typeof handled>>().type.toBe<ApiError.Auth>()
    expect<Effect.Effect.Context<typeof handled>>().type.toBe<never>()
    expect(Pipeline.protect(post, p1, { key: "a" })).type.toBe<
      Protected<IdempotencyKey.IdempotencyKey>
    >()
  })

  test("retry keeps CircuitOpen, and its verdict sees it", () => {
    const retried = breaker.protect(post).pipe(
      Retry.retry({
        operation: Operation.read,
        verdict: (error) => {
          expect(error).type.toBe<Failures | CircuitBreaker.CircuitOpen>()
          return ApiError.verdict(error)
        }
      })
    )
    expect(retried).type.toBe<Protected>()
  })
})

describe("in a client", () => {
  const pipeline = {} as Pipeline.Pipeline<
    CircuitBreaker.CircuitOpen,
    IdempotencyKey.IdempotencyKey
  >

  test("its pipeline's CircuitOpen is one of its errors, and is gone when caught", () => {
    const c1 = ApiClient.make({ name: "x", baseUrl: "https://api.example.com", pipeline }).pipe(
      Effect.flatMap((c) => c.get("/x")),
      Effect.catchTag("CircuitOpen", () => Effect.succeed(null))
    )
    expect<Effect.Effect.Error<typeof c1>>().type.toBe<
      ApiError.ApiError | Idempotency.UnknownOutcome
    >()
    expect(ApiClient.make({ name: "x", baseUrl: "https://api.example.com", pipeline })).type.toBe<
      Effect.Effect<
        HttpClient.HttpClient.With<
          ApiError.ApiError | CircuitBreaker.CircuitOpen | Idempotency.UnknownOutcome
        >,
        never,
        HttpClient.HttpClient
      >
    >()
  })

  test("the key of its circuits is one of two", () => {
    const options = { name: "x", baseUrl: "https://api.example.com", pipeline }
    ApiClient.make({ ...options, circuitKey: "origin" })
    ApiClient.make({ ...options, circuitKey: "endpoint" })
    ApiClient.layer({ ...options, circuitKey: "endpoint" })
    // @ts-expect-error Type '"host"' is not assignable to type
    ApiClient.make({ ...options, circuitKey: "host" })
  })
})
