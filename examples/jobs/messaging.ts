/**
 * A one-time code for each user, over another route where the direct one lasts to fail. Some
 * addresses are none, and one key is too narrow.
 */
import { Effect, Redacted } from "effect"
import * as Messaging from "effect-resilience/api/Messaging"
import * as Server from "../../test/support/messagingServer.js"
import type { Partner } from "./partner.js"
import { weather } from "./weather.js"

interface User {
  readonly address: string
  readonly key: "full" | "narrow"
}

const rows: ReadonlyArray<User> = Array.from({ length: 100 }, (_, index) => ({
  address: index % 20 === 3 ? `user ${index + 1}` : `user-${index + 1}@example.com`,
  key: index % 50 === 8 ? "narrow" : "full"
}))

export const messaging: Partner<User> = {
  name: "messaging",
  what: "codes",
  rows,
  connect: Effect.gen(function*() {
    const server = yield* Server.make({ script: weather("messaging") })
    const full = yield* Messaging.make({
      baseUrl: server.url,
      apiKey: Redacted.make(Server.apiKey)
    })
    const narrow = yield* Messaging.make({
      baseUrl: server.url,
      apiKey: Redacted.make(Server.narrowKey)
    })
    return {
      server,
      carryOut: ({ address, key }) =>
        (key === "full" ? full : narrow).sendOtp({ to: address, fallbackRoute: "relay" }),
      userMessage: Messaging.userMessage,
      created: Effect.sync(() => server.records.otps)
    }
  })
}
