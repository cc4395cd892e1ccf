import { describe, expect, it } from "@effect/vitest"
import { Duration, FastCheck as fc } from "effect"
import { Backoff, CircuitBreaker } from "effect-resilience"
import * as Circuit from "../../src/core/circuit.js"
import { policyOf } from "../../src/policies/CircuitBreaker.js"
import { commandsOf } from "../../src/testing/breaker/commands.js"
import { broken } from "../../src/testing/breaker/law.js"
import type { Seen, Subject, Time } from "../../src/testing/breaker/model.js"
import { ofMachine } from "../../src/testing/breaker/subjects.js"

type Ending = Partial<Circuit.Result> | Circuit.Result["_tag"]

/** One circuit and its time. Calls that are not started apart take no time. */
class Bench {
  readonly policy: Circuit.Policy
  state: Circuit.State
  constructor(options: CircuitBreaker.Options = {}, public now = 0) {
    this.policy = policyOf(options)
    this.state = Circuit.make(this.policy, now)
  }
  /** Lets time pass. */
  pass(millis: number): this {
    this.now += millis
    this.state = Circuit.settle(this.state, this.now)[1]
    return this
  }
  /** A token, or for how long the call is rejected. */
  start(): Circuit.Token | number {
    const [admission, state] = Circuit.admit(this.policy, this.state, this.now)
    this.state = state
    return admission._tag === "Admitted" ? admission.token : admission.retryAfterMillis
  }
  token(): Circuit.Token {
    const token = this.start()
    if (typeof token === "number") throw new Error(`rejected for ${token} ms`)
    return token
  }
  end(token: Circuit.Token, ending: Ending): this {
    const result: Circuit.Result = {
      _tag: "Failure",
      durationMillis: 0,
      unit: 0,
      ...(typeof ending === "string" ? { _tag: ending } : ending)
    }
    this.state = Circuit.record(this.policy, this.state, token, result, this.now)
    return this
  }
  /** Calls one after the other that end so. */
  calls(...endings: ReadonlyArray<Ending>): this {
    for (const ending of endings) this.end(this.token(), ending)
    return this
  }
  times(n: number, ending: Ending): this {
    return this.calls(...Array.from({ length: n }, () => ending))
  }
  change(f: (state: Circuit.State, now: number) => Circuit.State): this {
    this.state = f(this.state, this.now)
    return this
  }
  order(order: Circuit.Order): this {
    return this.change((state) => Circuit.order(state, order))
  }
  isolate(by: 1 | -1): this {
    return this.change((state) => Circuit.isolate(state, by))
  }
  reset(): this {
    return this.change(Circuit.reset)
  }
  get visible() {
    return Circuit.visible(this.state)
  }
  get counts() {
    return Circuit.counts(this.state, this.now)
  }
  get wait() {
    return Circuit.retryAfterMillis(this.policy, this.state, this.now)
  }
  get openings() {
    return Circuit.openings(this.state, this.now)
  }
}

const none = { calls: 0, failures: 0, slow: 0 }
/** Opens at the first failure, for a second. */
const touchy: CircuitBreaker.Options = { window: CircuitBreaker.count(1), openDuration: "1 second" }
const opened = (options: CircuitBreaker.Options = {}, ending: Ending = "Failure") =>
  new Bench({ ...touchy, ...options }).calls(ending)
/** As long as it was open, later. */
const halfOpened = (options: CircuitBreaker.Options = {}, ending: Ending = "Failure") => {
  const bench = opened(options, ending)
  return bench.pass(bench.wait ?? 0)
}
const doubling = Backoff.exponential({
  base: "1 second",
  factor: 2,
  cap: "1 hour",
  jitter: Backoff.none
})

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
      { numRuns: 600 }
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

