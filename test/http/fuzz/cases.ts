/** One case of the fuzz: a request, and the bytes that it is answered with, all from a seed. */
import { HttpClientRequest } from "@effect/platform"
import * as Zlib from "node:zlib"
import { type BodyForm, bodyOf, type Words } from "./bodies.js"
import { type Choice, choiceOf } from "./random.js"
import { echo, type Laden, laden } from "./secrets.js"
import type { Script } from "./server.js"
import * as Waits from "./waits.js"

export const wires = ["undici", "fetch", "node"] as const

/** How the answer is asked for. The first two hand out a response, the others read it. */
export const entries = ["make", "layer", "make.json", "text", "bytes", "struct", "record"] as const

/**
 * What becomes of the body: it arrives whole; less of it than was announced, and then the end; less
 * of it and then nothing; more of it than was announced; something that only the wire can judge.
 */
export type Framing = "whole" | "cut" | "stalled" | "long" | "odd"

/** What is wrong with the head: nothing; something; so much that no answer comes of it. */
export type Head = "sound" | "odd" | "unanswered"

export interface Case extends Laden {
  readonly id: number
  readonly wire: typeof wires[number]
  readonly entry: typeof entries[number]
  readonly playbook: "standard" | "rich"
  /** Whether one retry is made; only where no wait is asked for. */
  readonly retries: boolean
  readonly limits: "long" | "short" | "none"
  readonly status: number
  readonly head: Head
  readonly framing: Framing
  /** What `content-encoding` says, and whether that is so. */
  readonly encoding: "none" | "unknown" | "true" | "lie"
  readonly body: BodyForm
  readonly waits: {
    readonly retryAfter: Waits.WaitForm
    readonly millis: Waits.WaitForm
    readonly quota: Waits.WaitForm
    readonly named: Waits.WaitForm
  }
  readonly shouldRetry: boolean | undefined
  readonly cookies: number
  readonly script: Script
  /** Whether the connection is as good as new afterwards. */
  readonly honest: boolean
  /** Whether an answer of 100 comes before, which undici and fetch break off at. */
  readonly continues: boolean
}

const none: Waits.WaitForm = { lines: [], wait: undefined }

const listed = [
  400,
  401,
  402,
  403,
  404,
  407,
  408,
  409,
  410,
  412,
  413,
  414,
  415,
  418,
  421,
  422,
  423,
  425,
  428,
  429,
  431,
  451,
  500,
  501,
  502,
  503,
  504,
  505,
  506,
  508,
  510,
  511,
  520,
  529,
  599
]

const statusOf = (choice: Choice): number =>
  choice.weighted<() => number>([
    [10, () => choice.pick(listed)],
    [3, () => 100 + choice.below(900)],
    [5, () => choice.pick([200, 200, 200, 201, 202, 204, 205, 206, 226, 299])],
    [1, () => choice.pick([300, 301, 302, 303, 304, 307, 308, 399])],
    [0.3, () => choice.pick([100, 101, 102, 103, 199])]
  ])()

/** Sentences with secrets in them, and with what ends or turns a line of a log. */
const wordsOf = (choice: Choice, id: number, { secrets }: Laden): Words => ({
  sentence: () =>
    `case ${id}: ` + choice.weighted<() => string>([
      [4, () => `no ${echo(choice, secrets)} here`],
      [1, () => `${echo(choice, secrets)}, ${echo(choice, secrets)}`],
      [2, () => "it does not work"],
      [1, () => "it\r\n2026 level=INFO all is well\u001b[2K\u0000\u0085\u2028\u202e\tend"],
      [1, () => `${"a".repeat(choice.chance(0.05) ? 3000 : 30)} \u{1f600} \ud800 <b>`]
    ])(),
  token: () => choice.chance(0.5) ? echo(choice, secrets) : choice.pick(["field", "a.b", "x_1"])
})

/** What HTTP can hold in a field: Latin 1 without control characters. */
const fieldOf = (text: string): string => text.replaceAll(/[^\t\x20-\x7e\xa0-\xff]/gu, "?")

const requestIdNames = ["X-Request-Id", "Request-Id", "x-correlation-id", "traceparent"]

