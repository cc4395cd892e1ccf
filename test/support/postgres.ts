import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as fs from "node:fs"
import * as path from "node:path"
import { binary, execute, isRoot, passes, type Server, start } from "./processes.js"

const newest = (folder: string): ReadonlyArray<string> =>
  fs.existsSync(folder) ? fs.readdirSync(folder).sort((a, b) => Number(b) - Number(a)) : []

const folders = newest("/usr/lib/postgresql").map((version) => `/usr/lib/postgresql/${version}/bin`)

const server = binary("postgres", folders)

export const isInstalled = server !== undefined

/** The server refuses to run as root. */
const userOf = () =>
  isRoot
    ? {
      uid: Number(execute(["id", "-u", "postgres"])),
      gid: Number(execute(["id", "-g", "postgres"]))
    }
    : undefined

const tool = (name: string): string => path.join(path.dirname(server ?? ""), name)

export const startPostgres = (): Promise<Server> => {
  const user = userOf()
  return start({
    name: "postgres",
    user,
    prepare: (folder) => {
      const data = path.join(folder, "data")
      execute([
        tool("initdb"),
        "-D",
        data,
        "-U",
        "tester",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync"
      ], {
        user
      })
    },
    command: (folder, port) => [
      server ?? "",
      "-D",
      path.join(folder, "data"),
      "-k",
      folder,
      "-p",
      String(port),
      "-h",
      "127.0.0.1",
      "-c",
      "fsync=off",
      "-c",
      "max_connections=60",
      "-c",
      "shared_buffers=16MB"
    ],
    answers: (port) =>
      passes([tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", String(port), "-d", "postgres"])
  })
}

export const url = (port: number): string => `postgres://tester@127.0.0.1:${port}/postgres`

/** The port is known when the server runs. */
export const client = (port: () => number, options: Partial<PgClient.PgClientConfig> = {}) =>
  Layer.unwrapEffect(
    Effect.sync(() =>
      PgClient.layer({ url: Redacted.make(url(port())), maxConnections: 5, ...options })
    )
  )