describe("B1: when it opens", () => {
  it("nine failures of nine stay closed, the tenth opens", () => {
    const bench = new Bench().times(9, "Failure")
    const before = bench.visible
    expect([before, bench.calls("Failure").visible]).toEqual(["Closed", "Open"])
  })

  it("five failures of ten open, four do not", () => {
    const of = (failures: number) =>
      new Bench().times(failures, "Failure").times(10 - failures, "Success").visible
    expect([of(5), of(4)]).toEqual(["Open", "Closed"])
  })

  it("a success is evaluated too: it may be the call that was missing", () => {
    const bench = new Bench().times(9, "Failure")
    expect(bench.calls("Success").visible).toBe("Open")
  })

  it("an ignored call is not evaluated and is no call", () => {
    const bench = new Bench().times(9, "Failure").times(5, "Ignored")
    expect([bench.visible, bench.counts]).toEqual(["Closed", { calls: 9, failures: 9, slow: 0 }])
  })

  it("an ignored call that was slow is no call either", () => {
    const bench = new Bench().times(20, { _tag: "Ignored", durationMillis: 60_000 })
    expect([bench.visible, bench.counts]).toEqual(["Closed", none])
  })

  it("slow is strictly longer than the duration", () => {
    const of = (durationMillis: number) =>
      new Bench().times(10, { _tag: "Success", durationMillis }).visible
    expect([of(3000), of(3000.001)]).toEqual(["Closed", "Open"])
  })

  it("six slow calls of ten open, five do not", () => {
    const of = (slow: number) =>
      new Bench().times(slow, { _tag: "Success", durationMillis: 3001 }).times(10 - slow, "Success")
        .visible
    expect([of(6), of(5)]).toEqual(["Open", "Closed"])
  })

  it("without slowCall nothing is slow", () => {
    const bench = new Bench({ slowCall: false }).times(10, { _tag: "Success", durationMillis: 1e9 })
    expect([bench.visible, bench.counts]).toEqual(["Closed", { calls: 10, failures: 0, slow: 0 }])
  })

  it("a failure rate that is not exact opens at the number that is meant", () => {
    const options = { window: CircuitBreaker.count(10), failureRate: 0.1 + 0.2 }
    expect(
      [3, 2].map((failures) =>
        new Bench(options).times(failures, "Failure").times(10 - failures, "Success").visible
      )
    ).toEqual(["Open", "Closed"])
  })

  it("a slow rate that is not exact opens at the number that is meant", () => {
    const options = {
      window: CircuitBreaker.count(10),
      slowCall: { duration: "1 second", rate: 0.1 + 0.2 } as const
    }
    expect(
      [3, 2].map((slow) =>
        new Bench(options).times(slow, { _tag: "Success", durationMillis: 1001 }).times(
          10 - slow,
          "Success"
        ).visible
      )
    ).toEqual(["Open", "Closed"])
  })

  it("exceeds needs minimumCalls and one of both rates", () => {
    const policy = policyOf({})
    expect([
      Circuit.exceeds(policy, { calls: 9, failures: 9, slow: 9 }),
      Circuit.exceeds(policy, { calls: 10, failures: 4, slow: 5 }),
      Circuit.exceeds(policy, { calls: 10, failures: 5, slow: 0 }),
      Circuit.exceeds(policy, { calls: 10, failures: 0, slow: 6 }),
      Circuit.exceeds(policyOf({ slowCall: false }), { calls: 10, failures: 0, slow: 10 })
    ]).toEqual([false, false, true, true, false])
  })

  it("however low the rates, calls that neither failed nor were slow do not open it", () => {
    const counts = { calls: 10, failures: 0, slow: 0 }
    expect([
      Circuit.exceeds(policyOf({ failureRate: 1e-12 }), counts),
      Circuit.exceeds(policyOf({ slowCall: { duration: "1 second", rate: 1e-12 } }), counts),
      Circuit.exceeds(policyOf({ failureRate: 1e-12 }), { ...counts, failures: 1 })
    ]).toEqual([false, false, true])
  })

  it("the window empties when it opens, and is still empty in HalfOpen", () => {
    const bench = new Bench().times(10, "Failure")
    const open = bench.counts
    expect([open, bench.pass(30_000).calls("Success").counts]).toEqual([none, none])
  })

  it("the window is empty when it closes again", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.consecutive(1) }).calls("Success")
    expect([bench.visible, bench.counts]).toEqual(["Closed", none])
  })

  it("the window empties on reset", () => {
    expect(new Bench().times(9, "Failure").reset().counts).toEqual(none)
  })

  it("a time window empties when it opens and on reset", () => {
    const window = CircuitBreaker.time("1 minute")
    expect([
      new Bench({ window }).times(10, "Failure").counts,
      new Bench({ window }).times(9, "Failure").reset().counts
    ]).toEqual([none, none])
  })
})

