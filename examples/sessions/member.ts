/** One member of the fleet that does the main job: its share of the rows, under the shared guards. */
import { FileSystem, HttpClient } from "@effect/platform"
import { NodeContext, NodeHttpClient } from "@effect/platform-node"
import { Clock, Effect, Layer, Mailbox, Schema, Stream } from "effect"
import { CircuitBreaker, Pipeline, RateLimiter } from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as Fleet from "effect-resilience/fleet/Fleet"
import { Outcome } from "../jobs/report.js"
import { timing } from "../jobs/timing.js"
import * as Job from "./job.js"
import { agreed, files } from "./settings.js"

/** Which member this is, of how many, and where the API is. */
export const Part = Schema.Struct({
  url: Schema.String,
  member: Schema.Number,
  of: Schema.Number
})

export type Part = typeof Part.Type

const member = Schema.Number

/** What a member tells: a row that is done, a request and when it was sent, an opened circuit. */
export const Event = Schema.Union(
  Schema.TaggedStruct("Row", { member, outcome: Outcome }),
  Schema.TaggedStruct("Request", { member, at: Schema.Number }),
  Schema.TaggedStruct("Opened", { member }),
  Schema.TaggedStruct("Waited", { member, seconds: Schema.Number })
)

export type Event = typeof Event.Type

/** A row a line; empty lines are none. */
export const linesOf = (text: string): ReadonlyArray<string> =>
  text.split("\n").filter((line) => line.trim() !== "")

/** A job can wait: it comes back soon, and what a guard turns away is tried again. */
const pipeline = Effect.gen(function*() {
  const circuitBreaker = yield* CircuitBreaker.makeShared({
    ...WidgetSession.circuitBreaker,
    // A fleet's circuit looks back over a time: each member has calls of its own.
    window: CircuitBreaker.time("10 seconds"),
    openDuration: "2 seconds",
    name: "widget-session"
  })
  const rateLimiter = yield* RateLimiter.makeShared({ ...agreed, name: "widget-session" })
  const made = yield* Pipeline.make({
    ...WidgetSession.stages,
    retry: { ...WidgetSession.stages.retry, retries: 20, waitForRejections: true },
    circuitBreaker,
    rateLimiter
  })
  return { circuitBreaker, made }
})

/** Does the member's share of the rows, and tells what happens. */
const work = ({ member, of, url }: Part, events: Mailbox.Mailbox<Event, unknown>) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const { circuitBreaker, made } = yield* pipeline
    yield* Effect.fork(
      Stream.runForEach(
        circuitBreaker.transitions,
        ({ to }) => to === "Open" ? events.offer({ _tag: "Opened", member }) : Effect.void
      )
    )
    const telling = Effect.map(
      HttpClient.HttpClient,
      HttpClient.tapRequest(() =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (at) => events.offer({ _tag: "Request", member, at })
        )
      )
    )
    const { clock, waitedSeconds } = yield* timing
    yield* Job.run(linesOf(yield* fs.readFileString(files.rows)), url, {
      pipeline: made,
      isMine: (line) => line % of === member,
      onOutcome: (outcome) => events.offer({ _tag: "Row", member, outcome })
    }).pipe(
      Effect.provideServiceEffect(HttpClient.HttpClient, telling),
      Effect.withClock(clock)
    )
    yield* events.offer({ _tag: "Waited", member, seconds: waitedSeconds() })
  })

/** All that happens to a member, until its rows are done. */
export const events = (part: Part) =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const mailbox = yield* Mailbox.make<Event, unknown>()
    yield* Effect.forkScoped(
      Mailbox.into(Effect.scoped(work(part, mailbox)), mailbox).pipe(
        Effect.provide(
          Layer.mergeAll(
            Layer.fresh(Fleet.layer({ name: "sessions", member: `member-${part.member}` })),
            NodeHttpClient.layerUndici,
            NodeContext.layer
          )
        )
      )
    )
    return Mailbox.toStream(mailbox)
  }))
