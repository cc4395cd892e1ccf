import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Permits from "../../src/core/fleetPermits.js"
import { runs } from "../support/runs.js"

const concurrency = 10
const renewMillis = 1000
const endMillis = 5000

/** A lease of five permits of which each may be used again and again, said at time 0. */
const lease = (changes: Partial<Permits.Lease> = {}): Permits.Lease => ({
  ...Permits.make(),
  held: 5,
  endMillis,
  saidNeed: 5,
  saidMillis: 0,
  ...changes
})

const limit = (changes: Partial<Permits.Lease>, running = 0, now = 0): number =>
  Permits.limit(lease(changes), running, now)

describe("a new lease", () => {
  it("F13: it holds nothing, was never said, and has nothing to say", () => {
    const made = Permits.make()
    expect(made).toEqual({
      held: 0,
      endMillis: -Infinity,
      fair: Infinity,
      fresh: 0,
      peak: 0,
      saidNeed: 0,
      saidMillis: -Infinity,
      isPlenty: true
    })
    expect(Permits.limit(made, 0, -1e9)).toBe(0)
    expect(Permits.hasNews(made, 0, 0, concurrency, renewMillis, 1e9)).toBe(false)
  })
})

describe("how many may run", () => {
  it("F16: a lease is used before its end only", () => {
    const times = [0, endMillis - 1, endMillis - 0.001, endMillis, endMillis + 1]
    expect(times.map((now) => limit({}, 0, now))).toEqual([5, 5, 5, 0, 0])
    expect(times.map((now) => limit({ fresh: 2, fair: 1 }, 3, now))).toEqual([5, 5, 5, 0, 0])
  })

  it.each<
    readonly [held: number, fair: number, fresh: number, running: number, limit: number]
  >([
    [5, Infinity, 0, 0, 5],
    [5, Infinity, 0, 9, 5],
    [0, Infinity, 0, 0, 0],
    // Others want: what runs goes on, and no more begin than the share.
    [5, 2, 0, 0, 2],
    [5, 2, 0, 1, 2],
    [5, 2, 0, 2, 2],
    [5, 2, 0, 4, 4],
    [5, 2, 0, 5, 5],
    [5, 5, 0, 0, 5],
    [5, 6, 0, 0, 5],
    // What came with the last answer may be used once beyond it.
    [5, 2, 1, 0, 2],
    [5, 2, 1, 2, 3],
    [5, 2, 3, 2, 5],
    [5, 2, 5, 2, 5],
    // All hold too much together: none begins.
    [5, 0, 0, 0, 0],
    [5, 0, 0, 3, 3],
    [5, 0, 2, 0, 2]
  ])(
    "F13: of %d, keeping to %d, %d fresh, %d running: %d",
    (held, fair, fresh, running, expected) => {
      expect(limit({ held, fair, fresh }, running)).toBe(expected)
    }
  )

  it("F13: each call that begins uses one fresh permit, while there are any", () => {
    const held = lease({ fresh: 2, fair: 0 })
    const limits = [0, 1, 2, 3].map((running) => {
      const before = Permits.limit(held, running, 0)
      Permits.begin(held)
      return [before, held.fresh]
    })
    expect(limits).toEqual([[2, 1], [2, 0], [2, 0], [3, 0]])
  })
})

