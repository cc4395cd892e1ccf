import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Duration,
  Effect,
  Exit,
  FastCheck,
  Fiber,
  FiberId,
  Random,
  Schedule,
  ScheduleDecision,
  ScheduleInterval
} from "effect"
import {
  ApiError,
  Backoff,
  IdempotencyKey,
  Operation,
  Playbook,
  Schedules
} from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as Laws from "effect-resilience/testing/Laws"
import { down, rateLimit } from "../support/errors.js"
import { turn } from "../support/turns.js"

// The same cases in every run: what is tested here is whether planted faults are found, and how
// they are told.
FastCheck.configureGlobal({ seed: 20_261_121 })

/** The message with which a law is broken, or "kept". */
const verdict = <E extends Error, R>(law: Effect.Effect<void, E, R>) =>
  Effect.match(law, { onSuccess: () => "kept", onFailure: (error) => error.message })

/** A schedule with these delays, whatever they are; it stays at the last. */
const waiting = (...delays: ReadonlyArray<number>): Schedule.Schedule<number> =>
  Schedule.makeWithState(0, (now, _, n) => {
    const delay = delays[Math.min(n, delays.length - 1)]!
    return Effect.succeed([
      n + 1,
      n,
      ScheduleDecision.continueWith(ScheduleInterval.after(now + delay))
    ])
  })

const widgetRetries = Backoff.schedule(WidgetSession.retry.backoff!).pipe(
  Schedules.retries(WidgetSession.retry.retries!)
)

describe("schedule: planted faults", () => {
  it.effect("R2: a delay above the cap, at the failure after which it comes", () =>
    Effect.gen(function*() {
      const message = yield* verdict(
        Laws.schedule(waiting(100, 200, 6000), { inputs: [down], cap: "5 seconds" })
      )
      expect(message).toContain("3 failures (Server, Server, Server)")
      expect(message).toContain("6000 ms")
      expect(message).toContain("5000 ms")
    }))

  it.effect("R2: jitter that comes after the cap", () =>
    Effect.gen(function*() {
      const cappedThenJittered = Backoff.schedule(
        Backoff.exponential({ base: "1 second", cap: "5 seconds", jitter: Backoff.none })
      ).pipe(Schedule.jittered)
      const message = yield* verdict(
        Laws.schedule(cappedThenJittered, { inputs: [down], cap: "5 seconds" })
      )
      expect(message).toMatch(/After \d+ failures .* waits 5\d{3}.* ms, its cap is 5000 ms/)
    }))

  it.effect("R2: a delay above the cap that comes only after eighteen failures", () =>
    Effect.gen(function*() {
      const slow = Schedule.exponential("1 second", 1.2)
      expect(yield* verdict(Laws.schedule(slow, { inputs: [down], cap: "20 seconds" })))
        .toContain("20000 ms")
    }))

  it.effect("R2, R5: an exponential that is jittered first and capped later stands still at its cap", () =>
    Effect.gen(function*() {
      const jitteredThenCapped = Schedule.exponential("1 second").pipe(
        Schedule.jittered,
        Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.seconds(5)))
      )
      const message = yield* verdict(
        Laws.schedule(jitteredThenCapped, { inputs: [down], cap: "5 seconds" })
      )
      expect(message).toMatch(/After [45] failures .*5000 ms.* stands still/)
    }))

  it.effect("R2: no jitter at all stands still, and the message counts the failures it takes to get there", () =>
    Effect.gen(function*() {
      const message = yield* verdict(
        Laws.schedule(waiting(100, 200, 5000), { inputs: [down], cap: "5 seconds" })
      )
      expect(message).toContain("3 failures")
      expect(message).toContain("stands still")
    }))

  it.effect("E12: Retry-After is ignored, and the message names the one failure that shows it", () =>
    Effect.gen(function*() {
      const law = Laws.schedule(Schedules.cappedJitter(), {
        inputs: [down, rateLimit("30 seconds")]
      })
      expect(yield* verdict(law)).toMatch(
        /^Laws\.schedule: After RateLimit asking for 30000 ms it waits [\d.]+ ms although 30000 ms were asked for$/
      )
    }))

  it.effect("E12: Retry-After is honoured once and then forgotten", () =>
    Effect.gen(function*() {
      const forgetful = Schedule.makeWithState(0, (now, input: unknown, n) => {
        const wait = n === 0 && ApiError.isApiError(input) && input._tag === "RateLimit"
          ? 30_000
          : 100
        return Effect.succeed([
          n + 1,
          n,
          ScheduleDecision.continueWith(ScheduleInterval.after(now + wait))
        ])
      })
      const message = yield* verdict(
        Laws.schedule(forgetful, { inputs: [rateLimit("30 seconds")] })
      )
      expect(message).toContain("2 failures")
      expect(message).toContain("waits 100 ms although 30000 ms were asked for")
    }))

  it.effect("E12: jitter that subtracts from Retry-After", () =>
    Effect.gen(function*() {
      const shortened = Schedules.cappedJitter().pipe(
        Schedules.honourRetryAfter(),
        Schedule.jitteredWith({ min: 0.8, max: 1 })
      )
      expect(yield* verdict(Laws.schedule(shortened, { inputs: [rateLimit("30 seconds")] })))
        .toContain(
          "30000 ms were asked for"
        )
    }))

  it.effect.each([2 ** 31, Infinity, NaN])(
    "E12: a delay of %s ms",
    (delay) =>
      Effect.gen(function*() {
        expect(yield* verdict(Laws.schedule(waiting(100, delay), { inputs: [down] }))).toBe(
          `Laws.schedule: After 2 failures (Server, Server) it waits ${delay} ms, which no timer can hold`
        )
      })
  )

  it.effect("E12: the longest delay that a timer can hold is no fault", () =>
    Effect.gen(function*() {
      expect(yield* verdict(Laws.schedule(waiting(2 ** 31 - 1), { inputs: [down] }))).toBe("kept")
    }))

  it.effect("E12: an exponential without a cap, at the failure that is one too many", () =>
    Effect.gen(function*() {
      const message = yield* verdict(
        Laws.schedule(Schedule.exponential("1 second"), { inputs: [down] })
      )
      expect(message).toMatch(/After 23 failures .* waits 4194304000 ms, which no timer can hold/)
    }))

  it.effect("a fault after one of several failures is shown with that failure alone", () =>
    Effect.gen(function*() {
      const picky = Schedule.makeWithState(0, (now, input: unknown, n) => {
        const wait = input === "bad" ? 9000 : 100
        return Effect.succeed([
          n + 1,
          n,
          ScheduleDecision.continueWith(ScheduleInterval.after(now + wait))
        ])
      })
      const message = yield* verdict(
        Laws.schedule(picky, { inputs: ["fine", "bad"], cap: "5 seconds" })
      )
      expect(message).toBe("Laws.schedule: After bad it waits 9000 ms, its cap is 5000 ms")
    }))

  it.effect("the same fault has the same smallest case in every run", () =>
    Effect.gen(function*() {
      const law = verdict(
        Laws.schedule(waiting(100, 200, 300, 6000), { inputs: [down, "x"], cap: "5 seconds" })
      )
      const messages = yield* Effect.replicateEffect(law, 5)
      expect(
        messages.map((message) => /^Laws\.schedule: After 4 failures .* 6000 ms/.test(message))
      ).toEqual(
        Array.from({ length: 5 }, () => true)
      )
    }))
})

