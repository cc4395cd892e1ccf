/**
 * The fingerprint of a request: method, address, media type and body. Equal requests have equal
 * fingerprints.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import { stringify } from "../core/canonicalJson.js"

/** Path and query, with the prefix under which a router has mounted the handler. */
const addressOf = ({ originalUrl }: HttpServerRequest.HttpServerRequest): string =>
  originalUrl.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "")

/** Without parameters: a new boundary or another spelling of UTF-8 does not change the payload. */
const mediaTypeOf = (request: HttpServerRequest.HttpServerRequest): string =>
  (request.headers["content-type"] ?? "").replace(/;.*/s, "").trim().toLowerCase()

/** The number of keys of all objects in a JSON value. */
const keysIn = (json: unknown): number => {
  const open: Array<unknown> = [json]
  let keys = 0
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== "object" || next === null) continue
    if (!Array.isArray(next)) keys += Object.keys(next).length
    for (const inner of Object.values(next)) open.push(inner)
  }
  return keys
}

/**
 * Whether a double holds a number exactly as it is written: at most fifteen digits, and an exponent
 * without overflow or underflow.
 */
const isExact = (number: string): boolean => {
  const [mantissa = "", exponent = "0"] = number.toLowerCase().split("e")
  return mantissa.replaceAll(/[^0-9]/g, "").length <= 15 && Math.abs(Number(exponent)) <= 200
}

/** Whether a JSON text survives parsing: no object has a key twice, and every number is exact. */
const isLossless = (text: string, json: unknown): boolean => {
  const number = /[-\d.eE+]+/y
  let colons = 0
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === "\"") {
      for (at++; text[at] !== "\"" && at < text.length; at++) if (text[at] === "\\") at++
    } else if (character === ":") {
      colons++
    } else if (
      character === "-" || (character !== undefined && character >= "0" && character <= "9")
    ) {
      number.lastIndex = at
      const found = number.exec(text)?.[0] ?? character
      if (!isExact(found)) return false
      at += found.length - 1
    }
  }
  return colons === keysIn(json)
}

/**
 * The canonical form of a JSON body, which is the same when a client writes the keys in another
 * order. `undefined` for a body that parsing would change (a key twice in an object, a number that
 * a double does not hold), because two different bodies would then have the same form.
 */
const canonical = (body: Uint8Array): string | undefined => {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body)
    const json: unknown = JSON.parse(text)
    if (!isLossless(text, json)) return undefined
    const form = stringify(json)
    return form._tag === "Text" ? form.text : undefined
  } catch {
    return undefined
  }
}

const isJson = (mediaType: string): boolean => /^application\/(?:[\w.+-]+\+)?json$/.test(mediaType)

/**
 * Hashes the parts, each after its length, so that different lists of parts never hash the same
 * text. O(body).
 */
const digest = (parts: ReadonlyArray<Uint8Array>): string => {
  const hash = sha256.create()
  const encoder = new TextEncoder()
  for (const part of parts) hash.update(encoder.encode(`${part.length}:`)).update(part)
  return bytesToHex(hash.digest())
}

const encoded = (...texts: ReadonlyArray<string>) =>
  texts.map((text) => new TextEncoder().encode(text))

/** The fingerprint of a request with this body, SHA-256 in hexadecimal. */
export const ofBody = (request: HttpServerRequest.HttpServerRequest, body: Uint8Array): string => {
  const mediaType = mediaTypeOf(request)
  const form = isJson(mediaType) ? canonical(body) : undefined
  const kind = form === undefined ? "bytes" : "json"
  const head = encoded(request.method, addressOf(request), mediaType, kind)
  return digest([...head, ...(form === undefined ? [body] : encoded(form))])
}

/** The fingerprint of a request whose body is not read: `word` stands for the body. */
export const ofWord = (request: HttpServerRequest.HttpServerRequest, word: string): string =>
  digest(encoded(request.method, addressOf(request), mediaTypeOf(request), "word", word))
