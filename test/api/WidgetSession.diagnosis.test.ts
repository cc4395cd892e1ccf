import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc, Redacted } from "effect"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import { inspect } from "node:util"
import { runs } from "../support/runs.js"
import {
  anyUser,
  canonicalOf,
  devSecret,
  hmac,
  john,
  secret,
  secretKey,
  type User
} from "./widgetSession.js"

// -----------------------------------------------------------------------------
// diagnose401
// -----------------------------------------------------------------------------

/**
 * What was done wrongly, item by item of the checklist, on the way from a user to a signed string.
 */
interface Mistakes {
  readonly partnerId?: string
  readonly fieldOrder?: ReadonlyArray<number>
  readonly delimiter?: string
  readonly emptyOptionals?: true
  readonly whitespace?: (text: string) => string
  readonly environment?: true
  readonly candidateOrder?: (ids: ReadonlyArray<string>) => ReadonlyArray<string>
}

type Item = keyof Mistakes

const partnerId = "partner-1"

/** Without a company, so that leaving out what is empty makes a difference. */
const jane: User = {
  user_id: "USR-002",
  email: "jane@example.com",
  name: "Jane Roe",
  candidates: ["CND-003", "CND-001", "CND-002"].map((candidate_id) => ({ candidate_id }))
}

const wrongly = (user: User, mistakes: Mistakes): string => {
  const ids = (user.candidates ?? []).map(({ candidate_id }) => candidate_id)
  const fields = [
    mistakes.partnerId ?? partnerId,
    user.user_id,
    user.email,
    user.name,
    user.company?.company_id ?? "",
    (mistakes.candidateOrder ?? ((ids) => ids))(ids).join(",")
  ]
  const ordered = (mistakes.fieldOrder ?? [0, 1, 2, 3, 4, 5]).map((index) => fields[index]!)
  const kept = mistakes.emptyOptionals === true ? ordered.filter((field) => field !== "") : ordered
  return (mistakes.whitespace ?? ((text) => text))(kept.join(mistakes.delimiter ?? "|"))
}

const requestOf = (
  user: User,
  mistakes: Mistakes
): WidgetSession.SignedRequest & { readonly canonical: string } => {
  const canonical = wrongly(user, mistakes)
  return {
    urlPartnerId: partnerId,
    user,
    secretKey,
    otherSecrets: { development: Redacted.make(devSecret) },
    signature: hmac(mistakes.environment === true ? devSecret : secret, canonical),
    canonical
  }
}

const itemsOf = (findings: ReadonlyArray<WidgetSession.Finding>) =>
  findings.map(({ item }) => item).toSorted()

const known = (user: User, mistakes: Mistakes) =>
  itemsOf(WidgetSession.diagnose401(requestOf(user, mistakes)))

/** The canonical string is not known: it has to be found. */
const guessed = (user: User, mistakes: Mistakes) => {
  const { canonical: _, ...request } = requestOf(user, mistakes)
  return itemsOf(WidgetSession.diagnose401(request))
}

const reversed = (ids: ReadonlyArray<string>) => ids.toReversed()

const typical: Required<Mistakes> = {
  partnerId: "Partner-1".toUpperCase(),
  fieldOrder: [0, 2, 1, 3, 4, 5],
  delimiter: ";",
  emptyOptionals: true,
  whitespace: (text) => `${text}\n`,
  environment: true,
  candidateOrder: reversed
}

const items = Object.keys(typical) as ReadonlyArray<Item>
const only = (...items: ReadonlyArray<Item>): Mistakes =>
  Object.fromEntries(items.map((item) => [item, typical[item]]))
const pairs = items.flatMap((a, index) => items.slice(index + 1).map((b) => [a, b] as const))

/**
 * How long something takes, in milliseconds: by the clock or by the processor, whichever is less.
 */
const busy = (work: () => unknown): number => {
  const startedAt = performance.now()
  const before = process.cpuUsage()
  work()
  const { system, user } = process.cpuUsage(before)
  return Math.min(performance.now() - startedAt, (system + user) / 1000)
}

