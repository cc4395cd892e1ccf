/** Draws the calls of all processes, a row for each. */
import type { Call, Plan } from "./member.js"

const colours = { served: "#2a9d8f", failed: "#d62828", rejected: "#9aa5b1" } as const

const width = 960
const left = 50
const rowHeight = 26

export const timeline = (
  { downMillis, endMillis, startMillis, upMillis }: Plan,
  size: number,
  calls: ReadonlyArray<Call & { readonly member: number }>
): string => {
  const x = (millis: number): string =>
    (left + (millis - startMillis) / (endMillis - startMillis) * (width - left - 20)).toFixed(1)
  const height = 60 + size * rowHeight
  const rows = Array.from(
    { length: size },
    (_, member) => `<text x="14" y="${57 + member * rowHeight}">m${member}</text>`
  )
  const ticks = calls.map(({ atMillis, got, member }) =>
    `<rect x="${x(atMillis)}" y="${44 + member * rowHeight}" width="3" height="18" ` +
    `fill="${colours[got]}"/>`
  )
  const key = Object.entries(colours).map(([got, colour], index) =>
    `<rect x="${left + index * 110}" y="10" width="12" height="12" fill="${colour}"/>` +
    `<text x="${left + 18 + index * 110}" y="21">${got}</text>`
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `font-family="sans-serif" font-size="13">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<rect x="${x(downMillis)}" y="34" width="${Number(x(upMillis)) - Number(x(downMillis))}" ` +
    `height="${size * rowHeight + 8}" fill="#fdecea"/>`,
    `<text x="${x(downMillis)}" y="${height - 6}">the upstream is down</text>`,
    ...key,
    ...rows,
    ...ticks,
    "</svg>",
    ""
  ].join("\n")
}
