import { describe, expect, it } from "@effect/vitest"
import {
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Option,
  Scope,
  Stream
} from "effect"
import { TestClock, TestContext } from "effect"
import { type ApiError, CircuitBreaker } from "effect-resilience"
import { rateLimit, server } from "../support/errors.js"
import { runs } from "../support/runs.js"
import { yields } from "../support/turns.js"

type Breaker = CircuitBreaker.CircuitBreaker

const openMillis = 10_000
const slowMillis = 3000
const trialTimeout = 12_000
const hintMillis = 7000

type Command =
  | { readonly do: "start" }
  | {
    readonly do: "end"
    readonly which: number
    readonly how: "succeed" | "fail" | "ignore" | "ignore for a while"
  }
  | { readonly do: "interrupt"; readonly which: number }
  | { readonly do: "advance"; readonly millis: number }
  | { readonly do: "forceOpen" | "forceClosed" | "disable" | "reset" | "isolate" | "release" }

const forAWhile = "ignore for a while" as const
const which = fc.nat({ max: 7 })
const start = fc.constant<Command>({ do: "start" })
const end = fc.record({
  do: fc.constant("end" as const),
  which,
  how: fc.constantFrom(
    "succeed" as const,
    "succeed" as const,
    "fail" as const,
    "ignore" as const,
    forAWhile,
    forAWhile
  )
})
const advance = fc.record({
  do: fc.constant("advance" as const),
  millis: fc.constantFrom(
    1,
    slowMillis,
    slowMillis + 1,
    hintMillis - 1,
    hintMillis,
    openMillis,
    trialTimeout - 1,
    trialTimeout
  )
})
const operator = fc.constantFrom(
  "forceOpen",
  "forceClosed",
  "disable",
  "reset",
  "isolate",
  "release"
).map(
  (name) => ({ do: name }) as Command
)
const interrupt = fc.record({ do: fc.constant("interrupt" as const), which })

/** Opens any of the circuits below from Closed, and lets the open time pass. */
const toHalfOpen: ReadonlyArray<Command> = [
  ...Array.from(
    { length: 4 },
    () => [{ do: "start" }, { do: "end", which: 0, how: "fail" }] as const
  ).flat(),
  { do: "advance", millis: openMillis }
]

const script = fc.record({
  prelude: fc.constantFrom<ReadonlyArray<Command>>([], toHalfOpen, toHalfOpen),
  commands: fc.boolean().chain((operated) =>
    fc.array(
      fc.oneof(
        { arbitrary: start, weight: 10 },
        { arbitrary: end, weight: 8 },
        { arbitrary: interrupt, weight: 3 },
        { arbitrary: advance, weight: 5 },
        { arbitrary: operated ? operator : start, weight: operated ? 3 : 0 }
      ),
      { minLength: 1, maxLength: 30 }
    )
  )
}).map(({ commands, prelude }) => [...prelude, ...commands])

const options = fc.record({
  trials: fc.constantFrom(1, 2, 3),
  byRate: fc.boolean(),
  size: fc.constantFrom(1, 2, 4),
  slowCall: fc.boolean()
}).map(({ byRate, size, slowCall, trials }) => ({
  trials,
  options: {
    window: CircuitBreaker.count(size),
    minimumCalls: size,
    failureRate: 0.5,
    slowCall: slowCall ? { duration: slowMillis, rate: 0.5 } : false as const,
    openDuration: openMillis,
    trialTimeout,
    halfOpen: byRate
      ? CircuitBreaker.rate({ trials, threshold: 0.5 })
      : CircuitBreaker.consecutive(trials),
    idleTimeToLive: 1e9
  }
}))

/** One call, as seen from outside. */
interface Call {
  readonly gate: Deferred.Deferred<string, ApiError.ApiError>
  readonly fiber: Fiber.RuntimeFiber<string, ApiError.ApiError | CircuitBreaker.CircuitOpen>
  readonly startedAt: number
  /** Which stay in HalfOpen admitted it as a trial, if one did. */
  readonly trialOf: number | undefined
  ended: { readonly how: string; readonly at: number } | undefined
}

const errors = {
  fail: server(),
  ignore: rateLimit(),
  "ignore for a while": rateLimit(Duration.millis(hintMillis))
}

const legalAlone = new Set([
  "Closed > Open",
  "Open > HalfOpen",
  "HalfOpen > Open",
  "HalfOpen > Closed"
])

const targets: Partial<Record<Command["do"], string>> = {
  forceOpen: "ForcedOpen",
  forceClosed: "ForcedClosed",
  disable: "Disabled",
  reset: "Closed",
  isolate: "Isolated"
}

/**
 * Whether a transition may be the work of a command. A HalfOpen that was due may come to light with
 * any of them.
 */
