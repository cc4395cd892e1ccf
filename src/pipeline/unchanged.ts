/**
 * Tells whether the options of a stage are the same as before.
 */
import * as Equal from "effect/Equal"

type Plain = Readonly<Record<string, unknown>>

const isPlain = (u: object): u is Plain => {
  const prototype: unknown = Object.getPrototypeOf(u)
  return prototype === Object.prototype || prototype === null
}

/** The names of the fields that are there; one that is `undefined` is not. */
const fieldsOf = (record: Plain): ReadonlyArray<string> =>
  Object.keys(record).filter((name) => record[name] !== undefined)

/**
 * Compares arrays and plain objects field by field, values of Effect (`Duration`, `Redacted`) with
 * `Equal`, and all else, functions and instances among it, by identity. Linear in the options.
 */
export const isUnchanged = (before: unknown, after: unknown): boolean => {
  if (Object.is(before, after)) return true
  if (typeof before !== "object" || typeof after !== "object") return false
  if (before === null || after === null) return false
  if (Equal.isEqual(before) || Equal.isEqual(after)) return Equal.equals(before, after)
  if (Array.isArray(before) && Array.isArray(after)) {
    return before.length === after.length &&
      before.every((value, i) => isUnchanged(value, after[i]))
  }
  if (!isPlain(before) || !isPlain(after)) return false
  const names = fieldsOf(before)
  return names.length === fieldsOf(after).length &&
    names.every((name) => isUnchanged(before[name], after[name]))
}
