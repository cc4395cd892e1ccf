/**
 * The main job as a person runs it, killed in the middle and started again.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, it } from "vitest"

const run = promisify(execFile)

const start = (...args: ReadonlyArray<string>) =>
  run(process.execPath, ["--import", "tsx", "examples/main.ts", ...args])

it("I1: a job that is killed after 100 rows and started again executes every valid row once", async () => {
  const killed = await start("--kill-after", "100").then(() => undefined, (error: { signal: string }) => error.signal)
  const { stdout } = await start()
  const number = (label: string) => Number(new RegExp(`${label}\\D*(\\d+)`).exec(stdout)?.[1])
  expect({
    killed,
    continued: stdout.includes("where an earlier run left off"),
    rows: number("  created") + number("replayed \\(an earlier attempt had created it\\)"),
    sessions: number("server: sessions created "),
    twice: number("server: sessions created twice"),
    failed: ["Validation", "Auth", "NotFound", "Policy", "Unparsable"].map((tag) => number(`failed: ${tag}`)),
    sentence: stdout.trim().split("\n").at(-1)
  }).toEqual({
    killed: "SIGKILL",
    continued: true,
    rows: 300,
    sessions: 300,
    twice: 0,
    failed: [5, 4, 4, 4, 3],
    sentence: "Every valid row was executed exactly once: 300 sessions for 300 rows."
  })
}, 120_000)
