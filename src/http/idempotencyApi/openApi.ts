/**
 * What the platform leaves out of an OpenAPI document: the header of the key, and the media type of
 * a refusal that shares its status with another error.
 */
import { defaults } from "../ProblemDetails.js"
import { identifiers } from "./failures.js"

type Fields = Readonly<Record<string, unknown>>

const isFields = (u: unknown): u is Fields => typeof u === "object" && u !== null

/** Tests whether a part of a document refers to a schema. */
const refersTo = (part: unknown, identifier: string): boolean =>
  isFields(part) && (
    part["$ref"] === `#/components/schemas/${identifier}` ||
    Object.values(part).some((inner) => refersTo(inner, identifier))
  )

/** Every protected endpoint declares the mismatch of a key, and no other endpoint does. */
const isProtected = (operation: Fields): boolean =>
  refersTo(operation["responses"], identifiers.mismatch)

const namesHeader = (parameter: unknown, header: string): boolean =>
  isFields(parameter) && parameter["in"] === "header" &&
  String(parameter["name"]).toLowerCase() === header.toLowerCase()

/** What the document says of the header. */
export interface Parameter {
  readonly header: string
  readonly required: boolean
  /** Lower case. */
  readonly methods: ReadonlySet<string>
}

const parameterOf = ({ header, required }: Parameter): Fields => ({
  name: header,
  in: "header",
  required,
  description:
    "Names one operation: the same key on every attempt of it, a new one for a new operation",
  schema: { type: "string", minLength: 1, maxLength: 255 }
})

const withParameter = (operation: Fields, parameter: Parameter): Fields => {
  const parameters = Array.isArray(operation["parameters"]) ? operation["parameters"] : []
  return parameters.some((each) => namesHeader(each, parameter.header))
    ? operation
    : { ...operation, parameters: [...parameters, parameterOf(parameter)] }
}

const mapValues = (fields: unknown, f: (value: Fields, name: string) => Fields): unknown =>
  isFields(fields)
    ? Object.fromEntries(
      Object.entries(fields).map((
        [name, value]
      ) => [name, isFields(value) ? f(value, name) : value])
    )
    : fields

/** The refusal that is among the errors of a response in plain JSON. */
const refusalIn = (json: unknown): string | undefined =>
  Object.values(identifiers).find((identifier) => refersTo(json, identifier))

/** A status with several errors has one media type in the document, but each error has its own. */
const withMediaType = (response: Fields): Fields => {
  const content = response["content"]
  const identifier = isFields(content) ? refusalIn(content["application/json"]) : undefined
  return identifier === undefined ? response : {
    ...response,
    content: {
      ...content as Fields,
      [defaults.contentType]: { schema: { $ref: `#/components/schemas/${identifier}` } }
    }
  }
}

/** Completes the operations of a document that are protected. O(document). */
export const complete = (spec: Fields, parameter: Parameter): Record<string, unknown> => ({
  ...spec,
  paths: mapValues(
    spec["paths"],
    (path) =>
      mapValues(path, (operation, method) =>
        parameter.methods.has(method) && isProtected(operation)
          ? {
            ...withParameter(operation, parameter),
            responses: mapValues(operation["responses"], withMediaType)
          }
          : operation) as Fields
  )
})
