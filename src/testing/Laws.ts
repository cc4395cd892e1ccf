/**
 * Checks properties that every policy should have, for policies of your own: one line in a test.
 *
 * A broken law fails with the smallest case that breaks it, in words.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"
import { maxTimerMillis } from "../core/backoff.js"
import * as ApiError from "../errors/ApiError.js"
import * as Playbook from "../errors/Playbook.js"
import * as Validate from "../runtime/validate.js"
import { LawBroken } from "./lawBroken.js"

export { breaker } from "./breaker/law.js"
export { fleetStore } from "./fleet/law.js"
export { LawBroken } from "./lawBroken.js"
export { pipeline } from "./pipeline/law.js"
export { type Call, simulation } from "./simulation/law.js"
export { idempotencyStore } from "./store/law.js"

/** Any schedule at all: its inputs are tried out, whatever it takes. */
type AnySchedule<R> = Schedule.Schedule<unknown, never, R>

/** A clock that stands still until a fiber sleeps, and then jumps to the end of the sleep. */
class VirtualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  #millis = 0
  readonly unsafeCurrentTimeMillis = () => this.#millis
  readonly unsafeCurrentTimeNanos = () => BigInt(Math.round(this.#millis * 1e6))
  readonly currentTimeMillis = Effect.sync(this.unsafeCurrentTimeMillis)
  readonly currentTimeNanos = Effect.sync(this.unsafeCurrentTimeNanos)
  readonly sleep = (duration: Duration.Duration) =>
    Effect.sync(() => {
      this.#millis += Duration.toMillis(duration)
    })
}

/**
 * Computes the delays, in milliseconds, that a schedule answers to these inputs, in virtual time.
 * Shorter than the inputs when the schedule ends.
 *
 * **Details**
 *
 * `seed` (default 0) fixes the randomness, so that the same call gives the same delays. O(inputs).
 *
 * **Example** (What a retry would wait)
 *
 * ```ts
 * import { Backoff, Schedules } from "effect-resilience"
 * import * as Laws from "effect-resilience/testing/Laws"
 * import { Effect } from "effect"
 *
 * const policy = Backoff.schedule(Backoff.exponential({ base: "1 second", jitter: Backoff.none }))
 *   .pipe(Schedules.retries(3))
 *
 * await Effect.runPromise(Laws.delays(policy, ["a", "b", "c", "d"])) // => [1000, 2000, 4000]
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
export const delays = <R>(
  schedule: AnySchedule<R>,
  inputs: ReadonlyArray<unknown>,
  options?: {
    /** Fixes the randomness. Default 0. */
    readonly seed?: number | undefined
  }
): Effect.Effect<ReadonlyArray<number>, never, R> =>
  Effect.suspend(() => {
    const clock = new VirtualClock()
    return Effect.gen(function*() {
      const found: Array<number> = []
      let state: unknown = schedule.initial
      for (const input of inputs) {
        const now = clock.unsafeCurrentTimeMillis()
        const [next, , decision] = yield* schedule.step(now, input as never, state)
        if (ScheduleDecision.isDone(decision)) break
        const delay = Math.max(0, Intervals.start(decision.intervals) - now)
        found.push(delay)
        state = next
        yield* clock.sleep(Duration.millis(delay))
      }
      return found
    }).pipe(Effect.withClock(clock), Effect.withRandom(Random.make(options?.seed ?? 0)))
  })

/** How an input is called in a message. */
const named = (input: unknown): string => {
  const wait = waitOf(input)
  const name = typeof input === "object" && input !== null && "_tag" in input
    ? String(input._tag)
    : String(input)
  return wait === undefined ? name : `${name} asking for ${wait} ms`
}

const waitOf = (input: unknown): number | undefined => {
  const verdict = ApiError.verdict(input)
  return verdict._tag === "Terminal"
    ? undefined
    : Option.getOrUndefined(Option.map(verdict.retryAfter, Duration.toMillis))
}

/** Rounding of a sum of millions of milliseconds, no more. */
const slack = 1e-3

