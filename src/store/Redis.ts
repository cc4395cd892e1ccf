/**
 * Records in Redis, shared by all that use the server.
 *
 * Machines that serve the same callers must agree on who runs a call. Redis answers in well under a
 * millisecond, and forgets by itself what is over; it also forgets what it has not written to disk.
 * Where forgetting a claim would cost money, use a database.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { Redis, RedisOptions } from "ioredis"
import * as IdempotencyRecord from "../core/idempotencyRecord.js"
import * as IdempotencyStore from "../idempotency/IdempotencyStore.js"
import * as Validate from "../runtime/validate.js"
import * as Connection from "./redisConnection.js"
import { fields, keptMillis, millis, type Script, scripts } from "./redisScripts.js"
import * as Secrets from "./secrets.js"
import * as Stored from "./storedRecord.js"

export type { Secret } from "./secrets.js"

/**
 * How the store reaches Redis and names its records. Either `url` or `options`, or both: options
 * complete what the URL says.
 *
 * **Details**
 *
 * - `secret`, `previousSecrets`: keys are named by an HMAC under `secret`, the same for all that
 *   share the server. A record that was made under one of `previousSecrets` is still found.
 * - `url`: `redis://` or `rediss://`; redact it where it holds a password.
 * - `options`: of ioredis. Of these `connectTimeout` (2 seconds), `commandTimeout` (5 seconds) and
 *   `socketTimeout` (10 seconds of silence while commands wait) have defaults here and can be
 *   changed. No command is ever queued or sent again, whatever the options say.
 * - `prefix`: what the names of records begin with. No braces. Default
 *   `effect-resilience:idempotency:`.
 * - `timeSource`: who says what time it is, Redis (`"store"`, the default) or the program's `Clock`
 *   (`"clock"`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Secrets.Secrets {
  readonly url?: string | Redacted.Redacted<string> | undefined
  readonly options?: RedisOptions | undefined
  readonly prefix?: string | undefined
  readonly timeSource?: "clock" | "store" | undefined
}

/**
 * Timeouts are in milliseconds, as ioredis counts them.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  prefix: "effect-resilience:idempotency:",
  timeSource: "store",
  ...Connection.defaults
} as const

type Operation = IdempotencyStore.StoreError["operation"]

/** How the store is used, checked. */
interface Settings {
  readonly prefix: string
  readonly timeSource: "clock" | "store"
}

/** An answer that is no record, or no answer. */
const unreadable = (operation: Operation) =>
  new IdempotencyStore.StoreError({ operation, corrupt: true })

/**
 * The record that a script has answered with, and what time it was. An empty answer: there is none.
 */
const read = (
  operation: Operation,
  reply: unknown
): Effect.Effect<
  readonly [IdempotencyRecord.IdempotencyRecord, number],
  IdempotencyStore.StoreError
> => {
  if (!Array.isArray(reply)) return unreadable(operation)
  const values: ReadonlyArray<unknown> = reply
  if (values.length === 0) return Effect.succeed([IdempotencyRecord.absent, 0])
  const [
    version,
    state,
    owner,
    generation,
    fingerprint,
    recovered,
    recoveryPoint,
    outcome,
    leaseUntil,
    expiresAt
  ] = values
  const record = Stored.decode({
    version,
    state,
    owner,
    generation,
    fingerprint,
    recovered,
    recoveryPoint,
    outcome,
    leaseUntil,
    expiresAt
  })
  return record === undefined
    ? unreadable(operation)
    : Effect.succeed([record, Number(values[fields.length])])
}

/** The parts of a pattern mean nothing but themselves. */
const literally = (text: string): string => text.replaceAll(/[\\*?[\]]/g, "\\$&")

class Store {
  /** Where the sweep goes on. */
  private cursor = "0"

  constructor(private readonly redis: Redis, private readonly settings: Settings) {}

  /**
   * All names that a key may have are in one slot of a cluster, because one script has to see them:
   * the part in braces is the scope's.
   */
  private keyOf(scope: string, keyHash: string): string {
    return `${this.settings.prefix}{${Stored.scopeName(scope)}}:${Stored.toText(keyHash)}`
  }

