/**
 * Stages of a configuration that a fleet shares: `"shared": "name"` beside the options of a guard.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as ParseResult from "effect/ParseResult"
import { isRecord } from "effect/Predicate"
import * as Bulkhead from "../policies/Bulkhead.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Cooldown from "../policies/Cooldown.js"
import type { Fleet } from "../policies/fleet.js"
import * as RateLimiter from "../policies/RateLimiter.js"
import type { Contradiction } from "../policies/stage/checks.js"
import type { Stages } from "../policies/stage/definition.js"
import { issueOf } from "../runtime/optionSchema.js"
import { refused } from "./findings.js"

/** A guard that a fleet can share: what more it takes, and how it is made. */
interface Sharing {
  /** Fields beside those of the guard of one process, and whether a value may be one. */
  readonly fields: Readonly<Record<string, (value: unknown) => boolean>>
  /** What stands in the configuration where nothing else does. */
  readonly defaults: Readonly<Record<string, unknown>>
  readonly make: (options: never) => Effect.Effect<unknown, never, Fleet>
}

const isText = (value: unknown): boolean => typeof value === "string"

const isDuration = (value: unknown): boolean => isText(value) || typeof value === "number"

const sharings: Readonly<Record<string, Sharing>> = {
  circuitBreaker: {
    fields: {},
    defaults: { window: { _tag: "Time", duration: "30 seconds", buckets: 10 } },
    make: CircuitBreaker.makeShared
  },
  rateLimiter: {
    fields: {
      strict: (value) => typeof value === "boolean",
      leaseTime: isDuration,
      whenApart: isText
    },
    defaults: {},
    make: RateLimiter.makeShared
  },
  bulkhead: { fields: { whenApart: isText }, defaults: {}, make: Bulkhead.makeShared },
  cooldown: { fields: {}, defaults: {}, make: Cooldown.makeShared }
}

/** A stage that is shared: its options for the schema, and those that only a shared guard has. */
interface Split {
  readonly json: Readonly<Record<string, unknown>>
  readonly only: Readonly<Record<string, unknown>>
}

/** A field that is none of a shared guard stays, and the schema refuses it. */
const split = (
  { defaults, fields }: Sharing,
  { shared: name, ...options }: Readonly<Record<string, unknown>>
): Split => {
  const only: Record<string, unknown> = { name }
  const json: Record<string, unknown> = { ...defaults }
  for (const [field, value] of Object.entries(options)) {
    const isOnly = Object.hasOwn(fields, field) && fields[field]?.(value) === true
    if (isOnly) only[field] = value
    else json[field] = value
  }
  return { json, only }
}

const isShared = (value: unknown): value is Readonly<Record<string, unknown>> =>
  isRecord(value) && isText(value["shared"]) && value["shared"] !== ""

/** Makes a shared guard. What it refuses is found in the configuration, like everything else. */
const made = (
  stage: string,
  { make }: Sharing,
  options: Readonly<Record<string, unknown>>
): Effect.Effect<readonly [string, unknown], Contradiction, Fleet> =>
  Effect.catchAllCause(Effect.map(make(options as never), (guard) => [stage, guard]), (cause) => {
    const error = Cause.squash(cause)
    if (!(error instanceof RangeError)) return Effect.failCause(cause)
    const { message, path } = issueOf(error.message)
    return Effect.fail({ path: [stage, ...path], message })
  })

/**
 * The stages of a configuration, those that say `shared` made with the fleet. `read` reads the rest
 * of it.
 */
export const read = (
  json: unknown,
  read: (json: unknown) => Effect.Effect<Stages, ParseResult.ParseError>
): Effect.Effect<Stages, ParseResult.ParseError, Fleet> =>
  Effect.suspend(() => {
    if (!isRecord(json)) return read(json)
    const shared = Object.entries(sharings).flatMap(([name, sharing]) => {
      const value = json[name]
      return isShared(value) ? [{ name, sharing, ...split(sharing, value) }] : []
    })
    const plain = { ...json, ...Object.fromEntries(shared.map(({ json, name }) => [name, json])) }
    return Effect.flatMap(read(plain), (stages) =>
      Effect.mapBoth(
        Effect.validateAll(
          shared,
          ({ name, only, sharing }) =>
            made(name, sharing, { ...stages[name as keyof Stages] as object, ...only })
        ),
        {
          onFailure: (findings) => refused(json, findings),
          onSuccess: (guards) => ({ ...stages, ...Object.fromEntries(guards) })
        }
      ))
  })
