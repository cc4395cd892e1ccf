import { LibsqlClient } from "@effect/sql-libsql"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema, TestClock } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import * as Sql from "effect-resilience/store/Sql"
import { createHash, createHmac } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll } from "vitest"
import { faultyStore } from "../support/faultyStore.js"
import { counting, Receipt, told } from "../support/idempotent.js"

const scope = ["shop", "charge"]
const day = 86_400_000

/** What the library computes, computed by other means. The parts stand after their lengths. */
const joined = (...parts: ReadonlyArray<string>) =>
  parts.map((part) => `${part.length}:${part}`).join("")
const hash = (text: string) => createHash("sha256").update(text).digest("hex")
const hmac = (secret: string, text: string) =>
  createHmac("sha256", secret).update(text).digest("hex")
const nameUnder = (secret: string, key: string) => hmac(secret, joined(...scope, key))
const version2 = (secret: string, key: string, text: string) =>
  `v2:${hmac(secret, `payload${joined(...scope, key, hash(text))}`)}`

const secretsOf = (secret: string, ...previous: ReadonlyArray<string>) => ({
  secret: Redacted.make(secret),
  previousSecrets: previous.map((secret) => Redacted.make(secret))
})

/** One store, shared by programs that have other secrets. */
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "resilience-fingerprints-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))
const stores = {
  memory: IdempotencyStore.layerStoreMemory,
  libsql: Sql.layer({ secret: "unused" }).pipe(
    Layer.provide(LibsqlClient.layer({ url: `file:${path.join(folder, "records.db")}` }))
  )
}

const storeUnder = (
  store: IdempotencyStore.Service,
  secrets: IdempotencyStore.StoreSecrets
): IdempotencyStore.Service => ({ ...store, secrets })

let keys = 0

/** A key of its own, and what a call with it is told. */
const program = Effect.gen(function*() {
  const name = `order-${++keys}`
  const key = yield* IdempotencyKey.fromString(name)
  const store = yield* IdempotencyStore.IdempotencyStore
  const { counter, work } = counting()
  const call = (
    payload: unknown,
    secrets: IdempotencyStore.StoreSecrets = secretsOf("A"),
    body: Idempotency.Work<Receipt, never, never> = work
  ) =>
    told(
      Idempotency.run(body, { scope, payload, result: Receipt }).pipe(
        IdempotencyKey.provide(key),
        Effect.provideService(IdempotencyStore.IdempotencyStore, storeUnder(store, secrets))
      )
    )
  /** A claim as another version of the library makes it. */
  const claim = (fingerprint: string, secret = "A"): IdempotencyStore.Claim => ({
    scope: joined(...scope),
    keyHash: nameUnder(secret, name),
    fingerprint,
    owner: "another version",
    leaseMillis: 60_000,
    timeToLiveMillis: day
  })
  const claimed = (fingerprint: string, secret?: string) =>
    Effect.map(store.acquire(claim(fingerprint, secret)), (answer) => {
      if (answer._tag !== "Acquired") throw new Error(answer._tag)
      return { ...claim(fingerprint, secret), generation: answer.generation }
    })
  const completed = (fingerprint: string, secret?: string) =>
    Effect.flatMap(
      claimed(fingerprint, secret),
      (held) => store.complete(held, "+{\"_tag\":\"Success\",\"value\":{\"id\":\"before\"}}", day)
    )
  return { call, claim, claimed, completed, counter, name, store, work }
})

const payload = { card: "4242", amount: 1 }
const text = "{\"amount\":1,\"card\":\"4242\"}"

for (const [name, layer] of Object.entries(stores)) {
  describe(`fingerprints of other versions and secrets: ${name}`, () => {
    const fact = (
      sentence: string,
      body: Effect.Effect<void, unknown, IdempotencyStore.IdempotencyStore>
    ) => it.effect(sentence, () => Effect.provide(body, layer))

    fact(
      "I17: a record of version 1, a bare SHA-256, is replayed after a deploy",
      Effect.gen(function*() {
        const { call, completed, counter } = yield* program
        yield* completed(hash(text))
        expect([yield* call(payload), yield* call({ ...payload, amount: 2 }), counter.begun])
          .toEqual([{ id: "before" }, "Mismatch", 0])
      })
    )

    fact(
      "I17: to a machine with version 1 a record of this version is a mismatch, so it runs nothing twice",
      Effect.gen(function*() {
        const { call, claim, counter, store } = yield* program
        yield* call(payload)
        const { _tag } = yield* store.acquire(claim(hash(text)))
        expect([_tag, counter.begun]).toEqual(["Mismatch", 1])
      })
    )

    fact(
      "I17, I13: a claim of version 1 is in flight, then it is taken over, and its owner is stale",
      Effect.gen(function*() {
        const { call, claimed, store } = yield* program
        const held = yield* claimed(hash(text))
        const during = yield* call(payload)
        const other = yield* call("other")
        yield* TestClock.adjust(60_000)
        const recovered = yield* call(
          payload,
          undefined,
          (run) => Effect.succeed({ id: `recovered: ${run.recovered}` })
        )
        expect([
          during,
          other,
          recovered,
          yield* store.complete(held, "late", day),
          yield* call(payload)
        ]).toEqual(["InFlight", "Mismatch", { id: "recovered: true" }, "stale", {
          id: "recovered: true"
        }])
      })
    )

    fact(
      "I17: a record of version 1 with a redacted value is compared by the forms that it can have",
      Effect.gen(function*() {
        const secret = { card: Redacted.make("4242") }
        const answers: Array<unknown> = []
        for (const form of ["{\"card\":\"4242\"}", "{\"card\":\"<redacted>\"}"]) {
          const { call, completed } = yield* program
          yield* completed(hash(form))
          answers.push(yield* call(secret), yield* call({ card: "other" }))
        }
        expect(answers).toEqual([{ id: "before" }, "Mismatch", { id: "before" }, "Mismatch"])
      })
    )

    fact(
      "I17, I5: under a new secret a record of the old one is replayed, and another payload is a mismatch",
      Effect.gen(function*() {
        const { call, counter } = yield* program
        const now = secretsOf("C", "B", "A")
        yield* call(payload, secretsOf("A"))
        expect([yield* call(payload, now), yield* call("other", now), counter.begun])
          .toEqual([{ id: "r-1" }, "Mismatch", 1])
      })
    )

    fact(
      "I17, I5: while a new secret is rolled out, machines before and after it replay each other",
      Effect.gen(function*() {
        const { call, counter } = yield* program
        const before = secretsOf("A", "B")
        const after = secretsOf("B", "A")
        yield* call(payload, after)
        expect([
          yield* call(payload, before),
          yield* call("other", before),
          yield* call(payload, after),
          counter.begun
        ]).toEqual([{ id: "r-1" }, "Mismatch", { id: "r-1" }, 1])
      })
    )

    fact(
      "I17: a record of version 1 that was made under an earlier secret is replayed",
      Effect.gen(function*() {
        const { call, completed, counter } = yield* program
        yield* completed(hash(text), "A")
        expect([yield* call(payload, secretsOf("B", "A")), counter.begun])
          .toEqual([{ id: "before" }, 0])
      })
    )
  })
}

