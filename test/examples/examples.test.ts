import { Playbook } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { isInstalled } from "../support/redis.js"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** The output of an example that `examples/README.md` shows, line by line. */
const shownOf = (name: string): ReadonlyArray<string> => {
  const sections = fs.readFileSync(`${root}examples/README.md`, "utf8").split("\n## ")
  const section = sections.find((text) => text.startsWith(`${name}\n`)) ?? ""
  return /```text\n([^`]*)\n```/.exec(section)?.[1]?.split("\n") ?? []
}

/** Examples whose figures differ between runs. */
const differing: ReadonlyArray<string> = ["hedged-reads", "fleet"]

/**
 * What an example prints, line by line. It fails when the example ends with another code than 0 or
 * complains, and when `examples/README.md` shows something else.
 */
const run = async (name: string): Promise<ReadonlyArray<string>> => {
  const file = `examples/${name}.ts`
  const { stderr, stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", file],
    { cwd: root }
  )
  expect(stderr).toBe("")
  const lines = stdout.trimEnd().split("\n")
  if (!differing.includes(name)) expect(lines).toEqual(expect.arrayContaining([...shownOf(name)]))
  return lines
}

describe("examples", () => {
  it(
    "first-call: handles failures by tag, and an order that was sent three times is created once",
    async () => {
      expect(await run("first-call")).toEqual([
        "tea: created ORD-1",
        "sand: not valid: item is not sold here",
        "tea: too busy, come back in 2m",
        "the server received 5 requests and created 1 order"
      ])
    },
    60_000
  )

  it("retry-anything: repeats what may be repeated, and shares a budget", async () => {
    expect(await run("retry-anything")).toEqual([
      "busy twice: stored, calls: 3",
      "busy for ever: gave up, locked by backup, calls: 4",
      "full: no space, calls: 1",
      "lost, append once: unknown whether it was stored, calls: 1",
      "lost, but twice is the same as once: stored, calls: 2",
      "ten at once on a budget of four: stored 4, calls 14"
    ])
  }, 60_000)

  it(
    "schedules: prints a table of delays and draws a plot of them, the same in every run",
    async () => {
      const svg = new URL("../../examples/out/schedules.svg", import.meta.url)
      const lines = await run("schedules")
      const first = fs.readFileSync(svg, "utf8")

      expect(lines[0]?.trim().split(/\s+/)).toEqual(
        "delay in ms before retry 1 2 3 4 5 6 7 8".split(" ")
      )
      expect(lines[2]?.trim().split(/\s{2,}/)).toEqual(
        ["exponential, jitter none", "500", "1000", "2000", "4000", "8000", "8000", "8000", "8000"]
      )
      expect(lines.slice(1, 8).map((line) => line.slice(0, 33).trim())).toEqual([
        "linear",
        "exponential, jitter none",
        "exponential, jitter full",
        "exponential, jitter equal",
        "exponential, jitter additive 1 s",
        "decorrelated",
        "constant 2 s, jitter equal"
      ])
      expect(lines.at(-1)).toBe("plot: examples/out/schedules.svg")
      expect(first).toMatch(/^<svg [^]*delay before the retry \(s\)[^]*<\/svg>\n$/)
      expect(await run("schedules")).toEqual(lines)
      expect(fs.readFileSync(svg, "utf8")).toBe(first)
    },
    60_000
  )

  it(
    "circuit-breaker: works, fails, opens, fails fast, tries once too early, and closes when the server is back",
    async () => {
      expect(await run("circuit-breaker")).toEqual([
        "call 1: answered with 200",
        "call 2: answered with 200",
        "call 3: answered with 200",
        "--- the server goes away",
        "call 4: no connection",
        "call 5: no connection",
        "call 6: no connection",
        "    the circuit: Closed -> Open",
        "call 7: not sent, the circuit is open",
        "--- time passes, but the server is still away",
        "    the circuit: Open -> HalfOpen",
        "call 8: no connection",
        "    the circuit: HalfOpen -> Open",
        "call 9: not sent, the circuit is open",
        "--- the server is back, which the circuit cannot know yet",
        "call 10: not sent, the circuit is open",
        "call 11: not sent, the circuit is open",
        "    requests that reached the server: 3",
        "--- time passes",
        "    the circuit: Open -> HalfOpen",
        "call 12: answered with 200",
        "call 13: answered with 200",
        "    the circuit: HalfOpen -> Closed",
        "call 14: answered with 200",
        "    requests that reached the server: 6"
      ])
    },
    60_000
  )

  if (!isInstalled) fs.writeSync(2, "\nNOT TESTED: examples/fleet, Redis is not installed here\n")

  it.skipIf(!isInstalled)(
    "fleet: all of eight processes reject soon after the first",
    async () => {
      const lines = await run("fleet")
      const [, count, first, last] =
        /rejected: (\d) of 8, .* after (\d+) ms, .* after (\d+) ms/.exec(lines.join("\n")) ?? []
      expect(count).toBe("8")
      expect(Number(last) - Number(first)).toBeLessThan(1000)
      const picture = /^picture: (.+)$/.exec(lines.at(-1) ?? "")?.[1] ?? ""
      expect(fs.readFileSync(picture, "utf8").match(/<rect /g)?.length).toBeGreaterThan(500)
    },
    60_000
  )

  it("two-breakers: one upstream is down and is left alone, the other is unaffected", async () => {
    expect(await run("two-breakers")).toEqual([
      "page 1: found (200), no balance (503)",
      "page 2: found (200), no balance (503)",
      "page 3: found (200), no balance (503)",
      "page 4: found (200), no balance, not asked",
      "page 5: found (200), no balance, not asked",
      "another call to payments: CircuitOpen",
      "payments: Open",
      "search: Closed",
      "payments received 3 requests, search 5"
    ])
  }, 60_000)

  it(
    "storm: plain retries stay where the spike left them, the pipeline comes back",
    async () => {
      expect(await run("storm")).toEqual([
        "answered calls a second, before the spike:",
        "  plain retries   40.0",
        "  pipeline        40.0",
        "answered calls a second, in the last 20 seconds:",
        "  plain retries   0.0",
        "  pipeline        40.0",
        "second 22: the circuit goes from Closed to Open",
        "second 27: the circuit goes from Open to HalfOpen",
        "second 28: the circuit goes from HalfOpen to Open",
        "second 33: the circuit goes from Open to HalfOpen",
        "second 33: the circuit goes from HalfOpen to Closed",
        "requests sent in all: plain 5688, pipeline 2061",
        "drawn in examples/out/storm.svg"
      ])
      expect(fs.readFileSync(`${root}examples/out/storm.svg`, "utf8"))
        .toMatch(/^<svg [^]*plain retries: 2 s timeout, three tries[^]*<\/svg>\n$/)
    },
    120_000
  )

  it("simulate: the storm under the simulator, and a report of it", async () => {
    expect(await run("simulate")).toEqual(shownOf("simulate"))
    expect(fs.readFileSync(`${root}examples/out/storm.html`, "utf8"))
      .toMatch(/^<!doctype html>\n[^]*plain and breaker under metastable[^]*<\/html>\n$/)
  }, 60_000)

  it("hedged-reads: the slow tail disappears for a few requests more", async () => {
    const lines = await run("hedged-reads")
    expect(lines[0]).toBe("without hedges: 60 calls, 6 of them slow, 60 requests")
    expect(lines[1]).toMatch(/^with hedges: 60 calls, [01] of them slow, 6\d requests$/)
    expect(lines.at(-1)).toBe("the slowest call is quicker: true")
  }, 60_000)

  it("pipeline: a bad moment is retried, an outage opens the circuit", async () => {
    expect((await run("pipeline")).slice(0, 6)).toEqual([
      "call 1: answered with 200",
      "call 2: answered with 200",
      "call 3: not sent, the circuit is open",
      "call 4: not sent, the circuit is open",
      "call 5: not sent, the circuit is open",
      "the server received 6 requests"
    ])
  }, 60_000)

  it(
    "pipeline-from-json: says what it does at worst, and refuses what contradicts itself",
    async () => {
      const lines = await run("pipeline-from-json")
      expect(lines).toContain("Worst case of one call: 3 requests, 10s.")
      expect(lines.slice(-4, -1)).toEqual([
        "a call through it: answered",
        "refused at attemptTimeout: attemptTimeout should be at most totalTimeout (5s), got 10s",
        "refused at bulkhead.queue: queue should be a whole number of at least 0, got -1"
      ])
    },
    60_000
  )

  it(
    "telemetry: a log line for each failed call, figures, a tree of spans, metrics for Prometheus",
    async () => {
      const lines = await run("telemetry")
      expect(
        lines.filter((line) => line.includes("Call failed")).map((line) =>
          /stopReason=(\w+)/.exec(line)?.[1]
        )
      )
        .toEqual([
          "retries",
          "terminal"
        ])
      expect(lines).toContain("  succeeded: 33 % of calls, 14 % of attempts")
      expect(lines.filter((line) => /^( {2})?tenants /.test(line))).toEqual([
        "tenants GET /v1/tenants/:id: ok",
        "  tenants attempt: 500",
        "  tenants attempt: 500",
        "  tenants attempt: 200",
        "tenants GET /v1/tenants/:id: 503, stopped: retries",
        ...Array(3).fill("  tenants attempt: 503"),
        "tenants GET /v1/tenants/:id: 404, stopped: terminal",
        "  tenants attempt: 404"
      ])
      expect(lines).toContain(
        "resilience_retry_attempts_total{decision=\"retry\",integration=\"tenants\",environment=\"production\"} 4"
      )
    },
    60_000
  )

  it("site-chat and facesign run to their end", async () => {
    expect((await run("site-chat")).length).toBeGreaterThan(3)
    expect((await run("facesign")).at(-1)).toMatch(
      /^the server received \d+ requests and created 1 session$/
    )
  }, 120_000)

  it(
    "field-activities: a lost answer is told from a second result, and only overrideResult overwrites",
    async () => {
      expect(await run("field-activities")).toEqual([
        "A-1: registered",
        "A-2: registered, by this call or before it",
        "A-3, without a date: Some of the details of this visit are not valid. Please check them and try again.",
        "A-3, with a date: registered",
        "A-1 again: A result for this visit has been registered already.",
        "A-1, overwritten on purpose: registered",
        "B-1: {\"statusCode\":404,\"error\":\"Not Found\",\"message\":\"Activity not found\"}",
        "the server received 9 requests and has 3 results"
      ])
    },
    60_000
  )

  it(
    "messaging: another key, another route for a code, and what people read of throttled and closed forms",
    async () => {
      expect(await run("messaging")).toEqual([
        "a code is on its way over the route \"queued\", which is the fallback: true",
        "for the support: {\"queueId\":\"q-7\",\"sessionId\":\"otp-1\"}",
        "signed in: true",
        "contact: received as f-1",
        "contact: This form has been sent several times. Please try again in 45 seconds.",
        "survey: This form is closed at the moment. If you have questions, please contact help@acme.example.",
        "/v1/otp: 502, SMTP failure during direct OTP send, fingerprint of the key: 16 digits",
        "executed forms: 1"
      ])
    },
    60_000
  )

  const short = fs.readdirSync(`${root}examples`).filter((name) => name.endsWith(".ts")).map((
    name
  ) => name.slice(0, -3))
  // Eighty full lines are 5,000 characters of code, however a formatter breaks them.
  it.each(short)("%s fits on a screen or two", (name) => {
    const code = fs.readFileSync(`${root}examples/${name}.ts`, "utf8").replaceAll(/^ +/gm, "")
    expect(code.length).toBeLessThan(5000)
  })
})

describe("documents", () => {
  it("docs/api/widget-session.md shows the rows that Playbook.markdown prints", () => {
    const cells = (line: string) => line.split("|").map((cell) => cell.trim())
    const document = fs.readFileSync(`${root}docs/api/widget-session.md`, "utf8").split("\n").map(
      cells
    )
    const shown = document.filter(([, status]) => /^`\d{3}`$/.test(status ?? ""))
    const printed = Playbook.markdown(WidgetSession.playbook).split("\n").map(cells)

    expect(shown.map(([, status]) => status?.slice(1, -1)).join()).toBe(
      "401,403,404,422,429,500,502,503,504"
    )
    expect(shown).toEqual(
      printed.filter(([, status]) => shown.some(([, other]) => other === status))
    )
  })

  it("docs/api/messaging.md shows the rows that Playbook.markdown prints", () => {
    const cells = (line: string) => line.split("|").map((cell) => cell.trim())
    const document = fs.readFileSync(`${root}docs/api/messaging.md`, "utf8").split("\n").map(cells)
    const shown = document.filter(([, status, , , retry]) =>
      /^`\d{3}`$/.test(status ?? "") && /^(Yes|No)$/.test(retry ?? "")
    )
    const printed = Playbook.markdown(Messaging.playbook).split("\n").map(cells)

    expect(shown.map(([, status]) => status?.slice(1, -1)).join()).toBe(
      "400,401,403,404,409,423,429,500,502,503"
    )
    expect(shown).toEqual(
      printed.filter(([, status]) => shown.some(([, other]) => other === status))
    )
  })

  it("README.md stays under 200 lines", () => {
    expect(fs.readFileSync(`${root}README.md`, "utf8").split("\n").length).toBeLessThan(200)
  })
})