describe("diagnose401: each item of the checklist", () => {
  const single: ReadonlyArray<readonly [item: Item, what: string, mistakes: Mistakes]> = [
    ["partnerId", "another letter case", { partnerId: "PARTNER-1" }],
    ["fieldOrder", "email before user_id", { fieldOrder: [0, 2, 1, 3, 4, 5] }],
    ["fieldOrder", "partnerId last", { fieldOrder: [1, 2, 3, 4, 5, 0] }],
    ["fieldOrder", "candidates before company", { fieldOrder: [0, 1, 2, 3, 5, 4] }],
    ["fieldOrder", "all of it backwards", { fieldOrder: [5, 4, 3, 2, 1, 0] }],
    ["delimiter", "a comma", { delimiter: "," }],
    ["delimiter", "a colon", { delimiter: ":" }],
    ["delimiter", "nothing at all", { delimiter: "" }],
    ["delimiter", "a pipe between the candidates", { candidateOrder: (ids) => [ids.join("|")] }],
    ["delimiter", "a semicolon between the candidates", {
      candidateOrder: (ids) => [ids.join(";")]
    }],
    ["emptyOptionals", "the company left out", { emptyOptionals: true }],
    ["whitespace", "a newline at the end", { whitespace: (text) => `${text}\n` }],
    ["whitespace", "a space in front", { whitespace: (text) => ` ${text}` }],
    ["whitespace", "spaces around the delimiter", {
      whitespace: (text) => text.replaceAll("|", " | ")
    }],
    ["whitespace", "a byte order mark", { whitespace: (text) => `\uFEFF${text}` }],
    ["whitespace", "a hidden character at the end", { whitespace: (text) => `${text}\u200B` }],
    ["environment", "the secret of development", { environment: true }],
    ["candidateOrder", "backwards", { candidateOrder: reversed }],
    ["candidateOrder", "sorted", { candidateOrder: (ids) => ids.toSorted() }],
    ["candidateOrder", "the first two swapped", { candidateOrder: ([a, b, c]) => [b!, a!, c!] }]
  ]

  it.each(single)("%s: %s, with the canonical string", (item, _, mistakes) => {
    expect(known(jane, mistakes)).toEqual([item])
  })

  it.each(single)("%s: %s, without it", (item, _, mistakes) => {
    expect(guessed(jane, mistakes)).toEqual([item])
  })

  const onlyKnown: ReadonlyArray<readonly [item: Item, what: string, mistakes: Mistakes]> = [
    ["partnerId", "of another partner", { partnerId: "acme-7" }],
    ["partnerId", "with a space in it", { partnerId: "partner 1" }],
    ["partnerId", "left empty", { partnerId: "" }],
    ["whitespace", "a space too many within the name", {
      whitespace: (text) => text.replace("Jane Roe", "Jane  Roe")
    }],
    ["whitespace", "a newline within the name", {
      whitespace: (text) => text.replace("Jane Roe", "Jane\n Roe")
    }],
    ["whitespace", "a space within the user id", {
      whitespace: (text) => text.replace("USR-002", "USR -002")
    }],
    ["whitespace", "a hidden character within the email", {
      whitespace: (text) => text.replace("@", "\u200B@")
    }],
    ["whitespace", "a soft hyphen", { whitespace: (text) => text.replace("Jane", "Ja\u00ADne") }],
    ["whitespace", "a carriage return after one field", {
      whitespace: (text) => text.replace("Roe|", "Roe\r|")
    }]
  ]

  it.each(onlyKnown)("%s: %s, with the canonical string", (item, _, mistakes) => {
    expect(known(jane, mistakes)).toEqual([item])
  })

  it("partnerId: percent-encoded in the URL, plain in the string", () => {
    const user = jane
    const signature = hmac(secret, canonicalOf("acme inc", user))
    const findings = WidgetSession.diagnose401({
      urlPartnerId: "acme%20inc",
      user,
      signature,
      secretKey
    })
    expect(itemsOf(findings)).toEqual(["partnerId"])
  })

  it("environment: the message names the environment whose secret was used", () => {
    const { canonical: _, ...request } = requestOf(jane, { environment: true })
    const otherSecrets = {
      staging: Redacted.make("staging-1234-secret"),
      development: Redacted.make(devSecret)
    }
    const findings = WidgetSession.diagnose401({ ...request, otherSecrets })
    expect(
      findings.map((
        { item, message }
      ) => [item, /development/.test(message), /staging/.test(message)])
    ).toEqual([
      ["environment", true, false]
    ])
  })

  it("a mistake that is ours alone is not blamed on the environment as well", () => {
    const { canonical: _, ...request } = requestOf(jane, { emptyOptionals: true })
    const otherSecrets = { first: Redacted.make(devSecret), second: Redacted.make("x") }
    expect(itemsOf(WidgetSession.diagnose401({ ...request, otherSecrets }))).toEqual([
      "emptyOptionals"
    ])
  })

  it("the signature may be redacted", () => {
    const { canonical: _, signature, ...request } = requestOf(jane, { emptyOptionals: true })
    const findings = WidgetSession.diagnose401({
      ...request,
      signature: Redacted.make(signature as string)
    })
    expect(itemsOf(findings)).toEqual(["emptyOptionals"])
  })

  it("candidateOrder: one swap among many, with the canonical string", () => {
    const candidates = Array.from({ length: 12 }, (_, i) => ({ candidate_id: `CND-${i}` }))
    const swapped = (ids: ReadonlyArray<string>) => [ids[1]!, ids[0]!, ...ids.slice(2)]
    expect(known({ ...jane, candidates }, { candidateOrder: swapped })).toEqual(["candidateOrder"])
  })

  it.each(
    [["sorted", (ids: ReadonlyArray<string>) => ids.toSorted()], ["backwards", reversed]] as const
  )(
    "candidateOrder: many, %s, without the canonical string",
    (_, candidateOrder) => {
      const candidates = Array.from(
        { length: 12 },
        (_, i) => ({ candidate_id: `CND-${(i * 5) % 12}` })
      )
      expect(guessed({ ...jane, candidates }, { candidateOrder })).toEqual(["candidateOrder"])
    }
  )
})

