/**
 * The main job split over several processes: `npm start -- --fleet 4`
 *
 * Widget Session has agreed to so many requests a second, from all of them together, and one circuit
 * guards it for all. The members share both through a Redis that this command starts. Without a
 * `redis-server` they run in this process, on a store in memory, and the command says so.
 */
import { FileSystem } from "@effect/platform"
import { Chunk, Console, Duration, Effect, Schema, Stream } from "effect"
import * as FleetStore from "effect-resilience/fleet/FleetStore"
import { spawn } from "node:child_process"
import * as readline from "node:readline"
import { fileURLToPath } from "node:url"
import * as RedisServer from "../../test/support/redis.js"
import * as Report from "../jobs/report.js"
import * as Desk from "./desk.js"
import * as Member from "./member.js"
import { agreed, files } from "./settings.js"

const memberFile = fileURLToPath(new URL("./memberProcess.ts", import.meta.url))

/** A member in a process of its own. What it says comes line by line. */
const inProcess = (part: Member.Part, redis: string): Stream.Stream<Member.Event, Error> =>
  Stream.asyncPush<string, Error>((emit) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(
          process.execPath,
          [...process.execArgv, memberFile, JSON.stringify({ ...part, redis })],
          { stdio: ["ignore", "pipe", "inherit"] }
        )
        const lines = readline.createInterface({ input: child.stdout })
        lines.on("line", (line) => emit.single(line))
        lines.on("close", () => emit.end())
        child.on("error", (error) => emit.fail(error))
        child.on("exit", (code) => {
          if (code !== 0) emit.fail(new Error(`Member ${part.member} ended with code ${code}`))
        })
        return child
      }),
      (child) => Effect.sync(() => child.kill())
    )
  ).pipe(
    Stream.mapEffect(Schema.decode(Schema.parseJson(Member.Event))),
    Stream.mapError((error) => error instanceof Error ? error : new Error(String(error)))
  )

/** The greatest number of moments within any stretch of this length. */
const mostWithin = (moments: ReadonlyArray<number>, millis: number): number => {
  const sorted = moments.toSorted((a, b) => a - b)
  let first = 0
  return sorted.reduce((most, moment, last) => {
    while ((sorted[first] ?? moment) <= moment - millis) first++
    return Math.max(most, last - first + 1)
  }, 0)
}

const row = (cells: ReadonlyArray<string | number>): string =>
  `  ${cells.map((cell, index) => String(cell).padStart(index === 0 ? 8 : 12)).join("")}`

const table = (events: ReadonlyArray<Member.Event>, of: number): string =>
  [
    row(["member", "rows", "requests", "openings"]),
    ...Array.from({ length: of }, (_, member) => {
      const its = events.filter((event) => event.member === member)
      const count = (tag: Member.Event["_tag"]) => its.filter((event) => event._tag === tag).length
      return row([member + 1, count("Row"), count("Request"), count("Opened")])
    })
  ].join("\n")

/** The members, and where they learn from each other. */
const membersOf = (url: string, of: number) => {
  const parts = Array.from({ length: of }, (_, member): Member.Part => ({ url, member, of }))
  if (!RedisServer.isInstalled) {
    return Stream.unwrap(Effect.as(
      Console.log("No redis-server is here: the members run in one process, on a store in memory."),
      Stream.mergeAll(parts.map(Member.events), { concurrency: "unbounded" }).pipe(
        Stream.provideLayer(FleetStore.layerMemory)
      )
    ))
  }
  const server = Effect.acquireRelease(
    Effect.promise(RedisServer.startRedis),
    (server) => Effect.promise(() => server.stop())
  )
  return Stream.unwrapScoped(
    Effect.map(server, ({ port }) =>
      Stream.mergeAll(
        parts.map((part) => inProcess(part, RedisServer.url(port))),
        {
          concurrency: "unbounded"
        }
      ))
  )
}

export const main = (of: number) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const lines = Member.linesOf(yield* fs.readFileString(files.rows))
    const { url } = yield* Desk.find
    yield* Console.log(
      `Creating a session for each of ${lines.length} rows at ${url}, by ${of} members that keep ` +
        `to ${agreed.limit} requests a second together`
    )
    let done = 0
    const [time, events] = yield* membersOf(url, of).pipe(
      Stream.tap((event) => {
        if (event._tag !== "Row" || ++done % 40 !== 0) return Effect.void
        return Console.log(`  ${done} of ${lines.length} rows`)
      }),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray),
      Effect.timed
    )
    const server = { what: "sessions", ...yield* Desk.count(url) }
    yield* Desk.close(url)
    yield* Console.log(`\n${table(events, of)}`)

    const outcomes = events.flatMap((event) => event._tag === "Row" ? [event.outcome] : [])
    const requests = events.flatMap((event) => event._tag === "Request" ? [event.at] : [])
    const most = mostWithin(requests, 1000)
    const bound = agreed.burst + agreed.limit * (1 + Duration.toSeconds(agreed.leaseTime))
    yield* Console.log(
      `\nThe most requests in one second, all members together: ${most} (at most ${bound}).`
    )
    const unparsable = outcomes.filter((outcome) =>
      outcome._tag === "Failed" && outcome.tag === "Unparsable"
    ).length
    const isRight = yield* Report.print(
      outcomes.toSorted((a, b) => a.line - b.line),
      {
        calls: lines.length - unparsable,
        attempts: requests.length,
        waitedSeconds: events.reduce(
          (sum, event) => sum + (event._tag === "Waited" ? event.seconds : 0),
          0
        ),
        seconds: Duration.toSeconds(time),
        server
      }
    )
    return isRight && most <= bound
  })
