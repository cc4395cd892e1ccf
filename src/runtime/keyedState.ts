/**
 * One state for each key.
 *
 * A state is made when its key is first used. Nothing ticks: keys are kept in the order in which
 * they were last used, and whenever one is used, those that have not been for longest are looked
 * at, and forgotten when that was a while ago and nothing of them is under way.
 */
import type * as Clock from "effect/Clock"

interface Entry<S> {
  readonly state: S
  touchedMillis: number
}

/** The key of calls that name none. */
export const defaultKey = "default"

/** Monotonic: a wall clock that steps must not change what a guard has learned. */
export const nowMillis = (clock: Clock.Clock): number =>
  Number(clock.unsafeCurrentTimeNanos()) / 1e6

/** How many old keys are looked at when one is used: more than one, so that they become fewer. */
const lookedAt = 2

export class Keys<S> {
  readonly #entries = new Map<string, Entry<S>>()
  #last: Entry<S> | undefined

  constructor(
    readonly make: () => S,
    readonly idleMillis: number,
    readonly isBusy: (state: S) => boolean = () => false
  ) {}

  #isIdle({ touchedMillis }: Entry<S>, now: number): boolean {
    return touchedMillis + this.idleMillis <= now
  }

  #isForgotten(entry: Entry<S>, now: number): boolean {
    return this.#isIdle(entry, now) && !this.isBusy(entry.state)
  }

  /** Puts a key last. */
  #touch(key: string, entry: Entry<S>, now: number): void {
    entry.touchedMillis = now
    if (entry === this.#last) return
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    this.#last = entry
  }

  #sweep(now: number): void {
    for (let i = 0; i < lookedAt; i++) {
      const [oldest] = this.#entries
      if (oldest === undefined || !this.#isIdle(oldest[1], now)) return
      if (this.isBusy(oldest[1].state)) this.#touch(oldest[0], oldest[1], now)
      else this.#entries.delete(oldest[0])
    }
  }

  /** The state of a key that is used now. O(1). */
  use(key: string, now: number): S {
    const found = this.#entries.get(key)
    const entry = found === undefined || this.#isForgotten(found, now)
      ? { state: this.make(), touchedMillis: now }
      : found
    this.#touch(key, entry, now)
    if (this.#entries.size > 1) this.#sweep(now)
    return entry.state
  }

  /**
   * The state of a key that is only looked at: one that nobody uses is made for the moment, and not
   * kept.
   */
  look(key: string, now: number): S {
    const found = this.#entries.get(key)
    return found === undefined || this.#isForgotten(found, now) ? this.make() : found.state
  }

  get size(): number {
    return this.#entries.size
  }
}
