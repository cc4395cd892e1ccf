/**
 * The detector that each of the five clients has without being given one: it logs what it raises.
 */
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, Redacted } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as Messaging from "effect-resilience/api/Messaging"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as Incident from "effect-resilience/Incident"

const secret = Redacted.make("SENTINEL-credential-9")
const baseUrl = "https://partner.test"

interface Watched {
  readonly detector?: Incident.Detector | false
}

type Call = Effect.Effect<unknown, unknown, IdempotencyKey.IdempotencyKey>

/** One call of each client. */
const clients: Readonly<
  Record<string, (watched: Watched) => Effect.Effect<Call, never, HttpClient.HttpClient>>
> = {
  "widget-session": (watched) =>
    Effect.map(
      WidgetSession.make({ baseUrl, partnerId: "p", secretKey: secret, ...watched }),
      (client) => client.createSession({ user_id: "u", email: "a@b.example", name: "Ada" })
    ),
  facesign: (watched) =>
    Effect.map(
      FaceSign.make({ baseUrl, auth: secret, ...watched }),
      (client) => client.session("fs-1")
    ),
  "site-chat": (watched) =>
    Effect.map(
      SiteChat.make({ baseUrl, apiKey: secret, tenantId: "t", siteId: "s", ...watched }),
      (client) => client.tenant
    ),
  messaging: (watched) =>
    Effect.map(
      Messaging.make({ baseUrl, apiKey: secret, ...watched }),
      (client) => client.sendOtp({ to: "ada@example.com" })
    ),
  "field-activities": (watched) =>
    Effect.map(
      FieldActivities.make({ baseUrl, apiKey: secret, ...watched }),
      (client) => client.activity("A-1")
    )
}

/** An API that refuses one call in ten, and whose other answers are of no use to any client. */
const refusing = (status: number) => {
  let calls = 0
  return HttpClient.make((request) =>
    Effect.sync(() =>
      HttpClientResponse.fromWeb(
        request,
        calls++ % 10 === 0
          ? new Response(null, { status })
          : new Response("{}", { status: 404 })
      )
    )
  )
}

/** What a hundred calls have logged. */
const loggedBy = (name: string, status: number, watched: Watched) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) =>
      lines.push(`${logLevel.label} ${String(message)}`)
    )
    const call = yield* Effect.provideService(
      clients[name]!(watched),
      HttpClient.HttpClient,
      refusing(status)
    )
    yield* Effect.forEach(Array(100), () => Effect.exit(IdempotencyKey.provideNew(call))).pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger))
    )
    return lines
  })

const cases = Object.keys(clients).flatMap((name) =>
  ([[401, "unauthorized"], [403, "forbidden"]] as const).map(([status, incident]) =>
    [name, status, incident] as const
  )
)

describe("a client without a detector of its own", () => {
  it.effect.each(cases)(
    "%s: a %i in one call of ten is logged once, as %s, with its route and without a secret",
    ([name, status, incident]) =>
      Effect.gen(function*() {
        const lines = (yield* loggedBy(name, status, {})).filter((line) => line.includes(incident))
        expect(lines).toEqual([
          expect.stringMatching(
            new RegExp(`^WARN Incident ${incident} of ${name}: 5 of \\d+ calls failed\\. \\w+`)
          )
        ])
        expect(lines.join()).not.toContain("SENTINEL")
      })
  )

  it.effect.each(Object.keys(clients))("%s: false turns it off", (name) =>
    Effect.gen(function*() {
      expect(yield* loggedBy(name, 401, { detector: false })).toEqual([])
    }))

  it.effect.each(Object.keys(clients))(
    "%s: one that is given says what becomes of incidents",
    (name) =>
      Effect.gen(function*() {
        const raised: Array<string> = []
        const made = yield* Incident.make()
        const detector: Incident.Detector = {
          ...made,
          observe: (integration, exit) =>
            Effect.tap(
              made.observe(integration, exit),
              (found) => Effect.sync(() => raised.push(...found.map(({ name }) => name)))
            )
        }
        expect(yield* loggedBy(name, 401, { detector })).toEqual([])
        expect(raised).toContain("unauthorized")
      })
  )
})
