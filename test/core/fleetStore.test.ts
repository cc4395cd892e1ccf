import { describe, expect, it } from "@effect/vitest"
import type * as Wire from "../../src/core/fleetWire.js"
import {
  batch,
  count,
  fleet,
  memberTimeout,
  open,
  permits,
  tokens,
  trial,
  trialEnd
} from "./fleet.js"

const sums = (answer: Extract<Wire.Answer, { readonly op: "count" }>) =>
  [answer.calls, answer.failures, answer.members, answer.failing] as const

describe("fleetStore", () => {
  describe("members", () => {
    it("F4: what is not newer changes nothing, and is told so", () => {
      const { reply } = fleet()
      const said = batch("a", 2, [count(4, 4)])
      expect(reply(0, said).stale).toBe(false)
      for (const sequence of [2, 1]) {
        const late = reply(1, batch("a", sequence, [count(40, 40)]))
        expect([late.stale, late.incarnation, late.answers]).toEqual([true, 1, []])
      }
      const old = reply(2, batch("a", 9, [count(40, 40)], { incarnation: 0 }))
      expect(old.stale).toBe(true)
      expect(reply(3, batch("b", 1, [count(0, 0)])).answers[0]).toMatchObject({ calls: 4 })
    })

    it("F4: a member's sequence outlasts its life, so that a late batch changes nothing", () => {
      const { reply } = fleet()
      reply(0, batch("a", 2, []))
      expect(reply(memberTimeout, batch("b", 1, [])).members).toBe(1)
      expect(reply(memberTimeout + 1, batch("a", 1, [count(4, 4)])).stale).toBe(true)
    })

    it("F6: a restart of the same name replaces what it said", () => {
      const { reply, says } = fleet()
      reply(0, batch("a", 7, [count(4, 4)]))
      reply(1, batch("a", 1, [count(1, 1)], { incarnation: 2 }))
      const { answers, members } = says(2, "b", count(0, 0))
      expect([answers[0], members]).toEqual([expect.objectContaining({ calls: 1, failing: 1 }), 2])
    })

    it("F20: one that leaves lives no longer; living ones are listed a page at a time", () => {
      const { reply, says } = fleet()
      for (let n = 0; n < 150; n++) says(n, `m${n}`)
      reply(200, batch("m7", 9, [], { last: true }))
      const seen: Array<string> = []
      let after = ""
      do {
        const [page] = says(201, "m0", { op: "members", after }).answers
        if (page?.op !== "members") throw new Error("expected members")
        seen.push(...page.list.map(([id]) => id))
        after = page.next
      } while (after !== "")
      expect(seen).toHaveLength(149)
      expect(new Set(seen).size).toBe(149)
      expect(seen).not.toContain("m7")
    })

    it("F21: where a clock steps back time stands, and goes on with it", () => {
      const { asks, says, state } = fleet()
      says(1000, "a", open(0, 1000))
      const { nowMillis } = state
      says(10, "a")
      expect(state.nowMillis).toBe(nowMillis)
      expect(asks(1009, "a", "lease", trial(1, "x"))).toMatchObject({ granted: false, left: 1 })
      expect(asks(1010, "a", "lease", trial(1, "x")).granted).toBe(true)
    })
  })

  describe("circuits", () => {
    it("F4: whole contributions replace, and what left a window leaves the sums", () => {
      const { asks } = fleet()
      asks(0, "a", "count", count(10, 5))
      asks(1, "b", "count", count(10, 9))
      expect(sums(asks(2, "a", "count", count(2, 0)))).toEqual([12, 9, 2, 1])
    })

    it("F6: what a member said lapses with its timeout", () => {
      const { asks } = fleet()
      asks(0, "a", "count", count(10, 10))
      expect(sums(asks(memberTimeout - 1, "b", "count", count(1, 0)))).toEqual([11, 10, 2, 1])
      expect(sums(asks(memberTimeout, "b", "count", count(1, 0)))).toEqual([1, 0, 1, 0])
    })

    it("F7: an opening is a compare-and-set, and begins an epoch of its own", () => {
      const { asks } = fleet()
      asks(0, "a", "count", count(10, 10))
      expect(asks(1, "a", "done", open(0)).done).toBe(true)
      expect(asks(1, "b", "done", open(0))).toMatchObject({ done: false, epoch: 1 })
      expect(asks(2, "b", "count", count(10, 10))).toMatchObject({ epoch: 1, calls: 0, heard: 0 })
    })

    it("F8: trials are leased, count once, and decide", () => {
      const { asks } = fleet()
      asks(0, "a", "done", open(0))
      expect(asks(999, "a", "lease", trial(1, "x"))).toMatchObject({ granted: false, left: 1 })
      expect(asks(1000, "a", "lease", trial(1, "x")).granted).toBe(true)
      expect(asks(1001, "b", "lease", trial(1, "y")).granted).toBe(true)
      expect(asks(1002, "c", "lease", trial(1, "z"))).toMatchObject({ granted: false, left: 998 })
      expect(asks(1003, "a", "done", trialEnd(1, "x", "good")).done).toBe(false)
      expect(asks(1003, "a", "done", trialEnd(1, "x", "good")).done).toBe(false)
      expect(asks(1004, "c", "lease", trial(1, "z")).granted).toBe(false)
      expect(asks(1005, "b", "done", trialEnd(1, "y", "good"))).toMatchObject({
        done: true,
        epoch: 2
      })
    })

    it("F8: a trial that lost its place changes nothing, of another epoch neither", () => {
      const { asks } = fleet()
      asks(0, "a", "done", open(0))
      asks(1000, "a", "lease", trial(1, "x"))
      expect(asks(2000, "a", "done", trialEnd(1, "x", "bad"))).toMatchObject({ epoch: 1 })
      asks(2001, "a", "lease", trial(1, "y"))
      expect(asks(2002, "a", "done", trialEnd(0, "y", "bad"))).toMatchObject({ epoch: 1 })
      expect(asks(2003, "a", "done", trialEnd(1, "y", "bad"))).toMatchObject({ epoch: 2 })
    })

    it("F8: a member that failed a trial gets none at first, until the circuit has closed", () => {
      const { asks } = fleet()
      asks(0, "a", "done", open(0))
      asks(1000, "a", "lease", trial(1, "x"))
      asks(1001, "a", "done", trialEnd(1, "x", "bad"))
      expect(asks(2001, "a", "lease", trial(2, "y"))).toMatchObject({ granted: false, left: 500 })
      expect(asks(2002, "b", "lease", trial(2, "z")).granted).toBe(true)
      expect(asks(2501, "a", "lease", trial(2, "y")).granted).toBe(true)
    })

    it("F8: a trial that was told to wait keeps its place for so long", () => {
      const { asks } = fleet()
      asks(0, "a", "done", open(0))
      asks(1000, "a", "lease", trial(1, "x", { trials: 1 }))
      asks(1001, "a", "done", trialEnd(1, "x", "free", { wait: 100 }))
      expect(asks(1100, "b", "lease", trial(1, "y", { trials: 1 }))).toMatchObject({ left: 1 })
      expect(asks(1101, "b", "lease", trial(1, "y", { trials: 1 })).granted).toBe(true)
    })

    it("F9: an empty store takes back what is known; the higher epoch wins", () => {
      const { asks, says } = fleet()
      const view = {
        kind: "circuit",
        name: "circuit",
        epoch: 7,
        open: true,
        left: 500,
        openings: 3,
        openMillis: 1000,
        closedFor: 0
      } as const
      asks(0, "a", "known", { op: "known", view })
      asks(1, "b", "known", { op: "known", view: { ...view, epoch: 5, open: false } })
      expect(says(100, "c").changes).toEqual([{ ...view, left: 400 }])
    })
  })

  describe("changes", () => {
    it("F17: a member that joins hears all, and then what is new", () => {
      const { reply, says } = fleet()
      says(0, "a", open(0))
      const first = reply(10, batch("b", 1, []))
      expect(first.changes).toMatchObject([{ name: "circuit", epoch: 1, left: 990 }])
      const { seed, version } = first
      const next = (sequence: number) =>
        reply(20, batch("b", sequence, [], { since: version, knows: seed }))
      expect(next(2).changes).toEqual([])
      says(20, "a", { op: "hold", name: "host", epoch: 0, left: 100 })
      expect(next(3).changes).toMatchObject([{ name: "host", left: 100 }])
      const lost = reply(21, batch("b", 4, [], { since: 99, knows: "another" }))
      expect(lost.changes).toHaveLength(2)
    })

    it("F2: changes come 200 at a time, and none is left out", () => {
      const { reply, says } = fleet()
      for (let n = 0; n < 450; n++) says(0, "a", { ...open(0), name: `c${n}` })
      const names: Array<string> = []
      let asked = { since: 0, knows: "" }
      for (let sequence = 1; sequence <= 3; sequence++) {
        const { changes, more, seed, version } = reply(1, batch("b", sequence, [], asked))
        names.push(...changes.map(({ name }) => name))
        expect(more).toBe(sequence < 3)
        asked = { since: version, knows: seed }
      }
      expect(new Set(names).size).toBe(450)
    })

    it("F7: an opening is told of also in place of a record that cannot be used", () => {
      const { says } = fleet()
      says(0, "a", { op: "hold", name: "circuit", epoch: 7, left: 100 })
      const { changes } = says(1, "a", open(0))
      expect(changes).toMatchObject([{ kind: "circuit", epoch: 1, open: true }])
    })

    it("F15: a command that the store does not know has null for an answer", () => {
      const { says } = fleet()
      const newer = { op: "newer", name: "circuit" } as unknown as Wire.Command
      expect(says(0, "a", newer, open(0)).answers).toMatchObject([null, { op: "done", done: true }])
    })

    it("F14: records expire", () => {
      const { says, state } = fleet()
      says(0, "a", open(0), tokens(), permits(0, 1))
      says(2000 + 3_600_000, "a")
      expect(state.records.size).toBe(0)
      expect(state.changes.size).toBe(0)
    })
  })

  describe("orders", () => {
    const told = (order: Wire.FleetOrder, epoch = 0, reset = false) =>
      ({ op: "order", name: "orders", epoch, order, reset }) as const

    it("F10: the last order counts, and a lost store does not bring an older one back", () => {
      const { says } = fleet()
      says(0, "a", told("ForcedOpen", 7))
      const { changes } = says(1, "b", {
        op: "known",
        view: { kind: "order", name: "orders", epoch: 7, order: "Disabled", resets: 0, isolated: 0 }
      })
      expect(changes).toMatchObject([{ epoch: 8, order: "ForcedOpen" }])
      expect(says(2, "a", told("None", 8, true)).changes).toMatchObject([
        { epoch: 9, order: "None", resets: 1 }
      ])
    })

    it("F10: an isolation ends when it is released, or not said again", () => {
      const { says } = fleet()
      const isolate = (id: string, hold: number) =>
        ({ op: "isolate", name: "orders", epoch: 0, id, hold }) as const
      says(0, "a", isolate("x", 1000))
      expect(says(1, "b", isolate("y", 500)).changes).toMatchObject([{ isolated: 999 }])
      const release = { op: "release", name: "orders", epoch: 0, id: "x" } as const
      expect(says(2, "a", release).changes).toMatchObject([{ isolated: 499 }])
      expect(says(501, "c").changes).toMatchObject([{ isolated: 0 }])
    })
  })

  describe("tokens", () => {
    it("F11: what is there is leased, what comes due soon is booked in order", () => {
      const { asks } = fleet()
      expect(asks(0, "a", "tokens", tokens({ want: 9 }))).toMatchObject({ granted: 5, booked: 0 })
      expect(asks(0, "a", "tokens", tokens({ want: 9 }))).toMatchObject({ granted: 0, due: 100 })
      expect(asks(0, "a", "tokens", tokens({ want: 9, horizon: 250 }))).toMatchObject({
        granted: 0,
        booked: 2,
        due: 100
      })
      const late = tokens({ first: 2, want: 2, horizon: 250, patience: 1000 })
      expect(asks(0, "b", "tokens", late)).toMatchObject({ granted: 0, booked: 2, due: 300 })
      expect(asks(500, "a", "tokens", tokens({ want: 9 }))).toMatchObject({ granted: 1 })
    })

    it("F11: unspent tokens go back, no more than the line has ahead of now", () => {
      const { asks } = fleet()
      asks(0, "a", "tokens", tokens({ want: 5 }))
      asks(100, "a", "tokens", tokens({ want: 0, back: 50 }))
      expect(asks(100, "b", "tokens", tokens({ want: 50 }))).toMatchObject({ granted: 5 })
    })
  })

  describe("cooldowns", () => {
    const hold = (left: number) => ({ op: "hold", name: "host", epoch: 0, left }) as const
    const probe = (id: string) => ({ op: "probe", name: "host", id, timeout: 500 }) as const
    const probeEnd = (id: string, serves: boolean) =>
      ({ op: "probeEnd", name: "host", id, serves }) as const

    it("F12: the end furthest off counts; then one trial, whose success clears all", () => {
      const { asks, says } = fleet()
      asks(0, "a", "done", hold(1000))
      asks(1, "b", "done", hold(10))
      expect(asks(2, "b", "lease", probe("x"))).toMatchObject({ granted: false, left: 998 })
      expect(asks(1000, "b", "lease", probe("x")).granted).toBe(true)
      expect(asks(1001, "a", "lease", probe("y"))).toMatchObject({ granted: false, left: 499 })
      asks(1002, "b", "done", probeEnd("x", false))
      expect(asks(1003, "a", "lease", probe("y")).granted).toBe(true)
      asks(1004, "a", "done", hold(50))
      asks(1005, "a", "done", probeEnd("y", true))
      expect(says(1006, "c").changes).toMatchObject([{ held: true, left: 48 }])
      asks(1060, "b", "lease", probe("z"))
      asks(1061, "b", "done", probeEnd("z", true))
      expect(says(1062, "c").changes).toMatchObject([{ held: false }])
    })
  })

  describe("permits", () => {
    it("F13: the sum fits, what runs counts, and a dead member's come back", () => {
      const { asks } = fleet()
      expect(asks(0, "a", "permits", permits(0, 3)).granted).toBe(3)
      expect(asks(1, "b", "permits", permits(0, 3))).toMatchObject({ granted: 1 })
      expect(asks(2, "c", "permits", permits(2, 2)).granted).toBe(2)
      expect(asks(3, "b", "permits", permits(0, 3)).granted).toBe(0)
      expect(asks(memberTimeout, "b", "permits", permits(0, 3)).granted).toBe(2)
    })

    it("F13: one that always queues keeps to its share while others want", () => {
      const { asks } = fleet()
      expect(asks(0, "a", "permits", permits(0, 9)).granted).toBe(4)
      expect(asks(1, "b", "permits", permits(0, 9)).granted).toBe(0)
      expect(asks(2, "a", "permits", permits(4, 9))).toMatchObject({ granted: 4, fair: 2 })
      expect(asks(3, "a", "permits", permits(2, 9))).toMatchObject({ granted: 2 })
      expect(asks(4, "b", "permits", permits(0, 9))).toMatchObject({ granted: 2 })
    })

    it("F13: one permit goes round", () => {
      const { asks } = fleet()
      const got = { a: 0, b: 0, c: 0 }
      for (let round = 0; round < 30; round++) {
        for (const member of ["a", "b", "c"] as const) {
          got[member] += asks(round, member, "permits", permits(0, 1, 1)).granted
        }
      }
      const counts = Object.values(got)
      expect(Math.min(...counts)).toBeGreaterThanOrEqual(7)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    })
  })
})
