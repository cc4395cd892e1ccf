/**
 * Looking at what lies around, a little at each call, so that what is idle can go although nothing
 * ticks.
 *
 * Each call may add an entry at the end of the map. Whoever looked at one entry a call would follow
 * the end and never come round; so it is two.
 */
const lookedAt = 2

export class Sweeper<V> {
  #round: Iterator<V>

  constructor(readonly map: ReadonlyMap<string, V>) {
    this.#round = map.values()
  }

  /** Looks at the next two entries; `look` may delete the one it is given. O(1). */
  sweep(look: (value: V) => void): void {
    for (let step = 0; step < lookedAt; step++) {
      const { done, value } = this.#round.next()
      if (done === true) this.#round = this.map.values()
      else look(value)
    }
  }
}
