// @effect-diagnostics *:off
// What must not compile is written as a statement here, so only the compiler's own errors count.
import type { HttpApiEndpoint, HttpClientError } from "@effect/platform"
import { HttpClient } from "@effect/platform"
import type { Cause, Duration, Layer, Option, ParseResult, Redacted } from "effect"
import { Effect, Schedule, Schema } from "effect"
import type { CircuitBreaker, Idempotency } from "effect-resilience"
import {
  ApiError,
  Backoff,
  IdempotencyKey,
  Operation,
  Pipeline,
  Playbook,
  Retry,
  RetryBudget,
  Schedules,
  Verdict
} from "effect-resilience"
import * as ApiClient from "effect-resilience/http/ApiClient"
import { describe, expect, test } from "tstyche"
import type { Busy } from "../support/errors.js"

type Post = Effect.Effect<{ id: string }, ApiError.Auth | ApiError.Validation>
declare const post: Post

class Boom {
  readonly _tag = "Boom"
  constructor(readonly n: number) {}
}
type Other = { readonly _tag: "Other" }
type Mine = Effect.Effect<number, Boom | Other, "Env">
declare const mine: Mine

describe("Retry", () => {
  test("data-last with a verdict: the error is typed, the key is demanded", () => {
    const retried = mine.pipe(
      Retry.retry({
        operation: Operation.keyed,
        verdict: (e) => e._tag === "Boom" && e.n > 1 ? Verdict.terminal : Verdict.transient()
      })
    )
    expect(retried).type.toBe<
      Effect.Effect<number, Boom | Other, "Env" | IdempotencyKey.IdempotencyKey>
    >()
  })

  test("a stored policy stays generic", () => {
    const stored = Retry.retry({ operation: Operation.read, retries: 1 })
    expect(stored).type.not.toBeCallableWith(mine)
    expect(post.pipe(stored)).type.toBe<Post>()
    const keyed = Retry.retry({ operation: Operation.keyed })
    expect(post.pipe(keyed)).type.toBe<
      Effect.Effect<
        { id: string },
        ApiError.Auth | ApiError.Validation,
        IdempotencyKey.IdempotencyKey
      >
    >()
  })

  test("data-first with a verdict", () => {
    const retried = Retry.retry(mine, {
      operation: Operation.read,
      verdict: (e) => e._tag === "Boom" ? Verdict.terminal : Verdict.transient()
    })
    expect(retried).type.toBe<Mine>()
  })

  test("data-first with keyed demands the key", () => {
    expect(
      Retry.retry(mine, { operation: Operation.keyed, verdict: ApiError.verdict })
    ).type.toBe<Effect.Effect<number, Boom | Other, "Env" | IdempotencyKey.IdempotencyKey>>()
  })

  test("R25: an error type that is not known needs a verdict, in both styles", () => {
    expect(Retry.retry).type.not.toBeCallableWith(mine, { operation: Operation.read })
    expect(Retry.retry).type.toBeCallableWith(post, { operation: Operation.read })
    expect<Retry.Known>().type.toBeAssignableFrom<
      | ApiError.ApiError
      | CircuitBreaker.CircuitOpen
      | Idempotency.IdempotencyError
      | HttpClientError.HttpClientError
      | Cause.TimeoutException
    >()
    expect<Retry.Known>().type.not.toBeAssignableFrom<Boom>()
  })

  test("R25: `byTag` knows the tags and their errors", () => {
    const verdict = Verdict.byTag<Boom | Other>({
      Boom: (error) => error.n > 1 ? Verdict.terminal : Verdict.transient()
    })
    expect(mine.pipe(Retry.retry({ operation: Operation.read, verdict }))).type.toBe<Mine>()
    expect(Verdict.byTag<Boom | Other>).type.not.toBeCallableWith({ Bom: Verdict.terminal })
  })

  test("the other operations add nothing to R", () => {
    expect(post.pipe(Retry.retry({ operation: Operation.read }))).type.toBe<Post>()
    expect(post.pipe(Retry.retry({ operation: Operation.idempotent }))).type.toBe<Post>()
    expect(post.pipe(Retry.retry({ operation: Operation.once }))).type.toBe<Post>()
  })

  test("the verdict's error is typed: a field that is not there does not compile", () => {
    // @ts-expect-error Property 'nonsense' does not exist
    mine.pipe(Retry.retry({ operation: Operation.read, verdict: (e) => e.nonsense }))
    // @ts-expect-error Property 'nonsense' does not exist
    Retry.retry(mine, { operation: Operation.read, verdict: (e) => e.nonsense })
  })

  test("the operation cannot be left out, and a typo does not compile", () => {
    // @ts-expect-error Property 'operation' is missing
    Retry.retry({ retries: 1 })
    // @ts-expect-error 'retires' does not exist
    Retry.retry({ operation: Operation.read, retires: 2 })
    // @ts-expect-error 'retires' does not exist
    Retry.retry(post, { operation: Operation.read, retires: 2 })
  })

  test("keyed without a key does not run, with one it does", () => {
    const call = post.pipe(Retry.retry({ operation: Operation.keyed }))
    // @ts-expect-error Type 'IdempotencyKey' is not assignable to type 'never'
    Effect.runPromise(call)
    // @ts-expect-error Type 'IdempotencyKey' is not assignable to type 'never'
    Effect.runPromise(Retry.retry(post, { operation: Operation.keyed }))
    expect(Effect.runPromise(call.pipe(IdempotencyKey.provideNew))).type.toBe<
      Promise<{ id: string }>
    >()
  })

  test("decide: a delay or a reason", () => {
    expect<Retry.Decision>().type.toBe<
      | { readonly _tag: "Retry"; readonly delayMillis: number }
      | {
        readonly _tag: "Stop"
        readonly reason:
          | "terminal"
          | "notRepeatable"
          | "retries"
          | "deadline"
          | "budget"
          | "rejected"
          | "retryAfter"
      }
    >()
    expect(
      Retry.decide({ operation: Operation.keyed }, {
        verdict: Verdict.terminal,
        attempt: 0,
        elapsedMillis: 0,
        previousMillis: 0,
        unit: 0
      })
    ).type.toBe<Retry.Decision>()
  })
})

