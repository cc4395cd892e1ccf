import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Context,
  Effect,
  Either,
  FastCheck as fc,
  Fiber,
  HashMap,
  Inspectable,
  List,
  Logger,
  ParseResult,
  Redacted,
  TestClock
} from "effect"
import { IdempotencyKey } from "effect-resilience"
import { createHmac } from "node:crypto"
import { inspect } from "node:util"
import { hashes } from "../../src/idempotency/claim.js"
import { runs } from "../support/runs.js"

const value = (key: IdempotencyKey.IdempotencyKey) => Redacted.value(key.value)

const printable = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i))
const visible = printable.filter((c) => c !== " ")
const keyText = fc.array(fc.constantFrom(...printable), { minLength: 1, maxLength: 255 }).map((
  cs
) => cs.join(""))
const plainText = fc.array(fc.constantFrom(...visible.filter((c) => c !== "\"")), {
  minLength: 1,
  maxLength: 255
}).map(
  (cs) => cs.join("")
)

const outcome = (effect: Effect.Effect<IdempotencyKey.IdempotencyKey, ParseResult.ParseError>) =>
  Effect.map(Effect.either(effect), (result) => {
    if (Either.isRight(result)) return "accepted"
    expect(ParseResult.isParseError(result.left)).toBe(true)
    return "ParseError"
  })

describe("IdempotencyKey.make", () => {
  it.effect("I2: a generated key is a UUID", () =>
    Effect.gen(function*() {
      const keys = yield* Effect.replicateEffect(IdempotencyKey.make, 500)
      for (const key of keys) {
        expect(value(key)).toMatch(
          /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
        )
      }
    }))

  it.effect("I1: every key is a new one, also for concurrent callers", () =>
    Effect.gen(function*() {
      const keys = yield* Effect.all(Array.from({ length: 2000 }, () => IdempotencyKey.make), {
        concurrency: "unbounded"
      })
      expect(new Set(keys.map(value)).size).toBe(2000)
    }))

  it.effect("I4: it remembers when it was made", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("90 minutes")
      expect((yield* IdempotencyKey.make).madeAt).toBe(5_400_000)
    }))

  it.effect("I3: it contains no time: keys made at one moment differ, and no key counts", () =>
    Effect.gen(function*() {
      const [a, b] = yield* Effect.all([IdempotencyKey.make, IdempotencyKey.make])
      const common = [...value(a)].filter((c, i) => value(b)[i] === c && c !== "-").length
      expect(common).toBeLessThan(20)
    }))
})

describe("IdempotencyKey.fromString", () => {
  it.effect("I2: 1 to 255 printable ASCII characters are accepted as they are", () =>
    Effect.gen(function*() {
      for (const text of fc.sample(keyText, runs(500))) {
        expect(value(yield* IdempotencyKey.fromString(text))).toBe(text)
      }
      const edges = ["a", "~", " ", "!", "x".repeat(255), "a b", "\"quoted\"", "\\"]
      for (const text of edges) expect(value(yield* IdempotencyKey.fromString(text))).toBe(text)
    }))

  it.effect("I2: everything else is a clear error", () =>
    Effect.gen(function*() {
      const bad = [
        "",
        "x".repeat(256),
        "a\nb",
        "a\r\nX-Evil: 1",
        "\t",
        "\u0000",
        "\u007f",
        "é",
        "ключ",
        "🔑",
        "a\u00a0b"
      ]
      const results = yield* Effect.forEach(bad, (text) => outcome(IdempotencyKey.fromString(text)))
      expect(results).toEqual(bad.map(() => "ParseError"))
    }))

  it.effect("I2: one character out of range anywhere is enough", () =>
    Effect.gen(function*() {
      const odd = fc.oneof(
        fc.constantFrom("\n", "\r", "\t", "\u0000", "\u001f", "\u007f", "\u0080"),
        fc.integer({ min: 0x7f, max: 0xffff }).map((code) => String.fromCharCode(code))
      )
      const texts = fc.sample(
        fc.tuple(plainText, odd, fc.double({ min: 0, max: 1, noNaN: true })),
        runs(500)
      )
      for (const [text, c, where] of texts) {
        const at = Math.floor(where * text.length)
        const broken = (text.slice(0, at) + c + text.slice(at)).slice(0, 255)
        if (!broken.includes(c)) continue
        expect(yield* outcome(IdempotencyKey.fromString(broken))).toBe("ParseError")
      }
    }))

  it.effect("T1: the error does not print the refused key", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(IdempotencyKey.fromString("sk-very-secret\u0007"))
      const shown = [
        error.message,
        String(error),
        JSON.stringify(error),
        inspect(error, { depth: 20, showHidden: true }),
        Cause.pretty(Cause.fail(error)),
        Cause.pretty(Cause.die(error))
      ]
      expect(shown.filter((text) => text.includes("very-secret"))).toEqual([])
      expect(error.message.length).toBeGreaterThan(0)
    }))

  it.effect("I4: made now unless it says otherwise", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("2 seconds")
      const now = yield* IdempotencyKey.fromString("a")
      const then = yield* IdempotencyKey.fromString("a", { madeAt: 7 })
      expect([now.madeAt, then.madeAt]).toEqual([2000, 7])
    }))
})

