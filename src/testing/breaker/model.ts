/**
 * A slow and obvious model of a circuit breaker, from the rules B1 to B14.
 *
 * It shares nothing with the machine but the policy. It keeps every outcome with its time and
 * counts anew whenever it is asked.
 */
import * as Backoff from "../../core/backoff.js"
import type * as Circuit from "../../core/circuit.js"

/** How a call ends. Where it says `retryAfterMillis`, the server asked for that. */
export interface Ending {
  readonly _tag: "Success" | "Failure" | "Ignored" | "Interrupted"
  readonly retryAfterMillis?: number | undefined
  /** The draw for an open time with jitter. */
  readonly unit: number
}

/** What an operator can do. */
export type Operation = Circuit.Order | "Isolate" | "Release" | "Reset"

/**
 * One step of a sequence. `Finish` ends one of the running calls, `isSlow` lets it become too slow
 * before; `Burst` starts some calls together and ends those that were admitted; `Deadline` lets
 * time pass until one of the next moments at which something changes, or just before or after it.
 */
export type Command =
  | { readonly _tag: "Start" }
  | {
    readonly _tag: "Finish"
    readonly pick: number
    readonly isSlow: boolean
    readonly ending: Ending
  }
  | {
    readonly _tag: "Burst"
    readonly calls: number
    readonly isSlow: boolean
    readonly ending: Ending
  }
  | { readonly _tag: "Pass"; readonly millis: number }
  | { readonly _tag: "Deadline"; readonly pick: number; readonly off: number }
  | { readonly _tag: "WallBack"; readonly millis: number }
  | { readonly _tag: "Operate"; readonly operation: Operation }

/** What can be seen of a breaker from outside. */
export interface Seen {
  readonly state: Circuit.Visible
  readonly calls: number
  readonly failures: number
  readonly slow: number
  readonly openings: number
  readonly inFlight: number
  readonly rejected: number
  readonly retryAfterMillis: number | undefined
}

/** The time that a breaker is shown: `nanos` never goes back, `wallMillis` may. */
export interface Time {
  nanos: bigint
  wallMillis: number
}

/**
 * A breaker that is put to the test. Calls have numbers; `start` answers the wait of a call that is
 * rejected.
 */
export interface Subject {
  readonly start: (call: number) => number | undefined
  readonly end: (call: number, ending: Ending) => void
  readonly operate: (operation: Operation) => void
  readonly look: () => Seen
}

/** Monotonic milliseconds. */
export const millisOf = ({ nanos }: Time): number => Number(nanos) / 1e6

/** Shares such as 0.1 * 3 are not exact. */
const rounding = 1e-9

/** However small the share, nothing is no part of it. */
const reaches = (part: number, all: number, share: number): boolean =>
  part > 0 && part >= share * all - rounding

/** The breaker as the rules have it, without a thought of cost. */
export class Model {
  phase: "Closed" | "Open" | "HalfOpen" = "Closed"
  order: Circuit.Order | undefined = undefined
  isolations = 0
  /** Whatever was admitted in an era that is over has nothing to say any more. */
  era = 0
  closedAtMillis: number
  openUntilMillis = 0
  lastOpenMillis = 0
  consecutiveOpenings = 0
  good = 0
  bad = 0
  rejected = 0
  /**
   * Who holds a place as a trial, and until when at most. The slot of a trial that was told to wait
   * has no holder.
   */
  held: ReadonlyArray<{ readonly call: number | undefined; readonly untilMillis: number }> = []
  /** Everything that was counted since the window was last emptied. */
  outcomes: Array<{ readonly atMillis: number; readonly failed: boolean; readonly slow: boolean }> =
    []
  readonly running = new Map<
    number,
    { readonly era: number; readonly startedMillis: number; readonly isTrial: boolean }
  >()

  constructor(readonly policy: Circuit.Policy, readonly time: Time) {
    this.closedAtMillis = this.now
  }

  get now(): number {
    return millisOf(this.time)
  }

