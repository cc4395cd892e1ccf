/**
 * One process of a fleet on Redis. Reads commands as lines of JSON from its standard input, and
 * answers each with a line. It imports no more than it needs, and so starts sooner.
 */
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as Redis from "effect-resilience/fleet/Redis"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as readline from "node:readline"
import { minimumCalls, now } from "./processes.js"

export type Command =
  | {
    readonly do: "join"
    readonly port: number
    readonly fleet: string
    readonly member: string
    readonly push: boolean
  }
  /** Calls an upstream that serves so many calls. */
  | { readonly do: "serve"; readonly name: string; readonly calls: number }
  /** Calls an upstream that is down, from this moment on, until a call is rejected. */
  | { readonly do: "outage"; readonly name: string; readonly atMillis: number }
  /** One call, which succeeds where it is admitted. */
  | { readonly do: "call"; readonly name: string }
  | { readonly do: "force"; readonly name: string; readonly open: boolean }
  | { readonly do: "status" }
  | { readonly do: "leave" }

export interface Outage {
  /** When each admitted call had failed. */
  readonly failedMillis: ReadonlyArray<number>
  readonly rejectedMillis: number
}

export interface Status {
  readonly connected: boolean
  readonly members: ReadonlyArray<string>
}

/** How far apart the calls of a member are. */
const pauseMillis = 5

const breaker = (name: string) =>
  CircuitBreaker.makeShared({ name, minimumCalls, openDuration: "60 seconds" })

const outage = (name: string, atMillis: number): Effect.Effect<Outage, never, Fleet.Fleet> =>
  Effect.gen(function*() {
    const { protect } = yield* breaker(name)
    yield* Effect.sleep(Duration.millis(Math.max(0, atMillis - now())))
    const failedMillis: Array<number> = []
    while (true) {
      const exit = yield* Effect.exit(protect(Effect.fail("down")))
      const isRejected = Exit.isFailure(exit) && exit.cause._tag === "Fail" &&
        exit.cause.error !== "down"
      if (isRejected) return { failedMillis, rejectedMillis: now() }
      failedMillis.push(now())
      yield* Effect.sleep(Duration.millis(pauseMillis))
    }
  })

type Service = ManagedRuntime.ManagedRuntime<Fleet.Fleet, never>

let service: Service | undefined

const joined = ({ fleet, member, port, push }: Extract<Command, { readonly do: "join" }>) =>
  ManagedRuntime.make(
    Layer.provide(
      Fleet.layer({ name: fleet, member }),
      Redis.layer({ secret: "secret", url: `redis://127.0.0.1:${port}`, push })
    ).pipe(Layer.provide(Logger.remove(Logger.defaultLogger)))
  )

const asked = (command: Command): Effect.Effect<unknown, never, Fleet.Fleet> => {
  switch (command.do) {
    case "serve":
      return Effect.flatMap(
        breaker(command.name),
        ({ protect }) =>
          Effect.as(Effect.ignore(Effect.repeatN(protect(Effect.void), command.calls - 1)), null)
      )
    case "outage":
      return outage(command.name, command.atMillis)
    case "call":
      return Effect.flatMap(
        breaker(command.name),
        ({ protect }) =>
          Effect.map(Effect.exit(protect(Effect.void)), (exit) => Exit.isSuccess(exit))
      )
    case "force":
      return Effect.flatMap(breaker(command.name), ({ fleet }) =>
        Effect.map(
          Effect.exit(command.open ? fleet.forceOpen() : fleet.reset()),
          (exit) => Exit.isSuccess(exit)
        ))
    default:
      return Effect.map(
        Effect.all([Fleet.status, Fleet.members]),
        ([{ connected }, members]): Status => ({ connected, members: members.map(({ id }) => id) })
      )
  }
}

const run = async (command: Command): Promise<unknown> => {
  if (command.do === "join") {
    service = joined(command)
    return service.runPromise(Effect.as(Fleet.status, "joined"))
  }
  if (service === undefined) return "not joined"
  if (command.do !== "leave") return service.runPromise(asked(command))
  await service.dispose()
  service = undefined
  return "left"
}

const print = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

print("ready")
for await (const line of readline.createInterface({ input: process.stdin })) {
  print(await run(JSON.parse(line) as Command))
}
process.exit(0)
