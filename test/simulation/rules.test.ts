import { describe, expect, it } from "@effect/vitest"
import { Duration, FastCheck as fc } from "effect"
import { Backoff, CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as Arrivals from "../../src/core/arrivals.js"
import type * as Call from "../../src/core/call.js"
import * as Draw from "../../src/core/draw.js"
import * as Simulation from "../../src/core/simulation.js"
import { compile } from "../../src/simulation/compile.js"
import { runs } from "../support/runs.js"
import { pipelines, scenarios, setupFor } from "./scenarios.js"

/** Ten calls, each a second after the one before, at an upstream that fails as often as `rate`. */
const spaced = (stages: Pipeline.Stages, rate: number): Simulation.Setup => ({
  stages: compile(stages).stages,
  processes: 1,
  arrivals: { _tag: "Trace", atNanos: Array.from({ length: 10 }, (_, index) => index * 1e9) },
  changes: Arrivals.profile([]),
  keys: { count: 1, skew: 0 },
  services: [{
    network: { _tag: "Exponential", mean: 1 },
    upstream: {
      service: { _tag: "LogNormal", p50: 4, p99: 30 },
      capacity: { _tag: "Unlimited" },
      noticesAbandonment: false,
      rateLimit: undefined,
      faults: [{ _tag: "Errors", rate, status: 503 }]
    },
    calls: []
  }],
  arrivalsEndNanos: 11e9,
  endNanos: 60e9
})

/** A call that has ended, and when. */
type Ended = readonly [call: Call.Call, endNanos: number]

const ended = (setup: Simulation.Setup, seed = 1): ReadonlyArray<Ended> => {
  const calls: Array<Ended> = []
  const simulation = new Simulation.Simulation(setup, Draw.source(seed, 0), {
    ended: (call, endNanos) => void calls.push([call, endNanos])
  })
  while (simulation.step(1000)) {
    // Everything that happens is told to the observer.
  }
  return calls
}

const drawsOf = (stages: Omit<Pipeline.Stages, "operation">, rate: number) =>
  ended(spaced({ operation: Operation.read, ...stages }, rate)).map(([{ draws }]) => draws)

const ten = (draws: number) => Array.from({ length: 10 }, () => draws)

/** The guards that a fleet shares, none of them in a part of the cases. */
const common: fc.Arbitrary<Call.Stages["inCommon"]> = fc.option(
  fc.subarray(["circuit", "limiter", "bulkhead", "cooldown"] as const).map((all) => new Set(all)),
  { nil: undefined }
)

const retry = { retries: 3, backoff: Backoff.exponential({ base: "1 millis" }) }

describe("rules of simulation", () => {
  it("S2: every moment is a whole number of nanoseconds, whatever is drawn", () => {
    const setup = spaced({ operation: Operation.read, retry, attemptTimeout: "10 millis" }, 0.5)
    const calls = ended(setup)
    expect(calls.length).toBe(10)
    expect(
      calls.filter(([{ fromNanos }, endNanos]) =>
        !Number.isSafeInteger(fromNanos) || !Number.isSafeInteger(endNanos)
      )
    ).toEqual([])
    // Latencies are drawn, so these are no round milliseconds by themselves.
    expect(calls.some(([, endNanos]) => endNanos % 1e6 !== 0)).toBe(true)
  })

  it("S5: a retry draws once for each failure, and for a success nothing", () => {
    expect(drawsOf({ retry }, 1)).toEqual(ten(4))
    expect(drawsOf({ retry }, 0)).toEqual(ten(0))
  })

  it("S5: a throttle draws for a call only where it may reject it", () => {
    const throttle = { minimumCalls: 2, window: "1 minute", multiplier: 1.1 } as const
    expect(drawsOf({ throttle }, 0)).toEqual(ten(0))
    // It looks on until it knows enough.
    const [first, second, ...rest] = drawsOf({ throttle }, 1)
    expect([first, second]).toEqual([0, 0])
    expect(rest.at(-1)).toBe(1)
  })

  it("S5: a circuit breaker draws only where the length of its opening is a backoff", () => {
    const breaker = (openDuration: CircuitBreaker.Options["openDuration"]) => ({
      circuitBreaker: { window: CircuitBreaker.count(100), minimumCalls: 100, openDuration }
    })
    expect(drawsOf(breaker("1 second"), 1)).toEqual(ten(0))
    expect(drawsOf(breaker(Backoff.exponential({ base: "1 second" })), 1)).toEqual(ten(1))
  })

  it("S7: a request that was sent is answered, abandoned or under way at the end", () => {
    let all = 0
    fc.assert(
      fc.property(pipelines(true), common, scenarios(true), fc.nat(), (
        stages,
        inCommon,
        scenario,
        seed
      ) => {
        const [sent, over] = [new Set<Call.Attempt>(), new Set<Call.Attempt>()]
        const end = (attempt: Call.Attempt) => {
          // Each request once, and none that was not sent.
          expect([sent.has(attempt), over.has(attempt)]).toEqual([true, false])
          over.add(attempt)
        }
        const { endNanos, ...setup } = setupFor(scenario, stages)
        const simulation = new Simulation.Simulation(
          { ...setup, stages: { ...setup.stages, inCommon }, endNanos: endNanos / 3 },
          Draw.source(seed, 0),
          { sent: (attempt) => void sent.add(attempt), answered: end, abandoned: end }
        )
        while (simulation.step(1000)) {
          // To the end.
        }
        for (const attempt of sent) expect(over.has(attempt)).toBe(attempt.stand !== "sent")
        all += sent.size
      }),
      { numRuns: runs(200) }
    )
    expect(all).toBeGreaterThan(500)
  })

  it.each([
    ["per process", undefined],
    ["of all processes, where a fleet shares it", new Set(["circuit"] as const)]
  ])(
    "S7, B14: %s, no request under an open breaker and no more trials than agreed",
    (_, inCommon) => {
      const trials = 2
      const stages: Pipeline.Stages = {
        operation: Operation.read,
        attemptTimeout: "60 millis",
        retry: { retries: 2, backoff: Backoff.constant("5 millis") },
        circuitBreaker: {
          window: CircuitBreaker.count(5),
          minimumCalls: 2,
          openDuration: "80 millis",
          slowCall: false,
          halfOpen: CircuitBreaker.rate({ trials, threshold: 0.6 })
        }
      }
      let halfOpen = 0
      fc.assert(
        fc.property(scenarios(true), fc.nat(), (scenario, seed) => {
          type Place = Pick<Call.Process, "key" | "number">
          const idOf = ({ key, number }: Place) => `${inCommon === undefined ? number : 0} ${key}`
          const phases = new Map<string, string>()
          const underWay = new Map<string, Set<Call.Attempt>>()
          const of = (place: Place): Set<Call.Attempt> => {
            const found = underWay.get(idOf(place)) ?? new Set()
            underWay.set(idOf(place), found)
            return found
          }
          const left = (attempt: Call.Attempt) => void of(attempt.of.process).delete(attempt)
          const setup = setupFor(scenario, stages)
          const simulation = new Simulation.Simulation(
            { ...setup, stages: { ...setup.stages, inCommon } },
            Draw.source(seed, 0),
            {
              transition: (process, from, to) => {
                if (inCommon !== undefined) expect(process.number).toBe(0)
                expect(phases.get(idOf(process)) ?? "Closed").toBe(from)
                phases.set(idOf(process), to)
                // What was under way before is no trial.
                of(process).clear()
              },
              sent: (attempt) => {
                const { process } = attempt.of
                const phase = phases.get(idOf(process)) ?? "Closed"
                expect(phase).not.toBe("Open")
                of(process).add(attempt)
                if (phase !== "HalfOpen") return
                halfOpen++
                expect(of(process).size).toBeLessThanOrEqual(trials)
              },
              answered: left,
              abandoned: left
            }
          )
          while (simulation.step(1000)) {
            // To the end.
          }
        }),
        { numRuns: runs(200) }
      )
      expect(halfOpen).toBeGreaterThan(100)
    }
  )

  for (const isHedged of [false, true]) {
    it(
      `S8: no call ${isHedged ? "with hedges " : ""}costs more than Pipeline.describe says`,
      () => {
        let calls = 0
        let limited = 0
        fc.assert(
          fc.property(pipelines(isHedged), scenarios(false), fc.nat(), (stages, scenario, seed) => {
            const { worstCaseCalls, worstCaseTime } = Pipeline.describe(stages)
            // A timer ends in the whole nanosecond after its time.
            const longest = Duration.toMillis(worstCaseTime) * 1e6 + 100
            const over = ended(setupFor(scenario, stages), seed)
              .filter(([{ fromNanos, sent }, endNanos]) => {
                calls++
                if (longest < Infinity) limited++
                return sent > worstCaseCalls || endNanos - fromNanos > longest
              })
            expect(over).toEqual([])
          }),
          { numRuns: runs(500) }
        )
        expect([calls > 500, limited > 200]).toEqual([true, true])
      },
      180_000
    )
  }
})
