/**
 * What each case must end with, written down from the rules alone (E1 to E14, E26, E28, E32). It
 * knows nothing of `src`.
 */
import { type Case, isBodiless } from "./cases.js"
import type { Wait } from "./waits.js"

export type Tag =
  | "Auth"
  | "Policy"
  | "Validation"
  | "NotFound"
  | "Conflict"
  | "Locked"
  | "RateLimit"
  | "Server"
  | "Timeout"
  | "Network"

/** What the client below ours made of the last answer: a status, a failure, or nothing at all. */
export type Seen = number | "failed" | "nothing"

/** One way in which a case may end. `anything` is a corner of which the rules say nothing. */
export interface Ending {
  readonly tag: Tag | "success"
  readonly code?: string | undefined
  readonly verdict: "transient" | "terminal" | "anything"
  readonly ambiguous: boolean | "anything"
  readonly mayHaveRun: boolean | "anything"
  readonly wait: Wait | undefined | "anything"
}

/** E1. */
const tagOf = (status: number): Tag => {
  if ([401, 407].includes(status)) return "Auth"
  if ([402, 403, 451].includes(status)) return "Policy"
  if ([404, 410].includes(status)) return "NotFound"
  if ([409, 412].includes(status)) return "Conflict"
  if (status === 423) return "Locked"
  if (status === 429) return "RateLimit"
  if (status === 408) return "Timeout"
  return status >= 400 && status <= 499 && status !== 425 ? "Validation" : "Server"
}

const inClass = (status: number, hundreds: number): boolean => Math.floor(status / 100) === hundreds

/** E2. */
const passes = (status: number): boolean =>
  [408, 425, 429].includes(status) ||
  (inClass(status, 5) && ![501, 505, 506, 508, 510, 511].includes(status))

/** E4: what the status leaves open. */
const leavesOpen = (status: number): boolean | "anything" =>
  inClass(status, 4) ? false : [501, 505].includes(status) ? "anything" : true

/** The words of bodies that the standard playbook knows (E5). */
const words: ReadonlyMap<string, Tag> = new Map<string, Tag>([
  ["authentication_error", "Auth"],
  ["validation_error", "Validation"],
  ["not_found_error", "NotFound"],
  ["rate_limit_error", "RateLimit"],
  ["server_error", "Server"]
])

const inFlight = ["idempotency_key_in_use", "urn:effect-resilience:idempotency:in-flight"]

/** How much of an error body is read (E5). */
const maxBody = 65_536

/** Whether the bytes that arrive are those of the body. */
export const arrivesWhole = (at: Case): boolean | "anything" => {
  if (isBodiless(at)) return true
  if (at.framing === "odd" || at.framing === "long" || at.head === "odd") return "anything"
  if (at.encoding === "true" || at.encoding === "lie") {
    // Of the three, fetch alone undoes an encoding.
    const isUndone = at.wire === "fetch"
    if (isUndone !== (at.encoding === "true")) {
      // A few bytes may happen to be of the encoding.
      return isUndone && at.body.bytes.length < 16 ? "anything" : false
    }
  }
  return at.framing === "whole"
}

/** E5: what the body says; nothing where none of it can be read. */
const meanings = (at: Case): ReadonlyArray<Case["body"]["meaning"]> => {
  const isWhole = arrivesWhole(at)
  const isBroken = at.framing === "cut" || at.framing === "stalled"
  if (isBodiless(at) || at.body.bytes.length > maxBody || (isWhole === false && !isBroken)) {
    return [{}]
  }
  // A second Content-Type may hide a charset that was wrong.
  if (at.head === "odd" && at.body.contentType?.endsWith("utf-16le") === true) {
    return [{}, { type: "rate_limit_error" }]
  }
  // Of chunks without an end, all bytes of the body may have come.
  const isUnsure = isWhole === "anything" || isBroken
  return isUnsure ? [at.body.meaning, {}] : [at.body.meaning]
}

/** Whether these are lines that the playbook of this fuzz names beside the standard ones. */
const isNamed = ({ lines }: Case["waits"]["quota"]): boolean => lines[0]?.startsWith("X-") === true

