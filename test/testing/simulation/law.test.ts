import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import { Operation, type Pipeline, Verdict } from "effect-resilience"
import * as Scenario from "effect-resilience/Scenario"
import * as Laws from "effect-resilience/testing/Laws"

const scenario = Effect.runSync(Scenario.decode({
  duration: "1 second",
  clients: { arrivals: { _tag: "Constant", perSecond: 10 } },
  services: [{
    network: { _tag: "Constant", value: 1 },
    service: { _tag: "Constant", value: 10 },
    faults: [{ _tag: "Errors", rate: 1, status: 503 }]
  }]
}))

const stages: Pipeline.Stages = {
  operation: Operation.read,
  retry: { retries: 1 }
}

describe("Laws.simulation", () => {
  it("answers the calls that agree, in their order", async () => {
    const calls = await Effect.runPromise(Laws.simulation({ operation: Operation.read }, scenario))
    expect(calls).toEqual(Array.from({ length: 9 }, (_, number) => ({
      number,
      outcome: "Server (503)",
      attempts: 1,
      requests: 1,
      endMillis: (number + 1) * 100 + 12
    })))
  })

  it("another seed or replication is another case", async () => {
    const ends = async (settings: object) =>
      (await Effect.runPromise(Laws.simulation(stages, scenario, settings)))
        .map(({ endMillis }) => endMillis)
    const first = await ends({})
    expect(await ends({ seed: 1, replication: 0 })).toEqual(first)
    expect(await ends({ seed: 2 })).not.toEqual(first)
    expect(await ends({ replication: 1 })).not.toEqual(first)
  })

  it("is broken by stages that decide by more than the failure", async () => {
    let asked = 0
    const moody: Pipeline.Stages = {
      ...stages,
      // It is asked once beforehand by the simulation, and for every failure by the runtime.
      retry: {
        retries: 1,
        verdict: () => asked++ % 7 === 0 ? Verdict.terminal : Verdict.transient()
      }
    }
    const error = await Effect.runPromise(Effect.flip(Laws.simulation(moody, scenario)))
    expect(error._tag).toBe("LawBroken")
    expect(error.message).toMatch(
      /^Laws\.simulation: Call \d+ ends at [\d.]+ ms with Server \(503\) after \d attempts and \d requests in the runtime, and ends at [\d.]+ ms with Server \(503\) after \d attempts and \d requests in the simulation$/
    )
  })

  it("refuses what cannot be compared", async () => {
    const spoilt = { ...scenario, services: [] } as unknown as Scenario.Scenario
    expect(await Effect.runPromise(Effect.flip(Laws.simulation(stages, spoilt))))
      .toMatchObject({ _tag: "InvalidScenario" })
    const dies = async (effect: Effect.Effect<unknown, unknown>) => {
      const exit = await Effect.runPromiseExit(effect)
      return Exit.isFailure(exit) ? String(Option.getOrUndefined(Cause.dieOption(exit.cause))) : ""
    }
    expect(await dies(Laws.simulation(stages, scenario, { seed: -1 }))).toMatch(/^RangeError: seed/)
    expect(await dies(Laws.simulation({ ...stages, retry: { retries: -1 } }, scenario)))
      .toMatch(/^RangeError: .*retries/)
  })

  it("can be interrupted", async () => {
    const fiber = Effect.runFork(Laws.simulation(stages, scenario))
    const exit = await Effect.runPromise(Fiber.interrupt(fiber))
    expect(Exit.isInterrupted(exit)).toBe(true)
  })
})
