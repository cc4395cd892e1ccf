/**
 * Where the members of a fleet tell each other what they have seen: one operation, one atomic round
 * trip.
 *
 * A store adds, compares and leases; the members decide. `layerMemory` is a store for tests and for
 * several runtimes in one process. `fleet/Redis` shares between processes. What a store of your own
 * has to do is said at `Batch`, command by command; check it with `Laws.fleetStore`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as Machine from "../core/fleetStore.js"
import type * as Wire from "../core/fleetWire.js"
import type { StoreError } from "../policies/fleet.js"
import { turn } from "../runtime/clock.js"

export { StoreError } from "../policies/fleet.js"

export type {
  Answer,
  Batch,
  Close,
  Command,
  Count,
  FleetOrder,
  Hold,
  Isolate,
  Known,
  Members,
  Open,
  OrderCommand,
  Permits,
  Probe,
  ProbeEnd,
  Push,
  Release,
  Reply,
  Tokens,
  Trial,
  TrialEnd,
  View
} from "../core/fleetWire.js"

/**
 * A store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Applies a batch as a whole, or fails and has applied it as a whole or not at all. O(commands).
   */
  readonly exchange: (batch: Wire.Batch) => Effect.Effect<Wire.Reply, StoreError>
  /**
   * What changed, told at once, of all fleets. A store without pushes has an empty stream. It never
   * fails; a push may be lost, doubled or late.
   */
  readonly pushes: Stream.Stream<Wire.Push>
  /**
   * Makes the name under which a text stands in the store: the same for the same text and secret.
   * A store that outlives the process makes an HMAC.
   */
  readonly name: (text: string) => string
}

/**
 * The tag of the store of a fleet.
 *
 * @since 0.1.0
 * @category tags
 */
export class FleetStore extends Context.Tag("effect-resilience/FleetStore")<FleetStore, Service>() {
}

/** How many pushes wait for a slow listener. */
const pushesKept = 1024

const makeMemory: Effect.Effect<Service> = Effect.gen(function*() {
  const fleets = new Map<string, Machine.State>()
  const pushes = yield* PubSub.sliding<Wire.Push>(pushesKept)
  return {
    exchange: (batch) =>
      Effect.flatMap(
        turn((_, now) => {
          const state = fleets.get(batch.fleet) ?? Machine.make()
          fleets.set(batch.fleet, state)
          return Machine.exchange(state, now, batch)
        }),
        ([reply, told]) => Effect.as(PubSub.publishAll(pushes, told), reply)
      ),
    pushes: Stream.fromPubSub(pushes),
    name: (text) => text
  }
})

/**
 * A store in memory. Its time is the monotonic one of the clock that asks.
 *
 * **When to use**
 *
 * In tests, and where several runtimes of one process share their guards. It is lost with the
 * process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<FleetStore> = Layer.effect(FleetStore, makeMemory)
