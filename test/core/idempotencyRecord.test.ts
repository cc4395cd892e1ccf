import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Names from "../../src/core/idempotencyNames.js"
import * as IdempotencyRecord from "../../src/core/idempotencyRecord.js"
import type { Answer, Holder } from "../../src/core/idempotencyRecord.js"
import { runs } from "../support/runs.js"

const day = 86_400_000
const owners = ["a", "b", "c"] as const
const payloads = ["payload", "other"] as const

type Command =
  | {
    readonly _tag: "Claim"
    readonly owner: string
    readonly fingerprint: string
    readonly leaseMillis: number
    readonly timeToLiveMillis: number
  }
  | { readonly _tag: "Complete"; readonly pick: number; readonly timeToLiveMillis: number }
  | { readonly _tag: "Extend"; readonly pick: number; readonly leaseMillis: number }
  | { readonly _tag: "Release" | "Savepoint"; readonly pick: number }
  | { readonly _tag: "Crash"; readonly pick: number }
  | { readonly _tag: "Pass"; readonly millis: number }
  | { readonly _tag: "Deadline"; readonly pick: number; readonly off: number }

const lease = fc.constantFrom(1, 10, 60, 1000)
const timeToLive = fc.constantFrom(1, 50, 5000, 2 * day)
const pick = fc.nat({ max: 7 })

const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        _tag: fc.constant("Claim" as const),
        owner: fc.constantFrom(...owners),
        fingerprint: fc.oneof({ weight: 9, arbitrary: fc.constant(payloads[0]) }, {
          weight: 1,
          arbitrary: fc.constant(payloads[1])
        }),
        leaseMillis: lease,
        timeToLiveMillis: timeToLive
      })
    },
    {
      weight: 2,
      arbitrary: fc.record({
        _tag: fc.constant("Complete" as const),
        pick,
        timeToLiveMillis: timeToLive
      })
    },
    {
      weight: 1,
      arbitrary: fc.record({ _tag: fc.constant("Extend" as const), pick, leaseMillis: lease })
    },
    {
      weight: 3,
      arbitrary: fc.record({
        _tag: fc.constantFrom("Release" as const, "Savepoint" as const, "Crash" as const),
        pick
      })
    },
    {
      weight: 1,
      arbitrary: fc.record({
        _tag: fc.constant("Pass" as const),
        millis: fc.constantFrom(0, 1, 9, 60, 1000, day)
      })
    },
    {
      weight: 3,
      arbitrary: fc.record({
        _tag: fc.constant("Deadline" as const),
        pick,
        off: fc.constantFrom(-1, 0, 1)
      })
    }
  ),
  { minLength: 1, maxLength: 40, size: "max" }
)

/** A claim that was granted, with everything that was ever said about it. */
interface Entry extends Holder {
  readonly fingerprint: string
  readonly recovered: boolean
  leaseUntil: number
  keptUntil: number
  readonly points: Array<string>
  outcome?: { readonly text: string; readonly until: number }
  released?: { readonly until: number }
}

/**
 * The book in which all claims are kept for ever, and everything is looked up in it from the last
 * page on.
 */
class Ledger {
  readonly entries: Array<Entry> = []

  /** What stands in the way of a first run: the last entry, unless it was given up or is over. */
  standing(now: number): Entry | undefined {
    const last = this.entries.at(-1)
    if (last === undefined || last.released !== undefined) return undefined
    return (last.outcome?.until ?? last.keptUntil) <= now ? undefined : last
  }

  claim(
    { fingerprint, leaseMillis, owner, timeToLiveMillis }: IdempotencyRecord.Claim,
    now: number
  ): Answer {
    const standing = this.standing(now)
    if (standing !== undefined && standing.fingerprint !== fingerprint) return { _tag: "Mismatch" }
    if (standing?.outcome !== undefined) {
      return { _tag: "Completed", outcome: standing.outcome.text }
    }
    if (standing !== undefined && standing.owner !== owner && standing.leaseUntil > now) {
      return { _tag: "InFlight", retryAfterMillis: standing.leaseUntil - now }
    }
    const leaseUntil = now + leaseMillis
    const keptUntil = Math.max(now + timeToLiveMillis, leaseUntil + day)
    let entry = standing
    if (entry?.owner !== owner) {
      entry = {
        owner,
        generation: this.entries.length + 1,
        fingerprint,
        recovered: standing !== undefined,
        leaseUntil,
        keptUntil,
        points: standing === undefined ? [] : [...standing.points]
      }
      this.entries.push(entry)
    }
    Object.assign(entry, { leaseUntil, keptUntil })
    const point = entry.points.at(-1)
    const { generation, recovered } = entry
    return {
      _tag: "Acquired",
      generation,
      recovered,
      ...(point === undefined ? {} : { recoveryPoint: point })
    }
  }

