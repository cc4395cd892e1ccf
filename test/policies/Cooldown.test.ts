import { HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Duration, Effect, FastCheck as fc, Fiber, Option } from "effect"
import { TestClock, TestContext } from "effect"
import { Rejection } from "effect-resilience"
import * as Cooldown from "effect-resilience/Cooldown"
import { Cooldowns } from "../../src/policies/cooldown/registry.js"
import { locked, rateLimit, rejection, server } from "../support/errors.js"
import { wordsFor } from "../support/exits.js"
import { badDurations, refusalOf } from "../support/refusal.js"
import { runs } from "../support/runs.js"
import { settle } from "../support/turns.js"

/** An exit in a word; for a rejection also what it says. */
const wordOf = wordsFor({
  failure: (error) =>
    error instanceof Cooldown.CoolingDown
      ? `CoolingDown ${Duration.toMillis(error.retryAfter)}`
      : undefined
})

const open = (options?: Cooldown.Options) =>
  Effect.gen(function*() {
    const cooldown = yield* Cooldown.make(options)
    /** `name at millis`, in the order in which calls began. */
    const log: Array<string> = []
    /** A call with a name, which says when it begins and ends when it is told to. */
    const call = (name: string, options?: Cooldown.CallOptions) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<unknown, unknown>()
        const work = Effect.zipRight(
          Effect.map(Clock.currentTimeMillis, (now) => log.push(`${name} at ${now}`)),
          Deferred.await(gate)
        )
        const fiber = yield* Effect.fork(cooldown.protect(work, options))
        yield* settle
        return {
          end: (effect: Effect.Effect<unknown, unknown>) =>
            Effect.zipRight(Deferred.complete(gate, effect), settle),
          interrupt: Effect.zipRight(Fiber.interrupt(fiber), settle),
          now: Effect.sync(() => {
            const exit = fiber.unsafePoll()
            return exit === null ? "under way" : wordOf(exit)
          })
        }
      })
    /** What a call that ends at once says. */
    const outcome = (
      effect: Effect.Effect<unknown, unknown> = Effect.succeed("ok"),
      options?: Cooldown.CallOptions
    ) => Effect.map(Effect.exit(cooldown.protect(effect, options)), wordOf)
    const numbers = (key?: string) =>
      Effect.map(
        cooldown.snapshot(key),
        ({ retryAfter, state, waiting }) =>
          `${state}, ${waiting} waiting, ${
            Option.getOrElse(Option.map(retryAfter, Duration.toMillis), () => "no")
          } wait`
      )
    return { cooldown, log, call, outcome, numbers }
  })

/** Told to wait for ten seconds at 0. */
const cooling = (options?: Cooldown.Options) =>
  Effect.tap(open(options), ({ outcome }) => outcome(Effect.fail(rateLimit("10 seconds"))))

const rejecting = { mode: "reject" } as const
const ok = Effect.succeed("ok")

describe("admits", () => {
  it.effect("G17: while nobody was told to wait everything runs, and comes out as it is", () =>
    Effect.gen(function*() {
      const { cooldown, numbers } = yield* open()
      const exits = yield* Effect.forEach([
        cooldown.protect(Effect.succeed("first")),
        Effect.succeed("last").pipe(cooldown.protect()),
        Effect.fail("failure").pipe(cooldown.protect({ key: "a" })),
        cooldown.protect(Effect.die("defect"))
      ], (effect) => Effect.map(Effect.exit(effect), wordOf))
      expect([exits, yield* numbers()]).toEqual([
        ["first", "last", "failure", "defect"],
        "Clear, 0 waiting, no wait"
      ])
    }))

  it.effect("G17: a failure that asks for nothing begins no cooldown", () =>
    Effect.gen(function*() {
      const { numbers, outcome } = yield* open()
      const failures = [
        rateLimit(),
        rateLimit(0),
        server(503),
        server(500, "10 seconds"),
        locked(Duration.seconds(10)),
        rejection(Duration.seconds(10)),
        "anything else"
      ]
      const seen = yield* Effect.forEach(
        failures,
        (failure) => Effect.zipRight(outcome(Effect.fail(failure)), numbers())
      )
      expect(new Set(seen)).toEqual(new Set(["Clear, 0 waiting, no wait"]))
    }))

  it.effect("G17: the other keys go on", () =>
    Effect.gen(function*() {
      const { outcome } = yield* open(rejecting)
      yield* outcome(Effect.fail(rateLimit("10 seconds")), { key: "a" })
      expect([yield* outcome(ok, { key: "a" }), yield* outcome(ok, { key: "b" }), yield* outcome()])
        .toEqual([
          "CoolingDown 10000",
          "ok",
          "ok"
        ])
    }))

  it.effect("G17: calls under way when it begins go on", () =>
    Effect.gen(function*() {
      const { call, outcome } = yield* open()
      const a = yield* call("a")
      yield* outcome(Effect.fail(rateLimit("10 seconds")))
      yield* a.end(ok)
      expect(yield* a.now).toBe("ok")
    }))
})

