import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, FastCheck as fc } from "effect"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { squashed } from "../support/exits.js"
import { runs } from "../support/runs.js"
import { virtualHttp } from "../support/virtualHttp.js"
import { against, apiKey, result, submit, types, undisturbed } from "./fieldActivities.js"

describe("FieldActivities.validate", () => {
  const task = (changes: object) => ({
    ...result,
    task_result: { result: "RESCHEDULED", ...changes }
  })
  const next = "task_result.future_scheduled_at"

  it.each<readonly [string, unknown, ReadonlyArray<string>]>([
    ["a result", result, []],
    [
      "nothing",
      undefined,
      ["commerce_external_id", "occurred_at", "status", "task_result.result"]
    ],
    [
      "blanks",
      { commerce_external_id: "", occurred_at: " ", status: "\t", task_result: { result: "" } },
      ["commerce_external_id", "occurred_at", "status", "task_result.result"]
    ],
    ["no commerce_external_id", { ...result, commerce_external_id: undefined }, [
      "commerce_external_id"
    ]],
    ["no occurred_at", { ...result, occurred_at: null }, ["occurred_at"]],
    ["no status", { ...result, status: undefined }, ["status"]],
    ["no task_result", { ...result, task_result: undefined }, ["task_result.result"]],
    ["no task_result.result", { ...result, task_result: {} }, ["task_result.result"]],
    ["a number for a text", { ...result, commerce_external_id: 7 }, ["commerce_external_id"]],
    ["an invalid result code", { ...result, task_result: { result: "GONE" } }, [
      "task_result.result"
    ]],
    ["a result code in other letters", { ...result, task_result: { result: "sold" } }, [
      "task_result.result"
    ]],
    ["no date where the type asks for one", task({}), [next]],
    ["a blank date where the type asks for one", task({ future_scheduled_at: " " }), [next]],
    [
      "a date where the type asks for one",
      task({ future_scheduled_at: "2026-04-01T09:00:00+02:00" }),
      []
    ],
    [
      "a wrong date where the type asks for none",
      task({ result: "SOLD", future_scheduled_at: "soon" }),
      [next]
    ],
    ["no date where the type asks for none", task({ result: "NOT_INTERESTED" }), []]
  ])("%s", (_, input, paths) => {
    expect(FieldActivities.validate(input, types).map(({ path }) => path)).toEqual(paths)
  })

  it.each([
    "2026-03-01",
    "2024-02-29",
    "2026-03-01T10:00",
    "2026-03-01T10:00:00",
    "2026-03-01T10:00Z",
    "2026-03-01T23:59:59.123456789Z",
    "2026-03-01T10:00:00+02:00",
    "2026-03-01T10:00:00-0530",
    "2026-03-01T10:00:00+02"
  ])("%s is ISO 8601", (occurred_at) => {
    expect(FieldActivities.validate({ ...result, occurred_at }, types)).toEqual([])
  })

  it.each([
    "yesterday",
    "01.03.2026",
    "2026-3-1",
    "1772359200",
    "2026-02-30",
    "2025-02-29T10:00:00Z",
    "1900-02-29",
    "2026-13-01",
    "2026-00-10",
    "2026-04-31",
    "2026-03-01T24:30:00Z",
    "2026-03-01T10:60Z",
    "2026-03-01 10:00:00",
    "2026-03-01T10:00:00Zulu",
    "Sun, 01 Mar 2026 10:00:00 GMT",
    "-5"
  ])("%s is not", (occurred_at) => {
    expect(FieldActivities.validate({ ...result, occurred_at }, types)).toEqual([
      { path: "occurred_at", message: "must be a date of ISO 8601" }
    ])
  })

  it("what a program writes as ISO 8601 is ISO 8601", () => {
    const dates = fc.date({
      min: new Date(0),
      max: new Date("9999-12-31T23:59:59.999Z"),
      noInvalidDate: true
    })
    fc.assert(
      fc.property(
        dates,
        (date) =>
          FieldActivities.validate({ ...result, occurred_at: date.toISOString() }, types).length ===
            0
      ),
      { numRuns: runs(500) }
    )
  })

  it("T1: it repeats nothing of what was sent", () => {
    const input = {
      commerce_external_id: { SENTINEL: 1 },
      occurred_at: "SENTINEL",
      task_result: { result: "SENTINEL" }
    }
    const issues = FieldActivities.validate(input, types)
    expect([issues.length, JSON.stringify(issues).includes("SENTINEL")]).toEqual([4, false])
  })
})

describe("FieldActivities: the result types, over real HTTP", () => {
  it.effect("they are asked for once, by however many at once, and again when they are old", () =>
    Effect.gen(function*() {
      const { exit, gets, posts } = yield* against(undisturbed, (client) => {
        const many = Effect.forEach(["A-1", "A-2"], (id) => client.overrideResult(id, result), {
          concurrency: "unbounded"
        })
        return many.pipe(
          Effect.zipRight(Effect.sleep("9 minutes")),
          Effect.zipRight(many),
          Effect.zipRight(Effect.sleep("2 minutes")),
          Effect.zipRight(many)
        )
      })
      expect([Exit.isSuccess(exit), gets, posts]).toEqual([true, 2, 6])
    }))

  it.effect("a failure to get them is not kept, and no result is sent without them", () =>
    Effect.gen(function*() {
      const { exit, gets, posts } = yield* against(
        ({ index }) => index === 0 ? FlakyApi.status(404) : FlakyApi.none,
        (client) => Effect.zip(Effect.flip(submit(client)), submit(client))
      )
      expect([Exit.map(exit, ([error]) => error._tag), gets, posts]).toEqual([
        Exit.succeed("NotFound"),
        2,
        1
      ])
    }))

  it.effect("those that say nothing of a further visit ask for none", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(undisturbed, (client) => client.resultTypes)
      expect(exit).toEqual(Exit.succeed(types))
    }))

  it.effect("a time to live that is none is refused when the client is made", () =>
    Effect.gen(function*() {
      const { layer } = yield* virtualHttp
      const exit = yield* FieldActivities.make({
        baseUrl: "https://field.test",
        apiKey,
        resultTypesTimeToLive: 0
      })
        .pipe(Effect.provide(layer), Effect.exit)
      expect(squashed(exit)).toEqual(
        expect.objectContaining({
          name: "RangeError",
          message: expect.stringMatching(/^resultTypesTimeToLive should/)
        })
      )
    }))

  it.effect.each(["resultTypes", "activity", "result"] as const)(
    "a blank path of %s is refused",
    (name) =>
      Effect.gen(function*() {
        const { layer } = yield* virtualHttp
        const exit = yield* FieldActivities.make({
          baseUrl: "https://field.test",
          apiKey,
          paths: { [name]: " " }
        })
          .pipe(Effect.provide(layer), Effect.exit)
        expect(squashed(exit)).toEqual(
          new RangeError(`paths.${name} should be a path, got " "`)
        )
      })
  )

  it.effect("a path that is undefined is not given", () =>
    Effect.gen(function*() {
      const paths = Object.assign({}, { result: undefined })
      const { exit } = yield* against(undisturbed, submit, { paths: Object.assign(paths) })
      expect(Exit.isSuccess(exit)).toBe(true)
    }))

  it("the defaults are those that are documented", () => {
    expect([
      FieldActivities.defaults.paths,
      Duration.toMinutes(FieldActivities.defaults.resultTypesTimeToLive)
    ])
      .toEqual([
        {
          resultTypes: "/v1/configurations/result-types",
          activity: "/v1/activities/:id",
          result: "/v1/activities/:id/result"
        },
        10
      ])
  })
})
