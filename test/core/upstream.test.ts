import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Distribution from "../../src/core/distribution.js"
import * as Draw from "../../src/core/draw.js"
import * as EventQueue from "../../src/core/eventQueue.js"
import * as Upstream from "../../src/core/upstream.js"
import { runs } from "../support/runs.js"

const source = Draw.source(11, 0)
const milli = 1e6

const plain: Upstream.Options = {
  service: { _tag: "Constant", value: 10 },
  capacity: { _tag: "Unlimited" },
  noticesAbandonment: false,
  rateLimit: undefined,
  faults: []
}

/** When a request arrives, and when its caller is known to be gone; in milliseconds. */
interface Arrival {
  readonly at: number
  readonly drop?: number | undefined
}

/** What became of a request: the answer, when it came and the wait asked for. */
interface Ending {
  readonly answer: number
  readonly at: number
  readonly retryAfter?: number | undefined
}

type Fate = Ending | undefined

/** Runs arrivals through the upstream: at one moment, services end before drops and arrivals. */
const run = (options: Upstream.Options, arrivals: ReadonlyArray<Arrival>, cause = 0) => {
  const events = EventQueue.make()
  const what: Array<() => void> = []
  let now = 0
  const at = (nanos: number, order: number, does: () => void): void => {
    EventQueue.add(events, nanos, order * 1e9 + what.length, what.length)
    what.push(does)
  }
  const fates: Array<Fate> = arrivals.map(() => undefined)
  const executed = arrivals.map(() => false)
  let most = 0
  const upstream = new Upstream.Upstream<Upstream.Request>(options, source, {
    serve: (request, end) => {
      executed[request.call] = true
      most = Math.max(most, upstream.served)
      at(end, 0, () => upstream.end(request, now, cause))
    },
    answer: ({ call }, answer, retryAfter) => {
      fates[call] = {
        answer,
        at: now / milli,
        ...(retryAfter === undefined ? {} : { retryAfter })
      }
    }
  })
  const requests = arrivals.map((arrival, call): Upstream.Request => {
    const request: Upstream.Request = {
      call,
      attempt: 0,
      phase: "new",
      place: undefined
    }
    at(arrival.at * milli, 2, () => upstream.arrive(request, now))
    if (arrival.drop !== undefined) {
      at(arrival.drop * milli, 1, () => upstream.drop(request, now))
    }
    return request
  })
  for (const nanos of Upstream.changesNanos(options)) at(nanos, 1, () => upstream.change(now))
  while (events.size > 0) {
    now = events.times[0]!
    what[EventQueue.take(events)]!()
  }
  return { fates, requests, executed, most, left: [upstream.served, upstream.queued] }
}

const answersOf = (options: Upstream.Options, arrivals: ReadonlyArray<Arrival>) =>
  run(options, arrivals).fates.map((fate) => fate?.answer)

/** The upstream as lists: who is in line, who is served until when. Slow and obvious. */
const model = (
  workers: number,
  queue: number,
  order: "fifo" | "lifo",
  arrivals: ReadonlyArray<Arrival>,
  millisOf: (call: number) => number
): ReadonlyArray<Fate> => {
  const fates: Array<Fate> = arrivals.map(() => undefined)
  let line: Array<number> = []
  let served: Array<{ readonly call: number; readonly end: number }> = []
  const fill = (now: number): void => {
    while (served.length < workers && line.length > 0) {
      const call = order === "fifo" ? line.shift()! : line.pop()!
      served.push({ call, end: now + millisOf(call) })
    }
  }
  const finish = (upTo: number): void => {
    while (served.length > 0) {
      const end = Math.min(...served.map(({ end }) => end))
      if (end > upTo) return
      const ended = served.find((one) => one.end === end)!
      served = served.filter((one) => one !== ended)
      fates[ended.call] = { answer: 0, at: end }
      fill(end)
    }
  }
  const steps = arrivals.flatMap(({ at, drop }, call) => [
    { at, call, drops: false },
    ...(drop === undefined ? [] : [{ at: drop, call, drops: true }])
  ])
  steps.sort((a, b) => a.at - b.at || Number(b.drops) - Number(a.drops))
  for (const { at, call, drops } of steps) {
    finish(at)
    if (drops) {
      line = line.filter((other) => other !== call)
      served = served.filter((one) => one.call !== call)
    } else if (served.length < workers) {
      served.push({ call, end: at + millisOf(call) })
    } else if (line.length < queue) {
      line.push(call)
    } else {
      fates[call] = { answer: 503, at }
    }
    fill(at)
  }
  finish(Infinity)
  return fates
}

