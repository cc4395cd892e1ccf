import { describe, expect } from "@effect/vitest"
import { Effect } from "effect"
import { acquired, day, generationOf, type Setting } from "./setting.js"

/** What becomes of a claim, and of its record. */
export const outcomes = ({ name, fact, advance, short, swept }: Setting): void => {
  describe(`${name}: complete`, () => {
    fact(
      "I10, I13: the outcome is answered to everybody, byte for byte",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          const outcome = JSON.stringify({
            text: "äß漢🙂 ' \" \\ % _ \n\t; --",
            big: "x".repeat(70_000)
          })
          expect(yield* subject.store.complete(held, outcome, day)).toBe("ok")
          expect([yield* subject.acquire("b"), yield* subject.acquire("a")]).toEqual([
            { _tag: "Completed", outcome },
            { _tag: "Completed", outcome }
          ])
        }),
      day
    )

    fact("I10: an empty outcome is an outcome", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        yield* subject.store.complete(held, "", day)
        expect(yield* subject.acquire("b")).toEqual({ _tag: "Completed", outcome: "" })
      }), day)

    fact(
      "I12, I14: its owner repeats it and gets ok; the first outcome stays",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          expect([
            yield* subject.store.complete(held, "first", day),
            yield* subject.store.complete(held, "first", day),
            yield* subject.store.complete(held, "second", day),
            yield* subject.look()
          ]).toEqual(["ok", "ok", "ok", "first"])
        }),
      day
    )

    fact(
      "I11: the time to live counts from completion and has nothing to do with the lease",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.complete(held, "done", day)
          yield* advance(short * 2)
          expect(yield* subject.look()).toBe("done")
        })
    )

    fact(
      "I11: a time to live that is shorter than the lease ends first",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.complete(held, "done", short)
          yield* advance(short)
          expect(yield* subject.look()).toBe("Acquired")
        }),
      day
    )

    fact(
      "I12: repeating it does not prolong the time to live",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.complete(held, "done", short)
          yield* subject.store.complete(held, "done", day)
          yield* advance(short)
          expect(yield* subject.look()).toBe("Acquired")
        }),
      day
    )

    fact(
      "I14: what is completed can be neither released nor extended nor moved on, also by its owner",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.complete(held, "done", day)
          expect([
            yield* subject.store.release(held),
            yield* subject.store.extend(held, day),
            yield* subject.store.savepoint(held, "half"),
            yield* subject.look()
          ]).toEqual(["stale", "stale", "stale", "done"])
        }),
      day
    )

    fact(
      "I11: after it has expired the next run starts from nothing",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.savepoint(held, "half")
          yield* subject.store.complete(held, "done", short)
          yield* advance(short)
          const answer = yield* subject.acquire("b")
          expect(answer).toEqual(acquired(generationOf(answer)))
          expect(yield* subject.store.complete(held, "late", day)).toBe("stale")
        }),
      day
    )
  })

  describe(`${name}: release`, () => {
    fact(
      "I10: the next one runs at once, from nothing, without a recovery",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.savepoint(held, "half")
          expect(yield* subject.store.release(held)).toBe("ok")
          const answer = yield* subject.acquire("b")
          expect(answer).toEqual(acquired(generationOf(answer)))
        }),
      day
    )

    fact("I12, I14: its owner repeats it and gets ok", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        expect([
          yield* subject.store.release(held),
          yield* subject.store.release(held),
          yield* subject.store.release(held)
        ]).toEqual(["ok", "ok", "ok"])
      }), day)

    fact(
      "I14: a repeat that arrives after another owner's claim takes nothing away from it",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.release(held)
          yield* subject.hold("b")
          expect([yield* subject.store.release(held), yield* subject.look()]).toEqual([
            "stale",
            "InFlight"
          ])
        }),
      day
    )

    fact(
      "I14: who has released can neither complete nor extend nor move on",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* subject.store.release(held)
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
      "I14: an owner that claims again after its release has a new generation",
      (subject) =>
        Effect.gen(function*() {
          const first = yield* subject.hold("a")
          yield* subject.store.release(first)
          const second = yield* subject.hold("a")
          expect(second.generation).toBeGreaterThan(first.generation)
          expect([yield* subject.store.release(first), yield* subject.look()]).toEqual([
            "stale",
            "InFlight"
          ])
        }),
      day
    )
  })

  describe(`${name}: recovery points`, () => {
    fact("I29: the last one is handed on, byte for byte", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        const data = JSON.stringify({ step: 2, text: "äß漢🙂 ' \" \\ %" })
        expect([
          yield* subject.store.savepoint(held, "one"),
          yield* subject.store.savepoint(held, data),
          yield* subject.store.savepoint(held, data)
        ]).toEqual(["ok", "ok", "ok"])
        yield* advance(short)
        const answer = yield* subject.acquire("b")
        expect(answer).toEqual(
          acquired(generationOf(answer), { recovered: true, recoveryPoint: data })
        )
      }))

    fact("I29: an empty one is not none", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        yield* subject.store.savepoint(held, "")
        yield* advance(short)
        const answer = yield* subject.acquire("b")
        expect(answer).toEqual(
          acquired(generationOf(answer), { recovered: true, recoveryPoint: "" })
        )
      }))

    fact("I29: it survives a second takeover", (subject) =>
      Effect.gen(function*() {
        const held = yield* subject.hold("a")
        yield* subject.store.savepoint(held, "half")
        yield* advance(short)
        yield* subject.hold("b")
        yield* advance(short)
        const answer = yield* subject.acquire("c")
        expect(answer).toEqual(
          acquired(generationOf(answer), { recovered: true, recoveryPoint: "half" })
        )
      }))

    fact(
      "I12: a savepoint does not prolong the lease, and can be set after it",
      (subject) =>
        Effect.gen(function*() {
          const held = yield* subject.hold("a")
          yield* advance(short)
          expect([yield* subject.store.savepoint(held, "half"), yield* subject.look()]).toEqual([
            "ok",
            "Acquired"
          ])
        })
    )
  })

  describe(`${name}: sweep`, () => {
    fact(
      "I12: removes at most as many expired records as it may, and says how many",
      (subject) =>
        Effect.gen(function*() {
          yield* swept(subject.store)
          for (let n = 0; n < 5; n++) {
            const held = yield* subject.hold("a", { keyHash: `${subject.keyHash}-${n}` })
            yield* subject.store.complete(held, "done", short)
          }
          yield* advance(short)
          expect([
            yield* subject.store.sweep(2),
            yield* subject.store.sweep(2),
            yield* subject.store.sweep(2),
            yield* subject.store.sweep(2)
          ]).toEqual([2, 2, 1, 0])
        }),
      day
    )

    fact("I12: a limit of zero removes nothing", (subject) =>
      Effect.gen(function*() {
        yield* swept(subject.store)
        const held = yield* subject.hold("a")
        yield* subject.store.complete(held, "done", short)
        yield* advance(short)
        expect([yield* subject.store.sweep(0), yield* subject.store.sweep(1)]).toEqual([0, 1])
      }), day)

    fact(
      "I11, I12: removes neither what is in flight, nor what has lapsed, nor what is replayed",
      (subject) =>
        Effect.gen(function*() {
          yield* swept(subject.store)
          const names = ["flying", "lapsed", "replayed"].map((name) => ({
            keyHash: `${subject.keyHash}-${name}`
          }))
          yield* subject.hold("a", { ...names[0], leaseMillis: day })
          yield* subject.hold("a", { ...names[1], leaseMillis: short })
          const held = yield* subject.hold("a", { ...names[2], leaseMillis: day })
          yield* subject.store.complete(held, "done", day)
          yield* advance(short)
          const removed = yield* subject.store.sweep(1000)
          const answers = yield* Effect.forEach(names, (name) => subject.acquire("b", name))
          expect([
            removed,
            answers.map((answer) => answer._tag === "Acquired" ? answer.recovered : answer._tag)
          ])
            .toEqual([
              0,
              ["InFlight", true, "Completed"]
            ])
        })
    )
  })
}
