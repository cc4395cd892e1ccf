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
 * | `clients.operation` | `read`, `idempotent`, `keyed` or `once` (default the policy's) |
 * | `clients.keys` | how many keys guards count by (`count`), and how unevenly (`skew`) |
 * | `clients.arrivals` | `Poisson`, `Constant`, `Closed` or `Trace` |
 * | `clients.changes` | times in which calls come `times` as often |
 * | `services[].network` | the delay of a request and of an answer, each way (default none) |
 * | `services[].service` | how long the upstream works on a request |
 * | `services[].capacity` | `Unlimited` (default), `Workers` or `LoadDependent` |
 * | `services[].noticesAbandonment` | whether work stops when its caller has left (default false) |
 * | `services[].deduplicatesKeys` | whether one idempotency key is executed once (default false) |
 * | `services[].rateLimit` | what the upstream answers 429 to |
 * | `services[].faults` | `Outage`, `Errors`, `Burst` and `BrownOut` |
 * | `services[].calls` | calls to other services for each request, each under a policy of its own |
 *
 * Clients call the first service. A service that calls others does its own work first, and holds
 * its worker until they have answered; it answers 502 when one of its calls fails. Its calls go on
 * when its own caller has left.
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
import * as EveryIssue from "../pipeline/everyIssue.js"
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

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A value in a message, in JSON where that has a word for it. */
const written = (value: unknown): string => JSON.stringify(value) ?? String(value)

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

const decodeAll = EveryIssue.decode(schema)

/**
 * Reads a scenario. Fails with all mistakes at once: `InvalidScenario` has the path and the value
 * of the first, and a line for each.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (input: unknown): Effect.Effect<Scenario, InvalidScenario> =>
  isFields(input)
    ? Effect.mapError(decodeAll(input), (issue) => refused(input, findingsOf(issue)))
    : refused(input, [{ path: "", message: `should be a scenario, got ${written(input)}` }])

/** A field that is a list, with other entries. Anything else stays as it is. */
const each = (value: unknown, field: string, change: (entry: unknown) => unknown): unknown => {
  const list = isFields(value) ? value[field] : undefined
  return isFields(value) && Array.isArray(list) ? { ...value, [field]: list.map(change) } : value
}

/** Changes the policies of all calls in a scenario as it is written. */
const mapPolicies = (input: unknown, change: (policy: unknown) => unknown): unknown =>
  each(
    input,
    "services",
    (service) =>
      each(service, "calls", (call) =>
        isFields(call) && "policy" in call ? { ...call, policy: change(call["policy"]) } : call)
  )

/**
 * Puts policies in the place of their names: `services[].calls[].policy` may be a text, such as the
 * name of a file. `read` is asked for each name once. `decode` accepts policies alone.
 *
 * **Example** (Policies in files beside the scenario)
 *
 * ```ts
 * import * as Scenario from "effect-resilience/Scenario"
 * import { Effect } from "effect"
 *
 * const written = { services: [{ calls: [{ service: "payments", policy: "payments.json" }] }] }
 *
 * const read = (name: string) => Effect.succeed({ retry: { retries: name.length } })
 *
 * const whole = Effect.runSync(Scenario.withPolicies(written, read))
 * JSON.stringify(whole).includes(`"policy":{"retry":{"retries":13}}`) // => true
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const withPolicies = <E, R>(
  input: unknown,
  read: (name: string) => Effect.Effect<unknown, E, R>
): Effect.Effect<unknown, E, R> =>
  Effect.suspend(() => {
    const names = new Set<string>()
    mapPolicies(input, (policy) => {
      if (typeof policy === "string") names.add(policy)
    })
    return Effect.map(
      Effect.forEach(names, (name) => Effect.map(read(name), (policy) => [name, policy] as const)),
      (found) => {
        const policies = new Map(found)
        return mapPolicies(input, (policy) =>
          typeof policy === "string" ? policies.get(policy) : policy)
      }
    )
  })

/**
 * The JSON Schema of the written form, for editors. Draft 7.
 *
 * @since 0.1.0
 * @category schemas
 */
export const jsonSchema = (): JSONSchema.JsonSchema7Root => JSONSchema.make(Written.Written)
