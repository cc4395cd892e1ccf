import { HttpClient, HttpClientResponse, HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { Backoff, IdempotencyKey } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as Incident from "effect-resilience/Incident"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf, squashed } from "../support/exits.js"
import * as Stray from "../support/keysAndIds.js"
import { leaks, renderings } from "../support/renderings.js"
import * as Server from "../support/siteChatServer.js"
import {
  against,
  type Chat,
  feedback,
  file,
  key,
  live,
  question,
  virtual,
  written
} from "./siteChat.js"

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

describe("SiteChat: what is never shown (T1, T2)", () => {
  const secrets = {
    message: "SENTINEL visitor asks 1a",
    content: "SENTINEL document text 2b",
    answer: "SENTINEL document answer 3c",
    comment: "SENTINEL comment 4d"
  }
  const all = [Server.apiKey, ...Object.values(secrets)]

  /** A server that says back whatever it was sent, and its own key. */
  const echo = (status: number): FlakyApi.Fault => {
    const said = all.join(" | ")
    return FlakyApi.status(status, {
      body: JSON.stringify({
        error: { message: said, code: said },
        request_id: said,
        issues: [{ path: said, message: said }]
      }),
      headers: { "content-type": "application/json", "x-request-id": said, server: said }
    })
  }

  const sent: Record<
    string,
    (chat: Chat) => Effect.Effect<unknown, unknown, IdempotencyKey.IdempotencyKey>
  > = {
    chat: (chat) => chat.chat({ message: secrets.message }),
    ask: (chat) => chat.ask({ message: secrets.message }),
    createDocument: (chat) => chat.createDocument({ ...written, content: secrets.content }),
    "a question and its answer": (chat) =>
      chat.createDocument({
        kind: "qa",
        sourceId: "q",
        question: secrets.content,
        answer: secrets.answer
      }),
    sendFeedback: (chat) => chat.sendFeedback({ ...feedback, comment: secrets.comment })
  }

  /** What each call sends; of the rest the client cannot know that it is secret. */
  const ofCall: Record<string, ReadonlyArray<string>> = {
    chat: [secrets.message],
    ask: [secrets.message],
    createDocument: [secrets.content],
    "a question and its answer": [secrets.content, secrets.answer],
    sendFeedback: [secrets.comment]
  }

  it.live.each(Object.keys(sent))(
    "T1: %s: neither the key nor what was sent, inside and outside of a fiber, in logs and spans",
    (name) =>
      Effect.gen(function*() {
        for (const status of [400, 401, 404, 409, 503]) {
          const api = yield* Server.make({ script: () => echo(status) })
          const backoff = Backoff.constant("1 millis")
          const policies = {
            chat: { backoff },
            submitChat: { backoff },
            createDocument: { backoff },
            sendFeedback: { backoff }
          }
          const chat = yield* SiteChat.make({
            baseUrl: api.url,
            apiKey: key,
            ...Server.known,
            policies
          })
          const texts = yield* renderings(IdempotencyKey.provideNew(sent[name]!(chat)))
          expect(texts.length).toBeGreaterThan(20)
          expect(leaks(texts, Server.apiKey, ...ofCall[name]!)).toEqual([])
        }
      }).pipe(Effect.scoped, live)
  )

  const lines = ["SENTINEL opening hours", "We are closed", "SENTINEL on bank holidays, and in May"]
  const title = "SENTINEL title 6f"
  const inTheMidst = "L on bank holidays, and"

  /** What an API may repeat of a document: all of it, a line, some words, as it is or escaped. */
  const repeats: ReadonlyArray<readonly [what: string, said: string]> = [
    ["the title", `Title "${title}" is taken`],
    ["the title in capitals", `TITLE ${title.toUpperCase()}`],
    ["the text", lines.join("\n")],
    ["the text as JSON", JSON.stringify(lines.join("\n"))],
    ["a line", `line 3: ${lines[2]}`],
    ["a short line", `line 2: ${lines[1]}`],
    ["a line cut short", `near '${lines[2]?.slice(0, 20)}...'`],
    ["words from the midst of a line", `unexpected word in '${inTheMidst}'`],
    ["a line for a page", lines[0]?.replaceAll(" ", "&#32;") ?? ""]
  ]
  const parts = ["SENTINEL", "closed", "bank holidays"]

  const documentsSent: Readonly<Record<string, (typeof sent)[string]>> = {
    "a text": (chat: Chat) => chat.createDocument({ ...written, title, content: lines.join("\n") }),
    "a text that is synced": (chat: Chat) =>
      chat.syncDocument({ ...written, title, content: lines.join("\n") }),
    "a question and its answer": (chat: Chat) =>
      chat.createDocument({ kind: "qa", sourceId: "q", question: title, answer: lines.join("\n") }),
    "a file": (chat: Chat) =>
      chat.uploadDocument({
        ...file,
        name: title,
        content: new TextEncoder().encode(lines.join("\n"))
      }),
    "a question of a visitor": (chat: Chat) => chat.chat({ message: [title, ...lines].join("\n") })
  }

  it.live.each(
    Object.keys(documentsSent).flatMap((name) =>
      repeats.map(([what, said]) => [name, what, said] as const)
    )
  )(
    "T1, T9: %s: an API that repeats %s: in no error, log line and span",
    ([name, , said]) =>
      Effect.gen(function*() {
        const api = yield* FlakyApi.make({
          app: HttpServerResponse.unsafeJson({
            error: { message: said, code: said },
            request_id: said,
            issues: [{ path: said, message: said }]
          }, { status: 400 })
        })
        const chat = yield* SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known })
        const call = documentsSent[name]!(chat)
        const texts = yield* renderings(IdempotencyKey.provideNew(call))
        expect(leaks(texts, ...parts)).toEqual([])
      }).pipe(Effect.scoped, live)
  )

  it.live("T1: words of the API that are not of the document stay", () =>
    Effect.gen(function*() {
      const said = `The field 'content' is longer than allowed: ${lines[2]} (at most 10 lines)`
      const api = yield* FlakyApi.make({
        app: HttpServerResponse.unsafeJson({ message: said }, { status: 400 })
      })
      const chat = yield* SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known })
      const call = chat.createDocument({ ...written, title, content: lines.join("\n") })
      const error = yield* Effect.flip(IdempotencyKey.provideNew(call))
      expect(error.message).toBe(
        "The field 'content' is longer than allowed: <redacted> (at most 10 lines)"
      )
    }).pipe(Effect.scoped, live))

  it.live.each(["uploadDocument", "syncDocument"] as const)(
    "T1: %s: nor the content of the file, nor a line of it, in an error whose API repeats it",
    (name) =>
      Effect.gen(function*() {
        const lines = ["SENTINEL first line", "short", "SENTINEL second line"]
        const text = lines.join("\r\n")
        const said = `refused: ${text} and ${lines[2]}`
        const body = JSON.stringify({
          message: said,
          code: lines[0],
          issues: [{ path: lines[0], message: said }]
        })
        const client = HttpClient.make((request) =>
          Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status: 400 })))
        )
        const chat = yield* Effect.provideService(
          SiteChat.make(virtual),
          HttpClient.HttpClient,
          client
        )
        const content = new TextEncoder().encode(text)
        const error = yield* Effect.flip(
          IdempotencyKey.provideNew(chat[name]({ ...file, content }))
        )
        expect([
          error.message,
          error._tag === "Validation" && [error.code, error.issues, error.endpoint]
        ]).toEqual([
          "refused: <redacted> and <redacted>",
          [
            "<redacted>",
            [{ path: "<redacted>", message: "refused: <redacted> and <redacted>" }],
            SiteChat.operations.uploadDocument.path
          ]
        ])
      }).pipe(Effect.scoped, live)
  )

  it.live("T1: a long file of many lines is taken out, too, and one that is no text changes nothing", () =>
    Effect.gen(function*() {
      const lines = Array.from({ length: 5000 }, (_, n) => `line % ${n} é`)
      const message = `${lines[10]}; ${lines[2999]}`
      const client = HttpClient.make((request) =>
        Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            new Response(JSON.stringify({ message }), { status: 400 })
          )
        )
      )
      const chat = yield* Effect.provideService(
        SiteChat.make(virtual),
        HttpClient.HttpClient,
        client
      )
      const messageOf = (content: Uint8Array<ArrayBuffer>) =>
        Effect.map(
          Effect.flip(IdempotencyKey.provideNew(chat.uploadDocument({ ...file, content }))),
          (e) => e.message
        )
      const text = yield* messageOf(new TextEncoder().encode(lines.join("\n")))
      const binary = yield* messageOf(new Uint8Array([0xff, 0xfe, 0x80]))
      expect([text, binary]).toEqual(["<redacted>; <redacted>", message])
    }).pipe(Effect.scoped, live))

  it.live("T1: nor the file that was uploaded, when nobody answers", () =>
    Effect.gen(function*() {
      const api = yield* Server.make()
      yield* api.stop
      const policies = { uploadDocument: { retries: 0 } }
      const chat = yield* SiteChat.make({
        baseUrl: api.url,
        apiKey: key,
        ...Server.known,
        policies
      })
      const content = new TextEncoder().encode(secrets.content)
      const texts = yield* renderings(
        IdempotencyKey.provideNew(chat.uploadDocument({ ...file, content }))
      )
      expect(leaks(texts, Server.apiKey, secrets.content)).toEqual([])
    }).pipe(Effect.scoped, live))

  it.effect("T1: fields of a log and sentences for visitors hold nothing of it", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => echo(400),
        (chat) => IdempotencyKey.provideNew(chat.chat(question))
      )
      const error = errorOf(exit)
      const { requestId, ...fields } = SiteChat.logFields(error)
      expect(
        leaks(
          [JSON.stringify(fields), SiteChat.userMessage(error), String(requestId)],
          Server.apiKey
        )
      ).toEqual([])
    }))

  it("T2: the names of the document's list are secret", () => {
    const named = (name: string) =>
      SiteChat.redactedNames.some((secret) =>
        typeof secret === "string" ? secret === name : secret.test(name)
      )
    expect(
      [
        "api_key",
        "apiKey",
        "config",
        "configuration",
        "customer",
        "content",
        "question",
        "answer",
        "title"
      ]
        .filter((name) => !named(name))
    ).toEqual([])
  })
})

