import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { observed } from "../support/telemetry.js"
import { settle } from "../support/turns.js"
import { call, calls, down, hold, many, numbers, tripped, watch } from "./circuitBreaker.js"

describe("operators", () => {
  it.effect("B12: forceOpen and isolate reject everything, with an infinite retryAfter", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      let ran = 0
      const counted = Effect.sync(() => ++ran)
      yield* breaker.forceOpen("a")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* breaker.isolate("b")
        yield* TestClock.adjust("10 days")
        expect([
          yield* call(breaker, counted, "a"),
          yield* call(breaker, counted, "b"),
          yield* breaker.state("a"),
          yield* breaker.state("b"),
          ran,
          yield* call(breaker, counted, "c")
        ]).toEqual([
          "CircuitOpen Infinity",
          "CircuitOpen Infinity",
          "ForcedOpen",
          "Isolated",
          0,
          "1"
        ])
      }))
    }))

  it.effect("B12: forceClosed passes everything and never opens", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      yield* breaker.forceClosed()
      expect([yield* calls(breaker, many(20, down)), yield* breaker.state()]).toEqual([
        many(20, "Server"),
        "ForcedClosed"
      ])
    }))

  it.effect("B12: disable passes everything and counts nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      yield* breaker.disable()
      expect([yield* calls(breaker, many(20, down)), yield* numbers(breaker)]).toEqual([
        many(20, "Server"),
        "Disabled: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B12: reset is the way out of forceOpen, forceClosed, disable and Open: Closed and empty", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const commands = ["forceOpen", "forceClosed", "disable", "state"] as const
      for (const command of commands) {
        const breaker = yield* CircuitBreaker.make()
        yield* calls(breaker, many(command === "state" ? 10 : 9, down))
        yield* breaker[command]()
        yield* calls(breaker, many(9, down))
        yield* breaker.reset()
        seen.push(yield* numbers(breaker), yield* call(breaker))
      }
      expect(seen).toEqual(many(4, ["Closed: 0 calls, 0 failed, 0 slow, 0 in flight", "ok"]).flat())
    }))

  it.effect("B12: the last of those commands wins", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const states: Array<string> = []
      for (
        const command of [
          "forceOpen",
          "disable",
          "forceOpen",
          "forceClosed",
          "disable",
          "forceClosed",
          "reset"
        ] as const
      ) {
        yield* breaker[command]()
        states.push(yield* breaker.state())
      }
      expect(states).toEqual([
        "ForcedOpen",
        "Disabled",
        "ForcedOpen",
        "ForcedClosed",
        "Disabled",
        "ForcedClosed",
        "Closed"
      ])
    }))

  it.effect("B12: isolation is counted, each handle once", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const a = yield* Scope.make()
      const b = yield* Scope.make()
      yield* Scope.extend(breaker.isolate(), a)
      yield* Scope.extend(breaker.isolate(), b)
      const states = [yield* breaker.state()]
      yield* Scope.close(a, Exit.void)
      yield* Scope.close(a, Exit.void)
      states.push(yield* breaker.state())
      yield* Scope.close(b, Exit.void)
      expect([states, yield* breaker.state(), yield* call(breaker)]).toEqual([
        ["Isolated", "Isolated"],
        "Closed",
        "ok"
      ])
    }))

  it.effect("B12: isolation outranks the commands, and ends with its handles alone", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const commands = [["forceOpen"], ["forceClosed"], ["disable"], [
        "forceOpen",
        "reset"
      ]] as const
      for (const given of commands) {
        for (const when of ["before", "during"]) {
          const breaker = yield* CircuitBreaker.make()
          const scope = yield* Scope.make()
          const command = Effect.forEach(given, (name) => breaker[name]())
          if (when === "before") yield* command
          yield* Scope.extend(breaker.isolate(), scope)
          if (when === "during") yield* command
          const isolated = [yield* breaker.state(), yield* call(breaker)]
          yield* Scope.close(scope, Exit.void)
          seen.push([...isolated, yield* breaker.state()])
        }
      }
      expect(seen).toEqual(
        ["ForcedOpen", "ForcedClosed", "Disabled", "Closed"].flatMap((state) =>
          many(2, ["Isolated", "CircuitOpen Infinity", state])
        )
      )
    }))

  it.effect("B12, B6: under an isolation the open time runs on", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const millis of [10_000, 30_000]) {
        const breaker = yield* tripped()
        yield* Effect.scoped(Effect.zipRight(breaker.isolate(), TestClock.adjust(millis)))
        seen.push([yield* breaker.state(), yield* call(breaker)])
      }
      expect(seen).toEqual([["Open", "CircuitOpen 20000"], ["HalfOpen", "ok"]])
    }))

  it.effect("B12, B9: what began under a command does not count after the reset", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      for (const command of ["forceClosed", "disable"] as const) {
        const breaker = yield* CircuitBreaker.make(brittle)
        yield* breaker[command]()
        const held = yield* hold(breaker)
        yield* breaker.reset()
        yield* held.end(down)
        seen.push(yield* numbers(breaker))
      }
      expect(seen).toEqual(many(2, "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"))
    }))

  it.effect("B12: while disabled, calls from before count nothing either", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const held = yield* hold(breaker)
      yield* breaker.disable()
      yield* held.end(down)
      expect(yield* numbers(breaker)).toBe("Disabled: 0 calls, 0 failed, 0 slow, 0 in flight")
    }))

  it.effect("B12: an interrupted holder of an isolation gives it back", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const fiber = yield* Effect.fork(
        Effect.scoped(Effect.zipRight(breaker.isolate(), Effect.never))
      )
      yield* settle
      const during = yield* breaker.state()
      yield* Fiber.interrupt(fiber)
      expect([during, yield* breaker.state()]).toEqual(["Isolated", "Closed"])
    }))

  it.effect("B12, B15: each command is visible in transitions, once", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const seen = yield* watch(breaker)
      for (
        const command of [
          "forceOpen",
          "forceOpen",
          "forceClosed",
          "disable",
          "reset",
          "reset"
        ] as const
      ) {
        yield* breaker[command]("a")
        yield* TestClock.adjust(1)
      }
      yield* Effect.scoped(
        Effect.zipRight(breaker.isolate("a"), Effect.scoped(breaker.isolate("a")))
      )
      expect(yield* seen).toEqual([
        "0 a: Closed > ForcedOpen",
        "2 a: ForcedOpen > ForcedClosed",
        "3 a: ForcedClosed > Disabled",
        "4 a: Disabled > Closed",
        "6 a: Closed > Isolated",
        "6 a: Isolated > Closed"
      ])
    }))
})

