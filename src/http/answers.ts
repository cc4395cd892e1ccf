/**
 * Keeps the answers of one call that may be handed out as responses.
 *
 * Attempts that run side by side have an answer each. The one that is handed out is the answer that
 * the final error was made from; all others are released.
 */
import * as Effect from "effect/Effect"
import * as ApiError from "../errors/ApiError.js"
import { rawBodyOf } from "../errors/rawBody.js"
import { Built, builtOf, type Pipeline } from "../pipeline/built.js"
import { type BuiltStage, Compiled } from "../pipeline/compiled.js"
import * as CallContext from "../runtime/callContext.js"
import type * as BodyPreview from "./bodyPreview.js"

interface Kept {
  readonly answer: BodyPreview.Peeked
  /** The attempt, with its hedges, that it belongs to. */
  readonly round: object | undefined
}

export class Answers {
  readonly #kept = new Set<Kept>()

  get isEmpty(): boolean {
    return this.#kept.size === 0
  }

  add(answer: BodyPreview.Peeked): Effect.Effect<void> {
    return Effect.map(CallContext.round.get, (round) => {
      this.#kept.add({ answer, round })
    })
  }

  /** An error and its copies keep the bytes that it was made from. */
  of(error: unknown): BodyPreview.Peeked | undefined {
    const bytes = ApiError.isApiError(error) ? rawBodyOf(error) : undefined
    if (bytes === undefined) return undefined
    for (const { answer } of this.#kept) if (answer.bytes === bytes) return answer
    return undefined
  }

  /** Lets go of the answers that a new request replaces: all but those of hedges beside it. */
  readonly replaced: Effect.Effect<void> = Effect.flatMap(
    CallContext.round.get,
    (round) => this.#release((kept) => round === undefined || kept.round !== round)
  )

  /** Lets go of every answer except one. */
  releaseExcept(answer: BodyPreview.Peeked | undefined): Effect.Effect<void> {
    return this.#release((kept) => kept.answer !== answer)
  }

  #release(isOver: (kept: Kept) => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const over = [...this.#kept].filter(isOver)
      for (const kept of over) this.#kept.delete(kept)
      return Effect.forEach(over, ({ answer }) => answer.release, { discard: true })
    })
  }
}

/** Says which requests belong to one attempt and its hedges. */
const round: BuiltStage = {
  name: "hedge",
  place: "repeat",
  part: { around: (self) => Effect.suspend(() => CallContext.round.during(self, {})) }
}

const withRound = ({ frame, stages }: Compiled): Compiled =>
  new Compiled(
    frame,
    stages.flatMap((stage) => stage.name === "hedge" ? [round, stage] : [stage])
  )

/** The pipeline as a client needs it that hands out answers. Its state is the same. */
export const inRounds = <E, R>(
  pipeline: Pipeline<E, R>
): Pipeline<E, R> => {
  const { inForce, view } = builtOf(pipeline)
  let last: { readonly of: Compiled; readonly rounds: Compiled } | undefined
  return new Built<E, R>(inForce, (compiled) => {
    if (last?.of !== compiled) last = { of: compiled, rounds: withRound(view(compiled)) }
    return last.rounds
  })
}

/** The limits of time of a pipeline, in milliseconds. */
export const limitsOf = (
  pipeline: Pipeline<unknown, unknown> | undefined
): { readonly attemptMillis: number; readonly totalMillis: number } =>
  pipeline === undefined
    ? { attemptMillis: Infinity, totalMillis: Infinity }
    : builtOf(pipeline).compiled.frame
