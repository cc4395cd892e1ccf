import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Redaction } from "effect-resilience"
import { runs } from "../support/runs.js"

const isSecret = (name: string, names: Redaction.Names = Redaction.defaultNames) =>
  Redaction.isSecretName(name, names)

describe("Redaction.isSecretName", () => {
  it("T2: the default names, in any letter case", () => {
    const names = [
      "authorization",
      "proxy-authorization",
      "cookie",
      "set-cookie",
      "x-api-key",
      "api-key",
      "idempotency-key"
    ]
    const spelled = names.flatMap((name) => [
      name,
      name.toUpperCase(),
      name.replace(/(^|-)./g, (part) => part.toUpperCase())
    ])
    expect(spelled.filter((name) => !isSecret(name))).toEqual([])
  })

  it("T2: anything matching signature, secret, token, password", () => {
    const names = [
      "signature",
      "X-Signature",
      "request_signature",
      "secret",
      "secretKey",
      "clientSecret",
      "token",
      "access_token",
      "sessionToken",
      "X-CSRF-Token",
      "tokens",
      "password",
      "newPassword",
      "PASSWORD"
    ]
    expect(names.filter((name) => !isSecret(name))).toEqual([])
  })

  it("T2: other names are not secret", () => {
    const names = [
      "accept",
      "content-type",
      "user-agent",
      "x-request-id",
      "name",
      "email",
      "id",
      "key",
      ""
    ]
    expect(names.filter((name) => isSecret(name))).toEqual([])
  })

  it("T9: the default names in the spellings of other APIs", () => {
    const names = [
      "apikey",
      "apiKey",
      "X-ApiKey",
      "api_key",
      "X-Goog-Api-Key",
      "private_key",
      "privateKey",
      "passwd",
      "PASSWD",
      "sig",
      "token",
      "token_id",
      "used_token",
      "X-Amz-Security-Token",
      "password_reset_tokens"
    ]
    expect(names.filter((name) => !isSecret(name))).toEqual([])
  })

  it("T9: names of counts and kinds are no secrets", () => {
    const names = [
      "max_tokens",
      "maxTokens",
      "max-tokens",
      "maxtokens",
      "max_completion_tokens",
      "maxOutputTokens",
      "prompt_tokens",
      "total_tokens",
      "cached_input_tokens",
      "token_ids",
      "tokenIds",
      "token_count",
      "tokenCount",
      "token_limit",
      "tokens_per_minute",
      "num_tokens",
      "token_type",
      "x-ratelimit-remaining-tokens",
      "tokenizer",
      "password_length",
      "signature_algorithm",
      "design",
      "key",
      "monkey"
    ]
    expect(names.filter((name) => isSecret(name))).toEqual([])
  })

  it("T9: an API that adds the name of a count has it as a secret", () => {
    expect([isSecret("max_tokens", ["max_tokens"]), isSecret("max_tokens", [/^max_/])]).toEqual([
      true,
      true
    ])
  })

  it("T2: each API adds its own, as a word in any letter case or as a pattern", () => {
    const names = [...Redaction.defaultNames, "X-Partner-Code", /^pin\d*$/i]
    expect(
      ["x-partner-code", "X-PARTNER-CODE", "pin", "PIN2", "pinned", "x-partner-codes", "token"].map(
        (name) => isSecret(name, names)
      )
    ).toEqual([true, true, true, true, false, false, true])
  })

  it("T2: the answer does not change from call to call, whatever the flags of a pattern", () => {
    const asked = [/code/g, /code/y].map((pattern) =>
      [1, 2, 3].map(() => Redaction.isSecretName("code", [pattern]))
    )
    expect(asked).toEqual([[true, true, true], [true, true, true]])
  })
})

