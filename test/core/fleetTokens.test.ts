import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as FleetTokens from "../../src/core/fleetTokens.js"
import { runs } from "../support/runs.js"

const leaseMillis = 500

/** Tokens that are there, and tokens that come due, of a question sent and answered so. */
interface Lease {
  readonly granted?: number
  readonly booked?: number
  readonly due?: number
  readonly spacing?: number
  readonly sentMillis?: number
  readonly receivedMillis?: number
}

const put = (purse: FleetTokens.Purse, lease: Lease): void => {
  const { booked = 0, due = 0, granted = 0, sentMillis = 0, spacing = 50 } = lease
  const moment = { sentMillis, receivedMillis: lease.receivedMillis ?? sentMillis }
  FleetTokens.put(purse, { granted, booked, due }, spacing, leaseMillis, moment)
}

const purseOf = (...leases: ReadonlyArray<Lease>): FleetTokens.Purse => {
  const purse = FleetTokens.make()
  for (const lease of leases) put(purse, lease)
  return purse
}

/** How many of a purse's tokens are due, leased, and have gone back, at a time. */
const seen = (purse: FleetTokens.Purse, now: number) => [
  FleetTokens.available(purse, now),
  FleetTokens.leased(purse, now),
  FleetTokens.takeBack(purse, now)
]

/** Spends all that is due. Answers how many that were. */
const spendAll = (purse: FleetTokens.Purse, now: number): number => {
  const due = FleetTokens.available(purse, now)
  expect(FleetTokens.take(purse, due, now)).toBe(true)
  return due
}

