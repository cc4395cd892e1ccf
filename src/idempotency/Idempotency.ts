/**
 * Runs work at least once, and records at most one outcome.
 *
 * A caller that loses its connection cannot know whether its call was executed. It calls again, and
 * the same payment is made twice. Work under an idempotency key claims the key first and records
 * its outcome under it, so a second call gets the recorded outcome instead of a second execution. A
 * run that died leaves no outcome, and the next call fails with `UnknownOutcome`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constFalse, dual } from "effect/Function"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as CanonicalJson from "../core/canonicalJson.js"
import * as ApiError from "../errors/ApiError.js"
import * as CallFacts from "../errors/callFacts.js"
import {
  CorruptRecord,
  FingerprintError,
  type IdempotencyError
} from "../errors/idempotencyErrors.js"
import type * as Verdict from "../errors/Verdict.js"
import type { Attempts } from "../runtime/attempts.js"
import * as CallContext from "../runtime/callContext.js"
import { lazily } from "../runtime/lazily.js"
import * as Validate from "../runtime/validate.js"
import * as IdempotencyKey from "./IdempotencyKey.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import * as Json from "./json.js"
import type { Run } from "./lease.js"
import * as Payload from "./payload.js"
import { report } from "./report.js"
import { idempotentRun, type Request } from "./run.js"
import * as Settings from "./settings.js"
import * as Settlement from "./settlement.js"

export {
  CorruptRecord,
  FingerprintError,
  InFlight,
  Mismatch,
  ResultUnavailable,
  StoreUnavailable,
  UnknownOutcome
} from "../errors/idempotencyErrors.js"
export type { IdempotencyError } from "../errors/idempotencyErrors.js"
export { defaults } from "./settings.js"
export type { Run } from "./lease.js"

/**
 * The options of a run under a key.
 *
 * **Details**
 *
 * The same key in another `scope` is another key. Only a fingerprint of the `payload` is kept: an
 * HMAC, under the secret of the store, of the SHA-256 of its canonical JSON (RFC 8785). A
 * `Redacted` counts by its value. A payload that JSON does not show fails with `FingerprintError`:
 * an object without properties that is no plain one, a `Map`, or a `toJSON` that masks a
 * `Redacted`. Set `lease` longer than the work takes, or use a `heartbeat`.
 *
 * The default `verdict` asks `ApiError.mayHaveRun` about the failure and about the errors it was
 * made of. What an attempt inside the work has shown counts either way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<A, I, RA, EP = never, IP = never, RE = never> extends Settings.Options {
  /** The owner of the key and the operation, such as `[tenantId, "create-invoice"]` (required). */
  readonly scope: ReadonlyArray<string>
  /**
   * The input of the operation (required). The same key with another payload fails with `Mismatch`.
   */
  readonly payload: unknown
  /** The Schema that stores a success and reads it back (required). */
  readonly result: Schema.Schema<A, I, RA>
  /** Stores and replays the failures that this Schema accepts. Default: none. */
  readonly persistFailure?: Schema.Schema<EP, IP, RE> | undefined
  /**
   * Says what a failure means; transient and ambiguous holds the claim. Default:
   * `ApiError.mayHaveRun`.
   */
  readonly verdict?: ((error: unknown) => Verdict.Verdict) | undefined
}

/**
 * The work of a run. After an unknown outcome only the function form runs again, because only it
 * can read `recovered`.
 *
 * @since 0.1.0
 * @category models
 */
export type Work<A, E, R> = Effect.Effect<A, E, R> | ((run: Run) => Effect.Effect<A, E, R>)

/**
 * The environment of a run: that of the work and of the schemas, the key and the store.
 *
 * @since 0.1.0
 * @category models
 */
export type Env<R, RA, RE> =
  | R
  | RA
  | RE
  | IdempotencyKey.IdempotencyKey
  | IdempotencyStore.IdempotencyStore

/** Tests whether a value survives JSON unchanged. The value has no cycles. */
const isPlain = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (Array.isArray(value)) {
    return value.every((element) => element !== undefined && isPlain(element))
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) &&
    Object.values(value).every(isPlain)
}

/** Stores an encoded value, or records `Done` for a value that JSON would lose or change. */
const stored = <R>(_tag: "Success" | "Failure", encoded: Effect.Effect<unknown, unknown, R>) =>
  Effect.match(encoded, {
    onFailure: () => Settlement.done,
    onSuccess: (value) => {
      const json = CanonicalJson.stringify({ _tag, value })
      return json._tag === "Text" && isPlain(value)
        ? Settlement.store(json.text)
        : Settlement.done
    }
  })

/**
 * Whether a failure says that the work may have been executed. What our own errors say stands,
 * whatever the verdict thinks of another try: a deadline of the whole call is final and unknown.
 */
const isLeftOpen =
  (verdict: ((error: unknown) => Verdict.Verdict) | undefined) => (error: unknown): boolean =>
    verdict === undefined
      ? CallFacts.mayHaveRunWithin(error)
      : CallFacts.isAmbiguous(verdict(error)) || ApiError.mayHaveRun(error)

