import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as zlib from "node:zlib"
import { contentOf } from "../../src/http/contentCoding.js"

const body = zlib.gzipSync("content")
const encoded = { _tag: "Encoded", codings: "gzip" }

/** A decoder that says which options it was given. */
const watched = (name: string) => {
  const seen: Array<unknown> = []
  const decode = (
    input: Uint8Array,
    options: unknown,
    done: (error: null, result: unknown) => void
  ) => {
    seen.push(options)
    done(null, { buffer: input, engine: { bytesWritten: input.length } })
  }
  return { seen, zlib: { [name]: decode, constants: { ZSTD_d_windowLogMax: 100 } } }
}

describe("contentOf", () => {
  it.effect("I17: a body without codings is its content, also where nothing can be decoded", () =>
    Effect.gen(function*() {
      for (const coding of [undefined, "", "identity", " Identity, "]) {
        expect(yield* contentOf(coding, body, 1, null)).toEqual({ _tag: "Plain", bytes: body })
      }
    }))

  it.effect("I17: without the decoders of Node a compressed body has no readable content", () =>
    Effect.gen(function*() {
      expect([
        yield* contentOf("gzip", body, 100, null),
        yield* contentOf("gzip", body, 100, {}),
        yield* contentOf("GZIP, constructor", body, 100)
      ]).toEqual([encoded, encoded, { _tag: "Encoded", codings: "gzip,constructor" }])
    }))

  it.effect("I17, I43: no decoder may write more than the limit, nor what is longer be taken", () =>
    Effect.gen(function*() {
      for (const [limit, length] of [[10, 10], [0, 1], [2 ** 40, 0x7fff_ffff]] as const) {
        const { seen, zlib } = watched("gunzip")
        yield* contentOf("gzip", body, limit, zlib)
        expect(seen).toEqual([{ maxOutputLength: length, info: true }])
      }
      const { zlib: echo } = watched("gunzip")
      expect([
        (yield* contentOf("gzip", body, body.length, echo))._tag,
        (yield* contentOf("gzip", body, body.length - 1, echo))._tag,
        (yield* contentOf("gzip", zlib.gzipSync("a"), 0))._tag,
        (yield* contentOf("gzip", zlib.gzipSync(""), 0))._tag
      ]).toEqual(["Plain", "Encoded", "Encoded", "Plain"])
    }))

  it.effect("I17: zstd is decoded where Node can, with windows of 8 MiB at most", () =>
    Effect.gen(function*() {
      const { seen, zlib } = watched("zstdDecompress")
      yield* contentOf("zstd", body, 10, zlib)
      expect(seen).toEqual([{ maxOutputLength: 10, info: true, params: { 100: 23 } }])
    }))
})
