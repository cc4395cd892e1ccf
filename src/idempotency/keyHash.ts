/**
 * The fingerprint of a key: what stands for it where the key itself must not be read.
 */
import { hmac } from "@noble/hashes/hmac"
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import * as Redacted from "effect/Redacted"

/** Joined with their lengths, so that no choice of parts can read like another. */
export const joined = (parts: ReadonlyArray<string>): string =>
  parts.map((part) => `${part.length}:${part}`).join("")

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The whole HMAC-SHA-256 of scope and key under a secret, in hexadecimal digits. */
export const hashUnder = (
  secret: Redacted.Redacted<string>,
  key: Redacted.Redacted<string>,
  scope: ReadonlyArray<string>
): string =>
  bytesToHex(
    hmac(sha256, bytesOf(Redacted.value(secret)), bytesOf(joined([...scope, Redacted.value(key)])))
  )
