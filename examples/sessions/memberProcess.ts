/** A member in a process of its own: tells what happens, a line each. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Logger, Schema, Stream } from "effect"
import * as FleetRedis from "effect-resilience/fleet/Redis"
import * as Member from "./member.js"
import { fleetSecret } from "./settings.js"

const Given = Schema.parseJson(Schema.Struct({ ...Member.Part.fields, redis: Schema.String }))

const { redis, ...part } = Schema.decodeSync(Given)(process.argv[2] ?? "")

/** Standard output is for what is told. */
const logs = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))

const tell = (event: Member.Event) =>
  Effect.sync(() => process.stdout.write(`${JSON.stringify(event)}\n`))

Member.events(part).pipe(
  Stream.runForEach(tell),
  Effect.provide(FleetRedis.layer({ url: redis, secret: fleetSecret })),
  Effect.provide(logs),
  NodeRuntime.runMain({ disablePrettyLogger: true })
)
