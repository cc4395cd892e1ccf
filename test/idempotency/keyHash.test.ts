import { describe, expect, it } from "@effect/vitest"
import { FastCheck, Redacted } from "effect"
import { macUnder, macWith } from "../../src/idempotency/keyHash.js"

describe("macUnder", () => {
  it.prop(
    "is the same hash with Node's own hashes and without them",
    [FastCheck.string({ unit: "binary" }), FastCheck.string({ unit: "binary" })],
    ([secret, text]) => {
      const under = Redacted.make(secret)
      expect(macUnder(under, text)).toBe(macWith(undefined)(under, text))
    }
  )

  it("RFC 4231, test case 2", () => {
    const mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    const under = Redacted.make("Jefe")
    const text = "what do ya want for nothing?"
    expect([macUnder(under, text), macWith(undefined)(under, text)]).toEqual([mac, mac])
  })
})
