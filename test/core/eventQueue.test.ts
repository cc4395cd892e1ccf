import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as EventQueue from "../../src/core/eventQueue.js"
import { runs } from "../support/runs.js"

describe("event queue", () => {
  it("S3: gives events by time, and in the order in which they were arranged within one instant", () => {
    const commands = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: fc.record({ at: fc.oneof(fc.nat({ max: 5 }), fc.nat()) }) },
        { weight: 2, arbitrary: fc.constant("take" as const) }
      ),
      { maxLength: 200, size: "max" }
    )
    fc.assert(
      fc.property(commands, fc.constantFrom(0, 1, 1024), (commands, room) => {
        const queue = EventQueue.make(room)
        const model: Array<readonly [at: number, turn: number]> = []
        commands.forEach((command, turn) => {
          if (command !== "take") {
            EventQueue.add(queue, command.at, turn, turn + 1)
            model.push([command.at, turn])
          } else if (model.length > 0) {
            model.sort((a, b) => a[0] - b[0] || a[1] - b[1])
            const [at, first] = model.shift()!
            expect([queue.times[0], queue.turns[0]]).toEqual([at, first])
            expect(EventQueue.take(queue)).toBe(first + 1)
          }
          expect(queue.size).toBe(model.length)
        })
      }),
      { numRuns: runs(1000) }
    )
  })

  it("S3: turns count, not the order of adding", () => {
    const queue = EventQueue.make()
    EventQueue.add(queue, 1, 9, 90)
    EventQueue.add(queue, 1, 3, 30)
    EventQueue.add(queue, 1, 6, 60)
    expect([EventQueue.take(queue), EventQueue.take(queue), EventQueue.take(queue)])
      .toEqual([30, 60, 90])
  })
})
