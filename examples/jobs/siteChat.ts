/**
 * A document of the knowledge base for each page of a site, then a question that is answered later.
 * Some pages are empty.
 */
import { Effect, Redacted } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as Server from "../../test/support/siteChatServer.js"
import type { Partner } from "./partner.js"
import { weather } from "./weather.js"

interface Page {
  readonly name: string
  readonly content: string
}

const rows: ReadonlyArray<Page> = Array.from({ length: 100 }, (_, index) => ({
  name: `page-${index + 1}`,
  content: index % 25 === 9 ? "" : `All about page ${index + 1}.`
}))

export const siteChat: Partner<Page> = {
  name: "site-chat",
  what: "documents",
  rows,
  connect: Effect.gen(function*() {
    const server = yield* Server.make({ script: weather("site-chat") })
    const chat = yield* SiteChat.make({
      baseUrl: server.url,
      apiKey: Redacted.make(Server.apiKey),
      ...Server.known,
      // A bad day, and two further attempts where the call meets two faults at most.
      policies: { createDocument: { retries: 3 } }
    })
    return {
      server,
      carryOut: ({ content, name }) =>
        chat.createDocument({ kind: "text", sourceId: name, title: name, content }),
      userMessage: SiteChat.userMessage,
      created: Effect.sync(() => server.records.documents),
      finally: chat.ask({ message: "When do you open?" }, { within: "1 minute" }).pipe(
        IdempotencyKey.provideNew,
        Effect.map(({ answer }) => `Asked when they open, and waited for the answer: ${answer}`)
      )
    }
  })
}
