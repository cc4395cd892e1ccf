import { describe, expect, it } from "@effect/vitest"
import { Effect, type Exit } from "effect"
import { CircuitBreaker, Operation, Pipeline, Retry } from "effect-resilience"
import * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import * as AdaptiveThrottle from "effect-resilience/AdaptiveThrottle"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as Chaos from "effect-resilience/Chaos"
import * as Cooldown from "effect-resilience/Cooldown"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { down } from "../support/errors.js"
import { failing, finish, probing, secondly } from "./pipeline.js"

/** An instance of a guard that says when a call goes through it. */
const traced = <I extends { readonly protect: unknown }>(
  probes: Array<string>,
  name: string,
  instance: I
): I => ({
  ...instance,
  protect: probing(probes, name)
})

const tracedGuards = (probes: Array<string>) =>
  Effect.gen(function*() {
    return {
      circuitBreaker: traced(probes, "breaker", yield* CircuitBreaker.make()),
      throttle: traced(probes, "throttle", yield* AdaptiveThrottle.make()),
      rateLimiter: traced(
        probes,
        "limiter",
        yield* RateLimiter.make({ limit: 1, interval: "1 second" })
      ),
      bulkhead: traced(probes, "bulkhead", yield* Bulkhead.make({ concurrency: 1 })),
      concurrency: traced(probes, "concurrency", yield* AdaptiveConcurrency.make()),
      cooldown: traced(probes, "cooldown", yield* Cooldown.make()),
      chaos: traced(probes, "chaos", yield* Chaos.make({ faults: [Chaos.latency(0)] }))
    }
  })

describe("the order of the stages", () => {
  const inside = [
    "breaker",
    "throttle",
    "limiter",
    "bulkhead",
    "concurrency",
    "cooldown",
    "chaos",
    "call"
  ]

  it.effect.each(
    [
      ["without limits of time", {}],
      ["with a limit for attempts", { attemptTimeout: "1 second" }],
      ["with a total", { totalTimeout: "1 minute" }],
      ["with both", { totalTimeout: "1 minute", attemptTimeout: "1 second" }]
    ] as const
  )("G40: is always the same: %s", ([, limits]) =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const pipeline = yield* Pipeline.make({
        ...(yield* tracedGuards(probes)),
        ...limits,
        operation: Operation.read,
        retry: { ...secondly, retries: 1 }
      })
      const call = probing(probes, "call")(Effect.fail(down))
      yield* finish(Pipeline.protect(call, pipeline))
      const attempt = [...inside, ...inside.toReversed().map((name) => `${name}: Server`)]
      expect(probes).toEqual([...attempt, ...attempt])
    }))

  it.effect("G40: a hedge is inside of the retry and outside of the guards", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const pipeline = yield* Pipeline.make({
        ...(yield* tracedGuards(probes)),
        operation: Operation.read,
        retry: { ...secondly, retries: 1 },
        hedge: { delay: "100 millis" },
        totalTimeout: "1 minute"
      })
      yield* finish(
        Pipeline.protect(Effect.zipRight(Effect.sleep("500 millis"), Effect.fail(down)), pipeline)
      )
      const passed = inside.slice(0, -1)
      expect(probes.filter((probe) => !probe.includes(":"))).toEqual([
        ...passed,
        ...passed,
        ...passed,
        ...passed
      ])
    }))

  it.effect.each(
    [
      ["around the breaker", true, ["Failure", "Failure", "Failure"]],
      ["inside of it", false, ["Failure"]]
    ] as const
  )("G40, R17: a retry %s", ([, isAround, outcomes]) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const circuitBreaker = {
        classify: (exit: Exit.Exit<unknown, unknown>) => {
          const outcome = CircuitBreaker.classify(exit)
          seen.push(outcome._tag)
          return outcome
        }
      }
      const retry = { ...secondly, retries: 2 }
      const { action } = failing(down)
      const breaker = yield* Pipeline.make({ operation: Operation.read, circuitBreaker })
      const both = yield* Pipeline.make({ operation: Operation.read, circuitBreaker, retry })
      yield* finish(
        isAround
          ? Pipeline.protect(action, both)
          : Pipeline.protect(Retry.retry(action, { operation: Operation.read, ...retry }), breaker)
      )
      expect(seen).toEqual(outcomes)
    }))
})
