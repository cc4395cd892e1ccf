/**
 * Compares pieces of work in one process: every round runs each of them once, and the fastest round
 * of each counts.
 */
import { Effect } from "effect"
import { Effect as Effect4 } from "effect4"
import type { Figure } from "./history.js"

/** How often a piece of work is done in one round, and how many rounds there are. */
export interface Settings {
  readonly calls: number
  readonly rounds: number
}

/** Does something a number of times. */
export type Work = (calls: number) => Promise<void>

const counted = (calls: number) => {
  let left = calls
  return { while: () => left-- > 0, step: () => {} }
}

/** An effect, run again and again inside one fiber. */
export const effect = (body: Effect.Effect<unknown, unknown>): Work => (calls) =>
  Effect.runPromise(Effect.suspend(() => Effect.whileLoop({ ...counted(calls), body: () => body })))

/** The same for an effect of the 4.x line. */
export const effect4 = (body: Effect4.Effect<unknown, unknown>): Work => (calls) =>
  Effect4.runPromise(
    Effect4.suspend(() => Effect4.whileLoop({ ...counted(calls), body: () => body }))
  )

/** Nanoseconds per call, for each piece of work. */
export const measure = async <K extends string>(
  work: Readonly<Record<K, Work>>,
  { calls, rounds }: Settings
): Promise<Readonly<Record<K, number>>> => {
  const names = Object.keys(work) as Array<K>
  const best = Object.fromEntries(names.map((name) => [name, Infinity])) as Record<K, number>
  // The first two rounds warm the engine up and do not count.
  for (let round = -2; round < rounds; round++) {
    for (const name of names) {
      const start = process.hrtime.bigint()
      await work[name](calls)
      const nanos = Number(process.hrtime.bigint() - start) / calls
      if (round >= 0) best[name] = Math.min(best[name], nanos)
    }
  }
  return best
}

let recorded: Array<Omit<Figure, "bench">> = []

/** Keeps a ratio for the history; returns whether it is within its gate. */
export const record = (label: string, ratio: number, gate: number): boolean => {
  recorded.push({ label, ratio, gate })
  return ratio <= gate
}

/** What was recorded since the last time this was asked. */
export const takeRecorded = (): ReadonlyArray<Omit<Figure, "bench">> => {
  const taken = recorded
  recorded = []
  return taken
}

/** One line of a report: what was compared, the ratio, and whether it is within its gate. */
export const gated = (label: string, ratio: number, gate: number): boolean => {
  const kept = record(label, ratio, gate)
  console.log(
    `${label.padEnd(64)}${ratio.toFixed(3).padStart(8)}   gate ${gate.toFixed(3)}   ${
      kept ? "kept" : "MISSED"
    }`
  )
  return kept
}