const legal = (command: Command["do"], from: string, to: string): boolean => {
  if (from === to) return false
  if (legalAlone.has(`${from} > ${to}`)) {
    return ["start", "end", "interrupt", "advance"].includes(command) || to === "HalfOpen" ||
      targets[command] === to
  }
  return command === "release" ? from === "Isolated" : targets[command] === to
}

const states = new Set([
  "Closed",
  "Open",
  "HalfOpen",
  "Isolated",
  "ForcedOpen",
  "ForcedClosed",
  "Disabled"
])

const settle = yields(10)

const run = (breaker: Breaker, trials: number, commands: ReadonlyArray<Command>) =>
  Effect.gen(function*() {
    const everyCall: Array<Call> = []
    const handles: Array<Scope.CloseableScope> = []
    const transitions: Array<CircuitBreaker.Transition> = []
    const counts = {
      started: 0,
      ran: 0,
      rejected: 0,
      succeeded: 0,
      failed: 0,
      ignored: 0,
      interrupted: 0
    }
    const visited = new Set<string>()
    let stays = 0
    let told = 0
    let state: string = "Closed"

    yield* Effect.fork(Stream.runForEach(breaker.transitions, (transition) =>
      Effect.sync(() => {
        transitions.push(transition)
      })))
    yield* settle

    const running = () => everyCall.filter(({ ended }) => ended === undefined)

    const gone = (
      call: Call,
      how: "succeeded" | "failed" | "ignored" | "interrupted",
      told: string,
      now: number
    ) => {
      counts[how]++
      call.ended = { how: told, at: now }
    }

    /** The slots of this stay in HalfOpen that are surely taken. */
    const held = (now: number) =>
      everyCall.filter(({ ended, startedAt, trialOf }) => {
        if (trialOf !== stays) return false
        if (ended === undefined) return now - startedAt < trialTimeout
        if (ended.at - startedAt >= trialTimeout) return false
        return ended.how === "succeed" || ended.how === "fail" ||
          (ended.how === "ignore for a while" && now - ended.at < hintMillis)
      }).length

    /** Whether anything at all could still have a slot, of whatever stay. */
    const idle = (now: number) =>
      everyCall.every(({ ended, startedAt, trialOf }) =>
        trialOf === undefined ||
        (ended === undefined ?
          now - startedAt >= trialTimeout :
          trialOf !== stays || ended.how === "ignore" ||
          ended.how === "interrupt" ||
          (ended.how === "ignore for a while" && now - ended.at >= hintMillis))
      )

    for (const command of commands) {
      const before = yield* breaker.state()
      expect(before).toBe(state)
      const now = yield* Clock.currentTimeMillis
      switch (command.do) {
        case "start": {
          const gate = yield* Deferred.make<string, ApiError.ApiError>()
          const ranBefore = counts.ran
          const mustAdmit = before === "HalfOpen" && idle(now)
          const heldBefore = before === "HalfOpen" ? held(now) : 0
          counts.started++
          const fiber = yield* Effect.fork(
            breaker.protect(Effect.zipRight(Effect.sync(() => counts.ran++), Deferred.await(gate)))
          )
          yield* settle
          const exit = fiber.unsafePoll()
          if (exit === null) {
            expect(["Closed", "HalfOpen", "ForcedClosed", "Disabled"]).toContain(before)
            if (before === "HalfOpen") expect(heldBefore).toBeLessThan(trials)
            expect(counts.ran).toBe(ranBefore + 1)
            const trialOf = before === "HalfOpen" ? stays : undefined
            everyCall.push({ gate, fiber, startedAt: now, trialOf, ended: undefined })
          } else {
            counts.rejected++
            const error = Effect.runSync(Effect.flip(Effect.flatten(Effect.succeed(exit))))
            expect(error).toBeInstanceOf(CircuitBreaker.CircuitOpen)
            expect(counts.ran).toBe(ranBefore)
            expect(["Open", "HalfOpen", "Isolated", "ForcedOpen"]).toContain(before)
            expect(mustAdmit).toBe(false)
            const left = Duration.toMillis((error as CircuitBreaker.CircuitOpen).retryAfter)
            if (before === "Open") expect(left > 0 && left <= openMillis).toBe(true)
            if (before === "Isolated" || before === "ForcedOpen") expect(left).toBe(Infinity)
          }
          break
        }
        case "end": {
          const live = running()
          const call = live[command.which % Math.max(1, live.length)]
          if (call === undefined) break
          yield* command.how === "succeed"
            ? Deferred.succeed(call.gate, "ok")
            : Deferred.fail(call.gate, errors[command.how])
          const exit = yield* Fiber.await(call.fiber)
          expect(Exit.isSuccess(exit)).toBe(command.how === "succeed")
          const how = command.how === "succeed"
            ? "succeeded"
            : command.how === "fail"
            ? "failed"
            : "ignored"
          gone(call, how, command.how, now)
          break
        }
        case "interrupt": {
          const live = running()
          const call = live[command.which % Math.max(1, live.length)]
          if (call === undefined) break
          expect(Exit.isInterrupted(yield* Fiber.interrupt(call.fiber))).toBe(true)
          gone(call, "interrupted", "interrupt", now)
          break
        }
        case "advance":
          yield* TestClock.adjust(command.millis)
          break
        case "isolate": {
          const scope = yield* Scope.make()
          yield* Scope.extend(breaker.isolate(), scope)
          handles.push(scope)
          break
        }
        case "release": {
          const scope = handles.pop()
          if (scope !== undefined) yield* Scope.close(scope, Exit.void)
          break
        }
        default:
          yield* breaker[command.do]()
      }
      const after = yield* breaker.state()
      const snapshot = yield* breaker.snapshot()
      yield* settle
      for (const { from, to } of transitions.slice(told)) {
        expect(from).toBe(state)
        expect([command.do, from, to, legal(command.do, from, to)]).toEqual([
          command.do,
          from,
          to,
          true
        ])
        state = to
        if (to === "HalfOpen") stays++
      }
      told = transitions.length
      visited.add(after)
      expect(states).toContain(after)
      expect([after, snapshot.state]).toEqual([state, state])
      expect(handles.length > 0).toBe(after === "Isolated")
      expect(snapshot.inFlight).toBe(running().length)
      expect(snapshot.rejected).toBe(counts.rejected)
      expect(counts.ran).toBe(counts.started - counts.rejected)
      expect(counts.ran).toBe(
        counts.succeeded + counts.failed + counts.ignored + counts.interrupted + snapshot.inFlight
      )
      if (after === "Open") expect(Option.isSome(snapshot.retryAfter)).toBe(true)
      if (after === "HalfOpen") {
        expect(held(yield* Clock.currentTimeMillis)).toBeLessThanOrEqual(trials)
      }
    }
    yield* Effect.forEach(running(), ({ fiber }) => Fiber.interrupt(fiber), { discard: true })
    expect((yield* breaker.snapshot()).inFlight).toBe(0)
    return visited
  })

