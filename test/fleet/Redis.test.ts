import { expect, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Inspectable, Redacted, Stream } from "effect"
import * as Redis from "effect-resilience/fleet/Redis"
import { Redis as Client } from "ioredis"
import { afterAll, beforeAll, beforeEach, describe } from "vitest"
import { type Server, without } from "../support/processes.js"
import { isInstalled, startRedis, until, url } from "../support/redis.js"
import { refusal } from "../support/refusal.js"
import { runs } from "../support/runs.js"
import { batch, count, everything, open, secret, storeOn } from "./redis.js"

describe("Redis", () => {
  it("F17: nonsense is refused where the layer is made, with field and value", () => {
    const refused = (options: Partial<Redis.Options>) =>
      refusal(() => Redis.layer({ secret, ...options }))
    expect([
      refused({ prefix: "a{b}" }),
      refused({ options: { commandTimeout: 0 } }),
      refused({ cluster: [] }),
      refused({ cluster: ["redis://127.0.0.1:1"], url: "redis://127.0.0.1:1" }),
      refused({ secret: "" })
    ]).toEqual([
      "prefix should be a text without braces, got \"a{b}\"",
      "options.commandTimeout should be a whole number of at least 1, got 0",
      "cluster.length should be a whole number of at least 1, got 0",
      "url should be absent beside cluster, got \"a URL\"",
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
  beforeEach(() => client.flushall())
  afterAll(async () => {
    client.disconnect()
    await server.stop()
  })

  const store = (options: Partial<Redis.Options> = {}) =>
    Effect.suspend(() => storeOn(server.port, options))

  const asked = <A>(ask: () => Promise<A>) => Effect.promise(ask)

  it.scopedLive("F7: what changes is pushed to the members of the fleet, and to no others", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* store(), yield* store()]
      const heard: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(
          other.pushes,
          ({ changes, fleet }) =>
            Effect.sync(() => heard.push(`${fleet} ${changes.map(({ name }) => name).join()}`))
        )
      )
      yield* other.exchange(batch("b", []))
      let opened = 0
      yield* asked(() =>
        until(async () => {
          await Effect.runPromise(
            one.exchange(batch("a", [open("elsewhere")], { fleet: "another" }))
          )
          await Effect.runPromise(one.exchange(batch("a", [count("c"), open(`c${opened++}`)])))
          return heard.length > 3
        })
      )
      expect(new Set(heard.map((text) => text.slice(0, 7)))).toEqual(new Set(["fleet c"]))
    }))

  it.scopedLive("F7: without pushes there are none, and replies tell the same", () =>
    Effect.gen(function*() {
      const quiet = yield* store({ push: false })
      const listener = new Client(url(server.port))
      const heard: Array<string> = []
      listener.on("pmessage", (_, channel: string) => heard.push(channel))
      yield* asked(() => listener.psubscribe("*"))
      yield* quiet.exchange(batch("a", [open("c")]))
      const { changes } = yield* quiet.exchange(batch("b", []))
      expect(changes).toMatchObject([{ name: "c", open: true }])
      expect(Chunk.size(yield* Stream.runCollect(quiet.pushes))).toBe(0)
      const loud = yield* store()
      yield* loud.exchange(batch("a", [open("d")]))
      yield* asked(() => until(async () => heard.length > 0))
      expect(heard).toHaveLength(1)
      listener.disconnect()
    }))

  it.scopedLive("F7: pushes come again after their connection was cut", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* store(), yield* store()]
      let heard = 0
      yield* Effect.forkScoped(Stream.runForEach(other.pushes, () => Effect.sync(() => heard++)))
      let opened = 0
      const hears = () =>
        until(async () => {
          const before = heard
          await Effect.runPromise(Effect.ignore(other.exchange(batch("b", []))))
          await Effect.runPromise(Effect.ignore(one.exchange(batch("a", [open(`c${opened++}`)]))))
          await new Promise((resolve) => setTimeout(resolve, 5))
          return heard > before
        })
      yield* asked(hears)
      yield* asked(() => client.call("CLIENT", "KILL", "TYPE", "pubsub"))
      yield* asked(hears)
    }))

  it.scopedLive("F7: a user who may neither publish nor subscribe is a member all the same", () =>
    Effect.gen(function*() {
      yield* asked(() =>
        client.call("ACL", "SETUSER", "mute", "on", ">pass", "~*", "resetchannels", "+@all")
      )
      const options = { username: "mute", password: "pass" }
      const mute = yield* store({ options })
      yield* mute.exchange(batch("a", [open("c")]))
      yield* mute.exchange(batch("a", [open("d")]))
      const { changes } = yield* mute.exchange(batch("b", []))
      expect(changes).toHaveLength(2)
    }))

  it.scopedLive("F14: every key expires, and all are in one slot", () =>
    Effect.gen(function*() {
      const one = yield* store()
      yield* one.exchange(batch("a", everything))
      const keys = yield* asked(() => client.keys("*"))
      expect(keys.length).toBeGreaterThan(12)
      const lives = yield* asked(() => Promise.all(keys.map((key) => client.pttl(key))))
      expect(Math.min(...lives)).toBeGreaterThan(0)
      expect(Math.max(...lives)).toBeLessThanOrEqual(7 * 86_400_000 + 3_600_000)
      expect(new Set(keys.map((key) => /^[^{]*\{([^}]+)\}/.exec(key)?.[1])).size).toBe(1)
    }))

  it.scopedLive("F14: names are HMACs; another secret, fleet or prefix is another fleet", () =>
    Effect.gen(function*() {
      const one = yield* store()
      const others = [
        yield* store({ secret: Redacted.make("another") }),
        yield* store({ prefix: "another:" })
      ]
      const said = (of: typeof one, fleet = "fleet") =>
        batch(of.name("a"), [open(of.name("circuit"))], { fleet: of.name(fleet) })
      expect(one.name("a")).toMatch(/^[\da-f]{32}$/)
      expect(others.map((other) => other.name("a") === one.name("a"))).toEqual([false, true])
      yield* one.exchange(said(one))
      for (
        const [of, fleet] of [[others[0]!, "fleet"], [others[1]!, "fleet"], [one, "b"]] as const
      ) {
        const { changes, members } = yield* of.exchange(said(of, fleet))
        expect([members, changes.length]).toEqual([1, 1])
      }
      const keys = yield* asked(() => client.keys("*"))
      expect(keys.filter((key) => /circuit/.test(key))).toEqual([])
    }))

  it.scopedLive("F14: 2 KiB a used key at most, and 200 bytes more a member with calls", () =>
    Effect.gen(function*() {
      const one = yield* store({ push: false })
      const bytes = () =>
        asked(async () => {
          const keys = await client.keys("*")
          const sizes = await Promise.all(keys.map((key) => client.memory("USAGE", key)))
          return sizes.reduce<number>((sum, size) => sum + Number(size ?? 0), 0)
        })
      const circuits = 20
      for (const members of [1, 10, 100, 400]) {
        yield* asked(() => client.flushall())
        const ids = Array.from({ length: members }, (_, n) => one.name(`m${n}`))
        yield* Effect.forEach(ids, (id) => one.exchange(batch(id, [])), { concurrency: 20 })
        const before = yield* bytes()
        const counts = Array.from(
          { length: circuits },
          (_, n) => count(one.name(`c${n}`), 1000 + n)
        )
        yield* Effect.forEach(ids, (id) => one.exchange(batch(id, counts)), { concurrency: 20 })
        const each = ((yield* bytes()) - before) / circuits
        expect(each).toBeLessThan(2048 + 200 * members)
        const limits = Array.from({ length: circuits }, (_, n) => ({
          op: "permits" as const,
          name: one.name(`b${n}`),
          concurrency: 1000,
          held: 0,
          need: 3
        }))
        const after = yield* bytes()
        yield* Effect.forEach(ids, (id) => one.exchange(batch(id, limits)), { concurrency: 20 })
        expect(((yield* bytes()) - after) / circuits).toBeLessThan(2048 + 200 * members)
      }
      // An open circuit with its trials and those that failed one.
      yield* asked(() => client.flushall())
      const before = yield* bytes()
      const name = one.name("c")
      for (let n = 0; n < 40; n++) {
        const id = one.name(`t${n}`)
        const epoch = n + 1
        yield* one.exchange(batch(one.name(`m${n}`), [
          ...(n === 0 ? [open(name, { openMillis: 0 })] : []),
          { op: "trial", name, epoch, id, trials: 10, timeout: 60_000, grace: 0 },
          {
            op: "trialEnd",
            name,
            epoch,
            id,
            result: "bad",
            wait: 0,
            badLimit: 1,
            goodLimit: 1,
            openMillis: 0,
            openings: n
          }
        ], { last: true, memberTimeout: 1 }))
      }
      for (let n = 0; n < 10; n++) {
        const id = one.name(`t${n}`)
        yield* one.exchange(batch("m", [
          { op: "trial", name, epoch: 41, id, trials: 10, timeout: 60_000, grace: 0 }
        ]))
      }
      const key = (yield* asked(() => client.keys("*:r:*")))[0] ?? ""
      expect(Number(yield* asked(() => client.memory("USAGE", key)))).toBeLessThan(2048)
      expect(before).toBe(0)
    }))

  it.scopedLive("F19: an exchange among 1,000 members says no more than among 10", () =>
    Effect.gen(function*() {
      const one = yield* store({ push: false })
      const sizes: Array<number> = []
      for (const members of [10, 1000]) {
        const fleet = `of ${members}`
        yield* Effect.forEach(
          Array.from({ length: members }, (_, n) => n),
          (n) => one.exchange(batch(`m${n}`, [count("c", 10)], { fleet })),
          { concurrency: 20 }
        )
        const reply = yield* one.exchange(batch("m0", [count("c", 10)], { fleet }))
        sizes.push(JSON.stringify(reply).length)
        expect(reply.answers).toMatchObject([{ calls: members * 10, heard: members }])
      }
      expect(sizes[1]! - sizes[0]!).toBeLessThan(20)
    }))

  const hostile: ReadonlyArray<readonly [what: string, put: (key: string) => Promise<unknown>]> = [
    ["text", (key) => client.set(key, "\u0000 not packed")],
    ["a number", (key) => client.set(key, "-1e400")],
    ["a huge text", (key) => client.set(key, "x".repeat(1_000_000))],
    ["a list", (key) => client.del(key).then(() => client.rpush(key, "a", "b"))],
    ["a set", (key) => client.del(key).then(() => client.sadd(key, "a", "b"))],
    ["a hash", (key) => client.del(key).then(() => client.hset(key, { a: "NaN", b: "1e308" }))],
    [
      "a sorted set",
      (key) => client.del(key).then(() => client.zadd(key, "-inf", "a", "inf", "b", 0, "c"))
    ],
    ["a stream", (key) => client.del(key).then(() => client.xadd(key, "*", "a", "b"))],
    ["nothing", (key) => client.del(key)]
  ]

  /** Numbers, texts and lists of a packed record, replaced within it. */
  const spoil = `
    local ok, value = pcall(cmsgpack.unpack, redis.call('GET', KEYS[1]))
    if not ok or type(value) ~= 'table' then return 0 end
    local evil = { 0/0, 1/0, -1, 1e18, 'text', {}, true, 0.5 }
    local names = {}
    for name in pairs(value) do table.insert(names, tostring(name)) end
    table.sort(names)
    value[names[1 + tonumber(ARGV[1]) % #names]] = evil[1 + tonumber(ARGV[2]) % #evil]
    redis.call('SET', KEYS[1], cmsgpack.pack(value))
    return #names
  `

  it.scopedLive(
    "F15: hostile values in any key throw nothing, and are dropped",
    () =>
      Effect.gen(function*() {
        const one = yield* store({ push: false })
        const works = (what: string) =>
          Effect.gen(function*() {
            for (const member of ["a", "b"]) {
              const { answers, stale } = yield* one.exchange(batch(member, everything))
              expect([what, stale, answers.length]).toEqual([what, false, everything.length])
              expect([what, answers.includes(null)]).toEqual([what, false])
            }
            const late = yield* one.exchange(batch("a", [], { sequence: 0 }))
            expect([what, late.stale]).toEqual([what, true])
          })
        yield* works("at first")
        const keys = yield* asked(() => client.keys("*"))
        for (const key of keys) {
          for (const [what, put] of hostile) {
            yield* asked(() => put(key))
            yield* works(`${what} in ${key}`)
          }
        }
        const packed = yield* asked(async () => {
          const types = await Promise.all(keys.map((key) => client.type(key)))
          return keys.filter((_, index) => types[index] === "string")
        })
        expect(packed.length).toBeGreaterThan(5)
        for (const key of packed) {
          for (let field = 0; field < runs(20, 6); field++) {
            for (let value = 0; value < 8; value++) {
              yield* asked(() => client.eval(spoil, 1, key, field, value))
              yield* works(`${value} in ${field} of ${key}`)
            }
          }
        }
        for (const key of yield* asked(() => client.keys("*:m"))) {
          for (const value of ["", "x", "\u0094\u0001", "\u0000".repeat(9)]) {
            for (const member of yield* asked(() => client.hkeys(key))) {
              yield* asked(() => client.hset(key, member, value))
            }
            yield* works(`${value} in ${key}`)
          }
        }
        for (const key of yield* asked(() => client.keys("*:s:*"))) {
          for (const value of ["", "-1 -1 -1 9", "nan nan nan 1", "1e99 1 1 0", "9".repeat(400)]) {
            for (const mark of yield* asked(() => client.hkeysBuffer(key))) {
              yield* asked(() => client.hset(key, mark, value))
            }
            yield* works(`${value} in ${key}`)
          }
        }
      }),
    60_000
  )

  it.scopedLive("F15: a hostile end of an opening is no opening for ever", () =>
    Effect.gen(function*() {
      const one = yield* store({ push: false })
      yield* one.exchange(batch("a", [open("c", { openMillis: Infinity })]))
      const [view] = (yield* one.exchange(batch("b", []))).changes
      expect(view).toMatchObject({ open: true })
      expect(view?.kind === "circuit" && view.left).toBeLessThanOrEqual(3.2e12)
      const nonsense = { epoch: Number.NaN, openMillis: -1, openings: 0.5 }
      for (const [field, value] of Object.entries(nonsense)) {
        const { answers } = yield* one.exchange(batch("a", [open("d", { [field]: value })]))
        expect(answers).toEqual([null])
      }
      const many = Array.from({ length: 201 }, () => count("c"))
      const { retryable } = yield* Effect.flip(one.exchange(batch("a", many)))
      expect(retryable).toBe(false)
    }))

  it.scopedLive("an interrupted exchange leaves the connection as it was", () =>
    Effect.gen(function*() {
      const one = yield* store()
      yield* one.exchange(batch("a", []))
      for (let tries = 0; tries < 20; tries++) {
        const fiber = yield* Effect.fork(one.exchange(batch("a", everything)))
        if (tries % 2 === 0) yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
      }
      expect((yield* one.exchange(batch("a", [count("circuit")]))).stale).toBe(false)
    }))

  it.scopedLive("scripts that Redis has forgotten are sent again", () =>
    Effect.gen(function*() {
      const one = yield* store()
      yield* one.exchange(batch("a", []))
      yield* asked(() => client.script("FLUSH"))
      expect((yield* one.exchange(batch("a", [open("c")]))).answers).toMatchObject([{ done: true }])
    }))

  it.scopedLive("no secret is told in a failure; a user who is not let in need not come again", () =>
    Effect.gen(function*() {
      const password = "the password"
      const options = { username: "unknown", password }
      const one = yield* store({ options, url: Redacted.make(url(server.port)) })
      const error = yield* Effect.flip(one.exchange(batch("a", [])))
      const said = `${error.message} ${error.stack} ${Inspectable.toStringUnknown(error)}`
      expect(said).not.toContain(password)
      expect(said).not.toContain(secret)
      yield* asked(() =>
        client.call("ACL", "SETUSER", "weak", "on", ">pass", "~*", "-@all", "+info")
      )
      const weak = yield* store({ options: { username: "weak", password: "pass" } })
      expect((yield* Effect.flip(weak.exchange(batch("a", [])))).retryable).toBe(false)
    }))
})
