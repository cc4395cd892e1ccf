import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as FleetLimits from "../../src/core/fleetLimits.js"
import { runs } from "../support/runs.js"
import { memberTimeout, permits, tokens } from "./fleet.js"

const now = 10_000

describe("fleetLimits", () => {
  describe("tokens", () => {
    /** A line of one token each 100 ms and bursts of 5, taken so far ahead of now. */
    const line = (aheadMillis: number) => ({
      ...FleetLimits.line("line", 0),
      takenMillis: now + aheadMillis
    })

    it("F11: a line of which nothing is taken begins now, with its whole burst", () => {
      const record = FleetLimits.line("line", now)
      expect(record).toEqual({ kind: "line", name: "line", expiresMillis: now, takenMillis: now })
      const leased = FleetLimits.tokens(record, tokens({ want: 6 }), now)
      expect(leased).toEqual({ op: "tokens", granted: 5, booked: 0, due: 100 })
      expect(record.takenMillis).toBe(now + 500)
    })

    it.each([
      [-1000, 5, 100],
      [-1, 5, 100],
      [0, 5, 100],
      [1, 4, 1],
      [399, 1, 99],
      [400, 1, 100],
      [401, 0, 1],
      [499, 0, 99],
      [500, 0, 100],
      [501, 0, 101]
    ])("F11: of a line taken %s ms ahead %s tokens are there, the next in %s ms", (...row) => {
      const [ahead, granted, due] = row
      const record = line(ahead)
      const answer = FleetLimits.tokens(record, tokens({ want: 9 }), now)
      expect(answer).toEqual({ op: "tokens", granted, booked: 0, due })
      expect(record.takenMillis).toBe(now + Math.max(0, ahead) + 100 * granted)
    })

    it.each([
      // ahead, horizon, granted, booked, due
      [300, 0, 2, 0, 100],
      [300, 99, 2, 0, 100],
      [300, 100, 2, 1, 100],
      [300, 101, 2, 1, 100],
      [300, 300, 2, 3, 100],
      [300, 9000, 2, 7, 100],
      [500, 99, 0, 0, 100],
      [500, 100, 0, 1, 100],
      [550, 250, 0, 2, 50 + 100]
    ])("F11: what comes due in time is booked: %s ms ahead, within %s ms", (...row) => {
      const [ahead, horizon, granted, booked, due] = row
      const record = line(ahead)
      const answer = FleetLimits.tokens(record, tokens({ want: 9, horizon }), now)
      expect(answer).toEqual({ op: "tokens", granted, booked, due })
      expect(record.takenMillis).toBe(now + ahead + 100 * (granted + booked))
    })

    it.each([
      // patience, granted, booked, due
      [199, 0, 0, 200],
      [200, 1, 2, 100],
      [201, 1, 2, 100]
    ])("F11: costs are leased whole or not at all, where they come due within %s ms", (...row) => {
      const [patience, granted, booked, due] = row
      const record = line(400)
      const asked = tokens({ want: 5, first: 3, horizon: 100, patience })
      expect(FleetLimits.tokens(record, asked, now)).toEqual({ op: "tokens", granted, booked, due })
      expect(record.takenMillis).toBe(now + 400 + 100 * (granted + booked))
    })

    it("F11: who waits for fewer than are there takes what it wants", () => {
      const record = line(0)
      const asked = tokens({ want: 4, first: 2 })
      expect(FleetLimits.tokens(record, asked, now)).toMatchObject({ granted: 4, booked: 0 })
      const few = tokens({ want: 1, first: 1, horizon: 9000 })
      expect(FleetLimits.tokens(record, few, now)).toMatchObject({ granted: 1, booked: 0 })
    })

    it.each([
      [0, 300],
      [1, 200],
      [3, 0],
      [4, 0],
      [50, 0]
    ])("F11: of a line 300 ms ahead, %s that go back leave %s ms", (back, ahead) => {
      const record = line(300)
      const given = FleetLimits.tokens(record, tokens({ want: 0, back }), now)
      expect(given).toMatchObject({ granted: 0, booked: 0 })
      expect(record.takenMillis).toBe(now + ahead)
    })

    it("F11: what goes back is there for the same question, and kept where none is leased", () => {
      const served = line(500)
      const asked = tokens({ want: 2, first: 2, back: 2 })
      expect(FleetLimits.tokens(served, asked, now)).toMatchObject({ granted: 2 })
      expect(served.takenMillis).toBe(now + 500)
      const refused = line(500)
      const more = tokens({ want: 3, first: 3, back: 2 })
      expect(FleetLimits.tokens(refused, more, now)).toMatchObject({ granted: 0, due: 100 })
      expect(refused.takenMillis).toBe(now + 300)
    })

    it("F11: spacings that are no whole numbers lose no token", () => {
      const record = FleetLimits.line("line", 0)
      const asked = tokens({ spacing: 1000 / 3, burst: 1, want: 1 })
      const granted = Array.from({ length: 301 }, (_, index) => {
        const answer = FleetLimits.tokens(record, asked, (index * 1000) / 3)
        return answer.op === "tokens" ? answer.granted : 0
      })
      expect(new Set(granted)).toEqual(new Set([1]))
    })
  })

  describe("permits", () => {
    /** Permits, and what members need of them, as `[held, need]`, one after the other. */
    const bulkhead = (concurrency = 4) => {
      const record = FleetLimits.permits("permits", now)
      const needs = (member: string, held: number, need: number, at = now) => {
        const asked = permits(held, need, concurrency)
        const answer = FleetLimits.need(record, member, asked, memberTimeout, at)
        if (answer.op !== "permits") throw new Error(`expected permits, got ${answer.op}`)
        return [answer.granted, answer.fair]
      }
      return { record, needs }
    }

    it("F13: where no other wants, one may have all that others do not hold", () => {
      const { needs, record } = bulkhead()
      expect(record).toEqual({
        kind: "permits",
        name: "permits",
        expiresMillis: now,
        holdings: new Map(),
        wanting: new Set(),
        held: 0
      })
      expect(needs("a", 0, 1)).toEqual([1, 4])
      expect(needs("b", 0, 3)).toEqual([3, 4])
      expect(record).toMatchObject({ held: 4, wanting: new Set() })
      // What one gives up is there for another, whole.
      expect(needs("b", 0, 1)).toEqual([1, 4])
      expect(needs("a", 1, 9)).toEqual([3, 4])
    })

    it("F13: who wants more than there is stands in line, alone it is in no one's way", () => {
      const { needs, record } = bulkhead()
      expect(needs("a", 0, 9)).toEqual([4, 4])
      expect(record.wanting).toEqual(new Set())
      expect(needs("b", 0, 3)).toEqual([0, 4])
      expect(needs("b", 0, 3)).toEqual([0, 4])
      expect(record.wanting).toEqual(new Set(["b"]))
      // One has less than its share, and goes on wanting.
      expect(needs("a", 3, 9)).toEqual([3, 2])
      expect(needs("b", 0, 3)).toEqual([1, 4])
      expect(record.wanting).toEqual(new Set(["b"]))
      expect(needs("a", 2, 9)).toEqual([2, 2])
      expect(needs("b", 1, 2)).toEqual([2, 4])
      expect(record.wanting).toEqual(new Set())
    })

    it("F13: of three that want each waits for those before it, with one permit for each", () => {
      const { needs, record } = bulkhead(3)
      needs("a", 0, 3)
      for (const member of ["b", "c", "d"]) expect(needs(member, 0, 3)[0]).toBe(0)
      expect([...record.wanting]).toEqual(["b", "c", "d"])
      needs("a", 1, 1)
      // Of three permits a share of four members is none: they go round.
      expect(needs("d", 0, 3)).toEqual([0, 0])
      expect(needs("c", 0, 3)).toEqual([1, 0])
      expect([...record.wanting]).toEqual(["b", "d"])
      expect(needs("b", 0, 3)).toEqual([1, 0])
      expect(needs("d", 0, 3)).toEqual([0, 3])
    })

    it("F13: what still runs counts, whatever the sum, and none begins until it fits", () => {
      const { needs, record } = bulkhead()
      needs("a", 0, 4)
      expect(needs("b", 2, 2)).toEqual([2, 0])
      expect(record.held).toBe(6)
      expect(needs("a", 3, 4)).toEqual([3, 0])
      expect(needs("a", 2, 4)).toEqual([2, 4])
      expect(record.held).toBe(4)
    })

    it("F13: a need of nothing takes a member out, and the line does not wait for it", () => {
      const { needs, record } = bulkhead()
      needs("a", 0, 4)
      needs("b", 0, 1)
      needs("c", 0, 1)
      expect(needs("b", 0, 0)).toEqual([0, 1])
      expect([...record.holdings.keys()]).toEqual(["a", "c"])
      expect([...record.wanting]).toEqual(["c"])
      expect(needs("a", 0, 0)).toEqual([0, 2])
      expect(record).toMatchObject({ held: 0 })
      expect(needs("c", 0, 4)).toEqual([4, 4])
      expect([...record.holdings.keys()]).toEqual(["c"])
    })

    it.each([[memberTimeout - 1, 1], [memberTimeout, 3], [memberTimeout + 1, 3]])(
      "F13: a dead member's permits come back %s ms after its last word: another gets %s",
      (after, granted) => {
        const { needs, record } = bulkhead()
        needs("dead", 0, 3)
        needs("other", 0, 1, now + 1)
        expect(needs("other", 1, 3, now + after)[0]).toBe(granted)
        expect(record.holdings.has("dead")).toBe(granted === 1)
      }
    )

    it("F13: a dead member stands in line no longer", () => {
      const { needs, record } = bulkhead(1)
      needs("a", 0, 1)
      needs("dead", 0, 1)
      needs("c", 0, 1, now + 1)
      needs("a", 1, 1, now + memberTimeout - 1)
      expect([...record.wanting]).toEqual(["dead", "c"])
      needs("a", 0, 0, now + memberTimeout)
      expect([...record.wanting]).toEqual(["c"])
    })

    it("F13: permits are those of a slow model, and no grant makes the sum too large", () => {
      const step = fc.record({
        member: fc.constantFrom("a", "b", "c", "d"),
        runs: fc.nat({ max: 5 }),
        wants: fc.nat({ max: 5 }),
        after: fc.constantFrom(0, 1, 100, 2000, memberTimeout)
      })
      const property = fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(step, { maxLength: 60 }),
        (concurrency, steps) => {
          const { needs } = bulkhead(concurrency)
          type Holding = { readonly member: string; readonly held: number; readonly end: number }
          let [at, line]: [number, ReadonlyArray<string>] = [now, []]
          let holdings: ReadonlyArray<Holding> = []
          for (const { after, member, runs, wants } of steps) {
            at += after
            const dead = holdings.filter(({ end }) => end <= at).map((each) => each.member)
            line = line.filter((each) => !dead.includes(each))
            const others = holdings.filter((each) => each.end > at && each.member !== member)
            const taken = others.reduce((sum, { held }) => sum + held, 0)
            const before = line.includes(member) ? line.indexOf(member) : line.length
            const isAlone = line.every((each) => each === member)
            const fair = isAlone ? concurrency : Math.floor(concurrency / (others.length + 1))
            const need = runs + wants
            const fits = concurrency - taken - before
            const held = Math.max(runs, Math.min(need, fits, Math.max(1, fair)))
            const isOver = taken + (need > 0 ? held : 0) > concurrency
            expect(needs(member, runs, need, at)).toEqual([held, isOver ? 0 : fair])
            if (held > runs) expect(taken + held).toBeLessThanOrEqual(concurrency)
            const isWanting = held < Math.min(need, Math.max(1, fair))
            const isNew = isWanting && !line.includes(member)
            line = isNew ? [...line, member] : line.filter((each) => isWanting || each !== member)
            const mine = { member, held, end: at + memberTimeout }
            holdings = need > 0 ? [...others, mine] : others
          }
        }
      )
      fc.assert(property, { numRuns: runs(1000) })
    })
  })
})
