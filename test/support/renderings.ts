import {
  type Cause,
  Cause as Causes,
  Effect,
  Exit,
  FiberRef,
  HashSet,
  Inspectable,
  Logger,
  LogLevel,
  Schema,
  Tracer
} from "effect"
import { ApiError } from "effect-resilience"
import { inspect } from "node:util"

/**
 * Everything that a program could print of a failed call: inside a fiber and outside, in log lines,
 * in spans, as an object.
 */
export const renderings = <A, E, R>(
  call: Effect.Effect<A, E, R>
): Effect.Effect<ReadonlyArray<string>, never, R> =>
  Effect.gen(function*() {
    const texts: Array<string> = []
    const tracer = Tracer.make({
      span: (name, parent, context, links, startTime, kind) => ({
        _tag: "Span",
        name,
        spanId: "1".repeat(16),
        traceId: "2".repeat(32),
        parent,
        context,
        links,
        kind,
        sampled: true,
        status: { _tag: "Started", startTime },
        attributes: new Map(),
        attribute: (name, value) => texts.push(`${name}=${inspect(value, { depth: null })}`),
        event: (name, _, attributes) =>
          texts.push(`${name} ${inspect(attributes, { depth: null })}`),
        addLinks: () => {},
        end: (_, exit) => texts.push(name, Exit.isFailure(exit) ? Causes.pretty(exit.cause) : "")
      }),
      context: (f) => f()
    })
    const print = (line: unknown) =>
      void texts.push(typeof line === "string" ? line : inspect(line, { depth: null }))
    const loggers = [
      Logger.stringLogger,
      Logger.jsonLogger,
      Logger.logfmtLogger,
      Logger.structuredLogger
    ].map((logger) => Logger.map(logger as Logger.Logger<unknown, unknown>, print))
    const exit = yield* call.pipe(
      Effect.tapErrorCause((cause) => Effect.logError("failed", cause)),
      Effect.tapError((error) =>
        Effect.annotateLogs(Effect.logError("failed", error), "error", error)
      ),
      Effect.exit,
      Effect.withTracer(tracer),
      Effect.withTracerEnabled(true),
      Effect.locally(FiberRef.currentLoggers, HashSet.fromIterable(loggers)),
      Logger.withMinimumLogLevel(LogLevel.All)
    )
    const values: Array<unknown> = [exit]
    if (Exit.isFailure(exit)) {
      const cause: Cause.Cause<E> = exit.cause
      const error = Causes.squash(cause)
      const outside: unknown = yield* Effect.promise(() =>
        Effect.runPromise(Effect.failCause(cause)).catch((error: unknown) => error)
      )
      values.push(cause, error, outside)
      texts.push(
        Causes.pretty(cause, { renderErrorCause: true }),
        ...(error instanceof Error ? [error.message, error.stack ?? ""] : []),
        ...(ApiError.isApiError(error)
          ? [JSON.stringify(Schema.encodeSync(ApiError.ApiError)(error))]
          : [])
      )
    }
    for (const value of values) {
      texts.push(
        String(value),
        JSON.stringify(value) ?? "",
        inspect(value, { depth: null, showHidden: true }),
        Inspectable.toStringUnknown(value),
        Inspectable.format(value)
      )
    }
    return texts
  })

/** Those of the texts that give a secret away, in capitals or not. */
export const leaks = (
  texts: ReadonlyArray<string>,
  ...secrets: ReadonlyArray<string>
): ReadonlyArray<string> =>
  texts.filter((text) =>
    secrets.some((secret) => text.toLowerCase().includes(secret.toLowerCase()))
  )
