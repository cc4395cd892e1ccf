/**
 * Runs one effect under its deadlines.
 *
 * The effect runs in a fiber of its own, which is started at once and on the caller's turn: what
 * has ended by then never had a timer. Otherwise one timer is armed, for the deadline that comes
 * first, and the caller waits until the effect and its finalizers have ended.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as RuntimeFlags from "effect/RuntimeFlags"
import { maxTimerMillis } from "../../core/backoff.js"
import type * as ApiError from "../../errors/ApiError.js"
import * as Rejection from "../../errors/Rejection.js"
import { clockOf } from "../../runtime/clock.js"
import { forkFrom } from "../../runtime/fork.js"
import * as QueueTime from "../../runtime/queueTime.js"
import * as Timer from "../../runtime/timer.js"
import { type Deadline, type Limits, timeout } from "./limits.js"

/** What running out of time fails with: a rejection, where the call still stood in a line. */
export type OutOfTime = ApiError.Timeout | Rejection.QueueTimeout

type Limited<A, E, R> = Effect.Effect<A, E | OutOfTime, R>

type Running = Fiber.RuntimeFiber<unknown, unknown>

const millisBetween = (from: bigint, to: bigint): number => Number(to - from) / 1e6

/**
 * The line that an attempt stands in before its turn: whose it is, and before which stage it waits.
 */
export interface Line {
  readonly key: string
  stage: string
}

/**
 * Tests whether a fiber has written to its fiber refs since it began, other than to those that
 * differ between any two moments of a fiber. What was set and put back is no write.
 */
const hasWritten = (
  before: FiberRefs.FiberRefs,
  after: FiberRefs.FiberRefs,
  parent: Running
): boolean => {
  let found = false
  // Without iterators: a deadline asks this of every call.
  after.locals.forEach((stack, ref) => {
    if (found) return
    const value = stack[0][1]
    const known = before.locals.get(ref)
    // Of what was not there, the parent reads the initial value.
    if (value === (known === undefined ? parent.getFiberRef(ref) : known[0][1])) return
    found = ref !== FiberRef.currentRuntimeFlags && ref !== FiberRef.interruptedCause
  })
  return found
}

/** How many regions have started their effect and have not left the caller's stack yet. */
let starting = 0

/** As many may stand on the stack inside each other. What is further inside starts on its own. */
const maxStarting = 32

/** `A` and `E` are what the effect itself ends with. */
export class Region<A, E> {
  private readonly clock: Clock.Clock
  /** What the effect's own fiber began with. */
  private refs = FiberRefs.empty()
  private readonly totalFrom: bigint
  private attemptFrom: bigint | undefined
  private armedFrom: bigint | undefined = undefined
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
    private readonly line: Line | undefined
  ) {
    this.clock = clockOf(parent)
    const attempt = line === undefined && limits.attemptMillis !== Infinity
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
   * Runs the effect as far as it goes at once, then waits for it. Deep inside of others it starts
   * on the next turn, so that no nesting overflows the stack. To be called where nothing can
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
    // Some refs begin anew in each fiber.
    const refs = (refs: FiberRefs.FiberRefs) => this.refs = refs
    if (starting >= maxStarting) {
      return forkFrom(this.parent, effect, { runtimeFlags, refs, immediate: false })
    }
    starting++
    try {
      return forkFrom(this.parent, effect, { runtimeFlags, refs })
    } finally {
      starting--
    }
  }

  private arm(child: Running): void {
    const { attemptMillis, totalMillis } = this.limits
    this.disarm()
    this.disarm = constVoid
    const now = this.clock.unsafeCurrentTimeNanos()
    this.armedFrom ??= now
    const attempt = this.attemptFrom === undefined
      ? Infinity
      : attemptMillis - millisBetween(this.attemptFrom, now)
    const total = totalMillis === Infinity
      ? Infinity
      : totalMillis - millisBetween(this.totalFrom, now)
    const left = Math.min(attempt, total)
    const expire = () => this.expire(child, total <= attempt ? "total" : "attempt")
    if (left <= 0) expire()
    else if (left <= maxTimerMillis) this.disarm = Timer.after(this.parent, left, expire)
  }

  private expire(child: Running, deadline: Deadline): void {
    this.expired = deadline
    if (this.limits.detach === true) this.settle(Effect.fail(this.failure(deadline)))
    else child.unsafeInterruptAsFork(this.parent.id())
  }

  /**
   * The work is interrupted with its caller, and its caller waits for it. Uninterruptible work
   * keeps its deadline.
   */
  private interrupted(
    child: Running,
    cause: Cause.Cause<E | OutOfTime>,
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
      return QueueTime.millisOf(child) > QueueTime.millisOf(this.parent)
        ? Effect.zipRight(QueueTime.takeOver(child), failure)
        : failure
    }
    return hasWritten(this.refs, child.getFiberRefs(), this.parent)
      ? Effect.zipRight(child.inheritAll, exit)
      : exit
  }

  /**
   * Out of time is out of time, whatever the work made of its interruption; but a defect in a
   * finalizer is not hidden.
   */
  private causeOf<E2>(cause: Cause.Cause<E2>): Cause.Cause<E2 | OutOfTime> {
    if (this.expired === undefined) return cause
    const failure = Cause.fail(this.failure(this.expired))
    return Option.match(Cause.keepDefects(cause), {
      onNone: () => failure,
      onSome: (defects) => Cause.sequential(failure, defects)
    })
  }

  /** A call that still waited for its turn was turned away before it ran. */
  private failure(deadline: Deadline): OutOfTime {
    if (this.line === undefined || this.attemptFrom !== undefined) {
      return timeout(deadline, this.limits)
    }
    const now = this.clock.unsafeCurrentTimeNanos()
    return new Rejection.QueueTimeout({
      stage: this.line.stage,
      key: this.line.key,
      waited: Duration.millis(millisBetween(this.armedFrom ?? now, now))
    })
  }
}
