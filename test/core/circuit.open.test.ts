import { describe, expect, it } from "@effect/vitest"
import * as Backoff from "effect-resilience/Backoff"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Circuit from "../../src/core/circuit.js"
import { Bench, halfOpened, opened, touchy } from "./circuit.js"

const doubling = Backoff.exponential({
  base: "1 second",
  factor: 2,
  cap: "1 hour",
  jitter: Backoff.none
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
