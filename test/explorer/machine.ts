/**
 * A machine without real time: its fibers run in turn, every operation of theirs is counted, and its
 * clock goes on when none can run. The whole of it runs at once, so that thousands of runs are
 * possible.
 */
import { Duration, Effect, Exit, FiberId, Runtime, Supervisor } from "effect"
import type { Fiber, Scheduler } from "effect"
import { clockFrom } from "../support/clocks.js"

class Alive extends Supervisor.AbstractSupervisor<number> {
  count = 0
  override readonly value = Effect.sync(() => this.count)
  override onStart(): void {
    this.count++
  }
  override onEnd(): void {
    this.count--
  }
}

interface Timer {
  readonly at: number
  readonly fire: () => void
}

/** After so many turns without an end something is wrong. */
const most = 200_000

export class Machine implements Scheduler.Scheduler {
  now = 0
  operations = 0
  /** Called before the operation of this number. */
  at = Infinity
  whenReached: () => void = () => {}
  readonly timers = new Set<Timer>()
  readonly #alive = new Alive()
  readonly #tasks: Array<Scheduler.Task> = []

  /** How many operations a fiber may run in a row is given as an operation budget. */
  constructor(readonly budget: number) {}

  get fibers(): number {
    return this.#alive.count
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    if (++this.operations === this.at) {
      this.whenReached()
      return 0
    }
    return fiber.currentOpCount > this.budget ? 0 : false
  }

  scheduleTask(task: Scheduler.Task): void {
    this.#tasks.push(task)
  }

  readonly #clock = clockFrom({
    nanos: () => BigInt(Math.round(this.now * 1e6)),
    millis: () => Math.floor(this.now),
    sleep: (duration) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          let wake: (() => void) | undefined
          let isOver = false
          const timer: Timer = {
            at: this.now + Duration.toMillis(duration),
            fire: () => {
              this.timers.delete(timer)
              isOver = true
              wake?.()
            }
          }
          this.timers.add(timer)
          const wait = Effect.async<void>((resume) => {
            wake = () => resume(Effect.void)
            if (isOver) wake()
          })
          return Effect.ensuring(restore(wait), Effect.sync(() => this.timers.delete(timer)))
        })
      )
  })

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> {
    return Runtime.runFork(Runtime.defaultRuntime)(
      effect.pipe(Effect.withClock(this.#clock), Effect.supervised(this.#alive)),
      { scheduler: this }
    )
  }

  /** Runs all that can run now. */
  settle(): void {
    let turns = 0
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      task()
      if (++turns > most) throw new Error("it does not come to rest")
    }
  }

  /** Lets time pass to the next timer, and runs what it wakes. Without one the answer is false. */
  step(): boolean {
    const [first, ...others] = this.timers
    if (first === undefined) return false
    const next = others.reduce((a, b) => b.at < a.at ? b : a, first)
    this.now = Math.max(this.now, next.at)
    next.fire()
    this.settle()
    return true
  }

  /** Lets time pass until nothing is left to happen. */
  run(): void {
    this.settle()
    while (this.step());
  }

  /** Runs an effect that does not wait. */
  get<A>(effect: Effect.Effect<A>): A {
    const fiber = this.fork(effect)
    this.run()
    const exit = fiber.unsafePoll()
    if (exit === null || Exit.isFailure(exit)) throw new Error("it did not succeed")
    return exit.value
  }

  interrupt(fiber: Fiber.RuntimeFiber<unknown, unknown>): void {
    fiber.unsafeInterruptAsFork(FiberId.none)
  }
}
