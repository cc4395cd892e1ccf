/**
 * Progress on a terminal: one line that is written over, at most ten times a second, and wiped at
 * the end. None where no person looks on.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { decimal } from "../report/numbers.js"
import { visible } from "../report/visible.js"
import type * as Simulation from "../simulation/Simulation.js"
import { CurrentIo, type Io } from "./io.js"

const betweenMillis = 100

const isSet = (value: string | undefined): boolean =>
  value !== undefined && value !== "" && value !== "0" && value !== "false"

const isShown = ({ env, err }: Io): boolean =>
  err.isTerminal && env["TERM"] !== "dumb" && !isSet(env["CI"])

const width = 24

const lineOf = ({ policy, share }: Simulation.Progress): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width)
  const bar = "#".repeat(full) + "-".repeat(width - full)
  return `\r\u001b[2K[${bar}] ${decimal(share * 100, 0).padStart(3)} %  ${
    visible(policy).slice(0, 40)
  }`
}

const wiped = "\r\u001b[2K"

/** Runs work that tells its progress. */
export const withProgress = <A, E, R>(
  work: (
    onProgress: ((done: Simulation.Progress) => Effect.Effect<void>) | undefined
  ) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | CurrentIo> =>
  Effect.flatMap(CurrentIo, (io) => {
    if (!isShown(io)) return work(undefined)
    let last = -Infinity
    const onProgress = (done: Simulation.Progress): Effect.Effect<void> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (now - last < betweenMillis) return Effect.void
        last = now
        return io.err.write(lineOf(done))
      })
    return Effect.ensuring(
      work(onProgress),
      Effect.suspend(() => last === -Infinity ? Effect.void : io.err.write(wiped))
    )
  })
