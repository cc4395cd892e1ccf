/** Generates pipelines and scenarios in which many limits are met. */
import { Duration, Effect, Exit, FastCheck as fc } from "effect"
import {
  AdaptiveConcurrency,
  Backoff,
  CircuitBreaker,
  Hedge,
  Operation,
  Pipeline
} from "effect-resilience"
import * as Scenario from "effect-resilience/Scenario"
import type * as Simulation from "../../src/core/simulation.js"
import { compile } from "../../src/simulation/compile.js"
import { setupOf, statusesOf } from "../../src/simulation/scenario/setup.js"

/** Absent once for each `there` times that it is there. */
const optional = <A>(arbitrary: fc.Arbitrary<A>, there = 3): fc.Arbitrary<A | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: there })

const millis = (min: number, max: number): fc.Arbitrary<Duration.Duration> =>
  fc.integer({ min, max }).map(Duration.millis)

/** Doubles of fast-check are nearly all close to 0: hundredths are spread evenly. */
const hundredths = (min: number, max: number): fc.Arbitrary<number> =>
  fc.integer({ min, max }).map((value) => value / 100)

const unit = hundredths(0, 100)
const share = hundredths(5, 100)

const jitter = fc.constantFrom(
  Backoff.full,
  Backoff.equal,
  Backoff.none,
  Backoff.additive("20 millis")
)

const backoff: fc.Arbitrary<Backoff.Backoff> = fc.oneof(
  fc.tuple(millis(0, 100), jitter).map(([delay, jitter]) => Backoff.constant(delay, { jitter })),
  fc.tuple(millis(1, 50), jitter).map(([base, jitter]) =>
    Backoff.exponential({ base, cap: "300 millis", jitter })
  ),
  millis(1, 50).map((base) => Backoff.linear({ base, cap: "200 millis" })),
  millis(1, 50).map((base) => Backoff.decorrelated({ base, cap: "300 millis" }))
)

const retry = fc.record({
  retries: fc.nat({ max: 4 }),
  backoff,
  within: optional(millis(1, 400)),
  retryAfterCap: millis(0, 300),
  beyondCap: fc.constantFrom("fail" as const, "clamp" as const),
  waitForRejections: fc.boolean()
})

const budget = fc.record({
  ratio: unit,
  capacity: fc.integer({ min: 0, max: 3 }),
  reservePerSecond: fc.constantFrom(0, 0, 10)
})

const circuitBreaker: fc.Arbitrary<CircuitBreaker.Options> = fc.record({
  window: fc.oneof(
    fc.integer({ min: 1, max: 8 }).map(CircuitBreaker.count),
    fc.tuple(millis(20, 500), fc.integer({ min: 1, max: 5 })).map(([duration, buckets]) =>
      CircuitBreaker.time(duration, { buckets })
    )
  ),
  minimumCalls: fc.constant(1),
  failureRate: share,
  slowCall: fc.oneof(
    fc.constant<false>(false),
    fc.record({ duration: millis(1, 20), rate: share })
  ),
  openDuration: fc.oneof(millis(1, 200), backoff.filter((one) => one._tag !== "Constant")),
  maxOpenDuration: millis(200, 400),
  halfOpen: fc.oneof(
    fc.integer({ min: 1, max: 3 }).map(CircuitBreaker.consecutive),
    fc.tuple(fc.integer({ min: 1, max: 4 }), share).map(([trials, threshold]) =>
      CircuitBreaker.rate({ trials, threshold })
    )
  ),
  trialTimeout: optional(millis(100, 300))
})

const throttle = fc.record({
  multiplier: hundredths(100, 200),
  window: millis(20, 1000),
  minimumCalls: fc.integer({ min: 1, max: 5 }),
  maxRejection: unit
})

const rateLimiter = fc.record({
  limit: fc.integer({ min: 1, max: 10 }),
  interval: millis(20, 300),
  burst: fc.integer({ min: 1, max: 3 }),
  mode: fc.constantFrom("wait" as const, "reject" as const),
  maxWait: millis(0, 300)
})

const bulkhead = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  queue: fc.nat({ max: 4 }),
  maxWait: fc.oneof(millis(0, 100), fc.constant(Duration.infinity)),
  perKey: fc.boolean()
})

const concurrency = fc.oneof(
  fc.record({ initial: fc.integer({ min: 1, max: 5 }), timeout: millis(5, 100) }).map((options) =>
    AdaptiveConcurrency.aimd({ ...options, max: 10 })
  ),
  fc.record({
    initial: fc.integer({ min: 1, max: 5 }),
    headroom: fc.integer({ min: 0, max: 2 }),
    shortWindow: fc.integer({ min: 1, max: 4 }),
    longWindow: fc.integer({ min: 4, max: 10 })
  }).map((options) => AdaptiveConcurrency.gradient({ ...options, max: 10 }))
).map((limit) => ({ limit }))

