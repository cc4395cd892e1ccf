/**
 * Publishes the version of package.json from a clean clone.
 *
 * `repository`, `homepage` and `bugs` are filled in there from the address of the git remote, so
 * that the checkout names no host. A tree with changes is refused, and so is one whose checks
 * (`.ci/run`, run in the clone) fail. A version that is published already is left alone.
 *
 * Usage: `npm run release [-- --dry-run] [--checked] [--remote origin] [--root folder]`.
 *
 * - `--dry-run`: prints what would be published, and publishes nothing.
 * - `--checked`: the checks of this commit have passed elsewhere, they are not run again.
 *
 * `npm run release:version` takes the changesets: they become the next version and its part of the
 * changelog.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

/** A reason not to publish. */
export class Refused extends Error {}

/**
 * The address for a browser of a repository whose remote is `remote`. Credentials, ports of ssh and
 * `.git` are left out; undefined for a path or a host without a repository.
 */
export const addressOf = (remote: string): string | undefined => {
  const scp = /^(?:[^@/\s]+@)?([^:/\s]+\.[^:/\s]+):(?!\/)(.+)$/.exec(remote)
  const text = scp === null ? remote : `ssh://${scp[1]}/${scp[2]}`
  if (!/^(https?|ssh|git):\/\//.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  const place = url.pathname.replace(/\/+$/, "").replace(/\.git$/, "")
  if (url.hostname === "" || !/^\/[^/]+\/.+/.test(place)) return undefined
  const port = url.protocol.startsWith("http") && url.port !== "" ? `:${url.port}` : ""
  return `https://${url.hostname}${port}${place}`
}

/** package.json with the fields that depend on where the repository is. */
export const fill = (
  manifest: Readonly<Record<string, unknown>>,
  address: string
): Record<string, unknown> => ({
  ...manifest,
  homepage: `${address}#readme`,
  repository: { type: "git", url: `git+${address}.git` },
  bugs: { url: `${address}/issues` }
})

/** The lock with the version of package.json. */
export const lockWith = (lock: string, version: string): string => {
  const parsed = JSON.parse(lock) as {
    version?: string
    readonly packages?: Readonly<Record<string, { version?: string }>>
  }
  parsed.version = version
  const own = parsed.packages?.[""]
  if (own !== undefined) own.version = version
  return `${JSON.stringify(parsed, null, 2)}\n`
}

const output = (folder: string, file: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(file, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    .trim()

/** Runs a program in sight; what goes wrong is a reason not to publish. */
const show = (what: string, folder: string, file: string, ...args: ReadonlyArray<string>): void => {
  try {
    execFileSync(file, args, { cwd: folder, stdio: "inherit" })
  } catch {
    throw new Refused(`${what} failed`)
  }
}

const succeeds = (run: () => string): string | undefined => {
  try {
    return run()
  } catch {
    return undefined
  }
}

const readManifest = (root: string) =>
  JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
    readonly name: string
    readonly version: string
  }

export interface Options {
  readonly root: string
  readonly remote: string
  readonly dryRun: boolean
  readonly checked: boolean
}

/** Throws `Refused` where the checkout is in no state to be published; else its address. */
const addressFor = ({ remote, root }: Options): string => {
  const changes = output(root, "git", "status", "--porcelain")
  if (changes !== "") throw new Refused(`the tree has changes:\n${changes}`)
  const url = succeeds(() => output(root, "git", "remote", "get-url", remote))
  if (url === undefined) throw new Refused(`there is no git remote called ${remote}`)
  const address = addressOf(url)
  if (address === undefined) {
    throw new Refused(`the git remote ${remote} is no address of a hosted repository`)
  }
  return address
}

const isPublished = (root: string, name: string, version: string): boolean =>
  succeeds(() => output(root, "npm", "view", `${name}@${version}`, "version")) === version

/** Checks, fills in and publishes, all in a clone. */
export const release = (options: Options): void => {
  const { checked, dryRun, root } = options
  const address = addressFor(options)
  const { name, version } = readManifest(root)
  if (!dryRun && isPublished(root, name, version)) {
    console.log(`release: ${name} ${version} is published already`)
    return
  }
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "effect-resilience-release-"))
  try {
    const clone = path.join(temporary, "clone")
    show("git clone", root, "git", "clone", "--quiet", "--no-hardlinks", root, clone)
    if (checked) show("npm ci", clone, "npm", "ci")
    else show("the checks", clone, "bash", ".ci/run")
    const filled = fill({ ...readManifest(clone) }, address)
    fs.writeFileSync(path.join(clone, "package.json"), `${JSON.stringify(filled, null, 2)}\n`)
    show("the build", clone, "npm", "run", "--silent", "build")
    if (dryRun) {
      const { bugs, homepage, repository } = filled
      console.log(JSON.stringify({ name, version, homepage, repository, bugs }, null, 2))
      show("npm pack", clone, "npm", "pack", "--dry-run", "--ignore-scripts")
      console.log("release: nothing was published")
    } else {
      show("npm publish", clone, "npm", "publish", "--access", "public")
      // Says "New tag", which is how the release workflow learns of it.
      show("the tag", root, "npx", "changeset", "tag")
    }
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true })
  }
}

/** Makes the next version of the changesets. */
const makeVersion = (root: string): void => {
  show("changeset version", root, "npx", "changeset", "version")
  const lock = path.join(root, "package-lock.json")
  fs.writeFileSync(
    lock,
    lockWith(fs.readFileSync(lock, "utf8"), readManifest(root).version)
  )
  show("the format", root, "npx", "dprint", "fmt", "CHANGELOG.md", "package.json")
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      root: { type: "string", default: fileURLToPath(new URL("..", import.meta.url)) },
      remote: { type: "string", default: "origin" },
      "dry-run": { type: "boolean", default: false },
      checked: { type: "boolean", default: false },
      version: { type: "boolean", default: false }
    }
  })
  try {
    if (values.version) makeVersion(values.root)
    else {
      release({
        root: path.resolve(values.root),
        remote: values.remote,
        dryRun: values["dry-run"],
        checked: values.checked
      })
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    console.error(`release: ${error.message}`)
    process.exitCode = 1
  }
}