describe("IdempotencyKey.fromString refusals", () => {
  it.effect("DESIGN 6, I4: a madeAt that is NaN is refused: such a key would never grow old", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Effect.suspend(() => IdempotencyKey.fromString("a", { madeAt: NaN }))
      )
      expect(exit._tag).toBe("Failure")
    }))
})

describe("IdempotencyKey.derive", () => {
  const parentOf = (text: string) => IdempotencyKey.fromString(text, { madeAt: 42 })

  it.effect("I3: the same parent and step give the same key, other ones another", () =>
    Effect.gen(function*() {
      const a = yield* parentOf("parent-a")
      const b = yield* parentOf("parent-b")
      expect(value(IdempotencyKey.derive(a, "pay"))).toBe(
        value(IdempotencyKey.derive(yield* parentOf("parent-a"), "pay"))
      )
      const all = [
        a,
        b,
        IdempotencyKey.derive(a, "pay"),
        IdempotencyKey.derive(a, "ship"),
        IdempotencyKey.derive(b, "pay"),
        IdempotencyKey.derive(b, "ship"),
        IdempotencyKey.derive(IdempotencyKey.derive(a, "pay"), "ship"),
        IdempotencyKey.derive(IdempotencyKey.derive(a, "ship"), "pay")
      ]
      expect(new Set(all.map(value)).size).toBe(all.length)
    }))

  it.effect("I3, I4: it keeps the parent's madeAt", () =>
    Effect.gen(function*() {
      const parent = yield* parentOf("parent")
      yield* TestClock.adjust("1 hour")
      const child = IdempotencyKey.derive(parent, "pay")
      expect([child.madeAt, IdempotencyKey.derive(child, "again").madeAt]).toEqual([42, 42])
    }))

  it.effect("I3: time and secret do not change it: it survives the process", () =>
    Effect.gen(function*() {
      const parent = yield* parentOf("parent")
      const first = value(IdempotencyKey.derive(parent, "pay"))
      yield* TestClock.adjust("1 day")
      const second = yield* Effect.sync(() => value(IdempotencyKey.derive(parent, "pay"))).pipe(
        Effect.provideService(IdempotencyKey.Secret, Redacted.make("other"))
      )
      expect(second).toBe(first)
    }))

  it.effect("I3: crafted delimiters do not collide", () =>
    Effect.gen(function*() {
      const delimiters = ["", ":", "/", ".", "-", "|", ",", "\u0000", "\n", "1", "1:"]
      const seen = new Map<string, string>()
      const put = (key: IdempotencyKey.IdempotencyKey, name: ReadonlyArray<string>) => {
        const id = JSON.stringify(name)
        const before = seen.get(value(key))
        expect(before === undefined || before === id, `${before} and ${id}`).toBe(true)
        seen.set(value(key), id)
      }
      for (const d of delimiters) {
        const ab = yield* parentOf(`a${d}b`.replace(/[^ -~]/g, "_"))
        const a = yield* parentOf("a")
        put(IdempotencyKey.derive(ab, "c"), [value(ab), "c"])
        put(IdempotencyKey.derive(a, `b${d}c`), ["a", `b${d}c`])
        put(IdempotencyKey.derive(IdempotencyKey.derive(a, "b"), "c"), ["a", "b", "c"])
        put(IdempotencyKey.derive(a, `${d}bc`), ["a", `${d}bc`])
        put(IdempotencyKey.derive(a, `bc${d}`), ["a", `bc${d}`])
      }
    }))

  it.effect("I2, I3: whatever the step, the result is a key of 1 to 255 printable ASCII characters", () =>
    Effect.gen(function*() {
      const samples = fc.sample(
        fc.tuple(keyText, fc.oneof(fc.fullUnicodeString({ maxLength: 400 }), fc.constant(""))),
        runs(500)
      )
      const seen = new Map<string, string>()
      for (const [text, step] of samples) {
        const parent = yield* parentOf(text)
        const derived = value(IdempotencyKey.derive(parent, step))
        expect(derived).toMatch(/^[ -~]{1,255}$/)
        expect(derived).not.toBe(text)
        expect(value(IdempotencyKey.derive(parent, step))).toBe(derived)
        const id = JSON.stringify([text, step])
        expect(seen.get(derived) ?? id).toBe(id)
        seen.set(derived, id)
      }
    }))
})

