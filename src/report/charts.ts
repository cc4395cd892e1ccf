/** The charts that a result or a comparison can be seen in. */
import * as Duration from "effect/Duration"
import type { Scenario } from "../simulation/Scenario.js"
import type { Comparison, Metric, Result } from "../simulation/Simulation.js"
import { shadesOf } from "./assumptions.js"
import { dots } from "./dots.js"
import { type Caption, type Size, styleOf } from "./frame.js"
import { lines, type Row } from "./lines.js"
import type { Markup } from "./markup.js"
import { decimal } from "./numbers.js"
import { type Circuit, timeline } from "./timeline.js"
import { counted, metricWords, resultsOf } from "./words.js"

export type Chart = "goodput" | "attempts" | "latency" | "inProgress" | "breaker" | "policies"

/** What the charts are drawn of. */
export interface Data {
  readonly found: Result | Comparison
  readonly scenario: Scenario
}

/** What a chart says about itself in a page, and where it has nothing to show. */
export interface Words {
  readonly heading: string
  readonly note: string
}

const each = "Means over the replications, second by second."

export const chartWords: Readonly<Record<Chart, Words>> = {
  goodput: {
    heading: "Goodput against what was offered",
    note: `Calls that succeeded in each second, beside the calls that were made. ${each}`
  },
  attempts: {
    heading: "Requests sent",
    note: `Attempts and hedges that reached the network. Far above the offered calls is a retry ` +
      `storm. ${each}`
  },
  latency: {
    heading: "Latency, p99 of each second",
    note: "Of calls that succeeded, waits and retries included. A replication without one in a " +
      `second counts as 0 there, so read it beside the goodput. ${each}`
  },
  inProgress: { heading: "Calls in progress", note: `The highest number in each second. ${each}` },
  breaker: {
    heading: "Circuit breakers",
    note: "The first replication: a row for each process and key, of many the first ones."
  },
  policies: {
    heading: "Side by side",
    note: "The mark is the mean over the replications, the band its 95 % interval. " +
      "Latencies are of calls that succeeded."
  }
}

/** The charts in the order of a page. */
export const charts = Object.keys(chartWords) as ReadonlyArray<Chart>

const rowsOf = (
  results: ReadonlyArray<Result>,
  field: keyof Result["series"],
  scale = 1
): ReadonlyArray<Row> =>
  results.map(({ policy, series }, index) => ({
    name: policy,
    style: styleOf(index),
    values: series[field].map((value) => value / scale)
  }))

const offered = (results: ReadonlyArray<Result>): Row => ({
  name: "calls offered",
  style: "offered",
  values: results[0]?.series.offered ?? []
})

/** The figures side by side: those of which at least one policy has any. */
const compared: ReadonlyArray<Metric> = [
  "failedRate",
  "amplification",
  "p50",
  "p95",
  "p99",
  "recoverySeconds",
  "duplicates",
  "peakInProgress"
]

/** Circuits are drawn of so many processes. */
const circuitsShown = 8

/** A circuit is that of a process and a key; the name has what tells them apart. */
const circuitsOf = (results: ReadonlyArray<Result>): ReadonlyArray<Circuit> =>
  results.flatMap(({ breaker, policy }): ReadonlyArray<Circuit> => {
    const first = breaker.filter(({ replication }) => replication === 0)
    const places = new Map(first.map(({ key, process }) => [`${process} ${key}`, { key, process }]))
    const circuits = [...places.values()].sort((a, b) => a.process - b.process || a.key - b.key)
    const hasKeys = circuits.some(({ key }) => key > 0)
    return circuits.slice(0, Math.max(1, Math.floor(circuitsShown / results.length))).map(
      ({ key, process }) => ({
        name: [
          policy,
          ...(circuits.length === 1 ? [] : [process + 1]),
          ...(hasKeys ? [`key ${key + 1}`] : [])
        ].join(" "),
        changes: first.filter((change) => change.process === process && change.key === key)
          .map(({ atMillis, to }) => ({ second: atMillis / 1000, to }))
      })
    )
  })

/** Whether a chart has something to show. */
export const isEmpty = (chart: Chart, { found }: Data): boolean =>
  chart === "breaker" && circuitsOf(resultsOf(found)).length === 0

const labelOf = (chart: Chart, results: ReadonlyArray<Result>): string => {
  const names = results.map(({ policy }) => policy).join(", ")
  return `${chartWords[chart].heading}: ${names}, ${
    counted(results[0]?.replications ?? 0, "replication")
  }`
}

/** Draws a chart of one of the two sizes. */
export const draw = (
  chart: Chart,
  { found, scenario }: Data,
  size: Size,
  caption: Omit<Caption, "label"> = {}
): Markup => {
  const results = resultsOf(found)
  const said: Caption = { ...caption, label: labelOf(chart, results) }
  const seconds = Duration.toSeconds(scenario.duration)
  const time = { shades: shadesOf(scenario), seconds }
  switch (chart) {
    case "goodput":
      return lines({
        ...said,
        ...time,
        unit: "calls per second",
        rows: [offered(results), ...rowsOf(results, "goodput")]
      }, size)
    case "attempts":
      return lines({
        ...said,
        ...time,
        unit: "requests per second",
        rows: [offered(results), ...rowsOf(results, "sent")]
      }, size)
    case "latency":
      return lines({ ...said, ...time, unit: "seconds", rows: rowsOf(results, "p99", 1000) }, size)
    case "inProgress":
      return lines({ ...said, ...time, unit: "calls", rows: rowsOf(results, "inProgress") }, size)
    case "breaker":
      return timeline({ ...said, ...time, circuits: circuitsOf(results) }, size)
    case "policies":
      return dots({
        ...said,
        policies: results.map(({ policy }, index) => ({ name: policy, style: styleOf(index) })),
        figures: compared.filter((metric) =>
          results.some(({ metrics }) => metrics[metric].high > 0)
        ).map((metric) => ({
          name: metricWords[metric].name,
          format: metric === "duplicates"
            ? (value) => decimal(value, 0)
            : metricWords[metric].format,
          intervals: results.map(({ metrics }) => metrics[metric])
        }))
      }, size)
  }
}