const cooldown = fc.record({
  mode: fc.constantFrom("wait" as const, "reject" as const),
  maxWait: millis(0, 200),
  cap: millis(1, 200),
  trialTimeout: millis(1, 200)
})

const hedge = fc.record({
  hedges: fc.integer({ min: 1, max: 3 }),
  delay: fc.oneof(
    millis(0, 50),
    fc.record({
      quantile: share,
      samples: fc.integer({ min: 1, max: 10 }),
      initial: fc.oneof(millis(1, 50), fc.constant(Duration.infinity))
    }).map(({ initial, quantile, samples }) =>
      Hedge.quantile(quantile, { samples, minimumCalls: 1, initial })
    )
  )
})

/** Tests whether a pipeline can be built of these stages. */
const isConsistent = (stages: Pipeline.Stages): boolean =>
  Exit.isSuccess(Effect.runSyncExit(Pipeline.make(stages)))

/** Pipelines with small limits, so that many of them are met. */
export const pipelines = (isHedged: boolean): fc.Arbitrary<Pipeline.Stages> =>
  fc.record({
    operation: fc.constantFrom<Operation.Operation<unknown>>(
      Operation.read,
      Operation.idempotent,
      Operation.keyed,
      Operation.once
    ),
    totalTimeout: optional(millis(20, 500)),
    attemptTimeout: optional(millis(5, 100)),
    endsTogether: fc.nat({ max: 3 }).map((one) => one === 0),
    retry: optional(retry),
    budget: optional(budget),
    hedge: isHedged ? hedge : fc.constant(undefined),
    circuitBreaker: optional(circuitBreaker, 1),
    throttle: optional(throttle, 1),
    rateLimiter: optional(rateLimiter, 1),
    bulkhead: optional(bulkhead, 1),
    concurrency: optional(concurrency, 1),
    cooldown: optional(cooldown, 1)
  }).map(({ endsTogether, ...stages }) =>
    // Where both limits are as long, the total comes first.
    endsTogether && stages.attemptTimeout !== undefined
      ? { ...stages, totalTimeout: stages.attemptTimeout }
      : stages
  ).map((stages) =>
    Object.fromEntries(
      Object.entries(stages).filter(([, value]) => value !== undefined)
    ) as unknown as Pipeline.Stages
  ).filter(isConsistent)

type Written = Scenario.Encoded

type Latency = Written["services"][0]["service"]

type Service = Written["services"][0]

/** Latencies that never meet at one instant, but by the limits of a policy. */
const smooth: fc.Arbitrary<Latency> = fc.oneof(
  fc.record({
    _tag: fc.constant("Exponential" as const),
    mean: fc.double({ min: 1, max: 60, noNaN: true })
  }),
  fc.tuple(
    fc.double({ min: 0.1, max: 20, noNaN: true }),
    fc.double({ min: 1, max: 80, noNaN: true })
  ).map(([min, more]) => ({ _tag: "Uniform" as const, min, max: min + more }))
)

/** Latencies in whole milliseconds, which meet all the time. */
const stepped: fc.Arbitrary<Latency> = fc.record({
  _tag: fc.constant("Constant" as const),
  value: fc.nat({ max: 20 })
})

const capacity: fc.Arbitrary<Service["capacity"]> = fc.oneof(
  fc.constant({ _tag: "Unlimited" as const }),
  fc.record({
    _tag: fc.constant("Workers" as const),
    workers: fc.integer({ min: 1, max: 6 }),
    queue: fc.nat({ max: 8 }),
    order: fc.constantFrom("fifo" as const, "lifo" as const),
    overflow: fc.constantFrom(503 as const, 429 as const)
  }),
  fc.record({
    _tag: fc.constant("LoadDependent" as const),
    base: fc.nat({ max: 20 }),
    slope: fc.nat({ max: 5 }),
    power: fc.constantFrom(1, 2)
  })
)

const window = fc.tuple(fc.nat({ max: 250 }), fc.integer({ min: 1, max: 200 })).map((
  [from, length]
) => ({ from, to: from + length }))

const fault: fc.Arbitrary<NonNullable<Service["faults"]>[number]> = fc.oneof(
  fc.tuple(
    window,
    fc.constantFrom("refused" as const, "reset" as const, "503" as const, "blackHole" as const)
  )
    .map(([window, as]) => ({ _tag: "Outage" as const, ...window, as })),
  fc.record({
    _tag: fc.constant("Errors" as const),
    rate: hundredths(0, 60),
    status: fc.constantFrom(500, 503, 404, 409, 401, 408, 422, 501)
  }),
  fc.record({
    _tag: fc.constant("Burst" as const),
    good: fc.integer({ min: 10, max: 300 }),
    bad: fc.integer({ min: 10, max: 300 }),
    rate: unit
  }),
  fc.tuple(window, fc.integer({ min: 1, max: 5 }), share).map(([window, latency, capacity]) => ({
    _tag: "BrownOut" as const,
    ...window,
    latency,
    capacity
  }))
)

