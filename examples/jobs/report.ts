/** What a person reads at the end. */
import type { Outcome } from "./job.js"

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
  return rows.map(([label, value]) => `  ${label.padEnd(width)}  ${String(value).padStart(8)}`).join("\n")
}

/** The failed rows by line number. */
export const failedRows = (outcomes: ReadonlyArray<Outcome>): string =>
  failures(outcomes)
    .map(({ line, message, tag }) => `  line ${String(line).padStart(3)}  ${tag.padEnd(10)}  ${message}`)
    .join("\n")

/** What was counted beside the outcomes. */
export interface Figures {
  readonly attempts: number
  readonly waitedSeconds: number
  readonly seconds: number
  readonly server: { readonly sessions: number; readonly twice: number }
}

export const summary = (outcomes: ReadonlyArray<Outcome>, figures: Figures): string => {
  const calls = outcomes.length - failures(outcomes).filter(({ tag }) => tag === "Unparsable").length
  return table([
    ["created", count(outcomes, "Created")],
    ["replayed (an earlier attempt had created it)", count(outcomes, "Replayed")],
    ...byTag(outcomes).map(([tag, count]) => [`failed: ${tag}`, count] as const),
    ["attempts", figures.attempts],
    ["retries", figures.attempts - calls],
    ["waited between attempts, all rows together", `${figures.waitedSeconds.toFixed(1)}s`],
    ["time", `${figures.seconds.toFixed(1)}s`],
    ["server: sessions created", figures.server.sessions],
    ["server: sessions created twice", figures.server.twice]
  ])
}

/** Whether the server did what the client believes, in one sentence. */
export const verdict = (
  outcomes: ReadonlyArray<Outcome>,
  { sessions, twice }: Figures["server"]
): { readonly right: boolean; readonly sentence: string } => {
  const rows = outcomes.filter(({ _tag }) => _tag !== "Failed").length
  const right = sessions === rows && twice === 0
  return {
    right,
    sentence: right
      ? `Every valid row was executed exactly once: ${sessions} sessions for ${rows} rows.`
      : `WRONG: the server created ${sessions} sessions (${twice} twice) for ${rows} rows.`
  }
}
