import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Schedule,
  Schema,
  Stream,
  TestClock
} from "effect"
import { curveOf } from "../../examples/storm/simulation.js"
import * as Distribution from "../../src/core/distribution.js"
import * as Draw from "../../src/core/draw.js"
import { loadFit } from "../../src/core/loadFit.js"
import * as ApiError from "../../src/errors/ApiError.js"
import { AttemptRecord, recorder } from "../../src/simulation/attempts.js"
import { fit, FitError, Fitted } from "../../src/simulation/fit.js"
import * as Scenario from "../../src/simulation/Scenario.js"

const latency: Distribution.Distribution = { _tag: "LogNormal", p50: 40, p99: 300 }

const drawn = (of: Distribution.Distribution, count: number): ReadonlyArray<number> => {
  const source = Draw.source(3, 0)
  const sample = Distribution.sampler(of)
  return Array.from({ length: count }, (_, call) => sample(Draw.unit(source, call, 4, 0)))
}

const recordOf = (durationMillis: number, index: number, more?: Partial<AttemptRecord>) => ({
  at: index * 10,
  endpoint: "orders",
  durationMillis,
  outcome: "Success",
  ...more
})

const failureOf = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<E> =>
  Effect.flip(effect) as Effect.Effect<E>

describe("fit", () => {
  it.effect("S20: the latency comes back, timeouts are times that were cut off", () =>
    Effect.gen(function*() {
      const times = drawn(latency, 5000)
      const limit = Distribution.quantile(latency, 0.9)
      const { endpoints: [found], scenario } = yield* fit(Stream.fromIterable(times.map((
        time,
        index
      ) =>
        time <= limit
          ? recordOf(time, index)
          : recordOf(limit, index, { outcome: index % 2 === 0 ? "Timeout" : "Interrupted" })
      )))
      expect(found?.latency._tag).toBe("LogNormal")
      expect(Distribution.quantile(found!.latency, 0.5)).toBeCloseTo(40, -0.5)
      expect(Distribution.quantile(found!.latency, 0.99)).toBeGreaterThan(250)
      expect(found!.distance).toBeLessThan(found!.tolerance)
      expect(found!.perSecond).toBeCloseTo(100, 0)
      expect(found!.givenUp).toBe(times.filter((time) => time > limit).length)
      expect(scenario["services"]).toMatchObject([{
        name: "orders",
        service: { _tag: "LogNormal" },
        faults: []
      }])
    }))

  it.effect("S20: recorded from the storm, the latency comes back within the stated distance", () =>
    Effect.gen(function*() {
      const records: Array<AttemptRecord> = []
      const record = yield* recorder((record) => Effect.sync(() => void records.push(record)))
      yield* curveOf((call) =>
        record("server")(call).pipe(
          Effect.timeoutFail({ duration: "2 seconds", onTimeout: () => "too late" as const }),
          Effect.retry(Schedule.intersect(Schedule.exponential("200 millis"), Schedule.recurs(2)))
        )
      )
      const { endpoints: [found], warnings } = yield* fit(Stream.fromIterable(records))
      expect(found!.attempts).toBeGreaterThan(2000)
      expect(found!.distance).toBeLessThanOrEqual(found!.tolerance)
      // Half of it was given up: what the load costs is not seen in what is left.
      expect(found!.capacity).toMatchObject({ _tag: "Unknown" })
      expect(warnings.join()).toMatch(/given up: the latency beyond their times/)
    }))

  it.effect("S20: the load shows where what is in progress varies threefold", () =>
    Effect.gen(function*() {
      const noise = drawn({ _tag: "Exponential", mean: 5 }, 3000)
      const records = noise.map((time, index) => {
        const inProgress = 1 + index % 30
        return recordOf(20 + 0.7 * inProgress ** 2 + time, index, { inProgress })
      })
      const { endpoints: [found], scenario } = yield* fit(Stream.fromIterable(records))
      expect(found!.capacity._tag).toBe("LoadDependent")
      if (found!.capacity._tag !== "LoadDependent") return
      expect(found!.capacity.power).toBeCloseTo(2, 0)
      expect(found!.capacity.slopeMillis * 30 ** found!.capacity.power).toBeCloseTo(630, -2)
      expect(found!.capacity.explained).toBeGreaterThan(0.95)
      expect(scenario["services"]).toMatchObject([{ capacity: { _tag: "LoadDependent" } }])

      const flat = yield* fit(
        Stream.fromIterable(records.map((record) => ({ ...record, inProgress: 10 })))
      )
      expect(flat.endpoints[0]!.capacity).toEqual({
        _tag: "Unknown",
        reason: "cannot be known: inProgress goes from 10 to 10, and should vary threefold"
      })
      const silent = yield* fit(
        Stream.fromIterable(noise.map((time, index) => recordOf(time, index)))
      )
      expect(silent.endpoints[0]!.capacity).toEqual({
        _tag: "Unknown",
        reason: "cannot be known: no record says inProgress"
      })
    }))

  it("S20: a latency that falls, or hardly depends on the load, is no capacity", () => {
    const noise = drawn({ _tag: "Exponential", mean: 50 }, 2000)
    const of = (slope: number) =>
      loadFit(noise.map((time, index) => {
        const inProgress = 1 + index % 30
        return { inProgress, time: 100 + slope * inProgress + time }
      }))
    for (const slope of [-3, 0, 0.1]) {
      expect(of(slope)).toEqual({
        _tag: "Unknown",
        reason: "the latency does not rise with inProgress"
      })
    }
    expect(of(10)._tag).toBe("Load")
  })

  it.effect("errors become faults by their share of what was answered", () =>
    Effect.gen(function*() {
      const outcomes = ["Success", "Success", "Server", "RateLimit", "Network", "Timeout"]
      const records = drawn(latency, 6000).map((time, index) =>
        recordOf(time, index, {
          outcome: outcomes[index % outcomes.length]!,
          retryAfterMillis: index % outcomes.length === 3 ? 1000 : undefined
        })
      )
      const fitted = yield* fit(Stream.fromIterable(records))
      const { endpoints: [found], scenario, warnings } = fitted
      const json: unknown = JSON.parse(JSON.stringify(fitted))
      expect(Schema.decodeUnknownSync(Fitted)(json)).toEqual(fitted)
      expect((yield* Scenario.decode(scenario)).services[0].name).toBe("orders")
      expect(found!.outcomes["Success"]).toBeCloseTo(1 / 3, 6)
      expect(found!.retryAfterMillis).toBe(1000)
      expect(scenario["services"]).toMatchObject([{
        faults: [
          { _tag: "Errors", rate: 0.25, status: 429 },
          { _tag: "Errors", rate: 0.3333, status: 503 }
        ]
      }])
      expect(warnings.join("\n")).toMatch(/Network is not part of the scenario/)
    }))

  it.effect("S20: fewer than 200 attempts, or 20 successes, are left out and said", () =>
    Effect.gen(function*() {
      const few = drawn(latency, 199).map((time, index) => recordOf(time, index))
      const error = yield* failureOf(fit(Stream.fromIterable(few)))
      expect(error).toBeInstanceOf(FitError)
      expect(error.message).toBe(
        "orders is left out: it has 199 attempts, 199 successful; 200 are needed, 20 successful"
      )
      const failing = drawn(latency, 400).map((time, index) =>
        recordOf(time, index, { endpoint: "users", outcome: index < 19 ? "Success" : "Server" })
      )
      const both = yield* fit(
        Stream.fromIterable([...few, recordOf(40, 199), ...failing])
      )
      expect(both.endpoints.map(({ endpoint }) => endpoint)).toEqual(["orders"])
      expect(both.warnings[0]).toMatch(/^users is left out: it has 400 attempts, 19 successful/)
      expect((yield* failureOf(fit(Stream.empty))).message).toBe("there are no records")
    }))

  it.effect("a value that is none is refused with its path", () =>
    Effect.gen(function*() {
      const records = drawn(latency, 300).map((time, index) => recordOf(time, index))
      for (
        const [field, value] of [
          ["durationMillis", NaN],
          ["durationMillis", -1],
          ["at", Infinity],
          ["inProgress", -2],
          ["retryAfterMillis", NaN],
          ["endpoint", ""]
        ] as const
      ) {
        const wrong = records.map((record, index) =>
          index === 7 ? { ...record, [field]: value } : record
        )
        const error = yield* failureOf(fit(Stream.fromIterable(wrong)))
        expect(error).toMatchObject({ path: `records.7.${field}`, value })
      }
    }))

  it.effect("interrupted, it ends", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        fit(Stream.fromEffect(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)))
      )
      yield* Deferred.await(begun)
      const exit = yield* Fiber.interrupt(fiber)
      expect(Exit.isInterrupted(exit)).toBe(true)
    }))
})

