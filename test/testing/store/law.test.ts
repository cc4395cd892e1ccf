import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, FastCheck, Fiber, Layer, Option } from "effect"
import { IdempotencyStore, layerStoreMemory, StoreError } from "effect-resilience/IdempotencyStore"
import type { Claim, Service } from "effect-resilience/IdempotencyStore"
import * as Laws from "effect-resilience/testing/Laws"
import * as Core from "../../../src/core/idempotencyRecord.js"
import { turn } from "../../support/turns.js"

// The same cases in every run: what is tested here is whether planted faults are found, and how
// they are told.
FastCheck.configureGlobal({ seed: 20_261_121 })

/** The message with which a law is broken, or "kept". */
const verdict = (law: Effect.Effect<void, Error>) =>
  Effect.match(law, { onSuccess: () => "kept", onFailure: (error) => error.message })

/** What can be wrong with a store. */
interface Faults {
  readonly acquire?: typeof Core.acquire
  readonly complete?: typeof Core.complete
  readonly release?: typeof Core.release
  readonly extend?: typeof Core.extend
  readonly savepoint?: typeof Core.savepoint
  readonly mayRemove?: (record: Core.IdempotencyRecord, now: number) => boolean
  readonly nameOf?: (at: { readonly scope: string; readonly keyHash: string }) => string
  /** What happens between reading a record and writing it. */
  readonly between?: Effect.Effect<void>
  readonly now?: Effect.Effect<number>
  readonly ignoresLimit?: boolean
}

/** A store of one map: the core, read and written, with a fault. */
const storeOf = (faults: Faults = {}): Layer.Layer<IdempotencyStore> =>
  Layer.sync(IdempotencyStore, () => {
    const { acquire, complete, extend, release, savepoint } = { ...Core, ...faults }
    const nameOf = faults.nameOf ?? (({ keyHash, scope }) => JSON.stringify([scope, keyHash]))
    const records = new Map<string, Core.IdempotencyRecord>()
    const change = <A>(
      at: { readonly scope: string; readonly keyHash: string },
      f: (record: Core.IdempotencyRecord, now: number) => readonly [A, Core.IdempotencyRecord]
    ) =>
      Effect.gen(function*() {
        const now = yield* faults.now ?? Clock.currentTimeMillis
        const name = nameOf(at)
        const [answer, next] = f(records.get(name) ?? Core.absent, now)
        if (faults.between !== undefined) yield* faults.between
        if (next._tag === "Absent") records.delete(name)
        else records.set(name, next)
        return answer
      })
    const store: Service = {
      acquire: (claim) =>
        Effect.map(
          change(claim, (record, now) => acquire(record, claim, now)),
          (answer) =>
            answer._tag === "Acquired"
              ? { ...answer, recoveryPoint: Option.fromNullable(answer.recoveryPoint) }
              : answer
        ),
      complete: (held, outcome, timeToLive) =>
        change(held, (record, now) => complete(record, held, outcome, timeToLive, now)),
      release: (held) => change(held, (record, now) => release(record, held, now)),
      extend: (held, lease) => change(held, (record, now) => extend(record, held, lease, now)),
      savepoint: (held, data) => change(held, (record, now) => savepoint(record, held, data, now)),
      sweep: (limit) =>
        Effect.map(faults.now ?? Clock.currentTimeMillis, (now) => {
          const expired = [...records].filter(([, record]) =>
            (faults.mayRemove ?? Core.isExpired)(record, now)
          )
          const removed = faults.ignoresLimit === true ? expired : expired.slice(0, limit)
          for (const [name] of removed) records.delete(name)
          return removed.length
        })
    }
    return store
  })

const own = (record: Core.IdempotencyRecord): Core.Holder =>
  record._tag === "Absent" ? { owner: "", generation: 0 } : record

/** A record as it would be without its owner's name, generation and so on. */
const changed = (
  record: Core.IdempotencyRecord,
  changes: Partial<Core.InProgress>
): Core.IdempotencyRecord => record._tag === "InProgress" ? { ...record, ...changes } : record

