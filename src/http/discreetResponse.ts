/** Keeps secrets out of a response: when it is printed, and in the errors of reading it. */
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import { format, NodeInspectSymbol } from "effect/Inspectable"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as ApiError from "../errors/ApiError.js"
import * as Redaction from "../errors/Redaction.js"
import { singleLine } from "../errors/redaction/controls.js"
import * as RequestSecrets from "./requestSecrets.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse
type Scrub = (text: string) => string

/** Where a request that shows no secret keeps what takes them out of a text. */
const scrubKey: unique symbol = Symbol("effect-resilience/discreetResponse/scrub")

/**
 * Takes out of a text, in one line, what a request carries as a secret, and what its client knows
 * as one. Of a request that is not of ours, what it carries under the default names. O(request) to
 * make.
 */
export const scrubberFor = (
  request: Request & { readonly [scrubKey]?: (() => Scrub) | undefined }
): Scrub =>
  request[scrubKey]?.() ??
    lineScrubber(RequestSecrets.secretsOf(request, Redaction.defaultNames))

const lineScrubber = (secrets: ReadonlyArray<string>, names?: Redaction.Names): Scrub => {
  const scrub = Redaction.scrubber(secrets, names)
  return (text) => singleLine(scrub(text))
}

const hide = (object: object, name: PropertyKey, value: unknown): void => {
  Reflect.defineProperty(object, name, { value, configurable: true, enumerable: false })
}

/** Prints an object as something else, inside of a fiber and outside. */
const printAs = (object: object, shown: () => unknown): void => {
  hide(object, "toJSON", shown)
  hide(object, NodeInspectSymbol, shown)
}

/**
 * The same request to the same address, of which query and fragment stand in fields of their own:
 * the platform puts the URL into the text of its errors.
 */
const withPlainUrl = (request: Request): Request => {
  const { url } = RequestSecrets.bare(request)
  if (url === request.url || !URL.canParse(request.url)) return request
  const { hash, searchParams } = new URL(request.url)
  const urlParams = [...UrlParams.fromInput(searchParams), ...request.urlParams]
  const fragment = hash === "" ? Option.getOrUndefined(request.hash) : hash.slice(1)
  return HttpClientRequest.modify(HttpClientRequest.make(request.method)(url), {
    urlParams,
    headers: request.headers,
    body: request.body,
    ...(fragment === undefined ? {} : { hash: fragment })
  })
}

/** Names may be the server's own. */
const shownHeaders = (
  headers: Readonly<Record<string, string>>,
  names: Redaction.Names,
  scrub: Scrub
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      scrub(name),
      Redaction.isSecretName(name, names) ? Redaction.mark : scrub(value)
    ])
  )

/** What went wrong with a body may quote it. */
const causeOf = (cause: unknown, scrub: Scrub): unknown => {
  if (ApiError.isApiError(cause) || !(cause instanceof Error)) return cause
  const { code } = cause as { readonly code?: unknown }
  return Object.assign(new Error(scrub(cause.message)), {
    name: cause.name,
    ...(typeof code === "string" ? { code } : {})
  })
}

/** What a response and its request print themselves with, once one of them is printed. */
class Shown {
  #scrub: Scrub | undefined
  #request: Request | undefined

  constructor(
    readonly response: Response,
    readonly names: Redaction.Names,
    readonly secrets: ReadonlyArray<string>
  ) {}

  readonly scrub: () => Scrub = () =>
    this.#scrub ??= lineScrubber(
      [...this.secrets, ...RequestSecrets.secretsOf(this.response.request, this.names)],
      this.names
    )

  /** A copy of the request, which prints itself like this. */
  get request(): Request {
    if (this.#request !== undefined) return this.#request
    const plain = withPlainUrl(this.response.request)
    const copy: Request = Object.assign(Object.create(Object.getPrototypeOf(plain)), plain)
    printAs(copy, () => this.shownRequest())
    hide(copy, scrubKey, this.scrub)
    return this.#request = copy
  }

  shownRequest() {
    const { names, response: { request } } = this
    const scrub = this.scrub()
    return {
      _id: "@effect/platform/HttpClientRequest",
      method: request.method,
      url: scrub(RequestSecrets.bare(request).url),
      headers: shownHeaders(request.headers, names, scrub)
    }
  }

  shownResponse() {
    const { names, response: { headers, status } } = this
    return {
      _id: "@effect/platform/HttpClientResponse",
      status,
      request: this.shownRequest(),
      headers: shownHeaders(headers, names, this.scrub())
    }
  }
}

const shownKey: unique symbol = Symbol("effect-resilience/discreetResponse/shown")

/** Everything is asked of the response within when it is wanted: most members never are. */
class Discreet implements Response {
  declare readonly [shownKey]: Shown

  constructor(shown: Shown) {
    hide(this, shownKey, shown)
  }

  get [HttpClientResponse.TypeId](): HttpClientResponse.TypeId {
    return HttpClientResponse.TypeId
  }

  get [HttpIncomingMessage.TypeId](): HttpIncomingMessage.TypeId {
    return HttpIncomingMessage.TypeId
  }

  /** As the platform names what one of its responses stands around. */
  get original() {
    return this[shownKey].response
  }

  get request() {
    return this[shownKey].request
  }

  get status() {
    return this[shownKey].response.status
  }

  get statusText(): unknown {
    const { response } = this[shownKey]
    return hasProperty(response, "statusText") ? response.statusText : undefined
  }

  get headers() {
    return this[shownKey].response.headers
  }

  get cookies() {
    return this[shownKey].response.cookies
  }

  get remoteAddress() {
    return this[shownKey].response.remoteAddress
  }

  get stream() {
    return Stream.mapError(this[shownKey].response.stream, (error) => cleaned(this, error))
  }

  get text() {
    return reading(this, this[shownKey].response.text)
  }

  get json() {
    return reading(this, this[shownKey].response.json)
  }

  get arrayBuffer() {
    return reading(this, this[shownKey].response.arrayBuffer)
  }

  get urlParamsBody() {
    return reading(this, this[shownKey].response.urlParamsBody)
  }

  get formData() {
    return reading(this, this[shownKey].response.formData)
  }

  toJSON() {
    return this[shownKey].shownResponse()
  }

  toString() {
    return format(this.toJSON())
  }

  [NodeInspectSymbol]() {
    return this.toJSON()
  }
}

const reading = <A>(
  response: Discreet,
  body: Effect.Effect<A, HttpClientError.ResponseError>
): Effect.Effect<A, HttpClientError.ResponseError> =>
  Effect.mapError(body, (error) => cleaned(response, error))

const cleaned = (
  response: Discreet,
  { cause, description, reason }: HttpClientError.ResponseError
): HttpClientError.ResponseError => {
  const scrub = response[shownKey].scrub()
  return new HttpClientError.ResponseError({
    request: response.request,
    response,
    reason,
    ...(description === undefined ? {} : { description: scrub(description) }),
    ...(cause === undefined ? {} : { cause: causeOf(cause, scrub) })
  })
}

/**
 * The response, which shows no credential, no key and no query when it is printed, inside of a
 * fiber and outside, and neither do its request and the errors of reading it. Both still have
 * everything.
 */
export const discreet = (
  response: Response,
  names: Redaction.Names,
  secrets: ReadonlyArray<string>
): Response => new Discreet(new Shown(response, names, secrets))
