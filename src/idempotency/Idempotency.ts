/**
 * At-least-once execution, at most one recorded outcome.
 *
 * A caller that was cut off cannot know whether its call was executed, so it asks again, and then
 * the same payment is made twice. Work that runs under an idempotency key claims the key first, and
 * its outcome is recorded under it: whoever asks again gets the recorded outcome and not a second
 * execution. What cannot be had is certainty about a run that died on the way; it is reported as
 * what it is, an unknown outcome.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constFalse, dual } from "effect/Function"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as ApiError from "../errors/ApiError.js"
import * as Validate from "../runtime/validate.js"
import * as CanonicalJson from "../core/canonicalJson.js"
import {
  CorruptRecord,
  FingerprintError,
  type IdempotencyError
} from "../errors/idempotencyErrors.js"
import * as IdempotencyKey from "./IdempotencyKey.js"
import { report } from "./report.js"
import * as Settings from "./settings.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import { idempotentRun, type Request, type Settlement } from "./run.js"
import type { Run } from "./lease.js"

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
 * How to run something under a key, as data.
 *
 * **Details**
 *
 * - `scope`: whose key it is and for which operation, such as `[tenantId, "create-invoice"]`. The
 *   same key in another scope is another key.
 * - `payload`: what the operation is about. The same key with another payload is a `Mismatch`. It
 *   is read once, when the effect is made, and only the SHA-256 of its canonical JSON (RFC 8785) is
 *   kept.
 * - `result`: how a success is stored and read back.
 * - `persistFailure`: failures that are members of it are outcomes, too: they are stored and
 *   replayed.
 * - `lease`: how long the claim of a run lasts. Default 60 s. Longer than the work takes, or with a
 *   `heartbeat`.
 * - `timeToLive`: how long an outcome is replayed, from when it was recorded. Default 24 h.
 * - `onDuplicate`: what a duplicate of a run that is under way gets: `InFlight` at once
 *   (`"reject"`, the default), or what comes of the other run, if it comes in time (`{ wait }`).
 * - `onStoreFailure`: whether to run when the store does not answer. `"fail"` (default) does not;
 *   `"run"` does, without any protection.
 * - `storeTimeout`: how long to wait for an answer of the store. Default 2 s.
 * - `heartbeat`: extends the lease every third of it while the work runs, and interrupts the work
 *   when the claim is lost. Default false.
 * - `maxOutcomeBytes`: a larger outcome is recorded as done, and a replay is `ResultUnavailable`.
 *   Default 256 KiB.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<A, I, RA, EP = never, IP = never, RE = never> extends Settings.Options {
  readonly scope: ReadonlyArray<string>
  readonly payload: unknown
  readonly result: Schema.Schema<A, I, RA>
  readonly persistFailure?: Schema.Schema<EP, IP, RE> | undefined
}

/**
 * What is run. Only the function form is run again after an unknown outcome, because only it can
 * look at `recovered`.
 *
 * @since 0.1.0
 * @category models
 */
export type Work<A, E, R> = Effect.Effect<A, E, R> | ((run: Run) => Effect.Effect<A, E, R>)

/**
 * What a run needs: what the work and the schemas need, the key and the store.
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

const hold: Settlement = { _tag: "Hold" }
const done: Settlement = { _tag: "Done" }
const release: Settlement = { _tag: "Release" }

/** Whether JSON gives back what it is given. Has no cycles. */
const isPlain = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (Array.isArray(value)) {
    return value.every((element) => element !== undefined && isPlain(element))
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) &&
    Object.values(value).every(isPlain)
}

/** What cannot be written down, or not so that it can be read back, is over all the same. */
const stored = <R>(_tag: "Success" | "Failure", encoded: Effect.Effect<unknown, unknown, R>) =>
  Effect.match(encoded, {
    onFailure: () => done,
    onSuccess: (value): Settlement => {
      const json = CanonicalJson.stringify({ _tag, value })
      return json._tag === "Text" && isPlain(value) ? { _tag: "Store", outcome: json.text } : done
    }
  })

/**
 * What becomes of the record after a failure: outcomes are stored; what may have been executed is
 * held; anything else is a failure of the business and released. Of several failures each counts,
 * and the first is the one that the caller sees.
 */