describe("kept", () => {
  it.effect("I10-I14, I29: by the memory store", () =>
    Effect.gen(function*() {
      expect(yield* verdict(Laws.idempotencyStore(layerStoreMemory))).toBe("kept")
    }))

  it.effect("I10-I14, I29: by a store of one map without a fault", () =>
    Effect.gen(function*() {
      expect(yield* verdict(Laws.idempotencyStore(storeOf(), { runs: 500 }))).toBe("kept")
    }), 30_000)

  it.effect("I10: by a store in which nothing is left of a released record", () =>
    Effect.gen(function*() {
      const forgetful = storeOf({
        release: (record, holder, now) => {
          if (record._tag === "Absent") return ["ok", record]
          const [kept, next] = Core.release(record, holder, now)
          return [kept, next === record ? record : Core.absent]
        }
      })
      expect(yield* verdict(Laws.idempotencyStore(forgetful))).toBe("kept")
    }))

  it.effect("I14: by a store that says ok to an owner that extends or releases what it has completed, and does nothing", () =>
    Effect.gen(function*() {
      const polite = <Rest extends ReadonlyArray<never> | ReadonlyArray<unknown>>(
        change: (record: Core.IdempotencyRecord, holder: Core.Holder, ...rest: Rest) => Core.Change
      ) =>
      (record: Core.IdempotencyRecord, holder: Core.Holder, ...rest: Rest): Core.Change =>
        record._tag === "Completed" && record.owner === holder.owner &&
          record.generation === holder.generation
          ? ["ok", record]
          : change(record, holder, ...rest)
      const store = storeOf({
        extend: polite(Core.extend),
        release: polite(Core.release),
        savepoint: polite(Core.savepoint)
      })
      expect(yield* verdict(Laws.idempotencyStore(store))).toBe("kept")
    }))

  it.live(
    "I28: by a store that has a time of its own, which is really waited for",
    () =>
      Effect.gen(function*() {
        const now = Clock.make().currentTimeMillis
        expect(yield* verdict(Laws.idempotencyStore(storeOf({ now }), { runs: 5 }))).toBe("kept")
      }),
    20_000
  )
})

