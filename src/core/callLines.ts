/**
 * Lets attempts wait in the lines of guards: since when, until when, and what has woken them.
 */
import {
  type Attempt,
  type Host,
  later,
  type Line,
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

  /** Wakes an attempt, or leaves word for one that does not wait yet. */
  notify(attempt: Attempt | undefined): void {
    if (attempt === undefined) return
    // What waits in a line, and so may be woken, has one.
    const line = attempt.pass!.line!
    if (line.isWaiting) {
      line.isWaiting = false
      line.turn = -1
      this.#steps.push("wake", attempt)
    } else line.isNotified = true
  }

  /**
   * Waits for a notification, for so long at most. False: one had come before, and nothing is
   * waited for.
   */
  wait(attempt: Attempt, line: Line, millis: number): boolean {
    if (millis <= 0) {
      this.#steps.push("wake", attempt)
    } else if (line.isNotified) {
      line.isNotified = false
      return false
    } else {
      line.isWaiting = true
      this.arm(attempt, line, millis)
    }
    this.#suspend(attempt)
    return true
  }

  /** Ends the wait of an attempt by its time. */
  arm(attempt: Attempt, line: Line, millis: number): void {
    if (millis === Infinity) return
    line.turn = this.#host.armLine(attempt, later(this.#host.clock.nanos, millis))
  }

  /** An attempt comes to stand in a line. */
  join(attempt: Attempt, stand: Stand): Line {
    const pass = attempt.pass!
    attempt.stand = stand
    const fromNanos = this.#host.clock.nanos
    if (pass.line === undefined) {
      pass.line = {
        turn: -1,
        fromNanos,
        isWaiting: false,
        isNotified: false,
        rate: undefined,
        permit: undefined,
        cooldown: undefined
      }
    } else {
      pass.line.isNotified = false
      pass.line.fromNanos = fromNanos
    }
    return pass.line
  }

  /** The time in line was not the upstream's. */
  waited(pass: Pass, line: Line): void {
    const millis = (this.#host.clock.nanos - line.fromNanos) / 1e6
    if (millis > 0) pass.queueMillis += millis
  }
}