  /** B12: isolation outranks orders, and orders outrank the rest. */
  get state(): Circuit.Visible {
    return this.isolations > 0 ? "Isolated" : this.order ?? this.phase
  }

  /** B2: the last n outcomes, or those whose bucket is not too old. */
  get window(): Model["outcomes"] {
    const { window } = this.policy
    if (window._tag === "Count") return this.outcomes.slice(-window.size)
    const bucketMillis = window.durationMillis / window.buckets
    const bucketOf = (millis: number) => Math.floor(millis / bucketMillis)
    return this.outcomes.filter(({ atMillis }) =>
      bucketOf(this.now) - bucketOf(atMillis) < window.buckets
    )
  }

  /** B10: forgotten once it has stayed closed for as long as it was last open. */
  get openings(): number {
    const isForgotten = this.phase === "Closed" &&
      this.now - this.closedAtMillis >= this.lastOpenMillis
    return isForgotten ? 0 : this.consecutiveOpenings
  }

  /** B8: how long a trial may hold its place. */
  get trialMillis(): number {
    return this.policy.trialTimeoutMillis ?? Math.max(10_000, this.lastOpenMillis)
  }

  /** B5, B7, B12: none where a call would be admitted. */
  get retryAfterMillis(): number | undefined {
    switch (this.state) {
      case "Isolated":
      case "ForcedOpen":
        return Infinity
      case "Open":
        return this.openUntilMillis - this.now
      case "HalfOpen": {
        if (this.good + this.bad + this.held.length < this.policy.halfOpen.trials) return undefined
        return Math.min(...this.held.map(({ untilMillis }) => untilMillis)) - this.now
      }
      default:
        return undefined
    }
  }

  /**
   * Time has passed. B6: the end of an opening needs no call to notice it; B8: nor does the end of
   * a trial's slot.
   */
  settle(): void {
    if (this.phase === "Open" && this.openUntilMillis <= this.now) {
      const { era, state } = this
      this.#enter("HalfOpen")
      // Under an operator's control it is invisible, and the calls that run go on to count.
      if (state !== "Open") this.era = era
    }
    this.held = this.held.filter(({ untilMillis }) => untilMillis > this.now)
  }

  start(call: number): number | undefined {
    const wait = this.retryAfterMillis
    if (wait !== undefined) {
      this.rejected++
      return wait
    }
    const isTrial = this.state === "HalfOpen"
    this.running.set(call, { era: this.era, startedMillis: this.now, isTrial })
    if (isTrial) this.held = [...this.held, { call, untilMillis: this.now + this.trialMillis }]
    return undefined
  }

  end(call: number, { _tag, retryAfterMillis, unit }: Ending): void {
    const started = this.running.get(call)
    this.running.delete(call)
    // B9: of an older generation.
    if (started === undefined || started.era !== this.era) return
    const { maxOpenMillis, slow } = this.policy
    const hint = Math.min(retryAfterMillis ?? 0, maxOpenMillis)
    // B1: strictly longer.
    const isSlow = slow !== undefined && this.now - started.startedMillis > slow.overMillis
    const failed = _tag === "Failure"
    // B3: an interrupted call that was already slow counts as slow.
    const isIgnored = _tag === "Ignored" || (_tag === "Interrupted" && !isSlow)

    if (started.isTrial) {
      // B8: too late for a trial that has lost its place.
      if (!this.held.some((slot) => slot.call === call)) return
      this.held = this.held.filter((slot) => slot.call !== call)
      if (isIgnored) {
        if (hint > 0) this.held = [...this.held, { call: undefined, untilMillis: this.now + hint }]
      } else {
        if (failed || isSlow) this.bad++
        else this.good++
        this.#judgeTrials(hint, unit)
      }
    } else if (!isIgnored && this.order !== "Disabled") {
      this.outcomes.push({ atMillis: this.now, failed, slow: isSlow })
      if (this.order === undefined) this.#judgeWindow(hint, unit)
    }
  }

