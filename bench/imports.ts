/**
 * What importing the package costs a program that has loaded `effect` and `@effect/platform`
 * already: CPU of all threads, the least of nine processes.
 */
import { execFileSync } from "node:child_process"
import { gated } from "./measure.js"

interface Case {
  readonly path: string
  /** Milliseconds of CPU. */
  readonly gate: number
}

const cases: ReadonlyArray<Case> = [
  { path: "effect-resilience", gate: 90 },
  { path: "effect-resilience/CircuitBreaker", gate: 20 },
  { path: "effect-resilience/Timeout", gate: 20 },
  { path: "effect-resilience/Bulkhead", gate: 20 },
  { path: "effect-resilience/RateLimiter", gate: 20 },
  { path: "effect-resilience/Retry", gate: 20 },
  { path: "effect-resilience/Pipeline", gate: 45 },
  { path: "effect-resilience/http/ApiClient", gate: 60 }
]

const processes = 9

/** Runs in a process of its own, without what a loader for TypeScript would add. */
const script = (path: string): string => `
  await import("effect")
  await import("@effect/platform")
  const before = process.cpuUsage()
  await import(${JSON.stringify(path)})
  const { system, user } = process.cpuUsage(before)
  console.log((system + user) / 1000)
`

const millisOf = (path: string): number =>
  Number(execFileSync(process.execPath, ["--input-type=module", "--eval", script(path)], {
    encoding: "utf8"
  }))

export const run = async (): Promise<boolean> => {
  console.log("Importing over effect and @effect/platform, ms of CPU (least of 9 processes)")
  const kept = cases.map(({ gate, path }) => {
    const least = Math.min(...Array.from({ length: processes }, () => millisOf(path)))
    return gated(path, least, gate)
  })
  return kept.every(Boolean)
}
