/**
 * The name of one logical operation, fixed before its first attempt and the same on every attempt.
 *
 * A retry of an unsafe call is only safe when the server can see that it is a retry. The key is
 * what it sees. It belongs to the operation (this payment, this row), so it is made once, outside
 * everything that repeats; a key made inside a retry is a new operation each time, and `provideNew`
 * refuses to be that.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex, randomBytes } from "@noble/hashes/utils"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as ParseResult from "effect/ParseResult"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as CallContext from "../runtime/callContext.js"
import { bytesOf, hashUnder, joined } from "./keyHash.js"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/IdempotencyKey")

/**
 * A key, redacted from the moment it is made. `madeAt` is epoch milliseconds; the key's lifetime
 * counts from it.
 *
 * @since 0.1.0
 * @category models
 */
export interface IdempotencyKey {
  readonly [TypeId]: typeof TypeId
  readonly value: Redacted.Redacted<string>
  readonly madeAt: number
}

/**
 * The key of the operation that is running. `Operation.keyed` demands it, the HTTP client sends it.
 *
 * @since 0.1.0
 * @category tags
 */
export const IdempotencyKey: Context.Tag<IdempotencyKey, IdempotencyKey> = Context.GenericTag<
  IdempotencyKey
>(
  "effect-resilience/IdempotencyKey"
)

/**
 * The secret under which keys are fingerprinted (`kid`). Random for each process unless provided,
 * so that fingerprints of two processes can only be compared when both were given the same one.
 *
 * @since 0.1.0
 * @category references
 */
export class Secret extends Context.Reference<Secret>()("effect-resilience/IdempotencyKey/Secret", {
  defaultValue: (): Redacted.Redacted<string> => Redacted.make(bytesToHex(randomBytes(32)))
}) {}

/**
 * Secrets that came before `Secret`. A record that stands under the fingerprint of one of them is
 * still found, so that a new secret does not orphan what was recorded under the old one. Keep a
 * secret here for as long as its records live. Default: none.
 *
 * @since 0.1.0
 * @category references
 */
export class PreviousSecrets extends Context.Reference<PreviousSecrets>()(
  "effect-resilience/IdempotencyKey/PreviousSecrets",
  { defaultValue: (): ReadonlyArray<Redacted.Redacted<string>> => [] }
) {}

const unsafeMake = (value: string, madeAt: number): IdempotencyKey => ({
  [TypeId]: TypeId,
  value: Redacted.make(value),
  madeAt
})

/** Sixteen bytes in the form of RFC 9562, with the given version. */
const uuid = (bytes: Uint8Array, version: number): string => {
  const hex = bytesToHex(
    Uint8Array.from(bytes.subarray(0, 16), (byte, index) => {
      if (index === 6) return (byte & 0x0f) | (version << 4)
      return index === 8 ? (byte & 0x3f) | 0x80 : byte
    })
  )
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)]
    .join("-")
}

const liveRandom = Context.get(DefaultServices.liveServices, Random.Random)

/**
 * Effect's live generator is seeded with 32 bits, which two of many processes will sooner or later
 * share, and then their keys as well. Keys therefore come from the platform's cryptographic
 * generator, unless the program runs under a `Random` of its own (a seeded test).
 */
const sixteenBytes: Effect.Effect<Uint8Array> = Effect.randomWith((random) =>
  random === liveRandom
    ? Effect.sync(() => randomBytes(16))
    : Effect.map(Effect.replicateEffect(random.nextIntBetween(0, 256), 16), (bytes) =>
      Uint8Array.from(bytes))
)

/**
 * A new key: a random UUID (version 4, RFC 9562), made now.
 *
 * **Details**
 *
 * From the platform's cryptographic generator; under a `Random` service of your own, from that one,
 * so that tests can be repeated.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<IdempotencyKey> = Effect.zipWith(
  sixteenBytes,
  Clock.currentTimeMillis,
  (bytes, now) => unsafeMake(uuid(bytes, 4), now)
)

const PrintableAscii = Schema.String.pipe(
  Schema.filter((key) => /^[\x20-\x7e]{1,255}$/.test(key), {
    // The message must not repeat the key.
    message: () => "An idempotency key is 1 to 255 printable ASCII characters"
  })
)

const MadeAt = Schema.Number.pipe(Schema.finite())

/**
 * A key from a string that the program already has: the id of an order, a stored key of an earlier
 * run.
 *
 * **Details**
 *
 * 1 to 255 printable ASCII characters, else a `ParseError` that does not repeat the string.
 * `madeAt` (epoch milliseconds) is now unless given; give it for a key from an earlier run, so that
 * its lifetime is counted from when it was first used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromString = (
  key: string,
  options?: { readonly madeAt?: number | undefined }
): Effect.Effect<IdempotencyKey, ParseResult.ParseError> =>
  Effect.zipWith(
    Schema.decodeUnknown(Schema.Redacted(PrintableAscii))(key),
    options?.madeAt === undefined
      ? Clock.currentTimeMillis
      : Schema.decodeUnknown(MadeAt)(options.madeAt),
    (value, madeAt) => ({ [TypeId]: TypeId, value, madeAt })
  )

/**
 * The key of one step of an operation that makes several calls. The same parent and step always
 * give the same key; it keeps the parent's `madeAt`, and contains neither time nor attempt number
 * (UUID version 8 from SHA-256, RFC 9562).
 *
 * @since 0.1.0
 * @category constructors
 */
