import { FetchHttpClient, type Headers } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import {
  Rpc,
  RpcClient,
  RpcClientError,
  RpcGroup,
  RpcSerialization,
  RpcServer,
  RpcTest
} from "@effect/rpc"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Chunk,
  Effect,
  Exit,
  Fiber,
  Layer,
  Mailbox,
  Option,
  Schema,
  Stream,
  TestClock
} from "effect"
import {
  ApiError,
  Backoff,
  Idempotency,
  IdempotencyKey,
  IdempotencyStore,
  Operation,
  Pipeline,
  Verdict
} from "effect-resilience"
import * as ProtectedRpc from "effect-resilience/http/Rpc"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { closedUrl, serve } from "../support/servers.js"
import { settle, until } from "../support/turns.js"

class Declined extends Schema.TaggedError<Declined>()("Declined", { code: Schema.String }) {}

class Shop extends RpcGroup.make(
  Rpc.make("Charge", {
    payload: { cents: Schema.Number },
    success: Schema.String,
    error: Declined
  }),
  Rpc.make("Read", { payload: { id: Schema.Number }, success: Schema.String }),
  Rpc.make("Ship", { success: Schema.String }),
  Rpc.make("Busy", { success: Schema.Void, error: ApiError.ApiError }),
  Rpc.make("Watch", {
    payload: { until: Schema.Number },
    success: Schema.Number,
    error: Declined,
    stream: true
  })
).merge(RpcGroup.make(Rpc.make("Get", { success: Schema.String })).prefix("orders.")) {}

const operation = (tag: string): Operation.Operation<unknown> => {
  switch (tag) {
    case "Charge":
      return Operation.keyed
    case "Ship":
      return Operation.once
    default:
      return Operation.read
  }
}

/** What the server has seen: the tags of the procedures that ran, and the keys they came with. */
const shop = () => {
  const seen: Array<readonly [tag: string, key: string | undefined]> = []
  const note = (tag: string, headers: Headers.Headers) => {
    seen.push([tag, headers["idempotency-key"]])
  }
  let receipts = 0
  const charge = (cents: number) =>
    cents < 0
      ? Effect.fail(new Declined({ code: "negative" }))
      : Effect.sync(() => `receipt ${++receipts}: ${cents}`)
  const handlers = Shop.toLayer({
    Charge: ({ cents }, { headers }) =>
      Effect.gen(function*() {
        note("Charge", headers)
        const key = yield* Effect.orDie(IdempotencyKey.fromHeader(headers["idempotency-key"] ?? ""))
        return yield* charge(cents).pipe(
          Idempotency.run({
            scope: ["shop", "Charge"],
            payload: { cents },
            result: Schema.String
          }),
          IdempotencyKey.provide(key),
          Effect.catchAll((error) =>
            error._tag === "Declined" ? Effect.fail(error) : Effect.die(error)
          )
        )
      }),
    Read: ({ id }, { headers }) => Effect.sync(() => (note("Read", headers), `item ${id}`)),
    Ship: (_, { headers }) => Effect.sync(() => (note("Ship", headers), "shipped")),
    Busy: (_, { headers }) =>
      Effect.suspend(() => {
        note("Busy", headers)
        return seen.length < 3 ? new ApiError.RateLimit({ message: "slow down" }) : Effect.void
      }),
    Watch: ({ until }, { headers }) =>
      Stream.suspend(() => {
        note("Watch", headers)
        const numbers = Stream.range(1, Math.abs(until))
        return until < 0
          ? Stream.concat(numbers, Stream.fail(new Declined({ code: "over" })))
          : numbers
      }),
    "orders.Get": (_, { headers }) => Effect.sync(() => (note("orders.Get", headers), "an order"))
  })
  return { seen, handlers, receipts: () => receipts }
}

const retry = { retries: 3, backoff: Backoff.constant("1 millis") }

type Serialization = Layer.Layer<RpcSerialization.RpcSerialization>

/** A client of the package, over HTTP with the statuses checked. */
const plain = (url: string) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(ProtectedRpc.layerProtocolHttp({ url }))
    return yield* RpcClient.make(Shop).pipe(Effect.provide(context))
  })

