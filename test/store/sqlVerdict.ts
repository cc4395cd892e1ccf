/** What the tests of the verdicts share: failures of real databases, in words. */
import { SqlError } from "@effect/sql/SqlError"
import { Cause, Effect, Exit } from "effect"
import type { Verdict } from "effect-resilience"
import * as SqlVerdict from "effect-resilience/store/SqlVerdict"

/** A verdict in one word. */
export const wordOf = (verdict: Verdict.Verdict): string =>
  verdict._tag === "Transient" && verdict.ambiguous ? "Ambiguous" : verdict._tag

/** The code that the driver gave the innermost error that has one. */
export const codeOf = (error: unknown): unknown => {
  if (typeof error !== "object" || error === null) return undefined
  const { cause, code, errno } = error as Readonly<Record<string, unknown>>
  return codeOf(cause) ?? (typeof errno === "number" && errno > 0 ? errno : code)
}

/** How an effect failed: the code of the database, and the verdict in one word. */
export const judged = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<readonly [unknown, string], never, R> =>
  Effect.map(Effect.exit(SqlVerdict.failures(self)), (exit) => {
    if (Exit.isSuccess(exit)) return ["succeeded", "succeeded"] as const
    const error = Cause.squash(exit.cause)
    return [codeOf(error), wordOf(SqlVerdict.verdict(error))] as const
  })

export const sqlError = (cause: unknown): SqlError =>
  new SqlError({ cause, message: "Failed to execute statement" })
