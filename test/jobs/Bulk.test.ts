import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Option,
  pipe,
  Redacted,
  Schema,
  Scope,
  TestClock
} from "effect"
import * as Backoff from "effect-resilience/Backoff"
import * as Bulk from "effect-resilience/Bulk"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Idempotency from "effect-resilience/Idempotency"
import * as IdempotencyKey from "effect-resilience/IdempotencyKey"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { countingClock } from "../support/clocks.js"
import { down, invalid, rateLimit, unauthorized } from "../support/errors.js"
import { settle } from "../support/turns.js"

const wrong = invalid()
const revoked = unauthorized()

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
const quick = { backoff: Backoff.constant("1 millis") }

/** Runs an effect to its end, however much virtual time that takes. */
const inTheEnd = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  step: Duration.DurationInput = "1 second"
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    while (Option.isNone(yield* Fiber.poll(fiber))) yield* TestClock.adjust(step)
    return yield* Fiber.join(fiber)
  })

const tagsOf = (results: ReadonlyArray<{ readonly _tag: string }>) =>
  results.map(({ _tag }) => _tag)

describe("Bulk.forEach", () => {
  it.effect("G50: makes the call for each item, and gives the results in their order", () =>
    Effect.gen(function*() {
      const { done, results, total } = yield* Bulk.forEach(
        numbers(5),
        (item) => Effect.succeed(item * 10)
      )
      expect([total, done, results]).toEqual([
        5,
        5,
        numbers(5).map((item) => ({ _tag: "Done", item, value: item * 10 }))
      ])
    }))

  it.effect("G50: no more at a time than `concurrency`", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const call = () =>
        Effect.sync(() => most = Math.max(most, ++running)).pipe(
          Effect.zipRight(Effect.sleep("10 millis")),
          Effect.zipRight(Effect.sync(() => running--))
        )
      yield* inTheEnd(Bulk.forEach(numbers(20), call, { concurrency: 3 }), "10 millis")
      expect([most, running]).toEqual([3, 0])
    }))

  it.effect("an item that is not valid fails and ends nothing", () =>
    Effect.gen(function*() {
      const { done, failed, results, retried } = yield* Bulk.forEach(
        numbers(30),
        (item) => item % 2 === 0 ? wrong : Effect.succeed(item)
      )
      expect([done, failed, retried, tagsOf(results.slice(0, 2))]).toEqual([15, 15, 0, [
        "Failed",
        "Done"
      ]])
    }))

  it.effect("what another try may mend is tried again, under the same key", () =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const call = Effect.gen(function*() {
        keys.push(Redacted.value((yield* IdempotencyKey.IdempotencyKey).value))
        return keys.length < 3 ? yield* down : "sent"
      })
      const { done, retried } = yield* inTheEnd(Bulk.forEach(["one"], () => call, quick))
      expect([done, retried, keys.length, new Set(keys).size]).toEqual([1, 2, 3, 1])
    }))

  it.effect("each item has a key of its own", () =>
    Effect.gen(function*() {
      const keys = new Set<string>()
      const call = Effect.map(IdempotencyKey.IdempotencyKey, ({ value }) =>
        keys.add(Redacted.value(value)))
      yield* Bulk.forEach(numbers(10), () =>
        call)
      expect(keys.size).toBe(10)
    }))

  it.effect("G50: pauses when the error rate rises, and resumes by one trial", () =>
    Effect.gen(function*() {
      let up = true
      let sent = 0
      const calls: Array<string> = []
      const call = (item: number) =>
        Effect.suspend(() => {
          sent++
          calls.push(`${item}${up ? "" : "!"}`)
          return up ? Effect.succeed(item) : down
        })
      const paused: Array<boolean> = []
      const fiber = yield* Effect.fork(
        Bulk.forEach(
          numbers(100),
          (item) => Effect.zipRight(Effect.sleep("10 millis"), call(item)),
          {
            ...quick,
            retries: 50,
            onProgress: (progress) => Effect.sync(() => void paused.push(progress.paused))
          }
        )
      )
      yield* TestClock.adjust("100 millis")
      up = false
      yield* TestClock.adjust("10 seconds")
      const whileDown = sent
      expect(paused.at(-1)).toBe(true)
      yield* TestClock.adjust("15 seconds")
      expect(sent).toBe(whileDown)
      // 30 s after it began to pause, one trial. It fails.
      yield* TestClock.adjust("10 seconds")
      expect(sent).toBe(whileDown + 1)
      up = true
      yield* TestClock.adjust("40 seconds")
      const summary = yield* Fiber.join(fiber)
      expect([summary.done, summary.failed, summary.paused, summary.pauses]).toEqual([
        100,
        0,
        false,
        1
      ])
      expect(new Set(calls.filter((call) => !call.endsWith("!"))).size).toBe(100)
    }))

  it.effect("G50: a trial that hangs keeps the others waiting until it loses its place, an interrupted run leaves nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        minimumCalls: 1,
        openDuration: "1 second",
        slowCall: false,
        halfOpen: CircuitBreaker.consecutive(1),
        trialTimeout: "20 seconds"
      })
      yield* Effect.exit(breaker.protect(down, { key: "bulk" }))
      let started = 0
      const seen: Array<number> = []
      const look = (after: Duration.DurationInput) =>
        Effect.map(TestClock.adjust(after), () => void seen.push(started))
      const run = Bulk.forEach(
        numbers(3),
        () => Effect.zipRight(Effect.sync(() => ++started), Effect.never),
        {
          pauseWhen: breaker
        }
      )
      const fiber = yield* Effect.fork(run)
      yield* look("900 millis")
      yield* look("200 millis")
      yield* look("19 seconds")
      yield* look("1 second")
      yield* Fiber.interrupt(fiber)
      expect([seen, (yield* breaker.snapshot("bulk")).inFlight]).toEqual([[0, 1, 1, 2], 0])
    }))

  it.effect("rate limits pause too, at least as long as the server asks", () =>
    Effect.gen(function*() {
      let sent = 0
      const busy = rateLimit(Duration.minutes(2))
      const call = () => Effect.suspend(() => ++sent <= 10 ? busy : Effect.succeed("sent"))
      const paused: Array<boolean> = []
      const fiber = yield* Effect.fork(
        Bulk.forEach(numbers(10), call, {
          onProgress: (progress) => Effect.sync(() => void paused.push(progress.paused)),
          concurrency: 10,
          backoff: Backoff.constant("1 millis"),
          pauseWhen: { failureRate: 0.25 }
        })
      )
      yield* TestClock.adjust("60 seconds")
      expect(sent).toBe(10)
      yield* TestClock.adjust("55 seconds")
      expect(sent).toBe(10)
      yield* TestClock.adjust("10 minutes")
      const { done, pauses } = yield* Fiber.join(fiber)
      expect([done, pauses, paused[0]]).toEqual([10, 1, true])
    }))

  it.effect("an open circuit inside the call is not a pause of ours", () =>
    Effect.gen(function*() {
      const inner = yield* CircuitBreaker.make()
      yield* inner.forceOpen()
      const { failed, pauses, results } = yield* Bulk.forEach(["one"], () =>
        inner.protect(Effect.void), { retries: 0 })
      expect([failed, pauses, tagsOf(results)]).toEqual([1, 0, ["Failed"]])
    }))

  it.effect("a refused credential ends the run: what was under way is finished, the rest is left", () =>
    Effect.gen(function*() {
      const { failed, results, stopped } = yield* Bulk.forEach(
        numbers(6),
        (item) => item === 2 ? revoked : Effect.succeed(item),
        {
          concurrency: 1
        }
      )
      expect([failed, tagsOf(results), Option.map(stopped, ({ _tag }) => _tag)]).toEqual([
        1,
        ["Done", "Done", "Failed", "Left", "Left", "Left"],
        Option.some("Auth")
      ])
    }))

  it.effect("what ends a run can be said", () =>
    Effect.gen(function*() {
      const run = Bulk.forEach(numbers(4), (item) =>
        item === 1 ? Effect.fail("full" as const) : Effect.succeed(item), {
        concurrency: 1,
        stopWhen: (error) =>
          error === "full"
      })
      expect(tagsOf((yield* run).results)).toEqual(["Done", "Failed", "Left", "Left"])
    }))

  it.effect("G50: progress says how many are done, failed and retried, how fast, and how long it will take", () =>
    Effect.gen(function*() {
      const reports: Array<string> = []
      const run = Bulk.forEach(
        numbers(4),
        (item) => Effect.zipRight(Effect.sleep("1 second"), item === 3 ? wrong : Effect.void),
        {
          concurrency: 1,
          onProgress: ({ done, failed, ratePerSecond, running, timeLeft, total }) =>
            Effect.sync(() => {
              const left = Option.match(timeLeft, { onNone: () => "?", onSome: Duration.format })
              reports.push(
                `${done}+${failed} of ${total}, ${running} running, ${ratePerSecond}/s, ${left} left`
              )
            })
        }
      )
      yield* inTheEnd(run)
      expect(reports).toEqual([
        "1+0 of 4, 0 running, 1/s, 3s left",
        "2+0 of 4, 0 running, 1/s, 2s left",
        "3+0 of 4, 0 running, 1/s, 1s left",
        "3+1 of 4, 0 running, 1/s, 0 left"
      ])
    }))

  it.effect("a defect ends the run", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Bulk.forEach(numbers(3), () => Effect.die("boom")))
      expect(Exit.isFailure(exit) && Option.isSome(Cause.dieOption(exit.cause))).toBe(true)
    }))

  it.effect("interruption ends it at once, also while it is paused, and runs nothing further", () =>
    Effect.gen(function*() {
      let sent = 0
      const fiber = yield* Effect.fork(
        Bulk.forEach(numbers(40), () => Effect.suspend(() => (sent++, down)), {
          ...quick,
          retries: 100
        })
      )
      yield* TestClock.adjust("5 seconds")
      const before = sent
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("10 minutes")
      expect([Exit.isInterrupted(exit), sent]).toEqual([true, before])
    }))

  it.effect("two runs at once do not disturb each other", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const one = Bulk.forEach(numbers(5), () => Deferred.await(gate))
      const other = Effect.zipRight(
        Bulk.forEach(numbers(5), () => Effect.void),
        Deferred.succeed(gate, undefined)
      )
      const [{ done }] = yield* Effect.all([one, other], { concurrency: 2 })
      expect(done).toBe(5)
    }))

  const pausing = {
    window: CircuitBreaker.count(4),
    minimumCalls: 1,
    failureRate: 0.25,
    slowCall: false,
    openDuration: "1 hour",
    halfOpen: CircuitBreaker.consecutive(1)
  } as const

  /** A run of three items that is paused from its beginning, and what it sends and reports. */
  const pausedRun = (breaker: CircuitBreaker.CircuitBreaker) =>
    Effect.sync(() => {
      const sent: Array<number> = []
      const paused: Array<boolean> = []
      const run = Bulk.forEach(numbers(3), (item) => Effect.sync(() => void sent.push(item)), {
        ...quick,
        pauseWhen: breaker,
        onProgress: (progress) => Effect.sync(() => void paused.push(progress.paused))
      })
      return { run, sent, paused }
    })

  it.effect.each<
    readonly [string, (breaker: CircuitBreaker.CircuitBreaker) => Effect.Effect<unknown>]
  >([
    ["a reset", (breaker) => breaker.reset("bulk")],
    ["a reset of all", (breaker) => breaker.resetAll],
    ["an order to be closed", (breaker) => breaker.forceClosed("bulk")],
    ["being disabled", (breaker) => breaker.disableAll],
    [
      "an import",
      (breaker) =>
        Effect.gen(function*() {
          const other = yield* CircuitBreaker.make(pausing)
          yield* Effect.orDie(other.protect(Effect.void, { key: "bulk" }))
          yield* Effect.orDie(breaker.importState(yield* other.exportState))
        })
    ]
  ])("G51: a pause ends with %s, within one turn", ([, change]) =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(pausing)
      yield* Effect.exit(breaker.protect(down, { key: "bulk" }))
      const { paused, run, sent } = yield* pausedRun(breaker)
      const fiber = yield* Effect.fork(run)
      yield* TestClock.adjust("10 minutes")
      const before = [sent.length, paused.at(-1)]
      yield* change(breaker)
      yield* settle
      const summary = yield* Fiber.join(fiber)
      expect([before, summary.done, summary.paused, Duration.toMillis(summary.elapsed), paused])
        .toEqual([[0, true], 3, false, 600_000, [true, false, false, false, false]])
    }))

  it.effect("G51: a pause ends with the end of isolation, also of all circuits", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(pausing)
      const { run, sent } = yield* pausedRun(breaker)
      const [one, all] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.extend(breaker.isolate("bulk"), one)
      yield* Scope.extend(breaker.isolateAll, all)
      const fiber = yield* Effect.fork(run)
      yield* TestClock.adjust("1 day")
      yield* Scope.close(one, Exit.void)
      yield* settle
      const isolated = sent.length
      yield* Scope.close(all, Exit.void)
      yield* settle
      expect([isolated, (yield* Fiber.join(fiber)).done]).toEqual([0, 3])
    }))

  it.effect("G51: a pause ends when another run of the same circuit has made the trial, and a place that it gives back is used", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...pausing, openDuration: "1 minute" })
      yield* Effect.exit(breaker.protect(down, { key: "bulk" }))
      yield* TestClock.adjust("1 minute")
      const answer = yield* Deferred.make<void>()
      const trial = yield* Effect.fork(
        Bulk.forEach([1], () => Deferred.await(answer), { ...quick, pauseWhen: breaker })
      )
      yield* settle
      const { run, sent } = yield* pausedRun(breaker)
      const fiber = yield* Effect.fork(run)
      yield* settle
      const during = sent.length
      // A trial that is interrupted says nothing; its place is free, and the circuit looks the same.
      yield* Fiber.interrupt(trial)
      yield* settle
      expect([during, (yield* Fiber.join(fiber)).done]).toEqual([0, 3])
    }))

  it.effect("G12: a pause ends where nothing can interrupt, and leaves no timer and no fiber", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(pausing)
      yield* Effect.exit(breaker.protect(down, { key: "bulk" }))
      const { run } = yield* pausedRun(breaker)
      const { clock, counts } = countingClock(yield* Effect.clock)
      let done = 0
      const ended = Effect.map(run, (summary) => {
        done = summary.done
      })
      const fiber = yield* Effect.fork(Effect.withClock(Effect.uninterruptible(ended), clock))
      yield* TestClock.adjust("10 minutes")
      const sleeping = counts.sleeping
      yield* Fiber.interruptFork(fiber)
      yield* breaker.reset("bulk")
      yield* settle
      expect([sleeping, done, counts.sleeping, fiber.unsafePoll() !== null]).toEqual([
        3,
        3,
        0,
        true
      ])
    }))

  it.effect("G51: a breaker that was made elsewhere is asked every second", () =>
    Effect.gen(function*() {
      const inner = yield* CircuitBreaker.make(pausing)
      yield* Effect.exit(inner.protect(down, { key: "bulk" }))
      const { protect, state } = inner
      const breaker = { protect, state } as CircuitBreaker.CircuitBreaker
      const { run, sent } = yield* pausedRun(breaker)
      const fiber = yield* Effect.fork(run)
      yield* TestClock.adjust("10 minutes")
      const before = sent.length
      yield* inner.reset("bulk")
      yield* TestClock.adjust("1 second")
      expect([before, (yield* Fiber.join(fiber)).done]).toEqual([0, 3])
    }))

  it.effect("items may come last", () =>
    Effect.gen(function*() {
      const { done } = yield* pipe(
        numbers(3),
        Bulk.forEach((item: number) => Effect.succeed(item), { concurrency: 2 })
      )
      expect(done).toBe(3)
    }))

  it.effect("nonsense is refused with field and value", () =>
    Effect.gen(function*() {
      const refusals = yield* Effect.forEach(
        [{ concurrency: 0 }, { retries: -1 }, { pauseWhen: { failureRate: 50 } }],
        (options) =>
          Effect.map(
            Effect.exit(Bulk.forEach([1], () => Effect.void, options)),
            (exit) => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "accepted"
          )
      )
      expect(refusals).toEqual([
        "RangeError: concurrency should be a whole number of at least 1, got 0",
        "RangeError: retries should be a whole number of at least 0, got -1",
        "RangeError: failureRate should be a number above 0 and at most 1, got 50"
      ])
    }))
})

