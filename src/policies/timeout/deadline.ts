/**
 * Runs an attempt under a deadline; the only place that does.
 *
 * Everything that limits time goes through `run` and `runQueued`, so another way of doing it would
 * change nothing else.
 */
import * as Effect from "effect/Effect"
import type * as ApiError from "../../errors/ApiError.js"
import { isLimited, type Limits } from "./limits.js"
import { type Line, type OutOfTime, Region } from "./region.js"

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
): Effect.Effect<A, E | ApiError.Timeout, R> =>
  isLimited(limits)
    // Where there is no line there is no rejection either.
    ? inRegion(limits, totalFrom, undefined, (region: Region<A, E>) =>
      region.start(self)) as Effect.Effect<A, E | ApiError.Timeout, R>
    : self

/** What a line puts around the attempt that waits in it. */
export interface Queue {
  /** The turn has come: from here on the attempt's own limit counts. */
  readonly begin: <A, E, R>(attempt: Effect.Effect<A, E, R>) => Effect.Effect<A, E | OutOfTime, R>
  /** The attempt stands before this stage. */
  readonly before: <A, E, R>(
    stage: string,
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
}

/**
 * The same for an attempt that may have to wait for its turn: `queue` puts around `begin(attempt)`
 * what it waits for. The total covers the waiting, the attempt's own limit only what is in `begin`.
 * Out of time before its turn, the failure is a `QueueTimeout`.
 */
export const runQueued = <A, E, R>(
  queue: (line: Queue) => Effect.Effect<A, E, R>,
  limits: Limits,
  key: string,
  totalFrom?: bigint
): Effect.Effect<A, E | OutOfTime, R> =>
  Effect.suspend(() => {
    const line: Line = { key, stage: "" }
    return inRegion(limits, totalFrom, line, (region: Region<A, E>) =>
      region.start(queue({
        begin: (attempt) => region.begin(attempt),
        before: (stage, self) =>
          Effect.suspend(() => {
            line.stage = stage
            return self
          })
      })))
  })

const inRegion = <A, E, R>(
  limits: Limits,
  totalFrom: bigint | undefined,
  line: Line | undefined,
  use: (region: Region<A, E>) => Effect.Effect<A, E | OutOfTime, R>
): Effect.Effect<A, E | OutOfTime, R> =>
  // The work may interrupt its caller at once. So it is forked where nothing can interrupt, with
  // the flags from before.
  Effect.withFiberRuntime<A, E | OutOfTime, R>((parent, { runtimeFlags }) =>
    Effect.uninterruptibleMask(() =>
      use(new Region<A, E>(parent, runtimeFlags, limits, totalFrom, line))
    )
  )
