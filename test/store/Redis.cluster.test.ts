import { expect, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import { IdempotencyStore, type Service } from "effect-resilience/IdempotencyStore"
import * as Redis from "effect-resilience/store/Redis"
import { afterAll, beforeAll, describe } from "vitest"
import { suite } from "../suites/idempotencyStore.js"
import { pause, without } from "../support/processes.js"
import {
  type Cluster,
  type ClusterNode,
  isInstalled,
  startCluster,
  until
} from "../support/redis.js"
import { refusal } from "../support/refusal.js"
import { sharedLayer } from "../support/sharedLayer.js"

const secret = "secret"

const minute = 60_000

it("I34: nonsense about a cluster is refused where the layer is made", () => {
  const refused = (options: Partial<Redis.Options>) =>
    refusal(() => Redis.layer({ secret, ...options }))
  expect([
    refused({ cluster: [] }),
    refused({ cluster: ["redis://127.0.0.1:1"], url: "redis://127.0.0.1:1" })
  ]).toEqual([
    "cluster.length should be a whole number of at least 1, got 0",
    "url should be absent beside cluster, got \"a URL\""
  ])
})

if (!isInstalled) without("Redis, as a cluster,")

describe.skipIf(!isInstalled)("Redis Cluster", () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  }, 60_000)
  afterAll(async () => {
    await shared.close()
    await cluster.stop()
  })

  /** Knows one node from the start. */
  const layer = (options: Partial<Redis.Options> = {}) =>
    Layer.unwrapEffect(
      Effect.sync(() =>
        Redis.layer({
          secret,
          cluster: [{ host: "127.0.0.1", port: cluster.masters[2]!.server.port }],
          ...options
        })
      )
    )

  const shared = sharedLayer(layer())
  suite("Redis Cluster, its time", shared.layer, { timeSource: "store" })

  const claim = (scope: string, keyHash: string, owner: string) => ({
    scope,
    keyHash,
    fingerprint: "payload",
    owner,
    leaseMillis: minute,
    timeToLiveMillis: minute
  })

  const apart = (prefix: string, body: (store: Service) => Effect.Effect<void, unknown>) =>
    Effect.flatMap(IdempotencyStore, body).pipe(Effect.provide(layer({ prefix })))

  const onNode = <A>(f: () => Promise<A>) => Effect.promise(f)

  /** The names under a prefix, for each master. */
  const names = (prefix: string) =>
    onNode(() => Promise.all(cluster.masters.map(({ client }) => client.keys(`${prefix}*`))))

  /** A claim under a prefix, and the slot that its scope has. */
  const slotOf = (prefix: string) =>
    Effect.map(names(prefix), (all) => {
      const at = all.findIndex((names) => names.length > 0)
      const [name = ""] = all[at] ?? []
      return { at, name }
    }).pipe(
      Effect.flatMap(({ at, name }) =>
        onNode(async () => {
          const { client } = cluster.masters[at]!
          return {
            name,
            from: cluster.masters[at]!,
            slot: Number(await client.cluster("KEYSLOT", name))
          }
        })
      )
    )

  const onAll = (...words: ReadonlyArray<string>) =>
    Promise.all(cluster.masters.map(({ client }) => client.call("CLUSTER", ...words)))

  const otherThan = (node: ClusterNode): ClusterNode =>
    cluster.masters.find((other) => other !== node)!

  it.live("I34: scopes are spread over the nodes, each in one slot, and all are swept", () =>
    apart("spread:", (store) =>
      Effect.gen(function*() {
        for (let scope = 0; scope < 30; scope++) {
          for (const key of ["k1", "k2"]) {
            const asked = claim(`s${scope}`, key, "a")
            yield* store.acquire(asked)
            yield* store.complete({ ...asked, generation: 1 }, "done", 1)
          }
        }
        const all = yield* names("spread:")
        const tags = all.map((names) => new Set(names.map((name) => /{(.+)}/.exec(name)?.[1])))
        yield* Effect.sleep("5 millis")
        const swept = [yield* store.sweep(10), yield* store.sweep(1000)]
        expect([
          all.every((names) => names.length > 0),
          tags.map(({ size }) => size).reduce((a, b) => a + b),
          swept,
          (yield* names("spread:")).flat()
        ]).toEqual([true, 30, [10, 50], []])
      })))

  it.live("I34: a slot that has moved is followed, by a claim under several names too", () =>
    apart("moved:", (store) =>
      Effect.gen(function*() {
        yield* store.acquire(claim("s", "old", "a"))
        const { from, name, slot } = yield* slotOf("moved:")
        const to = otherThan(from)
        yield* onNode(async () => {
          await to.client.call("CLUSTER", "SETSLOT", String(slot), "IMPORTING", from.id)
          await from.client.call("CLUSTER", "SETSLOT", String(slot), "MIGRATING", to.id)
          await from.client.call("MIGRATE", "127.0.0.1", String(to.server.port), name, "0", "5000")
        })
        // Half way: the record is there already, its slot is not (ASK).
        const halfWay = yield* store.acquire(claim("s", "old", "b"))
        yield* onNode(() => onAll("SETSLOT", String(slot), "NODE", to.id))
        const after = yield* store.acquire(claim("s", "old", "b"))
        const renamed = yield* store.acquire({
          ...claim("s", "new", "a"),
          previousKeyHashes: ["old"]
        })
        expect([halfWay._tag, after._tag, renamed._tag]).toEqual([
          "InFlight",
          "InFlight",
          "Acquired"
        ])
      })))

  /** Asks until the store answers. */
  const answered = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.retry(Effect.delay(self, "25 millis"), { times: 200 })

  const isMaster = ({ client }: ClusterNode) => async () =>
    (await client.info("replication")).includes("role:master")

  /** A replica takes over from its master. It is asked again where the vote fails. */
  const promote = (replica: ClusterNode, master: ClusterNode) =>
    onNode(async () => {
      await until(async () =>
        (await replica.client.info("replication")).includes("master_link_status:up")
      )
      await until(async () => {
        await replica.client.call("CLUSTER", "FAILOVER").catch(() => undefined)
        await pause(250)
        return await isMaster(replica)() && !(await isMaster(master)())
      })
    })

  it.live(
    "I34: a node that is demoted is left: claims and outcomes are found where they are now",
    () =>
      apart("demoted:", (store) =>
        Effect.gen(function*() {
          const [first] = cluster.masters
          // Some scope of the first node.
          let scope = ""
          for (let n = 0; scope === ""; n++) {
            yield* store.acquire(claim(`s${n}`, "k", "a"))
            const held = yield* onNode(() => first!.client.keys("demoted:*"))
            if (held.length > 0) scope = `s${n}`
          }
          yield* promote(cluster.replica, first!)
          const during = yield* answered(store.acquire(claim(scope, "k", "b")))
          const kept = yield* answered(
            store.complete({ ...claim(scope, "k", "a"), generation: 1 }, "done", minute)
          )
          const replayed = yield* answered(store.acquire(claim(scope, "k", "b")))
          yield* promote(first!, cluster.replica)
          const back = yield* answered(store.acquire(claim(scope, "k", "b")))
          expect([during._tag, kept, replayed._tag, back._tag]).toEqual([
            "InFlight",
            "ok",
            "Completed",
            "Completed"
          ])
        })),
    30_000
  )

  it.live(
    "I23, I34: a node that dies fails its calls soon and only those, until its replica serves its slots",
    () =>
      Effect.gen(function*() {
        const [first] = cluster.masters
        const executed: Array<string> = []
        const run = (name: string) =>
          Effect.flatMap(IdempotencyKey.fromString(name), (key) =>
            Effect.sync(() => {
              executed.push(name)
              return name
            }).pipe(
              Idempotency.run({
                scope: [name],
                payload: 1,
                result: Schema.String,
                storeTimeout: "500 millis"
              }),
              IdempotencyKey.provide(key),
              Effect.match({ onFailure: ({ _tag }) => _tag, onSuccess: () => "done" })
            ))
        const all = Array.from({ length: 24 }, (_, n) => `dies-${n}`)
        const before = yield* Effect.forEach(all, run)
        yield* onNode(async () => {
          // What is written has to be copied, or nothing here promises anything.
          await first!.client.wait(1, 1000)
          await first!.server.kill()
        })
        const [took, during] = yield* Effect.timed(
          Effect.forEach(all, run, { concurrency: "unbounded" })
        )
        // A slot on its way to the node that is gone, which is asked for what is not here: that
        // leaves no unhandled rejection.
        const { client: second } = cluster.masters[1]!
        yield* onNode(async () => {
          const [name = ""] = await second.keys("dies:*")
          const slot = String(await second.cluster("KEYSLOT", name))
          await second.del(name)
          await second.call("CLUSTER", "SETSLOT", slot, "MIGRATING", first!.id)
          return slot
        }).pipe(
          Effect.tap(Effect.forEach(all, run, { concurrency: "unbounded" })),
          Effect.flatMap((slot) => onNode(() => second.call("CLUSTER", "SETSLOT", slot, "STABLE")))
        )
        yield* onNode(() => until(isMaster(cluster.replica)))
        const after: Array<string> = []
        for (const name of [...all, "dies-later"]) {
          after.push(
            yield* Effect.repeat(Effect.delay(run(name), "20 millis"), {
              until: (told) => told !== "StoreUnavailable",
              times: 300
            })
          )
        }
        yield* onNode(async () => {
          await first!.server.restart()
        })
        expect(before).toEqual(all.map(() => "done"))
        expect(new Set(during)).toEqual(new Set(["done", "StoreUnavailable"]))
        expect(Number(took.value._tag === "Millis" ? took.value.millis : 0)).toBeLessThan(3000)
        expect([after, executed.length]).toEqual([[...all, ""].map(() => "done"), all.length + 2])
      }).pipe(Effect.provide(layer({ prefix: "dies:" }))),
    // On a busy machine the cluster takes its time to agree on the replica.
    120_000
  )
})
