import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, TestClock } from "effect"
import { type ApiError, CircuitBreaker, IdempotencyKey, Playbook } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import * as Incident from "effect-resilience/Incident"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import { rateLimit } from "../support/errors.js"
import { apiErrorOf } from "../support/exits.js"
import { against, always, type Client, sendOtp, submit, to } from "./messaging.js"

// -----------------------------------------------------------------------------
// alerts
// -----------------------------------------------------------------------------

describe("Messaging: alerts", () => {
  /** A detector, and what it has raised. */
  const watching = Effect.map(Incident.make({ rules: Messaging.incidentRules }), (detector) => {
    const raised: Array<string> = []
    const observe: Incident.Detector["observe"] = (integration, exit) =>
      Effect.tap(
        detector.observe(integration, exit),
        (incidents) =>
          Effect.sync(() =>
            raised.push(...incidents.map(({ endpoint, name }) => `${name} ${endpoint}`))
          )
      )
    return { detector: { ...detector, observe }, raised }
  })

  /** A circuit that opens would hide what comes later. */
  const closed = {
    circuitBreaker: { window: CircuitBreaker.count(1000), minimumCalls: 1000, slowCall: false }
  } as const

  const raisedBy = (status: number, calls: number) =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      yield* against(
        always(FlakyApi.status(status)),
        (client) => Effect.forEach(Array(calls), () => Effect.exit(sendOtp(client))),
        { detector, ...closed }
      )
      return raised
    })

  it.effect.each(
    [
      [401, 5, "unauthorized"],
      [403, 5, "forbidden"],
      [429, 3, "rate-limited"],
      [502, 3, "upstream-sustained"],
      [503, 2, "smtp-outage"]
    ] as const
  )("repeated %i in %i calls: one incident, %s", ([status, calls, name]) =>
    Effect.gen(function*() {
      expect(yield* raisedBy(status, calls - 1)).toEqual([])
      expect(yield* raisedBy(status, calls + 5)).toEqual([`${name} /v1/otp`])
    }))

  it.effect.each([400, 404, 409, 423, 500])(
    "repeated %i: none",
    (status) =>
      Effect.gen(function*() {
        expect(yield* raisedBy(status, 12)).toEqual([])
      })
  )

  it.effect("502s that a fallback made good are seen all the same", () =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      const { exit } = yield* against(
        { broken: ["direct"] },
        (client) => Effect.forEach(Array(3), () => sendOtp(client, { fallbackRoute: "queued" })),
        { detector, ...closed }
      )
      expect([Exit.isSuccess(exit), raised]).toEqual([true, ["upstream-sustained /v1/otp"]])
    }))

  it.effect("429s that a retry made good are seen all the same, and a call without an answer is seen once", () =>
    Effect.gen(function*() {
      const observed: Array<string> = []
      const { detector } = yield* watching
      const observe: Incident.Detector["observe"] = (integration, exit) => {
        observed.push(
          Exit.match(exit, {
            onSuccess: () => "Success",
            onFailure: (cause) => inspect(Cause.squash(cause))
          })
        )
        return detector.observe(integration, exit)
      }
      const script = FlakyApi.sequence([
        FlakyApi.rateLimited(),
        FlakyApi.none,
        ...Array(4).fill(FlakyApi.reset())
      ])
      yield* against(
        { script },
        (client) => Effect.zipRight(sendOtp(client), Effect.exit(sendOtp(client))),
        { detector: { ...detector, observe } }
      )
      expect(observed).toEqual([
        expect.stringContaining("RateLimit"),
        "Success",
        expect.stringContaining("Network")
      ])
    }))

  const observedOf = (
    script: FlakyApi.Script,
    calls: number,
    options: Partial<Messaging.Options> = {}
  ) =>
    Effect.gen(function*() {
      const observed: Array<string> = []
      const { detector } = yield* watching
      const observe: Incident.Detector["observe"] = (_, exit) => {
        observed.push(
          Exit.isSuccess(exit) ? "Success" : (Cause.squash(exit.cause) as ApiError.ApiError)._tag
        )
        return Effect.succeed([])
      }
      yield* against(
        { script },
        (client) => Effect.forEach(Array(calls), () => Effect.exit(sendOtp(client))),
        { detector: { ...detector, observe }, ...options }
      )
      return observed
    })

  it.effect("an open circuit is seen, and a refusal that was seen is not seen twice", () =>
    Effect.gen(function*() {
      const observed = yield* observedOf(() => FlakyApi.serverError(), 2, {
        circuitBreaker: { minimumCalls: 4, slowCall: false }
      })
      expect(observed).toEqual(["Server", "Server", "Server", "Server", "CircuitOpen"])
    }))

  it.effect.each(["{}", "[", "\"x\""])(
    "a success that cannot be read is seen once, as a failure: %s",
    (body) =>
      Effect.gen(function*() {
        expect(yield* observedOf(() => FlakyApi.status(200, { body }), 1)).toEqual(["Server"])
      })
  )

  it.effect("a key whose lifetime is over is seen", () =>
    Effect.gen(function*() {
      const observed: Array<unknown> = []
      const detector: Incident.Detector = {
        ...(yield* watching).detector,
        observe: (_, exit) => Effect.sync(() => [void observed.push(exit)]).pipe(Effect.as([]))
      }
      const late = (client: Client) =>
        Effect.gen(function*() {
          const key = yield* IdempotencyKey.fromString("row-1")
          yield* TestClock.adjust("25 hours")
          return yield* IdempotencyKey.provide(client.sendOtp({ to }), key)
        }).pipe(Effect.catchTag("ParseError", Effect.die))
      yield* against({}, late, { detector })
      expect(observed).toEqual([Exit.fail({ _tag: "UnknownOutcome", endpoint: "/v1/otp" })])
    }))

  const refusals = (status: number, tag: string, failures: number, calls: number) =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      const failed = Exit.fail({ _tag: tag, status, endpoint: "/v1/otp" })
      for (let n = 0; n < calls; n++) {
        yield* detector.observe("messaging", n < calls - failures ? Exit.void : failed)
      }
      return { detector, raised, failed }
    })

  it.effect.each(
    [[429, "RateLimit", 10], [503, "Server", 5]] as const
  )("a few %i among many successes are none", ([status, tag, count]) =>
    Effect.gen(function*() {
      expect((yield* refusals(status, tag, count, count * 100)).raised).toEqual([])
    }))

  it.effect.each([[401, "Auth", "unauthorized"], [403, "Policy", "forbidden"]] as const)(
    "a sudden spike of %i is one incident, however many other calls succeed; as many as usual are none",
    ([status, tag, name]) =>
      Effect.gen(function*() {
        const { detector, raised } = yield* watching
        const refused = Exit.fail({ _tag: tag, status, endpoint: "/v1/otp" })
        const minute = (failures: number) =>
          Effect.gen(function*() {
            for (let n = 0; n < 300; n++) {
              yield* detector.observe("messaging", n < failures ? refused : Exit.void)
            }
            yield* TestClock.adjust("1 minute")
          })
        yield* Effect.forEach(Array(20), () => minute(2))
        const usual = [...raised]
        yield* Effect.forEach([3, 4, 5], minute)
        const more = [...raised]
        yield* Effect.forEach([12, 12], minute)
        expect([usual, more, raised]).toEqual([[], [], [`${name} /v1/otp`]])
      })
  )

  it.effect("a spike of 401 in a tenth of the calls is an incident, over real HTTP", () =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      const { exit } = yield* against(
        { script: ({ index }) => index % 10 === 9 ? FlakyApi.status(401) : FlakyApi.none },
        (client) => Effect.forEach(Array(50), () => Effect.exit(sendOtp(client))),
        { detector, ...closed }
      )
      expect([Exit.isSuccess(exit), raised]).toEqual([true, ["unauthorized /v1/otp"]])
    }))

  it.effect("429s are a trend: as many as before are none, twice as many are one", () =>
    Effect.gen(function*() {
      const { detector, failed, raised } = yield* refusals(429, "RateLimit", 9, 9)
      yield* TestClock.adjust("6 minutes")
      for (let n = 0; n < 17; n++) yield* detector.observe("messaging", failed)
      const before = [...raised]
      yield* detector.observe("messaging", failed)
      expect([before, raised]).toEqual([[], ["rate-limited /v1/otp"]])
    }))

  it("each alert of the playbook is the route of a rule", () => {
    const alerts = [401, 403, 429, 502, 503].map((status) =>
      Playbook.lookup(Messaging.playbook, status).alert
    )
    expect(alerts).toEqual(
      ["unauthorized", "forbidden", "rate-limited", "upstream-sustained", "smtp-outage"].map((
        name
      ) => Messaging.incidentRules.find((rule) => rule.name === name)?.route)
    )
  })
})

