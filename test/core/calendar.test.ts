import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Calendar from "../../src/core/calendar.js"
import * as Draw from "../../src/core/draw.js"
import * as EventQueue from "../../src/core/eventQueue.js"
import { runs } from "../support/runs.js"

const source = Draw.source(5, 0)

/** Times from now on in bursts, near and far, so that buckets are full, empty and passed over. */
const wait = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 100 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 10_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 10_000_000 }) }
)

/** So many events are added, then so many taken. */
const command = fc.record({
  add: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 900 })),
  take: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 1200 })),
  waits: fc.array(wait, { minLength: 1, maxLength: 20 })
})

describe("calendar", () => {
  it("S3: takes events in the order of a heap, by time and then by turn", () => {
    let most = 0
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 12 }), (commands) => {
        const calendar = Calendar.make()
        const heap = EventQueue.make()
        let now = 0
        let turn = 0
        const takeOne = () => {
          const [time, turn] = [calendar.near.times[0], calendar.near.turns[0]]
          now = heap.times[0]!
          // There are a million of them: an expectation for each would take longer than the rest.
          if (time !== now || turn !== heap.turns[0]) {
            expect([time, turn]).toEqual([now, heap.turns[0]])
          }
          const [what, expected] = [Calendar.take(calendar), EventQueue.take(heap)]
          if (what !== expected) expect(what).toBe(expected)
        }
        for (const { add, take, waits } of commands) {
          for (let count = 0; count < add; count++, turn++) {
            const time = now + waits[count % waits.length]!
            Calendar.add(calendar, time, turn, turn)
            EventQueue.add(heap, time, turn, turn)
          }
          most = Math.max(most, calendar.size)
          for (let count = 0; count < take && heap.size > 0; count++) takeOne()
          expect(calendar.size).toBe(heap.size)
        }
        while (heap.size > 0) takeOne()
        expect([calendar.size, calendar.near.size]).toEqual([0, 0])
      }),
      { numRuns: runs(500) }
    )
    expect(most).toBeGreaterThan(1000)
  })

  it("S3: the same, where each event adds others, as in a simulation", () => {
    const calendar = Calendar.make()
    const heap = EventQueue.make()
    let turn = 0
    const add = (time: number) => {
      Calendar.add(calendar, time, turn, turn)
      EventQueue.add(heap, time, turn, turn++)
    }
    for (let index = 0; index < 5000; index++) add(Math.imul(index, 0x9e3779b1) >>> 12)
    for (let step = 0; step < 100_000; step++) {
      const now = heap.times[0]!
      if (calendar.near.times[0] !== now) expect(calendar.near.times[0]).toBe(now)
      const [one, other] = [Calendar.take(calendar), EventQueue.take(heap)]
      if (one !== other) expect(one).toBe(other)
      add(now + (Math.imul(step, 0x85ebca6b) >>> (step % 3 === 0 ? 8 : 14)))
    }
    expect(calendar.size).toBe(heap.size)
  })

  it("few events stand in the heap alone, more in buckets", () => {
    const calendar = Calendar.make()
    const inHeap = () => [calendar.near.size, calendar.heads.length]
    for (let turn = 0; turn < 512; turn++) Calendar.add(calendar, 512 - turn, turn, turn)
    expect(inHeap()).toEqual([512, 0])
    Calendar.add(calendar, 513, 512, 512)
    // A power of two, at least as many as events; three events or so are in each that is used.
    expect(calendar.heads.length).toBe(1024)
    expect(calendar.near.size).toBeLessThanOrEqual(6)
  })

  it("the heap stays short, buckets last long, and places are used again", () => {
    for (
      const { pending, mean, room, times } of [
        { pending: 600, mean: 5, room: 1024, times: 40 },
        { pending: 5000, mean: 15, room: 8192, times: 5 }
      ]
    ) {
      const calendar = Calendar.make()
      let turn = 0
      const add = (now: number) => {
        const wait = -1e6 * Math.log(1 - Draw.unit(source, turn, Draw.purposes.service, 0))
        Calendar.add(calendar, now + wait, turn, turn++)
      }
      for (let count = 0; count < pending; count++) add(0)
      const steps = 60_000
      let inHeap = 0
      let spread = 0
      for (let step = 0; step < steps; step++) {
        const { start } = calendar
        const now = calendar.near.times[0]!
        Calendar.take(calendar)
        add(now)
        inHeap += calendar.near.size
        if (calendar.start !== start) spread++
      }
      expect(inHeap / steps).toBeLessThan(mean)
      expect(spread).toBeLessThanOrEqual(times)
      expect([calendar.times.length, calendar.heads.length]).toEqual([room, room])
      // Also where there are fewer for a while: all places come back.
      for (let round = 0; round < 5; round++) {
        const now = calendar.near.times[0]!
        for (let count = 0; count < pending / 2; count++) Calendar.take(calendar)
        for (let count = 0; count < pending / 2; count++) add(now + 1e7)
      }
      expect(calendar.times.length).toBe(room)
    }
  })

  it("what happens at one instant is not spread again and again", () => {
    const calendar = Calendar.make()
    let tried = 0
    for (let turn = 0; turn < 10_000; turn++) {
      const { enough } = calendar
      Calendar.add(calendar, 5, turn, turn)
      if (calendar.enough !== enough) tried++
    }
    // Each try waits for twice as many: 513 at first, then 1027, 2055, 4111 and 8223.
    expect(tried).toBe(5)
    expect(calendar.enough).toBe(2 * 8223)
    expect([calendar.near.size, calendar.heads.length, calendar.perTime]).toEqual([10_000, 0, 0])
    for (let turn = 0; turn < 10_000; turn++) expect(Calendar.take(calendar)).toBe(turn)
    expect(calendar.size).toBe(0)
  })
})
