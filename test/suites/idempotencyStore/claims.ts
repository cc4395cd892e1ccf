import { describe, expect } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import type { Acquired } from "effect-resilience/IdempotencyStore"
import { acquired, day, generationOf, type Setting } from "./setting.js"

/** What a claim is told. */
export const claims = ({ name, fact, advance, short, isExact }: Setting): void => {
  describe(`${name}: acquire`, () => {
    fact(
      "I10, I13: a key that nobody has claimed is acquired, and is no recovery",
      (subject) =>
        Effect.gen(function*() {
          const answer = yield* subject.acquire("a")
          expect(answer).toEqual(acquired(generationOf(answer)))
        }),
      day
    )

    fact(
      "I13: another owner finds it in flight, and is told how long at most",
      (subject) =>
        Effect.gen(function*() {
          yield* subject.hold("a")
          const answer = yield* subject.acquire("b")
          expect(answer._tag).toBe("InFlight")
          if (answer._tag !== "InFlight") return
          if (isExact) expect(answer.retryAfterMillis).toBe(short)
          else {expect(
              answer.retryAfterMillis > 0 && answer.retryAfterMillis <= subject.leaseMillis
            ).toBe(true)}
        }),
      isExact ? short : 30_000
    )

    fact(
      "I12, I13: the same owner acquires again with the same generation",
      (subject) =>
        Effect.gen(function*() {
          const first = yield* subject.acquire("a")
          expect([yield* subject.acquire("a"), yield* subject.acquire("a")]).toEqual([first, first])
        }),
      day
    )

    fact("I12: acquiring again begins a new lease", (subject) =>
      Effect.gen(function*() {
        yield* subject.hold("a")
        yield* subject.acquire("a", { leaseMillis: day })
        yield* advance(short)
        expect(yield* subject.look()).toBe("InFlight")
      }))

    fact(
      "I13: the same owner acquires its lapsed claim again with the same generation, and it is no recovery",
      (subject) =>
        Effect.gen(function*() {
          const first = yield* subject.acquire("a")
          yield* advance(short)
          expect(yield* subject.acquire("a")).toEqual(first)
        })
    )

    fact(
      "I13, I29: an owner that took over and acquires again is still told of the recovery",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.savepoint(held, "half")
          yield* advance(short)
          const first = yield* subject.acquire("b")
          expect(first).toEqual(
            acquired(generationOf(first), { recovered: true, recoveryPoint: "half" })
          )
          expect(yield* subject.acquire("b")).toEqual(first)
        })
    )

    fact(
      "I13: two keys have nothing to do with each other, nor has one key in two scopes",
      (subject) =>
        Effect.gen(function*() {
          yield* subject.hold("a")
          const { keyHash, scope } = subject
          const answers = [
            yield* subject.acquire("b", { keyHash: `${keyHash}-other` }),
            yield* subject.acquire("b", { scope: `${scope}-other` })
          ]
          expect(answers.map(({ _tag }) => _tag)).toEqual(["Acquired", "Acquired"])
        }),
      day
    )

    fact(
      "I15: a scope and a key that read the same when joined are two records",
      (subject) =>
        Effect.gen(function*() {
          const { keyHash, scope } = subject
          const answers = [
            yield* subject.acquire("a", { scope: `${scope}:x`, keyHash }),
            yield* subject.acquire("b", { scope, keyHash: `x:${keyHash}` }),
            yield* subject.acquire("c", { scope: `${scope}:`, keyHash: `x${keyHash}` }),
            yield* subject.acquire("d", { scope: `${scope}:x:`, keyHash })
          ]
          expect(answers.map(({ _tag }) => _tag)).toEqual([
            "Acquired",
            "Acquired",
            "Acquired",
            "Acquired"
          ])
        }),
      day
    )

    fact(
      "I13: of 200 owners that claim at once exactly one acquires, the others find it in flight",
      (subject) =>
        Effect.gen(function*() {
          const answers = yield* Effect.forEach(
            Arr.makeBy(200, (n) => `owner-${n}`),
            (owner) => subject.acquire(owner),
            { concurrency: "unbounded" }
          )
          const counts = (tag: Acquired["_tag"]) =>
            answers.filter(({ _tag }) => _tag === tag).length
          expect([counts("Acquired"), counts("InFlight")]).toEqual([1, 199])
        }),
      day
    )

    fact(
      "I11, I13: of 50 owners that find a lapsed claim at once exactly one takes it over",
      (subject) =>
        Effect.gen(function*() {
          yield* subject.hold("a")
          yield* advance(short)
          const answers = yield* Effect.forEach(
            Arr.makeBy(50, (n) => `owner-${n}`),
            (owner) => subject.acquire(owner, { leaseMillis: day }),
            { concurrency: "unbounded" }
          )
          const counts = (tag: Acquired["_tag"]) =>
            answers.filter(({ _tag }) => _tag === tag).length
          expect([counts("Acquired"), counts("InFlight")]).toEqual([1, 49])
        })
    )
  })

  describe(`${name}: leases`, () => {
    fact(
      "I11, I20: a lapsed claim is taken over, with a higher generation, as a recovery",
      (subject) =>
        Effect.gen(function*() {
          const before = yield* subject.hold("a")
          yield* advance(short)
          const answer = yield* subject.acquire("b")
          expect(answer).toEqual(acquired(generationOf(answer), { recovered: true }))
          expect(generationOf(answer)).toBeGreaterThan(before.generation)
        })
    )

    if (isExact) {
      fact(
        "I11: a lease is over at the very millisecond at which it ends, and not one before",
        (subject) =>
          Effect.gen(function*() {
            yield* subject.hold("a")
            yield* advance(short - 1)
            const before = yield* subject.acquire("b")
            yield* advance(1)
            const at = yield* subject.acquire("b")
            expect([before, at._tag]).toEqual([
              { _tag: "InFlight", retryAfterMillis: 1 },
              "Acquired"
            ])
          })
      )

      fact(
        "I11: a completed record is over at the very millisecond at which its time to live ends",
        (subject) =>
          Effect.gen(function*() {
            const held = yield* subject.hold("a")
            yield* advance(10)
            yield* subject.store.complete(held, "done", 1000)
            yield* advance(999)
            const before = yield* subject.look("b")
            yield* advance(1)
            expect([before, yield* subject.look("b")]).toEqual(["done", "Acquired"])
          })
      )
    }

    fact(
      "I20: a claim that lapsed long ago is still a recovery for whoever comes next",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a", { timeToLiveMillis: 1 })
          yield* subject.store.savepoint(held, "half")
          yield* advance(short * 3)
          yield* subject.store.sweep(1000)
          const answer = yield* subject.acquire("b", { timeToLiveMillis: 1 })
          expect(answer).toEqual(
            acquired(generationOf(answer), { recovered: true, recoveryPoint: "half" })
          )
        })
    )

    fact(
      "I14: the owner of a lapsed claim that nobody took over still completes it",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* advance(short)
          expect([yield* subject.store.complete(held, "done", day), yield* subject.look()]).toEqual(
            ["ok", "done"]
          )
        })
    )

    fact("I12: extend keeps others out for longer", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        expect(yield* subject.store.extend(held, day)).toBe("ok")
        yield* advance(short)
        expect(yield* subject.look()).toBe("InFlight")
      }))

    fact(
      "I12: extend counts from now, not from the end of the lease",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a", { leaseMillis: day })
          yield* subject.store.extend(held, short)
          yield* subject.store.extend(held, short)
          yield* advance(short)
          expect(yield* subject.look()).toBe("Acquired")
        })
    )

    fact(
      "I14: extend revives a lapsed claim that nobody took over",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* advance(short)
          expect([yield* subject.store.extend(held, day), yield* subject.look()]).toEqual([
            "ok",
            "InFlight"
          ])
        })
    )
  })

  describe(`${name}: another payload`, () => {
    fact(
      "I13: is a mismatch while the first is in flight, also for the same owner",
      (subject) =>
        Effect.gen(function*() {
          yield* subject.hold("a")
          expect([
            yield* subject.acquire("b", { fingerprint: "other" }),
            yield* subject.acquire("a", { fingerprint: "other" })
          ]).toEqual([{ _tag: "Mismatch" }, { _tag: "Mismatch" }])
        }),
      day
    )

    fact("I13: is a mismatch when the first is completed", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        yield* subject.store.complete(held, "done", day)
        expect(yield* subject.acquire("b", { fingerprint: "other" })).toEqual({ _tag: "Mismatch" })
      }), day)

    fact(
      "I13: is a mismatch when the first has lapsed, and takes nothing over",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* advance(short)
          const answer = yield* subject.acquire("b", { fingerprint: "other" })
          expect([answer._tag, yield* subject.store.complete(held, "done", day)]).toEqual([
            "Mismatch",
            "ok"
          ])
        })
    )

    fact("I10: is a first run when the first was released", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        yield* subject.store.release(held)
        const answer = yield* subject.acquire("b", { fingerprint: "other" })
        expect(answer).toEqual(acquired(generationOf(answer)))
      }), day)

    fact("I11: is a first run when the first has expired", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        yield* subject.store.complete(held, "done", short)
        yield* advance(short)
        const answer = yield* subject.acquire("b", { fingerprint: "other" })
        expect(answer).toEqual(acquired(generationOf(answer)))
      }), day)
  })
}
