/**
 * Stores idempotency records in Redis, shared by all programs that use the server.
 *
 * Machines that serve the same callers must agree which of them runs a call. Redis answers in well
 * under a millisecond and removes expired records by itself. It loses what it has not written to
 * disk: where a lost claim would cost money, use a database.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { ClusterOptions, Redis, RedisOptions } from "ioredis"
import * as IdempotencyRecord from "../core/idempotencyRecord.js"
import { currentStoreCall } from "../idempotency/conflicts.js"
import * as IdempotencyStore from "../idempotency/IdempotencyStore.js"
import * as Validate from "../runtime/validate.js"
import * as Connection from "./redisConnection.js"
import { fields, keptMillis, millis, type Script, scripts } from "./redisScripts.js"
import * as Secrets from "./secrets.js"
import * as Stored from "./storedRecord.js"

export type { Node } from "./redisConnection.js"
export type { Secret } from "./secrets.js"

/**
 * How the store reaches Redis and names its records. Either `url` or `options`, or both: options
 * complete what the URL says. For a cluster set `cluster` instead of `url`.
 *
 * **Details**
 *
 * - `secret`, `previousSecrets`: keys are named by an HMAC under `secret`, the same for all that
 *   share the server. A record that was made under one of `previousSecrets` is still found.
 * - `url`: `redis://` or `rediss://`; redact it where it holds a password.
 * - `options`: of ioredis. Of these `connectTimeout` (2 seconds), `commandTimeout` (5 seconds) and
 *   `socketTimeout` (10 seconds of silence while commands wait) have defaults here and can be
 *   changed. No command is ever queued or sent again, whatever the options say, but for a cluster.
 *   In a cluster they are those of the connection to each node.
 * - `cluster`: nodes of a cluster that are known from the start; the others are found through them.
 *   `clusterOptions`: of ioredis (`natMap`, `dnsLookup` and so on). Of these `slotsRefreshInterval`
 *   (5 seconds) and `maxRedirections` (5) have defaults here and can be changed.
 * - `prefix`: what the names of records begin with. No braces. Default
 *   `effect-resilience:idempotency:`.
 * - `timeSource`: who says what time it is, Redis (`"store"`, the default) or the program's `Clock`
 *   (`"clock"`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Secrets.Secrets {
  /**
   * `redis://` or `rediss://`. Redact it where it holds a password. Default: the address in
   * `options`.
   */
  readonly url?: string | Redacted.Redacted<string> | undefined
  /** Options of ioredis; they complete the URL. */
  readonly options?: RedisOptions | undefined
  /** Nodes of a cluster to begin with; the store finds the others through them. */
  readonly cluster?: ReadonlyArray<Connection.Node> | undefined
  /** Options of ioredis for a cluster, such as `natMap`. */
  readonly clusterOptions?: Omit<ClusterOptions, "redisOptions"> | undefined
  /**
   * What the names of records begin with, without braces. Default `effect-resilience:idempotency:`.
   */
  readonly prefix?: string | undefined
  /**
   * Takes the time from Redis (`"store"`, the default) or from the `Clock` of the program
   * (`"clock"`).
   */
  readonly timeSource?: "clock" | "store" | undefined
}

