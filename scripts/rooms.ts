/**
 * The rooms of `src`, from the ground up, and what each may import.
 *
 * The rules themselves are oxlint's: this script writes them into `.oxlintrc.json`, one override
 * for each room, so that the order stands in one place. It also prints the graph of imports by
 * room, which is how a reader sees that no arrow runs back.
 *
 * Usage: `tsx scripts/rooms.ts [--write] [root]`. Exits with 1 when the overrides are out of date,
 * when a folder of `src` is no room, when an arrow runs back up, or when code reads the wall clock
 * through `new Date()`, for which oxlint has no rule.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

/** The floors, lowest first. Rooms of one floor stand beside each other and import none of it. */
export const floors: ReadonlyArray<ReadonlyArray<string>> = [
  ["core"],
  ["runtime"],
  ["errors"],
  ["idempotency"],
  ["retry", "store"],
  ["policies"],
  ["jobs", "fleet"],
  ["observability"],
  ["pipeline"],
  ["simulation"],
  ["http", "testing"],
  ["api"],
  ["report"],
  ["cli"]
]

const rooms = floors.flat()

/** Rooms that a file of this room may not import. */
const forbidden = (room: string): ReadonlyArray<string> => {
  const floor = floors.findIndex((names) => names.includes(room))
  return floors.slice(floor).flat().filter((name) => name !== room)
}

// -----------------------------------------------------------------------------
// oxlint's overrides
// -----------------------------------------------------------------------------

interface Pattern {
  readonly regex: string
  readonly message: string
}

const always: ReadonlyArray<Pattern> = [
  { regex: "^effect-resilience", message: "src imports its own files by relative path." },
  { regex: "^effect$", message: "src imports the modules of effect one by one." }
]

const platformNode: Pattern = {
  regex: "^@effect/platform-node",
  message: "Only src/testing/FlakyApi.ts, its parts and cli/ may import the optional peer."
}

const noSchema: Pattern = {
  regex: "^effect/Schema$",
  message: "Guards and rejections use Data.TaggedError, not Schema."
}

const above = (room: string): ReadonlyArray<Pattern> => {
  const names = forbidden(room)
  if (names.length === 0) return []
  const message = `${room}/ may import only rooms below it.`
  return [{ regex: `^(\\.\\./)+(${names.join("|")}|index\\.js)(/|$)`, message }]
}

const publicOnly = (depth: number): Pattern => ({
  regex: `^(\\.\\./){${depth}}[a-z]+/(.*/)?[a-z][^/]*$`,
  message: "Vendors import public modules only."
})

/** Globals that read the clock, draw, or wait, and what to use in their place. */
const clockGlobals = ["setTimeout", "setInterval", "setImmediate", "performance"]

const coreGlobals = [...clockGlobals, "process", "crypto", "queueMicrotask", "fetch", "console"]

const globalsRule = (names: ReadonlyArray<string>, message: string) => [
  "error",
  ...names.map((name) => ({ name, message }))
]

const propertiesRule = [
  "error",
  ...[
    ["Date", "now"],
    ["Math", "random"],
    ...[...coreGlobals, "Date"].map((name) => ["globalThis", name] as const)
  ].map(([object, property]) => ({
    object,
    property,
    message: "Use effect's Clock and Random, or take the value as an argument."
  }))
]

/** The only module that may arm a timer itself: it is on the path of every call with a deadline. */
const timerOwner = "src/runtime/timer.ts"

interface Override {
  readonly files: ReadonlyArray<string>
  readonly rules: Readonly<Record<string, unknown>>
}

const restrict = (files: ReadonlyArray<string>, patterns: ReadonlyArray<Pattern>): Override => ({
  files,
  rules: { "eslint/no-restricted-imports": ["error", { patterns }] }
})

/** Later overrides take the place of earlier ones, so each is complete. */
export const overrides = (): ReadonlyArray<Override> => [
  {
    files: ["src/**"],
    rules: {
      "import/no-cycle": ["error", { ignoreTypes: false }],
      "eslint/no-restricted-globals": globalsRule(
        clockGlobals,
        "Use effect's Clock, and its sleep, instead."
      ),
      "eslint/no-restricted-properties": propertiesRule
    }
  },
  {
    files: ["src/core/**"],
    rules: {
      "eslint/no-restricted-globals": globalsRule(
        coreGlobals,
        "core/ takes time and randomness as arguments."
      ),
      "eslint/no-restricted-imports": ["error", {
        patterns: [{ regex: "^([^.]|\\.\\.)", message: "core/ imports only core/." }]
      }]
    }
  },
  ...rooms.filter((room) => room !== "core").map((room) =>
    restrict([`src/${room}/**`], [...always, platformNode, ...above(room)])
  ),
  restrict(["src/policies/*.ts"], [...always, platformNode, noSchema, ...above("policies")]),
  restrict(["src/errors/Rejection.ts"], [...always, platformNode, noSchema, ...above("errors")]),
  restrict(["src/testing/FlakyApi.ts", "src/testing/flakyApi/*.ts"], [
    ...always,
    ...above("testing")
  ]),
  restrict(["src/cli/**"], [...always, ...above("cli")]),
  restrict(["src/api/*.ts"], [...always, platformNode, ...above("api"), publicOnly(1)]),
  restrict(["src/api/*/*.ts"], [...always, platformNode, ...above("api"), publicOnly(2)]),
  { files: [timerOwner], rules: { "eslint/no-restricted-globals": "off" } }
]

