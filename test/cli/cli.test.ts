import { Schema } from "effect"
import * as Simulation from "effect-resilience/Simulation"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { optionsOf } from "../../src/cli/commands.js"
import { shipped } from "../../src/cli/inputs.js"
import { Checked, Described } from "../../src/cli/output.js"
import { breaker, brief, Folder, plain } from "./commandLine.js"

let folder: Folder

beforeAll(() => {
  folder = new Folder()
  folder.write("plain.json", plain)
  folder.write("breaker.json", breaker)
  folder.write("brief.json", brief)
  folder.write(
    "mistyped.json",
    `{
  "operation": "read",
  "retry": {
    "retires": 3
  },
  "attemptTimeout": -5
}
`
  )
})

afterAll(() => folder.remove())

const quick = "--scenario @brief.json --replications 3"

const decoded = <A, I>(schema: Schema.Schema<A, I>, json: string): A =>
  Schema.decodeUnknownSync(Schema.parseJson(schema))(json, { onExcessProperty: "error" })

describe("exit codes", () => {
  it("L1: a command that did what it was asked for ends with 0", async () => {
    for (
      const words of [
        "check @plain.json @brief.json",
        "describe @plain.json",
        `simulate @plain.json ${quick}`,
        `compare @plain.json @breaker.json ${quick}`,
        "--help",
        "--version"
      ]
    ) expect([words, (await folder.run(words)).code]).toEqual([words, 0])
  })

  it("L1: only check ends with 1 for findings; for other commands they are wrong use", async () => {
    expect((await folder.run("check @mistyped.json")).code).toBe(1)
    expect((await folder.run("describe @mistyped.json")).code).toBe(2)
    expect((await folder.run(`simulate @mistyped.json ${quick}`)).code).toBe(2)
  })

  it("L1: a limit that is not kept ends with 1, one that is kept with 0", async () => {
    const simulate = `simulate @plain.json ${quick} --at-most`
    const broken = await folder.run(`${simulate} amplification=1`)
    expect(broken.code).toBe(1)
    expect(broken.err).toMatch(
      /\nnot kept: plain, amplification \(attempts per call\) is 1\.\d\d, at most 1\.00\n$/
    )
    // The result is there nevertheless.
    expect(broken.out).toMatch(/^brief · 3 replications/)
    expect((await folder.run(`${simulate} amplification=3`)).code).toBe(0)
  })

  it("L1: the limits of a comparison are for the policies after the first", async () => {
    const limit = `${quick} --at-most amplification=1.1`
    expect((await folder.run(`compare @plain.json @breaker.json ${limit}`)).code).toBe(0)
    expect((await folder.run(`compare @breaker.json @plain.json ${limit}`)).code).toBe(1)
  })

  it("L1: wrong use and unreadable files end with 2", async () => {
    for (
      const words of [
        "",
        "simulate",
        "simulate @plain.json",
        "simulate @plain.json --scenario",
        `simulate @none.json ${quick}`,
        `simulate @plain.json ${quick} --seed x`,
        `simulate @plain.json ${quick} --replications 0`,
        `simulate @plain.json ${quick} --at-most p99=fast`,
        `simulate @plain.json ${quick} --at-most speed=1`,
        `compare @plain.json ${quick}`,
        `compare @plain.json @plain.json ${quick}`,
        "check @none.json",
        "describe @plain.json @breaker.json",
        "unknown"
      ]
    ) {
      const { code, err, out } = await folder.run(words)
      expect([words, code, out]).toEqual([words, 2, ""])
      expect(err.trimEnd().split("\n")).toHaveLength(1)
    }
  })
})

describe("wrong use", () => {
  it("compare says how many policies it takes", async () => {
    const { code, err } = await folder.run(`compare @plain.json ${quick}`)
    expect([code, err]).toEqual([2, "compare takes 2 to 12 policies, got 1\n"])
  })
})

