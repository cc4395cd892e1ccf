/**
 * Hedging, as a stage.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { isAnswer } from "../../errors/callFacts.js"
import * as Operation from "../../idempotency/Operation.js"
import type * as RetryBudget from "../../retry/RetryBudget.js"
import {
  buildable,
  duration,
  hasTag,
  integer,
  madeBy,
  positive,
  share,
  strict
} from "../../runtime/optionSchema.js"
import * as Hedge from "../Hedge.js"
import {
  type Frame,
  type Given,
  type Part,
  type Stage,
  stage,
  type Stages
} from "../stage/definition.js"
import { counted, percent, time } from "../stage/words.js"

declare module "../stage/definition.js" {
  interface Stages {
    /** A second attempt beside one that is late; see `Hedge.MakeOptions`. Default: none. */
    readonly hedge?: Omit<Hedge.MakeOptions, "operation" | "budget"> | undefined
  }
}

const QuantileSpec = madeBy(
  Schema.TaggedStruct("Quantile", {
    quantile: share,
    atLeast: Schema.optional(duration("atLeast")),
    atMost: Schema.optional(duration("atMost")),
    initial: Schema.optional(duration("initial")),
    samples: Schema.optional(integer(1, Hedge.bounds.samples)),
    minimumCalls: Schema.optional(integer(1, Hedge.bounds.samples))
  }),
  hasTag<Hedge.Quantile>("Quantile"),
  ({ quantile, ...options }) => Hedge.quantile(quantile, options)
)

const spec = strict("hedge options", {
  delay: Schema.Union(positive("delay"), QuantileSpec),
  hedges: Schema.optional(integer(1, Hedge.bounds.hedges))
}).pipe(
  buildable(
    "hedge",
    (hedge: Omit<Hedge.MakeOptions, "operation">) =>
      Hedge.make({ ...hedge, operation: Operation.read })
  )
)

const isHedged = ({ operation }: Stages): boolean => operation._tag !== "Once"

const hedgesOf = ({ hedges }: Given<"hedge">, stages: Stages): number =>
  isHedged(stages) ? hedges ?? Hedge.defaults.hedges : 0

const isQuantile = (delay: Hedge.MakeOptions["delay"]): delay is Hedge.Quantile =>
  typeof delay === "object" && "_tag" in delay && delay._tag === "Quantile"

/** The longest delay there can be before a hedge. */
const longestDelay = ({ delay }: Given<"hedge">): Duration.Duration =>
  isQuantile(delay) ? Duration.max(delay.atMost, delay.initial) : Duration.decode(delay)

/** Pays in for a success, and for a failure that shows that the upstream works. */
const paidBy = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  { deposit }: RetryBudget.RetryBudget
): Effect.Effect<A, E, R> =>
  Effect.tapBoth(self, {
    onFailure: (error) => isAnswer(error) ? deposit : Effect.void,
    onSuccess: () => deposit
  })

const partOf = (hedge: Hedge.Hedge<unknown>, { budget, retries }: Frame): Part => {
  // Where no retry pays in, it is done here.
  const deposits = retries ? undefined : budget
  return {
    around: (self, call) => {
      const hedged = hedge.protect(self, call) as typeof self
      return deposits === undefined ? hedged : paidBy(hedged, deposits)
    },
    forFrame: (frame) => partOf(Hedge.like(hedge, frame), frame)
  }
}

export const hedge: Stage = stage({
  name: "hedge",
  title: "hedge",
  place: "repeat",
  spec,
  rejects: [],
  frame: (_, frame) => Effect.succeed({ ...frame, repeats: true }),
  build: (given, frame) =>
    Effect.map(
      Hedge.make({ ...given, operation: frame.operation, budget: frame.budget }),
      (hedge) => partOf(hedge, frame)
    ),
  says: (given, stages) => {
    if (!isHedged(stages)) return "none: the operation must not run twice"
    const { delay } = given
    const after = isQuantile(delay)
      ? `when an attempt is slower than ${percent(delay.quantile)} of the others`
      : `every ${time(delay)} that an attempt has not answered`
    const hedges = counted(hedgesOf(given, stages), "further request", "further requests")
    return `up to ${hedges}, ${after}`
  },
  cost: (given, stages) => ({
    hedges: hedgesOf(given, stages),
    hedgeDelayMillis: Duration.toMillis(longestDelay(given))
  })
})
