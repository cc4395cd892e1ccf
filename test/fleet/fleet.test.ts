import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, FastCheck as fc, Layer, Metric, Stream } from "effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { runs } from "../support/runs.js"
import { join, type MemberOf, members, memoryStore, pass } from "./fleets.js"

const options = { name: "upstream", minimumCalls: 4, openDuration: "10 seconds" } as const

const breakerOf = (member: MemberOf, changes: Partial<CircuitBreaker.Options> = {}) =>
  member.use(CircuitBreaker.makeShared({ ...options, ...changes }))

const fails = (breaker: CircuitBreaker.CircuitBreaker, times: number, key = "default") =>
  Effect.repeatN(
    Effect.ignore(breaker.protect(Effect.fail("down"), { key })),
    times - 1
  )

const statusOf = (member: MemberOf) => member.use(Fleet.status)

describe("Fleet", () => {
  it.scoped("F1: a million calls cost an exchange an interval", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1)
      const breaker = yield* breakerOf(member!)
      const before = member!.wire.sent.length
      const intervals = 10
      const call = breaker.protect(Effect.void)
      for (let interval = 0; interval < intervals; interval++) {
        yield* Effect.repeatN(call, runs(1_000_000) / intervals)
        yield* pass("250 millis")
      }
      expect(member!.wire.sent.length - before).toBeLessThanOrEqual(intervals + 1)
    }), 60_000)

  it.scoped("F1: rejections cost none", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1)
      const breaker = yield* breakerOf(member!)
      yield* fails(breaker, 8)
      yield* pass("1 second")
      expect(yield* breaker.state()).toBe("Open")
      const before = member!.wire.sent.length
      yield* Effect.repeatN(Effect.ignore(breaker.protect(Effect.void)), 10_000)
      yield* pass(1)
      expect(member!.wire.sent.length - before).toBeLessThanOrEqual(1)
    }))

  it.scoped("F2: at most 200 commands, the rest with the next at once, never two at a time", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1, {}, { delay: 20 })
      const breaker = yield* breakerOf(member!)
      const { wire } = member!
      wire.sent.length = 0
      for (let n = 0; n < 500; n++) yield* breaker.protect(Effect.void, { key: `k${n}` })
      yield* pass("250 millis")
      const said = wire.sent.flatMap(({ commands }) => commands.filter(({ op }) => op === "count"))
      expect(Math.max(...wire.sent.map(({ commands }) => commands.length))).toBe(200)
      expect(new Set(said.map((command) => "name" in command ? command.name : "")).size).toBe(500)
      expect(wire.mostInFlight).toBe(1)
    }))

  it.scoped("F2: idle, a heartbeat each third of memberTimeout", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1)
      const before = member!.wire.sent.length
      yield* pass("50 seconds")
      expect(member!.wire.sent.length - before).toBe(30)
    }))

  it.scoped("F4: a doubled or lost answer counts nothing twice", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [a, b] = yield* Effect.forEach(all, (member) => breakerOf(member, { minimumCalls: 5 }))
      all[0]!.wire.double = true
      yield* fails(a!, 2)
      yield* pass("250 millis")
      all[0]!.wire.double = false
      all[0]!.wire.loseAnswer = true
      yield* fails(b!, 1)
      yield* pass("600 millis")
      yield* fails(a!, 1)
      yield* pass("600 millis")
      all[0]!.wire.loseAnswer = false
      yield* pass("1 second")
      // Four calls are fewer than five, however often they were said.
      expect(yield* b!.state()).toBe("Closed")
      yield* fails(b!, 1)
      yield* pass("1 second")
      expect(yield* b!.state()).toBe("Open")
    }))

  it.scoped("F6: a standby that has said nothing makes the opening hold an interval", () =>
    Effect.gen(function*() {
      const { all } = yield* members(3)
      const [a, b] = yield* Effect.forEach(all, (member) => breakerOf(member))
      yield* fails(a!, 4)
      yield* fails(b!, 4)
      yield* pass(1)
      const early = yield* all[2]!.use(CircuitBreaker.makeShared(options))
      expect(yield* early.state()).toBe("Closed")
      yield* pass("600 millis")
      expect(yield* early.state()).toBe("Open")
    }))

  it.scoped("F7: by push the others know at once", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [a, b] = yield* Effect.forEach(all, (member) => breakerOf(member))
      yield* fails(a!, 4)
      yield* fails(b!, 4)
      yield* pass(1)
      expect([yield* a!.state(), yield* b!.state()]).toEqual(["Open", "Open"])
    }))

  it.scoped("F9: apart and back is told by status, the metric and the guards", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1, { name: "metered" })
      const gauge = Metric.gauge("resilience.fleet.connected", {
        description: "1 while the member is connected with its fleet, 0 while it is apart"
      }).pipe(
        Metric.tagged("fleet", "metered")
      )
      expect((yield* Metric.value(gauge)).value).toBe(1)
      for (const fault of ["refuse", "freeze", "loseAnswer"] as const) {
        member!.wire[fault] = true
        yield* pass("3 seconds")
        expect((yield* statusOf(member!)).connected).toBe(false)
        expect((yield* Metric.value(gauge)).value).toBe(0)
        member!.wire[fault] = false
        yield* pass("1 second")
        expect((yield* statusOf(member!)).connected).toBe(true)
        expect((yield* Metric.value(gauge)).value).toBe(1)
      }
    }))

  it.scoped("F9: a store that comes back empty is given back what is open and ordered", () =>
    Effect.gen(function*() {
      let current = yield* memoryStore
      const store: FleetStore.Service = {
        name: (text) => text,
        pushes: Stream.empty,
        exchange: (batch) => Effect.suspend(() => current.exchange(batch))
      }
      const all = yield* Effect.forEach(["a", "b"], (member) => join(store, { member }))
      yield* pass("2 seconds")
      const [a, b] = yield* Effect.forEach(all, (member) => breakerOf(member))
      yield* fails(a!, 4)
      yield* fails(b!, 4)
      yield* pass("1 second")
      yield* a!.fleet.disable("other")
      yield* pass("1 second")
      expect(yield* a!.state()).toBe("Open")
      current = yield* memoryStore
      yield* pass("3 seconds")
      const late = yield* breakerOf(yield* join(store, { member: "late" }))
      expect([yield* late.state(), yield* late.state("other")]).toEqual(["Open", "Disabled"])
      const { retryAfter } = yield* late.snapshot()
      expect(Duration.toMillis(Effect.runSync(retryAfter))).toBeLessThanOrEqual(5000)
    }))

  it.scoped("F15: hostile replies throw nothing, spin nothing, and are counted", () =>
    Effect.gen(function*() {
      const junk = fc.sample(fc.anything(), 200)
      const extreme = [NaN, Infinity, -1, 2 ** 60, "x".repeat(9999), null, [], {}]
      const { all } = yield* members(1)
      const [member] = all
      const breaker = yield* breakerOf(member!, { maxOpenDuration: "20 seconds" })
      const { wire } = member!
      let turn = 0
      wire.forge = (reply) => {
        const value = junk[turn++ % junk.length]
        const bad = extreme[turn % extreme.length]
        const fields = Object.keys(reply)
        return turn % 3 === 0 ? value : {
          ...reply,
          more: true,
          [fields[turn % fields.length] ?? ""]: turn % 2 === 0 ? value : bad,
          changes: [
            value,
            { ...reply.changes[0], epoch: bad },
            { kind: "toString", name: "x" },
            {
              kind: "circuit",
              name: "c",
              epoch: turn,
              open: true,
              left: bad,
              openings: 1,
              openMillis: 1,
              closedFor: 0
            }
          ],
          answers: reply.answers.map(() => ({ op: "count", epoch: bad, calls: value }))
        }
      }
      const before = wire.sent.length
      for (let n = 0; n < 40; n++) {
        yield* breaker.protect(Effect.void)
        yield* pass("250 millis")
      }
      expect(wire.sent.length - before).toBeLessThanOrEqual(3 * 40)
      const status = yield* statusOf(member!)
      expect(status.unreadable).toBeGreaterThan(40)
      expect(Duration.toMillis(status.interval)).toBeLessThanOrEqual(1250)
      wire.forge = undefined
      yield* pass("5 seconds")
      expect((yield* statusOf(member!)).connected).toBe(true)
    }))

  it.scoped("F15: a hostile opening lasts maxOpenDuration at most", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const [member] = all
      const breaker = yield* breakerOf(member!, { maxOpenDuration: "20 seconds" })
      yield* breaker.protect(Effect.void)
      yield* pass("250 millis")
      const command = member!.wire.sent.flatMap(({ commands }) => commands)
        .find(({ op }) => op === "count")
      const name = command !== undefined && "name" in command ? command.name : ""
      member!.wire.forge = (reply) => ({
        ...reply,
        changes: [{
          kind: "circuit",
          name,
          epoch: 9,
          open: true,
          left: 1e12,
          openings: 3,
          openMillis: 1e12,
          closedFor: 0
        }]
      })
      yield* breaker.protect(Effect.void)
      yield* pass("250 millis")
      expect(yield* breaker.state()).toBe("Open")
      yield* pass("20 seconds")
      expect(yield* breaker.state()).toBe("HalfOpen")
    }))

  it.scoped("F16: the first call after two silent intervals asks, and does not wait", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1)
      const breaker = yield* breakerOf(member!)
      yield* breaker.protect(Effect.void)
      yield* pass("900 millis")
      const before = member!.wire.sent.length
      yield* breaker.protect(Effect.void)
      yield* pass(0)
      expect(member!.wire.sent.length - before).toBe(1)
    }))

  it.effect("F17: nonsense is a RangeError that names the field", () =>
    Effect.gen(function*() {
      const nonsense: Readonly<Record<string, Partial<Fleet.Options>>> = {
        name: { name: "" },
        member: { member: "" },
        interval: { interval: -1 },
        storeTimeout: { storeTimeout: Number.NaN },
        memberTimeout: { memberTimeout: "1 second" },
        "quorum.share": { quorum: { share: 2 } },
        "quorum.atLeast": { quorum: { atLeast: 0 } }
      }
      for (const [field, given] of Object.entries(nonsense)) {
        const layer = Layer.provide(
          Fleet.layer({ name: "fleet", ...given }),
          FleetStore.layerMemory
        )
        const defect = yield* Effect.scoped(Layer.build(layer)).pipe(
          Effect.as("built"),
          Effect.catchAllDefect(Effect.succeed)
        )
        expect(defect).toBeInstanceOf(RangeError)
        expect(String(defect)).toContain(`RangeError: ${field} `)
      }
    }))

  it.effect("F17: a memberTimeout that interval does not allow says why", () =>
    Effect.gen(function*() {
      const build = (given: object) =>
        Effect.scoped(Layer.build(Layer.provide(
          Fleet.layer({ name: "fleet", ...given }),
          FleetStore.layerMemory
        ))).pipe(Effect.as("built"), Effect.catchAllDefect((defect) => Effect.succeed(`${defect}`)))
      expect(yield* build({ interval: "2 seconds" })).toBe(
        "RangeError: memberTimeout should be at least 4 times interval and one storeTimeout " +
          "(4 * 2000 ms + 200 ms = 8200 ms), got 5000 ms"
      )
      expect(yield* build({ quorum: 2 })).toBe(
        "RangeError: quorum should be { share } or { atLeast }, got 2"
      )
    }))

  it.scoped("F17, F18: a count window and other numbers under one name are refused", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1)
      const refused = (changes: Partial<CircuitBreaker.Options>) =>
        Effect.catchAllDefect(
          breakerOf(member!, changes),
          (defect) => Effect.succeed(String(defect))
        )
      expect(yield* refused({ window: CircuitBreaker.count(20) })).toContain("RangeError: window ")
      yield* breakerOf(member!)
      expect(yield* refused({ minimumCalls: 5 })).toContain("RangeError: name ")
    }))

  it.scoped("F18: circuits of different policies are different; orders hold for all", () =>
    Effect.gen(function*() {
      const { all } = yield* members(4)
      const breakers = yield* Effect.forEach(
        all,
        (member, n) => breakerOf(member, { minimumCalls: n < 2 ? 4 : 5 })
      )
      yield* fails(breakers[0]!, 4)
      yield* fails(breakers[1]!, 4)
      yield* pass("1 second")
      const states = Effect.forEach(breakers, (breaker) => breaker.state())
      expect(yield* states).toEqual(["Open", "Open", "Closed", "Closed"])
      yield* breakers[0]!.fleet.forceClosed()
      yield* breakers[2]!.protect(Effect.void)
      yield* pass("2 seconds")
      expect(yield* states).toEqual(Array(4).fill("ForcedClosed"))
    }))

  it.scoped("F19: the interval grows with the fleet, within bounds", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1)
      const intervalOf = (living: number) =>
        Effect.gen(function*() {
          member!.wire.forge = (reply) => ({ ...reply, members: living })
          yield* pass("3 seconds")
          return Duration.toMillis((yield* statusOf(member!)).interval)
        })
      expect(yield* intervalOf(64)).toBe(250)
      expect(yield* intervalOf(1000)).toBe(1000)
      expect(yield* intervalOf(1e6)).toBe(1250)
    }))

  it.scoped("F20: members lists the living and their circuits, and one that left no longer", () =>
    Effect.gen(function*() {
      const { all } = yield* members(3)
      const breakers = yield* Effect.forEach(all, (member) => breakerOf(member))
      yield* breakers[1]!.forceOpen("eu")
      yield* pass("2 seconds")
      yield* breakers[0]!.protect(Effect.void, { key: "eu" })
      const listed = yield* all[0]!.use(Fleet.members)
      expect(listed.map(({ id }) => id)).toEqual(["m0", "m1", "m2"])
      expect(listed[1]!.circuits).toEqual({ "upstream/eu": "ForcedOpen" })
      yield* all[2]!.leave
      expect(yield* all[0]!.use(Fleet.members)).toHaveLength(2)
    }))

  it.scoped("F20: a store that does not answer delays leaving by storeTimeout at most", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1)
      member!.wire.freeze = true
      const leaving = yield* Effect.fork(member!.leave)
      yield* pass("200 millis")
      expect((yield* leaving.poll)._tag).toBe("Some")
    }))

  it.scoped("F14: fleets see nothing of each other", () =>
    Effect.gen(function*() {
      const store = yield* memoryStore
      const a = yield* join(store, { member: "a", name: "one" })
      const b = yield* join(store, { member: "b", name: "two" })
      const [one, two] = yield* Effect.forEach([a, b], (member) => breakerOf(member))
      yield* one!.fleet.forceOpen()
      yield* pass("2 seconds")
      expect([yield* one!.state(), yield* two!.state()]).toEqual(["ForcedOpen", "Closed"])
      expect(yield* b.use(Fleet.members)).toHaveLength(1)
    }))

  it.scoped("tags have layerShared", () =>
    Effect.gen(function*() {
      class Api extends CircuitBreaker.Tag("Api")<Api>() {}
      class Rate extends RateLimiter.Tag("Rate")<Rate>() {}
      const { all: [member] } = yield* members(1)
      const layers = Layer.merge(
        Api.layerShared(options),
        Rate.layerShared({ name: "rate", limit: 10, interval: "1 second" })
      )
      const context = yield* Layer.build(
        Layer.provide(layers, Layer.succeed(Fleet.Fleet, member!.fleet))
      )
      const sent = Effect.succeed("sent").pipe(Api.protect(), Rate.protect())
      expect(yield* Effect.provide(sent, context)).toBe("sent")
      expect(Context.get(context, Api)).toBe(yield* breakerOf(member!))
    }))
})
