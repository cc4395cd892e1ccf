import { Cookies, type HttpApp, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect } from "effect"

/** What a client sends, without a server in between. `key` goes into the header as it is. */
export interface Sent {
  readonly key?: string | undefined
  readonly method?: string | undefined
  readonly path?: string | undefined
  readonly body?: BodyInit | null | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface Answered {
  readonly status: number
  readonly body: string
  readonly replayed: string | null
  readonly headers: Headers
  readonly cookies: ReadonlyArray<string>
}

export const requestOf = (
  { body = "{\"amount\":1}", headers, key, method = "POST", path = "/charge" }: Sent
): Request =>
  new Request(`http://shop.example${path}`, {
    method,
    body: method === "GET" ? null : body,
    headers: {
      "content-type": "application/json",
      ...(key === undefined ? {} : { "idempotency-key": key }),
      ...headers
    }
  })

export const answerOf = async (response: Response): Promise<Answered> => ({
  status: response.status,
  body: await response.text(),
  replayed: response.headers.get("idempotent-replayed"),
  headers: response.headers,
  cookies: response.headers.getSetCookie()
})

/** Sends a request through an app as a fetch handler would, in the fiber of the test. */
export const send = <E, R>(
  app: HttpApp.Default<E, R>,
  sent: Sent = {}
): Effect.Effect<Answered, E, Exclude<R, HttpServerRequest.HttpServerRequest>> =>
  Effect.suspend(() =>
    app.pipe(
      Effect.map(HttpServerResponse.toWeb),
      Effect.flatMap((response) => Effect.promise(() => answerOf(response))),
      Effect.provideService(
        HttpServerRequest.HttpServerRequest,
        HttpServerRequest.fromWeb(requestOf(sent))
      )
    )
  )

/** The problem in an answer: its type without the prefix, and its status. */
export const problemOf = ({ body, headers, status }: Answered) => {
  const problem = JSON.parse(body) as {
    readonly type: string
    readonly status: number
    readonly title: string
  }
  return {
    type: problem.type.replace("urn:effect-resilience:idempotency:", ""),
    status: [status, problem.status],
    media: headers.get("content-type")
  }
}

/** A handler that counts its runs and answers with their number. */
export const counting = (
  answer: (run: number) => HttpServerResponse.HttpServerResponse = created
) => {
  const runs: Array<number> = []
  const app = Effect.sync(() => {
    runs.push(runs.length + 1)
    return answer(runs.length)
  })
  return { app, runs }
}

export const created = (run: number): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson({ receipt: run }, {
    status: 201,
    headers: { location: `/receipts/${run}` }
  })

export const withCookie = (
  response: HttpServerResponse.HttpServerResponse
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.setHeader(
    HttpServerResponse.replaceCookies(response, Cookies.fromSetCookie(["session=s1; Path=/"])),
    "x-request-id",
    "r-1"
  )
