// @effect-diagnostics *:off
// What must not compile is written as a statement here, so only the compiler's own errors count.
import type { ConfigError, Duration, Layer, ParseResult, Stream } from "effect"
import { Config, Effect } from "effect"
import type {
  AdaptiveConcurrency,
  AdaptiveThrottle,
  Bulkhead,
  CircuitBreaker,
  Cooldown,
  RateLimiter,
  Rejection
} from "effect-resilience"
import {
  ApiError,
  Backoff,
  Chaos,
  IdempotencyKey,
  Operation,
  Pipeline,
  Timeout
} from "effect-resilience"
import { describe, expect, test } from "tstyche"

type Failures = ApiError.Auth | ApiError.Validation
type Post = Effect.Effect<{ id: string }, Failures>
declare const post: Post
declare const declare: <A>() => A

type Built<E, R = never> = Effect.Effect<Pipeline.Pipeline<E, R>>

class Sessions extends Pipeline.Tag("Sessions")<Sessions>()({
  operation: Operation.keyed,
  totalTimeout: "10 seconds",
  circuitBreaker: { minimumCalls: 3 },
  retry: { retries: 2, backoff: Backoff.constant("1 second"), verdict: (e) => ApiError.verdict(e) }
}) {}

describe("G41: the errors are those of the stages that are there", () => {
  test("each stage adds its own", () => {
    const operation = Operation.read
    expect(Pipeline.make({ operation })).type.toBe<Built<never>>()
    expect(Pipeline.make({ operation, telemetry: { integration: "things" } })).type.toBe<
      Built<never>
    >()
    expect(Pipeline.make({ operation, totalTimeout: "1 second" })).type.toBe<
      Built<ApiError.Timeout>
    >()
    expect(Pipeline.make({ operation, attemptTimeout: 1000 })).type.toBe<Built<ApiError.Timeout>>()
    expect(Pipeline.make({ operation, circuitBreaker: {} })).type.toBe<
      Built<CircuitBreaker.CircuitOpen>
    >()
    expect(Pipeline.make({ operation, throttle: {} })).type.toBe<
      Built<AdaptiveThrottle.Throttled>
    >()
    expect(Pipeline.make({ operation, rateLimiter: { limit: 1, interval: 1 } })).type.toBe<
      Built<RateLimiter.RateLimited | Rejection.QueueTimeout>
    >()
    expect(Pipeline.make({ operation, bulkhead: { concurrency: 1 } })).type.toBe<
      Built<Bulkhead.BulkheadFull | Rejection.QueueTimeout>
    >()
    expect(Pipeline.make({ operation, concurrency: {} })).type.toBe<
      Built<AdaptiveConcurrency.ConcurrencyLimited>
    >()
    expect(Pipeline.make({ operation, cooldown: {} })).type.toBe<
      Built<Cooldown.CoolingDown | Rejection.QueueTimeout>
    >()
    expect(Pipeline.make({ operation, chaos: { faults: [Chaos.latency(1)] } })).type.toBe<
      Built<ApiError.ApiError>
    >()
  })

  test("what only repeats or pays adds none", () => {
    const operation = Operation.read
    expect(Pipeline.make({ operation, hedge: { delay: "50 millis" } })).type.toBe<
      Built<never, never>
    >()
    expect(Pipeline.make({ operation, retry: {}, budget: {} })).type.toBe<Built<never>>()
  })

  test("several stages add the union, and instances the same as options", () => {
    const stages = {
      operation: Operation.read,
      rateLimiter: {} as RateLimiter.RateLimiter,
      bulkhead: {} as Bulkhead.Bulkhead,
      cooldown: {} as Cooldown.Cooldown,
      attemptTimeout: "1 second" as const
    }
    expect(Pipeline.make(stages)).type.toBe<
      Built<
        | RateLimiter.RateLimited
        | Bulkhead.BulkheadFull
        | Cooldown.CoolingDown
        | Rejection.QueueTimeout
        | ApiError.Timeout
      >
    >()
  })

  test("Rejection is all of them", () => {
    expect<Pipeline.Rejection>().type.toBe<
      | ApiError.ApiError
      | CircuitBreaker.CircuitOpen
      | AdaptiveThrottle.Throttled
      | RateLimiter.RateLimited
      | Bulkhead.BulkheadFull
      | AdaptiveConcurrency.ConcurrencyLimited
      | Cooldown.CoolingDown
      | Rejection.QueueTimeout
    >()
  })
})