export const derive = (parent: IdempotencyKey, step: string): IdempotencyKey =>
  unsafeMake(
    uuid(
      sha256(bytesOf(joined(["effect-resilience/derive", Redacted.value(parent.value), step]))),
      8
    ),
    parent.madeAt
  )

/**
 * Runs an effect under this key.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide: {
  (
    key: IdempotencyKey
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, IdempotencyKey>>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: IdempotencyKey
  ): Effect.Effect<A, E, Exclude<R, IdempotencyKey>>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, key: IdempotencyKey) =>
    Effect.provideService(self, IdempotencyKey, key)
)

/**
 * Runs an effect under a new key. Put it around everything that repeats: one logical operation, one
 * key.
 *
 * **Gotchas**
 *
 * Inside an attempt of a keyed retry it would make a new key for each attempt, and each attempt
 * would be executed. It dies there.
 *
 * **Example** (One key for all attempts)
 *
 * ```ts
 * import { Backoff, IdempotencyKey, Operation, Retry, Verdict } from "effect-resilience"
 * import { Effect, Redacted } from "effect"
 *
 * const keys: Array<string> = []
 * const charge = Effect.gen(function*() {
 *   const key = yield* IdempotencyKey.IdempotencyKey
 *   keys.push(Redacted.value(key.value))
 *   if (keys.length < 3) return yield* Effect.fail("connection reset")
 *   return "charged"
 * })
 *
 * const program = charge.pipe(
 *   Retry.retry({
 *     operation: Operation.keyed,
 *     backoff: Backoff.constant("1 millis"),
 *     verdict: () => Verdict.transient()
 *   }),
 *   IdempotencyKey.provideNew
 * )
 *
 * await Effect.runPromise(program) // => "charged"
 * new Set(keys).size // => 1
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const provideNew = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, IdempotencyKey>> =>
  Effect.flatMap(CallContext.keyedAttempt.get, (inside) =>
    inside === true
      ? Effect.dieMessage(
        "IdempotencyKey.provideNew inside an attempt of a keyed retry would make a new key for every attempt, and each could be executed. " +
          "Put it outside: effect.pipe(Retry.retry({ operation: Operation.keyed }), IdempotencyKey.provideNew)"
      )
      : Effect.flatMap(make, (key) => provide(self, key)))

/**
 * The fingerprint of a key, for logs, spans and stores: the first 64 bits of an HMAC-SHA-256 of
 * scope and key under `Secret`, as 16 hexadecimal digits. Two lines about the same key show the
 * same `kid`; the key cannot be read from it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const kid = (
  key: IdempotencyKey,
  scope: ReadonlyArray<string> = []
): Effect.Effect<string> =>
  Effect.map(Secret, (secret) => hashUnder(secret, key.value, scope).slice(0, 16))

const quoted = (key: string): string => `"${key.replaceAll(/[\\"]/g, "\\$&")}"`

/**
 * The key as a header value: bare, or as a quoted structured-field string (RFC 9651). A key that
 * would not survive bare (edged by spaces, or beginning with a quote) is always quoted.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toHeader = (key: IdempotencyKey, format: "bare" | "quoted" = "bare"): string => {
  const value = Redacted.value(key.value)
  return format === "quoted" || /^[\s"]|\s$/.test(value) ? quoted(value) : value
}

const unquoted = (value: string): string =>
  /^"(?:[^"\\]|\\["\\])*"$/.test(value) ? value.slice(1, -1).replaceAll(/\\(["\\])/g, "$1") : value

/**
 * Reads a key from a header value, bare or quoted: both are the same key. Fails with a `ParseError`
 * that does not repeat the value.
 *
 * @since 0.1.0
 * @category decoding
 */
export const fromHeader = (value: string): Effect.Effect<IdempotencyKey, ParseResult.ParseError> =>
  fromString(unquoted(value.trim()))