describe("what is said", () => {
  interface Case {
    readonly lease?: Partial<Permits.Lease>
    readonly running?: number
    readonly waiting?: number
    readonly now?: number
    readonly held: number
    readonly need: number
  }

  it.each<readonly [what: string, asked: Case]>([
    ["all goes back where none is needed", { held: 0, need: 0 }],
    ["what runs is needed, the rest goes back", { running: 3, held: 3, need: 3 }],
    ["what waits is needed too", { running: 3, waiting: 1, held: 4, need: 4 }],
    ["more is asked for than is held", { running: 3, waiting: 4, held: 5, need: 7 }],
    ["no more than all", { running: 5, waiting: 6, held: 5, need: 10 }],
    ["the most that was needed at once since", {
      lease: { peak: 4 },
      running: 1,
      held: 4,
      need: 4
    }],
    ["a peak below what is needed", { lease: { peak: 1 }, running: 2, held: 2, need: 2 }],
    ["a peak above all", { lease: { peak: 99 }, held: 5, need: 10 }],
    ["beyond the share only what runs stays", {
      lease: { fair: 2 },
      running: 3,
      waiting: 9,
      held: 3,
      need: 10
    }],
    ["the share stays", { lease: { fair: 2 }, waiting: 9, held: 2, need: 9 }],
    ["what is fresh stays", {
      lease: { fair: 2, fresh: 2 },
      running: 2,
      waiting: 9,
      held: 4,
      need: 10
    }],
    ["what runs counts after the end", {
      running: 2,
      waiting: 9,
      now: endMillis,
      held: 2,
      need: 10
    }],
    ["what runs counts, whatever was leased", { running: 7, held: 7, need: 7 }],
    ["what runs counts, also beyond all", { running: 12, waiting: 1, held: 12, need: 12 }]
  ])("F13: %s", (_, { held, lease: changes, need, now = 7, running = 0, waiting = 0 }) => {
    const leased = lease(changes)
    expect(Permits.say(leased, running, waiting, concurrency, now)).toEqual({ held, need })
    expect(leased).toEqual(lease({
      ...changes,
      held,
      fresh: 0,
      peak: running + waiting,
      saidNeed: need,
      saidMillis: now
    }))
  })

  it("F13: what was given up is used no more, though the answer has not come", () => {
    const given = lease()
    Permits.say(given, 1, 1, concurrency, 0)
    expect([Permits.limit(given, 1, 1), Permits.limit(given, 9, 1)]).toEqual([2, 2])
  })

  it("F13, F16: who was away admits nothing on what it held, and says only what runs", () => {
    const away = lease()
    Permits.say(away, 3, 4, concurrency, endMillis)
    expect([3, 2, 0].map((running) => Permits.limit(away, running, endMillis))).toEqual([0, 0, 0])
    expect(away.held).toBe(3)
  })
})

describe("whether there is something to say", () => {
  interface Now {
    readonly lease?: Partial<Permits.Lease>
    readonly running?: number
    readonly waiting?: number
    readonly now?: number
  }

  const hasNews = ({ lease: changes, now = 1, running = 0, waiting = 0 }: Now): boolean =>
    Permits.hasNews(lease(changes), running, waiting, concurrency, renewMillis, now)

  it.each<readonly [what: string, hasNews: boolean, at: Now]>([
    ["all that is held is in use", false, { running: 5 }],
    ["all that is held was in use at once since", false, { lease: { peak: 5 } }],
    ["one permit is needed no more", true, { running: 4 }],
    ["no permit is needed", true, {}],
    ["more run than are held", true, { running: 6 }],
    ["more were needed at once than are held", true, { lease: { peak: 6 }, running: 5 }],
    ["a call waits", true, { lease: { held: 10 }, running: 10, waiting: 1 }],
    ["a call waits for one that is held", true, { running: 4, waiting: 1 }],
    ["all is held, and more were needed at once", false, {
      lease: { held: 10, peak: 12 },
      running: 10
    }],
    ["the share is smaller than what is held", true, { lease: { peak: 5, fair: 4 } }],
    ["the share is what is held", false, { lease: { peak: 5, fair: 5 } }],
    ["the share is smaller, and what runs keeps it", false, { lease: { fair: 2 }, running: 5 }],
    ["the share is smaller, and a call has ended", true, {
      lease: { fair: 2, peak: 5 },
      running: 4
    }]
  ])("F13: %s: %s", (_, expected, at) => {
    expect(hasNews(at)).toBe(expected)
  })

  it.each<readonly [what: string, held: number, saidNeed: number, isRenewed: boolean]>([
    ["what is held", 5, 5, true],
    ["what is held and was not asked for", 5, 0, true],
    ["what was asked for and not had", 0, 5, true],
    ["nothing", 0, 0, false]
  ])("F13: %s is renewed in time: %d held, %d asked for", (_, held, saidNeed, isRenewed) => {
    const at = (now: number) => hasNews({ lease: { held, saidNeed }, running: held, now })
    expect([0, renewMillis - 1, renewMillis, renewMillis + 1].map(at))
      .toEqual([false, false, isRenewed, isRenewed])
  })

  it("F13: it counts from when it was said last", () => {
    const at = (now: number) => hasNews({ lease: { saidMillis: 300 }, running: 5, now })
    expect([1299, 1300].map(at)).toEqual([false, true])
  })
})

