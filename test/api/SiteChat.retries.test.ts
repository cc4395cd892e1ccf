import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Redacted } from "effect"
import { type ApiError, IdempotencyKey, Operation, Playbook } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf } from "../support/exits.js"
import { against, call, calls, names, written } from "./siteChat.js"

/** "Yes" is four further attempts, "bounded" two. */
const attemptsOf = (answer: string) => answer === "Yes" ? 5 : 3

// -----------------------------------------------------------------------------
// status codes
// -----------------------------------------------------------------------------

/** The document's table of status codes: tag, whether it is retried, what the visitor reads. */
const rows: ReadonlyArray<
  readonly [status: number, tag: string, retried: boolean, meaning: RegExp, user: string]
> = [
  [
    400,
    "Validation",
    false,
    /Invalid request payload/,
    "We could not process this. Please change it and try again."
  ],
  [
    401,
    "Auth",
    false,
    /authentication/,
    "The chat is not available at the moment. Our team has been told."
  ],
  [403, "Policy", false, /not allowed/, "The chat is not available here."],
  [
    404,
    "NotFound",
    false,
    /not found in the requested scope/,
    "We could not find this conversation."
  ],
  [409, "Conflict", false, /Conflict/, "This has been sent already."],
  [429, "RateLimit", true, /Too many requests/, "The chat is busy. Please try again in a moment."],
  [500, "Server", true, /Temporary/, "The chat has a problem. Please try again in a moment."],
  [502, "Server", true, /Temporary/, "The chat has a problem. Please try again in a moment."],
  [503, "Server", true, /Temporary/, "The chat has a problem. Please try again in a moment."],
  [504, "Server", true, /Temporary/, "The chat has a problem. Please try again in a moment."]
]

describe("SiteChat: status codes, over real HTTP", () => {
  it.effect.each(rows)(
    "%i is %s, retried: %s",
    ([status, tag, retried, meaning, user]) =>
      Effect.gen(function*() {
        const { exit, requests } = yield* against(
          () => FlakyApi.status(status),
          (chat) => chat.tenant
        )
        const error = errorOf(exit) as ApiError.ApiError
        expect([error._tag, error.status, requests, error.attempts]).toEqual([
          tag,
          status,
          ...(retried ? [5, 5] : [1, 1])
        ])
        expect(SiteChat.userMessage(error)).toBe(user)
        expect(Playbook.lookup(SiteChat.playbook, status).meaning).toMatch(meaning)
      })
  )

  it("what to do about each is what the document says", () => {
    const words: ReadonlyArray<readonly [number, RegExp]> = [
      [400, /Fix request construction. Do not retry without changing the request/],
      [401, /configuration or credential incident/],
      [403, /plan, tenant access, site access, or allowed capability/],
      [404, /identifiers and ownership/],
      [409, /already exists or whether the operation is duplicated/],
      [429, /bounded exponential backoff and jitter/],
      [503, /bounded exponential backoff for safely repeatable operations/]
    ]
    expect(
      words.filter(([status, word]) =>
        !word.test(Playbook.lookup(SiteChat.playbook, status).action)
      )
    ).toEqual([])
  })

  it.effect("the server's own refusals: 400, 401, 403, 404, 409, from bodies that are texts, objects, with or without request id", () =>
    Effect.gen(function*() {
      const none: FlakyApi.Script = () => FlakyApi.none
      const refused = [
        yield* against(none, (chat) => IdempotencyKey.provideNew(chat.chat({ message: "" }))),
        yield* against(none, (chat) => chat.tenant, { apiKey: Redacted.make("SENTINEL-wrong") }),
        yield* against(none, (chat) => chat.site, { siteId: "private" }),
        yield* against(none, (chat) => chat.pollChat("req-77")),
        yield* against(none, (chat) =>
          Effect.zipRight(
            IdempotencyKey.provideNew(chat.createDocument(written)),
            IdempotencyKey.provideNew(chat.createDocument(written))
          ))
      ].map(({ exit }) => errorOf(exit) as ApiError.ApiError)
      expect(refused.map(({ _tag, code, message, requestId, status }) => [
        _tag,
        status,
        message,
        code,
        requestId === undefined ? "none" : requestId.replace(/\d+$/, "n")
      ])).toEqual([
        ["Validation", 400, "Invalid request payload", "code_400", "req-fail-n"],
        ["Auth", 401, "Missing or invalid authentication", "code_401", "req-fail-n"],
        ["Policy", 403, "This key has no access to the site", "code_403", "req-fail-n"],
        ["NotFound", 404, "Request not found", undefined, "req-fail-n"],
        ["Conflict", 409, "A document of this source exists", undefined, "none"]
      ])
    }))
})

