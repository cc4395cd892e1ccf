/**
 * Names one logical operation. The key is fixed before the first attempt and the same on every
 * attempt.
 *
 * A retry of an unsafe call is safe only when the server can see that it is a retry, and it sees
 * the key. The key belongs to the operation (this payment, this row), so it is made once, outside
 * everything that repeats. A key made inside a retry is a new operation each time, so `provideNew`
 * dies there.
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
import { clockOf } from "../runtime/clock.js"
import * as FiberLocal from "../runtime/fiberLocal.js"
import { lazily } from "../runtime/lazily.js"
import { bytesOf, joined, kidUnder } from "./keyHash.js"
import { isKeyText, quoted, unquoted } from "./keyText.js"
import { drawn, uuid } from "./uuid.js"

/**
 * Marks keys at run time.
 *
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/IdempotencyKey")

/**
 * A key, redacted from the moment it is made. `madeAt` is epoch milliseconds; its lifetime counts
 * from then.
 *
 * @since 0.1.0
 * @category models
 */
export interface IdempotencyKey {
  readonly [TypeId]: typeof TypeId
  /** The key itself, redacted. */
  readonly value: Redacted.Redacted<string>
  /** When the key was made, in epoch milliseconds. Its lifetime counts from here. */
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
 * The secret under which keys (`kid`) and payloads are fingerprinted. Random for each process
 * unless provided, so that fingerprints of two processes can only be compared when both were given
 * the same one.
 *
 * @since 0.1.0
 * @category references
 */
export class Secret extends Context.Reference<Secret>()("effect-resilience/IdempotencyKey/Secret", {
  defaultValue: (): Redacted.Redacted<string> => Redacted.make(bytesToHex(randomBytes(32)))
}) {}

/**
 * Secrets that came before `Secret`. A record that stands under the fingerprint of one of them is
 * still found, and its payload compared, so that a new secret does not orphan what was recorded
 * under the old one. Keep a secret here for as long as its records live. Default: none.
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

const liveRandom = Context.get(DefaultServices.liveServices, Random.Random)

/**
 * Effect's live generator is seeded with 32 bits, which two of many processes will sooner or later
 * share, and then their keys as well. Keys therefore come from the platform's cryptographic
 * generator, unless the program runs under a `Random` of its own (a seeded test).
 */
const newUuid = (random: Random.Random): Effect.Effect<string> =>
  random === liveRandom
    ? Effect.sync(drawn)
    : Effect.map(
      Effect.replicateEffect(random.nextIntBetween(0, 256), 16),
      (bytes) => uuid(Uint8Array.from(bytes), 4)
    )

/**
 * Makes a new key: a random UUID (version 4, RFC 9562), made now.
 *
 * **Details**
 *
 * From the platform's cryptographic generator; under a `Random` service of your own, from that one,
 * so that tests can be repeated.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<IdempotencyKey> = Effect.withFiberRuntime((fiber) =>
  Effect.map(
    newUuid(Context.get(fiber.currentDefaultServices, Random.Random)),
    (value) => unsafeMake(value, clockOf(fiber).unsafeCurrentTimeMillis())
  )
)

const PrintableAscii = Schema.String.pipe(
  Schema.filter(isKeyText, {
    // The message must not repeat the key.
    message: () => "An idempotency key is 1 to 255 printable ASCII characters"
  })
)

/** Says what is wrong with a text or a time, by their schemas. Made on the first mistake. */
const decoding = lazily(() => ({
  key: Schema.decodeUnknown(Schema.Redacted(PrintableAscii)),
  madeAt: Schema.decodeUnknown(Schema.Number.pipe(Schema.finite()))
}))

/**
 * Makes a key from a text that the program already has: the id of an order, a stored key of an
 * earlier run.
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
  options?: {
    /** When the key was first used, in epoch milliseconds. Default: now. */
    readonly madeAt?: number | undefined
  }
): Effect.Effect<IdempotencyKey, ParseResult.ParseError> => {
  const madeAt = options?.madeAt
  if (
    typeof key === "string" && isKeyText(key) &&
    (madeAt === undefined || Number.isFinite(madeAt))
  ) {
    return madeAt === undefined
      ? Effect.map(Clock.currentTimeMillis, (now) => unsafeMake(key, now))
      : Effect.sync(() => unsafeMake(key, madeAt))
  }
  return Effect.zipWith(
    decoding().key(key),
    madeAt === undefined ? Clock.currentTimeMillis : decoding().madeAt(madeAt),
    (value, madeAt) => ({ [TypeId]: TypeId, value, madeAt })
  )
}

/**
 * Derives the key of one step of an operation that makes several calls. The same parent and step
 * always give the same key. It keeps the parent's `madeAt`, and contains neither time nor attempt
 * number (UUID version 8 from SHA-256, RFC 9562).
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
  /** Runs an effect under this key. Effect last, for `pipe`. */
  (
    key: IdempotencyKey
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, IdempotencyKey>>
  /** Runs the effect under this key. Effect first. */
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: IdempotencyKey
  ): Effect.Effect<A, E, Exclude<R, IdempotencyKey>>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, key: IdempotencyKey) =>
    FiberLocal.providing(self, IdempotencyKey, key)
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
        "IdempotencyKey.provideNew inside an attempt of a keyed retry would make a new key " +
          "for every attempt, and each could be executed. Put it outside: " +
          "effect.pipe(Retry.retry({ operation: Operation.keyed }), IdempotencyKey.provideNew)"
      )
      : Effect.flatMap(make, (key) => provide(self, key)))

/**
 * Fingerprints a key for logs, spans and stores: the first 64 bits of an HMAC-SHA-256 of scope and
 * key under `Secret`, as 16 hexadecimal digits. Two lines about the same key show the same `kid`;
 * the key cannot be read from it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const kid = (
  key: IdempotencyKey,
  scope: ReadonlyArray<string> = []
): Effect.Effect<string> =>
  Effect.map(Secret, (secret) => kidUnder(secret, Redacted.value(key.value), scope))

/**
 * Writes the key as a header value: bare, or as a quoted structured-field string (RFC 9651). A key
 * that would not survive bare (edged by spaces, or beginning with a quote) is always quoted.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toHeader = (key: IdempotencyKey, format: "bare" | "quoted" = "bare"): string => {
  const value = Redacted.value(key.value)
  return format === "quoted" || /^[\s"]|\s$/.test(value) ? quoted(value) : value
}

/**
 * Reads a key from a header value, bare or quoted: both are the same key. Fails with a `ParseError`
 * that does not repeat the value.
 *
 * @since 0.1.0
 * @category decoding
 */
export const fromHeader = (value: string): Effect.Effect<IdempotencyKey, ParseResult.ParseError> =>
  fromString(unquoted(value))
