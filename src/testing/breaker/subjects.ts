/**
 * What is put to the test beside the model: a pure machine by itself, or the service with a fiber
 * for each call.
 */
import type * as Clock from "effect/Clock"
import { ClockTypeId } from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type * as Circuit from "../../core/circuit.js"
import * as CircuitBreaker from "../../policies/CircuitBreaker.js"
import { type Ending, millisOf, type Subject, type Time } from "./model.js"

/** The functions of a pure machine. */
export type Machine = Pick<
  typeof Circuit,
  | "admit"
  | "counts"
  | "isolate"
  | "make"
  | "openings"
  | "order"
  | "record"
  | "reset"
  | "retryAfterMillis"
  | "settle"
  | "visible"
>

/** A pure machine, by itself. */
export const ofMachine =
  (machine: Machine) => (policy: Circuit.Policy) => (time: Time): Subject => {
    let state = machine.make(policy, millisOf(time))
    let rejected = 0
    const running = new Map<
      number,
      { readonly token: Circuit.Token; readonly startedMillis: number }
    >()
    const settled = (): number => {
      const now = millisOf(time)
      state = machine.settle(state, now)[1]
      return now
    }
    return {
      start: (call) => {
        const now = settled()
        const [admission, next] = machine.admit(policy, state, now)
        state = next
        if (admission._tag === "Admitted") {
          running.set(call, { token: admission.token, startedMillis: now })
          return undefined
        }
        rejected++
        return admission.retryAfterMillis
      },
      end: (call, { _tag, retryAfterMillis, unit }) => {
        const now = settled()
        const started = running.get(call)
        running.delete(call)
        if (started === undefined) return
        const durationMillis = now - started.startedMillis
        const isSlow = policy.slow !== undefined && durationMillis > policy.slow.overMillis
        const tag = _tag === "Interrupted" ? (isSlow ? "Success" : "Ignored") : _tag
        state = machine.record(policy, state, started.token, {
          _tag: tag,
          retryAfterMillis,
          durationMillis,
          unit
        }, now)
      },
      operate: (operation) => {
        const now = settled()
        switch (operation) {
          case "Isolate":
            state = machine.isolate(state, 1)
            return
          case "Release":
            state = machine.isolate(state, -1)
            return
          case "Reset":
            state = machine.reset(state, now)
            return
          default:
            state = machine.order(state, operation)
        }
      },
      look: () => {
        const now = settled()
        return {
          state: machine.visible(state),
          ...machine.counts(state, now),
          openings: machine.openings(state, now),
          inFlight: running.size,
          rejected,
          retryAfterMillis: machine.retryAfterMillis(policy, state, now)
        }
      }
    }
  }

const clockOf = (time: Time): Clock.Clock => ({
  [ClockTypeId]: ClockTypeId,
  unsafeCurrentTimeMillis: () => time.wallMillis,
  unsafeCurrentTimeNanos: () => time.nanos,
  currentTimeMillis: Effect.sync(() => time.wallMillis),
  currentTimeNanos: Effect.sync(() => time.nanos),
  sleep: () => Effect.never
})

const outcomeOf = ({ _tag, retryAfterMillis }: Ending): CircuitBreaker.Outcome => {
  if (_tag === "Success") return CircuitBreaker.success
  const tag = _tag === "Failure" ? "Failure" : "Ignored"
  return retryAfterMillis === undefined
    ? { _tag: tag }
    : { _tag: tag, retryAfter: Duration.millis(retryAfterMillis) }
}

/**
 * The service, with one fiber for each call. What is to happen at once does, so that a sequence of
 * commands is the whole story.
 */
export const ofService = (options: CircuitBreaker.Options) => (time: Time): Subject => {
  const tasks: Array<() => void> = []
  const scheduler: Scheduler.Scheduler = {
    scheduleTask: (task) => void tasks.push(task),
    shouldYield: () => false
  }
  const flush = (): void => {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task()
  }
  const clock = clockOf(time)
  const run = <A>(effect: Effect.Effect<A>): A => Effect.runSync(Effect.withClock(effect, clock))
  // Only an operator forgets a key here.
  const idleTimeToLive = Duration.millis(Number.MAX_SAFE_INTEGER)
  const breaker = run(CircuitBreaker.make({ ...options, idleTimeToLive }))
  const running = new Map<
    number,
    { readonly end: (ending: Ending) => void; readonly interrupt: () => void }
  >()
  const handles: Array<Scope.CloseableScope> = []
  let unit = 0
  const random = Object.create(Random.make(0), {
    next: { value: Effect.sync(() => unit) }
  }) as Random.Random

  return {
    start: (call) => {
      let resume: (ending: Effect.Effect<Ending>) => void = () => {}
      const calling = Effect.async<Ending>((resumes) => {
        resume = resumes
      }).pipe(
        breaker.protect({
          classify: (exit: Exit.Exit<Ending>) =>
            Exit.isSuccess(exit) ? outcomeOf(exit.value) : CircuitBreaker.classify(exit)
        }),
        Effect.withRandom(random),
        Effect.withClock(clock)
      )
      const fiber = Effect.runFork(calling, { scheduler })
      flush()
      const exit = fiber.unsafePoll()
      if (exit === null) {
        running.set(call, {
          end: (ending) => resume(Effect.succeed(ending)),
          interrupt: () => fiber.unsafeInterruptAsFork(FiberId.none)
        })
        return undefined
      }
      const open = Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : undefined
      return open === undefined ? Number.NaN : Duration.toMillis(open.retryAfter)
    },
    end: (call, ending) => {
      unit = ending.unit
      const started = running.get(call)
      running.delete(call)
      if (ending._tag === "Interrupted") started?.interrupt()
      else started?.end(ending)
      flush()
    },
    operate: (operation) => {
      switch (operation) {
        case "Isolate": {
          const scope = run(Scope.make())
          run(Scope.extend(breaker.isolate(), scope))
          return void handles.push(scope)
        }
        case "Release": {
          const scope = handles.pop()
          return scope === undefined ? undefined : run(Scope.close(scope, Exit.void))
        }
        case "Reset":
          return run(breaker.reset())
        case "ForcedOpen":
          return run(breaker.forceOpen())
        case "ForcedClosed":
          return run(breaker.forceClosed())
        case "Disabled":
          return run(breaker.disable())
      }
    },
    look: () => {
      const { retryAfter, ...snapshot } = run(breaker.snapshot())
      return {
        ...snapshot,
        retryAfterMillis: Option.getOrUndefined(Option.map(retryAfter, Duration.toMillis))
      }
    }
  }
}
