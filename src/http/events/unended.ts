/** Tells a complete body from one whose connection was gone before it was read. */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { hasProperty } from "effect/Predicate"

/** The response of the platform's client, inside of those around it. */
const innermost = (response: object): object =>
  hasProperty(response, "original") && hasProperty(response.original, "status")
    ? innermost(response.original)
    : response

/**
 * Tests whether a body that seems to have ended has not. Over Node's streams the platform takes one
 * for empty whose connection broke off between the head and the first read. O(1).
 */
export const isUnended = (response: HttpClientResponse.HttpClientResponse): boolean => {
  const inner = innermost(response)
  if (!hasProperty(inner, "source")) return false
  const { source } = inner
  const body = hasProperty(source, "body") ? source.body : source
  return hasProperty(body, "readableEnded") && body.readableEnded === false
}
