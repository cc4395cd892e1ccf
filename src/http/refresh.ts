/** Refreshes a credential once for all calls of a client that need it. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as ApiError from "../errors/ApiError.js"
import { withStory } from "../errors/story.js"

/** A refresh that is under way, and how many calls wait for it. */
interface Running {
  readonly ended: Deferred.Deferred<void, ApiError.ApiError>
  fiber: Fiber.Fiber<void> | undefined
  waiting: number
}

/** What a refresh has to know of a call. */
interface Refused<E> {
  /** Whether a failure says that the credential has expired, and the request can be sent again. */
  readonly isRefused: (error: E) => boolean
  readonly call: { refreshedFrom: number | undefined }
}

/**
 * The credential of a client, by how often it has been renewed so far. Of all calls that were
 * refused with the same credential one renews it; a call whose refusal comes later than that goes
 * on with the new one.
 */
export class Refresh {
  #generation = 0
  #running: Running | undefined
  readonly #refresh: Effect.Effect<void, ApiError.ApiError>

  constructor(refresh: Effect.Effect<void, ApiError.ApiError>) {
    this.#refresh = refresh
  }

  /**
   * Runs a request, and once more with a new credential where it was refused. A call gets a new one
   * once: where that is refused too, another does not help. Requests of the call that run side by
   * side share it.
   */
  whenRefused<A, E>(
    request: Effect.Effect<A, E>,
    { call, isRefused }: Refused<E>
  ): Effect.Effect<A, E | ApiError.ApiError> {
    return Effect.suspend(() => {
      const generation = this.#generation
      return Effect.catchIf(
        request,
        (error) =>
          isRefused(error) &&
          (call.refreshedFrom === undefined || call.refreshedFrom === generation),
        () => {
          call.refreshedFrom = generation
          return Effect.zipRight(
            // The refresh has its own policy; its failure ends the call.
            Effect.mapError(
              this.#newerThan(generation),
              (error) => withStory(ApiError.annotate(error, { repeat: "never" }), { quotes: true })
            ),
            request
          )
        }
      )
    })
  }

  #newerThan(generation: number): Effect.Effect<void, ApiError.ApiError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (this.#generation > generation) return Effect.void
        const running = this.#running ??= {
          ended: Deferred.unsafeMake(FiberId.none),
          fiber: undefined,
          waiting: 0
        }
        running.waiting++
        return Effect.ensuring(
          Effect.zipRight(this.#start(running), restore(Deferred.await(running.ended))),
          Effect.suspend(() => this.#leave(running))
        )
      })
    )
  }

  /** In a fiber of its own, so that the time limit of one call does not cut it for the others. */
  #start(running: Running): Effect.Effect<void> {
    if (running.fiber !== undefined) return Effect.void
    const refreshing = Effect.flatMap(
      Effect.exit(Effect.interruptible(this.#refresh)),
      (exit) => Effect.sync(() => this.#end(running, exit))
    )
    return Effect.map(Effect.forkDaemon(refreshing), (fiber) => {
      running.fiber = fiber
    })
  }

  #end(running: Running, exit: Exit.Exit<void, ApiError.ApiError>): void {
    if (this.#running === running) this.#running = undefined
    if (Exit.isSuccess(exit)) this.#generation++
    Deferred.unsafeDone(running.ended, exit)
  }

  /** A refresh that no call waits for any more is interrupted; the next one can be made at once. */
  #leave(running: Running): Effect.Effect<unknown> {
    running.waiting--
    if (running.waiting > 0 || this.#running !== running || running.fiber === undefined) {
      return Effect.void
    }
    this.#running = undefined
    return Fiber.interrupt(running.fiber)
  }
}
