/**
 * Decides by its status which response the store records, and replays the recorded ones.
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CorruptRecord } from "../../errors/idempotencyErrors.js"
import * as Settlement from "../../idempotency/settlement.js"
import * as StoredOutcome from "../../idempotency/storedOutcome.js"
import type { Config } from "./options.js"
import * as RecordedResponse from "./recordedResponse.js"

/** A response, and what becomes of the record. */
export interface Settled {
  readonly response: HttpServerResponse.HttpServerResponse
  readonly settlement: Settlement.Settlement
}

/** The header that marks a response without a record. */
const recordedHeader = "idempotent-recorded"

/** Marks a response that no later request can replay. */
export const markUnrecorded = HttpServerResponse.setHeader(recordedHeader, "false")

const settlements = { hold: Settlement.hold, release: Settlement.release } as const

/** The settlement of a response that is not recorded; `undefined` for one that is. */
const unrecordedSettlement = (
  config: Config,
  status: number,
  died: boolean
): Settlement.Settlement | undefined => {
  if (died) return settlements[config.on5xx]
  if (config.storeStatuses.has(status) || (status >= 200 && status < 400)) return undefined
  if (status === 503) return Settlement.release
  if (status >= 500) return settlements[config.on5xx]
  return status >= 400 ? Settlement.release : Settlement.hold
}

const unrecorded = (
  response: HttpServerResponse.HttpServerResponse,
  why: string
): Effect.Effect<Settled> =>
  Effect.as(Effect.logDebug(`The response cannot be replayed: ${why}`), {
    response: markUnrecorded(response),
    settlement: Settlement.done
  })

const record = (
  config: Config,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<Settled> =>
  Effect.flatMap(RecordedResponse.collected(response), ([response, body]) => {
    if (Option.isNone(body)) return unrecorded(response, "it is a stream")
    const outcome = RecordedResponse.write(response, body.value, config.replayedHeaders)
    return StoredOutcome.isWithin(StoredOutcome.kept(outcome), config.settings.maxOutcomeBytes)
      ? Effect.succeed({ response, settlement: Settlement.store(outcome) })
      : unrecorded(response, "it is longer than maxOutcomeBytes")
  })

/** Settles a response of the handler. `died`: it stands for a defect. O(body). */
export const settle = (
  config: Config,
  response: HttpServerResponse.HttpServerResponse,
  died: boolean
): Effect.Effect<Settled> => {
  const settlement = unrecordedSettlement(config, response.status, died)
  return settlement === undefined
    ? record(config, response)
    : Effect.succeed({ response, settlement })
}

/** Makes the response of a record, marked as a replay. */
export const replay = (config: Config, outcome: string): Effect.Effect<Settled, CorruptRecord> =>
  Option.match(RecordedResponse.read(outcome, config.replayedHeader), {
    onNone: () => Effect.fail(new CorruptRecord()),
    onSome: (response) => Effect.succeed({ response, settlement: Settlement.done })
  })