  /** The entry of a holder that has no successor. */
  private own({ generation, owner }: Holder, now: number): Entry | undefined {
    const standing = this.standing(now)
    return standing?.owner === owner && standing.generation === generation ? standing : undefined
  }

  complete(holder: Holder, text: string, timeToLiveMillis: number, now: number): "ok" | "stale" {
    const own = this.own(holder, now)
    if (own === undefined) return "stale"
    own.outcome ??= { text, until: now + timeToLiveMillis }
    return "ok"
  }

  release({ generation, owner }: Holder, now: number): "ok" | "stale" {
    const last = this.entries.at(-1)
    const isMine = last?.owner === owner && last.generation === generation
    if (last?.released !== undefined) return isMine || last.released.until <= now ? "ok" : "stale"
    const standing = this.standing(now)
    if (standing === undefined) return "ok"
    if (!isMine || standing.outcome !== undefined) return "stale"
    standing.released = { until: standing.leaseUntil }
    return "ok"
  }

  extend(holder: Holder, leaseMillis: number, now: number): "ok" | "stale" {
    const own = this.own(holder, now)
    if (own === undefined || own.outcome !== undefined) return "stale"
    own.leaseUntil = now + leaseMillis
    own.keptUntil = Math.max(own.keptUntil, own.leaseUntil + day)
    return "ok"
  }

  savepoint(holder: Holder, data: string, now: number): "ok" | "stale" {
    const own = this.own(holder, now)
    if (own === undefined || own.outcome !== undefined) return "stale"
    own.points.push(data)
    return "ok"
  }
}

/**
 * One record under a sequence of commands. An owner that crashes does not come back; every other
 * one may, at any time.
 */
class Run {
  now = 1_000_000
  record: IdempotencyRecord.IdempotencyRecord = IdempotencyRecord.absent
  readonly granted: Array<Holder> = []
  private texts = 0

  /**
   * What was answered, if the command asked; `change` is done by an owner that was once granted a
   * claim.
   */
  step(
    command: Command,
    see: (command: Command, holder: Holder | undefined, text: string) => void = () => {}
  ): string {
    const text = `text ${++this.texts}`
    const holder = "pick" in command ? this.granted[command.pick % this.granted.length] : undefined
    switch (command._tag) {
      case "Pass":
        this.now += command.millis
        return "passed"
      case "Deadline": {
        const { record } = this
        const deadlines = [
          ...(record._tag === "InProgress" ? [record.leaseUntilMillis] : []),
          ...(record._tag === "Absent" ? [] : [record.expiresAtMillis])
        ]
        const deadline = deadlines[command.pick % deadlines.length]
        if (deadline !== undefined) this.now = Math.max(this.now, deadline + command.off)
        return "passed"
      }
      case "Claim": {
        const [answer, next] = IdempotencyRecord.acquire(this.record, command, this.now)
        this.record = next
        if (answer._tag === "Acquired") {
          this.granted.push({ owner: command.owner, generation: answer.generation })
        }
        see(command, undefined, text)
        return JSON.stringify(answer)
      }
      case "Crash":
        if (holder !== undefined) this.granted.splice(this.granted.indexOf(holder), 1)
        return "crashed"
    }
    if (holder === undefined) return "nobody"
    const [kept, next] = this.change(command, holder, text)
    this.record = next
    see(command, holder, text)
    return kept
  }

  private change(
    command: Extract<Command, { _tag: "Complete" | "Release" | "Extend" | "Savepoint" }>,
    holder: Holder,
    text: string
  ): IdempotencyRecord.Change {
    switch (command._tag) {
      case "Complete":
        return IdempotencyRecord.complete(
          this.record,
          holder,
          text,
          command.timeToLiveMillis,
          this.now
        )
      case "Release":
        return IdempotencyRecord.release(this.record, holder, this.now)
      case "Extend":
        return IdempotencyRecord.extend(this.record, holder, command.leaseMillis, this.now)
      case "Savepoint":
        return IdempotencyRecord.savepoint(this.record, holder, text, this.now)
    }
  }
}

