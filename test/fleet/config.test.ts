import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Cooldown from "effect-resilience/Cooldown"
import * as Operation from "effect-resilience/Operation"
import * as Pipeline from "effect-resilience/Pipeline"
import { members, pass } from "./fleets.js"

const json = {
  totalTimeout: "10 seconds",
  circuitBreaker: { shared: "api", minimumCalls: 40, openDuration: "5 seconds" },
  rateLimiter: { shared: "api", limit: 1000, interval: "1 second", leaseTime: "200 millis" },
  bulkhead: { shared: "api", concurrency: 50, queue: 10, whenApart: "reject" },
  cooldown: { shared: "api", mode: "reject" }
}

describe("Pipeline.fromConfigShared", () => {
  it.scoped("stages that say `shared` are the fleet's, others of this process", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const pipelines = yield* Effect.forEach(all, (member) =>
        member.use(Effect.orDie(
          Pipeline.fromConfigShared(json, { operation: Operation.read })
        )))
      for (const pipeline of pipelines) {
        for (let n = 0; n < 20; n++) {
          yield* Effect.exit(Pipeline.protect(Effect.die("down"), pipeline))
        }
      }
      yield* pass("1 second")
      for (const pipeline of pipelines) {
        const rejection = yield* Effect.flip(Pipeline.protect(Effect.succeed("sent"), pipeline))
        expect(rejection).toMatchObject({ _tag: "CircuitOpen" })
      }
    }))

  it.scoped("what is wrong is found, with its path", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const refused = (stages: object) =>
        Effect.map(
          Effect.flip(all[0]!.use(
            Pipeline.fromConfigShared(stages, { operation: Operation.read })
          )),
          (error) => error.message
        )
      expect(
        yield* refused({
          circuitBreaker: { shared: "api", window: { _tag: "Count", size: 20 } }
        })
      ).toContain("circuitBreaker.window")
      expect(
        yield* refused({
          rateLimiter: { shared: "api", limit: 1, interval: "1 second", whenApart: "never" }
        })
      ).toContain("rateLimiter.whenApart")
      expect(yield* refused({ cooldown: { shared: 7 } })).toContain("cooldown.shared")
      expect(yield* refused({ throttle: { shared: "api" } })).toContain("throttle.shared")
    }))

  it.scoped("what the schema does not know of a fleet is said in words", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const error = yield* Effect.flip(all[0]!.use(
        Pipeline.fromConfigShared({
          retry: { retries: "3" },
          cooldown: { shared: "" },
          bulkhead: { shared: true, concurrency: 5 },
          rateLimiter: { limit: 5, interval: "1 second", strict: true },
          circuitBreaker: { shared: "api", window: { _tag: "Count", size: 20 } }
        }, { operation: Operation.read })
      ))
      expect(error.message.split("\n").sort()).toEqual([
        "bulkhead.shared: should be a name, and is read by Pipeline.fromConfigShared only",
        "cooldown.shared: should be a name, and is read by Pipeline.fromConfigShared only",
        "rateLimiter.strict: is for a guard with \"shared\" only, or its value is of another type",
        "retry.retries: should be a number, got \"3\""
      ])
    }))

  it.scoped("G49: what the fleet refuses is found of all guards at once", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const error = yield* Effect.flip(all[0]!.use(
        Pipeline.fromConfigShared({
          circuitBreaker: { shared: "api", window: { _tag: "Count", size: 20 } },
          rateLimiter: { shared: "api", limit: 1, interval: "1 second", whenApart: "never" },
          bulkhead: { shared: "api", concurrency: 5, whenApart: "always" }
        }, { operation: Operation.read })
      ))
      expect(error.message.split("\n").map((line) => line.split(":")[0])).toEqual([
        "circuitBreaker.window",
        "rateLimiter.whenApart",
        "bulkhead.whenApart"
      ])
    }))

  it.scoped("a description says what is shared, and goes by the numbers of a shared guard", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const circuitBreaker = yield* all[0]!.use(CircuitBreaker.makeShared({ name: "a \"b\"" }))
      const cooldown = yield* all[0]!.use(Cooldown.makeShared({ name: "calm" }))
      const { text } = Pipeline.describe({ operation: Operation.read, circuitBreaker, cooldown })
      expect(text).toContain("of the attempts of 30s (at least 10) failed")
      expect(text).toContain("; shared by a fleet as \"a \\\"b\\\"\"\n")
      expect(text).toContain("has passed; shared by a fleet as \"calm\"\n")
    }))

  it.scoped("a window of count in a shared breaker is refused in words", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const error = yield* Effect.flip(all[0]!.use(
        Pipeline.fromConfigShared({
          circuitBreaker: { shared: "api", window: { _tag: "Count", size: 20 } }
        }, { operation: Operation.read })
      ))
      expect(error.message).toBe(
        "circuitBreaker.window: should be a window of time in a shared breaker, got one of count"
      )
    }))

  it("without a fleet the field is refused, and the reader of it is named", async () => {
    const error = await Effect.runPromise(
      Effect.flip(Pipeline.fromConfig(json, { operation: Operation.read }))
    )
    expect(error.message).toContain(
      "cooldown.shared: should be a name, and is read by Pipeline.fromConfigShared only"
    )
  })
})
