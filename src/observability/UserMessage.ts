/**
 * Maps failures to sentences that are safe to show to users.
 *
 * The message of an API is written for developers: it names fields, keys and hosts, and may not be
 * fit to be shown. Users never see it. Every failure maps to one of a small set of safe sentences
 * in the user's language. An API or an application can override the sentences.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Runtime from "effect/Runtime"
import * as HttpStatus from "../core/httpStatus.js"
import * as ApiError from "../errors/ApiError.js"
import { InFlight, StoreUnavailable, UnknownOutcome } from "../errors/idempotencyErrors.js"
import * as Playbook from "../errors/Playbook.js"
import * as Rejection from "../errors/Rejection.js"
import * as Polling from "../jobs/Polling.js"
import { type Kind, type Texts, texts } from "./userTexts.js"

export type { Kind } from "./userTexts.js"

/**
 * Sentences by locale, and in a locale by status (the more exact one) or by kind; what is absent is
 * said as elsewhere. `again` and `againIn` word when to try again; `{wait}` in `againIn` stands for
 * the time, such as `60 seconds`.
 *
 * @since 0.1.0
 * @category models
 */
export type Catalogue = Readonly<
  Record<string, Readonly<Partial<Texts>> & Readonly<Record<number, string>>>
>

/**
 * The options of a user message.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The playbook of the API that failed. Its `userMessage` is used where its language fits.
   * Default: none.
   */
  readonly playbook?: Playbook.Playbook | undefined
  /** The language of the playbook. Default `en`. */
  readonly playbookLocale?: string | undefined
  /**
   * The language of the user as a BCP 47 tag, or several by preference. Falls back from `de-AT` to
   * `de`, and to `en`. Default `en`.
   */
  readonly locale?: string | ReadonlyArray<string> | undefined
  /** Sentences of your own; they come before those of the playbook and of this library. */
  readonly catalogue?: Catalogue | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `locale`. */
  locale: "en",
  /** Default of the option `playbookLocale`. */
  playbookLocale: "en"
} as const

/**
 * The locales that have sentences of this library.
 *
 * @since 0.1.0
 * @category defaults
 */
export const locales: ReadonlyArray<string> = Object.keys(texts)

/** What a user needs to know of an error. */
interface Facts {
  readonly kind: Kind
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly retryAfter?: Duration.Duration | undefined
}

const ofApiError = (error: ApiError.ApiError): Facts => {
  if (error._tag === "Conflict" && error.inFlight) {
    return { kind: "InProgress", retryAfter: error.retryAfter }
  }
  // Where another try is pointless, the sentence names no time for it.
  const isFinal = error._tag !== "RateLimit" && error._tag !== "Locked" &&
    ApiError.verdict(error)._tag === "Terminal"
  return {
    kind: error._tag,
    status: error.status,
    code: error.code,
    retryAfter: "retryAfter" in error && !isFinal ? error.retryAfter : undefined
  }
}

/**
 * An error of the platform's client: of a client of ours (`ApiClient.layer`) it has the typed
 * failure as its cause.
 */
const ofHttpClientError = (error: object): Facts => {
  if (
    hasProperty(error, "cause") &&
    (ApiError.isApiError(error.cause) || Rejection.isRejection(error.cause))
  ) {
    return factsOf(error.cause)
  }
  const status = hasProperty(error, "response") && hasProperty(error.response, "status")
    ? error.response.status
    : undefined
  if (hasProperty(error, "reason") && error.reason === "StatusCode" && typeof status === "number") {
    return { kind: HttpStatus.tagOf(status), status }
  }
  return {
    kind: hasProperty(error, "reason") && error.reason === "Transport" ? "Network" : "Other"
  }
}

const httpClientErrorTypeId = Symbol.for("@effect/platform/HttpClientError")

const other: Facts = { kind: "Other" }

const factsOf = (error: unknown): Facts => {
  if (ApiError.isApiError(error)) return ofApiError(error)
  if (error instanceof Polling.SubmitFailed || error instanceof Polling.PollFailed) {
    return factsOf(error.error)
  }
  if (error instanceof Polling.PollingTimeout) return { kind: "Pending" }
  if (error instanceof InFlight) return { kind: "InProgress", retryAfter: error.retryAfter }
  if (error instanceof UnknownOutcome) return { kind: "Unknown" }
  if (error instanceof StoreUnavailable) return other
  if (Rejection.isRejection(error)) return { kind: "Rejected", retryAfter: error.retryAfter }
  if (Cause.isTimeoutException(error)) return { kind: "Timeout" }
  if (hasProperty(error, httpClientErrorTypeId)) return ofHttpClientError(error)
  if (Cause.isCause(error)) {
    return Option.match(Cause.failureOption(error), { onNone: () => other, onSome: factsOf })
  }
  if (Runtime.isFiberFailure(error)) return factsOf(error[Runtime.FiberFailureCauseId])
  return other
}

/**
 * Classifies a failure for a user: the tag of an `ApiError`, `Rejected` by a guard, `InProgress`,
 * `Unknown`, `Pending`, or `Other` for everything else. O(1).
 *
 * @since 0.1.0
 * @category accessors
 */
export const kindOf = (error: unknown): Kind => factsOf(error).kind

/** `de-AT` is tried as `de-at`, then as `de`. */
const chainOf = (locale: string | ReadonlyArray<string>): ReadonlyArray<string> => {
  const wanted = typeof locale === "string" ? [locale] : locale
  const chain = wanted.flatMap((locale) => {
    const parts = locale.toLowerCase().split(/[-_]/)
    return parts.map((_, index) => parts.slice(0, parts.length - index).join("-"))
  })
  return [...new Set([...chain, defaults.locale])]
}