// -----------------------------------------------------------------------------
// what is not sent
// -----------------------------------------------------------------------------

describe("SiteChat: keys and ids that cannot be sent", () => {
  const askWith = (baseUrl: string, key: string) =>
    Effect.flatMap(
      SiteChat.make({ baseUrl, apiKey: Redacted.make(key), ...Server.known }),
      (chat) => IdempotencyKey.provideNew(chat.chat(question))
    )

  it.live.each(Stray.unsendableKeys)(
    "T1: a key with %s, over %s: Auth without a request, and in nothing that is printed",
    Stray.isNotSent(askWith, { method: "POST", endpoint: SiteChat.operations.chat.path })
  )

  it.live.each(Stray.paddedKeys)(
    "T1: a key with %s, over %s, that the API repeats as it came is in nothing that is printed",
    Stray.isNotShown(askWith)
  )

  it.effect("a key that cannot be sent is an incident like one that is refused", () =>
    Effect.gen(function*() {
      const raised: Array<string> = []
      const detector = yield* Incident.make({ rules: SiteChat.incidentRules })
      const seeing: Incident.Detector = {
        ...detector,
        observe: (integration, exit) =>
          Effect.tap(
            detector.observe(integration, exit),
            (found) => Effect.sync(() => raised.push(...found.map(({ name }) => name)))
          )
      }
      const http = Stray.nobodyAsked()
      const options = { ...virtual, apiKey: Redacted.make("a\nb"), detector: seeing }
      const chat = yield* Effect.provide(SiteChat.make(options), http.layer)
      yield* Effect.forEach(Array(30), () => Effect.ignore(chat.tenant))
      expect([raised, http.asked]).toEqual([["unauthorized"], []])
    }))

  it.effect.each(Stray.strayIds.map((id) => [id] as const))(
    "an id of %j is Validation, and nothing is sent",
    ([id]) =>
      Effect.gen(function*() {
        const http = Stray.nobodyAsked()
        const chat = yield* Effect.provide(SiteChat.make(virtual), http.layer)
        const poll = yield* Effect.flip(chat.pollChat(id))
        const close = yield* Effect.flip(chat.closeSession(id))
        const resumed = yield* Effect.flip(chat.resume(id))
        const inside = resumed._tag === "PollFailed" ? resumed.error : undefined
        expect([
          [poll, close, inside].map((error) =>
            error?._tag === "Validation" && error.issues.map(({ path }) => path)
          ),
          http.asked
        ]).toEqual([[["requestId"], ["sessionId"], ["requestId"]], []])
      })
  )

  it.effect.each(Stray.strayIds.flatMap((id) => [["tenantId", id], ["siteId", id]] as const))(
    "a %s of %j is refused when the client is made",
    ([field, id]) =>
      Effect.gen(function*() {
        const made = Effect.provide(
          SiteChat.make({ ...virtual, [field]: id }),
          Stray.nobodyAsked().layer
        )
        const exit = yield* Effect.exit(made)
        expect(squashed(exit)).toEqual(
          new RangeError(
            `${field} should be an id that can be in a path, got ${JSON.stringify(id)}`
          )
        )
      })
  )
})
