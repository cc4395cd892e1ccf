/**
 * Classifies the failures of Widget Session: for the program, for operators, and for the user of
 * the widget.
 */
import * as Playbook from "../../errors/Playbook.js"
import * as Incident from "../../observability/Incident.js"
import type * as UserMessage from "../../observability/UserMessage.js"

/**
 * The table of status codes. 401, 403, 404 and 422 are not retried; 429, 500, 502, 503 and 504 are.
 *
 * @since 0.1.0
 * @category failures
 */
export const playbook: Playbook.Playbook = Playbook.extend(Playbook.standard, {
  name: "Widget Session",
  byStatus: {
    401: Playbook.entry(401, {
      meaning: "Unauthorized: the signature is invalid",
      action: "Do not retry. Walk through the debug checklist (diagnose401).",
      userMessage: "The widget could not be opened. Our team has been told."
    }),
    403: Playbook.entry(403, {
      meaning: "Forbidden: the domain is not whitelisted for tokenized widget access",
      action: "Do not retry. Have the domain whitelisted.",
      userMessage: "The widget is not available on this site."
    }),
    404: Playbook.entry(404, {
      meaning: "Not found: the partner does not exist or is inactive",
      action: "Do not retry. Check the partner id.",
      userMessage: "The widget is not available at the moment."
    }),
    422: Playbook.entry(422, {
      meaning: "Validation failed: the payload is invalid",
      action:
        "Do not retry. Check required fields, email format, company and candidates (diagnose422)."
    }),
    429: Playbook.entry(429, { meaning: "Too many requests: the rate limit is exceeded" }),
    500: Playbook.entry(500, { meaning: "Internal server error" }),
    502: Playbook.entry(502, { meaning: "Bad gateway" }),
    503: Playbook.entry(503, { meaning: "Service unavailable" }),
    504: Playbook.entry(504, { meaning: "Gateway timeout" })
  }
})

/**
 * What users read, beside the sentences of the playbook.
 *
 * @since 0.1.0
 * @category failures
 */
export const messages: UserMessage.Catalogue = {
  en: {
    Timeout: "The widget is taking longer than usual. Please try again in a moment.",
    Network: "The widget could not be reached. Please try again in a moment.",
    Rejected: "The widget is not available at the moment. Please try again in a moment."
  },
  de: {
    Auth: "Das Widget konnte nicht geöffnet werden. Unser Team ist informiert.",
    Policy: "Das Widget ist auf dieser Seite nicht verfügbar.",
    Validation: "Mit diesen Angaben konnte das Widget nicht geöffnet werden. Bitte prüfen Sie sie.",
    NotFound: "Das Widget ist zurzeit nicht verfügbar.",
    RateLimit: "Das Widget ist gerade sehr gefragt. Bitte versuchen Sie es gleich noch einmal.",
    Server: "Das Widget hat ein Problem. Bitte versuchen Sie es gleich noch einmal.",
    Timeout: "Das Widget braucht länger als üblich. Bitte versuchen Sie es gleich noch einmal.",
    Network: "Das Widget war nicht erreichbar. Bitte versuchen Sie es gleich noch einmal.",
    Rejected: "Das Widget ist zurzeit nicht verfügbar. Bitte versuchen Sie es gleich noch einmal."
  }
}

/**
 * Where to look when calls go on failing, for `Incident.make({ rules })`: the causes that the
 * document names as routes. There is none for polling, which this API has not.
 *
 * @since 0.1.0
 * @category failures
 */
export const incidentRules: ReadonlyArray<Incident.Rule> = [
  ...Incident.override(Incident.standardRules, {
    unauthorized: {
      route:
        "walk through the checklist for an invalid signature (diagnose401), first the secretKey " +
        "of the environment"
    },
    forbidden: { route: "have the domain whitelisted for tokenized widget access" },
    "not-found": { route: "check the partner id, and that the partner is active" }
  }).filter(({ name }) => name !== "polling-timeouts"),
  {
    name: "validation-errors",
    tags: ["Validation"],
    route: "investigate the payload: required fields, email format, company and candidates " +
      "(diagnose422)",
    count: 10,
    share: 0.2
  }
]

/**
 * Names whose values are secret, beside the defaults.
 *
 * @since 0.1.0
 * @category policies
 */
export const redactedNames: ReadonlyArray<string | RegExp> = [
  "secretKey",
  "signature",
  /session_?token/i
]
