/** Reads from a failure the facts about its whole call, which may have made several attempts. */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Runtime from "effect/Runtime"
import * as TransportError from "../core/transportError.js"
import * as CallContext from "../runtime/callContext.js"
import * as ApiError from "./ApiError.js"
import * as Facts from "./failureFacts.js"
import { copyFor, isMarked } from "./mayHaveRunMark.js"
import * as Rejection from "./Rejection.js"
import { withStory } from "./story.js"

/**
 * What is known of a call: how many attempts it made, whether one may have been executed, and why
 * there was no further one.
 */
export interface Call {
  readonly attempts?: number | undefined
  readonly mayHaveRun: boolean
  readonly stopReason?: string | undefined
}

/**
 * Makes the error of the last attempt the error of the call. It keeps facts that the error has
 * already; an error of another library comes back as the very same value.
 */
export const ofCall = <E>(error: E, { attempts, mayHaveRun, stopReason }: Call): E => {
  const isNews = mayHaveRun && !ApiError.mayHaveRun(error)
  const isCounted = attempts !== undefined && !(
    hasProperty(error, "attempts") && error.attempts === attempts
  )
  const isApiError = ApiError.isApiError(error)
  if (!isNews && !isCounted && !(isApiError && stopReason !== undefined)) return error
  // A guard's word on the only attempt there was is complete, and fails fast.
  if (!isApiError) {
    return isNews || attempts !== 1 ? copyFor(error, attempts, isNews) : error
  }
  const told = ApiError.annotate(error, {
    ...(isCounted ? { attempts } : {}),
    ...(isNews ? { mayHaveRun } : {})
  })
  return stopReason === undefined ? told : withStory(told, { stopReason })
}

/**
 * Tests whether an error says that its call may have been executed by what it is, and not because
 * an earlier attempt is known to it.
 */
export const tellsByItself = (error: unknown): boolean =>
  ApiError.isApiError(error)
    ? Facts.mayHaveRun({ ...error, mayHaveRun: undefined })
    : !isMarked(error) && ApiError.mayHaveRun(error)

/** Errors of the library and of the platform tell by themselves: nothing is looked for in them. */
const isKnown = (error: unknown): boolean =>
  ApiError.isApiError(error) || Rejection.isRejection(error) || Facts.isHttpClientError(error)

/** How deep errors are looked for in errors. */
const maxDepth = 32

/** What an error of the program's own, or a container, holds. */
const within = (value: object): ReadonlyArray<unknown> => {
  if (Array.isArray(value)) return value
  if (Option.isOption(value)) return Option.toArray(value)
  if (Cause.isCause(value)) return [...Cause.failures(value)]
  if (Runtime.isFiberFailure(value)) return [value[Runtime.FiberFailureCauseId]]
  if (Chunk.isChunk(value)) return Chunk.toReadonlyArray(value)
  if (value instanceof Set) return [...value]
  const prototype: unknown = Object.getPrototypeOf(value)
  // `Effect.all` in validate mode fails with a struct of options.
  if (prototype === Object.prototype || prototype === null) return Object.values(value)
  return ["cause", "error", "errors"].map((name): unknown => Reflect.get(value, name))
}

/** A defect or an interruption that was made a value: it is unknown what ran before it. */
const isCut = (value: unknown): boolean =>
  Cause.isCause(value) && (Cause.isInterrupted(value) || Option.isSome(Cause.dieOption(value)))

const transportCodes =
  /^(ECONN|EPIPE|ETIMEDOUT|ENET|EHOST|UND_ERR_|ERR_HTTP2_|ERR_STREAM_PREMATURE)/

/** A failure of a promise that lost its connection, or that a time limit gave up. */
const isBroken = (value: unknown): boolean => {
  if (!(value instanceof Error)) return false
  if (value.name === "TimeoutError" || value.name === "AbortError") return true
  return hasProperty(value, "code") && typeof value.code === "string" &&
    transportCodes.test(value.code) && TransportError.read(value).sent === "unknown"
}

/** An error whose accessors throw holds nothing that can be read. */
const read = (value: object): ReadonlyArray<unknown> => {
  try {
    return within(value)
  } catch {
    return []
  }
}

/**
 * Tests whether an error, or one that it was made of, says that its call may have been executed:
 * looked for through `cause`, `error` and `errors`, arrays, structs, options and causes. O(errors
 * found).
 */
export const mayHaveRunWithin = (error: unknown): boolean => {
  const met = new Set<unknown>()
  let level: ReadonlyArray<unknown> = [error]
  for (let depth = 0; depth < maxDepth && level.length > 0; depth++) {
    const below: Array<unknown> = []
    for (const value of level) {
      if (ApiError.mayHaveRun(value) || isCut(value) || isBroken(value)) return true
      if (typeof value !== "object" || value === null || met.has(value) || isKnown(value)) continue
      met.add(value)
      for (const inner of read(value)) below.push(inner)
    }
    level = below
  }
  return false
}

/** Tests whether a verdict says that the call may have been executed. */
export const isAmbiguous = (
  verdict: { readonly _tag: string; readonly ambiguous?: boolean | undefined }
): boolean => verdict._tag === "Transient" && verdict.ambiguous === true

const answers: ReadonlySet<string> = new Set([
  "Auth",
  "Policy",
  "Validation",
  "NotFound",
  "Conflict",
  "Locked"
])

/**
 * Tests whether a failure is an answer that shows that the upstream works: it has judged the
 * request. One that a playbook takes for a passing weakness does not.
 */
export const isAnswer = (error: unknown): boolean => {
  if (ApiError.isApiError(error)) {
    return answers.has(error._tag) &&
      (error.repeat !== "transient" || (error._tag === "Conflict" && error.inFlight))
  }
  const tag = Facts.tagOfResponseError(error)
  return tag !== undefined && answers.has(tag)
}

/** Tests whether one of the failures of an attempt says that it may have been executed. */
export const isLeftOpen = (cause: Cause.Cause<unknown>): boolean =>
  cause._tag === "Fail"
    ? mayHaveRunWithin(cause.error)
    : Chunk.some(Cause.failures(cause), mayHaveRunWithin)

/** Tests whether executing something elsewhere too does harm. */
export const isUnsafe = ({ _tag }: { readonly _tag: string }): boolean =>
  _tag === "Keyed" || _tag === "Once"

/**
 * One attempt. Where something around it asks how it ended, that is written down, so that mapping
 * its error loses nothing, whether or not anything repeats it.
 */
export const attempted =
  (isUnsafe: boolean) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    CallContext.attempting(
      isUnsafe,
      (record) =>
        record === undefined ? self : Effect.tapErrorCause(self, (cause) =>
          Effect.sync(() => {
            if (isLeftOpen(cause)) record.add(isUnsafe)
          }))
    )

/**
 * Writes down that a call of this operation was executed, where something around it asks, for a
 * failure that does not say so. Reading leaves nothing behind.
 */
export const executed = (operation: { readonly _tag: string }): Effect.Effect<void> =>
  operation._tag === "Read"
    ? Effect.void
    : Effect.map(CallContext.attempts.get, (record) => record?.add(isUnsafe(operation)))
