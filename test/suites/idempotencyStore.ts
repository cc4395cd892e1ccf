/**
 * What every idempotency store does, whatever keeps its records: one suite for all of them.
 */
import { describe, expect, it } from "@effect/vitest"
import { Array as Arr, Effect, Fiber, type Layer, Option, TestClock } from "effect"
import { IdempotencyStore } from "effect-resilience/IdempotencyStore"
import type { Acquired, Claim, Held, Service } from "effect-resilience/IdempotencyStore"

export interface Options {
  /**
   * Where the store takes its time from. With `"clock"` (the default) the suite also looks at the
   * very millisecond at which a lease ends; it runs under the `TestClock`. With `"store"` a lease
   * ends when it has really passed.
   */
  readonly timeSource?: "clock" | "store" | undefined
  /**
   * Lets this many milliseconds pass, and a little more where time is real. Default: the
   * `TestClock`, or a real wait.
   */
  readonly advance?: ((millis: number) => Effect.Effect<void>) | undefined
  /**
   * A lease that can be waited for, in milliseconds. Default: a minute, or 100 ms where time is
   * real.
   */
  readonly shortMillis?: number | undefined
  /** Whether the store looks under `previousKeyHashes`. Default: true. */
  readonly previousNames?: boolean | undefined
}

const day = 86_400_000

const really = (millis: number): Effect.Effect<void> =>
  Effect.promise(() => new Promise((resolve) => setTimeout(resolve, millis)))

const acquired = (
  generation: number,
  { recovered = false, recoveryPoint }: {
    readonly recovered?: boolean
    readonly recoveryPoint?: string
  } = {}
): Acquired => ({
  _tag: "Acquired",
  generation,
  recovered,
  recoveryPoint: Option.fromNullable(recoveryPoint)
})

const generationOf = (answer: Acquired): number => {
  if (answer._tag !== "Acquired") throw new Error(`not acquired but ${JSON.stringify(answer)}`)
  return answer.generation
}

/** One key of the store, which nobody else uses, seen by several owners. */
class Subject {
  constructor(
    readonly store: Service,
    readonly scope: string,
    readonly keyHash: string,
    readonly leaseMillis: number
  ) {}

  claim(owner: string, changes: Partial<Claim> = {}): Claim {
    return {
      scope: this.scope,
      keyHash: this.keyHash,
      fingerprint: "payload",
      owner,
      leaseMillis: this.leaseMillis,
      timeToLiveMillis: day,
      ...changes
    }
  }

  acquire(owner: string, changes?: Partial<Claim>) {
    return this.store.acquire(this.claim(owner, changes))
  }

  /** Claims, and has to be granted it. */
  hold(owner: string, changes?: Partial<Claim>) {
    const claim = this.claim(owner, changes)
    return Effect.map(this.store.acquire(claim), (answer): Held => ({
      scope: claim.scope,
      keyHash: claim.keyHash,
      owner,
      generation: generationOf(answer)
    }))
  }

  /**
   * What a stranger with the same payload would be told, in a word; a record that is free would be
   * taken.
   */
  look(owner = "stranger") {
    return Effect.map(
      this.acquire(owner),
      (answer) => answer._tag === "Completed" ? answer.outcome : answer._tag
    )
  }
}

export const suite = <E>(
  name: string,
  layer: Layer.Layer<IdempotencyStore, E>,
  options: Options = {}
): void => {
  const isExact = options.timeSource !== "store"
  const short = options.shortMillis ?? (isExact ? 60_000 : 100)
  const advance = options.advance ??
    (isExact ? TestClock.adjust : (millis: number) => really(millis + 25))

  // Unique among the tests and the runs, for stores that outlive them.
  const run = crypto.randomUUID()
  let keys = 0
  const subjectOf = (store: Service, leaseMillis = short) =>
    new Subject(store, `scope-${run}`, `key-${keys++}`, leaseMillis)

  /** A test of one fact about one key. */
  const fact = (
    sentence: string,
    body: (subject: Subject) => Effect.Effect<void, unknown>,
    leaseMillis = short
  ) =>
    it.effect(
      sentence,
      () =>
        Effect.flatMap(IdempotencyStore, (store) => body(subjectOf(store, leaseMillis))).pipe(
          Effect.provide(layer)
        )
    )

  /** Removes what other tests have left behind. */
  const swept = (store: Service) =>
    Effect.repeat(store.sweep(1000), { until: (removed) => removed === 0 })

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

  if (options.previousNames !== false) {
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
