/**
 * Runs a scenario through the pipeline itself, in virtual time: the other side of the law that
 * holds the simulation to the runtime.
 */
import { Duration, Effect, Exit, type Fiber, Option, Random, Runtime } from "effect"
import { ApiError, Pipeline, type Rejection } from "effect-resilience"
import * as VirtualTime from "effect-resilience/testing/VirtualTime"
import * as Arrivals from "../../src/core/arrivals.js"
import { endings } from "../../src/core/call.js"
import * as Distribution from "../../src/core/distribution.js"
import * as Draw from "../../src/core/draw.js"
import * as Simulation from "../../src/core/simulation.js"
import * as Upstream from "../../src/core/upstream.js"
import { failureOf } from "../../src/simulation/samples.js"

/** How a call ended: by what, after how many attempts and requests, and when. */
export interface Fate {
  readonly number: number
  readonly code: number
  readonly attempts: number
  readonly sent: number
  readonly endNanos: number
}

const codes: Readonly<Record<string, number>> = {
  CircuitOpen: endings.circuitOpen,
  Throttled: endings.throttled,
  RateLimited: endings.rateLimited,
  BulkheadFull: endings.bulkheadFull,
  ConcurrencyLimited: endings.concurrencyLimited,
  CoolingDown: endings.coolingDown,
  QueueTimeout: endings.queueTimeout
}

const codeOf = (error: ApiError.ApiError | Rejection.Rejection): number => {
  if (!ApiError.isApiError(error)) {
    return codes[(error as unknown as { readonly _tag: string })._tag] ?? -1
  }
  if (error._tag === "Network") {
    return error.sent === "no" ? Upstream.answers.refused : Upstream.answers.reset
  }
  if (error._tag === "Timeout" && error.deadline !== "server") {
    return error.deadline === "total" ? endings.totalTimeout : endings.attemptTimeout
  }
  return error.status ?? -1
}

/** Randomness whose draws are those of one call. */
const randomOf = (source: Draw.Source, number: number): Random.Random => {
  let draws = 0
  const random = Random.make(0)
  return Object.create(random, {
    next: {
      value: Effect.sync(() => Draw.unit(source, number, Draw.purposes.policy, draws++))
    }
  }) as Random.Random
}

/** What the machine makes of a scenario. */
export const simulated = (setup: Simulation.Setup, source: Draw.Source): ReadonlyArray<Fate> => {
  const fates: Array<Fate> = []
  const simulation = new Simulation.Simulation(setup, source, {
    ended: (call, endNanos) => {
      const { attempts, code, number, sent } = call
      fates.push({ number, code, attempts: code === 0 ? 0 : attempts, sent, endNanos })
    }
  })
  while (simulation.step(1000)) {
    // Everything that happens is told to the observer.
  }
  return fates
}

/** What the runtime makes of the same scenario. */
export const executed = (
  stages: Pipeline.Stages,
  setup: Simulation.Setup,
  source: Draw.Source
): Effect.Effect<ReadonlyArray<Fate>> =>
  VirtualTime.run(Effect.gen(function*() {
    const pipelines = yield* Effect.all(
      Array.from({ length: setup.processes }, () => Pipeline.make(stages))
    )
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Effect.clock
    const fates: Array<Fate> = []
    const now = (): number => Number(clock.unsafeCurrentTimeNanos())
    const run = (effect: Effect.Effect<void>): Fiber.RuntimeFiber<void> =>
      Runtime.runFork(runtime)(effect)
    const at = (nanos: number, what: () => void): void => {
      run(Effect.zipRight(
        clock.sleep(Duration.nanos(BigInt(nanos - now()))),
        Effect.sync(what)
      ))
    }

    interface Request extends Upstream.Request {
      isOver: boolean
      resume: (answer: number, retryAfterMillis: number | undefined) => void
    }
    const sample = Distribution.sampler(setup.network)
    const network = ({ attempt, call }: Request, purpose: Draw.Purpose): number =>
      Math.round(sample(Draw.unit(source, call, purpose, attempt)) * 1e6)
    const upstream = new Upstream.Upstream<Request>(setup.upstream, source, {
      serve: (request, endNanos) => at(endNanos, () => upstream.end(request, now())),
      answer: (request, answer, retryAfterMillis) => {
        if (answer === Upstream.answers.blackHole || request.isOver) return
        at(
          now() + network(request, Draw.purposes.responseNetwork),
          () => request.resume(answer, retryAfterMillis)
        )
      }
    })
    const send = (request: Request): void =>
      at(
        now() + network(request, Draw.purposes.requestNetwork),
        () => upstream.arrive(request, now())
      )
    const abandon = (request: Request): void => {
      request.isOver = true
      if (!setup.upstream.noticesAbandonment || request.phase === "over") return
      at(
        now() + network(request, Draw.purposes.requestNetwork),
        () => upstream.drop(request, now())
      )
    }

    const callOf = (number: number): Effect.Effect<void> => {
      let sent = 0
      const request = Effect.async<void, ApiError.ApiError | Rejection.Rejection>((resume) => {
        const request: Request = {
          call: number,
          attempt: sent++,
          phase: "new",
          wasExecuted: false,
          before: undefined,
          after: undefined,
          isOver: false,
          resume: (answer, retryAfterMillis) =>
            resume(
              answer === 0 ? Effect.void : Effect.fail(failureOf(answer, retryAfterMillis))
            )
        }
        send(request)
        return Effect.sync(() => abandon(request))
      })
      const unit = Draw.unit(source, number, Draw.purposes.process, 0)
      const pipeline = pipelines[Math.floor(unit * setup.processes)] as Pipeline.Pipeline
      return Effect.exit(Pipeline.protect(request, pipeline)).pipe(
        Effect.withRandom(randomOf(source, number)),
        Effect.map((exit) => {
          const error = Exit.isFailure(exit)
            ? Option.getOrThrow(
              Exit.causeOption(exit).pipe(
                Option.flatMap((cause) =>
                  cause._tag === "Fail" ? Option.some(cause.error) : Option.none()
                )
              )
            )
            : undefined
          fates.push({
            number,
            code: error === undefined ? 0 : codeOf(error),
            attempts: error === undefined ? 0 : error.attempts ?? 1,
            sent,
            endNanos: now()
          })
          if (setup.arrivals._tag === "Closed") arrange()
        })
      )
    }

    let called = 0
    const think = setup.arrivals._tag === "Closed"
      ? Distribution.sampler(setup.arrivals.think)
      : () => 0
    const arrange = (): void => {
      const number = called++
      const nanos = setup.arrivals._tag === "Closed"
        ? Arrivals.afterThinking(think, setup.changes, source, number, now())
        : Arrivals.next(setup.arrivals, setup.changes, source, number, now())
      if (nanos >= setup.arrivalsEndNanos) return
      at(nanos, () => {
        if (setup.arrivals._tag !== "Closed") arrange()
        run(callOf(number))
      })
    }

    for (const nanos of Upstream.changesNanos(setup.upstream)) {
      at(nanos, () => upstream.change(now()))
    }
    const clients = setup.arrivals._tag === "Closed" ? setup.arrivals.clients : 1
    for (let client = 0; client < clients; client++) arrange()
    yield* clock.sleep(Duration.nanos(BigInt(setup.endNanos)))
    return fates
  }))
