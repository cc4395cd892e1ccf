/**
 * Reports of simulations: a page that explains what policies come to under a scenario, and its
 * charts as pictures.
 *
 * A page is one file without scripts, and it asks the network for nothing, so that it can be sent
 * to readers, kept beside a decision and opened in ten years. The same input gives the same bytes.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2"
import * as Encoding from "effect/Encoding"
import type * as Scenario from "../simulation/Scenario.js"
import type * as Simulation from "../simulation/Simulation.js"
import { type Chart, charts, chartWords, draw, isEmpty } from "./charts.js"
import { narrow, type Size, wide } from "./frame.js"
import { type Child, element, type Markup, styleSheet } from "./markup.js"
import { decimal } from "./numbers.js"
import { assumed, differences, figures, outcomes, stops, warnings } from "./tables.js"
import { pageCss, pictureCss } from "./theme.js"
import { counted, resultsOf, time } from "./words.js"

/**
 * What a report has to know besides the figures.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The scenario that was simulated. The report prints all that it assumes. */
  readonly scenario: Scenario.Scenario
  /** What the scenario is called. Default: "the scenario". */
  readonly name?: string | undefined
}

/**
 * A picture of one chart.
 *
 * @since 0.1.0
 * @category models
 */
export interface PictureOptions extends Options {
  /**
   * Which chart: the calls that succeed beside those that are made, the requests that are sent, the
   * p99 of each second, the calls in progress, the circuit breakers, or the figures side by side.
   */
  readonly chart: "goodput" | "attempts" | "latency" | "inProgress" | "breaker" | "policies"
  /** A title within the picture. Default: none. */
  readonly title?: string | undefined
  /** A line below the title. Default: none. */
  readonly subtitle?: string | undefined
}

const base64 = (bytes: Uint8Array): string => Encoding.encodeBase64(bytes)

/** Nothing may be loaded and nothing may run; the one style sheet is known by its hash. */
const securityPolicy = (css: string): string =>
  `default-src 'none'; style-src 'sha256-${
    base64(sha256(css))
  }'; base-uri 'none'; form-action 'none'`

const figure = (
  chart: Chart,
  found: Simulation.Result | Simulation.Comparison,
  scenario: Scenario.Scenario
): Child => {
  const drawn = (size: Size, style: string) =>
    element("div", { class: style }, draw(chart, { found, scenario }, size))
  const { heading, note } = chartWords[chart]
  return [
    element("h3", {}, heading),
    element("p", { class: "note" }, note),
    element("figure", {}, drawn(wide, "wide"), drawn(narrow, "narrow"))
  ]
}

