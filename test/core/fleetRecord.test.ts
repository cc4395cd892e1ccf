import { describe, expect, it } from "@effect/vitest"
import type { FleetRecord } from "../../src/core/fleetRecord.js"
import * as Record from "../../src/core/fleetRecord.js"
import * as Records from "../../src/core/fleetRecords.js"

const now = 10_000
const hour = 3_600_000
const week = 7 * 24 * hour

const open = (untilMillis: number): FleetRecord => ({
  ...Records.circuit("api", 0),
  open: true,
  untilMillis
})

const held = (untilMillis: number): FleetRecord => ({
  ...Records.cooldown("api", 0),
  held: true,
  untilMillis
})

const line = (takenMillis: number): FleetRecord => ({ ...Records.line("api", 0), takenMillis })

describe("fleetRecord", () => {
  it.each<readonly [string, FleetRecord, number]>([
    ["a closed circuit", Records.circuit("api", 0), now + hour],
    ["a circuit whose open time is over", open(now - 1), now + hour],
    ["a circuit whose open time ends now", open(now), now + hour],
    ["an open circuit", open(now + 50), now + 50 + hour],
    ["an order", Records.ordered("api", 0), now + week],
    ["a cooldown that is over", held(now - 1), now + hour],
    ["a cooldown", held(now + 50), now + 50 + hour],
    ["a line of which nothing is taken", line(now - 50), now + hour],
    ["a line that is taken", line(now + 50), now + 50 + hour],
    ["permits", Records.permits("api", 0), now + hour]
  ])("F14: %s expires so long after it was written, and after its end", (_, record, expires) => {
    expect(Records.expiry(record, now)).toBe(expires)
  })

  it.each([[99, 1], [100, 0], [101, 0]])(
    "F16: of slots that end at 100, %s ms later %s are held",
    (at, held) => {
      const slot = { id: "x", untilMillis: 100 }
      expect(Record.heldSlots([slot], at)).toHaveLength(held)
    }
  )

  it.each([[0, 5], [3, 5], [4, 5], [5, 6], [90, 91]])(
    "F9: after epoch 4 of a store, and %s that a member knows, comes %s",
    (known, next) => {
      const record = { epoch: 4 }
      Record.nextEpoch(record, known)
      expect(record.epoch).toBe(next)
    }
  )

  it("F8: a lease is granted, or it is told when to ask again, at once also", () => {
    const record = { epoch: 4 }
    const answer = { op: "lease", epoch: 4 }
    expect(Record.lease(record, undefined)).toEqual({ ...answer, granted: true, left: 0 })
    expect(Record.lease(record, 0)).toEqual({ ...answer, granted: false, left: 0 })
    expect(Record.lease(record, 7)).toEqual({ ...answer, granted: false, left: 7 })
  })
})