  operate(operation: Operation): void {
    switch (operation) {
      case "Isolate":
        this.isolations++
        if (this.isolations === 1) this.#interfere()
        return
      case "Release":
        this.isolations--
        if (this.isolations === 0) this.#interfere()
        return
      case "Reset":
        this.order = undefined
        this.consecutiveOpenings = 0
        this.lastOpenMillis = 0
        this.#enter("Closed")
        return
      default:
        if (this.order === operation) return
        this.order = operation
        this.#interfere()
    }
  }

  get seen(): Seen {
    const window = this.window
    return {
      state: this.state,
      calls: window.length,
      failures: window.filter(({ failed }) => failed).length,
      slow: window.filter(({ slow }) => slow).length,
      openings: this.openings,
      inFlight: this.running.size,
      rejected: this.rejected,
      retryAfterMillis: this.retryAfterMillis
    }
  }

  /**
   * The moments still to come at which something changes by itself, or at which the end of a call
   * would mean something else.
   */
  get deadlines(): ReadonlyArray<number> {
    const { slow, window } = this.policy
    const started = [...this.running.values()].map(({ startedMillis }) => startedMillis)
    const bucketMillis = window._tag === "Time" ? window.durationMillis / window.buckets : 0
    return [
      ...(this.phase === "Open" ? [this.openUntilMillis] : []),
      ...this.held.map(({ untilMillis }) => untilMillis),
      ...(this.phase === "Closed" ? [this.closedAtMillis + this.lastOpenMillis] : []),
      ...(slow === undefined ? [] : started.map((millis) => millis + slow.overMillis)),
      ...(window._tag === "Time"
        ? this.window.slice(0, 3).map(({ atMillis }) =>
          (Math.floor(atMillis / bucketMillis) + window.buckets) * bucketMillis
        )
        : [])
    ].filter((millis) => millis > this.now && millis < Infinity)
  }

  /** B1: the window empties on open, close and reset. */
  #enter(phase: Model["phase"]): void {
    this.phase = phase
    this.era++
    this.good = 0
    this.bad = 0
    this.held = []
    if (phase !== "HalfOpen") this.outcomes = []
    if (phase === "Closed") this.closedAtMillis = this.now
  }

  /** B9, B12: an operator's word ends the generation, and with it the trials that run. */
  #interfere(): void {
    this.era++
    this.held = this.held.filter(({ call }) => call === undefined)
  }

  /** B1: at least `minimumCalls`, and one of the rates at its threshold. */
  #judgeWindow(hint: number, unit: number): void {
    const { failureRate, minimumCalls, slow } = this.policy
    const { calls, failures, slow: slowCalls } = this.seen
    if (calls < minimumCalls) return
    if (
      reaches(failures, calls, failureRate) ||
      (slow !== undefined && reaches(slowCalls, calls, slow.rate))
    ) {
      this.#open(hint, unit)
    }
  }

  /** B7. */
  #judgeTrials(hint: number, unit: number): void {
    const { halfOpen } = this.policy
    const reopens = (bad: number) =>
      halfOpen._tag === "Consecutive" ? bad > 0 : reaches(bad, halfOpen.trials, halfOpen.threshold)
    if (reopens(this.bad)) this.#open(hint, unit)
    else if (!reopens(halfOpen.trials - this.good)) this.#enter("Closed")
  }

  /** B10. */
  #open(hint: number, unit: number): void {
    const { maxOpenMillis, open } = this.policy
    const openings = this.openings
    const planned = typeof open === "number" ? open : Math.min(
      maxOpenMillis,
      Backoff.delayMillis(open, { attempt: openings, previousMillis: this.lastOpenMillis, unit })
    )
    this.#enter("Open")
    this.consecutiveOpenings = openings + 1
    this.lastOpenMillis = Math.max(planned, hint)
    this.openUntilMillis = this.now + this.lastOpenMillis
  }
}
