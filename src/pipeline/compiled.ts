/**
 * What a built pipeline is: its stages in their order, ready to be put around a call.
 *
 * All that can be decided beforehand is decided when it is built, so a call meets the stages that
 * are there and nothing else.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as CallFacts from "../errors/callFacts.js"
import type * as Operation from "../idempotency/Operation.js"
import type { Around, Call, Frame, Name, Part, Place } from "../policies/stage/definition.js"
import * as Deadline from "../policies/timeout/deadline.js"
import { isLimited, type Limits } from "../policies/timeout/limits.js"
import { type About, insideAttempt } from "../runtime/callContext.js"
import { clockOf } from "../runtime/clock.js"
import { defaultKey } from "../runtime/keyedState.js"

/** A stage that is there. */
export interface BuiltStage {
  readonly name: Name
  readonly place: Place
  readonly part: Part
}

/** What may differ from call to call. */
export interface CallOptions {
  /** The key that guards count the call under. Default `"default"`. */
  readonly key?: string | undefined
  /** What telemetry files the call under. */
  readonly about?: About | undefined
}

interface Waiting {
  readonly name: string
  readonly around: Around
}

const around = <A, R>(
  stages: ReadonlyArray<Around>,
  self: Effect.Effect<A, unknown, R>,
  call: Call
): Effect.Effect<A, unknown, R> => stages.reduceRight((inner, stage) => stage(inner, call), self)

/** The limits of time and the queue: one fork for both. */
const limited = (limits: Limits, queue: ReadonlyArray<Waiting>): ReadonlyArray<Around> => {
  const waiting = queue.map((stage) => stage.around)
  if (!isLimited(limits)) return waiting
  if (limits.totalMillis === Infinity || queue.length === 0) {
    return [...waiting, (self, call) => Deadline.run(self, limits, call.from)]
  }
  return [(self, call) =>
    Deadline.runQueued(
      (line) =>
        queue.reduceRight(
          (inner, { around, name }) => line.before(name, around(inner, call)),
          line.begin(self)
        ),
      limits,
      call.key ?? defaultKey,
      call.from
    )]
}

export class Compiled {
  readonly #around: ReadonlyArray<Around>
  readonly #operation: string
  readonly #like = new Map<Operation.Operation["_tag"], Compiled>()

  constructor(readonly frame: Frame, readonly stages: ReadonlyArray<BuiltStage>) {
    const { attemptMillis, operation, repeats, totalMillis } = frame
    this.#operation = operation._tag.toLowerCase()
    const at = (place: Place): ReadonlyArray<Around> =>
      stages.flatMap(({ part, place: its }) => its === place ? part.around ?? [] : [])
    const queue = stages.flatMap(({ name, part: { around }, place }) =>
      place === "queue" && around !== undefined ? [{ name, around }] : []
    )
    const waits = stages.some(({ part, place }) => place === "queue" && part.waits !== false)
    const limits: Limits = {
      attemptMillis,
      totalMillis,
      // What repeats an attempt counts.
      attempts: repeats ? undefined : 1
    }
    const around = [
      ...at("call"),
      // The key is fixed outside of what tries again, so an attempt that would make one is refused.
      ...(repeats && operation._tag === "Keyed" ? [insideAttempt] : []),
      ...at("repeat"),
      ...at("guard"),
      ...(waits ? [] : queue.map((stage) => stage.around)),
      ...stages.flatMap(({ part }) => part.attempt ?? []),
      ...limited(limits, waits ? queue : [])
    ]
    const inside = at("attempt")
    // What repeats an attempt writes down how each has ended.
    const isWritten = repeats || around.length + inside.length === 0
    this.#around = isWritten
      ? [...around, ...inside]
      : [...around, CallFacts.attempted(CallFacts.isUnsafe(operation)), ...inside]
  }

  /** Tells whether there is no stage around a call. */
  get isBare(): boolean {
    return this.#around.length === 0
  }

  /** A call through all stages, run by a fiber of which the time is asked where that matters. */
  protect<A, R>(
    self: Effect.Effect<A, unknown, R>,
    { about, key }: CallOptions,
    fiber: Fiber.RuntimeFiber<unknown, unknown>
  ): Effect.Effect<A, unknown, R> {
    const { meter, totalMillis } = this.frame
    return around(this.#around, self, {
      key,
      about: meter === undefined ? undefined : { operation: this.#operation, ...about },
      from: totalMillis === Infinity ? undefined : clockOf(fiber).unsafeCurrentTimeNanos()
    })
  }

  /** The same stages over the same state, for another kind of operation. */
  for(operation: Operation.Operation<unknown>): Compiled {
    if (operation._tag === this.frame.operation._tag) return this
    const found = this.#like.get(operation._tag)
    if (found !== undefined) return found
    const frame = { ...this.frame, operation }
    const like = new Compiled(
      frame,
      this.stages.map((stage) => ({ ...stage, part: stage.part.forFrame?.(frame) ?? stage.part }))
    )
    this.#like.set(operation._tag, like)
    return like
  }

  /** What an operator sees of each stage that shows something, by its name. */
  readonly snapshot: Effect.Effect<Readonly<Record<string, ReadonlyArray<unknown>>>> = Effect
    .suspend(() =>
      Effect.all(
        Object.fromEntries(
          this.stages.flatMap(({ name, part: { snapshots } }) =>
            snapshots === undefined ? [] : [[name, snapshots] as const]
          )
        )
      )
    )
}
