import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Concurrency from "../../src/core/concurrency.js"
import { runs } from "../support/runs.js"

const aimd: Concurrency.Aimd = {
  _tag: "Aimd",
  initial: 10,
  min: 1,
  max: 20,
  backoffRatio: 0.5,
  timeoutMillis: 1000
}
const gradient: Concurrency.Gradient = {
  _tag: "Gradient",
  initial: 10,
  min: 1,
  max: 100,
  backoffRatio: 0.5,
  smoothing: 0.2,
  tolerance: 1.5,
  headroom: 4,
  longWindow: 600,
  shortWindow: 10
}

const success = (latencyMillis = 10): Concurrency.Ending => ({ _tag: "Success", latencyMillis })
const drop: Concurrency.Ending = { _tag: "Drop" }
const ignored: Concurrency.Ending = { _tag: "Ignored" }

/** More than any policy here admits: a limit that is broken ends the test, and not the memory. */
const mostCalls = 1000

/** One limit and who runs. */
class Bench {
  state: Concurrency.State
  readonly tokens: Array<Concurrency.Token> = []
  constructor(readonly policy: Concurrency.Policy) {
    this.state = Concurrency.make(policy)
  }
  start(n = 1): this {
    if (n > mostCalls) throw new Error(`${n} calls would run`)
    for (let i = 0; i < n; i++) {
      const [token, state] = Concurrency.admit(this.state)
      this.state = state
      if (token !== undefined) this.tokens.push(token)
    }
    return this
  }
  /** Starts as many as may run. */
  fill(): this {
    return this.start(Concurrency.allowed(this.state) - this.state.running)
  }
  /** Ends the call that has run for longest. */
  end(ending: Concurrency.Ending): this {
    const token = this.tokens.shift()
    if (token === undefined) throw new Error("nothing runs")
    this.state = Concurrency.end(this.policy, this.state, token, ending)
    return this
  }
  endAll(ending: Concurrency.Ending): this {
    while (this.tokens.length > 0) this.end(ending)
    return this
  }
  /** Rounds in which as many run as may, and all end so. */
  rounds(n: number, ending: Concurrency.Ending): this {
    for (let i = 0; i < n; i++) this.fill().endAll(ending)
    return this
  }
}

const endings = fc.oneof(
  { weight: 5, arbitrary: fc.nat({ max: 3000 }).map(success) },
  { weight: 2, arbitrary: fc.constant(drop) },
  { weight: 1, arbitrary: fc.constant(ignored) }
)
const policies: fc.Arbitrary<Concurrency.Policy> = fc.oneof(
  fc.record({
    _tag: fc.constant("Aimd" as const),
    initial: fc.integer({ min: 3, max: 8 }),
    min: fc.integer({ min: 1, max: 3 }),
    max: fc.integer({ min: 8, max: 12 }),
    backoffRatio: fc.constantFrom(0.5, 0.9),
    timeoutMillis: fc.constantFrom(1000, Infinity)
  }),
  fc.record({
    _tag: fc.constant("Gradient" as const),
    initial: fc.integer({ min: 3, max: 8 }),
    min: fc.integer({ min: 1, max: 3 }),
    max: fc.integer({ min: 8, max: 40 }),
    backoffRatio: fc.constantFrom(0.5, 0.9),
    smoothing: fc.constantFrom(0.2, 1),
    tolerance: fc.constantFrom(1, 1.5),
    headroom: fc.constantFrom(0, 1, 4),
    longWindow: fc.constantFrom(1, 20, 600),
    shortWindow: fc.constantFrom(1, 10)
  })
)
const commands = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.constant({ _tag: "Start" as const }) },
    {
      weight: 2,
      arbitrary: fc.record({ _tag: fc.constant("End" as const), pick: fc.nat(), ending: endings })
    }
  ),
  { maxLength: 150, size: "max" }
)

