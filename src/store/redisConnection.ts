/** Connects to Redis, and fails soon instead of waiting for ever. */
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from "ioredis"
import { liveClock } from "../runtime/clock.js"
import { Signal } from "../runtime/signal.js"
import * as Validate from "../runtime/validate.js"
import type { Script } from "./redisScripts.js"

/**
 * A node of a cluster: a URL, or host and port.
 *
 * @since 0.1.0
 * @category models
 */
export type Node = string | {
  /** The host name or address. */
  readonly host: string
  /** The port. */
  readonly port: number
}

export interface Target {
  readonly url: string | Redacted.Redacted<string> | undefined
  readonly options: RedisOptions | undefined
  /** The nodes of a cluster that are known from the start. */
  readonly cluster: ReadonlyArray<Node> | undefined
  readonly clusterOptions: Omit<ClusterOptions, "redisOptions"> | undefined
}

const timeouts = ["connectTimeout", "commandTimeout", "socketTimeout"] as const

/**
 * Checks where a store is to connect, and returns what all its keys begin with. Throws a
 * `RangeError` that names the field.
 */
export const prefixOf = (
  { cluster, options, url }: Omit<Target, "clusterOptions">,
  prefix: string
): string => {
  for (const field of timeouts) {
    const value = options?.[field]
    if (value !== undefined) Validate.integer(`options.${field}`, value, 1)
  }
  if (cluster !== undefined) {
    Validate.integer("cluster.length", cluster.length, 1)
    Validate.text(
      "url",
      url === undefined ? "" : "a URL",
      "absent beside cluster",
      (url) => url === ""
    )
  }
  const given = Validate.text(
    "prefix",
    prefix,
    "a text without braces",
    (value) => typeof value === "string" && !/[{}]/.test(value)
  )
  return `${options?.keyPrefix ?? ""}${given}`
}

/** A connection to one server, or to all servers of a cluster. */
export type Client = Redis | Cluster

/**
 * Milliseconds. A command may take longer than those who wait for it do by default: a claim that is
 * granted late can then still be given back. A dead connection is noticed by its silence while
 * commands wait.
 */
export const defaults = {
  /** How long a connection may take to open, in milliseconds. */
  connectTimeout: 2000,
  /** How long a command may take, in milliseconds. */
  commandTimeout: 5000,
  /** How long the server may be silent while commands wait, in milliseconds. */
  socketTimeout: 10_000,
  /** How often the map of a cluster is read again, in milliseconds. */
  slotsRefreshInterval: 5000,
  /** How long to wait before a command follows a failover in a cluster, in milliseconds. */
  retryDelayOnFailover: 50,
  /** How many redirections of a cluster a command follows. */
  maxRedirections: 5
} as const

/** Soon at first, then once a second. */
const retryStrategy = (times: number): number => Math.min(50 * times, 1000)

/** A server that was demoted takes no writes: the connection is made anew, to the one that does. */
const isDemoted = (error: Error): boolean => error.message.includes("READONLY")

const optionsOf = (options: RedisOptions | undefined): RedisOptions => ({
  retryStrategy,
  ...options,
  connectTimeout: options?.connectTimeout ?? defaults.connectTimeout,
  commandTimeout: options?.commandTimeout ?? defaults.commandTimeout,
  socketTimeout: options?.socketTimeout ?? defaults.socketTimeout,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  lazyConnect: true,
  // Nothing is sent again: 2 would do that.
  reconnectOnError: (error) => isDemoted(error) || Boolean(options?.reconnectOnError?.(error)),
  // Names of records are complete as they are.
  keyPrefix: ""
})

/**
 * Of a cluster. Redirections are followed, because a server that redirects has done nothing. A
 * command whose connection broke is sent again, a few times and soon: another node may serve its
 * slot by now, and its owner may repeat every step.
 */
