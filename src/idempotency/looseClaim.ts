/**
 * A claim that the store may have made for a caller that did not get the answer. Its owner gives it
 * back, so that the next caller runs.
 */
import * as Effect from "effect/Effect"
import { nowMillis } from "../runtime/clock.js"
import type * as Fingerprint from "./fingerprint.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import { InFlightRun } from "./inFlightRuns.js"
import { Lease } from "./lease.js"
import * as Repeats from "./repeats.js"
import type { Settings } from "./settings.js"
import { type Answer, ask, type Failed } from "./storeCalls.js"

/**
 * How long the lease of a claim that is asked for again lasts at least, in timeouts of the store.
 */
const timeoutsToUndo = 4

export class LooseClaim {
  /** Whether its work runs or has run without protection. The claim then says so to others. */
  isUsed = false
  #isGivenBack = false
  #late: IdempotencyStore.Acquired | undefined

  constructor(
    private readonly store: IdempotencyStore.Service,
    private readonly claim: IdempotencyStore.Claim,
    private readonly acquire: Fingerprint.Acquire,
    private readonly settings: Settings,
    /** When its lease ends, at the earliest; monotonic. */
    private readonly untilMillis: number,
    /** The end of a transaction undoes the claim; its connection may serve others by then. */
    private readonly inTransaction: boolean
  ) {}

  /** The answer has come after the caller had given up. */
  granted(answer: IdempotencyStore.Acquired): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.isUsed) return this.#undo(answer)
      this.#late = answer
      return Effect.void
    })
  }

  /**
   * Asks for the claim again, which tells whether it was made, and undoes it. Its lease then ends
   * when that of the first claim would have ended, or a few timeouts from now: one that ended
   * before the claim is undone would look like a run that died.
   */
  giveBack({ leftBehind }: Failed): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isUsed || this.inTransaction || this.#isGivenBack) return Effect.void
      this.#isGivenBack = true
      if (this.#late !== undefined) return this.#undo(this.#late)
      return Repeats.start(this.store, {
        kind: "claim",
        untilMillis: this.untilMillis,
        timeoutMillis: this.settings.storeTimeoutMillis,
        leftBehind,
        onlyIfMade: true,
        ask: (limits) => this.#askAgain(limits),
        answered: (answer) => this.#undo(answer)
      })
    })
  }

  #askAgain(
    { leftMillis, ...limits }: Repeats.Try
  ): Effect.Effect<Answer<IdempotencyStore.Acquired>> {
    const { leaseMillis } = this.claim
    const least = Math.min(leaseMillis, timeoutsToUndo * this.settings.storeTimeoutMillis)
    const claim = { ...this.claim, leaseMillis: Math.max(leftMillis, least) }
    return ask(this.store, () => this.acquire(claim), {
      ...limits,
      late: (answer) => this.#undo(answer)
    })
  }

  #undo(answer: IdempotencyStore.Acquired): Effect.Effect<void> {
    if (answer._tag !== "Acquired" || this.inTransaction) return Effect.void
    return Effect.uninterruptible(Effect.clockWith((clock) => {
      const run = new InFlightRun()
      const least = timeoutsToUndo * this.settings.storeTimeoutMillis
      run.leaseUntilMillis = Math.max(this.untilMillis, nowMillis(clock) + least)
      return new Lease(this.store, this.claim, answer, this.settings, run, false).undo
    }))
  }
}