// -----------------------------------------------------------------------------
// the graph
// -----------------------------------------------------------------------------

/** One import that crosses from a room to another. */
export interface Arrow {
  readonly from: string
  readonly to: string
  readonly file: string
  readonly specifier: string
}

const filesOf = (src: string): ReadonlyArray<string> =>
  fs.readdirSync(src, { recursive: true, encoding: "utf8" })
    .map((name) => name.split(path.sep).join("/"))
    .filter((name) => name.endsWith(".ts"))
    .sort()

const roomOf = (file: string): string => file.includes("/") ? file.split("/")[0]! : "index"

const specifiersOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/(?:\bfrom|\bimport|\bimport\(|\brequire\()\s*"(\.[^"]+)"/g)].map(([, name]) =>
    name!
  )

/** Every import between two rooms, as text: types, re-exports and dynamic imports included. */
export const arrows = (src: string): ReadonlyArray<Arrow> =>
  filesOf(src).flatMap((file) =>
    specifiersOf(fs.readFileSync(path.join(src, file), "utf8")).flatMap((specifier) => {
      const from = roomOf(file)
      const to = roomOf(path.posix.join(path.posix.dirname(file), specifier))
      return from === to ? [] : [{ from, to, file, specifier }]
    })
  )

/** One line for each room, the highest first: what it imports, and how often. */
export const graph = (found: ReadonlyArray<Arrow>): string =>
  ["index", ...[...rooms].reverse()].map((room) => {
    const counts = [...rooms].reverse().flatMap((to) => {
      const count = found.filter((arrow) => arrow.from === room && arrow.to === to).length
      return count === 0 ? [] : [`${to} ${count}`]
    })
    return `  ${room.padEnd(13)} -> ${counts.length === 0 ? "nothing" : counts.join(", ")}`
  }).join("\n")

/** One sentence for each thing that stands where it may not. */
export const problems = (root: string): ReadonlyArray<string> => {
  const src = path.join(root, "src")
  const files = filesOf(src)
  const strangers = [...new Set(files.map(roomOf))].filter((room) =>
    room !== "index" && !rooms.includes(room)
  )
  const config = JSON.parse(fs.readFileSync(path.join(root, ".oxlintrc.json"), "utf8")) as {
    readonly overrides?: unknown
  }
  return [
    ...strangers.map((room) => `src/${room} is no room: name it in scripts/rooms.ts`),
    ...files.filter((file) => !file.includes("/") && file !== "index.ts")
      .map((file) => `src/${file} stands in no room`),
    ...arrows(src).filter(({ from, to }) => from !== "index" && forbidden(from).includes(to))
      .map(({ file, from, specifier, to }) =>
        `src/${file}: ${from}/ may not import ${to}/ ("${specifier}")`
      ),
    ...files.flatMap((file) =>
      fs.readFileSync(path.join(src, file), "utf8").split("\n").flatMap((line, index) =>
        /\bnew Date\(\s*\)|(?<!\bnew )\bDate\(/.test(line) && !/^\s*(\*|\/\/)/.test(line)
          ? [`src/${file}:${index + 1}: use effect's Clock instead of the present Date`]
          : []
      )
    ),
    ...(JSON.stringify(config.overrides) === JSON.stringify(overrides())
      ? []
      : [".oxlintrc.json is out of date: run `tsx scripts/rooms.ts --write`"])
  ]
}

const write = (root: string): void => {
  const file = path.join(root, ".oxlintrc.json")
  const config = JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, unknown>
  config["overrides"] = overrides()
  fs.writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2)
  const root = path.resolve(
    args.find((arg) => !arg.startsWith("--")) ?? fileURLToPath(new URL("..", import.meta.url))
  )
  if (args.includes("--write")) write(root)
  console.log(
    `rooms: who imports whom, the highest first\n${graph(arrows(path.join(root, "src")))}`
  )
  const found = problems(root)
  for (const problem of found) console.error(`rooms: ${problem}`)
  if (found.length > 0) process.exitCode = 1
  else console.log("rooms: no arrow runs back")
}
