/** What the tests of Site Chat share: its calls, over real HTTP in virtual time. */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, type Exit, Option, Redacted, Schedule } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import type * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Server from "../support/siteChatServer.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"

export const key = Redacted.make(Server.apiKey)

export const live = Effect.provide(NodeHttpClient.layerUndici)

export type Chat = SiteChat.SiteChat<IdempotencyKey.IdempotencyKey>

export const written = {
  kind: "text",
  sourceId: "page-1",
  title: "Hours",
  content: "We open at nine."
} as const

export const file = {
  kind: "file",
  sourceId: "file-1",
  name: "hours.txt",
  contentType: "text/plain",
  content: new TextEncoder().encode("We open at nine.")
} as const

export const question = { message: "When do you open?" }

export const feedback = { eventId: "click-1", sessionId: "s-1", rating: "up" } as const

/**
 * One call of each operation, and how the document's table of retries has it: the answers to 429,
 * 5xx and timeout.
 */
export const calls = {
  tenant: [(chat: Chat) => chat.tenant, "Yes", "Yes", "Yes"],
  site: [(chat: Chat) => chat.site, "Yes", "Yes", "Yes"],
  sessions: [(chat: Chat) => chat.sessions, "Yes", "Yes", "Yes"],
  statistics: [(chat: Chat) => chat.statistics, "Yes", "Yes", "Yes"],
  createDocument: [
    (chat: Chat) => chat.createDocument(written),
    "Yes, bounded",
    "Yes, bounded",
    "Use care"
  ],
  uploadDocument: [
    (chat: Chat) => chat.uploadDocument(file),
    "Yes, bounded",
    "Yes, bounded",
    "Use care"
  ],
  chat: [(chat: Chat) => chat.chat(question), "Yes, bounded", "Yes, bounded", "Use care"],
  submitChat: [
    (chat: Chat) => chat.submitChat(question),
    "Yes, bounded",
    "Yes, bounded",
    "Use care"
  ],
  pollChat: [(chat: Chat) => chat.pollChat("req-1"), "Yes", "Yes", "Stop at timeout budget"],
  sendFeedback: [
    (chat: Chat) => chat.sendFeedback(feedback),
    "Yes, bounded",
    "Yes, bounded",
    "Use care"
  ],
  closeSession: [(chat: Chat) => chat.closeSession("s-1"), "Yes, bounded", "Yes, bounded", "Yes"]
} as const satisfies Record<
  SiteChat.OperationName,
  readonly [
    call: (chat: Chat) => Effect.Effect<unknown, SiteChat.Failure, IdempotencyKey.IdempotencyKey>,
    ...Array<string>
  ]
>

export const names = Object.keys(calls) as ReadonlyArray<SiteChat.OperationName>

export const call = (
  name: SiteChat.OperationName,
  chat: Chat
): Effect.Effect<void, SiteChat.Failure> => {
  const [make] = calls[name]
  const made: Effect.Effect<unknown, SiteChat.Failure, IdempotencyKey.IdempotencyKey> = make(chat)
  return IdempotencyKey.provideNew(Effect.asVoid(made))
}

/** A call over real HTTP in virtual time, and what the server saw of it. */
export const against = (
  script: FlakyApi.Script,
  use: (chat: Chat) => Effect.Effect<unknown, unknown>,
  options: Partial<SiteChat.Options> = {},
  server: Omit<Server.Options, "script"> = {}
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make({ ...server, script })
    const chat = yield* Effect.provide(
      SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known, ...options }),
      layer
    )
    const { at, exit } = yield* run(use(chat))
    const received = yield* api.received
    return {
      exit: exit as Exit.Exit<unknown, SiteChat.Failure>,
      at,
      waits: waits(at),
      requests: received.length,
      keys: new Set(received.flatMap(({ key }) =>
        Option.toArray(Option.map(key, Redacted.value))
      )).size,
      executed: (yield* api.executed).length,
      records: api.records
    }
  }).pipe(Effect.scoped)

export const virtual = { baseUrl: "https://chat.test", apiKey: key, ...Server.known }

export const pace = { schedule: Schedule.spaced("2 seconds") } as const