/**
 * Decides what becomes of the record after a failure: stores a failure that `schema` accepts, holds
 * the claim when the work may have been executed, and releases it otherwise. Of several failures
 * each counts; the first is the one that the caller sees. An outcome of the work decides by itself;
 * of any other failure the attempts before it count too.
 */
const settleFailure = <E, EP, IP, RE>(
  cause: Cause.Cause<E>,
  schema: Schema.Schema<EP, IP, RE> | undefined,
  isOpen: (error: unknown) => boolean,
  record: Attempts
): Effect.Effect<Settlement.Settlement, never, RE> => {
  const errors: ReadonlyArray<unknown> = Chunk.toReadonlyArray(Cause.failures(cause))
  if (errors.length === 0 || Cause.isInterrupted(cause) || Option.isSome(Cause.dieOption(cause))) {
    return Effect.succeed(Settlement.hold)
  }
  const isOutcome = schema === undefined ? constFalse : Schema.is(schema)
  if (errors.some((error) => !isOutcome(error) && isOpen(error))) {
    return Effect.succeed(Settlement.hold)
  }
  if (schema !== undefined && isOutcome(errors[0])) {
    return stored("Failure", Schema.encodeUnknown(schema)(errors[0]))
  }
  return Effect.succeed(record.mayHaveRun ? Settlement.hold : Settlement.release)
}

/** Decodes a record. Any failure or defect of the decoder is a `CorruptRecord`. */
const decoded = <A, R>(
  decoding: () => Effect.Effect<A, unknown, R>
): Effect.Effect<A, CorruptRecord, R> =>
  Effect.catchAllCause(
    Effect.suspend(decoding),
    (cause) =>
      Cause.isInterrupted(cause)
        ? Effect.failCause(Cause.stripFailures(cause))
        : Effect.fail(new CorruptRecord())
  )

const replay = <A, I, RA, EP, IP, RE>(
  text: string,
  { persistFailure, result }: Options<A, I, RA, EP, IP, RE>
): Effect.Effect<A, EP | CorruptRecord, RA | RE> => {
  const outcome = Option.getOrUndefined(Json.parse(text))
  const tag = hasProperty(outcome, "_tag") ? outcome._tag : undefined
  const value = hasProperty(outcome, "value") ? outcome.value : undefined
  if (tag === "Success") return decoded(() => Schema.decodeUnknown(result)(value))
  return tag === "Failure" && persistFailure !== undefined
    ? Effect.flatMap(
      decoded(() => Schema.decodeUnknown(persistFailure)(value)),
      (error) => Effect.fail(error)
    )
    : Effect.fail(new CorruptRecord())
}

/** A copy of the scope, which a later change by the caller does not reach. */
const scopeOf = (scope: ReadonlyArray<string>): ReadonlyArray<string> => {
  const parts: ReadonlyArray<unknown> = Array.isArray(scope) ? [...scope] : [scope]
  return parts.map((part, index) =>
    typeof part === "string"
      ? part
      : Validate.text(`scope[${index}]`, String(part), "a text", constFalse)
  )
}

/** Throws the `RangeError` that a run with these options would throw. */
const check = (options: Options<never, never, unknown, unknown, unknown, unknown>): void => {
  scopeOf(options.scope)
  Settings.settingsOf(options)
}

const runWith = <A, I, RA, E, R, EP = never, IP = never, RE = never>(
  self: Work<A, E, R>,
  options: Options<A, I, RA, EP, IP, RE>
): Effect.Effect<A, E | EP | IdempotencyError, Env<R, RA, RE>> => {
  const settings = Settings.settingsOf(options)
  const scope = scopeOf(options.scope)
  const payload = Payload.digestOf(options.payload)
  const { persistFailure, result } = options
  const isOpen = isLeftOpen(options.verdict)
  const encode = lazily(() => Schema.encode(result))
  return Effect.flatMap(IdempotencyKey.IdempotencyKey, (key) => {
    if ("reason" in payload) {
      const error = new FingerprintError({
        path: `payload${payload.path.slice(1)}`,
        reason: payload.reason
      })
      return Effect.flatMap(
        IdempotencyKey.kid(key, scope),
        (kid) => Effect.zipRight(report("fingerprint_error", kid), Effect.fail(error))
      )
    }
    // Around all of it: between the first step of the work and the work nothing may come.
    return CallContext.recording((record) => {
      const request: Request<A, E | EP, RA | RE> = {
        key,
        scope,
        payload,
        settings,
        reruns: !Effect.isEffect(self),
        settle: Exit.match({
          onFailure: (cause): Effect.Effect<Settlement.Settlement, never, RA | RE> =>
            settleFailure(cause, persistFailure, isOpen, record),
          onSuccess: (value) => stored("Success", encode()(value))
        }),
        replay: (outcome) => replay(outcome, options)
      }
      return idempotentRun(request, (run) => Effect.isEffect(self) ? self : self(run))
    })
  })
}

