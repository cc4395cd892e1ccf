import * as fs from "node:fs"
import { describe, expect, it } from "vitest"
import { complete, platformOf } from "../../scripts/lock-platforms.js"

const lock = (entries: Record<string, object>) => ({ packages: { "": {}, ...entries } })

describe("lock-platforms", () => {
  it("reads a platform from a name", () => {
    expect(platformOf("@rollup/rollup-linux-x64-musl")).toEqual({
      cpu: ["x64"],
      os: ["linux"],
      libc: ["musl"]
    })
    expect(platformOf("@rollup/rollup-win32-x64-gnu")).toEqual({ cpu: ["x64"], os: ["win32"] })
    expect(platformOf("@esbuild/darwin-arm64")).toEqual({ cpu: ["arm64"], os: ["darwin"] })
    expect(platformOf("fsevents")).toBeUndefined()
  })

  it("adds what is missing and leaves the rest", () => {
    const given = lock({
      "node_modules/tool": {
        version: "1.0.0",
        dev: true,
        optionalDependencies: {
          "@tool/linux-x64": "1.0.0",
          "@tool/darwin-arm64": "1.0.0",
          fsevents: "~2.3.2"
        }
      },
      "node_modules/@tool/linux-x64": { version: "1.0.0", integrity: "sha512-x" }
    })
    expect(complete(given)).toEqual(["@tool/darwin-arm64"])
    expect(given.packages).toMatchObject({
      "node_modules/@tool/darwin-arm64": {
        version: "1.0.0",
        cpu: ["arm64"],
        os: ["darwin"],
        dev: true,
        optional: true
      },
      "node_modules/@tool/linux-x64": { version: "1.0.0", integrity: "sha512-x" }
    })
    expect(complete(given)).toEqual([])
  })

  it("adds a second version beside the package that declares it", () => {
    const given = lock({
      "node_modules/tool": {
        version: "2.0.0",
        optionalDependencies: { "@tool/linux-x64": "2.0.0", "@tool/win32-x64": "2.0.0" }
      },
      "node_modules/@tool/linux-x64": { version: "2.0.0" },
      "node_modules/@tool/win32-x64": { version: "2.0.0" },
      "node_modules/site/node_modules/tool": {
        version: "1.0.0",
        dev: true,
        optionalDependencies: { "@tool/linux-x64": "1.0.0", "@tool/win32-x64": "1.0.0" }
      },
      "node_modules/site/node_modules/@tool/linux-x64": { version: "1.0.0" }
    })
    expect(complete(given)).toEqual(["@tool/win32-x64"])
    expect(given.packages).toMatchObject({
      "node_modules/@tool/win32-x64": { version: "2.0.0" },
      "node_modules/site/node_modules/@tool/win32-x64": { version: "1.0.0", dev: true }
    })
    expect(complete(given)).toEqual([])
  })

  it("finds the project's own lock complete, and free of registry addresses", () => {
    const text = fs.readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")
    expect(complete(JSON.parse(text) as Parameters<typeof complete>[0])).toEqual([])
    expect(text).not.toContain("\"resolved\"")
  })
})
