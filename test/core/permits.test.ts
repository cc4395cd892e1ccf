import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Fifo from "../../src/core/fifo.js"
import * as Permits from "../../src/core/permits.js"
import { runs } from "../support/runs.js"

type Command =
  | { readonly do: "enter" }
  | { readonly do: "end" | "interrupt"; readonly which: number }

const which = fc.nat({ max: 20 })

const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<Command>({ do: "enter" }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("end" as const), which }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("interrupt" as const), which }) }
  ),
  { maxLength: 80 }
)

const limits = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  queue: fc.integer({ min: 0, max: 4 })
})

/** The same bulkhead as two lists of names. */
class SlowPermits {
  running: Array<number> = []
  waiting: Array<number> = []
  constructor(readonly limits: Permits.Limits) {}
  enter(call: number): string {
    if (this.running.length < this.limits.concurrency && this.waiting.length === 0) {
      this.running.push(call)
      return "Run"
    }
    if (this.waiting.length >= this.limits.queue) return "Full"
    this.waiting.push(call)
    return "Wait"
  }
  end(call: number): number | undefined {
    this.running = this.running.filter((other) => other !== call)
    const next = this.waiting.shift()
    if (next !== undefined) this.running.push(next)
    return next
  }
  interrupt(call: number): void {
    this.waiting = this.waiting.filter((other) => other !== call)
  }
}

const pick = <A>(from: ReadonlyArray<A>, which: number): A | undefined =>
  from[which % Math.max(1, from.length)]

describe("permits", () => {
  it("G10, G11: they agree with two lists: first come first served, none lost, none made up", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(limits, commands, (limits, commands) => {
        const permits = Permits.make<number>(limits)
        const slow = new SlowPermits(limits)
        const places = new Map<number, Fifo.Place<number>>()
        let calls = 0
        for (const command of commands) {
          if (command.do === "enter") {
            const call = calls++
            const entry = Permits.enter(permits)
            seen.add(entry)
            expect(entry).toBe(slow.enter(call))
            if (entry === "Wait") places.set(call, Fifo.join(permits.waiting, call))
          } else if (command.do === "end") {
            const call = pick(slow.running, command.which)
            if (call !== undefined) expect(Permits.release(permits)).toBe(slow.end(call))
          } else {
            const call = pick(slow.waiting, command.which)
            if (call === undefined) continue
            seen.add("interrupted")
            slow.interrupt(call)
            expect(Permits.giveUp(permits, places.get(call)!)).toBe(undefined)
          }
          expect([permits.running, Fifo.values(permits.waiting)]).toEqual([
            slow.running.length,
            slow.waiting
          ])
          expect(permits.running <= limits.concurrency && permits.waiting.size <= limits.queue)
            .toBe(true)
        }
      }),
      { numRuns: runs(1000) }
    )
    expect([...seen].sort()).toEqual(["Full", "Run", "Wait", "interrupted"])
  })

  it("G11: a permit that was handed to one who gives up goes on to the next", () => {
    const permits = Permits.make<string>({ concurrency: 1, queue: 2 })
    Permits.enter(permits)
    const first = Fifo.join(permits.waiting, "first")
    Fifo.join(permits.waiting, "second")
    const handed = Permits.release(permits)
    const passedOn = Permits.giveUp(permits, first)
    expect([handed, passedOn, permits.running, permits.waiting.size]).toEqual([
      "first",
      "second",
      1,
      0
    ])
  })

  it("G10: a permit that is given back while somebody waits is never free", () => {
    const permits = Permits.make<string>({ concurrency: 1, queue: 1 })
    Permits.enter(permits)
    Fifo.join(permits.waiting, "waiting")
    Permits.release(permits)
    expect(Permits.enter(permits)).toBe("Wait")
  })
})
