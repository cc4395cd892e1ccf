import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Option, Schedule, TestClock } from "effect"
import { ApiError, Backoff, IdempotencyKey, Operation, Retry } from "effect-resilience"
import * as Polling from "effect-resilience/Polling"
import { inspect } from "node:util"
import { down, invalid, rateLimit, timeout } from "../support/errors.js"
import { errorOf } from "../support/exits.js"

const every = (seconds: number) => Schedule.spaced(Duration.seconds(seconds))

/** Statuses in turn, the last one for ever, and when each was asked for, in seconds. */
const answering = (...statuses: ReadonlyArray<string>) => {
  const asked: Array<readonly [id: string, at: number]> = []
  const poll = (requestId: string) =>
    Effect.map(Effect.clockWith((clock) => clock.currentTimeMillis), (now) => {
      asked.push([requestId, now / 1000])
      return statuses[Math.min(asked.length, statuses.length) - 1] ?? ""
    })
  return { asked, poll, at: () => asked.map(([, at]) => at) }
}

const isDone = (status: string) => status === "done"

/** The exit of an effect, after so much virtual time. */
const after = <A, E, R>(effect: Effect.Effect<A, E, R>, time: Duration.DurationInput = "1 hour") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust(time)
    return yield* Fiber.await(fiber)
  })

// -----------------------------------------------------------------------------
// done in time
// -----------------------------------------------------------------------------

describe("Polling.until: done in time", () => {
  it.effect("R30: submits once and asks under the request id until the status is the last one", () =>
    Effect.gen(function*() {
      let submitted = 0
      const { asked, poll } = answering("queued", "running", "done")
      const submit = Effect.sync(() => `req-${++submitted}`)
      const exit = yield* after(
        Polling.until({ submit, poll, done: isDone, schedule: every(2), within: "1 minute" })
      )
      expect([exit, submitted, asked]).toEqual([Exit.succeed("done"), 1, [["req-1", 0], [
        "req-1",
        2
      ], ["req-1", 4]]])
    }))

  it.effect.each<Polling.Submitted>(["req-7", { requestId: "req-7" }, { request_id: "req-7" }])(
    "R30: the request id of %j",
    (submitted) =>
      Effect.gen(function*() {
        const { asked, poll } = answering("done")
        yield* Polling.until({
          submit: Effect.succeed(submitted),
          poll,
          done: isDone,
          within: "1 minute"
        })
        expect(asked).toEqual([["req-7", 0]])
      })
  )

  it.effect("R30: the default schedule begins at 2 s and grows to 10 s", () =>
    Effect.gen(function*() {
      const { at, poll } = answering("running")
      yield* after(
        Polling.until({ submit: Effect.succeed("r"), poll, done: isDone, within: "50 seconds" })
      )
      const waits = at().slice(1).map((t, n) => t - (at()[n] ?? 0))
      expect(waits).toEqual([2, 3, 4.5, 6.75, 10, 10, 10])
    }))

  it.effect("R30: a schedule sees the last status", () =>
    Effect.gen(function*() {
      const { at, poll } = answering("queued", "running", "running", "done")
      const schedule = Schedule.identity<string>().pipe(
        Schedule.addDelay((status) => status === "queued" ? "5 seconds" : "1 second")
      )
      yield* after(
        Polling.until({
          submit: Effect.succeed("r"),
          poll,
          done: isDone,
          schedule,
          within: "1 minute"
        })
      )
      expect(at()).toEqual([0, 5, 6, 7])
    }))

  it.effect("R30: onSubmitted is told the request id before the first poll", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      yield* Polling.until({
        submit: Effect.sync(() => (probes.push("submit"), "req-1")),
        onSubmitted: (id) => Effect.sync(() => void probes.push(`stored ${id}`)),
        poll: () => Effect.sync(() => (probes.push("poll"), "done")),
        done: isDone,
        within: "1 second"
      })
      expect(probes).toEqual(["submit", "stored req-1", "poll"])
    }))

  it.effect("R30: concurrent callers do not share anything", () =>
    Effect.gen(function*() {
      const one = (id: string, polls: number) => {
        const { poll } = answering(...Array<string>(polls - 1).fill("running"), "done")
        return Effect.zipRight(
          Polling.until({
            submit: Effect.succeed(id),
            poll,
            done: isDone,
            schedule: every(1),
            within: "1 minute"
          }),
          Effect.map(
            Effect.clockWith((clock) => clock.currentTimeMillis),
            (now) => [id, now / 1000]
          )
        )
      }
      const all = Effect.all([one("a", 1), one("b", 4), one("c", 2)], { concurrency: "unbounded" })
      expect(yield* after(all)).toEqual(Exit.succeed([["a", 0], ["b", 3], ["c", 1]]))
    }))
})

