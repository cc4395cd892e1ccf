/** Finds the secrets of a request, and makes the request without them. */
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Redaction from "../errors/Redaction.js"

/** What bytes say in UTF-8. An image says nothing. */
const utf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const bytesOf = (body: unknown): Uint8Array | undefined =>
  body instanceof Uint8Array
    ? body
    : ArrayBuffer.isView(body)
    ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
    : body instanceof ArrayBuffer
    ? new Uint8Array(body)
    : undefined

/**
 * One record for each field: a name may come twice. Of `user[password]`, the word in brackets is a
 * name as well.
 */
const fieldsOf = (
  entries: Iterable<readonly [string, unknown]>
): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  Array.from(entries, ([name, value]) => {
    const inner = /\[([^[\]]+)\]$/.exec(name)?.[1]
    return inner === undefined ? { [name]: value } : { [name]: value, [inner]: value }
  })

const json = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The fields of a multipart body, of which the first line is the boundary. */
const partsOfMultipart = (text: string): ReadonlyArray<readonly [string, string]> => {
  const boundary = /^\s*(--[^\r\n]+)\r?\n/.exec(text)?.[1]
  if (boundary === undefined) return []
  return text.split(boundary).flatMap((part) => {
    const end = /\r?\n\r?\n/.exec(part)
    if (end === null) return []
    const head = part.slice(0, end.index)
    const name = /[;\s]name=(?:"([^"]*)"|([^\s;]+))/i.exec(head)
    const value = part.slice(end.index + end[0].length).replace(/\r?\n$/, "")
    return name === null ? [] : [[name[1] ?? name[2] ?? "", value] as const]
  })
}