const listed = (names: ReadonlyArray<string>): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`

/** The first thing to know: whether some policy stays down. */
const verdict = (results: ReadonlyArray<Simulation.Result>): Child => {
  const stuck = results.filter((result) => result.stuck > 0)
  const said = stuck.length === 0
    ? [
      `Under this scenario, ${
        results.length === 1 ? "the policy recovers" : "every policy recovers"
      } in every replication.`
    ]
    : stuck.map(({ policy, replications, stuck }) =>
      `Under this scenario, ${policy} does not recover in ${decimal(stuck, 0)} of ${
        counted(replications, "replication")
      }: goodput stays below 95 % of what it was before, though the cause has gone.`
    )
  return element(
    "div",
    { class: stuck.length === 0 ? "panel" : "panel warn" },
    said.map((words) => element("p", {}, words))
  )
}

const lead = (
  results: ReadonlyArray<Simulation.Result>,
  scenario: Scenario.Scenario
): Child => {
  const [first] = results
  return element(
    "p",
    { class: "note" },
    `${counted(first?.replications ?? 0, "replication")} of ${time(scenario.duration)}, seed ${
      first?.seed ?? 0
    }. A simulation says what happens under its scenario, and no more: ` +
      "where the assumptions are guesses, so are the figures."
  )
}

/**
 * The page as text, for a file that ends in `.html`. O(seconds times policies).
 *
 * **Details**
 *
 * It has the figures with their intervals, the charts, the paired differences, what came of the
 * calls, everything the scenario assumes, and the warnings. It is light or dark as the reader's
 * system is, and as wide as a phone. All text is escaped, also the names of policies. A content
 * security policy in the page forbids scripts and requests.
 *
 * **Example** (A report of one policy)
 *
 * ```ts
 * import { Operation } from "effect-resilience"
 * import * as Report from "effect-resilience/Report"
 * import * as Scenario from "effect-resilience/Scenario"
 * import * as Simulation from "effect-resilience/Simulation"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const scenario = yield* Scenario.decode({
 *     duration: "30 seconds",
 *     clients: { arrivals: { _tag: "Poisson", perSecond: 20 } },
 *     services: [{
 *       network: { _tag: "Constant", value: "5 millis" },
 *       service: { _tag: "Exponential", mean: "40 millis" },
 *       faults: [{ _tag: "Outage", from: "10 seconds", to: "15 seconds", as: "refused" }]
 *     }]
 *   })
 *   const plain = { name: "plain", stages: { operation: Operation.read, retry: { retries: 2 } } }
 *   const result = yield* Simulation.run(plain, { scenario })
 *   return Report.html(result, { scenario, name: "outage" })
 * })
 *
 * const page = await Effect.runPromise(program)
 * page.slice(0, 15) // => "<!doctype html>"
 * ```
 *
 * @since 0.1.0
 * @category rendering
 */
export const html = (
  found: Simulation.Result | Simulation.Comparison,
  { name = "the scenario", scenario }: Options
): string => {
  const results = resultsOf(found)
  const title = `${listed(results.map(({ policy }) => policy))} under ${name}`
  const gaveUp = stops(results)
  const section = (heading: string, ...children: ReadonlyArray<Child>): ReadonlyArray<Child> => [
    element("h2", {}, heading),
    ...children
  ]
  const page = element(
    "html",
    { lang: "en" },
    element(
      "head",
      {},
      element("meta", { charset: "utf-8" }),
      element("meta", {
        "http-equiv": "Content-Security-Policy",
        content: securityPolicy(pageCss)
      }),
      element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
      element("meta", { name: "color-scheme", content: "light dark" }),
      element("title", {}, title),
      styleSheet(pageCss)
    ),
    element(
      "body",
      {},
      element(
        "main",
        {},
        element("h1", {}, title),
        lead(results, scenario),
        verdict(results),
        warnings(results),
        section("Figures", figures(results, scenario)),
        section(
          "Charts",
          charts.filter((chart) => !isEmpty(chart, { found, scenario }))
            .map((chart) => figure(chart, found, scenario))
        ),
        "differences" in found && found.differences.length > 0
          ? section("Differences", differences(found))
          : undefined,
        section("What came of the calls", outcomes(results)),
        gaveUp === undefined ? undefined : section("Why calls were given up", gaveUp),
        section("Assumptions", assumed(scenario))
      )
    )
  )
  return `<!doctype html>\n${page.source}\n`
}

const background = ({ source }: Markup): string =>
  source.replace(
    ">",
    `>${styleSheet(pictureCss).source}${
      element("rect", { width: "100%", height: "100%", class: "paper" }).source
    }`
  )

/**
 * One chart as an SVG that stands alone, for a file that ends in `.svg`. It is light or dark as the
 * reader's system is, and has no scripts and no references. O(seconds times policies).
 *
 * **Details**
 *
 * The chart `breaker` is empty for policies without a circuit breaker, or whose circuits stay
 * closed.
 *
 * @since 0.1.0
 * @category rendering
 */
export const svg = (
  found: Simulation.Result | Simulation.Comparison,
  { chart, scenario, subtitle, title }: PictureOptions
): string => `${background(draw(chart, { found, scenario }, wide, { title, subtitle }))}\n`
