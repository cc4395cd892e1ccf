import { FetchHttpClient, HttpBody, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { ApiClient, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { createHash, createHmac } from "node:crypto"
import * as zlib from "node:zlib"
import * as RequestFingerprint from "../../src/http/requestFingerprint.js"
import { serveApp } from "../support/servers.js"
import { memory, protect, scope } from "./idempotencyMiddleware.js"
import { answerOf, counting, requestOf, send, type Sent } from "./idempotentApp.js"

/** What a second request is told after a first one under the same key. */
const second = (first: Sent, other: Sent, options: Parameters<typeof protect>[0] = {}) =>
  Effect.gen(function*() {
    const { app, runs } = counting()
    const guarded = protect(options)(app)
    const { status: before } = yield* send(guarded, { key: "k", ...first })
    const { replayed, status } = yield* send(guarded, { key: "k", ...other })
    if (before !== 201) return `first ${before}`
    return status === 201 && replayed === "true" && runs.length === 1 ? "replayed" : status
  }).pipe(Effect.provide(memory))

const sent = (body: Uint8Array | string, headers: Readonly<Record<string, string>>): Sent => ({
  body: typeof body === "string" ? body : Uint8Array.from(body),
  headers
})

describe("multipart", () => {
  const wires = {
    undici: NodeHttpClient.layerUndici,
    fetch: FetchHttpClient.layer,
    node: NodeHttpClient.layer
  }
  const form = (amount = "1", file = "contents") => {
    const form = new FormData()
    form.set("amount", amount)
    form.set("file", new Blob([file]), "a.txt")
    return form
  }

  it.live("I17: the same form and key twice is executed once and replayed, over a real server", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const url = yield* serveApp(protect()(app))
      const post = (body: FormData) =>
        Effect.promise(() =>
          fetch(url, { method: "POST", headers: { "idempotency-key": "k" }, body }).then(answerOf)
        )
      const same = form()
      const answers = [
        yield* post(same),
        yield* post(same),
        yield* post(form()),
        yield* post(form("2")),
        yield* post(form("1", "others"))
      ]
      expect([answers.map(({ replayed, status }) => [status, replayed]), runs.length]).toEqual([
        [[201, null], [201, "true"], [201, "true"], [422, null], [422, null]],
        1
      ])
    }).pipe(Effect.scoped, Effect.provide(memory)))

  for (const [wire, layer] of Object.entries(wires)) {
    it.live(`I17: two calls of a client with the same form and key over ${wire} are executed once`, () =>
      Effect.gen(function*() {
        const { app, runs } = counting()
        const url = yield* serveApp(protect()(app))
        const client = yield* ApiClient.make({ name: "forms", baseUrl: url })
        const key = yield* IdempotencyKey.fromString("k")
        const same = form()
        const post = client.post("/f", { body: HttpBody.formData(same) }).pipe(
          Effect.map(({ status }) => status),
          Effect.scoped,
          IdempotencyKey.provide(key)
        )
        expect([yield* post, yield* post, runs.length]).toEqual([201, 201, 1])
      }).pipe(Effect.scoped, Effect.provide([memory, layer])))
  }

  const type = (boundary: string, more = "") => ({
    "content-type": `multipart/form-data; boundary=${boundary}${more}`
  })
  const head = (name: string) => `Content-Disposition: form-data; name="${name}"\r\n\r\n`
  const written = (boundary: string, ...parts: ReadonlyArray<string>) =>
    `${parts.map((part) => `--${boundary}\r\n${part}\r\n`).join("")}--${boundary}--\r\n`
  const one = sent(written("one", `${head("a")}1`, `${head("b")}2`), type("one"))

  it.effect.each<readonly [string, Sent, unknown]>([
    [
      "another boundary",
      sent(written("two", `${head("a")}1`, `${head("b")}2`), type("two")),
      "replayed"
    ],
    [
      "a quoted boundary, spelled with escapes",
      sent(written("t o", `${head("a")}1`, `${head("b")}2`), type("\"t\\ o\"")),
      "replayed"
    ],
    [
      "preamble, padding and epilogue",
      sent(
        `hello\r\n--two \t\r\n${head("a")}1\r\n--two\r\n${head("b")}2\r\n--two-- \r\nbye`,
        { "content-type": "Multipart/Form-Data ; Boundary=two;" }
      ),
      "replayed"
    ],
    ["another value", sent(written("two", `${head("a")}1`, `${head("b")}3`), type("two")), 422],
    ["another name", sent(written("two", `${head("a")}1`, `${head("c")}2`), type("two")), 422],
    ["another order", sent(written("two", `${head("b")}2`, `${head("a")}1`), type("two")), 422],
    ["one part less", sent(written("two", `${head("a")}1`), type("two")), 422],
    [
      "the second part inside of the first",
      sent(written("two", `${head("a")}1\r\n--one\r\n${head("b")}2`), type("two")),
      422
    ],
    [
      "another parameter",
      sent(written("two", `${head("a")}1`, `${head("b")}2`), type("two", "; start=x")),
      422
    ],
    [
      "another kind",
      sent(written("one", `${head("a")}1`, `${head("b")}2`), {
        "content-type": "multipart/mixed; boundary=one"
      }),
      422
    ]
  ])("I15, I17: with %s", ([, other, told]) =>
    Effect.gen(function*() {
      expect(yield* second(one, other)).toBe(told)
    }))

  it.effect("I15, I17: what is not well-formed counts as it was sent, with its boundary", () =>
    Effect.gen(function*() {
      const cut = (boundary: string) => sent(`--${boundary}\r\n${head("a")}1\r\n`, type(boundary))
      const bare = (boundary: string) => sent(`--b\n${head("a")}1\n--b--`, type(boundary))
      const twice = sent(written("a", "1"), {
        "content-type": "multipart/form-data; boundary=a; boundary=b"
      })
      const none = sent(written("a", "1"), { "content-type": "multipart/form-data" })
      expect([
        yield* second(cut("one"), cut("one")),
        yield* second(cut("one"), cut("two")),
        yield* second(bare("b"), bare("b")),
        yield* second(bare("b"), bare("c")),
        yield* second(twice, twice),
        yield* second(none, none),
        yield* second(twice, none)
      ]).toEqual(["replayed", 422, "replayed", 422, "replayed", "replayed", 422])
    }))
})

