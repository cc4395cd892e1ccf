/** Creates a session for every row of a file. A row that fails is reported and the others go on. */
import type { HttpClient } from "@effect/platform"
import { Effect, Either, Schema } from "effect"
import {
  ApiError,
  type CircuitBreaker,
  type Idempotency,
  IdempotencyKey,
  type Pipeline,
  type RateLimiter,
  type Rejection
} from "effect-resilience"
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

/** What a call can fail with, the guards that a fleet shares included. */
type Failure =
  | ApiError.ApiError
  | Idempotency.UnknownOutcome
  | CircuitBreaker.CircuitOpen
  | RateLimiter.RateLimited
  | Rejection.QueueTimeout

type Rejected = ApiError.Timeout | Extract<Failure, Rejection.Rejection>

/** Protects all calls together. Default: each session's own, as the document has it. */
export type Protection = Pipeline.Pipeline<Rejected, IdempotencyKey.IdempotencyKey>

const sessions = (row: Row, baseUrl: string, pipeline: Protection | undefined) =>
  WidgetSession.make<Rejected>({
    baseUrl,
    partnerId: row.partnerId,
    secretKey: secretKeys[row.environment],
    domain: row.domain,
    pipeline
  })

/**
 * One row. Its key comes from what the row is, so a second run of the whole file, after a crash in
 * the middle of the first, names every session as the first one did, and the server does not create
 * it again.
 */
const create = (
  job: IdempotencyKey.IdempotencyKey,
  row: Row,
  baseUrl: string,
  pipeline: Protection | undefined
) =>
  Effect.flatMap(sessions(row, baseUrl, pipeline), ({ createSession }) => {
    // Rows are sent as they are: whether they are valid is for the API to say.
    const call = createSession(row.user)
    return call.pipe(
      // The session was created and its answer broke off on the way. The same key asks for the same
      // answer again.
      Effect.retry({ while: ApiError.isUnreadable, times: 2 }),
      IdempotencyKey.provide(IdempotencyKey.derive(job, `${row.partnerId}/${row.user.user_id}`))
    )
  })

const failed = (line: number, error: Failure): Outcome => ({
  _tag: "Failed",
  line,
  tag: error._tag,
  message: error.message
})

export interface Options<R> {
  /** Hears of each line as it is done. */
  readonly onOutcome: (outcome: Outcome) => Effect.Effect<void, never, R>
  /** Which lines to do, counted from 1. Default: all. */
  readonly isMine?: (line: number) => boolean
  readonly pipeline?: Protection
}

/** Runs the job over the lines of a file, a few at a time. */
export const run = <R>(
  lines: ReadonlyArray<string>,
  baseUrl: string,
  { isMine = () => true, onOutcome, pipeline }: Options<R>
): Effect.Effect<ReadonlyArray<Outcome>, never, HttpClient.HttpClient | R> =>
  Effect.gen(function*() {
    const job = yield* Effect.orDie(IdempotencyKey.fromString("sessions.ndjson"))
    const numbered = lines.map((text, index) => ({ line: index + 1, text }))
    return yield* Effect.forEach(numbered.filter(({ line }) => isMine(line)), ({ line, text }) => {
      const row = Schema.decodeUnknownEither(Row)(text)
      const outcome: Effect.Effect<Outcome, never, HttpClient.HttpClient> = Either.isLeft(row)
        ? Effect.succeed({
          _tag: "Failed",
          line,
          tag: "Unparsable",
          message: "this line is not a row"
        })
        : Effect.match(create(job, row.right, baseUrl, pipeline), {
          onFailure: (error) => failed(line, error),
          onSuccess: ({ replayed }): Outcome => ({ _tag: replayed ? "Replayed" : "Created", line })
        })
      return Effect.tap(outcome, onOutcome)
    }, { concurrency: 16 })
  })