describe("diagnose401: two mistakes", () => {
  it.each(pairs)("%s and %s, with the canonical string", (a, b) => {
    expect(known(jane, only(a, b))).toEqual([a, b].toSorted())
  })

  it.each(pairs)("%s and %s, without it", (a, b) => {
    expect(guessed(jane, only(a, b))).toEqual([a, b].toSorted())
  })

  it.each(["fieldOrder", "delimiter"] as const)(
    "the id of another partner and %s, with the canonical string",
    (item) => {
      expect(known(jane, { ...only(item), partnerId: "acme-7" })).toEqual(
        ["partnerId", item].toSorted()
      )
    }
  )

  it("the id of another partner that is not in front, with the canonical string", () => {
    expect(known(jane, { partnerId: "acme-7", fieldOrder: [1, 0, 2, 3, 4, 5] })).toEqual([
      "fieldOrder",
      "partnerId"
    ])
  })
})

describe("diagnose401: nothing to find", () => {
  it("no mistake at all: nothing in the string is blamed, only the environment is left", () => {
    expect([...known(jane, {}), ...guessed(jane, {})].filter((item) => item !== "environment"))
      .toEqual([])
    expect([...known(john, {}), ...guessed(john, {})].filter((item) => item !== "environment"))
      .toEqual([])
  })

  it("a signature that nothing explains is said to be unexplained", () => {
    const { canonical: _, ...request } = requestOf(jane, {})
    const findings = WidgetSession.diagnose401({
      ...request,
      signature: hmac("nobody's secret", "something else")
    })
    expect(findings.length).toBeGreaterThan(0)
    expect(itemsOf(findings).filter((item) => items.includes(item as Item))).toEqual([])
  })

  it("values of another payload are no item of the checklist", () => {
    const findings = known(jane, {
      whitespace: (text) => text.replace("jane@example.com", "jane@example.org")
    })
    expect(findings.filter((item) => items.includes(item as Item))).toEqual([])
    expect(findings.length).toBeGreaterThan(0)
  })
})

describe("diagnose401: data that looks like mistakes", () => {
  const odd: ReadonlyArray<readonly [what: string, user: User]> = [
    ["spaces within values", { ...jane, user_id: "USR 002", name: "Jane  Q.  Roe" }],
    ["spaces at the edges of values", { ...jane, name: " Jane " }],
    ["pipes", { ...jane, name: "Jane | Roe", user_id: "a|b" }],
    ["commas in candidate ids", {
      ...jane,
      candidates: [{ candidate_id: "a,b" }, { candidate_id: "c" }]
    }],
    ["unicode", { ...jane, name: "Åsa 李 👩‍💻", user_id: "é" }],
    ["hidden characters", { ...jane, name: "Jane\u200BRoe\u00A0" }],
    ["equal values", { user_id: "x", email: "x", name: "x" }],
    ["no optionals", { user_id: "u", email: "e@x.io", name: "n" }]
  ]

  it.each(odd)("%s: no mistake is made of them", (_, user) => {
    expect([...known(user, {}), ...guessed(user, {})].filter((item) => item !== "environment"))
      .toEqual([])
  })

  it.each(odd)("%s: a newline at the end is still found", (_, user) => {
    expect([known(user, only("whitespace")), guessed(user, only("whitespace"))]).toEqual([[
      "whitespace"
    ], [
      "whitespace"
    ]])
  })

  it.each(odd)("%s: another environment is still found", (_, user) => {
    expect([known(user, only("environment")), guessed(user, only("environment"))]).toEqual([
      ["environment"],
      ["environment"]
    ])
  })
})

