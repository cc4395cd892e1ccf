/**
 * Keeps the bytes that an error was made from beside the error, so that comparisons, copies and log
 * lines do not show them.
 */

/** Bytes that no inspection prints. */
class RawBody {
  readonly #bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }
  get bytes(): Uint8Array {
    return this.#bytes
  }
}

const rawBodyKey: unique symbol = Symbol.for("effect-resilience/ApiError/rawBody")

const keptBy = (error: object & { readonly [rawBodyKey]?: RawBody }): RawBody | undefined =>
  error[rawBodyKey]

/** Not enumerable: neither a comparison nor a copy nor a log line is to meet it. */
const keep = <E extends object>(error: E, body: RawBody): E =>
  Object.defineProperty(error, rawBodyKey, { value: body })

/** Keeps the body that an error was made from. */
export const withRawBody = <E extends object>(error: E, body: Uint8Array): E =>
  keep(error, new RawBody(body))

/** The body that an error was made from, if it was kept. */
export const rawBodyOf = (error: object): Uint8Array | undefined => keptBy(error)?.bytes

/** Keeps the body of an error for a copy of it, too. */
export const copyRawBody = <E extends object>(from: object, to: E): E => {
  const body = keptBy(from)
  return body === undefined ? to : keep(to, body)
}