describe("B2: windows", () => {
  it("a count window holds the last n", () => {
    const bench = new Bench({ window: CircuitBreaker.count(10), failureRate: 1 })
    bench.times(9, "Failure").times(8, "Success")
    expect(bench.counts).toEqual({ calls: 10, failures: 2, slow: 0 })
  })

  it("a time window forgets by itself", () => {
    const bench = new Bench({ window: CircuitBreaker.time("10 seconds") }).times(9, "Failure")
    const before = bench.counts
    expect([before.calls, bench.pass(9999).counts.calls, bench.pass(1).counts.calls]).toEqual([
      9,
      9,
      0
    ])
  })

  it("failures that are too old do not open it", () => {
    const bench = new Bench({ window: CircuitBreaker.time("10 seconds") }).times(9, "Failure").pass(
      3_600_000
    )
    expect([bench.calls("Failure").visible, bench.counts]).toEqual(["Closed", {
      calls: 1,
      failures: 1,
      slow: 0
    }])
  })

  it("a new circuit has the window that the policy says", () => {
    const windows = [CircuitBreaker.count(7), CircuitBreaker.time("7 seconds", { buckets: 7 })].map(
      (window) => new Bench({ window, minimumCalls: 1 }).state.window
    )
    expect(windows).toEqual([
      expect.objectContaining({ _tag: "Count", ring: new Uint8Array(7) }),
      expect.objectContaining({ _tag: "Time", bucketMillis: 1000 })
    ])
  })
})

describe("B4: both rates", () => {
  it("a failing and slow call counts in both once each", () => {
    const bench = new Bench().calls({ _tag: "Failure", durationMillis: 3001 })
    expect(bench.counts).toEqual({ calls: 1, failures: 1, slow: 1 })
  })
})

describe("B5: open", () => {
  it("a call is rejected for exactly the time that is left", () => {
    const bench = opened()
    expect([bench.start(), bench.pass(400).start(), bench.pass(599.5).start()]).toEqual([
      1000,
      600,
      0.5
    ])
  })

  it("a rejection changes nothing", () => {
    const bench = opened()
    const before = bench.state
    bench.start()
    expect(bench.state).toBe(before)
  })

  it("calls that fail together open it once", () => {
    const bench = new Bench(touchy)
    const tokens = [bench.token(), bench.token(), bench.token()]
    bench.end(tokens[0]!, "Failure")
    const first = bench.state
    bench.pass(10).end(tokens[1]!, "Failure").end(tokens[2]!, "Failure")
    expect([bench.state === first, bench.openings, bench.wait]).toEqual([true, 1, 990])
  })
})

describe("B6: settling", () => {
  it("it is half-open when its time has passed, and not before", () => {
    expect([opened().pass(999.999).visible, opened().pass(1000).visible]).toEqual([
      "Open",
      "HalfOpen"
    ])
  })

  it("it tells when that happened, however much later one looks", () => {
    const { state } = opened()
    expect([Circuit.settle(state, 999), Circuit.settle(state, 5000)[0]]).toEqual([
      [999, state],
      1000
    ])
  })

  it("what is not open is as it was", () => {
    const closed = new Bench().state
    const half = halfOpened().state
    expect([Circuit.settle(closed, 1e9), Circuit.settle(half, 1e9)]).toEqual([[1e9, closed], [
      1e9,
      half
    ]])
  })

  it("it begins without trials", () => {
    expect(opened().pass(1000).state.phase).toEqual({
      _tag: "HalfOpen",
      trials: { good: 0, bad: 0, slots: [], nextTrial: 0 }
    })
  })

  it("it begins a generation of its own", () => {
    const { state } = opened()
    expect(Circuit.settle(state, 1000)[1].generation).toBe(state.generation + 1)
  })

  it("time passes under isolation too", () => {
    const bench = opened().isolate(1).pass(1000)
    expect([bench.visible, bench.isolate(-1).visible]).toEqual(["Isolated", "HalfOpen"])
  })
})

