/**
 * One text for one value, whoever writes it: the JSON Canonicalization Scheme (RFC 8785), for
 * fingerprints.
 *
 * Keys go by UTF-16 code unit, numbers and strings are written as ECMAScript writes them, and there
 * is no white space. What JSON cannot hold is refused, with the place where it stands, because two
 * different values with one text would be one fingerprint.
 */

/**
 * The text, which is a copy that nobody changes any more, or where and why there is none. `path`
 * names keys and never values: `$.items[2]["unit price"]`.
 *
 * @since 0.1.0
 */
export type Canonical =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Refused"; readonly path: string; readonly reason: string }

/**
 * Nested deeper than this is refused: no stack overflows, and a `toJSON` that answers ever new
 * objects comes to an end.
 */
const maxDepth = 1000

type Path = ReadonlyArray<string | number>

class Refusal {
  constructor(readonly path: Path, readonly reason: string) {}
}

const pathInWords = (path: Path): string =>
  path.reduce<string>((words, step) => {
    if (typeof step === "string" && /^[A-Za-z_$][\w$]*$/.test(step)) return `${words}.${step}`
    return `${words}[${JSON.stringify(step)}]`
  }, "$")

/**
 * The canonical text of a value. O(size), and O(n log n) in the keys of an object.
 *
 * **Details**
 *
 * What `JSON.stringify` does with a value is done here too: `toJSON` is honoured (a `Date` is its
 * ISO text), a property that is `undefined` is dropped, an element of an array that is `undefined`
 * or missing is `null`, boxed values are unboxed, symbol keys and inherited or hidden properties
 * are not seen. `-0` is `0`. `undefined` itself is the empty text.
 *
 * Refused are NaN and the infinities, bigints, functions, symbols, cycles, lone surrogates (in
 * texts and in keys), nesting of more than a thousand levels, a value that throws when it is read,
 * and objects that show nothing of what they hold (`Map`, `Set`, `FormData`, instances of classes
 * with private fields only): JSON would write all of those alike. `reveal` opens objects that hide
 * their value on purpose; it is asked before `toJSON`.
 *
 * @since 0.1.0
 */
export const stringify = (
  value: unknown,
  reveal: (value: object) => unknown = identity
): Canonical => {
  const path: Array<string | number> = []
  try {
    return { _tag: "Text", text: written(value, "", path, new Set(), reveal) ?? "" }
  } catch (error) {
    return error instanceof Refusal
      ? { _tag: "Refused", path: pathInWords(error.path), reason: error.reason }
      : { _tag: "Refused", path: pathInWords(path), reason: "a value that throws when it is read" }
  }
}

const identity = (value: object): unknown => value

const hasToJson = (value: object): value is { readonly toJSON: (key: string) => unknown } =>
  "toJSON" in value && typeof value.toJSON === "function"

const tagOf = (object: object): string => Object.prototype.toString.call(object).slice(8, -1)

const boxes: ReadonlySet<string> = new Set(["BigInt", "Boolean", "Number", "String"])

/** What stands for the value in JSON, by its `toJSON` and out of its box. */
const unboxed = (
  given: unknown,
  key: string,
  reveal: (value: object) => unknown
): unknown => {
  const value = typeof given === "object" && given !== null ? reveal(given) : given
  const own = typeof value === "object" && value !== null && hasToJson(value)
    ? value.toJSON(key)
    : value
  return typeof own === "object" && own !== null && boxes.has(tagOf(own)) ? own.valueOf() : own
}

/**
 * The text of a value, or nothing where JSON leaves it out. `path` is where it stands; after a
 * throw it is where that happened.
 */
const written = (
  given: unknown,
  key: string,
  path: Array<string | number>,
  above: Set<object>,
  reveal: (value: object) => unknown
): string | undefined => {
  const value = unboxed(given, key, reveal)
  switch (typeof value) {
    case "undefined":
      return undefined
    case "boolean":
      return String(value)
    case "string":
      return quoted(value, path)
    case "number":
      if (!Number.isFinite(value)) throw new Refusal(path, `${value}, which JSON does not have`)
      return String(value)
    case "bigint":
    case "function":
    case "symbol":
      throw new Refusal(path, `a ${typeof value}, which JSON does not have`)
    case "object": {
      if (value === null) return "null"
      if (above.has(value)) throw new Refusal(path, "an object that holds itself")
      if (above.size >= maxDepth) {
        throw new Refusal(path.slice(0, 3), `a value of more than ${maxDepth} levels`)
      }
      above.add(value)
      const text = Array.isArray(value)
        ? ofArray(value, path, above, reveal)
        : ofObject(value, path, above, reveal)
      above.delete(value)
      return text
    }
  }
}

const quoted = (text: string, path: Path): string => {
  if (!text.isWellFormed()) throw new Refusal(path, "a text with half of a surrogate pair")
  return JSON.stringify(text)
}

const ofArray = (
  array: ReadonlyArray<unknown>,
  path: Array<string | number>,
  above: Set<object>,
  reveal: (value: object) => unknown
): string => {
  const elements = Array.from({ length: array.length }, (_, index) => {
    path.push(index)
    const text = written(array[index], String(index), path, above, reveal) ?? "null"
    path.pop()
    return text
  })
  return `[${elements.join(",")}]`
}

/** Whether an object is a literal or a record, of this realm or another, and no class's. */
const isPlain = (object: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(object)
  return prototype === null || Object.hasOwn(Object(prototype), "isPrototypeOf")
}

/**
 * Whether an object without keys keeps what it holds to itself: an object of the platform, or of a
 * class with private fields. Bytes do not.
 */
const isOpaque = (object: object): boolean =>
  (tagOf(object) !== "Object" || !isPlain(object)) &&
  !(ArrayBuffer.isView(object) && object.byteLength === 0)

const ofObject = (
  object: object,
  path: Array<string | number>,
  above: Set<object>,
  reveal: (value: object) => unknown
): string => {
  const entries: Array<string> = []
  // Without an order of its own a comparison is by UTF-16 code units, also of keys that look like
  // integers.
  const keys = Object.keys(object).toSorted()
  if (keys.length === 0 && isOpaque(object)) {
    throw new Refusal(path, "an object that shows JSON nothing of what it holds")
  }
  for (const key of keys) {
    path.push(key)
    const text = written(Reflect.get(object, key), key, path, above, reveal)
    if (text !== undefined) entries.push(`${quoted(key, path)}:${text}`)
    path.pop()
  }
  return `{${entries.join(",")}}`
}
