import { describe, expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Held } from "effect-resilience/IdempotencyStore"
import { acquired, day, generationOf, type Setting, type Subject } from "./setting.js"

/** Owners that come late, or are interrupted. */
export const owners = ({ name, fact, advance, short }: Setting): void => {
  describe(`${name}: stale owners`, () => {
    /** A claim of "a" that lapsed and that "b" has taken over and holds for a day. */
    const takenOver = (subject: Subject) =>
      Effect.gen(function*() {
        const stale = yield* subject.hold("a")
        yield* advance(short)
        const held = yield* subject.hold("b", { leaseMillis: day })
        return { stale, held }
      })

    fact(
      "I14: a stale owner's complete is stale, and records nothing",
      (subject) =>
        Effect.gen(function*() {
          const { held, stale } = yield* takenOver(subject)
          expect([
            yield* subject.store.complete(stale, "late", day),
            yield* subject.look(),
            yield* subject.store.complete(held, "done", day),
            yield* subject.look()
          ]).toEqual(["stale", "InFlight", "ok", "done"])
        })
    )

    fact(
      "I14: a stale owner's release is stale, and frees nothing",
      (subject) =>
        Effect.gen(function*() {
          const { stale } = yield* takenOver(subject)
          expect([yield* subject.store.release(stale), yield* subject.look()]).toEqual([
            "stale",
            "InFlight"
          ])
        })
    )

    fact(
      "I14: a stale owner's extend is stale, and changes no lease",
      (subject) =>
        Effect.gen(function*() {
          const stale = yield* subject.hold("a")
          yield* advance(short)
          yield* subject.hold("b")
          expect(yield* subject.store.extend(stale, day)).toBe("stale")
          yield* advance(short)
          expect(yield* subject.look()).toBe("Acquired")
        })
    )

    fact(
      "I14, I29: a stale owner's savepoint is stale, and the recovery point stays",
      (subject) =>
        Effect.gen(function*() {
          const stale = yield* subject.hold("a")
          yield* advance(short)
          const held = yield* subject.hold("b")
          yield* subject.store.savepoint(held, "by b")
          expect(yield* subject.store.savepoint(stale, "by a")).toBe("stale")
          yield* advance(short)
          const answer = yield* subject.acquire("c")
          expect(answer).toEqual(
            acquired(generationOf(answer), { recovered: true, recoveryPoint: "by b" })
          )
        })
    )

    fact(
      "I14: a stale owner stays stale after the new one has completed",
      (subject) =>
        Effect.gen(function*() {
          const { held, stale } = yield* takenOver(subject)
          yield* subject.store.complete(held, "done", day)
          expect([
            yield* subject.store.complete(stale, "late", day),
            yield* subject.store.release(stale),
            yield* subject.look()
          ]).toEqual(["stale", "stale", "done"])
        })
    )

    fact(
      "I14: a stale owner stays stale after the new one has released",
      (subject) =>
        Effect.gen(function*() {
          const { held, stale } = yield* takenOver(subject)
          yield* subject.store.release(held)
          expect([
            yield* subject.store.release(stale),
            yield* subject.store.complete(stale, "late", day),
            yield* subject.store.release(held)
          ]).toEqual(["stale", "stale", "ok"])
        })
    )

    fact(
      "I14: the owner alone is not enough, the generation has to be its own",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          const other = { ...held, generation: held.generation + 1 }
          expect([
            yield* subject.store.complete(other, "late", day),
            yield* subject.store.extend(other, day),
            yield* subject.store.savepoint(other, "late"),
            yield* subject.store.release(other),
            yield* subject.look()
          ]).toEqual(["stale", "stale", "stale", "stale", "InFlight"])
        }),
      day
    )

    fact(
      "I14: the generation alone is not enough, the owner has to be its own",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          const other = { ...held, owner: "b" }
          expect([
            yield* subject.store.complete(other, "late", day),
            yield* subject.store.extend(other, day),
            yield* subject.store.savepoint(other, "late"),
            yield* subject.store.release(other),
            yield* subject.look()
          ]).toEqual(["stale", "stale", "stale", "stale", "InFlight"])
        }),
      day
    )

    fact(
      "I14: nobody can complete, extend or move on what was never claimed",
      (subject) =>
        Effect.gen(function*() {
          const held: Held = {
            scope: subject.scope,
            keyHash: subject.keyHash,
            owner: "a",
            generation: 1
          }
          expect([
            yield* subject.store.complete(held, "late", day),
            yield* subject.store.extend(held, day),
            yield* subject.store.savepoint(held, "late")
          ]).toEqual(["stale", "stale", "stale"])
          const answer = yield* subject.acquire("b")
          expect(answer).toEqual(acquired(generationOf(answer)))
        }),
      day
    )

    fact(
      "I14: of an owner that completes its lapsed claim and one that takes it over, one wins",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* advance(short)
          const [kept, answer] = yield* Effect.all([
            subject.store.complete(held, "done", day),
            subject.acquire("b", { leaseMillis: day })
          ], { concurrency: "unbounded" })
          const seen = `${kept} ${answer._tag} ${yield* subject.look()}`
          expect(["ok Completed done", "stale Acquired InFlight"]).toContain(seen)
        })
    )
  })

  describe(`${name}: interruption`, () => {
    fact(
      "I25: a claim that is interrupted is either granted or not there, and its owner can ask again",
      (subject) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(subject.acquire("a"))
          yield* Effect.yieldNow()
          yield* Fiber.interrupt(fiber)
          const answer = yield* subject.acquire("a")
          expect(answer).toEqual(acquired(generationOf(answer)))
          expect(yield* subject.look()).toBe("InFlight")
        }),
      day
    )
  })
}
