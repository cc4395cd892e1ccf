/** Metrics of a member, and the log lines when it is apart and when it has rejoined. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Runtime from "effect/Runtime"
import type { Watcher } from "./member.js"

export const fleetConnected = Metric.gauge("resilience.fleet.connected", {
  description: "1 while the member is connected with its fleet, 0 while it is apart"
})

export const fleetExchanges = Metric.counter("resilience.fleet.exchanges", {
  description: "Exchanges with the store of a fleet",
  incremental: true
})

export const fleetCommands = Metric.counter("resilience.fleet.commands", {
  description: "Commands that exchanges with the store of a fleet carried",
  incremental: true
})

export const fleetMembers = Metric.gauge("resilience.fleet.members", {
  description: "Living members of a fleet, as a member last heard"
})

export const fleetLag = Metric.gauge("resilience.fleet.lag", {
  description: "Milliseconds that the last answered exchange of a member took"
})

/** Counts what a member does, and logs when it is apart. */
export const watcher = (
  fleet: string
): Effect.Effect<Watcher & { readonly left: Effect.Effect<void> }> =>
  Effect.map(Effect.runtime<never>(), (runtime) => {
    const run = Runtime.runSync(runtime)
    const fork = Runtime.runFork(runtime)
    const connected = Metric.tagged(fleetConnected, "fleet", fleet)
    const members = Metric.tagged(fleetMembers, "fleet", fleet)
    const lag = Metric.tagged(fleetLag, "fleet", fleet)
    const commands = Metric.tagged(fleetCommands, "fleet", fleet)
    const ends = {
      answered: exchanges(fleet, "answered"),
      failed: exchanges(fleet, "failed")
    }
    run(Metric.set(connected, 1))
    return {
      exchanged: (isAnswered, said) => {
        run(Metric.increment(isAnswered ? ends.answered : ends.failed))
        if (said > 0) run(Metric.incrementBy(commands, said))
      },
      heard: (living, millis) => {
        run(Metric.set(members, living))
        run(Metric.set(lag, millis))
      },
      connected: (isConnected) => {
        run(Metric.set(connected, isConnected ? 1 : 0))
        const told = isConnected
          ? Effect.logInfo("The fleet's store answers again: rejoined")
          : Effect.logWarning("The fleet's store does not answer: apart, guards go by themselves")
        fork(Effect.annotateLogs(told, { fleet }))
      },
      left: Metric.set(connected, 0)
    }
  })

const exchanges = (fleet: string, outcome: string) =>
  fleetExchanges.pipe(Metric.tagged("fleet", fleet), Metric.tagged("outcome", outcome))
