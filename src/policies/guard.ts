/**
 * What all guards have in common: how they are called, provided and looked at.
 *
 * A guard module says what is its own (its options, what it admits, what a key looks like) and has
 * everything else from here, so that all of them are used in the same way.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import { turn } from "../runtime/clock.js"
import { defaultKey, type Keyed, type KeyedState } from "../runtime/keyedState.js"

/**
 * Runs a call under a guard, effect first or effect last. `E` is what the guard rejects with,
 * `Options` what may differ from call to call, `Self` the tag through which the guard comes.
 */
export interface Protect<E, Options, Self = never> {
  <A, E1, R>(
    self: Effect.Effect<A, E1, R>,
    options?: Options
  ): Effect.Effect<A, E1 | E, R | Self>
  (
    options?: Options
  ): <A, E1, R>(self: Effect.Effect<A, E1, R>) => Effect.Effect<A, E1 | E, R | Self>
}

/** What an operator can see of a guard, key by key. Nothing that is looked at changes. */
export interface View<out Snapshot> {
  readonly snapshot: (key?: string) => Effect.Effect<Snapshot>
  readonly keys: Effect.Effect<ReadonlyArray<string>>
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
}

/** The view of a guard that keeps a state for each key. */
export const viewOf = <S extends Keyed, Snapshot>(
  states: KeyedState<S>,
  snapshotOf: (state: S, now: number) => Snapshot
): View<Snapshot> => ({
  snapshot: (key = defaultKey) =>
    turn((clock, now) => snapshotOf(states.look(key, clock, now), now)),
  keys: turn((clock, now) => states.all(clock, now).map(({ key }) => key)),
  snapshots: turn((clock, now) => states.all(clock, now).map((state) => snapshotOf(state, now)))
})

/** The first argument is a call and not options. */
export const isDataFirst = (args: IArguments): boolean => Effect.isEffect(args[0])

/** `protect` of a guard whose calls differ in nothing but their key. */
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

/** `protect` through a tag. `P` is what it is for this guard: the same, and it needs the tag. */
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
  readonly layer: (...args: Args) => Layer.Layer<Self>
  readonly protect: P
}

/** Makes such a tag. */
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
