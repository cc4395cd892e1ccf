/**
 * The main job: creates a session for every row of examples/data/sessions.ndjson against a server that fails a third of the time, and then asks the
 * server how often it really did.
 *
 *     npm start                       the whole job
 *     npm start -- --kill-after 100   dies after a hundred rows; the next `npm start` finishes the rest
 */
import { FileSystem, HttpClient } from "@effect/platform"
import { NodeContext, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Console, Duration, Effect } from "effect"
import { parseArgs } from "node:util"
import * as Desk from "./sessions/desk.js"
import * as Job from "./sessions/job.js"
import * as Report from "./sessions/report.js"
import { files } from "./sessions/settings.js"

const program = Effect.gen(function*() {
  const { values } = parseArgs({ options: { "kill-after": { type: "string" } } })
  const fs = yield* FileSystem.FileSystem
  const lines = (yield* fs.readFileString(files.rows)).split("\n").filter((line) => line.trim() !== "")
  const { continued, url } = yield* Desk.find
  yield* Console.log(
    `Creating a session for each of ${lines.length} rows at ${url}${continued ? ", where an earlier run left off" : ""}`
  )

  let done = 0
  let attempts = 0
  const progress = Effect.suspend(() => {
    done++
    if (done === Number(values["kill-after"])) process.kill(process.pid, "SIGKILL")
    return done % 40 === 0 ? Console.log(`  ${done} of ${lines.length} rows, ${attempts} requests`) : Effect.void
  })
  const counting = Effect.map(
    HttpClient.HttpClient,
    HttpClient.tapRequest(() => Effect.sync(() => void attempts++))
  )
  const timing = yield* Job.timing
  const [time, outcomes] = yield* Job.run(lines, url, () => progress).pipe(
    Effect.provideServiceEffect(HttpClient.HttpClient, counting),
    Effect.withClock(timing.clock),
    Effect.timed
  )

  yield* Console.log(`\nRows that failed, by line number:\n${Report.failedRows(outcomes)}`)
  const server = yield* Desk.count(url)
  const figures = { attempts, waitedSeconds: timing.waitedSeconds(), seconds: Duration.toSeconds(time), server }
  const { right, sentence } = Report.verdict(outcomes, server)
  yield* Console.log(`\n${Report.summary(outcomes, figures)}\n\n${sentence}`)
  yield* Desk.close(url)
  if (!right) process.exitCode = 1
})

program.pipe(
  Effect.provide(NodeHttpClient.layerUndici),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain
)