describe("G41: a typo at any depth does not compile", () => {
  test("names of stages", () => {
    // @ts-expect-error 'totalTimout' does not exist
    Pipeline.make({ operation: Operation.read, totalTimout: "1 second" })
    // @ts-expect-error 'attemptTimeouts' does not exist
    Pipeline.Tag("X")()({ operation: Operation.read, attemptTimeouts: "1 second" })
    // @ts-expect-error Property 'operation' is missing
    Pipeline.make({ totalTimeout: "1 second" })
  })

  test("their options", () => {
    // @ts-expect-error 'retires' does not exist
    Pipeline.make({ operation: Operation.read, retry: { retries: 1, retires: 2 } })
    // @ts-expect-error 'hedge' does not exist
    Pipeline.make({ operation: Operation.read, hedge: { delay: 1, hedge: 2 } })
    // @ts-expect-error 'capacty' does not exist
    Pipeline.make({ operation: Operation.read, retry: {}, budget: { capacty: 2 } })
    Pipeline.make({
      operation: Operation.read,
      // @ts-expect-error 'rates' does not exist
      circuitBreaker: { slowCall: { duration: 1, rate: 1, rates: 1 } }
    })
    // @ts-expect-error 'queu' does not exist
    Pipeline.make({ operation: Operation.read, bulkhead: { concurrency: 1, queu: 1 } })
    // @ts-expect-error 'bursts' does not exist
    Pipeline.make({ operation: Operation.read, rateLimiter: { limit: 1, interval: 1, bursts: 1 } })
    // @ts-expect-error 'multiplyer' does not exist
    Pipeline.make({ operation: Operation.read, throttle: { multiplyer: 1 } })
    // @ts-expect-error 'maxwait' does not exist
    Pipeline.make({ operation: Operation.read, cooldown: { maxwait: 1 } })
  })

  test("nonsense of another type", () => {
    // @ts-expect-error is not assignable to type
    Pipeline.make({ operation: Operation.read, totalTimeout: "20 parsecs" })
    // @ts-expect-error 'operation' does not exist
    Pipeline.make({ operation: Operation.read, hedge: { delay: 1, operation: Operation.once } })
  })

  test("faults cannot change what a call succeeds with, nor fail with what is no ApiError", () => {
    // @ts-expect-error is not assignable to type
    Pipeline.make({ operation: Operation.read, chaos: { faults: [Chaos.outcome(() => 1)] } })
    // @ts-expect-error is not assignable to type
    Pipeline.make({ operation: Operation.read, chaos: { faults: [Chaos.failure(() => "no")] } })
  })
})

