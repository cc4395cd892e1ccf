/** Makes UUIDs (RFC 9562) from bytes, and from the platform's cryptographic generator. */
import { bytesToHex, randomBytes } from "@noble/hashes/utils"

/** Sixteen bytes in the form of RFC 9562, with the given version. */
export const uuid = (bytes: Uint8Array, version: number): string => {
  const hex = bytesToHex(
    Uint8Array.from(bytes.subarray(0, 16), (byte, index) => {
      if (index === 6) return (byte & 0x0f) | (version << 4)
      return index === 8 ? (byte & 0x3f) | 0x80 : byte
    })
  )
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)]
    .join("-")
}

/** A UUID of the platform where it has them: a thirtieth of the time that ours takes. */
export const drawn = (): string => {
  // Asked only where effect's `Random` has no part in it.
  // oxlint-disable-next-line eslint/no-restricted-properties
  const { crypto } = globalThis
  return typeof crypto?.randomUUID === "function" ? crypto.randomUUID() : uuid(randomBytes(16), 4)
}
