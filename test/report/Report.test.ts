import { sha256 } from "@noble/hashes/sha2"
import * as Report from "effect-resilience/Report"
import { beforeAll, describe, expect, it } from "vitest"
import type * as Simulation from "../../src/simulation/Simulation.js"
import { comparison, result, scenario } from "./simulated.js"

const hostile = [
  "<script>alert(1)</script>",
  "\"><img src=x onerror=alert(2)>",
  "'</style></title><svg onload=alert(3)>&amp;\u202e\u0000"
] as const

let found: Simulation.Comparison
let alone: Simulation.Result
let misled: Simulation.Comparison

beforeAll(async () => {
  found = await comparison()
  alone = await result()
  misled = await comparison(hostile)
})

const options = { scenario, name: "spike" }

const charts = ["goodput", "attempts", "latency", "inProgress", "breaker", "policies"] as const

/** The text that a reader sees, without elements. */
const wordsOf = (page: string): string =>
  page.replace(/<(style|title)>[^]*?<\/\1>/g, "").replace(/<[^>]+>/g, "\n")
    .replaceAll("\u00a0", " ")

/** The names of all elements. */
const elementsOf = (page: string): ReadonlySet<string> =>
  new Set([...page.matchAll(/<([a-z0-9]+)/g)].map(([, name]) => name!))

