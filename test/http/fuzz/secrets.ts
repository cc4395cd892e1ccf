/** What requests carry that no error may show, and how an API may repeat it. */
import { HttpBody, HttpClientRequest } from "@effect/platform"
import { Effect, Redacted } from "effect"
import { IdempotencyKey } from "effect-resilience"
import type { Choice } from "./random.js"

/** Stands in every secret three times, so that no part of one that tells goes unseen. */
const word = "SENTINEL"

const secret = (name: string, odd = ""): string => `${word}-${name}-${word}${odd}-${word}`

/** Values that are never sent: a key to sign with. */
const unsent = secret("signing", "/+=")

export const options = {
  redactedNames: ["X-Partner-Code", /^partner_/],
  secrets: [Redacted.make(unsent)]
} as const

type Request = HttpClientRequest.HttpClientRequest

/** A way in which a request carries secrets. Of those of one slot the last counts. */
interface Carrier {
  readonly slot: string
  readonly secrets: ReadonlyArray<string>
  readonly put: (request: Request) => Request
}

const header = (name: string, value: string, ...secrets: ReadonlyArray<string>): Carrier => ({
  slot: name,
  secrets: secrets.length > 0 ? secrets : [value],
  put: HttpClientRequest.setHeader(name, value)
})

const query = (name: string, value: string): Carrier => ({
  slot: `?${name}`,
  secrets: [value],
  put: HttpClientRequest.setUrlParam(name, value)
})

const odd = " ü\"\\/&<>'+%"

const basic = (user: string, password: string): Carrier => {
  const credential = Buffer.from(`${user}:${password}`).toString("base64")
  return header("authorization", `Basic ${credential}`, `Basic ${credential}`, password)
}

const carriers: ReadonlyArray<Carrier> = [
  header("authorization", `Bearer ${secret("bearer", ".~+/=")}`, secret("bearer", ".~+/=")),
  basic("alice", secret("basic", odd)),
  basic(secret("user"), ""),
  header(
    "authorization",
    `Digest username="bob", response="${secret("digest")}", nonce="${secret("nonce")}"`,
    secret("digest"),
    secret("nonce")
  ),
  header("x-api-key", secret("api-key", "&<'\"")),
  header("cookie", `a=b; sid=${secret("cookie")}`, secret("cookie")),
  header("cookie", `sid=${encodeURIComponent(secret("cookie", "/;"))}`, secret("cookie", "/;")),
  header("x-partner-code", secret("partner")),
  header("x-signature", `t=1,v1=${secret("signature")}`),
  query("api_key", secret("query", odd)),
  query("key", secret("key-in-query")),
  query("token", secret("token", "=&")),
  {
    slot: "#",
    secrets: [secret("hash")],
    put: (request) => HttpClientRequest.setUrl(request, `${request.url}#token=${secret("hash")}`)
  }
]

const json = { user: { name: "a", password: secret("password", odd) }, partner_id: secret("id") }

const form = { client_secret: secret("form", odd), amount: "1" }

const formData = () => {
  const data = new FormData()
  data.append("passwd", secret("multipart"))
  data.append("file", new Blob(["text"]), "file.txt")
  return data
}

const body = (make: () => HttpBody.HttpBody, ...secrets: ReadonlyArray<string>): Carrier => ({
  slot: "body",
  secrets,
  put: (request) => HttpClientRequest.setBody(request, make())
})

const bodies: ReadonlyArray<Carrier> = [
  body(() => HttpBody.unsafeJson(json), json.user.password, json.partner_id),
  body(() => HttpBody.unsafeJson({ in: JSON.stringify(json) }), json.user.password),
  body(
    () =>
      HttpBody.text(
        `${JSON.stringify({ n: 1 })}\n${JSON.stringify(json)}\n`,
        "application/x-ndjson"
      ),
    json.partner_id
  ),
  body(() => HttpBody.urlParams(Object.entries(form)), form.client_secret),
  body(() => HttpBody.formData(formData()), secret("multipart")),
  body(
    () => HttpBody.uint8Array(Buffer.from(JSON.stringify(json)), "application/json"),
    json.user.password
  )
]

const key = Effect.runSync(IdempotencyKey.fromString(secret("key"), { madeAt: 0 }))

