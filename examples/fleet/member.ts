/** One process of the fleet: a call every 30 ms, and what came of each. */
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as Redis from "effect-resilience/fleet/Redis"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

/** When the upstream is down and up again, by the machine's clock. */
export interface Plan {
  readonly startMillis: number
  readonly downMillis: number
  readonly upMillis: number
  readonly endMillis: number
}

export interface Call {
  readonly atMillis: number
  readonly got: "served" | "failed" | "rejected"
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6

const calls = ({ downMillis, endMillis, startMillis, upMillis }: Plan) =>
  Effect.gen(function*() {
    // A process alone makes too few calls to open a circuit of 150.
    const breaker = yield* CircuitBreaker.makeShared({
      name: "upstream",
      minimumCalls: 150,
      window: CircuitBreaker.time("2 seconds"),
      openDuration: "1 second"
    })
    const upstream = Effect.suspend(() =>
      now() >= downMillis && now() < upMillis ? Effect.fail("down" as const) : Effect.void
    )
    const call = breaker.protect(upstream).pipe(
      Effect.match({
        onSuccess: () => "served" as const,
        onFailure: (error) => error === "down" ? "failed" as const : "rejected" as const
      }),
      Effect.map((got) => void process.send?.({ atMillis: now(), got } satisfies Call)),
      Effect.zipRight(Effect.sleep("30 millis"))
    )
    yield* Effect.sleep(Duration.millis(Math.max(0, startMillis - now())))
    yield* Effect.repeat(call, { while: () => now() < endMillis })
  })

const [, , url = "", fleet = "", member = ""] = process.argv

/** The plan comes when all processes have joined. */
const planned = Effect.async<Plan>((resume) => {
  process.once("message", (plan: Plan) => resume(Effect.succeed(plan)))
  process.send?.("joined")
})

const layer = Fleet.layer({ name: fleet, member }).pipe(
  Layer.provide(Redis.layer({ secret: "a secret of the example", url })),
  Layer.provide(Logger.remove(Logger.defaultLogger))
)

await Effect.runPromise(Effect.provide(Effect.flatMap(planned, calls), layer))
process.disconnect()
