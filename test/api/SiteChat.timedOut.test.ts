/**
 * The flag `timedOut` of a log line: of every limit of time that can pass, ours or not.
 */
import { FetchHttpClient, HttpClient, HttpClientError, HttpServerResponse } from "@effect/platform"
import Undici from "@effect/platform-node/Undici"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { ApiError } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as Messaging from "effect-resilience/api/Messaging"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { network, server } from "../support/errors.js"
import { errorOf } from "../support/exits.js"
import * as Server from "../support/siteChatServer.js"
import { against, key, virtual } from "./siteChat.js"

const once = { policies: { tenant: { retries: 0 } } } as const

/** The outcome of a call whose transport fails with this code. */
const failing = (code: string) =>
  HttpClient.make((request) =>
    new HttpClientError.RequestError({
      request,
      reason: "Transport",
      cause: new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) })
    })
  )

const timedOut = (error: unknown) => SiteChat.logFields(error)["timedOut"]

describe("SiteChat.logFields: timedOut", () => {
  it.effect.each(
    [
      ["UND_ERR_CONNECT_TIMEOUT", true],
      ["ETIMEDOUT", true],
      ["ESOCKETTIMEDOUT", true],
      ["UND_ERR_HEADERS_TIMEOUT", true],
      ["ECONNREFUSED", false],
      ["ECONNRESET", false]
    ] as const
  )("T4: a transport that fails with %s: %s", ([code, expected]) =>
    Effect.gen(function*() {
      const chat = yield* Effect.provideService(
        SiteChat.make({ ...virtual, ...once }),
        HttpClient.HttpClient,
        failing(code)
      )
      const error = yield* Effect.flip(chat.tenant)
      expect([error._tag, timedOut(error)]).toEqual(["Network", expected])
    }))

  it.effect.each(
    [[408, true], [504, true], [522, true], [524, true], [500, false], [502, false], [
      503,
      false
    ]] as const
  )("T4: a %i: %s", ([status, expected]) =>
    Effect.gen(function*() {
      const { exit } = yield* against(() => FlakyApi.status(status), (chat) => chat.tenant, once)
      expect(timedOut(errorOf(exit))).toBe(expected)
    }))

  it("T4: a time-out that polling met is one of the poll", () => {
    const error = new ApiError.Server({ message: "late", status: 504, gateway: true })
    expect([timedOut(error), timedOut(network()), timedOut(server())]).toEqual([true, false, false])
  })

  it("T4: the same for the four other clients", () => {
    const late = new ApiError.Network({
      message: "late",
      sent: "no",
      code: "UND_ERR_CONNECT_TIMEOUT"
    })
    const fields = [FaceSign, FieldActivities, Messaging, WidgetSession].map(({ logFields }) =>
      logFields(late)["timedOut"]
    )
    expect(fields).toEqual([true, true, true, true])
  })
})

/** Real servers that are late: with the head of the answer, or with its body. */
const late = [["the head", FlakyApi.slowHeaders("1 minute")], [
  "the body",
  FlakyApi.slowBody("1 minute")
]] as const

const impatient = { headersTimeout: 50, bodyTimeout: 50 }

/** Its limits of time are those of a dispatcher; the client of the platform for undici has none. */
const fetch = <A, E>(self: Effect.Effect<A, E, HttpClient.HttpClient>) =>
  self.pipe(
    Effect.provide(FetchHttpClient.layer),
    Effect.provideService(FetchHttpClient.RequestInit, {
      dispatcher: new Undici.Agent(impatient)
    } as RequestInit)
  )

describe("SiteChat.logFields: timedOut, over real HTTP with limits of the transport", () => {
  it.live.each(late)(
    "T4: %s does not come: timed out, by the limit of fetch",
    ([what, fault]) =>
      Effect.gen(function*() {
        const api = yield* Server.make({ script: () => fault })
        const chat = yield* SiteChat.make({
          baseUrl: api.url,
          apiKey: key,
          ...Server.known,
          ...once
        })
        const error = yield* Effect.flip(chat.tenant)
        expect([error._tag, "code" in error && error.code, timedOut(error)]).toEqual(
          what === "the head"
            ? ["Network", "UND_ERR_HEADERS_TIMEOUT", true]
            : ["Timeout", "UND_ERR_BODY_TIMEOUT", true]
        )
      }).pipe(Effect.scoped, fetch)
  )

  it.live("E7: a body that breaks off is no time-out", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: HttpServerResponse.unsafeJson({ name: "Acme" }),
        script: () => FlakyApi.truncated
      })
      const chat = yield* SiteChat.make({
        baseUrl: api.url,
        apiKey: key,
        ...Server.known,
        ...once
      })
      const error = yield* Effect.flip(chat.tenant)
      expect([ApiError.isUnreadable(error), timedOut(error)]).toEqual([true, false])
    }).pipe(Effect.scoped, fetch))
})
