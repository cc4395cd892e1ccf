import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { ApiError, Incident, Operation, Pipeline, Playbook } from "effect-resilience"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as fs from "node:fs"
import { apiErrorOf } from "../support/exits.js"
import * as Server from "../support/fieldActivitiesServer.js"
import { leaks } from "../support/renderings.js"
import { against, submit } from "./fieldActivities.js"

describe("FieldActivities: diagnostics", () => {
  it("401: the causes of the document, those first that show in the key", () => {
    const unseen = [
      "The key was revoked from the administration panel",
      "The key has passed its expiration date"
    ]
    const malformed = ["The key has a formatting error: spaces or extra characters", ...unseen]
    const causesOf = (key: string) => FieldActivities.diagnose401(Redacted.make(key))
    expect(FieldActivities.diagnose401(undefined)).toEqual([
      "The x-api-key header is not present in the request"
    ])
    expect(["", "key", " key", "key ", "k ey", "key\n", "kéy"].map(causesOf)).toEqual([
      ["The x-api-key header is not present in the request"],
      unseen,
      malformed,
      malformed,
      malformed,
      malformed,
      malformed
    ])
  })

  it("403: each call has its permission", () => {
    expect(["GET", "HEAD", "POST"].map(FieldActivities.requiredPermission)).toEqual([
      "VIEW_ACTIVITIES",
      "VIEW_ACTIVITIES",
      "SUBMIT_ACTIVITY_RESULT"
    ])
  })

  it("docs/api/field-activities.md shows the rows and the routes that the code has", () => {
    const cells = (line: string) => line.split("|").map((cell) => cell.trim())
    const document = fs.readFileSync(
      new URL("../../docs/api/field-activities.md", import.meta.url),
      "utf8"
    )
    const lines = document.split("\n").map(cells)
    const isRow = ([, status, tag]: ReadonlyArray<string>) =>
      /^`\d{3}`$/.test(status ?? "") && /^[A-Z]/.test(tag ?? "")
    const shown = lines.filter(isRow)
    const printed = Playbook.markdown(FieldActivities.playbook).split("\n").map(cells)
    expect(shown.map(([, status]) => status).join()).toBe("`400`,`401`,`403`,`404`,`409`,`500`")
    expect(shown).toEqual(
      printed.filter(([, status]) => shown.some(([, other]) => other === status))
    )

    const names = [
      "validation-errors",
      "unauthorized",
      "forbidden",
      "not-found",
      "duplicates",
      "server-errors"
    ]
    const routes = lines.flatMap(([, , name, route]) =>
      names.some((rule) => name === `\`${rule}\``) ? [[name, route]] : []
    )
    expect(routes).toEqual(
      names.map((
        name
      ) => [`\`${name}\``, FieldActivities.incidentRules.find((rule) => rule.name === name)?.route])
    )
  })

  it("T8: a locale without sentences of its own is answered in general ones", () => {
    const error = new ApiError.Conflict({ message: "SENTINEL", status: 409 })
    const texts = ["fr", "xx"].map((locale) => FieldActivities.userMessage(error, { locale }))
    expect(texts).toEqual([
      "Ceci a déjà été envoyé.",
      "A result for this visit has been registered already."
    ])
  })

  it("T8: what the document does not mention has its sentences, too, without a word of the API", () => {
    const message = "SENTINEL"
    const errors = [
      new ApiError.RateLimit({ message, status: 429, retryAfter: Duration.seconds(30) }),
      new ApiError.RateLimit({ message, status: 429 }),
      new ApiError.Timeout({ message, deadline: "total" }),
      new ApiError.Network({ message, sent: "no" })
    ]
    const inLocale = (locale: string) =>
      errors.map((error) => FieldActivities.userMessage(error, { locale }))
    expect([inLocale("en"), inLocale("de")]).toEqual([
      [
        "The visit service is busy. Please try again in 30 seconds.",
        "The visit service is busy. Please try again in a moment.",
        "The visit service is taking longer than usual. Please try again in a moment.",
        "The visit service could not be reached. Please try again in a moment."
      ],
      [
        "Der Besuchsdienst ist ausgelastet. Bitte versuchen Sie es in 30 Sekunden noch einmal.",
        "Der Besuchsdienst ist ausgelastet. Bitte versuchen Sie es gleich noch einmal.",
        "Der Besuchsdienst braucht länger als üblich. Bitte versuchen Sie es gleich noch einmal.",
        "Der Besuchsdienst war nicht erreichbar. Bitte versuchen Sie es gleich noch einmal."
      ]
    ])
  })

  it.effect("T4: fields to log, over real HTTP", () =>
    Effect.gen(function*() {
      const headers = { "x-request-id": "req-7" }
      const script = Server.submissions(() =>
        Server.fault(503, "Service Unavailable", "SENTINEL", { headers })
      )
      const { exit } = yield* against(script, submit)
      const context = { environment: "production", tenantId: "acme" }
      const fields = FieldActivities.logFields(apiErrorOf(exit), context)
      expect(fields).toMatchObject({
        integration: "field-activities",
        environment: "production",
        endpoint: "/v1/activities/:id/result",
        method: "POST",
        status: 503,
        tenantId: "acme",
        requestId: "req-7",
        retries: 3,
        timedOut: false,
        error: "Server"
      })
      expect(leaks([JSON.stringify(fields)], "SENTINEL", "SHOP-7", "A-1")).toEqual([])
    }))
})

