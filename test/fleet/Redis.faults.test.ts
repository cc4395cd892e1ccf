import { expect, it } from "@effect/vitest"
import { Effect, Logger, LogLevel, Option, Random } from "effect"
import type * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as Redis from "effect-resilience/fleet/Redis"
import { Redis as Client } from "ioredis"
import { afterAll, beforeAll, describe } from "vitest"
import { startFaultyWire, type WireFault } from "../support/faultyWire.js"
import { pause, type Server, without } from "../support/processes.js"
import {
  type Cluster,
  isInstalled,
  startCluster,
  startRedis,
  until,
  url
} from "../support/redis.js"
import { runs } from "../support/runs.js"
import { batch, count, everything, open, secret, storeOn } from "./redis.js"

if (!isInstalled) without("Redis")

const asked = <A>(ask: () => Promise<A>) => Effect.promise(ask)

/** Asks until there is an answer. */
const answered = (
  store: FleetStore.Service,
  member: string,
  commands: ReadonlyArray<FleetStore.Command> = [open("back")]
) =>
  asked(async () => {
    let reply: FleetStore.Reply | undefined
    await until(async () => {
      reply = await Effect.runPromise(store.exchange(batch(member, commands)))
      return true
    })
    return reply!
  })

describe.skipIf(!isInstalled)("Redis, faults", () => {
  let server: Server
  let client: Client
  beforeAll(async () => {
    server = await startRedis()
    client = new Client(url(server.port))
    client.on("error", () => undefined)
  })
  afterAll(async () => {
    client.disconnect()
    await server.stop()
  })

  it.scopedLive(
    "F9: killed, it fails at once; restarted empty, it has another seed",
    () =>
      Effect.gen(function*() {
        const store = yield* storeOn(server.port)
        const before = yield* store.exchange(batch("a", [open("c")]))
        yield* asked(() => server.kill())
        const startedAt = performance.now()
        for (let tries = 0; tries < 5; tries++) {
          expect((yield* Effect.flip(store.exchange(batch("a", [])))).retryable).toBe(true)
        }
        expect(performance.now() - startedAt).toBeLessThan(2000)
        yield* asked(() => server.restart())
        yield* asked(() => until(() => client.flushall().then(() => true)))
        const after = yield* answered(store, "a", [])
        expect(after.seed).not.toBe(before.seed)
        expect(after.changes).toEqual([])
        const view = before.changes[0]!
        const { changes } = yield* store.exchange(batch("a", [{ op: "known", view }]))
        expect(changes).toMatchObject([{ name: "c", epoch: 1, open: true }])
      }),
    20_000
  )

  it.scopedLive(
    "F9: frozen, an exchange can be given up, and goes on when it wakes",
    () =>
      Effect.gen(function*() {
        const store = yield* storeOn(server.port)
        yield* store.exchange(batch("a", []))
        server.signal("SIGSTOP")
        const startedAt = performance.now()
        const given = yield* Effect.timeoutOption(store.exchange(batch("a", [])), "100 millis")
        expect(Option.isNone(given)).toBe(true)
        // Nothing hangs: the command ends by itself too.
        const error = yield* Effect.flip(store.exchange(batch("a", [])))
        expect(error.retryable).toBe(true)
        expect(performance.now() - startedAt).toBeLessThan(3000)
        server.signal("SIGCONT")
        const { stale } = yield* answered(store, "a")
        expect(stale).toBe(false)
      }),
    20_000
  )

  it.scopedLive(
    "F9: a replica that takes no writes refuses, and nothing is changed",
    () =>
      Effect.gen(function*() {
        const store = yield* storeOn(server.port)
        yield* answered(store, "a", [count("replica")])
        yield* asked(() => client.replicaof("127.0.0.1", 1))
        const error = yield* Effect.flip(store.exchange(batch("a", [count("replica", 99)])))
        expect(error.retryable).toBe(true)
        yield* asked(() => client.replicaof("NO", "ONE"))
        const { answers } = yield* answered(store, "b", [count("replica", 1)])
        expect(answers).toMatchObject([{ calls: 11 }])
      }),
    20_000
  )

  it.scopedLive("F9: at maxmemory a batch is refused as a whole, whatever it says", () =>
    Effect.gen(function*() {
      const store = yield* storeOn(server.port)
      yield* answered(store, "a", [count("full")])
      const keys = yield* asked(() => client.keys("*"))
      const dump = () => asked(() => Promise.all(keys.map((key) => client.dumpBuffer(key))))
      const before = yield* dump()
      yield* asked(() => client.config("SET", "maxmemory", "1"))
      for (const command of everything) {
        const said = Effect.flip(store.exchange(batch("m", [command])))
        expect((yield* said).retryable).toBe(true)
      }
      expect((yield* Effect.flip(store.exchange(batch("a", everything)))).retryable).toBe(true)
      expect(yield* dump()).toEqual(before)
      expect(yield* asked(() => client.keys("*"))).toHaveLength(keys.length)
      yield* asked(() => client.config("SET", "maxmemory", "0"))
      const { answers } = yield* store.exchange(batch("b", [count("full", 1)]))
      expect(answers).toMatchObject([{ calls: 11 }])
    }))

  it.scopedLive("F9: the layer starts without a server, and says so", () =>
    Effect.gen(function*() {
      const port = 1
      const said: Array<string> = []
      const logger = Logger.make(({ message }) => said.push(String(message)))
      const store = yield* storeOn(port).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      expect(said).toEqual([
        "The fleet's store on Redis is not reachable yet; calls fail until it is"
      ])
      expect((yield* Effect.flip(store.exchange(batch("a", [])))).retryable).toBe(true)
    }))

  for (const kind of ["cut", "swallow"] as const) {
    it.scopedLive(
      `F9: ${kind} while it asks for pushes again, a member goes on, and hears them later`,
      () =>
        Effect.gen(function*() {
          const wire = yield* Effect.acquireRelease(
            asked(() => startFaultyWire(server.port)),
            ({ stop }) => asked(stop)
          )
          const rejections: Array<unknown> = []
          const unhandled = (reason: unknown) => void rejections.push(reason)
          yield* Effect.acquireRelease(
            Effect.sync(() => process.on("unhandledRejection", unhandled)),
            () => Effect.sync(() => process.off("unhandledRejection", unhandled))
          )
          const store = yield* storeOn(wire.port, { options: { commandTimeout: 200 } })
          const fleet = `pushes-${kind}`
          const isHeard = async () => {
            await Effect.runPromise(store.exchange(batch("a", [], { fleet })))
            const channels = await client.pubsub("CHANNELS", `*${fleet}*`)
            return Array.isArray(channels) && channels.length === 1
          }
          yield* asked(() => until(isHeard))
          wire.arm({ kind, skip: 0, millis: 50, only: "subscribe" })
          yield* asked(() => client.client("KILL", "TYPE", "pubsub"))
          yield* asked(() => until(async () => wire.happened() === 1))
          // Until the connection is cut, and its command would have run out of time.
          yield* asked(() => pause(300))
          yield* asked(() => until(isHeard))
          expect(rejections).toEqual([])
        }),
      20_000
    )
  }

  it.scopedLive(
    "F4: each outcome counts once over a wire that drops, cuts, delays and doubles",
    () =>
      Effect.gen(function*() {
        const wire = yield* Effect.acquireRelease(
          asked(() => startFaultyWire(server.port)),
          ({ stop }) => asked(stop)
        )
        const options = { options: { commandTimeout: 200, connectTimeout: 200 } }
        const stores = [yield* storeOn(wire.port, options), yield* storeOn(wire.port, options)]
        const sound = yield* storeOn(server.port)
        const kinds = ["swallow", "cut", "part", "delay", "refuse", "duplicate"] as const
        let faults = 0
        for (let round = 0; round < runs(60, 12); round++) {
          const fleet = `wire-${round}`
          const kind: WireFault["kind"] = kinds[round % kinds.length]!
          const before = wire.happened()
          wire.arm({ kind, skip: yield* Random.nextIntBetween(0, 6), millis: 60 })
          const last = [0, 0]
          let sequence = 0
          for (let step = 0; step < 12; step++) {
            const member = step % 2
            const calls = yield* Random.nextIntBetween(1, 100)
            const said = batch(`m${member}`, [count("c", calls)], { fleet, sequence: ++sequence })
            // Given up early now and then: the batch may have arrived, and comes again.
            const asking = stores[member]!.exchange(said)
            const reply = yield* Effect.option(
              step % 5 === 4 ? Effect.timeout(asking, "5 millis") : asking
            )
            last[member] = calls
            if (Option.isNone(reply)) {
              yield* asked(() => pause(20))
              const again = yield* Effect.option(sound.exchange(said))
              expect(Option.isSome(again)).toBe(true)
            }
          }
          wire.calm()
          // What was held up on its way is late now, and changes nothing.
          yield* asked(() => pause(70))
          const { answers } = yield* sound.exchange(batch("x", [count("c", 0)], { fleet }))
          expect([kind, answers[0]]).toMatchObject([kind, { calls: last[0]! + last[1]!, heard: 3 }])
          faults += wire.happened() - before
        }
        expect(faults).toBeGreaterThan(6)
      }).pipe(
        Effect.withRandom(Random.make(process.env["TEST_SEED"] ?? "")),
        Logger.withMinimumLogLevel(LogLevel.None)
      ),
    60_000
  )
})

