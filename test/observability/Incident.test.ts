import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, type Duration, Effect, Exit, Fiber, Logger, Stream, TestClock } from "effect"
import * as ApiError from "effect-resilience/ApiError"
import * as Incident from "effect-resilience/Incident"
import { forbidden, rateLimit, server, unauthorized } from "../support/errors.js"

const badKey = Exit.fail(unauthorized())
const notAllowed = Exit.fail(forbidden())
const busy = Exit.fail(rateLimit())
const broken = Exit.fail(
  new ApiError.Server({ message: "down", status: 503, endpoint: "/v1/chat", requestId: "REQ-1" })
)

const observeAll = (
  detector: Incident.Detector,
  exits: ReadonlyArray<Exit.Exit<unknown, unknown>>,
  between: Duration.DurationInput = 0
) =>
  Effect.map(
    Effect.forEach(exits, (exit) =>
      Effect.zipLeft(
        detector.observe("site-chat", exit),
        between === 0 ? Effect.void : TestClock.adjust(between)
      )),
    (raised) => raised.flat()
  )

const repeated = (exit: Exit.Exit<unknown, unknown>, times: number) =>
  Array.from({ length: times }, () => exit)

describe("Incident", () => {
  it.effect("20 consecutive 401s raise one incident with its route", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make()
      const raised = yield* observeAll(detector, repeated(badKey, 20))
      expect(raised.map(({ name, route }) => [name, route])).toEqual([
        ["unauthorized", "check key rotation, deployment configuration, revoked keys"]
      ])
    }))

  it.effect("20 401s spread over a day among successes raise none", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make()
      const hour = [...repeated(Exit.void, 5), badKey]
      const raised = yield* observeAll(
        detector,
        Array.from({ length: 20 }, () => hour).flat(),
        "12 minutes"
      )
      expect(raised).toEqual([])
    }))

  it.effect("a 403 spike has a route of its own", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make()
      const raised = yield* observeAll(detector, repeated(notAllowed, 8))
      expect(raised.map(({ name }) => name)).toEqual(["forbidden"])
    }))

  /** Many calls at once of which the last is refused, and this again after a while. */
  const amongMany = (
    detector: Incident.Detector,
    refused: Exit.Exit<unknown, unknown>,
    { between, calls, times }: {
      readonly between: Duration.DurationInput
      readonly calls: number
      readonly times: number
    }
  ) =>
    Effect.map(
      Effect.forEach(Array(times), () =>
        Effect.zipLeft(
          observeAll(detector, [...repeated(Exit.void, calls - 1), refused]),
          TestClock.adjust(between)
        )),
      (raised) => raised.flat()
    )

  it.effect.each([["unauthorized", badKey], ["forbidden", notAllowed]] as const)(
    "%s: a spike is an incident although it is one call in a hundred, and what is usual is none",
    ([name, refused]) =>
      Effect.gen(function*() {
        const detector = yield* Incident.make()
        // 3 in 5 min are usual, 30 are not, and both are at most one call in a hundred.
        const usual = yield* amongMany(detector, refused, {
          between: "100 seconds",
          calls: 200,
          times: 40
        })
        const spike = yield* amongMany(detector, refused, {
          between: "10 seconds",
          calls: 100,
          times: 30
        })
        expect([usual.length, spike.map((incident) => incident.name)]).toEqual([0, [name]])
        expect(spike.map(({ calls, failures }) => failures / calls < 0.03)).toEqual([true])
      })
  )

  it.effect("logged: one warning for each incident, with its route and where to begin", () =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ annotations, logLevel, message }) =>
        lines.push([logLevel.label, message, Object.fromEntries(annotations)])
      )
      const raised = yield* Effect.flatMap(
        Incident.make(),
        (detector) => observeAll(Incident.logged(detector), repeated(broken, 30))
      ).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      expect([raised.length, lines]).toEqual([1, [[
        "WARN",
        [
          "Incident server-errors of site-chat: 10 of 10 calls failed. keep bounded retries, " +
          "monitor recovery, pause non-critical bulk jobs if needed"
        ],
        {
          incident: "server-errors",
          integration: "site-chat",
          endpoint: "/v1/chat",
          requestId: "REQ-1"
        }
      ]]])
    }))

  it.effect("rate limits are an incident when they grow, not when they stay", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make()
      const every30s = (exits: ReadonlyArray<Exit.Exit<unknown, unknown>>) =>
        observeAll(detector, exits, "30 seconds")
      const steady = yield* every30s(Array.from({ length: 40 }, () => [busy, Exit.void]).flat())
      const growing = yield* observeAll(detector, repeated(busy, 12))
      expect([steady.length, growing.map(({ name }) => name)]).toEqual([0, ["rate-limited"]])
    }))

  it.effect("an incident says how many failed, when, and where to begin", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      const detector = yield* Incident.make()
      const raised = yield* observeAll(detector, repeated(broken, 10))
      expect(raised).toEqual([{
        name: "server-errors",
        integration: "site-chat",
        route: "keep bounded retries, monitor recovery, pause non-critical bulk jobs if needed",
        failures: 10,
        calls: 10,
        at: 3_600_000,
        endpoint: "/v1/chat",
        requestId: "REQ-1"
      }])
    }))

  it.effect("errors of any kind count by their tag", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make()
      const raised = yield* observeAll(
        detector,
        repeated(Exit.fail({ _tag: "PollingTimeout", requestId: "REQ-9" }), 5)
      )
      expect(raised.map(({ name, requestId }) => [name, requestId])).toEqual([[
        "polling-timeouts",
        "REQ-9"
      ]])
    }))

  it.effect("integrations do not add up", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make()
      const raised = yield* Effect.forEach(
        Array.from({ length: 16 }, (_, index) => `api-${index % 4}`),
        (integration) => detector.observe(integration, badKey)
      )
      expect(raised.flat()).toEqual([])
    }))

  it.effect("successes and interruptions raise nothing", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make({
        rules: [{ name: "any", tags: ["Auth"], route: "look", count: 1 }]
      })
      const interrupted = Exit.failCause(Cause.interrupt(Fiber.id(yield* Effect.fork(Effect.void))))
      expect(
        yield* observeAll(detector, [Exit.void, interrupted, Exit.die("boom"), Exit.fail("text")])
      ).toEqual([])
    }))

  it.effect("a rule can be about one status", () =>
    Effect.gen(function*() {
      const rules = [{
        name: "smtp",
        tags: ["Server"],
        statuses: [503],
        route: "alert operations",
        count: 2
      }]
      const detector = yield* Incident.make({ rules })
      const down = Exit.fail(server(500))
      const raised = yield* observeAll(detector, [down, down, broken, broken])
      expect(raised.map(({ failures }) => failures)).toEqual([2])
    }))

  it.effect("those who listen get every incident from then on, and leave nothing behind", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make()
      const listening = yield* Effect.fork(Stream.runCollect(Stream.take(detector.incidents, 2)))
      yield* Effect.yieldNow()
      yield* TestClock.adjust("1 second")
      yield* observeAll(detector, [...repeated(badKey, 20), ...repeated(notAllowed, 25)])
      const heard = yield* Fiber.join(listening)
      expect(Chunk.toReadonlyArray(heard).map(({ name }) => name)).toEqual([
        "unauthorized",
        "forbidden"
      ])
    }))

  it.effect("watch takes down how an effect ends, from concurrent callers too", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make()
      const listening = yield* Effect.fork(Stream.runCollect(Stream.take(detector.incidents, 1)))
      yield* Effect.yieldNow()
      const call = Effect.zipRight(
        Effect.yieldNow(),
        unauthorized()
      )
      yield* Effect.forEach(
        Array(20),
        () => Effect.exit(Incident.watch(call, detector, "site-chat")),
        { concurrency: "unbounded" }
      )
      expect(Chunk.toReadonlyArray(yield* Fiber.join(listening)).length).toBe(1)
    }))

  it("watch without a detector is the effect itself", () => {
    const call = Effect.succeed("found")
    expect(Incident.watch(call, undefined, "site-chat")).toBe(call)
    expect(call.pipe(Incident.watch(undefined, "site-chat"))).toBe(call)
  })

  it.effect("an interrupted call is not taken down", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make({
        rules: [{ name: "any", tags: ["Auth"], route: "look", count: 1 }]
      })
      const fiber = yield* Effect.fork(Effect.never.pipe(Incident.watch(detector, "site-chat")))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      const [incident] = yield* detector.observe("site-chat", badKey)
      expect(incident?.calls).toBe(1)
    }))

  it("rules can be overridden by name", () => {
    const rules = Incident.override(Incident.standardRules, {
      unauthorized: { route: "call the key owner", count: 1 }
    })
    expect(rules.filter(({ count }) => count === 1).map(({ name, route }) => [name, route]))
      .toEqual([
        ["unauthorized", "call the key owner"]
      ])
  })

  it.effect.each([["1 second", 0.2], ["1 hour", 720]] as const)(
    "a baseline of %s beside 5 s is refused: from as long to a hundred times as long",
    ([baseline, times]) =>
      Effect.gen(function*() {
        const rules = [{ name: "any", tags: [], route: "", within: "5 seconds", baseline }] as const
        expect(yield* Effect.exit(Incident.make({ rules }))).toEqual(
          Exit.die(
            new RangeError(
              `any.baseline in times of any.within should be a number between 1 and 100, got ${times}`
            )
          )
        )
      })
  )

  it.effect("nonsense is refused with rule, field and value", () =>
    Effect.gen(function*() {
      const rules = [{ name: "any", tags: [], route: "", share: 2 }]
      const exit = yield* Effect.exit(Incident.make({ rules }))
      expect(exit).toEqual(
        Exit.die(new RangeError("any.share should be a number between 0 and 1, got 2"))
      )
    }))
})
