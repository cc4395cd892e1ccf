import { Effect, Exit, Layer } from "effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as Redis from "effect-resilience/fleet/Redis"
import * as fs from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { pause, type Server, without } from "../support/processes.js"
import { isInstalled, startRedis, until, url } from "../support/redis.js"
import { quantile } from "./processes.js"
import { secret } from "./redis.js"

if (!isInstalled) without("Redis")

const frozenMillis = 3000

const print = (text: string): void => void fs.writeSync(2, `\n${text}\n`)

describe.skipIf(!isInstalled)("a Redis that is frozen under load", () => {
  let server: Server
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  it("F1, F9: no call of a circuit fails or waits because of it", () =>
    Effect.gen(function*() {
      const store = Redis.layer({ secret, url: url(server.port) })
      const fleet = yield* Layer.build(Layer.provide(Fleet.layer({ name: "frozen" }), store))
      const breaker = yield* Effect.provide(
        CircuitBreaker.makeShared({ name: "upstream", minimumCalls: 20 }),
        fleet
      )
      const status = () => Effect.runSync(Effect.provide(Fleet.status, fleet))

      /** Calls in turn; every tenth fails, so that there is always something to tell. */
      const load = async (millis: number) => {
        const took: Array<number> = []
        let rejected = 0
        let wasApart = false
        const end = performance.now() + millis
        for (let n = 0; performance.now() < end; n++) {
          const begun = performance.now()
          const call = breaker.protect(n % 10 === 0 ? Effect.fail("down") : Effect.void)
          // Runs to its end in this turn, or it has waited.
          const exit = Effect.runSyncExit(call)
          took.push(performance.now() - begun)
          const isOwn = Exit.isFailure(exit) && exit.cause._tag === "Fail" &&
            exit.cause.error === "down"
          if (Exit.isFailure(exit) && !isOwn) rejected++
          if (!status().connected) wasApart = true
          if (n % 20 === 0) await pause(1)
        }
        return { rejected, took, wasApart }
      }

      const whole = yield* Effect.promise(() => load(1000))
      server.signal("SIGSTOP")
      const frozen = yield* Effect.promise(() => load(frozenMillis))
      server.signal("SIGCONT")
      const [p99, p99Frozen] = [whole, frozen].map(({ took }) => quantile(took, 0.99).toFixed(3))
      print(
        `a Redis frozen for ${frozenMillis} ms: p99 ${p99Frozen} ms of ${frozen.took.length} ` +
          `calls, ${frozen.rejected} rejected; not frozen ${p99} ms of ${whole.took.length}`
      )
      expect([whole.wasApart, frozen.wasApart]).toEqual([false, true])
      expect([whole.rejected, frozen.rejected]).toEqual([0, 0])
      yield* Effect.promise(() => until(async () => status().connected))
    }).pipe(Effect.scoped, Effect.runPromise), 30_000)
})
