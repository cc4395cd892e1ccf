/**
 * Hears on a connection of its own what members tell each other at once.
 *
 * Nothing depends on it: a channel that cannot be heard is tried again now and then, and what was
 * missed comes with the next reply.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Redis } from "ioredis"
import type * as Wire from "../../core/fleetWire.js"
import { liveClock, nowMillis } from "../../runtime/clock.js"
import type { Client } from "../../store/redisConnection.js"
import * as Decode from "./decode.js"

/** How many pushes wait for a slow listener. */
const pushesKept = 1024

/** How long until a channel is tried again that could not be heard, in milliseconds. */
const retryMillis = 1000

/** How often a silent connection is asked whether it lives. */
const checkEvery = Duration.seconds(5)

/** What hears pushes. */
export interface Ear {
  readonly pushes: Stream.Stream<Wire.Push>
  /** Hears the pushes of a fleet too, from soon on. Waits for nothing. */
  readonly listen: (fleet: string, channel: string) => void
}

/** Hears nothing. */
export const deaf: Ear = { pushes: Stream.empty, listen: constVoid }

class Channels {
  /** The fleet of each channel. */
  readonly #fleets = new Map<string, string>()
  /** When each channel was tried last; infinite while it is heard. */
  readonly #tried = new Map<string, number>()

  constructor(readonly client: Client, readonly hub: PubSub.PubSub<Wire.Push>) {
    client.on("message", (channel: string, message: string) => {
      const fleet = this.#fleets.get(channel)
      const push = fleet === undefined ? undefined : Decode.push(fleet, message)
      if (push !== undefined) hub.unsafeOffer(push)
    })
    // The connection is there, or there again: a new one hears nothing yet.
    client.on("ready", () => this.#subscribeAll())
  }

  listen(fleet: string, channel: string): void {
    const now = nowMillis(liveClock)
    if (now < (this.#tried.get(channel) ?? -Infinity) + retryMillis) return
    this.#fleets.set(channel, fleet)
    this.#subscribe(channel, now)
  }

  /**
   * A connection that is dead and does not know it is found by what it does not answer. A cluster
   * picks another node then, and does not say whether that one could be subscribed to.
   */
  check(): void {
    if (!(this.client instanceof Redis)) this.#subscribeAll()
    else if (this.client.status === "ready") this.client.ping().catch(constVoid)
  }

  #subscribeAll(): void {
    const now = nowMillis(liveClock)
    for (const channel of this.#fleets.keys()) this.#subscribe(channel, now)
  }

  #subscribe(channel: string, now: number): void {
    this.#tried.set(channel, now)
    this.client.subscribe(channel).then(() => this.#tried.set(channel, Infinity), constVoid)
  }
}

/**
 * A cluster has a connection of its own for what it hears; one server needs a second one. Left to
 * itself, the client subscribes again without looking at the answer: where the connection breaks
 * meanwhile, that would be an unhandled rejection, which ends the process, and the channel would
 * never be heard again.
 */
const connected = (client: Client): Effect.Effect<Client, never, Scope.Scope> =>
  client instanceof Redis
    ? Effect.acquireRelease(
      Effect.sync(() => {
        const second = client.duplicate({ autoResubscribe: false })
        second.on("error", constVoid)
        second.connect().catch(constVoid)
        return second
      }),
      (second) => Effect.sync(() => second.disconnect())
    )
    : Effect.succeed(client)

/** Hears pushes for as long as the scope is open. */
export const make = (client: Client): Effect.Effect<Ear, never, Scope.Scope> =>
  Effect.gen(function*() {
    const hub = yield* PubSub.sliding<Wire.Push>(pushesKept)
    const channels = new Channels(yield* connected(client), hub)
    yield* Effect.forkScoped(
      Effect.withClock(
        Effect.forever(Effect.delay(Effect.sync(() => channels.check()), checkEvery)),
        liveClock
      )
    )
    return {
      pushes: Stream.fromPubSub(hub),
      listen: (fleet, channel) => channels.listen(fleet, channel)
    }
  })
