/**
 * Runs a call and its hedges side by side: which attempts run, which is next, and which has won.
 *
 * All of it happens in single turns of the event loop, so there is nothing to lock. An attempt is a
 * fiber of its own, since the caller has to be able to leave one behind; a fiber that has ended
 * when it has been started leaves nothing to wait for, and then no timer is made.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { maxTimerMillis } from "../../core/backoff.js"
import * as ApiError from "../../errors/ApiError.js"
import * as CallFacts from "../../errors/callFacts.js"
import { tagOfResponseError } from "../../errors/failureFacts.js"
import type * as RetryBudget from "../../retry/RetryBudget.js"
import type { Attempts } from "../../runtime/attempts.js"
import { nowMillis } from "../../runtime/clock.js"

/**
 * How a call is hedged. `isUnsafe`: being executed elsewhere too does harm. `observe` is told how
 * long the primary took, or has taken when it was known that it takes too long.
 */
export interface Plan {
  readonly hedges: number
  readonly delayMillis: number
  readonly budget: RetryBudget.RetryBudget | undefined
  readonly isUnsafe: boolean
  readonly observe: ((millis: number) => void) | undefined
}

/** What became of the hedges of a call that has ended. */
export interface Story {
  readonly hedges: number
  readonly isRefused: boolean
  /** 0 is the primary. */
  readonly winner: number | undefined
}

/** The budget had no token. */
const refused: unique symbol = Symbol.for("effect-resilience/Hedge/refused")

type Attempt<A, E> = Fiber.RuntimeFiber<Exit.Exit<A | typeof refused, E>>

/** A fiber that has been interrupted before its effect could say so ends with that instead. */
const endingOf = <A, E>(exit: Exit.Exit<Exit.Exit<A, E>>): Exit.Exit<A, E> => Exit.flatten(exit)

/**
 * Tests whether a failure says itself that another try now is in vain or too early: the API has
 * judged the request, or has asked to wait, or one of our own guards let nothing through.
 */
const forbidsHedging = (error: unknown): boolean => {
  const verdict = ApiError.verdict(error)
  if (verdict._tag === "Terminal") {
    return ApiError.isApiError(error) || tagOfResponseError(error) !== undefined
  }
  return verdict._tag === "Rejected" || Option.isSome(verdict.retryAfter)
}

export class Race<A, E, R> {
  readonly #runtime: Runtime.Runtime<R>
  readonly #clock: Clock.Clock
  readonly #self: FiberId.FiberId
  readonly #attempt: Effect.Effect<A, E, R>
  readonly #plan: Plan
  readonly #record: Attempts | undefined
  readonly #startedMillis: number
  readonly #running = new Map<number, Attempt<A, E>>()
  #timer: Fiber.RuntimeFiber<unknown> | undefined
  #hedges = 0
  #isClosed = false
  #isRefused = false
  #mayHaveRun = false
  #primary: Effect.Effect<A, E> | undefined
  #result: Effect.Effect<A, E> | undefined
  #winner: number | undefined
  #resume: (() => void) | undefined

  constructor(
    runtime: Runtime.Runtime<R>,
    clock: Clock.Clock,
    self: FiberId.FiberId,
    attempt: Effect.Effect<A, E, R>,
    plan: Plan,
    record: Attempts | undefined
  ) {
    this.#runtime = runtime
    this.#clock = clock
    this.#self = self
    this.#attempt = attempt
    this.#plan = plan
    this.#record = record
    this.#startedMillis = nowMillis(clock)
    this.#start(0, attempt)
    this.#arm()
  }

  /** The answer, once there is one. */
  get result(): Effect.Effect<A, E> | undefined {
    return this.#result
  }

