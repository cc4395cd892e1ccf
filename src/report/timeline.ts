/**
 * A chart of circuits over time, one row for each: a thin line while closed, a half block while
 * half-open, a full block while open. Heights say the state, colours only repeat it.
 */
import { box, type Caption, cut, head, line, picture, type Size, text, widthOf } from "./frame.js"
import type { Shade } from "./lines.js"
import type { Child, Markup } from "./markup.js"
import { moment, timeTicks } from "./numbers.js"

export type State = "Closed" | "HalfOpen" | "Open"

/** A circuit: what it is called, and when it changed. It begins closed. */
export interface Circuit {
  readonly name: string
  readonly changes: ReadonlyArray<{ readonly second: number; readonly to: State }>
}

export interface Timeline extends Caption {
  readonly circuits: ReadonlyArray<Circuit>
  readonly shades: ReadonlyArray<Shade>
  readonly seconds: number
}

const rowHeight = 26

const heights: Readonly<Record<State, number>> = { Closed: 3, HalfOpen: 9, Open: 18 }

const words: Readonly<Record<State, string>> = {
  Closed: "closed",
  HalfOpen: "half-open",
  Open: "open"
}

const styleOf = (state: State): string => `circuit ${words[state]}`

/** Draws the circuits. O(changes). */
export const timeline = (
  { circuits, seconds, shades, ...caption }: Timeline,
  size: Size
): Markup => {
  const above = head(caption, [], size)
  const isNarrow = size.width < 500
  const names = Math.min(
    isNarrow ? 80 : 190,
    Math.max(20, ...circuits.map(({ name }) => widthOf(name)))
  )
  const left = 12 + names + 12
  const right = size.width - 14
  const top = above.bottom + 30
  const bottom = top + circuits.length * rowHeight
  const length = Math.max(1, seconds)
  const x = (second: number) => left + (Math.min(second, length) / length) * (right - left)

  const key = (["Open", "HalfOpen", "Closed"] as const).map((state, index): Child => [
    box(
      12 + index * 96,
      above.bottom + 11 - heights[state] / 2,
      18,
      heights[state],
      styleOf(state)
    ),
    text(36 + index * 96, above.bottom + 15.5, words[state])
  ])
  const rows = circuits.map(({ changes, name }, index): Child => {
    const middle = top + (index + 0.5) * rowHeight
    const spans = [{ second: 0, to: "Closed" as State }, ...changes]
    return [
      text(12, middle + 4.5, cut(name, names)),
      spans.map(({ second, to }, at) => {
        const height = heights[to]
        // A trial may last for less than a pixel, and is a change nevertheless.
        const width = Math.max(2, x(spans[at + 1]?.second ?? length) - x(second))
        return box(x(second), middle - height / 2, width, height, styleOf(to))
      })
    ]
  })
  const times = timeTicks(length, isNarrow ? 4 : 8).map((second, index): Child => [
    line(x(second), top, x(second), bottom, "grid"),
    text(x(second), bottom + 20, moment(second, length), {
      "text-anchor": index === 0 ? "start" : x(second) > right - 20 ? "end" : "middle"
    })
  ])
  return picture(caption, { ...size, height: bottom + 32 }, [
    above.children,
    key,
    shades.map(({ from, to }) =>
      box(x(from), top, Math.max(2, x(to) - x(from)), bottom - top, "shade")
    ),
    times,
    line(left, bottom, right, bottom, "axis"),
    rows
  ])
}