/** Headers in which an API repeats what it was sent. */
const echoing = (
  choice: Choice,
  words: Words,
  secrets: ReadonlyArray<string>
): ReadonlyArray<string> =>
  Array.from({ length: choice.below(4) }, () => {
    const secretName = choice.pick(["Name", ...secrets.filter((secret) => /^[\w-]+$/.test(secret))])
    const name = choice.pick([
      "X-Echo",
      "Server",
      "Via",
      "ETag",
      "Location",
      "Link",
      "WWW-Authenticate",
      "X-RateLimit-Policy",
      "cf-ray",
      "Content-Disposition",
      `X-RateLimit-${secretName}`,
      `X-${secretName}`
    ])
    return `${name}: ${fieldOf(words.sentence())}`
  })

/** What no server should send. */
const oddLines: ReadonlyArray<string> = [
  "no colon",
  ": no name",
  "Bad Name: a",
  "X-Null: a\0b",
  "X-Control: a\x01b\x1b[2K",
  " obsolete: folding",
  "X-Folded: a\r\n\tb",
  "X-Bare: a\rb",
  "X-Lf: a\nX-Other: b",
  "Content-Length: -1",
  "Content-Length: 1\r\nContent-Length: 2",
  "Content-Length: 1, 1",
  "Transfer-Encoding: chunked\r\nContent-Length: 3",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: identity",
  "Content-Type: a\r\nContent-Type: b",
  `X-Huge: ${"a".repeat(20_000)}`,
  `X-Huge: ${"a".repeat(200_000)}`,
  Array.from({ length: 3000 }, (_, i) => `X-${i}: a`).join("\r\n")
]

const oddStatusLines = (status: number): ReadonlyArray<string> => [
  `HTTP/1.1 ${status}`,
  `HTTP/1.0 ${status} OK`,
  `HTTP/2 ${status} OK`,
  `HTTP/1.1 ${status} caf\u00e9 \x01`,
  `HTTP/1.1 0${status} OK`,
  `HTTP/1.1 99 OK`,
  `HTTP/1.1 1000 OK`,
  `HTTP/1.1 abc OK`,
  `http/1.1 ${status} OK`,
  `SIP/2.0 ${status} OK`,
  `\0\x01\x02`,
  ""
]

const informational = [
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 102 Processing\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nRetry-After: 7\r\n\r\n"
]

/** Bytes as chunks, of one size or another. */
const chunked = (choice: Choice, bytes: Buffer): Buffer => {
  const size = choice.pick([1 + choice.below(40), 4096, 70_000])
  const extension = choice.chance(0.1) ? ";name=\"value\"" : ""
  const parts: Array<Buffer> = []
  // A body of thousands of chunks takes its time and says nothing new.
  const step = Math.max(size, Math.ceil(bytes.length / 200))
  for (let at = 0; at < bytes.length; at += step) {
    const part = bytes.subarray(at, at + step)
    parts.push(
      Buffer.from(`${part.length.toString(16)}${extension}\r\n`),
      part,
      Buffer.from("\r\n")
    )
  }
  return Buffer.concat([
    ...parts,
    Buffer.from(choice.chance(0.1) ? "0\r\nX-T: a\r\n\r\n" : "0\r\n\r\n")
  ])
}

interface Framed {
  readonly lines: ReadonlyArray<string>
  readonly bytes: Buffer
  readonly end: Script["end"]
}

const lengthLine = (length: number) => [`Content-Length: ${length}`]
const chunkedLine = ["Transfer-Encoding: chunked"]

const wholeBody = (choice: Choice, bytes: Buffer): Framed & { readonly honest: boolean } =>
  choice.weighted<() => Framed & { readonly honest: boolean }>([
    [6, () => ({ lines: lengthLine(bytes.length), bytes, end: "keep", honest: true })],
    [3, () => ({ lines: chunkedLine, bytes: chunked(choice, bytes), end: "keep", honest: true })],
    [1, () => ({ lines: ["Connection: close"], bytes, end: "end", honest: false })]
  ])()

const brokenEnd = (choice: Choice) => choice.pick<Script["end"]>(["end", "destroy"])

/** A part of a body, at least one byte too short. */
const frontOf = (choice: Choice, bytes: Buffer): Buffer =>
  bytes.subarray(0, choice.below(Math.max(1, bytes.length)))