describe("what is granted", () => {
  const take = (changes: Partial<Permits.Lease>, granted: number, fair = concurrency) => {
    const taken = lease({ held: 2, endMillis: 100, fair: 1, fresh: 9, saidNeed: 6, ...changes })
    Permits.granted(taken, { granted, fair }, concurrency, endMillis)
    return taken
  }

  it.each<
    readonly [granted: number, saidNeed: number, held: number, fresh: number, isPlenty: boolean]
  >([
    [0, 6, 2, 0, false],
    [2, 6, 2, 0, false],
    [3, 6, 3, 1, false],
    [5, 6, 5, 3, false],
    [6, 6, 6, 4, true],
    // No more than was asked for, nor than there are: a store may say anything.
    [7, 6, 6, 4, true],
    [2 ** 50, 6, 6, 4, true],
    [2 ** 50, 99, 10, 8, true],
    [10, 99, 10, 8, false],
    [0, 0, 2, 0, true],
    [1, 1, 2, 0, true]
  ])("F13, F15: %d for %d asked: %d held, %d fresh", (granted, saidNeed, held, fresh, isPlenty) => {
    expect(take({ saidNeed }, granted)).toMatchObject({ held, fresh, isPlenty, saidNeed })
  })

  it("F13: the answer renews the lease, up to the end that it is given", () => {
    expect(take({}, 6).endMillis).toBe(endMillis)
  })

  it("F13: a share of all is no bound, any smaller one is", () => {
    expect([0, 1, 9, 10, 11, 2 ** 50].map((fair) => take({}, 6, fair).fair))
      .toEqual([0, 1, 9, Infinity, Infinity, Infinity])
  })

  it("F13: who stood in line for its share may use once what came beyond it", () => {
    const taken = take({}, 4, 1)
    let running = 0
    while (running < Permits.limit(taken, running, 0)) {
      running++
      Permits.begin(taken)
    }
    expect(running).toBe(2)
    expect([2, 1, 0].map((running) => Permits.limit(taken, running, 0))).toEqual([2, 1, 1])
  })
})

/** A slow model: one permit after the other, each with what may still be done with it. */
class Model {
  permits: ReadonlyArray<{ readonly isFresh: boolean }> = []
  fair = Infinity
  endMillis = -Infinity
  asked = 0
  askedAt = -Infinity
  /** How many were needed, each time since the last question. */
  needs: ReadonlyArray<number> = [0]

  limit(running: number, now: number): number {
    if (now >= this.endMillis) return 0
    const fresh = this.permits.filter(({ isFresh }) => isFresh).length
    return this.permits.filter((_, place) => place < this.fair || place < running + fresh).length
  }

  begin(): void {
    const used = this.permits.findIndex(({ isFresh }) => isFresh)
    this.permits = this.permits.map(({ isFresh }, place) => ({
      isFresh: isFresh && place !== used
    }))
  }

  most(running: number, waiting: number): number {
    return [...this.needs, running + waiting].toSorted((a, b) => b - a)[0]!
  }

  say(running: number, waiting: number, now: number) {
    const most = this.most(running, waiting)
    const need = most <= concurrency ? most : running > concurrency ? running : concurrency
    const usable = this.limit(running, now)
    const held = Array.from({ length: Math.max(running, concurrency) }, (_, place) => place)
      .filter((place) => place < running || (place < usable && place < need)).length
    this.permits = Array.from({ length: held }, () => ({ isFresh: false }))
    this.needs = [running + waiting]
    this.asked = need
    this.askedAt = now
    return { held, need }
  }

  hasNews(running: number, waiting: number, now: number): boolean {
    const held = this.permits.length
    const most = this.most(running, waiting)
    if (waiting > 0 || (most > held && held < concurrency)) return true
    if (held > running && (held > most || held > this.fair)) return true
    return now >= this.askedAt + renewMillis && (held > 0 || this.asked > 0)
  }

  granted(granted: number, fair: number, endMillis: number): void {
    const old = this.permits.map(() => ({ isFresh: false }))
    const isMore = (place: number) => place < granted && place < this.asked && place < concurrency
    const more = Array.from({ length: concurrency }, (_, place) => place)
      .filter((place) => place >= old.length && isMore(place)).map(() => ({ isFresh: true }))
    this.permits = [...old, ...more]
    this.fair = fair < concurrency ? fair : Infinity
    this.endMillis = endMillis
  }
}

