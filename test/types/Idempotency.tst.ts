// @effect-diagnostics *:off
// What must not compile is written as a statement here, so only the compiler's own errors count.
import type { Duration, Option } from "effect"
import { Effect, Redacted, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { describe, expect, test } from "tstyche"

class Declined extends Schema.TaggedError<Declined>()("Declined", { why: Schema.String }) {}
class Net extends Schema.TaggedError<Net>()("Net", {}) {}
const Receipt = Schema.Struct({ id: Schema.String })
declare const charge: Effect.Effect<{ id: string; extra: number }, Declined | Net, "Env">

type Charged = Effect.Effect<
  { readonly id: string },
  Declined | Net | Idempotency.IdempotencyError,
  "Env" | IdempotencyKey.IdempotencyKey | IdempotencyStore.IdempotencyStore
>

const options = { scope: ["t"], payload: 1, result: Receipt } as const

describe("run", () => {
  test("work first: the result is what the schema says, the errors are the work's and ours", () => {
    const run = Idempotency.run(charge, {
      scope: ["t"],
      payload: 1,
      result: Receipt,
      persistFailure: Declined
    })
    expect(run).type.toBe<Charged>()
  })

  test("work last", () => {
    const run = charge.pipe(
      Idempotency.run({ scope: ["t"], payload: 1, result: Receipt, persistFailure: Declined })
    )
    expect(run).type.toBe<Charged>()
  })

  test("the function form, in both call styles", () => {
    const run = Idempotency.run((run) => run.recovered ? Effect.fail(new Net()) : charge, options)
    expect(run).type.toBe<Charged>()
    expect(
      Idempotency.run(options)((run: Idempotency.Run) =>
        run.recovered ? Effect.fail(new Net()) : charge
      )
    )
      .type.toBe<Charged>()
  })

  test("declared failures that the work does not have join the errors, because they may be replayed", () => {
    const run = Idempotency.run(Effect.succeed({ id: "r" }), {
      ...options,
      persistFailure: Declined
    })
    expect<Effect.Effect.Error<typeof run>>().type.toBe<Declined | Idempotency.IdempotencyError>()
  })

  test("what the schemas need is needed", () => {
    const Needing = Schema.declare((u): u is string => typeof u === "string") as Schema.Schema<
      string,
      string,
      "Codec"
    >
    const run = Idempotency.run(Effect.succeed("r"), {
      ...options,
      result: Needing,
      persistFailure: Needing
    })
    expect<Effect.Effect.Context<typeof run>>().type.toBe<
      "Codec" | IdempotencyKey.IdempotencyKey | IdempotencyStore.IdempotencyStore
    >()
  })

  test("work whose result does not fit the schema does not compile", () => {
    // @ts-expect-error not assignable
    Idempotency.run(Effect.succeed({ id: 1 }), options)
    // @ts-expect-error not assignable
    Effect.succeed({ id: 1 }).pipe(Idempotency.run(options))
    // @ts-expect-error not assignable
    Idempotency.run(() => Effect.succeed({ id: 1 }), options)
  })

  test("scope, payload and result cannot be left out, and a typo does not compile", () => {
    // @ts-expect-error Property 'scope' is missing
    Idempotency.run({ payload: 1, result: Receipt })
    // @ts-expect-error Property 'payload' is missing
    Idempotency.run({ scope: ["t"], result: Receipt })
    // @ts-expect-error Property 'result' is missing
    Idempotency.run({ scope: ["t"], payload: 1 })
    // @ts-expect-error 'ttl' does not exist
    Idempotency.run({ scope: ["t"], payload: 1, result: Receipt, ttl: "1 day" })
    // @ts-expect-error not assignable
    Idempotency.run({ scope: ["t"], payload: 1, result: Receipt, onDuplicate: "queue" })
  })

  test("without a key or a store it does not run, with both it does", () => {
    const run = Idempotency.run(Effect.succeed({ id: "r" }), options)
    // @ts-expect-error not assignable to parameter
    Effect.runPromise(run.pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))
    // @ts-expect-error not assignable to parameter
    Effect.runPromise(IdempotencyKey.provideNew(run))
    expect(
      Effect.runPromise(
        run.pipe(IdempotencyKey.provideNew, Effect.provide(IdempotencyStore.layerStoreMemory))
      )
    ).type.toBe<Promise<{ readonly id: string }>>()
  })

  test("each error is caught by its tag", () => {
    const run = Idempotency.run(charge, options)
    const caught = Effect.catchTags(run, {
      InFlight: (e) => Effect.succeed(e.retryAfter),
      StoreUnavailable: (e) => Effect.succeed(e.retryAfter),
      Mismatch: () => Effect.succeed("mismatch" as const),
      ResultUnavailable: () => Effect.succeed("result" as const),
      CorruptRecord: () => Effect.succeed("corrupt" as const),
      FingerprintError: (e) => Effect.succeed(e.path),
      UnknownOutcome: () => Effect.succeed("unknown" as const)
    })
    expect<Effect.Effect.Error<typeof caught>>().type.toBe<Declined | Net>()
  })
})

describe("Run", () => {
  test("what the work sees", () => {
    expect<Idempotency.Run>().type.toBe<{
      readonly recovered: boolean
      readonly recoveryPoint: Option.Option<unknown>
      readonly protected: boolean
      readonly savepoint: (data: unknown) => Effect.Effect<void, Idempotency.StoreUnavailable>
    }>()
  })

  test("the errors carry what is known", () => {
    expect<Idempotency.InFlight["retryAfter"]>().type.toBe<Duration.Duration>()
    expect<Idempotency.StoreUnavailable["retryAfter"]>().type.toBe<Duration.Duration>()
  })
})

describe("IdempotencyKey", () => {
  test("secrets are references: nothing has to be provided", () => {
    expect(Effect.map(IdempotencyKey.Secret, Redacted.value)).type.toBe<Effect.Effect<string>>()
    expect(Effect.map(IdempotencyKey.PreviousSecrets, (secrets) => secrets.map(Redacted.value)))
      .type.toBe<
      Effect.Effect<Array<string>>
    >()
  })
})
