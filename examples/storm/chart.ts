/** Two curves over time as an SVG that needs no caption. */
import type { Curve } from "./simulation.js"

interface Data {
  readonly plain: Curve
  readonly guarded: Curve
  readonly spike: { readonly from: number; readonly to: number }
  readonly seconds: number
}

type Point = readonly [x: number, y: number]

const size = { width: 960, height: 480 } as const
const plot = { left: 70, right: 36, top: 96, bottom: 60 } as const
const most = 90
const colors = { plain: "#c0392b", guarded: "#1e7f4f", offered: "#777" } as const

/** Of every second and its neighbours, so that the curve can be followed by eye. */
const smooth = (counts: ReadonlyArray<number>): ReadonlyArray<number> =>
  counts.map((_, index) => {
    const near = counts.slice(Math.max(0, index - 1), index + 2)
    return near.reduce((sum, count) => sum + count, 0) / near.length
  })

const numbers = ([x, y]: Point): Point => [Number(x.toFixed(1)), Number(y.toFixed(1))]

const text = (at: Point, words: string, style = "") => {
  const [x, y] = numbers(at)
  return `<text x="${x}" y="${y}" ${style}>${words}</text>`
}

const line = (from: Point, to: Point, style: string) => {
  const [[x1, y1], [x2, y2]] = [numbers(from), numbers(to)]
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${style}/>`
}

const path = (points: ReadonlyArray<Point>, style: string) =>
  `<polyline points="${
    points.map((point) => numbers(point).join()).join(" ")
  }" fill="none" stroke-linejoin="round" ${style}/>`

export const chart = ({ guarded, plain, seconds, spike }: Data): string => {
  const bottom = size.height - plot.bottom
  const x = (second: number) =>
    plot.left + (second / seconds) * (size.width - plot.left - plot.right)
  const y = (rate: number) => bottom - (rate / most) * (bottom - plot.top)

  const curve = ({ succeeded }: Curve, style: string) =>
    path(smooth(succeeded).map((count, second) => [x(second + 0.5), y(count)]), style)
  const offered: ReadonlyArray<Point> = [
    [x(0), y(40)],
    [x(spike.from), y(40)],
    [x(spike.from), y(80)],
    [x(spike.to), y(80)],
    [x(spike.to), y(40)],
    [x(seconds), y(40)]
  ]
  /** A dot and a word for each change of the circuit, on a line each. */
  const changes = guarded.transitions.flatMap(({ at, from, to }, index) => {
    const second = at / 1000
    if (from === "Open") return []
    const word = to === "Closed"
      ? "second trial: quick, the circuit closes"
      : from === "Closed"
      ? "the circuit opens"
      : "first trial: too slow, it stays open"
    const height = y(72 - 6 * index)
    const style = `fill="${colors.guarded}"`
    return [
      line([x(second), height], [x(second), bottom], `stroke="${colors.guarded}" opacity="0.5"`),
      `<circle cx="${x(second).toFixed(1)}" cy="${height.toFixed(1)}" r="4" ${style}/>`,
      text([x(second) + 10, height + 5], word, style)
    ]
  })
  const ticks = Array.from({ length: seconds / 10 + 1 }, (_, index) => index * 10)
  const named = `font-weight="bold"`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="14" fill="#333">`,
    `<rect width="${size.width}" height="${size.height}" fill="#fff"/>`,
    text(
      [plot.left, 32],
      "Five seconds of double load: plain retries do not recover, the pipeline does",
      `font-size="18" font-weight="bold"`
    ),
    text(
      [plot.left, 56],
      "Calls answered in each second. The server gets slower the more it works on, and finishes what its callers gave up.",
      `fill="#666"`
    ),
    `<rect x="${x(spike.from).toFixed(1)}" y="${plot.top}" width="${
      (x(spike.to) - x(spike.from)).toFixed(1)
    }" height="${bottom - plot.top}" fill="#fbe9d0"/>`,
    ...[0, 20, 40, 60, 80].flatMap((rate) => [
      line([plot.left, y(rate)], [size.width - plot.right, y(rate)], `stroke="#e4e4e4"`),
      text([plot.left - 10, y(rate) + 5], String(rate), `text-anchor="end"`)
    ]),
    ...ticks.map((second) => text([x(second), bottom + 22], `${second} s`, `text-anchor="middle"`)),
    text(
      [18, y(most / 2)],
      "calls a second",
      `text-anchor="middle" transform="rotate(-90 18 ${y(most / 2).toFixed(1)})"`
    ),
    path(offered, `stroke="${colors.offered}" stroke-width="1.5" stroke-dasharray="2 3"`),
    text([x(spike.to) + 8, y(80) + 5], "calls made: 40 a second, 80 in the spike", `fill="#777"`),
    ...changes,
    curve(guarded, `stroke="${colors.guarded}" stroke-width="3"`),
    curve(plain, `stroke="${colors.plain}" stroke-width="3" stroke-dasharray="9 5"`),
    text(
      [x(seconds) - 8, y(44)],
      "pipeline",
      `text-anchor="end" fill="${colors.guarded}" ${named}`
    ),
    text(
      [x(seconds) - 8, y(4)],
      "plain retries: 2 s timeout, three tries",
      `text-anchor="end" fill="${colors.plain}" ${named}`
    ),
    "</svg>",
    ""
  ].join("\n")
}