describe("diagnose401: any user", () => {
  /** Values that no mistake turns into one another. */
  const plainUser: fc.Arbitrary<User> = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{2,8}$/), {
    minLength: 7,
    maxLength: 7
  }).chain(([user_id, email, name, surname, company_id, ...ids]) =>
    fc.record({
      user_id: fc.constant(user_id!),
      email: fc.constant(`${email}@example.com`),
      name: fc.constantFrom(name!, `${name} ${surname}`, `${name} 李 ${surname}`),
      company: fc.constantFrom(undefined, { company_id: company_id! }),
      candidates: fc.constantFrom(undefined, ids.map((candidate_id) => ({ candidate_id })))
    })
  ).map(({ candidates, company, ...user }) => ({
    ...user,
    ...(company === undefined ? {} : { company }),
    ...(candidates === undefined ? {} : { candidates })
  }))

  const single: fc.Arbitrary<Mistakes> = fc.oneof(
    fc.constantFrom<Mistakes>(
      { partnerId: "PARTNER-1" },
      { emptyOptionals: true },
      { environment: true },
      { candidateOrder: reversed }
    ),
    fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }).map((fieldOrder) => ({ fieldOrder })),
    fc.constantFrom(",", ";", ":").map((delimiter) => ({ delimiter })),
    fc.constantFrom<(text: string) => string>(
      (text) => `${text}\n`,
      (text) => ` ${text}`,
      (text) => `\uFEFF${text}`,
      (text) => text.replaceAll("|", " | ")
    ).map((whitespace) => ({ whitespace }))
  )

  const found = (user: User, mistakes: Mistakes, diagnose: typeof known) => {
    const item = Object.keys(mistakes)[0]!
    const changed = wrongly(user, mistakes) !== wrongly(user, {}) || item === "environment"
    fc.pre(changed)
    expect(diagnose(user, mistakes)).toContain(item)
  }

  it("a single mistake is among the findings, with the canonical string", () => {
    fc.assert(fc.property(plainUser, single, (user, mistakes) => found(user, mistakes, known)), {
      numRuns: runs(300)
    })
  })

  it("a single mistake is among the findings, without it", () => {
    fc.assert(fc.property(plainUser, single, (user, mistakes) => found(user, mistakes, guessed)), {
      numRuns: runs(100)
    })
  })

  it("no mistake, no item of the string, whatever the values are", () => {
    fc.assert(
      fc.property(anyUser, (user) => {
        expect([...known(user, {}), ...guessed(user, {})].filter((item) => item !== "environment"))
          .toEqual([])
      }),
      { numRuns: runs(500) }
    )
  })

  it("T1: whatever was sent, it answers without a secret and without a signature", () => {
    const sent = fc.fullUnicodeString({ maxLength: 12 })
    fc.assert(
      fc.property(
        sent,
        anyUser,
        single,
        fc.option(sent, { nil: undefined }),
        (urlPartnerId, user, mistakes, other) => {
          const { canonical, ...request } = requestOf(
            { ...user, candidates: (user.candidates ?? []).slice(0, 2) },
            mistakes
          )
          const findings = WidgetSession.diagnose401({
            ...request,
            urlPartnerId,
            canonical: other ?? canonical
          })
          const printed = JSON.stringify(findings) + inspect(findings)
          expect(
            [secret, devSecret, request.signature as string].filter((value) =>
              printed.includes(value)
            )
          ).toEqual([])
        }
      ),
      { numRuns: runs(50) }
    )
  })

  it("half a surrogate pair in a partner id is a mistake like others, and no defect", () => {
    const { canonical: _, ...request } = requestOf(jane, {})
    expect(() => WidgetSession.diagnose401({ ...request, urlPartnerId: "partner-\uD800" })).not
      .toThrow()
  })
})

describe("diagnose401: how long it takes", () => {
  const { canonical: _, ...request } = requestOf(jane, {})
  const otherSecrets = {
    development: Redacted.make(devSecret),
    staging: Redacted.make("staging-1234-secret")
  }
  const unexplained = {
    ...request,
    otherSecrets,
    signature: hmac("nobody's secret", "something else")
  }
  const ids = (length: number) => Array.from({ length }, (_, i) => ({ candidate_id: `CND-${i}` }))

  it.each([2, 5, 20])(
    "a signature that nothing explains, with %i candidates and three environments: under two seconds",
    (length) => {
      const user = { ...jane, candidates: ids(length) }
      expect(busy(() => WidgetSession.diagnose401({ ...unexplained, user }))).toBeLessThan(2000)
    }
  )

  it.each([5, 200])(
    "a string that nothing explains, with %i candidates: under two seconds",
    (length) => {
      const user = { ...jane, candidates: ids(length) }
      const canonical = "nothing like it"
      expect(busy(() => WidgetSession.diagnose401({ ...unexplained, user, canonical })))
        .toBeLessThan(2000)
    }
  )
})

