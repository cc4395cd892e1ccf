import { describe, expect, it } from "@effect/vitest"
import * as Circuit from "../../src/core/fleetCircuitRecord.js"
import type { CircuitRecord } from "../../src/core/fleetRecord.js"
import type * as Wire from "../../src/core/fleetWire.js"
import { count, open, trial, trialEnd } from "./fleet.js"

const now = 10_000
const memberTimeout = 5000

/** The answer to a command that has changed the phase, and to one that has not. */
const changed = (epoch: number) => ({ op: "done", epoch, done: true })
const unchanged = (epoch: number) => ({ op: "done", epoch, done: false })

const granted = (epoch: number) => ({ op: "lease", epoch, granted: true, left: 0 })
const denied = (epoch: number, left: number) => ({ op: "lease", epoch, granted: false, left })

const close = (epoch: number): Wire.Close => ({ op: "close", name: "circuit", epoch })

/** A circuit that has opened for 1000 ms, of epoch 1. */
const opened = (): CircuitRecord => {
  const record = Circuit.circuit("circuit", now)
  Circuit.open(record, open(0), now)
  return record
}

const halfOpenMillis = now + 1000

/** One that has half-opened, and whose trials these are; each began then, for 1000 ms. */
const halfOpen = (...ids: ReadonlyArray<string>): CircuitRecord => {
  const record = opened()
  for (const id of ids) {
    const asked = trial(1, id, { trials: ids.length })
    expect(Circuit.trial(record, `member of ${id}`, asked, halfOpenMillis)).toEqual(granted(1))
  }
  return record
}

/** What an epoch begins with. */
const nothing = {
  said: new Map(),
  sums: { calls: 0, failures: 0, slow: 0, members: 0, failing: 0, slowing: 0 },
  slots: [],
  good: 0,
  bad: 0
}

