/**
 * Lets attempts wait in the lines of guards: since when, until when, and what has woken them.
 */
import {
  type Attempt,
  type Host,
  later,
  type Line,
  none,
  type Pass,
  type Stand,
  type Steps
} from "./callState.js"

/**
 * The lines under one policy. Each step is O(1).
 *
 * @since 0.1.0
 */
export class Lines {
  readonly #host: Host
  readonly #steps: Steps
  readonly #suspend: (attempt: Attempt) => void

  /** `suspend` hears of an attempt that begins to wait. */
  constructor(host: Host, steps: Steps, suspend: (attempt: Attempt) => void) {
    this.#host = host
    this.#steps = steps
    this.#suspend = suspend
  }

  /** Wakes an attempt. One that does not wait looks at its guard anyway before it does. */
  notify(attempt: Attempt | undefined): void {
    if (attempt === undefined) return
    // What waits in a line, and so may be woken, has one.
    const line = attempt.pass!.line!
    if (!line.isWaiting) return
    line.isWaiting = false
    line.turn = none
    this.#steps.push("wake", attempt)
  }

  /** Waits for a notification, for so long at most. */
  wait(attempt: Attempt, line: Line, millis: number): void {
    if (millis <= 0) this.#steps.push("wake", attempt)
    else {
      line.isWaiting = true
      this.arm(attempt, line, millis)
    }
    this.#suspend(attempt)
  }

  /** Ends the wait of an attempt by its time. */
  arm(attempt: Attempt, line: Line, millis: number): void {
    if (millis === Infinity) return
    line.turn = this.#host.armLine(attempt, later(this.#host.clock.nanos, millis))
  }

  /** An attempt comes to stand in a line. */
  join(attempt: Attempt, stand: Stand): Line {
    attempt.stand = stand
    const line: Line = {
      turn: none,
      fromNanos: this.#host.clock.nanos,
      isWaiting: false,
      rate: undefined,
      permit: undefined,
      cooldown: undefined
    }
    attempt.pass!.line = line
    return line
  }

  /** The time in line was not the upstream's. */
  waited(pass: Pass, line: Line): void {
    pass.queueMillis += (this.#host.clock.nanos - line.fromNanos) / 1e6
  }
}