describe("Schedules", () => {
  test("ordinary Effect schedules; the key is demanded there too", () => {
    const schedule = Schedules.cappedJitter().pipe(
      Schedules.whileTransient(Operation.keyed),
      Schedules.retries(2),
      Schedule.upTo("10 seconds")
    )
    expect(schedule).type.toBe<
      Schedule.Schedule<Duration.Duration, unknown, IdempotencyKey.IdempotencyKey>
    >()
    // @ts-expect-error Type 'IdempotencyKey' is not assignable to type 'never'
    Effect.runPromise(Effect.retry(post, schedule))
    expect(Effect.runPromise(Effect.retry(post, schedule).pipe(IdempotencyKey.provideNew))).type
      .toBe<
        Promise<{ id: string }>
      >()
  })

  test("the combinators keep output, input and environment", () => {
    const policy = Schedule.recurs(3).pipe(
      Schedules.honourRetryAfter({ cap: "10 seconds", beyondCap: "clamp" }),
      Schedules.whileTransient(Operation.read),
      Schedules.attempts(3),
      Schedules.within("1 minute")
    )
    expect(policy).type.toBe<Schedule.Schedule<number>>()
    expect(Effect.retry(post, policy)).type.toBe<Post>()
  })

  test("budgeted takes a budget and adds nothing", () => {
    const program = Effect.gen(function*() {
      const budget = yield* RetryBudget.make()
      return Schedules.cappedJitter({ base: "1 second" }).pipe(Schedules.budgeted(budget))
    })
    expect(program).type.toBe<Effect.Effect<Schedule.Schedule<Duration.Duration>>>()
  })

  test("poll counts", () => {
    expect(Schedules.poll({ every: "1 second", within: "1 minute" })).type.toBe<
      Schedule.Schedule<number>
    >()
  })
})

describe("Backoff and Operation", () => {
  test("a backoff is data and a schedule", () => {
    expect(Backoff.constant("1 second")).type.toBe<Backoff.Backoff>()
    expect(Backoff.schedule(Backoff.linear({ base: 5 }))).type.toBe<
      Schedule.Schedule<Duration.Duration>
    >()
    expect(Backoff.envelope(Backoff.decorrelated({ base: 1, cap: 2 }), 0)).type.toBe<
      { readonly min: Duration.Duration; readonly max: Duration.Duration }
    >()
  })

  test("decorrelated cannot do without a cap", () => {
    // @ts-expect-error Property 'cap' is missing
    Backoff.decorrelated({ base: "1 second" })
  })

  test("only keyed demands a key", () => {
    expect(Operation.read).type.toBe<Operation.Operation>()
    expect(Operation.idempotent).type.toBe<Operation.Operation>()
    expect(Operation.once).type.toBe<Operation.Operation>()
    expect(Operation.keyed).type.toBe<Operation.Operation<IdempotencyKey.IdempotencyKey>>()
    expect(Operation.keyed).type.not.toBeAssignableTo<Operation.Operation>()
  })
})