  private run(
    operation: Operation,
    script: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>
  ): Effect.Effect<unknown, IdempotencyStore.StoreError> {
    const send = (now: string) =>
      Effect.tryPromise({
        try: () => Connection.run(this.redis, script, keys, [now, ...args]),
        catch: () => new IdempotencyStore.StoreError({ operation })
      })
    return this.settings.timeSource === "store"
      ? send("")
      : Effect.flatMap(Clock.currentTimeMillis, (now) => send(String(now)))
  }

  acquire(
    claim: IdempotencyStore.Claim
  ): Effect.Effect<IdempotencyStore.Acquired, IdempotencyStore.StoreError> {
    const { fingerprint, leaseMillis, owner, previousKeyHashes = [], scope, timeToLiveMillis } =
      claim
    const names = [...new Set([claim.keyHash, ...previousKeyHashes])].map((keyHash) =>
      this.keyOf(scope, keyHash)
    )
    const asked = {
      ...claim,
      leaseMillis: Stored.wholeMillis(leaseMillis),
      timeToLiveMillis: Stored.wholeMillis(timeToLiveMillis)
    }
    const args = [
      Stored.toText(fingerprint),
      Stored.toText(owner),
      millis(leaseMillis),
      keptMillis(timeToLiveMillis, leaseMillis)
    ]
    return Effect.flatMap(
      this.run("acquire", scripts.acquire, names, args),
      (reply) =>
        Effect.map(read("acquire", reply), ([record, now]) => {
          const [answer] = IdempotencyRecord.acquire(record, asked, now)
          return answer._tag === "Acquired"
            ? { ...answer, recoveryPoint: Option.fromNullable(answer.recoveryPoint) }
            : answer
        })
    )
  }

  change(
    operation: Exclude<Operation, "acquire" | "sweep">,
    held: IdempotencyStore.Held,
    args: ReadonlyArray<string>,
    step: (
      record: IdempotencyRecord.IdempotencyRecord,
      nowMillis: number
    ) => IdempotencyRecord.Change
  ): Effect.Effect<IdempotencyStore.Kept, IdempotencyStore.StoreError> {
    const all = [Stored.toText(held.owner), String(held.generation), ...args]
    return Effect.flatMap(
      this.run(operation, scripts[operation], [this.keyOf(held.scope, held.keyHash)], all),
      (reply) => Effect.map(read(operation, reply), ([record, now]) => step(record, now)[0])
    )
  }

  sweep(limit: number): Effect.Effect<number, IdempotencyStore.StoreError> {
    const most = Number.isNaN(limit) ? 0 : Math.min(1_000_000, Math.max(0, Math.floor(limit)))
    if (most === 0) return Effect.succeed(0)
    const pattern = `${literally(this.settings.prefix)}{*`
    return Effect.suspend(() =>
      this.run("sweep", scripts.sweep, [], [this.cursor, pattern, String(most)])
    ).pipe(
      Effect.flatMap((reply) => {
        if (!Array.isArray(reply)) return unreadable("sweep")
        this.cursor = String(reply[0])
        return Effect.succeed(Number(reply[1]))
      })
    )
  }
}

const make = (redis: Redis, settings: Settings): IdempotencyStore.Service => {
  const store = new Store(redis, settings)
  return {
    acquire: (claim) => store.acquire(claim),
    complete: (held, outcome, timeToLiveMillis) =>
      store.change(
        "complete",
        held,
        [Stored.toText(outcome), millis(timeToLiveMillis)],
        (record, now) =>
          IdempotencyRecord.complete(
            record,
            held,
            outcome,
            Stored.wholeMillis(timeToLiveMillis),
            now
          )
      ),
    release: (held) =>
      store.change(
        "release",
        held,
        [],
        (record, now) => IdempotencyRecord.release(record, held, now)
      ),
    extend: (held, leaseMillis) =>
      store.change(
        "extend",
        held,
        [millis(leaseMillis)],
        (record, now) =>
          IdempotencyRecord.extend(record, held, Stored.wholeMillis(leaseMillis), now)
      ),
    savepoint: (held, data) =>
      store.change(
        "savepoint",
        held,
        [Stored.toText(data)],
        (record, now) => IdempotencyRecord.savepoint(record, held, data, now)
      ),
    sweep: (limit) => store.sweep(limit)
  }
}