const framed = (choice: Choice, framing: Framing, bytes: Buffer): Framed => {
  const isChunked = choice.chance(0.5)
  const chunks = chunked(choice, bytes)
  const end = framing === "stalled" ? "stall" : brokenEnd(choice)
  if (framing === "cut" || framing === "stalled") {
    return isChunked
      ? { lines: chunkedLine, bytes: chunks.subarray(0, chunks.length - 5), end }
      : { lines: lengthLine(bytes.length + 1), bytes: frontOf(choice, bytes), end }
  }
  if (framing === "long") {
    return { lines: lengthLine(Math.floor(bytes.length / 2)), bytes, end: "keep" }
  }
  return choice.pick<Framed>([
    { lines: chunkedLine, bytes: Buffer.from("xyz\r\nabc\r\n0\r\n\r\n"), end },
    { lines: chunkedLine, bytes: Buffer.from("ffffffffffffffffff\r\nabc"), end },
    { lines: chunkedLine, bytes, end },
    { lines: [...chunkedLine, ...lengthLine(bytes.length)], bytes: chunks, end },
    { lines: lengthLine(bytes.length), bytes: Buffer.concat([bytes, bytes]), end },
    { lines: [], bytes, end: "destroy" }
  ])
}

interface Encoded {
  readonly name: string | undefined
  readonly bytes: Buffer
  readonly is: Case["encoding"]
}

const encodingOf = (choice: Choice, bytes: Buffer) =>
  choice.weighted<() => Encoded>([
    [30, () => ({ name: undefined, bytes, is: "none" })],
    [1, () => ({ name: "identity", bytes, is: "none" })],
    [1, () => ({ name: "klingon", bytes, is: "unknown" })],
    [1, () => ({ name: "gzip", bytes: Zlib.gzipSync(bytes), is: "true" })],
    [1, () => ({ name: "deflate", bytes: Zlib.deflateSync(bytes), is: "true" })],
    [1, () => ({ name: choice.pick(["gzip", "deflate", "br"]), bytes, is: "lie" })]
  ])()

/** Statuses whose answers end with their head, whatever follows (RFC 9110 section 6.4.1). */
export const isBodiless = ({ request, status }: Pick<Case, "request" | "status">): boolean =>
  request.method === "HEAD" || status < 200 || status === 204 || status === 304

const split = (choice: Choice, bytes: Buffer): ReadonlyArray<Buffer> => {
  if (bytes.length < 2 || choice.chance(0.6)) return [bytes]
  const at = 1 + choice.below(bytes.length - 1)
  return [bytes.subarray(0, at), bytes.subarray(at)]
}

const methodOf = (choice: Choice) =>
  choice.weighted(
    [
      [6, "GET"],
      [5, "POST"],
      [1, "PUT"],
      [1, "PATCH"],
      [1, "DELETE"],
      [1, "HEAD"],
      [0.5, "OPTIONS"]
    ] as const
  )

/** The waits in the head: one of them in most cases, so that each is seen to count. */
const waitsOf = (choice: Choice, nowMillis: number, date: Waits.DateForm): Case["waits"] => ({
  retryAfter: choice.chance(0.35) ? Waits.retryAfterOf(choice, nowMillis, date) : none,
  millis: choice.chance(0.1) ? Waits.retryAfterMillisOf(choice) : none,
  quota: choice.chance(0.25) ? Waits.quotaOf(choice, nowMillis, date) : none,
  named: choice.chance(0.1) ? Waits.namedQuotaOf(choice, nowMillis, date) : none
})

const headOf = (choice: Choice, status: number): Head =>
  status < 200 ? "unanswered" : choice.weighted<Head>([[12, "sound"], [1, "odd"]])

const framingOf = (choice: Choice, of: { readonly head: Head; readonly bodiless: boolean }) =>
  of.bodiless || of.head === "odd" ? "whole" : choice.weighted<Framing>([
    [14, "whole"],
    [2, "cut"],
    [0.4, "stalled"],
    [1, "long"],
    [1, "odd"]
  ])

const statusLineOf = (choice: Choice, words: Words, head: Head, status: number): string =>
  head === "odd" && choice.chance(0.4)
    ? choice.pick(oddStatusLines(status))
    : `HTTP/1.1 ${status} ${choice.pick(["OK", "", fieldOf(words.sentence())])}`

