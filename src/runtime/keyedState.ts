/**
 * One state for each key, of any number of keys.
 *
 * A state is made when its key is first used. Nothing ticks: keys stand in a list in the order in
 * which they were last used, and each use looks at the two that have waited longest and forgets
 * those that are idle. The list is linked through the states themselves, so that a use costs the
 * same with ten keys and with a million: a `Map` that is reordered by deleting and inserting again
 * walks over everything it has deleted.
 */
import type * as Clock from "effect/Clock"
import { nowMillis } from "./clock.js"

/** The key of calls that name none. */
export const defaultKey = "default"

/** How many old keys each use looks at: more than one, so that they become fewer. */
const lookedAt = 2

/** What every state of a key has: its key, when it was last used, and its place in the list. */
export abstract class Keyed {
  touchedMillis: number
  older: this | undefined = undefined
  newer: this | undefined = undefined
  isListed = false

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
  #oldest: S | undefined
  #newest: S | undefined

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

  #link(state: S): void {
    state.older = this.#newest
    if (this.#newest === undefined) this.#oldest = state
    else this.#newest.newer = state
    this.#newest = state
    state.isListed = true
  }

  #unlink(state: S): void {
    if (state.older === undefined) this.#oldest = state.newer
    else state.older.newer = state.newer
    if (state.newer === undefined) this.#newest = state.older
    else state.newer.older = state.older
    state.older = undefined
    state.newer = undefined
    state.isListed = false
  }

  #forget(state: S, now: number, clock: Clock.Clock): void {
    this.delete(state)
    this.#rules.forgotten?.(state, now, clock)
  }

  #sweep(now: number, clock: Clock.Clock): void {
    for (let i = 0; i < lookedAt; i++) {
      const oldest = this.#oldest
      if (oldest === undefined || oldest.touchedMillis + this.#rules.idleMillis > now) return
      if (this.#rules.isBusy?.(oldest, now, clock) === true) this.touch(oldest, now)
      else this.#forget(oldest, now, clock)
    }
  }

  /** A key is used now. O(1). */
  touch(state: S, now: number): void {
    state.touchedMillis = now
    if (state === this.#newest || !state.isListed) return
    this.#unlink(state)
    this.#link(state)
  }

  /** The state of a key that is used now. O(1). */
  use(key: string, clock: Clock.Clock, now: number = nowMillis(clock)): S {
    const state = this.find(key, clock, now) ?? this.#add(this.#rules.make(key, now))
    this.touch(state, now)
    if (this.#states.size > 1) this.#sweep(now, clock)
    return state
  }

  #add(state: S): S {
    this.#states.set(state.key, state)
    this.#link(state)
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
    if (!state.isListed) return
    this.#states.delete(state.key)
    this.#unlink(state)
  }
}
