/**
 * What a circuit costs that a fleet shares: added to a call, in exchanges with the store, and beside
 * effect 4.1's circuit breaker on the same Redis, which asks Redis for every call.
 *
 * One member of each, the circuit closed, the body one increment. Without a `redis-server` only the
 * store in memory is measured, and it is said.
 */
import { Context, Duration, Effect, Exit, Layer, Scope } from "effect"
import { CircuitBreaker } from "effect-resilience"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as FleetRedis from "effect-resilience/fleet/Redis"
import {
  Context as Context4,
  Effect as Effect4,
  Exit as Exit4,
  Layer as Layer4,
  Scope as Scope4
} from "effect4"
import { CircuitBreaker as Breaker4, Redis as Redis4 } from "effect4/persistence"
import { Redis as Client } from "ioredis"
import * as RedisServer from "../test/support/redis.js"
import { effect, gated, measure } from "./measure.js"

let calls = 0
const bare = Effect.sync(() => ++calls)
const bare4 = Effect4.sync(() => ++calls)

const window = CircuitBreaker.time("30 seconds")

const scope = Effect.runSync(Scope.make())

let exchanges = 0

/** The same store, and how often it was asked. */
const counted = (store: Layer.Layer<FleetStore.FleetStore>) =>
  Layer.map(store, (context) => {
    const service = Context.get(context, FleetStore.FleetStore)
    return Context.make(FleetStore.FleetStore, {
      ...service,
      exchange: (batch) => {
        exchanges++
        return service.exchange(batch)
      }
    })
  })

const shared = (store: Layer.Layer<FleetStore.FleetStore>): Promise<CircuitBreaker.Shared> => {
  const fleet = Layer.provide(Fleet.layer({ name: "bench" }), counted(store))
  return Effect.runPromise(
    Effect.flatMap(
      Layer.buildWithScope(fleet, scope),
      (context) => Effect.provide(CircuitBreaker.makeShared({ name: "bench", window }), context)
    )
  )
}

const added = async (name: string, breaker: CircuitBreaker.CircuitBreaker): Promise<boolean> => {
  const local = Effect.runSync(CircuitBreaker.make({ window }))
  const nanos = await measure({
    bare: effect(bare),
    local: effect(local.protect(bare)),
    shared: effect(breaker.protect(bare))
  }, { calls: 50_000, rounds: 9 })
  console.log(
    `  ${name}: local ${nanos.local.toFixed(0)} ns, shared ${nanos.shared.toFixed(0)} ns, ` +
      `bare ${nanos.bare.toFixed(0)} ns`
  )
  return gated(
    `a shared circuit, ${name}: added / added by a local one`,
    (nanos.shared - nanos.bare) / (nanos.local - nanos.bare),
    1.5
  )
}

/** A million calls in turn. */
const million = async (name: string, breaker: CircuitBreaker.CircuitBreaker): Promise<boolean> => {
  const before = exchanges
  const begun = performance.now()
  await effect(breaker.protect(bare))(1_000_000)
  const millis = performance.now() - begun
  const asked = exchanges - before
  const most = Math.ceil(millis / Duration.toMillis(Fleet.defaults.interval)) + 1
  console.log(`  a million calls, ${name}: ${millis.toFixed(0)} ms, ${asked} exchanges`)
  return gated(`a million calls, ${name}: exchanges / intervals`, asked / most, 1)
}

/** The circuit breaker of effect 4.1 on Redis, through a client of ioredis. */
const onRedis4 = async (port: number) => {
  const client = new Client(RedisServer.url(port))
  const fails = (cause: unknown) => new Redis4.RedisError({ cause })
  const send = <A>(command: string, ...args: ReadonlyArray<string>) =>
    Effect4.tryPromise({
      try: () => client.call(command, ...args) as Promise<A>,
      catch: fails
    })
  const redis = Layer4.effect(
    Redis4.Redis,
    Redis4.make({
      send,
      subscribe: () => Effect4.die(new Error("the breaker subscribes to nothing")),
      connect: Effect4.die(new Error("the breaker reserves no connection"))
    })
  )
  const scope4 = Scope4.makeUnsafe()
  const context = await Effect4.runPromise(
    Layer4.buildWithScope(Breaker4.layerStoreRedis().pipe(Layer4.provide(redis)), scope4)
  )
  const breaker = await Effect4.runPromise(
    Breaker4.make({
      tripPolicy: Breaker4.rate({ threshold: 0.5, size: 20 }),
      openDuration: "30 seconds"
    }).pipe(
      Effect4.provideContext(context),
      Effect4.provideContext(Context4.make(Scope4.Scope, scope4))
    )
  )
  const close = async () => {
    await Effect4.runPromise(Scope4.close(scope4, Exit4.void))
    client.disconnect()
  }
  return { breaker, close }
}