const requestIdOf = (choice: Choice, words: Words): ReadonlyArray<string> =>
  choice.chance(0.3)
    ? [`${choice.pick(requestIdNames)}: ${choice.pick(["req-9", fieldOf(words.token())])}`]
    : []

const before = (choice: Choice): string =>
  choice.chance(0.1)
    ? Array.from({ length: 1 + choice.below(3) }, () => choice.pick(informational)).join("")
    : ""

/** How long the client may take: no longer than needed where no answer comes. */
const limitsOf = (
  choice: Choice,
  { framing, head, status }: Pick<Case, "framing" | "head" | "status">,
  encoded: Encoded
): Case["limits"] => {
  // The fetch of Node may wait for ever for the end of what is not of its encoding.
  const hangs = encoded.is === "lie"
  if (framing !== "stalled") return head === "sound" && !hangs ? "long" : "short"
  return (status < 200 || status > 299) && choice.chance(0.05) ? "none" : "short"
}

/** The case of a seed with this number. Moments in its headers are counted from `nowMillis`. */
export const caseOf = (seed: number, id: number, nowMillis: number): Case => {
  const choice = choiceOf(seed + id * 7919)
  const status = statusOf(choice)
  const load = laden(choice, HttpClientRequest.make(methodOf(choice))(`/v1/c/${id}`))
  const words = wordsOf(choice, id, load)
  const date = Waits.dateOf(choice, nowMillis)
  const waits = waitsOf(choice, nowMillis, date)
  const body = bodyOf(choice, words, status)
  const head = headOf(choice, status)
  const bodiless = isBodiless({ request: load.request, status })
  const framing = framingOf(choice, { head, bodiless })
  const encoded = encodingOf(choice, body.bytes)
  const whole = wholeBody(choice, encoded.bytes)
  const frame = framing === "whole" ? whole : framed(choice, framing, encoded.bytes)
  // Some write a body where none may be.
  const lies = bodiless && choice.chance(0.3)
  const isAnnounced = !bodiless || load.request.method === "HEAD" || lies
  const cookies = choice.below(3)
  const shouldRetry = choice.chance(0.1) ? choice.chance(0.5) : undefined
  const playbook = choice.chance(0.7) ? "standard" : "rich"
  const limits = limitsOf(choice, { framing, head, status }, encoded)
  const informed = before(choice)
  const lines = [
    statusLineOf(choice, words, head, status),
    ...date.lines,
    ...Object.values(waits).flatMap(({ lines }) => lines),
    ...(body.contentType === undefined ? [] : [`Content-Type: ${body.contentType}`]),
    ...(encoded.name === undefined ? [] : [`Content-Encoding: ${encoded.name}`]),
    ...echoing(choice, words, load.secrets),
    ...(shouldRetry === undefined ? [] : [`X-Should-Retry: ${shouldRetry}`]),
    ...requestIdOf(choice, words),
    ...Array.from({ length: cookies }, (_, i) => `Set-Cookie: c${i}=a; Path=/`),
    ...(head === "odd" ? [choice.pick(oddLines)] : []),
    ...(status === 101 ? ["Connection: Upgrade", "Upgrade: other"] : []),
    ...(isAnnounced ? frame.lines : [])
  ]
  const bytes = Buffer.concat([
    Buffer.from(`${informed}${lines.join("\r\n")}\r\n\r\n`, "latin1"),
    bodiless && !lies ? Buffer.alloc(0) : frame.bytes
  ])
  const isSilent = Object.values(waits).every(({ lines }) => lines.length === 0) &&
    body.meaning.wait === undefined
  return {
    ...load,
    id,
    wire: choice.pick(wires),
    entry: choice.pick(entries),
    playbook,
    // What one attempt left open another does not close; and a row of the rich one waits long.
    retries: limits === "long" && isSilent && !(playbook === "rich" && status === 429) &&
      choice.chance(0.2),
    limits,
    status,
    head,
    framing,
    encoding: encoded.is,
    body,
    waits,
    shouldRetry,
    cookies,
    script: { parts: split(choice, bytes), end: lies || head === "odd" ? "end" : frame.end },
    // After a 421, fetch asks once more by itself, and this may come late.
    honest: limits === "long" && status !== 421 && framing === "whole" && whole.honest && !lies,
    continues: informed.includes(" 100 ")
  }
}
