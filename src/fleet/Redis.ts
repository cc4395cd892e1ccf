/**
 * Shares the guards of a fleet through Redis: what one process learns all know.
 *
 * Redis adds, compares and leases; it decides nothing. No call waits for it while its circuit is
 * closed or open. Without it, the members go on by themselves.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { ClusterOptions, RedisOptions } from "ioredis"
import * as Connection from "../store/redisConnection.js"
import type { Secret } from "../store/secrets.js"
import * as Secrets from "../store/secrets.js"
import { FleetStore } from "./FleetStore.js"
import * as Pushes from "./redis/pushes.js"
import type { Settings } from "./redis/store.js"
import * as Store from "./redis/store.js"

export type { Node } from "../store/redisConnection.js"
export type { Secret } from "../store/secrets.js"

/**
 * How members reach Redis. Either `url` or `options`, or both: options complete the URL. For a
 * cluster set `cluster` instead of `url`; for Sentinel `options.sentinels`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * `redis://` or `rediss://`. Redact it where it holds a password. Default: the address in
   * `options`.
   */
  readonly url?: string | Redacted.Redacted<string> | undefined
  /**
   * Options of ioredis; they complete the URL. Of these `connectTimeout` (1 second),
   * `commandTimeout` (1 second) and `socketTimeout` (3 seconds of silence while commands wait) have
   * defaults here. No command is queued or sent again, whatever the options say, but for a cluster.
   */
  readonly options?: RedisOptions | undefined
  /** Nodes of a cluster to begin with; the store finds the others through them. */
  readonly cluster?: ReadonlyArray<Connection.Node> | undefined
  /** Options of ioredis for a cluster, such as `natMap`. */
  readonly clusterOptions?: Omit<ClusterOptions, "redisOptions"> | undefined
  /** What all keys and channels begin with, without braces. Default `effect-resilience:fleet:`. */
  readonly prefix?: string | undefined
  /** The secret that names what stands in Redis (required), the same in all members of a fleet. */
  readonly secret: Secret
  /**
   * Whether members tell each other at once what others must know, through channels of Redis.
   * Without it they learn it with their next exchange. Default true.
   */
  readonly push?: boolean | undefined
}

/**
 * The default options. Timeouts are in milliseconds, as ioredis counts them.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `prefix`. */
  prefix: "effect-resilience:fleet:",
  /** Default of the option `push`. */
  push: true,
  /** Default of `options.connectTimeout`, in milliseconds. */
  connectTimeout: 1000,
  /** Default of `options.commandTimeout`, in milliseconds. */
  commandTimeout: 1000,
  /** Default of `options.socketTimeout`, in milliseconds. */
  socketTimeout: 3000
} as const

const settingsOf = ({ cluster, options, prefix, push, secret, url }: Options): Settings => ({
  prefix: Connection.prefixOf({ cluster, options, url }, prefix ?? defaults.prefix),
  push: push ?? defaults.push,
  secret: Secrets.secretsOf({ secret }).secret
})

/** The options of the connection: a fleet gives up on a silent server sooner than a store does. */
const targetOf = ({ cluster, clusterOptions, options, url }: Options): Connection.Target => ({
  url,
  options: {
    ...options,
    connectTimeout: options?.connectTimeout ?? defaults.connectTimeout,
    commandTimeout: options?.commandTimeout ?? defaults.commandTimeout,
    socketTimeout: options?.socketTimeout ?? defaults.socketTimeout
  },
  cluster,
  clusterOptions
})

/**
 * Makes a store on a Redis server, over a connection of its own that lives as long as the layer,
 * and a second one for pushes.
 *
 * **When to use**
 *
 * When several processes call the same upstream, and the program has Redis already.
 *
 * **Details**
 *
 * - An exchange is one Lua script, one round trip, O(commands + log members); the script's text is
 *   sent once. It is applied as a whole or refused before it has changed anything, also by a server
 *   at `maxmemory`.
 * - Time passes by as much as Redis' clock advances between two exchanges, in milliseconds. Where
 *   the clock steps back, or another server takes over, time stands for a moment and goes on.
 * - All names in Redis are HMACs under `secret`. Fleets, prefixes and secrets that differ see
 *   nothing of each other. Every key expires: an hour after its last word, an operator's order
 *   after a week. All keys of a fleet are in one slot of a cluster.
 * - An exchange fails after `commandTimeout`, at once without a connection, and is never sent
 *   again. The store reconnects at least once a second. The layer waits for the server at most
 *   `connectTimeout`, and starts without it, with a warning in the log.
 * - Every failure is a `StoreError` without the client's text. It is `retryable` but where Redis
 *   refuses the user or knows no scripts.
 * - Invalid options throw `RangeError` here.
 *
 * **Gotchas**
 *
 * - A value in Redis that cannot be read is dropped, and what it said is lost.
 * - What Redis forgets in a crash or a failover, members put back where they know it: openings,
 *   orders, holds. Leases of permits and tokens can be granted again.
 * - A server of its own, or `maxmemory-policy noeviction`: an evicted key is a forgotten one.
 *
 * **Example** (A fleet on Redis)
 *
 * ```ts no-run
 * import * as Redis from "effect-resilience/fleet/Redis"
 * import { Config, Effect, Layer } from "effect"
 *
 * export const store = Layer.unwrapEffect(
 *   Effect.map(
 *     Effect.all({
 *       secret: Config.redacted("FLEET_SECRET"),
 *       url: Config.redacted("REDIS_URL")
 *     }),
 *     (options) => Redis.layer(options)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<FleetStore> => {
  const settings = settingsOf(options)
  return Layer.scoped(
    FleetStore,
    Effect.gen(function*() {
      const client = yield* Connection.make(targetOf(options), "fleet's store")
      const ear = settings.push ? yield* Pushes.make(client) : Pushes.deaf
      return Store.make(client, settings, ear)
    })
  )
}