// -----------------------------------------------------------------------------
// not done in time
// -----------------------------------------------------------------------------

describe("Polling.until: never for ever", () => {
  it.effect("R30: on expiry the error carries the request id, the last status and the time", () =>
    Effect.gen(function*() {
      const { at, poll } = answering("queued", "running")
      const error = errorOf(
        yield* after(
          Polling.until({
            submit: Effect.succeed("req-1"),
            poll,
            done: isDone,
            schedule: every(2),
            within: "7 seconds"
          })
        )
      )
      expect(error).toBeInstanceOf(Polling.PollingTimeout)
      expect(
        error._tag === "PollingTimeout" &&
          [error.requestId, error.lastStatus, Duration.toMillis(error.elapsed)]
      )
        .toEqual(["req-1", Option.some("running"), 6000])
      expect(at()).toEqual([0, 2, 4, 6])
    }))

  it.effect("R30: no wait is begun that would not end within the budget", () =>
    Effect.gen(function*() {
      const { poll } = answering("running")
      const call = Polling.until({
        submit: Effect.succeed("r"),
        poll,
        done: isDone,
        schedule: every(3),
        within: "6 seconds"
      })
      const error = errorOf(yield* after(call, "3 seconds"))
      expect(error._tag === "PollingTimeout" && Duration.toSeconds(error.elapsed)).toBe(3)
    }))

  it.effect("R30: the budget is total time: a slow submission leaves less for the polls", () =>
    Effect.gen(function*() {
      const { at, poll } = answering("running")
      const submit = Effect.delay(Effect.succeed("req-1"), "4 seconds")
      const error = errorOf(
        yield* after(
          Polling.until({ submit, poll, done: isDone, schedule: every(2), within: "9 seconds" })
        )
      )
      expect([error._tag, at()]).toEqual(["PollingTimeout", [4, 6, 8]])
    }))

  it.effect("R30: a poll slower than the budget is cut at the budget, and its finalizers have run", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      let polls = 0
      const poll = () =>
        ++polls === 1
          ? Effect.succeed("running")
          : Effect.never.pipe(
            Effect.onInterrupt(() => Effect.sync(() => void probes.push("released")))
          )
      const error = errorOf(
        yield* after(
          Polling.until({
            submit: Effect.succeed("req-1"),
            poll,
            done: isDone,
            schedule: every(2),
            within: "5 seconds"
          })
            .pipe(Effect.tapError(() => Effect.sync(() => void probes.push("failed")))),
          "5 seconds"
        )
      )
      expect(
        error._tag === "PollingTimeout" && [error.lastStatus, Duration.toSeconds(error.elapsed)]
      ).toEqual([
        Option.some("running"),
        5
      ])
      expect(probes).toEqual(["released", "failed"])
    }))

  it.effect("R30: when the first poll never answers, there is no last status", () =>
    Effect.gen(function*() {
      const error = errorOf(
        yield* after(
          Polling.until({
            submit: Effect.succeed("req-1"),
            poll: () => Effect.never,
            done: () => true,
            within: "5 seconds"
          })
        )
      )
      expect(error._tag === "PollingTimeout" && [error.requestId, error.lastStatus]).toEqual([
        "req-1",
        Option.none()
      ])
    }))

  it.effect("R30: a schedule that ends earlier ends the polling", () =>
    Effect.gen(function*() {
      const { at, poll } = answering("running")
      const schedule = Schedule.intersect(every(1), Schedule.recurs(2))
      const error = errorOf(
        yield* after(
          Polling.until({
            submit: Effect.succeed("r"),
            poll,
            done: isDone,
            schedule,
            within: "1 hour"
          })
        )
      )
      expect([error._tag, at()]).toEqual(["PollingTimeout", [0, 1, 2]])
    }))

  it.effect("R30: a deadline of the poll's own is a poll that failed, not the budget", () =>
    Effect.gen(function*() {
      const own = timeout("attempt")
      const error = errorOf(
        yield* after(
          Polling.until({
            submit: Effect.succeed("r"),
            poll: () => own,
            done: () => true,
            within: "1 minute"
          })
        )
      )
      expect(error._tag === "PollFailed" && error.error).toBe(own)
    }))

  it.each([0, -1, Number.NaN, Infinity, "-1 seconds"] as ReadonlyArray<Duration.DurationInput>)(
    "R30: a budget of %s is refused, with field and value",
    (within) => {
      const rules = { poll: () => Effect.succeed(""), done: isDone, within }
      expect(() => Polling.until({ ...rules, submit: Effect.succeed("r") })).toThrow(RangeError)
      expect(() => Polling.resume({ ...rules, requestId: "r" })).toThrow(
        /^within should be .*, got /
      )
    }
  )
})

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

