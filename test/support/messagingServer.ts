/**
 * Messaging, played by a real HTTP server: it checks what its document says it checks.
 */
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Schema } from "effect"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

export const apiKey = "mk_live_SENTINEL-31b7"

/** The one that the first was replaced by. */
export const rotatedKey = "mk_live_SENTINEL-rotated-8d02"

/** One that may not send. */
export const narrowKey = "mk_live_SENTINEL-narrow-90"

export const otp = "SENTINEL-481516"

/**
 * What the server has on record: who got a code over which route, which messages and forms came in.
 */
interface Records {
  readonly otps: Array<string>
  readonly messages: Array<string>
  readonly forms: Array<string>
}

export interface Options {
  readonly script?: FlakyApi.Script
  /** The keys that are good. Default: the first one. */
  readonly keys?: () => ReadonlyArray<string>
  /** Routes whose transport is broken. */
  readonly broken?: ReadonlyArray<string>
  /** The duplicate mode of the forms. Default: `reject`. */
  readonly duplicates?: "reject" | "accept"
}

/** The document shows no body of an error; this is what many do. */
const refusal = (status: number, message: string) =>
  HttpServerResponse.unsafeJson({ message }, {
    status,
    headers: { "x-request-id": `req-${status}` }
  })

const Otp = Schema.Struct({ to: Schema.String, route: Schema.optional(Schema.String) })
const Verification = Schema.Struct({ session_id: Schema.String, otp: Schema.String })
const Message = Schema.Struct({ template_id: Schema.String, to: Schema.String })
const Form = Schema.Struct({ fields: Schema.Record({ key: Schema.String, value: Schema.String }) })

export const make = (options: Options = {}) =>
  Effect.gen(function*() {
    const records: Records = { otps: [], messages: [], forms: [] }
    const keys = options.keys ?? (() => [apiKey])

    const body = <A, I>(
      schema: Schema.Schema<A, I>,
      handler: (body: A, formId: string) => HttpServerResponse.HttpServerResponse
    ) =>
      Effect.gen(function*() {
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        const key = headers.authorization?.replace("Bearer ", "")
        if (key === narrowKey) return refusal(403, "Wrong key scope")
        if (key === undefined || !keys().includes(key)) {
          return refusal(401, `Expired or revoked key ${key}`)
        }
        const { formId = "" } = yield* HttpRouter.params
        return yield* Effect.match(HttpServerRequest.schemaBodyJson(schema), {
          onFailure: () => refusal(400, "Missing required fields"),
          onSuccess: (body) => handler(body, formId)
        })
      })

    const json = (value: unknown, status = 202) => HttpServerResponse.unsafeJson(value, { status })

    const sendOtp = body(Otp, ({ route = "direct", to }) => {
      if (!/@.+\./.test(to)) return refusal(400, `Invalid email format: ${to}`)
      if (options.broken?.includes(route) === true) {
        return refusal(502, "SMTP failure during direct OTP send")
      }
      records.otps.push(`${to} over ${route}`)
      return json({
        session_id: `otp-${records.otps.length}`,
        queue_id: `q-${records.otps.length}`
      })
    })

    const verify = body(Verification, ({ otp: given, session_id }) => {
      if (!/^otp-\d+$/.test(session_id)) return refusal(404, "Expired OTP session")
      return given === otp ? json({ verified: true }, 200) : refusal(400, `Wrong code ${given}`)
    })

    const send = body(Message, ({ template_id, to }) => {
      if (template_id !== "welcome") return refusal(404, "Unknown templateId")
      records.messages.push(to)
      return json({ queue_id: `q-${records.messages.length}` })
    })

    const submit = body(Form, ({ fields }, formId) => {
      if (formId === "inactive") return refusal(423, "Inactive form")
      if (formId === "full") return refusal(423, "Closed by response cap")
      const filled = JSON.stringify(fields)
      if (options.duplicates !== "accept" && records.forms.includes(filled)) {
        return refusal(409, "Duplicate form submission")
      }
      records.forms.push(filled)
      return json({
        submission_id: `f-${records.forms.length}`,
        queue_id: `q-${records.forms.length}`
      })
    })

    const router = HttpRouter.empty.pipe(
      HttpRouter.post("/v1/otp", sendOtp),
      HttpRouter.post("/v1/otp/verify", verify),
      HttpRouter.post("/v1/messages", send),
      HttpRouter.post("/v1/forms/:formId/submissions", submit)
    )
    const api = yield* FlakyApi.make({ app: router, script: options.script })
    return { ...api, records }
  })