const peers = 32

const p99Of = (nanos: ReadonlyArray<number>): number =>
  nanos.toSorted((a, b) => a - b)[Math.floor(nanos.length * 0.99)] ?? Number.NaN

/** So many callers at a time; calls in a second, and the 99th percentile in milliseconds. */
const throughput = async (call: () => Promise<unknown>, count: number) => {
  const took: Array<number> = []
  let left = count
  const caller = async () => {
    while (left-- > 0) {
      const begun = performance.now()
      await call()
      took.push(performance.now() - begun)
    }
  }
  const begun = performance.now()
  await Promise.all(Array.from({ length: peers }, caller))
  return { perSecond: count * 1000 / (performance.now() - begun), p99: p99Of(took) }
}

const besideEffect4 = async (breaker: CircuitBreaker.CircuitBreaker, port: number) => {
  const theirs = await onRedis4(port)
  const call4 = theirs.breaker.execute(bare4, { key: "default" })
  const call = breaker.protect(bare)
  const run4 = () => Effect4.runPromise(call4)
  const run = () => Effect.runPromise(call)
  for (const warm of [run, run4]) await throughput(warm, 2000)
  const [ours, other] = [await throughput(run, 50_000), await throughput(run4, 10_000)]
  await theirs.close()
  console.log(
    `  ${peers} callers on one Redis: ${ours.perSecond.toFixed(0)} calls a second, p99 ${
      ours.p99.toFixed(3)
    } ms; effect 4.1 ${other.perSecond.toFixed(0)}, p99 ${other.p99.toFixed(3)} ms`
  )
  return gated(
    "a shared circuit on Redis: throughput of effect 4.1's / of ours",
    other.perSecond / ours.perSecond,
    1
  )
}

const frozenSeconds = 10

/** So many callers at a time for some seconds, each a turn of the event loop after its last call. */
const during = async (seconds: number, call: () => Promise<Exit.Exit<unknown, unknown>>) => {
  const took: Array<number> = []
  let failed = 0
  const end = performance.now() + seconds * 1000
  const caller = async () => {
    for (let begun = performance.now(); begun < end; begun = performance.now()) {
      const exit = await call()
      took.push(performance.now() - begun)
      if (Exit.isFailure(exit)) failed++
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await Promise.all(Array.from({ length: peers }, caller))
  return { calls: took.length, failed, p99: p99Of(took) }
}

/** Redis stands still for ten seconds, as a server does that swaps or is moved. */
const whileFrozen = async (
  breaker: CircuitBreaker.CircuitBreaker,
  server: Awaited<ReturnType<typeof RedisServer.startRedis>>
): Promise<boolean> => {
  const call = breaker.protect(bare)
  const run = () => Effect.runPromise(Effect.exit(call))
  await during(2, run)
  const whole = await during(frozenSeconds, run)
  const before = exchanges
  server.signal("SIGSTOP")
  const frozen = await during(frozenSeconds, run)
  server.signal("SIGCONT")
  console.log(
    `  Redis frozen for ${frozenSeconds} s, ${peers} callers: p99 ${frozen.p99.toFixed(3)} ms, ` +
      `${frozen.failed} of ${frozen.calls} calls failed, ${exchanges - before} exchanges tried; ` +
      `not frozen p99 ${whole.p99.toFixed(3)} ms, ${whole.failed} of ${whole.calls} failed`
  )
  return [
    gated("a shared circuit, Redis frozen: p99 added, ms", frozen.p99 - whole.p99, 1),
    gated("a shared circuit, Redis frozen: calls that failed", frozen.failed, 0)
  ].every(Boolean)
}

export const run = async (): Promise<boolean> => {
  console.log("A circuit that a fleet shares, closed, ns per call (fastest of 9 rounds of 50,000)")
  const memory = await shared(FleetStore.layerMemory)
  const kept = [await added("memory", memory), await million("memory", memory)]
  if (!RedisServer.isInstalled) {
    console.log("  no redis-server is here: not measured on Redis")
  } else {
    const server = await RedisServer.startRedis()
    const redis = await shared(
      FleetRedis.layer({ url: RedisServer.url(server.port), secret: "bench" })
    )
    kept.push(
      await added("Redis", redis),
      await million("Redis", redis),
      await besideEffect4(redis, server.port),
      await whileFrozen(redis, server)
    )
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await server.stop()
  }
  return kept.every(Boolean)
}