/**
 * Tells the two call styles apart by the number of arguments, because the work may be a function.
 * Checks options that come before the work at once.
 */
const isDataFirst = (args: IArguments): boolean => {
  const dataFirst = args.length > 1
  if (!dataFirst) check(args[0])
  return dataFirst
}

/**
 * Runs work under the key of the operation, or replays the outcome of an earlier run.
 *
 * **When to use**
 *
 * Around work that must not run twice: the handler of a message that may be delivered twice, one
 * step of an import, a call to an API without idempotency keys. Put it inside the retry, and
 * provide the key outside of both.
 *
 * **Details**
 *
 * - The first run claims the key, runs the work and records its outcome. Later calls replay a
 *   success, or a failure that `persistFailure` accepts. The first caller gets the value of the
 *   work; later callers get the value that `result` reads back.
 * - Any other failure releases the key, unless the work may have been executed. After a failure for
 *   which `ApiError.mayHaveRun` holds (a timeout, a lost connection, a 5xx, a refusal after an
 *   attempt with one of them), a defect or an interruption, the claim stays until it lapses. An
 *   error made of such a failure counts as the failure does. The next caller takes over: a function
 *   sees `recovered` and the last recovery point; a plain effect does not run and fails with
 *   `UnknownOutcome`.
 * - A success stays a success. When the store cannot record it, the caller still gets it.
 * - What the store did not answer is repeated in the background, in the scope of the store's layer,
 *   until the lease ends: outcomes are recorded, claims that no work ran under are given back. What
 *   is not recorded in time is an `UnknownOutcome` for later callers.
 * - A heartbeat or a savepoint that finds the claim lost interrupts the work, and the run fails
 *   with `UnknownOutcome`.
 * - A key that is new to the store but older than 24 h (or than a longer `timeToLive`) fails with
 *   `UnknownOutcome`, because the store may have forgotten it.
 * - Duplicates that wait share the success of a run in the same process without asking the store.
 *   Other duplicates ask the store every 50 ms, then less often, down to once a second. They fail
 *   with `InFlight` when `wait` is over.
 * - Each run makes one call of the store before the work and one after it. Before a run fails with
 *   `Mismatch`, it asks for the fingerprints that earlier secrets and versions gave the payload, so
 *   that a new secret and a deploy make no mismatch. A call is given up after `storeTimeout`, even
 *   if the driver hangs, because it runs in its own fiber. A claim that the store grants too late
 *   is given back.
 * - Span attribute `resilience.idempotency`, metric `resilience.idempotency.outcomes` and a log
 *   line report how the run ended; the key appears as its `kid`. An unprotected run, a lost claim
 *   and an outcome that was not recorded are warnings.
 * - Invalid options throw `RangeError`.
 *
 * **Gotchas**
 *
 * Execution is at least once, with at most one recorded outcome. When the work outlasts its lease
 * without a `heartbeat`, another run may take over while it still runs. With a `timeToLive` under a
 * day, a key that comes again after that time runs again.
 *
 * **Example** (Two calls, one charge)
 *
 * ```ts
 * import { Idempotency, IdempotencyKey, IdempotencyStore } from "effect-resilience"
 * import { Effect, Schema } from "effect"
 *
 * let charges = 0
 * const charge = Effect.sync(() => ({ receipt: `r-${++charges}` }))
 *
 * const program = Effect.gen(function*() {
 *   const key = yield* IdempotencyKey.fromString("order-17")
 *   const once = charge.pipe(
 *     Idempotency.run({
 *       scope: ["shop-1", "charge"],
 *       payload: { order: 17, amount: 4200 },
 *       result: Schema.Struct({ receipt: Schema.String })
 *     }),
 *     IdempotencyKey.provide(key)
 *   )
 *   const first = yield* once
 *   const second = yield* once
 *   return [first.receipt, second.receipt, charges].join()
 * }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory))
 *
 * await Effect.runPromise(program) // => "r-1,r-1,1"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const run: {
  /**
   * Runs work under the key, or replays its outcome. Work last, for `pipe`. Invalid options throw
   * `RangeError`.
   */
  <A, I, RA, EP = never, IP = never, RE = never>(
    options: Options<A, I, RA, EP, IP, RE>
  ): <E, R>(
    self: Work<NoInfer<A>, E, R>
  ) => Effect.Effect<A, E | EP | IdempotencyError, Env<R, RA, RE>>
  /**
   * Runs work under the key, or replays its outcome. Work first. Invalid options throw
   * `RangeError`.
   */
  <A, I, RA, E, R, EP = never, IP = never, RE = never>(
    self: Work<NoInfer<A>, E, R>,
    options: Options<A, I, RA, EP, IP, RE>
  ): Effect.Effect<A, E | EP | IdempotencyError, Env<R, RA, RE>>
} = dual(isDataFirst, runWith)
