/**
 * Classifies the errors of databases: the codes of PostgreSQL, MySQL, MariaDB and SQLite, and the
 * words of their drivers. The store and `SqlVerdict` share one table for each.
 *
 * - `conflict`: two transactions of which the database let one win, or a lock that is not free.
 *   Nothing was committed.
 * - `refused`: the server could not take the statement now: too many connections, no memory, just
 *   starting, read-only. Nothing was committed.
 * - `lost`: the connection or the server went away. The statement may have been committed.
 * - `final`: the same statement would fail the same way.
 */
import { read } from "../core/transportError.js"

export type Kind = "conflict" | "refused" | "lost" | "final"

const table = <Code>(
  kinds: Readonly<Partial<Record<Kind, ReadonlyArray<Code>>>>
): ReadonlyMap<Code, Kind> => {
  const { conflict = [], final = [], lost = [], refused = [] } = kinds
  return new Map([
    ...conflict.map((code) => [code, "conflict"] as const),
    ...refused.map((code) => [code, "refused"] as const),
    ...lost.map((code) => [code, "lost"] as const),
    ...final.map((code) => [code, "final"] as const)
  ])
}

/** PostgreSQL, by SQLSTATE (appendix A of its manual). */
const sqlStates = table<string>({
  conflict: [
    "40000", // transaction_rollback
    "40001", // serialization_failure
    "40P01", // deadlock_detected
    "55006", // object_in_use
    "55P03" // lock_not_available
  ],
  refused: [
    "08001", // sqlclient_unable_to_establish_sqlconnection
    "08004", // sqlserver_rejected_establishment_of_sqlconnection
    "25006", // read_only_sql_transaction: a primary that has become a standby
    "25P03", // idle_in_transaction_session_timeout: rolled back
    "53000", // insufficient_resources
    "53100", // disk_full
    "53200", // out_of_memory
    "53300", // too_many_connections
    "53400", // configuration_limit_exceeded
    "57P03", // cannot_connect_now
    "57P05", // idle_session_timeout: there was no transaction
    "58000", // system_error
    "58030" // io_error
  ],
  lost: [
    "08000", // connection_exception
    "08003", // connection_does_not_exist
    "08006", // connection_failure
    "08007", // transaction_resolution_unknown
    "40003", // statement_completion_unknown
    "57P01", // admin_shutdown: it can come between a commit and its answer
    "57P02" // crash_shutdown
  ]
})

/** MySQL and MariaDB, by error number. */
const errorNumbers = table<number>({
  conflict: [
    1020, // ER_CHECKREAD: the row was changed since it was read (MariaDB)
    1205, // ER_LOCK_WAIT_TIMEOUT
    1213, // ER_LOCK_DEADLOCK
    1613, // ER_XA_RBTIMEOUT
    1614, // ER_XA_RBDEADLOCK
    3101, // ER_TRANSACTION_ROLLBACK_DURING_COMMIT: group replication chose another
    3572 // ER_LOCK_NOWAIT
  ],
  refused: [
    1021, // ER_DISK_FULL
    1037, // ER_OUTOFMEMORY
    1040, // ER_CON_COUNT_ERROR: too many connections
    1041, // ER_OUT_OF_RESOURCES
    1135, // ER_CANT_CREATE_THREAD
    1203, // ER_TOO_MANY_USER_CONNECTIONS
    1206, // ER_LOCK_TABLE_FULL
    1226, // ER_USER_LIMIT_REACHED
    1637, // ER_TOO_MANY_CONCURRENT_TRXS
    1836, // ER_READ_ONLY_MODE
    2002, // CR_CONNECTION_ERROR
    2003, // CR_CONN_HOST_ERROR
    4031 // ER_CLIENT_INTERACTION_TIMEOUT: the connection was idle
  ],
  lost: [
    1053, // ER_SERVER_SHUTDOWN
    1077, // ER_NORMAL_SHUTDOWN
    1079, // ER_SHUTDOWN_COMPLETE
    1080, // ER_FORCING_CLOSE
    1152, // ER_ABORTING_CONNECTION
    1158, // ER_NET_READ_ERROR
    1159, // ER_NET_READ_INTERRUPTED
    1160, // ER_NET_ERROR_ON_WRITE
    1161, // ER_NET_WRITE_INTERRUPTED
    1180, // ER_ERROR_DURING_COMMIT
    1184, // ER_NEW_ABORTING_CONNECTION
    1927, // ER_CONNECTION_KILLED (MariaDB)
    2006, // CR_SERVER_GONE_ERROR
    2013, // CR_SERVER_LOST
    2055 // CR_SERVER_LOST_EXTENDED
  ]
})

