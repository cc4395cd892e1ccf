import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, TestClock } from "effect"
import { Backoff, CircuitBreaker } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { steppingClock } from "../support/clocks.js"
import {
  bothOf,
  call,
  calls,
  down,
  halfOpen,
  hold,
  many,
  numbers,
  ok,
  taking,
  throughJson,
  tripped,
  wordOf
} from "./circuitBreaker.js"

describe("export and import", () => {
  it.effect("B13: the window travels through JSON, key by key", () =>
    Effect.gen(function*() {
      const first = yield* CircuitBreaker.make()
      yield* calls(first, bothOf(many(4, down), many(5, ok)), "a")
      yield* calls(first, [taking(3001, ok)], "b")
      const second = yield* CircuitBreaker.make()
      yield* second.importState(throughJson(yield* first.exportState))
      const before = [
        yield* numbers(second, "a"),
        yield* numbers(second, "b"),
        yield* numbers(second, "c")
      ]
      yield* call(second, down, "a")
      expect([before, yield* second.state("a"), yield* second.state("b"), yield* first.state("a")])
        .toEqual([
          [
            "Closed: 9 calls, 4 failed, 0 slow, 0 in flight",
            "Closed: 1 calls, 0 failed, 1 slow, 0 in flight",
            "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
          ],
          "Open",
          "Closed",
          "Closed"
        ])
    }))

  it.effect("B13, B2: an imported count window still forgets the oldest first", () =>
    Effect.gen(function*() {
      const options = { window: CircuitBreaker.count(3), minimumCalls: 3, failureRate: 1 }
      const first = yield* CircuitBreaker.make(options)
      yield* calls(first, [ok, ok, down, ok, down])
      const second = yield* CircuitBreaker.make(options)
      yield* second.importState(throughJson(yield* first.exportState))
      const seen: Array<string> = []
      for (const effect of [ok, ok, ok]) {
        yield* call(second, effect)
        const { calls, failures } = yield* second.snapshot()
        seen.push(`${failures} of ${calls}`)
      }
      expect(seen).toEqual(["1 of 3", "1 of 3", "0 of 3"])
    }))

  it.effect("B13: a time window travels too", () =>
    Effect.gen(function*() {
      const options = { window: CircuitBreaker.time("10 seconds", { buckets: 10 }) }
      const first = yield* CircuitBreaker.make(options)
      yield* calls(first, many(9, down))
      yield* TestClock.adjust("2 seconds")
      const state = throughJson(yield* first.exportState)
      const second = yield* CircuitBreaker.make(options)
      yield* second.importState(state)
      const third = yield* CircuitBreaker.make(options)
      yield* third.importState(state)
      yield* call(second, down)
      yield* TestClock.adjust("11 seconds")
      expect([yield* second.state(), yield* numbers(third)]).toEqual([
        "Open",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B13: the open time that remains is kept, less the wall time between export and import", () =>
    Effect.gen(function*() {
      const old = steppingClock({ wall: 1_000_000 })
      const state = yield* old.on(Effect.gen(function*() {
        const breaker = yield* tripped()
        yield* old.pass(10_000)
        return throughJson(yield* breaker.exportState)
      }))
      const seen: Array<unknown> = []
      for (const wallLater of [0, 5000, 19_999, 20_000, 3_600_000, -1, -3_600_000]) {
        const fresh = steppingClock({ wall: 1_010_000 + wallLater, monotonic: 987_654 })
        yield* fresh.on(Effect.gen(function*() {
          const breaker = yield* CircuitBreaker.make(brittle)
          yield* breaker.importState(state)
          const words = [wallLater, yield* call(breaker)]
          yield* fresh.pass(20_000)
          seen.push([...words, yield* call(breaker)])
        }))
      }
      expect(seen).toEqual([
        [0, "CircuitOpen 20000", "ok"],
        [5000, "CircuitOpen 15000", "ok"],
        [19_999, "CircuitOpen 1", "ok"],
        [20_000, "ok", "ok"],
        [3_600_000, "ok", "ok"],
        [-1, "CircuitOpen 20000", "ok"],
        [-3_600_000, "CircuitOpen 20000", "ok"]
      ])
    }))

  it.effect("B13: HalfOpen comes back as: the next call is a trial", () =>
    Effect.gen(function*() {
      const first = yield* halfOpen({ halfOpen: CircuitBreaker.consecutive(2) })
      yield* call(first)
      yield* hold(first)
      const state = throughJson(yield* first.exportState)
      const seen: Array<unknown> = []
      for (const effects of [[ok, ok], [down]]) {
        const second = yield* CircuitBreaker.make({
          ...brittle,
          halfOpen: CircuitBreaker.consecutive(2)
        })
        yield* second.importState(state)
        seen.push([yield* numbers(second), yield* calls(second, effects), yield* second.state()])
      }
      const HalfOpen = "HalfOpen: 0 calls, 0 failed, 0 slow, 0 in flight"
      expect(seen).toEqual([[HalfOpen, ["ok", "ok"], "Closed"], [HalfOpen, ["Server"], "Open"]])
    }))

  it.effect("B13, B10: the count of openings travels", () =>
    Effect.gen(function*() {
      const options = {
        ...brittle,
        openDuration: Backoff.exponential({
          base: "1 second",
          factor: 2,
          cap: "1 hour",
          jitter: Backoff.none
        })
      }
      const first = yield* CircuitBreaker.make(options)
      yield* call(first, down)
      yield* TestClock.adjust("1 second")
      yield* call(first, down)
      const second = yield* CircuitBreaker.make(options)
      yield* second.importState(throughJson(yield* first.exportState))
      yield* TestClock.adjust("2 seconds")
      yield* call(second, down)
      expect([(yield* second.snapshot()).openings, yield* call(second)]).toEqual([
        3,
        "CircuitOpen 4000"
      ])
    }))

  it.effect("B13: an export through JSON and back is the same export", () =>
    Effect.gen(function*() {
      const first = yield* CircuitBreaker.make()
      yield* calls(first, [ok, down, taking(3001, down)], "a")
      yield* calls(first, many(10, down), "b")
      const state = yield* first.exportState
      const second = yield* CircuitBreaker.make()
      yield* second.importState(throughJson(state))
      expect([throughJson(state), yield* second.exportState]).toEqual([state, state])
    }))

  it.effect("B13, B14: calls in flight over an import stay in flight, and their outcomes change nothing", () =>
    Effect.gen(function*() {
      const other = yield* CircuitBreaker.make(brittle)
      yield* call(other)
      const breaker = yield* CircuitBreaker.make(brittle)
      const held = yield* hold(breaker)
      yield* breaker.importState(throughJson(yield* other.exportState))
      const during = yield* numbers(breaker)
      yield* held.end(down)
      expect([during, yield* numbers(breaker)]).toEqual([
        "Closed: 1 calls, 0 failed, 0 slow, 1 in flight",
        "Closed: 1 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B13: a foreign or newer state is a ParseError and changes nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, bothOf(many(4, down), many(3, ok)), "a")
      yield* calls(breaker, many(10, down), "b")
      const before = yield* breaker.exportState
      const good = throughJson(before) as Record<string, unknown>
      const version = Object.keys(good).find((name) => /^v(ersion)?$/i.test(name)) ?? "no version"
      const replaced = (from: RegExp, to: string) =>
        JSON.parse(JSON.stringify(good).replace(from, to))
      const foreign: ReadonlyArray<unknown> = [
        undefined,
        null,
        true,
        1,
        "state",
        JSON.stringify(good),
        [],
        {},
        [good],
        { circuits: {} },
        { version: 1 },
        { ...good, [version]: 1_000_000 },
        { ...good, [version]: "1" },
        { ...good, [version]: undefined },
        ...Object.keys(good).map((name) => ({ ...good, [name]: null })),
        ...Object.keys(good).filter((name) => typeof good[name] === "string").map((name) => ({
          ...good,
          [name]: "x"
        })),
        ...Object.keys(good).map((name) =>
          Object.fromEntries(Object.entries(good).filter(([other]) => other !== name))
        ),
        replaced(/"Open"/, "\"Ajar\""),
        replaced(/\d+/g, "\"many\""),
        replaced(/\d+/g, "-1")
      ]
      const words = yield* Effect.forEach(
        foreign,
        (state) => Effect.map(Effect.exit(breaker.importState(state)), wordOf)
      )
      expect([words, yield* breaker.exportState, yield* breaker.state("b")]).toEqual([
        foreign.map(() => "ParseError"),
        before,
        "Open"
      ])
    }))

  it.effect.each([
    { looks: false, idle: 9000, left: 1000 },
    { looks: true, idle: 9000, left: 1000 },
    { looks: false, idle: 9999, left: 1 },
    { looks: false, idle: 10_000, left: 0 },
    { looks: false, idle: 3_600_000, left: 0 }
  ])(
    "B13: outcomes in a time window keep their age, also where no call has come since: %j",
    ({ idle, left, looks }) =>
      Effect.gen(function*() {
        const options = { window: CircuitBreaker.time("10 seconds", { buckets: 10 }) }
        const first = yield* CircuitBreaker.make(options)
        yield* calls(first, many(9, down))
        yield* TestClock.adjust(idle)
        if (looks) yield* first.snapshot()
        const state = throughJson(yield* first.exportState)
        const held = [(yield* first.snapshot()).failures]
        const second = yield* CircuitBreaker.make(options)
        yield* second.importState(state)
        held.push((yield* second.snapshot()).failures)
        yield* TestClock.adjust(Math.max(0, left - 1))
        held.push((yield* second.snapshot()).failures)
        yield* TestClock.adjust(1)
        held.push((yield* second.snapshot()).failures)
        expect(held).toEqual(left === 0 ? [0, 0, 0, 0] : [9, 9, 9, 0])
      })
  )

  it.effect("B13: outcomes leave an imported window when they would have left, whatever the new clock says and in between", () =>
    Effect.gen(function*() {
      const options = { window: CircuitBreaker.time("10 seconds", { buckets: 10 }) }
      const seen: Array<unknown> = []
      for (const monotonic of [0, 1, 654, 987_654, 12_000_999]) {
        for (const away of [0, 300, 5400]) {
          const old = steppingClock({ wall: 1_000_000, monotonic: 77_250 })
          const state = yield* old.on(Effect.gen(function*() {
            const breaker = yield* CircuitBreaker.make(options)
            yield* calls(breaker, many(3, down))
            yield* old.pass(1600)
            yield* call(breaker, down)
            yield* old.pass(900)
            return throughJson(yield* breaker.exportState)
          }))
          const fresh = steppingClock({ wall: 1_002_500 + away, monotonic })
          yield* fresh.on(Effect.gen(function*() {
            const breaker = yield* CircuitBreaker.make(options)
            yield* breaker.importState(state)
            const failures: Array<number> = []
            const look = Effect.map(breaker.snapshot(), (now) => failures.push(now.failures))
            // The buckets began at 250 ms before the first calls, and a second after.
            yield* fresh.pass(7250 - away - 1)
            yield* look
            yield* fresh.pass(1)
            yield* look
            yield* fresh.pass(999)
            yield* look
            yield* fresh.pass(1)
            yield* look
            seen.push(failures)
          }))
        }
      }
      expect(new Set(seen.map((each) => JSON.stringify(each)))).toEqual(new Set(["[4,1,1,0]"]))
    }))

  it.effect.each([[1, 0], [3, 2], [10, 2], [100, 2]] as const)(
    "B13: a window of %d other buckets takes no outcome for younger than it is",
    ([buckets, held]) =>
      Effect.gen(function*() {
        const first = yield* CircuitBreaker.make({
          window: CircuitBreaker.time("10 seconds", { buckets: 10 })
        })
        yield* calls(first, many(2, down))
        yield* TestClock.adjust("3500 millis")
        const second = yield* CircuitBreaker.make({
          window: CircuitBreaker.time("5 seconds", { buckets })
        })
        yield* second.importState(throughJson(yield* first.exportState))
        const before = (yield* second.snapshot()).failures
        yield* TestClock.adjust("1500 millis")
        expect([before, (yield* second.snapshot()).failures]).toEqual([held, 0])
      })
  )

  it.effect("B13: a state that contradicts itself is a ParseError and changes nothing", () =>
    Effect.gen(function*() {
      const options = {
        ...brittle,
        window: CircuitBreaker.time("10 seconds", { buckets: 10 }),
        minimumCalls: 10,
        maxOpenDuration: "2 minutes"
      } as const
      const breaker = yield* CircuitBreaker.make(options)
      yield* calls(breaker, bothOf(many(3, down), many(3, ok)), "closed")
      yield* calls(breaker, many(10, down), "open")
      const before = yield* breaker.exportState
      const text = JSON.stringify(before)
      const changed = (from: RegExp, to: string) => {
        const json = text.replace(from, to)
        expect(json).not.toBe(text)
        return JSON.parse(json)
      }
      const states = [
        changed(/"failures":3/, "\"failures\":7"),
        changed(/"slow":0/, "\"slow\":7"),
        changed(/"remainingMillis":30000/, "\"remainingMillis\":30001"),
        changed(/"remainingMillis":30000/, "\"remainingMillis\":1e300"),
        changed(/"openMillis":30000/, "\"openMillis\":120001"),
        changed(/"openMillis":0/, "\"openMillis\":120001"),
        changed(/"openings":1/, "\"openings\":0"),
        changed(/"key":"open"/, "\"key\":\"closed\""),
        changed(/(\{"age":0[^}]*\})/, "$1,$1")
      ]
      const other = yield* CircuitBreaker.make(options)
      const words = yield* Effect.forEach(
        states,
        (state) => Effect.map(Effect.exit(other.importState(state)), wordOf)
      )
      expect([words, yield* other.keys, yield* Effect.exit(other.importState(before))]).toEqual([
        states.map(() => "ParseError"),
        [],
        Exit.void
      ])
    }))

  it.effect("B13: an opening that is longer than maxOpenDuration because it is so long always is not a contradiction", () =>
    Effect.gen(function*() {
      const options = { openDuration: "10 minutes", maxOpenDuration: "1 minute" } as const
      const first = yield* tripped(options)
      const second = yield* CircuitBreaker.make({ ...brittle, ...options })
      yield* second.importState(throughJson(yield* first.exportState))
      expect(yield* call(second)).toBe("CircuitOpen 600000")
    }))
})
