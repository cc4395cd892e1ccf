/**
 * Paths with ids in them.
 *
 * Encoding makes any id one segment of a path, with exceptions: dots stay as they are and mean the
 * path itself or the one above, an empty segment is often left out, and half of a surrogate pair
 * has no encoding. A call for such an id would go somewhere else, so it is not made.
 */
import type * as HttpMethod from "@effect/platform/HttpMethod"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import * as ApiError from "../errors/ApiError.js"
import * as Check from "../runtime/validate.js"

/** The ids of a path, by the name of their parameter. */
export type Ids = Readonly<Record<string, string>>

const isId = (text: string): boolean => text.isWellFormed() && !/^\s*\.{0,2}\s*$/.test(text)

/** An id among the options. Throws a `RangeError` for one that cannot be in a path. */
export const id = (field: string, value: string): string =>
  Check.text(field, value, "an id that can be in a path", isId)

/**
 * A path among the options. Throws a `RangeError` for a blank one, which would be a call for the
 * address of the API itself.
 */
export const template = (field: string, value: string): string =>
  Check.text(field, value, "a path", (text) => text.trim() !== "")

/** The paths of an API, with those that the caller says otherwise. `undefined` says nothing. */
export const templates = <Name extends string>(
  defaults: Readonly<Record<Name, string>>,
  given: Partial<Readonly<Record<Name, string | undefined>>> | undefined
): Readonly<Record<Name, string>> =>
  Record.map(
    defaults,
    (path: string, name: Name) => template(`paths.${name}`, given?.[name] ?? path)
  )

/** The ids that cannot be in a path, without their values. */
export const issuesOf = (ids: Ids): ApiError.Validation["issues"] =>
  Object.entries(ids).flatMap(([path, value]) =>
    isId(value) ? [] : [{ path, message: "should be an id" }]
  )

/** The template with an id in the place of each `:parameter` that has one. */
export const fill = (template: string, ids: Ids): string =>
  template.replaceAll(
    /:(\w+)/g,
    (whole, name: string) => Object.hasOwn(ids, name) ? encodeURIComponent(ids[name] ?? "") : whole
  )

/** What is said of a request that was not sent, because the API would refuse it. */
export const unsent = (
  method: HttpMethod.HttpMethod,
  endpoint: string,
  code: string,
  issues: ApiError.Validation["issues"]
): ApiError.Validation =>
  new ApiError.Validation({
    message: `The request was not sent: ${
      issues.map(({ message, path }) => `${path} ${message}`).join("; ")
    }`,
    code,
    method,
    endpoint,
    issues
  })

/**
 * A request for a template with ids in it. Fails with a `Validation` for ids that cannot be in a
 * path.
 */
export const request = (
  method: HttpMethod.HttpMethod,
  template: string,
  ids: Ids
): Effect.Effect<HttpClientRequest.HttpClientRequest, ApiError.Validation> =>
  Effect.suspend(() => {
    const issues = issuesOf(ids)
    return issues.length === 0
      ? Effect.succeed(HttpClientRequest.make(method)(fill(template, ids)))
      : unsent(method, template, "invalid_id", issues)
  })
