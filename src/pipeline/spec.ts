/**
 * The JSON form of pipelines: what a configuration file may set of each stage, read into the
 * options that code would write.
 *
 * Invalid options of one stage are found by building that stage, so code and JSON are refused for
 * the same reasons in the same words; contradictions between stages by the checks that `make`
 * makes. What only code can say (a `verdict`, a `classify`, an instance) is not part of it.
 */
import * as Schema from "effect/Schema"
import * as Operation from "../idempotency/Operation.js"
import type { Stage, Stages } from "../policies/stage/definition.js"
import { strict } from "../runtime/optionSchema.js"
import { contradictions } from "./contradictions.js"

const operations = {
  read: Operation.read,
  idempotent: Operation.idempotent,
  keyed: Operation.keyed,
  once: Operation.once
} as const

type OperationName = keyof typeof operations

export const isOperation = (u: unknown): u is Operation.Operation<unknown> =>
  Object.values<unknown>(operations).includes(u)

const OperationSpec = Schema.transform(
  Schema.Literal("read", "idempotent", "keyed", "once"),
  Schema.declare(isOperation, { identifier: "Operation" }),
  {
    strict: true,
    decode: (name) => operations[name],
    encode: ({ _tag }) => _tag.toLowerCase() as OperationName
  }
)

/** A pipeline of these stages in JSON. Those that only code can say are unknown in it. */
export const specOf = (stages: ReadonlyArray<Stage>): Schema.Schema<Stages, unknown> => {
  const fields: Record<string, Schema.Struct.Field> = {
    operation: Schema.optionalWith(OperationSpec, { default: () => Operation.keyed })
  }
  for (const { name, spec } of stages) {
    if (spec !== undefined) fields[name] = Schema.optional(spec)
  }
  // The fields are those of the stages, each of which says what its form decodes to.
  return Schema.make<Stages, unknown>(strict("pipeline", fields).ast).pipe(
    Schema.filter((given): ReadonlyArray<Schema.FilterIssue> => contradictions(stages, given), {
      title: "a pipeline without contradictions"
    })
  )
}
