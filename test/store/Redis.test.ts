import { expect, it } from "@effect/vitest"
import { Effect, Either, Layer, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import { IdempotencyStore, type Service, StoreError } from "effect-resilience/IdempotencyStore"
import * as Redis from "effect-resilience/store/Redis"
import { Redis as Client } from "ioredis"
import { afterAll, beforeAll, describe } from "vitest"
import { suite } from "../suites/idempotencyStore.js"
import { type Server, without } from "../support/processes.js"
import { isInstalled, startRedis, url } from "../support/redis.js"
import { refusal } from "../support/refusal.js"
import { sharedLayer } from "../support/sharedLayer.js"

const secret = "secret"

describe("Redis", () => {
  it("I28, I31: nonsense is refused where the layer is made, with field and value", () => {
    const refused = (options: Partial<Redis.Options>) =>
      refusal(() => Redis.layer({ secret, ...options }))
    expect([
      refused({ prefix: "a{b}" }),
      refused({ timeSource: "sun" as "clock" }),
      refused({ options: { commandTimeout: 0 } }),
      refused({ options: { connectTimeout: Infinity } }),
      refused({ secret: "" })
    ]).toEqual([
      "prefix should be a text without braces, got \"a{b}\"",
      "timeSource should be \"clock\" or \"store\", got \"sun\"",
      "options.commandTimeout should be a whole number of at least 1, got 0",
      "options.connectTimeout should be a whole number of at least 1, got Infinity",
      "secret should be a text that is not empty"
    ])
  })
})

if (!isInstalled) without("Redis")

describe.skipIf(!isInstalled)("Redis, the server", () => {
  let server: Server
  let client: Client
  beforeAll(async () => {
    server = await startRedis()
    client = new Client(url(server.port))
  })
  afterAll(async () => {
    client.disconnect()
    await Promise.all(shared.map((layer) => layer.close()))
    await server.stop()
  })

  const layer = (options: Partial<Redis.Options> = {}) =>
    Layer.unwrapEffect(
      Effect.sync(() => Redis.layer({ secret, url: url(server.port), ...options }))
    )

  const shared = [
    sharedLayer(layer()),
    sharedLayer(layer({ timeSource: "clock", prefix: "clocked:" }))
  ] as const
  suite("Redis, its time", shared[0].layer, { timeSource: "store" })
  suite("Redis, the program's time", shared[1].layer)

  const minute = 60_000
  const day = 86_400_000

  const claim = (keyHash: string, owner: string) => ({
    scope: "s",
    keyHash,
    fingerprint: "payload",
    owner,
    leaseMillis: minute,
    timeToLiveMillis: minute
  })

  const held = (keyHash: string, owner: string) => ({ ...claim(keyHash, owner), generation: 1 })

  /** The names of records under a prefix. */
  const names = (prefix: string) => Effect.promise(() => client.keys(`${prefix}*`))

  /** A store that has a part of the server to itself. */
  const apart = (prefix: string, body: (store: Service) => Effect.Effect<void, unknown>) =>
    Effect.flatMap(IdempotencyStore, body).pipe(Effect.provide(layer({ prefix })))

  it.live("I11, I20: Redis itself forgets a completed record after its time to live, an unfinished one a day after its lease, each with a minute's grace", () =>
    apart("lives:", (store) =>
      Effect.gen(function*() {
        const left = Effect.map(
          Effect.flatMap(names("lives:"), ([name = ""]) => Effect.promise(() => client.pttl(name))),
          (millis) => Math.round(millis / minute)
        )
        yield* store.acquire(claim("k", "a"))
        const claimed = yield* left
        yield* store.extend(held("k", "a"), 2 * day)
        const extended = yield* left
        yield* store.complete(held("k", "a"), "done", 10 * minute)
        expect([claimed, extended, yield* left]).toEqual([
          day / minute + 2,
          3 * day / minute + 1,
          11
        ])
      })))

  it.live("I14: a stale owner changes nothing, not even how long the record lives", () =>
    apart("stale:", (store) =>
      Effect.gen(function*() {
        yield* store.acquire(claim("k", "a"))
        const [name = ""] = yield* names("stale:")
        const seen = Effect.promise(
          async () => [await client.hgetall(name), await client.pexpiretime(name)]
        )
        const before = yield* seen
        const stale = held("k", "b")
        const answers = [
          yield* store.complete(stale, "late", 1000),
          yield* store.release(stale),
          yield* store.extend(stale, 1000),
          yield* store.savepoint(stale, "late")
        ]
        expect([answers, yield* seen]).toEqual([["stale", "stale", "stale", "stale"], before])
      })))

  const damages: ReadonlyArray<readonly [what: string, field: string, value: string]> = [
    ["a newer version", "version", "2"],
    ["an unknown state", "state", "melted"],
    ["a generation that is no number", "generation", "x"],
    ["a time that is no number", "expires_at", "x"],
    ["a lease that is no number", "lease_until", "x"],
    ["no outcome", "state", "completed"]
  ]
  for (const [what, field, value] of damages) {
    it.live(`I27: a record with ${what} is corrupt for everybody who asks, and stays as it is`, () =>
      apart(`${what}:`, (store) =>
        Effect.gen(function*() {
          yield* store.acquire(claim("k", "a"))
          const [name = ""] = yield* names(`${what}:`)
          yield* Effect.promise(() => client.hset(name, field, value))
          const seen = Effect.promise(() => client.hgetall(name))
          const before = yield* seen
          const corrupt = Either.left(new StoreError({ operation: "acquire", corrupt: true }))
          expect([
            yield* Effect.either(store.acquire(claim("k", "b"))),
            yield* Effect.either(
              store.acquire({ ...claim("renamed", "b"), previousKeyHashes: ["k"] })
            ),
            yield* Effect.either(store.savepoint(held("k", "x"), "data")),
            yield* seen
          ]).toEqual([
            corrupt,
            corrupt,
            Either.left(new StoreError({ operation: "savepoint", corrupt: true })),
            before
          ])
        })))
  }

  it.live("I12: a server that has forgotten the scripts is told them again", () =>
    apart("flushed:", (store) =>
      Effect.gen(function*() {
        yield* store.acquire(claim("k", "a"))
        yield* Effect.promise(() => client.script("FLUSH"))
        expect((yield* store.acquire(claim("k", "b")))._tag).toBe("InFlight")
      })))

  it.live("I30: all names of one scope share what decides on the slot in a cluster, those of another scope do not", () =>
    apart("slots:", (store) =>
      Effect.gen(function*() {
        yield* store.acquire(claim("k1", "a"))
        yield* store.acquire(claim("k2", "a"))
        yield* store.acquire({ ...claim("k1", "a"), scope: "other" })
        const tags = (yield* names("slots:")).map((name) => /{(.+)}/.exec(name)?.[1])
        expect([tags.length, new Set(tags).size]).toEqual([3, 2])
      })))

  it.live("I30: a prefix among the options comes before that of the store, whatever signs are in it", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      yield* store.acquire(claim("k", "a"))
      yield* store.complete(held("k", "a"), "done", 1)
      yield* Effect.sleep("5 millis")
      const [name = ""] = yield* names("ap\\*p:")
      expect([name.startsWith("ap*p:re?c:{"), yield* store.sweep(1)]).toEqual([true, 1])
    }).pipe(Effect.provide(layer({ prefix: "re?c:", options: { keyPrefix: "ap*p:" } }))))

  it.live("I12: sweep leaves alone what is not a record of this store", () =>
    apart("mine:", (store) =>
      Effect.gen(function*() {
        yield* Effect.promise(() => client.set("mine:{text}", "text"))
        yield* Effect.promise(() => client.hset("mine:{hash}", "field", "value"))
        expect([yield* store.sweep(10), (yield* names("mine:")).length]).toEqual([0, 2])
      })))

  describe("I34: at maxmemory with noeviction", () => {
    /** From before to after, the server has no memory left for a write. */
    const full = <A, E>(self: Effect.Effect<A, E>) =>
      Effect.acquireUseRelease(
        Effect.promise(() => client.config("SET", "maxmemory", "1")),
        () => self,
        () => Effect.promise(() => client.config("SET", "maxmemory", "0"))
      )

    const refused = Either.left(new StoreError({ operation: "acquire" }))

    it.live("I34: a claim is refused, whatever is there of its record, and writes nothing", () =>
      apart("full-claims:", (store) =>
        Effect.gen(function*() {
          yield* store.acquire({ ...claim("lapsed", "a"), leaseMillis: 1 })
          yield* store.acquire(claim("released", "a"))
          yield* store.release(held("released", "a"))
          yield* store.acquire(claim("owned", "a"))
          yield* store.acquire({ ...claim("earlier", "a"), leaseMillis: 1 })
          yield* store.acquire(claim("over", "a"))
          yield* store.complete(held("over", "a"), "done", 1)
          yield* Effect.sleep("5 millis")
          const before = yield* names("full-claims:")
          const answers = yield* full(Effect.forEach(
            [
              claim("new", "b"),
              claim("lapsed", "b"),
              claim("released", "b"),
              claim("owned", "a"),
              claim("over", "b"),
              { ...claim("renamed", "b"), previousKeyHashes: ["earlier"] }
            ],
            (asked) => Effect.either(store.acquire(asked))
          ))
          const after = yield* names("full-claims:")
          expect([answers, after.toSorted()]).toEqual([
            [refused, refused, refused, refused, refused, refused],
            before.toSorted()
          ])
        })))

    it.live("I34: what has begun can complete, be released, be extended and keep a savepoint", () =>
      apart("full-ends:", (store) =>
        Effect.gen(function*() {
          for (const key of ["completed", "released", "extended"]) {
            yield* store.acquire(claim(key, "a"))
          }
          const kept = yield* full(Effect.all([
            store.savepoint(held("completed", "a"), "half way"),
            store.complete(held("completed", "a"), "x".repeat(10_000), minute),
            store.release(held("released", "a")),
            store.savepoint(held("extended", "a"), "half way"),
            store.extend(held("extended", "a"), 2 * minute)
          ]))
          const during = yield* full(store.acquire(claim("completed", "b")))
          const inFlight = yield* full(store.acquire(claim("extended", "b")))
          expect([kept, during, inFlight._tag]).toEqual([
            ["ok", "ok", "ok", "ok", "ok"],
            { _tag: "Completed", outcome: "x".repeat(10_000) },
            "InFlight"
          ])
          expect((yield* store.acquire(claim("released", "b")))._tag).toBe("Acquired")
        })))

    it.live("I34: a run is refused and executes nothing, and one that has begun is recorded and replayed", () =>
      Effect.gen(function*() {
        let executions = 0
        const run = (name: string, before: Effect.Effect<unknown>) =>
          Effect.flatMap(
            IdempotencyKey.fromString(name),
            (key) =>
              Effect.zipRight(before, Effect.sync(() => ++executions)).pipe(
                Idempotency.run({ scope: ["full"], payload: 1, result: Schema.Number }),
                IdempotencyKey.provide(key),
                Effect.either,
                Effect.map(Either.mapLeft(({ _tag }) => _tag))
              )
          )
        const fills = Effect.promise(() => client.config("SET", "maxmemory", "1"))
        const begun = yield* run("begun", fills)
        const refusal = yield* run("new", Effect.void)
        const replayed = yield* run("begun", Effect.void)
        yield* Effect.promise(() => client.config("SET", "maxmemory", "0"))
        expect([begun, refusal, replayed, executions]).toEqual([
          Either.right(1),
          Either.left("StoreUnavailable"),
          Either.right(1),
          1
        ])
      }).pipe(Effect.provide(layer({ prefix: "full-runs:" }))))
  })

  it.live("I34: a server that was demoted is left, and its connection made anew", () =>
    apart("demoted:", (store) =>
      Effect.gen(function*() {
        const ids = Effect.promise(async () => String(await client.client("LIST")))
        const connections = Effect.map(
          ids,
          (list): ReadonlyArray<string> => list.match(/^id=\d+/gm) ?? []
        )
        yield* store.acquire(claim("k", "a"))
        const before = yield* connections
        yield* Effect.promise(() => client.replicaof("127.0.0.1", 1))
        const during = yield* Effect.either(store.acquire(claim("k2", "a")))
        yield* Effect.promise(() => client.replicaof("NO", "ONE"))
        const later = yield* Effect.retry(
          Effect.delay(store.acquire(claim("k2", "a")), "50 millis"),
          { times: 40 }
        )
        const after = yield* connections
        expect([during, later._tag, after.every((id) => before.includes(id))]).toEqual([
          Either.left(new StoreError({ operation: "acquire" })),
          "Acquired",
          false
        ])
      })))

  it.live("I31: whatever the options say no command is queued or sent again, and its failure is soon", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      yield* store.acquire(claim("options", "a"))
      server.signal("SIGSTOP")
      const [took, hung] = yield* Effect.timed(Effect.either(store.acquire(claim("options", "b"))))
      server.signal("SIGCONT")
      expect([hung, Number(took.value._tag === "Millis" ? took.value.millis : 0) < 2000]).toEqual([
        Either.left(new StoreError({ operation: "acquire" })),
        true
      ])
    }).pipe(
      Effect.provide(
        layer({
          options: {
            commandTimeout: 200,
            enableOfflineQueue: true,
            maxRetriesPerRequest: null,
            autoResendUnfulfilledCommands: true
          }
        })
      )
    ))
})