/** A text as what it is: JSON, JSON in lines, multipart or a form. */
const parsed = (text: string): unknown => {
  const whole = json(text)
  if (whole !== undefined) return whole
  const lines = text.split(/[\r\n]+/)
    .filter((line) => /^[\s\p{Cc}]*[[{]/u.test(line))
    .map((line) => json(line.replace(/^\p{Cc}+/u, "")))
  return [
    lines,
    fieldsOf(partsOfMultipart(text)),
    fieldsOf(new URLSearchParams(text.trim()))
  ]
}

/** What a body holds that a program has in its hands; a stream and a file are read by others. */
const entriesOf = (body: unknown): unknown => {
  if (body instanceof FormData || body instanceof URLSearchParams) return fieldsOf(body)
  const bytes = bytesOf(body)
  const text = typeof body === "string" ? body : bytes === undefined ? undefined : utf8(bytes)
  return text === undefined ? undefined : parsed(text)
}

const contentOf = (body: HttpBody.HttpBody): unknown =>
  body._tag === "FormData"
    ? body.formData
    : body._tag === "Uint8Array" || body._tag === "Raw"
    ? body.body
    : undefined

/** Percent-encoding undone, where there is any that can be. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Without the quotes around it, with and without the backslashes in it. */
const unquoted = (text: string): ReadonlyArray<string> => {
  if (!/^".*"$/s.test(text)) return [text]
  const bare = text.slice(1, -1)
  return [bare, bare.replaceAll(/\\(.)/g, "$1")]
}

/** Parameters of a credential that are public. */
const publicParameters: ReadonlySet<string> = new Set(
  ("algorithm charset created domain headers nc oauth_callback oauth_signature_method " +
    "oauth_timestamp oauth_version qop realm signedheaders stale uri userhash").split(" ")
)

const parameter = /([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]+)/gs

/** The parameters of Digest, OAuth and AWS4, those aside that are no secrets. */
const parametersOf = (credential: string): ReadonlyArray<string> =>
  [...credential.matchAll(parameter)].flatMap(([, name = "", value = ""]) => {
    if (publicParameters.has(name.toLowerCase())) return []
    // Of an AWS4 credential the key's id comes first, then where and when it is used.
    const id = /^credential$/i.test(name) ? [value.split("/")[0] ?? ""] : []
    return [...unquoted(value), ...id]
  })

/** Credentials of Basic in either encoding of letters beyond ASCII; the key may be the user. */
const basicParts = (credential: string): ReadonlyArray<string> => {
  try {
    const latin1 = atob(credential.replaceAll("-", "+").replaceAll("_", "/"))
    const text = utf8(Uint8Array.from(latin1, (unit) => unit.charCodeAt(0)))
    return [latin1, ...(text === undefined || text === latin1 ? [] : [text])].flatMap((pair) => {
      const colon = pair.indexOf(":")
      return colon === -1 ? [pair] : [pair, pair.slice(0, colon), pair.slice(colon + 1)]
    })
  } catch {
    return []
  }
}

/** The values of cookies, as they are sent and with their percent-encoding undone. */
const cookiesOf = (header: string): ReadonlyArray<string> =>
  header.split(/;\s*/).flatMap((pair) =>
    pair.includes("=")
      ? unquoted(pair.slice(pair.indexOf("=") + 1).trim()).flatMap((value) => [
        value,
        decoded(value)
      ])
      : []
  )

/**
 * A credential is sent with its scheme, a cookie with its name, a key in quotes; each may come back
 * without.
 */
const partsOf = (header: string): ReadonlyArray<string> => {
  const bare = unquoted(header)
  if (bare.length > 1) return [header, ...bare]
  const [scheme = "", credential = ""] = header.split(/\s+(.*)/s)
  const isCredential = credential !== "" && /^[\w-]+$/.test(scheme)
  if (!isCredential) return [header, ...cookiesOf(header), ...parametersOf(header)]
  // The front of the whole would be the name of the scheme, which is no secret.
  const whole = /^AWS4-/i.test(scheme) ? [] : [header]
  return [
    ...whole,
    credential,
    ...unquoted(credential),
    ...(/^basic$/i.test(scheme) ? basicParts(credential) : parametersOf(credential))
  ]
}

/** The names that are secret in an address, where `key` is the key of the API. */
const inAddress = (names: Redaction.Names): Redaction.Names => [...names, "key"]

/** What stands behind the `#`: parameters, or a path with parameters. */
const parametersOfHash = (hash: string): ReadonlyArray<readonly [string, string]> => [
  ...new URLSearchParams(hash.replace(/^#?[^?=&]*\?|^#/, ""))
]

/**
 * Every value that this request carries under a secret name in its address and its headers, which
 * lose white space around them. O(head).
 */
export const headSecretsOf = (
  request: HttpClientRequest.HttpClientRequest,
  names: Redaction.Names
): ReadonlyArray<string> => {
  const url = URL.canParse(request.url) ? new URL(request.url) : undefined
  const query = [
    ...(url?.searchParams ?? []),
    ...UrlParams.fromInput(request.urlParams),
    ...parametersOfHash(url?.hash ?? ""),
    ...(request.hash._tag === "Some" ? parametersOfHash(request.hash.value) : [])
  ]
  const userInfo = url === undefined ? [] : [url.username, url.password]
  return [
    ...userInfo.flatMap((text) => [text, decoded(text)]),
    ...Redaction.secretsIn(request.headers, names).flatMap((value) => partsOf(value.trim())),
    ...Redaction.secretsIn(fieldsOf(query), inAddress(names))
  ]
}

/**
 * Every value that this request carries under a secret name, in its body too. O(request): for when
 * something went wrong.
 */
export const secretsOf = (
  request: HttpClientRequest.HttpClientRequest,
  names: Redaction.Names
): ReadonlyArray<string> => [
  ...headSecretsOf(request, names),
  ...Redaction.secretsIn(entriesOf(contentOf(request.body)), names)
]

/**
 * The request as an error of the platform may carry it: method and address, without credentials,
 * query, headers and body.
 */
export const bare = (
  request: HttpClientRequest.HttpClientRequest
): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.make(request.method)(
    request.url.replace(/[?#].*$/s, "").replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, "$1")
  )
