import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as FleetReply from "../../src/core/fleetReply.js"
import { runs } from "../support/runs.js"

type Fields = Readonly<Record<string, unknown>>

interface Values {
  readonly accepted: ReadonlyArray<unknown>
  /** Values that are left out; `undefined` stands for a field that is missing. */
  readonly hostile: ReadonlyArray<unknown>
}

const countMax = 2 ** 50
const spanMax = 3.2e12
const text = (length: number): string => "x".repeat(length)
const noNumbers = [undefined, null, true, "", "5", [], [5], {}, NaN, Infinity, -Infinity]

const types = {
  text: {
    accepted: ["", "name", text(512)],
    hostile: [undefined, null, true, 5, [], ["name"], {}, { length: 1 }, text(513)]
  },
  count: {
    accepted: [0, 1, countMax],
    hostile: [...noNumbers, -1, 0.5, countMax + 1, 2 ** 53]
  },
  span: {
    accepted: [0, 0.5, -0.5, spanMax, -spanMax],
    hostile: [...noNumbers, spanMax + 1, -spanMax - 1]
  },
  spanAhead: {
    accepted: [0, 0.5, spanMax],
    hostile: [...noNumbers, -0.5, -spanMax, spanMax + 1]
  },
  boolean: {
    accepted: [true, false],
    hostile: [undefined, null, 0, 1, "true", "", [], {}]
  },
  order: {
    accepted: ["None", "ForcedOpen", "ForcedClosed", "Disabled"],
    hostile: [undefined, null, 0, "", "none", "Closed", "Isolated", ["None"], {}]
  }
} as const satisfies Readonly<Record<string, Values>>

type Type = keyof typeof types
type Shape = Readonly<Record<string, Type>>

const views: Readonly<Record<string, Shape>> = {
  circuit: {
    name: "text",
    epoch: "count",
    open: "boolean",
    left: "span",
    openings: "count",
    openMillis: "spanAhead",
    closedFor: "spanAhead"
  },
  order: {
    name: "text",
    epoch: "count",
    order: "order",
    resets: "count",
    isolated: "spanAhead"
  },
  cooldown: { name: "text", epoch: "count", held: "boolean", left: "span" }
}

const answers: Readonly<Record<string, Shape>> = {
  count: {
    epoch: "count",
    calls: "count",
    failures: "count",
    slow: "count",
    members: "count",
    failing: "count",
    slowing: "count",
    heard: "count"
  },
  done: { epoch: "count", done: "boolean" },
  lease: { epoch: "count", granted: "boolean", left: "spanAhead" },
  tokens: { granted: "count", booked: "count", due: "spanAhead" },
  permits: { granted: "count", fair: "count" },
  members: { next: "text" },
  known: {}
}

/** A readable value of a shape. */
const sample = (shape: Shape): Fields =>
  Object.fromEntries(Object.entries(shape).map(([field, type]) => [field, types[type].accepted[1]]))

const without = (fields: Fields, name: string): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([field]) => field !== name))

/** The same with another value in one field, or without it. */
const changed = (fields: Fields, field: string, value: unknown): Fields =>
  value === undefined ? without(fields, field) : { ...fields, [field]: value }

const view = (kind: string): Fields => ({ kind, ...sample(views[kind] ?? {}) })

const answer = (op: string): Fields => ({
  op,
  ...sample(answers[op] ?? {}),
  ...op === "members" ? { list: [["id", 5, [["circuit", "Open"]]]] } : {}
})

const head: Shape = {
  stale: "boolean",
  incarnation: "count",
  seed: "text",
  members: "count",
  version: "count",
  more: "boolean"
}

const reply: Fields = { v: 1, ...sample(head), changes: [], answers: [] }

const readReply = (changes: Fields, commands = 200) =>
  FleetReply.reply({ ...reply, ...changes }, commands)

const readAnswers = (answers: ReadonlyArray<unknown>) => readReply({ answers })

const readViews = (changes: unknown) => FleetReply.push({ fleet: "fleet", changes }, "fleet")

