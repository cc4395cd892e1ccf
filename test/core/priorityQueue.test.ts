import { describe, expect, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as PriorityQueue from "../../src/core/priorityQueue.js"
import { runs } from "../support/runs.js"

describe("an agenda", () => {
  it("gives what was added by its time, and by its turn where the times are the same", () => {
    const commands = FastCheck.array(
      FastCheck.oneof(
        FastCheck.record({ add: FastCheck.bigInt({ min: 0n, max: 20n }) }),
        FastCheck.constant("take" as const)
      ),
      { maxLength: 100 }
    )
    FastCheck.assert(
      FastCheck.property(commands, (commands) => {
        const agenda = PriorityQueue.make<number>()
        let model: Array<readonly [at: bigint, what: number]> = []
        commands.forEach((command, index) => {
          if (command === "take") {
            const [first] = model.toSorted((a, b) =>
              a[0] === b[0] ? a[1] - b[1] : Number(a[0] - b[0])
            )
            const taken = PriorityQueue.take(agenda)
            expect(taken === undefined ? undefined : [taken.at, taken.what]).toEqual(first)
            model = model.filter((entry) => entry !== first)
          } else {
            PriorityQueue.add(agenda, command.add, index)
            model.push([command.add, index])
          }
        })
        expect(agenda.heap.length).toBe(model.length)
      }),
      { numRuns: runs(1000) }
    )
  })
})
