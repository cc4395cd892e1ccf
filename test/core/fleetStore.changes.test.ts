import { describe, expect, it } from "@effect/vitest"
import * as Machine from "../../src/core/fleetStore.js"
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

const hour = 3_600_000

const hold = (name: string, left = 100): Wire.Hold => ({ op: "hold", name, epoch: 0, left })
const close = (epoch: number): Wire.Close => ({ op: "close", name: "circuit", epoch })

const order = (order: Wire.FleetOrder): Wire.OrderCommand => ({
  op: "order",
  name: "orders",
  epoch: 0,
  order,
  reset: false
})

const isolate = (id: string): Wire.Isolate => ({
  op: "isolate",
  name: "orders",
  epoch: 0,
  id,
  hold: 1000
})

const release = (id: string): Wire.Release => ({ op: "release", name: "orders", epoch: 0, id })
const probe = (id: string): Wire.Probe => ({ op: "probe", name: "host", id, timeout: 500 })
const probeEnd = (id: string): Wire.ProbeEnd => ({ op: "probeEnd", name: "host", id, serves: true })

/** A store, and what one member's batches push to all. */
const pushing = () => {
  const state = Machine.make()
  let sequence = 0
  return {
    state,
    says: (at: number, ...commands: ReadonlyArray<Wire.Command>) =>
      Machine.exchange(state, at, batch("a", ++sequence, commands))
  }
}

const openView = {
  kind: "circuit",
  name: "circuit",
  epoch: 1,
  open: true,
  left: 1000,
  openings: 1,
  openMillis: 1000,
  closedFor: 0
} as const