describe("results", () => {
  it("L2: compare prints the table of simulation.md on stdout, the assumptions on stderr", async () => {
    const { err, out } = await folder.run(`compare @plain.json @breaker.json ${quick}`)
    const lines = out.split("\n")
    expect(lines[0]).toBe("brief · 3 replications · seed 1000")
    expect(lines[1]).toMatch(/^ {20,}plain +breaker$/)
    expect(lines[2]).toMatch(/^attempts per call +1\.\d\d +0\.\d\d$/)
    expect(lines[3]).toMatch(/^goodput 5–20 s +\d\.\d\/s +\d\.\d\/s$/)
    expect(out).toMatch(/\nstuck +\d of 3 +\d of 3\n/)
    expect(out).not.toMatch(/under this scenario|Poisson/)
    expect(err).toMatch(/^under this scenario:\n {2}length: 20 s\n/)
    expect(`${out}${err}`).not.toMatch(/\bwill\b/)
  })

  it("L2: where no difference is shown, the comparison says so", async () => {
    folder.write("again.json", plain)
    const { out } = await folder.run(`compare @plain.json @again.json ${quick}`)
    expect(out).toMatch(
      /\nno difference shown between plain and again: failed or rejected; attempts/
    )
  })

  it("L2: --json prints what the schemas decode, and nothing else on stdout", async () => {
    const simulated = await folder.run(`simulate @plain.json ${quick} --json`)
    expect(decoded(Simulation.Result, simulated.out)).toMatchObject({
      policy: "plain",
      replications: 3,
      seed: 1000
    })
    const compared = await folder.run(`compare @plain.json @breaker.json ${quick} --json`)
    const { differences, results } = decoded(Simulation.Comparison, compared.out)
    expect(results.map(({ policy }) => policy)).toEqual(["plain", "breaker"])
    expect(differences.map(({ policy }) => policy)).toEqual(["breaker"])
    expect(simulated.err + compared.err).toBe("")

    const described = decoded(Described, (await folder.run("describe @plain.json --json")).out)
    expect(described).toMatchObject({ worstCaseCalls: 3, worstCaseMillis: 123_000 })
    const { findings } = decoded(Checked, (await folder.run("check @mistyped.json --json")).out)
    expect(findings.map(({ column, line, path }) => ({ column, line, path }))).toEqual([
      { line: 4, column: 5, path: "retry.retires" },
      { line: 6, column: 3, path: "attemptTimeout" }
    ])
    const none = await folder.run("check @plain.json --json")
    expect(decoded(Checked, none.out)).toEqual({ findings: [] })
  })

  it("L2: a policy without limit of time has no worst case in JSON", async () => {
    folder.write("endless.json", { operation: "read" })
    const { out } = await folder.run("describe @endless.json --json")
    expect(decoded(Described, out).worstCaseMillis).toBeNull()
  })

  it("describe prints the words of Pipeline.describe, or a flowchart", async () => {
    expect((await folder.run("describe @plain.json")).out)
      .toMatch(/^The operation is a read: [^]*\nWorst case of one call: 3 requests, 2m 3s\.\n/)
    expect((await folder.run("describe @plain.json --mermaid")).out).toMatch(/^flowchart TD\n/)
  })

  it("the same words give the same bytes, another seed others", async () => {
    const of = (seed: number) => folder.run(`simulate @plain.json ${quick} --json --seed ${seed}`)
    expect(await of(7)).toEqual(await of(7))
    expect((await of(8)).out).not.toBe((await of(7)).out)
  })

  it("a result has its intervals, and what failed calls failed with", async () => {
    const { out } = await folder.run(`simulate @plain.json ${quick}`)
    expect(out).toMatch(/\n {20,}plain +95 % interval\n/)
    expect(out).toMatch(/\nlatency, p50 +37\.0 ms +26\.0 ms to 48\.0 ms\n/)
    // No latency is negative, however wide the interval of three replications is.
    expect(out).toMatch(/\nlatency, p99 +\d+ ms +0 ms to \d+ ms\n/)
    expect(out).toMatch(/\nfailed: Network +\d+ %\n/)
  })

  it("two policies of one name are called by their files", async () => {
    folder.write("plain.yaml", "operation: read\n")
    const { out } = await folder.run(`compare @plain.json @plain.yaml ${quick}`)
    expect(out.split("\n")[1]).toMatch(/plain\.json +plain\.yaml$/)
  })

  it("the shipped scenarios have no findings, and are found by their names", async () => {
    const files = shipped.map((name) => `scenarios/${name}.yaml`).join(" ")
    expect(await folder.run(`check ${files} policies/plain.json policies/standard.json`))
      .toMatchObject({ code: 0, out: "8 files: nothing found\n" })
    const { out } = await folder.run("simulate @plain.json --scenario slow-tail --replications 1")
    expect(out).toMatch(/^slow-tail · 1 replication · seed 1000\n/)
  }, 60_000)
})

