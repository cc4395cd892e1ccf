/**
 * Scenarios: who calls how often, what the network does, what the upstream can do, and how it
 * fails. A simulation runs a policy under one.
 *
 * A scenario is written in JSON, or in YAML that a program has parsed. Durations are written as in
 * code: `"500 millis"`, or a number of milliseconds.
 *
 * | field | meaning |
 * | --- | --- |
 * | `duration` | how long calls come in, at most 100 days |
 * | `warmUp` | calls of this first part count in no total (default 0) |
 * | `clients.processes` | each has guards of its own (default 1) |
 * | `clients.arrivals` | `Poisson`, `Constant`, `Closed` or `Trace` |
 * | `clients.changes` | times in which calls come `times` as often |
 * | `services[].network` | the delay of a request and of an answer, each way |
 * | `services[].service` | how long the upstream works on a request |
 * | `services[].capacity` | `Unlimited` (default), `Workers` or `LoadDependent` |
 * | `services[].noticesAbandonment` | whether work stops when its caller has left (default false) |
 * | `services[].deduplicatesKeys` | whether one idempotency key is executed once (default false) |
 * | `services[].rateLimit` | what the upstream answers 429 to |
 * | `services[].faults` | `Outage`, `Errors`, `Burst` and `BrownOut` |
 *
 * A distribution of time is `Constant`, `Uniform`, `Exponential`, `LogNormal`, `Pareto`, `Weibull`,
 * `Hyper` or `Empirical`.
 *
 * **Example** (An outage)
 *
 * ```ts
 * import * as Scenario from "effect-resilience/Scenario"
 * import { Duration, Effect } from "effect"
 *
 * const outage = Scenario.decode({
 *   duration: "3 minutes",
 *   clients: { arrivals: { _tag: "Poisson", perSecond: 400 } },
 *   services: [{
 *     network: { _tag: "Exponential", mean: "5 millis" },
 *     service: { _tag: "LogNormal", p50: "40 millis", p99: "300 millis" },
 *     capacity: { _tag: "Workers", workers: 50, queue: 200 },
 *     faults: [{ _tag: "Outage", from: "60 seconds", to: "90 seconds", as: "refused" }]
 *   }]
 * })
 *
 * Duration.format(Effect.runSync(outage).duration) // => "3m"
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as JSONSchema from "effect/JSONSchema"
import * as Schema from "effect/Schema"
import { type Finding, findingsOf } from "../pipeline/findings.js"
import { check } from "./scenario/check.js"
import * as Written from "./scenario/schema.js"

/**
 * A scenario that cannot be simulated.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidScenario extends Schema.TaggedError<InvalidScenario>()("InvalidScenario", {
  /** The path of the first value that is refused, such as `services.0.service.p99`. */
  path: Schema.String,
  /** The value at that path. */
  value: Schema.Unknown,
  /** All mistakes, each with its path and what the value should be. */
  findings: Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))
}) {
  /** One line for each mistake. */
  override get message(): string {
    return this.findings.map(({ message, path }) => path === "" ? message : `${path}: ${message}`)
      .join("\n")
  }
}

/**
 * A scenario that has been read, with every default filled in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Scenario extends Written.Scenario {}

/**
 * A scenario as it is written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Encoded extends Written.Encoded {}

const valueAt = (given: unknown, path: string): unknown =>
  path === "" ? given : path.split(".").reduce<unknown>(
    (value, field) =>
      typeof value === "object" && value !== null
        ? (value as Readonly<Record<string, unknown>>)[field]
        : undefined,
    given
  )

const refused = (given: unknown, findings: ReadonlyArray<Finding>): InvalidScenario => {
  const path = findings[0]?.path ?? ""
  return new InvalidScenario({ path, value: valueAt(given, path), findings })
}

/**
 * The schema of the written form. It also finds what the fields contradict, such as a fault that
 * ends before it begins.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema: Schema.Schema<Scenario, Encoded> = Written.Written.pipe(
  Schema.filter((scenario) =>
    check(scenario).map(({ message, path }) => ({ path: path.split("."), message }))
  )
)

const decodeUnknown = Schema.decodeUnknown(schema, { errors: "all" })

/**
 * Reads a scenario. Fails with all mistakes at once: `InvalidScenario` has the path and the value
 * of the first, and a line for each.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (input: unknown): Effect.Effect<Scenario, InvalidScenario> =>
  Effect.mapError(decodeUnknown(input), ({ issue }) => refused(input, findingsOf(issue)))

/**
 * The JSON Schema of the written form, for editors. Draft 7.
 *
 * @since 0.1.0
 * @category schemas
 */
export const jsonSchema = (): JSONSchema.JsonSchema7Root => JSONSchema.make(Written.Written)