describe("RetryBudget", () => {
  test("its effects cannot fail and need nothing", () => {
    expect<RetryBudget.RetryBudget["withdraw"]>().type.toBe<Effect.Effect<boolean>>()
    expect<RetryBudget.RetryBudget["deposit"]>().type.toBe<Effect.Effect<void>>()
    expect<RetryBudget.RetryBudget["available"]>().type.toBe<Effect.Effect<number>>()
    expect(RetryBudget.make()).type.toBe<Effect.Effect<RetryBudget.RetryBudget>>()
    expect(RetryBudget.layer({ ratio: 0.2 })).type.toBe<Layer.Layer<RetryBudget.RetryBudget>>()
  })
})

describe("IdempotencyKey", () => {
  interface ApiSecret {
    readonly value: Redacted.Redacted<string>
  }
  type NeedsSecret = Effect.Effect<number, never, ApiSecret>
  const needsSecret = {} as NeedsSecret
  const key = {} as IdempotencyKey.IdempotencyKey

  test("it is branded: it provides nobody else's service", () => {
    expect(needsSecret.pipe(IdempotencyKey.provideNew)).type.toBe<NeedsSecret>()
    expect(needsSecret.pipe(IdempotencyKey.provide(key))).type.toBe<NeedsSecret>()
    expect({} as ApiSecret).type.not.toBeAssignableTo<IdempotencyKey.IdempotencyKey>()
  })

  test("both call styles of provide remove it from R", () => {
    const needsKey = Effect.as(IdempotencyKey.IdempotencyKey, 1)
    expect(needsKey).type.toBe<Effect.Effect<number, never, IdempotencyKey.IdempotencyKey>>()
    expect(IdempotencyKey.provide(needsKey, key)).type.toBe<Effect.Effect<number>>()
    expect(needsKey.pipe(IdempotencyKey.provide(key))).type.toBe<Effect.Effect<number>>()
    expect(IdempotencyKey.provideNew(needsKey)).type.toBe<Effect.Effect<number>>()
  })

  test("the constructors", () => {
    expect(IdempotencyKey.make).type.toBe<Effect.Effect<IdempotencyKey.IdempotencyKey>>()
    expect(IdempotencyKey.fromString("a")).type.toBe<
      Effect.Effect<IdempotencyKey.IdempotencyKey, ParseResult.ParseError>
    >()
    expect(IdempotencyKey.fromHeader("a")).type.toBe<
      Effect.Effect<IdempotencyKey.IdempotencyKey, ParseResult.ParseError>
    >()
    expect(IdempotencyKey.derive(key, "pay")).type.toBe<IdempotencyKey.IdempotencyKey>()
    expect(IdempotencyKey.kid(key)).type.toBe<Effect.Effect<string>>()
    expect(IdempotencyKey.toHeader(key, "quoted")).type.toBe<string>()
    expect(key.value).type.toBe<Redacted.Redacted<string>>()
    expect(key.madeAt).type.toBe<number>()
  })
})

