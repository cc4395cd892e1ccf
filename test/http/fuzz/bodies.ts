/** Bodies of every content type, each with what a reader of the rules makes of it (E5, E7). */
import type { Choice } from "./random.js"
import type { Wait } from "./waits.js"

/** What an error body says when it arrives whole. */
export interface Meaning {
  readonly message?: string
  readonly code?: string
  /** The word that decides the tag before the status does. */
  readonly type?: string
  readonly requestId?: string
  readonly issues?: number
  readonly wait?: Wait
}

export interface BodyForm {
  readonly contentType: string | undefined
  readonly bytes: Buffer
  readonly meaning: Meaning
  /** What JSON it is; nothing where it is none. */
  readonly json: { readonly value: unknown } | undefined
  /** The text that `response.text` should give, where the rules say so. */
  readonly text: string | undefined
}

/** Texts of the other side: sentences, secrets, whatever forges a line of a log. */
export interface Words {
  readonly sentence: () => string
  readonly token: () => string
}

const ofText = (contentType: string | undefined, text: string, meaning: Meaning = {}): BodyForm => {
  let json: BodyForm["json"]
  try {
    json = { value: JSON.parse(text) }
  } catch {
    json = undefined
  }
  return { contentType, bytes: Buffer.from(text), meaning, json, text }
}

const ofJson = (value: unknown, meaning: Meaning, contentType = "application/json"): BodyForm =>
  ofText(contentType, JSON.stringify(value), meaning)

/** The words of the standard playbook, and others that mean nothing to it. */
const types = [
  "authentication_error",
  "validation_error",
  "not_found_error",
  "rate_limit_error",
  "server_error",
  "idempotency_key_in_use",
  "urn:effect-resilience:idempotency:in-flight",
  "card_declined",
  "constructor",
  "__proto__",
  "toString"
]

/** The formats in which APIs document their errors. */
const errorBody = (choice: Choice, words: Words, status: number): BodyForm => {
  const message = words.sentence()
  const type = choice.pick(types)
  const code = choice.pick(["E17", "no_such_tenant", type])
  const requestId = choice.pick(["req_1", "0af7", words.token()])
  const contentType = choice.pick([
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON;CHARSET=\"UTF-8\"",
    "application/vnd.api+json",
    "text/plain",
    "text/html",
    undefined
  ])
  const of = (value: unknown, meaning: Meaning) =>
    ofText(contentType, JSON.stringify(value), meaning)
  const problem = { type: `https://a.example/${type}`, title: "Title", detail: message, status }
  const detail = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "7.5s" }
  return choice.pick<() => BodyForm>([
    () => of({ error: { type, message, code } }, { type, message, code }),
    () => of({ error: { type, message } }, { message, code: type }),
    () => of({ statusCode: status, error: code, message }, { message, code }),
    () => of({ error: message }, { message }),
    () => of({ error: message, request_id: requestId }, { message, requestId }),
    () => of({ error: { message, request_id: requestId } }, { message, requestId }),
    () => ofJson(problem, { message, code: problem.type }, "application/problem+json"),
    () => ofJson({ ...problem, type }, { message, code: type }, "application/problem+json"),
    () => of({ code, message, retry_after: "3" }, { message, code, wait: [3000, 3000] }),
    () => of({ message, retryAfter: 1.5 }, { message, wait: [1500, 2000] }),
    () => of({ error: { code: 429, message, details: [detail] } }, { wait: [7500, 8000] }),
    () => of({ message, retry_after: -1 }, { message }),
    () =>
      of({ detail: [{ loc: ["body", "a"], msg: message }, { loc: [], msg: "b" }] }, { issues: 2 }),
    () => of({ [words.token()]: [message, "too short"] }, { issues: 2 }),
    () =>
      of({ errors: [{ source: { pointer: `/${words.token()}` }, detail: message }] }, {
        issues: 1
      }),
    () => of({ message, issues: [{ path: ["a", 1], message }, message] }, { message, issues: 2 }),
    () => of({ message: [message, "b"], code: 17 }, { code: "17" })
  ])()
}