describe("properties", () => {
  it("I10-I14, I29: it agrees with a ledger that forgets nothing", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(commands, (commands) => {
        const run = new Run()
        const ledger = new Ledger()
        for (const command of commands) {
          let expected: string | undefined
          const answer = run.step(command, (command, holder, text) => {
            if (command._tag === "Claim") expected = JSON.stringify(ledger.claim(command, run.now))
            if (holder === undefined) return
            if (command._tag === "Complete") {
              expected = ledger.complete(holder, text, command.timeToLiveMillis, run.now)
            }
            if (command._tag === "Release") expected = ledger.release(holder, run.now)
            if (command._tag === "Extend") {
              expected = ledger.extend(holder, command.leaseMillis, run.now)
            }
            if (command._tag === "Savepoint") expected = ledger.savepoint(holder, text, run.now)
          })
          if (expected === undefined) continue
          expect(answer).toBe(expected)
          seen.add(command._tag === "Claim" ? JSON.parse(answer)._tag : `${command._tag} ${answer}`)
        }
      }),
      { numRuns: runs(1000) }
    )
    expect([...seen].toSorted()).toEqual([
      "Acquired",
      "Complete ok",
      "Complete stale",
      "Completed",
      "Extend ok",
      "Extend stale",
      "InFlight",
      "Mismatch",
      "Release ok",
      "Release stale",
      "Savepoint ok",
      "Savepoint stale"
    ])
  })

  it("I11, I13, I14: there is at most one unexpired owner of a generation, and no two generations have one at a time", () => {
    fc.assert(
      fc.property(commands, (commands) => {
        const run = new Run()
        const ownerOf = new Map<number, string>()
        /** Until when each owner may rely on being alone, by what it was told itself. */
        let alone:
          | { readonly owner: string; readonly generation: number; readonly until: number }
          | undefined
        for (const command of commands) {
          run.step(command, (command, holder) => {
            const { record } = run
            if (command._tag === "Claim") {
              const last = run.granted.at(-1)
              if (
                record._tag !== "InProgress" || record.owner !== command.owner || last === undefined
              ) return
              if (record.leaseUntilMillis !== run.now + command.leaseMillis) return
              const { generation, owner } = record
              expect(ownerOf.get(generation) ?? owner).toBe(owner)
              ownerOf.set(generation, owner)
              const isOther = alone !== undefined &&
                (alone.owner !== owner || alone.generation !== generation)
              expect(isOther && alone !== undefined && alone.until > run.now).toBe(false)
              alone = { owner, generation, until: record.leaseUntilMillis }
            }
            if (
              alone === undefined || holder?.owner !== alone.owner ||
              holder.generation !== alone.generation
            ) return
            if (command._tag === "Extend" && record._tag === "InProgress") {
              alone = { ...alone, until: record.leaseUntilMillis }
            }
            if (record._tag !== "InProgress") alone = undefined
          })
        }
      }),
      { numRuns: runs(1000) }
    )
  })

  it("I10, I14: no completed record is lost or changed before it expires, whatever anybody does", () => {
    let kept = 0
    fc.assert(
      fc.property(commands, commands, (before, after) => {
        const run = new Run()
        for (const command of before) run.step(command)
        const { record } = run
        if (record._tag !== "Completed" || record.expiresAtMillis <= run.now) return
        for (const command of after) {
          run.step(command)
          if (record.expiresAtMillis <= run.now) return
          expect(run.record).toBe(record)
          expect(IdempotencyRecord.isExpired(run.record, run.now)).toBe(false)
          kept++
        }
      }),
      { numRuns: runs(1000) }
    )
    expect(kept).toBeGreaterThan(runs(1000) / 5)
  })

  it("I14: the generation of a record never falls, and rises whenever somebody else gets it", () => {
    fc.assert(
      fc.property(commands, (commands) => {
        const run = new Run()
        let [owner, generation] = ["", 0]
        for (const command of commands) {
          run.step(command)
          if (run.record._tag === "Absent") continue
          expect(run.record.generation).toBeGreaterThanOrEqual(generation)
          if (run.record.owner !== owner) expect(run.record.generation).toBeGreaterThan(generation)
          owner = run.record.owner
          generation = run.record.generation
        }
      }),
      { numRuns: runs(600) }
    )
  })

  it("I14: who is stale gets the very record back", () => {
    fc.assert(
      fc.property(commands, (commands) => {
        const run = new Run()
        for (const command of commands) {
          const before = run.record
          if (run.step(command) === "stale") expect(run.record).toBe(before)
        }
      }),
      { numRuns: runs(600) }
    )
  })

  it("I12: every operation can be repeated at once, and the repeat changes no answer and no record", () => {
    fc.assert(
      fc.property(commands, (commands) => {
        const run = new Run()
        for (const command of commands) {
          const first = run.step(command)
          if (command._tag === "Crash" || command._tag === "Pass" || command._tag === "Deadline") {
            continue
          }
          if (command._tag === "Savepoint" || command._tag === "Claim") continue
          const { record } = run
          expect(run.step(command)).toBe(first)
          expect(run.record).toEqual(record)
        }
      }),
      { numRuns: runs(600) }
    )
  })

  it("I12, I13: a claim that was granted is granted again, with the same answer and the same record", () => {
    fc.assert(
      fc.property(commands, fc.constantFrom(...owners), (commands, owner) => {
        const run = new Run()
        for (const command of commands) run.step(command)
        const claim = { owner, fingerprint: payloads[0], leaseMillis: 10, timeToLiveMillis: 50 }
        const [answer, record] = IdempotencyRecord.acquire(run.record, claim, run.now)
        expect(IdempotencyRecord.acquire(record, claim, run.now)).toEqual([answer, record])
      }),
      { numRuns: runs(600) }
    )
  })

  it("I11: what a sweep may remove is absent for everybody, and the other way round once nothing is left of it", () => {
    fc.assert(
      fc.property(commands, (commands) => {
        const run = new Run()
        for (const command of commands) {
          run.step(command)
          const { now, record } = run
          if (!IdempotencyRecord.isExpired(record, now)) continue
          const claim = { owner: "z", fingerprint: "z", leaseMillis: 10, timeToLiveMillis: 50 }
          const told = ({ _tag, ...answer }: Answer) => ({ _tag, ...answer, generation: 0 })
          expect(told(IdempotencyRecord.acquire(record, claim, now)[0])).toEqual(
            told(IdempotencyRecord.acquire(IdempotencyRecord.absent, claim, now)[0])
          )
          for (const holder of run.granted) {
            const changes = (record: IdempotencyRecord.IdempotencyRecord) => [
              IdempotencyRecord.complete(record, holder, "late", 50, now)[0],
              IdempotencyRecord.extend(record, holder, 10, now)[0],
              IdempotencyRecord.savepoint(record, holder, "late", now)[0],
              IdempotencyRecord.release(record, holder, now)[0]
            ]
            expect(changes(record)).toEqual(changes(IdempotencyRecord.absent))
          }
        }
      }),
      { numRuns: runs(600) }
    )
  })
})

