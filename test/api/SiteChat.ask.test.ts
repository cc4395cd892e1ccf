import { HttpClient, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { type ApiError, IdempotencyKey, Telemetry } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf } from "../support/exits.js"
import { against, feedback, pace, question, virtual } from "./siteChat.js"

describe("SiteChat.ask, over real HTTP", () => {
  it.effect("R30: submits once, polls until it is answered, and tells the application each state", () =>
    Effect.gen(function*() {
      const jobs: Array<SiteChat.Job> = []
      const onJob = (job: SiteChat.Job) => Effect.sync(() => void jobs.push(job))
      const { at, exit, records } = yield* against(
        () => FlakyApi.none,
        (chat) => IdempotencyKey.provideNew(chat.ask(question, { ...pace, onJob }))
      )
      expect(exit).toEqual(
        Exit.succeed({ answer: "We open at nine.", session_id: undefined, request_id: "req-1" })
      )
      expect([at, records.asked.length, jobs]).toEqual([
        [0, 0, 2000, 4000],
        1,
        [{ requestId: "req-1", state: "submitted" }, { requestId: "req-1", state: "done" }]
      ])
    }))

  it.effect("R30: a failure to submit is not a failure to poll", () =>
    Effect.gen(function*() {
      const submitting: FlakyApi.Script = ({ method }) =>
        method === "POST" ? FlakyApi.status(403) : FlakyApi.none
      const polling: FlakyApi.Script = ({ method }) =>
        method === "GET" ? FlakyApi.status(403) : FlakyApi.none
      const outcomes = yield* Effect.forEach([submitting, polling], (script) =>
        Effect.gen(function*() {
          const jobs: Array<SiteChat.Job["state"]> = []
          const onJob = ({ state }: SiteChat.Job) =>
            Effect.sync(() => void jobs.push(state))
          const { exit } = yield* against(
            script,
            (chat) => IdempotencyKey.provideNew(chat.ask(question, { ...pace, onJob }))
          )
          const error: unknown = errorOf(exit)
          return [
            (error as { _tag: string })._tag,
            (error as { error: ApiError.ApiError }).error._tag,
            jobs
          ]
        }))
      expect(outcomes).toEqual([["SubmitFailed", "Policy", []], ["PollFailed", "Policy", [
        "submitted",
        "unreachable"
      ]]])
    }))

  it.effect("R30: transient failures of polls are retried, and a lost submission is repeated under its key", () =>
    Effect.gen(function*() {
      const { exit, records, requests } = yield* against(
        FlakyApi.sequence([
          FlakyApi.reset({ when: "after" }),
          FlakyApi.none,
          FlakyApi.unavailable(),
          FlakyApi.rateLimited({ retryAfter: 1 })
        ]),
        (chat) => IdempotencyKey.provideNew(chat.ask(question, pace))
      )
      expect([Exit.isSuccess(exit), records.asked.length, requests]).toEqual([true, 1, 7])
    }))

  it.effect("R30: polling stops at the time budget, marks the job as timed out and keeps its request id; resume does not submit", () =>
    Effect.gen(function*() {
      const jobs: Array<SiteChat.Job> = []
      const onJob = (job: SiteChat.Job) => Effect.sync(() => void jobs.push(job))
      const messages: Array<string> = []
      const { exit, records } = yield* against(
        () => FlakyApi.none,
        (chat) =>
          IdempotencyKey.provideNew(chat.ask(question, { ...pace, within: "5 seconds", onJob }))
            .pipe(
              Effect.tapError((error) =>
                Effect.sync(() => void messages.push(SiteChat.userMessage(error)))
              ),
              Effect.catchTag(
                "PollingTimeout",
                ({ requestId }) => chat.resume(requestId, { ...pace, onJob })
              )
            ),
        {},
        { job: (poll) => poll < 4 ? "running" : "completed" }
      )
      expect([Exit.isSuccess(exit), records.asked.length, messages]).toEqual([
        true,
        1,
        ["Your answer is taking longer than usual. We are still working on it."]
      ])
      expect(jobs).toEqual([
        { requestId: "req-1", state: "submitted" },
        { requestId: "req-1", state: "timedOut", lastStatus: "running" },
        { requestId: "req-1", state: "done" }
      ])
    }))

  it.effect("R30: never for ever, by default two minutes", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* against(
        () => FlakyApi.none,
        (chat) => IdempotencyKey.provideNew(chat.ask(question)),
        {},
        { job: () => "running" }
      )
      const last = at.at(-1) ?? 0
      expect([(errorOf(exit) as { _tag: string })._tag, last > 105_000 && last < 120_000]).toEqual([
        "PollingTimeout",
        true
      ])
    }))

  it.effect("T6: answers that were waited for are counted beside the requests, so that the share of time-outs shows", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: "site-chat-test", logs: false })
      yield* against(
        () => FlakyApi.none,
        (chat) =>
          IdempotencyKey.provideNew(chat.ask(question, { ...pace, within: "5 seconds" })).pipe(
            Effect.catchTag("PollingTimeout", ({ requestId }) => chat.resume(requestId, pace))
          ),
        { telemetry },
        { job: (poll) => poll < 4 ? "running" : "completed" }
      )
      const figures = yield* Telemetry.figures(telemetry)
      expect(figures.map(({ calls, endpoint }) => [endpoint, calls.succeeded, calls.failed]))
        .toEqual([
          [SiteChat.operations.submitChat.path, 1, 0],
          [SiteChat.operations.pollChat.path, 5, 0],
          ["jobs", 1, 1]
        ])
    }))

  it.effect("an answer that the API gave up on is JobFailed, and its words can be said", () =>
    Effect.gen(function*() {
      const jobs: Array<SiteChat.Job> = []
      const onJob = (job: SiteChat.Job) => Effect.sync(() => void jobs.push(job))
      const { exit } = yield* against(
        () => FlakyApi.none,
        (chat) => IdempotencyKey.provideNew(chat.ask(question, { ...pace, onJob })),
        { jobStates: { done: ["ok"], failed: ["dropped"] } },
        { job: () => "dropped" }
      )
      const error: unknown = errorOf(exit)
      expect(error).toBeInstanceOf(SiteChat.JobFailed)
      expect([SiteChat.userMessage(error), jobs.at(-1)]).toEqual([
        "Something went wrong. Please try again later.",
        { requestId: "req-1", state: "failed", lastStatus: "dropped" }
      ])
    }))

  it("a job is stored as JSON and read back", () => {
    const job: SiteChat.Job = { requestId: "req-1", state: "timedOut", lastStatus: "running" }
    expect(
      Schema.decodeUnknownSync(SiteChat.Job)(
        JSON.parse(JSON.stringify(Schema.encodeSync(SiteChat.Job)(job)))
      )
    )
      .toEqual(job)
  })

  it("a user is told of an answer once, of a delay once, and of nothing after the end", () => {
    const states = [
      "submitted",
      "timedOut",
      "unreachable",
      "timedOut",
      "done",
      "done",
      "timedOut"
    ] as const
    const jobs = states.map((state): SiteChat.Job => ({ requestId: "r", state }))
    expect(jobs.map((job, index) => SiteChat.isNews(jobs[index - 1], job))).toEqual([
      false,
      true,
      false,
      false,
      true,
      false,
      false
    ])
  })
})

