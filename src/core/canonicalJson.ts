/**
 * Gives each value one text, independent of the writer: the JSON Canonicalization Scheme (RFC
 * 8785), for fingerprints.
 *
 * Keys go by UTF-16 code unit, numbers and strings are written as ECMAScript writes them, and there
 * is no white space. What JSON cannot hold is refused, with the place where it stands, because two
 * different values with one text would be one fingerprint.
 */

/**
 * The text, an immutable copy, or where and why there is none. `path` names keys and never values:
 * `$.items[2]["unit price"]`.
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
export const maxDepth = 1000

/**
 * How objects are read that hide what they hold.
 *
 * @since 0.1.0
 */
export interface Reading {
  /** Opens an object that hides its value on purpose. It is asked before `toJSON`. */
  readonly reveal: (value: object) => unknown
  /**
   * The text that stands for a hidden value. A text of a `toJSON` that contains it is refused,
   * because the `toJSON` has read the value and does not show it.
   */
  readonly mask: string | undefined
}

const plainly: Reading = { reveal: (value) => value, mask: undefined }

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
 * with private fields only): JSON would write all of those alike.
 *
 * @since 0.1.0
 */
export const stringify = (value: unknown, reading: Reading = plainly): Canonical =>
  new Writer(reading).write(value)

class Refusal {
  constructor(readonly reason: string) {}
}

const pathInWords = (path: ReadonlyArray<string | number>): string =>
  path.reduce<string>((words, step) => {
    if (typeof step === "string" && /^[A-Za-z_$][\w$]*$/.test(step)) return `${words}.${step}`
    return `${words}[${JSON.stringify(step)}]`
  }, "$")

const hasToJson = (value: object): value is { readonly toJSON: (key: string) => unknown } =>
  "toJSON" in value && typeof value.toJSON === "function"

const tagOf = (object: object): string => Object.prototype.toString.call(object).slice(8, -1)

const boxes: ReadonlySet<string> = new Set(["BigInt", "Boolean", "Number", "String"])

const unboxed = (object: object): unknown =>
  Array.isArray(object) || isPlain(object) || !boxes.has(tagOf(object)) ? object : object.valueOf()

/** Tests whether an object is a literal or a record, of this realm or another, and no class's. */
const isPlain = (object: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(object)
  return prototype === Object.prototype || prototype === null ||
    Object.hasOwn(Object(prototype), "isPrototypeOf")
}

/** What keeps its contents to itself, also in a class that adds properties to it. */
const containers: ReadonlySet<string> = new Set([
  "ArrayBuffer",
  "Blob",
  "DataView",
  "File",
  "FormData",
  "Headers",
  "Map",
  "Promise",
  "Set",
  "SharedArrayBuffer",
  "URLSearchParams",
  "WeakMap",
  "WeakSet"
])

/**
 * Tests whether an object keeps what it holds to itself: an object of the platform, or without keys
 * one of a class with private fields. No bytes are none of these.
 */
const isOpaque = (object: object, keys: ReadonlyArray<string>): boolean =>
  keys.length === 0
    ? (tagOf(object) !== "Object" || !isPlain(object)) &&
      !(ArrayBuffer.isView(object) && object.byteLength === 0)
    : !isPlain(object) && containers.has(tagOf(object))

const isSorted = (keys: ReadonlyArray<string>): boolean => {
  for (let at = 1; at < keys.length; at++) {
    if (String(keys[at - 1]) > String(keys[at])) return false
  }
  return true
}

/** How many of the objects around are compared one by one. The deeper ones are in a set. */
const shallow = 16

/** A text in the making. Strings that grow by a character a million times burden the collector. */
class Pieces {
  #chunks = ""
  #pieces: Array<string> = []

  add(piece: string): void {
    if (this.#pieces.push(piece) >= 4096) this.#flush()
  }

  joined(): string {
    this.#flush()
    return this.#chunks
  }

  #flush(): void {
    this.#chunks += this.#pieces.join("")
    this.#pieces = []
  }
}

/** Writes one value. */
class Writer {
  readonly #text = new Pieces()
  /** The first `#steps` are where the writer is; after a throw, where that happened. */
  readonly #path: Array<string | number> = []
  #steps = 0
  /** The objects around the present one; the first `#depth` count. */
  readonly #above: Array<object> = []
  #depth = 0
  readonly #deep = new Set<object>()
  /** How many objects around the present value were written by their `toJSON`. */
  #byToJson = 0
  readonly #quotedKeys = new Map<string, string>()

