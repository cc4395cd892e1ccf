/**
 * A website chat behind an API that has a bad day: answers, a fallback, an answer that comes later,
 * documents synced once. `npx tsx examples/site-chat.ts`
 */
import { FetchHttpClient, HttpRouter, HttpServerResponse } from "@effect/platform"
import { Effect, Redacted, Schedule } from "effect"
import { Backoff, Bulk, IdempotencyKey, IdempotencyStore } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

const site = "/v1/tenants/:tenantId/sites/:siteId"
let polls = 0
let documents = 0

/** The API, as far as it is needed here. */
const app = HttpRouter.empty.pipe(
  HttpRouter.post(`${site}/chat`, HttpServerResponse.json({ answer: "We open at nine." })),
  HttpRouter.post(
    `${site}/chat/async`,
    HttpServerResponse.json({ request_id: "req-1" }, { status: 202 })
  ),
  HttpRouter.get(
    `${site}/chat/async/:requestId`,
    Effect.suspend(() =>
      HttpServerResponse.json(
        ++polls < 6 ? { status: "running" } : { status: "done", answer: "Yes." }
      )
    )
  ),
  HttpRouter.post(
    `${site}/documents`,
    Effect.suspend(() =>
      HttpServerResponse.json({ document_id: `doc-${++documents}` }, { status: 201 })
    )
  )
)

/**
 * One connection that breaks after the answer was given, then an outage that outlasts the retries.
 */
const outage = Array<FlakyApi.Fault>(3).fill(FlakyApi.unavailable())
const script = FlakyApi.sequence([FlakyApi.reset({ when: "after" }), FlakyApi.none, ...outage])

const program = Effect.gen(function*() {
  const server = yield* FlakyApi.make({ app, script })
  const tenant = { tenantId: "acme", siteId: "shop" }
  const quick = { backoff: Backoff.constant("20 millis") }
  const chat = yield* SiteChat.make({
    baseUrl: server.url,
    apiKey: Redacted.make("key of this environment"),
    ...tenant,
    // For a fast example; leave it out for the waits that suit a real API.
    policies: { chat: quick, submitChat: quick }
  })

  // A visitor waits for an answer. After the last attempt there is a sentence to show.
  for (const message of ["When do you open?", "Really?"]) {
    const reply = yield* IdempotencyKey.provideNew(chat.chatOrFallback({ message }))
    console.log(
      `${message} ${
        reply._tag === "Answered" ? reply.answer.answer : `(fallback) ${reply.message}`
      }`
    )
  }

  // An answer that takes longer than the visitor waits. The job is kept, and asked for again later.
  const jobs = new Map<string, SiteChat.Job>()
  const onJob = (job: SiteChat.Job) =>
    Effect.sync(() => {
      if (SiteChat.isNews(jobs.get(job.requestId), job)) {
        console.log(`news of ${job.requestId}: ${job.state}`)
      }
      jobs.set(job.requestId, job)
    })
  const wait = { schedule: Schedule.spaced("300 millis"), onJob }
  const late = yield* chat.ask({ message: "Open on Sundays?" }, { ...wait, within: "1 second" })
    .pipe(
      IdempotencyKey.provideNew,
      Effect.flip
    )
  console.log(SiteChat.userMessage(late))
  for (const { requestId } of jobs.values()) {
    console.log((yield* chat.resume(requestId, wait)).answer)
  }

  // Documents, synced twice: the second run sends what the first has not.
  const pages = ["hours", "prices", "contact"].map((sourceId) =>
    ({ kind: "text", sourceId, title: sourceId, content: `All about ${sourceId}.` }) as const
  )
  for (const some of [pages.slice(0, 2), pages]) {
    const { done, skipped } = yield* Bulk.forEach(
      some,
      chat.syncDocument,
      SiteChat.documentSync(tenant)
    )
    console.log(`documents: ${done} sent, ${skipped} there already, ${documents} created`)
  }
}).pipe(Effect.scoped)

await Effect.runPromise(
  Effect.provide(program, [IdempotencyStore.layerStoreMemory, FetchHttpClient.layer])
)