const fieldsOf = (shapes: Readonly<Record<string, Shape>>) =>
  Object.entries(shapes).flatMap(([name, shape]) =>
    Object.entries(shape).map(([field, type]) => [name, field, type] as const)
  )

/** What is no object with fields of its own at all. */
const noFields: ReadonlyArray<unknown> = [undefined, null, 5, NaN, true, "text", "", [], [[]]]

/** Names of a case that are none, among them what every object inherits. */
const noNames = [
  undefined,
  null,
  5,
  "",
  "newer",
  "toString",
  "constructor",
  "hasOwnProperty",
  "__proto__",
  "__defineGetter__",
  {}
]

describe("views", () => {
  it.each(fieldsOf(views))("F15: %s.%s is let in up to its bounds", (kind, field, type) => {
    const told = types[type].accepted.map((value) => changed(view(kind), field, value))
    expect(readViews(told)).toEqual({ value: told, unreadable: 0 })
    expect(readReply({ changes: told }))
      .toEqual({ value: { ...reply, changes: told }, unreadable: 0 })
  })

  it.each(fieldsOf(views))("F15: %s.%s of no use is left out and counted", (kind, field, type) => {
    const { hostile } = types[type]
    for (const value of hostile) {
      const told = [view("order"), changed(view(kind), field, value), view(kind)]
      expect([value, readViews(told)])
        .toEqual([value, { value: [view("order"), view(kind)], unreadable: 1 }])
    }
    const all = hostile.map((value) => changed(view(kind), field, value))
    expect(readReply({ changes: all })).toEqual({ value: reply, unreadable: hostile.length })
  })

  it("F15: what is no view, or of an unknown kind, is left out and counted", () => {
    const kinds = [...noNames, "count", ["circuit"]].flatMap((kind) =>
      Object.keys(views).map((name) => changed(view(name), "kind", kind))
    )
    const told = [...noFields, ...kinds, [view("circuit")]]
    expect(readViews(told)).toEqual({ value: [], unreadable: told.length })
  })

  it("F15: an own field counts, an inherited one does not make a kind", () => {
    const inherited: unknown = JSON.parse(`{"__proto__":${JSON.stringify(view("cooldown"))}}`)
    expect(readViews([inherited])).toEqual({ value: [], unreadable: 1 })
  })

  it("F15: fields of a newer store do no harm", () => {
    const newer = { ...view("cooldown"), newer: NaN }
    expect(readViews([newer])).toEqual({ value: [newer], unreadable: 0 })
  })

  it("F15: changes that are no list are none, and count once", () => {
    for (const changes of [undefined, null, 5, "text", {}, { length: 1, 0: view("order") }]) {
      expect(readViews(changes)).toEqual({ value: [], unreadable: 1 })
      expect(FleetReply.reply(changed(reply, "changes", changes), 0))
        .toEqual({ value: reply, unreadable: 1 })
    }
  })

  it.each([[200, 0], [201, 1], [1000, 800]])(
    "F2, F15: of %d views 200 at most are read, the other %d count",
    (length, unreadable) => {
      const told = Array.from({ length }, (_, epoch) => ({ ...view("order"), epoch }))
      expect(readViews(told)).toEqual({ value: told.slice(0, 200), unreadable })
    }
  )
})

describe("answers", () => {
  it.each(Object.keys(answers))("F15: %s is let in", (op) => {
    expect(readAnswers([answer(op)]))
      .toEqual({ value: { ...reply, answers: [answer(op)] }, unreadable: 0 })
  })

  it.each(fieldsOf(answers))("F15: %s.%s is let in up to its bounds", (op, field, type) => {
    const given = types[type].accepted.map((value) => changed(answer(op), field, value))
    expect(readAnswers(given)).toEqual({ value: { ...reply, answers: given }, unreadable: 0 })
  })

  it.each(fieldsOf(answers))(
    "F15: an answer with %s.%s of no use is null in its place, and counts",
    (op, field, type) => {
      for (const value of types[type].hostile) {
        const given = [answer("done"), changed(answer(op), field, value), answer(op)]
        const read = { ...reply, answers: [answer("done"), null, answer(op)] }
        expect([value, readAnswers(given)]).toEqual([value, { value: read, unreadable: 1 }])
      }
    }
  )

  it("F15: what is no answer, or of an unknown case, is null and counts", () => {
    const ops = [...noNames, "circuit", ["known"]].flatMap((op) =>
      Object.keys(answers).map((name) => changed(answer(name), "op", op))
    )
    const given = [...noFields, ...ops, [answer("known")]]
    expect(readAnswers(given)).toEqual({
      value: { ...reply, answers: given.map(() => null) },
      unreadable: given.length
    })
  })

  it.each([[0, 0], [1, 1], [2, 2], [3, 3], [4, 3]])(
    "F15: to %d commands %d of three answers are read, and no answer is made up",
    (commands, length) => {
      const given = ["done", "known", "lease"].map(answer)
      expect(readReply({ answers: given }, commands).value?.answers)
        .toEqual(given.slice(0, length))
    }
  )
})