describe("SiteChat: visitors", () => {
  it.effect("a sync chat gives a fallback on final failure, after its retries", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        () => FlakyApi.unavailable(),
        (chat) => IdempotencyKey.provideNew(chat.chatOrFallback(question, { locale: "de-AT" }))
      )
      const reply = (Exit.isSuccess(exit) ? exit.value : undefined) as SiteChat.Reply | undefined
      expect([
        reply?._tag,
        reply?._tag === "Fallback" && [reply.message, reply.error._tag],
        requests
      ]).toEqual([
        "Fallback",
        ["Der Chat hat ein Problem. Bitte versuchen Sie es gleich noch einmal.", "Server"],
        3
      ])
    }))

  it.effect("and the answer where there is one", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => FlakyApi.none,
        (chat) => IdempotencyKey.provideNew(chat.chatOrFallback(question))
      )
      expect(Exit.isSuccess(exit) && (exit.value as SiteChat.Reply)._tag).toBe("Answered")
    }))

  it.effect("feedback: the same event of the user interface is one piece of feedback, another is another", () =>
    Effect.gen(function*() {
      const { exit, keys, records } = yield* against(
        () => FlakyApi.none,
        (chat) =>
          Effect.all([
            chat.sendFeedback(feedback),
            chat.sendFeedback(feedback),
            chat.sendFeedback({ ...feedback, eventId: "click-2", comment: "Thanks" })
          ])
      )
      expect([Exit.isSuccess(exit), records.feedback, keys]).toEqual([
        true,
        ["click-1", "click-2"],
        2
      ])
    }))

  it.effect("I1: the same event in another session or of another site is other feedback", () =>
    Effect.gen(function*() {
      const keys: Array<string | undefined> = []
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          keys.push(request.headers["idempotency-key"])
          return HttpClientResponse.fromWeb(request, new Response(null, { status: 204 }))
        })
      )
      const send = (options: Partial<SiteChat.Options>, sessionId: string) =>
        Effect.flatMap(
          SiteChat.make({ ...virtual, ...options }),
          (chat) => chat.sendFeedback({ ...feedback, sessionId })
        )
      yield* Effect.all([
        send({}, "s-1"),
        send({}, "s-1"),
        send({}, "s-2"),
        send({ siteId: "other" }, "s-1"),
        send({ tenantId: "other" }, "s-1")
      ]).pipe(Effect.provideService(HttpClient.HttpClient, client))
      expect([keys.length, new Set(keys).size, keys[0] === keys[1]]).toEqual([5, 4, true])
    }))

  it.effect("T8: safe sentences, with the time to wait", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(() => FlakyApi.rateLimited({ retryAfter: 300 }), (chat) =>
        chat.tenant)
      const error = errorOf(exit)
      expect([SiteChat.userMessage(error), SiteChat.userMessage(error, { locale: "de" })]).toEqual([
        "The chat is busy. Please try again in 5 minutes.",
        "Der Chat ist ausgelastet. Bitte versuchen Sie es in 5 Minuten noch einmal."
      ])
    }))
})
