import { describe, expect, it } from "@effect/vitest"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Circuit from "../../src/core/circuit.js"
import { Bench, halfOpened, none, opened } from "./circuit.js"

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

  it("a control that says nothing is the one that all circuits share", () => {
    const silent = Circuit.controlled({ order: undefined, isolations: 0 })
    expect(silent).toBe(Circuit.uncontrolled)
    const said: ReadonlyArray<Circuit.Control> = [
      { order: "ForcedOpen", isolations: 0 },
      { order: undefined, isolations: 1 },
      { order: "Disabled", isolations: 2 }
    ]
    expect(said.map((control) => Circuit.controlled(control) === control)).toEqual(
      said.map(() => true)
    )
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