describe("fleetCircuitRecord", () => {
  it("F5: a circuit that no member has spoken of is closed since then", () => {
    expect(Circuit.circuit("circuit", now)).toEqual({
      kind: "circuit",
      name: "circuit",
      expiresMillis: now,
      version: 0,
      epoch: 0,
      open: false,
      untilMillis: 0,
      openings: 0,
      openMillis: 0,
      closedMillis: now,
      failed: [],
      ...nothing
    })
  })

  describe("counts", () => {
    const says = (
      record: CircuitRecord,
      member: string,
      at: number,
      [calls, failures, slow]: readonly [number, number, number],
      changes: Partial<Wire.Count> = {}
    ) =>
      Circuit.count(record, member, count(calls, failures, { slow, ...changes }), memberTimeout, at)

    const votes = { failing: true, slowing: true }

    it("F6: sums add what each member said, and its votes; who has no calls is heard only", () => {
      const record = Circuit.circuit("circuit", now)
      expect(says(record, "a", now, [9, 4, 3], votes)).toEqual({
        op: "count",
        epoch: 0,
        calls: 9,
        failures: 4,
        slow: 3,
        members: 1,
        failing: 1,
        slowing: 1,
        heard: 1
      })
      const slowOnly = { failing: false, slowing: true }
      expect(says(record, "b", now, [5, 0, 5], slowOnly)).toMatchObject({
        calls: 14,
        failures: 4,
        slow: 8,
        members: 2,
        failing: 1,
        slowing: 2,
        heard: 2
      })
      const none = { failing: false, slowing: false }
      expect(says(record, "c", now, [0, 0, 0], none)).toMatchObject({
        calls: 14,
        members: 2,
        failing: 1,
        slowing: 2,
        heard: 3
      })
    })

    it("F4: what a member says replaces all that it said before, its votes too", () => {
      const record = Circuit.circuit("circuit", now)
      says(record, "a", now, [9, 4, 3], votes)
      says(record, "b", now, [5, 5, 5], votes)
      const quiet = { failing: false, slowing: false }
      expect(says(record, "a", now, [2, 1, 1], quiet)).toMatchObject({
        calls: 7,
        failures: 6,
        slow: 6,
        members: 2,
        failing: 1,
        slowing: 1,
        heard: 2
      })
      says(record, "b", now, [0, 0, 0], quiet)
      expect(says(record, "a", now, [0, 0, 0], quiet)).toEqual({
        op: "count",
        epoch: 0,
        ...nothing.sums,
        heard: 2
      })
    })

    it.each([
      [memberTimeout - 1, 2, 12],
      [memberTimeout, 1, 3],
      [memberTimeout + 1, 1, 3]
    ])("F6: %s ms after its last word the living are %s, with %s calls", (after, heard, calls) => {
      const record = Circuit.circuit("circuit", now)
      says(record, "silent", now, [9, 9, 9], votes)
      says(record, "b", now + 1, [1, 1, 1])
      const answer = says(record, "b", now + after, [3, 0, 0], { failing: false })
      expect(answer).toMatchObject({ calls, heard, members: heard, failing: heard - 1 })
    })

    it("F6: all that have been silent lapse together, those that spoke again do not", () => {
      const record = Circuit.circuit("circuit", now)
      for (const member of ["a", "b", "c"]) says(record, member, now, [1, 1, 1], votes)
      says(record, "a", now + 100, [1, 1, 1], votes)
      expect(says(record, "d", now + memberTimeout, [1, 0, 0])).toMatchObject({
        calls: 2,
        heard: 2
      })
      expect([...record.said.keys()]).toEqual(["a", "d"])
    })

    it.each([[0, false], [1, true], [2, false]])(
      "F8: in epoch 1, counts of epoch %s count: %s, and hear of the epoch",
      (epoch, isCounted) => {
        const record = opened()
        expect(says(record, "a", now, [4, 4, 4], { epoch, slowing: true })).toMatchObject({
          epoch: 1,
          calls: isCounted ? 4 : 0,
          slowing: isCounted ? 1 : 0,
          heard: isCounted ? 1 : 0
        })
        // A word of another epoch takes back none of this one.
        says(record, "a", now, [4, 4, 4], { epoch: 1 })
        expect(says(record, "a", now, [7, 7, 7], { epoch: 2 })).toMatchObject({
          calls: 4,
          heard: 1
        })
      }
    )
  })

  describe("opening", () => {
    it.each([[0, false], [1, true], [2, false]])(
      "F7: a closed circuit of epoch 1 opens for one that knows epoch %s: %s",
      (epoch, isDone) => {
        const record = { ...Circuit.circuit("circuit", now), epoch: 1 }
        const answer = Circuit.open(record, open(epoch, 300, 4), now + 5)
        expect(answer).toEqual(isDone ? changed(2) : unchanged(1))
        expect(record.open).toBe(isDone)
        expect(record).toMatchObject(
          isDone
            ? { untilMillis: now + 305, openMillis: 300, openings: 4 }
            : { untilMillis: 0, openMillis: 0, openings: 0 }
        )
      }
    )

    it("F7: one that is open does not open again, and ends when it was to", () => {
      const record = opened()
      for (const epoch of [0, 1, 2]) {
        expect(Circuit.open(record, open(epoch, 9000, 2), now + 500)).toEqual(unchanged(1))
      }
      expect(record).toMatchObject({ untilMillis: now + 1000, openings: 1, openMillis: 1000 })
    })

    it("F8: an epoch begins with nothing said and no trial", () => {
      const record = halfOpen("x", "y", "z")
      Circuit.count(record, "a", count(4, 4, { epoch: 1 }), memberTimeout, halfOpenMillis)
      const good = trialEnd(1, "x", "good", { goodLimit: 3 })
      Circuit.trialEnd(record, "a", good, halfOpenMillis)
      Circuit.trialEnd(record, "a", trialEnd(1, "y", "bad", { badLimit: 2 }), halfOpenMillis)
      expect(record).toMatchObject({ good: 1, bad: 1, slots: [{ id: "z" }] })
      Circuit.begin(record, 7)
      expect(record).toMatchObject({ epoch: 7, ...nothing })
      expect(record.said.size).toBe(0)
    })
  })

  describe("closing", () => {
    it.each([[0, false], [1, true], [2, false]])(
      "F7: an open circuit of epoch 1 closes for one that knows epoch %s: %s",
      (epoch, isDone) => {
        const record = { ...opened(), failed: ["a"] }
        const before = { ...record }
        const answer = Circuit.close(record, close(epoch), now + 400)
        expect(answer).toEqual(isDone ? changed(2) : unchanged(1))
        if (!isDone) return expect(record).toEqual(before)
        expect(record).toEqual({
          ...Circuit.circuit("circuit", now + 400),
          epoch: 2,
          expiresMillis: now
        })
      }
    )

    it("F10: one that is closed already forgets what was counted", () => {
      const record = Circuit.circuit("circuit", now)
      Circuit.count(record, "a", count(4, 4), memberTimeout, now)
      expect(Circuit.close(record, close(0), now + 9)).toEqual(changed(1))
      expect(record).toMatchObject({ ...nothing, closedMillis: now + 9 })
      expect(record.said.size).toBe(0)
    })
  })

  describe("trials", () => {
    it.each([[0, 0], [2, 0], [1, 1000]])(
      "F8: while it is open there is none: who knows epoch %s asks again in %s ms",
      (epoch, left) => {
        expect(Circuit.trial(opened(), "a", trial(epoch, "x"), now)).toEqual(denied(1, left))
      }
    )

    it.each([[0, false], [1, true], [2, false]])(
      "F8: of a half-open circuit of epoch 1 one that knows epoch %s has one: %s",
      (epoch, isGranted) => {
        const record = opened()
        const answer = Circuit.trial(record, "a", trial(epoch, "x"), halfOpenMillis)
        expect(answer).toEqual(isGranted ? granted(1) : denied(1, 0))
        const slot = { id: "x", untilMillis: halfOpenMillis + 1000 }
        expect(record.slots).toEqual(isGranted ? [slot] : [])
      }
    )

    it("F8: a closed circuit has none", () => {
      const record = Circuit.circuit("circuit", now)
      expect(Circuit.trial(record, "a", trial(0, "x"), now)).toEqual(denied(0, 0))
      expect(record.slots).toEqual([])
    })

    it.each([[-1, denied(1, 1)], [0, granted(1)], [1, granted(1)]])(
      "F8: %s ms from the end of its open time a trial is asked for: %o",
      (after, answer) => {
        expect(Circuit.trial(opened(), "a", trial(1, "x"), halfOpenMillis + after)).toEqual(answer)
      }
    )

    it.each([[999, denied(1, 1)], [1000, granted(1)], [1001, granted(1)]])(
      "F8: all are held; %s ms after the first of them began a trial is asked for: %o",
      (after, answer) => {
        const record = halfOpen("x")
        const second = trial(1, "y", { trials: 2, timeout: 5000 })
        Circuit.trial(record, "b", second, halfOpenMillis)
        const at = halfOpenMillis + after
        expect(Circuit.trial(record, "c", trial(1, "z", { trials: 2 }), at)).toEqual(answer)
        expect(record.slots.map(({ id }) => id)).toEqual(answer.granted ? ["y", "z"] : ["x", "y"])
      }
    )

    it("F8: finished trials count among them, good and bad; then it is not known when", () => {
      const record = halfOpen("x", "y")
      const limits = { goodLimit: 9, badLimit: 9 }
      Circuit.trialEnd(record, "a", trialEnd(1, "x", "good", limits), halfOpenMillis)
      Circuit.trialEnd(record, "b", trialEnd(1, "y", "bad", limits), halfOpenMillis)
      const asks = (trials: number) =>
        Circuit.trial(record, "c", trial(1, `z${trials}`, { trials }), halfOpenMillis + 5)
      expect([asks(1), asks(2)]).toEqual([denied(1, 0), denied(1, 0)])
      expect([asks(3), asks(3)]).toEqual([granted(1), denied(1, 1000)])
      expect([asks(4), asks(4)]).toEqual([granted(1), denied(1, 1000)])
    })

    it.each([
      ["a", 0, denied(1, 500)],
      ["a", 499, denied(1, 1)],
      ["a", 500, granted(1)],
      ["a", 501, granted(1)],
      ["b", 0, granted(1)]
    ])(
      "F8: where a has failed one, %s asks after %s ms of HalfOpen: %o",
      (member, after, answer) => {
        const record = { ...opened(), failed: ["c", "a"] }
        expect(Circuit.trial(record, member, trial(1, "x"), halfOpenMillis + after)).toEqual(answer)
      }
    )
  })

  describe("ends of trials", () => {
    const at = halfOpenMillis + 10

    it.each(
      [
        ["good", { goodLimit: 1 }, true],
        ["good", { goodLimit: 2 }, false],
        ["bad", { badLimit: 1 }, true],
        ["bad", { badLimit: 2 }, false],
        ["free", { goodLimit: 1, badLimit: 1 }, false]
      ] as const
    )("F8: one that is %s, with limits %o, decides: %s", (result, limits, isDone) => {
      const record = halfOpen("x")
      const ended = trialEnd(1, "x", result, { ...limits, openMillis: 700, openings: 5 })
      expect(Circuit.trialEnd(record, "a", ended, at)).toEqual(isDone ? changed(2) : unchanged(1))
      expect(record.open).toBe(!isDone || result === "bad")
      expect(record.slots).toEqual([])
      const counted = isDone ? [0, 0] : [result === "good" ? 1 : 0, result === "bad" ? 1 : 0]
      expect([record.good, record.bad]).toEqual(counted)
      expect(record.failed).toEqual(result === "bad" ? ["a"] : [])
    })

    it("F8: too many bad ones open it again, for as long as the member says", () => {
      const record = halfOpen("x", "y")
      const ended = { badLimit: 2, openMillis: 700, openings: 5 }
      expect(Circuit.trialEnd(record, "a", trialEnd(1, "x", "bad", ended), at)).toEqual(
        unchanged(1)
      )
      expect(Circuit.trialEnd(record, "b", trialEnd(1, "y", "bad", ended), at)).toEqual(changed(2))
      expect(record).toMatchObject({
        ...nothing,
        open: true,
        untilMillis: at + 700,
        openMillis: 700,
        openings: 5,
        failed: ["a", "b"]
      })
    })

    it("F8: good ones close it, and then none is known to have failed", () => {
      const record = halfOpen("x", "y", "z")
      const limits = { badLimit: 2, goodLimit: 2 }
      Circuit.trialEnd(record, "a", trialEnd(1, "x", "bad", limits), at)
      expect(Circuit.trialEnd(record, "b", trialEnd(1, "y", "good", limits), at)).toEqual(
        unchanged(1)
      )
      expect(Circuit.trialEnd(record, "c", trialEnd(1, "z", "good", limits), at)).toEqual(
        changed(2)
      )
      expect(record).toMatchObject({
        ...nothing,
        open: false,
        untilMillis: 0,
        closedMillis: at,
        failed: [],
        // How often it has opened is forgotten with time, as locally.
        openings: 1,
        openMillis: 1000
      })
    })

    it.each([
      ["of another id", 1, "y", at],
      ["of an epoch before", 0, "x", at],
      ["of an epoch after", 2, "x", at],
      ["at its end", 1, "x", halfOpenMillis + 1000],
      ["after its end", 1, "x", halfOpenMillis + 1001]
    ])("F8: one %s changes nothing", (_, epoch, id, at) => {
      for (const result of ["good", "bad", "free"] as const) {
        const record = halfOpen("x")
        const before = { ...record }
        const limits = { goodLimit: 1, badLimit: 1, wait: 100 }
        expect(Circuit.trialEnd(record, "a", trialEnd(epoch, id, result, limits), at)).toEqual(
          unchanged(1)
        )
        expect(record).toEqual(before)
      }
    })

    it("F8: one millisecond before its end it counts, and once only", () => {
      const record = halfOpen("x", "y", "z")
      const ended = trialEnd(1, "x", "good", { goodLimit: 3 })
      const late = halfOpenMillis + 999
      Circuit.trialEnd(record, "a", ended, late)
      expect(record.good).toBe(1)
      Circuit.trialEnd(record, "a", ended, late)
      expect(record.good).toBe(1)
      expect(record.slots.map(({ id }) => id)).toEqual(["y", "z"])
    })

    it("F8: in a closed circuit none counts", () => {
      const slots = [{ id: "x", untilMillis: now + 1000 }]
      const record = { ...Circuit.circuit("circuit", now), slots }
      const ended = trialEnd(0, "x", "bad", { badLimit: 1 })
      expect(Circuit.trialEnd(record, "a", ended, now)).toEqual(unchanged(0))
      expect(record).toMatchObject({ open: false, bad: 0 })
    })

    it.each(
      [
        ["free", 100, [{ id: "", untilMillis: at + 100 }]],
        ["free", 1, [{ id: "", untilMillis: at + 1 }]],
        ["free", 0, []],
        ["good", 100, []],
        ["bad", 100, []]
      ] as const
    )("F8: the place of one that is %s, told to wait %s ms: %o", (result, wait, kept) => {
      const record = halfOpen("x", "y")
      const limits = { goodLimit: 9, badLimit: 9, wait }
      Circuit.trialEnd(record, "a", trialEnd(1, "x", result, limits), at)
      expect(record.slots).toEqual([{ id: "y", untilMillis: halfOpenMillis + 1000 }, ...kept])
    })

    it("F8: who fails again is known to have failed once, as the latest", () => {
      const record = { ...halfOpen("x"), failed: ["a", "b", "c"] }
      Circuit.trialEnd(record, "b", trialEnd(1, "x", "bad", { badLimit: 2 }), at)
      expect(record.failed).toEqual(["a", "c", "b"])
    })

    it("F14: of those that have failed 32 are known, the latest", () => {
      const known = Array.from({ length: 32 }, (_, index) => `m${index}`)
      const record = { ...halfOpen("x", "y"), failed: known }
      Circuit.trialEnd(record, "m7", trialEnd(1, "x", "bad", { badLimit: 9 }), at)
      expect(record.failed).toHaveLength(32)
      Circuit.trialEnd(record, "new", trialEnd(1, "y", "bad", { badLimit: 9 }), at)
      const others = known.filter((each) => each !== "m7" && each !== "m0")
      expect(record.failed).toEqual([...others, "m7", "new"])
    })
  })
})