describe("any order of events", () => {
  it(
    "B14, B7, B15: nothing is lost, nothing runs twice, and a half-open circuit never tries more than it may",
    { timeout: 120_000 },
    async () => {
      const visited = new Set<string>()
      await fc.assert(
        fc.asyncProperty(options, script, async ({ options, trials }, commands) => {
          const program = Effect.flatMap(
            CircuitBreaker.make(options),
            (breaker) => run(breaker, trials, commands)
          )
          const seen = await Effect.runPromise(Effect.provide(program, TestContext.TestContext))
          for (const state of seen) visited.add(state)
        }),
        { numRuns: runs(500) }
      )
      expect([...visited].sort()).toEqual([...states].sort())
    }
  )

  it.effect("B14, B7: thousands of callers of many keys at once", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(10),
        minimumCalls: 10,
        openDuration: openMillis
      })
      const keys = ["a", "b", "c", "d"]
      const ran: Record<string, number> = {}
      const call = (key: string, i: number) =>
        Effect.exit(breaker.protect(
          Effect.suspend(() => {
            ran[key] = (ran[key] ?? 0) + 1
            return Effect.zipRight(
              Effect.yieldNow(),
              i % 3 === 0 ? Effect.succeed("ok") : Effect.fail(errors.fail)
            )
          }),
          { key }
        ))
      const rejections: Record<string, number> = {}
      const round = Effect.forEach(
        keys.flatMap((key) => Array.from({ length: 300 }, (_, i) => [key, i] as const)),
        ([key, i]) =>
          Effect.map(call(key, i), (exit) => {
            if (
              Exit.isFailure(exit) && exit.cause._tag === "Fail" &&
              exit.cause.error._tag === "CircuitOpen"
            ) {
              rejections[key] = (rejections[key] ?? 0) + 1
            }
          }),
        { concurrency: 50, discard: true }
      )
      for (const _ of [1, 2, 3]) {
        yield* round
        yield* TestClock.adjust(openMillis)
      }
      const ends = yield* Effect.forEach(keys, (key) => breaker.snapshot(key))
      expect(
        ends.map(({ inFlight, key, rejected }) => [key, inFlight, rejected === rejections[key]])
      ).toEqual(
        keys.map((key) => [key, 0, true])
      )
      expect(keys.map((key) => (ran[key] ?? 0) + (rejections[key] ?? 0))).toEqual(
        keys.map(() => 900)
      )
    }))
})