describe("operators of all keys", () => {
  it.effect("B12: forceOpenAll rejects every key, those to come included, until resetAll", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* call(breaker, undefined, "used")
      yield* breaker.forceOpenAll
      const during = [
        yield* call(breaker, undefined, "used"),
        yield* call(breaker, undefined, "new")
      ]
      const states = [yield* breaker.state("used"), yield* breaker.state("never used")]
      yield* breaker.resetAll
      const after = [
        yield* call(breaker, undefined, "used"),
        yield* call(breaker, undefined, "later")
      ]
      expect([during, states, after]).toEqual([
        many(2, "CircuitOpen Infinity"),
        many(2, "ForcedOpen"),
        many(2, "ok")
      ])
    }))

  it.effect("B12: forceClosedAll and disableAll pass every key", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      yield* breaker.forceClosedAll
      const closed = [yield* call(breaker), yield* breaker.state(), yield* breaker.state("new")]
      yield* breaker.disableAll
      const disabled = [yield* call(breaker), yield* breaker.state(), yield* breaker.state("new")]
      expect([closed, disabled]).toEqual([
        ["ok", "ForcedClosed", "ForcedClosed"],
        ["ok", "Disabled", "Disabled"]
      ])
    }))

  it.effect("B12: isolateAll lasts until its scope is closed; handles are counted; isolation outranks orders", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* call(breaker, undefined, "used")
      const states = Effect.all([breaker.state("used"), breaker.state("new")])
      const first = yield* Scope.make()
      const second = yield* Scope.make()
      yield* Scope.extend(breaker.isolateAll, first)
      yield* Scope.extend(breaker.isolateAll, second)
      yield* breaker.forceClosedAll
      const seen: Array<ReadonlyArray<string>> = [yield* states]
      yield* call(breaker, undefined, "came meanwhile")
      yield* Scope.close(first, Exit.void)
      seen.push(yield* states)
      yield* Scope.close(second, Exit.void)
      seen.push(yield* states, [yield* breaker.state("came meanwhile")])
      expect(seen).toEqual([
        many(2, "Isolated"),
        many(2, "Isolated"),
        many(2, "ForcedClosed"),
        ["ForcedClosed"]
      ])
    }))

  it.effect("B12: the last command wins, of one key or of all", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* call(breaker, undefined, "a")
      yield* breaker.forceOpenAll
      yield* breaker.disable("a")
      const one = [yield* breaker.state("a"), yield* breaker.state("b")]
      yield* breaker.forceOpenAll
      const all = [yield* breaker.state("a"), yield* breaker.state("b")]
      yield* breaker.reset("a")
      expect([one, all, yield* breaker.state("a"), yield* breaker.state("b")]).toEqual([
        ["Disabled", "ForcedOpen"],
        ["ForcedOpen", "ForcedOpen"],
        "Closed",
        "ForcedOpen"
      ])
    }))

  it.effect("B11: keys that come and go while all are forced open take no memory", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      yield* breaker.forceOpenAll
      for (let i = 0; i < 100; i++) yield* call(breaker, undefined, `old ${i}`)
      yield* TestClock.adjust("2 minutes")
      for (let i = 0; i < 100; i++) yield* call(breaker, undefined, "new")
      expect(yield* breaker.keys).toEqual(["new"])
    }))

  it.effect("B13: what was ordered of all keys survives a restart", () =>
    Effect.gen(function*() {
      const before = yield* CircuitBreaker.make()
      yield* call(before, undefined, "used")
      yield* before.forceOpenAll
      const exported: unknown = JSON.parse(JSON.stringify(yield* before.exportState))
      const after = yield* CircuitBreaker.make()
      yield* after.importState(exported)
      expect([yield* after.state("used"), yield* after.state("new")]).toEqual(
        many(2, "ForcedOpen")
      )
    }))

  it.effect("B6: transitions tell of each key that changes", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* call(breaker, undefined, "a")
      yield* call(breaker, undefined, "b")
      const seen = yield* watch(breaker)
      yield* breaker.forceOpenAll
      yield* settle
      expect(yield* seen).toEqual(["0 a: Closed > ForcedOpen", "0 b: Closed > ForcedOpen"])
    }))
})