const settleFailure = <E, EP, IP, RE>(
  cause: Cause.Cause<E>,
  schema: Schema.Schema<EP, IP, RE> | undefined
): Effect.Effect<Settlement, never, RE> => {
  const errors: ReadonlyArray<unknown> = Chunk.toReadonlyArray(Cause.failures(cause))
  if (errors.length === 0 || Cause.isInterrupted(cause) || Option.isSome(Cause.dieOption(cause))) {
    return Effect.succeed(hold)
  }
  const isOutcome = schema === undefined ? constFalse : Schema.is(schema)
  if (errors.some((error) => !isOutcome(error) && ApiError.mayHaveRun(error))) {
    return Effect.succeed(hold)
  }
  return schema !== undefined && isOutcome(errors[0])
    ? stored("Failure", Schema.encodeUnknown(schema)(errors[0]))
    : Effect.succeed(release)
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A record that no longer decodes, for whatever reason. */
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
  const outcome = parsed(text)
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

/** A copy that nobody changes any more. */
const scopeOf = (scope: ReadonlyArray<string>): ReadonlyArray<string> => {
  const parts: ReadonlyArray<unknown> = Array.isArray(scope) ? [...scope] : [scope]
  return parts.map((part, index) =>
    typeof part === "string"
      ? part
      : Validate.text(`scope[${index}]`, String(part), "a text", constFalse)
  )
}

/** Throws the `RangeError` that running with these options would. */
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
  const payload = CanonicalJson.stringify(options.payload)
  const { persistFailure, result } = options
  return Effect.flatMap(IdempotencyKey.IdempotencyKey, (key) => {
    if (payload._tag === "Refused") {
      const error = new FingerprintError({
        path: `payload${payload.path.slice(1)}`,
        reason: payload.reason
      })
      return Effect.flatMap(
        IdempotencyKey.kid(key, scope),
        (kid) => Effect.zipRight(report("fingerprint_error", kid), Effect.fail(error))
      )
    }
    const request: Request<A, E | EP, RA | RE> = {
      key,
      scope,
      fingerprint: bytesToHex(sha256(payload.text)),
      settings,
      reruns: !Effect.isEffect(self),
      settle: Exit.match({
        onFailure: (cause): Effect.Effect<Settlement, never, RA | RE> =>
          settleFailure(cause, persistFailure),
        onSuccess: (value) => stored("Success", Schema.encode(result)(value))
      }),
      replay: (outcome) => replay(outcome, options)
    }
    return idempotentRun(request, (run) => Effect.isEffect(self) ? self : self(run))
  })
}

/**
 * The work may be a function, so that only the number of arguments tells. Options that come before
 * the work are checked when they come.
 */
const isDataFirst = (args: IArguments): boolean => {
  const dataFirst = args.length > 1
  if (!dataFirst) check(args[0])
  return dataFirst
}

/**
 * Runs work under the key of the operation, unless it was run already.
 *
 * **When to use**
 *
 * Around work that must not be done twice: the handler of a message that may be delivered twice,
 * one step of an import, a call to an API that has no idempotency keys of its own. Put it inside of
 * whatever retries; the key comes from outside of both.
 *
 * **Details**
 *
 * - A first run claims the key, runs and records its outcome. A success, and a failure that is a
 *   member of `persistFailure`, is replayed for whoever comes later. The first caller gets what the
 *   work gave, the others what `result` reads back.
 * - After any other failure the key is free again, except where the work may have been executed:
 *   after a failure for which `ApiError.mayHaveRun` holds (a timeout, a lost connection, a 5xx), a
 *   defect or an interruption the claim is kept until it lapses. Who comes then takes over: a
 *   function sees `recovered` and the last recovery point, a plain effect is not run and fails with
 *   `UnknownOutcome`.
 * - A success is never turned into a failure. Where the store cannot record it, the caller gets it
 *   all the same, and later callers an unknown outcome.
 * - A heartbeat or a savepoint that finds the claim lost interrupts the work, and the run fails
 *   with `UnknownOutcome`.
 * - A key that is older than 24 h (or than `timeToLive`, where that is longer) and that the store
 *   knows nothing of is an `UnknownOutcome`: a store that has forgotten a key says the same as one
 *   that never saw it.
 * - Duplicates that wait share the success of a run in the same process without asking the store.
 *   Others ask it every 50 ms, then less often, up to once in a second. With `wait`, `InFlight`
 *   comes when the time is over.
 * - The store is asked once before the work and once after it. No call of the store is waited for
 *   longer than `storeTimeout`, even one that nothing can interrupt: each runs in a fiber of its
 *   own. A claim that is granted after it was given up is given back.
 * - Span attribute `resilience.idempotency`, metric `resilience.idempotency.outcomes` and a log
 *   line say how it ended; the key appears as its `kid`. An unprotected run, a lost claim and an
 *   outcome that could not be recorded are warnings.
 * - Throws a `RangeError` for nonsense options.
 *
 * **Gotchas**
 *
 * It is at-least-once execution with at most one recorded outcome. Where the work runs longer than
 * its lease without a `heartbeat`, another may take over while it still runs. With a `timeToLive`
 * under a day, a key that comes again after it is run again.
 *
 * **Example** (One charge, however often it is asked for)
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
  <A, I, RA, EP = never, IP = never, RE = never>(
    options: Options<A, I, RA, EP, IP, RE>
  ): <E, R>(
    self: Work<NoInfer<A>, E, R>
  ) => Effect.Effect<A, E | EP | IdempotencyError, Env<R, RA, RE>>
  <A, I, RA, E, R, EP = never, IP = never, RE = never>(
    self: Work<NoInfer<A>, E, R>,
    options: Options<A, I, RA, EP, IP, RE>
  ): Effect.Effect<A, E | EP | IdempotencyError, Env<R, RA, RE>>
} = dual(isDataFirst, runWith)
