/**
 * Fingerprints a request: method, address, media type and content. Equal requests have equal
 * fingerprints.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import * as JsonText from "../core/jsonText.js"
import * as Multipart from "../core/multipart.js"
import type { Content } from "./contentCoding.js"

/**
 * How many values a JSON body may have to be compared as a value: 100,000 objects, arrays, strings,
 * numbers and literals. One with more is compared byte by byte, in a few milliseconds for each
 * megabyte.
 */
export const maxJsonValues = 100_000

/** Path and query, with the prefix under which a router has mounted the handler. */
const addressOf = ({ originalUrl }: HttpServerRequest.HttpServerRequest): string =>
  originalUrl.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "")

const contentTypeOf = (request: HttpServerRequest.HttpServerRequest): string =>
  request.headers["content-type"] ?? ""

/** Without parameters: another spelling of UTF-8 does not change the payload. */
const mediaTypeOf = (request: HttpServerRequest.HttpServerRequest): string =>
  contentTypeOf(request).replace(/;.*/s, "").trim().toLowerCase()

/** The parameters of a media type, names in lower case. `undefined` where they cannot be read. */
const parametersOf = (
  contentType: string
): ReadonlyArray<readonly [name: string, value: string]> | undefined => {
  const parameter = /\s*;\s*(?:([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))\s*)?/y
  const parameters: Array<readonly [string, string]> = []
  let at = contentType.indexOf(";")
  while (at >= 0 && at < contentType.length) {
    parameter.lastIndex = at
    const found = parameter.exec(contentType)
    if (found === null) return undefined
    const [, name, quoted, bare] = found
    if (name !== undefined) {
      parameters.push([name.toLowerCase(), quoted?.replaceAll(/\\(.)/gs, "$1") ?? bare ?? ""])
    }
    at = parameter.lastIndex
  }
  return parameters
}

const isJson = (mediaType: string): boolean => /^application\/(?:[\w.+-]+\+)?json$/.test(mediaType)

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/**
 * Hashes the pieces, each after its length, so that different lists of pieces never hash the same
 * text. O(body).
 */
const digest = (pieces: ReadonlyArray<string | Uint8Array>): string => {
  const hash = sha256.create()
  for (const piece of pieces) {
    const bytes = typeof piece === "string" ? bytesOf(piece) : piece
    hash.update(bytesOf(`${bytes.length}:`)).update(bytes)
  }
  return bytesToHex(hash.digest())
}

/**
 * The pieces of a multipart body: its parameters but for the boundary, and the parts with their
 * headers. A body that is not well-formed counts as it is, with the boundary that it was sent with.
 */
const multipartPieces = (
  contentType: string,
  body: Uint8Array
): ReadonlyArray<string | Uint8Array> => {
  const parameters = parametersOf(contentType) ?? []
  const [boundary, ...more] = parameters.filter(([name]) => name === "boundary")
  const parts = boundary !== undefined && more.length === 0
    ? Multipart.partsOf(body, boundary[1])
    : undefined
  if (parts === undefined) return ["malformed multipart", contentType, body]
  return [
    "multipart",
    JSON.stringify(parameters.filter(([name]) => name !== "boundary")),
    ...parts
  ]
}

/** The pieces of a content, of which the first says how it was read. */
const piecesOf = (
  contentType: string,
  mediaType: string,
  body: Uint8Array
): ReadonlyArray<string | Uint8Array> => {
  if (mediaType.startsWith("multipart/")) return multipartPieces(contentType, body)
  const form = isJson(mediaType) ? JsonText.canonical(body, maxJsonValues) : undefined
  return form === undefined ? ["bytes", body] : ["json", form]
}

/** The pieces before the content. */
const headOf = (request: HttpServerRequest.HttpServerRequest): ReadonlyArray<string> => [
  request.method,
  addressOf(request),
  mediaTypeOf(request)
]

/**
 * The digest of a request with this body, SHA-256 in hexadecimal digits: JSON as a value, multipart
 * without its boundary, anything else byte by byte. A compressed body counts by its content, or
 * where that cannot be read by its codings and bytes. O(body).
 */
export const ofBody = (
  request: HttpServerRequest.HttpServerRequest,
  sent: Uint8Array,
  content: Content = { _tag: "Plain", bytes: sent }
): string =>
  digest([
    ...headOf(request),
    ...(content._tag === "Plain"
      ? piecesOf(contentTypeOf(request), mediaTypeOf(request), content.bytes)
      : ["encoded", content.codings, sent])
  ])

/**
 * The digest of version 1, which took bodies as they were sent: compressed, and with the boundaries
 * of multipart bodies.
 */
export const ofBodyV1 = (
  request: HttpServerRequest.HttpServerRequest,
  sent: Uint8Array
): string => {
  const form = isJson(mediaTypeOf(request)) ? JsonText.canonical(sent, Infinity) : undefined
  return digest([...headOf(request), ...(form === undefined ? ["bytes", sent] : ["json", form])])
}

/** The digest of a request whose body is not read: `word` stands for the body. */
export const ofWord = (request: HttpServerRequest.HttpServerRequest, word: string): string =>
  digest([...headOf(request), "word", word])
