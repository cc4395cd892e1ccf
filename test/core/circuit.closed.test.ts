import { describe, expect, it } from "@effect/vitest"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Circuit from "../../src/core/circuit.js"
import { policyOf } from "../../src/policies/circuitBreaker/options.js"
import { Bench, halfOpened, none } from "./circuit.js"

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