describe("ApiError and Verdict", () => {
  test("errors are values to yield", () => {
    const limited = Effect.gen(function*() {
      return yield* new ApiError.RateLimit({ message: "slow down", status: 429 })
    })
    expect(limited).type.toBe<Effect.Effect<never, ApiError.RateLimit>>()
  })

  test("the union has exactly the ten tags", () => {
    expect<ApiError.ApiError["_tag"]>().type.toBe<
      | "Auth"
      | "Policy"
      | "Validation"
      | "NotFound"
      | "Conflict"
      | "Locked"
      | "RateLimit"
      | "Server"
      | "Timeout"
      | "Network"
    >()
    expect<typeof ApiError.ApiError.Type>().type.toBe<ApiError.ApiError>()
  })

  test("each carries its own fields", () => {
    expect<ApiError.RateLimit["retryAfter"]>().type.toBe<Duration.Duration | undefined>()
    expect<ApiError.Server["gateway"]>().type.toBe<boolean | undefined>()
    expect<ApiError.Conflict["inFlight"]>().type.toBe<boolean>()
    expect<ApiError.Timeout["deadline"]>().type.toBe<"attempt" | "total" | "server">()
    expect<ApiError.Network["sent"]>().type.toBe<"no" | "unknown">()
    expect<ApiError.Validation["issues"]>().type.toBe<
      ReadonlyArray<{ readonly path: string; readonly message: string }>
    >()
    expect<ApiError.Auth["repeat"]>().type.toBe<"never" | "transient" | undefined>()
    expect<ApiError.Auth["retryAfter"]>().type.toBe<Duration.Duration | undefined>()
  })

  test("what a value must say cannot be left out", () => {
    // @ts-expect-error Property 'message' is missing
    void new ApiError.Auth({ status: 401 })
    // @ts-expect-error Property 'deadline' is missing
    void new ApiError.Timeout({ message: "slow" })
    // @ts-expect-error Property 'sent' is missing
    void new ApiError.Network({ message: "reset" })
  })

  test("isApiError narrows, verdict takes anything", () => {
    const unknown: unknown = {}
    if (ApiError.isApiError(unknown)) expect(unknown).type.toBe<ApiError.ApiError>()
    expect(ApiError.verdict).type.toBeCallableWith(unknown)
    expect(ApiError.verdict(unknown)).type.toBe<Verdict.Verdict>()
  })

  test("a verdict has three cases", () => {
    expect<Verdict.Verdict["_tag"]>().type.toBe<"Transient" | "Terminal" | "Rejected">()
    expect<Extract<Verdict.Verdict, { _tag: "Rejected" }>["retryAfter"]>().type.toBe<
      Option.Option<Duration.Duration>
    >()
  })

  test("each class can be declared by an endpoint", () => {
    const endpoint = {} as HttpApiEndpoint.HttpApiEndpoint<"x", "GET">
    expect(endpoint.addError).type.toBeCallableWith(ApiError.Conflict)
    expect(endpoint.addError).type.toBeCallableWith(ApiError.Policy, { status: 402 })
  })
})

describe("Playbook", () => {
  test("overrides are partial, entries are whole", () => {
    expect(Playbook.extend(Playbook.standard, { name: "mine" })).type.toBe<Playbook.Playbook>()
    expect(Playbook.lookup(Playbook.standard, 404)).type.toBe<Playbook.Entry>()
    // @ts-expect-error Type '"Nope"' is not assignable
    Playbook.extend(Playbook.standard, { byCode: { a: { tag: "Nope" } } })
    // @ts-expect-error missing the following properties
    Playbook.extend(Playbook.standard, { byStatus: { 404: { tag: "NotFound" } } })
  })
})

describe("Pipeline", () => {
  type Keyed = Pipeline.Pipeline<Busy, IdempotencyKey.IdempotencyKey>
  const pipeline = {} as Keyed

  test("stages that cannot reject add nothing", () => {
    expect(Pipeline.make({ operation: Operation.read, retry: { retries: 1 } })).type.toBe<
      Effect.Effect<Pipeline.Pipeline<never, never>>
    >()
    expect(Pipeline.make({ operation: Operation.read })).type.toBe<
      Effect.Effect<Pipeline.Pipeline<never, never>>
    >()
    expect(Pipeline.make({ operation: Operation.read, budget: { ratio: 0.2 } })).type.toBe<
      Effect.Effect<Pipeline.Pipeline<never, never>>
    >()
  })

  test("keyed demands the key", () => {
    expect(
      Pipeline.make({
        operation: Operation.keyed,
        retry: {
          retries: 2,
          backoff: Backoff.constant("1 second"),
          verdict: (e) => ApiError.verdict(e)
        }
      })
    ).type.toBe<Effect.Effect<Pipeline.Pipeline<never, IdempotencyKey.IdempotencyKey>>>()
  })

  test("a typo at any depth does not compile", () => {
    // @ts-expect-error 'retires' does not exist
    Pipeline.make({ operation: Operation.read, retry: { retries: 1, retires: 2 } })
    // @ts-expect-error 'retrry' does not exist
    Pipeline.make({ operation: Operation.read, retrry: { retries: 1 } })
    // @ts-expect-error 'ration' does not exist
    Pipeline.make({ operation: Operation.read, budget: { ratio: 0.1, ration: 0.2 } })
  })

  test("the operation cannot be left out", () => {
    // @ts-expect-error Property 'operation' is missing
    Pipeline.make({ retry: { retries: 1 } })
  })

  type Protected = Effect.Effect<
    { id: string },
    ApiError.Auth | ApiError.Validation | Busy,
    IdempotencyKey.IdempotencyKey
  >

  test("protect, both call styles: the errors and the needs are joined", () => {
    expect(post.pipe(Pipeline.protect(pipeline))).type.toBe<Protected>()
    expect(Pipeline.protect(post, pipeline)).type.toBe<Protected>()
  })

  test("protect takes a key in both call styles", () => {
    expect(post.pipe(Pipeline.protect(pipeline, { key: "a" }))).type.toBe<Protected>()
    expect(Pipeline.protect(post, pipeline, { key: "a" })).type.toBe<Protected>()
  })

  test("handled by tag, the tag is gone", () => {
    const handled = post.pipe(
      Pipeline.protect(pipeline),
      IdempotencyKey.provideNew,
      Effect.catchTags({
        Busy: () => Effect.succeed({ id: "later" }),
        Validation: () => Effect.succeed({ id: "" })
      })
    )
    expect(handled).type.toBeAssignableTo<Effect.Effect<{ id: string }, ApiError.Auth>>()
    expect<Effect.Effect.Error<typeof handled>>().type.toBe<ApiError.Auth>()
    expect<Effect.Effect.Context<typeof handled>>().type.toBe<never>()
  })

  test("keyed without a key does not run", () => {
    // @ts-expect-error Type 'IdempotencyKey' is not assignable to type 'never'
    Effect.runPromise(post.pipe(Pipeline.protect(pipeline)))
  })
})

