/** Creates a session for every row of a file. A row that fails is reported and the others go on. */
import type { HttpClient } from "@effect/platform"
import { Effect, Either, Schema } from "effect"
import { ApiError, type CircuitBreaker, type Idempotency, IdempotencyKey } from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import type { Outcome } from "../jobs/report.js"
import { secretKeys } from "./settings.js"

const Row = Schema.parseJson(Schema.Struct({
  partnerId: Schema.String,
  environment: Schema.Literal("production", "development"),
  domain: Schema.String,
  user: WidgetSession.Draft
}))

type Row = typeof Row.Type

const sessions = (row: Row, baseUrl: string) =>
  WidgetSession.make({
    baseUrl,
    partnerId: row.partnerId,
    secretKey: secretKeys[row.environment],
    domain: row.domain
  })

/**
 * One row. Its key comes from what the row is, so a second run of the whole file, after a crash in
 * the middle of the first, names every session as the first one did, and the server does not create
 * it again.
 */
const create = (job: IdempotencyKey.IdempotencyKey, row: Row, baseUrl: string) =>
  Effect.flatMap(sessions(row, baseUrl), ({ createSession }) => {
    // Rows are sent as they are: whether they are valid is for the API to say.
    const call = createSession(row.user)
    return call.pipe(
      // The session was created and its answer broke off on the way. The same key asks for the same
      // answer again.
      Effect.retry({ while: ApiError.isUnreadable, times: 2 }),
      IdempotencyKey.provide(IdempotencyKey.derive(job, `${row.partnerId}/${row.user.user_id}`))
    )
  })

type Failure = ApiError.ApiError | Idempotency.UnknownOutcome | CircuitBreaker.CircuitOpen

const failed = (line: number, error: Failure): Outcome => ({
  _tag: "Failed",
  line,
  tag: error._tag,
  message: error.message
})

/**
 * Runs the job over the lines of a file, a few at a time; `onOutcome` hears of each line as it is
 * done.
 */
export const run = <R>(
  lines: ReadonlyArray<string>,
  baseUrl: string,
  onOutcome: (outcome: Outcome) => Effect.Effect<void, never, R>
): Effect.Effect<ReadonlyArray<Outcome>, never, HttpClient.HttpClient | R> =>
  Effect.gen(function*() {
    const job = yield* Effect.orDie(IdempotencyKey.fromString("sessions.ndjson"))
    return yield* Effect.forEach(lines, (text, index) => {
      const line = index + 1
      const row = Schema.decodeUnknownEither(Row)(text)
      const outcome: Effect.Effect<Outcome, never, HttpClient.HttpClient> = Either.isLeft(row)
        ? Effect.succeed({
          _tag: "Failed",
          line,
          tag: "Unparsable",
          message: "this line is not a row"
        })
        : Effect.match(create(job, row.right, baseUrl), {
          onFailure: (error) => failed(line, error),
          onSuccess: ({ replayed }): Outcome => ({ _tag: replayed ? "Replayed" : "Created", line })
        })
      return Effect.tap(outcome, onOutcome)
    }, { concurrency: 16 })
  })
