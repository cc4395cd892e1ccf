/**
 * Checks that the store of a fleet answers as the pure machine of the core does, and by real time
 * where time passes.
 */
import { bytesToHex, randomBytes } from "@noble/hashes/utils"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import type { Service } from "../../fleet/FleetStore.js"
import { FleetStore } from "../../fleet/FleetStore.js"
import { liveClock } from "../../runtime/clock.js"
import * as Validate from "../../runtime/validate.js"
import { LawBroken } from "../lawBroken.js"
import { stepsOf } from "./batches.js"
import { apart, checks, timed } from "./checks.js"
import { ModelRun } from "./modelRun.js"
import { inWords, now, Talk } from "./talk.js"

const law = "Laws.fleetStore"

const broken = (words: string): LawBroken => new LawBroken({ message: `${law}: ${words}` })

/** Nothing ends while a sequence runs, but what ends at once. */
const steps = stepsOf({
  passes: [0],
  spans: [0, 60_000, 120_000],
  spacings: [60_000],
  patiences: [0, 30_000, 90_000],
  lefts: [-5000, 0, 60_000],
  afters: [""],
  clashes: false
})

/** How long smaller cases are looked for, in milliseconds. */
const patienceMillis = 3000

const modelled = (
  store: Service,
  run: string,
  runs: number
): Effect.Effect<void, LawBroken> =>
  Effect.promise((signal) => {
    let number = 0
    let untilMillis = Infinity
    return FastCheck.check(
      FastCheck.asyncProperty(steps, async (steps) => {
        // Others get their turn, and may interrupt.
        if (number % 16 === 0) await Effect.runPromise(Effect.sleep(0))
        // The caller is gone: every case that is left fails at once.
        signal.throwIfAborted()
        if (now() >= untilMillis) return
        const modelRun = Effect.suspend(() =>
          new ModelRun(store, store.name(`law-${run}-${number++}`)).run(steps)
        )
        const wrong = await Effect.runPromise(Effect.withClock(modelRun, liveClock), { signal })
        if (wrong === undefined) return
        untilMillis = Math.min(untilMillis, now() + patienceMillis)
        throw broken(wrong)
      }),
      { numRuns: runs }
    )
  }).pipe(Effect.flatMap(({ errorInstance, failed }) => {
    if (!failed) return Effect.void
    return errorInstance instanceof LawBroken ? errorInstance : Effect.die(errorInstance)
  }))

/** What lasts a unit is over when a round trip has taken no longer than usual. */
const unitMillis = 120

/** How many times longer it lasts when it is tried again. */
const stalls = 5

/** How long a round trip takes, the slowest of a few. */
const roundTrip = (talk: Talk): Effect.Effect<number> =>
  Effect.reduce([1, 2, 3, 4, 5], 0, (slowest) =>
    Effect.suspend(() => {
      const sentMillis = now()
      return Effect.map(
        Effect.ignore(talk.says("a", [])),
        () => Math.max(slowest, now() - sentMillis)
      )
    }))

const checked = (
  store: Service,
  settings: { readonly run: string; readonly runs: number }
): Effect.Effect<void, LawBroken> => {
  const talk = (name: string) => new Talk(store, store.name(`law-${settings.run}-${name}`))
  const judged = (wrong: string | undefined) =>
    wrong === undefined ? Effect.void : Effect.fail(broken(wrong))
  return Effect.gen(function*() {
    const unit = Math.max(unitMillis, 12 * (yield* roundTrip(talk("clock"))))
    const once = Effect.forEach(
      checks,
      (check, index) => Effect.flatMap(inWords(check(talk(`check ${index}`), unit)), judged),
      { concurrency: "unbounded", discard: true }
    )
    // A program that stalls is no broken law: what lasts longer is tried too.
    const twice = Effect.forEach(
      timed,
      (check, index) =>
        inWords(check(talk(`time ${index}`), unit)).pipe(
          Effect.flatMap((wrong) =>
            wrong === undefined
              ? Effect.succeed(wrong)
              : inWords(check(talk(`time ${index} again`), stalls * unit))
          ),
          Effect.flatMap(judged)
        ),
      { concurrency: "unbounded", discard: true }
    )
    yield* Effect.all([once, twice], { concurrency: "unbounded", discard: true })
    yield* Effect.flatMap(inWords(apart(talk("one"), talk("other"))), judged)
    yield* modelled(store, settings.run, settings.runs)
  })
}

/**
 * Checks the store of a fleet: for any batches of several members, in sequence and at once, it
 * answers as `layerMemory` does. A batch that is lost, doubled, late or overtaken counts once; an
 * opening is a compare-and-set; trials, tokens and permits are leased within their bounds, and end
 * by themselves; what a silent member said lapses; a reply is bounded; fleets see nothing of each
 * other.
 *
 * **Details**
 *
 * First come checks in real time, all at once: what lasts 120 ms (or twelve round trips, where
 * those are longer) is waited for. Then `runs` (default 50) sequences of up to 30 batches of four
 * members, some of them at the same time. Whether `pushes` tells anything is not tested: a store
 * need not push.
 *
 * **Gotchas**
 *
 * Each sequence is a fleet of its own with a random name, which stays in the store until it
 * expires.
 *
 * **Example** (The store in memory)
 *
 * ```ts
 * import * as FleetStore from "effect-resilience/fleet/FleetStore"
 * import * as Laws from "effect-resilience/testing/Laws"
 * import { Effect } from "effect"
 *
 * const law = Laws.fleetStore(FleetStore.layerMemory, { runs: 5 })
 * await Effect.runPromise(Effect.as(law, "kept")) // => "kept"
 * ```
 *
 * @since 0.1.0
 * @category fleet
 */
export const fleetStore = (
  layer: Layer.Layer<FleetStore, unknown>,
  settings?: {
    /** How many sequences of batches are tried. Default 50. */
    readonly runs?: number | undefined
  }
): Effect.Effect<void, Error> =>
  Effect.suspend(() => {
    const run = bytesToHex(randomBytes(8))
    const runs = Validate.integer("runs", settings?.runs ?? 50, 1)
    return Layer.build(layer).pipe(
      Effect.mapError((error) => broken(`the store cannot be made: ${String(error)}`)),
      Effect.flatMap((context) => checked(Context.get(context, FleetStore), { run, runs })),
      Effect.withClock(liveClock),
      Effect.scoped
    )
  })