describe("compressed bodies", () => {
  const content = JSON.stringify({ amount: 1, text: "x".repeat(500) })
  const json = (body: Uint8Array | string, coding?: string) =>
    sent(body, {
      "content-type": "application/json",
      ...(coding === undefined ? {} : { "content-encoding": coding })
    })
  const plain = json(content)
  const stored = zlib.gzipSync(content, { level: 0 })
  const bytes = new TextEncoder().encode(content)

  it.effect.each<readonly [string, Sent]>([
    ["gzip", json(zlib.gzipSync(content), "gzip")],
    ["gzip of another level", json(stored, "x-gzip")],
    [
      "gzip in two members",
      json(
        Buffer.concat([zlib.gzipSync(bytes.subarray(0, 7)), zlib.gzipSync(bytes.subarray(7))]),
        "GZIP"
      )
    ],
    ["deflate", json(zlib.deflateSync(content), "deflate")],
    ["deflate without its header", json(zlib.deflateRawSync(content), "deflate")],
    ["br", json(zlib.brotliCompressSync(content), "br")],
    ["identity", json(content, "identity")],
    ["a list", json(zlib.brotliCompressSync(zlib.gzipSync(content)), "gzip, identity , br")],
    [
      "gzip, and the names in another order",
      json(zlib.gzipSync(JSON.stringify({ text: "x".repeat(500), amount: 1 })), "gzip")
    ]
  ])("I17: %s counts by its content", ([, other]) =>
    Effect.gen(function*() {
      expect([yield* second(plain, other), yield* second(other, plain)]).toEqual([
        "replayed",
        "replayed"
      ])
      const changed = json(zlib.gzipSync(`${content} 1`), "gzip")
      expect(yield* second(other, changed)).toBe(422)
    }))

  it.effect.skipIf(!("zstdCompressSync" in zlib))(
    "I17: zstd counts by its content",
    () =>
      Effect.gen(function*() {
        const compress: unknown = Reflect.get(zlib, "zstdCompressSync")
        const body = (compress as (text: string) => Uint8Array)(content)
        expect(yield* second(plain, json(body, "zstd"))).toBe("replayed")
      })
  )

  it.effect.each<readonly [string, Uint8Array, string]>([
    ["a coding that is not known", stored, "compress"],
    ["more codings than three", stored, "gzip, gzip, gzip, gzip"],
    ["broken gzip", stored.subarray(0, -4), "gzip"],
    [
      "bytes after the end",
      Buffer.concat([zlib.deflateSync(content), Buffer.from("x")]),
      "deflate"
    ],
    ["zeros after the end", Buffer.concat([stored, Buffer.alloc(8)]), "gzip"],
    ["nothing", new Uint8Array(), "br"]
  ])("I17: %s counts by coding and bytes", ([, body, coding]) =>
    Effect.gen(function*() {
      const other = Uint8Array.from([...body, 0])
      expect([
        yield* second(json(body, coding), json(body, coding)),
        yield* second(json(body, coding), json(other, coding)),
        yield* second(json(body, coding), json(body, `${coding}, aes128gcm`)),
        yield* second(json(body, coding), json(body))
      ]).toEqual(["replayed", 422, 422, 422])
    }))

  it.effect("I17, I43: a content longer than maxBodyBytes counts by coding and bytes", () =>
    Effect.gen(function*() {
      const bomb = (level: number) =>
        json(zlib.gzipSync(Buffer.alloc(10_000_000), { level }), "gzip")
      const nine = bomb(9)
      expect([yield* second(nine, nine), yield* second(nine, bomb(1))]).toEqual(["replayed", 422])
    }))

  it.effect("I17, I43: the limit of the content is that of the body", () =>
    Effect.gen(function*() {
      const levels = [1, 9].map((level) => json(zlib.gzipSync("ab".repeat(500), { level }), "gzip"))
      const [fast = plain, small = plain] = levels
      expect([
        yield* second(fast, small, { maxBodyBytes: 1000 }),
        yield* second(fast, small, { maxBodyBytes: 999 })
      ]).toEqual(["replayed", 422])
    }))

  it.effect("I17: a multipart body that is compressed counts without its boundary", () =>
    Effect.gen(function*() {
      const body = (boundary: string) =>
        sent(zlib.gzipSync(`--${boundary}\r\n\r\n1\r\n--${boundary}--`), {
          "content-type": `multipart/form-data; boundary=${boundary}`,
          "content-encoding": "gzip"
        })
      expect(yield* second(body("one"), body("two"))).toBe("replayed")
    }))

  it.effect("I43: the handler gets the body as it was sent", () =>
    Effect.gen(function*() {
      const app = Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const body = new Uint8Array(yield* request.arrayBuffer)
        return HttpServerResponse.text(`${request.headers["content-encoding"]} ${body.length}`)
      })
      const { body } = yield* send(protect()(app), { key: "k", ...json(stored, "gzip") })
      expect(body).toBe(`gzip ${stored.length}`)
    }).pipe(Effect.provide(memory)))
})

