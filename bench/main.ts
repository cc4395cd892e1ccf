/**
 * `npm run bench` runs every benchmark, `npm run bench -- retry` one. Exits with 1 when a gate is
 * missed.
 */
import * as Breaker from "./breaker.js"
import * as Keys from "./keys.js"
import * as Pipeline from "./pipeline.js"
import * as Retry from "./retry.js"
import * as Telemetry from "./telemetry.js"
import * as Timeout from "./timeout.js"

const benches: Readonly<Record<string, () => Promise<boolean>>> = {
  retry: Retry.run,
  breaker: Breaker.run,
  keys: Keys.run,
  timeout: Timeout.run,
  pipeline: Pipeline.run,
  telemetry: Telemetry.run
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !Object.hasOwn(benches, name))
if (unknown.length > 0) {
  console.error(
    `No benchmark is called ${unknown.join(", ")}. There are: ${Object.keys(benches).join(", ")}`
  )
  process.exitCode = 2
} else {
  for (const [name, run] of Object.entries(benches)) {
    if ((asked.length === 0 || asked.includes(name)) && !(await run())) process.exitCode = 1
  }
}
