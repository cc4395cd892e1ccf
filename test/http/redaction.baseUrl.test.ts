import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { ApiClient } from "effect-resilience"
import * as Util from "node:util"
import { over, reply, transport } from "./support.js"

const secret = "SENTINEL-base-9f8e7d"

/** Everything that a program could print of the defect with which a client is refused. */
const refusal = (baseUrl: string) =>
  Effect.map(Effect.exit(over([reply(200)], { baseUrl })), (exit) => {
    if (Exit.isSuccess(exit)) return "accepted"
    const defect = Cause.squash(exit.cause)
    return defect instanceof RangeError
      ? [defect.message, defect.stack, Util.inspect(exit), Cause.pretty(exit.cause)].join("\n")
      : "no RangeError"
  })

const withUserInfo = [
  `https://ada:${secret}@api.example.com`,
  `https://${secret}@api.example.com/v1`,
  `https://:${secret}@api.example.com`,
  `https://@api.example.com`,
  `HTTPS:\\\\ada:${secret}@api.example.com`
]

const unreadable = [
  `https://ada:${secret}@api.example.com:port`,
  `https://ada:${secret}@`,
  `https://api.example.com:99999/?token=${secret}`,
  `ada:${secret}@api.example.com`,
  `${secret}://api.example.com`,
  `ftp://ada:${secret}@api.example.com`,
  secret
]

describe("a base URL that is refused", () => {
  it.effect("E33: with user info, a query or a fragment, none of which the message contains", () =>
    Effect.gen(function*() {
      const cases = [
        ...withUserInfo.map((url) => [url, "got one with user info"] as const),
        [`https://api.example.com?token=${secret}`, "got one with a query"] as const,
        [`https://api.example.com/v1?`, "got one with a query"] as const,
        [`https://api.example.com/v1#token=${secret}`, "got one with a fragment"] as const,
        [`https://api.example.com/#?a=${secret}`, "got one with a fragment"] as const
      ]
      const wrong = yield* Effect.filter(cases, ([url, words]) =>
        Effect.map(
          refusal(url),
          (text) => !text.includes(words) || text.includes(secret) || text.includes("ada")
        ))
      expect(wrong).toEqual([])
    }))

  it.effect("T9: one that cannot be read is not repeated either", () =>
    Effect.gen(function*() {
      const texts = yield* Effect.forEach(unreadable, refusal)
      expect(
        texts.filter((text) => /sentinel|ada:/i.test(text) || !text.includes("baseUrl"))
      ).toEqual([])
    }))

  it.effect("E33: by the layer as well", () =>
    Effect.gen(function*() {
      const { layer } = transport([reply(200)])
      const client = ApiClient.layer({
        name: "test",
        baseUrl: `https://ada:${secret}@api.example.com`
      })
      const exit = yield* Effect.exit(Effect.provide(Effect.void, Layer.provide(client, layer)))
      expect([Exit.isFailure(exit), Util.inspect(exit, { depth: 9 }).includes(secret)]).toEqual([
        true,
        false
      ])
    }))

  it.effect("E33: an `@` in the path is no user info", () =>
    Effect.gen(function*() {
      expect(yield* refusal("https://api.example.com/@team/v1")).toBe("accepted")
    }))
})
