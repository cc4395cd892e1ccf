/**
 * The table of what a simulation has to come to where the answer is known: closed forms of queues,
 * retries, budgets, hedges and throttles, and a retry storm that lasts.
 *
 * A normal run takes 20 short replications of each row, a long one 20 long ones.
 */
import { beforeEach, describe, expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { Backoff, CircuitBreaker, Operation, type Pipeline } from "effect-resilience"
import * as Arrivals from "../../src/core/arrivals.js"
import type * as Call from "../../src/core/call.js"
import * as Distribution from "../../src/core/distribution.js"
import * as Draw from "../../src/core/draw.js"
import * as Queueing from "../../src/core/queueing.js"
import * as Simulation from "../../src/core/simulation.js"
import type * as Upstream from "../../src/core/upstream.js"
import { compile } from "../../src/simulation/compile.js"
import { runs } from "../support/runs.js"

const isLong = runs(1000) === 1000

// A test of a long run computes for seconds: between two of them vitest has its turn.
beforeEach(() => new Promise<void>((resume) => void setImmediate(resume)))

const second = 1e9

interface Ended {
  readonly number: number
  readonly code: number
  readonly fromNanos: number
  readonly millis: number
  readonly sent: number
}

/** A scenario without network, under one process. */
const scenario = (
  stages: Pipeline.Stages,
  perSecond: number,
  upstream: Partial<Upstream.Options>,
  changes: Partial<Simulation.Setup> = {},
  network: Distribution.Distribution = { _tag: "Constant", value: 0 }
): Simulation.Setup => ({
  stages: compile(stages).stages,
  processes: 1,
  arrivals: { _tag: "Poisson", perSecond },
  changes: Arrivals.profile([]),
  keys: { count: 1, skew: 0 },
  services: [{
    network,
    upstream: {
      service: { _tag: "Exponential", mean: 1000 },
      capacity: { _tag: "Unlimited" },
      noticesAbandonment: false,
      rateLimit: undefined,
      faults: [],
      ...upstream
    },
    calls: []
  }],
  arrivalsEndNanos: Infinity,
  endNanos: Infinity,
  ...changes
})

/** The calls of one replication after the first ones, until so many have ended. */
const replicate = (
  setup: Simulation.Setup,
  replication: number,
  calls: number,
  warmUp: number
): ReadonlyArray<Ended> => {
  const ended: Array<Ended> = []
  const simulation = new Simulation.Simulation(setup, Draw.source(1, replication), {
    ended: ({ code, fromNanos, number, sent }: Call.Call, nowNanos) => {
      if (number < warmUp) return
      ended.push({ number, code, fromNanos, millis: (nowNanos - fromNanos) / 1e6, sent })
    }
  })
  while (ended.length < calls && simulation.step(100)) {
    // Until there are enough of them.
  }
  return ended
}

const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** A figure of each replication: its mean over all of them, and the standard error of that. */
const estimate = (
  replications: number,
  figure: (replication: number) => number
): { readonly mean: number; readonly error: number } => {
  const values = Array.from({ length: replications }, (_, replication) => figure(replication))
  const middle = mean(values)
  const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) /
    (replications - 1)
  return { mean: middle, error: Math.sqrt(variance / replications) }
}

/** In a normal run a row may be so many times less certain. */
const leniency = isLong ? 1 : 4

const check = (
  name: string,
  found: { readonly mean: number; readonly error: number },
  value: number,
  relativeError: number
): void => {
  console.log(`${name}: ${found.mean.toPrecision(5)} ± ${found.error.toPrecision(2)}, ${value}`)
  expect(Math.abs(found.mean - value)).toBeLessThanOrEqual(3 * found.error)
  expect(found.error).toBeLessThanOrEqual(leniency * relativeError * value)
}

const replications = 20

/** How many calls a replication has; a tenth in a normal run. */
const callsOf = (all: number): number => isLong ? all : all / 10

const nothing: Pipeline.Stages = { operation: Operation.read }

