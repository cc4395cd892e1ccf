/**
 * Gives an acceptable answer when the right one is not available.
 *
 * Not every failure has to reach the caller: a price of five minutes ago, an empty list of
 * suggestions or the answer of a second source may do. A fallback decides about the result and not
 * about the call, so it stands around everything else. Its type says which errors are gone. It
 * leaves a mark, so that a fallback can be told from the real answer.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as ApiError from "../errors/ApiError.js"
import * as CallFacts from "../errors/callFacts.js"
import * as Rejection from "../errors/Rejection.js"
import type { Attempts } from "../runtime/attempts.js"
import * as CallContext from "../runtime/callContext.js"
import { nowMillis } from "../runtime/clock.js"
import { defaultKey } from "../runtime/keyedState.js"
import * as Validate from "../runtime/validate.js"
import { listening, mark, type Taken } from "./fallback/mark.js"

export type { Taken } from "./fallback/mark.js"

/** The tags that an error can have. */
type TagOf<E> = E extends { readonly _tag: string } ? E["_tag"] : never

type Tagged<Tag> = { readonly _tag: Tag }

/** For which errors: those with one of these tags, or those that pass a test. */
interface Choice {
  readonly tags?: ReadonlyArray<string> | undefined
  readonly when?: ((error: never) => boolean) | undefined
}

const isChosen = ({ tags, when }: Choice, error: unknown): boolean => {
  if (tags !== undefined) return hasProperty(error, "_tag") && tags.includes(error._tag as string)
  // The caller wrote the predicate for the errors of this effect.
  return when === undefined || when(error as never)
}

/** Another result in place of an error, and a mark that it is one. */
const taken = <A, E, R>(
  other: (error: never) => Effect.Effect<A, E, R>,
  error: unknown
): Effect.Effect<A, E, R> =>
  Effect.zipLeft(Effect.suspend(() => other(error as never)), mark({ error }))