describe("schedule: sound policies", () => {
  const sound: ReadonlyArray<
    readonly [
      name: string,
      schedule: Schedule.Schedule<unknown>,
      cap: Duration.DurationInput | undefined
    ]
  > = [
    ["cappedJitter", Schedules.cappedJitter(), "20 seconds"],
    [
      "cappedJitter of other numbers",
      Schedules.cappedJitter({ base: "1 second", cap: "5 seconds" }),
      "5 seconds"
    ],
    [
      "equal jitter",
      Backoff.schedule(
        Backoff.exponential({ base: "1 second", cap: "8 seconds", jitter: Backoff.equal })
      ),
      "8 seconds"
    ],
    [
      "decorrelated jitter",
      Backoff.schedule(Backoff.decorrelated({ base: "100 millis", cap: "10 seconds" })),
      "10 seconds"
    ],
    ["the schedule of WidgetSession.retry", widgetRetries, "8 seconds"],
    [
      "linear with full jitter",
      Backoff.schedule(
        Backoff.linear({ base: "1 second", cap: "4 seconds", jitter: Backoff.full })
      ),
      "4 seconds"
    ],
    ["a constant without a cap", Backoff.schedule(Backoff.constant("1 second")), undefined],
    ["a schedule that never continues", Schedule.stop, "1 second"]
  ]

  it.effect.each(sound)("R2: %s", ([, schedule, cap]) =>
    Effect.gen(function*() {
      expect(yield* verdict(Laws.schedule(schedule, { inputs: [down, "x"], cap }))).toBe("kept")
    }))

  it.effect("E12: with honourRetryAfter a wait that was asked for may exceed the cap", () =>
    Effect.gen(function*() {
      const schedule = Schedules.cappedJitter().pipe(Schedules.honourRetryAfter())
      const inputs = [down, rateLimit("30 seconds"), rateLimit(0), rateLimit("1 hour")]
      expect(yield* verdict(Laws.schedule(schedule, { inputs, cap: "20 seconds" }))).toBe("kept")
    }))

  it.effect("a schedule that needs something of its environment gets it", () =>
    Effect.gen(function*() {
      const schedule = Schedules.cappedJitter().pipe(Schedules.whileTransient(Operation.keyed))
      const law = Laws.schedule(schedule, { inputs: [down], cap: "20 seconds" })
      expect(yield* verdict(IdempotencyKey.provideNew(law))).toBe("kept")
    }))
})

