/**
 * What a retry costs a call that succeeds: what `Retry.retry` adds to the bare effect, against what
 * `Effect.retry` with a schedule adds.
 *
 * The bare effect is one `Effect.sync`, run in a loop inside one fiber. Both retries are built once
 * and run many times, and once more built anew for each call, as in a function that takes
 * arguments.
 */
import { Effect, Schedule } from "effect"
import { Operation, Retry } from "effect-resilience"
import { effect, measure, record } from "./measure.js"

/** At most this share of what `Effect.retry` adds may be added. */
const gate = 1 / 10

const schedule = Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(2))
const options = { operation: Operation.read, retries: 2 }

let calls = 0
const bare = Effect.sync(() => ++calls)

export const run = async (): Promise<boolean> => {
  const nanos = await measure({
    bare: effect(bare),
    effect: effect(Effect.retry(bare, schedule)),
    ours: effect(Retry.retry(bare, options)),
    effectPerCall: effect(Effect.suspend(() => Effect.retry(bare, schedule))),
    oursPerCall: effect(Effect.suspend(() => Retry.retry(bare, options))),
    suspended: effect(Effect.suspend(() => bare))
  }, { calls: 100_000, rounds: 5 })

  const added = {
    effect: nanos.effect - nanos.bare,
    ours: nanos.ours - nanos.bare,
    effectPerCall: nanos.effectPerCall - nanos.suspended,
    oursPerCall: nanos.oursPerCall - nanos.suspended
  }
  const ratio = added.ours / added.effect
  const perCall = added.oursPerCall / added.effectPerCall
  const row = (label: string, ours: number, effect: number, ratio: number) =>
    `${label.padEnd(22)}${ours.toFixed(0).padStart(8)} ns${
      effect.toFixed(0).padStart(10)
    } ns     1/${(1 / ratio).toFixed(1)}`
  console.log(
    "Retry, on success: what is added to the bare effect, per call (fastest of 5 rounds of 100,000)"
  )
  console.log(
    `${"".padEnd(22)}${"Retry.retry".padStart(11)}${"Effect.retry".padStart(13)}     ratio`
  )
  console.log(row("built once", added.ours, added.effect, ratio))
  console.log(row("built for each call", added.oursPerCall, added.effectPerCall, perCall))
  const kept = [
    record("built once: added / added by Effect.retry", ratio, gate),
    record("built for each call: added / added by Effect.retry", perCall, gate)
  ].every(Boolean)
  console.log(`Gate: at most 1/${1 / gate}. ${kept ? "Kept." : "MISSED."}`)
  return kept
}
