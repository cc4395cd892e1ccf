import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, TestClock } from "effect"
import { ApiClient, ApiError, Backoff, Operation, Pipeline } from "effect-resilience"
import { turn } from "../support/turns.js"

/** Every fiber has come as far as it goes, responses of the platform included. */
const settled = Effect.repeatN(turn, 20)

/** How a refresh ends, and what a test may wait for. */
interface Refreshing {
  /** Runs until the credential is there, or fails. */
  readonly work?: Effect.Effect<void, ApiError.ApiError> | undefined
  readonly pipeline?: Pipeline.Pipeline<ApiError.Timeout, unknown> | undefined
  /** Holds the answer to a request back: by its number, from 1. */
  readonly answer?: ((number: number) => Effect.Effect<void>) | undefined
}

/**
 * A client of a server that accepts the credential of the newest generation only. `made` says how
 * often a refresh was begun, `ended` how often one succeeded.
 */
const serving = ({ answer = () => Effect.void, pipeline, work = Effect.void }: Refreshing = {}) =>
  Effect.gen(function*() {
    const state = { valid: 1, held: 0, made: 0, sent: 0 }
    const upstream = HttpClient.make((request) =>
      Effect.gen(function*() {
        const number = ++state.sent
        const isValid = request.headers.authorization === `Bearer ${state.valid}`
        yield* answer(number)
        const status = isValid ? 200 : 401
        return HttpClientResponse.fromWeb(request, new Response(null, { status }))
      })
    ).pipe(
      HttpClient.mapRequest((request) => HttpClientRequest.bearerToken(request, String(state.held)))
    )
    const client = yield* ApiClient.make({
      name: "tenants",
      baseUrl: "https://api.example.com",
      pipeline,
      refresh: Effect.suspend(() => {
        state.made++
        return Effect.map(work, () => {
          state.held = state.valid
        })
      })
    }).pipe(Effect.provideService(HttpClient.HttpClient, upstream))
    return { client, state }
  })

const statusOf = (client: HttpClient.HttpClient.With<unknown>) =>
  Effect.map(client.get("/v1/me"), ({ status }) => status)

const expired = new ApiError.Auth({ message: "the refresh token expired" })

describe("one refresh for all calls (E29)", () => {
  it.effect("E29: of a hundred calls that are refused one refreshes and all go on", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { client, state } = yield* serving({ work: Deferred.await(gate) })
      const calls = yield* Effect.fork(
        Effect.all(Array.from({ length: 100 }, () => statusOf(client)), {
          concurrency: "unbounded"
        })
      )
      yield* settled
      yield* Deferred.succeed(gate, undefined)
      expect(new Set(yield* Fiber.join(calls))).toEqual(new Set([200]))
      expect([state.made, state.sent]).toEqual([1, 200])
    }))

  it.effect("E29: a 401 that comes late, to the old credential, uses the new one", () =>
    Effect.gen(function*() {
      const late = yield* Deferred.make<void>()
      const { client, state } = yield* serving({
        answer: (number) => number === 1 ? Deferred.await(late) : Effect.void
      })
      const slow = yield* Effect.fork(statusOf(client))
      yield* settled
      expect(yield* statusOf(client)).toBe(200)
      expect(state.made).toBe(1)
      yield* Deferred.succeed(late, undefined)
      expect(yield* Fiber.join(slow)).toBe(200)
      expect([state.made, state.sent]).toEqual([1, 4])
    }))

  it.effect("E29: the next credential that expires is refreshed again", () =>
    Effect.gen(function*() {
      const { client, state } = yield* serving()
      yield* statusOf(client)
      state.valid = 2
      expect(yield* statusOf(client)).toBe(200)
      expect(state.made).toBe(2)
    }))

  it.effect("E29: the time limit of one attempt does not cut the refresh for the others", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        attemptTimeout: "1 second"
      })
      const { client, state } = yield* serving({ work: Deferred.await(gate), pipeline })
      const first = yield* Effect.fork(Effect.exit(statusOf(client)))
      yield* settled
      yield* TestClock.adjust("700 millis")
      const second = yield* Effect.fork(statusOf(client))
      yield* settled
      yield* TestClock.adjust("400 millis")
      expect(yield* Fiber.join(first)).toMatchObject(
        Exit.fail({ _tag: "Timeout", deadline: "attempt" })
      )
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Fiber.join(second)).toBe(200)
      expect(state.made).toBe(1)
    }))

  it.effect("E29: one that no call waits for any more is interrupted, and made again", () =>
    Effect.gen(function*() {
      let interrupted = 0
      let hangs = true
      const { client, state } = yield* serving({
        work: Effect.suspend(() =>
          hangs
            ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
            : Effect.void
        )
      })
      const calls = yield* Effect.forEach([1, 2], () => Effect.fork(statusOf(client)))
      yield* settled
      yield* Fiber.interrupt(calls[0]!)
      expect(interrupted).toBe(0)
      yield* Fiber.interrupt(calls[1]!)
      expect([interrupted, state.made]).toEqual([1, 1])
      hangs = false
      expect(yield* statusOf(client)).toBe(200)
      expect(state.made).toBe(2)
    }))

  it.effect("E29: one that fails ends all calls that wait for it, and can be made again", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let fails = true
      const { client, state } = yield* serving({
        work: Effect.flatMap(Deferred.await(gate), () => fails ? expired : Effect.void)
      })
      const calls = yield* Effect.fork(
        Effect.all([statusOf(client), statusOf(client)].map(Effect.flip), {
          concurrency: "unbounded"
        })
      )
      yield* settled
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Fiber.join(calls)).toMatchObject([
        { _tag: "Auth", repeat: "never" },
        { _tag: "Auth", repeat: "never" }
      ])
      fails = false
      expect(yield* statusOf(client)).toBe(200)
      expect(state.made).toBe(2)
    }))

  it.effect("E29: a refresh that dies ends the call with its defect, and can be made again", () =>
    Effect.gen(function*() {
      let dies = true
      const { client } = yield* serving({
        work: Effect.suspend(() => dies ? Effect.die("no vault") : Effect.void)
      })
      expect(yield* Effect.exit(statusOf(client))).toEqual(Exit.die("no vault"))
      dies = false
      expect(yield* statusOf(client)).toBe(200)
    }))

  it.effect("E29: a hedge that is refused beside its attempt shares the refresh", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const second = yield* Deferred.make<void>()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        hedge: { delay: "100 millis" },
        retry: { retries: 0, backoff: Backoff.constant("1 millis") }
      })
      const { client, state } = yield* serving({
        work: Deferred.await(gate),
        pipeline,
        answer: (number) => number === 1 ? Deferred.await(second) : Effect.void
      })
      const call = yield* Effect.fork(statusOf(client))
      yield* settled
      yield* TestClock.adjust("100 millis")
      yield* settled
      yield* Deferred.succeed(second, undefined)
      yield* settled
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Fiber.join(call)).toBe(200)
      expect(state.made).toBe(1)
    }))

  it.effect("E29: where its caller cannot be interrupted, a refresh still runs and ends", () =>
    Effect.gen(function*() {
      const { client } = yield* serving({ work: Effect.sleep("1 second") })
      const call = yield* Effect.fork(Effect.uninterruptible(statusOf(client)))
      yield* settled
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(call)).toBe(200)
    }))
})
