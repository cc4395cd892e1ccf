/**
 * What a new user does: the commands of the documentation in an empty folder, and its first
 * programs, copied from the Markdown.
 *
 * The package is packed from the sources. Everything else comes from the registry, so without one
 * the tests are skipped, aloud.
 */
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { extract, type Fence, repository } from "../scripts/doc-examples.js"
import { passes } from "./support/processes.js"

const isLong = process.env["TEST_LONG"] !== undefined
const isReachable = isLong && passes(["npm", "view", "effect@3.22.4", "version"])

if (!isReachable) {
  const reason = isLong ? "the registry does not answer" : "they are part of a long run only"
  // Past the reporter, which hides what is printed outside of tests.
  fs.writeSync(2, `\nNOT TESTED: the first steps of a new user are skipped, ${reason}\n`)
}

const execute = promisify(execFile)

/** Runs a program and returns what it printed; fails with all of it. */
const run = async (folder: string, file: string, ...args: ReadonlyArray<string>) => {
  try {
    const { stdout } = await execute(file, args, { cwd: folder, maxBuffer: 1 << 26 })
    return stdout.trimEnd()
  } catch (error) {
    const { stderr, stdout } = error as { readonly stdout?: string; readonly stderr?: string }
    throw new Error(`${file} ${args.join(" ")}\n${stdout ?? ""}${stderr ?? ""}`, { cause: error })
  }
}

const binOf = (name: string): string => path.join(repository, "node_modules", name)

const fencesOf = (file: string): ReadonlyArray<Fence> =>
  extract(repository).filter((fence) => fence.file === file)

const programsOf = (file: string): ReadonlyArray<Fence> =>
  fencesOf(file).filter(({ language }) => language === "ts")

/** The commands of the first `sh` fence that installs something. */
const installLinesOf = (file: string): ReadonlyArray<string> => {
  const fence = fencesOf(file).find(({ code, language }) =>
    language === "sh" && code.includes("npm install effect-resilience")
  )
  expect(fence, `an install line in ${file}`).toBeDefined()
  return fence!.code.split("\n")
}

/** What a program prints at its end, as its comment says. */
const saidBy = ({ code }: Fence): string | undefined =>
  [...code.matchAll(/\/\/ => (.*)$/gm)].at(-1)?.[1]

const nameOf = ({ flags }: Fence): string =>
  flags.flatMap((flag) => /^file=(.*)\.ts$/.exec(flag)?.[1] ?? [])[0] ?? "first"

/** Builds and packs the library; returns the tarball. */
const pack = async (folder: string): Promise<string> => {
  const copied = ["package.json", "tsconfig.json", "tsconfig.build.json", "README.md", "LICENSE"]
  for (const name of [...copied, "CHANGELOG.md", "src"]) {
    fs.cpSync(path.join(repository, name), path.join(folder, name), { recursive: true })
  }
  fs.symlinkSync(path.join(repository, "node_modules"), path.join(folder, "node_modules"))
  const building = path.join(repository, "scripts/build.ts")
  await run(folder, process.execPath, binOf("tsx/dist/cli.mjs"), building, folder)
  const printed = await run(folder, "npm", "pack", "--offline", "--json", "--ignore-scripts")
  const [packed] = JSON.parse(printed) as ReadonlyArray<{ readonly filename: string }>
  return path.join(folder, packed!.filename)
}

describe.skipIf(!isReachable)("in an empty folder, with what the registry has", () => {
  let temporary: string
  let tarball: string

  /** An empty folder in which the printed commands have run, with the tarball as the package. */
  const folderOf = async (name: string, lines: ReadonlyArray<string>): Promise<string> => {
    const folder = path.join(temporary, name)
    fs.mkdirSync(folder)
    for (const line of lines) {
      await run(folder, "sh", "-c", line.replace("install effect-resilience", `install ${tarball}`))
    }
    return folder
  }

  const type = (folder: string): unknown =>
    (JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")) as {
      readonly type?: string
    }).type

  const write = (folder: string, name: string, { code }: Fence): void =>
    fs.writeFileSync(path.join(folder, name), `${code}\n`)

  const typeCheck = (folder: string, ...files: ReadonlyArray<string>): Promise<string> =>
    run(
      folder,
      process.execPath,
      binOf("typescript/bin/tsc"),
      ..."--noEmit --strict --skipLibCheck --module nodenext --target es2022".split(" "),
      ...files
    )

  /** What it prints as TypeScript, run by tsx, and as JavaScript, unchanged. */
  const printedBy = async (folder: string, program: Fence): Promise<ReadonlyArray<string>> => {
    const name = nameOf(program)
    write(folder, `${name}.ts`, program)
    write(folder, `${name}.mjs`, program)
    return [
      await run(folder, process.execPath, binOf("tsx/dist/cli.mjs"), `${name}.ts`),
      await run(folder, process.execPath, `${name}.mjs`)
    ]
  }

  beforeAll(async () => {
    temporary = fs.mkdtempSync(path.join(os.tmpdir(), "effect-resilience-first-steps-"))
    const library = path.join(temporary, "library")
    fs.mkdirSync(library)
    tarball = await pack(library)
  }, 600_000)

  afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }))

  it("README.md: its first example compiles, and runs as .ts and as .mjs", async () => {
    const folder = await folderOf("readme", ["npm init -y", ...installLinesOf("README.md")])
    const [first] = programsOf("README.md")
    expect(type(folder)).toBe("commonjs")
    expect(saidBy(first!)).toBe("created ORD-1, with 1 key")
    expect(await printedBy(folder, first!)).toEqual([saidBy(first!), saidBy(first!)])
    expect(await typeCheck(folder, "first.ts")).toBe("")
  }, 600_000)

  it("docs/getting-started.md: its programs and its test run as printed", async () => {
    const page = "docs/getting-started.md"
    const folder = await folderOf("started", installLinesOf(page))
    const programs = programsOf(page)
    expect(programs.map(nameOf)).toEqual(["call", "order", "shop", "shop.test"])
    for (const program of programs.slice(0, 2)) {
      const said = saidBy(program)
      expect(await printedBy(folder, program)).toEqual([said, said])
    }
    for (const program of programs.slice(2)) write(folder, `${nameOf(program)}.ts`, program)
    expect(await run(folder, "npx", "--no-install", "vitest", "run")).toContain("1 passed")
    expect(await typeCheck(folder, "call.ts", "order.ts", "shop.ts", "shop.test.ts")).toBe("")
  }, 600_000)
})
