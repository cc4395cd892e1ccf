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
 * - `maxBodyBytes`: the longest body that is accepted. Default 1 MiB; the body is held in memory.
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
 *   shorter one counts as 1 s.
 * - `lease` (default 60 s), `timeToLive` (24 h), `onDuplicate`, `onStoreFailure`, `storeTimeout` (2
 *   s), `heartbeat`, `maxOutcomeBytes` (256 KiB, of the record): as for `Idempotency.run`. Set the
 *   lease longer than the slowest handler, or extend it with a heartbeat.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E2 = never, R2 = never> extends Settings.Options {
  readonly scope: (
    request: HttpServerRequest.HttpServerRequest
  ) => ReadonlyArray<string> | Effect.Effect<ReadonlyArray<string>, E2, R2>
  readonly required?: boolean | undefined
  readonly methods?: ReadonlyArray<string> | undefined
  readonly storeStatuses?: ReadonlyArray<number> | undefined
  readonly on5xx?: "hold" | "release" | undefined
  readonly maxBodyBytes?: number | undefined
  readonly fingerprint?: ((request: HttpServerRequest.HttpServerRequest) => string) | undefined
  readonly recover?: "refuse" | "run" | undefined
  readonly header?: string | undefined
  readonly replayedHeader?: string | undefined
  readonly replayedHeaders?: ReadonlyArray<string> | undefined
  readonly retryAfter?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  ...Settings.defaults,
  required: false,
  methods: ["POST", "PATCH"],
  storeStatuses: [],
  on5xx: "hold",
  maxBodyBytes: 1_048_576,
  recover: "refuse",
  header: "Idempotency-Key",
  replayedHeader: "Idempotent-Replayed",
  replayedHeaders: RecordedResponse.keptHeaders,
  retryAfter: Duration.seconds(1)
} as const

const headerName = (field: string, name: string): string =>
  Validate.text(field, name, "a header name", (name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name))
    .toLowerCase()

/** Fills in the defaults. Throws a `RangeError` with field and value for invalid options. */
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
