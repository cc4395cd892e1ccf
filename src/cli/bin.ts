#!/usr/bin/env node
/**
 * `npx effect-resilience`. The command line needs packages that a program of the library does not,
 * so they are optional; without them this says which to install.
 */
import * as fs from "node:fs"
import process from "node:process"

interface Manifest {
  readonly version: string
  readonly peerDependencies: Readonly<Record<string, string>>
}

const manifest = JSON.parse(
  fs.readFileSync(new URL("../../package.json", import.meta.url), "utf8")
) as Manifest

/** What the command line imports and the library does not. */
const packages = [
  "@effect/cli",
  "@effect/platform-node",
  "@effect/printer",
  "@effect/printer-ansi",
  "@effect/typeclass",
  "yaml"
]

/** What a program depends on is not named again: `--save-dev` would move it. */
const isAbsent = (name: string): boolean => {
  try {
    import.meta.resolve(name)
    return false
  } catch {
    return true
  }
}

/** With the versions that the manifest names: the latest effect is another major version. */
const installLine = (): string => {
  const absent = ["effect", "@effect/platform", ...packages].filter(isAbsent)
  const names = absent.map((name) => `"${name}@${manifest.peerDependencies[name] ?? "*"}"`)
  return `npm install --save-dev ${names.join(" ")}`
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND"

try {
  const { main } = await import("./main.js")
  main(process.argv.slice(2), manifest.version)
} catch (error) {
  if (!isMissing(error)) throw error
  process.stderr.write(
    `The command line of effect-resilience needs packages that are not here:\n${installLine()}\n`
  )
  process.exitCode = 2
}
