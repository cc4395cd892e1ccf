/** The options of a stream: types, defaults and checks. */
import * as Duration from "effect/Duration"
import * as Validate from "../../runtime/validate.js"

/**
 * The options that streams of events and of lines share.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions {
  /**
   * The template that requests and errors are filed under. Default: the path with its ids replaced.
   */
  readonly endpoint?: string | undefined
  /**
   * How long the connection may be silent while the consumer waits. Every byte counts. Default 1
   * min.
   */
  readonly idleTimeout?: Duration.DurationInput | undefined
  /**
   * How long the stream may take from its start, the work of the consumer included. Default: no
   * limit.
   */
  readonly totalTimeout?: Duration.DurationInput | undefined
  /** The media types that a success may have, without parameters. */
  readonly contentTypes?: ReadonlyArray<string> | undefined
  /**
   * What the pipeline waits for: the `first` event or line (default), or the `head` of the answer.
   */
  readonly start?: "first" | "head" | undefined
  /** How large one event or line may be, in bytes. Default 1 MiB. */
  readonly maxBytes?: number | undefined
}

/**
 * An event as it was sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  /** The last event id, possibly of an earlier event. Absent when the server has sent none. */
  readonly id?: string
  /** The type of the event. Default `message`. */
  readonly event: string
  /** The data of the event, its lines joined by line breaks. */
  readonly data: string
  /** The reconnection time that came with the event, in milliseconds. */
  readonly retry?: number
}

/**
 * The options of a stream of events.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventsOptions extends StreamOptions {
  /**
   * Says whether an event is the last one; it is still emitted. Default: the stream ends with the
   * body.
   */
  readonly until?: ((event: Event) => boolean) | undefined
  /**
   * Connects again after a break. Default: true for `read` and `idempotent`, false for `keyed` and
   * `once`.
   */
  readonly resume?: boolean | undefined
  /** How many resumptions in a row may bring no new event. Default 3. */
  readonly maxResumptions?: number | undefined
  /**
   * The wait before the first resumption, unless the server asks for another. Doubles with each
   * further one in a row. Default 3 s.
   */
  readonly retryWait?: Duration.DurationInput | undefined
  /** The longest wait before a resumption, also where the server asks for it. Default 30 s. */
  readonly maxRetryWait?: Duration.DurationInput | undefined
}

/**
 * The defaults of `events` and `jsonLines`.
 *
 * @since 0.1.0
 * @category defaults
 */
export const streamDefaults = {
  /** Default of the option `idleTimeout`. */
  idleTimeout: Duration.minutes(1),
  /** Default of the option `start`. */
  start: "first",
  /** Default of the option `maxBytes`. */
  maxBytes: 1_048_576,
  /** Default of the option `maxResumptions`. */
  maxResumptions: 3,
  /** Default of the option `retryWait`. */
  retryWait: Duration.seconds(3),
  /** Default of the option `maxRetryWait`. */
  maxRetryWait: Duration.seconds(30),
  /** Default of the option `contentTypes` for `events`. */
  eventTypes: ["text/event-stream"],
  /** Default of the option `contentTypes` for `jsonLines`. */
  lineTypes: [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
    "application/json-lines",
    "application/json"
  ]
} as const

/** Options that have been checked, times in milliseconds. */
export interface Settings {
  readonly endpoint: string | undefined
  readonly idleMillis: number
  readonly totalMillis: number
  readonly contentTypes: ReadonlyArray<string>
  readonly startsWithHead: boolean
  readonly maxBytes: number
}

/** When a stream that broke off is asked for again. */
export interface ResumptionSettings {
  readonly resume: boolean | undefined
  readonly maxResumptions: number
  readonly retryWaitMillis: number
  readonly maxRetryWaitMillis: number
}

/** Invalid options throw `RangeError`. */
export const settingsOf = (
  options: StreamOptions,
  contentTypes: ReadonlyArray<string>
): Settings => ({
  endpoint: options.endpoint,
  idleMillis: Duration.toMillis(
    Validate.positiveDuration("idleTimeout", options.idleTimeout ?? streamDefaults.idleTimeout)
  ),
  totalMillis: options.totalTimeout === undefined
    ? Infinity
    : Duration.toMillis(Validate.positiveDuration("totalTimeout", options.totalTimeout)),
  contentTypes: (options.contentTypes ?? contentTypes).map((type) => type.toLowerCase()),
  startsWithHead: Validate.oneOf("start", options.start ?? streamDefaults.start, [
    "first",
    "head"
  ]) === "head",
  maxBytes: Validate.integer("maxBytes", options.maxBytes ?? streamDefaults.maxBytes, 1)
})

/** Invalid options throw `RangeError`. */
export const resumptionOf = (options: EventsOptions): ResumptionSettings => ({
  resume: options.resume,
  maxResumptions: Validate.integer(
    "maxResumptions",
    options.maxResumptions ?? streamDefaults.maxResumptions,
    0
  ),
  retryWaitMillis: Duration.toMillis(
    Validate.finiteDuration("retryWait", options.retryWait ?? streamDefaults.retryWait)
  ),
  maxRetryWaitMillis: Duration.toMillis(
    Validate.finiteDuration("maxRetryWait", options.maxRetryWait ?? streamDefaults.maxRetryWait)
  )
})
