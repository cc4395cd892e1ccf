import { describe, expect, it } from "@effect/vitest"
import * as Machine from "../../src/core/fleetStore.js"
import { membersPage } from "../../src/core/fleetWire.js"
import { batch, count, fleet, memberTimeout } from "./fleet.js"

/** For so long the sequence of a silent member is remembered. */
const rememberedMillis = 12 * memberTimeout

/** The name of one of many members, in their order. */
const memberName = (index: number): string => `m${String(index).padStart(4, "0")}`

/** So many members that have spoken at 0. */
const many = (members: number) => {
  const here = fleet()
  for (let index = 0; index < members; index++) here.says(0, memberName(index))
  return here
}

describe("fleetStore: members", () => {
  it("F4: what is stale is told only that, and pushes nothing to others", () => {
    const state = Machine.make()
    Machine.exchange(state, 0, batch("a", 2, [count(4, 4)], { incarnation: 3, seed: "first" }))
    Machine.exchange(state, 0, batch("b", 1, [{ op: "hold", name: "host", epoch: 0, left: 9 }]))
    const order = { op: "order", name: "api", epoch: 0, order: "ForcedOpen", reset: false } as const
    const late = batch("a", 1, [order], { incarnation: 3, seed: "late" })
    expect(Machine.exchange(state, 1, late)).toEqual([
      {
        v: 1,
        stale: true,
        incarnation: 3,
        seed: "first",
        members: 2,
        version: 0,
        more: false,
        changes: [],
        answers: []
      },
      []
    ])
    expect(state.records.has("api")).toBe(false)
  })

  it.each([
    [1, 9, true],
    [2, 4, true],
    [2, 5, true],
    [2, 6, false],
    [3, 1, false]
  ])("F4: after batch 5 of life 2, of life %s batch %s is stale: %s", (...row) => {
    const [incarnation, sequence, stale] = row
    const { reply } = fleet()
    reply(0, batch("a", 5, [], { incarnation: 2 }))
    const answer = reply(1, batch("a", sequence, [], { incarnation }))
    expect(answer).toMatchObject({ stale, incarnation: stale ? 2 : incarnation })
    // Another member has its own.
    expect(reply(2, batch("b", 1, [])).stale).toBe(false)
  })

  it.each([
    [memberTimeout - 1, 2],
    [memberTimeout, 1],
    [memberTimeout + 1, 1]
  ])("F20: %s ms after the last word of one of two, %s live", (after, living) => {
    const { reply } = fleet()
    reply(0, batch("silent", 1, []))
    reply(1, batch("b", 1, []))
    expect(reply(after, batch("b", 2, [])).members).toBe(living)
  })

  it.each([
    [rememberedMillis - 1, true],
    [rememberedMillis, false],
    [rememberedMillis + 1, false]
  ])("F14: %s ms after its last word a member's sequence is remembered: %s", (after, isStale) => {
    for (const last of [false, true]) {
      const { reply, state } = fleet()
      reply(0, batch("a", 5, [], { last }))
      // Others are heard meanwhile, so that it is among those that are gone.
      reply(memberTimeout, batch("b", 1, []))
      expect([...state.gone.keys()]).toEqual(["a"])
      expect(reply(after, batch("a", 4, [])).stale).toBe(isStale)
    }
  })

  it("F14: of members that are gone the oldest are forgotten, and those after them are not", () => {
    const { reply, state } = many(3)
    reply(1000, batch("late", 1, []))
    reply(rememberedMillis - 1, batch("b", 1, []))
    expect([...state.gone.keys()]).toEqual(["m0000", "m0001", "m0002", "late"])
    reply(rememberedMillis, batch("b", 2, []))
    expect([...state.gone.keys()]).toEqual(["late"])
  })

  it("F20: a member that comes back lives, and is not among those that are gone", () => {
    const { reply, state } = fleet()
    reply(0, batch("a", 1, [], { last: true }))
    expect([...state.living.keys(), ...state.gone.keys()]).toEqual(["a"])
    expect(reply(1, batch("a", 2, [])).members).toBe(1)
    expect([[...state.living.keys()], [...state.gone.keys()]]).toEqual([["a"], []])
  })

  describe("pages", () => {
    const page = (members: number, after: string) => {
      const here = many(members)
      return here.asks(5, memberName(0), "members", { op: "members", after })
    }

    const labels = (answer: ReturnType<typeof page>) => answer.list.map(([label]) => label)

    it.each([
      [1, 1, ""],
      [membersPage - 1, membersPage - 1, ""],
      [membersPage, membersPage, ""],
      [membersPage + 1, membersPage, memberName(membersPage - 1)],
      [3 * membersPage, membersPage, memberName(membersPage - 1)]
    ])("F20: of %s living members the first page lists %s, the next begins at %o", (...row) => {
      const [members, listed, next] = row
      const answer = page(members, "")
      expect(answer.next).toBe(next)
      expect(labels(answer)).toEqual(Array.from({ length: listed }, (_, n) => memberName(n)))
    })

    it("F20: a page begins after a name, whether that one still lives or not", () => {
      expect(labels(page(4, memberName(1)))).toEqual([memberName(2), memberName(3)])
      expect(labels(page(4, `${memberName(1)}x`))).toEqual([memberName(2), memberName(3)])
      expect(page(2 * membersPage, memberName(membersPage - 1))).toMatchObject({ next: "" })
    })

    it("F20: after the last name comes nothing more", () => {
      for (const members of [2, membersPage + 1]) {
        for (const after of [memberName(members - 1), "z"]) {
          expect(page(members, after)).toEqual({ op: "members", list: [], next: "" })
        }
      }
    })

    it("F20: a member is listed by its label, with its last word and its circuits", () => {
      const { asks, reply } = fleet()
      const circuits = [["api", "Open"]] as const
      reply(10, batch("b", 1, [], { label: "pod-b", circuits }))
      reply(20, batch("a", 1, [], { label: "pod-a" }))
      expect(asks(25, "c", "members", { op: "members", after: "" }).list).toEqual([
        ["pod-a", 5, []],
        ["pod-b", 15, circuits],
        ["c", 0, []]
      ])
    })
  })

  it("F21: time goes on with the clock, and stands where that steps back", () => {
    const state = Machine.make()
    const passed: Array<number> = []
    for (const [index, clock] of [500, 600, 601, 100, 100, 130, 9130].entries()) {
      Machine.exchange(state, clock, batch("a", index + 1, []))
      passed.push(state.nowMillis)
    }
    expect(passed).toEqual([0, 100, 101, 101, 101, 131, 9131])
  })
})
