/**
 * Classifies the failures of Messaging: for the program, for operators, and for the person who
 * waits for a code or has sent a form.
 */
import * as Record from "effect/Record"
import * as ApiError from "../../errors/ApiError.js"
import * as Playbook from "../../errors/Playbook.js"
import * as Incident from "../../observability/Incident.js"
import * as UserMessage from "../../observability/UserMessage.js"

/** What the API is called. */
export const integration = "messaging"

const routes = {
  unauthorized: "check for credential drift: rotation, expiry, revoked keys",
  forbidden:
    "check for credential drift: key scope, sender verification, IP allowlist, endpoint policy",
  rateLimited: "plan capacity: bursts, OTP retries, the daily cap of the SMTP warmup",
  upstream: "escalate: the SMTP transport fails, check the route and its fallback",
  unavailable:
    "alert the operations team: transport outage, SMTP configuration, queue freeze, maintenance"
}

const notSent = "This could not be sent. Please try again in a moment."

/**
 * The status code playbook. 429, 500, 502 and 503 are retried; nothing else in it is.
 *
 * @since 0.1.0
 * @category failures
 */
export const playbook: Playbook.Playbook = Playbook.extend(Playbook.standard, {
  name: "Messaging",
  byStatus: {
    400: Playbook.entry(400, {
      meaning: "Validation: the request payload or query is malformed",
      action: "Do not retry blindly. Fix payload generation and validate before sending."
    }),
    401: Playbook.entry(401, {
      meaning: "Auth: the credential is missing, malformed, or invalid",
      action: "Refresh or rotate credentials. Alert if this spikes in production.",
      userMessage: "This could not be sent. Our team has been told.",
      alert: routes.unauthorized
    }),
    403: Playbook.entry(403, {
      meaning: "Policy / scope: the caller is authenticated but not allowed",
      action: "Check key scope and endpoint policy; do not retry until policy is fixed.",
      userMessage: "This could not be sent. Our team has been told.",
      alert: routes.forbidden
    }),
    404: Playbook.entry(404, {
      meaning: "Not found: the resource id does not exist or is expired",
      action: "Treat as terminal; request a new resource or session.",
      userMessage: "This is not there any more. Please start again."
    }),
    409: Playbook.entry(409, {
      meaning: "Conflict: the request conflicts with server state",
      action: "Surface clear UX and avoid automatic retries.",
      userMessage: "This has been submitted already."
    }),
    423: Playbook.entry(423, {
      meaning: "Locked/closed: the resource is disabled or limit-closed",
      action: "Show a user-facing closed message and route to the support channel.",
      userMessage: "This is closed at the moment."
    }),
    429: Playbook.entry(429, {
      meaning: "Rate / quota: the request exceeded a rate limit or quota window",
      action: "Use exponential backoff + jitter and user-visible cooldown messaging.",
      userMessage: "This has been used a lot just now. Please try again in a moment.",
      alert: routes.rateLimited
    }),
    500: Playbook.entry(500, {
      meaning: "Server: unexpected internal error",
      action: "Retry with backoff and log correlation id and context.",
      userMessage: notSent
    }),
    502: Playbook.entry(502, {
      meaning: "Upstream: the upstream transport failed",
      action: "Retry with fallback route and escalate if sustained.",
      userMessage: notSent,
      alert: routes.upstream
    }),
    503: Playbook.entry(503, {
      meaning: "Unavailable: the service is temporarily unavailable",
      action: "Retry later and alert operations team.",
      userMessage: notSent,
      alert: routes.unavailable
    })
  }
})

/** At once: within a minute, compared with a quarter of an hour. */
const spike = { ...Incident.credentialSpike, within: "1 minute", baseline: "15 minutes" } as const

/**
 * What the document asks to be alerted of, for `Incident.make({ rules })`: sudden spikes of 401 and
 * 403, whatever share of the answers they are, 429 as a trend, spikes of 503, and 502 when it is
 * sustained.
 *
 * @since 0.1.0
 * @category failures
 */
export const incidentRules: ReadonlyArray<Incident.Rule> = [
  { ...spike, name: "unauthorized", tags: ["Auth"], route: routes.unauthorized },
  { ...spike, name: "forbidden", tags: ["Policy"], route: routes.forbidden },
  {
    name: "rate-limited",
    tags: ["RateLimit"],
    route: routes.rateLimited,
    count: 10,
    share: 0.05,
    growth: 2
  },
  {
    name: "smtp-outage",
    tags: ["Server"],
    statuses: [503],
    route: routes.unavailable,
    within: "1 minute",
    share: 0.2
  },
  {
    name: "upstream-sustained",
    tags: ["Server"],
    statuses: [502],
    route: routes.upstream,
    count: 10,
    within: "10 minutes",
    share: 0.1
  }
]

/**
 * Names whose values are secret, beside the defaults: who is written to, the code, what is written,
 * what was filled in.
 *
 * **Gotchas**
 *
 * Values sent under these names are removed from the API's messages wherever they occur, also where
 * a short text occurs by chance.
 *
 * @since 0.1.0
 * @category policies
 */
export const redactedNames: ReadonlyArray<string | RegExp> = [
  "to",
  "email",
  "phone",
  "otp",
  "variables",
  "fields"
]

// -----------------------------------------------------------------------------
// what people read
// -----------------------------------------------------------------------------

