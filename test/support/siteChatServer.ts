/**
 * Site Chat, played by a real HTTP server: it checks what its document says it checks, and says no
 * in its words.
 */
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Schema } from "effect"
import type * as SiteChat from "effect-resilience/api/SiteChat"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

export const apiKey = "SENTINEL-site-chat-key-5fe1"

export const known = { tenantId: "acme", siteId: "shop" }

/** What the server has on record. */
interface Records {
  readonly documents: Array<string>
  readonly feedback: Array<string>
  readonly asked: Array<string>
  readonly closed: Array<string>
  polls: number
}

export interface Options {
  readonly script?: FlakyApi.Script
  /** What a poll is answered with, by its number from 0. Default: done at the third. */
  readonly job?: (poll: number) => typeof SiteChat.Job.Encoded["state"] | string
}

const text = Schema.NonEmptyTrimmedString
const Written = Schema.Union(
  Schema.Struct({ source_id: text, kind: Schema.Literal("text"), title: text, content: text }),
  Schema.Struct({ source_id: text, kind: Schema.Literal("qa"), question: text, answer: text })
)
const Asked = Schema.Struct({ message: text, session_id: Schema.optional(text) })
const Feedback = Schema.Struct({
  event_id: text,
  session_id: text,
  rating: Schema.Literal("up", "down"),
  comment: Schema.optional(Schema.String)
})

let failures = 0

/**
 * `error` is a text or a small object, and there is a request id or there is none: all of them
 * occur.
 */
const refusal = (status: number, message: string) => {
  const request_id = `req-fail-${++failures}`
  return HttpServerResponse.unsafeJson(
    status === 409 ? { error: message } : status === 404
      ? { error: message, request_id }
      : { error: { message, code: `code_${status}` }, request_id },
    { status }
  )
}

const site = "/v1/tenants/:tenantId/sites/:siteId"

export const make = (options: Options = {}) =>
  Effect.gen(function*() {
    const records: Records = { documents: [], feedback: [], asked: [], closed: [], polls: 0 }
    const job = options.job ?? ((poll: number) => poll < 2 ? "running" : "completed")

    /** Who asks, and whether they may. */
    const allowed = <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
      Effect.gen(function*() {
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        const { siteId, tenantId } = yield* HttpRouter.params
        if (headers.authorization !== `Bearer ${apiKey}`) {
          return refusal(401, "Missing or invalid authentication")
        }
        if (tenantId !== known.tenantId) {
          return refusal(404, "Tenant not found")
        }
        if (siteId === "private") return refusal(403, "This key has no access to the site")
        if (siteId !== undefined && siteId !== known.siteId) return refusal(404, "Site not found")
        return yield* handler
      })

    const body = <A, I>(
      schema: Schema.Schema<A, I>,
      handler: (body: A) => HttpServerResponse.HttpServerResponse
    ) =>
      allowed(
        HttpServerRequest.schemaBodyJson(schema).pipe(
          Effect.match({
            onFailure: () => refusal(400, "Invalid request payload"),
            onSuccess: handler
          })
        )
      )

    const create = (sourceId: string) => {
      if (records.documents.includes(sourceId)) {
        return refusal(409, "A document of this source exists")
      }
      records.documents.push(sourceId)
      return HttpServerResponse.unsafeJson({ document_id: `doc-${records.documents.length}` }, {
        status: 201
      })
    }

    const upload = Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const raw = yield* Effect.orDie(request.text)
      const sourceId = /name="source_id"\r\n\r\n([^\r]+)/.exec(raw)?.[1]
      return sourceId === undefined || !raw.includes("filename=")
        ? refusal(400, "Missing field")
        : create(sourceId)
    })

    const json = (value: unknown, status = 200) => HttpServerResponse.unsafeJson(value, { status })

    const poll = Effect.gen(function*() {
      const { requestId } = yield* HttpRouter.params
      if (!records.asked.includes(requestId ?? "")) return refusal(404, "Request not found")
      const status = job(records.polls++)
      return json(status === "completed" ? { status, answer: "We open at nine." } : { status })
    })

    const router = HttpRouter.empty.pipe(
      HttpRouter.get(
        "/v1/tenants/:tenantId",
        allowed(Effect.succeed(json({ tenant_id: "acme", name: "Acme" })))
      ),
      HttpRouter.get(site, allowed(Effect.succeed(json({ site_id: "shop" })))),
      HttpRouter.get(`${site}/sessions`, allowed(Effect.succeed(json([{ session_id: "s-1" }])))),
      HttpRouter.get(`${site}/statistics`, allowed(Effect.succeed(json({ chats: 3 })))),
      HttpRouter.post(`${site}/documents`, body(Written, ({ source_id }) => create(source_id))),
      HttpRouter.post(`${site}/documents/files`, allowed(upload)),
      HttpRouter.post(
        `${site}/chat`,
        body(Asked, ({ message }) => {
          records.asked.push(message)
          return json({ answer: "We open at nine.", session_id: "s-1" })
        })
      ),
      HttpRouter.post(
        `${site}/chat/async`,
        body(Asked, () => {
          const requestId = `req-${records.asked.length + 1}`
          records.asked.push(requestId)
          return json({ request_id: requestId }, 202)
        })
      ),
      HttpRouter.get(`${site}/chat/async/:requestId`, allowed(poll)),
      HttpRouter.post(
        `${site}/feedback`,
        body(Feedback, ({ event_id }) => {
          records.feedback.push(event_id)
          return HttpServerResponse.empty({ status: 204 })
        })
      ),
      HttpRouter.post(
        `${site}/sessions/:sessionId/close`,
        allowed(Effect.map(HttpRouter.params, ({ sessionId = "" }) => {
          records.closed.push(sessionId)
          return HttpServerResponse.empty({ status: 204 })
        }))
      )
    )
    const api = yield* FlakyApi.make({ app: router, script: options.script })
    return { ...api, records }
  })
