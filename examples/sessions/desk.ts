/** The server's own desk: finding it, starting it, asking what it did, closing it. */
import { FileSystem, HttpClient, HttpClientRequest } from "@effect/platform"
import { Effect, Option, Schema } from "effect"
import { spawn } from "node:child_process"
import * as readline from "node:readline/promises"
import { files } from "./settings.js"

const Count = Schema.Struct({ created: Schema.Number, twice: Schema.Number })
const Address = Schema.parseJson(Schema.Struct({ url: Schema.String }))

/**
 * How many sessions the server has created, and how many of them for a key that had one already.
 */
export const count = (url: string) =>
  HttpClient.get(`${url}/desk/count`).pipe(
    Effect.flatMap((response) => response.json),
    Effect.flatMap(Schema.decodeUnknown(Count))
  )

export const close = (url: string) =>
  HttpClient.execute(HttpClientRequest.post(`${url}/desk/close`))

/** The server that an earlier run left behind, if it still answers. */
const running = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const { url } = yield* Effect.flatMap(fs.readFileString(files.address), Schema.decode(Address))
  yield* count(url)
  return url
}).pipe(Effect.option)

/**
 * A server in a process of its own, which outlives this one. Its first line says where it listens.
 */
const start = Effect.tryPromise(async () => {
  const child = spawn(process.execPath, [...process.execArgv, files.server], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"]
  })
  const lines = readline.createInterface({ input: child.stdout })
  const url = await new Promise<string>((resolve, reject) => {
    lines.once("line", resolve)
    child.once("exit", (code) => reject(new Error(`The server did not start (exit code ${code})`)))
  })
  lines.close()
  child.stdout.destroy()
  child.unref()
  return url
})

/** Where the server is, and whether an earlier run left it there. */
export const find = Effect.flatMap(running, (found) =>
  Option.isSome(found)
    ? Effect.succeed({ url: found.value, continued: true })
    : Effect.map(start, (url) => ({ url, continued: false })))
