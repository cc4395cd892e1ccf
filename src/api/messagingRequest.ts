/**
 * What is wrong with a request to Messaging before it is sent: the triggers of a 400 that show in the request itself.
 */
import type * as ApiError from "../ApiError.js"

const isEmail = (text: string): boolean => /^[^\s@]+@[^\s@]+$/.test(text)

const problemOf = (name: string, value: unknown): string | undefined => {
  if (typeof value !== "string") return undefined
  if (value.trim() === "") return "is required"
  return name === "to" && !isEmail(value) ? "is not a valid email address" : undefined
}

/**
 * The fields that are required and blank, and an address that is none. Nothing of the values is repeated. What else makes an address valid is the API's business.
 */
export const issuesOf = (body: object): ApiError.Validation["issues"] =>
  Object.entries(body).flatMap(([path, value]) => {
    const message = problemOf(path, value)
    return message === undefined ? [] : [{ path, message }]
  })
