import { describe, expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { Check } from "effect-resilience"

const isWord = (text: string) => text.trim() !== ""

describe("Check", () => {
  it("what makes sense comes back, durations decoded", () => {
    expect([
      Check.text("name", "acme", "a name", isWord),
      Check.positiveDuration("wait", "2 seconds"),
      Check.positiveDuration("wait", Infinity),
      Check.finiteDuration("wait", 0)
    ]).toEqual(["acme", Duration.seconds(2), Duration.infinity, Duration.zero])
  })

  it.each([
    ["name should be a name, got \" \"", () => Check.text("name", " ", "a name", isWord)],
    ["wait should be a duration longer than zero, got 0", () => Check.positiveDuration("wait", 0)],
    [
      "wait should be a duration that is not negative, got -5",
      () => Check.positiveDuration("wait", -5)
    ],
    [
      "wait should be a duration that is not negative, got NaN",
      () => Check.finiteDuration("wait", Number.NaN)
    ],
    ["wait should be a finite duration, got Infinity", () => Check.finiteDuration("wait", Infinity)]
  ])("what makes none is a RangeError: %s", (message, check) => {
    expect(check).toThrow(new RangeError(message))
  })
})
