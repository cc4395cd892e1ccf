/**
 * A pipeline from a configuration file, what it says in the worst case, and what a wrong one is
 * refused for: `npx tsx examples/pipeline-from-json.ts`
 */
import { Effect, Schema } from "effect"
import { Operation, Pipeline } from "effect-resilience"
import { ArrayFormatter } from "effect/ParseResult"
import * as fs from "node:fs"

const json: unknown = JSON.parse(
  fs.readFileSync(new URL("./data/pipeline.json", import.meta.url), "utf8")
)

const wrong: ReadonlyArray<unknown> = [
  { totalTimeout: "5 seconds", attemptTimeout: "10 seconds" },
  { bulkhead: { concurrency: 4, queue: -1 } },
  { retry: { retires: 3 } }
]

const program = Effect.gen(function*() {
  const stages = yield* Schema.decodeUnknown(Pipeline.Spec)(json)
  console.log(Pipeline.describe(stages).text)

  const pipeline = yield* Pipeline.fromConfig(json, { operation: Operation.read })
  console.log(`a call through it: ${yield* Pipeline.protect(Effect.succeed("answered"), pipeline)}`)

  for (const config of wrong) {
    const error = yield* Effect.flip(Pipeline.fromConfig(config, { operation: Operation.read }))
    const [issue] = ArrayFormatter.formatErrorSync(error)
    console.log(`refused at ${issue?.path.join(".")}: ${issue?.message}`)
  }
})

await Effect.runPromise(program)
