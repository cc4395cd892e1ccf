/**
 * Why this file exists: when a server says nothing in `Retry-After`, it often says the same in a
 * rate-limit header, of which there are three generations with the same names and different
 * meanings. This file reads them in one fixed order (rule E13), so that a wait never depends on
 * which of them a caller happened to look at first.
 */
import * as HttpDate from "./httpDate.js"
import * as RetryAfter from "./retryAfter.js"

/**
 * What the rate-limit headers of one response say; what none of them says is `undefined`.
 *
 * **Details** `resetMillis` is the wait in milliseconds from now, finite and not negative. `limit`
 * and `remaining` are whole numbers of the server's quota units, not negative.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fields {
  readonly resetMillis?: number | undefined
  readonly limit?: number | undefined
  readonly remaining?: number | undefined
}

/** One member of a structured list: `"burst";r=0;t=5` or, in the older dictionary, `reset=5`. */
interface Member {
  readonly head: string
  readonly parameters: ReadonlyMap<string, string>
}

interface Quota extends Fields {
  readonly name?: string
}

const pair = /^([a-z*][a-z0-9_.*-]*)=(.*)$/s
const policyName = /^(?:"(?:[^"\\]|\\.)*"|[A-Za-z*][\w!#$%&'*+.^`|~:/-]*)$/

/**
 * Splits at a separator outside of quoted strings. A string that never ends spoils all of it: no
 * parts.
 */
const split = (text: string, separator: string): ReadonlyArray<string> => {
  const parts: Array<string> = []
  let start = 0
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const char = text[index]
    if (quoted && char === "\\") index++
    else if (char === "\"") quoted = !quoted
    else if (!quoted && char === separator) {
      parts.push(text.slice(start, index).trim())
      start = index + 1
    }
  }
  return quoted ? [] : [...parts, text.slice(start).trim()]
}

const members = (text: string | undefined): ReadonlyArray<Member> =>
  split(text ?? "", ",").map((member) => {
    const [head = "", ...rest] = split(member, ";")
    const parameters = new Map<string, string>()
    for (const parameter of rest) {
      const [, key, value] = pair.exec(parameter) ?? []
      if (key !== undefined && value !== undefined) parameters.set(key, value)
    }
    return { head, parameters }
  })

const whole = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text)
    ? Math.min(Number(text), Number.MAX_SAFE_INTEGER)
    : undefined

const seconds = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : RetryAfter.delaySeconds(text)

/** The leading number of `100` and of the early drafts' `100, 100;w=60`; "1,000" is neither. */
const leading = (text: string | undefined): number | undefined =>
  whole(/^\s*(\d+)\s*(?:;.*|,[ \t].*)?$/s.exec(text ?? "")?.[1])

/**
 * The quotas of a `RateLimit` header: one per list item, and one for all members of the older
 * dictionary together.
 */
const quotas = (text: string | undefined): ReadonlyArray<Quota> => {
  const items: Array<Quota> = []
  const dictionary = new Map<string, string>()
  for (const { head, parameters } of members(text)) {
    const [, key, value] = pair.exec(head) ?? []
    if (key !== undefined && value !== undefined) dictionary.set(key, value)
    else if (policyName.test(head)) {
      items.push({
        name: head,
        remaining: whole(parameters.get("r")),
        resetMillis: seconds(parameters.get("t"))
      })
    }
  }
  if (dictionary.size > 0) {
    items.push({
      limit: whole(dictionary.get("limit")),
      remaining: whole(dictionary.get("remaining")),
      resetMillis: seconds(dictionary.get("reset"))
    })
  }
  return items
}

/**
 * The quota that says when to come back: the last to reset among the exhausted ones, or among all
 * if none is.
 */
const governing = (all: ReadonlyArray<Quota>): Quota | undefined => {
  const exhausted = all.filter((quota) => quota.remaining === 0)
  let result: Quota | undefined
  for (const quota of exhausted.length > 0 ? exhausted : all) {
    if (result === undefined || (quota.resetMillis ?? -1) > (result.resetMillis ?? -1)) {
      result = quota
    }
  }
  return result
}

/**
 * The quota of the policy of that name, or of the first; `100;w=60` is how an older draft wrote
 * `"name";q=100`.
 */
const policyLimit = (text: string | undefined, name: string | undefined): number | undefined => {
  const policies = members(text).filter(({ head }) =>
    policyName.test(head) || whole(head) !== undefined
  )
  const policy = policies.find(({ head }) => head === name) ?? policies[0]
  return whole(policy?.parameters.get("q")) ?? whole(policy?.head)
}

/**
 * A wait in a header without a standard: seconds below 1e8, epoch seconds below 1e11, else epoch
 * milliseconds.
 */
const byMagnitude = (text: string, referenceMillis: number): number | undefined => {
  if (!/^\d+(?:\.\d+)?$/.test(text)) return undefined
  const value = Number(text)
  if (value < 1e8) return Math.round(value * 1000)
  const millis = Math.round(value < 1e11 ? value * 1000 : value) - referenceMillis
  return Math.min(Math.max(0, millis), Number.MAX_SAFE_INTEGER)
}

/**
 * Reads the rate-limit headers of a response.
 *
 * **Details** `headers` has lower-case names. The reset is the first of these that can be read:
 * `RateLimit` (the list of the current draft, `"burst";r=0;t=5`, or the dictionary of the older
 * one, `limit=100, remaining=50, reset=5`), `RateLimit-Reset` (seconds), then each of
 * `resetHeaders` in order, in any letter case: seconds, epoch seconds or epoch milliseconds, told
 * apart by magnitude, the latter two compared with the response's `Date` header when that can be
 * read, else with `nowMillis`. Of several `RateLimit` quotas the exhausted one (`r=0`) that resets
 * last counts, for `remaining` and `limit` too; if none is exhausted, the one that resets last.
 * `limit` and `remaining` fall back on `RateLimit-Policy`, `RateLimit-Limit`, `RateLimit-Remaining`
 * and the same with `X-`. Whatever is negative or is not a number is ignored. O(total length).
 * Sources: draft-ietf-httpapi-ratelimit-headers, RFC 9651 (structured fields).
 *
 * **Gotchas** `X-RateLimit-Reset` and its like are read only when named in `resetHeaders`: every
 * API means something else by them.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (
  headers: Readonly<Record<string, string | undefined>>,
  options: {
    readonly nowMillis: number
    readonly dateHeader?: string | undefined
    readonly resetHeaders?: ReadonlyArray<string> | undefined
  }
): Fields => {
  const quota = governing(quotas(headers["ratelimit"]))
  const referenceMillis = HttpDate.reference(options.dateHeader, options.nowMillis)
  let resetMillis = quota?.resetMillis ??
    RetryAfter.longest([headers["ratelimit-reset"] ?? ""], seconds)
  for (const name of options.resetHeaders ?? []) {
    resetMillis ??= RetryAfter.longest(
      [headers[name.toLowerCase()] ?? ""],
      (text) => byMagnitude(text, referenceMillis)
    )
  }
  return {
    resetMillis,
    limit: quota?.limit ?? policyLimit(headers["ratelimit-policy"], quota?.name) ??
      leading(headers["ratelimit-limit"]) ?? leading(headers["x-ratelimit-limit"]),
    remaining: quota?.remaining ?? leading(headers["ratelimit-remaining"]) ??
      leading(headers["x-ratelimit-remaining"])
  }
}
