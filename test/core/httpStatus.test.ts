import { describe, expect, it } from "@effect/vitest"
import * as HttpStatus from "../../src/core/httpStatus.js"

/** All that a platform lets through (E26), from 100 to 999. */
const statuses = Array.from({ length: 900 }, (_, i) => 100 + i)

/** E1, row by row; everything else goes by its class. */
const listed: ReadonlyArray<readonly [tag: HttpStatus.Tag, statuses: ReadonlyArray<number>]> = [
  ["Validation", [400, 413, 414, 415, 422, 428, 431]],
  ["Auth", [401, 407]],
  ["Policy", [402, 403, 451]],
  ["NotFound", [404, 410]],
  ["Conflict", [409, 412]],
  ["Locked", [423]],
  ["RateLimit", [429]],
  ["Timeout", [408]],
  ["Server", [425, 500, 502, 503, 504]]
]

describe("tagOf", () => {
  it.each(listed)("E1: %s is the tag of %j", (tag, statuses) => {
    expect(statuses.map(HttpStatus.tagOf)).toEqual(statuses.map(() => tag))
  })

  it("E1: every 4xx that is not listed is Validation, every 1xx, 3xx, 5xx and beyond is Server", () => {
    const known = new Set(listed.flatMap(([, statuses]) => statuses))
    const wrong = statuses.filter((status) =>
      !known.has(status) && !(status >= 200 && status < 300)
    ).filter((status) =>
      HttpStatus.tagOf(status) !== (status >= 400 && status < 500 ? "Validation" : "Server")
    )
    expect(wrong).toEqual([])
  })
})

describe("isTransientServer", () => {
  it("E2, E4: 425 and the 5xx except 501 and 505 are worth another try, and nothing else is", () => {
    const transient = statuses.filter((status) => HttpStatus.isTransientServer(status))
    expect(transient).toEqual(
      statuses.filter((status) =>
        status === 425 || (status >= 500 && status < 600 && status !== 501 && status !== 505)
      )
    )
  })

  it("E4: a Server error without a status is transient", () => {
    expect(HttpStatus.isTransientServer(undefined)).toBe(true)
  })
})
