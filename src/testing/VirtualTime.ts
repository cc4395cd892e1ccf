/**
 * Hours in milliseconds: runs an effect under a clock that jumps from one thing that is waited for
 * to the next.
 *
 * What a policy does over an hour of outage cannot be tried out in an hour. Under virtual time
 * nobody waits: as soon as everything waits, the clock jumps to the earliest end of a wait. Unlike
 * a test clock it needs nobody to say when, so a simulation is written as the program that it
 * simulates.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
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

  constructor(startMillis: number) {
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
      return Effect.sync(() => {
        sleeper.wake = undefined
      })
    })
  }

  /** Wakes whoever is to be woken first; says whether there was anybody. */
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
 * Fibers that have something to do are run in a turn of the microtask queue; what they set off, in
 * one of the next turns.
 */
const turns = 64

const untilAllWait = Effect.promise(async () => {
  for (let turn = 0; turn < turns; turn++) await undefined
})

const liveClock = Context.get(DefaultServices.liveServices, Clock.Clock)

/** Lets what is real have its turn: a timer, a request, somebody who interrupts. */
const breath = liveClock.sleep(Duration.millis(1))

/** After so many jumps there is a breath. */
const jumpsPerBreath = 100

const drive = <A, E>(clock: JumpingClock, fiber: Fiber.RuntimeFiber<A, E>): Effect.Effect<void> => {
  let jumps = 0
  // Where nobody sleeps and yet it has not ended, something real is under way.
  const jump = Effect.suspend(() =>
    clock.jump() && ++jumps % jumpsPerBreath !== 0 ? Effect.void : breath
  )
  return untilAllWait.pipe(
    Effect.zipRight(Fiber.poll(fiber)),
    Effect.tap((exit) => Option.isSome(exit) ? Effect.void : jump),
    Effect.repeat({ until: Option.isSome }),
    Effect.asVoid
  )
}

/**
 * Runs an effect in virtual time, to its end.
 *
 * **Details**
 *
 * The clock begins at `startMillis` (epoch milliseconds, default 0) and is as exact as a
 * nanosecond. Every sleep of the effect, of its fibers and of the modules of this library goes by
 * it. Real work, such as a request, is waited for in real time, during which the clock stands
 * still. A jump costs O(log sleepers) and some microseconds.
 *
 * **Gotchas**
 *
 * An effect that waits for ever for something that nobody will do never ends here, either.
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
  options: { readonly startMillis?: number | undefined } = {}
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const clock = new JumpingClock(options.startMillis ?? 0)
    return Effect.flatMap(
      Effect.fork(Effect.withClock(effect, clock)),
      (fiber) => Effect.zipRight(drive(clock, fiber), Fiber.join(fiber))
    )
  })
