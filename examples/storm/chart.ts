/** Two curves over time as an SVG that needs no caption. */

interface Data {
  readonly plain: ReadonlyArray<number>
  readonly standard: ReadonlyArray<number>
  readonly spike: { readonly from: number; readonly to: number }
  readonly seconds: number
}

const size = { width: 960, height: 480 } as const
const plot = { left: 70, right: 36, top: 96, bottom: 60 } as const
const most = 90

/** Of every second and its neighbours, so that the curve can be followed by eye. */
const smooth = (counts: ReadonlyArray<number>): ReadonlyArray<number> =>
  counts.map((_, index) => {
    const near = counts.slice(Math.max(0, index - 1), index + 2)
    return near.reduce((sum, count) => sum + count, 0) / near.length
  })

export const chart = ({ plain, seconds, spike, standard }: Data): string => {
  const x = (second: number) =>
    plot.left + (second / seconds) * (size.width - plot.left - plot.right)
  const y = (rate: number) =>
    size.height - plot.bottom - (rate / most) * (size.height - plot.top - plot.bottom)
  const text = (at: readonly [x: number, y: number], words: string, style = "") =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" ${style}>${words}</text>`
  const line = (from: readonly [number, number], to: readonly [number, number], style: string) =>
    `<line x1="${from[0].toFixed(1)}" y1="${from[1].toFixed(1)}" x2="${to[0].toFixed(1)}" y2="${
      to[1].toFixed(1)
    }" ${style}/>`
  const curve = (counts: ReadonlyArray<number>, color: string) => {
    const points = smooth(counts).map((count, second) =>
      `${x(second + 0.5).toFixed(1)},${y(count).toFixed(1)}`
    )
    return `<polyline points="${
      points.join(" ")
    }" fill="none" stroke="${color}" stroke-width="3" stroke-linejoin="round"/>`
  }
  const offered = [[0, 40], [spike.from, 40], [spike.from, 80], [spike.to, 80], [spike.to, 40], [
    seconds,
    40
  ]]
    .map(([second = 0, rate = 0]) => `${x(second).toFixed(1)},${y(rate).toFixed(1)}`)
  const ticks = Array.from({ length: seconds / 20 + 1 }, (_, index) => index * 20)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="14" fill="#333">`,
    `<rect width="${size.width}" height="${size.height}" fill="#fff"/>`,
    text(
      [plot.left, 32],
      "Five seconds of double load: plain retries do not recover, the standard pipeline does",
      `font-size="18" font-weight="bold"`
    ),
    text(
      [plot.left, 56],
      "Calls answered in each second. The server gets slower the more requests it works on, and does not see that callers gave up.",
      `fill="#666"`
    ),
    `<rect x="${x(spike.from).toFixed(1)}" y="${plot.top}" width="${
      (x(spike.to) - x(spike.from)).toFixed(1)
    }" height="${size.height - plot.top - plot.bottom}" fill="#fbe9d0"/>`,
    ...[0, 20, 40, 60, 80].flatMap((rate) => [
      line([plot.left, y(rate)], [size.width - plot.right, y(rate)], `stroke="#e4e4e4"`),
      text([plot.left - 10, y(rate) + 5], String(rate), `text-anchor="end"`)
    ]),
    ...ticks.map((second) =>
      text([x(second), size.height - plot.bottom + 22], `${second} s`, `text-anchor="middle"`)
    ),
    text(
      [18, y(most / 2)],
      "calls a second",
      `text-anchor="middle" transform="rotate(-90 18 ${y(most / 2).toFixed(1)})"`
    ),
    `<polyline points="${
      offered.join(" ")
    }" fill="none" stroke="#888" stroke-width="1.5" stroke-dasharray="5 4"/>`,
    text([x(spike.to) + 8, y(80) + 5], "calls made (40 a second, 80 in the spike)", `fill="#777"`),
    curve(plain, "#c0392b"),
    curve(standard, "#1e7f4f"),
    text([x(36), y(5)], "plain: 10 s timeout, three tries", `fill="#c0392b" font-weight="bold"`),
    text([x(36), y(16)], "circuit open: the server gets its breath back", `fill="#1e7f4f"`),
    text(
      [x(seconds) - 8, y(46)],
      "standard pipeline",
      `text-anchor="end" fill="#1e7f4f" font-weight="bold"`
    ),
    "</svg>",
    ""
  ].join("\n")
}