describe("mistakes", () => {
  it("L4: a finding names file, line, path and value, and the neighbour of a mistyped key", async () => {
    const { err, out } = await folder.run(`simulate @mistyped.json ${quick}`)
    expect(out).toBe("")
    const [first, second, ...more] = err.trimEnd().split("\n")
    expect(first).toMatch(
      /^mistyped\.json:4:5: retry\.retires: is not known here; did you mean retries\? .* \(it is 3\)$/
    )
    expect(second).toMatch(/^mistyped\.json:6:3: attemptTimeout: should be a .*, got -5$/)
    expect(more).toEqual([])
    // What check finds is its result.
    expect((await folder.run("check @mistyped.json")).out).toBe(err)
  })

  it("L4: findings of a scenario in YAML have lines too", async () => {
    folder.write(
      "wrong.yaml",
      `duration: 20 seconds
clients:
  arrivals: { _tag: Poisson, perSecond: 5 }
  changes:
    - from: 8 seconds
      to: 5 seconds
      times: 2
services:
  - network: { _tag: Constant, value: 5 }
    service: { _tag: LogNormal, p50: 100 millis, p99: 40 millis }
`
    )
    const { code, out } = await folder.run("check @wrong.yaml")
    expect(code).toBe(1)
    expect(out.trimEnd().split("\n")).toEqual([
      "wrong.yaml:6:7: clients.changes.0.to: should be after from, got 5s",
      "wrong.yaml:10:50: services.0.service.p99: should be at least p50, got 40ms"
    ])
  })

  it("L4: a mistyped command, option, scenario or figure has its neighbour", async () => {
    const meant = async (words: string) =>
      /did you mean (\S+)\?/.exec((await folder.run(words)).err)?.[1]
    expect(await meant("simulat @plain.json")).toBe("simulate")
    expect(await meant("simulate @plain.json --scenaro spike")).toBe("--scenario")
    expect(await meant("simulate @plain.json --scenario=spike --sed=3")).toBe("--seed")
    expect(await meant("simulate @plain.json --scenario brownout")).toBe("brown-out")
    expect(await meant(`simulate @plain.json ${quick} --at-most amplificaton=2`))
      .toBe("amplification")
  })

  it("L4: every option that a command has is known to be one", async () => {
    for (const [command, options] of Object.entries(optionsOf)) {
      const { code, out } = await folder.run(`${command} --help`)
      expect(code).toBe(0)
      const listed = new Set([...out.matchAll(/--([a-z-]+)/g)].map(([, name]) => name))
      expect([command, [...listed].sort()]).toEqual([command, [...options].sort()])
    }
  })

  it("L4: what a terminal would obey is taken out of messages", async () => {
    folder.write("escape.json", `{ "operation": "\\u001b[2J\\u202eread" }`)
    const { out } = await folder.run("check @escape.json")
    expect(out).toMatch(/^escape\.json:1:3: operation: /)
    // oxlint-disable-next-line no-control-regex -- that none is left
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/)
  })

  it("L4: a simulation that is too large is refused in one line", async () => {
    const clients = { arrivals: { _tag: "Poisson", perSecond: 1e6 } }
    folder.write("huge.json", { ...brief, duration: "50 days", clients })
    const { code, err } = await folder.run("simulate @plain.json --scenario @huge.json")
    expect(code).toBe(2)
    expect(err).toMatch(/^The simulation would have about \S+ events, the limit is 1e\+9\n$/)
  })
})

