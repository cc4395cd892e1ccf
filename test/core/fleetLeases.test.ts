/**
 * The leases of several members over one store, by the machines alone: questions and answers are
 * late, lost, doubled and overtaken, processes freeze and die, the store's clock steps. What must
 * hold is counted from outside, in real time.
 */
import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as FleetPermits from "../../src/core/fleetPermits.js"
import * as Machine from "../../src/core/fleetStore.js"
import * as FleetTokens from "../../src/core/fleetTokens.js"
import type * as Wire from "../../src/core/fleetWire.js"
import { runs } from "../support/runs.js"
import { batch, memberTimeout } from "./fleet.js"

/** What happens to one question: how late it comes and is answered, and what is lost or doubled. */
interface Fate {
  readonly there: number
  readonly back: number
  readonly fault: "none" | "lostQuestion" | "lostAnswer" | "double"
}

/** What one member does next: call, ask, or nothing for a while. */
interface Step {
  readonly member: number
  readonly after: number
  readonly act: "call" | "ask" | "end" | "freeze"
  readonly cost: number
  readonly fate: Fate
}

const fate: fc.Arbitrary<Fate> = fc.record({
  there: fc.nat({ max: 300 }),
  back: fc.nat({ max: 300 }),
  fault: fc.constantFrom("none", "none", "none", "lostQuestion", "lostAnswer", "double")
})

const steps = fc.array(
  fc.record({
    member: fc.nat({ max: 2 }),
    after: fc.nat({ max: 120 }),
    act: fc.constantFrom<Step["act"]>("call", "call", "call", "ask", "ask", "end", "freeze"),
    cost: fc.integer({ min: 1, max: 2 }),
    fate
  }),
  { minLength: 20, maxLength: 120 }
)

interface Event {
  readonly at: number
  readonly run: () => void
}

/** Lets questions travel. Each member has one under way at a time, and gives up after 400 ms. */
const world = () => {
  const store = Machine.make()
  const events: Array<Event> = []
  const members = [0, 1, 2].map(() => ({ sequence: 0, askedAt: -Infinity, frozenUntil: 0 }))
  let now = 0
  const plan = (at: number, run: () => void): void => {
    events.push({ at, run })
  }
  const advance = (to: number): void => {
    while (true) {
      const next = events.filter(({ at }) => at <= to).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      events.splice(events.indexOf(next), 1)
      now = Math.max(now, next.at)
      next.run()
    }
    now = to
  }
  const timeout = 400
  const ask = (
    index: number,
    command: Wire.Command,
    { back, fault, there }: Fate,
    answered: (answer: Wire.Answer | null | undefined, sent: number, received: number) => void
  ): void => {
    const member = members[index]!
    const sent = now
    const sequence = ++member.sequence
    member.askedAt = sent
    if (fault === "lostQuestion") return
    const arrives = (at: number): void =>
      plan(at, () => {
        const [reply] = Machine.exchange(store, now, batch(`m${index}`, sequence, [command]))
        const returns = Math.max(now + back, member.frozenUntil)
        if (fault === "lostAnswer" || reply.stale) return
        plan(returns, () => {
          // An answer to a question that was given up is not heard.
          if (member.sequence !== sequence || now - sent > timeout) return
          answered(reply.answers[0], sent, now)
          member.askedAt = -Infinity
        })
      })
    arrives(sent + there)
    if (fault === "double") arrives(sent + there + back)
  }
  return {
    store,
    members,
    advance,
    ask,
    get now() {
      return now
    },
    canAct: (index: number) => members[index]!.frozenUntil <= now,
    canAsk: (index: number) => now - members[index]!.askedAt > timeout
  }
}