describe("recorder", () => {
  it.effect("writes when an attempt began, how long it took, how it ended, how many there were", () =>
    Effect.gen(function*() {
      const records: Array<AttemptRecord> = []
      const record = yield* recorder((record) => Effect.sync(() => void records.push(record)))
      yield* TestClock.adjust("5 seconds")
      const limited = new ApiError.RateLimit({
        message: "slow down",
        retryAfter: Duration.seconds(7)
      })
      const attempts: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        Effect.succeed(1),
        Effect.fail(limited),
        Effect.die("broken"),
        Effect.fail("no tag"),
        Effect.never
      ]
      const fibers = yield* Effect.forEach(
        attempts,
        (attempt) =>
          Effect.fork(record("orders")(Effect.zipRight(Effect.sleep("30 millis"), attempt)))
      )
      yield* Effect.yieldNow()
      yield* TestClock.adjust("30 millis")
      yield* TestClock.adjust("12 millis")
      yield* Fiber.interrupt(fibers[4]!)
      // Which of those that end at one moment ends first is not said.
      records.sort((a, b) => a.inProgress! - b.inProgress!)
      expect(records.map(({ outcome }) => outcome)).toEqual([
        "Success",
        "RateLimit",
        "Defect",
        "Failure",
        "Interrupted"
      ])
      expect(records.map(({ inProgress }) => inProgress)).toEqual([1, 2, 3, 4, 5])
      expect(records.map(({ durationMillis }) => durationMillis)).toEqual([30, 30, 30, 30, 42])
      expect(records.every(({ at, endpoint }) => at === 5000 && endpoint === "orders")).toBe(true)
      expect(records.map(({ retryAfterMillis }) => retryAfterMillis)).toEqual([
        undefined,
        7000,
        undefined,
        undefined,
        undefined
      ])
      const last = yield* record("orders")(Effect.exit(Effect.die("inside")))
      expect(Exit.isFailure(last) && Cause.isDie(last.cause)).toBe(true)
      // None of those that ended is still counted.
      expect(records.at(-1)).toMatchObject({ outcome: "Success", inProgress: 1 })
      expect(records.map((each) => Schema.decodeUnknownSync(AttemptRecord)(each))).toEqual(records)
    }))
})
