/** A tag whose policy is read: from a Config, a value of code, a file that changes. */
import { FileSystem } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Config,
  ConfigError,
  ConfigProvider,
  Effect,
  Layer,
  Logger,
  Metric,
  ParseResult,
  Queue,
  Stream,
  TestClock
} from "effect"
import { CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as PolicyFile from "effect-resilience/PolicyFile"
import { down } from "../support/errors.js"
import { refusalOf } from "../support/refusal.js"
import { endOf, failing, finish, secondly } from "./pipeline.js"

class Sites extends Pipeline.Tag("Sites")<Sites>()({
  operation: Operation.read,
  totalTimeout: "1 minute",
  circuitBreaker: { window: CircuitBreaker.count(1), minimumCalls: 1 }
}) {}

/** How many attempts a failing call becomes. */
const attempts = Effect.gen(function*() {
  const { action, calls } = failing(down)
  yield* finish(Sites.protect(action), "50 seconds")
  return calls.length
})

const lines = <E, R>(layer: Layer.Layer<Sites, E, R>) =>
  Effect.map(
    Effect.flip(Effect.scoped(Layer.build(layer))),
    (error) => error instanceof ParseResult.ParseError ? error.message.split("\n") : [String(error)]
  )

const from = (policy: unknown) => Sites.layerFrom(Effect.succeed(policy))

const retrying = (retries: number) => ({
  retry: { retries, backoff: { _tag: "Constant", delay: "1 second" } },
  circuitBreaker: { minimumCalls: 20 }
})

/** Log lines above the level of a debugger. */
const logged = () => {
  const said: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    said.push(`${logLevel.label} ${String(message)}`)
  })
  return { said, layer: Logger.replace(Logger.defaultLogger, logger) }
}

/** How often a policy was applied and kept. */
const reloads = (pipeline: string) =>
  Effect.map(Metric.snapshot, (pairs) =>
    ["applied", "kept"].map((outcome) => {
      const of = Object.entries({ pipeline, outcome })
      const pair = pairs.find(({ metricKey: { name, tags } }) =>
        name === "resilience.pipeline.reloads" &&
        of.every(([key, value]) => tags.some((tag) => tag.key === key && tag.value === value))
      )
      return Number((pair?.metricState as { readonly count?: number } | undefined)?.count ?? 0)
    }))

