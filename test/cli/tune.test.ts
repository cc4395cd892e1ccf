import { Schema } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Tuned } from "../../src/cli/output.js"
import { brief, Folder, plain } from "./commandLine.js"

let folder: Folder

beforeAll(() => {
  folder = new Folder()
  folder.write("plain.json", plain)
  folder.write("brief.json", brief)
})

afterAll(() => folder.remove())

/** Without retries the outage costs fewer requests, and that is what is asked for. */
const search = "tune @plain.json --scenario @brief.json --set retry.retries=0,2 " +
  "--minimize amplification"

describe("tune", () => {
  it("L1, L2: finds a better policy, and shows its figures beside those before", async () => {
    const { code, err, out } = await folder.run(search)
    expect(code).toBe(0)
    const lines = out.split("\n")
    expect(lines[0]).toBe("plain · 1 scenario · 3 policies tried · 20 replications · seed 1001")
    expect(lines[1]).toBe("better under this scenario: retry.retries = 0")
    expect(lines[2]).toMatch(
      /^attempts per call, where it is worst: −0\.\d\d \(−0\.\d\d to −0\.\d\d\)$/
    )
    expect(lines[3]).toMatch(/^ +before +tuned$/)
    expect(lines[4]).toMatch(/^brief, attempts per call +1\.\d\d +1\.00$/)
    expect(err).toMatch(/^warning: 1 scenario is few: /)
  })

  it("L2: --json decodes, with the policy in the form of a file", async () => {
    const { err, out } = await folder.run(`${search} --json`)
    const found = Schema.decodeUnknownSync(Schema.parseJson(Tuned))(out, {
      onExcessProperty: "error"
    })
    expect(found).toMatchObject({
      isBetter: true,
      settings: { "retry.retries": 0 },
      scenarios: ["brief"],
      tried: 3,
      policy: { operation: "read", retry: { retries: 0 } }
    })
    expect(err).toMatch(/^warning: /)
  })

  it("L7: writes the better policy, which check takes", async () => {
    expect((await folder.run(`${search} --write @tuned.json`)).code).toBe(0)
    expect(JSON.parse(folder.read("tuned.json"))).toMatchObject({ retry: { retries: 0 } })
    expect((await folder.run("check @tuned.json")).code).toBe(0)
    expect((await folder.run(`${search} --write @tuned.json`)).code).toBe(2)
  })

  it("where none is shown to be better, the policy stays as it is", async () => {
    const words = "tune @plain.json --scenario @brief.json --set retry.retries=2 --minimize p50"
    const { code, out } = await folder.run(words)
    expect(code).toBe(0)
    expect(out).toContain("\nnone is shown to be better: the policy stays as it is\n")
    expect(out).toContain("\nlatency, p50, where it is worst: no difference shown (")
  })

  it("L1: ends with 1 where the best does not keep a limit", async () => {
    const { code, err } = await folder.run(`${search} --at-most failedRate=0.01`)
    expect(code).toBe(1)
    expect(err).toMatch(
      /\nnot kept: plain, failedRate \(failed or rejected\) is \d+ %, at most 1\.0 %\n/
    )
  })

  it("values are numbers, words and lists, and null leaves a field out", async () => {
    const { code, out } = await folder.run(
      "tune @plain.json --scenario @brief.json --minimize amplification --json --trials 9 " +
        `--set retry=null,{"retries":1} --set attemptTimeout=["500",2000]`
    )
    // A list of JSON holds a text, which is no duration.
    expect([code, out]).toEqual([2, ""])
    const other = await folder.run(
      "tune @plain.json --scenario @brief.json --minimize amplification --json " +
        `--set retry=[null,{"retries":1}] --set operation=read,once`
    )
    expect(JSON.parse(other.out)).toMatchObject({ tried: 5, policy: { operation: "read" } })
    expect(JSON.parse(other.out)).not.toHaveProperty("policy.retry")
  })

  it("L4: a path, a value and a figure that are none are refused with their neighbours", async () => {
    const mistakeOf = async (changes: string): Promise<string> => {
      const { code, err, out } = await folder.run(
        `tune @plain.json --scenario @brief.json ${changes}`
      )
      expect([code, out]).toEqual([2, ""])
      return err.trimEnd()
    }
    expect(await mistakeOf("--minimize p99 --set retry.retires=1"))
      .toMatch(/^--set: retry\.retires: is not known here; did you mean retries\?/)
    expect(await mistakeOf("--minimize p99 --set retry.retries=-1"))
      .toMatch(/^--set: retry\.retries: should be .*, got -1$/)
    expect(await mistakeOf("--minimize p999 --set retry.retries=1"))
      .toMatch(/^--minimize: there is no figure p999; did you mean p99\?/)
    expect(await mistakeOf("--minimize p99 --set retries"))
      .toBe("--set: should be a field and its values, as retry.retries=0,1,2, got retries")
    expect(await mistakeOf("--minimize p99 --set retry.retries=1 --trials 0"))
      .toBe("--trials: should be a whole number from 1 to 10000, got 0")
  })
})
