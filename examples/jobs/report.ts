/** What a person reads at the end of a job. */
import { Console, Effect, Schema } from "effect"

/** What became of one line. */
export const Outcome = Schema.Union(
  Schema.TaggedStruct("Created", { line: Schema.Number }),
  Schema.TaggedStruct("Replayed", { line: Schema.Number }),
  Schema.TaggedStruct("Failed", {
    line: Schema.Number,
    tag: Schema.String,
    message: Schema.String
  })
)

export type Outcome = typeof Outcome.Type

const failures = (outcomes: ReadonlyArray<Outcome>) =>
  outcomes.flatMap((outcome) => outcome._tag === "Failed" ? [outcome] : [])

const count = (outcomes: ReadonlyArray<Outcome>, tag: Outcome["_tag"]): number =>
  outcomes.filter((outcome) => outcome._tag === tag).length

const byTag = (outcomes: ReadonlyArray<Outcome>): ReadonlyArray<readonly [string, number]> => {
  const counts = new Map<string, number>()
  for (const { tag } of failures(outcomes)) counts.set(tag, (counts.get(tag) ?? 0) + 1)
  return [...counts].toSorted(([, a], [, b]) => b - a)
}

const table = (rows: ReadonlyArray<readonly [string, string | number]>): string => {
  const width = Math.max(...rows.map(([label]) => label.length))
  return rows.map(([label, value]) => `  ${label.padEnd(width)}  ${String(value).padStart(8)}`)
    .join("\n")
}

/** The failed rows by line number. */
const failedRows = (outcomes: ReadonlyArray<Outcome>): string =>
  failures(outcomes)
    .map(({ line, message, tag }) =>
      `  line ${String(line).padStart(3)}  ${tag.padEnd(10)}  ${message}`
    )
    .join("\n")

/** What the server says: of what, how many it created, and how many of them more than once. */
export interface Server {
  readonly what: string
  readonly created: number
  readonly twice: number
}

/** What was counted beside the outcomes. `calls` are the rows for which a request was made. */
export interface Figures {
  readonly calls: number
  readonly attempts: number
  readonly waitedSeconds: number
  readonly seconds: number
  readonly server: Server
}

const summary = (outcomes: ReadonlyArray<Outcome>, figures: Figures): string => {
  const { attempts, calls, seconds, server, waitedSeconds } = figures
  const replayed = count(outcomes, "Replayed")
  return table([
    ["created", count(outcomes, "Created")],
    ...(replayed === 0
      ? []
      : [["replayed (an earlier attempt had created it)", replayed] as const]),
    ...byTag(outcomes).map(([tag, count]) => [`failed: ${tag}`, count] as const),
    ["attempts", attempts],
    ["retries", attempts - calls],
    ["waited between attempts, all rows together", `${waitedSeconds.toFixed(1)}s`],
    ["time", `${seconds.toFixed(1)}s`],
    [`server: ${server.what} created`, server.created],
    [`server: ${server.what} created twice`, server.twice]
  ])
}

/** Whether the server did what the client believes, in one sentence. */
const verdict = (
  outcomes: ReadonlyArray<Outcome>,
  { created, twice, what }: Server
): { readonly right: boolean; readonly sentence: string } => {
  const rows = outcomes.filter(({ _tag }) => _tag !== "Failed").length
  const right = created === rows && twice === 0
  return {
    right,
    sentence: right
      ? `Every valid row was executed exactly once: ${created} ${what} for ${rows} rows.`
      : `WRONG: the server created ${created} ${what} (${twice} twice) for ${rows} rows.`
  }
}

/** Prints the rows that failed, the figures and the sentence, and says whether all is right. */
export const print = (
  outcomes: ReadonlyArray<Outcome>,
  figures: Figures
): Effect.Effect<boolean> => {
  const { right, sentence } = verdict(outcomes, figures.server)
  const report = `\nRows that failed, by line number:\n${failedRows(outcomes)}\n\n${
    summary(outcomes, figures)
  }\n\n${sentence}`
  return Effect.as(Console.log(report), right)
}
