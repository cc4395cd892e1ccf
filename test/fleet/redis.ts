/** Stores of fleets on a real Redis, and what tests say to them. */
import { Context, Effect, Layer, type Scope } from "effect"
import * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as Redis from "effect-resilience/fleet/Redis"
import type * as Wire from "../../src/core/fleetWire.js"
import { url } from "../support/redis.js"

export const secret = "a secret"

export const storeOn = (
  port: number,
  options: Partial<Redis.Options> = {}
): Effect.Effect<FleetStore.Service, never, Scope.Scope> =>
  Effect.map(
    Layer.build(Redis.layer({ secret, url: url(port), ...options })),
    (context) => Context.get(context, FleetStore.FleetStore)
  )

let sequence = 0

/** A batch newer than all before. */
export const batch = (
  member: string,
  commands: ReadonlyArray<Wire.Command>,
  changes: Partial<Wire.Batch> = {}
): Wire.Batch => ({
  v: 1,
  fleet: "fleet",
  member,
  label: `label of ${member}`,
  incarnation: 1,
  sequence: ++sequence,
  memberTimeout: 60_000,
  since: 0,
  knows: "",
  seed: `seed ${sequence}`,
  last: false,
  circuits: [],
  commands,
  ...changes
})

export const open = (name: string, changes: Partial<Wire.Open> = {}): Wire.Open => ({
  op: "open",
  name,
  epoch: 0,
  openMillis: 60_000,
  openings: 1,
  ...changes
})

export const count = (name: string, calls = 10, changes: Partial<Wire.Count> = {}): Wire.Count => ({
  op: "count",
  name,
  epoch: 0,
  calls,
  failures: calls,
  slow: 0,
  failing: true,
  slowing: false,
  ...changes
})

export const tokens: Wire.Tokens = {
  op: "tokens",
  name: "limiter",
  spacing: 100,
  burst: 5,
  want: 2,
  first: 1,
  horizon: 0,
  patience: 0,
  back: 0
}

/** One command of each kind of record, and more of those that have parts. */
export const everything: ReadonlyArray<Wire.Command> = [
  count("circuit"),
  open("other", { openMillis: 0 }),
  { op: "trial", name: "other", epoch: 1, id: "t", trials: 2, timeout: 60_000, grace: 0 },
  { op: "order", name: "orders", epoch: 0, order: "ForcedOpen", reset: true },
  { op: "isolate", name: "orders", epoch: 0, id: "i", hold: 60_000 },
  { op: "hold", name: "host", epoch: 0, left: 0 },
  { op: "probe", name: "host", id: "p", timeout: 60_000 },
  tokens,
  { op: "permits", name: "bulkhead", concurrency: 4, held: 0, need: 3 },
  { op: "members", after: "" }
]
