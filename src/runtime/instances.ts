/**
 * What stands behind an instance of ours, in one field that its interface does not show: the
 * options it was made with, and what its own parts need to know of it. A pipeline that is given an
 * instance in place of its options can then still be described and looked at.
 */

/** The field. One symbol for all copies of the library in a program. */
const behind: unique symbol = Symbol.for("effect-resilience/behind")

/**
 * - `options`: what it was made with.
 * - `inside`: its state, for modules that look on.
 * - `countedAs`: the name under which telemetry counts it already.
 * - `sharedAs`: its name in the fleet that shares it.
 */
export interface Behind {
  readonly options: object
  readonly inside?: unknown
  readonly countedAs?: string | undefined
  readonly sharedAs?: string | undefined
}

/** Puts it behind an instance. */
export const withBehind = <I extends object>(instance: I, what: Behind): I =>
  Object.assign(instance, { [behind]: what })

/** Reads what stands behind an instance; undefined for one that was made elsewhere. */
export const behindOf = (instance: object): Behind | undefined =>
  (instance as { readonly [behind]?: Behind })[behind]

/** Tests whether a guard, and not its options, was given. */
export const isInstance = <I extends object, O extends object>(given: I | O): given is I =>
  "protect" in given || "withdraw" in given

/**
 * The options of a guard: those it was made with when it is an instance, itself when it is options.
 * None for an instance that was made elsewhere.
 */
export const optionsOf = <O extends object>(guard: object | O): Partial<O> | undefined =>
  (isInstance(guard) ? behindOf(guard)?.options : guard) as Partial<O> | undefined
