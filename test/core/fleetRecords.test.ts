import { describe, expect, it } from "@effect/vitest"
import * as Records from "../../src/core/fleetRecords.js"
import type * as Wire from "../../src/core/fleetWire.js"

const now = 10_000

/** The answer to a command that has changed a record, and to one that has not. */
const changed = (epoch: number) => ({ op: "done", epoch, done: true })
const unchanged = (epoch: number) => ({ op: "done", epoch, done: false })

const granted = (epoch: number) => ({ op: "lease", epoch, granted: true, left: 0 })
const denied = (epoch: number, left: number) => ({ op: "lease", epoch, granted: false, left })

describe("fleetRecords", () => {
  describe("orders", () => {
    const order = (
      order: Wire.FleetOrder,
      changes: Partial<Wire.OrderCommand> = {}
    ): Wire.OrderCommand => ({
      op: "order",
      name: "api",
      epoch: 0,
      order,
      reset: false,
      ...changes
    })

    const isolate = (id: string, hold: number, epoch = 0): Wire.Isolate => ({
      op: "isolate",
      name: "api",
      epoch,
      id,
      hold
    })

    const release = (id: string, epoch = 0): Wire.Release => ({
      op: "release",
      name: "api",
      epoch,
      id
    })

    it("F10: a name that no operator spoke of has no order", () => {
      expect(Records.ordered("api", now)).toEqual({
        kind: "order",
        name: "api",
        expiresMillis: now,
        version: 0,
        epoch: 0,
        order: "None",
        resets: 0,
        handles: []
      })
    })

    it("F10: the last order replaces the one before, and a reset counts once", () => {
      const record = Records.ordered("api", now)
      expect(Records.order(record, order("ForcedOpen"))).toEqual(changed(1))
      expect(Records.order(record, order("Disabled", { reset: true }))).toEqual(changed(2))
      expect(Records.order(record, order("None"))).toEqual(changed(3))
      expect([record.order, record.resets]).toEqual(["None", 1])
    })

    it.each([[0, 6], [4, 6], [5, 6], [6, 7], [90, 91]])(
      "F9: an order of a member that knows epoch %s is epoch %s, where the store has 5",
      (known, epoch) => {
        const record = { ...Records.ordered("api", now), epoch: 5 }
        expect(Records.order(record, order("ForcedOpen", { epoch: known }))).toEqual(changed(epoch))
        const isolated = { ...Records.ordered("api", now), epoch: 5 }
        expect(Records.isolate(isolated, isolate("x", 100, known), now)).toEqual(changed(epoch))
        expect(Records.release(isolated, release("x", 0), now)).toEqual(changed(epoch + 1))
      }
    )

    it("F10: an isolation that is said again holds from then on, in place of itself", () => {
      const record = Records.ordered("api", now)
      Records.isolate(record, isolate("x", 1000), now)
      Records.isolate(record, isolate("y", 3000), now)
      expect(Records.isolate(record, isolate("x", 1000), now + 500)).toEqual(changed(3))
      expect(record.handles).toEqual([
        { id: "y", untilMillis: now + 3000 },
        { id: "x", untilMillis: now + 1500 }
      ])
      // One that is said again for less holds for less.
      Records.isolate(record, isolate("y", 10), now + 500)
      expect(Records.viewOf(record, now + 500)).toMatchObject({ isolated: 1000 })
    })

    it("F14: isolations that have ended are kept no longer than to the next command", () => {
      const record = Records.ordered("api", now)
      Records.isolate(record, isolate("x", 1000), now)
      Records.isolate(record, isolate("y", 1001), now)
      Records.isolate(record, isolate("z", 1), now + 1000)
      expect(record.handles.map(({ id }) => id)).toEqual(["y", "z"])
      Records.release(record, release("unknown"), now + 1001)
      expect(record.handles).toEqual([])
    })

    it.each([
      ["one millisecond before its end", 999, true],
      ["at its end", 1000, false],
      ["after its end", 1001, false]
    ])("F10: a release %s (after %s ms) is told of: %s", (_, after, isTold) => {
      const record = Records.ordered("api", now)
      Records.isolate(record, isolate("x", 1000), now)
      const answer = Records.release(record, release("x", 7), now + after)
      expect(answer).toEqual(isTold ? changed(8) : unchanged(1))
      expect(record.handles).toEqual([])
    })

    it("F10: who releases what it does not hold changes nothing", () => {
      const record = Records.ordered("api", now)
      expect(Records.release(record, release("x"), now)).toEqual(unchanged(0))
      Records.isolate(record, isolate("y", 1000), now)
      expect(Records.release(record, release("x"), now)).toEqual(unchanged(1))
      expect(Records.release(record, release("y"), now)).toEqual(changed(2))
      expect(Records.release(record, release("y"), now)).toEqual(unchanged(2))
    })

    it("F10: members hear for how long the longest isolation holds yet, 0 at least", () => {
      const record = Records.ordered("api", now)
      Records.order(record, order("ForcedClosed", { reset: true }))
      const view = { kind: "order", name: "api", order: "ForcedClosed", resets: 1 }
      expect(Records.viewOf(record, now)).toEqual({ ...view, epoch: 1, isolated: 0 })
      Records.isolate(record, isolate("long", 1000), now)
      Records.isolate(record, isolate("short", 10), now)
      for (const [after, isolated] of [[0, 1000], [999, 1], [1000, 0], [1001, 0]] as const) {
        expect(Records.viewOf(record, now + after)).toEqual({ ...view, epoch: 3, isolated })
      }
    })
  })

  describe("cooldowns", () => {
    const hold = (left: number, epoch = 0): Wire.Hold => ({ op: "hold", name: "host", epoch, left })
    const probe = (id: string): Wire.Probe => ({ op: "probe", name: "host", id, timeout: 500 })
    const probeEnd = (id: string, serves: boolean): Wire.ProbeEnd => ({
      op: "probeEnd",
      name: "host",
      id,
      serves
    })

    /** A cooldown of 1000 ms, of epoch 1. */
    const held = () => {
      const record = Records.cooldown("host", now)
      Records.hold(record, hold(1000), now)
      return record
    }

    /** One whose trial `x` began with its end, and is held for 500 ms. */
    const tried = () => {
      const record = held()
      Records.probe(record, probe("x"), now + 1000)
      return record
    }

    it("F12: a name that was never told to wait is not held", () => {
      const record = Records.cooldown("host", now)
      expect(record).toEqual({
        kind: "cooldown",
        name: "host",
        expiresMillis: now,
        version: 0,
        epoch: 0,
        held: false,
        untilMillis: now,
        trial: undefined
      })
      expect(Records.viewOf(record, now + 5)).toEqual({
        kind: "cooldown",
        name: "host",
        epoch: 0,
        held: false,
        left: 0
      })
    })

    it.each([[998, 1000, false], [999, 1000, false], [1000, 1001, true]])(
      "F12: the end furthest off counts: another of %s ms, one later, leaves an end at %s",
      (left, end, isFurther) => {
        const record = held()
        const answer = Records.hold(record, hold(left), now + 1)
        expect(answer).toEqual(isFurther ? changed(2) : unchanged(1))
        expect(record).toMatchObject({ held: true, untilMillis: now + end })
        expect(Records.viewOf(record, now + 1)).toMatchObject({ held: true, left: end - 1 })
      }
    )

    it("F12: what held before does not lengthen what holds after a success", () => {
      const record = { ...held(), held: false, untilMillis: now + 9000 }
      expect(Records.hold(record, hold(10), now)).toEqual(changed(2))
      expect(record).toMatchObject({ held: true, untilMillis: now + 10 })
    })

    it("F9: a hold by a member that knows a later epoch is later than that", () => {
      const record = Records.cooldown("host", now)
      expect(Records.hold(record, hold(10, 6), now)).toEqual(changed(7))
      expect(Records.hold(record, hold(20, 3), now)).toEqual(changed(8))
    })

    it("F12: a hold during the trial takes its place, also one that ends no later", () => {
      for (const [left, until] of [[100, now + 1200], [0, now + 1100]] as const) {
        const record = tried()
        expect(Records.hold(record, hold(left), now + 1100)).toEqual(changed(2))
        expect(record).toMatchObject({ held: true, untilMillis: until, trial: undefined })
        expect(Records.probeEnd(record, probeEnd("x", true), now + 1101)).toEqual(unchanged(2))
        expect(record.held).toBe(true)
      }
    })

    it("F12: where an end lies beyond that of the trial's hold, it stays", () => {
      const record = { ...held(), trial: { id: "x", untilMillis: now + 500 } }
      expect(Records.hold(record, hold(10), now)).toEqual(changed(2))
      expect(record).toMatchObject({ untilMillis: now + 1000, trial: undefined })
    })

    it("F12: there is a trial once the end has passed, one for the whole fleet", () => {
      const free = Records.cooldown("host", now)
      expect(Records.probe(free, probe("x"), now)).toEqual(denied(0, 0))
      expect(free.trial).toBe(undefined)
      const record = held()
      expect(Records.probe(record, probe("x"), now)).toEqual(denied(1, 1000))
      expect(Records.probe(record, probe("x"), now + 999)).toEqual(denied(1, 1))
      expect(Records.probe(record, probe("x"), now + 1000)).toEqual(granted(1))
      expect(record.trial).toEqual({ id: "x", untilMillis: now + 1500 })
      expect(Records.probe(record, probe("y"), now + 1000)).toEqual(denied(1, 500))
      expect(Records.probe(record, probe("y"), now + 1499)).toEqual(denied(1, 1))
      expect(Records.probe(record, probe("y"), now + 1500)).toEqual(granted(1))
      expect(record.trial).toEqual({ id: "y", untilMillis: now + 2000 })
    })

    it.each([
      ["x", 1499, true, changed(2)],
      ["x", 1500, true, unchanged(1)],
      ["x", 1501, true, unchanged(1)],
      ["y", 1499, true, unchanged(1)],
      ["x", 1499, false, unchanged(1)]
    ])("F12: the end of trial %s after %s ms, which serves: %s, answers %o", (...row) => {
      const [id, after, serves, answer] = row
      const record = tried()
      expect(Records.probeEnd(record, probeEnd(id, serves), now + after)).toEqual(answer)
      expect(record.held).toBe(!answer.done)
    })

    it("F12: a trial that serves clears all; after one that does not the next is the trial", () => {
      const served = tried()
      Records.probeEnd(served, probeEnd("x", true), now + 1001)
      expect(served).toMatchObject({ held: false, trial: undefined })
      expect(Records.viewOf(served, now + 1001)).toMatchObject({ held: false, left: 0 })
      expect(Records.probeEnd(served, probeEnd("x", true), now + 1002)).toEqual(unchanged(2))
      const failed = tried()
      Records.probeEnd(failed, probeEnd("x", false), now + 1001)
      expect(failed).toMatchObject({ held: true, trial: undefined, epoch: 1 })
      expect(Records.probe(failed, probe("y"), now + 1001)).toEqual(granted(1))
    })

    it("F16: of a trial that has lost its place the end leaves the place of the next", () => {
      const record = tried()
      Records.probe(record, probe("y"), now + 1500)
      Records.probeEnd(record, probeEnd("x", true), now + 1501)
      expect(record).toMatchObject({ held: true, trial: { id: "y" } })
    })
  })

  describe("views", () => {
    it("F9: of a circuit they say how long it is open yet, or closed for how long", () => {
      const record = Records.circuit("api", now)
      const view = { kind: "circuit", name: "api" }
      const closed = { open: false, left: 0, openings: 0, openMillis: 0 }
      expect(Records.viewOf(record, now)).toEqual({ ...view, ...closed, epoch: 0, closedFor: 0 })
      expect(Records.viewOf(record, now + 7)).toEqual({
        ...view,
        ...closed,
        epoch: 0,
        closedFor: 7
      })
      Records.open(record, { op: "open", name: "api", epoch: 0, openMillis: 30, openings: 2 }, now)
      const open = { open: true, openings: 2, openMillis: 30, closedFor: 0 }
      for (const [after, left] of [[0, 30], [30, 0], [31, -1]] as const) {
        expect(Records.viewOf(record, now + after)).toEqual({ ...view, ...open, epoch: 1, left })
      }
    })

    const circuit = (changes: Partial<Extract<Wire.View, { readonly kind: "circuit" }>> = {}) => ({
      kind: "circuit" as const,
      name: "api",
      epoch: 5,
      open: true,
      left: 300,
      openings: 3,
      openMillis: 1000,
      closedFor: 0,
      ...changes
    })

    const order = (epoch: number, resets: number) => ({
      kind: "order" as const,
      name: "api",
      epoch,
      order: "Disabled" as const,
      resets,
      isolated: 700
    })

    const cooldown = (held: boolean, left: number, epoch = 5) => ({
      kind: "cooldown" as const,
      name: "api",
      epoch,
      held,
      left
    })

    it.each([[4, true], [5, false], [6, false]])(
      "F9: the higher epoch wins: in a store that has epoch %s one of 5 is taken over: %s",
      (epoch, isTaken) => {
        for (const view of [circuit(), order(5, 1), cooldown(true, 100)]) {
          const record = view.kind === "circuit"
            ? { ...Records.circuit("api", now), epoch }
            : view.kind === "order"
            ? { ...Records.ordered("api", now), epoch }
            : { ...Records.cooldown("api", now), epoch }
          const before = Records.viewOf(record, now)
          expect(Records.adopt(record, view, now)).toBe(isTaken)
          expect(record.epoch).toBe(isTaken ? 5 : epoch)
          if (!isTaken) expect(Records.viewOf(record, now)).toEqual(before)
        }
      }
    )

    it("F15: what speaks of another kind of record changes nothing", () => {
      const make = [Records.circuit, Records.ordered, Records.cooldown]
      for (const view of [circuit(), order(5, 1), cooldown(true, 100)]) {
        for (const record of make.map((each) => each("api", now))) {
          if (record.kind === view.kind) continue
          const before = { ...record }
          expect(Records.adopt(record, view, now)).toBe(false)
          expect(record).toEqual(before)
        }
      }
    })

    it("F9: an open circuit is put back whole, with nothing said and no trial", () => {
      const record = Records.circuit("api", now)
      const said = { calls: 4, failures: 4, slow: 4, failing: true, slowing: true }
      Records.count(record, "a", { op: "count", name: "api", epoch: 0, ...said }, 5000, now)
      expect(Records.adopt(record, circuit(), now + 50)).toBe(true)
      expect(record).toEqual({
        ...Records.circuit("api", now),
        epoch: 5,
        open: true,
        untilMillis: now + 350,
        openings: 3,
        openMillis: 1000,
        closedMillis: now + 50
      })
      expect(Records.viewOf(record, now + 50)).toEqual(circuit())
    })

    it("F9: so is one that is half-open, for as long as it is", () => {
      const record = Records.circuit("api", now)
      Records.adopt(record, circuit({ left: -200 }), now)
      expect(Records.viewOf(record, now)).toEqual(circuit({ left: -200 }))
    })

    it("F9: of a closed circuit its openings and its time are put back", () => {
      const record = Records.circuit("api", now)
      const view = circuit({ open: false, left: 0, closedFor: 4000 })
      Records.adopt(record, view, now + 50)
      expect(record).toMatchObject({ open: false, untilMillis: 0, closedMillis: now - 3950 })
      expect(Records.viewOf(record, now + 50)).toEqual(view)
    })

    it.each([[0, 3, 3], [3, 3, 3], [4, 3, 4]])(
      "F10: an order is put back; of %s resets and %s known the greater number counts, %s",
      (resets, known, greater) => {
        const handles = [{ id: "x", untilMillis: now + 10 }]
        const record = { ...Records.ordered("api", now), resets, handles }
        expect(Records.adopt(record, order(5, known), now)).toBe(true)
        // Who isolates says so itself, as long as it does.
        expect(record).toEqual({
          ...Records.ordered("api", now),
          epoch: 5,
          order: "Disabled",
          resets: greater,
          handles
        })
      }
    )

    it.each([
      ["not held", "held for 300", false, 0, true, 300, true, 300],
      ["not held", "not held", false, 900, false, 0, false, 0],
      ["held for 200", "held for 300", true, 200, true, 300, true, 300],
      ["held for 400", "held for 300", true, 400, true, 300, true, 400],
      ["held for 200", "not held", true, 200, false, 0, true, 200],
      ["over for 200", "not held", true, -200, false, 0, true, 0],
      ["over for 200", "over for 100", true, -200, true, -100, true, -100]
    ])(
      "F12: a cooldown that is %s takes over one that is %s, with the end furthest off",
      (...row) => {
        const [, , isHeld, left, isKnownHeld, knownLeft, held, end] = row
        const record = {
          ...Records.cooldown("api", now),
          held: isHeld,
          untilMillis: now + left,
          trial: { id: "x", untilMillis: now + 500 }
        }
        expect(Records.adopt(record, cooldown(isKnownHeld, knownLeft), now)).toBe(true)
        expect(record).toEqual({
          ...Records.cooldown("api", now),
          epoch: 5,
          held,
          untilMillis: now + end,
          trial: undefined
        })
      }
    )
  })
})
