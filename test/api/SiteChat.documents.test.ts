import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { Operation } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as Bulk from "effect-resilience/Bulk"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Server from "../support/siteChatServer.js"
import { virtualHttp } from "../support/virtualHttp.js"
import { file, key, written } from "./siteChat.js"

const documents = (count: number): ReadonlyArray<SiteChat.Document> =>
  Array.from({ length: count }, (_, index) =>
    index % 5 === 4
      ? { ...file, sourceId: `file-${index}` }
      : { ...written, sourceId: `page-${index}` })

const sync = SiteChat.documentSync({ ...Server.known })

describe("SiteChat.documentSync, over real HTTP", () => {
  it.effect("a second run sends nothing that has succeeded, and the log is from source to document", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make()
      const chat = yield* Effect.provide(
        SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known }),
        layer
      )
      const all = documents(6)
      const job = (items: ReadonlyArray<SiteChat.Document>) =>
        Bulk.forEach(items, chat.syncDocument, sync)
      const { exit } = yield* run(
        Effect.provide(
          Effect.all([job(all.slice(0, 4)), job(all)]),
          IdempotencyStore.layerStoreMemory
        )
      )
      const runs = Exit.isSuccess(exit) ? exit.value : []
      expect(runs.map(({ done, failed, skipped }) => [done, skipped, failed])).toEqual([[4, 0, 0], [
        2,
        4,
        0
      ]])
      expect(runs.at(-1)?.results.map((result) => "value" in result && result.value.document_id))
        .toHaveLength(6)
      expect(api.records.documents.length).toBe(6)
    }).pipe(Effect.scoped))

  it.effect("pauses when the error rate increases, goes on, and no document is created twice", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make({
        script: ({ index }) =>
          index >= 10 && index < 30 ? FlakyApi.unavailable({ when: "after" }) : FlakyApi.none
      })
      const chat = yield* Effect.provide(
        SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known }),
        layer
      )
      const { exit } = yield* run(
        Effect.provide(
          Bulk.forEach(documents(40), chat.syncDocument, { ...sync, concurrency: 2, retries: 20 }),
          IdempotencyStore.layerStoreMemory
        )
      )
      const summary = Exit.isSuccess(exit) ? exit.value : undefined
      expect([summary?.done, summary?.failed, (summary?.pauses ?? 0) > 0]).toEqual([40, 0, true])
      expect([api.records.documents.length, new Set(api.records.documents).size]).toEqual([40, 40])
    }).pipe(Effect.scoped))

  it.effect.each([401, 403])(
    "a %i ends the job instead of a storm",
    (status) =>
      Effect.gen(function*() {
        const { layer, run } = yield* virtualHttp
        const api = yield* Server.make({ script: () => FlakyApi.status(status) })
        const chat = yield* Effect.provide(
          SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known }),
          layer
        )
        const { exit } = yield* run(
          Effect.provide(
            Bulk.forEach(documents(50), chat.syncDocument, { ...sync, concurrency: 1 }),
            IdempotencyStore.layerStoreMemory
          )
        )
        expect([
          Exit.isSuccess(exit) && Option.isSome(exit.value.stopped),
          (yield* api.received).length
        ]).toEqual([
          true,
          1
        ])
      }).pipe(Effect.scoped)
  )

  it.effect("E4: without keys, a document that may have been created is not sent again", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make({ script: () => FlakyApi.unavailable({ when: "after" }) })
      const chat = yield* Effect.provide(
        SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known, writes: Operation.once }),
        layer
      )
      const demandsNoKey: Effect.Effect<SiteChat.CreatedDocument, SiteChat.Failure> = chat
        .createDocument(written)
      expect(Effect.isEffect(demandsNoKey)).toBe(true)
      yield* run(Bulk.forEach(documents(3), chat.syncDocument, { pauseWhen: false }))
      expect([(yield* api.received).length, api.records.documents.length]).toEqual([3, 3])
    }).pipe(Effect.scoped))

  it.effect("other content under the same source and revision is a mismatch, another revision is another document", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make()
      const chat = yield* Effect.provide(
        SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known }),
        layer
      )
      const changed: ReadonlyArray<SiteChat.Document> = [
        file,
        { ...file, content: new TextEncoder().encode("We open at ten.") }
      ]
      const { exit } = yield* run(
        Effect.provide(
          Bulk.forEach(changed, chat.syncDocument, { ...sync, concurrency: 1 }),
          IdempotencyStore.layerStoreMemory
        )
      )
      const results = Exit.isSuccess(exit) ? exit.value.results : []
      expect(results.map((result) => result._tag === "Failed" ? result.error._tag : result._tag))
        .toEqual([
          "Done",
          "Mismatch"
        ])
      expect(sync.syncLog.id({ ...file, revision: "2" })).not.toBe(sync.syncLog.id(file))
    }).pipe(Effect.scoped))
})