/** What the formulas say, from the whole history, with nothing carried along but the limit. */
const model = (policy: Concurrency.Policy) => {
  const latencies: Array<number> = []
  let longMillis = 0
  let shortMillis = 0
  let usualMillis = 0
  let resting = 0
  let limit = policy.initial
  let running: ReadonlyArray<{ readonly id: number; readonly limitsBefore: number }> = []
  let decreases = 0
  let ids = 0
  const set = (next: number) => {
    limit = Math.min(policy.max, Math.max(policy.min, next))
  }
  const decrease = (decreasesAtStart: number) => {
    if (decreasesAtStart !== decreases) return
    set(limit * policy.backoffRatio)
    decreases++
  }
  return {
    start: () => {
      if (running.length + 1 > limit) return undefined
      running = [...running, { id: ids, limitsBefore: decreases }]
      return ids++
    },
    end: (id: number, ending: Concurrency.Ending) => {
      const used = running.length / limit
      const mine = running.find((each) => each.id === id)
      if (mine === undefined) throw new Error("not running")
      if (ending._tag === "Drop") decrease(mine.limitsBefore)
      if (ending._tag === "Success") {
        const late = policy._tag === "Aimd" && ending.latencyMillis > policy.timeoutMillis
        if (late) decrease(mine.limitsBefore)
        else if (policy._tag === "Aimd") set(used >= 0.5 ? limit + 1 / limit : limit)
        else {
          latencies.push(ending.latencyMillis)
          const n = latencies.length
          longMillis += (ending.latencyMillis - longMillis) *
            Math.max(1 / n, 2 / (policy.longWindow + 1))
          shortMillis += (ending.latencyMillis - shortMillis) *
            Math.max(1 / n, 2 / (policy.shortWindow + 1))
          if (longMillis > 2 * shortMillis) longMillis *= 0.95
          const rests = running.length <= limit &&
            limit <= Math.max(policy.min, 3 * policy.headroom)
          resting = rests ? resting + 1 : 0
          if (n <= policy.shortWindow) usualMillis = longMillis
          else if (resting >= 3 * policy.shortWindow) usualMillis = shortMillis
          else if (used < 0.5) {
            usualMillis += (ending.latencyMillis - usualMillis) *
              Math.max(1 / n, 2 / (policy.longWindow + 1))
          } else usualMillis = Math.min(usualMillis, longMillis)
          const ratio = shortMillis === 0 ? 1 : (policy.tolerance * usualMillis) / shortMillis
          const wanted = limit * Math.min(1, Math.max(0.5, ratio)) + policy.headroom
          if (used >= 0.5) set(limit + policy.smoothing * (wanted - limit))
        }
      }
      running = running.filter((each) => each.id !== id)
    },
    look: () => ({ limit, running: running.length })
  }
}

/** How long an upstream takes for a call, at a moment. */
type Service = (nowMillis: number) => number

/** The same draws in each run. */
const exponential = (mean: number): Service => {
  let seed = 1
  return () => {
    seed = (seed * 48_271) % 2_147_483_647
    return -Math.log(seed / 2_147_483_647) * mean
  }
}

/**
 * An upstream of so many servers with one line before them, under more callers than it can serve:
 * as many as the limit admits are always there. Time is moved by hand. The answer is the median
 * latency, the calls in a second, and the limit, of the last third of the time.
 */
const overloaded = (
  policy: Concurrency.Policy,
  { forMillis, servers, service }: {
    readonly servers: number
    readonly service: Service
    readonly forMillis: number
  }
) => {
  const free = Array.from({ length: servers }, () => 0)
  const calls: Array<{
    readonly token: Concurrency.Token
    readonly from: number
    readonly to: number
  }> = []
  const latencies: Array<number> = []
  let state = Concurrency.make(policy)
  let now = 0
  while (now < forMillis) {
    for (let full = false; !full;) {
      const [token, next] = Concurrency.admit(state)
      state = next
      full = token === undefined
      if (token === undefined) break
      const server = free.indexOf(Math.min(...free))
      const to = Math.max(now, free[server] ?? 0) + service(now)
      free[server] = to
      calls.push({ token, from: now, to })
      if (calls.length > mostCalls) throw new Error("nothing limits the calls")
    }
    calls.sort((a, b) => a.to - b.to)
    const ended = calls.shift()
    if (ended === undefined) throw new Error("nothing runs")
    now = ended.to
    const latencyMillis = now - ended.from
    if (now > forMillis * 2 / 3) latencies.push(latencyMillis)
    state = Concurrency.end(policy, state, ended.token, { _tag: "Success", latencyMillis })
  }
  latencies.sort((a, b) => a - b)
  return {
    p50: latencies[latencies.length >> 1] ?? 0,
    perSecond: latencies.length / (forMillis / 3000),
    limit: state.limit
  }
}

