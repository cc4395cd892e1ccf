/** Operator controls for one circuit, or for all of them. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Circuit from "../../core/circuit.js"
import { turn } from "../../runtime/clock.js"
import { defaultKey } from "../../runtime/keyedState.js"
import type { Circuits } from "./registry.js"

/** How many keys a warning names, and how many keys are remembered as warned about. */
const named = 10
const remembered = 1000

const listOf = (keys: ReadonlyArray<string>): string => {
  if (keys.length === 0) return "no key is in use yet"
  const more = keys.length - named
  const shown = keys.slice(0, named).map((key) => JSON.stringify(key)).join(", ")
  return `keys in use: ${shown}${more > 0 ? ` and ${more} more` : ""}`
}

/**
 * Operator controls; see `CircuitBreaker`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Controls {
  /** Rejects every call of a key until the scope is closed. Handles are counted. */
  readonly isolate: (key?: string) => Effect.Effect<void, never, Scope.Scope>
  /** Rejects every call of a key until the next command or `reset`. */
  readonly forceOpen: (key?: string) => Effect.Effect<void>
  /** Passes and counts every call of a key until the next command or `reset`. */
  readonly forceClosed: (key?: string) => Effect.Effect<void>
  /** Passes every call of a key and counts nothing until the next command or `reset`. */
  readonly disable: (key?: string) => Effect.Effect<void>
  /** Closes and empties the circuit of a key, and ends what was ordered of it. */
  readonly reset: (key?: string) => Effect.Effect<void>
  /** `isolate` for all keys, those to come included. */
  readonly isolateAll: Effect.Effect<void, never, Scope.Scope>
  /** `forceOpen` for all keys, those to come included, until the next command or `resetAll`. */
  readonly forceOpenAll: Effect.Effect<void>
  /** `forceClosed` for all keys, those to come included, until the next command or `resetAll`. */
  readonly forceClosedAll: Effect.Effect<void>
  /** `disable` for all keys, those to come included, until the next command or `resetAll`. */
  readonly disableAll: Effect.Effect<void>
  /** `reset` for all keys, those to come included. */
  readonly resetAll: Effect.Effect<void>
}

export const controlsOf = (circuits: Circuits): Controls => {
  const warned = new Set<string>()

  const command = (
    name: string,
    f: (state: Circuit.State, now: number) => Circuit.State
  ) =>
  (key: string = defaultKey): Effect.Effect<void> =>
    Effect.flatten(turn((clock, now) => {
      const isUsed = circuits.find(key, clock, now)?.isCalled === true
      const keys = isUsed
        ? []
        : circuits.all(clock, now).filter((cell) => cell.isCalled).map((cell) => cell.key)
      circuits.command(key, f, clock, now)
      if (isUsed || warned.has(key) || warned.size >= remembered) return Effect.void
      warned.add(key)
      return Effect.logWarning(
        `CircuitBreaker.${name} applies to ${JSON.stringify(key)}, a key that no call has used; ${
          listOf(keys)
        }`
      )
    }))

  const commandAll = (
    control: (control: Circuit.Control) => Circuit.Control,
    f: (state: Circuit.State, now: number) => Circuit.State
  ): Effect.Effect<void> => turn((clock, now) => circuits.commandAll(control, f, clock, now))

  const order = (name: string, order: Circuit.Order) =>
    command(name, (state) => Circuit.order(state, order))

  const orderAll = (order: Circuit.Order) =>
    commandAll((control) => ({ ...control, order }), (state) => Circuit.order(state, order))

  const isolationOfAll = (by: 1 | -1) =>
    commandAll(
      (control) => ({ ...control, isolations: Math.max(0, control.isolations + by) }),
      (state) => Circuit.isolate(state, by)
    )

  return {
    isolate: (key) =>
      Effect.acquireRelease(
        command("isolate", (state) => Circuit.isolate(state, 1))(key),
        () => command("isolate", (state) => Circuit.isolate(state, -1))(key)
      ),
    forceOpen: order("forceOpen", "ForcedOpen"),
    forceClosed: order("forceClosed", "ForcedClosed"),
    disable: order("disable", "Disabled"),
    reset: command("reset", Circuit.reset),
    isolateAll: Effect.acquireRelease(isolationOfAll(1), () => isolationOfAll(-1)),
    forceOpenAll: orderAll("ForcedOpen"),
    forceClosedAll: orderAll("ForcedClosed"),
    disableAll: orderAll("Disabled"),
    resetAll: commandAll(({ isolations }) => ({ order: undefined, isolations }), Circuit.reset)
  }
}
