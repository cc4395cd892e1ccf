/** Opens a stream as an effect that can be retried. */
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

type Pull<A, E> = Effect.Effect<Chunk.Chunk<A>, Option.Option<E>>

/** Pulls until there is an element. None at the end of the stream. */
const firstOf = <A, E>(pull: Pull<A, E>): Effect.Effect<Option.Option<Chunk.Chunk<A>>, E> =>
  Effect.matchEffect(pull, {
    onFailure: Option.match({
      onNone: () => Effect.succeedNone,
      onSome: (error) => Effect.fail(error)
    }),
    onSuccess: (chunk) => chunk.length === 0 ? firstOf(pull) : Effect.succeedSome(chunk)
  })

/**
 * Runs a stream until its first element, and gives back the same stream from there on. One that
 * fails before is closed at once; one that goes on is closed with the scope.
 */
export const opening = <A, E>(
  stream: Stream.Stream<A, E>
): Effect.Effect<Stream.Stream<A, E>, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      return yield* Stream.toPull(stream).pipe(
        Effect.flatMap((pull) =>
          Effect.map(
            firstOf(pull),
            Option.match({
              onNone: () => Stream.empty,
              onSome: (first): Stream.Stream<A, E> =>
                Stream.concat(Stream.fromChunk(first), Stream.repeatEffectChunkOption(pull))
            })
          )
        ),
        Scope.extend(scope),
        restore,
        Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
      )
    })
  )
