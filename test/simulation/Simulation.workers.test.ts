import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Logger } from "effect"
import { CircuitBreaker, Verdict } from "effect-resilience"
import { decode } from "effect-resilience/Scenario"
import { type Progress, run } from "effect-resilience/Simulation"
import type { Job } from "../../src/simulation/replication.js"
import { elsewhere } from "../../src/simulation/workers.js"
import { breaker, json, options, plain, policyOf, resultOf } from "./outage.js"

describe("S18: interruption", () => {
  const long = Effect.runSync(decode({ ...json, duration: "1 day" }))

  for (const workers of [1, 2]) {
    it(`ends a simulation that has hours to go within 100 ms: ${workers} at once`, async () => {
      let start = (): void => {}
      const started = new Promise<void>((resolve) => (start = resolve))
      const fiber = Effect.runFork(run(plain, {
        ...options,
        scenario: long,
        workers,
        onProgress: () => Effect.sync(start)
      }))
      await started
      // As a signal of the system does: from a timer of the platform, between two turns.
      const exit = await new Promise<readonly [exit: Exit.Exit<unknown, unknown>, millis: number]>(
        (resolve) => {
          setTimeout(() => {
            const from = performance.now()
            fiber.addObserver((exit) => resolve([exit, performance.now() - from]))
            fiber.unsafeInterruptAsFork(fiber.id())
          })
        }
      )
      expect(Exit.isInterrupted(exit[0])).toBe(true)
      expect(exit[1]).toBeLessThan(100)
    })
  }
})

describe("workers", () => {
  it("S1: the result is the same, byte for byte, however many there are", async () => {
    const one = await resultOf(breaker)
    for (const workers of [2, 3, 9]) {
      expect(JSON.stringify(await resultOf(breaker, { workers }))).toBe(JSON.stringify(one))
    }
  })

  it("S1: what a program says in functions of its own holds in every thread", async () => {
    const own = policyOf("own", {
      ...breaker.stages,
      retry: { retries: 1, verdict: () => Verdict.terminal },
      circuitBreaker: Effect.runSync(CircuitBreaker.make({ classify: () => ({ _tag: "Ignored" }) }))
    })
    const [one, two] = [await resultOf(own), await resultOf(own, { workers: 2 })]
    expect(JSON.stringify(two)).toBe(JSON.stringify(one))
    expect(one.metrics.amplification.mean).toBe(1)
  })

  it("share what there is to do, and say how far they have come", async () => {
    const told: Array<Progress> = []
    const onProgress = (progress: Progress) => Effect.sync(() => void told.push(progress))
    await resultOf(plain, { workers: 2, onProgress })
    const shares = told.map(({ share }) => share)
    expect(shares).toEqual([...shares].sort((a, b) => a - b))
    expect(told.at(-1)).toEqual({ policy: "plain", done: 4, replications: 4, share: 1 })
  })

  it("where threads do not start, a warning says so and the program's own takes their place", async () => {
    const warnings: Array<unknown> = []
    const logger = Logger.make(({ logLevel, message }) =>
      void warnings.push([logLevel._tag, message])
    )
    // Functions cannot be sent, so no thread starts.
    const job = { unsendable: () => 1 } as unknown as Job
    const runner = await Effect.runPromise(
      Effect.scoped(elsewhere([job], 2)).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
    )
    expect(runner.atOnce).toBe(1)
    expect(warnings).toEqual([
      ["Warning", ["No worker threads: replications run one after the other", expect.anything()]]
    ])
  })
})