describe("Redaction.secretsIn", () => {
  const secretsIn = (value: unknown) =>
    Redaction.secretsIn(value, Redaction.defaultNames).slice().sort()

  it("T1: values under secret names, at any depth", () => {
    const body = {
      name: "plain-1",
      token: "s-1",
      user: {
        email: "plain-2",
        password: "s-2",
        devices: [{ id: "plain-3", access_token: "s-3" }]
      },
      list: [[{ secretKey: "s-4" }]]
    }
    expect(secretsIn(body)).toEqual(["s-1", "s-2", "s-3", "s-4"])
  })

  it("T1: everything inside a secret value is secret", () => {
    expect(secretsIn({ tokens: ["s-1", "s-2"], secret: { id: "s-3", parts: [{ value: "s-4" }] } }))
      .toEqual(
        ["s-1", "s-2", "s-3", "s-4"]
      )
  })

  it("T1: a number is a secret as well as a text is", () => {
    expect(secretsIn({ password: 12345678 })).toEqual(["12345678"])
  })

  it("T1: whatever is not an object with names has none", () => {
    expect([null, undefined, 1, "token", true, [], ["token"], {}, { token: null }].map(secretsIn))
      .toEqual(
        [[], [], [], [], [], [], [], [], []]
      )
  })

  it("T9: in a text that is JSON, however often", () => {
    const inner = JSON.stringify({ token: "s-1", list: [JSON.stringify({ password: "s-2" })] })
    expect(secretsIn({ payload: inner, note: "{ token: no JSON }" })).toEqual(["s-1", "s-2"])
  })

  it("T9: a secret that is JSON is one as a whole and in its parts", () => {
    expect(secretsIn({ secret: "{\"user\":\"u-1\"}" })).toEqual(["u-1", "{\"user\":\"u-1\"}"])
  })

  it("T9: what stands higher comes first, so that no list takes its place", () => {
    const body = { tokens: [1, 2, 3], password: "s-1" }
    expect(Redaction.secretsIn(body, Redaction.defaultNames)[0]).toBe("s-1")
  })

  it("T1: a deep body does not overflow the stack", () => {
    let body: unknown = { token: "deep-secret" }
    for (let depth = 0; depth < 500; depth++) body = { child: body }
    expect(secretsIn(body)).toEqual(["deep-secret"])
  })

  it("T1: finds every planted value in any JSON, and nothing else", () => {
    const word = fc.stringMatching(/^[a-z]{4,10}$/)
    const plainName = fc.constantFrom("id", "name", "email", "list")
    const { json } = fc.letrec<{ json: unknown }>((tie) => ({
      json: fc.oneof(
        { maxDepth: 4 },
        word.map((text) => `plain-${text}`),
        fc.array(tie("json"), { maxLength: 3 }),
        fc.dictionary(plainName, tie("json"), { maxKeys: 3 }),
        fc.tuple(fc.constantFrom("token", "userPassword", "Api-Key"), word).map(([name, text]) => ({
          [name]: `planted-${text}`
        }))
      )
    }))
    fc.assert(
      fc.property(json, (body) => {
        const planted = Array.from(
          JSON.stringify(body).matchAll(/planted-[a-z]+/g),
          ([text]) => text
        )
        expect(new Set(secretsIn(body))).toEqual(new Set(planted))
      }),
      { numRuns: runs(500) }
    )
  })
})