const workers = (count: number, queue: number): Upstream.Capacity => ({
  _tag: "Workers",
  workers: count,
  queue,
  order: "fifo",
  overflow: 503
})

/** The wait of each call, in seconds, which are mean service times. */
const waitsOf = (setup: Simulation.Setup, replication: number, calls: number) => {
  const sample = Distribution.sampler(setup.services[0].upstream.service)
  const source = Draw.source(1, replication)
  return replicate(setup, replication, calls, calls / 10).map(({ millis, number }) =>
    (millis - sample(Draw.unit(source, number, Draw.purposes.service, 0))) / 1000
  )
}

const queues = [
  { name: "M/M/1 at 0.5", servers: 1, load: 0.5, cv2: 1, error: 0.01, calls: 200_000 },
  { name: "M/M/1 at 0.8", servers: 1, load: 0.8, cv2: 1, error: 0.03, calls: 200_000 },
  { name: "M/G/1, constant service", servers: 1, load: 0.8, cv2: 0, error: 0.04, calls: 100_000 },
  { name: "M/G/1, variable service", servers: 1, load: 0.8, cv2: 4, error: 0.04, calls: 200_000 },
  { name: "M/M/2", servers: 2, load: 1.6, cv2: 1, error: 0.03, calls: 200_000 },
  { name: "M/M/10", servers: 10, load: 8, cv2: 1, error: 0.03, calls: 200_000 }
]

/** A mixture of two with the mean of a second and this squared coefficient of variation. */
const service = (cv2: number): Distribution.Distribution => {
  if (cv2 === 0) return { _tag: "Constant", value: 1000 }
  if (cv2 === 1) return { _tag: "Exponential", mean: 1000 }
  const often = (1 + Math.sqrt((cv2 - 1) / (cv2 + 1))) / 2
  return {
    _tag: "Hyper",
    branches: [
      { weight: often, mean: 500 / often },
      { weight: 1 - often, mean: 500 / (1 - often) }
    ]
  }
}