describe("policies of a fleet", () => {
  const deployed = {
    operation: "read",
    circuitBreaker: { shared: "api", minimumCalls: 40 },
    rateLimiter: { shared: "api", limit: 1000, interval: "1 second", leaseTime: "200 millis" },
    bulkhead: { shared: "api", concurrency: 50, whenApart: "reject" },
    cooldown: { shared: "api", mode: "reject" }
  }

  beforeAll(() => {
    folder.write("deployed.json", deployed)
  })

  it("are checked and described as they are deployed", async () => {
    expect((await folder.run("check @deployed.json")).out).toBe("1 file: nothing found\n")
    const { code, out } = await folder.run("describe @deployed.json")
    expect(code).toBe(0)
    expect(out).toContain("of the attempts of 30s (at least 40) failed")
    expect(out.match(/; shared by a fleet as "api"$/gm)).toHaveLength(4)
  })

  it("L4: what only a shared guard has is checked, of all guards at once", async () => {
    folder.write("astray.json", {
      circuitBreaker: { shared: "api", window: { _tag: "Count", size: 20 } },
      bulkhead: { shared: "api", concurrency: 50, whenApart: "never" }
    })
    folder.write("unnamed.json", { cooldown: { shared: "" }, throttle: { shared: "api" } })
    const lines = async (words: string) =>
      (await folder.run(words)).out.trimEnd().split("\n")
        .map((line) => line.split(": ").slice(1, 3).join(": "))
    expect(await lines("check @astray.json")).toEqual([
      "circuitBreaker.window: should be a window of time in a shared breaker, got one of count",
      "bulkhead.whenApart: should be one of share, reject, got \"never\""
    ])
    expect(await lines("check @unnamed.json")).toHaveLength(2)
  })

  it("are simulated as one of all processes, and a warning says so", async () => {
    for (const words of ["simulate @deployed.json", "compare @plain.json @deployed.json"]) {
      const { code, err } = await folder.run(`${words} ${quick}`)
      expect([words, code, err.match(/^warning: deployed: .* is shared by a fleet: /gm)?.length])
        .toEqual([words, 0, 4])
    }
    const { code, err } = await folder.run(
      `tune @deployed.json --scenario @brief.json --set cooldown.maxWait=5 --minimize amplification`
    )
    expect(code).toBe(2)
    expect(err).toContain("cooldown.shared: ")
  })
})

describe("policies that a scenario names", () => {
  const tiers = (policy: string) => ({
    ...brief,
    services: [
      { ...brief.services[0], name: "orders", calls: [{ service: "payments", policy, times: 2 }] },
      {
        name: "payments",
        network: { _tag: "Constant", value: "2 millis" },
        service: { _tag: "Exponential", mean: "10 millis" }
      }
    ]
  })

  it("are files beside the scenario, and what they cause is in the result", async () => {
    folder.write("tiers.json", tiers("breaker.json"))
    expect((await folder.run("check @tiers.json")).code).toBe(0)
    const words = "simulate @plain.json --scenario @tiers.json --replications 2"
    const { err, out } = await folder.run(`${words} --json`)
    const { received } = decoded(Simulation.Result, out).counts
    expect(err).toBe("")
    expect(received["payments"]).toBeGreaterThan(1.2 * received["orders"]!)
    expect((await folder.run(words)).err).toContain(
      "  orders: calls for each request: payments, 2 times, one after the other, " +
        "with retry, attemptTimeout, circuitBreaker\n"
    )
  })

  it("L4: their mistakes have their own file and line", async () => {
    folder.write("tiers.json", tiers("mistyped.json"))
    const { code, out } = await folder.run("check @tiers.json")
    expect([code, out.split(":").slice(0, 3)]).toEqual([1, ["mistyped.json", "4", "5"]])
    folder.write("tiers.json", tiers("none.json"))
    expect(await folder.run("check @tiers.json")).toMatchObject({
      code: 2,
      err: "none.json: cannot be read: there is no such file\n"
    })
  })
})

