import { describe, expect, it } from "@effect/vitest"
import { Duration } from "effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import { Bench, type Ending, halfOpened, none, touchy } from "./circuit.js"

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
