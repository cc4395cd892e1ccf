/**
 * Reading a configuration: all that is wrong with it is found in one go.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import { hasProperty } from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type * as Operation from "../idempotency/Operation.js"
import type { Stages } from "../policies/stage/definition.js"
import * as EveryIssue from "./everyIssue.js"
import { ConfigurationError } from "./findings.js"

/** What code says of a configuration. */
interface Said {
  readonly operation: Operation.Operation<unknown>
}

const operations: ReadonlyArray<unknown> = ["read", "idempotent", "keyed", "once"]

/**
 * An operation other than that of the code: whether a call needs a key is decided by the type, so
 * the configuration cannot change it.
 */
const otherOperation = (
  ast: Schema.Schema<Stages, unknown>["ast"],
  json: unknown,
  said: Said | undefined
): ReadonlyArray<ParseResult.ParseIssue> => {
  if (said === undefined || !hasProperty(json, "operation")) return []
  const name = said.operation._tag.toLowerCase()
  const { operation } = json
  // What is no operation at all is refused by the schema.
  if (operation === name || !operations.includes(operation)) return []
  const message = `should be ${JSON.stringify(name)}, as in the code, got ${
    JSON.stringify(operation)
  }`
  return [
    new ParseResult.Pointer("operation", json, new ParseResult.Type(ast, operation, message))
  ]
}

/** The stages of a configuration, or everything that is wrong with it. */
export const read = (
  spec: Schema.Schema<Stages, unknown>,
  json: unknown,
  said?: Said
): Effect.Effect<Stages, ParseResult.ParseError> =>
  Effect.suspend(() => {
    const { ast } = spec
    const others = otherOperation(ast, json, said)
    const refused = (issues: Arr.NonEmptyReadonlyArray<ParseResult.ParseIssue>) =>
      new ConfigurationError({ issue: new ParseResult.Composite(ast, json, issues) })
    return Effect.matchEffect(EveryIssue.decode(spec)(json), {
      onFailure: (issue) => Effect.fail(refused(Arr.append(others, issue))),
      onSuccess: (stages) =>
        Arr.isNonEmptyReadonlyArray(others)
          ? Effect.fail(refused(others))
          : Effect.succeed({ ...stages, ...said })
    })
  })