describe.skipIf(!isInstalled)("Redis Cluster, a fleet", () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  }, 60_000)
  afterAll(() => cluster.stop())

  const storeOf = (options: Partial<Redis.Options> = {}) =>
    storeOn(0, {
      secret,
      url: undefined,
      cluster: [{ host: "127.0.0.1", port: cluster.masters[2]!.server.port }],
      ...options
    })

  it.scopedLive(
    "F14: fleets work on a cluster, each in one slot, and hear pushes",
    () =>
      Effect.gen(function*() {
        const [one, other] = [yield* storeOf(), yield* storeOf()]
        const slots = new Set<number>()
        for (let n = 0; n < 12; n++) {
          const fleet = `fleet-${n}`
          const { answers } = yield* one.exchange(batch("a", everything, { fleet }))
          expect(answers).toHaveLength(everything.length)
          const { changes, members } = yield* other.exchange(batch("b", [], { fleet }))
          expect([members, changes.length]).toEqual([2, 3])
        }
        for (const { client } of cluster.masters) {
          for (const key of yield* asked(() => client.keys("*"))) {
            const slot = yield* asked(() => client.cluster("KEYSLOT", key))
            slots.add(Number(slot))
          }
        }
        expect(slots.size).toBe(12)
      }),
    20_000
  )

  it.scopedLive(
    "F14: what refuses subscriptions for a while is heard later",
    () =>
      Effect.gen(function*() {
        const store = yield* storeOf()
        const fleet = "refused"
        // It is any node that is subscribed to, the replica too.
        const nodes = [...cluster.masters, cluster.replica]
        const everywhere = (ask: (client: Client) => Promise<unknown>) =>
          Promise.all(nodes.map(({ client }) => ask(client)))
        const isHeard = async () => {
          await Effect.runPromise(store.exchange(batch("a", [], { fleet })))
          const channels = await everywhere((client) => client.pubsub("CHANNELS", "*"))
          return channels.flat().length > 0
        }
        yield* asked(() => until(isHeard))
        yield* asked(() => everywhere((client) => client.acl("SETUSER", "default", "-subscribe")))
        yield* asked(() => everywhere((client) => client.client("KILL", "TYPE", "pubsub")))
        yield* asked(() => pause(300))
        expect(yield* asked(isHeard)).toBe(false)
        yield* asked(() => everywhere((client) => client.acl("SETUSER", "default", "+subscribe")))
        yield* asked(() => until(isHeard))
      }),
    20_000
  )

  it.scopedLive(
    "F9: a slot that moves while it is asked loses nothing",
    () =>
      Effect.gen(function*() {
        const store = yield* storeOf()
        const fleet = "moving"
        yield* store.exchange(batch("a", [open("c"), count("d")], { fleet, seed: "seed moving" }))
        const key = `${Redis.defaults.prefix}{${fleet}}:1:f`
        const slot = Number(yield* asked(() => cluster.masters[0]!.client.cluster("KEYSLOT", key)))
        const owners = yield* asked(() =>
          Promise.all(
            cluster.masters.map(async (node) =>
              [node, await node.client.cluster("COUNTKEYSINSLOT", slot)] as const
            )
          )
        )
        const from = owners.find(([, keys]) => Number(keys) > 0)![0]
        const to = cluster.masters.find((node) => node !== from)!
        yield* asked(() => to.client.cluster("SETSLOT", slot, "IMPORTING", from.id))
        yield* asked(() => from.client.cluster("SETSLOT", slot, "MIGRATING", to.id))
        const keys = yield* asked(() => from.client.cluster("GETKEYSINSLOT", slot, 100))
        for (const moved of keys.map(String)) {
          yield* asked(() => from.client.migrate("127.0.0.1", to.server.port, moved, 0, 1000))
          // Refused before it begins, or done as a whole.
          yield* Effect.ignore(store.exchange(batch("a", [count("d", 7), open("e")], { fleet })))
        }
        for (const node of [to, from]) {
          yield* asked(() => node.client.cluster("SETSLOT", slot, "NODE", to.id))
        }
        const reply = yield* asked(async () => {
          let found: FleetStore.Reply | undefined
          await until(async () => {
            found = await Effect.runPromise(store.exchange(batch("b", [count("d", 1)], { fleet })))
            return true
          })
          return found!
        })
        expect(reply.seed).toBe("seed moving")
        expect(reply.changes.map(({ name }) => name)).toContain("c")
      }),
    30_000
  )
})
