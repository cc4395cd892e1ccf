/**
 * Why this file exists: when a server says nothing in `Retry-After`, it often says the same in a
 * rate-limit header, of which there are three generations with the same names and different
 * meanings. This file reads them in one fixed order (rule E13), so that a wait never depends on
 * which of them a caller happened to look at first.
 */
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

const pair = /^([a-z*][a-z0-9_.*-]*)=(.*)/s
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

/** The key and the value of `r=0`; of anything else `undefined`. */
const pairOf = (text: string) =>
  pair.exec(text)?.slice(1) as [key: string, value: string] | undefined

const members = (text: string | undefined): ReadonlyArray<Member> =>
  split(text ?? "", ",").map((member) => {
    // Every string of a member ends in it, so there is a head.
    const [head, ...rest] = split(member, ";") as readonly [string, ...Array<string>]
    const pairs = rest.map(pairOf).filter((pair) => pair !== undefined)
    return { head, parameters: new Map(pairs) }
  })

const whole = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text)
    ? Math.min(Number(text), Number.MAX_SAFE_INTEGER)
    : undefined

/** The leading number of `100` and of the early drafts' `100, 100;w=60`; "1,000" is neither. */
const leading = (text: string | undefined): number | undefined =>
  whole(/^\s*(\d+)\s*(?:;.*|,[ \t].*)?$/s.exec(text ?? "")?.[1])

/**
 * The quotas of a `RateLimit` header: one per list item, and one for all members of the older
 * dictionary together.
 */
