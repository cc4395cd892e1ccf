/**
 * A connection to Redis that fails soon instead of waiting for ever.
 *
 * Left alone the client keeps commands until the server is back, and sends them then. A claim that
 * was given up seconds ago must not be made after all, so here a command is sent now or fails now.
 * Only the connection itself is tried again, for as long as its scope is open.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Redis, type RedisOptions } from "ioredis"
import type { Script } from "./redisScripts.js"

export interface Target {
  readonly url: string | Redacted.Redacted<string> | undefined
  readonly options: RedisOptions | undefined
}

/**
 * Milliseconds. A command may take longer than those who wait for it do by default: a claim that is
 * granted late can then still be given back. A dead connection is noticed by its silence while
 * commands wait.
 */
export const defaults = {
  connectTimeout: 2000,
  commandTimeout: 5000,
  socketTimeout: 10_000
} as const

/** Soon at first, then once a second. */
const retryStrategy = (times: number): number => Math.min(50 * times, 1000)

/** A server that was demoted takes no writes any more: the connection finds the one that does. */
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

const clientOf = ({ options, url }: Target): Redis => {
  const bounded = optionsOf(options)
  if (url === undefined) return new Redis(bounded)
  return new Redis(Redacted.isRedacted(url) ? Redacted.value(url) : url, bounded)
}

/**
 * Connects for as long as the scope is open. Waits for the server, but not for long: without it the
 * connection comes up later, and until then every command fails at once.
 */
export const make = (target: Target): Effect.Effect<Redis, never, Scope.Scope> =>
  Effect.gen(function*() {
    const redis = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const redis = clientOf(target)
        // Whoever sends a command learns of it. Without a listener the client would write errors to
        // the console.
        redis.on("error", constVoid)
        return redis
      }),
      (redis) => Effect.sync(() => redis.disconnect())
    )
    const limit = Duration.millis(target.options?.connectTimeout ?? defaults.connectTimeout)
    const ready = yield* Effect.option(Effect.tryPromise(() => redis.connect())).pipe(
      Effect.timeoutOption(limit),
      // The server's time passes whatever the program's clock says.
      Effect.withClock(Clock.make())
    )
    if (Option.isNone(Option.flatten(ready))) {
      yield* Effect.logWarning(
        "The idempotency store on Redis is not reachable yet; calls fail until it is"
      )
    }
    return redis
  })

const isUnknown = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith("NOSCRIPT")

/**
 * Runs a script: by its name, or as text where Redis has not seen it, or has been restarted since.
 * Rejects with whatever the client says.
 */
export const run = async (
  redis: Redis,
  script: Script,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<string>
): Promise<unknown> => {
  const all = [...keys, ...args]
  try {
    return await redis.evalsha(script.hash, keys.length, ...all)
  } catch (error) {
    if (!isUnknown(error)) throw error
    return await redis.eval(script.text, keys.length, ...all)
  }
}