describe("pages of members", () => {
  const pair = ["circuit", "Open"]
  const page = (list: unknown) => readAnswers([changed(answer("members"), "list", list)])

  const isRead = (list: unknown): boolean => {
    const { unreadable, value } = page(list)
    expect(value?.answers).toEqual(
      unreadable === 0 ? [{ op: "members", list, next: "name" }] : [null]
    )
    expect(unreadable).toBeLessThanOrEqual(1)
    return unreadable === 0
  }

  const times = <A>(length: number, value: A): ReadonlyArray<A> =>
    Array.from({ length }, () => value)

  it("F15, F19: a page lists 100 members at most, with 32 circuits each", () => {
    const member = (circuits: number) => ["id", 5, times(circuits, pair)]
    expect([0, 1, 100, 101].map((length) => isRead(times(length, member(1)))))
      .toEqual([true, true, true, false])
    expect([0, 1, 32, 33].map((circuits) => isRead([member(1), member(circuits)])))
      .toEqual([true, true, true, false])
  })

  it.each<readonly [what: string, type: Type, list: (value: unknown) => unknown]>([
    ["an id", "text", (value) => [[value, 5, []]]],
    ["how long ago it was heard", "spanAhead", (value) => [["id", value, []]]],
    ["the name of a circuit", "text", (value) => [["id", 5, [[value, "Open"]]]]],
    ["the state of a circuit", "text", (value) => [["id", 5, [pair, ["circuit", value]]]]]
  ])("F15: %s is let in up to its bounds, and nothing else", (_, type, list) => {
    const { accepted, hostile } = types[type]
    expect(accepted.filter((value) => !isRead(list(value)))).toEqual([])
    expect(hostile.filter((value) => isRead(list(value)))).toEqual([])
  })

  it.each<readonly [what: string, list: unknown]>([
    ["no list", undefined],
    ["null", null],
    ["a text", ""],
    ["what looks like a list", { length: 0 }],
    ["a member that is none", [null]],
    ["a member that is a text", ["id"]],
    ["a member without parts", [[]]],
    ["a member without circuits", [["id", 5]]],
    ["a member that looks like a list", [{ 0: "id", 1: 5, 2: [] }]],
    ["circuits that are null", [["id", 5, null]]],
    ["circuits that are a text", [["id", 5, ""]]],
    ["circuits that look like a list", [["id", 5, { length: 0 }]]],
    ["a pair that is null", [["id", 5, [null]]]],
    ["a pair that is a text of two", [["id", 5, ["ab"]]]],
    ["a pair that looks like a list", [["id", 5, [{ 0: "a", 1: "b", length: 2 }]]]],
    ["a pair of one", [["id", 5, [["circuit"]]]]],
    ["a pair of three", [["id", 5, [[...pair, "more"]]]]],
    ["one bad member after a good one", [["id", 5, []], ["id", -1, []]]],
    ["one bad pair after a good one", [["id", 5, [pair, []]]]]
  ])("F15: %s makes the whole page unreadable", (_, list) => {
    expect(isRead(list)).toBe(false)
  })
})