describe("B7: half-open", () => {
  it("three trials run, a fourth call is rejected until the first of them may have lost its slot", () => {
    const bench = halfOpened({ openDuration: "30 seconds" })
    const starts = [
      bench.start(),
      bench.pass(10).start(),
      bench.pass(10).start(),
      bench.pass(10).start()
    ]
    expect(starts).toEqual([
      { generation: 2, trial: 0 },
      { generation: 2, trial: 1 },
      { generation: 2, trial: 2 },
      30_000 - 30
    ])
  })

  it("a call that is no trial says so", () => {
    expect(new Bench().token()).toEqual({ generation: 0, trial: -1 })
  })

  it("a rejection changes nothing", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.consecutive(1) })
    bench.start()
    const before = bench.state
    bench.start()
    expect(bench.state).toBe(before)
  })

  it("three successes in a row close it, two do not", () => {
    const bench = halfOpened().times(2, "Success")
    const before = bench.visible
    expect([before, bench.calls("Success").visible]).toEqual(["HalfOpen", "Closed"])
  })

  it("finished successes and running trials are never more than there may be", () => {
    const bench = halfOpened().times(2, "Success")
    expect([typeof bench.start(), bench.start()]).toEqual(["object", 10_000])
  })

  it.each(["Failure", { _tag: "Success", durationMillis: 3001 }] as const)(
    "one bad trial reopens at once: %o",
    (ending) => {
      const bench = halfOpened().times(2, "Success").calls(ending)
      expect([bench.visible, bench.wait, bench.openings]).toEqual(["Open", 1000, 2])
    }
  )

  it("a trial that took exactly as long as a call may is good", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.consecutive(1) }).calls({
      _tag: "Success",
      durationMillis: 3000
    })
    expect(bench.visible).toBe("Closed")
  })

  it("without slowCall no trial is slow", () => {
    const bench = halfOpened({ slowCall: false, halfOpen: CircuitBreaker.consecutive(1) })
    expect(bench.calls({ _tag: "Success", durationMillis: 1e9 }).visible).toBe("Closed")
  })

  const byRate = (trials: number, threshold: number, ...endings: ReadonlyArray<Ending>) =>
    endings.map(((bench) => (ending: Ending) => bench.calls(ending).visible)(
      halfOpened({ halfOpen: CircuitBreaker.rate({ trials, threshold }) })
    ))

  it("by rate, it reopens at the trial that makes the threshold certain", () => {
    expect(byRate(4, 0.5, "Failure", "Success", "Failure")).toEqual([
      "HalfOpen",
      "HalfOpen",
      "Open"
    ])
  })

  it("by rate, it closes at the trial after which the others could fail", () => {
    expect(byRate(4, 0.5, "Success", "Failure", "Success", "Success")).toEqual([
      "HalfOpen",
      "HalfOpen",
      "HalfOpen",
      "Closed"
    ])
  })

  it("by rate, slow trials are bad ones", () => {
    const slow: Ending = { _tag: "Success", durationMillis: 3001 }
    expect(byRate(4, 0.5, slow, slow)).toEqual(["HalfOpen", "Open"])
  })

  it("by rate, a threshold of one reopens when all were bad, and one good trial closes", () => {
    expect([
      byRate(2, 1, "Failure", "Failure"),
      byRate(2, 1, "Failure", "Success"),
      byRate(2, 1, "Success")
    ]).toEqual([
      ["HalfOpen", "Open"],
      ["HalfOpen", "Closed"],
      ["Closed"]
    ])
  })

  it("by rate, a share between two numbers of trials is the higher of them", () => {
    expect(byRate(4, 0.3, "Failure", "Failure")).toEqual(["HalfOpen", "Open"])
  })

  it("by rate, a threshold that is not exact reopens at the number that is meant", () => {
    expect(byRate(10, 0.1 + 0.2, "Failure", "Failure", "Failure")).toEqual([
      "HalfOpen",
      "HalfOpen",
      "Open"
    ])
  })

  it("by rate, however low the threshold, no good trial reopens and a bad one does", () => {
    expect([byRate(2, 1e-12, "Success", "Success"), byRate(2, 1e-12, "Failure")]).toEqual([
      ["HalfOpen", "Closed"],
      ["Open"]
    ])
  })

  it("by rate, bad trials take their place among the trials", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.rate({ trials: 3, threshold: 1 }) }).times(
      2,
      "Failure"
    )
    expect([typeof bench.start(), bench.start()]).toEqual(["object", 10_000])
  })
})