describe("IdempotencyKey.provide", () => {
  it.effect("I1: data-first and data-last give the effect the very key", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.make
      const first = yield* IdempotencyKey.provide(IdempotencyKey.IdempotencyKey, key)
      const last = yield* IdempotencyKey.IdempotencyKey.pipe(IdempotencyKey.provide(key))
      expect(first).toBe(key)
      expect(last).toBe(key)
    }))

  it.effect("I1: provideNew gives one key per run: the same within it, another in the next", () =>
    Effect.gen(function*() {
      const twice = Effect.all([IdempotencyKey.IdempotencyKey, IdempotencyKey.IdempotencyKey]).pipe(
        IdempotencyKey.provideNew
      )
      const runs = yield* Effect.replicateEffect(twice, 5)
      expect(runs.map(([a, b]) => a === b)).toEqual([true, true, true, true, true])
      expect(new Set(runs.map(([a]) => value(a))).size).toBe(5)
    }))

  it.effect("I1: concurrent logical calls do not share a key", () =>
    Effect.gen(function*() {
      const one = Effect.zipRight(Effect.yieldNow(), IdempotencyKey.IdempotencyKey).pipe(
        IdempotencyKey.provideNew
      )
      const keys = yield* Effect.all(Array.from({ length: 100 }, () => one), {
        concurrency: "unbounded"
      })
      expect(new Set(keys.map(value)).size).toBe(100)
    }))

  it.effect("it leaves other services and the outcome alone", () =>
    Effect.gen(function*() {
      class Name extends Context.Tag("test/Name")<Name, string>() {}
      const exit = yield* Effect.exit(
        Effect.flatMap(Name, (name) => Effect.fail(name)).pipe(IdempotencyKey.provideNew)
      )
        .pipe(Effect.provideService(Name, "ada"))
      expect(exit._tag === "Failure" && Cause.pretty(exit.cause)).toContain("ada")
    }))

  it.effect("interruption of the work is passed on", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const fiber = yield* Effect.fork(
        Effect.never.pipe(
          Effect.onInterrupt(() => Effect.sync(() => probes.push("released"))),
          IdempotencyKey.provideNew
        )
      )
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      expect(probes).toEqual(["released"])
    }))
})

describe("IdempotencyKey.kid", () => {
  const secret = (text: string) => Effect.provideService(IdempotencyKey.Secret, Redacted.make(text))

  it.effect("I5, T3: keys with the same value have the same fingerprint in this process, others another", () =>
    Effect.gen(function*() {
      const a = yield* IdempotencyKey.fromString("key-a")
      const again = yield* IdempotencyKey.fromString("key-a", { madeAt: 1 })
      const b = yield* IdempotencyKey.fromString("key-b")
      const kids = yield* Effect.all([
        IdempotencyKey.kid(a),
        IdempotencyKey.kid(a),
        IdempotencyKey.kid(again),
        IdempotencyKey.kid(b)
      ])
      expect(new Set(kids.slice(0, 3)).size).toBe(1)
      expect(kids[3]).not.toBe(kids[0])
    }))

  it.effect("I5: it does not contain the key and is safe to print", () =>
    Effect.gen(function*() {
      for (const text of fc.sample(plainText.filter((t) => t.length >= 8), runs(200))) {
        const kid = yield* IdempotencyKey.kid(yield* IdempotencyKey.fromString(text))
        expect(kid).toMatch(/^[\w.:=+/-]{8,}$/)
        expect(kid.includes(text)).toBe(false)
      }
    }))

  it.effect("I5: it depends on the secret", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.fromString("key-a")
      const kids = yield* Effect.all([
        IdempotencyKey.kid(key).pipe(secret("one")),
        IdempotencyKey.kid(key).pipe(secret("two")),
        IdempotencyKey.kid(key).pipe(secret("one")),
        IdempotencyKey.kid(key)
      ])
      expect(kids[0]).toBe(kids[2])
      expect(new Set(kids).size).toBe(3)
    }))

  it.effect("I5, I15: it depends on the scope, whose parts do not run together", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.fromString("key-a")
      const scopes = [["tenant", "pay"], ["tenantpay"], ["tenan", "tpay"], ["tenant", "pay", ""], [
        "pay",
        "tenant"
      ], [
        "tenant:pay"
      ]]
      const kids = yield* Effect.forEach(scopes, (scope) => IdempotencyKey.kid(key, scope))
      expect(new Set(kids).size).toBe(scopes.length)
      expect(yield* IdempotencyKey.kid(key, ["tenant", "pay"])).toBe(kids[0])
      const a = yield* IdempotencyKey.kid(yield* IdempotencyKey.fromString("bc"), ["a"])
      const b = yield* IdempotencyKey.kid(yield* IdempotencyKey.fromString("c"), ["ab"])
      expect(a).not.toBe(b)
    }))
})

