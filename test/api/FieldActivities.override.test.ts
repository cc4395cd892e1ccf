import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { ApiError } from "effect-resilience"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { apiErrorOf } from "../support/exits.js"
import * as Server from "../support/fieldActivitiesServer.js"
import { against, result, submit, undisturbed } from "./fieldActivities.js"

describe("FieldActivities: hard_override, over real HTTP", () => {
  const overridden = { ...result, hard_override: true }

  it.effect("409: a second result is a Conflict, asked for once, and the first one stays", () =>
    Effect.gen(function*() {
      const second = { ...result, task_result: { result: "NOT_INTERESTED" } }
      const { bodies, exit, results } = yield* against(
        undisturbed,
        (client) => Effect.zipRight(submit(client), client.submitResult("A-1", second))
      )
      expect([apiErrorOf(exit)._tag, FieldActivities.mayBeOurs(apiErrorOf(exit)), bodies, results])
        .toEqual([
          "Conflict",
          false,
          [result, second],
          [["A-1", "SOLD"]]
        ])
    }))

  it.effect("409: it is overwritten by overrideResult, and by nothing else", () =>
    Effect.gen(function*() {
      const second = { ...result, task_result: { result: "NOT_INTERESTED" } }
      const { bodies, exit, results } = yield* against(
        undisturbed,
        (client) => Effect.zipRight(submit(client), client.overrideResult("A-1", second))
      )
      expect([Exit.isSuccess(exit), bodies, results]).toEqual([
        true,
        [result, { ...second, hard_override: true }],
        [["A-1", "NOT_INTERESTED"]]
      ])
    }))

  it.effect("after a 409 the flag is sent neither by the same call nor by the next", () =>
    Effect.gen(function*() {
      const { bodies } = yield* against(
        undisturbed,
        (client) => Effect.forEach(Array(5), () => Effect.ignore(submit(client)))
      )
      expect(bodies).toEqual([result, result, result, result, result])
    }))

  it.effect.each(
    [
      ["5xx", FlakyApi.serverError({ when: "after" })],
      ["broken connections", FlakyApi.reset({ when: "after" })],
      ["429", FlakyApi.rateLimited({ when: "after" })]
    ] as const
  )("repeats after %s do not carry the flag", ([, fault]) =>
    Effect.gen(function*() {
      const script = Server.submissions((nth) => nth < 2 ? fault : FlakyApi.none)
      const { bodies, exit } = yield* against(script, submit)
      expect([
        apiErrorOf(exit)._tag,
        bodies.length > 1,
        new Set(bodies.map((body) => JSON.stringify(body))).size
      ]).toEqual(
        [
          "Conflict",
          true,
          1
        ]
      )
      expect(bodies[0]).toEqual(result)
    }))

  it.effect("a flag that came in with the result is not sent by submitResult", () =>
    Effect.gen(function*() {
      const { bodies, exit, results } = yield* against(undisturbed, (client) =>
        Effect.zipRight(
          submit(client),
          client.submitResult("A-1", { ...overridden, task_result: { result: "NOT_INTERESTED" } })
        ))
      expect([apiErrorOf(exit)._tag, JSON.stringify(bodies).includes("hard_override"), results])
        .toEqual([
          "Conflict",
          false,
          [["A-1", "SOLD"]]
        ])
    }))

  it.effect("409 after a repeat: the first attempt may have registered the result, and the error says so", () =>
    Effect.gen(function*() {
      const script = Server.submissions((nth) =>
        nth === 0 ? FlakyApi.reset({ when: "after" }) : FlakyApi.none
      )
      const { exit, posts, results } = yield* against(script, submit)
      expect([apiErrorOf(exit)._tag, FieldActivities.mayBeOurs(apiErrorOf(exit)), posts, results])
        .toEqual([
          "Conflict",
          true,
          2,
          [["A-1", "SOLD"]]
        ])
    }))

  it.effect("overrideResult is repeated with its flag, and leaves one result", () =>
    Effect.gen(function*() {
      const script = Server.submissions((nth) =>
        nth === 0 ? FlakyApi.gatewayTimeout({ when: "after" }) : FlakyApi.none
      )
      const { bodies, exit, results } = yield* against(
        script,
        (client) => client.overrideResult("A-1", result)
      )
      expect([Exit.isSuccess(exit), bodies, results]).toEqual([
        true,
        [overridden, overridden],
        [["A-1", "SOLD"]]
      ])
    }))

  it("an error that is no Conflict, or the first answer, is not ours", () => {
    const errors = [
      new ApiError.Conflict({ message: "x", attempts: 1 }),
      new ApiError.Conflict({ message: "x" }),
      new ApiError.Server({ message: "x", attempts: 3 }),
      new Error("x")
    ]
    expect(errors.map(FieldActivities.mayBeOurs)).toEqual([false, false, false, false])
  })
})