// -----------------------------------------------------------------------------
// what people read
// -----------------------------------------------------------------------------

describe("Messaging.userMessage", () => {
  const throttled = rateLimit(Duration.seconds(45))

  it.each(
    [
      ["otp", "en", "You have asked for several codes. Please try again in 45 seconds."],
      ["form", "en", "This form has been sent several times. Please try again in 45 seconds."],
      ["message", "en", "This has been used a lot just now. Please try again in 45 seconds."],
      [
        "otp",
        "de",
        "Sie haben mehrere Codes angefordert. Bitte versuchen Sie es in 45 Sekunden noch einmal."
      ],
      [
        "form",
        "de",
        "Dieses Formular wurde mehrmals gesendet. Bitte versuchen Sie es in 45 Sekunden noch einmal."
      ]
    ] as const
  )("T8: the cooldown of %s in %s", (about, locale, text) => {
    expect(Messaging.userMessage(throttled, { about, locale })).toBe(text)
  })

  it.effect("T8: throttled over HTTP: the wait of the API, rounded up, for the code and for the form", () =>
    Effect.gen(function*() {
      const throttled = always(FlakyApi.rateLimited({ retryAfter: 90 }))
      const code = apiErrorOf((yield* against(throttled, sendOtp)).exit)
      const form = apiErrorOf((yield* against(throttled, (client) => submit(client))).exit)
      expect([
        Messaging.userMessage(code),
        Messaging.userMessage(form),
        Messaging.userMessage(form, { locale: "de-AT" }),
        Messaging.userMessage(form, { locale: "fr" })
      ]).toEqual([
        "You have asked for several codes. Please try again in 90 seconds.",
        "This form has been sent several times. Please try again in 90 seconds.",
        "Dieses Formular wurde mehrmals gesendet. Bitte versuchen Sie es in 90 Sekunden noch einmal.",
        "Nous sommes un peu occupés. Veuillez réessayer dans 90\u00a0secondes."
      ])
    }))

  it.effect("a form that is closed says so and names the support; one that was sent twice says so", () =>
    Effect.gen(function*() {
      const support = "help@acme.example"
      const closed = apiErrorOf((yield* against({}, (client) => submit(client, "inactive"))).exit)
      const twice = apiErrorOf(
        (yield* against({}, (client) => Effect.zipRight(submit(client), submit(client)))).exit
      )
      expect([
        Messaging.userMessage(closed),
        Messaging.userMessage(closed, { support }),
        Messaging.userMessage(closed, { support, locale: "de" }),
        Messaging.userMessage(twice)
      ]).toEqual([
        "This form is closed at the moment.",
        "This form is closed at the moment. If you have questions, please contact help@acme.example.",
        "Dieses Formular ist zurzeit geschlossen. Bei Fragen wenden Sie sich bitte an help@acme.example.",
        "This form has been sent already."
      ])
    }))
})
