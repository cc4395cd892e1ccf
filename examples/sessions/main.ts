/**
 * The main job against Widget Session, whose server runs in a process of its own, so that it
 * survives a job that is killed.
 */
import { FileSystem, HttpClient } from "@effect/platform"
import { Console, Duration, Effect } from "effect"
import * as Report from "../jobs/report.js"
import { timing } from "../jobs/timing.js"
import * as Desk from "./desk.js"
import * as Job from "./job.js"
import { files } from "./settings.js"

export const main = (killAfter: number) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const lines = (yield* fs.readFileString(files.rows)).split("\n").filter((line) =>
      line.trim() !== ""
    )
    const { continued, url } = yield* Desk.find
    yield* Console.log(
      `Creating a session for each of ${lines.length} rows at ${url}${
        continued ? ", where an earlier run left off" : ""
      }`
    )

    let done = 0
    let attempts = 0
    const progress = Effect.suspend(() => {
      done++
      if (done === killAfter) process.kill(process.pid, "SIGKILL")
      return done % 40 === 0
        ? Console.log(`  ${done} of ${lines.length} rows, ${attempts} requests`)
        : Effect.void
    })
    const counting = Effect.map(
      HttpClient.HttpClient,
      HttpClient.tapRequest(() => Effect.sync(() => void attempts++))
    )
    const { clock, waitedSeconds } = yield* timing
    const [time, outcomes] = yield* Job.run(lines, url, { onOutcome: () => progress }).pipe(
      Effect.provideServiceEffect(HttpClient.HttpClient, counting),
      Effect.withClock(clock),
      Effect.timed
    )
    const server = { what: "sessions", ...yield* Desk.count(url) }
    yield* Desk.close(url)
    const unparsable = outcomes.filter((outcome) =>
      outcome._tag === "Failed" && outcome.tag === "Unparsable"
    ).length
    return yield* Report.print(outcomes, {
      calls: lines.length - unparsable,
      attempts,
      waitedSeconds: waitedSeconds(),
      seconds: Duration.toSeconds(time),
      server
    })
  })
