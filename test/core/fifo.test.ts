import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Fifo from "../../src/core/fifo.js"
import { runs } from "../support/runs.js"

type Command = { readonly do: "join" } | { readonly do: "take" } | {
  readonly do: "leave"
  readonly which: number
}

const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<Command>({ do: "join" }) },
    { weight: 1, arbitrary: fc.constant<Command>({ do: "take" }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat({ max: 40 }) })
    }
  ),
  { maxLength: 60 }
)

describe("fifo", () => {
  it("G10: it agrees with an array, whoever leaves from wherever", () => {
    const left = new Set<string>()
    fc.assert(
      fc.property(commands, (commands) => {
        const line = Fifo.make<number>()
        const places: Array<Fifo.Place<number>> = []
        const slow: Array<number> = []
        for (const command of commands) {
          if (command.do === "join") {
            slow.push(places.length)
            places.push(Fifo.join(line, places.length))
          } else if (command.do === "take") {
            expect(Fifo.take(line)?.value).toBe(slow.shift())
          } else {
            const place = places[command.which % Math.max(1, places.length)]
            if (place === undefined) continue
            const at = slow.indexOf(place.value)
            expect(place.inLine).toBe(at >= 0)
            left.add(
              at < 0 ? "gone" : at === 0 ? "first" : at === slow.length - 1 ? "last" : "middle"
            )
            Fifo.leave(line, place)
            if (at >= 0) slow.splice(at, 1)
          }
          expect([line.size, line.first?.value, Fifo.values(line)]).toEqual([
            slow.length,
            slow[0],
            slow
          ])
        }
      }),
      { numRuns: runs(1000) }
    )
    expect([...left].sort()).toEqual(["first", "gone", "last", "middle"])
  })

  it("a place that has left keeps hold of nobody", () => {
    const line = Fifo.make<string>()
    const places = ["a", "b", "c"].map((name) => Fifo.join(line, name))
    Fifo.leave(line, places[1]!)
    expect([places[1]!.before, places[1]!.after]).toEqual([undefined, undefined])
  })
})
