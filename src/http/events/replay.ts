/**
 * Tells events that a server repeats from new ones.
 *
 * A server that is asked to go on after an event may begin with that event, or with the first of
 * all. So the last events that were given out are known, and what a new connection begins with is
 * compared with them in order, as long as it is the same. Content counts as well as the id: a
 * server may number the events of each connection from 1.
 */
import * as Hash from "effect/Hash"
import type * as EventStream from "../../core/eventStream.js"

type Event = EventStream.Event

/** How many events are known. */
const maxKnown = 1000

interface Known {
  readonly id: string
  readonly content: number
}

const contentOf = ({ data, event }: Event): number => Hash.string(`${event}\n${data}`)

/** The events that were given out, across the connections of a stream. */
export class Replay {
  #known: Array<Known> = []
  /** Where a repetition goes on; nothing before an event has been recognised. */
  #at: number | undefined
  #isOver = true

  /** A new connection may repeat what was given out. */
  begin(): void {
    this.#at = undefined
    this.#isOver = this.#known.length === 0
  }

  /** Those that are new, which count as given out. O(events), and O(1000) once a connection. */
  news(events: ReadonlyArray<Event>): ReadonlyArray<Event> {
    const fresh = this.#isOver ? events : events.filter((event) => !this.#isRepeated(event))
    for (const event of fresh) {
      this.#known.push({ id: event.lastId, content: contentOf(event) })
    }
    if (this.#known.length > 2 * maxKnown) this.#known = this.#known.slice(-maxKnown)
    return fresh
  }

  #isRepeated(event: Event): boolean {
    if (this.#isOver) return false
    const at = this.#at ?? this.#find(event)
    const known = at === undefined ? undefined : this.#known[at]
    if (
      at === undefined || known?.id !== event.lastId || known.content !== contentOf(event)
    ) {
      this.#isOver = true
      return false
    }
    this.#at = at + 1
    this.#isOver = this.#at === this.#known.length
    return true
  }

  /** An event without an id of its own may be a new one after the same id. */
  #find({ hasId, lastId, ...event }: Event): number | undefined {
    if (!hasId) return undefined
    const content = contentOf({ ...event, hasId, lastId })
    const at = this.#known.findLastIndex((known) =>
      known.id === lastId && known.content === content
    )
    return at === -1 ? undefined : at
  }
}