describe("files", () => {
  const mistakeOf = async (name: string, content: string | Uint8Array): Promise<string> => {
    folder.write(name, content)
    const { code, err, out } = await folder.run(`check @${name}`)
    expect([name, code, out]).toEqual([name, 2, ""])
    return err.trimEnd()
  }

  it("L5: YAML is the core schema, without custom tags", async () => {
    folder.write("core.yaml", "operation: read\nretry: { retries: 0o3 }\ncircuitBreaker: {}\n")
    expect((await folder.run("check @core.yaml")).code).toBe(0)
    // In YAML 1.1 this would be a boolean.
    folder.write("yes.yaml", "operation: yes\n")
    expect((await folder.run("check @yes.yaml")).out).toMatch(/got "yes"$/m)
    expect(await mistakeOf("tag.yaml", "operation: !!js/function read\n"))
      .toMatch(/^tag\.yaml:1:12: a tag that is not allowed/)
    expect(await mistakeOf("binary.yaml", "operation: !!binary cmVhZA==\n"))
      .toMatch(/^binary\.yaml:1:12: a tag that is not allowed/)
    expect(await mistakeOf("own.yaml", "operation: !own read\n"))
      .toMatch(/^own\.yaml:1:12: a tag that is not allowed/)
  })

  it("L5: at most 100 aliases, no duplicate keys, one document", async () => {
    const times = (name: string) => `[${Array.from({ length: 9 }, () => `*${name}`).join(", ")}]`
    expect(
      await mistakeOf(
        "bomb.yaml",
        `a: &a [x]\nb: &b ${times("a")}\nc: &c ${times("b")}\nd: ${times("c")}\n`
      )
    ).toBe("bomb.yaml: has more than 100 aliases")
    folder.write("alias.yaml", "operation: &name read\nretry: { retries: 1 }\n")
    expect((await folder.run("check @alias.yaml")).code).toBe(0)
    expect(await mistakeOf("twice.yaml", "operation: read\nretry: {}\noperation: once\n"))
      .toBe("twice.yaml:3:1: the key stands twice")
    expect(await mistakeOf("twice.json", `{ "retry": {},\n  "retry": {} }`))
      .toBe("twice.json:2:3: the key stands twice")
    expect(await mistakeOf("two.yaml", "operation: read\n---\noperation: once\n"))
      .toMatch(/^two\.yaml:\d:1: there should be one document, got more$/)
  })

  it("L4: of tens of thousands of mistakes a thousand are told, and the rest counted", async () => {
    const fields = Array.from({ length: 30_000 }, (_, index) => `"field${index}": ${index}`)
    folder.write("many.json", `{ ${fields.join(",\n")} }`)
    const { code, out } = await folder.run("check @many.json")
    const lines = out.trimEnd().split("\n")
    expect([code, lines.length]).toEqual([1, 1001])
    expect(lines[999]).toMatch(/^many\.json:1000:1: field999: is not known here/)
    expect(lines[1000]).toBe("many.json:1:1: 29,000 more findings")
    folder.write("long.json", `{ "${"field".repeat(100_000)}": 1 }`)
    expect((await folder.run("check @long.json")).code).toBe(1)
    expect(await mistakeOf("last.json", `{ ${fields.join(",\n")}, "field0": 1 }`))
      .toBe("last.json:30000:22: the key stands twice")
    // A parser that compared each key with every other took half a minute for each.
  }, 30_000)

  it("L5: at most 1 MiB, in UTF-8, and no deeper than a parser can bear", async () => {
    const operation = `{ "operation": "read" }`
    folder.write("full.json", operation.padEnd(1_048_576))
    expect((await folder.run("check @full.json")).code).toBe(0)
    expect(await mistakeOf("large.json", operation.padEnd(1_048_577)))
      .toBe("large.json: is larger than 1 MiB")
    expect(await mistakeOf("latin.json", new Uint8Array([0x7b, 0xff, 0x7d])))
      .toBe("latin.json: is not text in UTF-8")
    for (const name of ["deep.json", "deep.yaml"]) {
      expect(await mistakeOf(name, `${"[".repeat(50_000)}${"]".repeat(50_000)}`))
        .toBe(`${name}: is nested more than 64 levels deep`)
    }
    expect(await mistakeOf("rows.yaml", "- ".repeat(5000)))
      .toBe("rows.yaml: is nested more than 64 levels deep")
    expect(await mistakeOf("empty.yaml", "\n")).toBe("empty.yaml: is empty")
  }, 60_000)

  it("L5: JSON is JSON: what YAML would let pass is refused, with its place", async () => {
    expect(await mistakeOf("comma.json", `{\n  "operation": "read",\n}`))
      .toMatch(/^comma\.json:3:1: is not JSON: /)
    expect(await mistakeOf("comment.json", `{ # a comment\n "operation": "read" }`))
      .toMatch(/^comment\.json:1:3: is not JSON: /)
  })

  it("L5: a file without fields is no policy", async () => {
    folder.write("list.json", [1, 2])
    expect((await folder.run("check @list.json")).out)
      .toBe("list.json:1:1: should be a policy, with named fields (it is [1,2])\n")
  })
})