describe("IdempotencyKey in a store", () => {
  const under =
    (secret: string, ...previous: ReadonlyArray<string>) =>
    <A, E, R>(self: Effect.Effect<A, E, R>) =>
      self.pipe(
        Effect.provideService(IdempotencyKey.Secret, Redacted.make(secret)),
        Effect.provideService(
          IdempotencyKey.PreviousSecrets,
          previous.map((text) => Redacted.make(text))
        )
      )

  it.effect("I5: its name is a whole HMAC-SHA-256, of which the kid is the beginning", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.fromString("order-17")
      const { keyHash, previousKeyHashes } = yield* hashes(key, ["shop", "pay"])
      const kid = yield* IdempotencyKey.kid(key, ["shop", "pay"])
      expect(keyHash).toMatch(/^[0-9a-f]{64}$/)
      expect([keyHash.slice(0, 16), previousKeyHashes]).toEqual([kid, []])
    }))

  it.effect("I5: it is the HMAC that others compute", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.fromString("order-17")
      const expected = createHmac("sha256", "s3cret").update("4:shop3:pay8:order-17").digest("hex")
      expect((yield* hashes(key, ["shop", "pay"]).pipe(under("s3cret"))).keyHash)
        .toBe(expected)
    }))

  it.effect("I5: after a change of the secret its names of before are known, each once and without the present one", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.fromString("order-17")
      const nameUnder = (secret: string) =>
        Effect.map(
          hashes(key, ["shop"]).pipe(under(secret)),
          ({ keyHash }) => keyHash
        )
      const names = yield* hashes(key, ["shop"]).pipe(under("c", "b", "a", "b", "c"))
      expect(names).toEqual({
        keyHash: yield* nameUnder("c"),
        previousKeyHashes: [yield* nameUnder("b"), yield* nameUnder("a")]
      })
    }))
})

describe("IdempotencyKey on the wire", () => {
  it.effect("I2: bare is the key itself, quoted a structured-field string", () =>
    Effect.gen(function*() {
      const plain = yield* IdempotencyKey.fromString("8e03978e-40d5")
      const odd = yield* IdempotencyKey.fromString("a\"b\\c")
      expect([
        IdempotencyKey.toHeader(plain, "bare"),
        IdempotencyKey.toHeader(plain, "quoted"),
        IdempotencyKey.toHeader(odd, "quoted")
      ]).toEqual(["8e03978e-40d5", "\"8e03978e-40d5\"", "\"a\\\"b\\\\c\""])
    }))

  it.effect("I2: a server accepts both forms as the same key", () =>
    Effect.gen(function*() {
      for (const text of fc.sample(plainText, runs(500))) {
        const key = yield* IdempotencyKey.fromString(text)
        const bare = yield* IdempotencyKey.fromHeader(IdempotencyKey.toHeader(key, "bare"))
        const quoted = yield* IdempotencyKey.fromHeader(IdempotencyKey.toHeader(key, "quoted"))
        expect([value(bare), value(quoted)]).toEqual([text, text])
      }
    }))

  it.effect("I2: the quoted form carries every key there is", () =>
    Effect.gen(function*() {
      for (const text of fc.sample(keyText, runs(500))) {
        const key = yield* IdempotencyKey.fromString(text)
        expect(value(yield* IdempotencyKey.fromHeader(IdempotencyKey.toHeader(key, "quoted"))))
          .toBe(text)
      }
    }))

  it.effect("I2: anything else in the header is an error", () =>
    Effect.gen(function*() {
      const bad = ["", "\"\"", "x".repeat(256), `"${"x".repeat(256)}"`, "é", "a\nb", "\"a\nb\""]
      const results = yield* Effect.forEach(bad, (text) => outcome(IdempotencyKey.fromHeader(text)))
      expect(results).toEqual(bad.map(() => "ParseError"))
    }))

  it.effect("I2: a bare key may begin with a quotation mark", () =>
    Effect.gen(function*() {
      for (const text of ["\"", "\"open", "a\"b\""]) {
        expect(value(yield* IdempotencyKey.fromHeader(text))).toBe(text)
      }
    }))

  it.effect("T1: the error does not print the header", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(IdempotencyKey.fromHeader("\"very-secret\u0007\""))
      const shown = [
        String(error),
        JSON.stringify(error),
        inspect(error, { depth: 20 }),
        Cause.pretty(Cause.fail(error))
      ]
      expect(shown.filter((text) => text.includes("very-secret"))).toEqual([])
    }))
})

