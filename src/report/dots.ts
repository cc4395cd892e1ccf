/**
 * A chart of estimates: for each figure one row for each policy, with a mark at the mean and a line
 * over the interval. Every figure has an axis of its own, from 0.
 */
import { type Caption, cut, head, line, picture, type Size, text, widthOf } from "./frame.js"
import { type Child, element, type Markup } from "./markup.js"
import { coordinate, ticks } from "./numbers.js"

interface Interval {
  readonly mean: number
  readonly low: number
  readonly high: number
}

/** One figure, with one interval for each policy. */
export interface Figure {
  readonly name: string
  readonly format: (value: number) => string
  readonly intervals: ReadonlyArray<Interval>
}

export interface Dots extends Caption {
  readonly policies: ReadonlyArray<{ readonly name: string; readonly style: string }>
  readonly figures: ReadonlyArray<Figure>
}

const rowHeight = 22

/** Marks differ by shape as well as by colour. */
const shapes = [
  "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0",
  "M-5,-5h10v10h-10z",
  "M0,-6.5l6.5,6.5l-6.5,6.5l-6.5,-6.5z",
  "M0,-6l6,11h-12z",
  "M0,6l6,-11h-12z",
  "M-6,-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z"
]

const mark = (x: number, y: number, index: number, style: string): Markup =>
  element("path", {
    d: shapes[index % shapes.length],
    transform: `translate(${coordinate(x)} ${coordinate(y)})`,
    class: `mark ${style}`
  })

/** Draws the figures one below the other. */
export const dots = ({ figures, policies, ...caption }: Dots, size: Size): Markup => {
  const above = head(caption, [], size)
  const isNarrow = size.width < 500
  const names = Math.min(
    isNarrow ? 96 : 190,
    Math.max(...policies.map(({ name }) => widthOf(name)))
  )
  const values = Math.max(
    ...figures.flatMap(({ format, intervals }) =>
      intervals.map(({ mean }) => widthOf(format(mean)))
    )
  )
  const left = 12 + names + 12
  const right = size.width - 12 - values - 12
  const children: Array<Child> = [above.children]
  let y = above.bottom
  for (const { format, intervals, name } of figures) {
    const end = ticks(Math.max(...intervals.flatMap(({ high, mean }) => [high, mean])), 3).at(-1)!
    const x = (value: number) => left + (Math.min(Math.max(value, 0), end) / end) * (right - left)
    children.push(text(12, y + 16, name, { class: "strong" }))
    y += 26
    const bottom = y + policies.length * rowHeight
    children.push(
      line(left, y - 2, left, bottom, "axis"),
      line(right, y - 2, right, bottom, "grid"),
      text(left, bottom + 14, "0", { class: "quiet" }),
      text(right, bottom + 14, format(end), { class: "quiet", "text-anchor": "end" })
    )
    policies.forEach(({ name: policy, style }, index) => {
      const { high, low, mean } = intervals[index]!
      const middle = y + rowHeight / 2
      children.push(
        text(12, middle + 4.5, cut(policy, names)),
        line(left, middle, right, middle, "grid"),
        line(x(low), middle, x(high), middle, `interval ${style}`),
        mark(x(mean), middle, index, style),
        text(size.width - 12, middle + 4.5, format(mean), { "text-anchor": "end" })
      )
      y += rowHeight
    })
    y += 30
  }
  return picture(caption, { ...size, height: y - 8 }, children)
}