/** Takes what is chosen, and leaves the cause of everything else as it is. */
const instead = <A, E, R, A2, E2, R2>(
  self: Effect.Effect<A, E, R>,
  choice: Choice,
  other: (error: never) => Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.catchSome(self, (error) =>
    isChosen(choice, error)
      ? Option.some(taken(other, error))
      : Option.none())

/**
 * Tests whether a failure hides that an earlier attempt of its call may have been executed: the
 * error that was chosen says that nothing was, and doing the same elsewhere could be doing it
 * twice.
 */
const isHidden = (error: unknown, record: Attempts): boolean =>
  CallFacts.tellsByItself(error)
    ? false
    : record.mayHaveRun
    ? record.isUnsafe
    : ApiError.mayHaveRun(error)

/** Like `instead`, for work that may do again what the first effect has done already. */
const elsewhere = <A, E, R, A2, E2, R2>(
  self: Effect.Effect<A, E, R>,
  choice: Choice,
  other: (error: never) => Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.suspend(() => {
    let attempts: Attempts | undefined
    const recorded = CallContext.recording((record) => {
      attempts = record
      return self
    })
    return Effect.catchSome(recorded, (error) =>
      isChosen(choice, error) && (attempts === undefined || !isHidden(error, attempts))
        ? Option.some(taken(other, error))
        : Option.none())
  })

const isDataFirst = (args: IArguments): boolean => Effect.isEffect(args[0])

/**
 * Runs another effect when the first one fails with one of the chosen errors.
 *
 * **When to use**
 *
 * Around a whole pipeline, for the errors that it ends with.
 *
 * **Details**
 *
 * `tags` chooses errors by their tag and removes them from the type. `when` chooses errors by a
 * test, and removes them if the test is a type guard. `orElse` receives the error; its own errors
 * stay.
 *
 * Only failures are replaced. Defects, interruption and the causes of other errors stay. A fallback
 * that succeeded is on the span (`resilience.fallback.taken`, the tag of the error) and in the
 * metric `resilience.fallback.taken`; `marked` puts it into the result. O(1).
 *
 * **Gotchas**
 *
 * A retry or hedge of a `keyed` or `once` operation may end with an error that says that nothing
 * was executed (`CircuitOpen`, `RateLimit`, `Auth`) after an attempt that may have been. The other
 * effect is not run then, because it could do the same a second time: the error comes through, with
 * `mayHaveRun: true`, even though its tag is gone from the type. An error that says itself that it
 * may have been executed, such as `Timeout`, is replaced when it is chosen. `orElseSucceed` and
 * `lastGood` execute nothing, so they always give their value.
 *
 * **Example** (By tag)
 *
 * ```ts
 * import { ApiError, Fallback } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const price = Effect.fail(new ApiError.Server({ message: "down", status: 503 }))
 *
 * const program = price.pipe(
 *   Fallback.orElse({
 *     tags: ["Server"],
 *     orElse: ({ status }) => Effect.succeed(`no price (${status})`)
 *   })
 * )
 *
 * await Effect.runPromise(program) // => "no price (503)"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const orElse: {
  /** Replaces errors with one of these tags by another effect. Effect last, for `pipe`. */
  <E, const Tag extends TagOf<E>, A2, E2, R2>(options: {
    /** The tags of the errors to replace. They leave the error type. */
    readonly tags: ReadonlyArray<Tag>
    /** Makes the effect to run instead. Its own errors stay. */
    readonly orElse: (error: Extract<E, Tagged<Tag>>) => Effect.Effect<A2, E2, R2>
  }): <A, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A | A2, Exclude<E, Tagged<Tag>> | E2, R | R2>
  /** Replaces errors that pass a type guard by another effect. Effect last, for `pipe`. */
  <E, E3 extends E, A2, E2, R2>(options: {
    /** Chooses the errors to replace. A type guard removes them from the error type. */
    readonly when: (error: NoInfer<E>) => error is E3
    /** Makes the effect to run instead. Its own errors stay. */
    readonly orElse: (error: NoInfer<E3>) => Effect.Effect<A2, E2, R2>
  }): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, Exclude<E, E3> | E2, R | R2>
  /** Replaces errors that pass a test by another effect. Effect last, for `pipe`. */
  <E, A2, E2, R2>(options: {
    /** Chooses the errors to replace. A type guard removes them from the error type. */
    readonly when: (error: NoInfer<E>) => boolean
    /** Makes the effect to run instead. Its own errors stay. */
    readonly orElse: (error: NoInfer<E>) => Effect.Effect<A2, E2, R2>
  }): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E | E2, R | R2>
  /** Replaces errors with one of these tags by another effect. Effect first. */
  <A, E, R, const Tag extends TagOf<E>, A2, E2, R2>(self: Effect.Effect<A, E, R>, options: {
    /** The tags of the errors to replace. They leave the error type. */
    readonly tags: ReadonlyArray<Tag>
    /** Makes the effect to run instead. Its own errors stay. */
    readonly orElse: (error: Extract<E, Tagged<Tag>>) => Effect.Effect<A2, E2, R2>
  }): Effect.Effect<A | A2, Exclude<E, Tagged<Tag>> | E2, R | R2>
  /** Replaces errors that pass a type guard by another effect. Effect first. */
  <A, E, R, E3 extends E, A2, E2, R2>(self: Effect.Effect<A, E, R>, options: {
    /** Chooses the errors to replace. A type guard removes them from the error type. */
    readonly when: (error: NoInfer<E>) => error is E3
    /** Makes the effect to run instead. Its own errors stay. */
    readonly orElse: (error: NoInfer<E3>) => Effect.Effect<A2, E2, R2>
  }): Effect.Effect<A | A2, Exclude<E, E3> | E2, R | R2>
  /** Replaces errors that pass a test by another effect. Effect first. */
  <A, E, R, A2, E2, R2>(self: Effect.Effect<A, E, R>, options: {
    /** Chooses the errors to replace. A type guard removes them from the error type. */
    readonly when: (error: NoInfer<E>) => boolean
    /** Makes the effect to run instead. Its own errors stay. */
    readonly orElse: (error: NoInfer<E>) => Effect.Effect<A2, E2, R2>
  }): Effect.Effect<A | A2, E | E2, R | R2>
} = dual(
  isDataFirst,
  <A, E, R, A2, E2, R2>(
    self: Effect.Effect<A, E, R>,
    options: Choice & { readonly orElse: (error: never) => Effect.Effect<A2, E2, R2> }
  ) => elsewhere(self, options, options.orElse)
)

/**
 * Succeeds with a value when the effect fails with one of the chosen errors: `orElse` for values.
 *
 * **Example** (A value that is always at hand)
 *
 * ```ts
 * import { ApiError, Fallback } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const suggestions = Effect.fail(new ApiError.Timeout({ message: "too late", deadline: "total" }))
 *
 * const program = Fallback.orElseSucceed(suggestions, {
 *   when: Fallback.isUnavailable,
 *   value: () => []
 * })
 *
 * await Effect.runPromise(program) // => []
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const orElseSucceed: {
  /** Replaces errors with one of these tags by a value. Effect last, for `pipe`. */
  <E, const Tag extends TagOf<E>, A2>(options: {
    /** The tags of the errors to replace. They leave the error type. */
    readonly tags: ReadonlyArray<Tag>
    /** Makes the value from the error. */
    readonly value: (error: Extract<E, Tagged<Tag>>) => A2
  }): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, Exclude<E, Tagged<Tag>>, R>
  /** Replaces errors that pass a type guard by a value. Effect last, for `pipe`. */
  <E, E3 extends E, A2>(options: {
    /** Chooses the errors to replace. A type guard removes them from the error type. */
    readonly when: (error: NoInfer<E>) => error is E3
    /** Makes the value from the error. */
    readonly value: (error: NoInfer<E3>) => A2
  }): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, Exclude<E, E3>, R>
  /** Replaces errors that pass a test by a value. Effect last, for `pipe`. */
  <E, A2>(options: {
    /** Chooses the errors to replace. A type guard removes them from the error type. */
    readonly when: (error: NoInfer<E>) => boolean
    /** Makes the value from the error. */
    readonly value: (error: NoInfer<E>) => A2
  }): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E, R>
  /** Replaces errors with one of these tags by a value. Effect first. */
  <A, E, R, const Tag extends TagOf<E>, A2>(self: Effect.Effect<A, E, R>, options: {
    /** The tags of the errors to replace. They leave the error type. */
    readonly tags: ReadonlyArray<Tag>
    /** Makes the value from the error. */
    readonly value: (error: Extract<E, Tagged<Tag>>) => A2
  }): Effect.Effect<A | A2, Exclude<E, Tagged<Tag>>, R>
  /** Replaces errors that pass a type guard by a value. Effect first. */
  <A, E, R, E3 extends E, A2>(self: Effect.Effect<A, E, R>, options: {
    /** Chooses the errors to replace. A type guard removes them from the error type. */
    readonly when: (error: NoInfer<E>) => error is E3
    /** Makes the value from the error. */
    readonly value: (error: NoInfer<E3>) => A2
  }): Effect.Effect<A | A2, Exclude<E, E3>, R>
  /** Replaces errors that pass a test by a value. Effect first. */
  <A, E, R, A2>(self: Effect.Effect<A, E, R>, options: {
    /** Chooses the errors to replace. A type guard removes them from the error type. */
    readonly when: (error: NoInfer<E>) => boolean
    /** Makes the value from the error. */
    readonly value: (error: NoInfer<E>) => A2
  }): Effect.Effect<A | A2, E, R>
} = dual(
  isDataFirst,
  <A, E, R, A2>(
    self: Effect.Effect<A, E, R>,
    options: Choice & { readonly value: (error: never) => A2 }
  ) => instead(self, options, (error) => Effect.succeed(options.value(error)))
)