/** A real server on node that fails as the script says, and a protected client for it. */
const connected = (
  script: FlakyApi.Script,
  options: { readonly wire?: Serialization; readonly retries?: number } = {}
) =>
  Effect.gen(function*() {
    const { handlers, receipts, seen } = shop()
    // The layers last as long as the test.
    const context = yield* Layer.build(
      Layer.mergeAll(
        options.wire ?? RpcSerialization.layerNdjson,
        NodeHttpClient.layerUndici,
        handlers
      ).pipe(
        Layer.provide(IdempotencyStore.layerStoreMemory)
      )
    )
    return yield* Effect.gen(function*() {
      const app = yield* RpcServer.toHttpApp(Shop)
      const server = yield* FlakyApi.make({ app, script })
      const pipeline = yield* Pipeline.make({
        operation: Operation.keyed,
        retry: { ...retry, retries: options.retries ?? retry.retries }
      })
      const client = ProtectedRpc.protect(yield* plain(server.url), Shop, { pipeline, operation })
      return { client, seen, receipts }
    }).pipe(Effect.provide(context))
  })

const wires: ReadonlyArray<readonly [string, Serialization]> = [
  ["JSON", RpcSerialization.layerJson],
  ["ndjson", RpcSerialization.layerNdjson],
  ["MessagePack", RpcSerialization.layerMsgPack]
]