  constructor(readonly reading: Reading) {}

  write(value: unknown): Canonical {
    try {
      this.#value(value, "", "")
      return { _tag: "Text", text: this.#text.joined() }
    } catch (error) {
      const path = pathInWords(this.#path.slice(0, this.#steps))
      return error instanceof Refusal
        ? { _tag: "Refused", path, reason: error.reason }
        : { _tag: "Refused", path, reason: "a value that throws when it is read" }
    }
  }

  /** Writes a value after `before`, or nothing at all where JSON leaves it out. */
  #value(given: unknown, key: string | number, before: string): boolean {
    if (typeof given !== "object" || given === null) return this.#simple(given, before)
    const open = this.reading.reveal(given)
    if (typeof open !== "object" || open === null) return this.#simple(open, before)
    if (!hasToJson(open)) return this.#open(unboxed(open), before)
    this.#byToJson++
    const own = open.toJSON(String(key))
    const isShown = typeof own === "object" && own !== null
      ? this.#open(unboxed(own), before)
      : this.#simple(own, before)
    this.#byToJson--
    return isShown
  }

  #open(value: unknown, before: string): boolean {
    if (typeof value !== "object" || value === null) return this.#simple(value, before)
    this.#enter(value)
    if (Array.isArray(value)) this.#array(value, before)
    else this.#object(value, before)
    this.#leave(value)
    return true
  }

  #simple(value: unknown, before: string): boolean {
    switch (typeof value) {
      case "undefined":
        return false
      case "string":
        return this.#shown(before + this.#string(value))
      case "number":
        if (!Number.isFinite(value)) throw new Refusal(`${value}, which JSON does not have`)
        return this.#shown(before + String(value))
      case "bigint":
      case "function":
      case "symbol":
        throw new Refusal(`a ${typeof value}, which JSON does not have`)
      default:
        return this.#shown(before + String(value))
    }
  }

  #shown(text: string): true {
    this.#text.add(text)
    return true
  }

  #string(value: string): string {
    const { mask } = this.reading
    if (this.#byToJson > 0 && mask !== undefined && value.includes(mask)) {
      throw new Refusal("an object whose toJSON hides what it holds")
    }
    return this.#quoted(value)
  }

  #quoted(text: string): string {
    if (!text.isWellFormed()) throw new Refusal("a text with half of a surrogate pair")
    return JSON.stringify(text)
  }

  #key(key: string): string {
    const known = this.#quotedKeys.get(key)
    if (known !== undefined) return known
    const quoted = `${this.#quoted(key)}:`
    this.#quotedKeys.set(key, quoted)
    return quoted
  }

  #enter(object: object): void {
    for (let at = Math.min(this.#depth, shallow) - 1; at >= 0; at--) {
      if (this.#above[at] === object) throw new Refusal("an object that holds itself")
    }
    if (this.#depth >= shallow) {
      if (this.#deep.has(object)) throw new Refusal("an object that holds itself")
      if (this.#depth >= maxDepth) {
        this.#steps = Math.min(this.#steps, 3)
        throw new Refusal(`a value of more than ${maxDepth} levels`)
      }
      this.#deep.add(object)
    }
    this.#above[this.#depth++] = object
  }

  #leave(object: object): void {
    if (--this.#depth >= shallow) this.#deep.delete(object)
  }

  #array(array: ReadonlyArray<unknown>, before: string): void {
    const at = this.#steps
    this.#text.add(`${before}[`)
    for (let index = 0; index < array.length; index++) {
      this.#path[at] = index
      this.#steps = at + 1
      const comma = index === 0 ? "" : ","
      if (!this.#value(array[index], index, comma)) this.#text.add(`${comma}null`)
    }
    this.#steps = at
    this.#text.add("]")
  }

  #object(object: object, before: string): void {
    const at = this.#steps
    const keys = Object.keys(object)
    if (isOpaque(object, keys)) {
      throw new Refusal("an object that shows JSON nothing of what it holds")
    }
    // Without an order of its own a comparison is by UTF-16 code units, also of keys that look like
    // integers.
    if (!isSorted(keys)) keys.sort()
    this.#text.add(`${before}{`)
    let comma = ""
    for (const key of keys) {
      this.#path[at] = key
      this.#steps = at + 1
      const value: unknown = Reflect.get(object, key)
      if (value === undefined) continue
      if (this.#value(value, key, comma + this.#key(key))) comma = ","
    }
    this.#steps = at
    this.#text.add("}")
  }
}
