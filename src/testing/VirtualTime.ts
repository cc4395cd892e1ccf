/**
 * Runs hours in milliseconds: an effect under a clock that jumps from one wait to the next.
 *
 * The behaviour of a policy over an hour of outage cannot be tested in an hour. Under virtual time
 * the clock jumps to the earliest end of a wait as soon as every fiber waits. Unlike a test clock
 * it needs no commands, so a simulation is written as the program that it simulates.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as Scheduler from "effect/Scheduler"
import * as PriorityQueue from "../core/priorityQueue.js"

interface Sleeper {
  wake: (() => void) | undefined
}

/** A clock that stands still until it is told to jump. */
class JumpingClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  readonly #queue = PriorityQueue.make<Sleeper>()
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())
  #nanos: bigint

  /** `slept`: told that there is a new sleeper. */
  constructor(startMillis: number, readonly slept: () => void) {
    this.#nanos = BigInt(Math.round(startMillis)) * 1_000_000n
  }

  unsafeCurrentTimeMillis(): number {
    return Number(this.#nanos / 1_000_000n)
  }

  unsafeCurrentTimeNanos(): bigint {
    return this.#nanos
  }

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    if (!Duration.isFinite(duration)) return Effect.never
    return Effect.async<void>((resume) => {
      const sleeper: Sleeper = { wake: () => resume(Effect.void) }
      PriorityQueue.add(this.#queue, this.#nanos + Duration.unsafeToNanos(duration), sleeper)
      this.slept()
      return Effect.sync(() => {
        sleeper.wake = undefined
      })
    })
  }

  /** Wakes the sleeper that comes first. Without one the answer is false. */
  jump(): boolean {
    for (
      let next = PriorityQueue.take(this.#queue);
      next !== undefined;
      next = PriorityQueue.take(this.#queue)
    ) {
      const { wake } = next.what
      if (wake === undefined) continue
      this.#nanos = next.at
      wake()
      return true
    }
    return false
  }
}

/**
 * Runs the fibers of one run, and knows when none of them can run: then the clock jumps.
 *
 * Fibers run in turns of the microtask queue. Before each jump the event loop turns once, so that a
 * chain of promises that are settled comes to its end first.
 */
class Driver implements Scheduler.Scheduler {
  readonly clock: JumpingClock
  readonly #channel = new MessageChannel()
  #tasks = new Scheduler.PriorityBuckets()
  /** Whether a turn is due: of the microtask queue, or of the event loop. */
  #isDue = false
  #isEnded = false
  #real = 0

  constructor(startMillis: number) {
    this.clock = new JumpingClock(startMillis, () => this.#whenIdle())
    this.#channel.port1.addEventListener("message", () => this.#turn(0))
    this.#channel.port1.start()
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    return Scheduler.defaultScheduler.shouldYield(fiber)
  }

  scheduleTask(task: Scheduler.Task, priority: number): void {
    // What outlives the run has fibers that run, and a clock that stands still.
    if (this.#isEnded) return Scheduler.defaultScheduler.scheduleTask(task, priority)
    this.#tasks.scheduleTask(task, priority)
    if (!this.#isDue) this.#soon(0)
  }

  /** Real work has begun, or has ended. */
  real(by: 1 | -1): void {
    this.#real += by
    this.#whenIdle()
  }

  end(): void {
    this.#isEnded = true
    this.#channel.port1.close()
    for (const [priority, tasks] of this.#taken()) {
      for (const task of tasks) Scheduler.defaultScheduler.scheduleTask(task, priority)
    }
  }

  #taken(): ReadonlyArray<readonly [number, ReadonlyArray<Scheduler.Task>]> {
    const { buckets } = this.#tasks
    this.#tasks = new Scheduler.PriorityBuckets()
    return buckets
  }

  /** The next turn; after many of the microtask queue one of the event loop. */
  #soon(turns: number): void {
    this.#isDue = true
    if (turns >= turnsOfMicrotasks) this.#channel.port2.postMessage(undefined)
    else queueMicrotask(() => this.#turn(turns + 1))
  }

  #turn(turns: number): void {
    if (this.#isEnded) return
    const taken = this.#taken()
    if (taken.length > 0) {
      for (const [, tasks] of taken) for (const task of tasks) task()
      if (this.#isEnded) return
      if (this.#tasks.buckets.length > 0) return this.#soon(turns)
      this.#isDue = false
      return this.#whenIdle()
    }
    this.#isDue = false
    // A turn of the event loop in which no fiber could run.
    if (this.#real === 0) this.clock.jump()
  }

  /** Jumps when a turn of the event loop has passed without a task. */
  #whenIdle(): void {
    if (this.#isDue || this.#isEnded || this.#real > 0) return
    this.#isDue = true
    this.#channel.port2.postMessage(undefined)
  }
}

/** After so many turns of the microtask queue the event loop turns: timers and requests go on. */
const turnsOfMicrotasks = 2048

/** The run that a fiber is part of. */
const current = globalValue(
  "effect-resilience/VirtualTime/current",
  () => FiberRef.unsafeMake<Driver | undefined>(undefined)
)

const liveClock = Context.get(DefaultServices.liveServices, Clock.Clock)

/**
 * Registers real work, such as a request: virtual time stands still until it has ended.
 *
 * **Details**
 *
 * Within it time is real. Outside of `run` it changes nothing.
 *
 * **Example** (The clock waits for a promise)
 *
 * ```ts
 * import { Clock, Effect } from "effect"
 * import * as VirtualTime from "effect-resilience/testing/VirtualTime"
 *
 * const answer = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
 * const program = Effect.raceFirst(
 *   Effect.zipRight(VirtualTime.real(answer), Clock.currentTimeMillis),
 *   Effect.as(Effect.sleep("1 hour"), -1)
 * )
 *
 * await Effect.runPromise(VirtualTime.run(program)) // => 0
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const real = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    FiberRef.get(current),
    (driver) =>
      driver === undefined ? effect : Effect.acquireUseRelease(
        Effect.sync(() => driver.real(1)),
        () => Effect.withClock(effect, liveClock),
        () => Effect.sync(() => driver.real(-1))
      )
  )

/**
 * Runs an effect in virtual time, to its end.
 *
 * **Details**
 *
 * The clock begins at `startMillis` (epoch milliseconds, default 0) and is as exact as a
 * nanosecond. Every sleep of the effect, of its fibers and of the modules of this library goes by
 * it. The clock never jumps while a fiber can run, or while real work is under way that was
 * registered with `real`. A jump costs O(log sleepers) and some microseconds.
 *
 * **Gotchas**
 *
 * Real work that is not registered looks like a fiber that waits: the clock jumps on to the next
 * sleeper, and where no fiber sleeps, the real work is waited for.
 *
 * An effect that waits for an event that never comes does not end here, either.
 *
 * **Example** (An hour of attempts)
 *
 * ```ts
 * import { Backoff, Operation, Retry, Verdict } from "effect-resilience"
 * import * as VirtualTime from "effect-resilience/testing/VirtualTime"
 * import { Clock, Effect } from "effect"
 *
 * const down = Effect.fail("down").pipe(
 *   Retry.retry({
 *     operation: Operation.read,
 *     retries: 60,
 *     backoff: Backoff.constant("1 minute"),
 *     verdict: () => Verdict.transient()
 *   })
 * )
 *
 * const program = Effect.zipRight(Effect.flip(down), Clock.currentTimeMillis)
 *
 * await Effect.runPromise(VirtualTime.run(program)) // => 3600000
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: {
    /** The time at the start, in epoch milliseconds. Default 0. */
    readonly startMillis?: number | undefined
  } = {}
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const driver = new Driver(options.startMillis ?? 0)
    const within = Effect.zipRight(Effect.yieldNow(), effect).pipe(
      Effect.withClock(driver.clock),
      Effect.locally(current, driver),
      Effect.withScheduler(driver)
    )
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.fork(restore(within)), (fiber) =>
        restore(Fiber.join(fiber)).pipe(
          Effect.onInterrupt(() => Fiber.interrupt(fiber)),
          Effect.ensuring(Effect.sync(() => driver.end()))
        ))
    )
  })
