/** Choices that follow from a seed alone. */
import { PCGRandom } from "effect/Utils"

export interface Choice {
  /** A whole number below `end`. */
  readonly below: (end: number) => number
  readonly chance: (share: number) => boolean
  readonly pick: <A>(all: ReadonlyArray<A>) => A
  /** One of the entries, by their weights. */
  readonly weighted: <A>(all: ReadonlyArray<readonly [weight: number, value: A]>) => A
}

export const choiceOf = (seed: number): Choice => {
  const random = new PCGRandom(seed)
  // The first number of neighbouring seeds is much the same.
  for (let i = 0; i < 4; i++) random.number()
  const below = (end: number) => random.integer(end)
  const chance = (share: number) => random.number() < share
  const weighted = <A>(all: ReadonlyArray<readonly [weight: number, value: A]>): A => {
    let left = random.number() * all.reduce((sum, [weight]) => sum + weight, 0)
    for (const [weight, value] of all) {
      left -= weight
      if (left < 0) return value
    }
    return all[0]![1]
  }
  return { below, chance, weighted, pick: (all) => all[below(all.length)]! }
}
