import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import * as ApiError from "effect-resilience/ApiError"
import * as Cooldown from "effect-resilience/Cooldown"
import { join, type MemberOf, members, pass } from "./fleets.js"

const cooldownOf = (member: MemberOf, changes: Partial<Cooldown.Options> = {}) =>
  member.use(Cooldown.makeShared({ name: "host", mode: "reject", ...changes }))

const told = (seconds: number) =>
  Effect.fail(
    new ApiError.RateLimit({
      message: "slow down",
      status: 429,
      retryAfter: Duration.seconds(seconds)
    })
  )

const tried = (cooldown: Cooldown.Cooldown) =>
  Effect.map(
    Effect.either(cooldown.protect(Effect.succeed("sent"))),
    (either) => either._tag === "Right" ? "sent" : either.left._tag
  )

describe("Cooldown.makeShared", () => {
  it.scoped("F12: what one is told all obey within an interval and a round trip", () =>
    Effect.gen(function*() {
      const { all, store } = yield* members(3, {}, { delay: 10, blockPushes: true })
      const cooldowns = yield* Effect.forEach(all, (member) => cooldownOf(member))
      for (const cooldown of cooldowns) yield* tried(cooldown)
      yield* Effect.ignore(cooldowns[0]!.protect(told(10)))
      for (let step = 0; step < 10; step++) {
        for (const cooldown of cooldowns) yield* tried(cooldown)
        yield* pass(27)
      }
      const seen = yield* Effect.forEach(cooldowns, tried)
      expect(seen).toEqual(["CoolingDown", "CoolingDown", "CoolingDown"])
      const late = yield* join(store, { member: "late" })
      expect(yield* tried(yield* cooldownOf(late))).toBe("CoolingDown")
    }))

  it.scoped("F12: the end furthest off counts, in any order, capped", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [a, b] = yield* Effect.forEach(
        all,
        (member) => cooldownOf(member, { cap: "20 seconds" })
      )
      yield* Effect.ignore(b!.protect(told(1)))
      yield* Effect.ignore(Effect.all([a!.protect(told(100)), a!.protect(told(5))], {
        concurrency: "unbounded",
        mode: "either"
      }))
      yield* pass("500 millis")
      const { retryAfter } = yield* b!.snapshot()
      expect(Duration.toMillis(Effect.runSync(retryAfter))).toBeCloseTo(19_500, -2)
    }))

  it.scoped("F12: one trial of the whole fleet, whose success clears all", () =>
    Effect.gen(function*() {
      const { all } = yield* members(3)
      const cooldowns = yield* Effect.forEach(all, (member) => cooldownOf(member))
      for (const cooldown of cooldowns) yield* tried(cooldown)
      yield* Effect.ignore(cooldowns[0]!.protect(told(10)))
      yield* pass("10 seconds")
      yield* pass(1)
      const slow = yield* Effect.forEach(cooldowns, (cooldown) =>
        Effect.fork(Effect.either(
          cooldown.protect(Effect.as(Effect.sleep("1 second"), "sent"))
        )))
      yield* pass("500 millis")
      const polled = yield* Effect.forEach(slow, Fiber.poll)
      expect(polled.filter(({ _tag }) => _tag === "None")).toHaveLength(1)
      yield* pass("1 second")
      expect(yield* Effect.forEach(cooldowns, tried)).toEqual(["sent", "sent", "sent"])
    }))

  it.scoped("F12: a trial that is interrupted hands the trial on", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [a, b] = yield* Effect.forEach(all, (member) => cooldownOf(member))
      yield* tried(b!)
      yield* a!.hold("default", "1 second")
      yield* pass(1001)
      const trial = yield* Effect.fork(a!.protect(Effect.never))
      yield* pass(1)
      expect(yield* tried(b!)).toBe("CoolingDown")
      yield* Fiber.interrupt(trial)
      yield* pass("300 millis")
      expect(yield* tried(b!)).toBe("sent")
    }))

  it.scoped("F9, F12: apart it cools down as a cooldown of its own", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [a, b] = yield* Effect.forEach(all, (member) => cooldownOf(member))
      all[0]!.wire.refuse = true
      yield* pass("5 seconds")
      yield* Effect.ignore(a!.protect(told(10)))
      yield* pass("9 seconds")
      expect(yield* tried(a!)).toBe("CoolingDown")
      expect(yield* tried(b!)).toBe("sent")
      yield* pass(1001)
      expect(yield* tried(a!)).toBe("sent")
    }))
})