describe("validation of the simulation", () => {
  for (const { calls, cv2, error, load, name, servers } of queues) {
    it(`the mean wait: ${name}`, () => {
      const setup = scenario(nothing, load, {
        service: service(cv2),
        capacity: workers(servers, Infinity)
      })
      const found = estimate(
        replications,
        (replication) => mean(waitsOf(setup, replication, callsOf(calls)))
      )
      const value = servers === 1
        ? Queueing.waitOfOne(load, cv2)
        : Queueing.waitOfServers(servers, load)
      check(name, found, value, error)
    }, 600_000)
  }

  it("the 99th percentile of M/M/1", () => {
    const setup = scenario(nothing, 0.8, { capacity: workers(1, Infinity) })
    const calls = callsOf(400_000)
    const found = estimate(replications, (replication) => {
      const sorted = replicate(setup, replication, calls, calls / 10)
        .map(({ millis }) => millis / 1000).sort((a, b) => a - b)
      return sorted[Math.ceil(0.99 * sorted.length) - 1]!
    })
    check("M/M/1 p99", found, Queueing.sojournQuantile(0.8, 0.99), 0.03)
  }, 600_000)

  for (const { load, servers } of [{ servers: 2, load: 1.6 }, { servers: 10, load: 8 }]) {
    it(`Erlang C: the share of calls that wait for one of ${servers}`, () => {
      const setup = scenario(nothing, load, { capacity: workers(servers, Infinity) })
      const found = estimate(replications, (replication) =>
        // What is rounded is less than a microsecond.
        mean(waitsOf(setup, replication, callsOf(200_000)).map((wait) => wait > 1e-6 ? 1 : 0)))
      check(`Erlang C ${servers}`, found, Queueing.erlangC(servers, load), 0.01)
    }, 600_000)
  }

  it("Erlang B: the share of calls that find all of ten busy", () => {
    const setup = scenario(nothing, 8, { capacity: workers(10, 0) })
    const found = estimate(replications, (replication) =>
      mean(
        replicate(setup, replication, callsOf(100_000), 1000)
          .map(({ code }) => code === 503 ? 1 : 0)
      ))
    check("Erlang B", found, Queueing.erlangB(10, 8), 0.01)
  }, 600_000)

  const failing = (rate: number): Partial<Upstream.Options> => ({
    service: { _tag: "Constant", value: 1 },
    faults: [{ _tag: "Errors", rate, status: 503 }]
  })

  const share = (calls: ReadonlyArray<Ended>): number =>
    mean(calls.map(({ code }) => code === 0 ? 1 : 0))
  const loadOf = (calls: ReadonlyArray<Ended>): number => mean(calls.map(({ sent }) => sent))

  it("retries: three after a failure of 0.3", () => {
    const setup = scenario(
      {
        operation: Operation.read,
        retry: { retries: 3, backoff: Backoff.constant("1 millis") }
      },
      100,
      failing(0.3)
    )
    const of = (figure: (calls: ReadonlyArray<Ended>) => number) =>
      estimate(
        replications,
        (replication) => figure(replicate(setup, replication, callsOf(60_000), 0))
      )
    const { load, success } = Queueing.retried(0.3, 4)
    check("retries, success", of(share), success, 0.001)
    check("retries, load", of(loadOf), load, 0.001)
  }, 600_000)

  for (const failures of [0.3, 0.5]) {
    it(`budget: a tenth of the successes pays for retries at a failure of ${failures}`, () => {
      const setup = scenario(
        {
          operation: Operation.read,
          retry: { retries: 100, backoff: Backoff.constant("1 millis") },
          budget: { ratio: 0.1, reservePerSecond: 0 }
        },
        100,
        failing(failures)
      )
      const of = (figure: (calls: ReadonlyArray<Ended>) => number) =>
        estimate(
          replications,
          (replication) => figure(replicate(setup, replication, callsOf(20_000), 500))
        )
      const { load, success } = Queueing.budgeted(failures, 0.1)
      check(`budget at ${failures}, success`, of(share), success, 0.005)
      check(`budget at ${failures}, load`, of(loadOf), load, 0.005)
    }, 600_000)
  }

  it("hedge: one after the 95th percentile", () => {
    const setup = scenario(
      {
        operation: Operation.read,
        hedge: { delay: Duration.millis(1000 * Math.log(20)) }
      },
      1,
      {}
    )
    const of = (figure: (calls: ReadonlyArray<Ended>) => number) =>
      estimate(
        replications,
        (replication) => figure(replicate(setup, replication, callsOf(50_000), 0))
      )
    const { latency, load } = Queueing.hedged(0.95, 0.99)
    check("hedge, load", of(loadOf), load, 0.02)
    const p99 = of((calls) =>
      calls.map(({ millis }) => millis / 1000).sort((a, b) => a - b)[
        Math.ceil(0.99 * calls.length) - 1
      ]!
    )
    check("hedge, p99", p99, latency, 0.02)
  }, 600_000)

  it("throttle: 300 a second at an upstream that accepts 100", () => {
    const setup = scenario({ operation: Operation.read, throttle: { window: "1 minute" } }, 300, {
      service: { _tag: "Constant", value: 1 },
      rateLimit: {
        policy: { limit: 100n, intervalNanos: 1_000_000_000n, burst: 100 },
        retryAfter: "none"
      }
    })
    const found = estimate(replications, (replication) => {
      const calls = replicate(setup, replication, callsOf(200_000), 40_000)
      return mean(calls.map(({ sent }) => 1 - sent))
    })
    const value = Queueing.throttled(2, 100, 300)
    console.log(`throttle: ${found.mean.toPrecision(4)} ± ${found.error.toPrecision(2)}, ${value}`)
    expect(Math.abs(found.mean / value - 1)).toBeLessThan(0.02)
  }, 600_000)
})

// -----------------------------------------------------------------------------
// a storm that lasts
// -----------------------------------------------------------------------------

const seeds = isLong ? 40 : 8