describe("B8: trial slots", () => {
  const one: CircuitBreaker.Options = { halfOpen: CircuitBreaker.consecutive(1) }

  it("an ignored trial frees its slot and decides nothing", () => {
    const bench = halfOpened(one).calls("Ignored")
    expect([bench.visible, bench.wait]).toEqual(["HalfOpen", undefined])
  })

  it("an ignored trial does not break the row", () => {
    expect(halfOpened().calls("Success", "Success", "Ignored", "Success").visible).toBe("Closed")
  })

  it("an ignored trial that was slow decides nothing", () => {
    expect(halfOpened().calls({ _tag: "Ignored", durationMillis: 3001 }).visible).toBe("HalfOpen")
  })

  it("an ignored trial frees its own slot and no other", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.consecutive(2) })
    const [first, second] = [bench.token(), bench.token()]
    bench.end(second, "Ignored")
    expect([typeof bench.start(), typeof bench.start(), bench.end(first, "Success").visible])
      .toEqual([
        "object",
        "number",
        "HalfOpen"
      ])
  })

  it("an ignored trial with a retryAfter holds its slot until then", () => {
    const bench = halfOpened(one).calls({ _tag: "Ignored", retryAfterMillis: 7000 })
    expect([bench.wait, bench.pass(6999).wait, bench.pass(1).wait]).toEqual([7000, 1, undefined])
  })

  it("an ignored trial with a retryAfter of zero holds nothing", () => {
    const bench = halfOpened(one).calls({ _tag: "Ignored", retryAfterMillis: 0 })
    expect([bench.wait, bench.state.phase]).toEqual([undefined, {
      _tag: "HalfOpen",
      trials: expect.objectContaining({ slots: [] })
    }])
  })

  it("an ignored trial holds its slot no longer than maxOpenDuration", () => {
    const bench = halfOpened({ ...one, maxOpenDuration: "5 seconds" })
    expect(bench.calls({ _tag: "Ignored", retryAfterMillis: 60_000 }).wait).toBe(5000)
  })

  it("a trial that never ends loses its slot after trialTimeout", () => {
    const bench = halfOpened({ ...one, trialTimeout: "2 seconds" })
    bench.start()
    expect([bench.pass(1999).wait, bench.pass(1).wait, typeof bench.start()]).toEqual([
      1,
      undefined,
      "object"
    ])
  })

  it("trialTimeout is the time it was open, at least ten seconds", () => {
    const waits = ["9 seconds", "11 seconds"].map((openDuration) => {
      const bench = halfOpened({
        ...one,
        openDuration: Duration.decode(openDuration as Duration.DurationInput)
      })
      bench.start()
      return bench.wait
    })
    expect(waits).toEqual([10_000, 11_000])
  })

  it("trialTimeout is the time it was really open, with what the server asked for", () => {
    const bench = halfOpened(one, { _tag: "Failure", retryAfterMillis: 40_000 })
    bench.start()
    expect(bench.wait).toBe(40_000)
  })

  it.each(["Success", "Failure"] as const)(
    "the late %s of a trial that has lost its slot changes nothing, though no other has it",
    (ending) => {
      const bench = halfOpened(one)
      const token = bench.token()
      const before = bench.pass(10_000).state
      expect(bench.end(token, ending).state).toBe(before)
    }
  )

  it.each(["Success", "Failure", "Ignored"] as const)(
    "the late %s of a trial changes nothing when another has its slot",
    (ending) => {
      const bench = halfOpened(one)
      const late = bench.token()
      const other = bench.pass(10_000).token()
      const before = bench.state
      expect([bench.end(late, ending).state === before, bench.end(other, "Success").visible])
        .toEqual([true, "Closed"])
    }
  )

  it("a trial that ends just before it loses its slot counts", () => {
    const bench = halfOpened(one)
    const token = bench.token()
    expect(bench.pass(9999.999).end(token, "Success").visible).toBe("Closed")
  })

  it("a slot that is lost is not in the way of the others", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.consecutive(2) })
    bench.start()
    bench.pass(5000).start()
    expect([bench.wait, bench.pass(5000).wait, typeof bench.start(), bench.wait]).toEqual([
      5000,
      undefined,
      "object",
      5000
    ])
  })
})

