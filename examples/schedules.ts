/**
 * The delays of each backoff, as a table and as a plot in examples/out/schedules.svg:
 * `npx tsx examples/schedules.ts`
 */
import { Duration, Effect } from "effect"
import { Backoff, Schedules } from "effect-resilience"
import * as Laws from "effect-resilience/testing/Laws"
import * as fs from "node:fs"

const range = { base: "500 millis", cap: "8 seconds" } as const
const backoffs: ReadonlyArray<readonly [string, Backoff.Backoff]> = [
  ["linear", Backoff.linear(range)],
  ["exponential, jitter none", Backoff.exponential({ ...range, jitter: Backoff.none })],
  ["exponential, jitter full", Backoff.exponential(range)],
  ["exponential, jitter equal", Backoff.exponential({ ...range, jitter: Backoff.equal })],
  [
    "exponential, jitter additive 1 s",
    Backoff.exponential({ ...range, jitter: Backoff.additive("1 second") })
  ],
  ["decorrelated", Backoff.decorrelated(range)],
  ["constant 2 s, jitter equal", Backoff.constant("2 seconds", { jitter: Backoff.equal })]
]
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)
const [retries, clients] = [upTo(8), upTo(40)]

/**
 * What one client waits before each retry, in virtual time. The seed is all that two clients differ
 * in.
 */
const delaysOf = (backoff: Backoff.Backoff, seed: number) =>
  Laws.delays(Backoff.schedule(backoff).pipe(Schedules.retries(retries.length)), retries, { seed })

const draws = await Effect.runPromise(
  Effect.all(
    backoffs.map(([, backoff]) => Effect.all(clients.map((seed) => delaysOf(backoff, seed))))
  )
)
const header = retries.map((retry) => String(retry + 1).padStart(7)).join("")
console.log(`delay in ms before retry          ${header}`)
backoffs.forEach(([name], index) => {
  console.log(
    name.padEnd(34) + draws[index]?.[0]?.map((millis) => millis.toFixed().padStart(7)).join("")
  )
})

// The plot: a panel for each backoff, all on the same linear axes, since a delay of zero has no
// place on a logarithmic one.
const [width, height] = [240, 190]
const x = (retry: number) => (retry + 0.5) * (width / retries.length)
const y = (millis: number) => height * (1 - millis / 8000)
const text = (
  x: number,
  y: number,
  content: string | number,
  attributes = "text-anchor='middle'"
) => `<text x='${x}' y='${y}' ${attributes}>${content}</text>`
const place = (index: number, content: string) =>
  `<g transform='translate(${60 + (index % 4) * 290},${
    90 + Math.floor(index / 4) * 280
  })'>${content}</g>`
const bar = (x: number, y: number, height: number) =>
  `<rect class='bar' x='${x}' y='${y}' width='26' height='${height}'/>`
const dot = (x: number, y: number) => `<circle class='dot' cx='${x}' cy='${y.toFixed(1)}' r='2'/>`

const axes = `<rect width='${width}' height='${height}' fill='none' stroke='#888'/>` +
  [0, 2, 4, 6, 8].map((seconds) =>
    `<path d='M0 ${y(seconds * 1000)}h${width}' stroke='#ddd'/>${
      text(-12, y(seconds * 1000) + 4, seconds)
    }`
  ).join("") + retries.map((retry) => text(x(retry), height + 18, retry + 1)).join("") +
  text(width / 2, height + 38, "retry number") +
  text(
    -height / 2,
    -30,
    "delay before the retry (s)",
    "text-anchor='middle' transform='rotate(-90)'"
  )

const panels = backoffs.map(([name, backoff], index) => {
  const bars = retries.map((retry) => {
    const { max, min } = Backoff.envelope(backoff, retry)
    return bar(
      x(retry) - 13,
      y(Duration.toMillis(max)),
      Duration.toMillis(Duration.subtract(max, min)) / 8000 * height
    )
  })
  const dots = clients.flatMap((client) =>
    (draws[index]?.[client] ?? []).map((millis, retry) =>
      dot(x(retry) + (client % 9 - 4) * 2.4, y(millis))
    )
  )
  const line = (draws[index]?.[0] ?? []).map((millis, retry) =>
    `${x(retry)},${y(millis).toFixed(1)}`
  ).join(" ")
  const cap = backoff._tag === "Constant" ? "" : `<path class='cap' d='M0 0h${width}'/>`
  const title = text(width / 2, -14, name, "text-anchor='middle' font-weight='bold'")
  return place(
    index,
    `${title}${axes}${cap}${bars.join("")}${dots.join("")}<polyline class='line' points='${line}'/>`
  )
})
const legend = [
  "possible delays",
  "one of 40 clients",
  "one client, retry by retry",
  "the cap, 8 s"
]
const keys = bar(24, 14, 16) + dot(37, 57) +
  "<path class='line' d='M20 92h34'/><path class='cap' d='M20 127h34'/>"
const svg =
  `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1200 620' font-family='sans-serif' font-size='13'>
<style>.bar{fill:#cfe3f7;stroke:#7fb0dd}.dot{fill:#12569b;fill-opacity:.5}.line,.cap{fill:none;stroke:#d1480f;stroke-width:2}
.cap{stroke:#333;stroke-width:1.5;stroke-dasharray:5 3}</style><rect width='1200' height='620' fill='#fff'/>
${
    text(
      600,
      36,
      "How long each backoff waits: base 0.5 s, cap 8 s",
      "text-anchor='middle' font-size='20'"
    )
  }
${panels.join("\n")}${
    place(7, keys + legend.map((line, index) => text(70, 27 + index * 35, line, "")).join(""))
  }</svg>\n`
fs.mkdirSync(new URL("out/", import.meta.url), { recursive: true })
fs.writeFileSync(new URL("out/schedules.svg", import.meta.url), svg)
console.log("plot: examples/out/schedules.svg")
