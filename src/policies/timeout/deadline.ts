/**
 * The one place that runs an attempt under a deadline.
 *
 * The attempt runs in a fiber of its own, which is started at once and on the caller's turn: what
 * has ended by then never had a timer. Otherwise one timer is armed, for the deadline that comes
 * first, and the caller waits until the attempt and its finalizers have ended. Everything that
 * limits time goes through `run` and `runQueued`, so another way of doing it would change nothing
 * else.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as FiberRefs from "effect/FiberRefs"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as ApiError from "../../errors/ApiError.js"
import { maxTimerMillis } from "../../core/backoff.js"
import * as Rejection from "../../errors/Rejection.js"
import * as Waited from "../../runtime/queueTime.js"
import * as Timer from "../../runtime/timer.js"

/**
 * How long something may take, in milliseconds; `Infinity` where nothing limits it.
 *
 * - `attemptMillis` counts from when the attempt begins, `totalMillis` from the moment that comes
 *   with it.
 * - `detach`: what has run out of time goes on in the background.
 * - `attempts`: how many calls the failure is to speak of, where that is known beforehand.
 */
export interface Limits {
  readonly attemptMillis: number
  readonly totalMillis: number
  readonly detach?: boolean | undefined
  readonly attempts?: number | undefined
}

/** Whether there is anything to wait for: what is longer than a timer can be never ends. */
export const isLimited = ({ attemptMillis, totalMillis }: Limits): boolean =>
  Math.min(attemptMillis, totalMillis) <= maxTimerMillis

type Deadline = "attempt" | "total"

type Limited<A, E, R> = Effect.Effect<A, E | ApiError.Timeout, R>

type Running = Fiber.RuntimeFiber<unknown, unknown>

const subjects = { attempt: "The attempt", total: "The call" } as const

/** The failure that a deadline is. It has no stack: that would show a timer. */
export const timeout = (deadline: Deadline, limits: Limits): ApiError.Timeout => {
  const { attemptMillis, attempts, totalMillis } = limits
  const limit = Duration.format(
    Duration.millis(deadline === "attempt" ? attemptMillis : totalMillis)
  )
  const message = `${subjects[deadline]} did not end within ${limit}`
  const traced = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return new ApiError.Timeout({
      message,
      deadline,
      ...(attempts === undefined ? {} : { attempts })
    }, {
      disableValidation: true
    })
  } finally {
    Error.stackTraceLimit = traced
  }
}

/**
 * A call that still waited for its turn says nothing about the upstream. To a guard around it, it
 * was turned away before it ran.
 */
const turnedAway = (error: ApiError.Timeout): ApiError.Timeout =>
  Object.defineProperty(error, Rejection.TypeId, { value: Rejection.TypeId })

export const clockOf = (fiber: Running): Clock.Clock =>
  Context.get(fiber.currentDefaultServices, Clock.Clock)

const millisBetween = (from: bigint, to: bigint): number => Number(to - from) / 1e6

/**
 * Whether a fiber has written to its fiber refs, other than those that differ between any two
 * fibers.
 */
const hasWritten = (before: FiberRefs.FiberRefs, after: FiberRefs.FiberRefs): boolean => {
  for (const [ref, [[, value]]] of after.locals) {
    if (value === before.locals.get(ref)?.[0][1]) continue
    if (ref !== FiberRef.currentRuntimeFlags && ref !== FiberRef.interruptedCause) return true
  }
  return false
}

/** One run of one effect under its deadlines. `A` and `E` are what the effect itself ends with. */
class Region<A, E> {
  private readonly clock: Clock.Clock
  private readonly refs: FiberRefs.FiberRefs
  private readonly totalFrom: bigint
  private attemptFrom: bigint | undefined
  private child: Fiber.RuntimeFiber<Exit.Exit<A, E>> | undefined = undefined
  private expired: Deadline | undefined = undefined
  private disarm: () => void = constVoid
  private result: Limited<A, E, never> | undefined = undefined
  private resume: (result: Limited<A, E, never>) => void = constVoid

