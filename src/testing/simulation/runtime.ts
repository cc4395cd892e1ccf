/**
 * Runs a scenario through the pipeline itself, in virtual time: the other side of the law that
 * holds the simulation to the runtime. Both sides have the upstreams and the draws of the core; the
 * calls here are effects, and the guards those of the library.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Arrivals from "../../core/arrivals.js"
import { endings } from "../../core/call.js"
import * as Distribution from "../../core/distribution.js"
import * as Draw from "../../core/draw.js"
import type * as Simulation from "../../core/simulation.js"
import * as Upstream from "../../core/upstream.js"
import * as Zipf from "../../core/zipf.js"
import * as ApiError from "../../errors/ApiError.js"
import type * as Rejection from "../../errors/Rejection.js"
import * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"
import * as Pipeline from "../../pipeline/Pipeline.js"
import { failureOf } from "../../simulation/samples.js"
import type { Scenario } from "../../simulation/Scenario.js"
import * as VirtualTime from "../VirtualTime.js"
import type { Ended } from "./ended.js"

type Failure = ApiError.ApiError | Rejection.Rejection

const codes: Readonly<Record<string, number>> = {
  CircuitOpen: endings.circuitOpen,
  Throttled: endings.throttled,
  RateLimited: endings.rateLimited,
  BulkheadFull: endings.bulkheadFull,
  ConcurrencyLimited: endings.concurrencyLimited,
  CoolingDown: endings.coolingDown,
  QueueTimeout: endings.queueTimeout
}

/** The code of a failure; -1 for one that no simulation knows. */
const codeOf = (error: Failure): number => {
  if (!ApiError.isApiError(error)) {
    return hasProperty(error, "_tag") ? codes[String(error._tag)] ?? -1 : -1
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
  return Object.create(Random.make(0), {
    next: {
      value: Effect.sync(() => Draw.unit(source, number, Draw.purposes.policy, draws++))
    }
  }) as Random.Random
}

interface Request extends Upstream.Request {
  isOver: boolean
  resume: (answer: number, retryAfterMillis: number | undefined) => void
}

/** Calls to one service under one policy, by some processes. */
interface Edge {
  readonly pipelines: ReadonlyArray<Pipeline.Pipeline<never, IdempotencyKey.IdempotencyKey>>
  readonly source: Draw.Source
  readonly service: number
}

interface Server {
  readonly send: (request: Request) => void
  readonly abandon: (request: Request) => void
}

const decodePolicy = Schema.decodeUnknownSync(Pipeline.Spec)

/** The policies of every edge, in the order of the simulation. */
const edgesOf = (
  stages: Pipeline.Stages,
  { services }: Scenario,
  setup: Simulation.Setup,
  source: Draw.Source
): Effect.Effect<ReadonlyArray<Edge>> => {
  const further = services.flatMap(({ calls }) =>
    calls.map(({ policy, service }) => ({
      stages: decodePolicy(policy),
      service: services.findIndex(({ name }) => name === service),
      processes: 1
    }))
  )
  return Effect.forEach(
    [{ stages, service: 0, processes: setup.processes }, ...further],
    ({ processes, service, stages }, number) =>
      Effect.map(
        Effect.all(Array.from({ length: processes }, () => Pipeline.make(stages))),
        (pipelines): Edge => ({
          // Every call is given a key.
          pipelines: pipelines as ReadonlyArray<unknown> as Edge["pipelines"],
          source: number === 0 ? source : Draw.fork(source, number),
          service
        })
      )
  )
}

/** What the runtime makes of a scenario: every call of the clients that has ended. */
export const executed = (
  stages: Pipeline.Stages,
  scenario: Scenario,
  setup: Simulation.Setup,
  source: Draw.Source
): Effect.Effect<ReadonlyArray<Ended>> =>
  VirtualTime.run(Effect.gen(function*() {
    const edges = yield* edgesOf(stages, scenario, setup, source)
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Effect.clock
    const ends: Array<Ended> = []
    const now = (): number => Number(clock.unsafeCurrentTimeNanos())
    const run = (effect: Effect.Effect<void>): Fiber.RuntimeFiber<void> =>
      Runtime.runFork(runtime)(effect)
    const at = (nanos: number, what: () => void): void => {
      run(Effect.zipRight(
        clock.sleep(Duration.nanos(BigInt(nanos - now()))),
        Effect.sync(what)
      ))
    }

    const serverOf = ({ calls, network, upstream: options }: Simulation.Service, index: number) => {
      const of = index === 0 ? source : Draw.fork(source, -index)
      const sample = Distribution.sampler(network)
      const delay = ({ attempt, call }: Request, purpose: Draw.Purpose): number =>
        Math.round(sample(Draw.unit(of, call, purpose, attempt)) * 1e6)
      const dependencies = calls.flatMap(({ times }, number) => {
        const before = setup.services.slice(0, index).reduce(
          (sum, { calls }) => sum + calls.length,
          1
        )
        return Array.from({ length: times }, () => edges[before + number]!)
      })
      /** The calls of a service for one request: 502 where one has failed. */
      const further = (request: Request, next: number): Effect.Effect<number> => {
        const edge = dependencies[next]
        if (edge === undefined || request.phase !== "served") return Effect.succeed(0)
        const number = Draw.numberOf(request.call, request.attempt, next)
        return Effect.flatMap(callOf(edge, number, 0, undefined), ({ code }) =>
          code === 0 ? further(request, next + 1) : Effect.succeed(502))
      }
      const upstream = new Upstream.Upstream<Request>(options, of, {
        serve: (request, endNanos) =>
          at(endNanos, () => {
            if (dependencies.length === 0) {
              return upstream.end(request, now(), 0)
            }
            run(Effect.map(further(request, 0), (cause) =>
              upstream.end(request, now(), cause)))
          }),
        answer: (request, answer, retryAfterMillis) => {
          if (answer === Upstream.answers.blackHole || request.isOver) return
          at(
            now() + delay(request, Draw.purposes.responseNetwork),
            () => request.resume(answer, retryAfterMillis)
          )
        }
      })
      for (const nanos of Upstream.changesNanos(options)) at(nanos, () => upstream.change(now()))
      const server: Server = {
        send: (request) =>
          at(
            now() + delay(request, Draw.purposes.requestNetwork),
            () => upstream.arrive(request, now())
          ),
        abandon: (request) => {
          request.isOver = true
          if (!options.noticesAbandonment || request.phase === "over") return
          at(
            now() + delay(request, Draw.purposes.requestNetwork),
            () => upstream.drop(request, now())
          )
        }
      }
      return server
    }

    const callOf = (
      edge: Edge,
      number: number,
      process: number,
      key: string | undefined
    ): Effect.Effect<Ended> => {
      let sent = 0
      const { abandon, send } = servers[edge.service]!
      const request = Effect.async<void, Failure>((resume) => {
        const request: Request = {
          call: number,
          attempt: sent++,
          phase: "new",
          place: undefined,
          isOver: false,
          resume: (answer, retryAfterMillis) =>
            resume(
              answer === 0 ? Effect.void : Effect.fail(failureOf(answer, retryAfterMillis))
            )
        }
        send(request)
        return Effect.sync(() => abandon(request))
      })
      const call = Pipeline.protect(request, edge.pipelines[process]!, { key })
      return Effect.exit(IdempotencyKey.provideNew(call)).pipe(
        Effect.withRandom(randomOf(edge.source, number)),
        Effect.map((exit) => {
          const error = Exit.isFailure(exit)
            ? Option.getOrUndefined(Cause.failureOption(exit.cause))
            : undefined
          return {
            number,
            code: Exit.isSuccess(exit) ? 0 : error === undefined ? -1 : codeOf(error),
            attempts: error?.attempts ?? (Exit.isSuccess(exit) ? 0 : 1),
            requests: sent,
            endNanos: now()
          }
        })
      )
    }

    const servers: ReadonlyArray<Server> = setup.services.map(serverOf)
    const keyOf = Zipf.sampler(setup.keys)
    const clientCall = (number: number): Effect.Effect<void> => {
      const draw = (purpose: Draw.Purpose) => Draw.unit(source, number, purpose, 0)
      const process = Math.floor(draw(Draw.purposes.process) * setup.processes)
      const key = setup.keys.count === 1 ? undefined : `key ${keyOf(draw(Draw.purposes.key))}`
      return Effect.map(callOf(edges[0]!, number, process, key), (ended) => {
        ends.push(ended)
        if (setup.arrivals._tag === "Closed") arrange()
      })
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
        run(clientCall(number))
      })
    }

    const clients = setup.arrivals._tag === "Closed" ? setup.arrivals.clients : 1
    for (let client = 0; client < clients; client++) arrange()
    yield* clock.sleep(Duration.nanos(BigInt(setup.endNanos)))
    return ends
  }))
