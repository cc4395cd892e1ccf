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
import * as Arrivals from "../../src/core/arrivals.js"
import type * as Distribution from "../../src/core/distribution.js"
import type * as Simulation from "../../src/core/simulation.js"
import type * as Upstream from "../../src/core/upstream.js"

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
  maxWait: fc.oneof(millis(0, 100), fc.constant(Duration.infinity))
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
    operation: fc.constantFrom<Operation.Operation>(
      Operation.read,
      Operation.idempotent,
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

/** Latencies that never meet at one instant, but by the limits of a policy. */
const smooth: fc.Arbitrary<Distribution.Distribution> = fc.oneof(
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
const stepped: fc.Arbitrary<Distribution.Distribution> = fc.record({
  _tag: fc.constant("Constant" as const),
  value: fc.nat({ max: 20 })
})

const capacity: fc.Arbitrary<Upstream.Capacity> = fc.oneof(
  fc.constant({ _tag: "Unlimited" as const }),
  fc.record({
    _tag: fc.constant("Workers" as const),
    workers: fc.integer({ min: 1, max: 6 }),
    queue: fc.nat({ max: 8 }),
    order: fc.constantFrom("fifo" as const, "lifo" as const),
    overflow: fc.constantFrom(503, 429)
  }),
  fc.record({
    _tag: fc.constant("LoadDependent" as const),
    baseMillis: fc.nat({ max: 20 }),
    slopeMillis: fc.nat({ max: 5 }),
    power: fc.constantFrom(1, 2)
  })
)

const milli = 1e6

const window = fc.tuple(fc.nat({ max: 400 }), fc.integer({ min: 1, max: 300 })).map((
  [from, length]
) => ({ fromNanos: from * milli, toNanos: (from + length) * milli }))

const fault: fc.Arbitrary<Upstream.Fault> = fc.oneof(
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
    goodMillis: fc.integer({ min: 10, max: 300 }),
    badMillis: fc.integer({ min: 10, max: 300 }),
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
  policy: fc.record({
    limit: fc.integer({ min: 1, max: 20 }).map(BigInt),
    intervalNanos: fc.integer({ min: 20, max: 500 }).map((millis) => BigInt(millis) * 1_000_000n),
    burst: fc.integer({ min: 1, max: 5 })
  }),
  retryAfter: fc.oneof(
    fc.constantFrom("exact" as const, "none" as const),
    fc.integer({ min: 0, max: 300 })
  )
})

/** A scenario of a second, without the stages. */
export const scenarios = (isSmooth: boolean): fc.Arbitrary<Omit<Simulation.Setup, "stages">> => {
  const latency = isSmooth ? smooth : stepped
  return fc.record({
    processes: fc.integer({ min: 1, max: 3 }),
    arrivals: fc.oneof<fc.Arbitrary<Arrivals.Arrivals>[]>(
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
    ).map(Arrivals.profile),
    network: latency,
    upstream: fc.record({
      service: latency,
      capacity,
      noticesAbandonment: fc.boolean(),
      rateLimit: optional(rateLimit),
      faults: fc.tuple(fc.array(fault, { maxLength: 2 }), answers).map((faults) => faults.flat())
    }),
    arrivalsEndNanos: fc.constant(500 * milli),
    endNanos: fc.constant(1200 * milli + 1)
  })
}