  constructor(
    private readonly parent: Running,
    private readonly flags: RuntimeFlags.RuntimeFlags,
    private readonly limits: Limits,
    totalFrom: bigint | undefined,
    private readonly isQueued: boolean
  ) {
    this.clock = clockOf(parent)
    this.refs = parent.getFiberRefs()
    const attempt = !isQueued && limits.attemptMillis !== Infinity
    const now = attempt || totalFrom === undefined ? this.clock.unsafeCurrentTimeNanos() : totalFrom
    this.attemptFrom = attempt ? now : undefined
    this.totalFrom = totalFrom ?? now
  }

  /**
   * The turn of an attempt that waited for it. Guards around it see the end of its time as a
   * failure, not as an interruption.
   */
  begin<A2, E2, R2>(attempt: Effect.Effect<A2, E2, R2>): Limited<A2, E2, R2> {
    return Effect.uninterruptibleMask((restore) => {
      // Where nothing can interrupt, the turn may come when the time is over.
      if (this.expired !== undefined) return Effect.fail(this.failure(this.expired))
      this.attemptFrom = this.clock.unsafeCurrentTimeNanos()
      if (this.child !== undefined) this.arm(this.child)
      return Effect.catchAllCause(
        restore(attempt),
        (cause) => Effect.failCause(this.causeOf(cause))
      )
    })
  }

  /**
   * Runs the effect as far as it goes at once, then waits for it. To be called where nothing can
   * interrupt.
   */
  start<R>(self: Effect.Effect<A, E, R>): Limited<A, E, R> {
    const isInterruptible = RuntimeFlags.interruptible(this.flags)
    // A fiber that was interrupted before, and is now in a finalizer, hears of no further
    // interruption.
    const hears = isInterruptible ||
      Cause.isEmpty(this.parent.getFiberRef(FiberRef.interruptedCause))
    const child = this.fork(
      Effect.exit(isInterruptible ? Effect.interruptible(self) : self),
      RuntimeFlags.disable(this.flags, RuntimeFlags.Interruption)
    )
    const exit = child.unsafePoll()
    if (exit !== null) return this.outcome(child, Exit.flatten(exit))
    this.child = child
    child.addObserver((exit) => {
      this.disarm()
      this.settle(this.outcome(child, Exit.flatten(exit)))
    })
    this.arm(child)
    return hears
      ? Effect.catchAllCause(
        Effect.interruptible(this.wait()),
        (cause) => this.interrupted(child, cause, isInterruptible)
      )
      : this.wait()
  }

  private fork<A2, E2, R2>(
    effect: Effect.Effect<A2, E2, R2>,
    runtimeFlags: RuntimeFlags.RuntimeFlags
  ) {
    const context = this.parent.currentContext as Context.Context<R2>
    return Runtime.runFork(Runtime.make({ context, runtimeFlags, fiberRefs: this.refs }), effect)
  }

  private arm(child: Running): void {
    const { attemptMillis, totalMillis } = this.limits
    this.disarm()
    this.disarm = constVoid
    const now = this.clock.unsafeCurrentTimeNanos()
    const attempt = this.attemptFrom === undefined
      ? Infinity
      : attemptMillis - millisBetween(this.attemptFrom, now)
    const total = totalMillis === Infinity
      ? Infinity
      : totalMillis - millisBetween(this.totalFrom, now)
    const left = Math.min(attempt, total)
    const expire = () => this.expire(child, total <= attempt ? "total" : "attempt")
    if (left <= 0) expire()
    else if (left <= maxTimerMillis) this.disarm = this.schedule(left, expire)
  }

  private schedule(millis: number, wake: () => void): () => void {
    if (this.clock === Timer.liveClock) return Timer.arm(millis, wake)
    const sleeper = this.fork(
      this.clock.sleep(Duration.millis(millis)),
      RuntimeFlags.enable(this.flags, RuntimeFlags.Interruption)
    )
    sleeper.addObserver((exit) => Exit.isSuccess(exit) ? wake() : undefined)
    return () => sleeper.unsafeInterruptAsFork(this.parent.id())
  }

  private expire(child: Running, deadline: Deadline): void {
    this.expired = deadline
    if (this.limits.detach === true) this.settle(Effect.fail(this.failure(deadline)))
    else child.unsafeInterruptAsFork(this.parent.id())
  }