/** Answers that are no failure of the upstream, beside its faults. */
const answers = fc.array(
  fc.record({
    _tag: fc.constant("Errors" as const),
    rate: hundredths(0, 60),
    status: fc.constantFrom(401, 404, 409, 422)
  }),
  { maxLength: 1 }
)

const rateLimit = fc.record({
  limit: fc.integer({ min: 1, max: 20 }),
  interval: fc.integer({ min: 20, max: 500 }),
  burst: fc.integer({ min: 1, max: 5 }),
  retryAfter: fc.oneof(
    fc.constantFrom("exact" as const, "none" as const),
    fc.integer({ min: 0, max: 300 })
  )
})

const withoutAbsent = <A extends object>(record: A): A =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as A

const service = (latency: fc.Arbitrary<Latency>): fc.Arbitrary<Service> =>
  fc.record({
    network: latency,
    service: latency,
    capacity,
    noticesAbandonment: fc.boolean(),
    rateLimit: optional(rateLimit),
    faults: fc.tuple(fc.array(fault, { maxLength: 2 }), answers).map((faults) => faults.flat())
  }).map(withoutAbsent)

const policyOfTier = fc.constantFrom(
  {},
  { operation: "read", retry: { retries: 2, backoff: { _tag: "Constant", delay: 10 } } },
  { operation: "once", attemptTimeout: 30, circuitBreaker: { minimumCalls: 2, openDuration: 50 } },
  { operation: "idempotent", totalTimeout: 60, retry: { retries: 1 }, budget: { capacity: 1 } }
)

/** One service, or one that calls a second, or a second and that a third. */
const services = (isSmooth: boolean): fc.Arbitrary<Written["services"]> => {
  const one = service(isSmooth ? smooth : stepped)
  // At one instant the order within a service is that of its own fibers.
  if (!isSmooth) return one.map((only) => [only])
  const call = (name: string) =>
    fc.record({
      service: fc.constant(name),
      policy: policyOfTier,
      times: fc.integer({ min: 1, max: 2 })
    })
  return fc.oneof(
    { weight: 2, arbitrary: one.map((only) => [only] as const) },
    {
      weight: 1,
      arbitrary: fc.tuple(one, one, call("b")).map(([a, b, ab]) =>
        [{ ...a, calls: [ab] }, { ...b, name: "b" }] as const
      )
    },
    {
      weight: 1,
      arbitrary: fc.tuple(one, one, one, call("b"), call("c"), call("c")).map(
        ([a, b, c, ab, ac, bc]) =>
          [
            { ...a, calls: [ab, ac] },
            { ...b, name: "b", calls: [bc] },
            { ...c, name: "c" }
          ] as const
      )
    }
  )
}

/** A scenario of three tenths of a second. */
export const scenarios = (isSmooth: boolean): fc.Arbitrary<Scenario.Scenario> =>
  fc.record({
    duration: fc.constant(300),
    clients: fc.record({
      processes: fc.integer({ min: 1, max: 3 }),
      keys: fc.oneof(
        fc.constant({ count: 1 }),
        fc.record({ count: fc.integer({ min: 2, max: 4 }), skew: hundredths(0, 200) })
      ),
      arrivals: fc.oneof<fc.Arbitrary<Written["clients"]["arrivals"]>[]>(
        fc.record({
          _tag: fc.constant(isSmooth ? "Poisson" as const : "Constant" as const),
          perSecond: fc.constantFrom(20, 50, 100, 200)
        }),
        fc.record({
          _tag: fc.constant("Closed" as const),
          clients: fc.integer({ min: 1, max: 6 }),
          think: isSmooth
            ? fc.constant({ _tag: "Uniform" as const, min: 20, max: 80 })
            : fc.constant({ _tag: "Constant" as const, value: 37 })
        })
      ),
      changes: fc.array(
        fc.tuple(window, fc.constantFrom(0, 2, 3)).map(([window, times]) => ({ ...window, times })),
        { maxLength: 2 }
      )
    }),
    services: services(isSmooth)
  }).map((written) => Effect.runSync(Scenario.decode(written satisfies Written)))

/** A scenario in plain numbers; calls that have begun have 900 ms to end. */
export const setupFor = (
  scenario: Scenario.Scenario,
  stages: Pipeline.Stages
): Simulation.Setup => ({
  ...setupOf(scenario).setup,
  stages: compile(stages, statusesOf(scenario.services[0])).stages,
  endNanos: 1.2e9 + 1
})
