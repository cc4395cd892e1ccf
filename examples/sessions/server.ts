/**
 * The Create Session API, played by a real HTTP server in a process of its own that fails in every
 * way a real one does: rate limits, 5xx before and after it did the work, connections refused and
 * reset, slow answers, broken bodies, HTML pages. It creates a session once for each idempotency
 * key.
 */
import { HttpRouter, HttpServerResponse } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Deferred, Effect, Option, Redacted } from "effect"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Server from "../../test/support/widgetSessionServer.js"
import { files, partnerId, secretKeys, whitelistedDomain } from "./settings.js"

const weather = FlakyApi.seeded({
  seed: "sessions",
  rate: 0.35,
  maxPerKey: 2,
  faults: [
    FlakyApi.rateLimited({ retryAfter: 1 }),
    FlakyApi.rateLimited({ retryAfter: { dateIn: "2 seconds" } }),
    FlakyApi.serverError(),
    FlakyApi.serverError({ when: "after" }),
    FlakyApi.badGateway(),
    FlakyApi.htmlPage(502),
    FlakyApi.unavailable({ retryAfter: 1 }),
    FlakyApi.gatewayTimeout({ when: "after" }),
    FlakyApi.reset(),
    FlakyApi.reset({ when: "after" }),
    FlakyApi.reset({ when: "afterHeaders" }),
    FlakyApi.slowHeaders("300 millis"),
    FlakyApi.slowBody("300 millis"),
    FlakyApi.truncated,
    FlakyApi.malformed
  ]
})

/** Once, while the job is busy, nobody is there at all. The server's own desk is never troubled. */
const script: FlakyApi.Script = (call) => {
  if (call.path.startsWith("/desk/")) return FlakyApi.none
  return call.index === 120 ? FlakyApi.refused("300 millis") : weather(call)
}

const program = Effect.gen(function*() {
  const closing = yield* Deferred.make<void>()
  const count = Effect.suspend(() => api.executed).pipe(Effect.map((runs) => {
    const keys = runs.flatMap(({ key, status }) =>
      status < 300 ? Option.toArray(Option.map(key, Redacted.value)) : []
    )
    return { created: new Set(keys).size, twice: keys.length - new Set(keys).size }
  }))
  const app = HttpRouter.empty.pipe(
    HttpRouter.post(
      Server.path,
      Server.createSession({
        partnerId,
        secretKey: secretKeys.production,
        domain: whitelistedDomain
      })
    ),
    HttpRouter.get("/desk/count", Effect.flatMap(count, HttpServerResponse.json)),
    HttpRouter.post(
      "/desk/close",
      Effect.as(Deferred.succeed(closing, undefined), HttpServerResponse.empty())
    )
  )
  const api: FlakyApi.FlakyApi = yield* FlakyApi.make({ app, script })
  fs.mkdirSync(path.dirname(files.address), { recursive: true })
  fs.writeFileSync(files.address, JSON.stringify({ url: api.url }))
  yield* Console.log(api.url)
  // Nobody has to remember to stop a demonstration.
  yield* Effect.timeoutOption(Deferred.await(closing), "5 minutes")
  fs.rmSync(files.address, { force: true })
})

NodeRuntime.runMain(Effect.scoped(program))