describe("concurrency under an overload that lasts", () => {
  const wide = { ...gradient, initial: 20, max: 200, backoffRatio: 0.9 }
  const tenMinutes = 600_000

  it("G21: the gradient does not learn its baseline from the overload: 20 servers of 100 ms", () => {
    const { p50, perSecond } = overloaded(wide, {
      servers: 20,
      service: () => 100,
      forMillis: tenMinutes
    })
    expect(p50).toBeLessThanOrEqual(200)
    expect(perSecond).toBeGreaterThan(170)
  })

  it("G21: nor where the calls differ", () => {
    const { p50, perSecond } = overloaded(wide, {
      servers: 20,
      service: exponential(100),
      forMillis: tenMinutes
    })
    expect(p50).toBeLessThan(200)
    expect(perSecond).toBeGreaterThan(120)
  })

  it("G21: nor where there are fewer servers than the limit begins with", () => {
    const { limit, p50 } = overloaded(wide, {
      servers: 5,
      service: () => 100,
      forMillis: tenMinutes
    })
    expect(p50).toBeLessThan(600)
    expect(limit).toBeLessThan(30)
  })

  it("G21: an upstream that has become slower is given as many calls as before, in time", () => {
    const { perSecond } = overloaded(wide, {
      servers: 20,
      service: (now) => now < 60_000 ? 100 : 400,
      forMillis: tenMinutes
    })
    expect(perSecond).toBeGreaterThan(35)
  })
})

