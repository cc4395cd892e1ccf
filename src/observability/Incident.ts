/**
 * Raises one incident when failures of a kind pile up, with the alert route as data.
 *
 * Integration documents say what to look at when failures repeat ("repeated 401: check key
 * rotation"). One failure is no signal; ten thousand alerts are noise. A detector watches the calls
 * of an integration and emits one value for each incident, with the route that the document names.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as Core from "../core/incident.js"
import { nowMillis } from "../runtime/clock.js"
import * as Validate from "../runtime/validate.js"

/**
 * Says when failures are an incident, and what to check then.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule {
  /** The name of the incident, such as `unauthorized` (required). */
  readonly name: string
  /** The `_tag`s of the errors that count (required). Errors of any kind can be named. */
  readonly tags: ReadonlyArray<string>
  /** Counts only errors with one of these statuses. Default: all statuses. */
  readonly statuses?: ReadonlyArray<number> | undefined
  /** What to check, in words (required). */
  readonly route: string
  /** The least number of failures. Default 5. */
  readonly count?: number | undefined
  /** How long a failure counts. Default 5 min. */
  readonly within?: Duration.DurationInput | undefined
  /** The least share of calls that failed, from 0 to 1. Default 0.5. */
  readonly share?: number | undefined
  /**
   * How many times the usual number of failures there must be. Default 0: no growth is required.
   */
  readonly growth?: number | undefined
  /**
   * How long before `within` the usual number is measured: from `within` to a hundred times as
   * long. Default: the time of `within` before.
   */
  readonly baseline?: Duration.DurationInput | undefined
  /**
   * How long failures must be absent, or no more than usual with a `baseline`, before the next
   * incident. Default 15 min.
   */
  readonly quiet?: Duration.DurationInput | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `count`. */
  count: 5,
  /** Default of the option `within`. */
  within: Duration.minutes(5),
  /** Default of the option `share`. */
  share: 0.5,
  /** Default of the option `growth`. */
  growth: 0,
  /** Default of the option `quiet`. */
  quiet: Duration.minutes(15)
} as const

/**
 * One incident.
 *
 * **Details**
 *
 * `failures` and `calls` are those of the rule's window when the incident was raised. `endpoint`
 * and `requestId` are those of the failure that raised it, where known.
 *
 * @since 0.1.0
 * @category models
 */
export interface Incident {
  /** The name of the rule. */
  readonly name: string
  /** The name of the API. */
  readonly integration: string
  /** What to check, in words. */
  readonly route: string
  /** How many calls failed in the window of the rule. */
  readonly failures: number
  /** How many calls the window holds. */
  readonly calls: number
  /** When the incident was raised, in wall-clock epoch milliseconds. */
  readonly at: number
  /** The endpoint of the failure that raised it, where known. */
  readonly endpoint?: string | undefined
  /** The request id of the failure that raised it, where known. */
  readonly requestId?: string | undefined
}

/**
 * The numbers of a spike of refused credentials: at least 5 in 5 min, and three times as many as
 * usual in the hour before, however many other calls there are. One refused key of many is a small
 * share of all calls, and a sign that credentials drift.
 *
 * **Example** (Sooner, in a rule of one's own)
 *
 * ```ts
 * import { Incident } from "effect-resilience"
 *
 * const rule: Incident.Rule = {
 *   ...Incident.credentialSpike,
 *   name: "unauthorized",
 *   tags: ["Auth"],
 *   route: "ask the owner of the key",
 *   within: "1 minute",
 *   baseline: "10 minutes"
 * }
 * rule.share // => 0
 * ```
 *
 * @since 0.1.0
 * @category rules
 */
export const credentialSpike = {
  /** At least 5 failures. */
  count: 5,
  /** In 5 min. */
  within: "5 minutes",
  /** Whatever their share of all calls. */
  share: 0,
  /** Three times as many as usual. */
  growth: 3,
  /** Compared with the hour before. */
  baseline: "1 hour"
} as const satisfies Partial<Rule>

/**
 * The rules of integration documents: refused credentials and refused access when they grow, rate
 * limits as a trend, outages and polling time-outs by their share.
 *
 * @since 0.1.0
 * @category rules
 */
export const standardRules: ReadonlyArray<Rule> = [
  {
    ...credentialSpike,
    name: "unauthorized",
    tags: ["Auth"],
    route: "check key rotation, deployment configuration, revoked keys"
  },
  {
    ...credentialSpike,
    name: "forbidden",
    tags: ["Policy"],
    route: "check plan level, tenant access, site access, enabled capability"
  },
  {
    name: "not-found",
    tags: ["NotFound"],
    route: "check configured tenant_id, site_id, request_id or document id",
    count: 20
  },
  {
    name: "rate-limited",
    tags: ["RateLimit"],
    route: "reduce concurrency, add backoff, inspect traffic spikes",
    count: 10,
    share: 0.05,
    growth: 2
  },
  {
    name: "server-errors",
    tags: ["Server"],
    route: "keep bounded retries, monitor recovery, pause non-critical bulk jobs if needed",
    count: 10,
    share: 0.2
  },
  {
    name: "unreachable",
    tags: ["Network", "Timeout"],
    route: "check the network path, the provider's status page and the timeout settings",
    count: 10,
    share: 0.2
  },
  {
    name: "polling-timeouts",
    tags: ["PollingTimeout"],
    route: "check async job volume, user timeout budget, worker concurrency",
    share: 0.2
  }
]

