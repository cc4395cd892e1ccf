/**
 * Every store that outlives the process, over a server of its own.
 */
import { type IdempotencyStore } from "effect-resilience/IdempotencyStore"
import * as Redis from "effect-resilience/store/Redis"
import * as Sql from "effect-resilience/store/Sql"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Mariadb from "./mariadb.js"
import * as Postgres from "./postgres.js"
import { execute, type Server } from "./processes.js"
import * as RedisServer from "./redis.js"

export type Name = "PostgreSQL" | "Redis" | "MariaDB"

export interface Options {
  readonly secret?: string | undefined
  readonly previousSecrets?: ReadonlyArray<string> | undefined
  readonly timeSource?: "clock" | "store" | undefined
}

export interface Backend {
  readonly name: Name
  readonly isInstalled: boolean
  readonly start: () => Promise<Server>
  readonly layer: (port: () => number, options?: Options) => Layer.Layer<IdempotencyStore, unknown>
  /** All that is stored, as one text. */
  readonly dump: (port: number) => string
}

const secretOf = ({ secret = "secret", ...options }: Options = {}) => ({ secret, ...options })

const table = Sql.defaults.table

export const backends: Readonly<Record<Name, Backend>> = {
  PostgreSQL: {
    name: "PostgreSQL",
    isInstalled: Postgres.isInstalled,
    start: Postgres.startPostgres,
    layer: (port, options) =>
      Sql.layer(secretOf(options)).pipe(Layer.provide(Postgres.client(port))),
    dump: (port) => execute(["psql", "-At", Postgres.url(port), "-c", `SELECT * FROM ${table}`])
  },
  Redis: {
    name: "Redis",
    isInstalled: RedisServer.isInstalled,
    start: RedisServer.startRedis,
    layer: (port, options) =>
      Layer.unwrapEffect(
        Effect.sync(() => Redis.layer({ ...secretOf(options), url: RedisServer.url(port()) }))
      ),
    dump: (port) => {
      const cli = (...args: ReadonlyArray<string>) =>
        execute(["redis-cli", "-h", "127.0.0.1", "-p", String(port), ...args])
      return cli("keys", "*").split("\n").filter((key) => key !== "").map((key) =>
        `${key}\n${cli("hgetall", key)}`
      )
        .join("\n")
    }
  },
  MariaDB: {
    name: "MariaDB",
    isInstalled: Mariadb.isInstalled,
    start: Mariadb.startMariadb,
    layer: (port, options) =>
      Sql.layer(secretOf(options)).pipe(Layer.provide(Mariadb.client(port))),
    dump: (port) =>
      execute([
        "mariadb",
        "--no-defaults",
        "-h",
        "127.0.0.1",
        "-P",
        String(port),
        "-u",
        "tester",
        "test",
        "-N",
        "-e",
        `SELECT * FROM ${table}`
      ])
  }
}

export const all = Object.values(backends)