describe("html", () => {
  it("L6: the same input gives the same bytes", async () => {
    expect(Report.html(found, options)).toBe(Report.html(await comparison(), options))
    expect(Report.html(alone, options)).toBe(Report.html(await result(), options))
  })

  it("L6: a page has no scripts, no references and no handlers", () => {
    const page = Report.html(found, options)
    const elements = elementsOf(page)
    for (const name of ["script", "link", "img", "iframe", "object", "use", "a", "base", "form"]) {
      expect(elements.has(name)).toBe(false)
    }
    expect(page).not.toMatch(/\s(on\w+|href|src|style)=/)
    expect(page).not.toMatch(/url\(|@import/)
    expect(
      [...page.matchAll(/https?:\/\/[^"]*/g)].every(([url]) => url === "http://www.w3.org/2000/svg")
    ).toBe(true)
  })

  it("L6: its policy of security forbids everything but its one style sheet", () => {
    const page = Report.html(found, options)
    const [, policy] = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(page)!
    const sheets = [...page.matchAll(/<style>([^]*?)<\/style>/g)]
    expect(sheets).toHaveLength(1)
    const hash = Buffer.from(sha256(sheets[0]![1]!)).toString("base64")
    expect(policy!.replaceAll("&#39;", "'")).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`
    )
  })

  it("L6: all text is escaped, also where it is hostile", () => {
    const page = Report.html(misled, { scenario, name: "<b>scenario</b>" })
    expect(elementsOf(page)).toEqual(elementsOf(Report.html(found, options)))
    expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;")
    expect(["\u0000", "\u202e"].filter((mark) => page.includes(mark))).toEqual([])
    expect(page).toContain("&lt;b&gt;scenario&lt;/b&gt;")
    for (const chart of charts) {
      const options = { scenario, chart, title: "<i>title</i>", subtitle: "<u>&" }
      const picture = Report.svg(misled, options)
      expect(elementsOf(picture)).toEqual(
        elementsOf(Report.svg(found, { scenario, chart, title: "title", subtitle: "below" }))
      )
    }
  })

  it("says what holds under the scenario, and prints all that it assumes", () => {
    const words = wordsOf(Report.html(found, options))
    expect(words).toMatch(/plain, breaker and telemetry under spike/)
    expect(words).toMatch(/4 replications of 40 s, seed 3\./)
    expect(words).toMatch(/under this scenario/i)
    expect(words).not.toMatch(/\bwill\b/)
    for (
      const assumed of [
        "40 s; calls of the first 2 s count in no total",
        "30 a second at random moments (Poisson), from 3 processes",
        "times 2 from 10 s to 12 s",
        "always 5 ms",
        "log-normal, half below 40 ms, 99 % below 300 ms",
        "5 workers, a queue of 30, and 503 beyond it, the oldest request first",
        "outage from 15 s to 20 s: connections are refused",
        "2.0 % of the answers are a 503"
      ]
    ) expect(words).toContain(assumed)
    expect(words).toContain("telemetry: telemetry is not simulated: it changes no call")
  })

  it("has the figures with their intervals, and says where no difference is shown", () => {
    const words = wordsOf(Report.html(found, options))
    const { high, low, mean } = found.results[0]!.metrics.p99
    const shown = (value: number) => value >= 100 ? value.toFixed(0) : value.toFixed(1)
    expect(words).toContain(`\n${shown(mean)} ms\n`)
    expect(words).toContain(`\n${shown(low)} ms to ${shown(high)} ms\n`)
    // The third policy does the same as the first.
    expect(words.match(/no difference shown/g)!.length).toBeGreaterThanOrEqual(8)
    expect(words).toMatch(/\ncalls\n+[\d,]+\n/)
    expect(words).toContain("rejected: CircuitOpen")
  })

  it("a result alone has no differences, and without breakers no circuits", () => {
    const words = wordsOf(Report.html(alone, options))
    expect(words).toContain("plain under spike")
    expect(words).not.toMatch(/\nDifferences\n|\nCircuit breakers\n/)
    expect(wordsOf(Report.html(found, options))).toMatch(/\nDifferences\n[^]*/)
    expect(wordsOf(Report.html(found, options))).toMatch(/\nCircuit breakers\n/)
  })

  it("a policy that does not recover is the first thing to read", () => {
    const stuck = { ...alone, stuck: 3 }
    expect(wordsOf(Report.html(stuck, options))).toContain(
      "Under this scenario, plain does not recover in 3 of 4 replications"
    )
    const recovered = { ...alone, stuck: 0 }
    expect(wordsOf(Report.html(recovered, options)))
      .toContain("Under this scenario, the policy recovers in every replication.")
  })
})

describe("svg", () => {
  it("L6: each chart is a picture of its own, the same bytes each time", () => {
    for (const chart of charts) {
      const picture = Report.svg(found, { scenario, chart })
      expect(picture).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^]*<\/svg>\n$/)
      expect(picture).toBe(Report.svg(found, { scenario, chart }))
      expect(picture).not.toMatch(/NaN|undefined|Infinity/)
    }
  })

  it("a line has a point for each second, and goes as high as its values", () => {
    const picture = Report.svg(alone, { scenario, chart: "goodput" })
    const [offered, goodput] = [...picture.matchAll(/points="([^"]+)"/g)].map(([, points]) =>
      points!.split(" ").map((point) => point.split(",").map(Number))
    )
    expect(goodput).toHaveLength(40)
    const heights = (points: typeof goodput) => points!.map(([, y]) => y!)
    const { series } = alone
    const second = (values: ReadonlyArray<number>) => values.indexOf(Math.max(...values))
    // On a screen, up is less.
    expect(heights(offered).indexOf(Math.min(...heights(offered)))).toBe(second(series.offered))
    expect(heights(goodput).indexOf(Math.min(...heights(goodput)))).toBe(second(series.goodput))
  })

  it("a long scenario is drawn with some hundred points", () => {
    const long = Array.from({ length: 10_000 }, (_, second) => second)
    const series = { ...alone.series, offered: long, goodput: long }
    const picture = Report.svg({ ...alone, series }, { scenario, chart: "goodput" })
    const [, points] = /points="([^"]+)"/.exec(picture)!
    expect(points!.split(" ").length).toBeLessThanOrEqual(240)
    expect(picture.length).toBeLessThan(12_000)
  })

  it("nothing at all is drawn without a mistake", () => {
    const none = alone.series.offered.map(() => 0)
    const series = { ...alone.series, offered: none, goodput: none, sent: none, p99: none }
    const zero = { mean: 0, low: 0, high: 0 }
    const metrics = Object.fromEntries(Object.keys(alone.metrics).map((name) => [name, zero]))
    const empty = { ...alone, series, metrics: metrics as typeof alone.metrics, breaker: [] }
    for (const chart of charts) {
      expect(Report.svg(empty, { scenario, chart })).not.toMatch(/NaN|undefined|Infinity/)
    }
  })
})