const policies: Readonly<Record<string, Pipeline.Stages>> = {
  immediate: {
    operation: Operation.read,
    attemptTimeout: "3 seconds",
    retry: { retries: 2, backoff: Backoff.constant(0) }
  },
  jittered: {
    operation: Operation.read,
    attemptTimeout: "3 seconds",
    retry: { retries: 2, backoff: Backoff.exponential({ base: "100 millis", cap: "1 second" }) }
  },
  "no retries": { operation: Operation.read, attemptTimeout: "3 seconds" },
  budget: {
    operation: Operation.read,
    attemptTimeout: "3 seconds",
    retry: { retries: 2, backoff: Backoff.constant(0) },
    budget: {}
  },
  breaker: {
    operation: Operation.read,
    attemptTimeout: "3 seconds",
    retry: { retries: 2, backoff: Backoff.constant(0) },
    circuitBreaker: {
      window: CircuitBreaker.count(100),
      minimumCalls: 20,
      slowCall: false,
      openDuration: "5 seconds"
    }
  },
  bulkhead: {
    operation: Operation.read,
    attemptTimeout: "3 seconds",
    retry: { retries: 2, backoff: Backoff.constant(0) },
    bulkhead: { concurrency: 120 }
  }
}

/** Successes by second, of 40 calls a second that are twice as many for a while from 20 s on. */
const goodput = (stages: Pipeline.Stages, stormSeconds: number, seed: number) => {
  const bySecond = Array.from({ length: 180 }, () => 0)
  const setup = scenario(stages, 40, {
    service: { _tag: "Constant", value: 0 },
    capacity: { _tag: "LoadDependent", baseMillis: 1000, slopeMillis: 10, power: 1 }
  }, {
    changes: Arrivals.profile([
      { fromNanos: 20 * second, toNanos: (20 + stormSeconds) * second, times: 2 }
    ]),
    arrivalsEndNanos: 180 * second,
    endNanos: 180 * second - 1
  }, { _tag: "Exponential", mean: 100 })
  const simulation = new Simulation.Simulation(setup, Draw.source(seed, 0), {
    ended: ({ code }, nowNanos) => {
      if (code === 0) bySecond[Math.floor(nowNanos / second)]!++
    }
  })
  while (simulation.step(10_000)) {
    // To the end.
  }
  return bySecond
}

/** S14: no ten seconds in a row reach 95 % of the ten before the storm. */
const isStuck = (bySecond: ReadonlyArray<number>, stormSeconds: number): boolean => {
  const before = mean(bySecond.slice(10, 20))
  for (let from = 20 + stormSeconds; from + 10 <= bySecond.length; from++) {
    if (mean(bySecond.slice(from, from + 10)) >= 0.95 * before) return false
  }
  return true
}

describe("a metastable upstream", () => {
  const stuck = (name: string, stormSeconds: number): number => {
    let count = 0
    let sum = 0
    for (let seed = 0; seed < seeds; seed++) {
      const bySecond = goodput(policies[name]!, stormSeconds, 1000 + seed)
      if (isStuck(bySecond, stormSeconds)) count++
      sum += mean(bySecond.slice(20, 60))
    }
    console.log(`${name}, ${stormSeconds} s: stuck ${count} of ${seeds}, ${sum / seeds}/s`)
    return count
  }

  it("S14: retries without a budget stay stuck in many runs after a storm of 5 s", () => {
    for (const name of ["immediate", "jittered"]) {
      const share = stuck(name, 5) / seeds
      expect(share).toBeGreaterThanOrEqual(isLong ? 23 / 40 : 0.3)
      expect(share).toBeLessThanOrEqual(isLong ? 39 / 40 : 1)
    }
  }, 600_000)

  it("S14: after a storm of 10 s they are stuck in every run", () => {
    expect([stuck("immediate", 10), stuck("jittered", 10)]).toEqual([seeds, seeds])
  }, 600_000)

  it("S14: without retries, and with a budget, a breaker or a bulkhead, no run is stuck", () => {
    const names = ["no retries", "budget", "breaker", "bulkhead"]
    expect(names.map((name) => stuck(name, 5))).toEqual([0, 0, 0, 0])
  }, 600_000)
})