const settingsOf = ({ options, prefix, timeSource }: Options): Settings => {
  const source = timeSource ?? defaults.timeSource
  Validate.text(
    "timeSource",
    source,
    "\"clock\" or \"store\"",
    (value) => value === "clock" || value === "store"
  )
  for (const field of ["connectTimeout", "commandTimeout", "socketTimeout"] as const) {
    const value = options?.[field]
    if (value !== undefined) Validate.integer(`options.${field}`, value, 1)
  }
  const given = Validate.text(
    "prefix",
    prefix ?? defaults.prefix,
    "a text without braces",
    (value) => !/[{}]/.test(value)
  )
  return { prefix: `${options?.keyPrefix ?? ""}${given}`, timeSource: source }
}

/**
 * A store on a Redis server, over a connection of its own that lives as long as the layer. Keys of
 * calls over it are named under its secrets.
 *
 * **When to use**
 *
 * When several machines serve the same callers and Redis is there already, and forgetting a claim
 * in the worst case is bearable.
 *
 * **Details**
 *
 * - Each operation is one Lua script, one round trip, O(1); the script's text is sent once. A
 *   record is one hash.
 * - Redis removes by itself what is over: a completed record a minute after its time to live, an
 *   unfinished one a day after its lease at least (a lapsed lease must not make the record vanish:
 *   who comes then has to learn of it). `sweep` is hardly needed; it looks at some five thousand
 *   keys at a time.
 * - A command fails after `commandTimeout`, at once without a connection, and is never sent again.
 *   The connection is tried again at most a second apart. The layer waits for the server at most
 *   `connectTimeout`, and comes up without it, with a warning in the log; calls then fail, or run
 *   unprotected, as they say themselves.
 * - Every failure is a `StoreError` without the client's text. A record of another version, or one
 *   that cannot be read, is a `StoreError` that says `corrupt`, and is left as it is.
 * - Nonsense is refused with a `RangeError` here.
 *
 * **Gotchas**
 *
 * - Set `maxmemory-policy noeviction`: an evicted record is a forgotten one.
 * - Redis answers before it has written to disk (`appendfsync`) and before replicas have it. A
 *   crash or a failover can forget the claims and outcomes of the last moments, and these calls can
 *   be executed again. Nothing here waits for replicas.
 * - All records of one scope are in one slot of a cluster.
 *
 * **Example** (Sharing keys between machines)
 *
 * ```ts no-run
 * import { Idempotency, IdempotencyKey } from "effect-resilience"
 * import * as Redis from "effect-resilience/store/Redis"
 * import { Config, Effect, Layer, Schema } from "effect"
 *
 * const store = Layer.unwrapEffect(
 *   Effect.map(
 *     Effect.all({
 *       secret: Config.redacted("IDEMPOTENCY_SECRET"),
 *       url: Config.redacted("REDIS_URL")
 *     }),
 *     (options) => Redis.layer(options)
 *   )
 * )
 *
 * const program = Effect.succeed("charged").pipe(
 *   Idempotency.run({
 *     scope: ["acme", "charge"],
 *     payload: { amount: 100 },
 *     result: Schema.String
 *   }),
 *   IdempotencyKey.provideNew
 * )
 *
 * await Effect.runPromise(Effect.provide(program, store))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<IdempotencyStore.IdempotencyStore> => {
  const settings = settingsOf(options)
  const secrets = Secrets.secretsOf(options)
  const target = { url: options.url, options: options.options }
  const store = Layer.scoped(
    IdempotencyStore.IdempotencyStore,
    Effect.map(Connection.make(target), (redis) => ({ ...make(redis, settings), secrets }))
  )
  return Layer.merge(store, Secrets.layer(secrets))
}