/** E13: what the quotas say; which of two counts, one of them not spent, is open. */
const quotaOf = (at: Case, tag: Tag): Ending["wait"] => {
  const { named, quota } = at.waits
  const isRich = at.playbook === "rich"
  const said = [quota, ...(isRich ? [named] : [])].filter(({ lines }) => lines.length > 0)
  const [only, second] = said
  if (only === undefined) return undefined
  if (second !== undefined || (isRich && isNamed(quota))) return "anything"
  if (only.wait === undefined) return undefined
  const isHit = tag === "RateLimit" ||
    (only.spent === true && passes(at.status) && tag === "Server")
  return isHit ? only.wait : "anything"
}

/** E10 to E14: the first source that says something. */
const waitOf = (at: Case, tag: Tag, inBody: Wait | undefined): Ending["wait"] => {
  if (at.head === "odd") return "anything"
  const { millis, retryAfter } = at.waits
  for (const wait of [retryAfter.wait, millis.wait, quotaOf(at, tag), inBody]) {
    if (wait !== undefined) return wait
  }
  return at.playbook === "rich" && at.status === 429 ? [30_000, 30_000] : undefined
}

/** The tag, and whether it comes of a word of the body. */
const tagsOf = (at: Case, { code, type }: Case["body"]["meaning"]): ReadonlyArray<Tag> => {
  const found = [type, code].flatMap((word) => words.get(word ?? "") ?? [])
  return found.length > 0 ? found : [tagOf(at.status)]
}

const isWord = ({ code, type }: Case["body"]["meaning"]): boolean =>
  [type, code].some((word) => words.has(word ?? ""))

/** Whether to repeat it, by E2, E3, E14 and, where the body has a word for it, E4. */
const verdictOf = (
  at: Case,
  tag: Tag,
  meaning: Case["body"]["meaning"]
): Ending["verdict"] => {
  if (at.playbook === "rich" && at.shouldRetry !== undefined) {
    return at.head === "odd" ? "anything" : at.shouldRetry ? "transient" : "terminal"
  }
  const isInFlight = [meaning.code, meaning.type].some((word) => inFlight.includes(word ?? ""))
  if (at.status === 409 && tag === "Conflict") return isInFlight ? "transient" : "terminal"
  if (at.status === 413) {
    const { millis, retryAfter } = at.waits
    if (at.head === "odd" || retryAfter.wait === "anything") return "anything"
    if (isWord(meaning)) return "anything"
    return (retryAfter.wait ?? millis.wait) === undefined ? "terminal" : "transient"
  }
  if (isWord(meaning)) {
    if (tag === "RateLimit") return "transient"
    return tag === "Server" ? "anything" : "terminal"
  }
  return passes(at.status) ? "transient" : "terminal"
}

const refusal = (at: Case, tag: Tag, meaning: Case["body"]["meaning"]): Ending => {
  const verdict = verdictOf(at, tag, meaning)
  const isOpen = leavesOpen(at.status)
  // A word may make it stricter (E4).
  const isStricter = isWord(meaning) && tag === "Server" && isOpen === false
  // Told to repeat what is final by its status, or by a word: it may as well have been executed.
  const told = at.playbook === "rich" && at.shouldRetry === true && isOpen === false &&
    (!passes(at.status) || isWord(meaning))
  return {
    tag,
    code: meaning.code,
    verdict,
    ambiguous: isStricter || told ? "anything" : isOpen,
    mayHaveRun: isStricter || told ? "anything" : isOpen,
    wait: waitOf(at, tag, meaning.wait)
  }
}

const success: Ending = {
  tag: "success",
  verdict: "anything",
  ambiguous: "anything",
  mayHaveRun: "anything",
  wait: undefined
}

const failure = (
  tag: Tag,
  verdict: Ending["verdict"],
  code?: string
): Ending => ({ tag, code, verdict, ambiguous: true, mayHaveRun: true, wait: undefined })

/** E7: worth another try where a second execution does no harm. */
const unreadable = failure("Server", "transient", "unreadable_response")