describe("schedule: options", () => {
  const refusal = (options: Parameters<typeof Laws.schedule>[1]) =>
    Effect.map(
      Effect.exit(Laws.schedule(Schedules.cappedJitter(), options)),
      (exit) => Exit.isSuccess(exit) ? "accepted" : Cause.pretty(exit.cause)
    )

  it.effect("nonsense is refused by field and value", () =>
    Effect.gen(function*() {
      expect([
        yield* refusal({ inputs: [down], cap: -5 }),
        yield* refusal({ inputs: [down], runs: 0 }),
        yield* refusal({ inputs: [down], runs: 1.5 })
      ]).toEqual([
        expect.stringMatching(/cap.*-5/),
        expect.stringMatching(/runs.*0/),
        expect.stringMatching(/runs.*1\.5/)
      ])
    }))

  it.effect("a law over no failures at all could not be broken, and is refused", () =>
    Effect.gen(function*() {
      expect(yield* refusal({ inputs: [] })).toMatch(/inputs/)
    }))
})

describe("delays", () => {
  const spread = Schedules.cappedJitter({ base: "1 second" })
  const failures = Array.from({ length: 10 }, () => down)

  it.effect("the same seed gives the same delays, another seed others", () =>
    Effect.gen(function*() {
      const a = yield* Laws.delays(spread, failures, { seed: 7 })
      const b = yield* Laws.delays(spread, failures, { seed: 7 })
      const c = yield* Laws.delays(spread, failures, { seed: 8 })
      expect([a.length, a.join() === b.join(), a.join() === c.join()]).toEqual([10, true, false])
    }))

  it.effect("without a seed they are the same every time, whatever Random is around", () =>
    Effect.gen(function*() {
      const a = yield* Effect.withRandom(Laws.delays(spread, failures), Random.make(1))
      const b = yield* Effect.withRandom(Laws.delays(spread, failures), Random.make(2))
      const c = yield* Laws.delays(spread, failures, { seed: 0 })
      expect([a.join() === b.join(), a.join() === c.join()]).toEqual([true, true])
    }))

  it.effect("they are shorter than the failures when the schedule ends", () =>
    Effect.gen(function*() {
      const three = Backoff.schedule(Backoff.constant("2 seconds")).pipe(Schedules.retries(3))
      expect(yield* Laws.delays(three, failures)).toEqual([2000, 2000, 2000])
    }))

  it.effect("time is virtual: days of delays pass at once, and the clock around stands still", () =>
    Effect.gen(function*() {
      const daily = yield* Laws.delays(Schedule.spaced("1 day"), failures)
      expect([daily, yield* Clock.currentTimeMillis]).toEqual([failures.map(() => 86_400_000), 0])
    }))

  it.effect("a schedule sees the time pass that it asked for", () =>
    Effect.gen(function*() {
      const timed = Backoff.schedule(Backoff.constant("2 seconds")).pipe(
        Schedules.within("5 seconds")
      )
      expect(yield* Laws.delays(timed, failures)).toEqual([2000, 2000])
    }))

  it.effect("a schedule that looks at the Clock sees the same time", () =>
    Effect.gen(function*() {
      const looking = Schedule.makeWithState(0, (now, _: unknown, n) =>
        Effect.map(Clock.currentTimeMillis, (clock) =>
          [
            n + 1,
            n,
            ScheduleDecision.continueWith(ScheduleInterval.after(now + 1000 + clock))
          ] as const))
      expect(yield* Laws.delays(looking, failures.slice(0, 3))).toEqual([1000, 2000, 4000])
    }))

  it.effect("R4: the delays of WidgetSession.retry lie in its intervals", () =>
    Effect.gen(function*() {
      const draws = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, seed) => seed),
        (seed) => Laws.delays(widgetRetries, failures, { seed })
      )
      const outside = draws.filter((delays) =>
        delays.length !== 3 ||
        delays.some((delay, n) => delay < 500 * 2 ** n || delay > 500 * 2 ** n + 300)
      )
      expect(outside).toEqual([])
    }))
})

