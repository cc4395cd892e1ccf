/** Fingerprints a key, for places where the key itself must not be read. */
import { hmac } from "@noble/hashes/hmac"
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import * as Redacted from "effect/Redacted"

/** Joined with their lengths, so that no choice of parts can read like another. */
export const joined = (parts: ReadonlyArray<string>): string =>
  parts.map((part) => `${part.length}:${part}`).join("")

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What an HMAC begins with, for each secret. It costs as much as hashing a short message. */
const begun = new WeakMap<Redacted.Redacted<string>, ReturnType<typeof hmac.create>>()

const begunUnder = (secret: Redacted.Redacted<string>): ReturnType<typeof hmac.create> => {
  const known = begun.get(secret)
  if (known !== undefined) return known
  const mac = hmac.create(sha256, bytesOf(Redacted.value(secret)))
  begun.set(secret, mac)
  return mac
}

/** What of `node:crypto` is used here. */
interface NodeCrypto {
  readonly createHmac: (
    algorithm: "sha256",
    key: string
  ) => {
    readonly update: (text: string, encoding: "utf8") => {
      readonly digest: (encoding: "hex") => string
    }
  }
}

/** Node's own hashes, a third of the time; none on another platform and in Node before 20.16. */
const nodeCrypto = (): NodeCrypto | undefined => {
  // A hash depends on nothing but what is hashed.
  // oxlint-disable-next-line eslint/no-restricted-properties
  const { process } = globalThis as {
    readonly process?: { readonly getBuiltinModule?: (name: string) => unknown }
  }
  return typeof process?.getBuiltinModule === "function"
    ? process.getBuiltinModule("node:crypto") as NodeCrypto | undefined
    : undefined
}

const portable = (secret: Redacted.Redacted<string>, text: string): string =>
  bytesToHex(begunUnder(secret).clone().update(bytesOf(text)).digest())

/** The HMAC-SHA-256 with this of Node, or without it. */
export const macWith = (node: NodeCrypto | undefined): typeof portable =>
  node === undefined ?
    portable :
    (secret, text) =>
      node.createHmac("sha256", Redacted.value(secret)).update(text, "utf8").digest("hex")

/** The HMAC-SHA-256 of a text under a secret, in hexadecimal digits. */
export const macUnder: typeof portable = macWith(nodeCrypto())

/** The whole HMAC-SHA-256 of scope and key under a secret, in hexadecimal digits. */
export const hashUnder = (
  secret: Redacted.Redacted<string>,
  key: Redacted.Redacted<string>,
  scope: ReadonlyArray<string>
): string => macUnder(secret, joined([...scope, Redacted.value(key)]))

/** What logs and spans show of a key: the first 64 bits of its hash. */
export const kidUnder = (
  secret: Redacted.Redacted<string>,
  key: string,
  scope: ReadonlyArray<string> = []
): string => macUnder(secret, joined([...scope, key])).slice(0, 16)