describe("layerFrom", () => {
  it.effect("takes a Config that holds JSON as text", () =>
    Effect.gen(function*() {
      const layer = Sites.layerFrom(Config.string("SITES"))
      const provider = ConfigProvider.fromMap(new Map([["SITES", JSON.stringify(retrying(4))]]))
      expect(yield* Effect.provide(attempts, layer).pipe(Effect.withConfigProvider(provider))).toBe(
        5
      )
    }))

  it.effect("fails as the Config does, where a variable is not there", () =>
    Effect.gen(function*() {
      const layer = Sites.layerFrom(Config.string("SITES"))
      const error = yield* Effect.flip(
        Effect.withConfigProvider(
          Effect.scoped(Layer.build(layer)),
          ConfigProvider.fromMap(new Map())
        )
      )
      expect(ConfigError.isConfigError(error) && error._op).toBe("MissingData")
    }))

  it.effect("takes JSON, and stages that code has made", () =>
    Effect.gen(function*() {
      expect(yield* Effect.provide(attempts, from(retrying(2)))).toBe(3)
      const made = Sites.layerFrom(
        Effect.succeed({ operation: Operation.read, retry: { retries: 3, ...secondly } })
      )
      expect(yield* Effect.provide(attempts, made)).toBe(4)
      expect(yield* Effect.provide(attempts, from({}))).toBe(1)
    }))

  it.effect("G49: says all that is wrong, a line each", () =>
    Effect.gen(function*() {
      expect(
        yield* lines(from({
          operation: "keyed",
          retry: { retries: -1 },
          totalTimeout: "soon",
          circutBreaker: {},
          circuitBreaker: { failureRate: 2, minimumCalls: 0.5 }
        }))
      ).toHaveLength(6)
    }))

  it.effect("refuses a text that is no JSON, and repeats none of it", () =>
    Effect.gen(function*() {
      expect(yield* lines(from("{ \"password\": "))).toEqual([
        "should be JSON, got 14 characters that are not"
      ])
    }))

  it.effect("may reject only as declared: a guard whose rejections are not in the type is refused", () =>
    Effect.gen(function*() {
      expect(
        yield* lines(from({ bulkhead: { concurrency: 1 }, throttle: {}, attemptTimeout: 10 }))
      ).toEqual([
        "throttle: should be declared by the tag Sites: its callers do not know what it rejects " +
        "with (Throttled)",
        "bulkhead: should be declared by the tag Sites: its callers do not know what it rejects " +
        "with (BulkheadFull, QueueTimeout)"
      ])
      // It rejects with `Timeout`, as the total limit does, and these with nothing.
      const silent = { attemptTimeout: 10, retry: {}, budget: {}, telemetry: { integration: "i" } }
      expect(yield* Effect.provide(Effect.as(Sites, "built"), from(silent))).toBe("built")
    }))

  it.effect("JSON that looks like an operation of code is refused", () =>
    Effect.gen(function*() {
      expect(yield* lines(from({ operation: { _tag: "Read" }, totalTimeout: 1 }))).toEqual([
        "operation: should be \"read\" or \"idempotent\" or \"keyed\" or \"once\", got {\"_tag\":\"Read\"}"
      ])
    }))

  it.effect("another operation than the declared one is refused", () =>
    Effect.gen(function*() {
      expect(
        yield* lines(from({ operation: Operation.idempotent }))
      ).toEqual(["operation: should be \"read\", as in the code, got \"idempotent\""])
      expect(yield* lines(from({ operation: "keyed" }))).toEqual([
        "operation: should be \"read\", as in the code, got \"keyed\""
      ])
    }))

  it.effect("a failure to build code's stages dies as make does", () =>
    Effect.gen(function*() {
      const stages = { operation: Operation.read, retry: { retries: -1 } }
      expect(yield* refusalOf(Effect.scoped(Layer.build(Sites.layerFrom(Effect.succeed(stages))))))
        .toContain("retries should be a whole number")
    }))
})

