/**
 * The API of a messaging product (templated messages, one-time codes, forms): its status code
 * playbook, capped backoff with jitter, a fallback route for codes, credentials that are replaced
 * when they are refused, cooldown messages, and a record of each failure that names the key and
 * does not show it.
 *
 * Its document names no paths and no bodies. Override the paths used here with `paths`. Only the
 * needed fields of answers are read. It says nothing about idempotency keys, and asks for retries
 * of 5xx, which leave open whether a message went out. So calls carry a key and are repeated under
 * it. Give `writes: Operation.once` for an API that ignores keys; then only what certainly was not
 * executed is repeated.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as ApiError from "../errors/ApiError.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Incident from "../observability/Incident.js"
import * as Telemetry from "../observability/Telemetry.js"
import * as Fallback from "../policies/Fallback.js"
import * as Calls from "./messaging/calls.js"
import { credential, keyFingerprint } from "./messaging/credential.js"
import * as Models from "./messaging/models.js"
import { defaults, type Failure, type Options } from "./messaging/options.js"
import { incidentRules, integration } from "./messaging/playbook.js"
import * as Input from "./shared/input.js"

export { keyFingerprint } from "./messaging/credential.js"
export {
  correlation,
  FormSubmitted,
  MessageSent,
  OtpSession,
  OtpVerified
} from "./messaging/models.js"
export type { FormSubmission, Message, OtpRequest, OtpSent } from "./messaging/models.js"
export { operations } from "./messaging/operations.js"
export type { OperationName, Policy, Rule } from "./messaging/operations.js"
export { defaults } from "./messaging/options.js"
export type { Failure, Options } from "./messaging/options.js"
export { incidentRules, playbook, redactedNames, userMessage } from "./messaging/playbook.js"
export type { About } from "./messaging/playbook.js"

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

/**
 * What the caller knows about the call, and the error does not.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogContext extends Omit<Telemetry.Context, "integration"> {
  /** The id of the message in the queue. */
  readonly queueId?: string | undefined
  /** The fingerprint of the API key. */
  readonly keyFingerprint?: string | undefined
}

/**
 * Fields of a log line, for `Effect.annotateLogs`. Unknown fields are absent.
 *
 * @since 0.1.0
 * @category models
 */
export type LogFields = Telemetry.Fields

const known = <A>(fields: Readonly<Record<string, A | undefined>>): Readonly<Record<string, A>> =>
  Record.filter(fields, (value) => value !== undefined)

/**
 * Collects the fields to log about a failure: names and numbers; nothing that was sent, and no text
 * of the API. The client's `record` has more.
 *
 * @since 0.1.0
 * @category failures
 */
export const logFields = (
  error: unknown,
  { keyFingerprint, queueId, ...context }: LogContext = {}
): LogFields => ({
  ...Telemetry.fields(error, { ...context, integration }),
  ...known({ queueId, keyFingerprint })
})

/**
 * Tests whether the transport behind the API failed (502). Another route may work then. Use
 * `Fallback.orElse` for a route of another API.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUpstreamFailure = (error: unknown): error is ApiError.Server =>
  ApiError.isApiError(error) && error._tag === "Server" && error.status === 502

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

/**
 * The API as its callers see it. `W` is what calls demand: an idempotency key, unless `writes`
 * overrides it.
 *
 * **Details**
 *
 * - `sendOtp`: when the route still fails with 502 after the retries, or its circuit is open, the
 *   client tries the `fallbackRoute` once, under a key derived from the caller's. It does not try
 *   the route that failed again. When the fallback fails too, the call fails with its error. The
 *   answer names the route.
 * - An absent or blank required field, an invalid address, or an id that cannot be in a path fails
 *   with `Validation`, and nothing is sent.
 * - `keyFingerprint` identifies the API key in use.
 * - `record`: collects what to keep of a failure for debugging: status, endpoint, the fingerprint
 *   of the key in use, the API's own message without what was sent. `body: true` adds the body of
 *   the answer, without the keys of this client and the values of secret names.
 *
 * **Gotchas**
 *
 * After a 502 the first code may have been sent as well. Each code has a session; use the session
 * of the answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Messaging<W = IdempotencyKey.IdempotencyKey> {
  /** Sends a message from a template. */
  readonly sendMessage: (message: Models.Message) => Effect.Effect<Models.MessageSent, Failure, W>
  /**
   * Sends a code. Tries the `fallbackRoute` once when the route fails with 502 or its circuit is
   * open.
   */
  readonly sendOtp: (request: Models.OtpRequest) => Effect.Effect<Models.OtpSent, Failure, W>
  /** Checks a code. */
  readonly verifyOtp: (
    attempt: {
      /** The session of the code, from `sendOtp`. */
      readonly sessionId: string
      /** The code that the user typed, redacted. */
      readonly otp: Redacted.Redacted<string>
    }
  ) => Effect.Effect<Models.OtpVerified, Failure, W>
  /** Submits a form. */
  readonly submitForm: (
    submission: Models.FormSubmission
  ) => Effect.Effect<Models.FormSubmitted, Failure, W>
  /** Reads the fingerprint of the API key in use. */
  readonly keyFingerprint: Effect.Effect<string>
  /**
   * Collects what to log of a failure: status, endpoint, key fingerprint and the message without
   * secrets.
   */
  readonly record: (
    error: unknown,
    options?: LogContext & {
      /** Adds the body of the answer, without secrets. Default false. */
      readonly body?: boolean | undefined
    }
  ) => Effect.Effect<LogFields>
}

