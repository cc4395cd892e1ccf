import { Effect, Metric } from "effect"
import { inspect } from "node:util"
import { describe, expect, it } from "vitest"
import { runs } from "../support/runs.js"
import { caseOf } from "./fuzz/cases.js"
import { bench, integration, run } from "./fuzz/run.js"
import { shown } from "./fuzz/secrets.js"

const seed = Number(process.env["TEST_SEED"])

/** One case of a seed alone: `FUZZ_CASE=17 TEST_SEED=1 npx vitest run` and this file. */
const only = process.env["FUZZ_CASE"]

const ids = only === undefined
  ? Array.from({ length: runs(10_000) }, (_, id) => id)
  : [Number(only)]

/** So many cases at a time: some wait for a body that never comes. */
const concurrency = 24

/** The metrics of these calls: tests of the same process may name theirs after a sentinel. */
const ourMetrics = Effect.map(
  Metric.snapshot,
  (pairs) =>
    pairs.filter(({ metricKey: { tags } }) =>
      tags.every(({ key, value }) => key !== "integration" || value === integration)
    )
)

/** Runs all cases: how many ended with what, how long the slowest took, and all that is wrong. */
const fuzz = Effect.gen(function*() {
  const shared = yield* bench
  const counts: Record<string, number> = {}
  const problems: Array<string> = []
  let slowest = 0
  yield* Effect.forEach(ids, (id) =>
    Effect.gen(function*() {
      const at = caseOf(seed, id, Date.now())
      const outcome = yield* run(shared, at)
      counts[outcome.word] = (counts[outcome.word] ?? 0) + 1
      slowest = Math.max(slowest, outcome.millis)
      const about = `FUZZ_CASE=${id} TEST_SEED=${seed} ${at.wire} ${at.entry} ` +
        `${at.request.method} ${at.status}`
      problems.push(...outcome.problems.map((problem) => `${about}: ${problem}`))
    }), { concurrency, discard: true })
  problems.push(
    ...shown((yield* ourMetrics).map((pair) => inspect(pair, { depth: null }))),
    ...shared.server.unknown.map((path) => `asked for, and not by a case: ${path}`)
  )
  return { counts, problems, slowest, connections: shared.server.connections() }
})

describe("a client against whatever a server writes", () => {
  it(
    "E1 to E14, E26, E28, E32, T1, T9, T10: the right tag, no defect, no hang, no secret",
    async () => {
      const { stackTraceLimit } = Error
      // Frames tell no secret, and reading them takes longer than all the rest.
      Error.stackTraceLimit = 0
      const started = performance.now()
      try {
        const { connections, counts, problems, slowest } = await Effect.runPromise(
          Effect.scoped(fuzz)
        )
        const seconds = (performance.now() - started) / 1000
        console.log(
          `${ids.length} heads, ${Math.round(ids.length / seconds)} a second, the slowest ` +
            `${Math.round(slowest)} ms, ${connections} connections`,
          counts
        )
        expect(problems.slice(0, 50)).toEqual([])
      } finally {
        Error.stackTraceLimit = stackTraceLimit
      }
    },
    1_200_000
  )
})