/**
 * MySQL: numbers that stand for many things, of which these are transient. 1290 names the option
 * that forbids the statement; 1047 is any unknown command, and a Galera node that is not ready.
 */
const wordedNumbers: ReadonlyMap<number, RegExp> = new Map([
  [1290, /read[-_ ]only/i],
  [1047, /wsrep/i]
])

/** SQLite, by primary code. */
const primaryCodes = table<string>({
  conflict: ["BUSY", "LOCKED"],
  refused: ["FULL", "NOMEM", "PROTOCOL", "SCHEMA"],
  // An error of the disk while a commit is written: what is on it is not known.
  lost: ["IOERR"]
})

const primaryNumbers = table<number>({
  conflict: [5, 6],
  refused: [13, 7, 15, 17],
  lost: [10]
})

/** SQLite: extended codes that mean something else than their primary code. */
const extendedCodes: ReadonlyMap<string | number, Kind> = new Map<string | number, Kind>([
  ["ABORT_ROLLBACK", "conflict"],
  [516, "conflict"]
])

/** Codes of the operating system and of drivers for a connection that went away. */
const lostConnections: ReadonlySet<string> = new Set([
  "EPIPE",
  "ECONNABORTED",
  "ECONNRESET",
  "ENETRESET",
  "ENOTCONN",
  "ESHUTDOWN",
  "ETIMEDOUT",
  "PROTOCOL_CONNECTION_LOST",
  "HRANA_CLOSED_ERROR",
  "HRANA_WEBSOCKET_ERROR"
])

/** What drivers say without a code (`pg`, `pg-pool`, `mysql2`), word for word. */
const sentences: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["timeout expired", "refused"],
  ["timeout exceeded when trying to connect", "refused"],
  ["Connection terminated due to connection timeout", "refused"],
  ["Client has encountered a connection error and is not queryable", "refused"],
  ["Can't add new command when connection is in closed state", "refused"],
  ["Queue limit reached.", "refused"],
  ["No connections available.", "refused"],
  ["Connection terminated", "lost"],
  ["Connection terminated unexpectedly", "lost"],
  ["Query read timeout", "lost"]
])

type Fields = Readonly<Record<string, unknown>>

const sqliteKind = (code: string): Kind => {
  const name = code.slice("SQLITE_".length)
  const [primary = ""] = name.split("_")
  return extendedCodes.get(name) ?? primaryCodes.get(primary) ?? "final"
}

const sqliteKindOfNumber = (code: number): Kind =>
  extendedCodes.get(code) ?? primaryNumbers.get(code & 0xff) ?? "final"

const mysqlKind = (number: number, message: unknown): Kind =>
  errorNumbers.get(number) ??
    (wordedNumbers.get(number)?.test(String(message)) === true ? "refused" : "final")

/** A failure of the network, by the code of the system or of the driver. */
const networkKind = (error: Fields, code: string): Kind | undefined => {
  const { permanent, sent } = read({ code })
  if (permanent) return "final"
  // Nothing has been sent while the client still connects.
  if (error["syscall"] === "connect" || sent === "no") return "refused"
  return lostConnections.has(code) ? "lost" : undefined
}

/** What one error says by itself; undefined where it says nothing that is known here. */
const kindOfOne = (error: Fields): Kind | undefined => {
  const { code, errcode, errno, message, rawCode } = error
  if (typeof code === "string" && code.startsWith("SQLITE_")) return sqliteKind(code)
  // node:sqlite has one code for everything, and the number beside it.
  const raw = rawCode ?? errcode
  if (typeof raw === "number") return sqliteKindOfNumber(raw)
  if (typeof errno === "number" && errno >= 1000) return mysqlKind(errno, message)
  if (typeof code === "string") {
    const network = networkKind(error, code)
    if (network !== undefined) return network
    // `severity` is how the protocol of PostgreSQL marks an error of the server.
    if (/^[0-9A-Z]{5}$/.test(code)) {
      const known = sqlStates.get(code)
      if (known !== undefined || "severity" in error) return known ?? "final"
    }
  }
  return typeof message === "string" ? sentences.get(message) : undefined
}

/** How deep a driver hides the error of the database. */
const deepestCause = 10

/**
 * Classifies an error by the first error with a known code: the error itself or one of its causes,
 * at most ten deep. Undefined for an error that is not of a database. O(depth).
 */
export const kindOf = (error: unknown, depth = 0): Kind | undefined => {
  if (typeof error !== "object" || error === null || depth > deepestCause) return undefined
  const fields = error as Fields
  return kindOfOne(fields) ?? kindOf(fields["cause"], depth + 1)
}
