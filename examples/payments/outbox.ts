/** What the client must not forget: which key an order was sent under, and when that was made. */
import { Effect, Redacted, Schema } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as fs from "node:fs"
import * as path from "node:path"

const Entry = Schema.parseJson(Schema.Struct({ key: Schema.String, madeAt: Schema.Number }))

/**
 * The key of an order. It is on the disk before anybody sees it, so that a process which dies after
 * sending finds it again; a key that is made anew after a crash would be a second order.
 */
export const keyOf = (folder: string, order: string) =>
  Effect.gen(function*() {
    const file = path.join(folder, `${encodeURIComponent(order)}.json`)
    if (fs.existsSync(file)) {
      const { key, madeAt } = yield* Schema.decode(Entry)(fs.readFileSync(file, "utf8"))
      return yield* IdempotencyKey.fromString(key, { madeAt })
    }
    const key = yield* IdempotencyKey.make
    fs.mkdirSync(folder, { recursive: true })
    // Written aside and then renamed: half a key is never read.
    const entry = yield* Schema.encode(Entry)({
      key: Redacted.value(key.value),
      madeAt: key.madeAt
    })
    fs.writeFileSync(`${file}.new`, entry, { flush: true })
    fs.renameSync(`${file}.new`, file)
    return key
  })
