/**
 * Walks the debug checklists of the Widget Session API.
 *
 * A signature says only that it does not match. But every item of the checklist is a way of
 * building the string wrongly, and each can be tried: the way that gives the string (or the
 * signature) that was sent is the mistake that was made.
 */
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Input from "../shared/input.js"
import { type Draft, Request, signer } from "./request.js"

/**
 * One item of a checklist that fails, and what to do about it. Never holds a secret or a signature.
 *
 * @since 0.1.0
 * @category diagnosis
 */
export interface Finding {
  /** The item of the checklist. */
  readonly item: string
  /** What is wrong and what to do about it. */
  readonly message: string
}

/**
 * A request that was answered with 401.
 *
 * @since 0.1.0
 * @category diagnosis
 */
export interface SignedRequest {
  /** The partner id in the URL. */
  readonly urlPartnerId: string
  /** The user in the body. */
  readonly user: Draft
  /** The signature in the body. */
  readonly signature: string | Redacted.Redacted<string>
  /** The key of the environment that was called. */
  readonly secretKey: Redacted.Redacted<string>
  /** The keys of other environments, by name. Default: none. */
  readonly otherSecrets?: Readonly<Record<string, Redacted.Redacted<string>>> | undefined
  /** The string that was signed, where it is known. Default: found by trying. */
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

/** A canonical string, and the mistakes that lead to it. */
interface Explanation {
  readonly text: string
  readonly mistakes: ReadonlyArray<Finding>
}

/** What may be tried beside the values of the payload; the string itself, where it is known. */
interface Known {
  readonly text: string | undefined
  readonly partnerIds: ReadonlyArray<string>
}

const cook = (recipe: Recipe): string => {
  const all = [...recipe.fields, recipe.candidates.join(recipe.candidateDelimiter)]
  const ordered = recipe.order.map((index) => all[index] ?? "")
  const kept = recipe.omitsEmpty ? ordered.filter((field) => field !== "") : ordered
  return recipe.decorate(kept.join(recipe.delimiter), recipe.delimiter)
}

const rightly = (partnerId: string, user: Draft): Recipe => ({
  fields: [
    partnerId,
    user.user_id ?? "",
    user.email ?? "",
    user.name ?? "",
    user.company?.company_id ?? ""
  ],
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
      permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((
        rest
      ) => [item, ...rest])
    )

/**
 * Every order of a few candidates; of many the ones that a program produces, and the one in which a
 * known string has them.
 */
const candidateOrders = (
  candidates: ReadonlyArray<string>,
  text: string | undefined
): ReadonlyArray<ReadonlyArray<string>> => {
  if (candidates.length <= 4) return permutations(candidates).slice(1)
  const known = text === undefined
    ? []
    : [candidates.toSorted((a, b) => text.indexOf(a) - text.indexOf(b))]
  return [candidates.toReversed(), candidates.toSorted(), candidates.toSorted().reverse(), ...known]
}

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
    "The canonical string has stray white space, a newline or hidden characters. Hash exactly " +
    "the values, joined by |."
}

const environment = (name: string | undefined): Finding => ({
  item: "environment",
  message: name === undefined
    ? "The signature is right for this secretKey, so the secretKey is not that of the " +
      "environment that was called."
    : `The signature was made with the secretKey of "${name}". ` +
      "Use that of the environment that is called."
})

/** The mistakes of each item of the checklist, by item: no two of one item are made together. */
const checklist = (recipe: Recipe, known: Known): ReadonlyArray<ReadonlyArray<Mistake>> => {
  const each = <A>(
    item: string,
    message: string,
    alternatives: ReadonlyArray<A>,
    make: (recipe: Recipe, alternative: A) => Recipe
  ): ReadonlyArray<Mistake> =>
    alternatives.map((alternative) => ({
      item,
      message,
      make: (recipe) => make(recipe, alternative)
    }))

  return [
    each(
      "partnerId",
      "The partnerId in the canonical string is not exactly the one in the URL.",
      known.partnerIds,
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
      candidateOrders(recipe.candidates, known.text),
      (recipe, candidates) => ({ ...recipe, candidates })
    ),
    decorations.map((decorate) => ({ ...whitespace, make: (recipe) => ({ ...recipe, decorate }) })),
    each(
      "fieldOrder",
      "The fields are not in the order " +
        "partnerId | user_id | email | name | company_id | candidate_ids_csv.",
      permutations(recipe.order).slice(1),
      (recipe, order) => ({ ...recipe, order })
    )
  ]
}

/** Every string with no mistake, then with one, then with two of different items. */
function* variants(recipe: Recipe, known: Known): Generator<Explanation> {
  const groups = checklist(recipe, known)
  yield { text: cook(recipe), mistakes: [] }
  for (const mistake of groups.flat()) {
    yield { text: cook(mistake.make(recipe)), mistakes: [mistake] }
  }
  for (const [index, group] of groups.entries()) {
    for (const first of group) {
      const once = first.make(recipe)
      for (const second of groups.slice(index + 1).flat()) {
        yield { text: cook(second.make(once)), mistakes: [first, second] }
      }
    }
  }
}

const search = (
  recipe: Recipe,
  known: Known,
  matches: (text: string) => boolean
): Explanation | undefined => {
  for (const variant of variants(recipe, known)) if (matches(variant.text)) return variant
  return undefined
}

const stray = /[\s\p{Cc}\p{Cf}]/gu

const bare = (text: string): string => text.replaceAll(stray, "")

/**
 * The string with each field that differs from a right one only in white space and hidden
 * characters put right.
 */
const cleaned = (text: string, recipe: Recipe): string => {
  const right = new Map(
    [...recipe.fields, recipe.candidates.join(",")].map((field) => [bare(field), field])
  )
  const fields = text.split("|").map((field) =>
    right.get(bare(field)) ?? field.replaceAll(stray, " ").trim()
  )
  return fields.join("|")
}

const delimiters = ["|", ",", ";", ":", "&", "-", "_", " ", "\t", "\n"]

/**
 * What stands in the string and is none of the values may be another partner's id, or this one's
 * written otherwise.
 */
const strangers = (text: string, recipe: Recipe): ReadonlyArray<string> => {
  const values = new Set(
    [...recipe.fields, ...recipe.candidates, recipe.candidates.join(",")].map(bare)
  )
  const found = delimiters.flatMap((delimiter) => {
    const fields = text.split(delimiter)
    return fields.length >= 4 ? fields : fields.slice(0, 1)
  })
  return ["", ...new Set(found.filter((field) => !values.has(bare(field)) && field !== text))]
}

const report = (mistakes: ReadonlyArray<Finding>): ReadonlyArray<Finding> =>
  mistakes.map(({ item, message }) => ({ item, message }))

/** What is wrong with a string that is known: as it is, else with its white space put right. */
const ofCanonical = (recipe: Recipe, canonical: string): ReadonlyArray<Finding> => {
  const explained = (text: string) =>
    search(recipe, { text, partnerIds: strangers(text, recipe) }, (variant) => variant === text)
      ?.mistakes
  const found = explained(canonical)
  if (found !== undefined) return report(found)
  const text = cleaned(canonical, recipe)
  return text === canonical
    ? [unexplained]
    : [whitespace, ...report(explained(text) ?? [unexplained])]
}

const unexplained: Finding = {
  item: "canonicalString",
  message: "The canonical string does not hold the values of this payload."
}

const noExplanation: Finding = {
  item: "signature",
  message: "The signature is not the hexadecimal HMAC-SHA256 of the canonical string under any " +
    "secretKey that was given."
}

/** A partner id as it may have been written otherwise than in the URL. */
const spellings = (partnerId: string): ReadonlyArray<string> => {
  const attempt = (f: (text: string) => string): ReadonlyArray<string> => {
    try {
      return [f(partnerId)]
    } catch {
      return []
    }
  }
  const all = [partnerId.toLowerCase(), partnerId.toUpperCase(), partnerId.trim()]
  return [...new Set([...all, ...attempt(decodeURIComponent), ...attempt(encodeURIComponent)])]
    .filter((spelling) => spelling !== partnerId)
}

/**
 * Walks the checklist for `401 Invalid Signature` and names the items that fail: `partnerId`,
 * `fieldOrder`, `delimiter`, `emptyOptionals`, `whitespace`, `environment`, `candidateOrder`;
 * `canonicalString` or `signature` when none of them explains it.
 *
 * **Details**
 *
 * With `canonical`, the string is compared; without it, the strings that one or two mistakes would
 * give are signed until one has the signature that was sent (some forty thousand HMACs for each
 * secret at most, a fraction of a second: for a debugging session, not for a hot path). Never
 * returns the secret or the signature.
 *
 * **Example** (A company that was left out)
 *
 * ```ts
 * import * as WidgetSession from "effect-resilience/api/WidgetSession"
 * import { Redacted } from "effect"
 *
 * const secretKey = Redacted.make("prod-secret")
 * const user = {
 *   user_id: "USR-001",
 *   email: "john@example.com",
 *   name: "John Doe",
 *   candidates: [{ candidate_id: "CND-001" }]
 * }
 * const signature = WidgetSession.sign(
 *   secretKey,
 *   "partner-1|USR-001|john@example.com|John Doe|CND-001"
 * )
 *
 * const findings = WidgetSession.diagnose401({
 *   urlPartnerId: "partner-1",
 *   user,
 *   signature,
 *   secretKey
 * })
 * findings.map(({ item }) => item).join() // => "emptyOptionals"
 * ```
 *
 * @since 0.1.0
 * @category diagnosis
 */
export const diagnose401 = (request: SignedRequest): ReadonlyArray<Finding> => {
  const sent =
    (Redacted.isRedacted(request.signature) ? Redacted.value(request.signature) : request.signature)
      .toLowerCase()
  const environments: ReadonlyArray<
    readonly [name: string | undefined, sign: (text: string) => string]
  > = [
    [undefined, signer(request.secretKey)],
    ...Object.entries(request.otherSecrets ?? {}).map(([name, secret]) =>
      [name, signer(secret)] as const
    )
  ]
  const signedIn = (text: string) => environments.find(([, sign]) => sign(text) === sent)
  const recipe = rightly(request.urlPartnerId, request.user)
  const found: Explanation | undefined = request.canonical === undefined
    ? search(
      recipe,
      { text: undefined, partnerIds: spellings(request.urlPartnerId) },
      (text) => signedIn(text) !== undefined
    )
    : { text: request.canonical, mistakes: ofCanonical(recipe, request.canonical) }
  if (found === undefined) return [noExplanation]
  const signed = signedIn(found.text)
  if (signed === undefined) return [...report(found.mistakes), noExplanation]
  const [name] = signed
  return [
    ...report(found.mistakes),
    ...(name !== undefined || found.mistakes.length === 0 ? [environment(name)] : [])
  ]
}

/**
 * Walks the checklist for `422 Validation Failed` and names the fields that fail: required ones
 * that are missing, an email that is not one, a company or candidates of the wrong shape. Says what
 * was expected and never what was sent.
 *
 * **Example** (Two things at once)
 *
 * ```ts
 * import * as WidgetSession from "effect-resilience/api/WidgetSession"
 *
 * const findings = WidgetSession.diagnose422({
 *   user: { user_id: "USR-001", email: "john", name: "John Doe" }
 * })
 * findings.map(({ item }) => item).join() // => "user.email,signature"
 * ```
 *
 * @since 0.1.0
 * @category diagnosis
 */
export const diagnose422 = (body: unknown): ReadonlyArray<Finding> => {
  const decoded = Schema.decodeUnknownEither(Request, { errors: "all" })(body)
  if (Either.isRight(decoded)) return []
  return Input.innermost(decoded.left).map(({ message, path: item }) => ({
    item,
    message: message.startsWith("should not contain") ? `${item} ${message}.` : expected(item)
  }))
}

const expected = (path: string): string => {
  if (path === "") return "The body should be an object with user and signature."
  if (path === "user") return "user should be an object with user_id, email and name."
  if (path === "user.email") return "user.email is required and should be a valid email address."
  if (path.startsWith("user.company")) {
    return `${path}: user.company should be an object with a company_id.`
  }
  if (path.startsWith("user.candidates")) {
    return `${path}: user.candidates should be a list of objects with a candidate_id.`
  }
  return `${path} is required and should be a text that is not empty.`
}
