import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, FastCheck as fc } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import { apiErrorOf } from "../support/exits.js"
import * as Stray from "../support/keysAndIds.js"
import { runs } from "../support/runs.js"
import { anyText, john, virtual } from "./widgetSession.js"

/** A call with this user, and what was sent. */
const created = (user: WidgetSession.Draft) =>
  Effect.gen(function*() {
    const http = Stray.nobodyAsked()
    const client = yield* Effect.provide(WidgetSession.make(virtual), http.layer)
    const exit = yield* Effect.exit(IdempotencyKey.provideNew(client.createSession(user)))
    return { exit, asked: http.asked }
  })

/** Pairs of payloads that are not the same, and whose canonical strings are. */
const pairs: ReadonlyArray<
  readonly [what: string, path: string, refused: WidgetSession.Draft, other: WidgetSession.Draft]
> = [
  [
    "a | in the user id",
    "user_id",
    { user_id: "U|a@b.example", email: "Ada", name: "C" },
    { user_id: "U", email: "a@b.example", name: "Ada", company: { company_id: "C|" } }
  ],
  [
    "a | in the name",
    "name",
    { ...john, name: "Ada|C", company: { company_id: "1" }, candidates: [] },
    { ...john, name: "Ada", company: { company_id: "C|1" }, candidates: [] }
  ],
  [
    "a | in a candidate id",
    "candidates.0.candidate_id",
    { ...john, company: { company_id: "C" }, candidates: [{ candidate_id: "1|2" }] },
    { ...john, company: { company_id: "C|1" }, candidates: [{ candidate_id: "2" }] }
  ],
  [
    "a comma in a candidate id",
    "candidates.1.candidate_id",
    { ...john, candidates: [{ candidate_id: "1" }, { candidate_id: "2,3" }] },
    { ...john, candidates: [{ candidate_id: "1" }, { candidate_id: "2" }, { candidate_id: "3" }] }
  ],
  [
    "half of a surrogate pair, of which UTF-8 makes a question mark",
    "name",
    { ...john, name: "A\ud800" },
    { ...john, name: "A\ud801" }
  ]
]

const signed = (user: WidgetSession.Draft) =>
  new TextEncoder().encode(WidgetSession.canonicalString("partner-1", user)).join()

describe("WidgetSession: payloads that sign alike", () => {
  it.each(pairs.slice(1))("the two payloads with %s do sign alike", (_, __, refused, other) => {
    expect(signed(refused)).toBe(signed(other))
  })

  it.effect.each(pairs)(
    "%s is a Validation at %s, and nothing is sent",
    ([, path, user]) =>
      Effect.gen(function*() {
        const { asked, exit } = yield* created(user)
        const error = apiErrorOf(exit)
        expect([
          error._tag,
          error.code,
          error.endpoint,
          error.method,
          error._tag === "Validation" && error.issues.map(({ path }) => path),
          asked
        ]).toEqual([
          "Validation",
          "invalid_request",
          "/v1/partners/:partnerId/sessions",
          "POST",
          [path],
          []
        ])
        expect(error.message).not.toMatch(/Ada|a@b|2,3/)
      })
  )

  it("no two payloads that are sent sign alike, whatever is in them", () => {
    const texts = fc.oneof(
      { arbitrary: anyText, weight: 1 },
      { arbitrary: fc.constantFrom("", "a", "b"), weight: 6 },
      { arbitrary: fc.stringMatching(/^[a|,]{0,3}$/), weight: 1 }
    )
    const users = fc.record({
      user_id: texts,
      email: texts,
      name: texts,
      company: fc.record({ company_id: texts }),
      candidates: fc.array(fc.record({ candidate_id: texts }), { maxLength: 3 })
    })
    const isSent = (user: WidgetSession.Draft) => WidgetSession.validate(user).length === 0
    const partsOf = (user: WidgetSession.Draft) => [
      user.user_id,
      user.email,
      user.name,
      user.company?.company_id,
      // No candidates, and one without an id, are both an empty string in the document.
      user.candidates?.map(({ candidate_id }) => candidate_id).join()
    ]
    let compared = 0
    fc.assert(
      fc.property(users, users, (a, b) => {
        if (!isSent(a) || !isSent(b)) return
        compared++
        expect(signed(a) === signed(b)).toBe(
          JSON.stringify(partsOf(a)) === JSON.stringify(partsOf(b))
        )
      }),
      { numRuns: runs(2000) }
    )
    expect(compared).toBeGreaterThan(20)
  })

  it("422: the checklist names a field with a delimiter in it, too", () => {
    const user = { ...john, name: "A|B", candidates: [{ candidate_id: "1,2" }] }
    expect(WidgetSession.diagnose422({ user, signature: "s" })).toEqual([
      { item: "user.name", message: expect.stringContaining("|") },
      { item: "user.candidates.0.candidate_id", message: expect.stringContaining("comma") }
    ])
  })

  it.effect("a comma in a name and a field that the API finds wrong are the API's business", () =>
    Effect.gen(function*() {
      const { asked, exit } = yield* created({ ...john, name: "Doe, John", email: "john" })
      expect([Exit.isFailure(exit), asked.length]).toEqual([true, 1])
    }))
})
