import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Cooldown from "../../src/core/cooldown.js"
import { runs } from "../support/runs.js"

const policy: Cooldown.Policy = { capMillis: 100, trialMillis: 30 }

type Command =
  | { readonly do: "call" }
  | { readonly do: "end"; readonly which: number; readonly finding: Cooldown.Finding }
  | { readonly do: "hold"; readonly millis: number }
  | { readonly do: "pass"; readonly millis: number }

const finding: fc.Arbitrary<Cooldown.Finding> = fc.oneof(
  fc.constantFrom<Cooldown.Finding>("serves", "nothing"),
  fc.constantFrom(0, 1, 10, 40, 100, 500, Infinity).map((waitMillis) => ({ waitMillis }))
)

const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<Command>({ do: "call" }) },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("end" as const), which: fc.nat({ max: 9 }), finding })
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("hold" as const), millis: fc.constantFrom(0, 5, 300) })
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("pass" as const),
        millis: fc.constantFrom(1, 9, 10, 30, 100)
      })
    }
  ),
  { maxLength: 60, size: "max" }
)

/** The same in words: until when to stay away, and which call is ahead of the others. */
class SlowCooldown {
  stayAwayUntil: number | undefined
  ahead: { readonly call: number; readonly until: number } | undefined
  wait(now: number): number {
    if (this.ahead !== undefined) return Math.max(0, this.ahead.until - now)
    return this.stayAwayUntil === undefined ? 0 : Math.max(0, this.stayAwayUntil - now)
  }
  /** Whether a call that runs is ahead of the others. */
  runs(call: number, now: number): boolean {
    if (this.ahead === undefined && this.stayAwayUntil === undefined) return false
    this.ahead = { call, until: now + policy.trialMillis }
    this.stayAwayUntil = undefined
    return true
  }
  hold(millis: number, now: number): void {
    if (millis === 0) return
    this.stayAwayUntil = Math.max(this.stayAwayUntil ?? 0, now + millis)
    this.ahead = undefined
  }
  ended(call: number, finding: Cooldown.Finding, now: number): void {
    if (typeof finding === "object" && finding.waitMillis > 0) {
      return this.hold(Math.min(100, finding.waitMillis), now)
    }
    if (this.ahead?.call !== call) return
    this.ahead = undefined
    this.stayAwayUntil = finding === "serves" ? undefined : now
  }
}

describe("cooldown", () => {
  it("G17: it agrees with the same in words, whatever happens in whatever order", () => {
    const visited = new Set<string>()
    fc.assert(
      fc.property(commands, (commands) => {
        const slow = new SlowCooldown()
        const running: Array<
          { readonly call: number; readonly trial: Cooldown.Trial | undefined }
        > = []
        let state = Cooldown.clear
        let now = 0
        let calls = 0
        for (const command of commands) {
          switch (command.do) {
            case "call": {
              const call = calls++
              const wait = Cooldown.waitMillis(state, now)
              expect(wait).toBe(slow.wait(now))
              if (wait > 0) break
              const trial = state._tag === "Clear" ? undefined : Cooldown.tryOut(policy, now)
              expect(trial !== undefined).toBe(slow.runs(call, now))
              if (trial !== undefined) state = trial
              running.push({ call, trial })
              break
            }
            case "end": {
              const [ended] = running.splice(command.which % Math.max(1, running.length), 1)
              if (ended === undefined) break
              state = Cooldown.end(policy, state, ended.trial, command.finding, now)
              slow.ended(ended.call, command.finding, now)
              break
            }
            case "hold":
              state = Cooldown.hold(state, command.millis, now)
              slow.hold(command.millis, now)
              break
            case "pass":
              now += command.millis
          }
          visited.add(state._tag)
          expect([state._tag === "Clear", Cooldown.waitMillis(state, now)]).toEqual([
            slow.ahead === undefined && slow.stayAwayUntil === undefined,
            slow.wait(now)
          ])
        }
      }),
      { numRuns: runs(1000) }
    )
    expect([...visited].sort()).toEqual(["Clear", "Cooling", "Trial"])
  })

  it("G17: a shorter wait never shortens a cooldown, a longer one makes it longer", () => {
    const told = (waits: ReadonlyArray<number>) =>
      waits.reduce<Cooldown.State>(
        (state, waitMillis, at) => Cooldown.end(policy, state, undefined, { waitMillis }, at),
        {
          _tag: "Clear"
        }
      )
    expect([told([50, 10]), told([10, 50])]).toEqual([
      { _tag: "Cooling", untilMillis: 50 },
      { _tag: "Cooling", untilMillis: 51 }
    ])
  })

  it("G17: a server gets no more than the cap, a hand gets what it says", () => {
    expect([
      Cooldown.end(policy, Cooldown.clear, undefined, { waitMillis: 86_400_000 }, 0),
      Cooldown.hold(Cooldown.clear, 86_400_000, 0)
    ]).toEqual([{ _tag: "Cooling", untilMillis: 100 }, {
      _tag: "Cooling",
      untilMillis: 86_400_000
    }])
  })

  it("G17: a wait that ends no later leaves the very state, so that nothing is woken", () => {
    const state = Cooldown.hold(Cooldown.clear, 50, 0)
    expect([50, 49].map((millis) => Cooldown.hold(state, millis, 0) === state)).toEqual([
      true,
      true
    ])
    expect(Cooldown.hold(state, 51, 0)).toEqual({ _tag: "Cooling", untilMillis: 51 })
  })

  it("G17: a microsecond is below what a timer can tell, and nothing is waited for it", () => {
    const waits = [1e-4, 1e-3, 2e-3].map((untilMillis) =>
      Cooldown.waitMillis({ _tag: "Cooling", untilMillis }, 0)
    )
    expect(waits).toEqual([0, 0, 2e-3])
  })

  it("G17: a trial that has lost its place clears nothing", () => {
    const first = Cooldown.tryOut(policy, 0)
    const second = Cooldown.tryOut(policy, 30)
    expect(Cooldown.end(policy, second, first, "serves", 31)).toBe(second)
  })
})
