/** R20: what pays in. */
import { describe, expect, it } from "@effect/vitest"
import { Data, Effect } from "effect"
import {
  ApiError,
  Backoff,
  Operation,
  Pipeline,
  type Rejection,
  Retry,
  RetryBudget,
  Verdict
} from "effect-resilience"
import {
  conflict,
  forbidden,
  invalid,
  locked,
  network,
  notFound,
  rateLimit,
  rejection,
  server,
  timeout,
  unauthorized
} from "../support/errors.js"
import { failing } from "./retry.js"

type Failure = ApiError.ApiError | Rejection.Rejection

const spent = RetryBudget.make({ capacity: 1000, ratio: 1, reservePerSecond: 0 }).pipe(
  Effect.tap(({ withdraw }) => Effect.repeatN(withdraw, 999))
)

const retried = (budget: RetryBudget.RetryBudget, error: Failure) =>
  Retry.retry(failing(error).action, {
    operation: Operation.read,
    backoff: Backoff.constant(0),
    budget
  })

describe("R20: deposits", () => {
  for (
    const error of [
      unauthorized(),
      forbidden(),
      invalid(),
      notFound(),
      conflict(),
      conflict({ inFlight: true }),
      locked()
    ]
  ) {
    const said = "inFlight" in error && error.inFlight ? `${error._tag} in flight` : error._tag
    it.effect(`R20: ${said} shows that the upstream works`, () =>
      Effect.gen(function*() {
        const budget = yield* spent
        yield* Effect.exit(Retry.retry(failing(error).action, {
          operation: Operation.read,
          retries: 0,
          budget
        }))
        expect(yield* budget.available).toBe(1)
      }))
  }

  for (
    const error of [
      rateLimit(),
      server(),
      server(501),
      network(),
      network("no"),
      timeout("attempt"),
      timeout("total"),
      timeout("server"),
      rejection(),
      new ApiError.Policy({ message: "try again", status: 403, repeat: "transient" })
    ]
  ) {
    it.effect(`R20: ${error._tag}, ${error.message}, pays nothing`, () =>
      Effect.gen(function*() {
        const budget = yield* spent
        yield* Effect.exit(retried(budget, error))
        expect(yield* budget.available).toBe(0)
      }))
  }

  it.effect("R20: one deposit for a call, whatever came before its answer", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 10, ratio: 1, reservePerSecond: 0 })
      yield* Effect.repeatN(budget.withdraw, 4)
      yield* Effect.exit(
        Retry.retry(failing<ApiError.ApiError>(server(), server(), notFound()).action, {
          operation: Operation.read,
          backoff: Backoff.constant(0),
          budget
        })
      )
      expect(yield* budget.available).toBe(5 - 2 + 1)
    }))

  it.effect("R20: neither an error nobody understands nor a defect is an answer", () =>
    Effect.gen(function*() {
      class Odd extends Data.TaggedError("Odd")<{}> {}
      const budget = yield* spent
      const options = { operation: Operation.read, budget, verdict: () => Verdict.terminal }
      yield* Effect.exit(Retry.retry(new Odd(), options))
      yield* Effect.exit(Retry.retry(Effect.die("defect"), options))
      yield* Effect.exit(Retry.retry(Effect.interrupt, options))
      expect(yield* budget.available).toBe(0)
    }))

  it.effect("R20: a pipeline of 404s does not starve its budget", () =>
    Effect.gen(function*() {
      for (
        const repeats of [
          { retry: { backoff: Backoff.constant(0) } },
          { hedge: { delay: "1 second" } }
        ] as const
      ) {
        const budget = yield* spent
        const pipeline = yield* Pipeline.make({ operation: Operation.read, budget, ...repeats })
        yield* Effect.repeatN(Effect.exit(Pipeline.protect(notFound(), pipeline)), 2)
        expect(yield* budget.available).toBe(3)
      }
    }))

  it.effect("R20: three thirds and ten tenths pay for exactly one retry", () =>
    Effect.gen(function*() {
      for (const parts of [3, 6, 7, 9, 10, 49]) {
        const budget = yield* RetryBudget.make({
          capacity: 10,
          ratio: 1 / parts,
          reservePerSecond: 0
        })
        yield* Effect.repeatN(budget.withdraw, 9)
        for (let round = 0; round < 20; round++) {
          yield* Effect.repeatN(budget.deposit, parts - 2)
          expect([parts, yield* budget.withdraw]).toEqual([parts, false])
          yield* budget.deposit
          expect([parts, yield* budget.withdraw, yield* budget.withdraw]).toEqual([
            parts,
            true,
            false
          ])
        }
      }
    }))

  it.effect("R20: first attempts are neither refused nor counted", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 0, ratio: 0, reservePerSecond: 0 })
      const { action, calls } = failing(server())
      const once = Retry.retry(action, {
        operation: Operation.read,
        backoff: Backoff.constant(0),
        budget
      })
      yield* Effect.repeatN(Effect.exit(once), 4)
      expect([calls.length, yield* budget.available]).toEqual([5, 0])
    }))
})
