/**
 * Writes the payload of a run as a text to hash. Redacted values count by their content. A value
 * that JSON does not show is refused.
 */
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import * as Chunk from "effect/Chunk"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as CanonicalJson from "../core/canonicalJson.js"
import type { Digest } from "./fingerprint.js"

/** The text that a `Redacted` shows in place of its value. */
const mask = String(Redacted.make(""))

const valueOf = (value: unknown): unknown =>
  Redacted.isRedacted(value) ? valueOf(Redacted.value(value)) : value

/**
 * An `Option`, `Either` or `Chunk` in the form of its `toJSON`, but with its contents as they are:
 * `toJSON` would mask a redacted value in it.
 */
const opened = (value: object): unknown => {
  if (Option.isOption(value)) {
    return Option.isSome(value) ? { _id: "Option", _tag: "Some", value: value.value } : value
  }
  if (Either.isEither(value)) {
    return Either.isRight(value)
      ? { _id: "Either", _tag: "Right", right: value.right }
      : { _id: "Either", _tag: "Left", left: value.left }
  }
  return Chunk.isChunk(value)
    ? { _id: "Chunk", values: Chunk.toReadonlyArray(value) }
    : value
}

const hashOf = (canonical: CanonicalJson.Canonical): ReadonlyArray<string> =>
  canonical._tag === "Text" ? [bytesToHex(sha256(canonical.text))] : []

/**
 * The digest of a payload, or where and why it has none. O(size). Everything is computed here, so
 * that a later change of the payload by the caller has no effect.
 *
 * Version 1 first wrote the mask for each redacted value, then the value where no `toJSON` hid it.
 * A record of that time does not tell two secrets apart; none is written any more.
 */
export const digestOf = (
  payload: unknown
): Digest | Extract<CanonicalJson.Canonical, { readonly _tag: "Refused" }> => {
  let isRedacted = false
  const reveal = (value: object): unknown => {
    if (!("toJSON" in value)) return value
    if (!Redacted.isRedacted(value)) return opened(value)
    isRedacted = true
    return valueOf(value)
  }
  const canonical = CanonicalJson.stringify(payload, { reveal, mask })
  if (canonical._tag === "Refused") return canonical
  const present = bytesToHex(sha256(canonical.text))
  if (!isRedacted) return { present, earlier: () => [present] }
  const revealed = (value: object): unknown =>
    Redacted.isRedacted(value) ? Redacted.value(value) : value
  const earlier = [
    ...hashOf(CanonicalJson.stringify(payload, { reveal: revealed, mask: undefined })),
    ...hashOf(CanonicalJson.stringify(payload))
  ]
  return { present, earlier: () => earlier }
}
