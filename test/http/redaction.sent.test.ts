import { HttpBody, HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ApiClient, ApiError } from "effect-resilience"
import { failureOf, over, reply } from "./support.js"

const value = "SENTINEL-9f8e7d6c"
const second = "SENTINEL-0a1b2c3d"

/** The message of the error with which a request fails that is answered with this text. */
const messageOf = (
  request: HttpClientRequest.HttpClientRequest,
  message: string,
  options: Partial<ApiClient.Options> = {}
) =>
  Effect.gen(function*() {
    const { client } = yield* over([reply(400, { message })], options)
    const error = yield* failureOf(client.execute(request))
    return ApiError.isApiError(error) ? error.message : error._tag
  })

/** Which of the requests gives its secret away when it is repeated. */
const givenAway = (
  requests: Readonly<Record<string, HttpClientRequest.HttpClientRequest>>,
  echoed: string = value
) =>
  Effect.gen(function*() {
    const found: Array<string> = []
    for (const [name, request] of Object.entries(requests)) {
      const message = yield* messageOf(request, `no: ${echoed} of site-7`)
      if (message !== "no: <redacted> of site-7") found.push(`${name}: ${message}`)
    }
    return found
  })

const get = HttpClientRequest.get("/v1/things")

const under = (name: string, text: string) => HttpClientRequest.setHeader(get, name, text)

const post = (body: HttpBody.HttpBody) =>
  HttpClientRequest.setBody(HttpClientRequest.post("/v1/things"), body)

const base64 = (text: string, encoding: BufferEncoding = "utf8") =>
  Buffer.from(text, encoding).toString("base64")

describe("secrets in headers", () => {
  it.effect("T9: what was sent percent-encoded comes back in base64 without that encoding", () =>
    Effect.gen(function*() {
      const secret = "sk/live+9f8e7d6c:5b4a"
      const sent = encodeURIComponent(secret)
      const requests = {
        "of OAuth": under("authorization", `OAuth oauth_token="${sent}"`),
        "of Digest": under("authorization", `Digest username="u", response="${sent}"`),
        "in a cookie": under("cookie", `sid=${sent}`),
        "in a header": under("x-api-key", sent)
      }
      for (const echoed of [secret, base64(secret)]) {
        expect(yield* givenAway(requests, echoed)).toEqual([])
      }
    }))

  it.effect("T9: every part of Basic: the key may be the user", () =>
    Effect.gen(function*() {
      expect(
        yield* givenAway({
          "as the password": under("authorization", `Basic ${base64(`ada:${value}`)}`),
          "as the user": under("authorization", `Basic ${base64(`${value}:`)}`),
          "as the user beside a password": under("authorization", `Basic ${base64(`${value}:X`)}`),
          "without a colon": under("authorization", `basic ${base64(value)}`),
          "for a proxy": under("proxy-authorization", `Basic ${base64(`${value}:`)}`)
        })
      ).toEqual([])
    }))

  it.effect("T9: a password of Basic that is not ASCII, in either encoding", () =>
    Effect.gen(function*() {
      const password = "pässwörd-é"
      expect(
        yield* givenAway({
          "UTF-8": under("authorization", `Basic ${base64(`ada:${password}`)}`),
          "Latin 1": under("authorization", `Basic ${base64(`ada:${password}`, "latin1")}`)
        }, password)
      ).toEqual([])
    }))

  it.effect("T9: parameters of Digest, OAuth and AWS4, quoted or not", () =>
    Effect.gen(function*() {
      const aws = `AWS4-HMAC-SHA256 Credential=${second}/20261129/eu/s3/aws4_request, ` +
        `SignedHeaders=host;x-amz-date, Signature=${value}`
      const requests = {
        bearer: under("authorization", `Bearer ${value}`),
        "a scheme of its own": under("authorization", `ApiKey ${value}`),
        "no scheme": under("authorization", value),
        response: under("authorization", `Digest username="ada", nc=1, response="${value}"`),
        username: under("authorization", `Digest username="${value}", realm="r"`),
        "with escapes": under("authorization", `Digest username="a\\"b", cnonce="${value}"`),
        unquoted: under("authorization", `Digest response=${value},nc=1`),
        oauth: under("authorization", `OAuth oauth_token="${value}", oauth_version="1.0"`),
        "oauth signature": under("authorization", `OAuth realm="", oauth_signature="${value}"`),
        "token parameter": under("authorization", `Token token="${value}"`),
        "aws signature": under("authorization", aws),
        list: under("x-signature", `t=1,v1=${value}`)
      }
      expect(yield* givenAway(requests)).toEqual([])
      expect(yield* messageOf(under("authorization", aws), `${second} with AWS4-HMAC-SHA256 and r`))
        .toBe("<redacted> with AWS4-HMAC-SHA256 and r")
    }))

  it.effect("T9: what is public of a credential is no secret", () =>
    Effect.gen(function*() {
      const digest = `Digest username="ada-lovelace", realm="things", uri="/v1", qop=auth, nc=1`
      expect(yield* messageOf(under("authorization", digest), "realm things wants qop auth, nc 1"))
        .toBe("realm things wants qop auth, nc 1")
    }))

  it.effect("T9: cookies, percent-encoded or quoted", () =>
    Effect.gen(function*() {
      const odd = "s%3Aab/c d+é;x"
      expect(
        yield* givenAway({
          encoded: under("cookie", `a=1; sid=${encodeURIComponent(odd)}; b=2`),
          twice: under("cookie", `sid=${encodeURIComponent(encodeURIComponent(odd))}`)
        }, odd)
      ).toEqual([])
      expect(
        yield* givenAway({
          quoted: under("cookie", `a=1; sid="${value}"`),
          plain: under("cookie", `sid=${value}; b=2`)
        })
      ).toEqual([])
    }))
})