  get story(): Story {
    return { hedges: this.#hedges, isRefused: this.#isRefused, winner: this.#winner }
  }

  /** Whether losers are still on their way out. */
  get hasLosers(): boolean {
    return this.#running.size > 0
  }

  /** Ends as soon as there is an answer. */
  readonly wait: Effect.Effect<void> = Effect.async<void>((resume) => {
    if (this.#result === undefined) this.#resume = () => resume(Effect.void)
    else resume(Effect.void)
  })

  /** The caller has gone: everything is interrupted, and has ended when this has. */
  readonly abandon: Effect.Effect<void> = Effect.suspend(() => {
    const running = [...this.#running.values()]
    this.#settle(Effect.interrupt)
    return Effect.forEach(running, Fiber.await, { discard: true })
  })

  #elapsedMillis(): number {
    return nowMillis(this.#clock) - this.#startedMillis
  }

  /** Runs an attempt up to where it first waits for something. */
  #start(number: number, attempt: Effect.Effect<A | typeof refused, E, R>): void {
    // However the caller runs, what may lose has to be interruptible.
    const fiber: Attempt<A, E> = Runtime.runFork(this.#runtime)(
      Effect.exit(Effect.interruptible(attempt))
    )
    const exit = fiber.unsafePoll()
    if (exit !== null) {
      this.#ended(number, fiber, endingOf(exit))
    } else {
      this.#running.set(number, fiber)
      fiber.addObserver((exit) => {
        this.#running.delete(number)
        this.#ended(number, fiber, endingOf(exit))
      })
    }
  }

  #ended(number: number, fiber: Attempt<A, E>, exit: Exit.Exit<A | typeof refused, E>): void {
    if (this.#result !== undefined) return
    if (number === 0) this.#observe(Exit.isSuccess(exit))
    if (Exit.isSuccess(exit)) {
      if (exit.value === refused) return this.#refuse()
      this.#winner = number
      return this.#settle(Effect.as(fiber.inheritAll, exit.value))
    }
    const { cause } = exit
    this.#note(cause)
    const failure = Cause.failureOption(cause)
    if (number === 0) {
      this.#primary = Effect.zipRight(fiber.inheritAll, this.#failed(cause))
      // A defect is none of the upstream's, and an interruption is a caller's wish.
      if (Option.isNone(failure) || Option.isSome(Cause.dieOption(cause))) {
        return this.#settle(this.#primary)
      }
    }
    if (Option.isSome(failure) && forbidsHedging(failure.value)) this.#isClosed = true
    // As long as the primary runs, a hedge that failed changes nothing: the next one comes in its
    // time.
    if (number === 0 || this.#running.size === 0) this.#next()
  }

  /** Remembers an attempt that may have been executed, be it the primary or a hedge. */
  #note(cause: Cause.Cause<E>): void {
    const isOpen = Cause.isInterrupted(cause) || Option.isSome(Cause.dieOption(cause)) ||
      Chunk.some(Cause.failures(cause), CallFacts.mayHaveRunWithin)
    if (!isOpen) return
    this.#mayHaveRun = true
    this.#record?.add(this.#plan.isUnsafe)
  }

  /** The failure of the primary as that of the call, once all have ended. */
  #failed(cause: Cause.Cause<E>): Effect.Effect<never, E> {
    return Effect.suspend(() => {
      const mayHaveRun = this.#mayHaveRun || this.#record?.mayHaveRun === true
      return Effect.failCause(
        Cause.map(cause, (error) => CallFacts.ofCall(error, { mayHaveRun }))
      )
    })
  }

  #refuse(): void {
    this.#isRefused = true
    this.#isClosed = true
    this.#hedges--
    if (this.#running.size === 0) this.#next()
  }

  get #hasNext(): boolean {
    return !this.#isClosed && this.#result === undefined && this.#hedges < this.#plan.hedges
  }

  /** Starts a hedge at once, or gives up when nothing is left that could succeed. */
  #next(): void {
    if (this.#hasNext) {
      this.#hedge()
      this.#arm()
    } else if (this.#running.size === 0 && this.#primary !== undefined) {
      this.#settle(this.#primary)
    }
  }

  #hedge(): void {
    this.#disarm()
    const { budget } = this.#plan
    const attempt = this.#attempt
    this.#start(
      ++this.#hedges,
      budget === undefined
        ? attempt
        : Effect.flatMap(
          budget.withdraw,
          (granted): Effect.Effect<A | typeof refused, E, R> =>
            granted ? attempt : Effect.succeed(refused)
        )
    )
  }

  /** Waits for the next hedge to be due; those that are due already start. */
  #arm(): void {
    while (this.#hasNext && this.#timer === undefined) {
      const left = (this.#hedges + 1) * this.#plan.delayMillis - this.#elapsedMillis()
      if (left > maxTimerMillis) return
      if (left <= 0) {
        this.#hedge()
      } else {
        const due = Effect.sync(() => {
          this.#timer = undefined
          if (this.#hasNext) this.#hedge()
          this.#arm()
        })
        this.#timer = Runtime.runFork(this.#runtime)(
          Effect.zipRight(Effect.interruptible(this.#clock.sleep(Duration.millis(left))), due)
        )
      }
    }
  }

  #disarm(): void {
    this.#timer?.unsafeInterruptAsFork(this.#self)
    this.#timer = undefined
  }

  #settle(result: Effect.Effect<A, E>): void {
    if (this.#result !== undefined) return
    this.#result = result
    this.#disarm()
    if (this.#running.has(0)) this.#observe(false)
    for (const loser of this.#running.values()) loser.unsafeInterruptAsFork(this.#self)
    this.#resume?.()
  }

  /**
   * A primary that succeeded took as long as it took; any other counts when it is known that it
   * takes longer than the delay.
   */
  #observe(hasSucceeded: boolean): void {
    const { delayMillis, observe } = this.#plan
    if (observe === undefined) return
    const elapsed = this.#elapsedMillis()
    if (hasSucceeded || elapsed >= delayMillis) observe(elapsed)
  }
}
