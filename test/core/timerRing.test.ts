import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as TimerRing from "../../src/core/timerRing.js"
import { runs } from "../support/runs.js"

/** Adds a timer some time after the last one, cancels one of those there ever were, or takes. */
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ after: fc.nat({ max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ cancel: fc.nat() }) },
  { weight: 2, arbitrary: fc.constant("take" as const) }
)

describe("timer ring", () => {
  it("S3: timers end in the order in which they began, without the cancelled ones", () => {
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 200, size: "max" }),
        fc.constantFrom(1, 4, 1024),
        (commands, room) => {
          const ring = TimerRing.make(room)
          let model: Array<readonly [number: number, at: number, turn: number]> = []
          let last = 0
          let made = 0
          commands.forEach((command, turn) => {
            if (command === "take") {
              const [first] = model
              if (first === undefined) return
              expect([ring.time, ring.turn]).toEqual([first[1], first[2]])
              expect(TimerRing.take(ring)).toBe(first[2])
              model = model.slice(1)
            } else if ("cancel" in command) {
              if (made === 0) return
              const number = command.cancel % made
              TimerRing.cancel(ring, number)
              model = model.filter((timer) => timer[0] !== number)
            } else {
              last += command.after
              expect(TimerRing.fits(ring, last)).toBe(true)
              expect(TimerRing.add(ring, last, turn, turn)).toBe(made)
              model.push([made++, last, turn])
            }
            expect(ring.time === Infinity).toBe(model.length === 0)
          })
        }
      ),
      { numRuns: runs(1000) }
    )
  })

  it("S3: a timer that would end before the last one does not fit", () => {
    const ring = TimerRing.make()
    expect(TimerRing.fits(ring, 0)).toBe(true)
    TimerRing.add(ring, 5, 0, 0)
    expect([4, 5, 6].map((time) => TimerRing.fits(ring, time))).toEqual([false, true, true])
    TimerRing.take(ring)
    expect(TimerRing.fits(ring, 0)).toBe(true)
  })
})
