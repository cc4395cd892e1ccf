import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, FastCheck, Fiber } from "effect"
import { Backoff, CircuitBreaker } from "effect-resilience"
import * as Laws from "effect-resilience/testing/Laws"
import * as Circuit from "../../../src/core/circuit.js"
import type { CountWindow } from "../../../src/core/countWindow.js"
import { policyOf } from "../../../src/policies/circuitBreaker/options.js"
import { broken, checked } from "../../../src/testing/breaker/law.js"
import type { Command, Ending, Subject, Time } from "../../../src/testing/breaker/model.js"
import { type Machine, ofMachine, ofService } from "../../../src/testing/breaker/subjects.js"
import { turn } from "../../support/turns.js"

// The same cases in every run: what is tested here is whether planted faults are found, and how
// they are told.
FastCheck.configureGlobal({ seed: 20_261_121 })

const verdict = (law: Effect.Effect<void, Error>) =>
  Effect.match(law, { onSuccess: () => "kept", onFailure: (error) => error.message })

const touchy: CircuitBreaker.Options = {
  window: CircuitBreaker.count(2),
  minimumCalls: 2,
  openDuration: "1 second",
  halfOpen: CircuitBreaker.consecutive(2)
}
const policy = policyOf(touchy)

/** What the law says of a machine in which something is planted. */
const withMachine = (planted: Partial<Machine>, runs = 300) =>
  verdict(checked(policy, ofMachine({ ...Circuit, ...planted })(policy), runs))

/** What the law says of a subject in which something is planted. */
const withSubject = (plant: (subject: Subject, time: Time) => Partial<Subject>) =>
  verdict(checked(policy, (time) => {
    const subject = ofMachine(Circuit)(policy)(time)
    return { ...subject, ...plant(subject, time) }
  }, 300))

const success: Ending = { _tag: "Success", unit: 0 }
const failure: Ending = { _tag: "Failure", unit: 0 }
const interrupted: Ending = { _tag: "Interrupted", unit: 0 }
const start: Command = { _tag: "Start" }
const finish = (ending: Ending, pick = 0): Command => ({
  _tag: "Finish",
  pick,
  isSlow: false,
  ending
})
const burst = (calls: number, ending: Ending): Command => ({
  _tag: "Burst",
  calls,
  isSlow: false,
  ending
})
const operate = (operation: Extract<Command, { _tag: "Operate" }>["operation"]): Command => ({
  _tag: "Operate",
  operation
})

describe("sound breakers", () => {
  const sound: ReadonlyArray<readonly [name: string, options: CircuitBreaker.Options]> = [
    ["the defaults", {}],
    ["a touchy one", touchy],
    [
      "a time window, trials by rate",
      {
        window: CircuitBreaker.time("1 minute"),
        minimumCalls: 5,
        failureRate: 0.2,
        halfOpen: CircuitBreaker.rate({ trials: 4, threshold: 0.5 }),
        trialTimeout: "2 seconds"
      }
    ],
    [
      "an opening that grows with jitter",
      {
        window: CircuitBreaker.count(4),
        openDuration: Backoff.exponential({ base: "1 second", cap: "1 minute" }),
        maxOpenDuration: "20 seconds"
      }
    ],
    ["slowness that does not count", { ...touchy, slowCall: false }],
    ["slowness that is never reached", {
      ...touchy,
      slowCall: { duration: Duration.infinity, rate: 1 }
    }],
    ["times of fractions", {
      ...touchy,
      window: CircuitBreaker.time("10 millis", { buckets: 3 }),
      openDuration: "700 micros",
      trialTimeout: "1300 micros",
      slowCall: { duration: "100 micros", rate: 0.5 }
    }],
    ["a classify of its own, which the law leaves out", {
      ...touchy,
      classify: () => CircuitBreaker.ignored
    }]
  ]

  it.effect.each(sound)("B1-B14: %s", ([, options]) =>
    Effect.gen(function*() {
      expect(yield* verdict(Laws.breaker(options))).toBe("kept")
    }))

  it.effect("a window that is too large to be filled", () =>
    Effect.gen(function*() {
      const options = { window: CircuitBreaker.count(100_000), minimumCalls: 50_000 }
      expect(yield* verdict(Laws.breaker(options, { runs: 3 }))).toBe("kept")
    }))

  it.effect("the machine by itself keeps it too", () =>
    Effect.gen(function*() {
      expect(yield* withMachine({})).toBe("kept")
    }))
})

