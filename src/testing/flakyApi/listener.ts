/**
 * A server that may stop listening for a while.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Http from "node:http"
import * as Validate from "../../runtime/validate.js"

export const host = "127.0.0.1"

/**
 * A server whose listener can be taken away and brought back, and that ends with its scope,
 * connections and all.
 */
export const listen = (wanted: number) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const node = Http.createServer()
    const platform = yield* Effect.orDie(NodeHttpServer.make(() => node, { host, port: wanted }))
    yield* Effect.addFinalizer(() =>
      Effect.async<void>((resume) => {
        node.close(() => resume(Effect.void))
        node.closeAllConnections()
      })
    )
    const port = platform.address._tag === "TcpAddress" ? platform.address.port : wanted
    const turn = yield* Effect.makeSemaphore(1)
    let downUntil = 0

    const close = Effect.sync(() => {
      if (node.listening) node.close()
    }).pipe(turn.withPermits(1))

    const open = Effect.async<void, Error>((resume) => {
      if (node.listening) return resume(Effect.void)
      const done = (error?: Error) => {
        node.off("error", done).off("listening", done)
        resume(error === undefined ? Effect.void : Effect.fail(error))
      }
      node.on("error", done).on("listening", done).listen(port, host)
    }).pipe(
      Effect.uninterruptible,
      // The port is free while we do not listen: an outgoing connection may hold it for a moment.
      Effect.retry(Schedule.intersect(Schedule.spaced("10 millis"), Schedule.recurs(500))),
      Effect.orDie,
      turn.withPermits(1)
    )

    const stop = Effect.suspend(() => {
      downUntil = Infinity
      return close
    })
    const start = Effect.suspend(() => {
      downUntil = 0
      return open
    })
    const down = (duration: Duration.DurationInput) => {
      const wait = Validate.finiteDuration("FlakyApi: down", duration)
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const until = now + Duration.toMillis(wait)
        if (until <= downUntil) return close
        downUntil = until
        const comeBack = Effect.delay(
          Effect.suspend(() => downUntil === until ? start : Effect.void),
          wait
        )
        return Effect.zipRight(close, Effect.forkIn(Effect.interruptible(comeBack), scope))
      }).pipe(Effect.asVoid, Effect.uninterruptible)
    }
    return { platform, port, isListening: () => node.listening, stop, start, down }
  })
