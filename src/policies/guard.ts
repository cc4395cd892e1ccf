/**
 * The interface that all guards share: how they are called, provided and read.
 *
 * A guard module defines its own options, admission and snapshot, and takes everything else from
 * here, so that all guards are used in the same way.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import { turn } from "../runtime/clock.js"
import { defaultKey, type Keyed, type KeyedState } from "../runtime/keyedState.js"
import type { Fleet, Named } from "./fleet.js"

/**
 * Runs a call under a guard. Effect first or last. `E` is what the guard rejects with, `Options`
 * the options of one call, `Self` the tag that provides the guard.
 */
export interface Protect<E, Options, Self = never> {
  /** Runs the call under the guard. Effect first. */
  <A, E1, R>(
    self: Effect.Effect<A, E1, R>,
    options?: Options
  ): Effect.Effect<A, E1 | E, R | Self>
  /** Runs a call under the guard. Effect last, for `pipe`. */
  (
    options?: Options
  ): <A, E1, R>(self: Effect.Effect<A, E1, R>) => Effect.Effect<A, E1 | E, R | Self>
}

/** Shows a guard to an operator, key by key. Reading changes nothing. */
export interface View<out Snapshot> {
  /**
   * Shows one key now. A key that no call has used shows its initial state. Default key
   * `"default"`.
   */
  readonly snapshot: (key?: string) => Effect.Effect<Snapshot>
  /** Lists the keys that have a state now. */
  readonly keys: Effect.Effect<ReadonlyArray<string>>
  /** Shows every key that has a state now. */
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
}

/** Makes the view of a guard that keeps a state for each key. */
export const viewOf = <S extends Keyed, Snapshot>(
  states: KeyedState<S>,
  snapshotOf: (state: S, now: number) => Snapshot
): View<Snapshot> => ({
  snapshot: (key = defaultKey) =>
    turn((clock, now) => snapshotOf(states.look(key, clock, now), now)),
  keys: turn((clock, now) => states.all(clock, now).map(({ key }) => key)),
  snapshots: turn((clock, now) => states.all(clock, now).map((state) => snapshotOf(state, now)))
})

/** Tests whether the first argument is a call and not options. */
export const isDataFirst = (args: IArguments): boolean => Effect.isEffect(args[0])

/** Makes `protect` for a guard whose call options are the key alone. */
export const protectByKey = <E>(
  run: <A, E1, R>(self: Effect.Effect<A, E1, R>, key: string) => Effect.Effect<A, E1 | E, R>
): Protect<E, { readonly key?: string | undefined }> =>
  dual(
    isDataFirst,
    <A, E1, R>(
      self: Effect.Effect<A, E1, R>,
      options?: { readonly key?: string | undefined }
    ) => run(self, options?.key ?? defaultKey)
  )

/** Anything that protects calls. */
interface Guard {
  readonly protect: (
    self: Effect.Effect<unknown, unknown, unknown>,
    options?: never
  ) => Effect.Effect<unknown, unknown, unknown>
}

/** Makes `protect` through a tag. `P` is its type for this guard, with the tag as a requirement. */
export const through = <P, Self, Instance extends Guard>(tag: Context.Tag<Self, Instance>): P =>
  dual(
    isDataFirst,
    (self: Effect.Effect<unknown, unknown, unknown>, options?: never) =>
      Effect.flatMap(tag, (guard) => guard.protect(self, options))
  ) as P

/** A tag for one of several guards, with its layer and its `protect`. */
export interface TagClass<Self, Id extends string, Instance, Args extends ReadonlyArray<unknown>, P>
  extends Context.TagClass<Self, Id, Instance>
{
  /** Makes the guard and provides it under this tag. */
  readonly layer: (...args: Args) => Layer.Layer<Self>
  /** Runs a call under the guard that this tag provides. */
  readonly protect: P
}

/** Makes a tag for one of several guards. */
export const tagClass = <
  Self,
  const Id extends string,
  Instance extends Guard,
  Args extends ReadonlyArray<unknown>,
  P
>(
  id: Id,
  make: (...args: Args) => Effect.Effect<Instance>
): TagClass<Self, Id, Instance, Args, P> => {
  const Base = Context.Tag(id)<Self, Instance>()
  return Object.assign(Base, {
    layer: (...args: Args) => Layer.effect(Base, make(...args)),
    protect: through<P, Self, Instance>(Base)
  })
}

/** Makes the guard of a tag one that a fleet shares. */
export interface SharedLayer<Self, Options> {
  /** Makes the guard, shared with the fleet under `name`, and provides it under this tag. */
  readonly layerShared: (
    options: Options & Named
  ) => Layer.Layer<Self, never, Fleet>
}

/** Makes a tag for one of several guards that a fleet can share. */
export const sharedTagClass = <
  Self,
  const Id extends string,
  Instance extends Guard,
  Args extends ReadonlyArray<unknown>,
  Options,
  P
>(
  id: Id,
  make: (...args: Args) => Effect.Effect<Instance>,
  makeShared: (
    options: Options & Named
  ) => Effect.Effect<Instance, never, Fleet>
): TagClass<Self, Id, Instance, Args, P> & SharedLayer<Self, Options> => {
  const Base = tagClass<Self, Id, Instance, Args, P>(id, make)
  return Object.assign(Base, {
    layerShared: (options: Options & Named) => Layer.effect(Base, makeShared(options))
  })
}
