/**
 * The fiber-local state of a call.
 *
 * What belongs to a call ends with it. A fiber that was started inside and goes on afterwards (a
 * daemon, a cached worker) inherits the values, but finds them ended: it may make keys of its own,
 * and what it does is filed under nothing of the call that happened to start it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as Metric from "effect/Metric"
import type * as MetricLabel from "effect/MetricLabel"
import * as Option from "effect/Option"
import { Attempts } from "./attempts.js"
import { whenEnded } from "./ending.js"
import * as FiberLocal from "./fiberLocal.js"

/** A value for the time of one effect, and what there was around it. */
interface Scope<A> {
  readonly value: A
  readonly around: Scope<A> | undefined
  ended: boolean
}

/** The innermost scope that has not ended. */
const live = <A>(scope: Scope<A> | undefined): Scope<A> | undefined => {
  let found = scope
  while (found?.ended === true) found = found.around
  return found
}

/** Fiber-local state that belongs to calls. */
export class CallRef<A> {
  readonly #ref: FiberRef.FiberRef<Scope<A> | undefined>

  constructor(name: string) {
    this.#ref = globalValue(
      `effect-resilience/callContext/${name}`,
      () => FiberRef.unsafeMake<Scope<A> | undefined>(undefined)
    )
  }

  /** The value of the call that a fiber is part of, if there is one. */
  of(fiber: Fiber.RuntimeFiber<unknown, unknown>): A | undefined {
    return live(fiber.getFiberRef(this.#ref))?.value
  }

  /** The value of the call that is under way, if there is one. */
  readonly get: Effect.Effect<A | undefined> = Effect.withFiberRuntime((fiber) =>
    Effect.succeed(this.of(fiber))
  )

  /**
   * Runs an effect with a value that ends when the effect does. The ref is put back as it was, so
   * that a fiber whose refs are compared has written nothing.
   */
  during<B, E, R>(self: Effect.Effect<B, E, R>, value: A): Effect.Effect<B, E, R> {
    return FiberLocal.during<Scope<A> | undefined, B, E, R>(
      self,
      this.#ref,
      (_, before) => ({ value, around: live(before), ended: false }),
      (scope) => {
        if (scope !== undefined) scope.ended = true
      }
    )
  }
}

// -----------------------------------------------------------------------------
// what is known of a call
// -----------------------------------------------------------------------------

/**
 * What telemetry files one call under.
 *
 * @since 0.1.0
 * @category models
 */
export interface About {
  /**
   * The template of the path, such as `/v1/sessions/:id`, never an address with an id in it.
   * Default `"default"`.
   */
  readonly endpoint?: string | undefined
  /** The HTTP method of the request. */
  readonly method?: string | undefined
  /** The kind of operation. */
  readonly operation?: string | undefined
  /** The fingerprint of the idempotency key, for logs and spans. */
  readonly kid?: string | undefined
  /** True when the caller makes spans for the call and its attempts. Default false. */
  readonly traced?: boolean | undefined
}

/**
 * A call that telemetry looks on at: under which labels it is counted, how many attempts were
 * begun, and why there was no further one.
 */
export interface Observed {
  readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  attempts: number
  stop: string | undefined
}

/** Only where telemetry is on. What counts something rare asks for it then. */
export const observed = new CallRef<Observed>("observed")

/** Set within an attempt whose idempotency key was fixed outside of it. */
export const keyedAttempt = new CallRef<true>("keyedAttempt")

/** Marks an attempt whose key was fixed outside, so that `provideNew` inside of it can refuse. */
export const insideAttempt = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  keyedAttempt.during(self, true)

/**
 * The record of the attempts of a call. Only where something around the call asks for it: what
 * makes attempts writes there.
 */
export const attempts = new CallRef<Attempts>("attempts")

/** Runs an effect with a record of its own, and passes the record on. */
export const recording = <A, E, R>(
  self: (record: Attempts) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const record = new Attempts(attempts.of(fiber))
    return attempts.during(self(record), record)
  })

/** Tests whether the end of a call says nothing about its last attempt. */
const isCut = (cause: Cause.Cause<unknown>): boolean =>
  Cause.isInterrupted(cause) || Option.isSome(Cause.dieOption(cause))

/**
 * Runs what makes the attempts of a call. Where something around asks, it gets a record to write
 * to: an attempt that an interruption or a defect cuts is written there too, and a success makes up
 * for the failures before it. Where nothing asks, there is no record.
 */
export const attempting = <A, E, R>(
  isUnsafe: boolean,
  drive: (record: Attempts | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const around = attempts.of(fiber)
    if (around === undefined) return drive(undefined)
    const record = new Attempts(around)
    const ended = (exit: Exit.Exit<A, E>): Effect.Effect<A, E> => {
      if (Exit.isSuccess(exit)) record.forget()
      else if (isCut(exit.cause) && !record.isResting) record.add(isUnsafe)
      return exit
    }
    return Effect.uninterruptibleMask((restore) =>
      whenEnded(attempts.during(restore(drive(record)), record), ended)
    )
  })

/** A fallback that was taken, for which error; of a last good value also how old it is. */
export interface FallbackTaken {
  readonly error: unknown
  readonly ageMillis?: number | undefined
}

/** What wants to hear of fallbacks that are taken. Children share the list. */
export const fallbackListeners = new CallRef<ReadonlyArray<(taken: FallbackTaken) => void>>(
  "fallbackListeners"
)

/** A retry that makes a further attempt, and how many attempts it makes at most. */
export interface Retrying {
  readonly policy: object
  readonly attempts: number
  readonly isAllowed: boolean
}

/** Only from the second attempt on: until then nothing has been multiplied. */
export const retrying = new CallRef<Retrying>("retrying")

/** The template that requests are filed under. */
export const endpoint = new CallRef<string>("endpoint")

/** What the caller says that running its requests twice would mean. */
export const operation = new CallRef<{ readonly _tag: "Read" | "Idempotent" | "Keyed" | "Once" }>(
  "operation"
)

/** One attempt together with its hedges, where answers are kept apart. */
export const round = new CallRef<object>("round")

/**
 * What reads the response of a request within the attempt. `undefined` where a call has taken it:
 * further requests on behalf of that call are not read by it.
 */
export const reading = new CallRef<
  ((response: object) => Effect.Effect<void, unknown>) | undefined
>("reading")

/**
 * Milliseconds that a fiber has spent in our own lines so far; see `queueTime`. A child begins with
 * the total of its parent. When it is joined the larger of the two counts, so that children that
 * wait side by side count once.
 */
export const queueMillis: FiberRef.FiberRef<number> = globalValue(
  "effect-resilience/callContext/queueMillis",
  () => FiberRef.unsafeMake(0, { join: Math.max })
)

// -----------------------------------------------------------------------------
// telling about it
// -----------------------------------------------------------------------------

/** Adds one to a counter, under the labels of the call that is under way. */
export const count = (counter: Metric.Metric.Counter<number>): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    const call = observed.of(fiber)
    return Metric.increment(
      call === undefined ? counter : Metric.taggedWithLabels(counter, call.labels)
    )
  })

/** Says why the call that is under way makes no further attempt. */
export const stopped = (reason: string): Effect.Effect<void> =>
  Effect.map(observed.get, (call) => {
    if (call !== undefined) call.stop = reason
  })
