/**
 * Policies by operation: how the clients of APIs with several operations say what each of them is
 * allowed.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import * as Record from "effect/Record"
import type * as Backoff from "../retry/Backoff.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import * as Path from "./path.js"

/**
 * - `retries`: calls after the first.
 * - `backoff`: the waits between them.
 * - `attemptTimeout`: how long each attempt may take, its body included. `totalTimeout`: all of
 *   them, waits included.
 *
 * @since 0.1.0
 * @category models
 */
export interface Policy {
  readonly retries: number
  readonly backoff: Backoff.Backoff
  readonly attemptTimeout: Duration.DurationInput
  readonly totalTimeout: Duration.DurationInput
}

/** What a caller says otherwise. */
interface Changes<Name extends string> {
  readonly policies?: Partial<Readonly<Record<Name, Partial<Policy>>>> | undefined
  readonly paths?: Partial<Readonly<Record<Name, string>>> | undefined
}

/** The rules of all operations, with what the caller says otherwise. `undefined` says nothing. */
export const changed = <Name extends string, Rule extends Policy & { readonly path: string }>(
  operations: Readonly<Record<Name, Rule>>,
  { paths, policies }: Changes<Name>
): Readonly<Record<Name, Rule>> =>
  Record.map(operations, (rule: Rule, name: Name): Rule => ({
    ...rule,
    ...Record.filter({ ...policies?.[name] }, (value) => value !== undefined),
    path: Path.template(`paths.${name}`, paths?.[name] ?? rule.path)
  }))

/** What a policy does not say of a pipeline. */
type Shared = Pick<Pipeline.Stages, "operation" | "telemetry" | "budget"> & {
  readonly circuitBreaker: CircuitBreaker.CircuitBreaker | undefined
}

/** The pipeline of one operation. */
export const pipelineOf = (
  { attemptTimeout, backoff, retries, totalTimeout }: Policy,
  shared: Shared
) => Pipeline.make({ ...shared, totalTimeout, retry: { retries, backoff }, attemptTimeout })

type Breaker = CircuitBreaker.CircuitBreaker | CircuitBreaker.Options

export const isBreaker = (breaker: Breaker): breaker is CircuitBreaker.CircuitBreaker =>
  hasProperty(breaker, "protect")

/** The breaker that is given, or one made of the options that are. */
export const breakerOf = (breaker: Breaker): Effect.Effect<CircuitBreaker.CircuitBreaker> =>
  isBreaker(breaker) ? Effect.succeed(breaker) : CircuitBreaker.make(breaker)
