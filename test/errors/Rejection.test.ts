import { describe, expect, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, Exit } from "effect"
import { ApiError, Rejection } from "effect-resilience"

class QuotaSpent extends Rejection.Error("QuotaSpent")<{
  readonly tenant: string
  readonly retryAfter?: Duration.Duration | undefined
}> {}

class Closed extends Rejection.Error("Closed") {}

class Worded extends Rejection.Error("Worded")<{ readonly tenant: string }> {
  override get message(): string {
    return `no quota left for ${this.tenant}`
  }
}

const spent = () => new QuotaSpent({ tenant: "acme", retryAfter: Duration.seconds(3) })

describe("Rejection.Error", () => {
  it("carries its tag, its name, its fields and when to come back", () => {
    const rejection = spent()
    expect([rejection._tag, rejection.name, rejection.tenant, rejection.retryAfter]).toEqual([
      "QuotaSpent",
      "QuotaSpent",
      "acme",
      Duration.seconds(3)
    ])
    expect(rejection).toBeInstanceOf(Error)
  })

  it("says that the call was turned away before it ran", () => {
    expect([spent().message, new Closed().message]).toEqual([
      "QuotaSpent: the call was turned away before it ran (retry after 3s)",
      "Closed: the call was turned away before it ran"
    ])
  })

  it("lets a guard use words of its own", () => {
    expect(new Worded({ tenant: "acme" }).message).toBe("no quota left for acme")
  })

  it("captures no stack, though a plain tagged error made in the same place does", () => {
    class Plain extends Data.TaggedError("Plain")<{}> {}
    const frames = (error: Error) =>
      (error.stack ?? "").split("\n").filter((line) => line.trim().startsWith("at "))
    expect(frames(new Plain())).not.toEqual([])
    expect([...frames(spent()), ...frames(new Closed()), ...frames(new Worded({ tenant: "acme" }))])
      .toEqual([])
  })

  it("leaves Error.stackTraceLimit as it was", () => {
    const before = Error.stackTraceLimit
    try {
      const after = [0, 3, 10, Infinity].map((limit) => {
        Error.stackTraceLimit = limit
        spent()
        return Error.stackTraceLimit
      })
      expect(after).toEqual([0, 3, 10, Infinity])
    } finally {
      Error.stackTraceLimit = before
    }
  })

  it("leaves Error.stackTraceLimit as it was also when it cannot be built", () => {
    const before = Error.stackTraceLimit
    const fields = {
      get tenant(): string {
        throw new TypeError("no tenant")
      }
    }
    try {
      expect(() => new QuotaSpent(fields)).toThrow("no tenant")
      expect(Error.stackTraceLimit).toBe(before)
    } finally {
      Error.stackTraceLimit = before
    }
  })

  it("shows its tag and fields in JSON, and nothing else", () => {
    expect(JSON.parse(JSON.stringify(new Worded({ tenant: "acme" })))).toEqual({
      _tag: "Worded",
      tenant: "acme"
    })
  })

  it.effect("can be yielded and caught by its tag", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        yield* spent()
        return "ran"
      })
      const caught = yield* Effect.catchTag(program, "QuotaSpent", (e) =>
        Effect.succeed(`${e.tenant} turned away`))
      expect(caught).toBe("acme turned away")
    }))

  it.effect("is a failure and no defect, the very same value", () =>
    Effect.gen(function*() {
      const rejection = spent()
      const exit = yield* Effect.exit(rejection)
      expect(Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error === rejection)
        .toBe(true)
    }))

  it.effect("is printed with its message in a cause", () =>
    Effect.gen(function*() {
      const cause = yield* Effect.flip(Effect.sandbox(spent()))
      expect(Cause.pretty(cause)).toContain("QuotaSpent: the call was turned away before it ran")
    }))
})

describe("Rejection.isRejection", () => {
  it("goes by the brand and not by the tag", () => {
    class QuotaSpentElsewhere extends Data.TaggedError("QuotaSpent")<{ readonly tenant: string }> {}
    const candidates = [
      spent(),
      new Closed(),
      new Worded({ tenant: "acme" }),
      new QuotaSpentElsewhere({ tenant: "acme" }),
      new ApiError.RateLimit({ message: "slow down" }),
      { _tag: "QuotaSpent", retryAfter: Duration.seconds(3) },
      new Error("QuotaSpent"),
      "QuotaSpent",
      null,
      undefined
    ]
    expect(candidates.map(Rejection.isRejection)).toEqual([
      true,
      true,
      true,
      ...Array.from({ length: 7 }, () => false)
    ])
  })

  it("R15: what it recognises is Rejected, with the time when it has one", () => {
    const seconds = (error: unknown) => {
      const verdict = ApiError.verdict(error)
      return verdict._tag === "Rejected" ? [verdict._tag, verdict.retryAfter._tag] : [verdict._tag]
    }
    expect([seconds(spent()), seconds(new Closed())]).toEqual([["Rejected", "Some"], [
      "Rejected",
      "None"
    ]])
  })
})
