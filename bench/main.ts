/**
 * `npm run bench` runs every benchmark, `npm run bench -- retry` one. Exits with 1 when a gate is
 * missed. `--save` adds the ratios to `bench/history.ndjson`, `--history` prints what is there
 * instead of running anything.
 */
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { append, argumentsOf, type Figure, read, runOf, table } from "./history.js"

interface Bench {
  readonly run: () => Promise<boolean>
}

/** Loaded when the package is built, which they import as a user does. */
const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  retry: () => import("./retry.js"),
  breaker: () => import("./breaker.js"),
  keys: () => import("./keys.js"),
  timeout: () => import("./timeout.js"),
  pipeline: () => import("./pipeline.js"),
  telemetry: () => import("./telemetry.js"),
  http: () => import("./http.js"),
  imports: () => import("./imports.js"),
  idempotency: () => import("./idempotency.js"),
  fleet: () => import("./fleet.js"),
  simulation: () => import("./simulation.js")
}

const historyFile = fileURLToPath(new URL("history.ndjson", import.meta.url))

const { history, names, save } = argumentsOf(process.argv.slice(2))
const unknown = names.filter((name) => !Object.hasOwn(benches, name))
if (unknown.length > 0) {
  console.error(
    `No benchmark is called ${unknown.join(", ")}. There are: ${Object.keys(benches).join(", ")}`
  )
  process.exitCode = 2
} else if (history) {
  console.log(table(read(historyFile), names))
} else {
  execFileSync("npm", ["run", "--silent", "build"], { stdio: "inherit" })
  const { takeRecorded } = await import("./measure.js")
  const figures: Array<Figure> = []
  for (const [bench, load] of Object.entries(benches)) {
    if (names.length > 0 && !names.includes(bench)) continue
    const { run } = await load()
    if (!(await run())) process.exitCode = 1
    figures.push(...takeRecorded().map((figure) => ({ bench, ...figure })))
  }
  if (save) {
    append(historyFile, runOf(figures))
    console.log(`Saved ${figures.length} ratios in bench/history.ndjson`)
  }
}
