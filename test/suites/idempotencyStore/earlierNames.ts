import { describe, expect } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import type { Held } from "effect-resilience/IdempotencyStore"
import { acquired, day, generationOf, type Setting, type Subject } from "./setting.js"

/** Records under earlier names of their key. */
export const earlierNames = ({ name, fact, advance, short }: Setting): void => {
  describe(`${name}: earlier names of a key`, () => {
    const renamed = (subject: Subject) => ({
      keyHash: `${subject.keyHash}-new`,
      previousKeyHashes: [subject.keyHash]
    })

    fact(
      "I5: a record that is in flight under an earlier name is in flight",
      (subject) =>
        Effect.gen(function*() {
          yield* subject.hold("a")
          expect((yield* subject.acquire("b", renamed(subject)))._tag).toBe("InFlight")
        }),
      day
    )

    fact(
      "I5: a record that was completed under an earlier name is replayed",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.complete(held, "done", day)
          expect(yield* subject.acquire("b", renamed(subject))).toEqual({
            _tag: "Completed",
            outcome: "done"
          })
        }),
      day
    )

    fact(
      "I5, I13: another payload than that under an earlier name is a mismatch",
      (subject) =>
        Effect.gen(function*() {
          yield* subject.hold("a")
          expect(yield* subject.acquire("b", { ...renamed(subject), fingerprint: "other" }))
            .toEqual({
              _tag: "Mismatch"
            })
        }),
      day
    )

    fact(
      "I5: a lapsed record under an earlier name is taken over under the new one",
      (subject) =>
        Effect.gen(function*() {
          const stale = yield* subject.hold("a")
          yield* subject.store.savepoint(stale, "half")
          yield* advance(short)
          const answer = yield* subject.acquire("b", { ...renamed(subject), leaseMillis: day })
          expect(answer).toEqual(
            acquired(generationOf(answer), { recovered: true, recoveryPoint: "half" })
          )
          expect(generationOf(answer)).toBeGreaterThan(stale.generation)
          const { keyHash } = renamed(subject)
          const held: Held = { ...stale, keyHash, owner: "b", generation: generationOf(answer) }
          expect([
            yield* subject.store.complete(stale, "late", day),
            yield* subject.store.extend(stale, day),
            yield* subject.store.release(stale),
            yield* subject.store.complete(held, "done", day),
            yield* subject.acquire("c", renamed(subject))
          ]).toEqual(["stale", "stale", "stale", "ok", { _tag: "Completed", outcome: "done" }])
        })
    )

    fact(
      "I5, I13: the same owner's claim under an earlier name is its claim under the new one",
      (subject) =>
        Effect.gen(function*() {
          const first = yield* subject.acquire("a")
          const answer = yield* subject.acquire("a", renamed(subject))
          expect(answer).toEqual(first)
          const { keyHash, scope } = { ...subject, ...renamed(subject) }
          const held: Held = { scope, keyHash, owner: "a", generation: generationOf(answer) }
          expect([
            yield* subject.store.complete(held, "done", day),
            yield* subject.acquire("b", renamed(subject))
          ]).toEqual(["ok", { _tag: "Completed", outcome: "done" }])
        }),
      day
    )

    fact(
      "I5: what was released or has expired under an earlier name is absent",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.release(held)
          const answer = yield* subject.acquire("b", renamed(subject))
          expect(answer).toEqual(acquired(generationOf(answer)))
        }),
      day
    )

    fact(
      "I5: the present name comes before the earlier ones, and the second earlier one is found too",
      (subject) =>
        Effect.gen(function*() {
          const { keyHash } = subject
          const names = [`${keyHash}-2`, `${keyHash}-1`, keyHash]
          const held = yield* subject.hold("a")
          yield* subject.store.complete(held, "oldest", day)
          const claim = { keyHash: names[0]!, previousKeyHashes: names.slice(1) }
          const first = yield* subject.acquire("b", claim)
          const present = yield* subject.hold("a", { keyHash: names[0]! })
          yield* subject.store.complete(present, "present", day)
          expect([first, yield* subject.acquire("b", claim)]).toEqual([
            { _tag: "Completed", outcome: "oldest" },
            { _tag: "Completed", outcome: "present" }
          ])
        }),
      day
    )

    fact(
      "I5: of 20 owners that find a lapsed record under an earlier name exactly one takes it over",
      (subject) =>
        Effect.gen(function*() {
          yield* subject.hold("a")
          yield* advance(short)
          const answers = yield* Effect.forEach(
            Arr.makeBy(20, (n) => `owner-${n}`),
            (owner) => subject.acquire(owner, { ...renamed(subject), leaseMillis: day }),
            { concurrency: "unbounded" }
          )
          expect(answers.filter(({ _tag }) => _tag === "Acquired").length).toBe(1)
        })
    )
  })
}
