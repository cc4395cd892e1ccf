import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Deferred,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Logger,
  LogLevel,
  Option
} from "effect"
import { type ApiError, Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { settled, virtualClock } from "../support/clocks.js"
import { timeout } from "../support/errors.js"
import { type Fault, faultyStore, type Operation } from "../support/faultyStore.js"
import { Busy, defaults, type Receipt } from "../support/idempotent.js"
import { runs } from "../support/runs.js"

const leaseMillis = 9_000
const waitMillis = 4_000
const storeTimeoutMillis = 2_000

type Command =
  | {
    readonly do: "start"
    readonly form: "effect" | "function"
    readonly process: 0 | 1
    readonly waits: boolean
    readonly heartbeat: boolean
  }
  | {
    readonly do: "end"
    readonly which: number
    readonly how: "succeed" | "refused" | "timeout" | "defect"
  }
  | { readonly do: "interrupt"; readonly which: number }
  | { readonly do: "advance"; readonly millis: number }
  | { readonly do: "fault"; readonly operation: Operation; readonly fault: Fault | undefined }

const which = fc.nat({ max: 4 })
const start = fc.record({
  do: fc.constant("start" as const),
  form: fc.constantFrom("effect" as const, "function" as const),
  process: fc.constantFrom(0 as const, 1 as const),
  waits: fc.boolean(),
  heartbeat: fc.boolean()
})
const end = fc.record({
  do: fc.constant("end" as const),
  which,
  how: fc.constantFrom(
    "succeed" as const,
    "succeed" as const,
    "refused" as const,
    "timeout" as const,
    "defect" as const
  )
})
const interrupt = fc.record({ do: fc.constant("interrupt" as const), which })
const advance = fc.record({
  do: fc.constant("advance" as const),
  millis: fc.constantFrom(
    1,
    100,
    storeTimeoutMillis,
    3_000,
    waitMillis,
    leaseMillis - 1,
    leaseMillis
  )
})
const fault = fc.record({
  do: fc.constant("fault" as const),
  operation: fc.constantFrom<Operation>("acquire", "complete", "release", "extend"),
  fault: fc.constantFrom<Fault | undefined>(
    undefined,
    undefined,
    "hang",
    "refuse",
    "lose",
    1_000,
    3_000
  )
})
const script = fc.array(
  fc.oneof(
    { arbitrary: start, weight: 9 },
    { arbitrary: end, weight: 7 },
    { arbitrary: advance, weight: 7 },
    { arbitrary: interrupt, weight: 3 },
    { arbitrary: fault, weight: 2 }
  ),
  { maxLength: 24 }
)

/**
 * One execution of the work. What ended with `refused` certainly changed nothing; a success
 * certainly did; the outcome of anything else is unknown.
 */
interface Execution {
  readonly id: string
  /** When its lease ends, unless something extends it. */
  readonly lapsesAt: number
  readonly gate: Deferred.Deferred<Receipt, Busy | ApiError.Timeout>
  state: "running" | "succeeded" | "refused" | "unknown"
}

const play = (commands: ReadonlyArray<Command>) =>
  Effect.gen(function*() {
    const { advance, clock, timers } = virtualClock()
    const { faults, store } = yield* faultyStore
    // Two processes share what is stored, and nothing else.
    const processes = [store, { ...store }]
    const key = yield* IdempotencyKey.fromString("order-17", { madeAt: 0 })
    const executions: Array<Execution> = []
    const broken: Array<string> = []
    const callers: Array<Fiber.RuntimeFiber<Exit.Exit<Receipt, unknown>>> = []

    const work = (heartbeat: boolean) => (run: Pick<Idempotency.Run, "recovered">) =>
      Effect.suspend(() => {
        const others = executions.filter(({ state }) => state !== "refused")
        if (!run.recovered && others.length > 0) {
          broken.push("a first run, although there was another execution")
        }
        if (run.recovered && executions.length === 0) {
          broken.push("recovered, although there was no execution")
        }
        if (others.some(({ state }) => state === "succeeded") && !unrecorded) {
          broken.push("run again after a success that was recorded")
        }
        const execution: Execution = {
          id: `r-${executions.length}`,
          lapsesAt: heartbeat ? Infinity : clock.unsafeCurrentTimeMillis() + leaseMillis,
          gate: Deferred.unsafeMake(Fiber.id(callers[0]!)),
          state: "running"
        }
        executions.push(execution)
        return Effect.onExit(Deferred.await(execution.gate), () =>
          Effect.sync(() => {
            if (execution.state === "running") execution.state = "unknown"
          }))
      })
    /** Whether a success may have met a fault, a lapsed lease or a takeover. */
    let unrecorded = false

    const begin = (command: Extract<Command, { readonly do: "start" }>) => {
      const options = {
        ...defaults,
        lease: leaseMillis,
        storeTimeout: storeTimeoutMillis,
        heartbeat: command.heartbeat,
        onDuplicate: command.waits ? { wait: waitMillis } : "reject"
      } as const
      const working = work(command.heartbeat)
      const plain = working({ recovered: false })
      const run = command.form === "effect"
        ? Idempotency.run(plain, options)
        : Idempotency.run(working, options)
      return run.pipe(
        IdempotencyKey.provide(key),
        Effect.provideService(IdempotencyStore.IdempotencyStore, processes[command.process]!),
        Effect.exit,
        Effect.fork
      )
    }

    const finish = (execution: Execution, how: Extract<Command, { readonly do: "end" }>["how"]) => {
      switch (how) {
        case "succeed":
          execution.state = "succeeded"
          if (Object.values(faults).some((fault) => fault !== undefined)) unrecorded = true
          if (executions.length > 1) unrecorded = true
          // A caller that came since may have taken the claim over, with or without a run of its own.
          if (clock.unsafeCurrentTimeMillis() >= execution.lapsesAt) unrecorded = true
          return Deferred.succeed(execution.gate, { id: execution.id })
        case "refused":
          execution.state = "refused"
          return Deferred.fail(execution.gate, new Busy())
        case "timeout":
          return Deferred.fail(
            execution.gate,
            timeout("total")
          )
        case "defect":
          return Deferred.die(execution.gate, "boom")
      }
    }

    yield* Effect.gen(function*() {
      callers.push(yield* Effect.fork(Effect.exit(Effect.succeed<Receipt>({ id: "none" }))))
      for (const command of commands) {
        switch (command.do) {
          case "start":
            callers.push(yield* begin(command))
            break
          case "end": {
            const running = executions.filter(({ state }) => state === "running")
            const execution = running[command.which % Math.max(1, running.length)]
            if (execution !== undefined) yield* finish(execution, command.how)
            break
          }
          case "interrupt":
            yield* Fiber.interruptFork(callers[command.which % callers.length]!)
            break
          case "advance":
            yield* advance(command.millis)
            break
          case "fault":
            if (command.fault === undefined) delete faults[command.operation]
            else faults[command.operation] = command.fault
        }
        yield* settled
      }
      // Everything comes to an end once the work does.
      for (const execution of executions) {
        if (execution.state === "running") yield* finish(execution, "timeout")
      }
      for (
        const operation of ["acquire", "complete", "release", "extend"] as const
      ) delete faults[operation]
      for (let i = 0; i < 4; i++) {
        yield* advance(waitMillis)
        for (const execution of executions) {
          if (execution.state === "running") yield* finish(execution, "timeout")
        }
      }
      for (const caller of callers.slice(1)) {
        const ended = yield* Fiber.poll(caller)
        if (Option.isNone(ended)) {
          broken.push("a caller that never ends")
          yield* Fiber.interruptFork(caller)
          continue
        }
        const exit = Exit.flatten(ended.value)
        if (Exit.isSuccess(exit)) {
          const source = executions.find(({ id }) => id === exit.value.id)
          if (source?.state !== "succeeded") {
            broken.push(`a value of an execution that ${source?.state}`)
          }
        } else {
          const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
          if (error instanceof Idempotency.Mismatch || error instanceof Idempotency.CorruptRecord) {
            broken.push(error._tag)
          }
        }
      }
      if (timers.size > 0) broken.push(`${timers.size} timers left`)
    }).pipe(Effect.withClock(clock), Logger.withMinimumLogLevel(LogLevel.None))

    return { broken, executions: executions.length }
  })

describe("several callers, crashes and outages", () => {
  it(
    "I20, I21, I22, I25: no second first run, no run after a recorded success, no invented value, nobody left waiting",
    async () => {
      let executions = 0
      await fc.assert(
        fc.asyncProperty(script, async (commands) => {
          const played = await Effect.runPromise(play(commands))
          executions += played.executions
          expect(played.broken).toEqual([])
        }),
        { numRuns: runs(500) }
      )
      expect(executions).toBeGreaterThan(0.6 * runs(500))
    },
    120_000
  )
})