/** A request with secrets, those secrets, and whether it goes out under a key. */
export interface Laden {
  readonly request: Request
  readonly secrets: ReadonlyArray<string>
  readonly key: IdempotencyKey.IdempotencyKey | undefined
}

const hasBody = (method: string): boolean => /^(POST|PUT|PATCH)$/.test(method)

export const laden = (choice: Choice, bare: Request): Laden => {
  const some = Array.from({ length: choice.below(3) + 1 }, () => choice.pick(carriers))
  if (hasBody(bare.method) && choice.chance(0.8)) some.push(choice.pick(bodies))
  const keyed = hasBody(bare.method) && choice.chance(0.4)
  const sent = [...new Map(some.map((carrier) => [carrier.slot, carrier])).values()]
  return {
    request: sent.reduce((request, { put }) => put(request), bare),
    secrets: [unsent, ...sent.flatMap(({ secrets }) => secrets), ...(keyed ? [secret("key")] : [])],
    key: keyed ? key : undefined
  }
}

const eachUnit = (text: string, write: (unit: string) => string): string =>
  [...text].map(write).join("")

const hex = (unit: string, width = 0): string =>
  unit.codePointAt(0)!.toString(16).padStart(width, "0")

const percentAll = (text: string): string =>
  Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

const base64 = (text: string): string => Buffer.from(text).toString("base64")

/** How a secret may come back (T9). */
const spellings: ReadonlyArray<(secret: string, choice: Choice) => string> = [
  (secret) => secret,
  (secret) => secret,
  (secret) => secret.toUpperCase(),
  (secret) => `"${secret.toLowerCase()}"`,
  (secret) => encodeURIComponent(secret),
  (secret) => encodeURIComponent(encodeURIComponent(secret)),
  (secret) => new URLSearchParams({ a: secret }).toString(),
  percentAll,
  (secret) => secret.replaceAll(/[&<>"']/g, (unit) => entities[unit]!),
  (secret) => eachUnit(secret, (unit) => `&#${unit.codePointAt(0)};`),
  (secret) => eachUnit(secret, (unit) => `&#x${hex(unit)};`),
  (secret) => eachUnit(secret, (unit) => `\\u${hex(unit, 4)}`),
  (secret) => secret.replaceAll("/", "\\/"),
  (secret) => JSON.stringify(JSON.stringify({ of: secret })),
  base64,
  (secret) => Buffer.from(secret).toString("base64url"),
  (secret) => base64(`a${secret}bc`),
  (secret) => base64(`ab${secret}`),
  (secret, choice) => `${secret.slice(0, 16 + choice.below(secret.length - 16))}...`
]

/** A secret of this side, or one of the other side under its name (T10). */
export const echo = (choice: Choice, secrets: ReadonlyArray<string>): string =>
  choice.chance(0.1)
    ? choice.pick([
      `session_token=${secret("other")}`,
      `{"access_token":"${secret("other")}"}`,
      `x-signature: ${secret("other")}`,
      `set-cookie: sid=${secret("other")}`
    ])
    : choice.pick(spellings)(choice.pick(secrets), choice)

/** Of a text in base64, what of it depends on the word alone, in each of its three positions. */
const inBase64 = [0, 1, 2].map((shift) => {
  const text = base64("\0".repeat(shift) + word)
  return text.slice(shift === 0 ? 0 : shift + 1, Math.floor((shift + word.length) * 8 / 6))
})

const needles = [
  word,
  percentAll(word),
  percentAll(word).replaceAll("%", "%25"),
  eachUnit(word, (unit) => `&#${unit.codePointAt(0)};`),
  eachUnit(word, (unit) => `&#x${hex(unit)};`),
  eachUnit(word, (unit) => `\\u${hex(unit, 4)}`),
  ...inBase64
].map((needle) => needle.toLowerCase())

/** Those of the texts that give a secret away, around where they do. */
export const shown = (texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  texts.flatMap((text) => {
    const lower = text.toLowerCase()
    const at = Math.max(...needles.map((needle) => lower.indexOf(needle)))
    return at === -1 ? [] : [text.slice(Math.max(0, at - 60), at + 60)]
  })