describe("FieldActivities: incidents, over real HTTP", () => {
  const routes: ReadonlyArray<readonly [status: number, name: string, words: RegExp]> = [
    [
      400,
      "validation-errors",
      /format of the body, data types, required fields and valid result codes/
    ],
    [401, "unauthorized", /x-api-key header is present and that the key has not been revoked/],
    [
      403,
      "forbidden",
      /VIEW_ACTIVITIES for queries, SUBMIT_ACTIVITY_RESULT for submitting results.*tenant administrator/
    ],
    [
      404,
      "not-found",
      /activity_id, commerce_external_id or other identifier exists in the tenant/
    ],
    [409, "duplicates", /hard_override: true only to overwrite the existing result/],
    [500, "server-errors", /exponential backoff/],
    [504, "server-errors", /exponential backoff/]
  ]

  /** A detector, and what it has raised. */
  const watching = Effect.map(
    Incident.make({ rules: FieldActivities.incidentRules }),
    (detector) => {
      const raised: Array<Incident.Incident> = []
      const seeing: Incident.Detector = {
        ...detector,
        observe: (integration, exit) =>
          Effect.tap(
            detector.observe(integration, exit),
            (found) => Effect.sync(() => raised.push(...found))
          )
      }
      return { raised, detector: seeing }
    }
  )

  it.effect.each(routes)(
    "repeated %i: one incident, %s, with the document's solution as its route",
    ([status, name, words]) =>
      Effect.gen(function*() {
        const { detector, raised } = yield* watching
        const pipeline = yield* Pipeline.make({ operation: Operation.idempotent })
        const { posts } = yield* against(
          Server.submissions(() => FlakyApi.status(status)),
          (client) => Effect.forEach(Array(30), () => Effect.ignore(submit(client))),
          { detector, pipeline }
        )
        expect([posts, raised.map(({ name }) => name), words.test(raised[0]?.route ?? "")]).toEqual(
          [30, [name], true]
        )
        expect(raised[0]).toMatchObject({
          integration: "field-activities",
          endpoint: "/v1/activities/:id/result"
        })
        expect(Playbook.lookup(FieldActivities.playbook, status).alert).toBe(raised[0]?.route)
      })
  )

  it.effect("a few failures among many calls are none", () =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      const script: FlakyApi.Script = ({ index }) =>
        index % 10 === 9 ? FlakyApi.status(404) : FlakyApi.none
      yield* against(script, (client) =>
        Effect.forEach(Array(40), () => Effect.ignore(client.activity("A-1"))), {
        detector
      })
      expect(raised).toEqual([])
    }))

  it("the rules can be used by a detector, and none is about polling", () => {
    const names = FieldActivities.incidentRules.map(({ name }) => name)
    expect([
      new Set(names).size,
      names.includes("polling-timeouts"),
      names.includes("rate-limited")
    ]).toEqual([
      names.length,
      false,
      true
    ])
  })
})