// -----------------------------------------------------------------------------
// the retry decision table
// -----------------------------------------------------------------------------

/** Waits with full jitter from 500 ms, at most 10 s. */
const isBackoff = (waits: ReadonlyArray<number>) =>
  waits.every((wait, n) => wait >= 0 && wait <= Math.min(500 * 2 ** n, 10_000))

describe("SiteChat: the retry decision table, over real HTTP", () => {
  it.effect.each(names)(
    "%s: a persistent 429 is retried, within its bound and with backoff",
    (name) =>
      Effect.gen(function*() {
        const { exit, requests, waits } = yield* against(() => FlakyApi.rateLimited(), (chat) =>
          call(name, chat))
        expect([errorOf(exit)._tag, requests, isBackoff(waits)]).toEqual([
          "RateLimit",
          attemptsOf(calls[name][1]),
          true
        ])
      })
  )

  it.effect.each(names)(
    "%s: a persistent 5xx is retried, within its bound and with backoff",
    (name) =>
      Effect.gen(function*() {
        const { exit, requests, waits } = yield* against(() => FlakyApi.unavailable(), (chat) =>
          call(name, chat))
        expect([errorOf(exit)._tag, requests, isBackoff(waits)]).toEqual([
          "Server",
          attemptsOf(calls[name][2]),
          true
        ])
      })
  )

  it.effect.each(names)(
    "%s: a connection that breaks after the work was done is retried under the same key, and nothing is done twice",
    (name) =>
      Effect.gen(function*() {
        const operation = SiteChat.operations[name].operation._tag
        const { executed, exit, keys, requests } = yield* against(
          FlakyApi.sequence(name === "pollChat" ? [] : [FlakyApi.reset({ when: "after" })]),
          (chat) =>
            name === "pollChat" ? Effect.asVoid(Effect.either(call(name, chat))) : call(name, chat)
        )
        expect([Exit.isSuccess(exit), requests, keys]).toEqual([
          true,
          name === "pollChat" ? 1 : 2,
          operation === "Read" ? 0 : 1
        ])
        if (operation !== "Read") expect(executed).toBe(1)
      })
  )

  it.effect("every operation is declared as the table has it", () =>
    Effect.sync(() => {
      expect(names.map((name) => [name, SiteChat.operations[name].operation._tag])).toEqual([
        ["tenant", "Read"],
        ["site", "Read"],
        ["sessions", "Read"],
        ["statistics", "Read"],
        ["createDocument", "Keyed"],
        ["uploadDocument", "Keyed"],
        ["chat", "Keyed"],
        ["submitChat", "Keyed"],
        ["pollChat", "Read"],
        ["sendFeedback", "Keyed"],
        ["closeSession", "Idempotent"]
      ])
    }))

  it.effect("a 408 is a time-out, and is retried as one; a 425 is no 5xx, and is final", () =>
    Effect.gen(function*() {
      const requests = yield* Effect.forEach(
        [408, 425],
        (status) =>
          Effect.map(
            against(() => FlakyApi.status(status), (chat) => chat.tenant),
            ({ requests }) => requests
          )
      )
      expect(requests).toEqual([5, 1])
    }))

  it.effect("E12: Retry-After is a floor", () =>
    Effect.gen(function*() {
      const { exit, waits } = yield* against(
        FlakyApi.sequence([FlakyApi.rateLimited({ retryAfter: 30 })]),
        (chat) => chat.tenant
      )
      expect([Exit.isSuccess(exit), (waits[0] ?? 0) >= 30_000]).toEqual([true, true])
    }))

  const once = { writes: Operation.once } as Partial<SiteChat.Options>

  it.effect.each(names.filter((name) => SiteChat.operations[name].operation._tag === "Keyed"))(
    "E4: %s, where the API knows no keys: 429 is retried, what may have been done is not",
    (name) =>
      Effect.gen(function*() {
        const faults = [
          FlakyApi.rateLimited(),
          FlakyApi.unavailable({ when: "after" }),
          FlakyApi.gatewayTimeout({ when: "after" }),
          FlakyApi.reset({ when: "after" })
        ]
        const requests = yield* Effect.forEach(faults, (fault) =>
          Effect.map(
            against(() => fault, (chat) => call(name, chat), once),
            ({ requests }) => requests
          ))
        expect(requests).toEqual([3, 1, 1, 1])
      })
  )
})