describe("rejects", () => {
  it.effect("G17: after a 429 or a 503 with Retry-After calls fail fast in mode reject, until it has passed", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      for (const failure of [rateLimit("10 seconds"), server(503, "10 seconds")]) {
        const { outcome } = yield* open(rejecting)
        seen.push(yield* outcome(Effect.fail(failure)), yield* outcome())
        yield* TestClock.adjust(9999)
        seen.push(yield* outcome())
        yield* TestClock.adjust(1)
        seen.push(yield* outcome())
      }
      expect(seen).toEqual([
        "RateLimit",
        "CoolingDown 10000",
        "CoolingDown 1",
        "ok",
        "Server",
        "CoolingDown 10000",
        "CoolingDown 1",
        "ok"
      ])
    }))

  it.effect("G17: the rejection names the key, and is a rejection without a stack", () =>
    Effect.gen(function*() {
      const { cooldown } = yield* open(rejecting)
      yield* cooldown.hold("tenant 1", "10 seconds")
      const error = yield* Effect.flip(cooldown.protect(Effect.void, { key: "tenant 1" }))
      expect([
        error._tag,
        error.key,
        error.retryAfter,
        Rejection.isRejection(error),
        error.stack?.includes(" at ")
      ])
        .toEqual(["CoolingDown", "tenant 1", Duration.seconds(10), true, false])
    }))

  it.effect("G17: a platform ResponseError of these statuses counts as well", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.get("https://api.example.com")
      const response = (status: number) =>
        new HttpClientError.ResponseError({
          request,
          response: HttpClientResponse.fromWeb(
            request,
            new Response(null, { status, headers: { "retry-after": "10" } })
          ),
          reason: "StatusCode"
        })
      const seen: Array<string> = []
      for (const status of [429, 503, 500, 404]) {
        const { numbers, outcome } = yield* open()
        yield* outcome(Effect.fail(response(status)))
        seen.push(`${status}: ${yield* numbers()}`)
      }
      expect(seen).toEqual([
        "429: Cooling, 0 waiting, 10000 wait",
        "503: Cooling, 0 waiting, 10000 wait",
        "500: Clear, 0 waiting, no wait",
        "404: Clear, 0 waiting, no wait"
      ])
    }))

  it.effect("G17: of failures side by side the longest wait counts", () =>
    Effect.gen(function*() {
      const { numbers, outcome } = yield* open()
      const failures = [rateLimit("2 seconds"), rateLimit("10 seconds"), rateLimit("3 seconds")]
      const cause = failures.map((failure) => Cause.fail<unknown>(failure)).reduce(Cause.parallel)
      yield* outcome(Effect.failCause(cause))
      expect(yield* numbers()).toBe("Cooling, 0 waiting, 10000 wait")
    }))

  it.effect("G17: one that would have to wait longer than maxWait is rejected at once, one that would not waits", () =>
    Effect.gen(function*() {
      const { call, outcome } = yield* open()
      yield* outcome(Effect.fail(rateLimit("61 seconds")))
      const early = yield* call("early")
      yield* TestClock.adjust("1 second")
      const late = yield* call("late")
      expect([yield* early.now, yield* late.now]).toEqual(["CoolingDown 61000", "under way"])
    }))

  it.effect("G17: those in line who cannot wait for the end of a longer cooldown are rejected when it is made longer", () =>
    Effect.gen(function*() {
      const { call, cooldown } = yield* cooling({ maxWait: "20 seconds" })
      const a = yield* call("a")
      yield* TestClock.adjust("5 seconds")
      const b = yield* call("b")
      yield* cooldown.hold("default", "17 seconds")
      yield* settle
      expect([yield* a.now, yield* b.now]).toEqual(["CoolingDown 17000", "under way"])
    }))

  it.effect("G17: a trial that does not end keeps nobody waiting for longer than maxWait", () =>
    Effect.gen(function*() {
      const { call } = yield* cooling({ maxWait: "20 seconds", trialTimeout: "1 hour" })
      const trial = yield* call("trial")
      const b = yield* call("b")
      yield* TestClock.adjust("19999 millis")
      const before = yield* b.now
      yield* TestClock.adjust(1)
      expect([yield* trial.now, before, yield* b.now]).toEqual([
        "under way",
        "under way",
        "CoolingDown 3590000"
      ])
    }))

  it.effect("G17: nonsense options are refused, naming field and value; so is a hold that is none", () =>
    Effect.gen(function*() {
      const { cooldown } = yield* open()
      for (const [bad, value] of badDurations) {
        for (const field of ["maxWait", "cap", "trialTimeout"] as const) {
          const message = yield* refusalOf(Cooldown.make({ [field]: bad }))
          expect([message.startsWith(`${field} `), message.includes(value)]).toEqual([true, true])
        }
        const message = yield* refusalOf(cooldown.hold("a", bad))
        expect([message.startsWith("duration "), message.includes(value)]).toEqual([true, true])
      }
      expect([
        yield* refusalOf(Cooldown.make({ cap: 0 })),
        yield* refusalOf(cooldown.hold("a", Duration.infinity))
      ])
        .toEqual([
          "cap should be a duration longer than zero, got 0",
          "duration should be a finite duration, got Duration(Infinity)"
        ])
    }))
})