const inLocale = <A>(
  byLocale: Readonly<Record<string, A>> | undefined,
  locale: string
): A | undefined => {
  const name = Object.keys(byLocale ?? {}).find((name) =>
    name.toLowerCase().replaceAll("_", "-") === locale
  )
  return name === undefined ? undefined : byLocale?.[name]
}

/** A sentence, and who says it: an empty one is none. */
const own = <K extends PropertyKey>(
  record: Readonly<Partial<Record<K, string>>> | undefined,
  key: K | undefined
) => {
  const text = record !== undefined && key !== undefined && Object.hasOwn(record, key)
    ? record[key]
    : undefined
  return text === undefined || text.trim() === "" ? undefined : text
}

/**
 * The row that speaks of this error. One of the same status and another tag does not: it was
 * corrected by what the body said.
 */
const rowOf = (
  playbook: Playbook.Playbook,
  { code, kind, status }: Facts
): Playbook.Entry | undefined => {
  const row = status === undefined ? undefined : Playbook.lookup(playbook, status)
  const rows = row?.tag === kind
    ? [row]
    : Object.values(playbook.byStatus).filter(({ tag }) => tag === kind)
  const base = rows[0]
  const byCode =
    code !== undefined && playbook.byCode !== undefined && Object.hasOwn(playbook.byCode, code)
      ? playbook.byCode[code]
      : undefined
  return base === undefined ? undefined : { ...base, ...byCode }
}

interface Said {
  readonly text: string
  readonly locale: string
}

const sayingOf = (facts: Facts, options: Options, chain: ReadonlyArray<string>): Said => {
  const playbookLocale = (options.playbookLocale ?? defaults.playbookLocale).toLowerCase()
  const row = options.playbook === undefined ? undefined : rowOf(options.playbook, facts)
  for (const locale of chain) {
    const mine = inLocale(options.catalogue, locale)
    const text = own(mine, facts.status) ?? own<string>(mine, facts.kind) ??
      (locale === playbookLocale ? own(row, "userMessage") : undefined) ??
      own(inLocale(texts, locale), facts.kind)
    if (text !== undefined) return { text, locale }
  }
  return { text: en.Other, locale: defaults.locale }
}

const en = texts.en as Texts

const units = [
  { name: "second", millis: 1000, upTo: 120 },
  { name: "minute", millis: 60_000, upTo: 120 },
  { name: "hour", millis: 3_600_000, upTo: 48 },
  { name: "day", millis: 86_400_000, upTo: 31 }
] as const

/**
 * Rounds up, so that no user comes back too early. Gives nothing for a wait of zero, or one too
 * long for a person.
 */
const waitText = (
  retryAfter: Duration.Duration | undefined,
  locale: string
): string | undefined => {
  const millis = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  if (!(millis > 0)) return undefined
  const unit = units.find(({ millis: size, upTo }) => Math.ceil(millis / size) <= upTo)
  if (unit === undefined) return undefined
  return new Intl.NumberFormat(locale, { style: "unit", unit: unit.name, unitDisplay: "long" })
    .format(Math.ceil(millis / unit.millis))
}

/** Tests whether a locale is one that numbers can be written in. */
const isLocale = (locale: string): boolean => {
  try {
    return Intl.getCanonicalLocales(locale).length === 1
  } catch {
    return false
  }
}

/** How one locale says it: the application's words, else ours. */
const wordingOf = (
  catalogue: Catalogue | undefined,
  locale: string,
  name: "again" | "againIn"
): string => {
  const find = (from: string) =>
    own(inLocale(catalogue, from), name) ?? own(inLocale(texts, from), name)
  return chainOf(locale).map(find).find((text) => text !== undefined) ?? en[name]
}

/**
 * Makes the sentence that a user may read about a failure.
 *
 * **Details**
 *
 * - For each of the locales, by preference: the sentence of the `catalogue` for the status, then
 *   for the kind; that of the `playbook`, when it is written in this language; then ours. At last,
 *   English.
 * - Where it is known how long to wait (`retryAfter` of a rate limit, an outage, an open circuit),
 *   the sentence says so, rounded up.
 * - Knows `ApiError`s, rejections of guards, idempotency errors, polling errors (by what is behind
 *   them), errors of the platform's client, a `Cause` and the error that `Effect.runPromise`
 *   rejects with. Anything else is one generic sentence. Total: it never throws.
 * - Never contains text of the error. O(locales).
 *
 * **Example** (Says how long, and not what)
 *
 * ```ts
 * import { ApiError, UserMessage } from "effect-resilience"
 * import { Duration } from "effect"
 *
 * const error = new ApiError.RateLimit({
 *   message: "quota of key sk_1 exceeded",
 *   retryAfter: Duration.seconds(60)
 * })
 *
 * UserMessage.of(error) // => "We are a little busy. Please try again in 60 seconds."
 * const german = UserMessage.of(error, { locale: "de-AT" })
 * german.split(". ")[0] // => "Wir sind gerade etwas ausgelastet"
 * UserMessage.of(new Error("ECONNREFUSED")) // => "Something went wrong. Please try again later."
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (error: unknown, options: Options = {}): string => {
  const facts = factsOf(error)
  const { locale, text } = sayingOf(facts, options, chainOf(options.locale ?? defaults.locale))
  const wait = waitText(facts.retryAfter, isLocale(locale) ? locale : defaults.locale)
  if (wait === undefined) return text
  const again = wordingOf(options.catalogue, locale, "again")
  const againIn = wordingOf(options.catalogue, locale, "againIn").replaceAll("{wait}", () => wait)
  return text.endsWith(again)
    ? `${text.slice(0, text.length - again.length)}${againIn}`
    : `${text} ${againIn}`
}