describe("B9: fencing", () => {
  it.each(["Success", "Failure"] as const)(
    "a late %s of a call from before the trip changes nothing",
    (ending) => {
      const bench = new Bench({ ...touchy, halfOpen: CircuitBreaker.consecutive(1) })
      const late = bench.token()
      bench.calls("Failure")
      const found = [0, 1000].map((millis) => {
        const before = bench.pass(millis).state
        return bench.end(late, ending).state === before
      })
      const closed = bench.calls("Success").state
      expect([found, bench.visible, bench.end(late, ending).state === closed]).toEqual([
        [true, true],
        "Closed",
        true
      ])
    }
  )

  it("a late failure of a trial of the opening before changes nothing in this one", () => {
    const bench = halfOpened()
    const [late, bad] = [bench.token(), bench.token()]
    bench.end(bad, "Failure").pass(1000).start()
    const before = bench.state
    expect(bench.end(late, "Failure").state).toBe(before)
  })

  it("a late failure of a trial does not count once it has closed", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.rate({ trials: 2, threshold: 1 }) })
    const [late, good] = [bench.token(), bench.token()]
    expect([bench.end(good, "Success").visible, bench.end(late, "Failure").counts]).toEqual([
      "Closed",
      none
    ])
  })

  it("what was admitted before a reset does not count after it", () => {
    const bench = new Bench(touchy)
    const late = bench.token()
    expect(bench.reset().end(late, "Failure").visible).toBe("Closed")
  })

  it("what was admitted before an isolation does not count after it", () => {
    const bench = new Bench(touchy)
    const late = bench.token()
    expect(bench.isolate(1).isolate(-1).end(late, "Failure").visible).toBe("Closed")
  })

  it("every change begins a generation of its own, and what changes nothing does not", () => {
    const bench = new Bench()
    const steps: ReadonlyArray<() => Bench> = [
      () => bench.times(9, "Failure"),
      () => bench.calls("Failure"),
      () => bench.isolate(1),
      () => bench.isolate(1),
      () => bench.isolate(-1),
      () => bench.isolate(-1),
      () => bench.isolate(-1),
      () => bench.order("Disabled"),
      () => bench.order("Disabled"),
      () => bench.order("ForcedOpen"),
      () => bench.reset()
    ]
    expect(steps.map((step) => step().state.generation)).toEqual([0, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6])
  })
})

describe("B10: how long it stays open", () => {
  /** Closes it again at once. */
  const mended = (bench: Bench) => bench.pass(bench.wait ?? 0).calls("Success")
  const growing: CircuitBreaker.Options = {
    openDuration: doubling,
    halfOpen: CircuitBreaker.consecutive(1)
  }

  it("the count of consecutive openings drives it", () => {
    const bench = opened(growing)
    const waits = [
      bench.wait,
      ...[1, 2, 3].map(() => bench.pass(bench.wait ?? 0).calls("Failure").wait)
    ]
    expect([waits, bench.openings]).toEqual([[1000, 2000, 4000, 8000], 4])
  })

  it("the count survives a close", () => {
    const bench = mended(opened(growing))
    expect([bench.visible, bench.openings, bench.calls("Failure").wait]).toEqual([
      "Closed",
      1,
      2000
    ])
  })

  it("the count resets when it has stayed closed for as long as it was last open, and not before", () => {
    const after = (millis: number) => {
      const bench = mended(mended(opened(growing)).calls("Failure")).pass(millis)
      return [bench.openings, bench.calls("Failure").wait, bench.openings]
    }
    expect([after(1999), after(2000)]).toEqual([[2, 4000, 3], [0, 1000, 1]])
  })

  it("the count does not reset while it is open or half-open", () => {
    const bench = opened(growing)
    expect([bench.openings, bench.pass(1e9).openings]).toEqual([1, 1])
  })

  it("the count is none at the beginning and after a reset", () => {
    const bench = opened(growing).pass(1000).calls("Failure")
    expect([new Bench().openings, bench.reset().openings, bench.calls("Failure").wait]).toEqual([
      0,
      0,
      1000
    ])
  })

  it("growth is capped by maxOpenDuration", () => {
    const bench = opened({ ...growing, maxOpenDuration: "3 seconds" })
    const waits = [
      bench.wait,
      ...[1, 2].map(() => bench.pass(bench.wait ?? 0).calls("Failure").wait)
    ]
    expect(waits).toEqual([1000, 2000, 3000])
  })

  it("a plain duration is taken as given", () => {
    expect(opened({ openDuration: "1 hour", maxOpenDuration: "1 minute" }).wait).toBe(3_600_000)
  })

  it("the retryAfter of the failure that opens it lengthens a plain opening and never shortens it", () => {
    const wait = (retryAfterMillis: number) =>
      opened({}, { _tag: "Failure", retryAfterMillis }).wait
    expect([wait(999), wait(1001)]).toEqual([1000, 1001])
  })

  it("the retryAfter of the failure that opens it lengthens a growing opening and never shortens it", () => {
    const wait = (retryAfterMillis: number) =>
      opened(growing, { _tag: "Failure", retryAfterMillis }).wait
    expect([wait(999), wait(1001)]).toEqual([1000, 1001])
  })

  it("a hint is capped by maxOpenDuration", () => {
    const wait = (options: CircuitBreaker.Options) =>
      opened(options, { _tag: "Failure", retryAfterMillis: 1e9 }).wait
    expect([
      wait({}),
      wait(growing),
      wait({ maxOpenDuration: "2 seconds" }),
      wait({ openDuration: "3 seconds", maxOpenDuration: "2 seconds" })
    ]).toEqual([300_000, 300_000, 2000, 3000])
  })

  it("the retryAfter of a trial that fails lengthens the opening too", () => {
    expect(halfOpened().calls({ _tag: "Failure", retryAfterMillis: 5000 }).wait).toBe(5000)
  })

  it("the retryAfter of a failure that does not open it is forgotten", () => {
    const bench = new Bench({ window: CircuitBreaker.count(2), openDuration: "1 second" })
    expect(bench.calls({ _tag: "Failure", retryAfterMillis: 60_000 }, "Failure").wait).toBe(1000)
  })

  it("jitter takes the draw of the call that opens it", () => {
    const openDuration = Backoff.exponential({
      base: "1 second",
      cap: "1 minute",
      jitter: Backoff.full
    })
    expect(opened({ openDuration }, { _tag: "Failure", unit: 0.25 }).wait).toBe(250)
  })

  it("decorrelated jitter goes by how long it was open before", () => {
    const openDuration = Backoff.decorrelated({ base: "1 second", cap: "1 hour" })
    const bench = opened({ openDuration }, { _tag: "Failure", unit: 0.5 })
    const first = bench.wait
    expect([first, bench.pass(first ?? 0).calls({ _tag: "Failure", unit: 0.5 }).wait]).toEqual([
      2000,
      3500
    ])
  })
})

