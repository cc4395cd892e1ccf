/**
 * The refusals of the idempotency middleware as errors of an `HttpApi`: one schema for each status,
 * from the problem document on the wire to the class that `Idempotency.run` fails with.
 */
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import {
  CorruptRecord,
  InFlight,
  Mismatch,
  ResultUnavailable,
  StoreUnavailable,
  UnknownOutcome
} from "../../errors/idempotencyErrors.js"
import { typeOf } from "../idempotencyTypes.js"
import { defaults } from "../ProblemDetails.js"

const because = (detail: string | undefined): string => detail === undefined ? "" : `: ${detail}`

/**
 * 400: the endpoint requires an idempotency key, and the request has none.
 *
 * @since 0.1.0
 * @category errors
 */
export class KeyMissing extends Data.TaggedError("KeyMissing")<{
  /** What the server says about it. */
  readonly detail?: string | undefined
}> {
  /** Says that the key is missing. */
  override get message(): string {
    return `The request had no idempotency key${because(this.detail)}`
  }
}

/**
 * 400: the idempotency key of the request is not valid: empty, too long, or sent twice.
 *
 * @since 0.1.0
 * @category errors
 */
export class KeyInvalid extends Data.TaggedError("KeyInvalid")<{
  /** What the server says about it. */
  readonly detail?: string | undefined
}> {
  /** Says that the key is not valid. */
  override get message(): string {
    return `The idempotency key of the request is not valid${because(this.detail)}`
  }
}

/**
 * 413: the body of the request is longer than `maxBodyBytes`.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooLarge extends Data.TaggedError("TooLarge")<{
  /** What the server says about it. */
  readonly detail?: string | undefined
}> {
  /** Says that the body is too long. */
  override get message(): string {
    return `The body of the request is too long${because(this.detail)}`
  }
}

/** The names of the schemas in an OpenAPI document. */
export const identifiers = {
  key: "IdempotencyKeyRefused",
  conflict: "IdempotencyConflict",
  body: "IdempotencyBodyRefused",
  mismatch: "IdempotencyMismatch",
  store: "IdempotencyUnavailable"
} as const

/** A problem document as far as it is read here. */
export interface Wire {
  readonly type: string
  readonly title?: string | undefined
  readonly status?: number | undefined
  readonly detail?: string | undefined
  readonly retryAfter?: number | undefined
}

type Refusal =
  | KeyMissing
  | KeyInvalid
  | TooLarge
  | InFlight
  | Mismatch
  | ResultUnavailable
  | CorruptRecord
  | StoreUnavailable
  | UnknownOutcome

/** One refusal: its class, its problem type, and how it is read. */
interface Kind<A extends Refusal> {
  readonly Class: new(fields: never) => A
  readonly type: string
  readonly read: (wire: Wire) => A
}

const kind = <A extends Refusal>(
  type: string,
  Class: Kind<A>["Class"],
  read: Kind<A>["read"]
): Kind<A> => ({ Class, type, read })

/** The shortest wait that the middleware asks for. */
const wait = ({ retryAfter = 1 }: Wire) => ({ retryAfter: Duration.seconds(retryAfter) })

const write = <A extends Refusal>(
  kinds: ReadonlyArray<Kind<A>>,
  status: number,
  error: A
): Wire => ({
  type: kinds.find(({ Class }) => error instanceof Class)?.type ?? defaults.type,
  title: error.message,
  status,
  ...("retryAfter" in error
    ? { retryAfter: Math.max(1, Math.ceil(Duration.toSeconds(error.retryAfter))) }
    : {})
})

/**
 * The schema of all refusals with one status. It is one transformation, and no union, because a
 * union of errors loses the media type in an OpenAPI document.
 */
const ofStatus = <A extends Refusal>(
  status: number,
  identifier: string,
  description: string,
  kinds: ReadonlyArray<Kind<A>>
): Schema.Schema<A, Wire> =>
  Schema.transform(
    Schema.Struct({
      type: Schema.Literal(...kinds.map(({ type }) => type)),
      title: Schema.optional(Schema.String),
      status: Schema.optional(Schema.Number),
      detail: Schema.optional(Schema.String),
      retryAfter: Schema.optional(Schema.Number.pipe(Schema.nonNegative()))
    }),
    Schema.declare((u): u is A => kinds.some(({ Class }) => u instanceof Class)),
    {
      strict: true,
      decode: (wire) => kinds.find(({ type }) => type === wire.type)!.read(wire),
      encode: (error) => write(kinds, status, error)
    }
  ).pipe(
    HttpApiSchema.withEncoding({ kind: "Json", contentType: defaults.contentType })
  ).annotations(HttpApiSchema.annotations({ status, identifier, description }))

/** What the three classes of this file keep of a document. */
const detail = ({ detail }: Wire) => detail === undefined ? {} : { detail }

/** 400. */
const KeyRefused = ofStatus<KeyMissing | KeyInvalid>(
  400,
  identifiers.key,
  "The idempotency key is missing, or not valid: nothing was executed",
  [
    kind(typeOf("key-missing"), KeyMissing, (wire) => new KeyMissing(detail(wire))),
    kind(typeOf("key-invalid"), KeyInvalid, (wire) => new KeyInvalid(detail(wire)))
  ]
)

/** 409. */
const Unavailable = ofStatus<InFlight | UnknownOutcome | ResultUnavailable | CorruptRecord>(
  409,
  identifiers.conflict,
  "The first request with this idempotency key still runs, or its outcome is not known",
  [
    kind(typeOf("in-flight"), InFlight, (wire) => new InFlight(wait(wire))),
    kind(typeOf("unknown-outcome"), UnknownOutcome, () => new UnknownOutcome()),
    kind(typeOf("result-unavailable"), ResultUnavailable, () => new ResultUnavailable()),
    kind(typeOf("corrupt-record"), CorruptRecord, () => new CorruptRecord())
  ]
)

/** 413. */
const BodyRefused = ofStatus(
  413,
  identifiers.body,
  "The body of the request is too long: nothing was executed",
  [kind(defaults.type, TooLarge, (wire) => new TooLarge(detail(wire)))]
)

/** 422. */
const Reused = ofStatus(
  422,
  identifiers.mismatch,
  "The idempotency key was used before for another request",
  [kind(typeOf("mismatch"), Mismatch, () => new Mismatch())]
)

/** 503. */
const StoreDown = ofStatus(
  503,
  identifiers.store,
  "The idempotency key could not be looked up: nothing was executed",
  [kind(typeOf("store-unavailable"), StoreUnavailable, (wire) => new StoreUnavailable(wait(wire)))]
)

/**
 * Everything that the middleware answers with instead of the handler, as an error of an `HttpApi`:
 * problem documents (RFC 9457) on the wire, and for the client the classes that `Idempotency.run`
 * fails with, beside `KeyMissing`, `KeyInvalid` and `TooLarge`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Failure = Schema.Union(KeyRefused, Unavailable, BodyRefused, Reused, StoreDown)

/**
 * Any failure of the middleware, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure = typeof Failure.Type
