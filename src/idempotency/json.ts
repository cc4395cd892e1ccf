/** Reads the JSON of records, which another version of the program may have written. */
import * as Option from "effect/Option"

/** Reads a JSON text. None for a text that is not JSON. */
export const parse = (text: string): Option.Option<unknown> => {
  try {
    return Option.some(JSON.parse(text))
  } catch {
    return Option.none()
  }
}
