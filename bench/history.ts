/**
 * The figures of earlier runs: one line of JSON for each run that was saved, the oldest first.
 *
 * Ratios are compared within one run of one machine, so they can be compared between runs; times
 * cannot, and are not kept.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"

/** One ratio of a benchmark, and the gate it has to keep. */
export interface Figure {
  readonly bench: string
  readonly label: string
  readonly ratio: number
  readonly gate: number
}

/** One run of benchmarks. */
export interface Run {
  /** When it was saved, in ISO 8601. */
  readonly date: string
  /** The short hash of the commit, with a `+` where files were changed since. */
  readonly commit: string
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly figures: ReadonlyArray<Figure>
}

export interface Arguments {
  readonly names: ReadonlyArray<string>
  readonly save: boolean
  readonly history: boolean
}

/** Names of benchmarks, and what is asked for beside running them. */
export const argumentsOf = (args: ReadonlyArray<string>): Arguments => {
  const options = ["--save", "--history"]
  return {
    names: args.filter((arg) => !options.includes(arg)),
    save: args.includes("--save"),
    history: args.includes("--history")
  }
}

const isFigure = (value: unknown): value is Figure => {
  const { bench, gate, label, ratio } = Object(value) as Partial<Record<keyof Figure, unknown>>
  return typeof bench === "string" && typeof label === "string" && typeof ratio === "number" &&
    typeof gate === "number"
}

const isRun = (value: unknown): value is Run => {
  const run = Object(value) as Partial<Record<keyof Run, unknown>>
  const texts = [run.date, run.commit, run.node, run.cpu]
  return texts.every((text) => typeof text === "string") && typeof run.cores === "number" &&
    Array.isArray(run.figures) && run.figures.every(isFigure)
}

const jsonOf = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** The runs of a history file. Throws on a line that is no run, and names it. */
export const parse = (text: string): ReadonlyArray<Run> =>
  text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return []
    const run = jsonOf(line)
    if (!isRun(run)) throw new Error(`Line ${index + 1} of the history is no run`)
    return [run]
  })

/** A ratio as it is kept: four digits that count. */
const rounded = (ratio: number): number => Number(ratio.toPrecision(4))

/** The line of a run. */
export const lineOf = (run: Run): string =>
  `${
    JSON.stringify({
      ...run,
      figures: run.figures.map((figure) => ({ ...figure, ratio: rounded(figure.ratio) }))
    })
  }\n`

const rowOf = (run: Run, { gate, ratio }: Figure): string =>
  [
    `  ${run.date.slice(0, 10)}`,
    run.commit.padEnd(10),
    run.node.padEnd(10),
    ratio.toFixed(3).padStart(8),
    ratio <= gate ? "kept  " : "MISSED",
    `${run.cpu}, ${run.cores} cores`
  ].join("  ")

/** Each figure with its ratios over time. `names` leaves out other benchmarks; none means all. */
export const table = (runs: ReadonlyArray<Run>, names: ReadonlyArray<string>): string => {
  const rows = new Map<string, Array<string>>()
  for (const run of runs) {
    for (const figure of run.figures) {
      if (names.length > 0 && !names.includes(figure.bench)) continue
      const title = `${figure.bench}: ${figure.label}`
      const known = rows.get(title) ?? []
      rows.set(title, [...known, rowOf(run, figure)])
    }
  }
  if (rows.size === 0) return "No run has been saved: npm run bench -- --save"
  return [...rows].map(([title, lines]) => [title, ...lines].join("\n")).join("\n\n")
}

const git = (...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, { encoding: "utf8" }).trim()

/** A run of now, on this machine, of the checkout in the working folder. */
export const runOf = (figures: ReadonlyArray<Figure>): Run => {
  const changed = git("status", "--porcelain", "--untracked-files=no") !== ""
  return {
    date: new Date().toISOString(),
    commit: `${git("rev-parse", "--short", "HEAD")}${changed ? "+" : ""}`,
    node: process.version,
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cores: os.availableParallelism(),
    figures
  }
}

/** The runs of a file, which may not be there yet. */
export const read = (file: string): ReadonlyArray<Run> =>
  fs.existsSync(file) ? parse(fs.readFileSync(file, "utf8")) : []

export const append = (file: string, run: Run): void => fs.appendFileSync(file, lineOf(run))
