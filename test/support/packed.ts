/**
 * The package as a user installs it: built and packed in a folder of its own, so that a build in
 * the checkout is left alone, and unpacked in another. Nothing is fetched: what the package depends
 * on is linked from the checkout.
 */
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))

const { name } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly name: string
}

/** Runs a program and returns what it printed, also when it fails. */
export const run = async (
  folder: string,
  file: string,
  ...args: ReadonlyArray<string>
): Promise<string> => {
  try {
    const { stdout } = await promisify(execFile)(file, args, { cwd: folder, maxBuffer: 1 << 26 })
    return stdout
  } catch (error) {
    const { stderr, stdout } = error as { readonly stdout?: string; readonly stderr?: string }
    if (stdout === undefined || stdout + (stderr ?? "") === "") throw error
    return `${stdout}${stderr}`
  }
}

export const compile = (folder: string, ...args: ReadonlyArray<string>): Promise<string> =>
  run(folder, process.execPath, path.join(root, "node_modules/typescript/bin/tsc"), ...args)

export const write = (folder: string, name: string, text: string): void => {
  fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
  fs.writeFileSync(path.join(folder, name), text)
}

const link = (folder: string, ...names: ReadonlyArray<string>): void => {
  for (const name of names) {
    const place = path.join(folder, "node_modules", name)
    fs.mkdirSync(path.dirname(place), { recursive: true })
    fs.symlinkSync(path.join(root, "node_modules", name), place)
  }
}

/** Builds and packs the library in `folder`, with some more files; returns the tarball. */
export const pack = async (
  folder: string,
  planted: Readonly<Record<string, string>> = {}
): Promise<string> => {
  const copied = ["package.json", "tsconfig.json", "tsconfig.build.json", "README.md", "LICENSE"]
  for (const name of [...copied, "CHANGELOG.md", "src", "policies", "scenarios"]) {
    fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true })
  }
  for (const [name, text] of Object.entries(planted)) write(folder, name, text)
  fs.symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"))
  const tsx = path.join(root, "node_modules/tsx/dist/cli.mjs")
  const building = [tsx, path.join(root, "scripts/build.ts"), folder]
  expect(await run(folder, process.execPath, ...building)).toBe("")
  const printed = await run(folder, "npm", "pack", "--offline", "--json", "--ignore-scripts")
  const [packed] = JSON.parse(printed) as ReadonlyArray<{ readonly filename: string }>
  return path.join(folder, packed!.filename)
}

/** A folder in which the package is installed, beside the packages that are named. */
export const install = async (
  folder: string,
  tarball: string,
  beside: ReadonlyArray<string>
): Promise<void> => {
  const place = path.join(folder, "node_modules", name)
  fs.mkdirSync(place, { recursive: true })
  await run(folder, "tar", "-xzf", tarball, "-C", place, "--strip-components=1")
  link(folder, ...beside)
  write(folder, "package.json", JSON.stringify({ name: "user", type: "module" }))
}