describe("Polling.until: two kinds of failure", () => {
  it.effect("R30: a failure to submit is SubmitFailed, with the very error, and nothing is asked", () =>
    Effect.gen(function*() {
      const { asked, poll } = answering("done")
      const error = errorOf(
        yield* after(
          Polling.until({ submit: Effect.fail(down), poll, done: isDone, within: "1 minute" })
        )
      )
      expect([error._tag, error._tag === "SubmitFailed" && error.error === down, asked]).toEqual([
        "SubmitFailed",
        true,
        []
      ])
    }))

  it.effect("R30: a failure to poll is PollFailed, with the very error, the request id and the last status", () =>
    Effect.gen(function*() {
      let polls = 0
      const poll = () => ++polls === 1 ? Effect.succeed("queued") : Effect.fail(down)
      const error = errorOf(
        yield* after(
          Polling.until({
            submit: Effect.succeed("req-1"),
            poll,
            done: isDone,
            schedule: every(1),
            within: "1 minute"
          })
        )
      )
      expect(
        error._tag === "PollFailed" && [error.error === down, error.requestId, error.lastStatus]
      ).toEqual([
        true,
        "req-1",
        Option.some("queued")
      ])
    }))

  it.effect("R30: the poll's own retry mends what is transient", () =>
    Effect.gen(function*() {
      let polls = 0
      const poll = () =>
        Effect.suspend(() => ++polls < 3 ? Effect.fail(down) : Effect.succeed("done")).pipe(
          Retry.retry({ operation: Operation.read, backoff: Backoff.constant("1 second") })
        )
      const exit = yield* after(
        Polling.until({ submit: Effect.succeed("r"), poll, done: isDone, within: "1 minute" })
      )
      expect([exit, polls]).toEqual([Exit.succeed("done"), 3])
    }))

  it.effect("R30: a submission that outlasts the budget is SubmitFailed of a total timeout: it may have been accepted", () =>
    Effect.gen(function*() {
      const error = errorOf(
        yield* after(
          Polling.until({
            submit: Effect.never,
            poll: () => Effect.succeed(""),
            done: isDone,
            within: "5 seconds"
          }),
          "5 seconds"
        )
      )
      const inner = error._tag === "SubmitFailed" ? error.error : undefined
      expect([
        ApiError.isApiError(inner) && inner._tag === "Timeout" && inner.deadline,
        ApiError.mayHaveRun(inner)
      ])
        .toEqual(["total", true])
    }))

  it.effect("R30: neither failure is repeated by a retry around the whole: that would submit again", () =>
    Effect.gen(function*() {
      let submitted = 0
      const call = Polling.until({
        submit: Effect.sync(() => `r-${++submitted}`),
        poll: () => Effect.fail(down),
        done: isDone,
        within: "1 minute"
      })
      yield* after(
        Retry.retry(call, { operation: Operation.read, verdict: ApiError.verdict })
      )
      expect(submitted).toBe(1)
    }))

  it.effect("defects stay defects", () =>
    Effect.gen(function*() {
      const rules = { done: isDone, within: "1 minute" } as const
      const exits = [
        yield* after(
          Polling.until({ ...rules, submit: Effect.die("a"), poll: () => Effect.succeed("") })
        ),
        yield* after(
          Polling.until({ ...rules, submit: Effect.succeed("r"), poll: () => Effect.die("b") })
        ),
        yield* after(Polling.until({
          ...rules,
          submit: Effect.succeed("r"),
          poll: (): Effect.Effect<string> => {
            throw new Error("c")
          }
        }))
      ]
      expect(exits.map((exit) => Exit.isFailure(exit) && Cause.isDie(exit.cause))).toEqual([
        true,
        true,
        true
      ])
    }))

  it("T1: messages show the request id and tags, and no text of another error", () => {
    const secret = { _tag: "Secret", message: "SENTINEL-1" }
    const errors = [
      new Polling.SubmitFailed({ error: secret }),
      new Polling.PollFailed({ error: secret, requestId: "req-1", lastStatus: Option.none() }),
      new Polling.PollingTimeout({
        requestId: "req-1",
        lastStatus: Option.none(),
        elapsed: Duration.seconds(90)
      })
    ]
    expect(errors.map(({ message }) => message)).toEqual([
      "The work could not be submitted (Secret)",
      "The work was submitted as req-1, but asking for it failed (Secret)",
      "The work was submitted as req-1 and is not done after 1m 30s"
    ])
    expect(
      errors.flatMap((error) => [error.stack ?? "", Cause.pretty(Cause.fail(error))]).join("\n")
    ).not.toContain(
      "SENTINEL"
    )
    expect(inspect(errors[2])).toContain("req-1")
  })
})