describe("fleetStore: changes", () => {
  describe("seeds", () => {
    it("F9: a store that knows nothing takes the seed of the first batch, and keeps it", () => {
      const { reply } = fleet()
      expect(reply(0, batch("a", 1, [], { seed: "first" })).seed).toBe("first")
      expect(reply(1, batch("b", 1, [], { seed: "second" })).seed).toBe("first")
      expect(reply(2, batch("a", 2, [], { seed: "third" })).seed).toBe("first")
    })

    it.each([
      ["first", 2, []],
      ["first", 1, ["two"]],
      ["first", 0, ["one", "two"]],
      // Of another store's versions, and of ones that this store has not come to.
      ["another", 2, ["one", "two"]],
      ["another", 1, ["one", "two"]],
      ["", 2, ["one", "two"]],
      ["first", 3, ["one", "two"]],
      ["another", 3, ["one", "two"]]
    ])("F9: who knows seed %o up to version %s hears of %o", (knows, since, names) => {
      const { reply } = fleet()
      reply(0, batch("a", 1, [hold("one"), hold("two")], { seed: "first" }))
      const { changes, more, version } = reply(1, batch("b", 1, [], { knows, since }))
      expect(changes.map(({ name }) => name)).toEqual(names)
      expect([more, version]).toEqual([false, 2])
    })

    it("F17: where nothing was told of yet a member that joins hears nothing", () => {
      const { says } = fleet()
      expect(says(0, "a", count(1, 0))).toMatchObject({ changes: [], more: false, version: 0 })
    })

    it("F2: of more changes than a reply has, it says up to which it tells", () => {
      const { reply, says } = fleet()
      const all = Array.from({ length: 201 }, (_, index) => hold(`host ${index}`))
      says(0, "a", ...all.slice(0, 200))
      const first = reply(1, batch("b", 1, []))
      expect([first.changes.length, first.more, first.version]).toEqual([200, false, 200])
      says(1, "a", ...all.slice(200))
      const second = reply(1, batch("b", 2, []))
      expect([second.changes.length, second.more, second.version]).toEqual([200, true, 200])
      expect(second.changes.at(-1)).toMatchObject({ name: "host 199" })
    })

    it("F2: a record that changes again is told of once, after the others", () => {
      const { says } = fleet()
      says(0, "a", hold("one", 100), hold("two", 100), hold("one", 200))
      const { changes, version } = says(0, "b")
      expect(changes).toMatchObject([{ name: "two", left: 100 }, { name: "one", left: 200 }])
      expect(version).toBe(3)
    })
  })

  describe("pushes", () => {
    it("F7: an opening is pushed to all, once, and counts are not", () => {
      const { says } = pushing()
      expect(says(0, count(4, 4))[1]).toEqual([])
      expect(says(0, open(0))[1]).toEqual([{ fleet: "fleet", changes: [openView] }])
      const [reply, pushes] = says(1, open(0), count(1, 1, { epoch: 1 }), trial(1, "x"))
      expect([reply.version, pushes]).toEqual([1, []])
    })

    it("F2: what changes in one batch is pushed at once, each record as it is then", () => {
      const { says } = pushing()
      const [, pushes] = says(0, hold("host", 100), order("Disabled"), hold("host", 300))
      expect(pushes).toEqual([{
        fleet: "fleet",
        changes: [
          { kind: "cooldown", name: "host", epoch: 2, held: true, left: 300 },
          {
            kind: "order",
            name: "orders",
            epoch: 1,
            order: "Disabled",
            resets: 0,
            isolated: 0
          }
        ]
      }])
    })

    it("F2: limits and lists are of one member alone: they are not pushed", () => {
      const { says } = pushing()
      const [reply, pushes] = says(0, tokens(), permits(0, 1), { op: "members", after: "" })
      expect([reply.version, reply.changes, pushes]).toEqual([0, [], []])
    })

    const closedView = { open: false, left: 0, openings: 0, openMillis: 0, closedFor: 0 }
    const orders = { kind: "order", name: "orders", epoch: 2, order: "None", resets: 0 }

    it.each<readonly [string, Wire.Command, Wire.Command, object]>([
      ["a close", open(0), close(1), { ...openView, ...closedView, epoch: 2 }],
      ["a second order", order("Disabled"), order("None"), { ...orders, isolated: 0 }],
      ["a second isolation", isolate("x"), isolate("y"), { ...orders, isolated: 1000 }],
      ["a release", isolate("x"), release("x"), { ...orders, isolated: 0 }]
    ])("F10: %s is told of, in the epoch after the one before", (_, first, second, view) => {
      const { says } = pushing()
      says(0, first)
      const [reply, pushes] = says(0, second)
      expect(pushes).toEqual([{ fleet: "fleet", changes: [view] }])
      expect([reply.version, reply.changes]).toEqual([2, [view]])
    })

    it("F8, F12: the ends of trials are told of where they decide", () => {
      const { says } = pushing()
      says(0, open(0, 10), hold("host", 10))
      expect(says(10, trial(1, "x"), probe("y"))[1]).toEqual([])
      expect(says(10, probeEnd("unknown"), trialEnd(1, "unknown", "good"))[1]).toEqual([])
      const [, pushes] = says(11, trialEnd(1, "x", "good", { goodLimit: 1 }), probeEnd("y"))
      expect(pushes).toMatchObject([{
        changes: [
          { name: "circuit", epoch: 2, open: false },
          { name: "host", epoch: 2, held: false }
        ]
      }])
    })
  })

  describe("what is put back", () => {
    const views = [
      { ...openView, epoch: 4 },
      {
        kind: "order",
        name: "orders",
        epoch: 4,
        order: "ForcedOpen",
        resets: 2,
        isolated: 0
      },
      { kind: "cooldown", name: "host", epoch: 4, held: true, left: 1000 }
    ] as const

    it("F9: an empty store takes what is open, held and ordered, and tells all", () => {
      for (const view of views) {
        const { says } = pushing()
        const [reply, pushes] = says(0, { op: "known", view })
        expect(reply.answers).toEqual([{ op: "known" }])
        expect([reply.changes, pushes]).toEqual([[view], [{ fleet: "fleet", changes: [view] }]])
      }
    })

    it("F9: what a store has in the same epoch or a later one it does not tell again", () => {
      for (const view of views) {
        for (const epoch of [3, 4]) {
          const { says } = pushing()
          says(0, { op: "known", view })
          const [reply, pushes] = says(0, { op: "known", view: { ...view, epoch } })
          expect([reply.version, reply.changes, pushes]).toEqual([1, [view], []])
        }
      }
    })
  })

  describe("records of another kind", () => {
    it("F15: a record is dropped whole by a command for another kind, and told of no more", () => {
      const { says, state } = pushing()
      says(0, hold("line"))
      const [reply] = says(1, tokens())
      expect(reply.changes).toEqual([])
      expect(state.records.get("line")).toMatchObject({ kind: "line" })
      expect(state.changes.size).toBe(0)
    })

    it("F15: one in its place begins anew, and is told of although its epoch is lower", () => {
      const { says } = pushing()
      says(0, { op: "known", view: { ...openView, epoch: 9 } })
      const [reply, pushes] = says(1, hold("circuit"))
      const view = { kind: "cooldown", name: "circuit", epoch: 1, held: true, left: 100 }
      expect([reply.changes, pushes]).toEqual([[view], [{ fleet: "fleet", changes: [view] }]])
    })
  })

  describe("expiry", () => {
    /** Names that are looked at before those that come after them, and outlast them. */
    const older = ["w", "x", "y", "z"].map((name) => hold(name, 100 * hour))

    /** When a record expires that holds for so long, and was written at 0. */
    const end = (left: number) => left + hour

    it.each([
      [end(100) - 1, 1],
      [end(100), 0],
      [end(100) + 1, 0]
    ])("F14: a record is forgotten at its expiry: of one, %s ms later there are %s", (at, left) => {
      const { says, state } = pushing()
      says(0, hold("host", 100))
      says(at)
      expect([state.records.size, state.changes.size]).toEqual([left, left])
    })

    it("F14: an exchange looks at four records, and the next at the others", () => {
      const { says, state } = pushing()
      says(0, ...older, hold("one"), hold("two"), hold("three"), hold("four"), hold("five"))
      says(end(100))
      expect(state.records.size).toBe(9)
      says(end(100))
      expect([...state.records.keys()]).toEqual(["five", "w", "x", "y", "z"])
      says(end(100))
      expect([...state.records.keys()].sort()).toEqual(["w", "x", "y", "z"])
    })

    it.each([
      [end(100) - 1, 2],
      [end(100), 1],
      [end(100) + 1, 1]
    ])(
      "F14: one that has expired is not gone on with: written %s ms later it is epoch %s",
      (...row) => {
        const [at, epoch] = row
        const { says, state } = pushing()
        says(0, ...older, hold("host", 100))
        const [reply, pushes] = says(at, hold("host", 5000))
        expect(reply.answers).toEqual([{ op: "done", epoch, done: true }])
        const view = { kind: "cooldown", name: "host", epoch, held: true, left: 5000 }
        expect(pushes).toEqual([{ fleet: "fleet", changes: [view] }])
        expect(state.changes.get("host")).toBe(state.records.get("host"))
      }
    )

    it("F14: a record that is written again is kept for longer, never for less", () => {
      const { says, state } = pushing()
      says(0, hold("host", 1000))
      expect(state.records.get("host")?.expiresMillis).toBe(end(1000))
      says(10, probe("x"))
      expect(state.records.get("host")?.expiresMillis).toBe(end(1000))
      says(2000, probe("x"))
      expect(state.records.get("host")?.expiresMillis).toBe(2000 + hour)
      says(3000, open(0, 9000))
      says(3001, close(1))
      expect(state.records.get("circuit")?.expiresMillis).toBe(end(12_000))
    })
  })

  it("F6, F13: what a member says of counts and permits holds for its own timeout", () => {
    const state = Machine.make()
    const asks = (at: number, member: string, memberTimeout: number, ...of: Array<Wire.Command>) =>
      Machine.exchange(state, at, batch(member, at + 1, of, { memberTimeout }))[0].answers
    asks(0, "a", 100, count(4, 4), permits(0, 3))
    const others = [count(0, 0), permits(0, 1)] as const
    expect(asks(99, "b", memberTimeout, ...others)).toMatchObject([{ calls: 4 }, { fair: 4 }])
    expect(state.records.get("permits")).toMatchObject({ held: 4 })
    expect(asks(100, "b", memberTimeout, ...others)).toMatchObject([{ calls: 0 }, { fair: 4 }])
    expect(state.records.get("permits")).toMatchObject({ held: 1 })
  })
})