describe("init", () => {
  it("L7: writes two policies and a scenario, which work together", async () => {
    const begun = new Folder()
    const first = await begun.run("init @")
    expect([first.code, begun.names]).toEqual([0, ["plain.json", "scenario.yaml", "standard.json"]])
    expect(first.out.split("\n").map((line) => line.split(" ")[0])).toEqual([
      "wrote",
      "wrote",
      "wrote",
      ""
    ])
    expect((await begun.run("check @plain.json @standard.json @scenario.yaml")).code).toBe(0)
    const words = "--scenario @scenario.yaml --replications 2 --json"
    const { out } = await begun.run(`compare @plain.json @standard.json ${words}`)
    expect(decoded(Simulation.Comparison, out).results).toHaveLength(2)
    begun.remove()
  }, 60_000)

  it("L7: writes none of them where one is there already, and all with --force", async () => {
    const begun = new Folder()
    begun.write("standard.json", "mine")
    const refused = await begun.run("init @")
    expect(refused).toMatchObject({
      code: 2,
      out: "",
      err: "standard.json: is there already; --force writes over it\n"
    })
    expect([begun.names, begun.read("standard.json")]).toEqual([["standard.json"], "mine"])
    expect((await begun.run("init @ --force")).code).toBe(0)
    expect(JSON.parse(begun.read("standard.json"))).toMatchObject({ budget: { ratio: 0.1 } })
    begun.remove()
  })

  it("makes the folder where it is missing", async () => {
    const begun = new Folder()
    expect((await begun.run("init @policies/orders")).code).toBe(0)
    expect(begun.names).toEqual(["policies"])
    begun.remove()
  })
})

describe("shipped scenarios", () => {
  it(
    "a tutorial's figures: plain retries stay stuck after the spike, a breaker recovers",
    async () => {
      const { out } = await folder.run(
        "compare policies/plain.json policies/standard.json --scenario metastable --replications 8 --json"
      )
      const [first, second] = decoded(Simulation.Comparison, out).results
      expect(first!.stuck).toBeGreaterThanOrEqual(5)
      expect(second!.stuck).toBeLessThanOrEqual(1)
      expect(first!.metrics.amplification.mean).toBeGreaterThan(1.8)
    },
    60_000
  )
})
