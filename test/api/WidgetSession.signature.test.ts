import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc, Redacted } from "effect"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import { inspect } from "node:util"
import { runs } from "../support/runs.js"
import { anyText, anyUser, canonicalOf, hmac, john, secret, secretKey } from "./widgetSession.js"

describe("canonicalString", () => {
  it("is the example of the document", () => {
    expect(WidgetSession.canonicalString("psikologihub-1024", john)).toBe(
      "psikologihub-1024|USR-001|john@example.com|John Doe|COMP-001|CND-001,CND-002"
    )
  })

  it("keeps empty optionals as empty strings", () => {
    const { candidates, company, ...bare } = john
    expect([
      WidgetSession.canonicalString("p", bare),
      WidgetSession.canonicalString("p", { ...bare, company: company! }),
      WidgetSession.canonicalString("p", { ...bare, candidates: candidates! }),
      WidgetSession.canonicalString("p", { ...bare, candidates: [] })
    ]).toEqual([
      "p|USR-001|john@example.com|John Doe||",
      "p|USR-001|john@example.com|John Doe|COMP-001|",
      "p|USR-001|john@example.com|John Doe||CND-001,CND-002",
      "p|USR-001|john@example.com|John Doe||"
    ])
  })

  it("keeps the order of the candidates", () => {
    const candidates = ["C-9", "C-1", "C-5", "C-1"].map((candidate_id) => ({ candidate_id }))
    expect(WidgetSession.canonicalString("p", { ...john, candidates }).split("|").at(-1)).toBe(
      "C-9,C-1,C-5,C-1"
    )
  })

  it("changes nothing in the values: spaces, pipes, newlines and unicode stay", () => {
    const user = { user_id: " U 1 ", email: "Jürgen@例え.jp", name: "A | B\n👩‍💻" }
    expect(WidgetSession.canonicalString("p", user)).toBe("p| U 1 |Jürgen@例え.jp|A | B\n👩‍💻||")
  })

  it("agrees with the document's wording for any user", () => {
    fc.assert(
      fc.property(anyText, anyUser, (partnerId, user) => {
        expect(WidgetSession.canonicalString(partnerId, user)).toBe(canonicalOf(partnerId, user))
      }),
      { numRuns: runs(500) }
    )
  })
})

describe("sign", () => {
  it("is the HMAC-SHA256 that node:crypto computes, for any user and any secret, unicode included", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyText, fc.string({ minLength: 60, maxLength: 200 })),
        anyText,
        anyUser,
        (key, partner, user) => {
          const text = canonicalOf(partner, user)
          expect(Redacted.value(WidgetSession.sign(Redacted.make(key), text))).toBe(hmac(key, text))
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("T2: a signature does not print itself", () => {
    const signature = WidgetSession.sign(secretKey, "p|u|e|n||")
    const raw = hmac(secret, "p|u|e|n||")
    expect(
      [String(signature), JSON.stringify(signature), inspect(signature)].filter((text) =>
        text.includes(raw)
      )
    )
      .toEqual([])
  })
})