/** What is wrong with one delay, in words. */
const fault = (delay: number, input: unknown, capMillis: number): string | undefined => {
  const wait = waitOf(input)
  if (!Number.isFinite(delay) || delay > maxTimerMillis) {
    return `waits ${delay} ms, which no timer can hold`
  }
  if (wait !== undefined && delay < Math.min(wait, maxTimerMillis) - slack) {
    return `waits ${delay} ms although ${wait} ms were asked for`
  }
  if (delay > Math.max(capMillis, wait ?? 0) + slack) {
    return `waits ${delay} ms, its cap is ${capMillis} ms`
  }
  return undefined
}

const after = (inputs: ReadonlyArray<unknown>): string =>
  inputs.length === 1
    ? `After ${named(inputs[0])}`
    : `After ${inputs.length} failures (${inputs.map(named).join(", ")})`

/** How many clients are watched for whether they keep in step. */
const clients = 64

/**
 * Checks a schedule of retries: a timer can hold every delay, none is longer than `cap`, none is
 * shorter than the failed call asked for (`Retry-After`), and clients at the cap are spread.
 *
 * **Details**
 *
 * `inputs` are the failures to try it with, in any order and number. `runs` (default 200) is how
 * many sequences are tried. A wait that was asked for may exceed the cap. A schedule without
 * jitter, and one with additive jitter, does stand still at its cap: leave `cap` out, or bound the
 * retries so that it is never reached.
 *
 * **Example** (A schedule that ignores Retry-After)
 *
 * ```ts
 * import { ApiError, Schedules } from "effect-resilience"
 * import * as Laws from "effect-resilience/testing/Laws"
 * import { Duration, Effect } from "effect"
 *
 * const limited = new ApiError.RateLimit({
 *   message: "slow down",
 *   status: 429,
 *   retryAfter: Duration.seconds(30)
 * })
 *
 * const law = Laws.schedule(Schedules.cappedJitter(), { inputs: [limited] })
 * await Effect.runPromise(Effect.as(Effect.flip(law), "broken")) // => "broken"
 *
 * const mended = Laws.schedule(Schedules.cappedJitter().pipe(Schedules.honourRetryAfter()), {
 *   inputs: [limited]
 * })
 * await Effect.runPromise(Effect.as(mended, "kept")) // => "kept"
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
export const schedule = <R>(
  schedule: AnySchedule<R>,
  options: {
    /** The failures to try the schedule with, at least one (required). */
    readonly inputs: ReadonlyArray<unknown>
    /** The longest delay that is allowed. Default: no limit. */
    readonly cap?: Duration.DurationInput | undefined
    /** How many sequences are tried. Default 200. */
    readonly runs?: number | undefined
  }
): Effect.Effect<void, Error, R> =>
  Effect.gen(function*() {
    const inputs = options.inputs
    const capMillis = options.cap === undefined
      ? Infinity
      : Duration.toMillis(Validate.duration("cap", options.cap))
    const runs = Validate.integer("runs", options.runs ?? 200, 1)
    if (inputs.length === 0) {
      return yield* Effect.dieMessage("Laws.schedule: inputs should hold at least one failure")
    }
    const runtime = yield* Effect.runtime<R>()
    const failures = FastCheck.array(FastCheck.constantFrom(...inputs), {
      minLength: 1,
      maxLength: 64,
      size: "max"
    })

    const bounded = (failures: ReadonlyArray<unknown>, seed: number) =>
      Effect.map(delays(schedule, failures, { seed }), (found) => {
        const at = found.findIndex((delay, index) =>
          fault(delay, failures[index], capMillis) !== undefined
        )
        return at === -1
          ? undefined
          : `${after(failures.slice(0, at + 1))} it ${
            fault(found[at] ?? Number.NaN, failures[at], capMillis)
          }`
      })
    const spread = (failures: ReadonlyArray<unknown>, seed: number) =>
      Effect.map(
        Effect.forEach(
          Array.from({ length: clients }, (_, client) => seed + client),
          (seed) => delays(schedule, failures, { seed })
        ),
        (each) => {
          const at = failures.findIndex((input, index) =>
            waitOf(input) === undefined &&
            each.every((delays) => (delays[index] ?? 0) >= capMillis - slack)
          )
          return at === -1
            ? undefined
            : `${
              after(failures.slice(0, at + 1))
            } all of ${clients} clients wait exactly the cap of ${capMillis} ms: it stands still`
        }
      )

    yield* checked("Laws.schedule", runtime, [failures, FastCheck.nat()], bounded, runs)
    if (capMillis !== Infinity) {
      yield* checked(
        "Laws.schedule",
        runtime,
        [failures, FastCheck.nat()],
        spread,
        Math.ceil(runs / 10)
      )
    }
  })

