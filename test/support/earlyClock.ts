import { Clock, Duration, Effect } from "effect"

/**
 * A clock that stands still until somebody sleeps, and whose timers fire half a millisecond early,
 * as real ones may.
 */
export const earlyClock = () => {
  let millis = 0
  const slept: Array<number> = []
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => Math.floor(millis),
    unsafeCurrentTimeNanos: () => BigInt(Math.round(millis * 1e6)),
    currentTimeMillis: Effect.sync(() => Math.floor(millis)),
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(millis * 1e6))),
    sleep: (duration) =>
      Effect.zipRight(
        Effect.yieldNow(),
        Effect.sync(() => {
          slept.push(Duration.toMillis(duration))
          millis += Duration.toMillis(duration) - 0.5
        })
      )
  }
  return { clock, slept }
}
