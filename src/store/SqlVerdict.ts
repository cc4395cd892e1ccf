/**
 * Says which errors of a SQL database another try may mend, for `Retry` and for pipelines.
 *
 * A `SqlError` holds whatever its driver threw, and only the code in there tells a deadlock, which
 * the database has rolled back, from a unique violation, which fails again, and from a connection
 * that was lost in the middle of a statement, which may have been committed. This module knows the
 * codes of PostgreSQL, MySQL, MariaDB and SQLite.
 *
 * @since 0.1.0
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as ApiError from "../errors/ApiError.js"
import * as Verdict from "../errors/Verdict.js"
import { type Kind, kindOf } from "./sqlErrors.js"

const verdicts: Readonly<Record<Kind, Verdict.Verdict>> = {
  conflict: Verdict.transient({ ambiguous: false }),
  refused: Verdict.transient({ ambiguous: false }),
  lost: Verdict.transient({ ambiguous: true }),
  final: Verdict.terminal
}

/**
 * Says what an error of a SQL database means for the next step: `Retry.retry({ verdict })`, or
 * `retry: { verdict }` of a pipeline.
 *
 * **Details**
 *
 * The first error that has a code which is known decides: the error itself or one of its causes, at
 * most ten deep. O(depth).
 *
 * - Conflicts are transient and were not executed. PostgreSQL: 40000, 40001, 40P01, 55P03, 55006.
 *   MySQL and MariaDB: 1213, 1205, 1020, 1613, 1614, 3101, 3572. SQLite: `BUSY` and `LOCKED` with
 *   all extended codes, `ABORT_ROLLBACK`.
 * - What the server could not take now is transient and was not executed. PostgreSQL: 08001, 08004,
 *   25006 (read-only), 25P03, 53000 to 53400, 57P03, 57P05, 58000, 58030. MySQL and MariaDB: 1021,
 *   1037, 1040, 1041, 1135, 1203, 1206, 1226, 1637, 1836, 2002, 2003, 4031, 1290 about read-only,
 *   1047 about WSREP. SQLite: `FULL`, `NOMEM`, `PROTOCOL`, `SCHEMA`.
 * - Where the server or the connection went away it is transient and ambiguous: it may have been
 *   committed. PostgreSQL: 08000, 08003, 08006, 08007, 40003, 57P01, 57P02. MySQL and MariaDB:
 *   1053, 1077, 1079, 1080, 1152, 1158 to 1161, 1180, 1184, 1927, 2006, 2013, 2055. SQLite: `IOERR`
 *   with all extended codes.
 * - Every other code of a database is terminal.
 * - A connection that could not be made (`ECONNREFUSED`, a pool's time limit) is transient and not
 *   executed; one that broke (`ECONNRESET`, `Connection terminated unexpectedly`) is ambiguous; a
 *   certificate that does not hold is terminal.
 * - A statement that was cancelled or ran out of time (57014, 1317, 1969, 3024) is terminal: it
 *   would take as long again.
 * - An error that is none of a database is judged by `ApiError.verdict`: guards around the call
 *   keep their rejections, and what is unknown is terminal.
 *
 * **Gotchas**
 *
 * - The verdict is about the statement that failed, or the transaction around it. Put the retry
 *   around the whole transaction. After a deadlock or a serialization failure nothing is left of it
 *   on the server, so a retry inside would run the rest outside of any transaction.
 * - MySQL and MariaDB roll back only the statement after a lock wait timeout (1205), unless
 *   `innodb_rollback_on_timeout` is on. The locks of the transaction stay until it ends.
 *   `withTransaction` rolls back whatever fails inside of it.
 * - `withTransaction` makes a defect of a `COMMIT` or `ROLLBACK` that fails, and a retry does not
 *   see defects. Put {@link failures} between the two.
 * - An ambiguous failure is repeated for `read`, `idempotent` and `keyed` operations and not for
 *   `once`. An `INSERT` with a primary key of the program's own is idempotent: when it was
 *   committed, its repeat is a unique violation.
 *
 * **Example** (A transfer that is repeated after a deadlock)
 *
 * ```ts
 * import { SqlError } from "@effect/sql/SqlError"
 * import { Effect } from "effect"
 * import { Backoff, Operation, Retry } from "effect-resilience"
 * import * as SqlVerdict from "effect-resilience/store/SqlVerdict"
 *
 * const deadlock = Object.assign(new Error("deadlock detected"), { code: "40P01" })
 *
 * let transfers = 0
 * const transfer = Effect.suspend(() =>
 *   ++transfers === 1
 *     ? Effect.fail(new SqlError({ cause: deadlock, message: "Failed to execute statement" }))
 *     : Effect.succeed("transferred")
 * )
 *
 * const program = transfer.pipe( // in a program: sql.withTransaction(transfer)
 *   SqlVerdict.failures,
 *   Retry.retry({
 *     operation: Operation.once,
 *     backoff: Backoff.constant("1 millis"),
 *     verdict: SqlVerdict.verdict
 *   })
 * )
 *
 * await Effect.runPromise(program) // => "transferred"
 * ```
 *
 * @since 0.1.0
 * @category verdicts
 */
export const verdict = (error: unknown): Verdict.Verdict => {
  const judged = ApiError.verdict(error)
  if (judged._tag !== "Terminal" || ApiError.isApiError(error)) return judged
  const kind = kindOf(error)
  return kind === undefined ? judged : verdicts[kind]
}

const isSqlError = (u: unknown): u is SqlError =>
  hasProperty(u, Symbol.for("@effect/sql/SqlError")) && hasProperty(u, "_tag") &&
  u._tag === "SqlError"

/**
 * Makes failures of the defects that `withTransaction` makes of a `COMMIT` or `ROLLBACK` that
 * fails: a serialization failure at the commit, a connection that was lost before the rollback. Put
 * it between the transaction and the retry. Other defects stay defects.
 *
 * @since 0.1.0
 * @category combinators
 */
export const failures = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError, R> =>
  Effect.catchSomeDefect(
    self,
    (defect): Option.Option<Effect.Effect<never, SqlError>> =>
      isSqlError(defect) ? Option.some(Effect.fail(defect)) : Option.none()
  )