  /**
   * The work is interrupted with its caller, and its caller waits for it. What nobody can interrupt
   * keeps its deadline.
   */
  private interrupted(
    child: Running,
    cause: Cause.Cause<E | ApiError.Timeout>,
    isInterruptible: boolean
  ): Limited<A, E, never> {
    if (this.result !== undefined) return Effect.failCause(cause)
    if (isInterruptible) this.disarm()
    child.unsafeInterruptAsFork(this.parent.id())
    return this.wait()
  }

  private wait(): Limited<A, E, never> {
    return Effect.async((resume) => {
      if (this.result === undefined) this.resume = resume
      else resume(this.result)
    })
  }

  private settle(result: Limited<A, E, never>): void {
    if (this.result !== undefined) return
    this.result = result
    this.resume(result)
  }

  private outcome(child: Fiber.RuntimeFiber<unknown>, exit: Exit.Exit<A, E>): Limited<A, E, never> {
    if (this.expired !== undefined) {
      const failure = Effect.failCause(
        this.causeOf(Exit.isFailure(exit) ? exit.cause : Cause.empty)
      )
      // What it has written is lost with it, but not how long it stood in line.
      return Waited.millisOf(child) > Waited.millisOf(this.parent)
        ? Effect.zipRight(Waited.takeOver(child), failure)
        : failure
    }
    return hasWritten(this.refs, child.getFiberRefs())
      ? Effect.zipRight(child.inheritAll, exit)
      : exit
  }

  /**
   * Out of time is out of time, whatever the work made of its interruption; but a defect in a
   * finalizer is not hidden.
   */
  private causeOf<E2>(cause: Cause.Cause<E2>): Cause.Cause<E2 | ApiError.Timeout> {
    if (this.expired === undefined) return cause
    const failure = Cause.fail(this.failure(this.expired))
    return Option.match(Cause.keepDefects(cause), {
      onNone: () => failure,
      onSome: (defects) => Cause.sequential(failure, defects)
    })
  }

  private failure(deadline: Deadline): ApiError.Timeout {
    const error = timeout(deadline, this.limits)
    return this.attemptFrom === undefined && this.isQueued ? turnedAway(error) : error
  }
}

/**
 * Runs an attempt under its own limit and what is left of the total, whichever ends first. The
 * failure says which it was.
 *
 * `totalFrom` is when the total began, in monotonic nanoseconds of the fiber's clock: now, unless
 * given.
 */
export const run = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  limits: Limits,
  totalFrom?: bigint
): Limited<A, E, R> =>
  isLimited(limits)
    ? inRegion(limits, totalFrom, false, (region: Region<A, E>) => region.start(self))
    : self

/**
 * The same for an attempt that may have to wait for its turn: `queue` puts around `begin(attempt)`
 * whatever it waits for. The total covers the waiting, the attempt's own limit only what is in
 * `begin`.
 */
export const runQueued = <A, E, R>(
  queue: (begin: Begin) => Effect.Effect<A, E, R>,
  limits: Limits,
  totalFrom?: bigint
): Limited<A, E, R> =>
  inRegion(
    limits,
    totalFrom,
    true,
    (region: Region<A, E>) => region.start(queue((attempt) => region.begin(attempt)))
  )

/** What is around the attempt sees the end of its time as the failure that it is. */
export interface Begin {
  <A, E, R>(attempt: Effect.Effect<A, E, R>): Limited<A, E, R>
}

const inRegion = <A, E, R>(
  limits: Limits,
  totalFrom: bigint | undefined,
  isQueued: boolean,
  use: (region: Region<A, E>) => Limited<A, E, R>
): Limited<A, E, R> =>
  // The work may interrupt its caller at once. So it is forked where nothing can interrupt, with
  // the flags from before.
  Effect.withFiberRuntime<A, E | ApiError.Timeout, R>((parent, { runtimeFlags }) =>
    Effect.uninterruptibleMask(() =>
      use(new Region<A, E>(parent, runtimeFlags, limits, totalFrom, isQueued))
    )
  )