describe("B12: operators", () => {
  const orders = ["ForcedOpen", "ForcedClosed", "Disabled"] as const

  it("the last order wins, isolation outranks them, and reset is the way out", () => {
    const bench = new Bench()
    const seen = [
      ...orders.map((order) => bench.order(order).visible),
      bench.isolate(1).visible,
      bench.order("ForcedOpen").visible,
      bench.isolate(-1).visible,
      bench.reset().visible
    ]
    expect(seen).toEqual([...orders, "Isolated", "Isolated", "ForcedOpen", "Closed"])
  })

  it("isolation ends with its last handle", () => {
    const bench = new Bench().isolate(1).isolate(1)
    expect([bench.isolate(-1).visible, bench.isolate(-1).visible]).toEqual(["Isolated", "Closed"])
  })

  it("a handle too many is none too few", () => {
    const bench = new Bench().isolate(-1)
    expect([bench.state.isolations, bench.isolate(1).visible]).toEqual([0, "Isolated"])
  })

  it("reset does not end an isolation", () => {
    const bench = new Bench().isolate(1).order("ForcedOpen").reset()
    expect([bench.visible, bench.isolate(-1).visible]).toEqual(["Isolated", "Closed"])
  })

  it("a rejection by an operator lasts for ever", () => {
    expect([new Bench().order("ForcedOpen").start(), new Bench().isolate(1).start()]).toEqual([
      Infinity,
      Infinity
    ])
  })

  it("forced closed and disabled pass everything, whatever is underneath", () => {
    const found = (["ForcedClosed", "Disabled"] as const).flatMap((order) => [
      opened().order(order).start(),
      halfOpened().order(order).start(),
      new Bench().order(order).start()
    ])
    expect(found.map((token) => typeof token === "number" ? token : token.trial)).toEqual(
      found.map(() => -1)
    )
  })

  it("forced closed counts and does not open", () => {
    const bench = new Bench().order("ForcedClosed").times(15, "Failure")
    expect([bench.visible, bench.counts]).toEqual(["ForcedClosed", {
      calls: 15,
      failures: 15,
      slow: 0
    }])
  })

  it("disabled counts nothing", () => {
    const bench = new Bench().order("Disabled").times(15, "Failure")
    expect([bench.visible, bench.counts]).toEqual(["Disabled", none])
  })

  it("an order over a half-open circuit counts calls and no trials", () => {
    const bench = halfOpened().order("ForcedClosed").times(3, "Failure")
    expect([bench.visible, bench.counts]).toEqual(["ForcedClosed", {
      calls: 1,
      failures: 1,
      slow: 0
    }])
  })

  it("B8: a trial that was told to wait holds its slot until then, though the circuit is isolated meanwhile", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.consecutive(1) })
    bench.calls({ _tag: "Ignored", retryAfterMillis: 5000 }).isolate(1).isolate(-1)
    expect([bench.visible, bench.start()]).toEqual(["HalfOpen", 5000])
  })

  it("an order ends the trials that run", () => {
    const bench = halfOpened()
    bench.start()
    expect(bench.order("Disabled").state.phase).toEqual({
      _tag: "HalfOpen",
      trials: expect.objectContaining({ slots: [] })
    })
  })

  it("isolation ends the trials that run, and leaves what others have found out", () => {
    const bench = halfOpened().calls("Success")
    const late = bench.token()
    bench.start()
    bench.isolate(1).isolate(-1).end(late, "Failure")
    expect([bench.visible, typeof bench.start(), typeof bench.start(), bench.start()]).toEqual([
      "HalfOpen",
      "object",
      "object",
      10_000
    ])
  })

  it("an order leaves an opening and a closed circuit as they are underneath", () => {
    expect([opened().order("Disabled").state.phase, new Bench().order("Disabled").state.phase])
      .toEqual([
        { _tag: "Open", untilMillis: 1000 },
        { _tag: "Closed", sinceMillis: 0 }
      ])
  })

  it("the same order again changes nothing", () => {
    const bench = new Bench().order("ForcedClosed")
    const before = bench.state
    expect(bench.order("ForcedClosed").state).toBe(before)
  })

  it("reset closes and empties, and forgets openings", () => {
    const bench = opened().pass(300).reset()
    expect(bench.state).toEqual(expect.objectContaining({
      phase: { _tag: "Closed", sinceMillis: 300 },
      order: undefined,
      openings: 0,
      openMillis: 0
    }))
  })
})