describe("recovers", () => {
  it.effect("G17: calls wait until it has passed; one goes first, alone, and the others follow in order", () =>
    Effect.gen(function*() {
      const { call, log, numbers } = yield* cooling()
      const a = yield* call("a")
      yield* call("b")
      yield* call("c")
      const seen = [yield* numbers()]
      yield* TestClock.adjust("10 seconds")
      seen.push(yield* numbers())
      yield* TestClock.adjust("1 second")
      yield* call("d")
      yield* a.end(ok)
      seen.push(yield* numbers())
      expect([seen, log]).toEqual([
        [
          "Cooling, 3 waiting, 10000 wait",
          "Trial, 2 waiting, 30000 wait",
          "Clear, 0 waiting, no wait"
        ],
        ["a at 10000", "b at 11000", "c at 11000", "d at 11000"]
      ])
    }))

  it.effect("G17: a trial that is told to wait again makes everybody wait on", () =>
    Effect.gen(function*() {
      const { call, log } = yield* cooling()
      const a = yield* call("a")
      const b = yield* call("b")
      yield* TestClock.adjust("10 seconds")
      yield* a.end(Effect.fail(rateLimit("5 seconds")))
      yield* TestClock.adjust("5 seconds")
      yield* b.end(ok)
      yield* call("c")
      expect([yield* a.now, yield* b.now, log]).toEqual(["RateLimit", "ok", [
        "a at 10000",
        "b at 15000",
        "c at 15000"
      ]])
    }))

  it.effect("G17: a trial that fails in another way lets the others follow", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      for (
        const failure of [Effect.fail(server(500)), Effect.fail(rateLimit()), Effect.die("defect")]
      ) {
        const { call, numbers } = yield* cooling()
        const a = yield* call("a")
        yield* call("b")
        yield* TestClock.adjust("10 seconds")
        yield* a.end(failure)
        seen.push(yield* numbers())
      }
      expect(new Set(seen)).toEqual(new Set(["Clear, 0 waiting, no wait"]))
    }))

  it.effect("G17: a trial that never got through to the server, or is told to come at once, leaves it to the next", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const failure of [rejection(), rateLimit(0)]) {
        const { call, log, numbers } = yield* cooling()
        const before = yield* Clock.currentTimeMillis
        const a = yield* call("a")
        yield* call("b")
        yield* call("c")
        yield* TestClock.adjust("10 seconds")
        yield* a.end(Effect.fail(failure))
        seen.push([log, yield* numbers()])
        expect(seen.at(-1)).toEqual([
          [`a at ${before + 10_000}`, `b at ${before + 10_000}`],
          "Trial, 1 waiting, 30000 wait"
        ])
      }
    }))

  it.effect("G17: without anybody waiting the next to come is the trial, and those after it wait", () =>
    Effect.gen(function*() {
      const { call, log, numbers, outcome } = yield* cooling()
      yield* TestClock.adjust("15 seconds")
      const seen = [yield* numbers()]
      const a = yield* call("a")
      yield* call("b")
      seen.push(yield* numbers())
      yield* a.end(ok)
      seen.push(yield* outcome())
      expect([seen, log]).toEqual([
        ["Trial, 0 waiting, no wait", "Trial, 1 waiting, 30000 wait", "ok"],
        ["a at 15000", "b at 15000"]
      ])
    }))

  it.effect("G17: who comes in the moment in which the time is over does not go before those who waited", () =>
    Effect.gen(function*() {
      const { call, cooldown, log } = yield* cooling()
      const a = yield* call("a")
      const note = Effect.map(Clock.currentTimeMillis, (now) => log.push(`newcomer at ${now}`))
      // Of two timers for the same moment the one that was set last fires first.
      const newcomer = yield* Effect.fork(
        Effect.zipRight(Effect.sleep("10 seconds"), cooldown.protect(note))
      )
      yield* TestClock.adjust("11 seconds")
      yield* a.end(ok)
      yield* Fiber.join(newcomer)
      expect(log).toEqual(["a at 10000", "newcomer at 11000"])
    }))

  it.effect("G17: nor who comes in the moment in which the trial ends", () =>
    Effect.gen(function*() {
      const { cooldown } = yield* cooling()
      const order: Array<string> = []
      const note = (name: string) => cooldown.protect(Effect.sync(() => order.push(name)))
      const trial = yield* Effect.fork(cooldown.protect(Effect.sleep("11 seconds")))
      yield* settle
      const waiting = yield* Effect.fork(note("waited"))
      const newcomer = yield* Effect.fork(Effect.zipRight(Fiber.join(trial), note("newcomer")))
      yield* TestClock.adjust("21 seconds")
      yield* Effect.zipRight(Fiber.join(waiting), Fiber.join(newcomer))
      expect(order).toEqual(["waited", "newcomer"])
    }))

  it.effect("G17: in mode reject there is one trial as well, and the others are told when it is over at the latest", () =>
    Effect.gen(function*() {
      const { call, outcome } = yield* cooling(rejecting)
      yield* TestClock.adjust("10 seconds")
      const a = yield* call("a")
      const during = yield* outcome()
      yield* a.end(ok)
      expect([during, yield* outcome()]).toEqual(["CoolingDown 30000", "ok"])
    }))

  it.effect("G17: a shorter Retry-After does not shorten it, a longer one makes it longer", () =>
    Effect.gen(function*() {
      const { call, numbers } = yield* open()
      const [a, b, c] = [yield* call("a"), yield* call("b"), yield* call("c")]
      const seen: Array<string> = []
      yield* a.end(Effect.fail(rateLimit("10 seconds")))
      seen.push(yield* numbers())
      yield* b.end(Effect.fail(rateLimit("2 seconds")))
      seen.push(yield* numbers())
      yield* c.end(Effect.fail(rateLimit("20 seconds")))
      seen.push(yield* numbers())
      expect(seen).toEqual([
        "Cooling, 0 waiting, 10000 wait",
        "Cooling, 0 waiting, 10000 wait",
        "Cooling, 0 waiting, 20000 wait"
      ])
    }))

  it.effect("G17: no server gets more than the cap; a hand gets what it says", () =>
    Effect.gen(function*() {
      const { cooldown, numbers, outcome } = yield* open()
      yield* outcome(Effect.fail(rateLimit("1 day")))
      const asked = yield* numbers()
      yield* cooldown.hold("default", "1 hour")
      expect([asked, yield* numbers()]).toEqual([
        "Cooling, 0 waiting, 300000 wait",
        "Cooling, 0 waiting, 3600000 wait"
      ])
    }))

  it.effect("G17: a trial that does not end loses its place, and what it says later clears nothing", () =>
    Effect.gen(function*() {
      const { call, log, numbers } = yield* cooling()
      const a = yield* call("a")
      const b = yield* call("b")
      yield* call("c")
      yield* TestClock.adjust("40 seconds")
      yield* a.end(ok)
      const seen = yield* numbers()
      yield* b.end(ok)
      expect([seen, log, yield* numbers()]).toEqual([
        "Trial, 1 waiting, 30000 wait",
        ["a at 10000", "b at 40000", "c at 40000"],
        "Clear, 0 waiting, no wait"
      ])
    }))

  it("G17: a key that is clear is no key; one that nobody calls any more is forgotten while others are used", () => {
    const clock = Effect.runSync(Effect.clock)
    const cooldowns = new Cooldowns({ capMillis: 1000, trialMillis: 1000 }, 0)
    const tell = (key: string, now: number) =>
      cooldowns.ended(key, undefined, { waitMillis: 1000 }, clock, now)
    for (let i = 0; i < 100; i++) tell(`key ${i}`, 0)
    cooldowns.ended("clear", undefined, "serves", clock, 0)
    const before = cooldowns.cells.size
    const anHourLater = 3_601_000
    tell("fresh", anHourLater)
    for (let i = 0; i < 102; i++) cooldowns.cell("fresh", clock, anHourLater)
    expect([before, [...cooldowns.cells.values()].map(({ key }) => key)]).toEqual([100, ["fresh"]])
  })
})