/**
 * Changes words or numbers of rules, by name.
 *
 * @since 0.1.0
 * @category rules
 */
export const override = (
  rules: ReadonlyArray<Rule>,
  changes: Readonly<Record<string, Partial<Omit<Rule, "name">>>>
): ReadonlyArray<Rule> =>
  rules.map((rule) => Object.hasOwn(changes, rule.name) ? { ...rule, ...changes[rule.name] } : rule)

/**
 * Watches calls and emits incidents. Safe for concurrent callers.
 *
 * **Details**
 *
 * - `observe` records how one call of an integration ended. Interruption does not count.
 * - `incidents` starts at the moment of subscription; without subscribers incidents are dropped.
 *
 * @since 0.1.0
 * @category models
 */
export interface Detector {
  /**
   * Records how one call of an integration ended, and answers the incidents it raised. Interruption
   * does not count.
   */
  readonly observe: (
    integration: string,
    exit: Exit.Exit<unknown, unknown>
  ) => Effect.Effect<ReadonlyArray<Incident>>
  /** Streams the incidents raised from the moment of subscription. */
  readonly incidents: Stream.Stream<Incident>
}

interface Checked {
  readonly rule: Rule
  readonly core: Core.Rule
}

const millisOf = (field: string, value: Duration.DurationInput): number =>
  Duration.toMillis(
    Validate.finiteDuration(field, Validate.positiveDuration(field, value))
  )

/** How many times as long as a rule's window its baseline may be: it is kept in as many parts. */
const maxBaseline = 100

const baselineOf = ({ baseline, name }: Rule, windowMillis: number): number | undefined => {
  if (baseline === undefined) return undefined
  const millis = millisOf(`${name}.baseline`, baseline)
  Validate.number(
    `${name}.baseline in times of ${name}.within`,
    millis / windowMillis,
    1,
    maxBaseline
  )
  return millis
}

const checked = (rule: Rule): Checked => {
  const windowMillis = millisOf(`${rule.name}.within`, rule.within ?? defaults.within)
  return {
    rule,
    core: {
      windowMillis,
      count: Validate.integer(`${rule.name}.count`, rule.count ?? defaults.count, 1),
      share: Validate.number(`${rule.name}.share`, rule.share ?? defaults.share, 0, 1),
      growth: Validate.number(`${rule.name}.growth`, rule.growth ?? defaults.growth, 0),
      baselineMillis: baselineOf(rule, windowMillis),
      quietMillis: Duration.toMillis(
        Validate.duration(`${rule.name}.quiet`, rule.quiet ?? defaults.quiet)
      )
    }
  }
}

/** What a rule reads from an error of any class. */
interface Failure {
  readonly tag: string
  readonly status: number | undefined
  readonly endpoint: string | undefined
  readonly requestId: string | undefined
}

const textOf = (error: object, name: string): string | undefined =>
  hasProperty(error, name) && typeof error[name] === "string" ? error[name] : undefined

const failureOf = (exit: Exit.Exit<unknown, unknown>): Failure | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (typeof error !== "object" || error === null) return undefined
  const tag = textOf(error, "_tag")
  return tag === undefined ? undefined : {
    tag,
    status: hasProperty(error, "status") && typeof error.status === "number"
      ? error.status
      : undefined,
    endpoint: textOf(error, "endpoint"),
    requestId: textOf(error, "requestId")
  }
}

const matches = ({ statuses, tags }: Rule, failure: Failure): boolean =>
  tags.includes(failure.tag) &&
  (statuses === undefined || (failure.status !== undefined && statuses.includes(failure.status)))

