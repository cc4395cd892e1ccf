/**
 * A retry storm, and how it is stopped: `npx tsx examples/storm.ts`
 *
 * Forty calls a second go to a server that can do sixty. For five seconds eighty come. With plain
 * retries, the requests that time out are sent again, and the server never comes out from under
 * them. With the standard pipeline the circuit opens, the server gets its breath back, and the
 * calls go on.
 *
 * Both curves are drawn in examples/out/storm.svg.
 */
import { Effect, Schedule } from "effect"
import { Operation, Pipeline } from "effect-resilience"
import * as fs from "node:fs"
import { chart } from "./storm/chart.js"
import { curveOf, seconds, spike } from "./storm/simulation.js"

const file = new URL("./out/storm.svg", import.meta.url)

const mean = (counts: ReadonlyArray<number>, from: number, to: number): number =>
  counts.slice(from, to).reduce((sum, count) => sum + count, 0) / (to - from)

const program = Effect.gen(function*() {
  // What one writes by hand: a timeout for each attempt, and three tries.
  const plain = yield* curveOf((call) =>
    call.pipe(
      Effect.timeoutFail({ duration: "10 seconds", onTimeout: () => "too late" as const }),
      Effect.retry(Schedule.intersect(Schedule.exponential("200 millis"), Schedule.recurs(2)))
    )
  )
  const pipeline = yield* Pipeline.make({ ...Pipeline.standard, operation: Operation.read })
  const standard = yield* curveOf((call) => Pipeline.protect(call, pipeline))

  const phases = [["before the spike", 5, spike.from], [
    "after it, to the end",
    60,
    seconds
  ]] as const
  for (const [phase, from, to] of phases) {
    console.log(`answered calls a second, ${phase}:`)
    console.log(`  plain retries       ${mean(plain.succeeded, from, to).toFixed(1)}`)
    console.log(`  standard pipeline   ${mean(standard.succeeded, from, to).toFixed(1)}`)
  }
  const sent = (counts: ReadonlyArray<number>) => counts.reduce((sum, count) => sum + count, 0)
  console.log(
    `requests sent in all: plain ${sent(plain.requests)}, standard ${sent(standard.requests)}`
  )

  fs.mkdirSync(new URL(".", file), { recursive: true })
  fs.writeFileSync(
    file,
    chart({ plain: plain.succeeded, standard: standard.succeeded, spike, seconds })
  )
  console.log("drawn in examples/out/storm.svg")
})

await Effect.runPromise(program)
