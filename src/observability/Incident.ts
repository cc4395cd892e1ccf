/**
 * From failures to somebody who looks: alert routes as data, and a detector that raises an incident
 * once.
 *
 * Integration documents say what to look at when failures repeat ("repeated 401: check key
 * rotation"). A single failure tells nobody, and an alert for each of ten thousand tells nobody
 * either. A detector watches the calls of an integration and emits one value for each incident,
 * with the route that the document names.
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
 * When failures are an incident, and where to look then.
 *
 * **Details**
 *
 * - `name`: of the incident, such as `unauthorized`.
 * - `tags`: the `_tag`s of the errors that count. Errors of any kind can be named, not only
 *   `ApiError`s.
 * - `statuses`: counts only errors with one of these statuses, where given.
 * - `route`: what to check, in words.
 * - `count`: how many failures at least. Default 5.
 * - `within`: how far back they count. Default 5 min.
 * - `share`: which share of the calls of that time they must be at least, from 0 to 1. Default 0.5.
 * - `growth`: how many times as many as in the time before; for trends. Default 0: no trend is
 *   asked for.
 * - `quiet`: how long there must be none until the next incident of this name. Default 15 min.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule {
  readonly name: string
  readonly tags: ReadonlyArray<string>
  readonly statuses?: ReadonlyArray<number> | undefined
  readonly route: string
  readonly count?: number | undefined
  readonly within?: Duration.DurationInput | undefined
  readonly share?: number | undefined
  readonly growth?: number | undefined
  readonly quiet?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  count: 5,
  within: Duration.minutes(5),
  share: 0.5,
  growth: 0,
  quiet: Duration.minutes(15)
} as const

/**
 * One incident.
 *
 * **Details**
 *
 * `failures` of `calls` are those of the rule's window when it was raised. `at` is wall-clock epoch
 * milliseconds. `endpoint` and `requestId` are those of the failure that raised it, where known:
 * something to begin with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Incident {
  readonly name: string
  readonly integration: string
  readonly route: string
  readonly failures: number
  readonly calls: number
  readonly at: number
  readonly endpoint?: string | undefined
  readonly requestId?: string | undefined
}

/**
 * The routes of the integration documents: credentials and access at once, rate limits as a trend,
 * outages and polling time-outs by their share.
 *
 * @since 0.1.0
 * @category rules
 */
export const standardRules: ReadonlyArray<Rule> = [
  {
    name: "unauthorized",
    tags: ["Auth"],
    route: "check key rotation, deployment configuration, revoked keys"
  },
  {
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
 * The same rules with other words or other numbers, by name.
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
 * Watches calls and emits incidents. Safe for any number of concurrent callers.
 *
 * **Details**
 *
 * - `observe` takes down how one call of an integration ended. Interruption is not taken down.
 * - `incidents` are those raised from when it is listened to; without listeners they are counted
 *   and forgotten.
 *
 * @since 0.1.0
 * @category models
 */
export interface Detector {
  readonly observe: (
    integration: string,
    exit: Exit.Exit<unknown, unknown>
  ) => Effect.Effect<ReadonlyArray<Incident>>
  readonly incidents: Stream.Stream<Incident>
}

interface Checked {
  readonly rule: Rule
  readonly core: Core.Rule
}

const checked = (rule: Rule): Checked => ({
  rule,
  core: {
    windowMillis: Duration.toMillis(
      Validate.finiteDuration(
        `${rule.name}.within`,
        Validate.positiveDuration(`${rule.name}.within`, rule.within ?? defaults.within)
      )
    ),
    count: Validate.integer(`${rule.name}.count`, rule.count ?? defaults.count, 1),
    share: Validate.number(`${rule.name}.share`, rule.share ?? defaults.share, 0, 1),
    growth: Validate.number(`${rule.name}.growth`, rule.growth ?? defaults.growth, 0),
    quietMillis: Duration.toMillis(
      Validate.duration(`${rule.name}.quiet`, rule.quiet ?? defaults.quiet)
    )
  }
})

/** What is looked at of an error, whoever made it. */
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
 * A new detector. Dies with a `RangeError` that names rule, field and value when a rule is
 * nonsense.
 *
 * **Details**
 *
 * Default rules: `standardRules`. Memory is a few numbers for each integration and rule; `observe`
 * is O(rules).
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
 *   return raised.flat().map(({ route }) => route)
 * })
 *
 * await Effect.runPromise(program) // => ["check key rotation, deployment configuration, revoked keys"]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: { readonly rules?: ReadonlyArray<Rule> | undefined } = {}
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
 * Runs an effect and lets a detector see how it ended. Put it inside the retry to see every attempt
 * (rate limits, outages), outside to see what became of the call. Returns the effect unchanged when
 * there is no detector, so that a client can pass on an option of its own.
 *
 * @since 0.1.0
 * @category combinators
 */
export const watch: {
  (
    detector: Detector | undefined,
    integration: string
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
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