describe("playbook", () => {
  const extended = (overrides: Partial<Playbook.Playbook>) =>
    Playbook.extend(Playbook.standard, overrides)
  const row = (status: number, changes: Partial<Playbook.Entry>) =>
    extended({
      byStatus: { [status]: { ...Playbook.lookup(Playbook.standard, status), ...changes } }
    })

  it.effect("E2: the standard one and the one of the widget sessions keep the law", () =>
    Effect.gen(function*() {
      expect([
        yield* verdict(Laws.playbook(Playbook.standard)),
        yield* verdict(Laws.playbook(WidgetSession.playbook))
      ]).toEqual(["kept", "kept"])
    }))

  it.effect("E2: one that repeats a 401", () =>
    Effect.gen(function*() {
      expect(yield* verdict(Laws.playbook(row(401, { repeat: "transient" })))).toMatch(
        /^Laws\.playbook: 401 .*Auth/
      )
    }))

  it.effect.each([400, 403, 404, 409, 410, 412, 422])(
    "E2: one that repeats a %s",
    (status) =>
      Effect.gen(function*() {
        expect(yield* verdict(Laws.playbook(row(status, { repeat: "transient" })))).toMatch(
          new RegExp(`^Laws\\.playbook: ${status} `)
        )
      })
  )

  it.effect.each([501, 505])("E2: one that repeats a %s", (status) =>
    Effect.gen(function*() {
      expect(yield* verdict(Laws.playbook(row(status, { repeat: "transient" })))).toMatch(
        new RegExp(`^Laws\\.playbook: ${status} `)
      )
    }))

  it.effect("E2: one that gives a 503 a tag that is final, and repeats it still", () =>
    Effect.gen(function*() {
      expect(yield* verdict(Laws.playbook(row(503, { tag: "Auth" })))).toMatch(
        /^Laws\.playbook: 503 .*Auth/
      )
    }))

  it.effect("E2: a code that makes a 503 an Auth and takes its repeat along", () =>
    Effect.gen(function*() {
      const message = yield* verdict(
        Laws.playbook(extended({ byCode: { invalid_key: { tag: "Auth" } } }))
      )
      expect(message).toMatch(/^Laws\.playbook: \d+ with code "invalid_key" .*Auth/)
    }))

  it.effect("a code that says its own repeat is sound", () =>
    Effect.gen(function*() {
      const sound = extended({ byCode: { invalid_key: { tag: "Auth", repeat: "never" } } })
      expect(yield* verdict(Laws.playbook(sound))).toBe("kept")
    }))

  it.effect.each(["meaning", "action", "userMessage"] as const)(
    "a row that has no %s",
    (field) =>
      Effect.gen(function*() {
        expect(yield* verdict(Laws.playbook(row(404, { [field]: " " })))).toBe(
          `Laws.playbook: 404 has no ${field}`
        )
      })
  )
})

describe("interruption", () => {
  const turns = Effect.repeatN(turn, 49)

  /**
   * A schedule that counts its steps, and at the hundredth interrupts the fiber that tries it out.
   */
  const interrupting = () => {
    const probe: { steps: number; fiber?: Fiber.RuntimeFiber<unknown, unknown> } = { steps: 0 }
    const schedule = Schedule.makeWithState(0, (now, _: unknown, n) =>
      Effect.sync(() => {
        if (++probe.steps === 100) probe.fiber?.unsafeInterruptAsFork(FiberId.none)
        return [n + 1, n, ScheduleDecision.continueWith(ScheduleInterval.after(now + 1))] as const
      }))
    return { probe, schedule }
  }

  it.live("a law that is interrupted ends, and tries nothing further", () =>
    Effect.gen(function*() {
      const { probe, schedule } = interrupting()
      probe.fiber = yield* Effect.fork(Laws.schedule(schedule, { inputs: [down], runs: 5000 }))
      const exit = yield* Fiber.await(probe.fiber)
      const steps = probe.steps
      yield* turns
      expect([Exit.isInterrupted(exit), probe.steps - steps]).toEqual([true, 0])
    }))

  it.live("a schedule that never answers can be interrupted", () =>
    Effect.gen(function*() {
      class Gate extends Context.Tag("Gate")<Gate, { readonly released: () => void }>() {}
      const probes: Array<string> = []
      const stuck = Schedule.makeWithState(0, (_now, _input: unknown) =>
        Effect.flatMap(Gate, ({ released }) =>
          Effect.onInterrupt(Effect.never, () =>
            Effect.sync(released))))
      const law = Effect.provideService(Laws.schedule(stuck, { inputs: [down] }), Gate, {
        released: () =>
          void probes.push("released")
      })
      const fiber = yield* Effect.fork(law)
      yield* turns
      const exit = yield* Fiber.interrupt(fiber)
      yield* turns
      expect([Exit.isInterrupted(exit), probes]).toEqual([true, ["released"]])
    }))
})