describe("G41: keyed demands the key", () => {
  type Protected<R = never> = Effect.Effect<
    { id: string },
    Failures | ApiError.Timeout | CircuitBreaker.CircuitOpen,
    R
  >

  test("in the pipeline's own type", () => {
    expect(Pipeline.make({ operation: Operation.keyed, totalTimeout: 1000 })).type.toBe<
      Built<ApiError.Timeout, IdempotencyKey.IdempotencyKey>
    >()
  })

  test("through a tag, beside the tag itself", () => {
    expect(post.pipe(Sessions.protect)).type.toBe<
      Protected<IdempotencyKey.IdempotencyKey | Sessions>
    >()
    expect(Sessions.protect(post)).type.toBe<Protected<IdempotencyKey.IdempotencyKey | Sessions>>()
    expect(post.pipe(Sessions.protect, IdempotencyKey.provideNew, Effect.provide(Sessions.layer)))
      .type.toBe<
      Protected
    >()
  })

  test("without one it does not run", () => {
    // @ts-expect-error Type 'IdempotencyKey' is not assignable to type 'never'
    Effect.runPromise(post.pipe(Sessions.protect, Effect.provide(Sessions.layer)))
    // @ts-expect-error Type 'Sessions' is not assignable to type 'never'
    Effect.runPromise(post.pipe(Sessions.protect, IdempotencyKey.provideNew))
  })

  test("a tag gives its pipeline, and its layer needs nothing", () => {
    expect(Sessions.layer).type.toBe<Layer.Layer<Sessions>>()
    expect<Effect.Effect.Success<typeof Sessions>>().type.toBe<
      Pipeline.Pipeline<
        ApiError.Timeout | CircuitBreaker.CircuitOpen,
        IdempotencyKey.IdempotencyKey
      >
    >()
    expect<Effect.Effect.Context<typeof Sessions>>().type.toBe<Sessions>()
  })
})

describe("Timeout", () => {
  type Limited = Effect.Effect<{ id: string }, Failures | ApiError.Timeout>

  test("both call styles add Timeout and nothing else", () => {
    expect(Timeout.attempt(post, "1 second")).type.toBe<Limited>()
    expect(Timeout.total(post, 1000, { detach: true })).type.toBe<Limited>()
    expect(post.pipe(Timeout.attempt("1 second"))).type.toBe<Limited>()
    expect(post.pipe(Timeout.total({} as Duration.Duration, { detach: true }))).type.toBe<Limited>()
  })

  test("a stored limit stays generic", () => {
    const stored = Timeout.attempt("1 second")
    expect(post.pipe(stored)).type.toBe<Limited>()
    expect(stored({} as Effect.Effect<number, never, "Env">)).type.toBe<
      Effect.Effect<number, ApiError.Timeout, "Env">
    >()
  })

  test("typos do not compile", () => {
    // @ts-expect-error 'detached' does not exist
    Timeout.attempt(post, "1 second", { detached: true })
    // @ts-expect-error is not assignable to parameter
    Timeout.total("1 parsec")
  })
})

describe("a policy in place of another", () => {
  test("may reject only with what the type of the pipeline declares", () => {
    const declared = Pipeline.make({
      operation: Operation.read,
      totalTimeout: "1 minute",
      circuitBreaker: {}
    })
    Effect.flatMap(declared, (pipeline) => {
      expect(
        Pipeline.reload(pipeline, {
          operation: Operation.read,
          retry: { retries: 2 },
          attemptTimeout: "1 second",
          circuitBreaker: {}
        })
      ).type.toBe<Effect.Effect<void, ParseResult.ParseError>>()
      expect(Pipeline.reload).type.not.toBeCallableWith(pipeline, {
        operation: Operation.read,
        bulkhead: { concurrency: 1 }
      })
      return Effect.void
    })
    Effect.flatMap(
      Pipeline.fromConfig({}, { operation: Operation.read }),
      (pipeline) => Pipeline.reload(pipeline, declare<Pipeline.Stages>())
    )
  })

  test("a layer of a policy that is read", () => {
    expect(Sessions.layerFrom(Config.string("SESSIONS"))).type.toBe<
      Layer.Layer<Sessions, ConfigError.ConfigError | ParseResult.ParseError>
    >()
    expect(Sessions.layerFrom(declare<Effect.Effect<unknown, "E", "R">>(), {
      reloadOn: declare<Stream.Stream<string, never, "S">>()
    })).type.toBe<Layer.Layer<Sessions, "E" | ParseResult.ParseError, "R" | "S">>()
    Sessions.layerFrom(
      Effect.succeed(
        { operation: Operation.keyed, attemptTimeout: "1 second", budget: {} } as const
      )
    )
    expect(Sessions.layerFrom).type.not.toBeCallableWith(
      Effect.succeed({ operation: Operation.keyed, bulkhead: { concurrency: 1 } } as const)
    )
  })
})
