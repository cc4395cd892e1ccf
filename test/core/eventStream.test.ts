import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as EventStream from "../../src/core/eventStream.js"
import { runs } from "../support/runs.js"

const thousand = { numRuns: runs(1000) }
const MiB = 1_048_576

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A stream read in pieces, which are cut at these places. */
const read = (
  bytes: Uint8Array,
  cuts: ReadonlyArray<number> = [],
  maxBytes = MiB,
  lastId = ""
) => {
  const parser = new EventStream.Parser(maxBytes, lastId)
  const places = [0, ...[...cuts].sort((a, b) => a - b), bytes.length]
  const events = places.slice(1).flatMap((to, n) => [...parser.push(bytes.slice(places[n], to))])
  const { isTooLarge, retryMillis } = parser
  return { events, lastId: parser.lastId, retryMillis, isTooLarge }
}

const eventsOf = (text: string) => read(bytesOf(text)).events

/** What a program sees of an event: type, data, last event id. */
const brief = (text: string) =>
  eventsOf(text).map(({ data, event, lastId }) => [event, data, lastId])

/** The standard's rules one by one, on a whole text. */
const model = (text: string) => {
  const seen: Array<object> = []
  let [data, event, buffer, lastId, retry] = ["", "", "", "", undefined as number | undefined]
  const whole = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n")
  for (const line of whole.split("\n").slice(0, -1)) {
    if (line === "") {
      lastId = buffer
      if (data !== "") {
        seen.push({ event: event || "message", data: data.replace(/\n$/, ""), lastId })
      }
      data = event = ""
      continue
    }
    const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? []
    if (name === "data") data += `${value}\n`
    if (name === "event") event = value
    if (name === "id" && !value.includes("\0")) buffer = value
    if (name === "retry" && /^\d+$/.test(value)) retry = Number(value)
  }
  return { seen, lastId, retry }
}

describe("the examples of the HTML standard, section 9.2.6", () => {
  it("one message of three lines", () => {
    expect(brief("data: YHOO\ndata: +2\ndata: 10\n\n")).toEqual([["message", "YHOO\n+2\n10", ""]])
  })

  it("four blocks: a comment, an id, an id that is reset, a space that is kept", () => {
    const stream = ": test stream\n\ndata: first event\nid: 1\n\n" +
      "data:second event\nid\n\ndata:  third event\n\n"
    expect(brief(stream)).toEqual([
      ["message", "first event", "1"],
      ["message", "second event", ""],
      ["message", " third event", ""]
    ])
  })

  it("empty data is an event, and what has no empty line after it is none", () => {
    expect(brief("data\n\ndata\ndata\n\ndata:")).toEqual([["message", "", ""], [
      "message",
      "\n",
      ""
    ]])
  })

  it("one space after the colon is no part of the value", () => {
    expect(brief("data:test\n\ndata: test\n\n")).toEqual([
      ["message", "test", ""],
      ["message", "test", ""]
    ])
  })
})