describe("layerFrom with reloadOn", () => {
  const following = Effect.gen(function*() {
    const changes = yield* Queue.unbounded<void>()
    const source: { policy: Effect.Effect<unknown, string> } = {
      policy: Effect.succeed(retrying(1))
    }
    const log = logged()
    const layer = Sites.layerFrom(Effect.suspend(() => source.policy), {
      reloadOn: Stream.fromQueue(changes)
    })
    const put = (policy: Effect.Effect<unknown, string>) =>
      Effect.gen(function*() {
        source.policy = policy
        yield* Queue.offer(changes, undefined)
        yield* TestClock.adjust(0)
        yield* Effect.repeatN(Effect.yieldNow(), 50)
      })
    return { layer: Layer.provideMerge(layer, log.layer), put, said: log.said }
  })

  it.effect("follows, and keeps the old policy with one warning and a count while a new one is bad", () =>
    Effect.gen(function*() {
      const { layer, put, said } = yield* following
      const before = yield* reloads("Sites")
      yield* Effect.provide(
        Effect.gen(function*() {
          expect(yield* attempts).toBe(2)
          yield* put(Effect.succeed(retrying(2)))
          expect(yield* attempts).toBe(3)
          yield* put(Effect.succeed(retrying(2)))
          yield* put(Effect.succeed("{ \"retry\": {"))
          yield* put(Effect.succeed("{ \"retry\": {"))
          expect(yield* attempts).toBe(3)
          yield* put(Effect.fail("not readable"))
          yield* put(Effect.fail("not readable"))
          yield* put(Effect.die(new Error("broken")))
          yield* put(Effect.succeed(retrying(-1)))
          expect(yield* attempts).toBe(3)
          yield* put(Effect.succeed(retrying(2)))
          yield* put(Effect.succeed(retrying(4)))
          expect(yield* attempts).toBe(5)
        }),
        layer
      )
      const after = yield* reloads("Sites")
      expect(after.map((count, i) => count - before[i]!)).toEqual([2, 4])
      const kept = "WARN The policy of Sites stays as it was; the new one is refused: "
      expect(said).toEqual([
        "INFO The policy of Sites has changed",
        `${kept}should be JSON, got 12 characters that are not`,
        `${kept}not readable`,
        `${kept}broken`,
        expect.stringMatching(/: retry\.retries: should be a whole number of at least 0, got -1$/),
        "INFO The policy of Sites has changed"
      ])
    }))

  it.effect("keeps the state of what did not change", () =>
    Effect.gen(function*() {
      const { layer, put } = yield* following
      yield* Effect.provide(
        Effect.gen(function*() {
          const opening = { circuitBreaker: { window: { _tag: "Count", size: 1 } } }
          yield* put(Effect.succeed(opening))
          yield* Effect.exit(Sites.protect(Effect.fail(down)))
          yield* put(Effect.succeed({ ...opening, retry: { retries: 1 } }))
          expect(endOf(yield* Effect.exit(Sites.protect(Effect.void)))).toContain("CircuitOpen")
        }),
        layer
      )
    }))

  it.effect("G12: stops to follow when its scope closes", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const layer = Sites.layerFrom(Effect.succeed({}), {
        reloadOn: Stream.ensuring(Stream.never, Effect.sync(() => ended.push("ended")))
      })
      yield* Effect.provide(Effect.zipRight(Sites, Effect.repeatN(Effect.yieldNow(), 20)), layer)
      expect(ended).toEqual(["ended"])
    }))
})

describe("PolicyFile", () => {
  it.scoped("follows a file that is replaced, torn, taken away and put back", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const file = `${folder}/policy.json`
      const write = (text: string) => fs.writeFileString(file, text)
      yield* write(JSON.stringify(retrying(1)))
      const log = logged()
      // Reading a file takes real time: a look is over when the file has been read once more.
      const looked = yield* Queue.unbounded<void>()
      const watched = FileSystem.FileSystem.of({
        ...fs,
        readFileString: (path) =>
          Effect.ensuring(fs.readFileString(path), Queue.offer(looked, undefined))
      })
      const layer = PolicyFile.layer(Sites, file, { every: "10 seconds" }).pipe(
        Layer.provide(Layer.succeed(FileSystem.FileSystem, watched)),
        Layer.provideMerge(log.layer)
      )
      const look = Effect.zipRight(
        TestClock.adjust("10 seconds"),
        Effect.zipRight(Queue.take(looked), Effect.repeatN(Effect.yieldNow(), 50))
      )
      yield* Effect.provide(
        Effect.gen(function*() {
          yield* Queue.take(looked)
          yield* write(JSON.stringify(retrying(0)))
          yield* look
          expect(log.said).toEqual(["INFO The policy of Sites has changed"])
          yield* write(JSON.stringify(retrying(0)).slice(0, 20))
          yield* look
          yield* look
          yield* fs.remove(file)
          yield* look
          yield* look
          yield* write(JSON.stringify({ ...retrying(0), attemptTimeout: "1 second" }))
          yield* look
        }),
        layer
      )
      expect(log.said.map((line) => line.slice(0, 48))).toEqual([
        "INFO The policy of Sites has changed",
        "WARN The policy of Sites stays as it was; the ne",
        "WARN The policy of Sites stays as it was; the ne",
        "INFO The policy of Sites has changed"
      ])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("fails at the start when there is no such file", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(PolicyFile.layer(Sites, "/nowhere/policy.json")))
      )
      expect(error).toMatchObject({ _tag: "SystemError", reason: "NotFound" })
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it("refuses a time that is none", () => {
    expect(() => PolicyFile.layer(Sites, "policy.json", { every: 0 })).toThrow(
      /^every should be /
    )
  })
})
