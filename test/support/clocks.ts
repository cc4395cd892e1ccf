/**
 * Clocks for tests that the `TestClock` is not enough for: of a machine of its own, with timers
 * that fire early, with a wall clock that steps.
 */
import { Clock, Duration, Effect } from "effect"
import { turn } from "./turns.js"

interface Options {
  /** Monotonic time. */
  readonly nanos: () => bigint
  /** The wall clock. */
  readonly millis: () => number
  /** By default a sleep does not end. */
  readonly sleep?: Clock.Clock["sleep"]
}

export const clockFrom = (
  { millis, nanos, sleep = () => Effect.never }: Options
): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  unsafeCurrentTimeMillis: millis,
  unsafeCurrentTimeNanos: nanos,
  currentTimeMillis: Effect.sync(millis),
  currentTimeNanos: Effect.sync(nanos),
  sleep
})

const nanosOf = (millis: number): bigint => BigInt(Math.round(millis * 1e6))

/** Both times of a clock from one number of milliseconds. */
const both = (now: () => number) => ({
  millis: () => Math.floor(now()),
  nanos: () => nanosOf(now())
})

/**
 * A clock that stands still until an effect sleeps, and whose timers fire half a millisecond early,
 * as real ones may.
 */
export const earlyClock = () => {
  let millis = 0
  const slept: Array<number> = []
  const clock = clockFrom({
    ...both(() => millis),
    sleep: (duration) =>
      Effect.zipRight(
        Effect.yieldNow(),
        Effect.sync(() => {
          slept.push(Duration.toMillis(duration))
          millis += Duration.toMillis(duration) - 0.5
        })
      )
  })
  return { clock, slept }
}

/** A clock that stands still until `time` is changed, and remembers what was slept. */
export const standingClock = () => {
  const time = { millis: 0 }
  const slept: Array<number> = []
  const clock = clockFrom({
    ...both(() => time.millis),
    sleep: (duration) =>
      Effect.zipRight(Effect.sync(() => slept.push(Duration.toMillis(duration))), Effect.never)
  })
  return { clock, time, slept }
}

/**
 * The clock of a machine of its own: monotonic time, and a wall clock that can be set. Both are
 * milliseconds, and stand still until they are changed.
 */
export const steppingClock = (
  start: { readonly monotonic?: number; readonly wall?: number } = {}
) => {
  const time = { monotonic: 0, wall: 0, ...start }
  const clock = clockFrom({ millis: () => time.wall, nanos: () => nanosOf(time.monotonic) })
  return {
    time,
    on: Effect.withClock(clock),
    pass: (millis: number) =>
      Effect.sync(() => {
        time.wall += millis
        time.monotonic += millis
      }),
    setWall: (millis: number) =>
      Effect.sync(() => {
        time.wall = millis
      })
  }
}

/** Another clock that is off by so many milliseconds. */
export const offBy = (
  clock: Clock.Clock,
  off: { readonly wall: number; readonly monotonic?: number }
): Clock.Clock =>
  clockFrom({
    millis: () => clock.unsafeCurrentTimeMillis() + off.wall,
    nanos: () => clock.unsafeCurrentTimeNanos() + nanosOf(off.monotonic ?? 0),
    sleep: (duration) => clock.sleep(duration)
  })

/** Another clock that counts how often it is used, and how many fibers sleep on it. */
export const countingClock = (inner: Clock.Clock) => {
  const counts = { uses: 0, sleeping: 0 }
  const used = <A>(use: () => A): A => {
    counts.uses++
    return use()
  }
  const clock = clockFrom({
    millis: () => used(() => inner.unsafeCurrentTimeMillis()),
    nanos: () => used(() => inner.unsafeCurrentTimeNanos()),
    sleep: (duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => used(() => void counts.sleeping++)),
        () => inner.sleep(duration),
        () => Effect.sync(() => void counts.sleeping--)
      )
  })
  return { clock, counts }
}

/** Lets every fiber run until it waits for something. */
export const settled = Effect.zipRight(turn, turn)

interface Timer {
  readonly at: number
  readonly fire: () => void
}

/**
 * A clock that stands still until it is advanced. Unlike the `TestClock` it takes no real time, so
 * that thousands of steps are possible.
 */
export const virtualClock = () => {
  let now = 0
  const timers = new Set<Timer>()
  const clock = clockFrom({
    ...both(() => now),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const timer: Timer = {
          at: now + Duration.toMillis(duration),
          fire: () => {
            timers.delete(timer)
            resume(Effect.void)
          }
        }
        timers.add(timer)
        return Effect.sync(() => timers.delete(timer))
      })
  })
  const advance = (millis: number): Effect.Effect<void> =>
    Effect.gen(function*() {
      const end = now + millis
      for (;;) {
        yield* settled
        const due = [...timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
        if (due === undefined) break
        now = Math.max(now, due.at)
        due.fire()
      }
      now = end
      yield* settled
    })
  return { clock, advance, timers }
}
