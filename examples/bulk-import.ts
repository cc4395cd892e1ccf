/**
 * A thousand documents into an API that fails for a while: `npx tsx examples/bulk-import.ts [url]`
 *
 * It pauses when too much fails, goes on after a trial that succeeds, and writes every document
 * that is stored into a sync log on disk. Kill it and start it again: what has been stored is not
 * sent again. Without a url it brings its own server.
 */
import { HttpClientRequest } from "@effect/platform"
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { Console, Effect, Layer, Redacted, Schema } from "effect"
import { ApiClient, Backoff, Bulk, Operation } from "effect-resilience"
import * as Sql from "effect-resilience/store/Sql"
import * as fs from "node:fs"
import { type Document, documents, line } from "./bulk/documents.js"
import { server } from "./bulk/server.js"

const [given, folder = "examples/out/bulk"] = process.argv.slice(2)
fs.mkdirSync(folder, { recursive: true })

const Stored = Schema.Struct({ document_id: Schema.String })

const syncLog = Bulk.syncLog({
  scope: ["acme", "documents"],
  id: ({ source }: Document) => source,
  result: Stored,
  lease: "2 seconds"
})

let wasPaused = false
const onProgress = (progress: Bulk.Progress) => {
  const news = progress.paused !== wasPaused ||
    (progress.done + progress.skipped + progress.failed) % 200 === 0
  wasPaused = progress.paused
  return news ? Console.log(line(progress)) : Effect.void
}

const program = Effect.gen(function*() {
  const client = yield* ApiClient.make({ name: "documents", baseUrl: given ?? (yield* server).url })
  const upload = (document: Document) =>
    ApiClient.execute(
      client,
      HttpClientRequest.post("/v1/documents").pipe(HttpClientRequest.bodyUnsafeJson(document)),
      ApiClient.json(Stored)
    ).pipe(ApiClient.withOperation(Operation.keyed))
  const { done, failed, pauses, skipped } = yield* Bulk.forEach(documents, upload, {
    concurrency: 8,
    pauseWhen: { failureRate: 0.25, openDuration: "300 millis" },
    backoff: Backoff.exponential({ base: "20 millis", cap: "1 second" }),
    syncLog,
    onProgress
  })
  const word = pauses > 0 ? "paused and went on" : "never paused"
  yield* Console.log(
    `${done + skipped} of ${documents.length} documents are stored, ${failed} failed, it ${word}`
  )
})

// One write to the disk for many records: a killed process loses none of them.
const relaxed = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => Effect.zip(sql`PRAGMA journal_mode = WAL`, sql`PRAGMA synchronous = NORMAL`)
)
const store = Sql.layer({ secret: Redacted.make("only for the example") }).pipe(
  Layer.provide(Layer.effectDiscard(relaxed)),
  Layer.provide(LibsqlClient.layer({ url: `file:${folder}/sync-log.db` }))
)

program.pipe(
  Effect.scoped,
  Effect.provide([store, NodeHttpClient.layerUndici]),
  NodeRuntime.runMain
)