/**
 * Another route is another call: under the key of the first it would be answered with what the
 * first was.
 */
const underOwnKey =
  (route: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.contextWithEffect((context: Context.Context<never>): Effect.Effect<A, E, R> =>
      Option.match(Calls.keyIn(context), {
        onNone: () => self,
        onSome: (key) => IdempotencyKey.provide(self, IdempotencyKey.derive(key, `route ${route}`))
      })
    )

/**
 * Makes a client of the API.
 *
 * **Details**
 *
 * Every call has a time limit for each attempt, its body included, and one for all attempts.
 * Invalid options die with `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <W = IdempotencyKey.IdempotencyKey>(
  options: Options<W>
): Effect.Effect<Messaging<W>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const key = yield* credential(options.apiKey, options.renewKey)
    const detector = yield* Incident.from(options.detector, incidentRules)
    const { bodies, call } = yield* Calls.make(options, key, detector)
    const fingerprint = Effect.suspend(() => keyFingerprint(key.current()))

    const sendOver = (
      name: "sendOtp" | "otherRoute",
      to: string | undefined,
      route: string | undefined,
      issues?: ApiError.Validation["issues"]
    ) =>
      Effect.map(
        call(
          name,
          Models.OtpSession,
          { to, ...(route === undefined ? {} : { route }) },
          {},
          issues
        ),
        (session): Models.OtpSent => ({
          ...session,
          route: route ?? defaults.route,
          isFallback: name === "otherRoute"
        })
      )

    return {
      sendMessage: (message) => {
        const { templateId, to, variables } = Input.fieldsOf(message)
        return call("sendMessage", Models.MessageSent, {
          template_id: templateId,
          to,
          ...(variables === undefined ? {} : { variables })
        })
      },
      sendOtp: (request) => {
        const { fallbackRoute, route, to } = Input.fieldsOf(request)
        const issues = fallbackRoute === undefined ? [] : Models.missing({ fallbackRoute })
        const first = sendOver("sendOtp", to, route, issues)
        // Over the same route it would be one more try of what has been given up.
        return fallbackRoute === undefined || fallbackRoute === (route ?? defaults.route) ?
          first :
          Fallback.orElse(first, {
            when: (error) => isUpstreamFailure(error) || error._tag === "CircuitOpen",
            orElse: () => underOwnKey(fallbackRoute)(sendOver("otherRoute", to, fallbackRoute))
          })
      },
      verifyOtp: (attempt) => {
        const { otp, sessionId } = Input.fieldsOf(attempt)
        return call("verifyOtp", Models.OtpVerified, {
          session_id: sessionId,
          otp: Redacted.isRedacted(otp) ? Redacted.value(otp) : otp
        })
      },
      submitForm: (submission) => {
        const { fields, formId = "" } = Input.fieldsOf(submission)
        return call(
          "submitForm",
          Models.FormAnswer,
          { fields },
          { formId },
          typeof submission?.formId === "string" ? [] : Models.missing({ formId: undefined })
        )
      },
      keyFingerprint: fingerprint,
      record: (error, { body, ...context } = {}) =>
        Effect.map(fingerprint, (keyFingerprint) => {
          const api = ApiError.isApiError(error) ? error : undefined
          const text = body === true && api !== undefined ? bodies.textOf(api) : undefined
          return {
            ...logFields(error, { keyFingerprint, ...context }),
            ...known({ code: api?.code, message: api?.message, body: text })
          }
        })
    }
  })
