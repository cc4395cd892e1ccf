// @effect-diagnostics *:off
// What must not compile is written as a statement here, so only the compiler's own errors count.
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Config, Effect, type Layer, Redacted } from "effect"
import type { IdempotencyStore } from "effect-resilience/IdempotencyStore"
import * as Redis from "effect-resilience/store/Redis"
import * as Sql from "effect-resilience/store/Sql"
import { describe, expect, test } from "tstyche"

const secret = Redacted.make("secret")

describe("store/Sql", () => {
  test("provides the store over a SqlClient", () => {
    expect(Sql.layer({ secret })).type.toBe<Layer.Layer<IdempotencyStore, SqlError, SqlClient>>()
    expect(
      Sql.layer({
        secret,
        previousSecrets: [secret],
        table: "t",
        timeSource: "clock",
        transactional: true
      })
    ).type
      .toBe<Layer.Layer<IdempotencyStore, SqlError, SqlClient>>()
  })

  test("needs a secret", () => {
    expect(Sql.layer).type.not.toBeCallableWith({})
    expect(Sql.layer).type.not.toBeCallableWith({ secret, timeSource: "sun" })
  })

  test("has its migration as an effect and as text", () => {
    expect(Sql.migration()).type.toBe<Effect.Effect<void, SqlError, SqlClient>>()
    expect(Sql.statements("pg")).type.toBe<ReadonlyArray<string>>()
  })
})

describe("store/Redis", () => {
  test("provides the store, and cannot fail", () => {
    expect(Redis.layer({ secret, url: "redis://localhost" })).type.toBe<
      Layer.Layer<IdempotencyStore>
    >()
    expect(Redis.layer({ secret, options: { host: "localhost" }, prefix: "p:" })).type.toBe<
      Layer.Layer<IdempotencyStore>
    >()
  })

  test("takes what a configuration gives", () => {
    const configured = Config.all({
      secret: Config.redacted("SECRET"),
      url: Config.redacted("URL")
    })
    expect(Effect.map(configured, Redis.layer)).type.toBeAssignableTo<
      Effect.Effect<Layer.Layer<IdempotencyStore>, unknown>
    >()
  })

  test("needs a secret", () => {
    expect(Redis.layer).type.not.toBeCallableWith({ url: "redis://localhost" })
  })
})