/**
 * What a person was doing: waiting for a message, signing in with a code, sending a form.
 *
 * @since 0.1.0
 * @category models
 */
export type About = "message" | "otp" | "form"

type Sentences = Readonly<Record<"en" | "de", NonNullable<UserMessage.Catalogue[string]>>>

const general: Sentences = {
  en: {},
  de: {
    Auth: "Das konnte nicht gesendet werden. Unser Team ist informiert.",
    Policy: "Das konnte nicht gesendet werden. Unser Team ist informiert.",
    NotFound: "Das gibt es nicht mehr. Bitte beginnen Sie von vorn.",
    RateLimit: "Das wurde gerade sehr oft benutzt. Bitte versuchen Sie es gleich noch einmal.",
    Server: "Das konnte nicht gesendet werden. Bitte versuchen Sie es gleich noch einmal."
  }
}

const particular: Readonly<Record<About, Sentences>> = {
  message: { en: {}, de: {} },
  otp: {
    en: {
      Validation: "This address or code is not valid. Please check it and try again.",
      NotFound: "This code has expired. Please ask for a new one.",
      RateLimit: "You have asked for several codes. Please try again in a moment.",
      Server: "The code could not be sent. Please try again in a moment."
    },
    de: {
      Validation:
        "Diese Adresse oder dieser Code ist nicht gültig. Bitte prüfen Sie sie und versuchen Sie " +
        "es noch einmal.",
      NotFound: "Dieser Code ist abgelaufen. Bitte fordern Sie einen neuen an.",
      RateLimit: "Sie haben mehrere Codes angefordert. Bitte versuchen Sie es gleich noch einmal.",
      Server: "Der Code konnte nicht gesendet werden. Bitte versuchen Sie es gleich noch einmal."
    }
  },
  form: {
    en: {
      NotFound: "This form does not exist any more.",
      Conflict: "This form has been sent already.",
      Locked: "This form is closed at the moment.",
      RateLimit: "This form has been sent several times. Please try again in a moment.",
      Server: "The form could not be sent. Please try again in a moment."
    },
    de: {
      NotFound: "Dieses Formular gibt es nicht mehr.",
      Conflict: "Dieses Formular wurde bereits gesendet.",
      Locked: "Dieses Formular ist zurzeit geschlossen.",
      RateLimit:
        "Dieses Formular wurde mehrmals gesendet. Bitte versuchen Sie es gleich noch einmal.",
      Server:
        "Das Formular konnte nicht gesendet werden. Bitte versuchen Sie es gleich noch einmal."
    }
  }
}

const closed = { en: "This is closed at the moment.", de: "Das ist zurzeit geschlossen." }

const contact = {
  en: (support: string) => `If you have questions, please contact ${support}.`,
  de: (support: string) => `Bei Fragen wenden Sie sich bitte an ${support}.`
}

/** What a call was about, by the template that it was filed under. */
const aboutOf = (error: unknown): About => {
  const endpoint = ApiError.isApiError(error) ? error.endpoint ?? "" : ""
  if (/\/otp\b/.test(endpoint)) return "otp"
  return /\/forms?\b/.test(endpoint) ? "form" : "message"
}

/**
 * Makes the sentence that a person may read about a failure: safe, not technical, in English or
 * German; general sentences in other languages. See `UserMessage.of`.
 *
 * **Details**
 *
 * - `about`: what the person was doing. Default: read from the path of the call, `/otp` or
 *   `/forms`.
 * - `support`: where to turn to when something is closed (423), such as an address.
 * - The sentence about a throttle names the wait where the API does.
 *
 * **Example** (A cooldown, and a closed form)
 *
 * ```ts
 * import { Duration } from "effect"
 * import { ApiError } from "effect-resilience"
 * import * as Messaging from "effect-resilience/api/Messaging"
 *
 * const throttled = new ApiError.RateLimit({
 *   message: "otp_retry",
 *   status: 429,
 *   retryAfter: Duration.seconds(45)
 * })
 * const locked = new ApiError.Locked({
 *   message: "cap",
 *   status: 423,
 *   endpoint: "/v1/forms/:formId/submissions"
 * })
 *
 * const cooldown = Messaging.userMessage(throttled, { about: "otp" })
 * cooldown // => "You have asked for several codes. Please try again in 45 seconds."
 * const closed = Messaging.userMessage(locked, { support: "help@acme.example" }).split(". ")
 * closed[0] // => "This form is closed at the moment"
 * closed[1] // => "If you have questions, please contact help@acme.example."
 * ```
 *
 * @since 0.1.0
 * @category failures
 */
export const userMessage = (error: unknown, options: {
  /** What the person was doing. Default: read from the path of the call. */
  readonly about?: About | undefined
  /** Where to turn to when something is closed (423), such as an address. Default: none. */
  readonly support?: string | undefined
  /** The language of the user, as a BCP 47 tag, or several by preference. Default `en`. */
  readonly locale?: UserMessage.Options["locale"]
} = {}): string => {
  const { locale, support } = options
  const about = options.about ?? aboutOf(error)
  const catalogue = Record.map(general, (sentences, language) => {
    const said = { ...sentences, ...particular[about][language] }
    return support === undefined
      ? said
      : { ...said, Locked: `${said.Locked ?? closed[language]} ${contact[language](support)}` }
  })
  return UserMessage.of(error, { playbook, catalogue, locale })
}