/**
 * Makes a detector. Invalid rules die with `RangeError`, which names rule, field and value.
 *
 * **Details**
 *
 * Default rules: `standardRules`. Memory is a few numbers for each integration and rule, ten for
 * each length of `within` where a rule has a `baseline`; `observe` is O(rules), for a failure times
 * that length.
 *
 * **Example** (Twenty refused credentials are one incident)
 *
 * ```ts
 * import { ApiError, Incident } from "effect-resilience"
 * import { Effect, Exit } from "effect"
 *
 * const refused = Exit.fail(new ApiError.Auth({ message: "invalid key", status: 401 }))
 *
 * const program = Effect.gen(function*() {
 *   const detector = yield* Incident.make()
 *   const raised = yield* Effect.forEach(Array(20), () => detector.observe("site-chat", refused))
 *   return raised.flat().map(({ name }) => name)
 * })
 *
 * await Effect.runPromise(program) // => ["unauthorized"]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: {
    /** The rules. Default `standardRules`. */
    readonly rules?: ReadonlyArray<Rule> | undefined
  } = {}
): Effect.Effect<Detector> =>
  Effect.sync(() => {
    const rules = (options.rules ?? standardRules).map(checked)
    const watches = new Map<string, ReadonlyArray<Core.Watch>>()
    const listeners = new Set<(incident: Incident) => void>()

    const watchesOf = (integration: string): ReadonlyArray<Core.Watch> => {
      let found = watches.get(integration)
      if (found === undefined) {
        watches.set(
          integration,
          found = rules.map(({ core }) => Core.make(core))
        )
      }
      return found
    }

    const observe = (
      clock: Clock.Clock,
      integration: string,
      failure: Failure | undefined
    ): Array<Incident> => {
      const now = nowMillis(clock)
      const raised: Array<Incident> = []
      watchesOf(integration).forEach((watch, index) => {
        // As many watches as rules.
        const { core, rule } = rules[index] as Checked
        const numbers = Core.record(
          core,
          watch,
          failure !== undefined && matches(rule, failure),
          now
        )
        if (numbers === undefined) return
        raised.push({
          name: rule.name,
          integration,
          route: rule.route,
          ...numbers,
          at: clock.unsafeCurrentTimeMillis(),
          ...(failure?.endpoint === undefined ? {} : { endpoint: failure.endpoint }),
          ...(failure?.requestId === undefined ? {} : { requestId: failure.requestId })
        })
      })
      for (const incident of raised) for (const listener of listeners) listener(incident)
      return raised
    }

    return {
      observe: (integration, exit) =>
        Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)
          ? Effect.succeed([])
          : Effect.clockWith((clock) =>
            Effect.sync(() => observe(clock, integration, failureOf(exit)))
          ),
      incidents: Stream.asyncPush<Incident>((emit) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const listener = (incident: Incident): void => void emit.single(incident)
            listeners.add(listener)
            return listener
          }),
          (listener) => Effect.sync(() => listeners.delete(listener))
        ), { bufferSize: "unbounded" })
    }
  })

/**
 * Runs an effect and reports how it ended to a detector. Put it inside the retry to see every
 * attempt (rate limits, outages), outside to see the result of the call. Returns the effect
 * unchanged without a detector, so that a client can pass on an option of its own.
 *
 * @since 0.1.0
 * @category combinators
 */
export const watch: {
  /** Reports how an effect ended to a detector. Effect last, for `pipe`. */
  (
    detector: Detector | undefined,
    integration: string
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Reports how the effect ended to a detector. Effect first. */
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    detector: Detector | undefined,
    integration: string
  ): Effect.Effect<A, E, R>
} = dual(
  3,
  <A, E, R>(self: Effect.Effect<A, E, R>, detector: Detector | undefined, integration: string) =>
    detector === undefined
      ? self
      : Effect.onExit(self, (exit) => detector.observe(integration, exit))
)

const told = ({ calls, failures, name, route, ...where }: Incident): Effect.Effect<void> => {
  const { endpoint, integration, requestId } = where
  return Effect.annotateLogs(
    Effect.logWarning(
      `Incident ${name} of ${integration}: ${failures} of ${calls} calls failed. ${route}`
    ),
    {
      incident: name,
      integration,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(requestId === undefined ? {} : { requestId })
    }
  )
}

/**
 * Makes the same detector log each incident as a warning, with its route, where the call ends that
 * raised it.
 *
 * **Example** (One line for twenty refusals)
 *
 * ```ts
 * import { ApiError, Incident } from "effect-resilience"
 * import { Effect, Exit, Logger } from "effect"
 *
 * const lines: Array<unknown> = []
 * const logger = Logger.make(({ message }) => void lines.push(message))
 * const refused = Exit.fail(new ApiError.Auth({ message: "invalid key", status: 401 }))
 *
 * const program = Effect.gen(function*() {
 *   const detector = Incident.logged(yield* Incident.make())
 *   yield* Effect.forEach(Array(20), () => detector.observe("site-chat", refused))
 *   return lines.length
 * })
 *
 * const run = program.pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
 * await Effect.runPromise(run) // => 1
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const logged = (detector: Detector): Detector => ({
  ...detector,
  observe: (integration, exit) =>
    Effect.tap(detector.observe(integration, exit), Effect.forEach(told, { discard: true }))
})

/**
 * Reads an option `detector` of a client: a given detector stays, `false` is none, and `undefined`
 * makes one of `rules` that logs each incident. Invalid rules die with `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const from = (
  given: Detector | false | undefined,
  rules?: ReadonlyArray<Rule>
): Effect.Effect<Detector | undefined> => {
  if (given === false) return Effect.succeed(undefined)
  return given === undefined ? Effect.map(make({ rules }), logged) : Effect.succeed(given)
}
