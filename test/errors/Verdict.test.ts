import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import { ApiError, Verdict } from "effect-resilience"
import { Busy, rejection } from "../support/errors.js"

describe("Verdict", () => {
  it("terminal says only that", () => {
    expect(Verdict.terminal._tag).toBe("Terminal")
  })

  it("transient keeps what it is told", () => {
    const verdict = Verdict.transient({ ambiguous: true, retryAfter: "3 seconds" })
    expect(verdict._tag).toBe("Transient")
    if (verdict._tag !== "Transient") return
    expect(verdict.ambiguous).toBe(true)
    expect(Option.map(verdict.retryAfter, Duration.toMillis)).toEqual(Option.some(3000))
    const other = Verdict.transient({ ambiguous: false })
    expect(other._tag === "Transient" && other.ambiguous).toBe(false)
  })

  it("transient without options has no time and a plain yes or no about ambiguity", () => {
    const verdict = Verdict.transient()
    if (verdict._tag !== "Transient") throw new Error(verdict._tag)
    expect(Option.isNone(verdict.retryAfter)).toBe(true)
    expect(typeof verdict.ambiguous).toBe("boolean")
  })

  it("E11: a retryAfter of zero is kept: it means now, not never", () => {
    const verdict = Verdict.transient({ retryAfter: 0 })
    expect(verdict._tag === "Transient" && Option.map(verdict.retryAfter, Duration.toMillis))
      .toEqual(Option.some(0))
  })

  it("DESIGN 6: a retryAfter that is NaN or negative is refused, naming field and value", () => {
    for (const [bad, shown] of [[NaN, "NaN"], [-1, "-1"], ["-5 seconds", "-5"]] as const) {
      expect(() => Verdict.transient({ retryAfter: bad })).toThrow(RangeError)
      expect(() => Verdict.transient({ retryAfter: bad })).toThrow(/retryAfter/)
      expect(() => Verdict.transient({ retryAfter: bad })).toThrow(shown)
    }
  })

  describe("rejections", () => {
    const verdictOf = (error: unknown) => {
      const verdict = ApiError.verdict(error)
      return verdict._tag === "Rejected"
        ? ["Rejected", Option.map(verdict.retryAfter, Duration.toMillis)]
        : verdict._tag
    }

    it("DESIGN 3: a rejection of ours is Rejected, with the time when it knows one", () => {
      expect([
        verdictOf(rejection()),
        verdictOf(rejection(Duration.seconds(2))),
        verdictOf(rejection(Duration.zero)),
        verdictOf(rejection(Duration.infinity))
      ]).toEqual([
        ["Rejected", Option.none()],
        ["Rejected", Option.some(2000)],
        ["Rejected", Option.some(0)],
        ["Rejected", Option.some(Infinity)]
      ])
    })

    it("DESIGN 3: it is recognised by a TypeId, never by its tag", () => {
      expect([
        verdictOf({ _tag: "Busy" }),
        verdictOf({ _tag: "CircuitOpen", key: "a", retryAfter: Duration.zero })
      ])
        .toEqual(["Terminal", "Terminal"])
    })

    it.effect("DESIGN 5: it is a value to yield and to catch by tag", () =>
      Effect.gen(function*() {
        const failing = Effect.gen(function*() {
          return yield* rejection(Duration.seconds(3))
        })
        const caught = yield* failing.pipe(
          Effect.catchTag("Busy", (busy) => Effect.succeed(busy.retryAfter))
        )
        expect(caught).toEqual(Duration.seconds(3))
      }))

    it("STYLE: a rejection is an error with its tag that carries no stack", () => {
      const busy = rejection(Duration.seconds(1))
      expect([busy instanceof Busy, busy instanceof Error, busy._tag]).toEqual([true, true, "Busy"])
      expect((busy.stack ?? "").includes("\n    at ")).toBe(false)
    })
  })
})
