/**
 * Finds contradictions between two stages. Compares only values that were written down: no
 * defaults, and no options of an instance.
 */
import * as Duration from "effect/Duration"

/**
 * A value that contradicts another, with its path. The message names both fields and both values.
 *
 * @since 0.1.0
 * @category models
 */
export interface Contradiction {
  /** The field that contradicts another, as a path through the stages. */
  readonly path: ReadonlyArray<string>
  /** Names both fields and both values. */
  readonly message: string
}

/** A duration that was written down, and where. */
export interface Written {
  readonly path: ReadonlyArray<string>
  readonly value: Duration.DurationInput
}

/** A duration as it was written. */
export const shown = (value: Duration.DurationInput): string =>
  typeof value === "string"
    ? JSON.stringify(value)
    : typeof value === "number"
    ? `${value} ms`
    : Duration.format(value)

export const nameOf = ({ path }: Written): string => path.join(".")

/** A field that was written down. */
export const written = (
  value: Duration.DurationInput | undefined,
  ...path: ReadonlyArray<string>
): ReadonlyArray<Written> => value === undefined ? [] : [{ path, value }]

/** Each field should relate to each of the others like this. */
export const compared = (
  fields: ReadonlyArray<Written>,
  should: string,
  others: ReadonlyArray<Written>,
  is: (a: Duration.Duration, b: Duration.Duration) => boolean
): ReadonlyArray<Contradiction> =>
  fields.flatMap((field) =>
    others.flatMap((other) =>
      is(Duration.decode(field.value), Duration.decode(other.value)) ? [] : [{
        path: field.path,
        message: `${nameOf(field)} should be ${should} ${nameOf(other)} (${
          shown(other.value)
        }), got ${shown(field.value)}`
      }]
    )
  )