describe("a real server", () => {
  for (const [name, wire] of wires) {
    it.scopedLive(`a charge that is refused, then loses its answer, is executed once, under one key: ${name}`, () =>
      Effect.gen(function*() {
        const { client, receipts, seen } = yield* connected(
          FlakyApi.sequence([FlakyApi.unavailable(), FlakyApi.reset({ when: "after" })]),
          { wire }
        )
        expect(yield* client.Charge({ cents: 900 })).toBe("receipt 1: 900")
        expect(seen.map(([tag]) => tag)).toEqual(["Charge", "Charge"])
        expect(seen[0]![1]).toMatch(/^[0-9a-f-]{36}$/)
        expect([new Set(seen.map(([, key]) => key)).size, receipts()]).toEqual([1, 1])
      }))
  }

  it.scopedLive("twenty charges at once, of which twenty answers are lost: one receipt each", () =>
    Effect.gen(function*() {
      const lost = Array.from({ length: 20 }, () => FlakyApi.reset({ when: "after" }))
      const { client, receipts, seen } = yield* connected(FlakyApi.sequence(lost), { retries: 20 })
      const answers = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, cents) => cents),
        (cents) => client.Charge({ cents }),
        { concurrency: "unbounded" }
      )
      const keys = new Set(seen.map(([, key]) => key))
      expect([new Set(answers).size, receipts(), seen.length, keys.size]).toEqual([20, 20, 40, 20])
    }))

  it.scopedLive("each call has a key of its own; the environment's and the caller's own header come first", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* connected(FlakyApi.sequence([]))
      const mine = yield* IdempotencyKey.fromString("order-1")
      yield* client.Charge({ cents: 1 })
      yield* client.Charge({ cents: 1 })
      yield* client.Charge({ cents: 2 }).pipe(IdempotencyKey.provide(mine))
      yield* client.Charge({ cents: 3 }, { headers: { "Idempotency-Key": "order-2" } })
      yield* client.Charge({ cents: 4 }).pipe(
        RpcClient.withHeaders({ "idempotency-key": "order-3" }),
        IdempotencyKey.provide(mine)
      )
      yield* client.Charge({ cents: 2 }, { headers: { "x-other": "stays" } }).pipe(
        IdempotencyKey.provide(mine)
      )
      const keys = seen.map(([, key]) => key)
      expect(keys.slice(2)).toEqual(["order-1", "order-2", "order-3", "order-1"])
      expect(new Set(keys.slice(0, 2)).size).toBe(2)
    }))

  it.scopedLive("the effect of a call can be run twice: two calls, two keys", () =>
    Effect.gen(function*() {
      const { client, receipts } = yield* connected(FlakyApi.sequence([]))
      const charge = client.Charge({ cents: 1 })
      expect([yield* charge, yield* charge, receipts()]).toEqual([
        "receipt 1: 1",
        "receipt 2: 1",
        2
      ])
    }))

  it.scopedLive("reads and calls that must not run twice send no key; a lost answer of the latter is not asked for again", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* connected(
        FlakyApi.sequence([
          FlakyApi.reset({ when: "after" }),
          FlakyApi.none,
          FlakyApi.reset({ when: "after" })
        ])
      )
      expect(yield* client.Read({ id: 7 })).toBe("item 7")
      const error = yield* Effect.flip(client.Ship())
      expect(seen).toEqual([["Read", undefined], ["Read", undefined], ["Ship", undefined]])
      expect(error).toMatchObject({
        _tag: "Network",
        sent: "unknown",
        endpoint: "Ship",
        attempts: 1
      })
    }))

  it.scopedLive("a prefixed procedure keeps its place in the client", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* connected(FlakyApi.sequence([FlakyApi.unavailable()]))
      expect([yield* client.orders.Get(), seen]).toEqual(["an order", [["orders.Get", undefined]]])
    }))

  it.scopedLive("what a procedure fails with is not repeated, and is what it was", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* connected(FlakyApi.sequence([]))
      const error = yield* Effect.flip(client.Charge({ cents: -1 }))
      expect([error, seen.length]).toEqual([new Declined({ code: "negative" }), 1])
    }))

  it.scopedLive("a declared failure that says of itself that another try may help is repeated", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* connected(FlakyApi.sequence([]))
      yield* client.Busy()
      expect(seen.length).toBe(3)
    }))

  it.scopedLive("a status that is no success is what it says, with the wait that the server asks for", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(() =>
        FlakyApi.status(429, { headers: { "retry-after": "7200" } })
      )
      const error = yield* Effect.flip(client.Read({ id: 1 }))
      expect(error).toMatchObject({ _tag: "RateLimit", status: 429, endpoint: "Read", attempts: 1 })
      expect(ApiError.verdict(error)).toEqual(
        Verdict.transient({ ambiguous: false, retryAfter: "2 hours" })
      )
    }))

  it.scopedLive("over the protocol of the package the status decides as well where the body is read as JSON", () =>
    Effect.gen(function*() {
      const server = yield* serve((response) => response.writeHead(503).end("<html>down</html>"))
      const context = yield* Layer.build(RpcClient.layerProtocolHttp({ url: server.url }))
      const client = ProtectedRpc.protect(
        yield* RpcClient.make(Shop).pipe(Effect.provide(context)),
        Shop,
        { pipeline: yield* Pipeline.make({ operation: Operation.read, retry }), operation }
      )
      const error = yield* Effect.flip(client.Read({ id: 1 }))
      expect([error, server.requests.length]).toMatchObject([{ _tag: "Server", status: 503 }, 4])
    }).pipe(Effect.provide([RpcSerialization.layerJson, FetchHttpClient.layer])))

  for (
    const [client, layer] of [["undici", NodeHttpClient.layerUndici], [
      "fetch",
      FetchHttpClient.layer
    ], ["node", NodeHttpClient.layer]] as const
  ) {
    it.scopedLive(`a server that is not there has executed nothing, so that even a call without a key is repeated: ${client}`, () =>
      Effect.gen(function*() {
        const pipeline = yield* Pipeline.make({ operation: Operation.once, retry })
        const client = ProtectedRpc.protect(yield* plain(yield* closedUrl), Shop, {
          pipeline,
          operation
        })
        const error = yield* Effect.flip(client.Ship())
        expect(error).toMatchObject({
          _tag: "Network",
          sent: "no",
          code: "ECONNREFUSED",
          endpoint: "Ship",
          attempts: 4
        })
      }).pipe(Effect.provide([RpcSerialization.layerJson, layer])))

    it.scopedLive(`an answer that breaks off is a lost answer, and a keyed call is repeated: ${client}`, () =>
      Effect.gen(function*() {
        const server = yield* serve((response, _, index) => {
          const text = JSON.stringify([{
            _tag: "Exit",
            requestId: JSON.parse(server.requests[index]!.body).id,
            exit: { _tag: "Success", value: "receipt" }
          }])
          response.writeHead(200, { "content-length": text.length })
          if (index > 0) response.end(text)
          else {
            response.write(text.slice(0, 10))
            response.socket?.end()
          }
        })
        const pipeline = yield* Pipeline.make({ operation: Operation.keyed, retry })
        const client = ProtectedRpc.protect(yield* plain(server.url), Shop, { pipeline, operation })
        expect([yield* client.Charge({ cents: 1 }), server.requests.length]).toEqual(["receipt", 2])
      }).pipe(Effect.provide([RpcSerialization.layerJson, layer])))
  }

  it.scoped("an answer without a result ends with the time limit of the attempt", () =>
    Effect.gen(function*() {
      const server = yield* serve((response) => response.writeHead(200).end())
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        attemptTimeout: "3 seconds",
        retry: { backoff: Backoff.constant(0), retries: 1 }
      })
      const client = ProtectedRpc.protect(yield* plain(server.url), Shop, { pipeline, operation })
      const call = yield* Effect.fork(Effect.flip(client.Read({ id: 1 })))
      for (const requests of [1, 2]) {
        yield* until(() => server.requests.length === requests)
        yield* TestClock.adjust("3 seconds")
      }
      expect(yield* Fiber.join(call)).toMatchObject({
        _tag: "Timeout",
        deadline: "attempt",
        attempts: 2
      })
    }).pipe(Effect.provide([RpcSerialization.layerNdjson, NodeHttpClient.layerUndici])))
})

