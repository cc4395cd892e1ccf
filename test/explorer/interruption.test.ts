/**
 * A call is interrupted at each of its operations, through every pipeline of up to three stages.
 */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { Backoff, Operation, Pipeline } from "effect-resilience"
import * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Cooldown from "effect-resilience/Cooldown"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { rateLimit } from "../support/errors.js"
import { runs } from "../support/runs.js"
import { Machine } from "./machine.js"

const make = Effect.gen(function*() {
  const circuitBreaker = yield* CircuitBreaker.make()
  const rateLimiter = yield* RateLimiter.make({ limit: 1, interval: "7 millis" })
  const bulkhead = yield* Bulkhead.make({ concurrency: 1, queue: 9, maxWait: "1 minute" })
  const concurrency = yield* AdaptiveConcurrency.make()
  const cooldown = yield* Cooldown.make()
  return {
    stages: {
      retry: { retries: 1, backoff: Backoff.constant("5 millis") },
      hedge: { delay: "4 millis" },
      circuitBreaker,
      throttle: {},
      rateLimiter,
      bulkhead,
      concurrency,
      cooldown,
      attemptTimeout: "1 second",
      totalTimeout: "1 minute"
    } as const,
    /** What is held and what stands in line, which must be nothing in the end. */
    held: Effect.gen(function*() {
      const inFlight = (yield* circuitBreaker.snapshots).map((each) => each.inFlight)
      const waiting = (yield* rateLimiter.snapshots).map((each) => each.waiting)
      const running = (yield* concurrency.snapshots).map((each) => each.running)
      const cooling = (yield* cooldown.snapshots).map((each) => each.waiting)
      const inside = yield* bulkhead.snapshot
      return [...inFlight, ...waiting, ...running, ...cooling, inside.running, inside.waiting]
    })
  }
})

type Stages = Effect.Effect.Success<typeof make>["stages"]
type Name = keyof Stages

const names: ReadonlyArray<Name> = [
  "retry",
  "hedge",
  "circuitBreaker",
  "throttle",
  "rateLimiter",
  "bulkhead",
  "concurrency",
  "cooldown",
  "attemptTimeout",
  "totalTimeout"
]

/** Every choice of up to so many. */
const choices = (from: ReadonlyArray<Name>, most: number): ReadonlyArray<ReadonlyArray<Name>> =>
  most === 0 ? [[]] : [
    [],
    ...from.flatMap((name, index) =>
      choices(from.slice(index + 1), most - 1).map((others) => [name, ...others])
    )
  ]

/** A call whose first attempt is told to wait, and which holds something while it runs. */
const calling = () => {
  const seen = { attempts: 0, held: 0 }
  const attempt = Effect.acquireUseRelease(
    Effect.sync(() => {
      seen.held++
      return seen.attempts++
    }),
    (attempts) =>
      Effect.zipRight(
        Effect.sleep("3 millis"),
        attempts === 0 ? rateLimit(Duration.millis(6)) : Effect.succeed("ok")
      ),
    () => Effect.sync(() => void seen.held--)
  )
  return { attempt, seen }
}

/**
 * One run: a call that is under way, one that is interrupted at an operation, one that comes after
 * it. What is wrong afterwards, and whether there was an operation of that number.
 */
const runOf = (names: ReadonlyArray<Name>, budget: number, at: number, isMasked: boolean) => {
  const machine = new Machine(budget)
  const { held, stages } = machine.get(make)
  const chosen = Object.fromEntries(names.map((name) => [name, stages[name]]))
  const pipeline = machine.get(Pipeline.make({ operation: Operation.read, ...chosen }))
  const [first, victim, last] = [calling(), calling(), calling()]
  const fork = (self: Effect.Effect<unknown, unknown>) =>
    machine.fork(Effect.exit(Pipeline.protect(self, pipeline)))
  const before = fork(first.attempt)
  machine.settle()
  const call = Pipeline.protect(victim.attempt, pipeline)
  // It starts on the next turn, so that its first operations are among those that are counted.
  const fiber = machine.fork(
    Effect.zipRight(Effect.yieldNow(), isMasked ? Effect.uninterruptible(call) : call)
  )
  machine.operations = 0
  machine.at = at
  const reached = { isInterrupted: false }
  machine.whenReached = () => {
    reached.isInterrupted = true
    machine.interrupt(fiber)
  }
  machine.settle()
  while (!reached.isInterrupted && machine.step());
  const isLate = reached.isInterrupted && !isMasked && fiber.unsafePoll() === null
  // Where no other call is under way, nothing is left at this very moment.
  const isAlone = before.unsafePoll() !== null && fiber.unsafePoll() !== null
  const left = isAlone ? machine.timers.size + machine.fibers : 0
  const after = fork(last.attempt)
  machine.run()
  const wrong = [
    isLate ? "the call has not ended when it was interrupted" : "",
    left > 0 ? `${left} timers and fibers are left` : "",
    ...[before, fiber, after].map((each) => each.unsafePoll() === null ? "a call hangs" : ""),
    machine.fibers > 0 ? `${machine.fibers} fibers` : "",
    first.seen.held + victim.seen.held + last.seen.held > 0 ? "an attempt was not released" : "",
    machine.get(held).some((count) => count !== 0) ? "a place is held" : ""
  ].filter((each) => each !== "")
  return { wrong, isOver: !reached.isInterrupted }
}

const budgets = [2048, 60, 17]

/** Every n-th operation, of those of a call. */
const explored = (names: ReadonlyArray<Name>, isMasked: boolean, stride: number) => {
  const wrong: Array<string> = []
  let interleavings = 0
  budgets.forEach((budget, index) => {
    for (let at = 1 + index; at < 20_000; at += stride) {
      const run = runOf(names, budget, at, isMasked)
      interleavings++
      for (const each of run.wrong) wrong.push(`${names}, budget ${budget}, at ${at}: ${each}`)
      if (run.isOver) break
    }
  })
  return { wrong, interleavings }
}

describe("G12: an interruption at any operation ends the call and leaves nothing behind", () => {
  const all = choices(names, 3).filter((each) => each.length > 0)
  // A share that differs between the pipelines, five times as many in a long run. A stride of one
  // would try every operation, which takes more than an hour.
  const isLong = runs(1000, 1) === 1000
  const total = { interleavings: 0 }

  it.each([1, 2, 3])("through each pipeline of %d stages", { timeout: 3_600_000 }, (size) => {
    const wrong: Array<string> = []
    all.filter((each) => each.length === size).forEach((each, index) => {
      const stride = (isLong ? [0, 5, 43, 241] : [0, 23, 211, 1201])[size] as number + index % 5
      for (const isMasked of [false, true]) {
        const found = explored(each, isMasked, isMasked ? stride * 3 : stride)
        wrong.push(...found.wrong)
        total.interleavings += found.interleavings
      }
    })
    process.stdout.write(`explorer: ${total.interleavings} interleavings so far\n`)
    expect(wrong.slice(0, 20)).toEqual([])
  })
})