describe("planted faults", () => {
  it.effect("B8: a trial slot that leaks on interruption", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        record: (policy, state, token, result, now) =>
          result._tag === "Ignored" && result.retryAfterMillis === undefined &&
            state.phase._tag === "HalfOpen"
            ? state
            : Circuit.record(policy, state, token, result, now)
      })
      expect(message).toMatch(/^Laws\.breaker: After .*(interrupted|ignored).*: it /)
    }))

  it.effect("B3: interruptions that count as failures", () =>
    Effect.gen(function*() {
      const message = yield* withSubject((subject) => ({
        end: (call, ending) => subject.end(call, ending._tag === "Interrupted" ? failure : ending)
      }))
      expect(message).toMatch(
        /^Laws\.breaker: After [^:]*interrupted: it /
      )
    }))

  it.effect("B9: a circuit that a late failure reopens", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        record: (policy, state, token, result, now) =>
          result._tag === "Failure" && token.generation < state.generation &&
            state.phase._tag === "HalfOpen" &&
            state.order === undefined && state.isolations === 0
            ? {
              ...state,
              phase: { _tag: "Open", untilMillis: now + 1000 },
              generation: state.generation + 1
            }
            : Circuit.record(policy, state, token, result, now)
      })
      expect(message).toMatch(/fails?[^:]*: it is Open, and should be HalfOpen$/)
    }))

  it.effect("B9: a circuit that a late success closes", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        record: (policy, state, token, result, now) =>
          result._tag === "Success" && token.generation < state.generation &&
            state.phase._tag === "Open" &&
            state.order === undefined && state.isolations === 0
            ? Circuit.reset(state, now)
            : Circuit.record(policy, state, token, result, now)
      })
      expect(message).toMatch(/succeeds?: it goes from Open to Closed, which no breaker does then$/)
    }))

  it.effect("B2: a window that does not forget the failure that leaves it", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        record: (policy, state, token, result, now) => {
          const window = state.window as CountWindow
          const evicts = window.calls === window.ring.length &&
            (window.ring[window.next] ?? 0) % 2 === 1
          const next = Circuit.record(policy, state, token, result, now)
          if (evicts && next === state && window.calls > 0 && result._tag !== "Ignored") {
            window.failures++
          }
          return next
        }
      })
      expect(message).toMatch(/: it has \d+ failures in its window, and should have \d+$/)
    }))

  it.effect("B5: an opening that is a millisecond too long", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        record: (policy, state, token, result, now) => {
          const next = Circuit.record(policy, state, token, result, now)
          return next.phase._tag === "Open" && next !== state && next.generation > state.generation
            ? { ...next, phase: { _tag: "Open", untilMillis: next.phase.untilMillis + 1 } }
            : next
        }
      })
      expect(message).toMatch(
        /: it rejects calls for 1001 ms, and should be one that rejects calls for 1000 ms$/
      )
    }))

  it.effect("B6: an opening that ends a moment too late", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        settle: (state, now) =>
          state.phase._tag === "Open" && state.phase.untilMillis === now
            ? [now, state]
            : Circuit.settle(state, now)
      })
      expect(message).toMatch(/ms pass[^:]*: it is Open, and should be HalfOpen$/)
    }))

  it.effect("B7: one trial too many", () =>
    Effect.gen(function*() {
      const more = { ...policy, halfOpen: { ...policy.halfOpen, trials: 3 } }
      const message = yield* withMachine({
        admit: (_, state, now) => Circuit.admit(more, state, now)
      })
      expect(message).toMatch(/: it admits calls, and should be one that rejects calls for \d+ ms$/)
    }))

  it.effect("B1: a call that took exactly as long as it may counts as slow", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        record: (policy, state, token, result, now) =>
          Circuit.record(policy, state, token, {
            ...result,
            durationMillis: result.durationMillis + 1e-6
          }, now)
      }, 3000)
      expect(message).toMatch(/: it (has 1 slow calls in its window, and should have 0|is|goes) ?/)
    }))

  it.effect("B8: a late outcome that counts when nobody else has the slot", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        record: (policy, state, token, result, now) => {
          const { phase } = state
          if (phase._tag !== "HalfOpen") return Circuit.record(policy, state, token, result, now)
          const slots = phase.trials.slots.map((slot) =>
            slot.trial === token.trial ? { ...slot, untilMillis: Infinity } : slot
          )
          const trials = { ...phase.trials, slots }
          return Circuit.record(
            policy,
            { ...state, phase: { _tag: "HalfOpen", trials } },
            token,
            result,
            now
          )
        }
      })
      expect(message).toMatch(/^Laws\.breaker: After /)
    }))

  it.effect("B12: an isolation that ends with the first of its handles", () =>
    Effect.gen(function*() {
      const message = yield* withMachine({
        isolate: (state, by) => Circuit.isolate(by === -1 ? { ...state, isolations: 1 } : state, by)
      })
      expect(message).toMatch(
        /After it is isolated[^:]* it is isolated[^:]* an isolation ends: it is \w+, and should be Isolated$/
      )
    }))

  it.effect("B4: an opening that goes by the wall clock", () =>
    Effect.gen(function*() {
      const message = yield* withSubject((subject, time) => {
        const beginning = time.wallMillis
        return {
          look: () => {
            const seen = subject.look()
            const behind = beginning + Number(time.nanos) / 1e6 - time.wallMillis
            return seen.state === "Open"
              ? { ...seen, retryAfterMillis: (seen.retryAfterMillis ?? 0) + behind }
              : seen
          }
        }
      })
      expect(message).toMatch(/the wall clock steps back by \d+ ms.*: it rejects calls for/)
    }))

  it.effect("B14: a call that is in flight for ever", () =>
    Effect.gen(function*() {
      const message = yield* withSubject((subject) => {
        let lost = 0
        return {
          end: (call, ending) => {
            if (ending._tag === "Interrupted") lost++
            subject.end(call, ending)
          },
          look: () => ({ ...subject.look(), inFlight: subject.look().inFlight + lost })
        }
      })
      expect(message).toMatch(
        /^Laws\.breaker: After [^:]*interrupted: it has [12] calls in flight, and should have [01]$/
      )
    }))

  it.effect("a machine that throws is a defect", () =>
    Effect.gen(function*() {
      const law = checked(
        policy,
        ofMachine({
          ...Circuit,
          admit: () => {
            throw new TypeError("broken machine")
          }
        })(policy),
        300
      )
      const exit = yield* Effect.exit(law)
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause) && Cause.pretty(exit.cause)).toContain(
        "broken machine"
      )
    }))
})