describe("interruption releases", () => {
  it.effect("G17: a trial that is interrupted leaves it to the next in line", () =>
    Effect.gen(function*() {
      const { call, log, numbers } = yield* cooling()
      const a = yield* call("a")
      yield* call("b")
      yield* call("c")
      yield* TestClock.adjust("11 seconds")
      yield* a.interrupt
      expect([yield* a.now, log, yield* numbers()]).toEqual([
        "interrupted",
        ["a at 10000", "b at 11000"],
        "Trial, 1 waiting, 30000 wait"
      ])
    }))

  it.effect("G17: one that is interrupted while it waits leaves at once, and the next in line is the trial", () =>
    Effect.gen(function*() {
      const { call, log, numbers } = yield* cooling()
      const a = yield* call("a")
      yield* call("b")
      yield* a.interrupt
      const left = [yield* a.now, yield* numbers()]
      yield* TestClock.adjust("10 seconds")
      expect([left, log]).toEqual([["interrupted", "Cooling, 1 waiting, 10000 wait"], [
        "b at 10000"
      ]])
    }))

  it.effect("G17: interruption says nothing about a server, neither of a trial nor of another call", () =>
    Effect.gen(function*() {
      const { call, numbers } = yield* cooling()
      const a = yield* call("a")
      yield* TestClock.adjust("10 seconds")
      yield* a.interrupt
      expect(yield* numbers()).toBe("Trial, 0 waiting, no wait")
    }))

  it.effect("G17: what a call was told counts, also when it is interrupted while it cleans up", () =>
    Effect.gen(function*() {
      const { cooldown, numbers } = yield* open()
      const cleaning = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(cooldown.protect(
        Effect.ensuring(
          Effect.fail(rateLimit("10 seconds")),
          Effect.zipRight(Deferred.succeed(cleaning, undefined), Deferred.await(gate))
        )
      ))
      yield* Deferred.await(cleaning)
      yield* Fiber.interruptFork(fiber)
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.await(fiber)
      expect(yield* numbers()).toBe("Cooling, 0 waiting, 10000 wait")
    }))
})