describe("ApiClient", () => {
  const pipeline = {} as Pipeline.Pipeline<Busy, IdempotencyKey.IdempotencyKey>

  test("its errors are ours, those of its pipeline, and an unknown outcome", () => {
    const call = ApiClient.make({ name: "x", baseUrl: "https://api.example.com", pipeline }).pipe(
      Effect.flatMap((client) => client.get("/x")),
      Effect.catchTag("Busy", () => Effect.succeed(null))
    )
    expect<Effect.Effect.Error<typeof call>>().type.toBe<
      ApiError.ApiError | Idempotency.UnknownOutcome
    >()
  })

  test("a keyed pipeline does not make the client demand a key: it derives the operation per request", () => {
    expect(ApiClient.make({ name: "x", baseUrl: "https://api.example.com", pipeline })).type.toBe<
      Effect.Effect<
        HttpClient.HttpClient.With<ApiError.ApiError | Busy | Idempotency.UnknownOutcome>,
        never,
        HttpClient.HttpClient
      >
    >()
  })

  test("without a pipeline there is nothing to reject", () => {
    expect(ApiClient.make({ name: "x", baseUrl: "https://api.example.com" })).type.toBe<
      Effect.Effect<
        HttpClient.HttpClient.With<ApiError.ApiError | Idempotency.UnknownOutcome>,
        never,
        HttpClient.HttpClient
      >
    >()
  })

  test("the layer gives an ordinary HttpClient", () => {
    expect(ApiClient.layer({ name: "x", baseUrl: "https://api.example.com", pipeline })).type.toBe<
      Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient>
    >()
  })

  test("a typo in the options does not compile", () => {
    // @ts-expect-error Type '""' is not assignable to type '"use baseUrl"'
    ApiClient.make({ name: "x", baseUrl: "https://api.example.com", baseURL: "" })
    // @ts-expect-error Property 'name' is missing
    ApiClient.make({ baseUrl: "https://api.example.com" })
  })

  test("combinators keep the effect's type; an operation that needs a key asks for it", () => {
    expect(post.pipe(ApiClient.withEndpoint("/v1/sessions/:id"))).type.toBe<Post>()
    expect(post.pipe(ApiClient.withOperation(Operation.idempotent))).type.toBe<Post>()
    expect(post.pipe(ApiClient.withOperation(Operation.keyed))).type.toBe<
      Effect.Effect<
        { id: string },
        ApiError.Auth | ApiError.Validation,
        IdempotencyKey.IdempotencyKey
      >
    >()
  })

  test("json decodes with the schema and fails as ours", () => {
    const body = HttpClient.get("/x").pipe(
      Effect.flatMap(ApiClient.json(Schema.Struct({ id: Schema.String })))
    )
    expect<Effect.Effect.Success<typeof body>>().type.toBe<{ readonly id: string }>()
    expect<
      ReturnType<
        ReturnType<typeof ApiClient.json<{ readonly id: string }, { readonly id: string }, never>>
      >
    >()
      .type.toBe<Effect.Effect<{ readonly id: string }, ApiError.ApiError>>()
  })
})
