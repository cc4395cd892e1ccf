/** Classifies the failures of Site Chat: for the program, for operators, and for the visitor. */
import * as Playbook from "../../errors/Playbook.js"
import * as Incident from "../../observability/Incident.js"
import type * as UserMessage from "../../observability/UserMessage.js"

const routeOf = (name: string): string | undefined =>
  Incident.standardRules.find((rule) => rule.name === name)?.route

const serverError = (status: number): Playbook.Entry =>
  Playbook.entry(status, {
    meaning: "Temporary server-side or upstream failure",
    action: "Retry with bounded exponential backoff for safely repeatable operations.",
    userMessage: "The chat has a problem. Please try again in a moment.",
    alert: routeOf("server-errors")
  })

/** What the API is called. */
export const integration = "site-chat"

/**
 * The table of status codes. 429 and 5xx are retried, within the bounds of each operation, and so
 * is 408, which is a time-out. Nothing else is: 425, which HTTP takes for a passing one, is no 5xx.
 *
 * @since 0.1.0
 * @category failures
 */
export const playbook: Playbook.Playbook = Playbook.extend(Playbook.standard, {
  name: "Site Chat",
  byStatus: {
    400: Playbook.entry(400, {
      meaning: "Invalid request payload, missing field, or malformed input",
      action: "Fix request construction. Do not retry without changing the request.",
      userMessage: "We could not process this. Please change it and try again."
    }),
    401: Playbook.entry(401, {
      meaning: "Missing or invalid authentication",
      action: "Treat as a configuration or credential incident. Do not retry.",
      userMessage: "The chat is not available at the moment. Our team has been told.",
      alert: routeOf("unauthorized")
    }),
    403: Playbook.entry(403, {
      meaning: "Valid identity, but the action is not allowed",
      action: "Check plan, tenant access, site access, or allowed capability. Do not retry.",
      userMessage: "The chat is not available here.",
      alert: routeOf("forbidden")
    }),
    404: Playbook.entry(404, {
      meaning: "Tenant, site, request, or document was not found in the requested scope",
      action: "Check identifiers and ownership. Do not retry.",
      userMessage: "We could not find this conversation.",
      alert: routeOf("not-found")
    }),
    409: Playbook.entry(409, {
      meaning: "Conflict",
      action: "Check whether the resource already exists or whether the operation is duplicated.",
      userMessage: "This has been sent already."
    }),
    425: Playbook.entry(425, {
      repeat: "never",
      action: "Do not retry: the document retries 429 and 5xx only."
    }),
    429: Playbook.entry(429, {
      meaning: "Too many requests",
      action: "Retry with bounded exponential backoff and jitter.",
      userMessage: "The chat is busy. Please try again in a moment.",
      alert: routeOf("rate-limited")
    }),
    500: serverError(500),
    502: serverError(502),
    503: serverError(503),
    504: serverError(504)
  }
})

/**
 * Where to look when failures repeat: the incident routing of the document, for
 * `Incident.make({ rules })`.
 *
 * @since 0.1.0
 * @category failures
 */
export const incidentRules: ReadonlyArray<Incident.Rule> = Incident.standardRules

/**
 * What visitors read, beside the sentences of the playbook.
 *
 * @since 0.1.0
 * @category failures
 */
export const messages: UserMessage.Catalogue = {
  en: {
    Timeout: "The chat is taking longer than usual. Please try again in a moment.",
    Network: "The chat could not be reached. Please try again in a moment.",
    Rejected: "The chat is not available at the moment. Please try again in a moment.",
    Pending: "Your answer is taking longer than usual. We are still working on it."
  },
  de: {
    Auth: "Der Chat ist zurzeit nicht verfügbar. Unser Team ist informiert.",
    Policy: "Der Chat ist hier nicht verfügbar.",
    Validation:
      "Wir konnten das nicht verarbeiten. Bitte ändern Sie es und versuchen Sie es noch einmal.",
    NotFound: "Wir konnten dieses Gespräch nicht finden.",
    Conflict: "Das wurde bereits gesendet.",
    RateLimit: "Der Chat ist ausgelastet. Bitte versuchen Sie es gleich noch einmal.",
    Server: "Der Chat hat ein Problem. Bitte versuchen Sie es gleich noch einmal.",
    Timeout: "Der Chat braucht länger als üblich. Bitte versuchen Sie es gleich noch einmal.",
    Network: "Der Chat war nicht erreichbar. Bitte versuchen Sie es gleich noch einmal.",
    Rejected: "Der Chat ist zurzeit nicht verfügbar. Bitte versuchen Sie es gleich noch einmal.",
    Pending: "Ihre Antwort dauert länger als üblich. Wir arbeiten noch daran."
  }
}

/**
 * Names whose values are secret, beside the defaults: keys, secret configuration, what customers
 * wrote and who they are, the content of documents.
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
  /^api_?key$/i,
  /^config(uration)?$/i,
  "customer",
  "visitor",
  "email",
  "phone",
  "message",
  "comment",
  "title",
  "content",
  "question",
  "answer",
  "file"
]