/**
 * Tries a law on many cases. A case that breaks it is made as small as possible, and what the law
 * said of that one is the error.
 */
const checked = <A, B, R>(
  law: string,
  runtime: Runtime.Runtime<R>,
  [a, b]: readonly [FastCheck.Arbitrary<A>, FastCheck.Arbitrary<B>],
  broken: (a: A, b: B) => Effect.Effect<string | undefined, never, R>,
  runs: number
): Effect.Effect<void, LawBroken> =>
  Effect.promise((signal) =>
    FastCheck.check(
      FastCheck.asyncProperty(a, b, async (a, b) => {
        // The caller is gone: every case that is left fails at once.
        signal.throwIfAborted()
        const message = await Runtime.runPromise(runtime, broken(a, b), { signal })
        if (message !== undefined) throw new LawBroken({ message: `${law}: ${message}` })
      }),
      { numRuns: runs }
    )
  ).pipe(Effect.flatMap(({ errorInstance, failed }) => {
    if (!failed) return Effect.void
    return errorInstance instanceof LawBroken ? errorInstance : Effect.die(errorInstance)
  }))

/** Tags whose failures stay failures however often the same request is sent. */
const finalTags: ReadonlySet<string> = new Set([
  "Auth",
  "Policy",
  "Validation",
  "NotFound",
  "Conflict"
])

const rowFault = (status: number, row: Playbook.Entry): string | undefined => {
  if (row.repeat === "transient") {
    if (finalTags.has(row.tag)) return `repeats ${row.tag}, which fails the same way every time`
    if (row.tag === "Server" && (status === 501 || status === 505)) {
      return "is repeated, but the server will never do it"
    }
  }
  const missing = (["meaning", "action", "userMessage"] as const).find((text) =>
    row[text].trim() === ""
  )
  return missing === undefined ? undefined : `has no ${missing}`
}

/**
 * Checks a playbook: it has a row for every status, repeats nothing that fails the same way every
 * time (a 401, a 422, a 501), and has a text for the integrator and the user.
 *
 * **Details**
 *
 * Exhaustive over the statuses 100 to 599 and over every code: O(statuses * codes).
 *
 * **Example** (A playbook that repeats a 401)
 *
 * ```ts
 * import { Playbook } from "effect-resilience"
 * import * as Laws from "effect-resilience/testing/Laws"
 * import { Effect } from "effect"
 *
 * const wrong = Playbook.extend(Playbook.standard, {
 *   byStatus: { 401: { ...Playbook.lookup(Playbook.standard, 401), repeat: "transient" } }
 * })
 *
 * const message = Laws.playbook(wrong).pipe(Effect.flip, Effect.map((error) => error.message))
 * const found = await Effect.runPromise(message)
 * found // => "Laws.playbook: 401 repeats Auth, which fails the same way every time"
 * ```
 *
 * @since 0.1.0
 * @category playbooks
 */
export const playbook = (playbook: Playbook.Playbook): Effect.Effect<void, Error> =>
  Effect.suspend(() => {
    for (let status = 100; status <= 599; status++) {
      const row = Playbook.lookup(playbook, status)
      const wrong = rowFault(status, row)
      if (wrong !== undefined) {
        return new LawBroken({ message: `Laws.playbook: ${status} ${wrong}` })
      }
      for (const [code, changes] of Object.entries(playbook.byCode ?? {})) {
        // A code that changes the tag and not `repeat` takes the answer of the status along, which
        // is the fault most easily made.
        const corrected = status >= 400 ? rowFault(status, { ...row, ...changes }) : undefined
        if (corrected !== undefined) {
          return new LawBroken({
            message: `Laws.playbook: ${status} with code "${code}" ${corrected}`
          })
        }
      }
    }
    return Effect.void
  })
