import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { addressOf, fill, lockWith } from "../../scripts/release.js"
import { folderOf } from "./temporary.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

describe("the address of a repository", () => {
  it.each([
    ["git@host.invalid:owner/repo.git", "https://host.invalid/owner/repo"],
    ["host.invalid:group/owner/repo", "https://host.invalid/group/owner/repo"],
    ["ssh://git@host.invalid:2222/owner/repo.git", "https://host.invalid/owner/repo"],
    ["https://host.invalid/owner/repo.git", "https://host.invalid/owner/repo"],
    ["https://host.invalid:8443/owner/repo/", "https://host.invalid:8443/owner/repo"],
    ["https://user:secret@host.invalid/owner/repo", "https://host.invalid/owner/repo"]
  ])("%s", (remote, address) => {
    expect(addressOf(remote)).toBe(address)
  })

  it.each(["/srv/repo.git", "../repo", "C:/repo", "file:///srv/repo", "https://host.invalid/", ""])(
    "is not known of %o",
    (remote) => {
      expect(addressOf(remote)).toBeUndefined()
    }
  )
})

it("fills in where the repository is, and leaves the rest", () => {
  expect(fill({ name: "x", version: "1.0.0" }, "https://host.invalid/owner/repo")).toEqual({
    name: "x",
    version: "1.0.0",
    homepage: "https://host.invalid/owner/repo#readme",
    repository: { type: "git", url: "git+https://host.invalid/owner/repo.git" },
    bugs: { url: "https://host.invalid/owner/repo/issues" }
  })
})

it("the lock gets the version", () => {
  const lock = { version: "1.0.0", packages: { "": { version: "1.0.0" }, a: { version: "3.0.0" } } }
  expect(JSON.parse(lockWith(JSON.stringify(lock), "2.0.0"))).toEqual({
    version: "2.0.0",
    packages: { "": { version: "2.0.0" }, a: { version: "3.0.0" } }
  })
})

it("the checkout names no host", () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as object
  expect(Object.keys(manifest)).not.toEqual(expect.arrayContaining(["repository"]))
  expect(Object.keys(manifest)).not.toEqual(expect.arrayContaining(["homepage"]))
  expect(Object.keys(manifest)).not.toEqual(expect.arrayContaining(["bugs"]))
})

describe("a release", () => {
  const git = (folder: string, ...args: ReadonlyArray<string>) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@host.invalid", ...args], {
      cwd: folder,
      stdio: "ignore"
    })

  /** A package in a repository of its own, whose checks end with this code. */
  const repositoryOf = (checks: number, remote = "git@host.invalid:owner/repo.git"): string => {
    const manifest = {
      name: "planted",
      version: "1.2.3",
      files: ["dist"],
      scripts: { build: "node build.js" }
    }
    const folder = folderOf({
      "package.json": JSON.stringify(manifest),
      "build.js":
        "const fs = require('node:fs'); fs.mkdirSync('dist'); fs.writeFileSync('dist/built.js', '')",
      ".ci/run": `echo checked; exit ${checks}`
    })
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "all")
    if (remote !== "") git(folder, "remote", "add", "origin", remote)
    return folder
  }

  const release = (folder: string) => {
    const script = path.join(root, "scripts/release.ts")
    const tsx = path.join(root, "node_modules/tsx/dist/cli.mjs")
    const args = [tsx, script, "--dry-run", "--root", folder]
    const { status, stderr, stdout } = spawnSync(process.execPath, args, { encoding: "utf8" })
    return { status, printed: `${stdout}${stderr}` }
  }

  it("of a dry run is checked, filled in, built and packed, and the checkout stays", () => {
    const folder = repositoryOf(0)
    const { printed, status } = release(folder)
    expect(status, printed).toBe(0)
    expect(printed).toContain("checked\n")
    expect(printed).toContain("\"url\": \"git+https://host.invalid/owner/repo.git\"")
    expect(printed).toContain("dist/built.js")
    expect(printed).toContain("planted-1.2.3.tgz")
    expect(printed).toContain("release: nothing was published")
    expect(fs.readdirSync(folder).sort()).toEqual([".ci", ".git", "build.js", "package.json"])
    expect(fs.readFileSync(path.join(folder, "package.json"), "utf8")).not.toContain("host.invalid")
  }, 60_000)

  it("is refused with failing checks", () => {
    const { printed, status } = release(repositoryOf(3))
    expect(status).toBe(1)
    expect(printed).toBe("checked\nrelease: the checks failed\n")
  }, 60_000)

  it("is refused with changes in the tree", () => {
    const folder = repositoryOf(0)
    fs.writeFileSync(path.join(folder, "new.txt"), "")
    expect(release(folder)).toEqual({
      status: 1,
      printed: "release: the tree has changes:\n?? new.txt\n"
    })
  }, 60_000)

  it("is refused without a remote, and with one that is a folder", () => {
    expect(release(repositoryOf(0, "")).printed).toBe(
      "release: there is no git remote called origin\n"
    )
    expect(release(repositoryOf(0, "/srv/repo.git")).printed).toBe(
      "release: the git remote origin is no address of a hosted repository\n"
    )
  }, 60_000)
})
