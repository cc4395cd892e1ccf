import { Clock, type Duration, Effect } from "effect"
import * as DurationModule from "effect/Duration"

interface Timer {
  readonly at: number
  readonly fire: () => void
}

/** Lets every fiber run until it waits for something. */
export const settle = Effect.promise(() =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
)

/**
 * A clock that stands still until it is advanced. Unlike the `TestClock` it takes no real time, so
 * that thousands of steps are possible.
 */
export const virtualClock = () => {
  let now = 0
  const timers = new Set<Timer>()
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => Math.floor(now),
    unsafeCurrentTimeNanos: () => BigInt(Math.round(now * 1e6)),
    currentTimeMillis: Effect.sync(() => Math.floor(now)),
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(now * 1e6))),
    sleep: (duration: Duration.Duration) =>
      Effect.async<void>((resume) => {
        const timer: Timer = {
          at: now + DurationModule.toMillis(duration),
          fire: () => {
            timers.delete(timer)
            resume(Effect.void)
          }
        }
        timers.add(timer)
        return Effect.sync(() => timers.delete(timer))
      })
  }
  const advance = (millis: number): Effect.Effect<void> =>
    Effect.gen(function*() {
      const end = now + millis
      for (;;) {
        yield* settle
        const due = [...timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0]
        if (due === undefined) break
        now = Math.max(now, due.at)
        due.fire()
      }
      now = end
      yield* settle
    })
  return { clock, advance, timers }
}
