/**
 * What is wrong with a request to Messaging before it is sent: the triggers of a 400 that show in
 * the request itself.
 */
import { isRecord } from "effect/Predicate"

/** What the body of each request cannot be without. */
const required = {
  sendMessage: ["template_id", "to"],
  sendOtp: ["to"],
  otherRoute: ["to"],
  verifyOtp: ["session_id", "otp"],
  submitForm: ["fields"]
} as const

/**
 * Only what surely is none is found: an address may be quoted, and then hold spaces and another
 * "@".
 */
const isEmail = (text: string): boolean => {
  const at = text.lastIndexOf("@")
  return text.slice(0, at + 1).trim().length > 1 && text.slice(at + 1).trim() !== "" &&
    !/[\p{Cc}\u2028\u2029]/u.test(text)
}

/** Where a request is wrong, and how. */
export interface Issue {
  readonly path: string
  readonly message: string
}

const isThere = (name: string, value: unknown): boolean =>
  name === "fields" ? isRecord(value) : typeof value === "string" && value.trim() !== ""

const isBlank = (value: unknown): boolean => typeof value === "string" && value.trim() === ""

/**
 * The fields that are required and absent or blank, and an address that is none. Nothing of the
 * values is repeated. What else makes an address valid is the API's business. Callers that are not
 * type-checked leave out anything.
 */
export const issuesOf = (
  operation: keyof typeof required,
  body: Readonly<Record<string, unknown>>
): ReadonlyArray<Issue> => {
  const names = new Set<string>([
    ...required[operation],
    ...Object.keys(body).filter((name) => isBlank(body[name]))
  ])
  const { to } = body
  return [
    ...missing(Object.fromEntries([...names].map((name) => [name, body[name]]))),
    ...(typeof to === "string" && !isBlank(to) && !isEmail(to)
      ? [{ path: "to", message: "is not a valid email address" }]
      : [])
  ]
}

/** Of texts that are given beside the body, those that are absent or blank. */
export const missing = (texts: Readonly<Record<string, unknown>>): ReadonlyArray<Issue> =>
  Object.keys(texts).flatMap((path) =>
    isThere(path, texts[path]) ? [] : [{ path, message: "is required" }]
  )
