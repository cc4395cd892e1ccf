import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Keys } from "../../src/runtime/keyedState.js"

interface State {
  readonly id: number
  busy: boolean
}

const keysOf = (idleMillis: number) => {
  let ids = 0
  return new Keys<State>(() => ({ id: ids++, busy: false }), idleMillis, ({ busy }) => busy)
}

describe("keys", () => {
  it("a key has the same state as long as it is used, and a new one when nobody has used it for a while", () => {
    const keys = keysOf(100)
    const ids = [0, 99, 198, 298, 397].map((now) => keys.use("a", now).id)
    expect(ids).toEqual([0, 0, 0, 1, 1])
  })

  it("a busy state is not forgotten", () => {
    const keys = keysOf(100)
    keys.use("a", 0).busy = true
    expect(keys.use("a", 1_000_000).id).toBe(0)
  })

  it("looking at a key neither makes nor keeps it", () => {
    const keys = keysOf(100)
    keys.look("a", 0)
    expect(keys.size).toBe(0)
    const { id } = keys.use("a", 0)
    expect(keys.look("a", 99).id).toBe(id)
    expect(keys.look("a", 100).id).not.toBe(id)
  })

  it("G16: idle keys go although nothing ticks: memory is bounded by the keys of a while", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), (perWhile) => {
        const keys = keysOf(100)
        for (let i = 0; i < 40 * perWhile; i++) keys.use(`key ${i}`, (i * 100) / perWhile)
        expect(keys.size).toBeLessThanOrEqual(perWhile + 1)
      }),
      { numRuns: 50 }
    )
  })

  it("G16: a busy key does not keep idle ones in memory", () => {
    const keys = keysOf(100)
    keys.use("busy", 0).busy = true
    for (let i = 0; i < 20; i++) keys.use(`key ${i}`, i)
    for (let i = 0; i < 20; i++) keys.use("other", 1000)
    expect(keys.size).toBe(2)
    expect(keys.look("busy", 1000).busy).toBe(true)
  })

  it("a clock that is set back forgets nothing", () => {
    const keys = keysOf(100)
    keys.use("a", 1000)
    expect(keys.use("a", 0).id).toBe(0)
  })
})