describe("the rules of the HTML standard, section 9.2.6", () => {
  it("lines end with CR, LF or CR LF, mixed", () => {
    expect(brief("data: a\r\rdata: b\n\ndata: c\r\n\r\ndata: d\n\r\n")).toEqual(
      ["a", "b", "c", "d"].map((data) => ["message", data, ""])
    )
  })

  it("a CR ends its line at once, and the LF of the next piece belongs to it", () => {
    const parser = new EventStream.Parser(MiB, "")
    expect(parser.push(bytesOf("data: a\r\n\r")).map(({ data }) => data)).toEqual(["a"])
    expect(parser.push(bytesOf("\ndata: b\r\n\r\n")).map(({ data }) => data)).toEqual(["b"])
  })

  it("one byte order mark at the beginning is skipped, a second is a part of the name", () => {
    expect(brief("\uFEFFdata: a\n\n\uFEFFdata: b\n\n")).toEqual([["message", "a", ""]])
    expect(brief("\uFEFF\uFEFFdata: a\n\n")).toEqual([])
  })

  it("the id lasts, one with NULL is ignored, and an event without its end sets none", () => {
    const { events, lastId } = read(
      bytesOf("id: 7\ndata: a\n\nid: 8\0\ndata: b\n\nid: 9\ndata: c\n")
    )
    expect(events.map(({ hasId, lastId }) => [lastId, hasId])).toEqual([["7", true], ["7", false]])
    expect(lastId).toBe("7")
  })

  it("a block with an id and no data is no event, but the id counts", () => {
    const { events, lastId } = read(bytesOf("id: 5\n\n"))
    expect([events, lastId]).toEqual([[], "5"])
  })

  it("a stream that goes on has the last id of the one before it", () => {
    expect(read(bytesOf("data: a\n\n"), [], MiB, "3").events[0]?.lastId).toBe("3")
  })

  it("retry is digits only, counts without an event, and comes with its own event", () => {
    const { events, retryMillis } = read(
      bytesOf("retry: 10\n\nretry: 20\ndata: a\n\nretry: 1s\ndata: b\n\nretry: -1\n\nretry:\n\n")
    )
    expect(events.map(({ retryMillis }) => retryMillis)).toEqual([20, undefined])
    expect(retryMillis).toBe(20)
  })

  it("the type lasts for one event; unknown fields and names in capitals are ignored", () => {
    expect(brief("event: tick\ndata: a\nDATA: x\nfoo: y\n data: z\n\ndata: b\n\n")).toEqual([
      ["tick", "a", ""],
      ["message", "b", ""]
    ])
    expect(brief("event: tick\n\ndata: b\n\n")).toEqual([["message", "b", ""]])
  })

  it("bytes that are no UTF-8 become U+FFFD", () => {
    const bytes = new Uint8Array([...bytesOf("data: a"), 0xff, ...bytesOf("\n\n")])
    expect(read(bytes).events[0]?.data).toBe("a\uFFFD")
  })
})

/** Texts of which each piece means something to the parser. */
const texts = fc.array(
  fc.constantFrom(
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "data",
    "data:",
    "data: ",
    "data: \u00e9\u20ac\u{1F600}",
    "x",
    ":",
    " ",
    "event: tick",
    "id: 1",
    "id",
    "id: \0",
    "retry: 12",
    "retry: 1x",
    "\uFEFF",
    ": comment",
    "id: \u00fc"
  ),
  { maxLength: 40 }
).map((pieces) => pieces.join(""))

describe("properties", () => {
  it("any cutting into pieces gives the events of the whole, which are those of the rules", () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat(), { maxLength: 20 }), (text, places) => {
        const bytes = bytesOf(text)
        const cuts = places.map((place) => place % (bytes.length + 1))
        const { events, lastId, retryMillis } = read(bytes, cuts)
        expect({
          seen: events.map(({ data, event, lastId }) => ({ event, data, lastId })),
          lastId,
          retry: retryMillis
        }).toEqual(model(text))
      }),
      thousand
    )
  })

  it("the limit of size does not depend on the pieces, and no more than it is kept", () => {
    fc.assert(
      fc.property(
        texts,
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.integer({ min: 1, max: 60 }),
        (text, places, maxBytes) => {
          const bytes = bytesOf(text)
          const cuts = places.map((place) => place % (bytes.length + 1))
          expect(read(bytes, cuts, maxBytes)).toEqual(read(bytes, [], maxBytes))
        }
      ),
      thousand
    )
  })

  it("an event as large as the limit passes, one byte more does not; comments do not add up", () => {
    const event = bytesOf(`data: ${"x".repeat(94)}\n\n`)
    expect(read(event, [50], 100)).toMatchObject({ isTooLarge: false, events: [{}] })
    expect(read(event, [50], 99)).toMatchObject({ isTooLarge: true, events: [] })
    const lines = bytesOf(`${"data: x\n".repeat(20)}\n`)
    expect([read(lines, [], 140).isTooLarge, read(lines, [], 139).isTooLarge]).toEqual([
      false,
      true
    ])
    expect(read(bytesOf(": keep-alive\n".repeat(100)), [], 20).isTooLarge).toBe(false)
  })
})

describe("ids", () => {
  it("an event says whether it brought one", () => {
    expect(eventsOf("data: a\n\nid: 1\ndata: b\n\ndata: c\n\n").map(({ hasId }) => hasId)).toEqual([
      false,
      true,
      false
    ])
  })
})
