import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, FastCheck as fc } from "effect"
import { Keyed, KeyedState } from "../../src/runtime/keyedState.js"
import { runs } from "../support/runs.js"

/** Each call says what time it is. */
const clock = Effect.runSync(Clock.clockWith(Effect.succeed))

class State extends Keyed {
  busy = false
  constructor(key: string, now: number, readonly id: number) {
    super(key, now)
  }
}

const statesOf = (idleMillis: number, forgotten: Array<string> = []) => {
  let ids = 0
  const states = new KeyedState<State>({
    make: (key, now) => new State(key, now, ids++),
    idleMillis,
    isBusy: ({ busy }) => busy,
    forgotten: ({ key }) => void forgotten.push(key)
  })
  return {
    states,
    use: (key: string, now: number) => states.use(key, clock, now),
    look: (key: string, now: number) => states.look(key, clock, now),
    keys: (now: number) => states.all(clock, now).map(({ key }) => key)
  }
}

describe("one state for each key", () => {
  it("is the same as long as its key is used, and a new one when the key was not used for a while", () => {
    const { use } = statesOf(100)
    const ids = [0, 99, 198, 298, 397].map((now) => use("a", now).id)
    expect(ids).toEqual([0, 0, 0, 1, 1])
  })

  it("a busy state is not forgotten", () => {
    const { use } = statesOf(100)
    use("a", 0).busy = true
    expect(use("a", 1_000_000).id).toBe(0)
  })

  it("looking at a key neither makes nor keeps it", () => {
    const { look, states, use } = statesOf(100)
    look("a", 0)
    expect(states.size).toBe(0)
    const { id } = use("a", 0)
    expect(look("a", 99).id).toBe(id)
    expect(look("a", 100).id).not.toBe(id)
  })

  it("G46: all keys that are known, in the order of their first use, without those that are idle", () => {
    const { keys, use } = statesOf(100)
    use("a", 0)
    use("b", 10)
    use("a", 20)
    expect([keys(20), keys(115), keys(200)]).toEqual([["a", "b"], ["a"], []])
  })

  it("G16: idle keys go although nothing ticks: memory is bounded by the keys of a while", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), (perWhile) => {
        const { states, use } = statesOf(100)
        for (let i = 0; i < 40 * perWhile; i++) use(`key ${i}`, (i * 100) / perWhile)
        expect(states.size).toBeLessThanOrEqual(perWhile + 1)
      }),
      { numRuns: runs(50) }
    )
  })

  it("G16: a busy key does not keep idle ones in memory", () => {
    const { look, states, use } = statesOf(100)
    use("busy", 0).busy = true
    for (let i = 0; i < 20; i++) use(`key ${i}`, i)
    for (let i = 0; i < 20; i++) use("other", 1000)
    expect(states.size).toBe(2)
    expect(look("busy", 1000).busy).toBe(true)
  })

  it("a clock that is set back forgets nothing", () => {
    const { use } = statesOf(100)
    use("a", 1000)
    expect(use("a", 0).id).toBe(0)
  })

  it("G47: agrees with a map that looks at every key each time, whatever is used, busy or let go of", () => {
    const event = fc.record({
      key: fc.constantFrom("a", "b", "c", "d", "e"),
      what: fc.constantFrom("use", "busy", "idle", "delete", "look"),
      passes: fc.integer({ min: 0, max: 60 })
    })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const gone: Array<string> = []
        const { keys, look, states, use } = statesOf(100, gone)
        const model = new Map<string, { id: number; busy: boolean; at: number }>()
        let now = 0
        for (const { key, passes, what } of events) {
          now += passes
          const known = model.get(key)
          const isIdle = known !== undefined && !known.busy && known.at + 100 <= now
          if (isIdle) model.delete(key)
          const state = what === "look" ? look(key, now) : use(key, now)
          if (known !== undefined && !isIdle) expect(state.id).toBe(known.id)
          if (what === "look") continue
          state.busy = what === "busy" ? true : what === "idle" ? false : state.busy
          model.delete(key)
          if (what === "delete") states.delete(state)
          else model.set(key, { id: state.id, busy: state.busy, at: now })
        }
        const alive = [...model].filter(([, { at, busy }]) => busy || at + 100 > now)
        expect(keys(now).toSorted()).toEqual(alive.map(([key]) => key).toSorted())
        expect(states.size).toBe(alive.length)
      }),
      { numRuns: runs(500) }
    )
  })
})
