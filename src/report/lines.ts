/** A chart of rows by second: one line for each policy, and what was offered behind them. */
import {
  box,
  type Caption,
  cut,
  type Entry,
  head,
  line,
  picture,
  type Size,
  text,
  widthOf
} from "./frame.js"
import { type Child, element, type Markup } from "./markup.js"
import { coordinate, moment, ticks, timeTicks, written } from "./numbers.js"

/** A line: its name, its style and a value for each second. */
export interface Row extends Entry {
  readonly values: ReadonlyArray<number>
}

/** A time that is shaded behind the lines: a fault, or a change of the load. */
export interface Shade {
  readonly from: number
  readonly to: number
  readonly label: string
}

export interface Lines extends Caption {
  /** The words at the axis: what is counted, and its unit. */
  readonly unit: string
  readonly rows: ReadonlyArray<Row>
  readonly shades: ReadonlyArray<Shade>
  readonly seconds: number
}

/** How many points a line has at most. Seconds beyond it are taken together. */
const points = 240

/** The means of parts of equal length. */
const thinned = (values: ReadonlyArray<number>): { values: Array<number>; step: number } => {
  const step = Math.max(1, Math.ceil(values.length / points))
  const parts = Math.ceil(values.length / step)
  return {
    step,
    values: Array.from({ length: parts }, (_, part) => {
      const some = values.slice(part * step, (part + 1) * step)
      return some.reduce((sum, value) => sum + value, 0) / some.length
    })
  }
}

/** Draws the lines. O(seconds times rows). */
export const lines = (
  { rows, seconds, shades, unit, ...caption }: Lines,
  size: Size
): Markup => {
  const above = head(caption, rows, size)
  const thin = rows.map((row) => ({ ...row, ...thinned(row.values) }))
  const most = Math.max(0, ...thin.flatMap(({ values }) => values))
  const marks = ticks(most, 4)
  const end = marks.at(-1)!
  const left = 16 + Math.max(...marks.map((mark) => widthOf(written(mark))))
  const right = size.width - 14
  // Words at the axis stand above it, where they can be read without turning the head.
  const top = above.bottom + 24
  const bottom = top + size.height - 90
  const length = Math.max(1, seconds)
  const x = (second: number) => left + (second / length) * (right - left)
  const y = (value: number) => bottom - (value / end) * (bottom - top)

  const shaded = shades.flatMap(({ from, label, to }): ReadonlyArray<Child> => {
    const [start, stop] = [x(Math.min(from, length)), x(Math.min(to, length))]
    const words = cut(label, right - start - 8)
    return [
      box(start, top, Math.max(2, stop - start), bottom - top, "shade"),
      widthOf(label) > right - start - 8 && words.length < 6
        ? text(stop - 4, top + 14, label, { class: "quiet", "text-anchor": "end" })
        : text(start + 4, top + 14, words, { class: "quiet" })
    ]
  })
  const grid = marks.flatMap((mark): ReadonlyArray<Child> => [
    line(left, y(mark), right, y(mark), mark === 0 ? "axis" : "grid"),
    text(left - 8, y(mark) + 4.5, written(mark), { "text-anchor": "end" })
  ])
  const times = timeTicks(length, size.width < 500 ? 5 : 10).map((second, index, all) =>
    text(x(second), bottom + 20, moment(second, length), {
      "text-anchor": index === 0
        ? "start"
        : index === all.length - 1 && x(second) > right - 16
        ? "end"
        : "middle"
    })
  )
  const drawn = thin.map(({ step, style, values }) =>
    element("polyline", {
      class: `line ${style}`,
      points: values.map((value, index) => {
        const middle = Math.min(length, (index + 0.5) * step)
        return `${coordinate(x(middle))},${coordinate(y(value))}`
      }).join(" ")
    })
  )
  return picture(caption, { ...size, height: bottom + 34 }, [
    above.children,
    text(12, above.bottom + 12, unit, { class: "quiet" }),
    shaded,
    grid,
    times,
    drawn
  ])
}
