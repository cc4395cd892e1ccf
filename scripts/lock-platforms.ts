/**
 * Completes package-lock.json with the platform builds that npm left out.
 *
 * Tools such as esbuild and dprint declare one optional package per platform. `npm install` drops
 * those it could not fetch while it wrote the lock, and `npm ci` then refuses the lock ("Missing:
 * ... from lock file"). Their versions are pinned by the package that declares them, so the missing
 * entries can be written without asking anyone.
 *
 * Usage: `npm run lock:complete`, after a change of dependencies.
 */
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

interface LockEntry {
  readonly version?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: ReadonlyArray<string>
  readonly cpu?: ReadonlyArray<string>
  readonly libc?: ReadonlyArray<string>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

interface Lock {
  packages: Record<string, LockEntry>
}

const systems = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32"
]
const processors = [
  "arm64",
  "arm",
  "ia32",
  "loong64",
  "mips64el",
  "ppc64",
  "riscv64",
  "s390x",
  "x64"
]

/** What a package runs on, read from its name; undefined when the name does not say. */
export const platformOf = (name: string): Pick<LockEntry, "os" | "cpu" | "libc"> | undefined => {
  const words = name.slice(name.indexOf("/") + 1).split(/[-.]/)
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.includes(processor))
  if (os === undefined || cpu === undefined) return undefined
  const libc = words.includes("musl")
    ? "musl"
    : words.includes("gnu") || words.includes("glibc")
    ? "glibc"
    : undefined
  return { cpu: [cpu], os: [os], ...(os === "linux" && libc !== undefined ? { libc: [libc] } : {}) }
}

const byPath = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number =>
  a.localeCompare(b, "en")

/** The folders in which Node looks for what a package imports, the nearest first. */
const foldersFor = (path: string): Array<string> => {
  const parts = path.split("/node_modules/")
  return [
    ...parts.map((_, index) =>
      `${parts.slice(0, parts.length - index).join("/node_modules/")}/node_modules`
    ),
    "node_modules"
  ]
}

/**
 * Where an optional package of `path` has to stand, when the lock has none of that version: at the
 * root, or beside the package that declares it when the root has another version.
 */
const missingPlace = (
  lock: Lock,
  path: string,
  name: string,
  version: string
): string | undefined => {
  const found = foldersFor(path).map((folder) => lock.packages[`${folder}/${name}`])
    .find((entry) => entry !== undefined)
  if (found?.version === version) return undefined
  if (found === undefined) return `node_modules/${name}`
  return `${path.slice(0, path.lastIndexOf("node_modules/"))}node_modules/${name}`
}

/** Adds the missing entries and returns their names. */
export const complete = (lock: Lock): Array<string> => {
  const added: Array<string> = []
  for (const [declarer, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const platform = platformOf(name)
      if (platform === undefined || !/^\d+\.\d+\.\d+/.test(version)) continue
      const path = missingPlace(lock, declarer, name, version)
      if (path === undefined) continue
      const { os, cpu, libc } = platform
      lock.packages[path] = {
        version,
        ...(cpu ? { cpu } : {}),
        ...(entry.dev === true ? { dev: true } : {}),
        ...(libc ? { libc } : {}),
        optional: true,
        ...(os ? { os } : {})
      }
      added.push(name)
    }
  }
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(byPath))
  return added
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL("../package-lock.json", import.meta.url))
  const lock = JSON.parse(fs.readFileSync(path, "utf8")) as Lock
  const added = complete(lock)
  fs.writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`package-lock.json: ${added.length} platform builds added`)
}