describe("JSON of many values", () => {
  const many = (values: number) => {
    const all = Array.from({ length: values - 4 }, () => [])
    return [JSON.stringify({ a: all, b: 1, c: 2 }), JSON.stringify({ c: 2, a: all, b: 1 })] as const
  }

  it.effect("I17: above 100,000 values JSON counts by its bytes, below by its value", () =>
    Effect.gen(function*() {
      const [under, turned] = many(100_000)
      const [over, overTurned] = many(100_001)
      const json = { "content-type": "application/json" }
      expect([
        yield* second(sent(under, json), sent(turned, json)),
        yield* second(sent(over, json), sent(over, json)),
        yield* second(sent(over, json), sent(overTurned, json))
      ]).toEqual(["replayed", "replayed", 422])
    }))

  it("I17: a megabyte of small arrays, or of nothing but brackets, is no work", () => {
    const request = HttpServerRequest.fromWeb(requestOf({}))
    const bodies = {
      "[[],...]": `[${Array(333_000).fill("[]").join()}]`,
      "[[[...]]]": "[".repeat(500_000) + "]".repeat(500_000),
      "99,000 arrays": `[${Array(99_000).fill("[]").join()}]`
    }
    const cost = (body: Uint8Array) => {
      const before = process.cpuUsage()
      RequestFingerprint.ofBody(request, body)
      return process.cpuUsage(before).user / 1000
    }
    for (const [name, text] of Object.entries(bodies)) {
      const body = new TextEncoder().encode(text)
      const millis = Math.min(cost(body), cost(body), cost(body))
      expect(millis, `milliseconds for ${name}`).toBeLessThan(100)
    }
  })
})