describe("fleet leases", () => {
  it("F11: over any T at most burst + rate x (T + leaseTime) begin, whatever is lost or late", () => {
    const [spacing, burst, leaseMillis] = [50, 4, 500]
    fc.assert(
      fc.property(steps, (steps) => {
        const here = world()
        const purses = here.members.map(() => FleetTokens.make())
        const began: Array<number> = []
        for (const { act, after, cost, fate, member } of steps) {
          here.advance(here.now + after)
          if (!here.canAct(member)) continue
          const purse = purses[member]!
          if (act === "freeze") here.members[member]!.frozenUntil = here.now + 20 * after
          if (act === "call") {
            while (FleetTokens.take(purse, 1, here.now)) began.push(here.now)
          }
          if (act !== "ask" || !here.canAsk(member)) continue
          const want = 6 * cost
          const command: Wire.Tokens = {
            op: "tokens",
            name: "line",
            spacing,
            burst,
            want,
            first: cost,
            horizon: 250,
            patience: 1000,
            back: FleetTokens.takeBack(purse, here.now)
          }
          here.ask(member, command, fate, (answer, sentMillis, receivedMillis) => {
            if (answer?.op !== "tokens") return
            const moment = { sentMillis, receivedMillis }
            FleetTokens.put(purse, answer, spacing, leaseMillis, moment)
          })
        }
        began.forEach((from, first) => {
          began.slice(first).forEach((to, more) => {
            const bound = burst + (to - from + leaseMillis) / spacing
            expect(more + 1).toBeLessThanOrEqual(bound + 1e-6)
          })
        })
      }),
      { numRuns: runs(2000) }
    )
  })

  it("F11: who wants gets one within 3 intervals + (members that want) / rate", () => {
    const [interval, step, endMillis] = [250, 10, 4000]
    const member = fc.record({
      phase: fc.nat({ max: interval / step - 1 }),
      there: fc.nat({ max: 8 }),
      back: fc.nat({ max: 8 }),
      waiting: fc.integer({ min: 1, max: 200 })
    })
    const property = fc.property(
      fc.array(member, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 5, max: 200 }),
      fc.integer({ min: 1, max: 20 }),
      (members, spacing, burst) => {
        const store = Machine.make()
        const share = Math.min(burst, FleetTokens.share(spacing, interval, members.length))
        const own = members.map(() => ({ purse: FleetTokens.make(), lastMillis: 0, sequence: 0 }))
        const began: Array<number> = []
        let events: ReadonlyArray<Event> = []
        const turn = 3 * interval + members.length * spacing
        for (let now = 0; now <= endMillis; now += step) {
          const due = events.filter(({ at }) => at <= now)
          events = events.filter(({ at }) => at > now)
          for (const { run } of due) run()
          for (const [n, { back, phase, there, waiting }] of members.entries()) {
            const mine = own[n]!
            const { purse } = mine
            const late = (there + back + 2) * step
            for (let taken = 0; taken < waiting && FleetTokens.take(purse, 1, now); taken++) {
              began.push(now)
              mine.lastMillis = now
            }
            if (now - mine.lastMillis > turn + late) throw new Error(`m${n} has none at ${now}`)
            if (now % interval !== phase * step) continue
            const want = FleetTokens.wanted(purse, waiting, now)
            const missing = FleetTokens.missing(purse, { cost: 1, share, waiting }, now)
            const question: Wire.Tokens = {
              op: "tokens",
              name: "line",
              spacing,
              burst,
              want: Math.min(want, burst + Math.ceil(interval / spacing)),
              first: Math.max(1, Math.min(want, missing)),
              horizon: interval,
              patience: missing > 0 ? 60_000 : 0,
              back: FleetTokens.takeBack(purse, now)
            }
            FleetTokens.tick(purse)
            const asked = batch(`m${n}`, ++mine.sequence, [question])
            const arrives = now + there * step
            const hears = arrives + back * step
            events = [...events, {
              at: arrives,
              run: () => {
                const [answer] = Machine.exchange(store, arrives, asked)[0].answers
                if (answer?.op !== "tokens") return
                const moment = { sentMillis: now, receivedMillis: hears }
                const run = () => FleetTokens.put(purse, answer, spacing, 500, moment)
                events = [...events, { at: hears, run }]
              }
            }]
          }
        }
        const sorted = began.toSorted((a, b) => a - b)
        let over = 0
        for (const [first, from] of sorted.entries()) {
          for (let last = first; last < sorted.length; last++) {
            over = Math.max(over, last - first + 1 - (sorted[last]! - from + 500) / spacing)
          }
        }
        expect(over).toBeLessThanOrEqual(burst + 1e-6)
      }
    )
    fc.assert(property, { numRuns: runs(2000, 200) })
  })

  it("F11: each token is spent or given back once", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(
          fc.nat({ max: 9 }),
          fc.nat({ max: 9 }),
          fc.nat({ max: 400 }),
          fc.option(fc.nat({ max: 9 }))
        )),
        (rounds) => {
          const purse = FleetTokens.make()
          let [now, leased, spent, back] = [0, 0, 0, 0]
          for (const [granted, booked, passed, kept] of rounds) {
            const moment = { sentMillis: now, receivedMillis: now + 5 }
            FleetTokens.put(purse, { granted, booked, due: 20 }, 30, 200, moment)
            leased += granted + booked
            now += passed
            const before = FleetTokens.available(purse, now)
            if (kept !== null) {
              FleetTokens.keep(purse, kept, now)
              expect(FleetTokens.leased(purse, now)).toBeLessThanOrEqual(kept)
              expect(FleetTokens.available(purse, now)).toBeLessThanOrEqual(before)
            }
            while (FleetTokens.take(purse, 1, now)) spent++
            back += FleetTokens.takeBack(purse, now)
            expect(spent + back + FleetTokens.leased(purse, now)).toBe(leased)
          }
          FleetTokens.empty(purse)
          expect(spent + back + FleetTokens.takeBack(purse, now)).toBe(leased)
        }
      ),
      { numRuns: runs(2000) }
    )
  })

  it("F13: at most concurrency run while members answer in time, whatever is lost or late", () => {
    const concurrency = 3
    fc.assert(
      fc.property(steps, (steps) => {
        const here = world()
        const running = [0, 0, 0]
        const leases = running.map(() => FleetPermits.make())
        for (const { act, after, fate, member } of steps) {
          here.advance(here.now + after)
          const lease = leases[member]!
          const mine = running[member]!
          // A lease is used before its end only; what runs beyond memberTimeout is F13's exception.
          if (act === "end" && mine > 0) running[member] = mine - 1
          if (act === "call" && mine < FleetPermits.limit(lease, mine, here.now)) {
            running[member] = mine + 1
            FleetPermits.begin(lease)
          }
          if (act === "ask" && here.canAsk(member)) {
            const said = FleetPermits.say(lease, running[member]!, 2, concurrency, here.now)
            const command: Wire.Permits = { op: "permits", name: "api", concurrency, ...said }
            here.ask(member, command, fate, (answer, sent) => {
              if (answer?.op !== "permits") return
              FleetPermits.granted(lease, answer, concurrency, sent + memberTimeout)
            })
          }
          const isSilent = leases.some(({ endMillis }, n) =>
            running[n]! > 0 && endMillis <= here.now
          )
          if (isSilent) return
          expect(running[0]! + running[1]! + running[2]!).toBeLessThanOrEqual(concurrency)
        }
      }),
      { numRuns: runs(2000) }
    )
  })

  it("F4, F6: sums are those of a slow model, whatever is doubled, lost or overtaken", () => {
    const said = fc.record({
      member: fc.nat({ max: 3 }),
      calls: fc.nat({ max: 9 }),
      failures: fc.nat({ max: 9 }),
      incarnation: fc.integer({ min: 1, max: 2 }),
      after: fc.nat({ max: 2000 }),
      late: fc.nat({ max: 3 }),
      lost: fc.boolean()
    })
    fc.assert(
      fc.property(fc.array(said, { maxLength: 40 }), (all) => {
        const store = Machine.make()
        const model = new Map<string, {
          readonly newest: readonly [number, number]
          readonly untilMillis: number
          readonly calls: number
          readonly failures: number
        }>()
        const sequences = new Map<string, number>()
        const late: Array<Wire.Batch> = []
        let now = 0
        const arrive = (asked: Wire.Batch): void => {
          const [reply] = Machine.exchange(store, now, asked)
          const before = model.get(asked.member)
          const [incarnation, sequence] = before?.newest ?? [0, 0]
          const isNewer = asked.incarnation > incarnation ||
            (asked.incarnation === incarnation && asked.sequence > sequence)
          expect(reply.stale).toBe(!isNewer)
          if (!isNewer) return
          const [command] = asked.commands
          if (command?.op !== "count") return
          const { calls, failures } = command
          model.set(asked.member, {
            newest: [asked.incarnation, asked.sequence],
            untilMillis: now + memberTimeout,
            calls,
            failures
          })
          const living = [...model.values()].filter(({ untilMillis }) => untilMillis > now)
          expect(reply.answers[0]).toMatchObject({
            calls: living.reduce((sum, each) => sum + each.calls, 0),
            failures: living.reduce((sum, each) => sum + each.failures, 0),
            members: living.filter(({ calls }) => calls > 0).length
          })
        }
        for (const { after, calls, failures, incarnation, late: keep, lost, member } of all) {
          now += after
          const name = `m${member}`
          const sequence = (sequences.get(name) ?? 0) + 1
          sequences.set(name, sequence)
          const asked = batch(name, sequence, [{
            op: "count",
            name: "circuit",
            epoch: 0,
            calls,
            failures: Math.min(calls, failures),
            slow: 0,
            failing: false,
            slowing: false
          }], { incarnation })
          if (!lost) arrive(asked)
          // Some come again, or for the first time, after others.
          if (keep > 0) late.push(asked)
          if (late.length > keep) arrive(late.shift()!)
        }
      }),
      { numRuns: runs(2000) }
    )
  })
})
