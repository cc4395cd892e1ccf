import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type { Counts } from "../../src/core/countWindow.js"
import * as TimeWindow from "../../src/core/timeWindow.js"
import { runs } from "../support/runs.js"

interface Entry extends Counts {
  readonly bucket: number
}

type Command =
  | { readonly _tag: "Record"; readonly failed: boolean; readonly slow: boolean }
  | { readonly _tag: "Pass"; readonly millis: number }
  | {
    readonly _tag: "Add"
    readonly age: number
    readonly calls: number
    readonly failures: number
    readonly slow: number
  }
  | { readonly _tag: "Look" | "Clear" }

const countsOf = ({ calls, failures, slow }: Counts): Counts => ({ calls, failures, slow })

const total = (entries: ReadonlyArray<Counts>): Counts => ({
  calls: entries.reduce((sum, { calls }) => sum + calls, 0),
  failures: entries.reduce((sum, { failures }) => sum + failures, 0),
  slow: entries.reduce((sum, { slow }) => sum + slow, 0)
})

const small = fc.nat({ max: 3 })

const commandsOf = (
  bucketMillis: number,
  buckets: number
): fc.Arbitrary<ReadonlyArray<Command>> => {
  const passing = fc.constantFrom(
    0,
    1,
    bucketMillis - 1,
    bucketMillis,
    bucketMillis + 1,
    bucketMillis * (buckets - 1),
    bucketMillis * buckets - 1,
    bucketMillis * buckets,
    bucketMillis * buckets * 3,
    3_600_000,
    -1,
    -bucketMillis
  )
  return fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          _tag: fc.constant("Record" as const),
          failed: fc.boolean(),
          slow: fc.boolean()
        })
      },
      { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Pass" as const), millis: passing }) },
      {
        weight: 2,
        arbitrary: fc.record({
          _tag: fc.constant("Add" as const),
          age: fc.nat({ max: buckets + 1 }),
          calls: small,
          failures: small,
          slow: small
        })
      },
      { weight: 2, arbitrary: fc.constant({ _tag: "Look" as const }) },
      { weight: 1, arbitrary: fc.constant({ _tag: "Clear" as const }) }
    ),
    { maxLength: 60, size: "max" }
  )
}

const shapes = fc.constantFrom([100, 1], [100, 2], [10, 3], [1000, 10], [7, 5]).chain((
  [bucketMillis = 1, buckets = 1]
) =>
  fc.record({
    bucketMillis: fc.constant(bucketMillis),
    buckets: fc.constant(buckets),
    startMillis: fc.constantFrom(0, 5, 99, 123_456),
    width: fc.constantFrom(2 as const, 3 as const),
    commands: commandsOf(bucketMillis, buckets)
  })
)

const good = { failed: false, slow: false }
const failed = { failed: true, slow: false }
const both = { failed: true, slow: true }

