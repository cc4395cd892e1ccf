/** What the tests of the flaky server share: a client without comforts. */
import { HttpServerResponse } from "@effect/platform"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Http from "node:http"

interface Ask {
  readonly method?: string
  readonly path?: string
  readonly key?: string
  readonly body?: string
  readonly agent?: Http.Agent
}

interface Seen {
  readonly status: number | undefined
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  /**
   * The code of the error that ended the exchange: before the headers when there is no status, else
   * in the body.
   */
  readonly error: string | undefined
}

/**
 * One request with nothing between the test and the wire: no retries, no pool unless an agent is
 * given.
 */
export const ask = (api: Pick<FlakyApi.FlakyApi, "url">, options: Ask = {}): Effect.Effect<Seen> =>
  Effect.async((resume) => {
    const chunks: Array<string> = []
    let response: Http.IncomingMessage | undefined
    const done = (error?: NodeJS.ErrnoException) =>
      resume(Effect.succeed({
        status: response?.statusCode,
        headers: response?.headers ?? {},
        body: chunks.join(""),
        error: error?.code
      }))
    const request = Http.request(`${api.url}${options.path ?? "/v1/things"}`, {
      method: options.method ?? "POST",
      agent: options.agent ?? false,
      headers: options.key === undefined ? {} : { "Idempotency-Key": options.key }
    })
    request.on("error", done)
    request.on("response", (message) => {
      response = message
      message.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk)).on(
        "error",
        done
      ).on("end", done)
    })
    request.end(options.body)
    return Effect.sync(() => request.destroy())
  })

/** What became of an exchange, in a word. */
export const outcome = (seen: Seen) => seen.error ?? seen.status

export const created = HttpServerResponse.json({ id: 1, name: "thing" }, { status: 201 })
export const createdBody = "{\"id\":1,\"name\":\"thing\"}"

export const serve = (script: ReadonlyArray<FlakyApi.Fault>) =>
  FlakyApi.make({ app: created, script: FlakyApi.sequence(script) })

export const keys = (entries: ReadonlyArray<Pick<FlakyApi.Arrival, "key">>) =>
  entries.map(({ key }) => Option.getOrUndefined(Option.map(key, Redacted.value)))