describe("IdempotencyKey is never printed", () => {
  const text = "key-7f3a9c-very-secret"

  const renderings = (key: IdempotencyKey.IdempotencyKey): Record<string, string> => ({
    String: String(key),
    template: `${key}`,
    "template of value": `${key.value}`,
    JSON: JSON.stringify(key) ?? "",
    "JSON nested": JSON.stringify({ a: [key], b: { key } }),
    "JSON pretty": JSON.stringify(key, null, 2) ?? "",
    inspect: inspect(key),
    "inspect all": inspect(key, {
      depth: 20,
      showHidden: true,
      getters: true,
      customInspect: false
    }),
    toString: key.toString(),
    format: Inspectable.format(key),
    "stringify unknown": Inspectable.toStringUnknown(key),
    entries: inspect(Object.entries(key)),
    "cause of a failure": Cause.pretty(Cause.fail(key)),
    "cause of a defect": Cause.pretty(Cause.die(key)),
    "error with it as cause": inspect(new Error("x", { cause: key }), { depth: 20 }),
    "error message": Cause.pretty(Cause.fail(new Error(`failed for ${key}`))),
    spread: JSON.stringify({ ...key })
  })

  it.effect("I5, T1: in no rendering of a key, outside or inside a fiber", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.fromString(text)
      const fiber = yield* Effect.fork(Effect.sync(() => renderings(key)))
      const inside = yield* Fiber.join(fiber)
      const leaks = [...Object.entries(renderings(key)), ...Object.entries(inside)]
        .filter(([, shown]) => shown.includes("very-secret"))
      expect(leaks).toEqual([])
    }))

  it.effect("I5: a derived or generated key neither", () =>
    Effect.gen(function*() {
      const parent = yield* IdempotencyKey.fromString(text)
      const keys = [IdempotencyKey.derive(parent, "pay"), yield* IdempotencyKey.make]
      const leaks = keys.flatMap((key) =>
        Object.entries(renderings(key)).filter(([, shown]) =>
          shown.includes(value(key)) || shown.includes("very-secret")
        )
      )
      expect(leaks).toEqual([])
    }))

  it.effect("I5, T1: in no log line, whatever the logger", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const tee = <A>(logger: Logger.Logger<unknown, A>) =>
        Logger.map(logger, (line) => {
          lines.push(
            typeof line === "string" ? line : JSON.stringify(line) + inspect(line, { depth: 20 })
          )
        })
      const logger = tee(Logger.stringLogger).pipe(
        Logger.zipRight(tee(Logger.logfmtLogger)),
        Logger.zipRight(tee(Logger.jsonLogger)),
        Logger.zipRight(tee(Logger.structuredLogger)),
        Logger.zipRight(
          tee(Logger.make(({ annotations, cause, context, message, spans }) =>
            [
              inspect(message, { depth: 20 }),
              inspect(HashMap.toEntries(annotations), { depth: 20 }),
              Cause.pretty(cause),
              inspect(List.toArray(spans)),
              inspect(context, { depth: 8 })
            ].join("\n")
          ))
        )
      )
      const key = yield* IdempotencyKey.fromString(text)
      yield* Effect.gen(function*() {
        yield* Effect.log(key)
        yield* Effect.log("key", key, { key })
        yield* Effect.logError("failed", Cause.fail(key))
        yield* Effect.log("annotated").pipe(Effect.annotateLogs({ key, nested: { key } }))
        yield* Effect.log("spanned").pipe(Effect.withLogSpan(String(key)))
        yield* IdempotencyKey.provide(
          Effect.flatMap(IdempotencyKey.IdempotencyKey, Effect.log),
          key
        )
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      expect(lines.length).toBe(30)
      expect(lines.filter((line) => line.includes("very-secret"))).toEqual([])
    }))
})
