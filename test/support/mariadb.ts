import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as fs from "node:fs"
import * as path from "node:path"
import { binary, execute, isRoot, passes, type Server, start } from "./processes.js"

const server = binary("mariadbd")

const install = binary("mariadb-install-db")

const admin = binary("mariadb-admin")

export const isInstalled = server !== undefined && install !== undefined && admin !== undefined

const asRoot = isRoot ? ["--user=root"] : []

const account =
  "CREATE DATABASE IF NOT EXISTS test;\nCREATE USER IF NOT EXISTS tester@'%';\nGRANT ALL ON *.* TO tester@'%';\n"

export const startMariadb = (): Promise<Server> =>
  start({
    name: "mariadb",
    prepare: (folder) => {
      fs.writeFileSync(path.join(folder, "account.sql"), account)
      execute([
        install ?? "",
        "--no-defaults",
        ...asRoot,
        `--datadir=${path.join(folder, "data")}`,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--innodb-log-file-size=4M",
        "--innodb-flush-method=nosync"
      ])
    },
    command: (folder, port) => [
      server ?? "",
      "--no-defaults",
      ...asRoot,
      `--datadir=${path.join(folder, "data")}`,
      `--socket=${path.join(folder, "socket")}`,
      `--pid-file=${path.join(folder, "pid")}`,
      `--init-file=${path.join(folder, "account.sql")}`,
      `--port=${port}`,
      "--bind-address=127.0.0.1",
      // Connections that are cut during their handshake would block the address after a hundred.
      "--max-connect-errors=1000000",
      // One that is cut while it waits for a lock is not noticed before this many seconds.
      "--innodb-lock-wait-timeout=5",
      "--max-connections=1000",
      "--innodb-log-file-size=4M",
      "--innodb-flush-log-at-trx-commit=0",
      "--innodb-flush-method=nosync",
      "--innodb-buffer-pool-size=16M"
    ],
    answers: (port) =>
      passes([
        admin ?? "",
        "--no-defaults",
        "-h",
        "127.0.0.1",
        "-P",
        String(port),
        "-u",
        "tester",
        "--connect-timeout=1",
        "ping"
      ])
  })

/** The port is known when the server runs. */
export const client = (port: () => number) =>
  Layer.unwrapEffect(
    Effect.sync(() =>
      MysqlClient.layer({
        url: Redacted.make(`mysql://tester@127.0.0.1:${port()}/test`),
        maxConnections: 5
      })
    )
  )