describe("Bulk.syncLog", () => {
  interface Document {
    readonly id: string
    readonly text: string
  }

  const documents: ReadonlyArray<Document> = numbers(6).map((index) => ({
    id: `DOC-${index}`,
    text: `text ${index}`
  }))
  const log = Bulk.syncLog({
    scope: ["acme", "documents"],
    id: ({ id }: Document) => id,
    result: Schema.Struct({ documentId: Schema.String })
  })

  /** An API that remembers what it was sent, under which key. */
  const api = () => {
    const sent: Array<string> = []
    const keys: Array<string> = []
    const create = ({ id }: Document) =>
      Effect.gen(function*() {
        sent.push(id)
        keys.push(Redacted.value((yield* IdempotencyKey.IdempotencyKey).value))
        return { documentId: `created-${id}` }
      })
    return { sent, keys, create }
  }

  it.effect("G50: a second run sends nothing that has succeeded, and knows what came of it", () =>
    Effect.gen(function*() {
      const { create, sent } = api()
      const first = yield* Bulk.forEach(documents.slice(0, 4), create, { syncLog: log })
      const second = yield* Bulk.forEach(documents, create, { syncLog: log })
      expect([first.done, second.done, second.skipped, sent.length, new Set(sent).size]).toEqual([
        4,
        2,
        4,
        6,
        6
      ])
      expect(second.results[0]).toEqual({
        _tag: "Skipped",
        item: documents[0],
        value: { documentId: "created-DOC-0" }
      })
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("what failed is sent again by the next run", () =>
    Effect.gen(function*() {
      const { create, sent } = api()
      const refused = (document: Document) => document.id === "DOC-1" ? wrong : create(document)
      const first = yield* Bulk.forEach(documents, refused, { syncLog: log })
      const second = yield* Bulk.forEach(documents, create, { syncLog: log })
      expect([first.failed, second.done, second.skipped, sent.length]).toEqual([1, 1, 5, 6])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("G50: an item that was under way when the run was cut off is sent again under the key it had", () =>
    Effect.gen(function*() {
      const { create, keys, sent } = api()
      // The server gets it; the answer never comes.
      const cutOff = yield* Effect.fork(
        Bulk.forEach(
          documents.slice(0, 1),
          (document) => Effect.zipRight(create(document), Effect.never),
          {
            syncLog: log
          }
        )
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(cutOff)
      const { done } = yield* inTheEnd(Bulk.forEach(documents, create, { syncLog: log }))
      expect([
        done,
        sent.filter((id) => id === "DOC-0").length,
        keys[0] === keys.at(sent.lastIndexOf("DOC-0"))
      ])
        .toEqual([6, 2, true])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("I1: an item that was corrected after a refusal is sent under another key, and so is one that is sent once more", () =>
    Effect.gen(function*() {
      const { create, keys } = api()
      const refused = (document: Document) => Effect.zipRight(create(document), wrong)
      const [one, other] = [{ id: "DOC-1", text: "mistake" }, { id: "DOC-2", text: "right" }]
      const before = yield* Bulk.forEach([one, other], refused, { syncLog: log })
      const corrected = { ...one, text: "corrected" }
      const after = yield* Bulk.forEach([corrected, other], create, { syncLog: log })
      expect([before.failed, after.done, keys.length, new Set(keys).size]).toEqual([2, 2, 4, 4])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("I1: all attempts of an item have one key, in the run that was cut off and in the next one", () =>
    Effect.gen(function*() {
      const { create, keys } = api()
      let attempts = 0
      const failing = (document: Document) =>
        Effect.zipRight(create(document), ++attempts % 3 === 0 ? Effect.never : down)
      for (const _ of [1, 2]) {
        const cutOff = yield* Effect.fork(
          Bulk.forEach(documents.slice(0, 1), failing, { syncLog: log, pauseWhen: false })
        )
        yield* TestClock.adjust("10 minutes")
        yield* Fiber.interrupt(cutOff)
      }
      const { done } = yield* inTheEnd(
        Bulk.forEach(documents.slice(0, 1), create, { syncLog: log })
      )
      expect([done, keys.length, new Set(keys).size]).toEqual([1, 7, 1])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("I1: an item that an earlier version began is sent again under the key that version gave it", () =>
    Effect.gen(function*() {
      const { create, keys } = api()
      const scope = ["acme", "documents"]
      const [document = { id: "", text: "" }] = documents
      // The key of version 1: from the scope and the id alone.
      const key = IdempotencyKey.derive(
        yield* IdempotencyKey.fromString(`effect-resilience/Bulk ${JSON.stringify(scope)}`),
        document.id
      )
      const began = Idempotency.run(
        ({ savepoint }) => Effect.zipRight(savepoint({ madeAt: 0 }), Effect.never),
        { scope, payload: document, result: log.result }
      )
      const cutOff = yield* Effect.fork(IdempotencyKey.provide(began, key))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(cutOff)
      yield* inTheEnd(Bulk.forEach([document], create, { syncLog: log }))
      expect(keys).toEqual([Redacted.value(key.value)])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("I1: an earlier version that finds an item of this one makes it an unknown outcome, and sends nothing", () =>
    Effect.gen(function*() {
      const { create } = api()
      const store = yield* IdempotencyStore.IdempotencyStore
      const points: Array<unknown> = []
      yield* TestClock.adjust("2 days")
      const watched: IdempotencyStore.Service = {
        ...store,
        savepoint: (held, data) => {
          points.push(JSON.parse(data))
          return store.savepoint(held, data)
        }
      }
      yield* Bulk.forEach(documents.slice(0, 1), create, { syncLog: log }).pipe(
        Effect.provideService(IdempotencyStore.IdempotencyStore, watched)
      )
      // It takes `madeAt` for the time at which the key was made.
      expect(points).toMatchObject([{ madeAt: 0 }])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("I4: when the API has forgotten the key, what was under way is an unknown outcome and is not sent again", () =>
    Effect.gen(function*() {
      const { create, sent } = api()
      const short = Bulk.syncLog({
        scope: ["acme", "documents"],
        id: ({ id }: Document) => id,
        result: Schema.Struct({ documentId: Schema.String }),
        keyTimeToLive: "1 hour"
      })
      const cutOff = yield* Effect.fork(
        Bulk.forEach(
          documents.slice(0, 1),
          (document) => Effect.zipRight(create(document), Effect.never),
          {
            syncLog: short
          }
        )
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(cutOff)
      yield* TestClock.adjust("2 hours")
      const { results } = yield* inTheEnd(
        Bulk.forEach(documents.slice(0, 1), create, { syncLog: short })
      )
      const [result] = results
      expect([result?._tag === "Failed" && result.error._tag, sent.length]).toEqual([
        "UnknownOutcome",
        1
      ])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("an item that changed under its id is a mismatch, not silently skipped", () =>
    Effect.gen(function*() {
      const { create } = api()
      yield* Bulk.forEach(documents, create, { syncLog: log })
      const changed = { id: "DOC-0", text: "another" }
      const { results } = yield* Bulk.forEach([changed], create, { syncLog: log })
      expect(results.map((result) => result._tag === "Failed" ? result.error._tag : result._tag))
        .toEqual(["Mismatch"])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("two runs at the same time send each item once", () =>
    Effect.gen(function*() {
      const { create, sent } = api()
      const slow = (document: Document) =>
        Effect.zipRight(Effect.sleep("1 second"), create(document))
      const run = Bulk.forEach(documents, slow, { syncLog: log, concurrency: 2 })
      const [one, other] = yield* inTheEnd(Effect.all([run, run], { concurrency: 2 }))
      expect([one.done + other.done, one.skipped + other.skipped, sent.length]).toEqual([6, 6, 6])
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))

  it.effect("a store that cannot be reached ends the run: nothing is sent without being recorded", () =>
    Effect.gen(function*() {
      const { create, sent } = api()
      const { failed, results, stopped } = yield* Bulk.forEach(documents, create, {
        syncLog: log,
        concurrency: 1
      })
      expect([
        failed,
        tagsOf(results).filter((tag) => tag === "Left").length,
        Option.isSome(stopped),
        sent.length
      ])
        .toEqual([1, 5, true, 0])
    }).pipe(Effect.provideService(IdempotencyStore.IdempotencyStore, {
      acquire: () => Effect.fail(new IdempotencyStore.StoreError({ operation: "acquire" })),
      complete: () => Effect.succeed("stale"),
      release: () => Effect.succeed("stale"),
      extend: () => Effect.succeed("stale"),
      savepoint: () => Effect.succeed("stale"),
      sweep: () => Effect.succeed(0)
    })))

  it("nonsense is refused with field and value", () => {
    expect(() => Bulk.syncLog({ scope: [], id: String, result: Schema.Void, lease: 0 })).toThrow(
      new RangeError("lease should be a duration longer than zero, got 0")
    )
  })
})
