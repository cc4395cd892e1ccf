/**
 * What a guard was made with. A pipeline that is given a guard instead of its options can then
 * still be described.
 */
import { globalValue } from "effect/GlobalValue"

const made = globalValue("effect-resilience/instances", () => new WeakMap<object, object>())

/** Keeps the options beside the instance, for as long as that lives. */
export const remember = <I extends object>(instance: I, options: object): I => {
  made.set(instance, options)
  return instance
}

/**
 * The options of a guard: those it was made with when it is an instance, itself when it is options.
 * None for an instance that somebody else made.
 */
export const optionsOf = <O extends object>(guard: object | O): Partial<O> | undefined =>
  // Only `remember` writes, with the options that the instance was made with.
  ("protect" in guard || "withdraw" in guard ? made.get(guard) : guard) as Partial<O> | undefined
