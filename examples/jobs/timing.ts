/** How long a job waits. */
import { Clock, Duration, Effect } from "effect"

/** A clock that adds up what is slept through: here, every wait between two attempts. */
export const timing = Effect.map(Effect.clock, (clock) => {
  let waitedMillis = 0
  const counting: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanos: clock.currentTimeNanos,
    sleep: (duration) =>
      Effect.map(clock.sleep(duration), () => {
        waitedMillis += Duration.toMillis(duration)
      })
  }
  return { clock: counting, waitedSeconds: () => waitedMillis / 1000 }
})