describe("planted faults", () => {
  const planted = (faults: Faults) => verdict(Laws.idempotencyStore(storeOf(faults)))

  it.effect.each<readonly [string, Faults, RegExp]>([
    [
      "I14: whoever completes is not compared",
      {
        complete: (record, _, outcome, timeToLive, now) =>
          Core.complete(record, own(record), outcome, timeToLive, now)
      },
      /completes key 1 with .*: it answers ok, and should answer stale$/
    ],
    [
      "I14: who completes is compared by its owner, and not by its generation",
      {
        complete: (record, { owner }, outcome, timeToLive, now) =>
          Core.complete(record, { ...own(record), owner }, outcome, timeToLive, now)
      },
      /completes key \d with .*: it answers ok, and should answer stale$/
    ],
    [
      "I14: who completes is compared by its generation, and not by its owner, and generations begin anew",
      {
        release: (record, holder, now) => {
          const [kept, next] = Core.release(record, holder, now)
          return [kept, next === record ? record : Core.absent]
        },
        complete: (record, { generation }, outcome, timeToLive, now) =>
          Core.complete(record, { ...own(record), generation }, outcome, timeToLive, now)
      },
      /releases key \d.* completes key \d with .*: it answers ok, and should answer stale$/
    ],
    [
      "I14: a stale owner's release is stale, and frees the key all the same",
      {
        release: (record, holder, now) => {
          const [kept, next] = Core.release(record, holder, now)
          return kept === "stale" && record._tag === "InProgress"
            ? [kept, Core.absent]
            : [kept, next]
        }
      },
      /releases key 1: when a stranger claims key 1.* it answers Acquired .* and should answer (InFlight|Mismatch)$/
    ],
    [
      "I14: a stale owner's release takes a completed record away",
      {
        release: (record, holder, now) =>
          record._tag === "Completed" ? ["stale", Core.absent] : Core.release(record, holder, now)
      },
      /completes key 1 .* releases key 1.* it answers Acquired .* and should answer Completed with "text \d+"$/
    ],
    [
      "I14: a stale owner's extend is stale, and prolongs the lease",
      {
        extend: (record, holder, lease, now) => [
          Core.extend(record, holder, lease, now)[0],
          Core.extend(record, own(record), lease, now)[1]
        ]
      },
      /extends its claim of key \d/
    ],
    [
      "I14, I29: a stale owner's savepoint is stale, and replaces the recovery point",
      {
        savepoint: (record, holder, data, now) => [
          Core.savepoint(record, holder, data, now)[0],
          Core.savepoint(record, own(record), data, now)[1]
        ]
      },
      /leaves "text \d+" with key \d.* it answers Acquired .*the recovery point "text \d+"\), and should answer Acquired/
    ],
    [
      "I10: a completed record is run again",
      {
        acquire: (record, claim, now) =>
          Core.acquire(
            record._tag === "Completed" && record.owner !== claim.owner &&
              record.fingerprint === claim.fingerprint
              ? Core.absent
              : record,
            claim,
            now
          )
      },
      /it answers Acquired \(not recovered, no recovery point\), and should answer Completed with "text \d+"$/
    ],
    [
      "I13: in flight is told before a mismatch",
      {
        acquire: (record, claim, now) =>
          record._tag === "InProgress" && record.owner !== claim.owner &&
            record.leaseUntilMillis > now
            ? [{ _tag: "InFlight", retryAfterMillis: record.leaseUntilMillis - now }, record]
            : Core.acquire(record, claim, now)
      },
      /claims key 1 with another payload for \d+ ms: it answers InFlight, and should answer Mismatch$/
    ],
    [
      "I13: a lapsed claim is taken over with another payload",
      {
        acquire: (record, claim, now) =>
          Core.acquire(
            record._tag === "InProgress" && record.leaseUntilMillis <= now
              ? { ...record, fingerprint: claim.fingerprint }
              : record,
            claim,
            now
          )
      },
      /with another payload, it answers Acquired .* and should answer Mismatch$/
    ],
    [
      "I13: a completed record is replayed for another payload",
      {
        acquire: (record, claim, now) =>
          record._tag === "Completed" && Core.isLive(record, now)
            ? [{ _tag: "Completed", outcome: record.outcome }, record]
            : Core.acquire(record, claim, now)
      },
      /with another payload .* it answers Completed with "text \d+", and should answer Mismatch$/
    ],
    [
      "I29: the recovery point is lost when somebody takes over",
      {
        acquire: (record, claim, now) =>
          Core.acquire(
            record._tag === "InProgress" && record.owner !== claim.owner &&
              record.leaseUntilMillis <= now
              ? changed(record, { recoveryPoint: undefined })
              : record,
            claim,
            now
          )
      },
      /it answers Acquired \(.*, no recovery point\), and should answer Acquired \(.*, the recovery point "text \d+"\)$/
    ],
    [
      "I29: the first recovery point stays",
      {
        savepoint: (record, holder, data, now) =>
          record._tag === "InProgress" && record.recoveryPoint !== undefined
            ? [Core.savepoint(record, holder, data, now)[0], record]
            : Core.savepoint(record, holder, data, now)
      },
      /the recovery point "text \d+"\), and should answer Acquired \(.*, the recovery point "text \d+"\)$/
    ],
    [
      "I13: who takes over and asks again is not told of the recovery",
      {
        acquire: (record, claim, now) => {
          const [answer, next] = Core.acquire(record, claim, now)
          return answer._tag === "Acquired" && record._tag === "InProgress" &&
              record.owner === claim.owner
            ? [{ ...answer, recovered: false }, next]
            : [answer, next]
        }
      },
      /it answers Acquired \(not recovered, .*\), and should answer Acquired \(recovered, /
    ],
    [
      "I13: the same owner is told that it is in flight",
      {
        acquire: (record, claim, now) =>
          record._tag === "InProgress" && record.fingerprint === claim.fingerprint &&
            record.leaseUntilMillis > now
            ? [{ _tag: "InFlight", retryAfterMillis: record.leaseUntilMillis - now }, record]
            : Core.acquire(record, claim, now)
      },
      /it answers InFlight, and should answer Acquired/
    ],
    [
      "I13: the same owner gets another generation",
      {
        acquire: (record, claim, now) => {
          const [answer, next] = Core.acquire(record, claim, now)
          if (
            answer._tag !== "Acquired" || record._tag !== "InProgress" ||
            record.owner !== claim.owner
          ) {
            return [answer, next]
          }
          const generation = record.generation + 1
          return [{ ...answer, generation }, changed(next, { generation })]
        }
      },
      /the same owner gets generation 3, and should get 2 again$/
    ],
    [
      "I14: who takes over gets the same generation",
      {
        acquire: (record, claim, now) => {
          const [answer, next] = Core.acquire(record, claim, now)
          if (answer._tag !== "Acquired" || !answer.recovered) return [answer, next]
          return [{ ...answer, generation: 1 }, changed(next, { generation: 1 })]
        }
      },
      /who takes over gets generation 1, and the one before had 1$/
    ],
    [
      "I11: a lease is over one millisecond late",
      { acquire: (record, claim, now) => Core.acquire(record, claim, now - 1) },
      /key \d/
    ],
    [
      "I11: a lapsed claim is never taken over",
      {
        acquire: (record, claim, now) =>
          record._tag === "InProgress" && record.owner !== claim.owner &&
            record.fingerprint === claim.fingerprint
            ? [{ _tag: "InFlight", retryAfterMillis: 1000 }, record]
            : Core.acquire(record, claim, now)
      },
      /it answers InFlight, and should answer Acquired/
    ],
    [
      "I11: the time to live counts from the claim",
      {
        complete: (record, holder, outcome, timeToLive, now) => {
          const [kept, next] = Core.complete(record, holder, outcome, timeToLive, now)
          return record._tag === "InProgress" && next._tag === "Completed"
            ? [kept, { ...next, expiresAtMillis: record.leaseUntilMillis }]
            : [kept, next]
        }
      },
      /completes key \d/
    ],
    [
      "I14: a repeated complete replaces the outcome",
      {
        complete: (record, holder, outcome, timeToLive, now) => {
          const [kept, next] = Core.complete(record, holder, outcome, timeToLive, now)
          return kept === "ok" && next._tag === "Completed"
            ? [kept, { ...next, outcome }]
            : [kept, next]
        }
      },
      /it answers Completed with "text \d+", and should answer Completed with "text \d+"$/
    ],
    [
      "I14: an owner that repeats its complete is stale",
      {
        complete: (record, holder, outcome, timeToLive, now) =>
          record._tag === "Completed"
            ? ["stale", record]
            : Core.complete(record, holder, outcome, timeToLive, now)
      },
      /completes key 1 .* completes key 1 .*: it answers stale, and should answer ok$/
    ],
    [
      "I14: an owner that repeats its release is stale",
      {
        release: (record, holder, now) =>
          record._tag === "Released" ? ["stale", record] : Core.release(record, holder, now)
      },
      /releases key 1, .*releases key 1: it answers stale, and should answer ok$/
    ],
    [
      "I12: claims are read and written in two turns",
      { between: Effect.yieldNow() },
      / at the same time: no order of these explains the answers: in one it answers /
    ],
    [
      "I10: the scope is no part of the name",
      { nameOf: ({ keyHash, scope }) => `${scope.slice(0, -1)} ${keyHash}` },
      /key [13].* key [13]/
    ],
    [
      "I12: a sweep takes lapsed claims along",
      {
        mayRemove: (record, now) =>
          Core.isExpired(record, now) ||
          (record._tag === "InProgress" && record.leaseUntilMillis <= now)
      },
      /a sweep of 1\d*: when a stranger claims key \d with another payload, it answers Acquired/
    ],
    [
      "I12: a sweep takes completed records along",
      { mayRemove: (record) => record._tag === "Completed" },
      /a sweep of 1\d*: when a stranger claims key \d, it answers Acquired .* and should answer Completed/
    ],
    [
      "I12: a sweep removes more than it may",
      { ignoresLimit: true },
      /a sweep of \d: it removes \d records, and may remove \d$/
    ]
  ])("%s", ([, faults, message]) =>
    Effect.gen(function*() {
      expect(yield* planted(faults)).toMatch(message)
    }), 30_000)

  it.effect("I13: a claim that waits for a second time than the lease lasts", () =>
    Effect.gen(function*() {
      const message = yield* planted({
        acquire: (record, claim, now) => {
          const [answer, next] = Core.acquire(record, claim, now)
          return answer._tag === "InFlight"
            ? [{ ...answer, retryAfterMillis: 0 }, next]
            : [answer, next]
        }
      })
      expect(message).toMatch(/it asks to wait 0 ms, and the lease lasts \d+ ms more$/)
    }))

  it.live("I14, I28: a fault of a store that has a time of its own", () =>
    Effect.gen(function*() {
      const message = yield* planted({
        now: Clock.make().currentTimeMillis,
        complete: (record, _, outcome, timeToLive, now) =>
          Core.complete(record, own(record), outcome, timeToLive, now)
      })
      expect(message).toMatch(/completes key \d with .*: it answers ok, and should answer stale$/)
    }), 60_000)

  it.effect("what was done is told in words, up to the answer that shows the fault", () =>
    Effect.gen(function*() {
      const message = yield* planted({
        complete: (record, _, outcome, timeToLive, now) =>
          Core.complete(record, own(record), outcome, timeToLive, now)
      })
      expect(message).toBe(
        "Laws.idempotencyStore: After owner 1 claims key 1 for 1000 ms, owner 1 leaves \"text 1\" with key 1, " +
          "owner 1 leaves \"text 2\" with key 1, 1000 ms pass, owner 2 claims key 1 for 600000 ms, " +
          "owner 2 claims key 1 for 600000 ms, owner 1 completes key 1 with \"text 3\" for 600000 ms: " +
          "it answers ok, and should answer stale"
      )
    }))

  it.effect("a fault that only chance finds is told in a small case", () =>
    Effect.gen(function*() {
      const message = yield* planted({
        acquire: (record, claim, now) => {
          const isFourth = record._tag === "InProgress" && record.generation === 4
          return Core.acquire(isFourth ? Core.absent : record, claim, now)
        }
      })
      expect(message).toMatch(/it answers Acquired \(not recovered, .*\), and should answer /)
      expect(message.split(", ").length).toBeLessThan(15)
    }))
})