describe("fleetTokens", () => {
  describe("leases", () => {
    it("F11: a purse has nothing at first, and nothing by a lease of nothing", () => {
      const purse = FleetTokens.make()
      expect(purse).toEqual({ slices: [], used: 0, usedBefore: 0, slice: 1, back: 0 })
      put(purse, { due: 100 })
      expect(purse).toEqual(FleetTokens.make())
      expect(seen(purse, 0)).toEqual([0, 0, 0])
    })

    it.each([
      [40, [3, 3, 0]],
      [499, [3, 3, 0]],
      [500, [0, 0, 3]],
      [501, [0, 0, 3]]
    ])("F16: a lease runs from the sending of the question: at %s ms %o", (now, expected) => {
      const purse = purseOf({ granted: 3, sentMillis: 0, receivedMillis: 40 })
      expect(seen(purse, now)).toEqual(expected)
      expect(FleetTokens.take(purse, 1, now)).toBe(expected[0] === 3)
    })

    it.each([
      [139, [0, 3, 0]],
      [140, [1, 3, 0]],
      [189, [1, 3, 0]],
      [190, [2, 3, 0]],
      [239, [2, 3, 0]],
      [240, [3, 3, 0]],
      [599, [3, 3, 0]],
      [600, [2, 2, 1]],
      [649, [2, 2, 1]],
      [650, [1, 1, 2]],
      [699, [1, 1, 2]],
      [700, [0, 0, 3]],
      [9000, [0, 0, 3]]
    ])("F11: booked tokens come due and end one after the other: at %s ms %o", (now, expected) => {
      const lease = { booked: 3, due: 100, spacing: 50, sentMillis: 0, receivedMillis: 40 }
      expect(seen(purseOf(lease), now)).toEqual(expected)
    })

    it("F11: a token that comes due at a fraction of a millisecond is due then", () => {
      // In binary, (0.3 - 0.1) / 0.1 is less than 2, and 0.1 + 0.2 is more than 0.3.
      expect(FleetTokens.available(purseOf({ booked: 9, due: 0.1, spacing: 0.1 }), 0.3)).toBe(3)
      expect(FleetTokens.available(purseOf({ booked: 1, due: 0.1 + 0.2 }), 0.3)).toBe(1)
      expect(FleetTokens.available(purseOf({ booked: 1, due: 1e-6 }), 0)).toBe(1)
      expect(FleetTokens.available(purseOf({ booked: 1, due: 1e-5 }), 0)).toBe(0)
    })

    it("F14: of what has ended or is spent a purse keeps nothing", () => {
      const purse = purseOf({ granted: 1 }, { booked: 2, due: 100 }, { granted: 4, sentMillis: 50 })
      FleetTokens.leased(purse, 499)
      expect(purse.slices).toHaveLength(3)
      FleetTokens.leased(purse, 500)
      expect(purse.slices).toHaveLength(2)
      FleetTokens.leased(purse, 650)
      expect(purse.slices).toEqual([])
      put(purse, { granted: 1, sentMillis: 700 })
      expect(FleetTokens.take(purse, 1, 700)).toBe(true)
      expect(FleetTokens.leased(purse, 700)).toBe(0)
      expect(purse.slices).toEqual([])
    })
  })

  describe("spending", () => {
    it("F11: with too few due nothing is spent, however many are leased", () => {
      const purse = purseOf({ granted: 2 }, { booked: 3, due: 100 })
      expect(FleetTokens.take(purse, 3, 99)).toBe(false)
      expect([purse.used, FleetTokens.leased(purse, 99)]).toEqual([0, 5])
      expect(FleetTokens.take(purse, 2, 99)).toBe(true)
      expect(FleetTokens.take(purse, 1, 99)).toBe(false)
      expect([purse.used, FleetTokens.leased(purse, 99)]).toEqual([2, 3])
    })

    it("F11: a cost is taken whole, from as many slices as it needs, the oldest first", () => {
      const purse = purseOf({ granted: 2 }, { granted: 2, sentMillis: 10 }, {
        booked: 3,
        due: 100,
        sentMillis: 20
      })
      expect(FleetTokens.take(purse, 1, 170)).toBe(true)
      expect(FleetTokens.take(purse, 3, 170)).toBe(true)
      expect(seen(purse, 170)).toEqual([2, 3, 0])
      expect(FleetTokens.take(purse, 1, 170)).toBe(true)
      // The others of the slice are due and end as before.
      expect(seen(purse, 219)).toEqual([1, 2, 0])
      expect(seen(purse, 220)).toEqual([2, 2, 0])
      expect(seen(purse, 669)).toEqual([2, 2, 0])
      expect(seen(purse, 670)).toEqual([1, 1, 1])
    })

    it("F11: nothing costs nothing", () => {
      const purse = FleetTokens.make()
      expect(FleetTokens.take(purse, 0, 0)).toBe(true)
      expect(purse).toEqual(FleetTokens.make())
    })

    it.each([
      [40, [0, 0, 0, 60, 160, 260, 360, Infinity]],
      [99, [0, 0, 0, 1, 101, 201, 301, Infinity]],
      [100, [0, 0, 0, 0, 100, 200, 300, Infinity]],
      [250, [0, 0, 0, 0, 0, 50, 150, Infinity]],
      [400, [0, 0, 0, 0, 0, 0, 0, Infinity]],
      // The first two have ended.
      [500, [0, 0, 0, 0, 0, Infinity, Infinity, Infinity]]
    ])("F11: how long until 0 to 7 tokens are due, at %s ms: %o", (now, expected) => {
      const purse = purseOf({ granted: 2 }, { booked: 2, due: 100, spacing: 100 }, {
        booked: 2,
        due: 300,
        spacing: 100
      })
      expect(expected.map((_, cost) => FleetTokens.dueIn(purse, cost, now))).toEqual(expected)
    })

    it("F11: an empty purse has the tokens of no cost only", () => {
      const purse = FleetTokens.make()
      expect([0, 1].map((cost) => FleetTokens.dueIn(purse, cost, 7))).toEqual([0, Infinity])
    })
  })

  describe("asking", () => {
    /** A purse that has spent so many in this interval, and holds nothing. */
    const spent = (tokens: number): FleetTokens.Purse => {
      const purse = purseOf({ granted: tokens })
      spendAll(purse, 0)
      return purse
    }

    const asksFor = (purse: FleetTokens.Purse, times: number): ReadonlyArray<number> =>
      Array.from({ length: times }, () => FleetTokens.wanted(purse, 0, 0))

    it.each([
      [0, [0, 0, 0]],
      [1, [1, 2, 2, 2]],
      [2, [1, 2, 3, 3]],
      [8, [1, 2, 4, 8, 9, 9]],
      [16, [1, 2, 4, 8, 16, 18, 18]]
    ])("F11: after %s that were used, slices double up to an eighth more: %o", (used, slices) => {
      expect(asksFor(spent(used), slices.length)).toEqual(slices)
      // As much in the interval after.
      const before = spent(used)
      FleetTokens.tick(before)
      expect(asksFor(before, slices.length)).toEqual(slices)
    })

    it("F11: of two intervals the one that used more counts, and older ones no more", () => {
      const purse = spent(16)
      FleetTokens.tick(purse)
      put(purse, { granted: 4 })
      spendAll(purse, 0)
      expect(asksFor(purse, 6)).toEqual([1, 2, 4, 8, 16, 18])
      FleetTokens.tick(purse)
      expect([purse.used, purse.usedBefore]).toEqual([0, 4])
      expect(asksFor(purse, 2)).toEqual([5, 5])
      FleetTokens.tick(purse)
      expect(asksFor(purse, 2)).toEqual([0, 0])
      put(purse, { granted: 4 })
      spendAll(purse, 0)
      expect(asksFor(purse, 4)).toEqual([1, 2, 4, 5])
    })

    it.each([
      [0, 0, 0],
      [3, 0, 3],
      [3, 2, 1],
      [3, 3, 0],
      [3, 4, 0]
    ])("F11: with %s waited for and %s leased, it asks for %s", (waiting, leased, expected) => {
      const purse = purseOf({ booked: leased, due: 100 })
      expect(FleetTokens.wanted(purse, waiting, 0)).toBe(expected)
    })

    it("F11: a slice counts what is leased; those that have ended are asked for again", () => {
      const purse = spent(8)
      put(purse, { granted: 3 })
      expect(asksFor(purse, 5)).toEqual([0, 0, 1, 5, 6])
      expect(FleetTokens.wanted(purse, 0, 499)).toBe(6)
      expect(FleetTokens.wanted(purse, 0, 500)).toBe(9)
    })

    it.each([
      [100, 1000, 1, 10],
      [100, 1000, 4, 2],
      [100, 999, 1, 9],
      [100, 1000, 11, 0]
    ])("F11: of tokens each %s ms, in %s ms, one of %s has %s", (spacing, interval, ...rest) => {
      const [members, share] = rest
      expect(FleetTokens.share(spacing, interval, members)).toBe(share)
    })

    it.each([
      // cost, waiting, share, leased
      [1, 9, 4, 0, 4],
      [1, 9, 4, 3, 1],
      [1, 9, 4, 4, 0],
      [1, 9, 4, 5, 0],
      [1, 2, 4, 0, 2],
      [1, 9, 0, 0, 1],
      [6, 9, 4, 0, 6],
      [6, 9, 4, 5, 1],
      [0, 0, 4, 0, 0]
    ])("F11: cost %s of %s, share %s, %s leased: it books %s for its turn", (...row) => {
      const [cost, waiting, share, leased, expected] = row
      const purse = purseOf({ booked: leased, due: 100 })
      expect(FleetTokens.missing(purse, { cost, waiting, share }, 0)).toBe(expected)
    })
  })

  describe("giving back", () => {
    it("F11: unspent tokens go back once, when they have ended", () => {
      const purse = purseOf({ granted: 3 })
      expect(FleetTokens.take(purse, 1, 0)).toBe(true)
      expect(FleetTokens.hasBack(purse, 499)).toBe(false)
      expect(FleetTokens.takeBack(purse, 499)).toBe(0)
      expect(FleetTokens.hasBack(purse, 500)).toBe(true)
      expect(FleetTokens.takeBack(purse, 500)).toBe(2)
      expect(FleetTokens.hasBack(purse, 501)).toBe(false)
      expect(FleetTokens.takeBack(purse, 501)).toBe(0)
    })

    it("F11: those of several leases add up until they are asked for", () => {
      const purse = purseOf({ granted: 3 }, { granted: 4, sentMillis: 10 })
      expect(FleetTokens.available(purse, 500)).toBe(4)
      expect(FleetTokens.available(purse, 510)).toBe(0)
      expect(FleetTokens.takeBack(purse, 510)).toBe(7)
    })

    it.each([
      [-1, 0, 5],
      [0, 0, 5],
      [1, 1, 4],
      [2, 2, 3],
      [3, 2, 2],
      [5, 2, 0],
      [6, 2, 0]
    ])("F11: keeping %s of five leaves %s that are due, and gives %s back", (kept, due, back) => {
      const purse = purseOf({ granted: 2 }, { booked: 3, due: 100 })
      FleetTokens.keep(purse, kept, 50)
      expect(seen(purse, 50)).toEqual([due, 5 - back, back])
    })

    it("F11: what is kept is what comes due first, in whatever order it was leased", () => {
      const [late, middle, soon] = [
        { booked: 2, due: 300 },
        { booked: 2, due: 200 },
        { granted: 2 }
      ]
      for (const leases of [[late, middle, soon], [soon, middle, late], [middle, late, soon]]) {
        const purse = purseOf(...leases)
        FleetTokens.keep(purse, 3, 10)
        expect(purse.slices).toHaveLength(2)
        expect(FleetTokens.dueIn(purse, 3, 10)).toBe(190)
        expect(seen(purse, 10)).toEqual([2, 3, 3])
      }
    })

    it("F11: tokens that have ended are not among those that are kept", () => {
      const purse = purseOf({ granted: 2 }, { granted: 2, sentMillis: 100 })
      FleetTokens.keep(purse, 2, 500)
      expect(seen(purse, 500)).toEqual([2, 2, 2])
    })

    it("F20: who leaves gives back all, due or not, and what has ended before", () => {
      const purse = purseOf({ granted: 2 }, { booked: 3, due: 100 }, {
        granted: 1,
        sentMillis: 400
      })
      expect(FleetTokens.leased(purse, 500)).toBe(4)
      FleetTokens.empty(purse)
      expect(purse.slices).toEqual([])
      expect(seen(purse, 500)).toEqual([0, 0, 6])
    })
  })

  describe("slow model", () => {
    type Step =
      | { readonly op: "lease"; readonly granted: number; readonly booked: number }
      | { readonly op: "take"; readonly cost: number }
      | { readonly op: "keep"; readonly tokens: number }
      | { readonly op: "back" }

    /** Each leased token by itself, in the order in which they come due. */
    class Model {
      tokens: ReadonlyArray<{ readonly dueMillis: number; readonly endMillis: number }> = []
      back = 0

      /** Only where nothing is due later: the line is first come, first served. */
      lease(granted: number, booked: number, spacing: number, now: number, took: number): Lease {
        const wait = Math.max(0, (this.tokens.at(-1)?.dueMillis ?? now) - now)
        const lease = { granted: wait > 0 ? 0 : granted, booked, due: wait + spacing, spacing }
        const dues = [
          ...Array.from({ length: lease.granted }, () => 0),
          ...Array.from({ length: booked }, (_, index) => lease.due + index * spacing)
        ]
        this.tokens = [
          ...this.tokens,
          ...dues.map((due) => ({
            dueMillis: now + due,
            endMillis: now - took + due + leaseMillis
          }))
        ]
        return { ...lease, sentMillis: now - took, receivedMillis: now }
      }

      pass(now: number): void {
        const living = this.tokens.filter(({ endMillis }) => endMillis > now)
        this.back += this.tokens.length - living.length
        this.tokens = living
      }

      due(now: number): number {
        return this.tokens.filter(({ dueMillis }) => dueMillis <= now).length
      }

      dueIn(cost: number, now: number): number {
        if (cost === 0) return 0
        const token = this.tokens[cost - 1]
        return token === undefined ? Infinity : Math.max(0, token.dueMillis - now)
      }

      keep(tokens: number): void {
        this.back += Math.max(0, this.tokens.length - tokens)
        this.tokens = this.tokens.slice(0, tokens)
      }
    }

    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({
        op: fc.constant("lease" as const),
        granted: fc.nat({ max: 4 }),
        booked: fc.nat({ max: 4 })
      }),
      fc.record({ op: fc.constant("take" as const), cost: fc.nat({ max: 4 }) }),
      fc.record({ op: fc.constant("take" as const), cost: fc.nat({ max: 2 }) }),
      fc.record({ op: fc.constant("keep" as const), tokens: fc.nat({ max: 9 }) }),
      fc.constant({ op: "back" as const })
    )

    const run = (
      purse: FleetTokens.Purse,
      model: Model,
      step: Step,
      spacing: number,
      now: number,
      took: number
    ): void => {
      switch (step.op) {
        case "lease":
          return put(purse, model.lease(step.granted, step.booked, spacing, now, took))
        case "take": {
          const isDue = model.due(now) >= step.cost
          expect(FleetTokens.take(purse, step.cost, now)).toBe(isDue)
          if (isDue) model.tokens = model.tokens.slice(step.cost)
          return
        }
        case "keep":
          FleetTokens.keep(purse, step.tokens, now)
          return model.keep(step.tokens)
        case "back":
          expect(FleetTokens.takeBack(purse, now)).toBe(model.back)
          model.back = 0
      }
    }

    it("F11, F16: a purse is the same as each of its tokens by itself", () => {
      const rounds = fc.array(fc.tuple(fc.nat({ max: 250 }), fc.nat({ max: 40 }), step), {
        maxLength: 60
      })
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 90 }), rounds, (spacing, rounds) => {
          const [purse, model] = [FleetTokens.make(), new Model()]
          let now = 1000
          for (const [passed, took, step] of rounds) {
            now += passed
            model.pass(now)
            run(purse, model, step, spacing, now, took)
            const costs = [0, 1, 2, 3, 5, 8]
            expect([
              FleetTokens.available(purse, now),
              FleetTokens.leased(purse, now),
              FleetTokens.hasBack(purse, now),
              ...costs.map((cost) => FleetTokens.dueIn(purse, cost, now))
            ]).toEqual([
              model.due(now),
              model.tokens.length,
              model.back > 0,
              ...costs.map((cost) => model.dueIn(cost, now))
            ])
          }
        }),
        { numRuns: runs(1000) }
      )
    })
  })
})