// -----------------------------------------------------------------------------
// resuming
// -----------------------------------------------------------------------------

describe("Polling.resume", () => {
  it.effect("R30: does not resubmit, and has a budget of its own", () =>
    Effect.gen(function*() {
      let submitted = 0
      const { at, poll } = answering("running", "running", "running", "done")
      const rules = { poll, done: isDone, schedule: every(2) }
      const first = yield* after(
        Polling.until({
          ...rules,
          submit: Effect.sync(() => `req-${++submitted}`),
          within: "3 seconds"
        }),
        "10 seconds"
      )
      const error = errorOf(first)
      const requestId = error._tag === "PollingTimeout" ? error.requestId : ""
      const second = yield* after(Polling.resume({ ...rules, requestId, within: "1 minute" }))
      expect([second, submitted, at()]).toEqual([Exit.succeed("done"), 1, [0, 2, 10, 12]])
    }))

  it.effect("R30: its elapsed time counts from the resumption", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      const { poll } = answering("running")
      const error = errorOf(
        yield* after(
          Polling.resume({
            requestId: "r",
            poll,
            done: isDone,
            schedule: every(2),
            within: "5 seconds"
          })
        )
      )
      expect(error._tag === "PollingTimeout" && Duration.toSeconds(error.elapsed)).toBe(4)
    }))

  it.effect("R30: a failure to poll is PollFailed there, too", () =>
    Effect.gen(function*() {
      const call = Polling.resume({
        requestId: "r",
        poll: () => Effect.fail(down),
        done: isDone,
        within: "1 second"
      })
      expect(errorOf(yield* after(call))._tag).toBe("PollFailed")
    }))
})

// -----------------------------------------------------------------------------
// interruption
// -----------------------------------------------------------------------------

