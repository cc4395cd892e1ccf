/** A breaker over circuits that a fleet shares, and its controls. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Wire from "../core/fleetWire.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import { policyOf, positiveMillis } from "../policies/circuitBreaker/options.js"
import { StoreError } from "../policies/fleet.js"
import { turn } from "../runtime/clock.js"
import { behindOf, withBehind } from "../runtime/instances.js"
import { defaultKey } from "../runtime/keyedState.js"
import { SharedCircuits } from "./breaker.js"
import type { FleetCell } from "./circuit.js"
import type { TimePolicy } from "./circuits.js"
import type { Member } from "./member.js"
import type { Plan } from "./plan.js"

type Options = CircuitBreaker.Options & { readonly name: string }

const withWindow = (options: Options): Options => ({
  ...options,
  window: options.window ?? CircuitBreaker.time("30 seconds")
})

/** A window of the last outcomes is refused: the members do not know their order. */
const timePolicyOf = (options: Options): TimePolicy => {
  const policy = policyOf(options)
  const { window } = policy
  if (window._tag === "Time") return { ...policy, window }
  throw new RangeError("window should be a window of time in a shared breaker, got one of count")
}

const controlsOf = (circuits: SharedCircuits): CircuitBreaker.FleetControls => {
  const { member } = circuits

  const stored = (
    commandOf: (cell: FleetCell) => Wire.Command,
    key: string
  ): Effect.Effect<FleetCell, StoreError> =>
    Effect.flatMap(
      turn((clock, now) => circuits.cell(key, clock, now) as FleetCell),
      (cell) =>
        Effect.flatMap(member.asked(commandOf(cell)), (answer) =>
          answer === undefined
            ? Effect.fail(new StoreError({ retryable: true }))
            : Effect.succeed(cell))
    )

  const order =
    (order: Wire.FleetOrder, reset = false) =>
    (key: string = defaultKey): Effect.Effect<void, StoreError> =>
      Effect.asVoid(stored(
        ({ orderEpoch: epoch, orderName: name }) => ({ op: "order", name, epoch, order, reset }),
        key
      ))

  const isolate = (
    key: string = defaultKey
  ): Effect.Effect<void, StoreError, Scope.Scope> =>
    Effect.asVoid(Effect.acquireRelease(
      Effect.suspend(() => {
        const id = member.id()
        return Effect.flatMap(
          stored((cell) => circuits.isolationOf(cell, id), key),
          (cell) =>
            turn((_, now) => {
              circuits.holdHandle(cell, id, now)
              return { cell, id }
            })
        )
      }),
      ({ cell, id }) =>
        Effect.zipRight(
          turn((_, now) => circuits.dropHandle(cell, id, now)),
          // Not heard, it ends with the time of its lease.
          member.asked(circuits.releaseOf(cell, id))
        )
    ))

  return {
    isolate,
    forceOpen: order("ForcedOpen"),
    forceClosed: order("ForcedClosed"),
    disable: order("Disabled"),
    reset: order("None", true)
  }
}

/** Plans a breaker whose circuits the fleet shares. */
export const breaker = (member: Member, given: Options): Plan => {
  const options = withWindow(given)
  const policy = timePolicyOf(options)
  const idleMillis = positiveMillis(
    "idleTimeToLive",
    options.idleTimeToLive ?? CircuitBreaker.defaults.idleTimeToLive
  )
  const numbers = JSON.stringify(policy)
  return {
    numbers: `${numbers} ${idleMillis}`,
    make: () => {
      const circuits = new SharedCircuits(policy, idleMillis, member, options.name, numbers)
      const local = CircuitBreaker.ofCircuits(circuits, options)
      const behind = behindOf(local) ?? { options }
      return withBehind<CircuitBreaker.Shared>({ ...local, fleet: controlsOf(circuits) }, behind)
    }
  }
}
