/**
 * What the client has to know about a request before it leaves: what kind of operation it is, under
 * which template to file it, which secrets it carries, and whether it could be sent a second time.
 */
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Stream from "effect/Stream"
import * as Operation from "../idempotency/Operation.js"
import * as Redaction from "../errors/Redaction.js"

const isAbsolute = (url: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(url)

/**
 * The request at its full address, and whether that is on the API's own origin. An absolute URL
 * stays as it is.
 */
export const resolve = (
  request: HttpClientRequest.HttpClientRequest,
  baseUrl: string
): { readonly request: HttpClientRequest.HttpClientRequest; readonly sameOrigin: boolean } => {
  if (!isAbsolute(request.url)) {
    const separator = request.url === "" || /^[/?#]/.test(request.url) || baseUrl.endsWith("/")
      ? ""
      : "/"
    return { request: HttpClientRequest.prependUrl(request, baseUrl + separator), sameOrigin: true }
  }
  return {
    request,
    sameOrigin: URL.canParse(request.url) && new URL(request.url).origin === new URL(baseUrl).origin
  }
}

const identifier =
  /^(\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,})$/i

/** The path with everything that looks like an id replaced, never the query. */
export const endpointOf = (request: HttpClientRequest.HttpClientRequest): string => {
  const path = URL.canParse(request.url)
    ? new URL(request.url).pathname
    : request.url.replace(/[?#].*$/s, "")
  return path.split("/").map((segment) => identifier.test(segment) ? ":id" : segment).join("/")
}

/** Only what reads like the name of a resource or a version; everything else may be somebody's. */
export const resourcesOf = (path: string): string =>
  path.split("/").map((segment) =>
    /^(|:id|v\d+|[a-z]+([-_][a-z]+)*)$/.test(segment) ? segment : ":id"
  ).join("/")

const safeMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"])

export const isSafe = (method: string): boolean => safeMethods.has(method)

/** What the method implies (RFC 9110 section 9.2); a key makes an unsafe call repeatable. */
export const operationOf = (method: string, hasKey: boolean): Operation.Operation<unknown> => {
  if (isSafe(method)) return Operation.read
  if (method === "PUT" || method === "DELETE") return Operation.idempotent
  return hasKey ? Operation.keyed : Operation.once
}

const headerNamed = (
  request: HttpClientRequest.HttpClientRequest,
  name: string
): string | undefined =>
  Object.keys(request.headers).find((header) => header.toLowerCase() === name.toLowerCase())

/** The value of a header, whatever the letter case of its name. */
export const headerOf = (
  request: HttpClientRequest.HttpClientRequest,
  name: string
): string | undefined => {
  const found = headerNamed(request, name)
  return found === undefined ? undefined : request.headers[found]
}

/** The request without a header, whatever the letter case of its name. */
export const withoutHeader = (
  request: HttpClientRequest.HttpClientRequest,
  name: string
): HttpClientRequest.HttpClientRequest => {
  const found = headerNamed(request, name)
  if (found === undefined) return request
  const { [found]: _, ...rest } = request.headers
  return HttpClientRequest.modify(
    HttpClientRequest.make(request.method)(request.url, {
      urlParams: request.urlParams,
      body: request.body
    }),
    { headers: rest, ...(request.hash._tag === "Some" ? { hash: request.hash.value } : {}) }
  )
}

const isFieldName = (text: string): boolean => /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(text)

/**
 * Whether a text can be the value of a header (RFC 9110 section 5.5). Clients throw at one that
 * cannot, each in its own way and some with the value.
 */
export const isFieldValue = (text: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(text)

/**
 * Where there is a header that cannot be sent, without its value. What is no name may be a value
 * that was mistaken for one.
 */
export const malformedHeader = (
  { headers }: HttpClientRequest.HttpClientRequest
): string | undefined => {
  for (const [name, value] of Object.entries(headers)) {
    if (!isFieldName(name)) return "headers"
    if (!isFieldValue(value)) return `headers.${name}`
  }
  return undefined
}

/** Only what could be fields: an image has none. */
const textOf = (body: HttpBody.HttpBody): string | undefined => {
  if (body._tag === "Uint8Array" && /json|urlencoded|text/i.test(body.contentType)) {
    return new TextDecoder().decode(body.body)
  }
  return body._tag === "Raw" && typeof body.body === "string" ? body.body : undefined
}

/** One record for each field: a name may come twice. */
const fieldsOf = (
  entries: Iterable<readonly [string, unknown]>
): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  Array.from(entries, ([name, value]) => ({ [name]: value }))

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return fieldsOf(new URLSearchParams(text))
  }
}

const entriesOf = (body: HttpBody.HttpBody): unknown => {
  if (body._tag === "FormData") {
    return fieldsOf([...body.formData].filter(([, value]) => typeof value === "string"))
  }
  const text = textOf(body)
  return text === undefined ? undefined : parsed(text)
}

/**
 * A credential is sent with its scheme, a cookie with its name, a key in quotes; each may come back
 * without.
 */
const partsOf = (header: string): ReadonlyArray<string> => {
  if (/^".*"$/s.test(header)) {
    const bare = header.slice(1, -1)
    return [header, bare, bare.replaceAll(/\\(.)/g, "$1")]
  }
  const [scheme, credential] = header.split(/\s+(.*)/s)
  const cookies = header.split(/;\s*/).flatMap((pair) =>
    pair.includes("=") ? [pair.slice(pair.indexOf("=") + 1)] : []
  )
  if (credential === undefined || credential === "") return [header, ...cookies]
  return [
    header,
    credential,
    ...cookies,
    ...(/^basic$/i.test(scheme ?? "") ? basicParts(credential) : [])
  ]
}

const basicParts = (credential: string): ReadonlyArray<string> => {
  try {
    const decoded = atob(credential)
    return [decoded, decoded.slice(decoded.indexOf(":") + 1)]
  } catch {
    return []
  }
}

/**
 * Every value that this request carries under a secret name in its address and its headers, which
 * lose white space around them. O(head).
 */
export const headSecretsOf = (
  request: HttpClientRequest.HttpClientRequest,
  names: Redaction.Names
): ReadonlyArray<string> => {
  const url = URL.canParse(request.url) ? new URL(request.url) : undefined
  const query = [...(url?.searchParams ?? []), ...UrlParams.fromInput(request.urlParams)]
  return [
    ...(url === undefined ? [] : [url.password, decoded(url.password)]),
    ...Redaction.secretsIn(request.headers, names).flatMap((value) => partsOf(value.trim())),
    ...Redaction.secretsIn(fieldsOf(query), names)
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
  ...Redaction.secretsIn(entriesOf(request.body), names)
]

/** Percent-encoding undone, where there is any that can be. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

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

const isStreamLike = (body: unknown): boolean =>
  typeof body === "object" && body !== null &&
  (body instanceof ReadableStream || "pipe" in body || Symbol.asyncIterator in body)

/**
 * A body that is a stream can be read once. `consumed` says whether reading it has begun, and with
 * it whether the request may be sent again.
 */
export const trackBody = (
  request: HttpClientRequest.HttpClientRequest
): { readonly request: HttpClientRequest.HttpClientRequest; readonly consumed: () => boolean } => {
  const body = request.body
  if (body._tag === "Raw" && isStreamLike(body.body)) {
    const readable = body.body as { readonly locked?: boolean; readonly readableDidRead?: boolean }
    // What does not say whether it has been read has to be taken for read.
    return { request, consumed: () => readable.locked ?? readable.readableDidRead ?? true }
  }
  if (body._tag !== "Stream") return { request, consumed: () => false }
  let begun = false
  const tracked = Stream.suspend(() => {
    begun = true
    return body.stream
  })
  return {
    request: HttpClientRequest.bodyStream(request, tracked, {
      contentType: body.contentType,
      contentLength: body.contentLength
    }),
    consumed: () => begun
  }
}

/** The key under which the guards of a pipeline file a request. */
export const guardKey = (
  by: "origin" | "endpoint",
  url: string,
  method: string,
  endpoint: string
): string => {
  const origin = URL.canParse(url) ? new URL(url).origin : url
  return by === "origin" ? origin : `${origin} ${method} ${endpoint}`
}
