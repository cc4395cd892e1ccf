/**
 * The main job as a person runs it, killed in the middle and started again.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, it } from "vitest"

const run = promisify(execFile)

const start = (...args: ReadonlyArray<string>) =>
  run(process.execPath, ["--import", "tsx", "examples/main.ts", ...args])

it(
  "I1: a job that is killed after 100 rows and started again executes every valid row once",
  async () => {
    const killed = await start("--kill-after", "100").then(
      () => undefined,
      (error: { signal: string }) => error.signal
    )
    const { stdout } = await start()
    const number = (label: string) => Number(new RegExp(`${label}\\D*(\\d+)`).exec(stdout)?.[1])
    expect({
      killed,
      continued: stdout.includes("where an earlier run left off"),
      rows: number("  created") + number("replayed \\(an earlier attempt had created it\\)"),
      sessions: number("server: sessions created "),
      twice: number("server: sessions created twice"),
      failed: ["Validation", "Auth", "NotFound", "Policy", "Unparsable"].map((tag) =>
        number(`failed: ${tag}`)
      ),
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
  },
  120_000
)

it.each([
  ["facesign", "94 sessions for 94 rows", ["Validation 3", "Auth 3"]],
  ["site-chat", "96 documents for 96 rows", ["Validation 4"]],
  ["messaging", "93 codes for 93 rows", ["Validation 5", "Policy 2"]],
  ["field-activities", "94 results for 94 rows", ["Validation 3", "NotFound 3"]]
])("--api %s: %s, on a bad day", async (api, count, failed) => {
  const { stderr, stdout } = await start("--api", api)
  const failures = [...stdout.matchAll(/failed: (\w+)\s+(\d+)/g)].map(([, tag, number]) =>
    `${tag} ${number}`
  )
  const retries = Number(/retries\s+(\d+)/.exec(stdout)?.[1])
  expect([stderr, failures, retries > 10]).toEqual(["", failed, true])
  expect(stdout).toContain(`Every valid row was executed exactly once: ${count}.`)
}, 60_000)

it("--api with a name that nobody knows says which there are", async () => {
  const { code, stderr } = await start("--api", "nobody").catch((
    error: { code: number; stderr: string }
  ) => error) as {
    code: number
    stderr: string
  }
  expect([code, stderr.trim()]).toEqual([
    1,
    "There is no job for \"nobody\". There are: widget-session, facesign, site-chat, messaging, field-activities"
  ])
})

it(
  "F11: --fleet 4 keeps one rate in four processes, and executes every valid row once",
  async () => {
    const { stdout } = await start("--fleet", "4")
    const [, most, bound] =
      /The most requests in one second.*: (\d+) \(at most (\d+)\)/.exec(stdout) ??
        []
    expect(Number(most)).toBeGreaterThan(0)
    expect(Number(most)).toBeLessThanOrEqual(Number(bound))
    expect(stdout.match(/^ +\d +80 +\d+ +\d+$/gm)?.length).toBe(4)
    expect(stdout.trim().split("\n").at(-1)).toBe(
      "Every valid row was executed exactly once: 300 sessions for 300 rows."
    )
  },
  120_000
)

it.each(["0", "x", "1.5", "65"])(
  "--fleet %s is refused, and says what it should be",
  async (of) => {
    const error: { code: number; stderr: string } = await start("--fleet", of).then(
      () => expect.unreachable(),
      (error: { code: number; stderr: string }) => error
    )
    expect(error.code).toBe(1)
    expect(error.stderr).toContain(
      `--fleet should be a number of processes from 1 to 16, got ${of}`
    )
  },
  60_000
)
