import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, FiberRef } from "effect"
import { Fault } from "../../src/http/fault.js"
import { settle } from "../support/turns.js"

/** Something under way that says when it was interrupted. */
const underWay = () => {
  const seen = { interrupted: 0 }
  const self = Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.interrupted++))
  return { seen, self }
}

describe("breaking off what is under way", () => {
  it.effect("E23: a fault interrupts it and is the failure", () =>
    Effect.gen(function*() {
      const fault = new Fault<string>()
      const { seen, self } = underWay()
      const fiber = yield* Effect.fork(Effect.exit(fault.breaksOff(self)))
      yield* settle
      fault.raise("shorter")
      fault.raise("longer")
      expect([yield* Fiber.join(fiber), seen.interrupted]).toEqual([Exit.fail("shorter"), 1])
    }))

  it.effect("G12: also where its caller cannot be interrupted", () =>
    Effect.gen(function*() {
      const fault = new Fault<string>()
      const { self } = underWay()
      const fiber = yield* Effect.fork(
        Effect.uninterruptible(Effect.exit(fault.breaksOff(self)))
      )
      yield* settle
      fault.raise("shorter")
      expect(yield* Fiber.join(fiber)).toEqual(Exit.fail("shorter"))
    }))

  it.effect("a fault that was raised before breaks it off at once", () =>
    Effect.gen(function*() {
      const fault = new Fault<string>()
      fault.raise("shorter")
      expect(yield* Effect.exit(fault.breaksOff(Effect.never))).toEqual(Exit.fail("shorter"))
    }))

  it.effect("what has succeeded has succeeded, and what has failed keeps its failure", () =>
    Effect.gen(function*() {
      const fault = new Fault<string>()
      const ref = FiberRef.unsafeMake("outside")
      const written = Effect.as(FiberRef.set(ref, "inside"), "answer")
      expect(yield* fault.breaksOff(written)).toBe("answer")
      expect(yield* FiberRef.get(ref)).toBe("inside")
      expect(yield* Effect.exit(fault.breaksOff(Effect.fail("refused")))).toEqual(
        Exit.fail("refused")
      )
    }))

  it.effect("G12: its caller's interruption interrupts it and waits for it", () =>
    Effect.gen(function*() {
      const fault = new Fault<string>()
      const { seen, self } = underWay()
      const fiber = yield* Effect.fork(fault.breaksOff(self))
      yield* settle
      yield* Fiber.interrupt(fiber)
      expect(seen.interrupted).toBe(1)
      fault.raise("too late")
      expect(seen.interrupted).toBe(1)
    }))

  it.effect("G12: interrupted at any operation, nothing is left running", () =>
    Effect.gen(function*() {
      for (let steps = 1; steps <= 40; steps++) {
        const fault = new Fault<string>()
        let running = 0
        const self = Effect.acquireUseRelease(
          Effect.sync(() => running++),
          () => Effect.never,
          () => Effect.sync(() => running--)
        )
        const fiber = yield* Effect.fork(
          Effect.withMaxOpsBeforeYield(fault.breaksOff(self), 16 + steps % 9)
        )
        yield* Effect.repeatN(Effect.yieldNow(), steps % 11)
        yield* Fiber.interrupt(fiber)
        expect(running).toBe(0)
      }
    }))
})
