/** Pays for further attempts, as a stage. It wraps nothing itself: retries and hedges use it. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import type { WorstCase } from "../../core/worstCase.js"
import * as RetryBudget from "../../retry/RetryBudget.js"
import { behindOf, isInstance, optionsOf, withBehind } from "../../runtime/instances.js"
import type { Meter } from "../../runtime/meter.js"
import { amount, buildable, strict } from "../../runtime/optionSchema.js"
import { type Given, type Stage, stage } from "../stage/definition.js"
import { counted } from "../stage/words.js"

declare module "../stage/definition.js" {
  interface Stages {
    /** Pays for the retries and hedges of all calls through the pipeline. Default: none. */
    readonly budget?: RetryBudget.RetryBudget | RetryBudget.Options | undefined
  }
}

export const budgetRefused = Metric.counter("resilience.budget.refused", {
  description: "Retries and hedges that a budget did not pay for",
  incremental: true
})

/**
 * Makes the same budget count its refusals for the retries that use it here. Once under each name.
 */
export const refusalsCounted = (
  budget: RetryBudget.RetryBudget,
  meter: Meter
): RetryBudget.RetryBudget => {
  const behind = behindOf(budget)
  if (behind?.countedAs === meter.name) return budget
  const refused = meter.counter(budgetRefused)
  return withBehind<RetryBudget.RetryBudget>({
    ...budget,
    withdraw: Effect.map(budget.withdraw, (granted) => {
      if (!granted) refused()
      return granted
    })
  }, { options: {}, ...behind, countedAs: meter.name })
}

/** What a budget was made with; none for one that was made elsewhere. */
const settingsOf = (given: Given<"budget">) => {
  const options = optionsOf<RetryBudget.Options>(given)
  return options === undefined ? undefined : {
    ratio: options.ratio ?? RetryBudget.defaults.ratio,
    capacity: options.capacity ?? RetryBudget.defaults.capacity,
    reservePerSecond: options.reservePerSecond ?? RetryBudget.defaults.reservePerSecond
  }
}

const says = (given: Given<"budget">): string => {
  const settings = settingsOf(given)
  if (settings === undefined) return "pays for the retries, as it was made, shared with others"
  const { capacity, ratio, reservePerSecond } = settings
  return `a success pays for ${ratio} retries, ${reservePerSecond} a second flow in, ` +
    `at most ${capacity} are saved up`
}

const summary = (
  given: Given<"budget"> | undefined,
  { calls }: WorstCase
): ReadonlyArray<string> => {
  const settings = given === undefined ? undefined : settingsOf(given)
  if (settings === undefined) {
    return [`When everything fails: ${counted(calls, "request", "requests")} for each call.`]
  }
  return [
    "When everything fails: 1 request for each call, and " +
    `${settings.reservePerSecond} more a second for all of them together, ` +
    `once the ${settings.capacity} saved up are spent.`
  ]
}

const instanceOf = (given: Given<"budget">): Effect.Effect<RetryBudget.RetryBudget> =>
  isInstance<RetryBudget.RetryBudget, RetryBudget.Options>(given)
    ? Effect.succeed(given)
    : RetryBudget.make(given)

export const budget: Stage = stage({
  name: "budget",
  title: "budget",
  place: "frame",
  spec: strict("budget options", {
    ratio: Schema.optional(amount),
    capacity: Schema.optional(amount),
    reservePerSecond: Schema.optional(amount)
  }).pipe(buildable("budget", RetryBudget.make)),
  rejects: [],
  share: instanceOf,
  frame: (given, frame) =>
    Effect.map(instanceOf(given), (made) => ({
      ...frame,
      budget: frame.meter === undefined ? made : refusalsCounted(made, frame.meter)
    })),
  says,
  summary
})
