/**
 * Clients and a server in virtual time. The server is quick while it has little to do; the more
 * requests it works on, the longer each of them takes, until it gets less done than it would with
 * fewer. It does not notice that a client has given up before the request is finished.
 */
import { Clock, Duration, Effect, Stream } from "effect"
import type * as ApiError from "effect-resilience/ApiError"
import type * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as VirtualTime from "effect-resilience/testing/VirtualTime"

export const seconds = 60
/** From when to when twice as many calls come. */
export const spike = { from: 20, to: 25 } as const
const callsPerSecond = { usually: 40, inTheSpike: 80 } as const

/**
 * How long a request takes when so many are being worked on. It is at its best with a dozen: some
 * 60 a second.
 */
const latency = (working: number) => Duration.millis(100 + 0.7 * working * working)

type Call = Effect.Effect<void, ApiError.Timeout | ApiError.Server>

/** What happened in each second, and when a circuit changed its state. */
export interface Curve {
  readonly succeeded: ReadonlyArray<number>
  readonly requests: ReadonlyArray<number>
  readonly transitions: ReadonlyArray<CircuitBreaker.Transition>
}

/**
 * Sends calls at their rate, each protected in the same way, and counts in which second it
 * succeeded.
 */
export const curveOf = <E>(
  protect: (call: Call) => Effect.Effect<void, E>,
  changes: Stream.Stream<CircuitBreaker.Transition> = Stream.empty
): Effect.Effect<Curve> =>
  VirtualTime.run(Effect.gen(function*() {
    const transitions: Array<CircuitBreaker.Transition> = []
    yield* Effect.fork(
      Stream.runForEach(changes, (change) => Effect.sync(() => transitions.push(change)))
    )
    const succeeded = Array.from({ length: seconds }, () => 0)
    const requests = Array.from({ length: seconds }, () => 0)
    const count = (counts: Array<number>) =>
      Effect.map(Clock.currentTimeMillis, (millis) => {
        const second = Math.floor(millis / 1000)
        if (second < seconds) counts[second] = (counts[second] ?? 0) + 1
      })

    let working = 0
    const request: Call = Effect.zipRight(
      count(requests),
      Effect.suspend(() => {
        working++
        return Effect.ensuring(Effect.sleep(latency(working)), Effect.sync(() => void working--))
      }).pipe(Effect.forkDaemon, Effect.flatMap((work) => work.await), Effect.asVoid)
    )

    const call = Effect.ignore(Effect.zipRight(protect(request), count(succeeded)))
    const until = (second: number, rate: number): Effect.Effect<void> =>
      Effect.fork(call).pipe(
        Effect.zipRight(Effect.sleep(Duration.millis(1000 / rate))),
        Effect.zipRight(Clock.currentTimeMillis),
        Effect.repeat({ until: (millis) => millis >= second * 1000 }),
        Effect.asVoid
      )
    yield* until(spike.from, callsPerSecond.usually)
    yield* until(spike.to, callsPerSecond.inTheSpike)
    yield* until(seconds, callsPerSecond.usually)
    return { succeeded, requests, transitions }
  }))
