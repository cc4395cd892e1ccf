/** Runs calls under circuits: admission, the call, and what its end says. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Circuit from "../../core/circuit.js"
import { clockOf, nowMillis } from "../../runtime/clock.js"
import { whenEnded } from "../../runtime/ending.js"
import * as QueueTime from "../../runtime/queueTime.js"
import { ignored, type Outcome, resultOf } from "./outcome.js"
import { type Asking, type Cell, CircuitOpen, type Circuits } from "./registry.js"

type Classify<A, E> = (exit: Exit.Exit<A, E>) => Outcome

const openFor = (key: string, millis: number): CircuitOpen =>
  new CircuitOpen({ key, retryAfter: Duration.millis(millis) })

/**
 * The one place that guards a call. A call that is rejected is rejected at once; from admission to
 * taking down the outcome nothing can interrupt but the call itself.
 */
export const guard = <A, E, R>(
  circuits: Circuits,
  self: Effect.Effect<A, E, R>,
  key: string,
  classify: Classify<A, E>
): Effect.Effect<A, E | CircuitOpen, R> =>
  Effect.withFiberRuntime<A, E | CircuitOpen, R>((fiber) => {
    const clock = clockOf(fiber)
    const started = nowMillis(clock)
    const cell = circuits.cell(key, clock, started)
    const wait = circuits.rejects(cell, started)
    if (wait !== undefined) return Effect.fail(openFor(key, wait))
    return Effect.uninterruptibleMask((restore) => {
      const asking = circuits.ask?.(cell, clock, started)
      return asking === undefined
        ? admitted(circuits, restore(self), cell, classify, fiber, started)
        : asked(circuits, restore(self), cell, classify, fiber, restore(asking.wait), asking)
    })
  })

/** A call that waits for a fleet's leave to be a trial. */
const asked = <A, E, R>(
  circuits: Circuits,
  call: Effect.Effect<A, E, R>,
  cell: Cell,
  classify: Classify<A, E>,
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  wait: Effect.Effect<void>,
  asking: Asking
): Effect.Effect<A, E | CircuitOpen, R> =>
  whenEnded(wait, (exit): Effect.Effect<A, E | CircuitOpen, R> => {
    if (Exit.isFailure(exit)) {
      asking.giveUp()
      return Effect.failCause(exit.cause)
    }
    const now = nowMillis(clockOf(fiber))
    return admitted(circuits, call, cell, classify, fiber, now, asking)
  })

const admitted = <A, E, R>(
  circuits: Circuits,
  call: Effect.Effect<A, E, R>,
  cell: Cell,
  classify: Classify<A, E>,
  fiber: Fiber.RuntimeFiber<unknown, unknown>,
  started: number,
  asking?: Asking
): Effect.Effect<A, E | CircuitOpen, R> => {
  const clock = clockOf(fiber)
  const token = circuits.admit(cell, started, asking)
  // Others may have come between.
  if (typeof token === "number") return Effect.fail(openFor(cell.key, token))
  const waited = QueueTime.millisOf(fiber)
  const admission: Admission<A, E> = {
    circuits,
    cell,
    token,
    classify,
    fiber,
    clock,
    started,
    waited
  }
  return whenEnded(call, (exit) => ended(admission, exit))
}

/** A call that was let in, until it has ended. */
interface Admission<A, E> {
  readonly circuits: Circuits
  readonly cell: Cell
  readonly token: Circuit.Token
  readonly classify: Classify<A, E>
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  readonly clock: Clock.Clock
  readonly started: number
  readonly waited: number
}

/** A draw is needed only where the open time has jitter. */
const ended = <A, E>(admission: Admission<A, E>, exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
  typeof admission.circuits.policy.open === "number"
    ? recordOutcome(admission, exit, 0)
    : Effect.flatMap(Random.next, (unit) => recordOutcome(admission, exit, unit))

/**
 * Records the outcome. A `classify` that throws ignores the call, frees its place and is the defect
 * that it is.
 */
const recordOutcome = <A, E>(
  { cell, circuits, classify, clock, fiber, started, token, waited }: Admission<A, E>,
  exit: Exit.Exit<A, E>,
  unit: number
): Exit.Exit<A, E> => {
  const now = nowMillis(clock)
  // What it stood in front of a limiter or a bulkhead is not the upstream's.
  const duration = now - started - (QueueTime.millisOf(fiber) - waited)
  let outcome: Outcome = ignored
  try {
    outcome = classify(exit)
  } finally {
    circuits.record(
      cell,
      token,
      resultOf(circuits.policy, exit, outcome, duration, unit),
      clock,
      now
    )
  }
  return exit
}