describe("the two clocks", () => {
  const claim = (owner: string) => ({
    owner,
    fingerprint: "payload",
    leaseMillis: 100,
    timeToLiveMillis: 1000
  })
  const held = { owner: "a", generation: 1 }
  const inProgress = IdempotencyRecord.acquire(IdempotencyRecord.absent, claim("a"), 0)[1]
  const completed = IdempotencyRecord.complete(inProgress, held, "done", 1000, 50)[1]

  it("I11: a lease is over at the millisecond at which it ends", () => {
    expect([99, 100, 101].map((now) => IdempotencyRecord.acquire(inProgress, claim("b"), now)[0]))
      .toEqual([
        { _tag: "InFlight", retryAfterMillis: 1 },
        { _tag: "Acquired", generation: 2, recovered: true },
        { _tag: "Acquired", generation: 2, recovered: true }
      ])
  })

  it("I11: a completed record is over at the millisecond at which its time to live ends, counted from completion", () => {
    expect([1049, 1050].map((now) => [
      IdempotencyRecord.isExpired(completed, now),
      IdempotencyRecord.acquire(completed, claim("b"), now)[0]._tag
    ])).toEqual([[false, "Completed"], [true, "Acquired"]])
  })

  it("I20: an unfinished record is kept for a day after its lease, however short the time to live", () => {
    expect([100 + day - 1, 100 + day].map((now) => [
      IdempotencyRecord.isExpired(inProgress, now),
      IdempotencyRecord.acquire(inProgress, claim("b"), now)[0]
    ])).toEqual([
      [false, { _tag: "Acquired", generation: 2, recovered: true }],
      [true, { _tag: "Acquired", generation: 2, recovered: false }]
    ])
  })

  it("I20: and longer where the time to live is longer", () => {
    const patient = IdempotencyRecord.acquire(IdempotencyRecord.absent, {
      ...claim("a"),
      timeToLiveMillis: 7 * day
    }, 0)
    expect([7 * day - 1, 7 * day].map((now) => IdempotencyRecord.isExpired(patient[1], now)))
      .toEqual([false, true])
  })

  it("I14: a holder is compared by owner and by generation, also in another life of the key", () => {
    const others = [{ owner: "b", generation: 1 }, { owner: "a", generation: 2 }]
    const changes = (record: IdempotencyRecord.IdempotencyRecord, holder: Holder) =>
      [
        IdempotencyRecord.complete(record, holder, "late", 1000, 60),
        IdempotencyRecord.extend(record, holder, 1000, 60),
        IdempotencyRecord.savepoint(record, holder, "late", 60),
        IdempotencyRecord.release(record, holder, 60)
      ].map(([kept, next]) => next === record ? kept : "changed")
    const stale = ["stale", "stale", "stale", "stale"]
    expect([inProgress, completed].map((record) => others.map((holder) => changes(record, holder))))
      .toEqual([
        [stale, stale],
        [stale, stale]
      ])
  })

  it("I14: who had lost its claim before is stale while what the new owner released is kept", () => {
    const taken = IdempotencyRecord.acquire(inProgress, claim("b"), 100)[1]
    const released = IdempotencyRecord.release(taken, { owner: "b", generation: 2 }, 150)
    expect(released[0]).toBe("ok")
    const told = [199, 200].map((now) => [
      IdempotencyRecord.release(released[1], held, now)[0],
      IdempotencyRecord.release(released[1], { owner: "b", generation: 2 }, now)[0]
    ])
    // The lease of the new owner would have ended at 200.
    expect(told).toEqual([["stale", "ok"], ["ok", "ok"]])
  })

  it("I10: nothing is never expired", () => {
    expect(IdempotencyRecord.isExpired(IdempotencyRecord.absent, Infinity)).toBe(false)
  })
})

