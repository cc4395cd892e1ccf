/**
 * The main job: every row of a file through one of the partner APIs, against a server that fails
 * often, and then the server is asked how often it really did it.
 *
 *     npm start                       sessions at Widget Session, for every row of examples/data/sessions.ndjson
 *     npm start -- --kill-after 100   dies after a hundred rows; the next `npm start` finishes the rest
 *     npm start -- --fleet 4          four processes that share one rate and one circuit through Redis
 *     npm start -- --api facesign     the job of another API: facesign, site-chat, messaging or field-activities
 */
import { NodeContext, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { parseArgs } from "node:util"
import { faceSign } from "./jobs/faceSign.js"
import { fieldActivities } from "./jobs/fieldActivities.js"
import { messaging } from "./jobs/messaging.js"
import * as Partner from "./jobs/partner.js"
import { siteChat } from "./jobs/siteChat.js"
import * as SessionsFleet from "./sessions/fleet.js"
import * as Sessions from "./sessions/main.js"

const { values } = parseArgs({
  options: {
    api: { type: "string", default: "widget-session" },
    fleet: { type: "string" },
    "kill-after": { type: "string" }
  }
})

const mostMembers = 16

const fleetOf = (text: string) => {
  const members = Number(text)
  return Number.isInteger(members) && members >= 1 && members <= mostMembers
    ? SessionsFleet.main(members)
    : Effect.as(
      Console.error(
        `--fleet should be a number of processes from 1 to ${mostMembers}, got ${text}`
      ),
      false
    )
}

const jobs = {
  "widget-session": values.fleet === undefined
    ? Sessions.main(Number(values["kill-after"]))
    : fleetOf(values.fleet),
  facesign: Partner.main(faceSign),
  "site-chat": Partner.main(siteChat),
  messaging: Partner.main(messaging),
  "field-activities": Partner.main(fieldActivities)
}

const isKnown = (api: string): api is keyof typeof jobs => Object.hasOwn(jobs, api)

const unknown = Effect.as(
  Console.error(`There is no job for "${values.api}". There are: ${Object.keys(jobs).join(", ")}`),
  false
)

const program = Effect.map(isKnown(values.api) ? jobs[values.api] : unknown, (right) => {
  if (!right) process.exitCode = 1
})

program.pipe(
  Effect.provide(NodeHttpClient.layerUndici),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain
)
