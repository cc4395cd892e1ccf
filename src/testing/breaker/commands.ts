/**
 * Sequences of commands that are worth trying with a policy, and how they read.
 */
import * as FastCheck from "effect/FastCheck"
import * as Backoff from "../../core/backoff.js"
import type * as Circuit from "../../core/circuit.js"
import type { Command, Ending, Operation } from "./model.js"

/** Bursts are no longer than this, so that a window of a hundred thousand does not take all day. */
const maxBurst = 1000

/** How much later or earlier than a moment "just" is. */
export const justMillis = 1

/** The times that mean something to a policy. */
const timesOf = (
  { maxOpenMillis, open, slow, trialTimeoutMillis, window }: Circuit.Policy
): ReadonlyArray<number> => {
  const openings = typeof open === "number"
    ? [open]
    : [0, 1, 2].map((attempt) =>
      Backoff.delayMillis(open, { attempt, previousMillis: 0, unit: 0.5 })
    )
  return [
    ...openings,
    trialTimeoutMillis ?? Math.max(10_000, ...openings),
    ...(slow === undefined ? [] : [slow.overMillis]),
    ...(window._tag === "Time"
      ? [window.durationMillis / window.buckets, window.durationMillis]
      : []),
    maxOpenMillis
  ].filter((millis) => millis < Infinity)
}

/** Sequences of commands that are worth trying with a policy. */
export const commandsOf = (policy: Circuit.Policy): FastCheck.Arbitrary<ReadonlyArray<Command>> => {
  const times = timesOf(policy)
  const near = times.flatMap((
    millis
  ) => [millis, Math.max(0, millis - justMillis), millis + justMillis])
  const hint = FastCheck.option(
    FastCheck.constantFrom(...new Set([0, 1, ...near, policy.maxOpenMillis * 2].map(Math.ceil))),
    { nil: undefined, freq: 1 }
  )
  const unit = FastCheck.constantFrom(0, 0.25, 0.5, 0.999)
  const ending = FastCheck.oneof(
    FastCheck.record({
      _tag: FastCheck.constantFrom("Success" as const, "Interrupted" as const),
      unit
    }),
    FastCheck.record({
      _tag: FastCheck.constant("Failure" as const),
      unit,
      retryAfterMillis: hint
    }),
    FastCheck.record({
      _tag: FastCheck.constantFrom("Success" as const, "Failure" as const),
      unit
    }),
    FastCheck.record({ _tag: FastCheck.constant("Ignored" as const), unit, retryAfterMillis: hint })
  )
  const isSlow = FastCheck.oneof(
    { withCrossShrink: true },
    { weight: 3, arbitrary: FastCheck.constant(false) },
    {
      weight: 1,
      arbitrary: FastCheck.constant(policy.slow !== undefined && policy.slow.overMillis < Infinity)
    }
  )
  const size = policy.window._tag === "Count" ? policy.window.size : policy.minimumCalls + 1
  const bursts = [2, policy.minimumCalls - 1, policy.minimumCalls, size, policy.halfOpen.trials + 1]
    .map((calls) => Math.min(maxBurst, Math.max(1, calls)))
  const pick = FastCheck.nat({ max: 7 })
  const command: FastCheck.Arbitrary<Command> = FastCheck.oneof(
    { weight: 4, arbitrary: FastCheck.constant({ _tag: "Start" as const }) },
    {
      weight: 5,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Finish" as const),
        pick,
        isSlow,
        ending
      })
    },
    {
      weight: 3,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Burst" as const),
        calls: FastCheck.constantFrom(...bursts),
        isSlow,
        ending
      })
    },
    {
      weight: 2,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Pass" as const),
        millis: FastCheck.constantFrom(...near)
      })
    },
    {
      weight: 4,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Deadline" as const),
        pick,
        off: FastCheck.constantFrom(0, -justMillis, justMillis)
      })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("WallBack" as const),
        millis: FastCheck.constantFrom(3_600_000, ...times)
      })
    },
    {
      weight: 2,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Operate" as const),
        operation: FastCheck.constantFrom<Array<Operation>>(
          "Reset",
          "Reset",
          "Isolate",
          "Isolate",
          "Release",
          "Release",
          "ForcedOpen",
          "ForcedClosed",
          "Disabled"
        )
      })
    }
  )
  return FastCheck.array(command, { minLength: 1, maxLength: 50, size: "max" })
}

/** What an operator does. */
export const operations: Readonly<Record<Operation, string>> = {
  Isolate: "it is isolated",
  Release: "an isolation ends",
  Reset: "it is reset",
  ForcedOpen: "it is forced open",
  ForcedClosed: "it is forced closed",
  Disabled: "it is disabled"
}

/** What a call does that ends so, or what several do. */
export const ended = ({ _tag, retryAfterMillis }: Ending, isOne: boolean): string => {
  const wish = retryAfterMillis === undefined ? "" : ` asking for ${retryAfterMillis} ms`
  const are = isOne ? "is" : "are"
  switch (_tag) {
    case "Success":
      return isOne ? "succeeds" : "succeed"
    case "Failure":
      return `${isOne ? "fails" : "fail"}${wish}`
    case "Ignored":
      return `${are} ignored${wish}`
    case "Interrupted":
      return `${are} interrupted`
  }
}
