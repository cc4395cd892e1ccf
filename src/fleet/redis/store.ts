/** A store of fleets over a connection to Redis. */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Wire from "../../core/fleetWire.js"
import { macUnder } from "../../idempotency/keyHash.js"
import * as Connection from "../../store/redisConnection.js"
import * as Stored from "../../store/storedRecord.js"
import type { Service } from "../FleetStore.js"
import { StoreError } from "../FleetStore.js"
import * as Decode from "./decode.js"
import * as Encode from "./encode.js"
import type { Ear } from "./pushes.js"
import { exchange } from "./script.js"

/** How a store is used. */
export interface Settings {
  readonly prefix: string
  readonly secret: Redacted.Redacted<string>
  /** Whether what others should know is told at once. */
  readonly push: boolean
  /** The time of the store in milliseconds. Default: the server's. */
  readonly clock?: (() => number) | undefined
}

/** The server will say the same again: it knows no scripts, or does not let this user in. */
const isFinal = (error: unknown): boolean =>
  error instanceof Error &&
  /^(NOAUTH|WRONGPASS|NOPERM|ERR unknown command|ERR user_script|ERR Error|ERR The user exec)\b/
    .test(error.message)

/** 128 bits of an HMAC: no two names are the same, and what a name stands for cannot be guessed. */
const nameLength = 32

/**
 * The version of the keys. Another version of the format is another fleet: each would take the
 * other's records for damaged ones.
 */
const version = 1

/** What names a fleet, without braces: they have a meaning of their own in a key. */
const tagOf = (fleet: string): string =>
  /^[\w-]{1,64}$/.test(fleet) ? fleet : Stored.scopeName(fleet)

/** All keys of a fleet are in one slot of a cluster: one script has to see them. */
const baseOf = (prefix: string, fleet: string): string => `${prefix}{${tagOf(fleet)}}:${version}:`

const channelOf = (base: string): string => `${base}push`

/** Makes a store. */
export const make = (client: Connection.Client, settings: Settings, ear: Ear): Service => ({
  exchange: (batch) =>
    Effect.suspend(() => {
      const base = baseOf(settings.prefix, batch.fleet)
      const question = Encode.question(base, batch)
      if (question === undefined) return new StoreError({ retryable: false })
      const channel = settings.push ? channelOf(base) : ""
      if (channel !== "") ear.listen(batch.fleet, channel)
      const time = settings.clock === undefined ? "" : String(settings.clock())
      return Effect.tryPromise({
        try: () =>
          Connection.run(client, exchange, question.keys, [time, ...question.args, channel]),
        catch: (error) => new StoreError({ retryable: !isFinal(error) })
      }).pipe(
        Effect.flatMap((text): Effect.Effect<Wire.Reply, StoreError> => {
          const reply = Decode.reply(text, batch.commands.length, question.places)
          return reply === undefined ? new StoreError({ retryable: true }) : Effect.succeed(reply)
        })
      )
    }),
  pushes: ear.pushes,
  name: (text) => macUnder(settings.secret, text).slice(0, nameLength)
})