describe("records of version 1", () => {
  const secret = "s3cret"
  const joined = (...parts: ReadonlyArray<string | Uint8Array>) =>
    Buffer.concat(parts.flatMap((part) => {
      const bytes = Buffer.from(part)
      return [Buffer.from(`${bytes.length}:`), bytes]
    }))
  const version1 = (...parts: ReadonlyArray<string | Uint8Array>) =>
    createHash("sha256").update(joined("POST", "/charge", ...parts)).digest("hex")

  /** What a request is told whose first one was recorded by version 1. */
  const after = (fingerprint: string, request: Sent, options: Parameters<typeof protect>[0] = {}) =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const store = yield* IdempotencyStore.IdempotencyStore
      const claim: IdempotencyStore.Claim = {
        scope: joined(...scope()).toString(),
        keyHash: createHmac("sha256", secret).update(joined(...scope(), "k")).digest("hex"),
        fingerprint,
        owner: "version 1",
        leaseMillis: 60_000,
        timeToLiveMillis: 86_400_000
      }
      yield* store.acquire(claim)
      const { status } = yield* send(protect(options)(app), { key: "k", ...request })
      return [status, runs.length]
    }).pipe(
      Effect.provide(memory),
      Effect.provideService(IdempotencyKey.Secret, Redacted.make(secret))
    )

  const json = { "content-type": "application/json; charset=utf-8" }
  const body = "--b\r\n\r\n1\r\n--b--"
  const multipart = { "content-type": "multipart/form-data; boundary=b" }
  const packed = zlib.gzipSync("{\"a\":1}")
  const many = `[${Array(100_001).fill("[]").join()}]`

  it.effect.each<readonly [string, string, Sent]>([
    [
      "JSON",
      version1("application/json", "json", "{\"a\":1,\"b\":0}"),
      sent("{\"b\":-0, \"a\":1}", json)
    ],
    ["JSON of many values", version1("application/json", "json", many), sent(many, json)],
    [
      "JSON that parsing changes",
      version1("application/json", "bytes", "{\"a\":1,\"a\":2}"),
      sent(
        "{\"a\":1,\"a\":2}",
        json
      )
    ],
    ["multipart", version1("multipart/form-data", "bytes", body), sent(body, multipart)],
    [
      "gzip",
      version1("application/json", "bytes", packed),
      sent(packed, {
        ...json,
        "content-encoding": "gzip"
      })
    ],
    ["bytes", version1("text/plain", "bytes", "é"), sent("é", { "content-type": "text/plain" })]
  ])("I17: %s is compared as version 1 did", ([, fingerprint, request]) =>
    Effect.gen(function*() {
      const other = { ...request, body: "another" }
      expect([yield* after(fingerprint, request), yield* after(fingerprint, other)])
        .toEqual([[409, 0], [422, 0]])
    }))

  it.effect("I17: a fingerprint of one's own is compared as version 1 did", () =>
    Effect.gen(function*() {
      const options = { fingerprint: () => "digest" }
      const fingerprint = version1("application/json", "word", "digest")
      expect([yield* after(fingerprint, {}, options), yield* after(fingerprint, {})])
        .toEqual([[409, 0], [422, 0]])
    }))
})