describe("in words", () => {
  const said = (...commands: ReadonlyArray<Command>) =>
    broken(policy, (time) => {
      const subject = ofMachine(Circuit)(policy)(time)
      let steps = 0
      return { ...subject, look: () => ({ ...subject.look(), rejected: ++steps > 1 ? -1 : 0 }) }
    }, commands)

  it("a sequence without a fault says nothing", () => {
    const commands = [
      start,
      finish(success),
      burst(3, failure),
      operate("Isolate"),
      operate("Release")
    ]
    expect(broken(policy, ofService(touchy), commands)).toBe(undefined)
  })

  it("commands that mean nothing are not done and not told", () => {
    const nothing: ReadonlyArray<Command> = [finish(success), operate("Release"), {
      _tag: "Deadline",
      pick: 0,
      off: 0
    }]
    expect(said(...nothing, start)).toBe(
      "After call 1 starts: it has -1 rejected calls, and should have 0"
    )
  })

  it.each<readonly [string, Command]>([
    ["it is isolated", operate("Isolate")],
    ["it is reset", operate("Reset")],
    ["it is forced open", operate("ForcedOpen")],
    ["it is forced closed", operate("ForcedClosed")],
    ["it is disabled", operate("Disabled")],
    ["5 ms pass", { _tag: "Pass", millis: 5 }],
    ["the wall clock steps back by 5 ms", { _tag: "WallBack", millis: 5 }]
  ])("%s", (words, command) => {
    expect(said(command)).toBe(`After ${words}: it has -1 rejected calls, and should have 0`)
  })

  it("a slow call, what it asks for, and how many of a burst were admitted", () => {
    const patient: ReadonlyArray<Command> = [
      start,
      {
        _tag: "Finish",
        pick: 0,
        isSlow: true,
        ending: { _tag: "Ignored", unit: 0, retryAfterMillis: 7 }
      },
      burst(2, failure),
      { _tag: "Deadline", pick: 0, off: 0 },
      burst(3, interrupted),
      { _tag: "Finish", pick: 0, isSlow: false, ending: success }
    ]
    const message = broken(policy, (time) => {
      const subject = ofMachine(Circuit)(policy)(time)
      let ends = 0
      return {
        ...subject,
        end: (call, ending) => {
          ends++
          subject.end(call, ending)
        },
        look: () => ({ ...subject.look(), openings: ends === 5 ? 9 : subject.look().openings })
      }
    }, patient)
    expect(message).toBe(
      "After call 1 starts, 3001 ms pass and call 1 is ignored asking for 7 ms, 2 calls start, they fail, 1000 ms pass, " +
        "3 calls start, the 2 that were admitted are interrupted: it has 9 consecutive openings, and should have 1"
    )
  })
})

