/**
 * The debug checklists of the Widget Session API, walked by a program.
 *
 * A signature says only that it does not match. But every item of the checklist is a way of building the string wrongly, and each can be tried: the
 * way that gives the string (or the signature) that was sent is the mistake that was made.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { type Draft, Request, sign } from "./widgetSessionRequest.js"

/**
 * One item of a checklist that fails, and what to do about it. Never holds a secret or a signature.
 *
 * @since 0.1.0
 * @category diagnosis
 */
export interface Finding {
  readonly item: string
  readonly message: string
}

/**
 * A request that was answered with 401.
 *
 * **Details**
 *
 * - `urlPartnerId`: the partner id in the URL; `user` and `signature`: the body.
 * - `secretKey`: of the environment that was called; `otherSecrets`: of the other environments, by name.
 * - `canonical`: the string that was signed, where it is known. Without it the string is found by trying.
 *
 * @since 0.1.0
 * @category diagnosis
 */
export interface SignedRequest {
  readonly urlPartnerId: string
  readonly user: Draft
  readonly signature: string | Redacted.Redacted<string>
  readonly secretKey: Redacted.Redacted<string>
  readonly otherSecrets?: Readonly<Record<string, Redacted.Redacted<string>>> | undefined
  readonly canonical?: string | undefined
}

/** How a canonical string is put together, rightly or not. */
interface Recipe {
  readonly fields: ReadonlyArray<string>
  readonly order: ReadonlyArray<number>
  readonly candidates: ReadonlyArray<string>
  readonly delimiter: string
  readonly candidateDelimiter: string
  readonly omitsEmpty: boolean
  readonly decorate: (text: string, delimiter: string) => string
}

interface Mistake extends Finding {
  readonly make: (recipe: Recipe) => Recipe
}

const cook = (recipe: Recipe): string => {
  const all = [...recipe.fields, recipe.candidates.join(recipe.candidateDelimiter)]
  const ordered = recipe.order.map((index) => all[index] ?? "")
  const kept = recipe.omitsEmpty ? ordered.filter((field) => field !== "") : ordered
  return recipe.decorate(kept.join(recipe.delimiter), recipe.delimiter)
}

const rightly = (partnerId: string, user: Draft): Recipe => ({
  fields: [partnerId, user.user_id ?? "", user.email ?? "", user.name ?? "", user.company?.company_id ?? ""],
  order: [0, 1, 2, 3, 4, 5],
  candidates: (user.candidates ?? []).map(({ candidate_id }) => candidate_id ?? ""),
  delimiter: "|",
  candidateDelimiter: ",",
  omitsEmpty: false,
  decorate: (text) => text
})

const permutations = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length <= 1
    ? [items]
    : items.flatMap((item, index) =>
      permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest])
    )

