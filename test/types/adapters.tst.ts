// @effect-diagnostics *:off
// The diagnostics of the language service are not what is tested here.
import {
  HttpApi,
  HttpApiClient,
  HttpApiEndpoint,
  HttpApiGroup,
  type HttpClient
} from "@effect/platform"
import { Rpc, type RpcClient, type RpcClientError, RpcGroup } from "@effect/rpc"
import type { SqlError } from "@effect/sql/SqlError"
import { type Effect, type Layer, Schema, type Stream } from "effect"
import {
  type ApiError,
  type CircuitBreaker,
  type Idempotency,
  type IdempotencyKey,
  type IdempotencyStore,
  Operation,
  type Pipeline,
  Retry
} from "effect-resilience"
import * as IdempotencyApi from "effect-resilience/http/IdempotencyApi"
import * as ProtectedRpc from "effect-resilience/http/Rpc"
import * as SqlVerdict from "effect-resilience/store/SqlVerdict"
import { describe, expect, it } from "tstyche"

declare const any: <A>() => A

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}

class Shop extends RpcGroup.make(
  Rpc.make("Charge", {
    payload: { cents: Schema.Number },
    success: Schema.String,
    error: Declined
  }),
  Rpc.make("Watch", { success: Schema.Number, stream: true })
).merge(RpcGroup.make(Rpc.make("Get", { success: Schema.Boolean })).prefix("orders.")) {}

type Client = RpcClient.FromGroup<typeof Shop, RpcClientError.RpcClientError>
type Guards = Pipeline.Pipeline<CircuitBreaker.CircuitOpen, IdempotencyKey.IdempotencyKey>

describe("Rpc.protect", () => {
  const client = ProtectedRpc.protect(any<Client>(), Shop, {
    pipeline: any<Guards>(),
    operation: (tag) => tag === "Charge" ? Operation.keyed : Operation.read
  })

  it("keeps the methods, and replaces the failure of the transport", () => {
    expect(client.Charge({ cents: 1 })).type.toBe<
      Effect.Effect<string, Declined | ApiError.ApiError | CircuitBreaker.CircuitOpen>
    >()
    expect(client.orders.Get()).type.toBe<
      Effect.Effect<boolean, ApiError.ApiError | CircuitBreaker.CircuitOpen>
    >()
    expect(client.Watch()).type.toBe<
      Stream.Stream<number, ApiError.ApiError | CircuitBreaker.CircuitOpen>
    >()
  })

  it("is the same data-last", () => {
    const protect = ProtectedRpc.protect(Shop, {
      pipeline: any<Guards>(),
      operation: () => Operation.read
    })
    expect(protect(any<Client>())).type.toBe<typeof client>()
  })

  it("knows the tags of the group", () => {
    ProtectedRpc.protect(any<Client>(), Shop, {
      pipeline: any<Guards>(),
      operation: (tag) => {
        expect(tag).type.toBe<"Charge" | "Watch" | "orders.Get">()
        return Operation.read
      }
    })
  })

  it("does not compile without an operation", () => {
    expect(ProtectedRpc.protect).type.not.toBeCallableWith(any<Client>(), Shop, {
      pipeline: any<Guards>()
    })
  })
})

class Orders extends HttpApiGroup.make("orders").add(
  HttpApiEndpoint.post("create", "/orders")
    .setHeaders(IdempotencyApi.Headers)
    .addSuccess(Schema.Number)
    .middleware(IdempotencyApi.IdempotencyApi)
) {}
class Api extends HttpApi.make("api").add(Orders).addError(Declined) {}

describe("IdempotencyApi", () => {
  const create = any<Effect.Effect.Success<ReturnType<typeof makeClient>>>().orders.create
  const makeClient = () => HttpApiClient.make(Api)

  it("makes the refusals errors of the endpoint", () => {
    const called = create({ headers: { "idempotency-key": any<IdempotencyKey.IdempotencyKey>() } })
    expect<
      | Idempotency.InFlight
      | Idempotency.Mismatch
      | Idempotency.StoreUnavailable
      | Idempotency.UnknownOutcome
      | Idempotency.ResultUnavailable
      | Idempotency.CorruptRecord
      | IdempotencyApi.KeyMissing
      | IdempotencyApi.KeyInvalid
      | IdempotencyApi.TooLarge
    >().type.toBe<IdempotencyApi.Failure>()
    expect<IdempotencyApi.Failure>().type.toBeAssignableTo<Effect.Effect.Error<typeof called>>()
  })

  it("with its headers, a client cannot be called without a key", () => {
    expect(create).type.not.toBeCallableWith({})
    expect(create).type.not.toBeCallableWith({ headers: { "idempotency-key": "a text" } })
  })

  it("the layer needs the store, and a scope that fails only with errors of the api", () => {
    expect(IdempotencyApi.layer(Api, { scope: () => ["shop"] })).type.toBe<
      Layer.Layer<IdempotencyApi.IdempotencyApi, never, IdempotencyStore.IdempotencyStore>
    >()
    expect(IdempotencyApi.layer).type.toBeCallableWith(Api, {
      scope: () => any<Effect.Effect<ReadonlyArray<string>, Declined>>()
    })
    expect(IdempotencyApi.layer).type.not.toBeCallableWith(Api, {
      scope: () => any<Effect.Effect<ReadonlyArray<string>, Error>>()
    })
    expect(
      IdempotencyApi.layer(Api, {
        scope: () => any<Effect.Effect<ReadonlyArray<string>, never, HttpClient.HttpClient>>()
      })
    ).type.toBe<
      Layer.Layer<
        IdempotencyApi.IdempotencyApi,
        never,
        IdempotencyStore.IdempotencyStore | HttpClient.HttpClient
      >
    >()
  })
})

describe("SqlVerdict", () => {
  it("fits a retry of any error", () => {
    expect(
      Retry.retry(any<Effect.Effect<number, SqlError | Declined>>(), {
        operation: Operation.once,
        verdict: SqlVerdict.verdict
      })
    ).type.toBe<Effect.Effect<number, SqlError | Declined>>()
  })

  it("failures adds the failure that was a defect", () => {
    expect(SqlVerdict.failures(any<Effect.Effect<number, Declined>>())).type.toBe<
      Effect.Effect<number, SqlError | Declined>
    >()
  })
})