describe("concurrency", () => {
  it("G21: it agrees with the formulas, whatever starts and ends in whatever order", () => {
    fc.assert(
      fc.property(policies, commands, (policy, script) => {
        const reference = model(policy)
        let state = Concurrency.make(policy)
        const held: Array<readonly [number, Concurrency.Token]> = []
        for (const command of script) {
          if (command._tag === "Start") {
            const id = reference.start()
            const [token, next] = Concurrency.admit(state)
            state = next
            expect(token !== undefined).toBe(id !== undefined)
            if (token !== undefined && id !== undefined) held.push([id, token])
          } else if (held.length > 0) {
            const [one] = held.splice(command.pick % held.length, 1)
            if (one === undefined) throw new Error("nothing runs")
            reference.end(one[0], command.ending)
            state = Concurrency.end(policy, state, one[1], command.ending)
          }
          const { limit, running } = reference.look()
          expect([state.running, Concurrency.allowed(state)]).toEqual([running, Math.floor(limit)])
          expect(state.limit).toBeCloseTo(limit, 9)
        }
      }),
      { numRuns: runs(1000) }
    )
  })

  it("G21: places are conserved and the limit stays within its bounds", () => {
    fc.assert(
      fc.property(policies, commands, (policy, script) => {
        const bench = new Bench(policy)
        for (const command of script) {
          const before = bench.state
          if (command._tag === "Start") bench.start()
          else if (bench.tokens.length > 0) bench.end(command.ending)
          const { limit, running } = bench.state
          expect(running).toBe(bench.tokens.length)
          expect(limit >= policy.min && limit <= policy.max).toBe(true)
          if (command._tag === "Start" && running > before.running) {
            expect(running).toBeLessThanOrEqual(limit)
          }
        }
        expect(bench.endAll(ignored).state.running).toBe(0)
      }),
      { numRuns: runs(500) }
    )
  })

  it("G21: neither grows while less than half of it is used", () => {
    const wide = policies.map((policy) => ({ ...policy, initial: 8 }))
    fc.assert(
      fc.property(
        wide,
        fc.array(fc.nat({ max: 3000 }), { maxLength: 100 }),
        (policy, latencies) => {
          const bench = new Bench(policy)
          for (const latency of latencies) {
            const { limit } = bench.state
            if (limit <= 2) return
            bench.start().end(success(latency))
            expect(bench.state.limit).toBeLessThanOrEqual(limit)
          }
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("G21: half of it used is enough to grow", () => {
    expect(new Bench(aimd).start(5).end(success()).state.limit).toBe(10.1)
    expect(new Bench(aimd).start(4).end(success()).state.limit).toBe(10)
    expect(new Bench(gradient).start(5).end(success()).state.limit).toBe(10.8)
    expect(new Bench(gradient).start(4).end(success()).state.limit).toBe(10)
  })

  it("G21: AIMD grows by about one when as many as the limit have succeeded", () => {
    const bench = new Bench(aimd)
    for (let i = 0; i < 10; i++) bench.fill().end(success())
    expect(bench.state.limit).toBeCloseTo(11, 0)
    for (let i = 0; i < 11; i++) bench.fill().end(success())
    expect(bench.state.limit).toBeCloseTo(12, 0)
  })

  it("G21: a drop leaves the backoff ratio, and never less than the minimum", () => {
    const bench = new Bench(aimd)
    const limits: Array<number> = []
    for (let i = 0; i < 5; i++) limits.push(bench.start().end(drop).state.limit)
    expect(limits).toEqual([5, 2.5, 1.25, 1, 1])
  })

  it("G21: a burst of drops is one overload and decreases once", () => {
    expect(new Bench(aimd).fill().endAll(drop).state.limit).toBe(5)
  })

  it("G21: a call that was let in after the decrease decreases again", () => {
    const bench = new Bench(aimd).start(2).end(drop).start(1)
    expect(bench.state.limit).toBe(5)
    expect(bench.end(drop).state.limit).toBe(5)
    expect(bench.end(drop).state.limit).toBe(2.5)
  })

  it("G21: AIMD takes a success above the timeout for a drop, and one of exactly the timeout not", () => {
    expect(new Bench(aimd).start().end(success(1001)).state.limit).toBe(5)
    expect(new Bench(aimd).start(5).end(success(1000)).state.limit).toBe(10.1)
  })

  it("G21: AIMD changes its limit and measures nothing", () => {
    const { state } = new Bench(aimd).start(5).end(success())
    expect(state).toEqual({ ...Concurrency.make(aimd), limit: 10.1, running: 4 })
  })

  it("G21: a long average decays when it is more than twice the short one, not at twice", () => {
    const policy = { ...gradient, longWindow: 3, shortWindow: 1 }
    const longAfter = (...latencies: ReadonlyArray<number>) => {
      const bench = new Bench(policy)
      for (const latency of latencies) bench.start().end(success(latency))
      return bench.state.longMillis
    }
    // The mean of both: 20 is twice 10, and 22 is more than twice 10.
    expect([longAfter(30, 10), longAfter(34, 10)]).toEqual([20, 22 * 0.95])
  })

  it("G21: what is ignored gives its place back and changes nothing", () => {
    const bench = new Bench(aimd).fill()
    expect(bench.endAll(ignored).state).toEqual(Concurrency.make(aimd))
  })

  it("G21: the gradient grows to its maximum while latencies stay as they are", () => {
    expect(new Bench(gradient).rounds(100, success(50)).state.limit).toBe(100)
  })

  it("G21: the gradient shrinks when calls take longer than they used to, before anything is dropped", () => {
    const bench = new Bench(gradient).rounds(30, success(50))
    const before = bench.state.limit
    bench.rounds(2, success(500))
    expect(bench.state.limit).toBeLessThan(before / 2)
  })

  it("G21: a little slower than usual is no queue", () => {
    const bench = new Bench(gradient).rounds(30, success(50))
    const before = bench.state.limit
    expect(bench.rounds(2, success(70)).state.limit).toBeGreaterThanOrEqual(before)
  })

  it("G21: one slow call alone does not halve the limit: the gradient is smoothed", () => {
    const bench = new Bench(gradient).rounds(30, success(50)).fill()
    const before = bench.state.limit
    expect(bench.end(success(5000)).state.limit).toBeGreaterThan(before * 0.85)
  })

  it("G21: after an overload the gradient comes back when latencies do", () => {
    const bench = new Bench(gradient).rounds(30, success(50)).rounds(5, success(1000))
    const low = bench.state.limit
    expect(bench.rounds(200, success(50)).state.limit).toBe(100)
    expect(low).toBeLessThan(50)
  })

  it("G21: calls that take no time at all do not divide by zero", () => {
    expect(new Bench(gradient).rounds(50, success(0)).state.limit).toBe(100)
  })
})
