/**
 * What a built pipeline is: its stages in their order, ready to be put around a call.
 *
 * All that can be decided beforehand is decided when it is built, so a call meets the stages that
 * are there and nothing else.
 */
import * as Effect from "effect/Effect"
import * as Deadline from "../policies/timeout/deadline.js"
import * as Hedge from "../policies/Hedge.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as Operation from "../idempotency/Operation.js"
import type { CallOptions } from "./stages.js"
import * as Retry from "../retry/Retry.js"
import type * as RetryBudget from "../retry/RetryBudget.js"
import * as Telemetry from "../observability/Telemetry.js"

/**
 * One call: whose state it belongs to, what it is filed under, and when it began where that is
 * asked for, in monotonic nanoseconds.
 */
export interface Call {
  readonly key: string | undefined
  readonly about: Telemetry.About | undefined
  readonly from: bigint | undefined
}

/** Puts one stage around a call. What it can fail with is in the type of the pipeline. */
export interface Stage {
  <A, R>(self: Effect.Effect<A, unknown, R>, call: Call): Effect.Effect<A, unknown, R>
}

/**
 * The stages that are there. Of guards there may be several, outermost first.
 *
 * - `guards`: around the limit of time.
 * - `queue`: where an attempt may have to wait for its turn. The total covers the waiting, the
 *   attempt's own limit does not.
 * - `innermost`: within the limit of the attempt.
 */
export interface Parts {
  readonly operation: Operation.Operation<unknown>
  readonly telemetry: Telemetry.Telemetry | undefined
  readonly limits: Deadline.Limits
  readonly retry: Retry.Options<unknown, unknown> | undefined
  readonly budget: RetryBudget.RetryBudget | undefined
  readonly hedge: Hedge.Hedge<unknown> | undefined
  readonly guards: ReadonlyArray<Stage>
  readonly queue: ReadonlyArray<Stage>
  readonly innermost: ReadonlyArray<Stage>
}

const around = <A, R>(
  stages: ReadonlyArray<Stage>,
  self: Effect.Effect<A, unknown, R>,
  call: Call
): Effect.Effect<A, unknown, R> => stages.reduceRight((inner, stage) => stage(inner, call), self)

/** The limits of time and the queue: one fork for both. */
const limitedOf = ({ limits, queue }: Parts): ReadonlyArray<Stage> => {
  if (!Deadline.isLimited(limits)) return queue
  if (limits.totalMillis === Infinity || queue.length === 0) {
    return [...queue, (self, call) => Deadline.run(self, limits, call.from)]
  }
  return [
    (self, call) =>
      Deadline.runQueued((begin) => around(queue, begin(self), call), limits, call.from)
  ]
}

/**
 * What tries again. The key is fixed outside of it, so an attempt that would make one is refused.
 */
const repeatedOf = ({ budget, hedge, operation, retry }: Parts): ReadonlyArray<Stage> => {
  const stages: Array<Stage> = []
  if (retry === undefined && hedge === undefined) return stages
  if (operation._tag === "Keyed") stages.push(IdempotencyKey.insideAttempt)
  if (retry !== undefined) stages.push((self, call) => Retry.retryFrom(self, retry, call.from))
  else if (budget !== undefined) stages.push((self) => Effect.zipLeft(self, budget.deposit))
  if (hedge !== undefined) stages.push((self, call) => hedge.protect(self, call) as typeof self)
  return stages
}

/**
 * Looks on where somebody wants to know: around the whole call, and around each attempt once the
 * guards have let it in.
 */
const observedBy = (
  { telemetry }: Parts,
  observe: <A, R>(
    self: Effect.Effect<A, unknown, R>,
    telemetry: Telemetry.Telemetry,
    about: Telemetry.About
  ) => Effect.Effect<A, unknown, R>
): ReadonlyArray<Stage> =>
  telemetry === undefined
    ? []
    : [(self, { about = {} }) => observe(self, telemetry, about)]

export class Run {
  readonly #stages: ReadonlyArray<Stage>
  readonly #operation: string
  readonly #like = new Map<Operation.Operation["_tag"], Run>()

  constructor(readonly parts: Parts) {
    this.#operation = parts.operation._tag.toLowerCase()
    this.#stages = [
      ...observedBy(parts, Telemetry.observe),
      ...repeatedOf(parts),
      ...parts.guards,
      ...observedBy(parts, Telemetry.observeAttempt),
      ...limitedOf(parts),
      ...parts.innermost
    ]
  }

  /** A call through all stages. */
  protect<A, R>(
    self: Effect.Effect<A, unknown, R>,
    options: CallOptions = {}
  ): Effect.Effect<A, unknown, R> {
    const { key } = options
    const about = this.parts.telemetry === undefined
      ? undefined
      : { operation: this.#operation, ...options.about }
    return this.parts.limits.totalMillis === Infinity
      ? around(this.#stages, self, { key, about, from: undefined })
      : Effect.withFiberRuntime<A, unknown, R>((fiber) =>
        around(this.#stages, self, {
          key,
          about,
          from: Deadline.clockOf(fiber).unsafeCurrentTimeNanos()
        })
      )
  }

  /** The same stages over the same state, for another kind of operation. */
  for(operation: Operation.Operation<unknown>): Run {
    const { hedge, retry } = this.parts
    const like = operation._tag === this.parts.operation._tag ?
      this :
      this.#like.get(operation._tag) ?? new Run({
        ...this.parts,
        operation,
        retry: retry === undefined ? undefined : { ...retry, operation },
        hedge: hedge === undefined ? undefined : Hedge.forOperation(hedge, operation)
      })
    this.#like.set(operation._tag, like)
    return like
  }
}