describe("what the law brought to light", () => {
  const end = (
    state: Circuit.State,
    token: Circuit.Token,
    result: Partial<Circuit.Result>,
    now: number
  ) =>
    Circuit.record(
      policy,
      state,
      token,
      { _tag: "Failure", durationMillis: 0, unit: 0, ...result },
      now
    )
  const admitted = (state: Circuit.State, now: number): readonly [Circuit.Token, Circuit.State] => {
    const [admission, next] = Circuit.admit(policy, state, now)
    if (admission._tag === "Rejected") throw new Error("rejected")
    return [admission.token, next]
  }
  const opened = () => {
    const [first, one] = admitted(Circuit.make(policy, 0), 0)
    const [second, two] = admitted(end(one, first, {}, 0), 0)
    return end(two, second, {}, 0)
  }

  it("B1: however low the rates, calls that neither failed nor were slow do not open it", () => {
    const counts = { calls: 10, failures: 0, slow: 0 }
    expect([
      Circuit.exceeds(policyOf({ failureRate: 1e-12 }), counts),
      Circuit.exceeds(policyOf({ slowCall: { duration: "1 second", rate: 1e-12 } }), counts)
    ]).toEqual([false, false])
  })

  it("B2, B6: a call of a circuit that is forced closed counts, though the opening underneath ends meanwhile", () => {
    const [token, running] = admitted(Circuit.order(opened(), "ForcedClosed"), 500)
    const later = end(Circuit.settle(running, 1000)[1], token, {}, 1000)
    expect(Circuit.counts(later, 1000)).toEqual({ calls: 1, failures: 1, slow: 0 })
  })

  it("B8: a trial that was told to wait holds its slot until then, though the circuit is isolated meanwhile", () => {
    const [token, running] = admitted(Circuit.settle(opened(), 1000)[1], 1000)
    const waiting = end(running, token, { _tag: "Ignored", retryAfterMillis: 5000 }, 1000)
    const [, second] = admitted(Circuit.isolate(Circuit.isolate(waiting, 1), -1), 1000)
    expect(Circuit.retryAfterMillis(policy, second, 1000)).toBe(5000)
  })
})

describe("settings", () => {
  const refusal = (law: Effect.Effect<void, Error>) =>
    Effect.map(
      Effect.exit(law),
      (exit) =>
        Exit.isFailure(exit) && Cause.isDie(exit.cause)
          ? String(Cause.squash(exit.cause))
          : "no defect"
    )

  it.effect("nonsense is a RangeError that names field and value", () =>
    Effect.gen(function*() {
      expect([
        yield* refusal(Laws.breaker({ failureRate: 0 })),
        yield* refusal(Laws.breaker({ minimumCalls: 30 })),
        yield* refusal(Laws.breaker({ idleTimeToLive: -1 })),
        yield* refusal(Laws.breaker({}, { runs: 0 })),
        yield* refusal(Laws.breaker({}, { runs: 1.5 }))
      ]).toEqual([
        expect.stringMatching(/^RangeError: failureRate .* 0$/),
        expect.stringMatching(/^RangeError: minimumCalls .* 30$/),
        expect.stringMatching(/^RangeError: idleTimeToLive .* -1$/),
        expect.stringMatching(/^RangeError: runs .* 0$/),
        expect.stringMatching(/^RangeError: runs .* 1\.5$/)
      ])
    }))

  it.effect("runs says how many sequences are tried, 300 by default", () =>
    Effect.gen(function*() {
      let subjects = 0
      yield* checked(policy, (time) => {
        subjects++
        return ofMachine(Circuit)(policy)(time)
      }, 7)
      expect(subjects).toBe(7)
    }))
})

describe("interruption", () => {
  it.live("a law that is interrupted ends, and tries nothing further", () =>
    Effect.gen(function*() {
      let subjects = 0
      const law = checked(policy, (time) => {
        subjects++
        return ofMachine(Circuit)(policy)(time)
      }, 1_000_000)
      const fiber = yield* Effect.fork(law)
      yield* Effect.repeat(turn, { until: () => subjects >= 100 })
      const exit = yield* Fiber.interrupt(fiber)
      const before = subjects
      yield* Effect.repeatN(turn, 50)
      expect([Exit.isInterrupted(exit), subjects - before]).toEqual([true, 0])
    }))
})