// -----------------------------------------------------------------------------
// diagnose422
// -----------------------------------------------------------------------------

describe("diagnose422", () => {
  const body = { user: john, signature: "0".repeat(64) }
  const without = (field: keyof User) => {
    const { [field]: _, ...user } = john
    return { ...body, user }
  }
  const withUser = (changes: object) => ({ ...body, user: { ...john, ...changes } })

  const cases: ReadonlyArray<readonly [what: string, body: unknown, items: ReadonlyArray<string>]> =
    [
      ["a valid body", body, []],
      ["a valid body without optionals", {
        ...body,
        user: { user_id: "u", email: "e@x.io", name: "n" }
      }, []],
      ["no candidates", withUser({ candidates: [] }), []],
      ["user_id missing", without("user_id"), ["user.user_id"]],
      ["email missing", without("email"), ["user.email"]],
      ["name missing", without("name"), ["user.name"]],
      ["signature missing", { user: john }, ["signature"]],
      ["user missing", { signature: "x" }, ["user"]],
      ["user_id empty", withUser({ user_id: "" }), ["user.user_id"]],
      ["name blank", withUser({ name: "  " }), ["user.name"]],
      ["signature empty", { ...body, signature: "" }, ["signature"]],
      ["an email without @", withUser({ email: "john.example.com" }), ["user.email"]],
      ["an email without a domain", withUser({ email: "john@" }), ["user.email"]],
      ["an email with a space", withUser({ email: "john doe@example.com" }), ["user.email"]],
      ["a user_id that is a number", withUser({ user_id: 17 }), ["user.user_id"]],
      ["a company that is a text", withUser({ company: "COMP-001" }), ["user.company"]],
      ["a company without company_id", withUser({ company: {} }), ["user.company.company_id"]],
      ["candidates that are an object", withUser({ candidates: { candidate_id: "a" } }), [
        "user.candidates"
      ]],
      ["a candidate that is a text", withUser({ candidates: ["CND-001"] }), ["user.candidates.0"]],
      [
        "a candidate without candidate_id",
        withUser({ candidates: [{ candidate_id: "a" }, {}] }),
        ["user.candidates.1.candidate_id"]
      ],
      [
        "everything at once",
        { user: { email: "john", company: {}, candidates: [{}] } },
        [
          "user.user_id",
          "user.email",
          "user.name",
          "user.company.company_id",
          "user.candidates.0.candidate_id",
          "signature"
        ]
      ]
    ]

  it.each(cases)("%s", (_, body, expected) => {
    const found = itemsOf(WidgetSession.diagnose422(body))
    expect(expected.filter((item) => !found.includes(item))).toEqual([])
    // What holds a field that fails may be named along with it, nothing else.
    expect(
      found.filter((item) => !expected.some((path) => path === item || path.startsWith(`${item}.`)))
    ).toEqual([])
  })

  it.each([null, undefined, "{}", 17, []].map((body) => [body]))(
    "a body that is %j is said to be no object",
    (body) => {
      const findings = WidgetSession.diagnose422(body)
      expect(findings.map(({ message }) => /object/.test(message))).toEqual([true])
    }
  )

  it("every finding says what was expected", () => {
    const silent = cases.flatMap(([what, body]) =>
      WidgetSession.diagnose422(body).filter(({ message }) => message.trim().length < 10).map(() =>
        what
      )
    )
    expect(silent).toEqual([])
  })

  it("T1: it repeats nothing that was sent", () => {
    fc.assert(
      fc.property(
        fc.anything(),
        fc.anything(),
        fc.constantFrom("user_id", "email", "company", "candidates"),
        (a, b, field) => {
          const signature = "9f".repeat(32)
          const findings = WidgetSession.diagnose422({
            user: { ...john, [field]: a, name: { leak: "value-4711" } },
            signature: [signature, b],
            "value-4712": "value-4713"
          })
          expect(findings.length).toBeGreaterThan(0)
          expect(JSON.stringify(findings)).not.toMatch(/9f9f|value-47/)
        }
      ),
      { numRuns: runs(500) }
    )
  })
})
