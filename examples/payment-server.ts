/**
 * A server that charges once, whatever its clients and its own process go through:
 * `npx tsx examples/payment-server.ts [folder] [port]`
 *
 * Keys, responses and charges are in a database file in the folder. Stop the server, start it
 * again, and a request that was answered before is answered with the same receipt.
 */
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { Console, Effect, Layer, Redacted, Schema } from "effect"
import * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import * as Sql from "effect-resilience/store/Sql"
import * as fs from "node:fs"
import { createServer } from "node:http"

const [folder = "examples/out/payments", port = "0"] = process.argv.slice(2)
fs.mkdirSync(folder, { recursive: true })

const database = LibsqlClient.layer({ url: `file:${folder}/payments.db` })

/** Keys are kept as an HMAC under this secret. */
const secret = Redacted.make(process.env["PAYMENTS_SECRET"] ?? "only for the example")

const Charge = Schema.Struct({ order: Schema.String, cents: Schema.Int.pipe(Schema.positive()) })

/** The bank. It takes the money first and says so a second later. */
const charge = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const { cents, order } = yield* HttpServerRequest.schemaBodyJson(Charge)
  yield* sql`INSERT INTO charges (customer_order, cents) VALUES (${order}, ${cents})`
  yield* Effect.sleep("1 second")
  const [{ receipt }] = yield* Schema.decodeUnknown(
    Schema.Tuple(Schema.Struct({ receipt: Schema.Number }))
  )(
    yield* sql`SELECT max(id) AS receipt FROM charges`
  )
  return yield* HttpServerResponse.json({ order, receipt }, { status: 201 })
})

const once = IdempotencyMiddleware.make({
  // Here the operation alone. Where there are customers, the customer too.
  scope: () => ["payments", "charge"],
  required: true
})

const charges = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  return yield* HttpServerResponse.json(yield* sql`SELECT id, customer_order, cents FROM charges`)
})

const router = HttpRouter.empty.pipe(
  // A client that goes away does not stop a charge half way: it ends, and its response is recorded.
  HttpRouter.post("/charges", once(charge), { uninterruptible: true }),
  HttpRouter.get("/charges", charges)
)

const table = Layer.effectDiscard(
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql`CREATE TABLE IF NOT EXISTS charges (id INTEGER PRIMARY KEY, customer_order TEXT, cents INTEGER)`
  )
)

const announce = HttpServer.addressFormattedWith((address) => Console.log(address))

const server = Layer.effectDiscard(announce).pipe(
  Layer.provide(HttpServer.serve(router)),
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: Number(port), host: "127.0.0.1" })),
  Layer.provide(Layer.merge(Sql.layer({ secret }), table)),
  Layer.provide(database)
)

NodeRuntime.runMain(Layer.launch(server))
