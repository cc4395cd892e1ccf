/** Compares pieces of work in one process: every round runs each of them once, and the fastest round of each counts. */
import { Effect } from "effect"

/** How often an effect runs in one round, and how many rounds there are. */
export interface Settings {
  readonly calls: number
  readonly rounds: number
}

const repeated = (effect: Effect.Effect<unknown>, calls: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    let left = calls
    return Effect.whileLoop({ while: () => left-- > 0, body: () => effect, step: () => {} })
  })

/** Nanoseconds per call, for each of the effects. */
export const measure = async <K extends string>(
  work: Readonly<Record<K, Effect.Effect<unknown>>>,
  { calls, rounds }: Settings
): Promise<Readonly<Record<K, number>>> => {
  const names = Object.keys(work) as Array<K>
  const best = Object.fromEntries(names.map((name) => [name, Infinity])) as Record<K, number>
  // The first two rounds warm the engine up and do not count.
  for (let round = -2; round < rounds; round++) {
    for (const name of names) {
      const start = process.hrtime.bigint()
      await Effect.runPromise(repeated(work[name], calls))
      const nanos = Number(process.hrtime.bigint() - start) / calls
      if (round >= 0) best[name] = Math.min(best[name], nanos)
    }
  }
  return best
}
