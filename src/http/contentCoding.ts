/**
 * Decodes the content of a compressed request body (RFC 9110, section 8.4).
 *
 * The decoders are those of `node:zlib`, which is looked up when it is needed, so that the module
 * loads in runtimes without it. There a compressed body has no readable content.
 */
import * as Effect from "effect/Effect"
import { hasProperty, isFunction } from "effect/Predicate"

/**
 * `Plain`: the body without its codings. `Encoded`: a body whose content cannot be read here;
 * `codings` are those that it was sent with.
 */
export type Content =
  | { readonly _tag: "Plain"; readonly bytes: Uint8Array }
  | { readonly _tag: "Encoded"; readonly codings: string }

/** More codings in a row than this are not decoded. */
const maxCodings = 3

/** `zstd` needs Node 22.15. Of deflate there are two formats; the proper one begins with `x8`. */
const decoderNames: Readonly<Record<string, (body: Uint8Array) => string>> = {
  gzip: () => "gunzip",
  "x-gzip": () => "gunzip",
  deflate: ([first = 0]) => (first & 0x0f) === 8 ? "inflate" : "inflateRaw",
  br: () => "brotliDecompress",
  zstd: () => "zstdDecompress"
}

const constantOf = (zlib: object, name: string): unknown =>
  hasProperty(zlib, "constants") && hasProperty(zlib.constants, name)
    ? zlib.constants[name]
    : undefined

/** A zstd frame may ask for a window of 128 MiB; for HTTP 8 MiB are the most (RFC 9659). */
const windowLog = 23

const optionsOf = (zlib: object, name: string, maxBytes: number) => {
  const window = name === "zstdDecompress" ? constantOf(zlib, "ZSTD_d_windowLogMax") : undefined
  return {
    maxOutputLength: Math.min(Math.max(1, maxBytes), 0x7fff_ffff),
    info: true,
    ...(typeof window === "number" ? { params: { [window]: windowLog } } : {})
  }
}

/** What a decoder has answered. Bytes that it left unread are no part of the content. */
const outputOf = (result: unknown, length: number): Uint8Array | undefined =>
  hasProperty(result, "buffer") && result.buffer instanceof Uint8Array &&
    hasProperty(result, "engine") && hasProperty(result.engine, "bytesWritten") &&
    result.engine.bytesWritten === length
    ? result.buffer
    : undefined

const decodeOne = (
  zlib: object,
  coding: string,
  body: Uint8Array,
  maxBytes: number
): Effect.Effect<Uint8Array | undefined> => {
  const name = decoderNames[coding]?.(body) ?? ""
  const decode: unknown = Reflect.get(zlib, name)
  if (!isFunction(decode)) return Effect.succeed(undefined)
  return Effect.async((resume) => {
    const done = (error: unknown, result: unknown): void => {
      const output = error === null || error === undefined
        ? outputOf(result, body.length)
        : undefined
      resume(Effect.succeed(output !== undefined && output.length <= maxBytes ? output : undefined))
    }
    Reflect.apply(decode, zlib, [body, optionsOf(zlib, name, maxBytes), done])
  })
}

/** Node's zlib, from Node 20.16 on. */
const platformZlib = (): unknown =>
  typeof process === "object" && isFunction(process.getBuiltinModule)
    ? process.getBuiltinModule("node:zlib")
    : undefined

/**
 * Decodes a body by its `Content-Encoding`, a list in the order of application. The content is
 * `Encoded` where a coding is unknown, where a decoder fails or leaves bytes unread, and where the
 * output of one would be longer than `maxBytes`; no more than that is ever held. O(maxBytes).
 */
export const contentOf = (
  contentEncoding: string | undefined,
  body: Uint8Array,
  maxBytes: number,
  zlib: unknown = platformZlib()
): Effect.Effect<Content> =>
  Effect.suspend(() => {
    const codings = (contentEncoding ?? "").toLowerCase().split(",").map((coding) => coding.trim())
      .filter((coding) => coding !== "" && coding !== "identity")
    if (codings.length === 0) return Effect.succeed<Content>({ _tag: "Plain", bytes: body })
    const encoded: Content = { _tag: "Encoded", codings: codings.join() }
    if (typeof zlib !== "object" || zlib === null || codings.length > maxCodings) {
      return Effect.succeed(encoded)
    }
    const decoded = codings.reduceRight<Effect.Effect<Uint8Array | undefined>>(
      (body, coding) =>
        Effect.flatMap(body, (body) =>
          body === undefined
            ? Effect.succeed(undefined)
            : decodeOne(zlib, coding, body, maxBytes)),
      Effect.succeed(body)
    )
    return Effect.map(
      decoded,
      (bytes): Content => bytes === undefined ? encoded : { _tag: "Plain", bytes }
    )
  })