const quotas = (text: string | undefined, now: RetryAfter.Now): ReadonlyArray<Quota> => {
  const seconds = (text: string | undefined) => RetryAfter.delayOrMoment(text ?? "", now)
  const items: Array<Quota> = []
  const dictionary = new Map<string, string>()
  for (const { head, parameters } of members(text)) {
    const member = pairOf(head)
    if (member !== undefined) dictionary.set(...member)
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

const isSpent = ({ remaining }: Quota): boolean => remaining === 0

const latest = (all: ReadonlyArray<Quota>): Quota | undefined => {
  let result: Quota | undefined
  for (const quota of all) {
    if (result === undefined || (quota.resetMillis ?? -1) > (result.resetMillis ?? -1)) {
      result = quota
    }
  }
  return result
}

/** The last to reset among the spent quotas, or among all if none is spent. */
const governing = (all: ReadonlyArray<Quota>): Quota | undefined =>
  latest(all.some(isSpent) ? all.filter(isSpent) : all)

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

/** `x-ratelimit-remaining-tokens` for `x-ratelimit-reset-tokens`. */
const remainingName = (resetName: string): string | undefined => {
  const name = resetName.replace(/reset(?:-(?:after|at|in|ms|time))?(?=-|$)/, "remaining")
  return name === resetName ? undefined : name
}

/**
 * The quotas of a header for the reset and its companion for what remains. Of as many values in
 * both, each belongs to its counterpart; else the companion counts only if it is one number.
 */
const paired = (
  reset: string | undefined,
  remaining: string | undefined,
  read: (text: string) => number | undefined
): ReadonlyArray<Quota> => {
  if (reset === undefined) return []
  const left = (text: string | undefined) =>
    text !== undefined && /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined
  const resets = RetryAfter.members([reset])
  const rest = RetryAfter.members([remaining ?? ""])
  if (resets.length === 1 || resets.length !== rest.length) {
    return [{
      remaining: rest.length === 1 ? left(rest[0]) : leading(remaining),
      resetMillis: RetryAfter.longest([reset], read)
    }]
  }
  // One value that cannot be read spoils the line, as everywhere.
  if (RetryAfter.longest([reset], read) === undefined) return []
  return resets.map((text, index) => ({ remaining: left(rest[index]), resetMillis: read(text) }))
}

/**
 * A header that says when a quota resets, with or without the unit of its number.
 *
 * @category models
 * @since 0.1.0
 */
export type ResetHeader = string | {
  /** The name of the header, in any case. */
  readonly name: string
  /** What the value of the header is. */
  readonly unit: RetryAfter.Unit
}

/**
 * When the quotas of three generations allow the next call. A spent quota says it. A quota that
 * does not say what remains may be the spent one. A quota with something left says nothing, unless
 * the standard headers know no other.
 */
const waitOf = (
  generations: readonly [
    list: ReadonlyArray<Quota>,
    single: ReadonlyArray<Quota>,
    named: ReadonlyArray<Quota>
  ],
  onlySpent: boolean
): number | undefined => {
  const spent = generations.map((all) => latest(all.filter(isSpent))?.resetMillis)
    .find((millis) => millis !== undefined)
  if (spent !== undefined || onlySpent) return spent
  const [list, single, named] = generations
  const unsaid = (all: ReadonlyArray<Quota>) =>
    all.filter(({ remaining, resetMillis }) => remaining === undefined && resetMillis !== undefined)
  const candidate = latest(unsaid(list)) ?? latest(unsaid(single)) ?? unsaid(named)[0]
  if (candidate !== undefined || generations.some((all) => all.some(isSpent))) {
    return candidate?.resetMillis
  }
  const [only, ...others] = list.length > 0 ? list : single
  return others.length > 0 ? undefined : only?.resetMillis
}

/**
 * Reads the rate-limit headers of a response.
 *
 * **Details** `headers` has lower-case names. The reset is the first of these that can be read:
 * `RateLimit` (the list of the current draft, `"burst";r=0;t=5`, or the dictionary of the older
 * one, `limit=100, remaining=50, reset=5`), `RateLimit-Reset`, then each of `resetHeaders` in
 * order, in any letter case. The first two are seconds. `resetHeaders` name the unit of their
 * number, or are decided by form and magnitude (`RetryAfter.anyForm`). In all of them a number too
 * large for a wait is a moment, compared with the response's `Date` header when that is within a
 * day of `nowMillis`, else with `nowMillis`.
 *
 * Of several quotas the spent one that resets last counts; what remains of a reset header's quota
 * is in the header whose name has `remaining` in place of `reset`. A quota with something left says
 * nothing, unless it is the only one in the standard headers. `onlySpent` leaves out every quota
 * that is not known to be spent. `limit` and `remaining` are those of the `RateLimit` quota, and
 * fall back on `RateLimit-Policy`, `RateLimit-Limit`, `RateLimit-Remaining` and the same with `X-`.
 * Whatever is negative or is not a number is ignored. O(total length). Sources:
 * draft-ietf-httpapi-ratelimit-headers, RFC 9651 (structured fields).
 *
 * **Gotchas** `X-RateLimit-Reset` and its like are read only when named in `resetHeaders`: every
 * API means something else by them.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (
  headers: Readonly<Record<string, string | undefined>>,
  options: RetryAfter.Now & {
    readonly resetHeaders?: ReadonlyArray<ResetHeader> | undefined
    readonly onlySpent?: boolean | undefined
  }
): Fields => {
  const list = quotas(headers["ratelimit"], options)
  const single = paired(
    headers["ratelimit-reset"],
    headers["ratelimit-remaining"],
    (text) => RetryAfter.delayOrMoment(text, options)
  )
  const named = (options.resetHeaders ?? []).flatMap((header) => {
    const { name, unit } = typeof header === "string" ? { name: header, unit: undefined } : header
    const lower = name.toLowerCase()
    return paired(
      headers[lower],
      headers[remainingName(lower) ?? ""],
      (text) => RetryAfter.anyForm(text, options, unit)
    )
  })
  const quota = governing(list)
  return {
    resetMillis: waitOf([list, single, named], options.onlySpent ?? false),
    limit: quota?.limit ?? policyLimit(headers["ratelimit-policy"], quota?.name) ??
      leading(headers["ratelimit-limit"]) ?? leading(headers["x-ratelimit-limit"]),
    remaining: quota?.remaining ?? leading(headers["ratelimit-remaining"]) ??
      leading(headers["x-ratelimit-remaining"])
  }
}