describe("Redaction.scrubber", () => {
  const scrub = (secrets: ReadonlyArray<string>, text: string) => Redaction.scrubber(secrets)(text)

  it("T1: replaces every occurrence and keeps the rest", () => {
    expect([
      scrub(["abc-123"], "token abc-123 is not abc-123"),
      scrub(["abc-123", "xyz-789"], "abc-123xyz-789"),
      scrub(["abc-123"], "nothing here"),
      scrub([], "nothing to hide"),
      scrub(["abc-123"], "")
    ]).toEqual([
      "token <redacted> is not <redacted>",
      "<redacted><redacted>",
      "nothing here",
      "nothing to hide",
      ""
    ])
  })

  it("T1: the longer secret first, so that no end of it stays", () => {
    expect([
      scrub(["abcd", "abcd-efgh"], "abcd-efgh"),
      scrub(["abcd-efgh", "abcd"], "abcd-efgh abcd")
    ]).toEqual(
      ["<redacted>", "<redacted> <redacted>"]
    )
  })

  it("T1: secrets that are patterns elsewhere are just texts", () => {
    const secrets = ["a.b*c", "(x|y)", "$&$1", "\\d+", "[secret]", "^$"]
    expect(secrets.map((secret) => scrub([secret], `before ${secret} after`))).toEqual(
      secrets.map(() => "before <redacted> after")
    )
    expect(scrub(["a.b*c"], "aXbbbc")).toBe("aXbbbc")
  })

  it("T1: white space around a secret may be gone, and white space alone is no secret without it", () => {
    expect([
      scrub(["  abc 123\n"], "with:   abc 123\n, without: abc 123."),
      scrub(["  abc\n"], JSON.stringify({ with: "  abc\n", without: "abc" })),
      scrub([" abc "], "%20abc%20 abc"),
      scrub(["\n"], "untouched")
    ]).toEqual([
      "with: <redacted>, without: <redacted>.",
      "{\"with\":\"<redacted>\",\"without\":\"<redacted>\"}",
      "<redacted> <redacted>",
      "untouched"
    ])
  })

  it("T1: an empty secret is none", () => {
    expect(scrub([""], "untouched")).toBe("untouched")
    expect(scrub(["", "abc-123"], "abc-123!")).toBe("<redacted>!")
  })

  it("T1: however it is spelled: percent-encoded, in a form, in JSON", () => {
    const secret = "p@ss w\"rd/+%é"
    const spelled = [
      secret,
      encodeURIComponent(secret),
      new URLSearchParams([["a", secret]]).toString().slice(2),
      JSON.stringify(secret).slice(1, -1)
    ]
    expect(spelled.map((text) => scrub([secret], `<${text}>`))).toEqual(
      spelled.map(() => "<<redacted>>")
    )
  })

  it("T1: however it is spelled: in JSON that is all ASCII or escapes slashes", () => {
    const secret = "Zoë/ключ😀"
    const ascii = "Zo\\u00eb/\\u043a\\u043b\\u044e\\u0447\\ud83d\\ude00"
    const spelled = [
      ascii,
      ascii.toUpperCase(),
      secret.replace("/", "\\/"),
      ascii.replace("/", "\\/")
    ]
    expect(spelled.map((text) => scrub([secret], `<${text}>`))).toEqual(
      spelled.map(() => "<<redacted>>")
    )
  })

  it("T1: however it is spelled: in a page", () => {
    const secret = "é<&>\"'😀"
    const spelled = ["é&lt;&amp;&gt;&quot;&#39;😀", "&#233;&lt;&amp;&gt;&quot;&#39;&#128512;"]
    expect(spelled.map((text) => scrub([secret], `[${text}]`))).toEqual(
      spelled.map(() => "[<redacted>]")
    )
  })

  it("T1: no secret survives in any text", () => {
    const secret = fc.stringMatching(/^[a-c%. ?"\\/]{4,8}$/)
    const filler = fc.stringMatching(/^[a-c%. ?"\\/]{0,6}$/)
    fc.assert(
      fc.property(
        fc.array(secret, { minLength: 1, maxLength: 4 }),
        fc.array(filler, { maxLength: 5 }),
        (secrets, fill) => {
          const text = fill.map((part, i) => part + (secrets[i % secrets.length] ?? "")).join("") +
            secrets.join("")
          const scrubbed = scrub(secrets, text)
          expect(secrets.filter((secret) => scrubbed.includes(secret))).toEqual([])
        }
      ),
      { numRuns: runs(1000) }
    )
  })

  it("T1: scrubbing twice changes nothing more", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-d]{4,6}$/), { maxLength: 3 }),
        fc.stringMatching(/^[a-d ]*$/),
        (s, t) => {
          const once = scrub(s, t)
          expect(scrub(s, once)).toBe(once)
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("T1: one scrubber gives the same answer every time", () => {
    const once = Redaction.scrubber(["abc-123"])
    expect(["abc-123", "abc-123", "x", "abc-123"].map(once)).toEqual([
      "<redacted>",
      "<redacted>",
      "x",
      "<redacted>"
    ])
  })

  it("T1: a secret as long as a document, and thousands of them, are taken out too", () => {
    const document = Array.from({ length: 20_000 }, (_, n) => `line ${n} of "it"`).join("\n")
    const many = Array.from({ length: 5000 }, (_, n) => `secret-${n}-${"x".repeat(30)}`)
    const scrub = Redaction.scrubber([document, ...many])
    expect(scrub(`before ${document} and ${JSON.stringify(document)} after`)).toBe(
      "before <redacted> and \"<redacted>\" after"
    )
    expect(scrub(`${many[0]} ${many[4999]?.toUpperCase()}`)).toBe("<redacted> <redacted>")
  })
})