describe("Polling: interruption", () => {
  it.effect("R12, R30: during a wait, it ends at that moment and nothing is asked any more", () =>
    Effect.gen(function*() {
      const { asked, poll } = answering("running")
      const fiber = yield* Effect.fork(
        Polling.until({
          submit: Effect.succeed("r"),
          poll,
          done: isDone,
          schedule: every(2),
          within: "1 hour"
        })
      )
      yield* TestClock.adjust("3 seconds")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), asked.length]).toEqual([true, 2])
    }))

  it.effect("R30: during a poll, the poll is interrupted, and there is no timeout later", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const begun = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        Polling.until({
          submit: Effect.succeed("r"),
          poll: () =>
            Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Effect.sync(() => void probes.push("released")))
            ),
          done: isDone,
          within: "1 hour"
        }).pipe(Effect.tapErrorCause(() => Effect.sync(() => void probes.push("failed"))))
      )
      yield* Deferred.await(begun)
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("2 hours")
      expect([Exit.isInterrupted(exit), probes]).toEqual([true, ["released"]])
    }))

  it.effect("R30: during the submission, the submission is interrupted", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const call = (onSubmitted: ((id: string) => Effect.Effect<void>) | undefined) =>
        Polling.until({
          submit: Effect.onInterrupt(
            Effect.never,
            () => Effect.sync(() => void probes.push("released"))
          ),
          onSubmitted,
          poll: () => Effect.succeed("done"),
          done: isDone,
          within: "1 hour"
        })
      for (const onSubmitted of [undefined, () => Effect.void]) {
        const fiber = yield* Effect.fork(call(onSubmitted))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)
      }
      expect(probes).toEqual(["released", "released"])
    }))

  it.effect("R30: an id that exists is stored, even when the caller has gone meanwhile", () =>
    Effect.gen(function*() {
      const stored: Array<string> = []
      const fiber = yield* Effect.fork(Polling.until({
        submit: Effect.succeed("req-1"),
        onSubmitted: (id) => Effect.delay(Effect.sync(() => void stored.push(id)), "1 second"),
        poll: () => Effect.never,
        done: isDone,
        within: "1 hour"
      }))
      yield* TestClock.adjust("500 millis")
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(interrupting)
      expect([Exit.isInterrupted(exit), stored]).toEqual([true, ["req-1"]])
    }))
})

// -----------------------------------------------------------------------------
// types
// -----------------------------------------------------------------------------

describe("Polling: types", () => {
  type Status = { readonly _tag: "Running" } | { readonly _tag: "Done"; readonly answer: string }

  it.effect("a type guard narrows the result, the errors keep the caller's types, the key stays demanded", () =>
    Effect.gen(function*() {
      const submit: Effect.Effect<string, ApiError.RateLimit, IdempotencyKey.IdempotencyKey> =
        Effect.as(
          IdempotencyKey.IdempotencyKey,
          "r"
        )
      const poll = (): Effect.Effect<Status, ApiError.NotFound> =>
        Effect.succeed({ _tag: "Done", answer: "42" })
      const call = Polling.until({
        submit,
        poll,
        done: (status): status is Extract<Status, { readonly _tag: "Done" }> =>
          status._tag === "Done",
        within: "1 minute"
      })
      const typed: Effect.Effect<
        { readonly _tag: "Done"; readonly answer: string },
        | Polling.SubmitFailed<ApiError.RateLimit | ApiError.Timeout>
        | Polling.PollFailed<ApiError.NotFound, Status>
        | Polling.PollingTimeout<Status>,
        IdempotencyKey.IdempotencyKey
      > = call
      expect((yield* IdempotencyKey.provideNew(typed)).answer).toBe("42")
    }))
})