describe("replies", () => {
  const unreadable = { value: undefined, unreadable: 1 }

  it.each(Object.entries(head))("F15: %s is let in up to its bounds", (field, type) => {
    for (const value of types[type].accepted) {
      expect(readReply({ [field]: value }))
        .toEqual({ value: { ...reply, [field]: value }, unreadable: 0 })
    }
  })

  it.each(Object.entries(head))("F15: a reply with %s of no use is none", (field, type) => {
    for (const value of types[type].hostile) {
      expect([value, FleetReply.reply(changed(reply, field, value), 1)]).toEqual([
        value,
        unreadable
      ])
    }
  })

  it("F15: what is no reply, or of another version, is none", () => {
    const versions = [undefined, null, 0, 2, "1", true, [1]].map((v) => changed(reply, "v", v))
    const lists = [undefined, null, 5, "", {}, { length: 0 }].map((answers) =>
      changed(reply, "answers", answers)
    )
    for (const value of [...noFields, {}, [reply], ...versions, ...lists]) {
      expect(FleetReply.reply(value, 1)).toEqual(unreadable)
    }
  })

  it("F15: of a reply the known fields are read; bad views and answers count together", () => {
    const told = { changes: [null, view("order"), 5], answers: [answer("known"), 5], newer: 1 }
    expect(readReply(told)).toEqual({
      value: { ...reply, changes: [view("order")], answers: [answer("known"), null] },
      unreadable: 3
    })
  })
})

describe("pushes", () => {
  it("F15: what is no push counts", () => {
    for (const value of noFields) {
      expect(FleetReply.push(value, "fleet")).toEqual({ value: [], unreadable: 1 })
    }
  })

  it("F14: a push of another fleet is none of this one's, and does not count", () => {
    for (const fleet of [undefined, null, "", "another", ["fleet"]]) {
      const told = changed({ fleet, changes: [view("order"), 5] }, "fleet", fleet)
      expect(FleetReply.push(told, "fleet")).toEqual({ value: [], unreadable: 0 })
    }
  })
})

describe("anything", () => {
  const scalar = fc.oneof(
    fc.anything(),
    fc.constantFrom(
      ...Object.values(types).flatMap(({ accepted, hostile }) => [
        ...accepted,
        ...hostile
      ])
    )
  )

  /** A good value, most often with something else in one of its fields. */
  const spoiled = (samples: ReadonlyArray<Fields>): fc.Arbitrary<unknown> =>
    fc.oneof(
      fc.constantFrom(...samples),
      fc.anything(),
      fc.constantFrom(...samples).chain((fields) =>
        fc.tuple(fc.constantFrom(...Object.keys(fields)), scalar)
          .map(([field, value]) => changed(fields, field, value))
      )
    )

  const isUsable = (fields: object): boolean =>
    Object.values(fields).every((value) => typeof value !== "number" || Math.abs(value) <= countMax)

  it("F15: whatever a store says, nothing is thrown, and what is let in is in its bounds", () => {
    const lists = fc.tuple(
      fc.array(spoiled(Object.keys(views).map(view)), { maxLength: 5 }),
      fc.array(spoiled(Object.keys(answers).map(answer)), { maxLength: 5 })
    )
    let [letIn, leftOut] = [0, 0]
    fc.assert(
      fc.property(lists, ([changes, given]) => {
        const { unreadable, value } = readReply({ changes, answers: given })
        const read = [...value?.changes ?? [], ...value?.answers.filter((a) => a !== null) ?? []]
        expect(read.length + unreadable).toBe(changes.length + given.length)
        expect(read.filter((each) => !isUsable(each))).toEqual([])
        expect(value?.answers).toHaveLength(given.length)
        letIn += read.length
        leftOut += unreadable
      }),
      { numRuns: runs(2000) }
    )
    expect(Math.min(letIn, leftOut)).toBeGreaterThan(0)
  })

  it("F15: a whole reply or push may be anything", () => {
    fc.assert(
      fc.property(spoiled([reply, { ...reply, changes: [view("order")] }]), (value) => {
        const read = FleetReply.reply(value, 1)
        expect(read.value === undefined ? read.unreadable : 1).toBe(1)
        expect(FleetReply.push(value, "fleet").value).toEqual([])
      }),
      { numRuns: runs(2000) }
    )
  })
})