describe("a lease and its model", () => {
  /** A bulkhead with a lease, and the model of it. */
  class Run {
    readonly lease = Permits.make()
    readonly model = new Model()
    running = 0
    waiting = 0
    now = 0
    hasForced = false
    sentMillis: number | undefined = undefined

    begin(): void {
      this.running++
      this.waiting = Math.max(0, this.waiting - 1)
      Permits.begin(this.lease)
      this.model.begin()
    }

    note(): void {
      const needed = this.running + this.waiting
      this.lease.peak = Math.max(this.lease.peak, needed)
      this.model.needs = [...this.model.needs, needed]
    }

    check(): void {
      const { hasForced, lease, model, now, running, waiting } = this
      const counts = Array.from({ length: concurrency + 2 }, (_, count) => count)
      expect([
        lease.held,
        Permits.hasNews(lease, running, waiting, concurrency, renewMillis, now),
        ...counts.map((count) => Permits.limit(lease, count, now))
      ]).toEqual([
        model.permits.length,
        model.hasNews(running, waiting, now),
        ...counts.map((count) => model.limit(count, now))
      ])
      if (!hasForced) expect(running).toBeLessThanOrEqual(concurrency)
    }
  }

  interface Told {
    readonly granted: number
    readonly fair: number
  }

  /** What may happen. The answers are whether it could. */
  const acts = {
    begin: (run: Run): boolean => {
      const isFree = run.running < Permits.limit(run.lease, run.running, run.now)
      if (isFree) run.begin()
      return isFree
    },
    /** A call that no lease admits, as one that is apart begins. */
    force: (run: Run): boolean => {
      run.hasForced = true
      run.begin()
      return true
    },
    end: (run: Run): boolean => run.running > 0 && run.running-- > 0,
    wait: (run: Run): boolean => ++run.waiting > 0,
    leave: (run: Run): boolean => run.waiting > 0 && run.waiting-- > 0,
    say: (run: Run): boolean => {
      const { lease, model, now, running, waiting } = run
      expect(Permits.say(lease, running, waiting, concurrency, now))
        .toEqual(model.say(running, waiting, now))
      run.sentMillis = now
      return true
    },
    answer: (run: Run, told: Told): boolean => {
      if (run.sentMillis === undefined) return false
      const endMillis = run.sentMillis + 5000
      Permits.granted(run.lease, told, concurrency, endMillis)
      run.model.granted(told.granted, told.fair, endMillis)
      run.sentMillis = undefined
      return true
    }
  }

  type Act = keyof typeof acts

  const stepsOf = (acts: ReadonlyArray<Act>) =>
    fc.array(
      fc.record({
        act: fc.constantFrom(...acts),
        passed: fc.constantFrom(0, 0, 1, 100, 100, 999, 1000, 3000),
        told: fc.record({
          granted: fc.oneof(fc.nat({ max: 12 }), fc.constant(2 ** 50)),
          fair: fc.oneof(fc.nat({ max: 4 }), fc.integer({ min: 9, max: 11 }))
        })
      }),
      { minLength: 20, maxLength: 60, size: "max" }
    )

  const often = (times: number, ...acts: ReadonlyArray<Act>): ReadonlyArray<Act> =>
    Array.from({ length: times }, () => acts).flat()

  /** How often what is done, where it is not apart. */
  const ordinary = [
    ...often(1, "leave"),
    ...often(2, "end", "say"),
    ...often(4, "begin", "answer"),
    ...often(3, "wait")
  ]

  it("F13, F16: limits, questions and news are those of a slow model, in any order", () => {
    const seen = new Map<string, number>()
    const steps = fc.oneof(stepsOf(ordinary), stepsOf([...ordinary, "force"]))
    const property = fc.property(steps, (steps) => {
      const run = new Run()
      for (const { act, passed, told } of steps) {
        run.now += passed
        if (acts[act](run, told)) seen.set(act, (seen.get(act) ?? 0) + 1)
        run.note()
        run.check()
      }
    })
    fc.assert(property, { numRuns: runs(2000) })
    for (const act of Object.keys(acts)) expect(seen.get(act)).toBeGreaterThan(100)
  })

  it("F13: beyond a share no more begin than came with the answer, each once", () => {
    const lengths = fc.record({
      running: fc.nat({ max: concurrency }),
      granted: fc.nat({ max: concurrency }),
      fair: fc.nat({ max: concurrency - 1 }),
      ends: fc.array(fc.boolean(), { maxLength: 30, size: "max" })
    })
    fc.assert(
      fc.property(lengths, ({ ends, fair, granted, running: first }) => {
        const told = lease({ held: first, saidNeed: concurrency })
        Permits.granted(told, { granted, fair }, concurrency, endMillis)
        const came = told.held - first
        let running = first
        let begun = 0
        for (const isEnd of ends) {
          if (isEnd && running > 0) running--
          if (isEnd || running >= Permits.limit(told, running, 0)) continue
          if (running >= fair) begun++
          running++
          Permits.begin(told)
        }
        expect(begun).toBeLessThanOrEqual(came)
        expect(running).toBeLessThanOrEqual(Math.max(first + came, fair))
      }),
      { numRuns: runs(2000) }
    )
  })
})
