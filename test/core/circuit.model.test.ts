import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Backoff from "effect-resilience/Backoff"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Circuit from "../../src/core/circuit.js"
import { policyOf } from "../../src/policies/circuitBreaker/options.js"
import { commandsOf } from "../../src/testing/breaker/commands.js"
import { broken } from "../../src/testing/breaker/law.js"
import type { Seen, Subject, Time } from "../../src/testing/breaker/model.js"
import { ofMachine } from "../../src/testing/breaker/subjects.js"
import { runs } from "../support/runs.js"

const policies: ReadonlyArray<readonly [name: string, options: CircuitBreaker.Options]> = [
  ["the defaults", {}],
  ["two of the last four", { window: CircuitBreaker.count(4), minimumCalls: 2 }],
  ["one call, one trial", {
    window: CircuitBreaker.count(1),
    halfOpen: CircuitBreaker.consecutive(1)
  }],
  [
    "a minute, trials by rate, a short trial timeout",
    {
      window: CircuitBreaker.time("1 minute"),
      minimumCalls: 3,
      failureRate: 0.4,
      halfOpen: CircuitBreaker.rate({ trials: 4, threshold: 0.5 }),
      trialTimeout: "2 seconds"
    }
  ],
  [
    "an opening that doubles",
    {
      window: CircuitBreaker.count(5),
      minimumCalls: 3,
      openDuration: Backoff.exponential({
        base: "1 second",
        factor: 2,
        cap: "1 minute",
        jitter: Backoff.none
      }),
      maxOpenDuration: "30 seconds"
    }
  ],
  [
    "an opening with jitter, slowness does not count",
    {
      window: CircuitBreaker.time("10 seconds", { buckets: 3 }),
      minimumCalls: 2,
      openDuration: Backoff.decorrelated({ base: "1 second", cap: "10 minutes" }),
      slowCall: false
    }
  ],
  [
    "a plain opening above the most a hint can make of it",
    {
      window: CircuitBreaker.count(3),
      minimumCalls: 3,
      failureRate: 1,
      openDuration: "1 minute",
      maxOpenDuration: "20 seconds",
      trialTimeout: "5 minutes"
    }
  ],
  [
    "slowness above all, trials that must all be bad",
    {
      window: CircuitBreaker.count(6),
      minimumCalls: 2,
      failureRate: 0.7,
      slowCall: { duration: "200 millis", rate: 0.3 },
      openDuration: Backoff.linear({ base: "500 millis", cap: "1 minute", jitter: Backoff.full }),
      halfOpen: CircuitBreaker.rate({ trials: 3, threshold: 1 })
    }
  ]
]

describe("against a slow and obvious model", () => {
  /** A machine that tells what it went through. */
  const watched = (policy: Circuit.Policy, edges: Set<string>) => (time: Time): Subject => {
    const subject = ofMachine(Circuit)(policy)(time)
    let before: Seen["state"] = "Closed"
    return {
      ...subject,
      look: () => {
        const seen = subject.look()
        if (seen.state !== before) edges.add(`${before} ${seen.state}`)
        before = seen.state
        return seen
      }
    }
  }

  it.each(policies)("B1-B14: %s", (_, options) => {
    const policy = policyOf(options)
    const edges = new Set<string>()
    fc.assert(
      fc.property(commandsOf(policy), (commands) => {
        expect(broken(policy, watched(policy, edges), commands)).toBe(undefined)
      }),
      { numRuns: runs(600, 500) }
    )
    expect([...edges]).toEqual(expect.arrayContaining([
      "Closed Open",
      "Open HalfOpen",
      "HalfOpen Open",
      "HalfOpen Closed",
      "Open Isolated",
      "Isolated HalfOpen",
      "ForcedClosed Closed"
    ]))
  })
})