/**
 * Timeouts are in milliseconds, as ioredis counts them.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `prefix`. */
  prefix: "effect-resilience:idempotency:",
  /** Default of the option `timeSource`. */
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
  /** Where the sweep of each server goes on. */
  private readonly cursors = new WeakMap<Redis, string>()

  constructor(private readonly client: Connection.Client, private readonly settings: Settings) {}

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
    args: ReadonlyArray<string>,
    client: Connection.Client = this.client
  ): Effect.Effect<unknown, IdempotencyStore.StoreError> {
    const send = (now: string) =>
      Effect.tryPromise({
        try: () => Connection.run(client, script, keys, [now, ...args]),
        catch: (error) => error
      }).pipe(
        Effect.catchAll((error) =>
          Effect.flatMap(FiberRef.get(currentStoreCall), (call) => {
            if (call !== undefined) call.refused = Connection.isRefusal(error)
            return new IdempotencyStore.StoreError({ operation })
          })
        )
      )
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

  /** Over all servers, one after the other. */
  sweep(limit: number): Effect.Effect<number, IdempotencyStore.StoreError> {
    const most = Number.isNaN(limit) ? 0 : Math.min(1_000_000, Math.max(0, Math.floor(limit)))
    return Effect.suspend(() =>
      Effect.reduce(Connection.servers(this.client), 0, (removed, server) =>
        removed >= most
          ? Effect.succeed(removed)
          : Effect.map(this.sweepOf(server, most - removed), (more) => removed + more))
    )
  }

  private sweepOf(
    server: Redis,
    most: number
  ): Effect.Effect<number, IdempotencyStore.StoreError> {
    const pattern = `${literally(this.settings.prefix)}{*`
    const args = [this.cursors.get(server) ?? "0", pattern, String(most)]
    return Effect.flatMap(this.run("sweep", scripts.sweep, [], args, server), (reply) => {
      if (!Array.isArray(reply)) return unreadable("sweep")
      this.cursors.set(server, String(reply[0]))
      return Effect.succeed(Number(reply[1]))
    })
  }
}

const make = (
  client: Connection.Client,
  settings: Settings
): Omit<IdempotencyStore.Service, "secrets" | "scope"> => {
  const store = new Store(client, settings)
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

const settingsOf = ({ cluster, options, prefix, timeSource, url }: Options): Settings => {
  const source = timeSource ?? defaults.timeSource
  Validate.text(
    "timeSource",
    source,
    "\"clock\" or \"store\"",
    (value) => value === "clock" || value === "store"
  )
  return {
    prefix: Connection.prefixOf({ cluster, options, url }, prefix ?? defaults.prefix),
    timeSource: source
  }
}

/**
 * Makes a store on a Redis server, over a connection of its own that lives as long as the layer.
 * Keys are named under the secrets of the store.
 *
 * **When to use**
 *
 * When several machines serve the same callers, the program has Redis already, and a claim that is
 * lost in the worst case is acceptable.
 *
 * **Details**
 *
 * - Each operation is one Lua script, one round trip, O(1); the script's text is sent once. A
 *   record is one hash.
 * - Redis removes by itself what is over: a completed record a minute after its time to live, an
 *   unfinished one a day after its lease at least (a lapsed lease must not make the record vanish:
 *   who comes then has to learn of it). `sweep` is rarely needed; it reads about five thousand keys
 *   at a time.
 * - A command fails after `commandTimeout`, at once without a connection, and is never sent again.
 *   The store reconnects at least once a second. The layer waits for the server at most
 *   `connectTimeout`, and starts without it, with a warning in the log; calls then fail or run
 *   unprotected, by their `onStoreFailure`.
 * - In a cluster redirections are followed, and a command whose connection broke is sent again at
 *   most `maxRedirections` times, `retryDelayOnFailover` apart: another node may serve its slot by
 *   then, and the owner may repeat every step. A node that was demoted is left. `sweep` asks every
 *   master.
 * - Every failure is a `StoreError` without the client's text. A record of another version, or one
 *   that cannot be read, is a `StoreError` that says `corrupt`, and is left as it is.
 * - Invalid options throw `RangeError` here.
 *
 * **Gotchas**
 *
 * - Set `maxmemory-policy noeviction`: an evicted record is a forgotten one.
 * - Redis answers before it has written to disk (`appendfsync`) and before replicas have it. A
 *   crash or a failover can forget the claims and outcomes of the last moments, and these calls can
 *   be executed again. The store does not wait for replicas.
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
  const target = {
    url: options.url,
    options: options.options,
    cluster: options.cluster,
    clusterOptions: options.clusterOptions
  }
  const store = Layer.scoped(
    IdempotencyStore.IdempotencyStore,
    Effect.zipWith(Connection.make(target), Effect.scope, (client, scope) => ({
      ...make(client, settings),
      secrets,
      scope
    }))
  )
  return Layer.merge(store, Secrets.layer(secrets))
}