describe("names", () => {
  const claim = { owner: "b", fingerprint: "payload", leaseMillis: 100, timeToLiveMillis: 1000 }
  const inProgress =
    IdempotencyRecord.acquire(IdempotencyRecord.absent, { ...claim, owner: "a" }, 0)[1]
  const { absent } = IdempotencyRecord

  it("I5: with one name it does what a claim of one record does", () => {
    fc.assert(
      fc.property(commands, (commands) => {
        const run = new Run()
        for (const command of commands) {
          run.step(command)
          const [answer, next] = IdempotencyRecord.acquire(run.record, claim, run.now)
          expect(Names.acquire([run.record], claim, run.now)).toEqual([
            answer,
            answer._tag === "Acquired" ? [[0, next]] : []
          ])
        }
      }),
      { numRuns: runs(500) }
    )
  })

  it("I5: where no name has a record, the present one gets it", () => {
    expect(Names.acquire([absent, absent], claim, 0)).toEqual([
      { _tag: "Acquired", generation: 1, recovered: false },
      [[0, expect.objectContaining({ _tag: "InProgress", owner: "b", generation: 1 })]]
    ])
  })

  it("I5: a lapsed claim moves to the present name, and looks released by the new owner under the earlier one", () => {
    expect(Names.acquire([absent, absent, inProgress], claim, 100)).toEqual([
      { _tag: "Acquired", generation: 2, recovered: true },
      [
        [0, expect.objectContaining({ _tag: "InProgress", owner: "b", generation: 2 })],
        [2, { _tag: "Released", owner: "b", generation: 2, expiresAtMillis: 200 }]
      ]
    ])
  })

  it("I5: what is in flight under an earlier name stays where it is", () => {
    expect(Names.acquire([absent, inProgress], claim, 40)).toEqual([{
      _tag: "InFlight",
      retryAfterMillis: 60
    }, []])
  })
})
