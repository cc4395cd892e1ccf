import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Calendar from "../../src/core/calendar.js"
import * as EventQueue from "../../src/core/eventQueue.js"
import { runs } from "../support/runs.js"

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
})
