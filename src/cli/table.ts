/** Results as text for a terminal. */
import { windowOf } from "../report/assumptions.js"
import { decimal, percent } from "../report/numbers.js"
import { bounds, counted, meanOf, metricNames, metricWords, rate } from "../report/words.js"
import type * as Simulation from "../simulation/Simulation.js"
import type { NamedScenario } from "./inputs.js"

type Cells = ReadonlyArray<string>

const width = (text: string): number => [...text].length

/** Columns under their heads, the first at least as wide as in every other table. */
export const columns = (rows: ReadonlyArray<Cells>): string => {
  const count = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(
      column === 0 ? 17 : 8,
      ...rows.map((row) => width(row[column] ?? ""))
    ) + 4)
  return rows.map((row) =>
    row.map((cell, column) => cell + " ".repeat(widths[column]! - width(cell))).join("").trimEnd()
  ).join("\n")
}

const title = ({ name }: NamedScenario, [first]: ReadonlyArray<Simulation.Result>): string =>
  `${name} · ${counted(first?.replications ?? 0, "replication")} · seed ${first?.seed ?? 0}`

type Row = (result: Simulation.Result) => string

const stuckOf: Row = ({ replications, stuck }) =>
  `${decimal(stuck, 0)} of ${decimal(replications, 0)}`

const goodput = ({ scenario }: NamedScenario): readonly [string, Row] => {
  const { from, to } = windowOf(scenario)
  return [
    `goodput ${decimal(from, 0)}–${decimal(to, 0)} s`,
    ({ series }) => rate(meanOf(series.goodput, from, to))
  ]
}

/** Figures that are 0 for every policy say nothing. */
const shownOf = (results: ReadonlyArray<Simulation.Result>): ReadonlyArray<Simulation.Metric> =>
  metricNames.filter((metric) =>
    metric === "failedRate" || results.some(({ metrics }) => metrics[metric].high > 0)
  )

const names = (metrics: ReadonlyArray<Simulation.Metric>): string =>
  metrics.map((metric) => metricWords[metric].name).join("; ")

/** Results side by side, and where no difference is shown. */
export const comparison = (
  { differences, results }: Simulation.Comparison,
  scenario: NamedScenario
): string => {
  const of = (name: string, row: Row): Cells => [name, ...results.map(row)]
  const shown = shownOf(results)
  const metric = (name: Simulation.Metric) =>
    of(metricWords[name].name, ({ metrics }) => metricWords[name].format(metrics[name].mean))
  const first = results[0]?.policy ?? ""
  const same = differences.flatMap(({ metrics, policy }) => {
    const equal = shown.filter((name) => !metrics[name].isShown)
    return equal.length === 0
      ? []
      : [`no difference shown between ${first} and ${policy}: ${names(equal)}`]
  })
  const table = columns([
    of("", ({ policy }) => policy),
    metric("amplification"),
    of(...goodput(scenario)),
    ...shown.filter((name) => name !== "amplification").map(metric),
    of("stuck", stuckOf)
  ])
  return [title(scenario, results), table, ...same, ""].join("\n")
}

const tally = (
  counts: Readonly<Record<string, number>>,
  name: string,
  offered: number
): ReadonlyArray<Cells> =>
  Object.entries(counts).map(([tag, count]) => [
    `${name} ${tag}`,
    percent(offered === 0 ? 0 : count / offered)
  ])

/** One result with its intervals, and what its failed calls failed with. */
export const result = (found: Simulation.Result, scenario: NamedScenario): string => {
  const { counts, metrics, policy } = found
  const [name, row] = goodput(scenario)
  const metric = (each: Simulation.Metric): Cells => {
    const { format, name } = metricWords[each]
    return [name, format(metrics[each].mean), bounds(metrics[each], format)]
  }
  const table = columns([
    ["", policy, "95 % interval"],
    metric("amplification"),
    [name, row(found)],
    ...shownOf([found]).filter((each) => each !== "amplification").map(metric),
    ...tally(counts.failed, "failed:", counts.offered),
    ...tally(counts.rejected, "rejected:", counts.offered),
    ["stuck", stuckOf(found)]
  ])
  return [title(scenario, [found]), table, ""].join("\n")
}
