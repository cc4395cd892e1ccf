/**
 * Keeps one state for each key, for any number of keys.
 *
 * A state is made when its key is first used. Nothing ticks: keys stand in a line, and a use only
 * notes the time. When the first in line could be idle, the next uses look at it: a key that was
 * used meanwhile goes to the end of the line, an idle one is forgotten. So a use costs the same
 * with ten keys and with a million, and touches no key but its own nearly always. (A `Map` that is
 * reordered by deleting and inserting again walks over everything it has deleted.)
 */
import type * as Clock from "effect/Clock"
import { nowMillis } from "./clock.js"

/** The key of calls that name none. */
export const defaultKey = "default"

/** How many keys a use looks at when they are due: more than one, so that they become fewer. */
const lookedAt = 2

/** What every state of a key has: its key, when it was last used, and its place in the line. */
export abstract class Keyed {
  touchedMillis: number
  before: this | undefined = undefined
  after: this | undefined = undefined
  inLine = false

  constructor(readonly key: string, now: number) {
    this.touchedMillis = now
  }
}

/**
 * - `make`: the state of a key that is used for the first time.
 * - `idleMillis`: how long a key is remembered after its last use.
 * - `isBusy`: whether something of it is under way, so that it cannot be forgotten yet.
 * - `forgotten`: told of each key that goes.
 */
export interface Rules<S extends Keyed> {
  readonly make: (key: string, now: number) => S
  readonly idleMillis: number
  readonly isBusy?: ((state: S, now: number, clock: Clock.Clock) => boolean) | undefined
  readonly forgotten?: ((state: S, now: number, clock: Clock.Clock) => void) | undefined
}

export class KeyedState<S extends Keyed> {
  readonly #states = new Map<string, S>()
  readonly #rules: Rules<S>
  #first: S | undefined
  #last: S | undefined
  /** Before this time no key is looked at. */
  #dueMillis = Infinity

  constructor(rules: Rules<S>) {
    this.#rules = rules
  }

  get size(): number {
    return this.#states.size
  }

  #isForgotten(state: S, now: number, clock: Clock.Clock): boolean {
    return state.touchedMillis + this.#rules.idleMillis <= now &&
      this.#rules.isBusy?.(state, now, clock) !== true
  }

  #join(state: S): void {
    state.before = this.#last
    if (this.#last === undefined) {
      this.#first = state
      this.#dueMillis = state.touchedMillis + this.#rules.idleMillis
    } else {
      this.#last.after = state
    }
    this.#last = state
    state.inLine = true
  }

  #leave(state: S): void {
    if (state.before === undefined) {
      this.#first = state.after
      this.#dueMillis = (state.after?.touchedMillis ?? Infinity) + this.#rules.idleMillis
    } else {
      state.before.after = state.after
    }
    if (state.after === undefined) this.#last = state.before
    else state.after.before = state.before
    state.before = undefined
    state.after = undefined
    state.inLine = false
  }

  #forget(state: S, now: number, clock: Clock.Clock): void {
    this.delete(state)
    this.#rules.forgotten?.(state, now, clock)
  }

  #sweep(now: number, clock: Clock.Clock): void {
    for (let i = 0; i < lookedAt && this.#dueMillis <= now; i++) {
      const first = this.#first!
      if (this.#isForgotten(first, now, clock)) {
        this.#forget(first, now, clock)
      } else {
        // One that is busy is looked at again when it could be idle at the earliest.
        if (first.touchedMillis + this.#rules.idleMillis <= now) first.touchedMillis = now
        this.#leave(first)
        this.#join(first)
      }
    }
  }

  /** A key is used now. O(1). */
  touch(state: S, now: number): void {
    state.touchedMillis = now
  }

  /** The state of a key that is used now. O(1). */
  use(key: string, clock: Clock.Clock, now: number = nowMillis(clock)): S {
    const state = this.find(key, clock, now) ?? this.#add(this.#rules.make(key, now))
    state.touchedMillis = now
    if (this.#dueMillis <= now) this.#sweep(now, clock)
    return state
  }

  #add(state: S): S {
    this.#states.set(state.key, state)
    this.#join(state)
    return state
  }

  /** The state of a key that is known, without using it; one that is idle is forgotten. O(1). */
  find(key: string, clock: Clock.Clock, now: number = nowMillis(clock)): S | undefined {
    const state = this.#states.get(key)
    if (state === undefined || !this.#isForgotten(state, now, clock)) return state
    this.#forget(state, now, clock)
    return undefined
  }

  /** The state of a key that is only looked at: one that is unknown is made, and not kept. O(1). */
  look(key: string, clock: Clock.Clock, now: number = nowMillis(clock)): S {
    return this.find(key, clock, now) ?? this.#rules.make(key, now)
  }

  /** Whether a key is known, idle or not. O(1). */
  has(key: string): boolean {
    return this.#states.has(key)
  }

  /** The state of a key as it stands, idle or not. O(1). */
  peek(key: string): S | undefined {
    return this.#states.get(key)
  }

  /** All as they stand, idle or not, in the order of their first use. */
  values(): IterableIterator<S> {
    return this.#states.values()
  }

  /** All that are known, in the order of their first use. O(keys). */
  all(clock: Clock.Clock, now: number = nowMillis(clock)): ReadonlyArray<S> {
    return [...this.#states.keys()].flatMap((key) => this.find(key, clock, now) ?? [])
  }

  /** Lets go of a key that nothing is known about any more. O(1). */
  delete(state: S): void {
    if (!state.inLine) return
    this.#states.delete(state.key)
    this.#leave(state)
  }
}
