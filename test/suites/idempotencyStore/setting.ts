/**
 * What the parts of the suite share: how time passes, and tests of one fact about one key.
 */
import { it } from "@effect/vitest"
import { Effect, type Layer, Option, TestClock } from "effect"
import { IdempotencyStore } from "effect-resilience/IdempotencyStore"
import type { Acquired, Claim, Held, Service } from "effect-resilience/IdempotencyStore"

export interface Options {
  /**
   * Where the store takes its time from. With `"clock"` (the default) the suite also looks at the
   * very millisecond at which a lease ends; it runs under the `TestClock`. With `"store"` a lease
   * ends when it has really passed.
   */
  readonly timeSource?: "clock" | "store" | undefined
  /**
   * Lets this many milliseconds pass, and a little more where time is real. Default: the
   * `TestClock`, or a real wait.
   */
  readonly advance?: ((millis: number) => Effect.Effect<void>) | undefined
  /**
   * A lease that can be waited for, in milliseconds. Default: a minute, or 100 ms where time is
   * real.
   */
  readonly shortMillis?: number | undefined
  /** Whether the store looks under `previousKeyHashes`. Default: true. */
  readonly previousNames?: boolean | undefined
}

export const day = 86_400_000

const really = (millis: number): Effect.Effect<void> =>
  Effect.promise(() => new Promise((resolve) => setTimeout(resolve, millis)))

export const acquired = (
  generation: number,
  { recovered = false, recoveryPoint }: {
    readonly recovered?: boolean
    readonly recoveryPoint?: string
  } = {}
): Acquired => ({
  _tag: "Acquired",
  generation,
  recovered,
  recoveryPoint: Option.fromNullable(recoveryPoint)
})

export const generationOf = (answer: Acquired): number => {
  if (answer._tag !== "Acquired") throw new Error(`not acquired but ${JSON.stringify(answer)}`)
  return answer.generation
}

/** One key of the store, which no other test uses, seen by several owners. */
export class Subject {
  constructor(
    readonly store: Service,
    readonly scope: string,
    readonly keyHash: string,
    readonly leaseMillis: number
  ) {}

  claim(owner: string, changes: Partial<Claim> = {}): Claim {
    return {
      scope: this.scope,
      keyHash: this.keyHash,
      fingerprint: "payload",
      owner,
      leaseMillis: this.leaseMillis,
      timeToLiveMillis: day,
      ...changes
    }
  }

  acquire(owner: string, changes?: Partial<Claim>) {
    return this.store.acquire(this.claim(owner, changes))
  }

  /** Claims, and has to be granted it. */
  hold(owner: string, changes?: Partial<Claim>) {
    const claim = this.claim(owner, changes)
    return Effect.map(this.store.acquire(claim), (answer): Held => ({
      scope: claim.scope,
      keyHash: claim.keyHash,
      owner,
      generation: generationOf(answer)
    }))
  }

  /**
   * What a stranger with the same payload would be told, in a word; a record that is free would be
   * taken.
   */
  look(owner = "stranger") {
    return Effect.map(
      this.acquire(owner),
      (answer) => answer._tag === "Completed" ? answer.outcome : answer._tag
    )
  }
}

export const settingOf = <E>(
  name: string,
  layer: Layer.Layer<IdempotencyStore, E>,
  options: Options = {}
) => {
  const isExact = options.timeSource !== "store"
  const short = options.shortMillis ?? (isExact ? 60_000 : 100)
  const advance = options.advance ??
    (isExact ? TestClock.adjust : (millis: number) => really(millis + 25))

  // Unique among the tests and the runs, for stores that outlive them.
  const run = crypto.randomUUID()
  let keys = 0
  const subjectOf = (store: Service, leaseMillis = short) =>
    new Subject(store, `scope-${run}`, `key-${keys++}`, leaseMillis)

  /** A test of one fact about one key. */
  const fact = (
    sentence: string,
    body: (subject: Subject) => Effect.Effect<void, unknown>,
    leaseMillis = short
  ) =>
    it.effect(
      sentence,
      () =>
        Effect.flatMap(IdempotencyStore, (store) => body(subjectOf(store, leaseMillis))).pipe(
          Effect.provide(layer)
        )
    )

  /** Removes what other tests have left behind. */
  const swept = (store: Service) =>
    Effect.repeat(store.sweep(1000), { until: (removed) => removed === 0 })

  return { name, isExact, short, advance, fact, swept }
}

export type Setting = ReturnType<typeof settingOf>
