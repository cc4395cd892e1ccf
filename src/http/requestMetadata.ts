/** Reads from a request its operation and the template to file it under, before it is sent. */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Operation from "../idempotency/Operation.js"

export { discreet, scrubberFor } from "./discreetResponse.js"
export { bare, headSecretsOf, secretsOf } from "./requestSecrets.js"

const isAbsolute = (url: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(url)

/**
 * The request at its full address, and whether the caller left the origin to `baseUrl`. An absolute
 * URL stays as it is.
 */
export const resolve = (
  request: HttpClientRequest.HttpClientRequest,
  baseUrl: string
): { readonly request: HttpClientRequest.HttpClientRequest; readonly isRelative: boolean } => {
  const { url } = request
  if (isAbsolute(url)) return { request, isRelative: false }
  const separator = url === "" || /^[/?#]/.test(url) || baseUrl.endsWith("/") ? "" : "/"
  return { request: HttpClientRequest.prependUrl(request, baseUrl + separator), isRelative: true }
}

/** Tests whether an absolute URL is on the API's own origin. */
export const isSameOrigin = (url: string, baseUrl: string): boolean =>
  URL.canParse(url) && new URL(url).origin === new URL(baseUrl).origin

const identifier =
  /^(\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,})$/i

/** An ordinary URL, of which parsing would change nothing. */
const ordinary = /^https?:\/\/[a-z0-9.-]+(?::\d+)?(\/(?:[\w~-][\w.~-]*(?:\/[\w~-][\w.~-]*)*\/?)?)$/

/** A path or a template without query and fragment. */
export const withoutQuery = (path: string): string => path.replace(/[?#].*$/s, "")

/** The path of a request, without its query. */
export const pathOf = ({ url }: HttpClientRequest.HttpClientRequest): string => {
  const path = ordinary.exec(url)?.[1]
  if (path !== undefined) return path
  return URL.canParse(url) ? new URL(url).pathname : withoutQuery(url)
}

/** The path with everything that looks like an id replaced. */
export const templateOf = (path: string): string =>
  path.split("/").map((segment) => identifier.test(segment) ? ":id" : segment).join("/")

/** The path with everything that looks like an id replaced, never the query. */
export const endpointOf = (request: HttpClientRequest.HttpClientRequest): string =>
  templateOf(pathOf(request))

/**
 * Keeps only what reads like the name of a resource or a version; anything else may be personal
 * data.
 */
export const resourcesOf = (path: string): string =>
  path.split("/").map((segment) =>
    /^(|:id|v\d+|[a-z]+([-_][a-z]+)*)$/.test(segment) ? segment : ":id"
  ).join("/")

const safeMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"])

export const isSafe = (method: string): boolean => safeMethods.has(method)

/**
 * Reads the operation from the method (RFC 9110 section 9.2); a key makes an unsafe call
 * repeatable.
 */
export const operationOf = (method: string, hasKey: boolean): Operation.Operation<unknown> => {
  if (isSafe(method)) return Operation.read
  if (method === "PUT" || method === "DELETE") return Operation.idempotent
  return hasKey ? Operation.keyed : Operation.once
}

const headerNamed = (
  request: HttpClientRequest.HttpClientRequest,
  name: string
): string | undefined =>
  // The platform writes names in lower case; a record that was passed through may have others.
  Object.keys(request.headers).find((header) =>
    header === name || header.toLowerCase() === name.toLowerCase()
  )

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
 * Tests whether a text can be the value of a header (RFC 9110 section 5.5). Clients throw at one
 * that cannot, each in its own way and some with the value.
 */
export const isFieldValue = (text: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(text)

/**
 * Finds a header that cannot be sent, without its value. An invalid name may be a value that was
 * mistaken for one.
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

/** The key under which the guards of a pipeline file a request. */
export const guardKey = (
  by: "origin" | "endpoint",
  url: string,
  method: string,
  endpoint: string
): string => {
  const origin = originOf(url)
  return by === "origin" ? origin : `${origin} ${method} ${endpoint}`
}

/** Scheme, host and port of a URL. */
export const originOf = (url: string): string => URL.canParse(url) ? new URL(url).origin : url
