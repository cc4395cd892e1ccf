/**
 * The main job against a partner API: every row, a few at a time, against a server that checks what
 * the partner's document says, on a bad day.
 */
import type { HttpClient } from "@effect/platform"
import { Console, Duration, Effect, type Scope } from "effect"
import {
  type ApiError,
  type CircuitBreaker,
  type Cooldown,
  type Idempotency,
  IdempotencyKey,
  type Rejection
} from "effect-resilience"
import type * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Report from "./report.js"
import { timing } from "./timing.js"

export type Failure =
  | ApiError.ApiError
  | Idempotency.UnknownOutcome
  | CircuitBreaker.CircuitOpen
  | Cooldown.CoolingDown
  | Rejection.QueueTimeout

/** A connected client, and the server behind it. */
interface Connected<Row> {
  readonly server: FlakyApi.FlakyApi
  /** Carries out one row, under the key of the environment. */
  readonly carryOut: (row: Row) => Effect.Effect<unknown, Failure, IdempotencyKey.IdempotencyKey>
  /** What a user reads. */
  readonly userMessage: (error: Failure) => string
  /** What the server has created so far, one entry each time. */
  readonly created: Effect.Effect<ReadonlyArray<string>>
  /** What else there is to show, once the rows are done. */
  readonly finally?: Effect.Effect<string, unknown> | undefined
}

/** Of what there is one for each row, the rows, and how to connect. */
export interface Partner<Row> {
  readonly name: string
  readonly what: string
  readonly rows: ReadonlyArray<Row>
  readonly connect: Effect.Effect<Connected<Row>, never, HttpClient.HttpClient | Scope.Scope>
}

/** Runs the job, prints the report, and says whether the server did what the client believes. */
export const main = <Row>({ connect, name, rows, what }: Partner<Row>) =>
  Effect.gen(function*() {
    const { carryOut, created, finally: afterwards, server, userMessage } = yield* connect
    yield* Console.log(`Creating ${what} for each of ${rows.length} rows at ${name}, ${server.url}`)
    const job = yield* Effect.orDie(IdempotencyKey.fromString(name))
    const one = (row: Row, index: number): Effect.Effect<Report.Outcome> =>
      carryOut(row).pipe(
        // The same row has the same key in every run.
        IdempotencyKey.provide(IdempotencyKey.derive(job, `row ${index}`)),
        Effect.match({
          onSuccess: () => ({ _tag: "Created", line: index + 1 }),
          onFailure: (error) => ({
            _tag: "Failed",
            line: index + 1,
            tag: error._tag,
            message: userMessage(error)
          })
        })
      )
    const { clock, waitedSeconds } = yield* timing
    const [time, outcomes] = yield* Effect.forEach(rows, one, { concurrency: 8 }).pipe(
      Effect.withClock(clock),
      Effect.timed
    )
    const received = yield* server.received
    const names = yield* created
    const right = yield* Report.print(outcomes, {
      calls: received.filter(({ attempt }) => attempt === 1).length,
      attempts: received.length,
      waitedSeconds: waitedSeconds(),
      seconds: Duration.toSeconds(time),
      server: { what, created: new Set(names).size, twice: names.length - new Set(names).size }
    })
    if (afterwards !== undefined) yield* Console.log(yield* Effect.orDie(afterwards))
    return right
  }).pipe(Effect.scoped)