describe("what a law does besides", () => {
  it.effect("a store that fails breaks it, with the store's message", () =>
    Effect.gen(function*() {
      const failing = Layer.map(storeOf(), (context) => context).pipe(
        Layer.project(IdempotencyStore, IdempotencyStore, (store): Service => ({
          ...store,
          acquire: (claim: Claim) =>
            claim.keyHash === "y" ? new StoreError({ operation: "acquire" }) : store.acquire(claim)
        }))
      )
      expect(yield* verdict(Laws.idempotencyStore(failing))).toMatch(
        /claims? key 2.*: it fails: The idempotency store could not acquire$/
      )
    }))

  it.effect("a layer that cannot be built breaks it", () =>
    Effect.gen(function*() {
      const none = Layer.fail(new Error("no database"))
      expect(yield* verdict(Laws.idempotencyStore(none))).toBe(
        "Laws.idempotencyStore: the store cannot be made: Error: no database"
      )
    }))

  it.effect("the layer is built once and released", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const layer = Layer.scopedDiscard(
        Effect.acquireRelease(Effect.sync(() => seen.push("built")), () =>
          Effect.sync(() => seen.push("released")))
      ).pipe(Layer.provideMerge(storeOf()))
      yield* Laws.idempotencyStore(layer, { runs: 3 })
      expect(seen).toEqual(["built", "released"])
    }))

  it.effect("nonsense is a RangeError that names field and value", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Laws.idempotencyStore(storeOf(), { runs: 0 }))
      expect(Exit.isFailure(exit) && String(Cause.squash(exit.cause))).toMatch(
        /^RangeError: runs .* 0$/
      )
    }))

  it.effect("a defect of the store is a defect of the law", () =>
    Effect.gen(function*() {
      const law = Laws.idempotencyStore(storeOf({
        savepoint: () => {
          throw new Error("broken")
        }
      }))
      const exit = yield* Effect.exit(law)
      expect(Exit.isFailure(exit) && String(Cause.squash(exit.cause))).toContain("broken")
    }))

  it.live("a law that is interrupted ends, and tries nothing further", () =>
    Effect.gen(function*() {
      let asked = 0
      const counting = storeOf({
        acquire: (record, claim, now) => {
          asked++
          return Core.acquire(record, claim, now)
        }
      })
      const fiber = yield* Effect.fork(Laws.idempotencyStore(counting, { runs: 1_000_000 }))
      yield* Effect.repeat(turn, { until: () => asked >= 100 })
      const exit = yield* Fiber.interrupt(fiber)
      yield* Effect.repeatN(turn, 5)
      const before = asked
      yield* Effect.repeatN(turn, 50)
      expect([Exit.isInterrupted(exit), asked - before]).toEqual([true, 0])
    }))
})