/** Every order of a few candidates; of many only the ones that a program produces. */
const candidateOrders = (candidates: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
  candidates.length <= 5
    ? permutations(candidates).slice(1)
    : [candidates.toReversed(), candidates.toSorted(), candidates.toSorted().reverse()]

const decorations: ReadonlyArray<Recipe["decorate"]> = [
  (text) => `${text}\n`,
  (text) => `${text}\r\n`,
  (text) => `${text} `,
  (text) => ` ${text}`,
  (text) => `\uFEFF${text}`,
  (text) => `${text}\u200B`,
  (text) => text.replaceAll(" ", "\u00A0"),
  (text, delimiter) => text.split(delimiter).join(` ${delimiter} `),
  (text, delimiter) => text.split(delimiter).join(`${delimiter} `),
  (text, delimiter) => text.split(delimiter).join(`${delimiter}\n`)
]

const whitespace: Finding = {
  item: "whitespace",
  message:
    "The canonical string has stray white space, a newline or hidden characters. Hash exactly the values, joined by |."
}

const environment = (name: string | undefined): Finding => ({
  item: "environment",
  message: name === undefined
    ? "The signature is right for this secretKey, so the secretKey is not that of the environment that was called."
    : `The signature was made with the secretKey of "${name}". Use that of the environment that is called.`
})

/** The mistakes of each item of the checklist, by item: no two of one item are made together. */
const checklist = (recipe: Recipe, partnerIds: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<Mistake>> => {
  const each = <A>(
    item: string,
    message: string,
    alternatives: ReadonlyArray<A>,
    make: (recipe: Recipe, alternative: A) => Recipe
  ): ReadonlyArray<Mistake> =>
    alternatives.map((alternative) => ({ item, message, make: (recipe) => make(recipe, alternative) }))

  return [
    each(
      "partnerId",
      "The partnerId in the canonical string is not exactly the one in the URL.",
      partnerIds,
      (recipe, partnerId) => ({ ...recipe, fields: [partnerId, ...recipe.fields.slice(1)] })
    ),
    each(
      "emptyOptionals",
      "Empty optional fields were left out. Keep them as empty strings between their delimiters.",
      [true],
      (recipe, omitsEmpty) => ({ ...recipe, omitsEmpty })
    ),
    each(
      "delimiter",
      "The fields are not joined by |.",
      [",", ";", ":", "&", "-", "_", " ", "\t", "\n", "||", ""],
      (recipe, delimiter) => ({ ...recipe, delimiter })
    ),
    each(
      "delimiter",
      "The candidate ids are not joined by a comma.",
      recipe.candidates.length < 2 ? [] : ["|", ";", ":", " ", ", ", ""],
      (recipe, candidateDelimiter) => ({ ...recipe, candidateDelimiter })
    ),
    each(
      "candidateOrder",
      "The candidate ids are not in the order of the payload.",
      candidateOrders(recipe.candidates),
      (recipe, candidates) => ({ ...recipe, candidates })
    ),
    decorations.map((decorate) => ({ ...whitespace, make: (recipe) => ({ ...recipe, decorate }) })),
    each(
      "fieldOrder",
      "The fields are not in the order partnerId | user_id | email | name | company_id | candidate_ids_csv.",
      permutations(recipe.order).slice(1),
      (recipe, order) => ({ ...recipe, order })
    )
  ]
}

/** Every string with no mistake, then with one, then with two of different items. */
function* variants(
  recipe: Recipe,
  partnerIds: ReadonlyArray<string>
): Generator<readonly [string, ReadonlyArray<Mistake>]> {
  const groups = checklist(recipe, partnerIds)
  yield [cook(recipe), []]
  for (const mistake of groups.flat()) yield [cook(mistake.make(recipe)), [mistake]]
  for (const [index, group] of groups.entries()) {
    for (const first of group) {
      for (const second of groups.slice(index + 1).flat()) {
        yield [cook(second.make(first.make(recipe))), [first, second]]
      }
    }
  }
}

const search = (recipe: Recipe, partnerIds: ReadonlyArray<string>, matches: (text: string) => boolean) => {
  for (const [text, mistakes] of variants(recipe, partnerIds)) if (matches(text)) return mistakes
  return undefined
}

const hidden = /[\p{Cc}\p{Cf}\u00A0\u2028\u2029\u202F]/gu

/** The string as it would be without what should not be there, as far as the values themselves do not hold it. */
const cleaned = (text: string, expected: string): string =>
  text
    .replaceAll("\u00A0", expected.includes("\u00A0") ? "\u00A0" : " ")
    .replaceAll(hidden, (character) => expected.includes(character) ? character : "")
    .split("|")
    .map((field) => expected.split("|").includes(field) ? field : field.trim())
    .join("|")

const report = (mistakes: ReadonlyArray<Finding>): ReadonlyArray<Finding> =>
  mistakes.map(({ item, message }) => ({ item, message }))

const unexplained: Finding = {
  item: "canonicalString",
  message: "The canonical string does not hold the values of this payload."
}

/** What is wrong with a string that is known. */
const ofCanonical = (request: SignedRequest, canonical: string): ReadonlyArray<Finding> => {
  const recipe = rightly(request.urlPartnerId, request.user)
  const expected = cook(recipe)
  if (canonical === expected) return []
  const text = cleaned(canonical, expected)
  const stray = text === canonical ? [] : [whitespace]
  const candidates = [...new Set([canonical, text].map((text) => text.split(/[|,;:&\s]/)[0] ?? ""))]
  const partnerIds = candidates.filter((partnerId) => partnerId !== request.urlPartnerId)
  const found = search(recipe, partnerIds, (variant) => variant === canonical)
  if (found !== undefined) return report(found)
  const foundInCleaned = search(recipe, partnerIds, (variant) => variant === text)
  return foundInCleaned === undefined ? [...stray, unexplained] : [...stray, ...report(foundInCleaned)]
}

/**
 * Walks the checklist for `401 Invalid Signature` and names the items that fail: `partnerId`, `fieldOrder`, `delimiter`, `emptyOptionals`, `whitespace`,
 * `environment`, `candidateOrder`; `canonicalString` or `signature` when none of them explains it.
 *
 * **Details**
 *
 * With `canonical`, the string is compared; without it, the strings that one or two mistakes would give are signed until one has the signature that
 * was sent (some ten thousand HMACs at most: for a debugging session, not for a hot path). Never returns the secret or the signature.
 *
 * **Example** (A company that was left out)
 *
 * ```ts
 * import { WidgetSession } from "effect-resilience"
 * import { Redacted } from "effect"
 *
 * const secretKey = Redacted.make("prod-secret")
 * const user = { user_id: "USR-001", email: "john@example.com", name: "John Doe", candidates: [{ candidate_id: "CND-001" }] }
 * const signature = WidgetSession.sign(secretKey, "partner-1|USR-001|john@example.com|John Doe|CND-001")
 *
 * const findings = WidgetSession.diagnose401({ urlPartnerId: "partner-1", user, signature, secretKey })
 * findings.map(({ item }) => item).join() // => "emptyOptionals"
 * ```
 *
 * @since 0.1.0
 * @category diagnosis
 */
export const diagnose401 = (request: SignedRequest): ReadonlyArray<Finding> => {
  const sent = Redacted.isRedacted(request.signature) ? Redacted.value(request.signature) : request.signature
  const secrets: ReadonlyArray<readonly [string | undefined, Redacted.Redacted<string>]> = [
    [undefined, request.secretKey],
    ...Object.entries(request.otherSecrets ?? {})
  ]
  const signer = (text: string) =>
    secrets.find(([, secret]) => Redacted.value(sign(secret, text)) === sent.toLowerCase())
  const recipe = rightly(request.urlPartnerId, request.user)
  const partnerIds = [
    request.urlPartnerId.toLowerCase(),
    request.urlPartnerId.toUpperCase(),
    request.urlPartnerId.trim(),
    decodeURIComponent(encodeURI(request.urlPartnerId))
  ].filter((partnerId) => partnerId !== request.urlPartnerId)
  const mistakes = request.canonical === undefined
    ? search(recipe, partnerIds, (text) => signer(text) !== undefined)
    : ofCanonical(request, request.canonical)
  if (mistakes === undefined) return [noExplanation]
  const signedText = request.canonical ??
    cook(mistakes.reduce((recipe, mistake) => "make" in mistake ? (mistake as Mistake).make(recipe) : recipe, recipe))
  const signedWith = signer(signedText)
  if (signedWith === undefined) return [...report(mistakes), noExplanation]
  const wrongEnvironment = signedWith[0] !== undefined || mistakes.length === 0
  return [...report(mistakes), ...(wrongEnvironment ? [environment(signedWith[0])] : [])]
}

const noExplanation: Finding = {
  item: "signature",
  message:
    "The signature is not the hexadecimal HMAC-SHA256 of the canonical string under any secretKey that was given."
}

/**
 * Walks the checklist for `422 Validation Failed` and names the fields that fail: required ones that are missing, an email that is not one, a company or
 * candidates of the wrong shape. Says what was expected and never what was sent.
 *
 * **Example** (Two things at once)
 *
 * ```ts
 * import { WidgetSession } from "effect-resilience"
 *
 * const findings = WidgetSession.diagnose422({ user: { user_id: "USR-001", email: "john", name: "John Doe" } })
 * findings.map(({ item }) => item).join() // => "user.email,signature"
 * ```
 *
 * @since 0.1.0
 * @category diagnosis
 */
export const diagnose422 = (body: unknown): ReadonlyArray<Finding> => {
  const decoded = Schema.decodeUnknownEither(Request, { errors: "all" })(body)
  if (Either.isRight(decoded)) return []
  const paths = ParseResult.ArrayFormatter.formatErrorSync(decoded.left).map(({ path }) => path.join("."))
  return [...new Set(paths)].map((item) => ({ item, message: expected(item) }))
}

const expected = (path: string): string => {
  if (path === "") return "The body should be an object with user and signature."
  if (path === "user") return "user should be an object with user_id, email and name."
  if (path === "user.email") return "user.email is required and should be a valid email address."
  if (path.startsWith("user.company")) return `${path}: user.company should be an object with a company_id.`
  if (path.startsWith("user.candidates")) {
    return `${path}: user.candidates should be a list of objects with a candidate_id.`
  }
  return `${path} is required and should be a text that is not empty.`
}
