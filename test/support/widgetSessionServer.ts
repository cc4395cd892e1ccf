/**
 * Widget Session, played by a real HTTP server: it checks what its document says it checks, in this
 * order: the partner, the domain, the payload, the signature.
 */
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Option, Redacted, Schema } from "effect"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { createHmac } from "node:crypto"

/** A partner as the server knows it. */
export interface Partner {
  readonly partnerId: string
  readonly secretKey: Redacted.Redacted<string>
  readonly domain: string
}

export const partner: Partner = {
  partnerId: "partner-1024",
  secretKey: Redacted.make("SENTINEL-widget-secret-8d"),
  domain: "https://app.example.com"
}

const refuse = (status: number, message: string) =>
  HttpServerResponse.unsafeJson({ message }, { status })

const hmac = (secret: Redacted.Redacted<string>, text: string): string =>
  createHmac("sha256", Redacted.value(secret)).update(text).digest("hex")

/**
 * The one endpoint. Signatures are checked with node:crypto, which is not what the client signs
 * with.
 */
export const createSession = ({ domain, partnerId, secretKey }: Partner) =>
  Effect.gen(function*() {
    const { partnerId: asked } = yield* HttpRouter.params
    if (asked !== partnerId) return refuse(404, "Partner not found or inactive")
    const request = yield* HttpServerRequest.HttpServerRequest
    if (request.headers.origin !== domain) return refuse(403, "Domain not whitelisted")
    const body = yield* Effect.option(
      Effect.flatMap(request.json, Schema.decodeUnknown(WidgetSession.Request))
    )
    if (Option.isNone(body)) return refuse(422, "Validation failed")
    const { signature, user } = body.value
    return signature === hmac(secretKey, WidgetSession.canonicalString(partnerId, user))
      ? HttpServerResponse.unsafeJson({
        session_id: `SES-${user.user_id}`,
        session_token: `token-${user.user_id}`
      })
      : refuse(401, "Invalid signature")
  })

export const path = "/v1/partners/:partnerId/sessions"

export const make = (options: { readonly script?: FlakyApi.Script | undefined } = {}) =>
  FlakyApi.make({
    app: HttpRouter.empty.pipe(HttpRouter.post(path, createSession(partner))),
    script: options.script
  })