/** E32. */
const unexpected = failure("Server", "terminal", "unexpected_response")

/** The limit of an attempt, or of the call. */
const late = [failure("Timeout", "transient"), failure("Timeout", "terminal")]

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const fits = (at: Case, value: unknown): boolean | "anything" => {
  if (at.entry === "record") {
    return Array.isArray(value) || value === undefined
      ? "anything"
      : isObject(value) && Object.values(value).every((inner) => typeof inner === "number")
  }
  return isObject(value) && typeof value.ok === "boolean"
}

/** E7, E32: what reading a whole body as JSON comes to. */
const decoded = (at: Case): ReadonlyArray<Ending> => {
  const isEmpty = isBodiless(at) || at.status === 205 || at.body.text?.trim() === ""
  if (!isEmpty && at.body.json === undefined) return [unreadable]
  const isFit = fits(at, isEmpty ? undefined : at.body.json!.value)
  return isFit === "anything" ? [success, unexpected] : [isFit ? success : unexpected]
}

const successes = (at: Case): ReadonlyArray<Ending> => {
  const isJson = at.entry === "struct" || at.entry === "record"
  if (!isJson && !["text", "bytes"].includes(at.entry)) return [success]
  // E7: neither has a body, whatever follows its head.
  if (at.status === 204 || at.status === 205) return isJson ? decoded(at) : [success]
  if (at.framing === "stalled" && !isBodiless(at)) {
    // What is not of the encoding that it claims may be found out before the rest is due.
    return at.wire === "fetch" && at.encoding === "lie" ? [...late, unreadable] : late
  }
  const all = isJson ? [success, unexpected, unreadable] : [success, unreadable]
  const isWhole = arrivesWhole(at)
  if (isWhole === "anything") return all
  if (isWhole) return isJson ? decoded(at) : [success]
  // Of an encoding that is not undone, the bytes arrive all the same.
  const isCoded = at.encoding === "true" && at.wire !== "fetch" && at.framing === "whole"
  return isCoded ? (isJson ? [unreadable] : [success]) : [unreadable]
}

/** E1 to E14: what a status that is no success means. */
const refusals = (at: Case): ReadonlyArray<Ending> => {
  const all = meanings(at).flatMap((meaning) =>
    tagsOf(at, meaning).map((tag) => refusal(at, tag, meaning))
  )
  return at.limits === "short" ? [...all, ...late] : all
}

/** How a case may end, given what the client below saw. */
export const endingsOf = (at: Case, seen: Seen): ReadonlyArray<Ending> => {
  if (seen === "failed") return [failure("Network", "transient")]
  if (seen === "nothing") return late
  // A head that HTTP does not know may be read as another status.
  const read = { ...at, status: seen }
  if (!inClass(seen, 2)) return refusals(read)
  return at.limits === "short" ? [...successes(read), ...late] : successes(read)
}

/** What the client below may make of a case: the status that was sent, and what else. */
export const mayBeSeen = (at: Case, seen: Seen): boolean => {
  if (at.head === "odd" || (seen === "nothing" && at.limits === "short")) return true
  // Fetch makes a network error of a 407, and asks a second time after a 421 (section 4.6).
  if (at.wire === "fetch" && at.status === 407) return seen === "failed"
  if (at.wire === "fetch" && at.status === 421 && seen === "failed") return true
  if (seen === "failed" && at.continues && at.wire !== "node") return true
  if (seen === at.status) return at.status >= 200 || at.status === 101
  return at.head === "unanswered" || (at.framing !== "whole" && seen === "failed")
}

/** How many requests the call makes where one retry is allowed and no wait is asked for. */
export const requestsOf = (at: Case, { ambiguous, code, verdict }: Ending): number | undefined => {
  if (verdict === "anything" || ambiguous === "anything") return undefined
  const { method } = at.request
  const isHarmless = method !== "POST" && method !== "PATCH"
  const isKeyed = at.key !== undefined && !isHarmless
  const isRepeated = verdict === "transient" &&
    (isHarmless || (code !== "unreadable_response" && (isKeyed || !ambiguous)))
  return isRepeated ? 2 : 1
}