describe("looking", () => {
  it("a circuit is closed, empty and of generation zero at the beginning", () => {
    expect(new Bench({}, 77).state).toEqual(expect.objectContaining({
      phase: { _tag: "Closed", sinceMillis: 77 },
      order: undefined,
      isolations: 0,
      generation: 0,
      openings: 0,
      openMillis: 0
    }))
  })

  it("there is nothing to wait for where a call could be admitted", () => {
    expect([new Bench().wait, halfOpened().wait, opened().wait, opened().isolate(1).wait]).toEqual([
      undefined,
      undefined,
      1000,
      Infinity
    ])
  })

  it("to ask how long to wait admits nobody", () => {
    const bench = halfOpened({ halfOpen: CircuitBreaker.consecutive(1) })
    expect([bench.wait, bench.wait, typeof bench.start()]).toEqual([undefined, undefined, "object"])
  })

  it("B11: it is not idle while its openings are remembered, nor while it is open, however it came to that", () => {
    const closed = halfOpened({ halfOpen: CircuitBreaker.consecutive(1) }).calls("Success")
    const idle = ({ now, state }: Bench) => Circuit.isIdle(state, now)
    expect([
      idle(closed),
      idle(closed.pass(999)),
      idle(closed.pass(1)),
      Circuit.isIdle({ ...opened().state, openings: 0 }, 0)
    ]).toEqual([false, false, true, false])
  })

  it("B11: idle is closed or half-open without a slot, under nobody's control", () => {
    const held = halfOpened()
    held.start()
    const idle = ({ now, state }: Bench) => Circuit.isIdle(state, now)
    expect([
      idle(new Bench()),
      idle(opened()),
      idle(halfOpened()),
      idle(held),
      idle(held.pass(10_000)),
      idle(new Bench().isolate(1)),
      idle(new Bench().order("Disabled")),
      idle(new Bench().order("Disabled").reset())
    ]).toEqual([true, false, true, false, true, false, false, true])
  })
})
