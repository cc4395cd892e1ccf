/**
 * An identity verification session for each customer. Some customers have no reference, and some
 * belong to an environment whose key was revoked.
 */
import { Effect, Redacted } from "effect"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as Server from "../../test/support/faceSignServer.js"
import type { Partner } from "./partner.js"
import { weather } from "./weather.js"

interface Customer {
  readonly reference: string
  readonly environment: "current" | "old"
}

const rows: ReadonlyArray<Customer> = Array.from({ length: 100 }, (_, index) => ({
  reference: index % 40 === 7 ? "" : `customer-${index + 1}`,
  environment: index % 30 === 11 ? "old" : "current"
}))

export const faceSign: Partner<Customer> = {
  name: "facesign",
  what: "sessions",
  rows,
  connect: Effect.gen(function*() {
    const server = yield* Server.make({ script: weather("facesign") })
    const current = yield* FaceSign.make({ baseUrl: server.url, auth: Redacted.make(Server.auth) })
    const old = yield* FaceSign.make({
      baseUrl: server.url,
      auth: Redacted.make("sk_test_revoked")
    })
    return {
      server,
      carryOut: ({ environment, reference }) =>
        (environment === "current" ? current : old).createSession({
          clientReferenceId: reference,
          metadata: { source: "import" }
        }),
      userMessage: FaceSign.userMessage,
      created: Effect.sync(() => server.sessions)
    }
  })
}