/** JSON of forms that no API documents. */
const oddJson = (choice: Choice, words: Words): BodyForm =>
  choice.pick<() => BodyForm>([
    () => ofJson(words.sentence(), {}),
    () => ofJson([words.sentence()], {}),
    () => ofJson(choice.pick([null, 0, true, [], {}, ""]), {}),
    () => ofJson({ error: null, message: 7, code: [], type: {}, issues: "a", errors: 1 }, {}),
    () => ofJson({ error: { error: { error: words.sentence() } } }, {}),
    () => ofText("application/json", "[".repeat(5000) + "]".repeat(5000)),
    () => ofText("application/json", `{"__proto__":{"message":"a"},"constructor":{"type":"b"}}`),
    () => ofText("application/json", `{"message":"\\ud800 ${"a".repeat(choice.below(9000))}"}`, {}),
    () => ofJson({ message: "a".repeat(80_000) }, {}),
    () => ofText("application/json", `{"a":1}{"a":2}`),
    () => ofText("application/json", `{"message":"a",}`)
  ])()

/** What is no JSON, or says that it is something else. */
const otherText = (choice: Choice, words: Words): BodyForm => {
  const text = words.sentence()
  return choice.pick<() => BodyForm>([
    () => ofText(undefined, ""),
    () => ofText("application/json", ""),
    () => ofText("application/json", " \r\n\t "),
    () => ofText("text/html", `<!doctype html><title>502</title><h1>${text}</h1>`),
    () => ofText("application/json", `<html>${text}</html>`),
    () => ofText("text/plain; charset=utf-8", text),
    () => ofText("text/xml", `<?xml version="1.0"?><error><message>${text}</message></error>`),
    () => ofText("application/x-ndjson", `{"a":1}\n${JSON.stringify({ message: text })}\n`),
    () => ofText("text/event-stream", `event: error\ndata: ${JSON.stringify({ text })}\n\n`),
    () =>
      ofText(
        "multipart/form-data; boundary=xx",
        `--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n${text}\r\n--xx--\r\n`
      ),
    () => ofText("application/x-www-form-urlencoded", new URLSearchParams({ a: text }).toString()),
    () => ofText("a".repeat(300), text),
    () => ofText("application/json; charset=klingon", text),
    () => ofText(`text/${words.token().replaceAll(/[^\t\x20-\x7e\xa0-\xff]/gu, "?")}`, text)
  ])()
}

/** Bytes that are not of the encoding they are said to be, or that no text is. */
const bytes = (choice: Choice, words: Words): BodyForm => {
  const text = JSON.stringify({ error: { type: "rate_limit_error", message: words.sentence() } })
  const latin1 = Buffer.from(`{"message":"caf\u00e9"}`, "latin1")
  const raw = (
    contentType: string,
    bytes: Buffer,
    json?: { readonly value: unknown }
  ): BodyForm => ({
    contentType,
    bytes,
    meaning: {},
    json,
    text: undefined
  })
  return choice.pick<() => BodyForm>([
    () => raw("application/octet-stream", Buffer.from([0, 1, 2, 255, 254, 0xd8, 0x00])),
    () => raw("application/json", Buffer.from([0xff, 0xfe, 0xfd])),
    () => raw("application/json", latin1, { value: { message: "caf\ufffd" } }),
    () => ({
      ...raw("application/json; charset=utf-16le", Buffer.from(text, "utf16le")),
      meaning: { type: "rate_limit_error" }
    }),
    () => ({
      ...raw("application/json; charset=utf-16le", Buffer.from(text)),
      json: { value: JSON.parse(text) }
    })
  ])()
}

/** What the readers of successes in this fuzz expect. */
const success = (choice: Choice, words: Words): BodyForm =>
  choice.pick<() => BodyForm>([
    () => ofJson({ ok: true }, {}),
    () => ofJson({ ok: true, more: words.sentence() }, {}),
    () => ofJson({ a: 1, b: 2 }, {}),
    () => ofJson({ [words.token()]: words.sentence() }, {}),
    () => ofJson({ ok: words.sentence() }, {})
  ])()

export const bodyOf = (choice: Choice, words: Words, status: number): BodyForm =>
  choice.weighted<() => BodyForm>([
    [status >= 200 && status < 300 ? 2 : 8, () => errorBody(choice, words, status)],
    [2, () => oddJson(choice, words)],
    [4, () => otherText(choice, words)],
    [1, () => bytes(choice, words)],
    [status >= 200 && status < 300 ? 10 : 0, () => success(choice, words)]
  ])()