describe("streams", () => {
  const numbers = (stream: Stream.Stream<number, unknown>) =>
    Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

  it.scopedLive("a stream is opened again until it has an element, over a real server", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* connected(
        FlakyApi.sequence([FlakyApi.unavailable(), FlakyApi.reset({ when: "after" })])
      )
      expect(yield* numbers(client.Watch({ until: 5 }))).toEqual([1, 2, 3, 4, 5])
      expect(seen.map(([tag]) => tag)).toEqual(["Watch", "Watch"])
    }))

  it.scopedLive("what a stream fails with after its first element comes through, and nothing is repeated", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* connected(FlakyApi.sequence([]))
      const read: Array<number> = []
      const exit = yield* Effect.exit(
        Stream.runForEach(client.Watch({ until: -2 }), (n) => Effect.sync(() => read.push(n)))
      )
      expect([read, exit, seen.length]).toEqual([
        [1, 2],
        Exit.fail(new Declined({ code: "over" })),
        1
      ])
    }))

  it.scopedLive("as a mailbox", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(FlakyApi.sequence([FlakyApi.unavailable()]))
      const mailbox = yield* client.Watch({ until: 3 }, { asMailbox: true })
      expect(yield* numbers(Mailbox.toStream(mailbox))).toEqual([1, 2, 3])
    }))

  /** A client whose stream is what the test says, and the openings and closings of it. */
  const scripted = (
    openings: ReadonlyArray<Stream.Stream<number, RpcClientError.RpcClientError | Declined>>
  ) =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const plain = yield* RpcTest.makeClient(Shop).pipe(Effect.provide(shop().handlers))
      let next = 0
      const Watch = (() =>
        Stream.unwrapScoped(Effect.suspend(() => {
          const index = next++
          events.push(`open ${index}`)
          return Effect.as(
            Effect.addFinalizer(() => Effect.sync(() => events.push(`close ${index}`))),
            openings[index]!
          )
        }))) as unknown as typeof plain.Watch
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry })
      const client = ProtectedRpc.protect({ ...plain, Watch }, Shop, { pipeline, operation })
      return { events, watch: client.Watch({ until: 1 }) }
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory))

  const broken = new RpcClientError.RpcClientError({ reason: "Protocol", message: "broke off" })

  it.scopedLive("one that fails before its first element is closed before the next is opened", () =>
    Effect.gen(function*() {
      const { events, watch } = yield* scripted([
        Stream.fail(broken),
        Stream.concat(Stream.fromChunk(Chunk.empty<number>()), Stream.fail(broken)),
        Stream.make(1, 2)
      ])
      expect([yield* numbers(watch), events]).toEqual([
        [1, 2],
        ["open 0", "close 0", "open 1", "close 1", "open 2", "close 2"]
      ])
    }))

  it.scopedLive("an empty stream is empty, and one that breaks off later fails with an ApiError", () =>
    Effect.gen(function*() {
      const { events, watch } = yield* scripted([
        Stream.empty,
        Stream.concat(Stream.make(1), Stream.fail(broken))
      ])
      expect(yield* numbers(watch)).toEqual([])
      const error = yield* Effect.flip(numbers(watch))
      expect(error).toMatchObject({ _tag: "Network", sent: "unknown", endpoint: "Watch" })
      expect(events).toEqual(["open 0", "close 0", "open 1", "close 1"])
    }))

  it.scopedLive("interrupted while it is opened, or while it is read, it is closed", () =>
    Effect.gen(function*() {
      const { events, watch } = yield* scripted([
        Stream.never,
        Stream.concat(Stream.make(1), Stream.never)
      ])
      for (const count of [1, 3]) {
        const reading = yield* Effect.fork(numbers(watch))
        yield* until(() => events.length === count)
        yield* settle
        yield* reading.interruptAsFork(reading.id())
        yield* until(() => events.length === count + 1)
      }
      expect(events).toEqual(["open 0", "close 0", "open 1", "close 1"])
    }))
})

