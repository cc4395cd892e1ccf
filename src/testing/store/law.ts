/**
 * Checks that an idempotency store agrees with the record of the core after each of a sequence of
 * commands, from any owner and at any concurrency.
 */
import { bytesToHex, randomBytes } from "@noble/hashes/utils"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as IdempotencyStore from "../../idempotency/IdempotencyStore.js"
import * as Validate from "../../runtime/validate.js"
import { LawBroken } from "../lawBroken.js"
import { commands, stories } from "./commands.js"
import type { Subject } from "./modelRun.js"
import { HandClock, keptMillis, live, ModelRun } from "./modelRun.js"

/** Tests whether a lease of the store outlasts the clock that it was shown. */
const hasOwnTime = (
  store: IdempotencyStore.Service,
  clock: HandClock,
  run: string
): Effect.Effect<boolean, IdempotencyStore.StoreError> => {
  const leaseMillis = 3_600_000
  const claimed = (owner: string) =>
    store.acquire({
      scope: `law-${run}`,
      keyHash: "x",
      fingerprint: "payload",
      owner,
      leaseMillis,
      timeToLiveMillis: keptMillis
    })
  return Effect.zipRight(
    claimed("owner 1"),
    Effect.suspend(() => {
      clock.millis += leaseMillis
      return Effect.map(claimed("owner 2"), ({ _tag }) => _tag === "InFlight")
    })
  )
}

/** How long cases that chance offers are tried, and smaller ones of a case that failed. */
const patienceMillis = 3000

/**
 * Tries a store with many sequences of commands. One in which it differs from the model is made as
 * small as possible.
 */
const checked = (subject: Subject, runs: number | undefined): Effect.Effect<void, LawBroken> =>
  Effect.promise((signal) => {
    let number = 0
    let untilMillis = live.unsafeCurrentTimeMillis() + patienceMillis
    let isBroken = false
    return FastCheck.check(
      FastCheck.asyncProperty(commands, async (commands) => {
        // Others get their turn, and may interrupt.
        if (number % 16 === 0) await Effect.runPromise(Effect.sleep(0))
        // The caller is gone: every case that is left fails at once.
        signal.throwIfAborted()
        const mayStop = isBroken || (runs === undefined && number >= stories.length)
        if (mayStop && live.unsafeCurrentTimeMillis() >= untilMillis) return
        const modelRun = Effect.suspend(() => new ModelRun(subject, number++).run(commands))
        const message = await Effect.runPromise(Effect.withClock(modelRun, subject.clock), {
          signal
        })
        if (message === undefined) return
        if (!isBroken) untilMillis = live.unsafeCurrentTimeMillis() + patienceMillis
        isBroken = true
        throw new LawBroken({ message: `${law}: ${message}` })
      }),
      {
        numRuns: runs ?? (subject.hasOwnTime ? 30 : 100),
        examples: stories.map((story) => [story])
      }
    )
  }).pipe(Effect.flatMap(({ errorInstance, failed }) => {
    if (!failed) return Effect.void
    return errorInstance instanceof LawBroken ? errorInstance : Effect.die(errorInstance)
  }))

const law = "Laws.idempotencyStore"

/**
 * Checks an idempotency store: for any commands of several owners on a key, in sequence and at
 * once, it answers by the rules of one record. At most one owner holds a claim, no completed record
 * is lost before it expires or run again, another payload is always a mismatch, an owner that takes
 * over learns it and gets the last recovery point, and an owner that has lost its claim changes
 * nothing.
 *
 * **Details**
 *
 * Each of the `runs` is a sequence of up to 40 commands on three keys: owners claim, complete,
 * release, extend and leave recovery points, also long after they have lost their claim; two or
 * three of those, or ten claims, come at once; time passes to, just before and just after the
 * moments that matter; the store is swept. After each command another owner claims the key. The
 * first sequences are always the same: those that find mistakes most often. A store that uses
 * effect's `Clock` gets a clock that is moved by hand, and 100 runs. A store with a time of its own
 * needs real waits, in leases of 10 ms, and gets 30 runs. A slow store gets as many as fit into
 * three seconds. `runs` overrides all of these.
 *
 * **Gotchas**
 *
 * Records are written under scopes of their own (`law-` and a random number), and stay there until
 * they are swept. The sweeps remove everything that has expired. `previousKeyHashes` is not tested.
 *
 * **Example** (A store of one's own)
 *
 * ```ts
 * import { IdempotencyStore } from "effect-resilience"
 * import * as Laws from "effect-resilience/testing/Laws"
 * import { Effect } from "effect"
 *
 * const law = Laws.idempotencyStore(IdempotencyStore.layerStoreMemory, { runs: 20 })
 * await Effect.runPromise(Effect.as(law, "kept")) // => "kept"
 * ```
 *
 * @since 0.1.0
 * @category idempotency
 */
export const idempotencyStore = (
  layer: Layer.Layer<IdempotencyStore.IdempotencyStore, unknown>,
  settings?: {
    /**
     * How many sequences of commands are tried. Default 100, or 30 for a store with a time of its
     * own.
     */
    readonly runs?: number | undefined
  }
): Effect.Effect<void, Error> =>
  Effect.suspend(() => {
    const clock = new HandClock()
    const run = bytesToHex(randomBytes(8))
    const runs = settings?.runs === undefined
      ? undefined
      : Validate.integer("runs", settings.runs, 1)
    return Layer.build(layer).pipe(
      Effect.mapError((error) =>
        new LawBroken({ message: `${law}: the store cannot be made: ${String(error)}` })
      ),
      Effect.flatMap((context) => {
        const store = Context.get(context, IdempotencyStore.IdempotencyStore)
        return hasOwnTime(store, clock, run).pipe(
          Effect.mapError((error) =>
            new LawBroken({ message: `${law}: it fails: ${error.message}` })
          ),
          Effect.flatMap((hasOwnTime) => checked({ store, clock, hasOwnTime, run }, runs))
        )
      }),
      Effect.withClock(clock),
      Effect.scoped
    )
  })
