/**
 * Checks that a pipeline does nothing that its description calls impossible. No call makes more
 * requests or takes longer than the worst case of `Pipeline.describe`, for any answers and any
 * delays of the API.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Runtime from "effect/Runtime"
import * as ApiError from "../../errors/ApiError.js"
import * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"
import * as Pipeline from "../../pipeline/Pipeline.js"
import * as Validate from "../../runtime/validate.js"
import { LawBroken } from "../lawBroken.js"
import * as VirtualTime from "../VirtualTime.js"

type Answer =
  | "success"
  | "busy"
  | "busy, with a wait"
  | "down"
  | "down, with a wait"
  | "reset"
  | "invalid"

/** How one request goes: after how many milliseconds it is answered, and with what. */
interface Step {
  readonly millis: number
  readonly answer: Answer
  readonly waitMillis: number
}

const step = FastCheck.record<Step>({
  millis: FastCheck.oneof(
    FastCheck.constant(0),
    FastCheck.integer({ min: 1, max: 100 }),
    FastCheck.integer({ min: 100, max: 120_000 })
  ),
  answer: FastCheck.oneof(
    { weight: 1, arbitrary: FastCheck.constantFrom<Answer>("success", "invalid") },
    {
      weight: 9,
      arbitrary: FastCheck.constantFrom<Answer>(
        "busy",
        "busy, with a wait",
        "down",
        "down, with a wait",
        "reset"
      )
    }
  ),
  waitMillis: FastCheck.oneof(
    FastCheck.constant(60_000),
    FastCheck.integer({ min: 0, max: 90_000 })
  )
})

const scripts = FastCheck.array(step, { minLength: 1, maxLength: 12 })

const answered = ({ answer, waitMillis }: Step): Effect.Effect<void, ApiError.ApiError> => {
  const retryAfter = Duration.millis(waitMillis)
  switch (answer) {
    case "success":
      return Effect.void
    case "busy":
      return new ApiError.RateLimit({ message: answer, status: 429 })
    case "busy, with a wait":
      return new ApiError.RateLimit({ message: answer, status: 429, retryAfter })
    case "down":
      return new ApiError.Server({ message: answer, status: 503 })
    case "down, with a wait":
      return new ApiError.Server({ message: answer, status: 503, retryAfter })
    case "reset":
      return new ApiError.Network({ message: answer, sent: "unknown" })
    case "invalid":
      return new ApiError.Validation({ message: answer, status: 422 })
  }
}

/** What one call came to. */
interface Cost {
  readonly calls: number
  readonly millis: number
}

/** One call through a new pipeline; where the script is over, it begins again. */
const costOf = (stages: Pipeline.Stages, script: ReadonlyArray<Step>): Effect.Effect<Cost> =>
  VirtualTime.run(
    Effect.flatMap(Pipeline.make(stages), (pipeline) => {
      let calls = 0
      const request = Effect.suspend(() => {
        // A script has at least one step.
        const step = script[calls++ % script.length] as Step
        return Effect.zipRight(Effect.sleep(step.millis), answered(step))
      })
      const call = Pipeline.protect(
        request,
        pipeline as Pipeline.Pipeline<never, IdempotencyKey.IdempotencyKey>
      )
      return Effect.exit(IdempotencyKey.provideNew(call)).pipe(
        Effect.zipRight(Clock.currentTimeMillis),
        Effect.map((millis) => ({ calls, millis }))
      )
    })
  )

const inWords = (script: ReadonlyArray<Step>): string =>
  script.map(({ answer, millis, waitMillis }) =>
    `${answer.endsWith("wait") ? `${answer} of ${waitMillis} ms` : answer} after ${millis} ms`
  ).join(", then ")

/** Rounding of timers that fire to the millisecond. */
const slackMillis = 1

const excess = (cost: Cost, worst: Pipeline.Description): string | undefined => {
  if (cost.calls > worst.worstCaseCalls) {
    return `${cost.calls} requests, where at most ${worst.worstCaseCalls} are said`
  }
  const limit = Duration.toMillis(worst.worstCaseTime)
  return cost.millis > limit + slackMillis
    ? `${cost.millis} ms, where at most ${limit} ms are said`
    : undefined
}

/**
 * Checks that what `Pipeline.describe` says of these stages is true: in virtual time, one call
 * after the other through a new pipeline, against an API with any answers and any delays.
 *
 * **Details**
 *
 * `runs` (default 100) is how many random sequences of answers are tried, always the same ones. A
 * `description` of your own is held against the pipeline instead of ours. Invalid stages die with
 * `RangeError`.
 *
 * **Example** (The standard pipeline keeps what it promises)
 *
 * ```ts
 * import { Pipeline } from "effect-resilience"
 * import * as Laws from "effect-resilience/testing/Laws"
 * import { Effect } from "effect"
 *
 * await Effect.runPromise(Effect.as(Laws.pipeline(Pipeline.standard), "kept")) // => "kept"
 * ```
 *
 * @since 0.1.0
 * @category laws
 */
export const pipeline = (
  stages: Pipeline.Stages,
  settings: {
    /** How many sequences of answers are tried. Default 100. */
    readonly runs?: number | undefined
    /** The description to check. Default: what `Pipeline.describe` says. */
    readonly description?: Pipeline.Description | undefined
  } = {}
): Effect.Effect<void, Error> =>
  Effect.gen(function*() {
    yield* Pipeline.make(stages)
    const numRuns = Validate.integer("runs", settings.runs ?? 100, 1)
    const worst = settings.description ?? Pipeline.describe(stages)
    const runtime = yield* Effect.runtime<never>()
    const property = FastCheck.asyncProperty(scripts, async (script) => {
      const found = excess(await Runtime.runPromise(runtime, costOf(stages, script)), worst)
      if (found === undefined) return
      throw new LawBroken({
        message: `Laws.pipeline: When the API answers ${inWords(script)}: ${found}`
      })
    })
    const { errorInstance, failed } = yield* Effect.promise(() =>
      FastCheck.check(property, { numRuns, seed: 1 })
    )
    if (!failed) return
    return yield* errorInstance instanceof LawBroken ? errorInstance : Effect.die(errorInstance)
  })
