/**
 * Retrying, as a stage.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Operation from "../../idempotency/Operation.js"
import * as Backoff from "../../retry/Backoff.js"
import { retryFrom } from "../../retry/driver.js"
import { check } from "../../retry/policy.js"
import * as Retry from "../../retry/Retry.js"
import { buildable, duration, integer, strict } from "../../runtime/optionSchema.js"
import { type Contradiction, nameOf, shown, written } from "../stage/checks.js"
import {
  type Frame,
  type Given,
  type Part,
  type Stage,
  stage,
  type Stages
} from "../stage/definition.js"
import { backoffSays, counted, time } from "../stage/words.js"

declare module "../stage/definition.js" {
  interface Stages {
    /** How to try again; see `Retry.Base`. Default: one attempt. */
    readonly retry?: Omit<Retry.Options<unknown>, "operation" | "budget"> | undefined
  }
}

const spec = strict("retry options", {
  retries: Schema.optional(integer(0)),
  backoff: Schema.optional(Backoff.Backoff),
  within: Schema.optional(duration("within")),
  retryAfterCap: Schema.optional(duration("retryAfterCap")),
  beyondCap: Schema.optional(Schema.Literal("fail", "clamp")),
  waitForRejections: Schema.optional(Schema.Boolean),
  nested: Schema.optional(Schema.Literal("allow"))
}).pipe(
  buildable(
    "retry",
    (retry: Omit<Retry.Base, "operation">) =>
      Effect.sync(() => check({ ...retry, operation: Operation.read }))
  )
)

/** The options with their defaults. */
const optionsOf = (given: Given<"retry">) => ({
  retries: given.retries ?? Retry.defaults.retries,
  backoff: given.backoff ?? Retry.defaults.backoff,
  within: given.within === undefined ? Duration.infinity : Duration.decode(given.within),
  retryAfterCap: Duration.decode(given.retryAfterCap ?? Retry.defaults.retryAfterCap),
  beyondCap: given.beyondCap ?? Retry.defaults.beyondCap,
  waitForRejections: given.waitForRejections ?? Retry.defaults.waitForRejections
})

const says = (given: Given<"retry">): string => {
  const { backoff, beyondCap, retries, retryAfterCap, waitForRejections, within } = optionsOf(given)
  const beyond = beyondCap === "fail" ? "gives up beyond that" : "waits no longer than that"
  return [
    `up to ${counted(retries, "retry", "retries")}, ${backoffSays(backoff)}`,
    `waits for Retry-After up to ${time(retryAfterCap)}, ${beyond}`,
    ...(Duration.isFinite(within)
      ? [`begins none later than ${time(within)} after the start`]
      : []),
    ...(waitForRejections ? ["waits for the guards too"] : [])
  ].join("; ")
}

const remarks = (
  given: Given<"retry"> | undefined,
  { operation }: Stages
): ReadonlyArray<string> => {
  if (given === undefined) return ["Nothing is retried."]
  if (given.verdict !== undefined) return ["Retried: what the policy's own verdict says."]
  const unexecuted =
    "429, 408, 425, 413 with Retry-After, a key that is still in flight, a connection that was " +
    "never made"
  return operation._tag === "Once"
    ? [
      `Retried: only what was certainly not executed (${unexecuted}).`,
      "Not retried: time-outs, broken connections, 5xx and every other 4xx."
    ]
    : [
      `Retried: ${unexecuted}, time-outs of an attempt, broken connections, 500, 502, 503, 504 ` +
      "and other 5xx.",
      "Not retried: every other 4xx, 501, 505, 506, 508, 510, 511, the total time-out."
    ]
}

/** Retries whose smallest delays alone take as long as the whole call may. */
const checks = (
  { backoff, retries }: Given<"retry">,
  { totalTimeout }: Stages
): ReadonlyArray<Contradiction> => {
  if (retries === undefined || backoff === undefined) return []
  const smallest = Backoff.envelope(backoff, 0).min
  const waits = Duration.times(smallest, retries)
  return written(totalTimeout, "totalTimeout")
    .filter(({ value }) => !Duration.lessThan(waits, Duration.decode(value)))
    .map((field) => ({
      path: ["retry", "retries"],
      message: `retry.retries times the smallest delay of retry.backoff (${retries} times ${
        Duration.format(smallest)
      }) should be less than ${nameOf(field)} (${shown(field.value)}), got ${
        Duration.format(waits)
      }`
    }))
}

/** Checks the options, and ends the waiting with the total. */
const boundOptions = (
  given: Given<"retry">,
  { budget, operation, totalMillis }: Frame
): Retry.Options<unknown, unknown> => {
  const options = { ...given, operation, budget }
  check(options)
  const { within } = options
  return within !== undefined && Duration.toMillis(within) <= totalMillis
    ? options
    : { ...options, within: totalMillis }
}

const partOf = (given: Given<"retry">, frame: Frame): Part => {
  const options = boundOptions(given, frame)
  return {
    around: (self, call) => retryFrom(self, options, call.from),
    forFrame: (other) => partOf(given, other)
  }
}

export const retry: Stage = stage({
  name: "retry",
  title: "retry",
  place: "repeat",
  spec,
  rejects: [],
  frame: (_, frame) => Effect.succeed({ ...frame, repeats: true, retries: true }),
  build: (given, frame) => Effect.sync(() => partOf(given, frame)),
  says,
  remarks,
  cost: (given) => {
    const { backoff, retries, retryAfterCap, within } = optionsOf(given)
    return {
      retries,
      backoff: Backoff.toCore(backoff),
      retryAfterCapMillis: Duration.toMillis(retryAfterCap),
      withinMillis: Duration.toMillis(within)
    }
  },
  checks
})