describe("a command for a key that no call has used", () => {
  const told = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.map(
      observed(self),
      ({ lines }) => lines.filter(({ level }) => level === "WARN").map(({ message }) => message)
    )

  it.effect("G46: applies, and warns once with the keys in use", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* call(breaker, undefined, "GET /v1/sites")
      yield* call(breaker, undefined, "GET /v1/users")
      const lines = yield* told(Effect.zipRight(breaker.forceOpen(), breaker.forceOpen()))
      expect(lines).toEqual([
        "CircuitBreaker.forceOpen applies to \"default\", a key that no call has used; " +
        "keys in use: \"GET /v1/sites\", \"GET /v1/users\""
      ])
      expect(yield* breaker.state()).toBe("ForcedOpen")
    }))

  it.effect("G46: names ten keys at most, and says when there is none", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const [first] = yield* told(breaker.disable("typo"))
      expect(first).toContain("no key is in use yet")
      for (let i = 0; i < 12; i++) yield* call(breaker, undefined, `k${i}`)
      const [second] = yield* told(breaker.forceClosed("other"))
      expect(second).toContain("\"k9\" and 2 more")
    }))

  it.effect("G46: a key in use is not warned about, nor are commands for all", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* call(breaker, undefined, "a")
      expect(
        yield* told(Effect.all([
          breaker.forceOpen("a"),
          breaker.reset("a"),
          Effect.scoped(breaker.isolate("a")),
          breaker.forceOpenAll,
          breaker.resetAll
        ]))
      ).toEqual([])
    }))
})
