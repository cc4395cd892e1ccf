/**
 * A retry storm, and how it is stopped: `npx tsx examples/storm.ts`
 *
 * Forty calls a second go to a server that can do sixty. For five seconds, eighty come. Plain
 * retries send each request that timed out again, and the server stays overloaded. The pipeline
 * opens its circuit, the server finishes its work, and a trial closes the circuit.
 *
 * Both curves are drawn in examples/out/storm.svg.
 */
import { Effect, Schedule } from "effect"
import { CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as fs from "node:fs"
import { chart } from "./storm/chart.js"
import { curveOf, seconds, spike } from "./storm/simulation.js"

const file = new URL("./out/storm.svg", import.meta.url)

const mean = (counts: ReadonlyArray<number>, from: number, to: number): number =>
  counts.slice(from, to).reduce((sum, count) => sum + count, 0) / (to - from)

const program = Effect.gen(function*() {
  // A timeout for each attempt and three tries, as programs have them.
  const plain = yield* curveOf((call) =>
    call.pipe(
      Effect.timeoutFail({ duration: "2 seconds", onTimeout: () => "too late" as const }),
      Effect.retry(Schedule.intersect(Schedule.exponential("200 millis"), Schedule.recurs(2)))
    )
  )

  const circuitBreaker = yield* CircuitBreaker.make({
    slowCall: { duration: "1 second", rate: 0.6 },
    openDuration: "5 seconds"
  })
  const pipeline = yield* Pipeline.make({
    ...Pipeline.standard,
    operation: Operation.read,
    attemptTimeout: "2 seconds",
    circuitBreaker
  })
  const guarded = yield* curveOf(
    (call) => Pipeline.protect(call, pipeline),
    circuitBreaker.transitions
  )

  const phases = [
    ["before the spike", 5, spike.from],
    ["in the last 20 seconds", seconds - 20, seconds]
  ] as const
  for (const [phase, from, to] of phases) {
    console.log(`answered calls a second, ${phase}:`)
    console.log(`  plain retries   ${mean(plain.succeeded, from, to).toFixed(1)}`)
    console.log(`  pipeline        ${mean(guarded.succeeded, from, to).toFixed(1)}`)
  }
  for (const { at, from, to } of guarded.transitions) {
    console.log(`second ${Math.floor(at / 1000)}: the circuit goes from ${from} to ${to}`)
  }
  const sent = (counts: ReadonlyArray<number>) => counts.reduce((sum, count) => sum + count, 0)
  console.log(
    `requests sent in all: plain ${sent(plain.requests)}, pipeline ${sent(guarded.requests)}`
  )

  fs.mkdirSync(new URL(".", file), { recursive: true })
  fs.writeFileSync(file, chart({ plain, guarded, spike, seconds }))
  console.log("drawn in examples/out/storm.svg")
})

await Effect.runPromise(program)