const arrivals = fc.array(
  fc.tuple(fc.nat({ max: 8 }), fc.option(fc.integer({ min: 1, max: 30 }))),
  { maxLength: 40, size: "max" }
).map((gaps) => {
  let at = 0
  return gaps.map(([gap, stays]): Arrival => {
    at += gap
    return { at, drop: stays === null ? undefined : at + stays + 0.25 }
  })
})

describe("upstream", () => {
  it("S10: workers, line and drops agree with a model of lists", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.nat({ max: 4 }),
        fc.constantFrom("fifo" as const, "lifo" as const),
        arrivals,
        fc.constantFrom<Distribution.Distribution>(
          { _tag: "Uniform", min: 1, max: 20 },
          { _tag: "Exponential", mean: 12 }
        ),
        (workers, queue, order, arrivals, service) => {
          const sample = Distribution.sampler(service)
          const millisOf = (call: number) =>
            Math.round(sample(Draw.unit(source, call, Draw.purposes.service, 0)) * milli) / milli
          const found = run({
            ...plain,
            service,
            capacity: { _tag: "Workers", workers, queue, order, overflow: 503 }
          }, arrivals)
          const expected = model(workers, queue, order, arrivals, millisOf)
          found.fates.forEach((fate, call) => {
            expect(fate?.answer).toBe(expected[call]?.answer)
            expect(fate?.at ?? 0).toBeCloseTo(expected[call]?.at ?? 0, 5)
          })
          expect(found.most).toBeLessThanOrEqual(workers)
          expect(found.left).toEqual([0, 0])
          expect(new Set(found.requests.map(({ phase }) => phase))).toEqual(
            new Set(arrivals.length === 0 ? [] : ["over"])
          )
        }
      ),
      { numRuns: runs(1000) }
    )
  })

  it("S12: what is refused, limited or turned away is not executed, what is served is", () => {
    const outage = { _tag: "Outage", fromNanos: 0, toNanos: 100 * milli } as const
    const executed = (options: Partial<Upstream.Options>) =>
      run({ ...plain, ...options }, [{ at: 0 }, { at: 1 }]).executed
    expect(executed({})).toEqual([true, true])
    expect(executed({ faults: [{ ...outage, as: "refused" }] })).toEqual([false, false])
    expect(executed({ faults: [{ ...outage, as: "reset" }] })).toEqual([false, false])
    expect(executed({
      rateLimit: {
        policy: { limit: 1n, intervalNanos: 1_000_000_000n, burst: 1 },
        retryAfter: "exact"
      }
    })).toEqual([true, false])
    expect(executed({
      capacity: { _tag: "Workers", workers: 1, queue: 0, order: "fifo", overflow: 503 }
    })).toEqual([true, false])
    expect(executed({ faults: [{ _tag: "Errors", rate: 1, status: 500 }] })).toEqual([true, true])
  })

  it("S12: an outage answers as it is told, and loses what was worked on when it began", () => {
    const during = (as: Extract<Upstream.Fault, { readonly _tag: "Outage" }>["as"]) =>
      answersOf(
        {
          ...plain,
          faults: [{ _tag: "Outage", fromNanos: 5 * milli, toNanos: 20 * milli, as }]
        },
        [{ at: 0 }, { at: 5 }, { at: 19 }, { at: 20 }]
      )
    const { blackHole, refused, reset, success } = Upstream.answers
    expect(during("refused")).toEqual([reset, refused, refused, success])
    expect(during("reset")).toEqual([reset, reset, reset, success])
    expect(during("503")).toEqual([success, 503, 503, success])
    expect(during("blackHole")).toEqual([blackHole, blackHole, blackHole, success])
  })

  it("the rate limit lets through a burst and then one at a time, and says how long to wait", () => {
    const policy = { limit: 2n, intervalNanos: 100_000_000n, burst: 2 }
    const fates = (retryAfter: "exact" | "none" | number) =>
      run(
        { ...plain, rateLimit: { policy, retryAfter } },
        [{ at: 0 }, { at: 0 }, { at: 10 }, { at: 50 }, { at: 60 }]
      ).fates.map((fate) => [fate?.answer, fate?.retryAfter])
    const { success } = Upstream.answers
    const [first, second, fourth] = [[success, undefined], [success, undefined], [
      success,
      undefined
    ]]
    expect(fates("exact")).toEqual([first, second, [429, 40], fourth, [429, 40]])
    expect(fates("none")).toEqual([first, second, [429, undefined], fourth, [429, undefined]])
    expect(fates(7)).toEqual([first, second, [429, 7], fourth, [429, 7]])
  })

  it("the rate limit passes at most its burst and what time has paid for, in every stretch", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 10 }),
        fc.array(fc.nat({ max: 30 }), { maxLength: 60, size: "max" }),
        (limit, burst, gaps) => {
          let at = 0
          const arrivals = gaps.map((gap) => ({ at: at += gap }))
          const policy = { limit: BigInt(limit), intervalNanos: 100_000_000n, burst }
          const { fates } = run({ ...plain, rateLimit: { policy, retryAfter: "none" } }, arrivals)
          const passed = arrivals.filter((_, call) => fates[call]?.answer === 0)
          passed.forEach((from, first) =>
            passed.slice(first).forEach((to, further) =>
              expect(further + 1).toBeLessThanOrEqual(
                burst + (to.at - from.at) * limit / 100 + 1e-3
              )
            )
          )
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("errors and bursts fail the share that they are given", () => {
    const calls = Array.from({ length: 20_000 }, (_, call) => ({ at: call }))
    const failed = (fault: Upstream.Fault): number =>
      answersOf({ ...plain, service: { _tag: "Constant", value: 0.5 }, faults: [fault] }, calls)
        .filter((answer) => answer !== 0).length / calls.length
    expect(failed({ _tag: "Errors", rate: 0.3, status: 500 })).toBeCloseTo(0.3, 1)
    // A sixth of the time is bad.
    expect(failed({ _tag: "Burst", goodMillis: 50, badMillis: 10, rate: 0.6 })).toBeCloseTo(0.1, 1)
    expect(failed({ _tag: "Burst", goodMillis: 1e9, badMillis: 10, rate: 1 })).toBe(0)
  })

  it("two faults draw apart, and the first that strikes answers", () => {
    const both = answersOf({
      ...plain,
      faults: [
        { _tag: "Errors", rate: 0.5, status: 500 },
        { _tag: "Errors", rate: 0.5, status: 502 }
      ]
    }, Array.from({ length: 4000 }, (_, call) => ({ at: call })))
    const share = (status: number) => both.filter((answer) => answer === status).length / 4000
    expect([share(500), share(502)].map((found) => Math.round(found * 20) / 20))
      .toEqual([0.5, 0.25])
  })

  it("a brown-out makes service slower and workers fewer, and leaves the line to them after", () => {
    const { fates, most } = run({
      ...plain,
      capacity: { _tag: "Workers", workers: 10, queue: 10, order: "fifo", overflow: 503 },
      faults: [{
        _tag: "BrownOut",
        fromNanos: 0,
        toNanos: 30 * milli,
        latency: 4,
        capacity: 0.3
      }]
    }, Array.from({ length: 6 }, () => ({ at: 0 })))
    expect(fates.map((fate) => fate?.at)).toEqual([40, 40, 40, 40, 40, 40])
    expect(most).toBe(6)
  })

  it("a brown-out leaves at least one worker", () => {
    const { fates } = run({
      ...plain,
      capacity: { _tag: "Workers", workers: 2, queue: 10, order: "fifo", overflow: 503 },
      faults: [{
        _tag: "BrownOut",
        fromNanos: 0,
        toNanos: 1000 * milli,
        latency: 1,
        capacity: 0.1
      }]
    }, [{ at: 0 }, { at: 0 }])
    expect(fates.map((fate) => fate?.at)).toEqual([10, 20])
  })

  it("service that depends on the load takes longer the more there is to do", () => {
    const { fates } = run({
      ...plain,
      service: { _tag: "Constant", value: 1 },
      capacity: { _tag: "LoadDependent", baseMillis: 100, slopeMillis: 10, power: 2 }
    }, [{ at: 0 }, { at: 1 }, { at: 200 }])
    expect(fates.map((fate) => fate?.at)).toEqual([111, 142, 311])
  })

  it("a service that failed by a cause answers it, unless it is down itself", () => {
    const causes = (faults: ReadonlyArray<Upstream.Fault>) =>
      run({ ...plain, faults }, [{ at: 0 }], 502).fates.map((fate) => fate?.answer)
    expect(causes([])).toEqual([502])
    expect(causes([{ _tag: "Errors", rate: 1, status: 500 }])).toEqual([502])
    const window = { fromNanos: 5 * milli, toNanos: 20 * milli }
    expect(causes([{ _tag: "Outage", ...window, as: "reset" }])).toEqual([Upstream.answers.reset])
    expect(causes([{ _tag: "Outage", ...window, as: "503" }])).toEqual([502])
  })

  it("S4: an error strikes where the draw of its fault and its attempt is below the rate", () => {
    const rates = [0.3, 0.5, 0.7]
    const drawn = (call: number, attempt: number, number: number) =>
      Draw.unit(source, call, Draw.purposes.fault, attempt * rates.length + number)
    const answered = (rates: ReadonlyArray<number>, call: number, attempt: number) => {
      let found = -1
      const upstream = new Upstream.Upstream<Upstream.Request>(
        {
          ...plain,
          faults: rates.map((rate, number) => ({ _tag: "Errors", rate, status: 500 + number }))
        },
        source,
        { serve: () => {}, answer: (_, answer) => found = answer }
      )
      const request: Upstream.Request = { call, attempt, phase: "new", place: undefined }
      upstream.arrive(request, 0)
      upstream.end(request, 1, 0)
      return found
    }
    for (let call = 0; call < 100; call++) {
      for (let attempt = 0; attempt < 4; attempt++) {
        const number = rates.findIndex((rate, number) => drawn(call, attempt, number) < rate)
        expect(answered(rates, call, attempt)).toBe(number < 0 ? 0 : 500 + number)
      }
      // A draw that is the rate is not below it.
      expect(answered([drawn(call, 0, 0), 0, 0], call, 0)).toBe(0)
    }
  })

  it("S4: spells have the lengths that are drawn, the first is good, and their ends are over", () => {
    const fault = { _tag: "Burst", goodMillis: 20, badMillis: 10, rate: 1 } as const
    // The second of two faults: its number is part of its draws.
    const faults = [{ _tag: "Errors", rate: 0, status: 500 } as const, fault]
    const ends: Array<number> = []
    for (let spell = 0, at = 0; spell < 20; spell++) {
      const mean = spell % 2 === 0 ? fault.goodMillis : fault.badMillis
      const unit = Draw.unit(source, 1, Draw.purposes.burst, spell)
      ends.push(at += Math.max(1, Math.round(-mean * Math.log(1 - unit) * milli)))
    }
    let found = -1
    const upstream = new Upstream.Upstream<Upstream.Request>({ ...plain, faults }, source, {
      serve: () => {},
      answer: (_, answer) => found = answer
    })
    const answerAt = (nanos: number) => {
      const request: Upstream.Request = { call: 0, attempt: 0, phase: "new", place: undefined }
      upstream.arrive(request, nanos)
      upstream.end(request, nanos, 0)
      return found
    }
    expect(answerAt(0)).toBe(0)
    ends.forEach((end, spell) => {
      const [within, after] = spell % 2 === 0 ? [0, 503] : [503, 0]
      expect([answerAt(end - 1), answerAt(end)]).toEqual([within, after])
    })
  })

  it("the line moves during an outage, and a brown-out beside it hides neither", () => {
    const window = { fromNanos: 5 * milli, toNanos: 100 * milli }
    const brownOut = { _tag: "BrownOut", ...window, latency: 2, capacity: 1 } as const
    const outage = (as: "503" | "refused") => ({ _tag: "Outage", ...window, as }) as const
    const fates = (faults: ReadonlyArray<Upstream.Fault>) =>
      run({
        ...plain,
        capacity: { _tag: "Workers", workers: 1, queue: 5, order: "fifo", overflow: 503 },
        faults
      }, [{ at: 0 }, { at: 1 }, { at: 6 }]).fates.map((fate) => [fate?.answer, fate?.at])
    const { refused, reset, success } = Upstream.answers
    expect(fates([outage("503")])).toEqual([[success, 10], [success, 20], [503, 6]])
    expect(fates([brownOut, outage("503")])).toEqual([[success, 10], [success, 30], [503, 6]])
    expect(fates([brownOut, outage("refused")])).toEqual([[reset, 10], [reset, 30], [refused, 6]])
  })

  it("only the end of a brown-out frees workers", () => {
    const window = { fromNanos: 5 * milli, toNanos: 100 * milli }
    expect(Upstream.changesNanos({
      ...plain,
      faults: [
        { _tag: "Outage", ...window, as: "503" },
        { _tag: "Errors", rate: 1, status: 500 },
        { _tag: "BrownOut", fromNanos: 7, toNanos: 9, latency: 1, capacity: 1 },
        { _tag: "Burst", goodMillis: 1, badMillis: 1, rate: 1 }
      ]
    })).toEqual([9])
  })

  it("S4: each fault of each attempt has a draw of its own, however many there are", () => {
    const faults = Array.from({ length: 100 }, () => ({
      _tag: "Errors" as const,
      rate: 0.005,
      status: 500
    }))
    const arrivals = Array.from({ length: 2000 }, (_, at) => ({ at }))
    const failed = answersOf({ ...plain, faults }, arrivals).filter((answer) => answer === 500)
    // One minus 0.995 to the hundredth.
    expect(failed.length / arrivals.length).toBeCloseTo(0.394, 1)
  })
})