/**
 * Tests whether an error means that there was no answer: a rejection by a guard of this library,
 * `RateLimit`, `Server`, `Timeout`, `Network`, and what `ApiError.verdict` calls transient.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUnavailable = (error: unknown): boolean => {
  if (Rejection.isRejection(error)) return true
  const tag = ApiError.isApiError(error) ? error._tag : undefined
  return tag === "Server" || tag === "Timeout" || tag === "Network" ||
    ApiError.verdict(error)._tag === "Transient"
}

/**
 * The options of `lastGood`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LastGoodOptions {
  /** How old a value may be (required). */
  readonly staleFor: Duration.DurationInput
  /**
   * Chooses the errors to replace. Default `isUnavailable`; a `NotFound` is an answer and stays.
   */
  readonly when?: ((error: unknown) => boolean) | undefined
  /** How many keys keep their last value. The one written longest ago goes first. Default 1000. */
  readonly capacity?: number | undefined
}

/**
 * The options of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** The key of the value. Default `"default"`. */
  readonly key?: string | undefined
}

/**
 * The last good values, by key. Safe for concurrent callers.
 *
 * **Details**
 *
 * `protect` remembers the value of each success, and gives it when a later call fails, until it is
 * too old. Without such a value the error stays, so errors stay in the type.
 *
 * @since 0.1.0
 * @category models
 */