const clusterOptionsOf = (
  { clusterOptions, options }: Target
): ClusterOptions => ({
  clusterRetryStrategy: retryStrategy,
  slotsRefreshInterval: defaults.slotsRefreshInterval,
  maxRedirections: defaults.maxRedirections,
  ...clusterOptions,
  redisOptions: optionsOf(options),
  scaleReads: "master",
  retryDelayOnFailover: defaults.retryDelayOnFailover,
  enableOfflineQueue: false,
  lazyConnect: true,
  keyPrefix: ""
})

/**
 * Connects to each node as soon as it is known, not with the first command: while that connects,
 * others would fail. The command for which a node was looked up is first.
 *
 * The client says ASKING to a node without looking at the answer. Where the node is gone, that
 * would be an unhandled rejection, which ends the process.
 */
const connectingAhead = (cluster: Cluster): Cluster =>
  cluster.on("+node", (node: Redis) => {
    const asking = node.asking.bind(node)
    Object.defineProperty(node, "asking", {
      value: () => {
        const said = asking()
        said.catch(constVoid)
        return said
      }
    })
    queueMicrotask(() => {
      if (node.status === "wait") node.connect().catch(constVoid)
    })
  })

const clientOf = (target: Target): Client => {
  const { cluster, options, url } = target
  if (cluster !== undefined) {
    return connectingAhead(new Cluster([...cluster], clusterOptionsOf(target)))
  }
  const bounded = optionsOf(options)
  if (url === undefined) return new Redis(bounded)
  return new Redis(Redacted.isRedacted(url) ? Redacted.value(url) : url, bounded)
}

/**
 * Connects, and waits for it at most `millis`: whether the server is there. The server's time
 * passes whatever the clock of the program says.
 */
const connected = (client: Client, millis: number): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const signal = new Signal()
    let isReady = false
    const ends = (ready: boolean) => () => {
      isReady = ready
      signal.notify()
    }
    client.connect().then(ends(true), ends(false))
    return Effect.map(Effect.withClock(signal.wait(millis), liveClock), () => isReady)
  })

/**
 * Connects for as long as the scope is open. Waits for the server, but not for long: without it the
 * connection comes up later, and until then every command fails at once. `name` is what the warning
 * calls it.
 */
export const make = (
  target: Target,
  name = "idempotency store"
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.gen(function*() {
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const client = clientOf(target)
        // Commands report the failures. Without a listener the client would write errors to the
        // console.
        client.on("error", constVoid)
        return client
      }),
      (client) => Effect.sync(() => client.disconnect())
    )
    const limit = target.options?.connectTimeout ?? defaults.connectTimeout
    if (!(yield* connected(client, limit))) {
      yield* Effect.logWarning(
        `The ${name} on Redis is not reachable yet; calls fail until it is`
      )
    }
    return client
  })

/** The servers that hold records: one, or the masters of a cluster. */
export const servers = (client: Client): ReadonlyArray<Redis> =>
  client instanceof Cluster ? client.nodes("master") : [client]

/**
 * Tests whether the command was certainly not executed: the server has said so, or it was not sent.
 * The scripts fail before their first write or not at all.
 */
export const isRefusal = (error: unknown): boolean =>
  error instanceof Error &&
  (error.name === "ReplyError" || error.message.includes("enableOfflineQueue options is false"))

const isUnknown = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith("NOSCRIPT")

/**
 * Runs a script: by its name, or as text where Redis has not seen it, or has been restarted since.
 * Rejects with what the client says.
 */
export const run = async (
  client: Client,
  script: Script,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<string>
): Promise<unknown> => {
  const all = [...keys, ...args]
  try {
    return await client.evalsha(script.hash, keys.length, ...all).catch((error: unknown) => {
      if (!isUnknown(error)) throw error
      return client.eval(script.text, keys.length, ...all)
    })
  } catch (error) {
    // A node may be gone, and another may serve its slots: the map of slots is read again.
    if (client instanceof Cluster) client.refreshSlotsCache()
    throw error
  }
}
