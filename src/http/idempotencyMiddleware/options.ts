/**
 * The options of the middleware: types, defaults and checks.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Settings from "../../idempotency/settings.js"
import * as Validate from "../../runtime/validate.js"
import * as RecordedResponse from "./recordedResponse.js"

/**
 * How the middleware recognises requests, and which responses it records.
 *
 * **Details**
 *
 * - `scope` (required): the owner of the key and the operation, such as the tenant and the route.
 *   Read from the request, whose body is readable; a list, or an effect that may fail. Two tenants
 *   may use the same key, so the scope has to contain the tenant.
 * - `required`: refuses a request without a key. Default `false`: such a request runs unprotected.
 * - `methods`: the methods that are protected. Default POST and PATCH. Other requests pass
 *   unchanged.
 * - `storeStatuses`: statuses besides 2xx and 3xx whose responses are recorded and replayed.
 *   Default: none.
 * - `on5xx`: the claim after a defect or a 5xx other than 503. `hold` (default) keeps it, because
 *   the handler may have taken effect: no request runs until the lease lapses, and then `recover`
 *   applies. `release` lets the next request run.
 * - `maxBodyBytes`: the longest body that is accepted. Default 1 MiB; the body is held in memory. A
 *   compressed body whose content is longer is accepted, and compared by its bytes.
 * - `fingerprint`: a text that stands for a body too long to be read here, such as its
 *   `content-digest`. The body then goes to the handler unread, at any length. Default: the body
 *   itself is fingerprinted.
 * - `recover`: what happens when an earlier run started and did not end. `refuse` (default) is a
 *   409 `unknown-outcome`. `run` runs the handler again, which has to read `Recovery`.
 * - `header`: the header of the key. Default `Idempotency-Key`. `replayedHeader`: the header that
 *   marks a replay. Default `Idempotent-Replayed`.
 * - `replayedHeaders`: names of the response headers that a replay repeats. Default
 *   `defaults.replayedHeaders`. A replay never repeats cookies.
 * - `retryAfter`: the longest `Retry-After` for a duplicate of a running request. Default 1 s; a
 *   shorter one counts as 1 s. A duplicate of a request that this process has seen end with an
 *   unknown outcome is told all that is left of the lease.
 * - `lease` (default 60 s), `timeToLive` (24 h), `onDuplicate`, `onStoreFailure`, `storeTimeout` (2
 *   s), `heartbeat`, `maxOutcomeBytes` (256 KiB, of the record): as for `Idempotency.run`. Set the
 *   lease longer than the slowest handler, or extend it with a heartbeat.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E2 = never, R2 = never> extends Settings.Options {
  /**
   * The owner of the key and the operation, such as tenant and route, read from the request
   * (required).
   */
  readonly scope: (
    request: HttpServerRequest.HttpServerRequest
  ) => ReadonlyArray<string> | Effect.Effect<ReadonlyArray<string>, E2, R2>
  /** Refuses a request without a key with 400. Default `false`: it runs unprotected. */
  readonly required?: boolean | undefined
  /** The methods that are protected. Default POST and PATCH. */
  readonly methods?: ReadonlyArray<string> | undefined
  /** Statuses besides 2xx and 3xx whose responses are recorded and replayed. Default: none. */
  readonly storeStatuses?: ReadonlyArray<number> | undefined
  /**
   * After a defect or a 5xx other than 503, keeps the claim (`hold`, the default) or gives it up
   * (`release`).
   */
  readonly on5xx?: "hold" | "release" | undefined
  /**
   * The longest request body, in bytes; it is held in memory. Default 1 MiB. Longer ones get 413.
   */
  readonly maxBodyBytes?: number | undefined
  /**
   * A text that stands for a body too long to read here, such as its `content-digest`. Default: the
   * body.
   */
  readonly fingerprint?: ((request: HttpServerRequest.HttpServerRequest) => string) | undefined
  /**
   * After a run that did not end, answers 409 `unknown-outcome` (`refuse`, the default) or runs the
   * handler again (`run`).
   */
  readonly recover?: "refuse" | "run" | undefined
  /** The header of the key. Default `Idempotency-Key`. */
  readonly header?: string | undefined
  /** The header that marks a replay. Default `Idempotent-Replayed`. */
  readonly replayedHeader?: string | undefined
  /**
   * The response headers that a replay repeats, never cookies. Default `defaults.replayedHeaders`.
   */
  readonly replayedHeaders?: ReadonlyArray<string> | undefined
  /**
   * The longest `Retry-After` for a duplicate of a running request. Default 1 s, which is also the
   * least.
   */
  readonly retryAfter?: Duration.DurationInput | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  ...Settings.defaults,
  /** Default of the option `required`. */
  required: false,
  /** Default of the option `methods`. */
  methods: ["POST", "PATCH"],
  /** Default of the option `storeStatuses`. */
  storeStatuses: [],
  /** Default of the option `on5xx`. */
  on5xx: "hold",
  /** Default of the option `maxBodyBytes`. */
  maxBodyBytes: 1_048_576,
  /** Default of the option `recover`. */
  recover: "refuse",
  /** Default of the option `header`. */
  header: "Idempotency-Key",
  /** Default of the option `replayedHeader`. */
  replayedHeader: "Idempotent-Replayed",
  /** Default of the option `replayedHeaders`. */
  replayedHeaders: RecordedResponse.keptHeaders,
  /** Default of the option `retryAfter`. */
  retryAfter: Duration.seconds(1)
} as const

const headerName = (field: string, name: string): string =>
  Validate.text(field, name, "a header name", (name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name))
    .toLowerCase()

/** Fills in the defaults. Invalid options throw `RangeError`, which names field and value. */
export const configOf = (options: Options<unknown, unknown>) => ({
  settings: Settings.settingsOf(options),
  required: options.required ?? defaults.required,
  methods: new Set((options.methods ?? defaults.methods).map((method) => method.toUpperCase())),
  storeStatuses: new Set<number>(
    (options.storeStatuses ?? defaults.storeStatuses).map((status) =>
      Validate.integer("storeStatuses", status, 100)
    )
  ),
  on5xx: Settings.oneOf("on5xx", options.on5xx ?? defaults.on5xx, ["hold", "release"]),
  maxBodyBytes: Validate.integer("maxBodyBytes", options.maxBodyBytes ?? defaults.maxBodyBytes, 0),
  fingerprint: options.fingerprint,
  recover: Settings.oneOf("recover", options.recover ?? defaults.recover, ["refuse", "run"]),
  shownHeader: options.header ?? defaults.header,
  header: headerName("header", options.header ?? defaults.header),
  replayedHeader: headerName("replayedHeader", options.replayedHeader ?? defaults.replayedHeader),
  replayedHeaders: (options.replayedHeaders ?? defaults.replayedHeaders).map((name) =>
    name.toLowerCase()
  ),
  retryAfter: Validate.duration("retryAfter", options.retryAfter ?? defaults.retryAfter)
})

/** Checked options, with header names in lower case and methods in upper case. */
export type Config = ReturnType<typeof configOf>