describe("secrets in the address", () => {
  it.effect("T9: user info, query and fragment", () =>
    Effect.gen(function*() {
      const at = (rest: string) => HttpClientRequest.get(`http://${rest}`)
      expect(
        yield* givenAway({
          user: at(`${value}@api.example.com/v1`),
          "user beside a password": at(`${value}:x@api.example.com/v1`),
          password: at(`ada:${value}@api.example.com/v1`),
          query: at(`api.example.com/v1?api_key=${value}`),
          "query key": at(`api.example.com/v1?key=${value}`),
          "query sig": HttpClientRequest.get(`/v1?sig=${value}`),
          "parameter key": HttpClientRequest.setUrlParam(get, "key", value),
          fragment: at(`api.example.com/v1#token=${value}`),
          "fragment with a path": at(`api.example.com/v1#/login?access_token=${value}&a=b`),
          "hash of the request": HttpClientRequest.setHash(get, `token=${value}`),
          "name in brackets": HttpClientRequest.setUrlParam(get, "auth[api_key]", value)
        })
      ).toEqual([])
    }))

  it.effect("T9: `key` is a secret in a query and nowhere else", () =>
    Effect.gen(function*() {
      const request = post(HttpBody.unsafeJson({ key: "a-key-of-a-map", password: value }))
      expect(yield* messageOf(request, `no a-key-of-a-map with ${value}`)).toBe(
        "no a-key-of-a-map with <redacted>"
      )
    }))
})

const fields = { name: "Ada", password: value }

const form = new FormData()
for (const [name, text] of Object.entries(fields)) form.set(name, text)

const multipart = [
  "--b1",
  "Content-Disposition: form-data; name=\"name\"",
  "",
  "Ada",
  "--b1",
  "Content-Type: text/plain",
  "Content-Disposition: form-data; name=\"password\"",
  "",
  value,
  "--b1--",
  ""
].join("\r\n")

const bytes = (text: string) => new TextEncoder().encode(text)

const json = JSON.stringify(fields)

describe("secrets in bodies", () => {
  it.effect("T9: in whatever form they were sent", () =>
    Effect.gen(function*() {
      const lines = `${JSON.stringify({ id: 1 })}\n${json}\n`
      const urlencoded = new URLSearchParams(fields)
      const requests = {
        JSON: HttpBody.unsafeJson(fields),
        "JSON as bytes": HttpBody.uint8Array(bytes(json)),
        "JSON as bytes of another type": HttpBody.uint8Array(bytes(json), "application/x-own"),
        "JSON as raw bytes": HttpBody.raw(bytes(json)),
        "JSON as a buffer": HttpBody.raw(bytes(json).buffer),
        "JSON with a mark of its order": HttpBody.uint8Array(bytes(`\ufeff${json}`)),
        "JSON in JSON": HttpBody.unsafeJson({ payload: JSON.stringify({ inner: json }) }),
        "JSON in a form": HttpBody.text(
          new URLSearchParams({ payload: json }).toString(),
          "application/x-www-form-urlencoded"
        ),
        NDJSON: HttpBody.text(lines, "application/x-ndjson"),
        "NDJSON as bytes": HttpBody.uint8Array(bytes(lines)),
        form: HttpBody.urlParams([["password", value]]),
        "form as parameters": HttpBody.raw(urlencoded),
        "form as bytes": HttpBody.uint8Array(bytes(urlencoded.toString())),
        "names in brackets": HttpBody.text("user%5Bpasswd%5D=" + value),
        "form data": HttpBody.formData(form),
        "form data, raw": HttpBody.raw(form),
        "multipart as text": HttpBody.text(multipart, "multipart/form-data; boundary=b1"),
        "multipart as bytes": HttpBody.uint8Array(bytes(multipart))
      }
      const posts = Object.entries(requests).map(([name, body]) => [name, post(body)] as const)
      expect(yield* givenAway(Object.fromEntries(posts))).toEqual([])
    }))

  it.effect("T9: a hundred thousand numbers do not hold up the program", () =>
    Effect.gen(function*() {
      const numbers = Array.from({ length: 100_000 }, (_, n) => n)
      const body = HttpBody.unsafeJson({
        token_ids: numbers,
        access_tokens: numbers,
        password: value
      })
      const began = process.cpuUsage()
      const message = yield* messageOf(post(body), `limit 4096 of ${value} reached`)
      expect(process.cpuUsage(began).user / 1000).toBeLessThan(2500)
      expect(message.endsWith("of <redacted> reached")).toBe(true)
    }))

  it.effect("T9: a value under six characters spoils no code and no request id", () =>
    Effect.gen(function*() {
      const answer = {
        code: "a_bad_9",
        request_id: "req-9-a",
        message: "9 bad apples: a",
        issues: [{ path: "list.9.a", message: "9 is not a" }]
      }
      const { client } = yield* over([reply(422, answer, { "x-ratelimit-limit": "9" })])
      const request = post(HttpBody.unsafeJson({ password: "a", token: 9 }))
      const error = yield* failureOf(client.execute(request))
      expect(ApiError.isApiError(error) && { ...error }).toMatchObject({
        code: "a_bad_9",
        requestId: "req-9-a",
        issues: [{ path: "list.9.a", message: "<redacted> is not <redacted>" }],
        headers: { "x-ratelimit-limit": "9" }
      })
      expect(ApiError.isApiError(error) && error.message).toBe("<redacted> bad apples: <redacted>")
    }))
})