describe("concurrent callers", () => {
  it.effect("G17: who is first in line goes first, also when the last moment of the others is the same", () =>
    Effect.gen(function*() {
      // The clock may wake them in any order.
      const { call, log } = yield* open({ maxWait: 150, trialTimeout: 250 })
      const told = yield* call("told")
      yield* told.end(Effect.fail(rateLimit(200)))
      yield* TestClock.adjust(50)
      const calls = yield* Effect.forEach(["a", "b", "c", "d"], (name) => call(name))
      yield* TestClock.adjust(150)
      yield* settle
      const outcomes = yield* Effect.forEach(calls, ({ now }) => now)
      expect([log.slice(1), outcomes]).toEqual([
        ["a at 200"],
        ["under way", "CoolingDown 250", "CoolingDown 250", "CoolingDown 250"]
      ])
    }))

  type Command =
    | { readonly do: "call" }
    | {
      readonly do: "end"
      readonly which: number
      readonly how: "ok" | "fails" | "told" | "told long" | "rejected"
    }
    | { readonly do: "interrupt"; readonly which: number }
    | { readonly do: "advance"; readonly millis: number }

  const which = fc.nat({ max: 9 })
  const random: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constant<Command>({ do: "call" }) },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant("end" as const),
          which,
          how: fc.constantFrom(
            "ok" as const,
            "ok" as const,
            "fails" as const,
            "told" as const,
            "told long" as const,
            "rejected" as const
          )
        })
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("interrupt" as const), which }) },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant("advance" as const),
          millis: fc.constantFrom(1, 50, 100, 250)
        })
      }
    ),
    { minLength: 1, maxLength: 25 }
  )

  /** Most of what there is to see begins with a call that is told to wait. */
  const told: ReadonlyArray<Command> = [{ do: "call" }, { do: "end", which: 0, how: "told" }]
  const trial: ReadonlyArray<Command> = [...told, { do: "call" }, { do: "call" }, {
    do: "advance",
    millis: 100
  }]
  const commands = fc.tuple(fc.constantFrom([], told, trial), random).map((parts) => parts.flat())

  const waits = { told: 100, "told long": 200 }
  const endings = {
    ok,
    fails: Effect.fail(server(500)),
    told: Effect.fail(rateLimit(waits.told)),
    "told long": Effect.fail(rateLimit(waits["told long"])),
    rejected: Effect.fail(rejection())
  }
  const maxWait = 150
  const trialTimeout = 250

  /** The same in words, millisecond by millisecond. */
  class SlowCooldown {
    until: number | undefined
    trial: { readonly name: number; readonly until: number } | undefined
    line: Array<{ readonly name: number; readonly deadline: number }> = []
    running: Array<number> = []
    readonly log: Array<string> = []
    readonly said = new Map<number, string>()
    wait(now: number): number {
      return Math.max(0, (this.trial?.until ?? this.until ?? now) - now)
    }
    begin(name: number, now: number): void {
      this.running.push(name)
      this.log.push(`${name} at ${now}`)
    }
    look(now: number): void {
      for (
        let first = this.line[0];
        first !== undefined && this.wait(now) === 0;
        first = this.line[0]
      ) {
        this.line.shift()
        if (this.trial !== undefined || this.until !== undefined) {
          this.trial = { name: first.name, until: now + trialTimeout }
          this.until = undefined
        }
        this.begin(first.name, now)
      }
      this.line = this.line.filter(({ deadline, name }) => {
        const hopeless = this.until !== undefined && this.until > deadline
        if (hopeless || deadline <= now) this.said.set(name, `CoolingDown ${this.wait(now)}`)
        return !(hopeless || deadline <= now)
      })
    }
    call(name: number, now: number): void {
      this.line.push({ name, deadline: now + maxWait })
      this.look(now)
    }
    end(name: number, how: keyof typeof endings | "interrupted", now: number): void {
      this.running = this.running.filter((other) => other !== name)
      if (how === "told" || how === "told long") {
        this.until = Math.max(this.until ?? 0, now + waits[how])
        this.trial = undefined
      } else if (this.trial?.name === name) {
        this.trial = undefined
        this.until = how === "interrupted" || how === "rejected" ? now : undefined
      }
      this.look(now)
    }
    leave(name: number, now: number): void {
      this.line = this.line.filter((other) => other.name !== name)
      this.look(now)
    }
  }

  const run = (all: ReadonlyArray<Command>) =>
    Effect.gen(function*() {
      const { call, cooldown, log } = yield* open({ maxWait, trialTimeout })
      const slow = new SlowCooldown()
      const calls: Array<Effect.Effect.Success<ReturnType<typeof call>>> = []
      const seen = new Set<string>()
      let now = 0
      const ended = {
        ok: "ok",
        fails: "Server",
        told: "RateLimit",
        "told long": "RateLimit",
        rejected: "Busy"
      }
      for (const command of all) {
        if (command.do === "call") {
          slow.call(calls.length, now)
          calls.push(yield* call(String(calls.length)))
        } else if (command.do === "end") {
          const name = slow.running[command.which % Math.max(1, slow.running.length)]
          if (name === undefined) continue
          slow.said.set(name, ended[command.how])
          slow.end(name, command.how, now)
          yield* calls[name]!.end(endings[command.how])
        } else if (command.do === "interrupt") {
          const those = [...slow.running, ...slow.line.map(({ name }) => name)]
          const name = those[command.which % Math.max(1, those.length)]
          if (name === undefined) continue
          slow.said.set(name, "interrupted")
          if (slow.trial?.name === name) seen.add("interrupted trial")
          if (slow.running.includes(name)) slow.end(name, "interrupted", now)
          else slow.leave(name, now)
          yield* calls[name]!.interrupt
        } else {
          for (let i = 0; i < command.millis; i++) slow.look(++now)
          yield* TestClock.adjust(command.millis)
          yield* settle
        }
        expect(log).toEqual(slow.log)
        const snapshot = yield* cooldown.snapshot()
        expect([
          snapshot.waiting,
          Option.getOrElse(Option.map(snapshot.retryAfter, Duration.toMillis), () => 0)
        ])
          .toEqual([
            slow.line.length,
            slow.wait(now)
          ])
        const outcomes = yield* Effect.forEach(calls, ({ now }) => now)
        expect(outcomes.map((outcome) => outcome.replace(/^Busy.*/, "Busy"))).toEqual(
          calls.map((_, name) => slow.said.get(name) ?? "under way")
        )
        seen.add(snapshot.state)
        for (const outcome of outcomes) seen.add(outcome.replace(/[ :].*/, ""))
      }
      yield* Effect.forEach(calls, ({ interrupt }) => interrupt, { discard: true })
      expect((yield* cooldown.snapshot()).waiting).toBe(0)
      return seen
    })

  it(
    "G17: for any order of calls, ends, interruptions and clock moves: who waits, who goes first, who follows and who is rejected",
    { timeout: 120_000 },
    async () => {
      const seen = new Set<string>()
      await fc.assert(
        fc.asyncProperty(commands, async (commands) => {
          const kinds = await Effect.runPromise(
            Effect.provide(run(commands), TestContext.TestContext)
          )
          for (const kind of kinds) seen.add(kind)
        }),
        { numRuns: runs(300) }
      )
      for (
        const kind of ["Clear", "Cooling", "Trial", "CoolingDown", "RateLimit", "interrupted trial"]
      ) {
        expect([kind, seen.has(kind)]).toEqual([kind, true])
      }
    }
  )

  it.effect("G17: of a thousand callers that wait one goes first, and then all of them in order", () =>
    Effect.gen(function*() {
      const { cooldown } = yield* cooling()
      const order: Array<number> = []
      const first = yield* Deferred.make<void>()
      const fibers = yield* Effect.forEach(
        Array.from({ length: 1000 }, (_, i) => i),
        (i) =>
          Effect.fork(cooldown.protect(
            Effect.zipRight(
              Effect.sync(() => order.push(i)),
              i === 0 ? Deferred.await(first) : Effect.void
            )
          ))
      )
      yield* TestClock.adjust("10 seconds")
      const during = order.length
      yield* Deferred.succeed(first, undefined)
      yield* Effect.forEach(fibers, Fiber.join, { discard: true })
      expect([during, order]).toEqual([1, Array.from({ length: 1000 }, (_, i) => i)])
    }))
})

describe("Tag", () => {
  class Mailer extends Cooldown.Tag("Mailer")<Mailer>() {}
  class Geocoder extends Cooldown.Tag("Geocoder")<Geocoder>() {}

  it.effect("the layer gives one cooldown, and two tags share nothing", () =>
    Effect.gen(function*() {
      yield* (yield* Mailer).hold("default", "10 seconds")
      const outcome = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.exit(self), wordOf)
      const outcomes = yield* Effect.all([
        outcome(Mailer.protect(Effect.succeed("sent"))),
        outcome(Effect.succeed("sent").pipe(Mailer.protect({ key: "other" }))),
        outcome(Effect.succeed("found").pipe(Geocoder.protect()))
      ])
      expect(outcomes).toEqual(["CoolingDown 10000", "sent", "found"])
    }).pipe(Effect.provide([Mailer.layer({ mode: "reject" }), Geocoder.layer()])))
})