describe("timeWindow", () => {
  it("B2: it agrees with an array of entries that is filtered by age each time", () => {
    fc.assert(
      fc.property(shapes, ({ bucketMillis, buckets, commands, startMillis, width }) => {
        const window = TimeWindow.make(bucketMillis * buckets, buckets, width)
        const slowOf = (count: number) => (width === 3 ? count : 0)
        let entries: Array<Entry> = []
        let now = startMillis
        let newest = 0
        const look = () => {
          newest = Math.max(newest, Math.floor(now / bucketMillis))
          entries = entries.filter(({ bucket }) => newest - bucket < buckets)
        }
        for (const command of commands) {
          switch (command._tag) {
            case "Pass":
              now = Math.max(0, now + command.millis)
              break
            case "Record":
              look()
              entries.push({
                bucket: newest,
                calls: 1,
                failures: command.failed ? 1 : 0,
                slow: slowOf(command.slow ? 1 : 0)
              })
              TimeWindow.record(window, command, now)
              break
            case "Add":
              if (command.age < buckets) {
                const { calls, failures, slow } = command
                entries.push({ calls, failures, slow: slowOf(slow), bucket: newest - command.age })
              }
              TimeWindow.add(window, command, command.age)
              break
            case "Look":
              look()
              TimeWindow.advance(window, now)
              break
            case "Clear":
              entries = []
              TimeWindow.clear(window)
          }
          const contents = Array.from({ length: buckets }, (_, age) => ({
            ...total(entries.filter(({ bucket }) => bucket === newest - age)),
            age
          }))
          expect([countsOf(window), TimeWindow.contents(window)]).toEqual([
            total(entries),
            contents.filter(({ calls }) => calls > 0)
          ])
        }
      }),
      { numRuns: runs(1000) }
    )
  })

  it("a new window is empty, and its buckets share its time", () => {
    const window = TimeWindow.make(1000, 4)
    expect([
      window._tag,
      window.bucketMillis,
      window.size,
      countsOf(window),
      TimeWindow.contents(window)
    ]).toEqual([
      "Time",
      250,
      4,
      { calls: 0, failures: 0, slow: 0 },
      []
    ])
  })

  it("B4: a failing and slow call counts in both, once each", () => {
    const window = TimeWindow.make(1000, 4)
    TimeWindow.record(window, both, 0)
    expect(countsOf(window)).toEqual({ calls: 1, failures: 1, slow: 1 })
  })

  it("B2: after an idle hour nothing of what was remains", () => {
    const window = TimeWindow.make(10_000, 10)
    for (let now = 0; now < 10_000; now += 100) TimeWindow.record(window, both, now)
    TimeWindow.advance(window, 3_600_000)
    expect([countsOf(window), TimeWindow.contents(window)]).toEqual([{
      calls: 0,
      failures: 0,
      slow: 0
    }, []])
  })

  it("B2: a bucket is forgotten when the window's time has passed since it began, and not before", () => {
    const calls = [999, 1000].map((now) => {
      const window = TimeWindow.make(1000, 4)
      TimeWindow.record(window, failed, 0)
      TimeWindow.advance(window, now)
      return window.calls
    })
    expect(calls).toEqual([1, 0])
  })

  it("B2: buckets leave one after the other", () => {
    const window = TimeWindow.make(300, 3)
    for (const now of [0, 100, 200]) TimeWindow.record(window, failed, now)
    const failures = [299, 300, 400, 500].map((now) => {
      TimeWindow.advance(window, now)
      return window.failures
    })
    expect(failures).toEqual([3, 2, 1, 0])
  })

  it("B4: a time before the newest bucket changes nothing, and what is recorded then is of the newest", () => {
    const window = TimeWindow.make(300, 3)
    TimeWindow.record(window, failed, 1000)
    TimeWindow.advance(window, 100)
    TimeWindow.record(window, good, 100)
    expect([window.epoch, TimeWindow.contents(window)]).toEqual([10, [{
      age: 0,
      calls: 2,
      failures: 1,
      slow: 0
    }]])
  })

  it("contents are told newest first, with how many buckets ago they were", () => {
    const window = TimeWindow.make(400, 4)
    TimeWindow.record(window, failed, 0)
    TimeWindow.record(window, both, 250)
    TimeWindow.record(window, good, 310)
    expect(TimeWindow.contents(window)).toEqual([
      { age: 0, calls: 1, failures: 0, slow: 0 },
      { age: 1, calls: 1, failures: 1, slow: 1 },
      { age: 3, calls: 1, failures: 1, slow: 0 }
    ])
  })

  it("B13: what is added at an age leaves at its age, and what is too old is not added", () => {
    const window = TimeWindow.make(400, 4)
    TimeWindow.advance(window, 1000)
    const counts = { calls: 5, failures: 2, slow: 1 }
    TimeWindow.add(window, counts, 3)
    TimeWindow.add(window, counts, 4)
    const before = countsOf(window)
    TimeWindow.advance(window, 1100)
    expect([before, countsOf(window)]).toEqual([counts, { calls: 0, failures: 0, slow: 0 }])
  })

  it("B13: what is added is added to what is there", () => {
    const window = TimeWindow.make(400, 4)
    TimeWindow.record(window, both, 0)
    TimeWindow.add(window, { calls: 5, failures: 2, slow: 1 }, 0)
    expect(TimeWindow.contents(window)).toEqual([{ age: 0, calls: 6, failures: 3, slow: 2 }])
  })

  it("B13: how long ago the newest bucket began, also one that began between two", () => {
    const window = TimeWindow.make(400, 4)
    TimeWindow.record(window, both, 350)
    expect([350, 399, 530, 200].map((now) => TimeWindow.intoMillis(window, now))).toEqual([
      50,
      99,
      230,
      0
    ])
    const begun = TimeWindow.make(400, 4)
    TimeWindow.advance(begun, 350)
    TimeWindow.begin(begun, 1030)
    TimeWindow.advance(begun, 1250)
    expect([begun.epoch, TimeWindow.intoMillis(begun, 1250)]).toEqual([2, 20])
  })

  it("B13: a window that is begun forgets by the beginnings of its own buckets", () => {
    const window = TimeWindow.make(400, 4)
    TimeWindow.begin(window, 1030)
    TimeWindow.record(window, both, 1030)
    const calls = [1129, 1429, 1430].map((now) => {
      TimeWindow.advance(window, now)
      return [window.epoch, window.calls]
    })
    expect(calls).toEqual([[0, 1], [3, 1], [4, 0]])
  })

  it("B1: a cleared window is empty and keeps its place in time", () => {
    const window = TimeWindow.make(300, 3)
    TimeWindow.record(window, both, 1000)
    TimeWindow.clear(window)
    expect([window.epoch, countsOf(window), TimeWindow.contents(window)]).toEqual([
      10,
      { calls: 0, failures: 0, slow: 0 },
      []
    ])
  })
})
