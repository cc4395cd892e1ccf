/** The tables of a page. */
import type { Scenario } from "../simulation/Scenario.js"
import type { Comparison, Result } from "../simulation/Simulation.js"
import { assumptions, windowOf } from "./assumptions.js"
import { type Child, element, type Markup } from "./markup.js"
import { decimal, percent } from "./numbers.js"
import { bounds, counted, interval, meanOf, metricNames, metricWords, rate } from "./words.js"

/** A value and its unit stay on one line. */
const together = (text: string): string => text.replace(/(\d) (?=ms\b|s\b|%|points\b)/g, "$1\u00a0")

const cell = (content: string, note?: string): Markup =>
  element(
    "td",
    {},
    together(content),
    note === undefined ? undefined : element("small", {}, together(note))
  )

const heading = (content: Child): Markup => element("th", { scope: "row" }, content)

const table = (
  caption: string,
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Child>>
): Markup =>
  element(
    "div",
    { class: "scroll" },
    element(
      "table",
      {},
      element("caption", {}, caption),
      element(
        "thead",
        {},
        element("tr", {}, head.map((name) => element("th", { scope: "col" }, name)))
      ),
      element("tbody", {}, rows.map((row) => element("tr", {}, row)))
    )
  )

/** The figures with their intervals, a column for each policy. */
export const figures = (results: ReadonlyArray<Result>, scenario: Scenario): Markup => {
  const { from, to } = windowOf(scenario)
  return table(
    "Means over the replications, and below each its 95 % interval.",
    ["under this scenario", ...results.map(({ policy }) => policy)],
    [
      [
        heading(`goodput, ${decimal(from, 0)}–${decimal(to, 0)} s`),
        ...results.map(({ series }) => cell(rate(meanOf(series.goodput, from, to))))
      ],
      ...metricNames.map((metric): ReadonlyArray<Child> => {
        const { format, name } = metricWords[metric]
        return [
          heading(name),
          ...results.map(({ metrics }) =>
            cell(format(metrics[metric].mean), bounds(metrics[metric], format))
          )
        ]
      }),
      [
        heading("replications that stay stuck"),
        ...results.map(({ replications, stuck }) =>
          cell(`${decimal(stuck, 0)} of ${decimal(replications, 0)}`)
        )
      ]
    ]
  )
}

/** How each further policy differs from the first, where the intervals show that it does. */
export const differences = ({ differences: all, results }: Comparison): ReadonlyArray<Markup> =>
  all.map(({ metrics, policy }) => {
    const first = results[0]?.policy ?? ""
    return table(
      `${policy} less ${first}, replication by replication under the same draws.`,
      ["figure", "difference", "95 % interval"],
      metricNames.map((metric): ReadonlyArray<Child> => {
        const { format, formatDifference = format, name } = metricWords[metric]
        const { high, isShown, low, mean } = metrics[metric]
        return [
          heading(name),
          cell(
            isShown
              ? `${mean > 0 ? "+" : ""}${formatDifference(mean)}`
              : "no difference shown"
          ),
          cell(interval({ low, high }, formatDifference))
        ]
      })
    )
  })

/** Of all kinds of counts those that some policy has. */
const tallies = (
  results: ReadonlyArray<Result>,
  of: (result: Result) => Readonly<Record<string, number>>,
  name: (key: string) => string,
  total: (result: Result) => number
): ReadonlyArray<ReadonlyArray<Child>> => {
  const keys = [...new Set(results.flatMap((result) => Object.keys(of(result))))]
    .filter((key) => results.some((result) => (of(result)[key] ?? 0) > 0))
  return keys.map((key) => [
    heading(name(key)),
    ...results.map((result) => {
      const count = of(result)[key] ?? 0
      const all = total(result)
      return cell(decimal(count, 0), all === 0 ? undefined : percent(count / all))
    })
  ])
}

/** What came of the calls, and what was sent for them. */
export const outcomes = (results: ReadonlyArray<Result>): Markup => {
  const offered = ({ counts }: Result): number => counts.offered
  const attempts = ({ counts }: Result): number => counts.attempts
  const one = (name: string, of: (result: Result) => number, all = offered) =>
    tallies(results, (result) => ({ [name]: of(result) }), (key) => key, all)
  return table(
    "Counts of all replications together, with their share of the calls or of the requests.",
    ["calls and requests", ...results.map(({ policy }) => policy)],
    [
      ...one("calls", offered),
      ...one("succeeded", ({ counts }) => counts.succeeded),
      ...tallies(results, ({ counts }) => counts.failed, (tag) => `failed: ${tag}`, offered),
      ...tallies(results, ({ counts }) => counts.rejected, (tag) => `rejected: ${tag}`, offered),
      ...one("unfinished at the end", ({ counts }) => counts.unfinished),
      ...one("requests", attempts, attempts),
      ...one("of them hedges", ({ counts }) => counts.hedges, attempts),
      ...one("answered", ({ counts }) => counts.answered, attempts),
      ...one("abandoned by their caller", ({ counts }) => counts.abandoned, attempts),
      ...one("executed by the upstream", ({ counts }) => counts.executions, attempts),
      ...Object.keys(results[0]?.counts.received ?? {}).length < 2 ? [] : tallies(
        results,
        ({ counts }) => counts.received,
        (service) => `reached ${service}, the warm-up included`,
        () => 0
      ),
      ...one("harmful duplicates", ({ counts }) => counts.duplicates, attempts),
      ...one("harmless repeats", ({ counts }) => counts.repeats, attempts)
    ]
  )
}

const reasons: Readonly<Record<string, string>> = {
  terminal: "another attempt cannot help",
  notRepeatable: "a repeat could do harm",
  retries: "no retries were left",
  deadline: "the time was over",
  budget: "the retry budget was empty",
  rejected: "a guard rejected the attempt",
  retryAfter: "Retry-After was too long"
}

/** Why retries ended; none where none did. */
export const stops = (results: ReadonlyArray<Result>): Markup | undefined => {
  const rows = tallies(
    results,
    (result) => result.stops,
    (reason) => reasons[reason] ?? reason,
    ({ counts }) => counts.offered
  )
  return rows.length === 0 ? undefined : table(
    "Calls that were given up, with their share of all calls.",
    ["no further attempt, because", ...results.map(({ policy }) => policy)],
    rows
  )
}

/** What the scenario assumes. */
export const assumed = (scenario: Scenario): Markup =>
  element(
    "table",
    { class: "words" },
    element(
      "tbody",
      {},
      assumptions(scenario).map(({ name, says }) =>
        element("tr", {}, heading(name), element("td", {}, says))
      )
    )
  )

/** What the simulation warns of, policy by policy. */
export const warnings = (results: ReadonlyArray<Result>): Markup | undefined => {
  const all = results.flatMap(({ policy, warnings }) =>
    warnings.map((warning) => `${policy}: ${warning}`)
  )
  return all.length === 0 ? undefined : element(
    "div",
    { class: "panel warn" },
    element("strong", {}, counted(all.length, "warning")),
    element("ul", {}, all.map((warning) => element("li", {}, warning)))
  )
}