describe("Polling: how long the server asks to wait", () => {
  const at = <S, E>(answers: ReadonlyArray<Effect.Effect<S, E>>) => {
    const asked: Array<number> = []
    const poll = () =>
      Effect.flatMap(Effect.clock, (clock) => {
        asked.push(clock.unsafeCurrentTimeMillis())
        return answers[Math.min(asked.length, answers.length) - 1] as Effect.Effect<S, E>
      })
    return { asked, poll }
  }
  const until = <S, E>(
    poll: () => Effect.Effect<S, E>,
    more: Partial<Polling.Options<S, E, never>> = {}
  ) =>
    Polling.until({
      submit: Effect.succeed("r"),
      poll,
      done: (status) => status === "done",
      schedule: every(2),
      within: "1 minute",
      ...more
    })

  it.effect("R30: a poll that is told to wait is made again then, and not before the schedule says", () =>
    Effect.gen(function*() {
      const running: Effect.Effect<string, ApiError.ApiError> = Effect.succeed("running")
      const { asked, poll } = at([
        rateLimit(Duration.seconds(7)),
        running,
        rateLimit(Duration.millis(300)),
        rateLimit(Duration.seconds(9)),
        Effect.succeed("done")
      ])
      const exit = yield* after(until(poll))
      expect([exit, asked]).toEqual([
        Exit.succeed("done"),
        [0, 7000, 9000, 11_000, 20_000]
      ])
    }))

  it.effect.each([
    ["more than is left of the budget", rateLimit(Duration.minutes(2))],
    ["nothing", down],
    ["no time at all", rateLimit(Duration.zero)],
    ["what no other poll mends", invalid()],
    ["an error of another kind", Effect.fail({ _tag: "Mine", retryAfter: Duration.seconds(1) })]
  ] as ReadonlyArray<readonly [string, Effect.Effect<string, unknown>]>)(
    "R30: a poll that fails and asks for %s is PollFailed at once",
    ([, failure]) =>
      Effect.gen(function*() {
        const { asked, poll } = at([failure])
        const exit = yield* after(until(poll))
        expect([errorOf(exit), asked]).toMatchObject([{ _tag: "PollFailed" }, [0]])
      })
  )

  it.effect.each<readonly [string, unknown, number]>([
    ["a header of a response", { headers: { "retry-after": "7" } }, 7000],
    ["a header in other letters", { headers: { "Retry-After": "7" } }, 7000],
    ["a header of fetch", { headers: new Headers({ "Retry-After": "7" }) }, 7000],
    [
      "a date",
      {
        headers: {
          "retry-after": "Thu, 01 Jan 1970 00:00:09 GMT",
          date: "Thu, 01 Jan 1970 00:00:01 GMT"
        }
      },
      8000
    ],
    ["a duration", { retryAfter: Duration.seconds(7) }, 7000],
    ["an option", { retryAfter: Option.some(Duration.seconds(7)) }, 7000],
    ["less than the schedule", { retryAfter: Duration.seconds(1) }, 2000],
    ["none", { retryAfter: Option.none(), headers: {} }, 2000],
    ["a number, of which the unit is not known", { retryAfter: 7 }, 2000],
    ["null", null, 2000]
  ])("R30: an answer asks to wait: %s", ([, status, expected]) =>
    Effect.gen(function*() {
      const { asked, poll } = at<unknown, never>([Effect.succeed(status), Effect.succeed("done")])
      yield* after(until(poll))
      expect(asked).toEqual([0, expected])
    }))

  it.effect("R30: where an answer says how long can be told, and more than the budget ends the polling", () =>
    Effect.gen(function*() {
      const { asked, poll } = at<number | "done", never>([Effect.succeed(5), Effect.succeed(600)])
      const exit = yield* after(
        until(poll, {
          retryAfter: (status) => status === "done" ? undefined : Duration.seconds(status)
        })
      )
      expect([errorOf(exit), asked]).toMatchObject([{ _tag: "PollingTimeout" }, [0, 5000]])
    }))

  it.effect("R30: the first poll can be delayed, in a resumption too, but not beyond the budget", () =>
    Effect.gen(function*() {
      const { asked, poll } = at([Effect.succeed("running"), Effect.succeed("done")])
      yield* after(until(poll, { initialDelay: "10 seconds" }))
      const again = at([Effect.succeed("done")])
      const rules = { poll: again.poll, done: isDone, requestId: "r", within: "1 minute" } as const
      yield* after(Polling.resume({ ...rules, initialDelay: "3 seconds" }))
      const exit = yield* after(Polling.resume({ ...rules, initialDelay: "1 minute" }))
      expect([asked, again.asked, errorOf(exit)]).toMatchObject([
        [10_000, 12_000],
        [3_603_000],
        { _tag: "PollingTimeout" }
      ])
    }))

  it.each([-1, Number.NaN, Infinity] as ReadonlyArray<Duration.DurationInput>)(
    "nonsense is refused: initialDelay %s",
    (initialDelay) => {
      const { poll } = at([Effect.succeed("done")])
      expect(() => until(poll, { initialDelay })).toThrow(RangeError)
    }
  )
})