export interface LastGood<A> {
  /** Remembers what the effect succeeds with, and succeeds with that when a later call fails. */
  readonly protect: {
    /** Runs the effect, or succeeds with the last good value of its key. Effect first. */
    <E, R>(self: Effect.Effect<A, E, R>, options?: CallOptions): Effect.Effect<A, E, R>
    /** Runs an effect, or succeeds with the last good value of its key. Effect last, for `pipe`. */
    (options?: CallOptions): <E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
  /** Drops the value of a key, when it is known to be wrong. Default key `"default"`. */
  readonly forget: (key?: string) => Effect.Effect<void>
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `when`. */
  when: isUnavailable,
  /** Default of the option `capacity`. */
  capacity: 1000
} as const

interface Good<A> {
  readonly value: A
  readonly atMillis: number
}

/**
 * Remembers the last good value of each key and gives it when a call fails, until it is too old.
 * Invalid options die with `RangeError`.
 *
 * **Details**
 *
 * A value is as old as the time since its call succeeded, by the monotonic clock; one of exactly
 * `staleFor` is still good. Values are kept in the memory of this process until a call finds them
 * too old, or newer ones take their place. O(1) per call.
 *
 * **Gotchas**
 *
 * Put the user into the key of a value that depends on the user. Otherwise one user sees the data
 * of another.
 *
 * **Example** (The price of a moment ago)
 *
 * ```ts
 * import { ApiError, Fallback } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * let calls = 0
 * const fetchPrice = Effect.suspend(() =>
 *   ++calls === 1
 *     ? Effect.succeed(42)
 *     : Effect.fail(new ApiError.Server({ message: "down", status: 503 }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const prices = yield* Fallback.lastGood<number>({ staleFor: "5 minutes" })
 *   const price = Fallback.marked(prices.protect(fetchPrice, { key: "tea" }))
 *   const [first, second] = yield* Effect.all([price, price])
 *   return [first.value, first.isFallback, second.value, second.isFallback]
 * })
 *
 * await Effect.runPromise(program) // => [42, false, 42, true]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const lastGood = <A>(options: LastGoodOptions): Effect.Effect<LastGood<A>> =>
  Effect.sync(() => {
    const staleMillis = Duration.toMillis(Validate.positiveDuration("staleFor", options.staleFor))
    const capacity = Validate.integer("capacity", options.capacity ?? defaults.capacity, 1)
    const when = options.when ?? defaults.when
    const values = new Map<string, Good<A>>()

    const remember = (key: string, value: A): Effect.Effect<A> =>
      Effect.clockWith((clock) => {
        // What is written last comes last, so the first is the oldest.
        values.delete(key)
        values.set(key, { value, atMillis: nowMillis(clock) })
        const [oldest] = values.keys()
        if (values.size > capacity && oldest !== undefined) values.delete(oldest)
        return Effect.succeed(value)
      })

    const recall = <E>(key: string, cause: Cause.Cause<E>): Effect.Effect<A, E> =>
      Effect.clockWith((clock): Effect.Effect<A, E> => {
        const failed = Effect.failCause(cause)
        const failure = Cause.failureOption(cause)
        if (Option.isNone(failure) || !when(failure.value)) return failed
        const good = values.get(key)
        if (good === undefined) return failed
        const ageMillis = Math.max(0, nowMillis(clock) - good.atMillis)
        if (ageMillis <= staleMillis) {
          return Effect.as(mark({ error: failure.value, ageMillis }), good.value)
        }
        values.delete(key)
        return failed
      })

    return {
      protect: dual(
        isDataFirst,
        <E, R>(self: Effect.Effect<A, E, R>, options?: CallOptions): Effect.Effect<A, E, R> => {
          const key = options?.key ?? defaultKey
          return Effect.matchCauseEffect(self, {
            onFailure: (cause) => recall(key, cause),
            onSuccess: (value) => remember(key, value)
          })
        }
      ),
      forget: (key = defaultKey) => Effect.sync(() => void values.delete(key))
    }
  })

/**
 * A result, and whether a fallback replaced the real one. `taken` lists the fallbacks, in order.
 *
 * @since 0.1.0
 * @category models
 */
export interface Marked<A> {
  /** The result. */
  readonly value: A
  /** True when a fallback replaced the real result. */
  readonly isFallback: boolean
  /** The fallbacks that were taken, in order. */
  readonly taken: ReadonlyArray<Taken>
}

/**
 * Adds to the result whether a fallback was taken anywhere inside: for a note to the user, a
 * shorter lifetime in a cache, or a status of its own.
 *
 * **Example** (A note for the user)
 *
 * ```ts
 * import { ApiError, Fallback } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const balance = Effect.fail(new ApiError.Network({ message: "refused", sent: "no" })).pipe(
 *   Fallback.orElseSucceed({ tags: ["Network"], value: () => 0 })
 * )
 *
 * const page = Effect.map(
 *   Fallback.marked(balance),
 *   ({ isFallback, value }) =>
 *     isFallback ? "your balance cannot be shown now" : `your balance: ${value}`
 * )
 *
 * await Effect.runPromise(page) // => "your balance cannot be shown now"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const marked = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Marked<A>, E, R> =>
  Effect.suspend(() => {
    const taken: Array<Taken> = []
    return Effect.map(
      listening(self, (what) => void taken.push(what)),
      (value) => ({ value, isFallback: taken.length > 0, taken })
    )
  })