describe("a client", () => {
  const withFailures = (failures: ReadonlyArray<unknown>) =>
    Effect.gen(function*() {
      let next = 0
      const plain = yield* RpcTest.makeClient(Shop).pipe(
        Effect.provide(shop().handlers),
        Effect.provide(IdempotencyStore.layerStoreMemory)
      )
      const Read = (() =>
        Effect.suspend(() =>
          next < failures.length ? Effect.fail(failures[next++]) : Effect.succeed("item")
        )) as unknown as typeof plain.Read
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        circuitBreaker: { minimumCalls: 2, window: { _tag: "Count", size: 2 } }
      })
      return ProtectedRpc.protect(Shop, { pipeline, operation })({ ...plain, Read })
    })

  it.scopedLive("transport failures open the breaker of the pipeline, which turns the next call away", () =>
    Effect.gen(function*() {
      const lost = new RpcClientError.RpcClientError({ reason: "Protocol", message: "lost" })
      const client = yield* withFailures([lost, lost])
      const ended = yield* Effect.forEach(
        [1, 2, 3],
        (id) => Effect.map(Effect.flip(client.Read({ id })), ({ _tag }) => _tag)
      )
      expect(ended).toEqual(["Network", "Network", "CircuitOpen"])
    }))

  it.scopedLive("the failures of a client of ours below come through as they are", () =>
    Effect.gen(function*() {
      const cause = new ApiError.Auth({ message: "who are you?", status: 401 })
      const client = yield* withFailures([
        new RpcClientError.RpcClientError({ reason: "Protocol", message: "no", cause })
      ])
      expect(yield* Effect.flip(client.Read({ id: 1 }))).toBe(cause)
    }))

  it.scopedLive("a defect of the server ends the call", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* connected(FlakyApi.sequence([]))
      const exit = yield* Effect.exit(
        client.Charge({ cents: 1 }, { headers: { "idempotency-key": "" } })
      )
      expect(Exit.isFailure(exit) && Option.isSome(Cause.dieOption(exit.cause))).toBe(true)
      expect(seen.length).toBe(1)
    }))

  it.scopedLive("inside an attempt of a keyed retry it makes no key of its own", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(FlakyApi.sequence([]))
      const outer = yield* Pipeline.make({ operation: Operation.keyed, retry })
      const call = client.Charge({ cents: 1 })
      const exit = yield* Effect.exit(
        Pipeline.protect(call, outer) as Effect.Effect<string, unknown>
      )
      expect(Exit.isFailure(exit) && Option.isSome(Cause.dieOption(exit.cause))).toBe(true)
    }))
})
