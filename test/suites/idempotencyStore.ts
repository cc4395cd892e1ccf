/**
 * What every idempotency store does, whatever keeps its records: one suite for all of them.
 */
import type { Layer } from "effect"
import type { IdempotencyStore } from "effect-resilience/IdempotencyStore"
import { claims } from "./idempotencyStore/claims.js"
import { earlierNames } from "./idempotencyStore/earlierNames.js"
import { outcomes } from "./idempotencyStore/outcomes.js"
import { owners } from "./idempotencyStore/owners.js"
import { type Options, settingOf } from "./idempotencyStore/setting.js"

export const suite = <E>(
  name: string,
  layer: Layer.Layer<IdempotencyStore, E>,
  options: Options = {}
): void => {
  const setting = settingOf(name, layer, options)
  claims(setting)
  outcomes(setting)
  owners(setting)
  if (options.previousNames !== false) earlierNames(setting)
}