describe("fingerprints", () => {
  /** The claims that a call makes. */
  const claimsOf = (
    payload: unknown,
    name: string,
    ...secrets: readonly [string, ...Array<string>]
  ) =>
    Effect.gen(function*() {
      const { claims, store } = yield* faultyStore
      const key = yield* IdempotencyKey.fromString(name)
      const call = (payload: unknown) =>
        Idempotency.run(Effect.succeed(null), { scope, payload, result: Schema.Null }).pipe(
          IdempotencyKey.provide(key),
          Effect.provideService(
            IdempotencyStore.IdempotencyStore,
            storeUnder(store, secretsOf(...secrets))
          ),
          told
        )
      return { call, claims, first: Effect.map(call(payload), () => claims[0]?.fingerprint) }
    })

  it.effect("I16, I17: a fingerprint is a version and the HMAC that others compute, of the SHA-256 of the canonical JSON", () =>
    Effect.gen(function*() {
      const { first } = yield* claimsOf({ b: [null], a: -0, c: undefined, 1: true }, "k", "s3cret")
      expect(yield* first).toBe(version2("s3cret", "k", "{\"1\":true,\"a\":0,\"b\":[null]}"))
    }))

  it.effect("I17: who reads the store cannot guess the payload, and sees no equal payloads under two keys", () =>
    Effect.gen(function*() {
      const one = yield* (yield* claimsOf("4242", "k-1", "s3cret")).first
      const other = yield* (yield* claimsOf("4242", "k-2", "s3cret")).first
      const secret = yield* (yield* claimsOf("4242", "k-1", "another")).first
      expect(new Set([one, other, secret]).size).toBe(3)
      for (const guess of [hash("\"4242\""), hash("4242"), hmac("", "\"4242\"")]) {
        expect([one, other, secret].join()).not.toContain(guess)
      }
    }))

  it.effect("I12, I17: the store is asked once, and after a mismatch for the other fingerprints and once more", () =>
    Effect.gen(function*() {
      const { call, claims } = yield* claimsOf("4242", "k", "B", "A")
      yield* call("4242")
      yield* call("4242")
      expect(claims.map(({ fingerprint }) => fingerprint))
        .toEqual([version2("B", "k", "\"4242\""), version2("B", "k", "\"4242\"")])
      claims.length = 0
      expect(yield* call("9999")).toBe("Mismatch")
      expect(claims.map(({ fingerprint }) => fingerprint)).toEqual([
        version2("B", "k", "\"9999\""),
        version2("A", "k", "\"9999\""),
        hash("\"9999\""),
        version2("B", "k", "\"9999\"")
      ])
      expect(new Set(claims.map(({ owner }) => owner)).size).toBe(1)
    }))

  it.effect("I13, I17: a record that is given up and claimed anew between two questions is no mismatch", () =>
    Effect.gen(function*() {
      const { completed, name, store } = yield* program
      yield* completed(hash("\"of another payload\""))
      let asked = 0
      const changing: IdempotencyStore.Service = {
        ...storeUnder(store, secretsOf("A")),
        // The record is of another payload, then of this one.
        acquire: (claim) =>
          asked++ === 0
            ? Effect.succeed({ _tag: "Mismatch" })
            : claim.fingerprint.startsWith("v2:")
            ? Effect.succeed({ _tag: "InFlight", retryAfterMillis: 1000 })
            : Effect.succeed({ _tag: "Mismatch" })
      }
      const answer = yield* Idempotency.run(Effect.succeed({ id: "r" }), {
        scope,
        payload,
        result: Receipt
      }).pipe(
        IdempotencyKey.provide(yield* IdempotencyKey.fromString(name)),
        Effect.provideService(IdempotencyStore.IdempotencyStore, changing),
        told
      )
      expect([answer, asked]).toEqual(["InFlight", 3])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))
})
