/**
 * Parses the event stream of the HTML standard, section 9.2.6, from bytes in pieces of any size.
 *
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
import * as Lines from "./lines.js"

/**
 * One event as it was sent.
 *
 * - `lastId`: the last event id at this event, empty where there is none. `hasId`: whether the
 *   event itself has an `id` field.
 * - `retryMillis`: the reconnection time that the event has, in milliseconds.
 *
 * @since 0.1.0
 */
export interface Event {
  readonly lastId: string
  readonly hasId: boolean
  readonly event: string
  readonly data: string
  readonly retryMillis: number | undefined
}

/**
 * Reads one stream. An event whose end has not come is never given out.
 *
 * @since 0.1.0
 */
export class Parser {
  readonly #lines = new Lines.Lines("any")
  readonly #maxBytes: number
  #isFirst = true
  #idBuffer: string
  #lastId: string
  #hasId = false
  #event = ""
  #data = ""
  #dataBytes = 0
  #eventRetry: number | undefined
  #retry: number | undefined
  #isTooLarge = false

  /** `lastId`: the last event id so far, which a stream goes on with where it sends none. */
  constructor(maxBytes: number, lastId: string) {
    this.#maxBytes = maxBytes
    this.#idBuffer = lastId
    this.#lastId = lastId
  }

  /** The last event id, as of the last event whose end has come. */
  get lastId(): string {
    return this.#lastId
  }

  /** The reconnection time that the stream asked for last, in milliseconds. */
  get retryMillis(): number | undefined {
    return this.#retry
  }

  /** Whether an event has more bytes than it may. Nothing is read after that. */
  get isTooLarge(): boolean {
    return this.#isTooLarge
  }

  /** The events that end in these bytes. O(bytes). */
  push(bytes: Uint8Array): ReadonlyArray<Event> {
    const events: Array<Event> = []
    if (this.#isTooLarge) return events
    this.#lines.push(bytes, (line) => {
      if (this.#refuse(line.length)) return false
      const text = Lines.textOf(line, this.#isFirst)
      this.#isFirst = false
      if (text === "") this.#dispatch(events)
      else this.#field(text, line.length)
      return true
    })
    this.#refuse(this.#lines.pending)
    return events
  }

  #refuse(lineBytes: number): boolean {
    this.#isTooLarge ||= this.#dataBytes + lineBytes > this.#maxBytes
    return this.#isTooLarge
  }

  #field(line: string, bytes: number): void {
    const colon = line.indexOf(":")
    if (colon === 0) return
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1)
    switch (name) {
      case "data":
        this.#data += `${value}\n`
        this.#dataBytes += bytes
        return
      case "event":
        this.#event = value
        return
      case "id":
        if (value.includes("\0")) return
        this.#idBuffer = value
        this.#hasId = true
        return
      case "retry":
        if (!/^[0-9]+$/.test(value)) return
        this.#retry = this.#eventRetry = Number(value)
    }
  }

  #dispatch(events: Array<Event>): void {
    this.#lastId = this.#idBuffer
    if (this.#data !== "") {
      events.push({
        lastId: this.#lastId,
        hasId: this.#hasId,
        event: this.#event === "" ? "message" : this.#event,
        data: this.#data.slice(0, -1),
        retryMillis: this.#eventRetry
      })
    }
    this.#hasId = false
    this.#event = ""
    this.#data = ""
    this.#dataBytes = 0
    this.#eventRetry = undefined
  }
}
