import { expect, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as Redis from "effect-resilience/fleet/Redis"
import * as Laws from "effect-resilience/testing/Laws"
import { afterAll, beforeAll, describe } from "vitest"
import * as Machine from "../../src/core/fleetStore.js"
import type * as Wire from "../../src/core/fleetWire.js"
import { liveClock, nowMillis } from "../../src/runtime/clock.js"
import { type Server, without } from "../support/processes.js"
import { isInstalled, startRedis, url } from "../support/redis.js"
import { runs } from "../support/runs.js"

type Exchange = (
  state: Machine.State,
  now: number,
  batch: Wire.Batch
) => Wire.Reply

/** A store in memory that answers otherwise. */
const store = (
  exchange: Exchange,
  changes: Partial<FleetStore.Service> = {},
  fleetOf: (batch: Wire.Batch) => string = ({ fleet }) => fleet
) =>
  Layer.sync(FleetStore.FleetStore, () => {
    const fleets = new Map<string, Machine.State>()
    return {
      exchange: (batch: Wire.Batch) =>
        Effect.sync(() => {
          const state = fleets.get(fleetOf(batch)) ?? Machine.make()
          fleets.set(fleetOf(batch), state)
          return exchange(state, nowMillis(liveClock), batch)
        }),
      pushes: Stream.empty,
      name: (text: string) => text,
      ...changes
    }
  })

/** The machine's reply to a batch that was changed on its way. */
const asked = (change: (batch: Wire.Batch) => Wire.Batch): Exchange => (state, now, batch) =>
  Machine.exchange(state, now, change(batch))[0]

/** The machine's reply, changed on its way. */
const told = (change: (reply: Wire.Reply) => Wire.Reply): Exchange => (state, now, batch) =>
  change(Machine.exchange(state, now, batch)[0])

const eachCommand = (change: (command: Wire.Command) => Wire.Command) =>
  asked((batch) => ({ ...batch, commands: batch.commands.map(change) }))

let counted = 0

const broken: ReadonlyArray<readonly [what: string, layer: Layer.Layer<FleetStore.FleetStore>]> = [
  [
    "counts what is doubled twice",
    store(asked((batch) => ({ ...batch, sequence: ++counted, incarnation: 1 })))
  ],
  [
    "forgets a silent member's sequence",
    store((state, now, batch) => {
      const [reply] = Machine.exchange(state, now, batch)
      for (const [name, member] of state.living) {
        state.living.set(name, { ...member, forgottenMillis: member.untilMillis })
      }
      return reply
    })
  ],
  [
    "adds where it should replace",
    store((state, now, batch) =>
      Machine.exchange(state, now, {
        ...batch,
        commands: batch.commands.map((command) => {
          const record = command.op === "count" ? state.records.get(command.name) : undefined
          const said = record?.kind === "circuit" ? record.said.get(batch.member) : undefined
          return command.op === "count" && said !== undefined
            ? { ...command, calls: command.calls + said.calls }
            : command
        })
      })[0]
    )
  ],
  [
    "opens whatever the epoch",
    store((state, now, batch) =>
      Machine.exchange(state, now, {
        ...batch,
        commands: batch.commands.map((command) => {
          const record = command.op === "open" ? state.records.get(command.name) : undefined
          return command.op === "open" && record?.kind === "circuit"
            ? { ...command, epoch: record.epoch }
            : command
        })
      })[0]
    )
  ],
  [
    "leases a trial more",
    store(
      eachCommand((command) =>
        command.op === "trial" ? { ...command, trials: command.trials + 1 } : command
      )
    )
  ],
  [
    "gives trials for ever",
    store(
      eachCommand((command) =>
        command.op === "trial" ? { ...command, timeout: command.timeout * 1000 } : command
      )
    )
  ],
  [
    "knows no grace",
    store(eachCommand((command) => command.op === "trial" ? { ...command, grace: 0 } : command))
  ],
  [
    "lets what silent members said stand",
    store(asked((batch) => ({ ...batch, memberTimeout: batch.memberTimeout * 1000 })))
  ],
  [
    "leases a token too many",
    store(
      eachCommand((command) =>
        command.op === "tokens" ? { ...command, burst: command.burst + 1 } : command
      )
    )
  ],
  [
    "takes back more tokens than there are",
    store((state, now, batch) => {
      const [reply] = Machine.exchange(state, now, batch)
      for (const command of batch.commands) {
        const record = command.op === "tokens" ? state.records.get(command.name) : undefined
        if (command.op === "tokens" && command.back > 50 && record?.kind === "line") {
          record.takenMillis = now - command.back * command.spacing
        }
      }
      return {
        ...reply,
        answers: reply.answers.map((answer) =>
          answer?.op === "tokens" && batch.commands[0]?.op === "tokens" &&
            batch.commands[0].want === 99
            ? { ...answer, granted: 99 }
            : answer
        )
      }
    })
  ],
  [
    "grants a permit too many",
    store(
      eachCommand((command) =>
        command.op === "permits" ? { ...command, concurrency: command.concurrency + 1 } : command
      )
    )
  ],
  [
    "lets the last hold count",
    store((state, now, batch) => {
      for (const command of batch.commands) {
        const record = command.op === "hold" ? state.records.get(command.name) : undefined
        if (record?.kind === "cooldown") record.untilMillis = now
      }
      return Machine.exchange(state, now, batch)[0]
    })
  ],
  [
    "never ends an isolation",
    store(
      eachCommand((command) =>
        command.op === "isolate" ? { ...command, hold: command.hold * 1000 } : command
      )
    )
  ],
  [
    "lets a lower epoch win",
    store(eachCommand((command) =>
      command.op === "known"
        ? { ...command, view: { ...command.view, epoch: command.view.epoch + 1 } }
        : command
    ))
  ],
  [
    "answers without bounds",
    store((state, now, batch) => {
      const [reply] = Machine.exchange(state, now, batch)
      if (!reply.more) return reply
      const [rest] = Machine.exchange(state, now, {
        ...batch,
        sequence: batch.sequence + 0.5,
        since: reply.version,
        knows: reply.seed,
        commands: []
      })
      return { ...reply, more: false, changes: [...reply.changes, ...rest.changes] }
    })
  ],
  ["keeps changes for itself", store(told((reply) => ({ ...reply, changes: [] })))],
  ["answers too little", store(told((reply) => ({ ...reply, answers: reply.answers.slice(1) })))],
  [
    "makes a seed each time",
    store(told((reply) => ({ ...reply, seed: `${reply.seed} ${++counted}` })))
  ],
  [
    "lists those who left",
    store(asked((batch) => ({ ...batch, last: false })))
  ],
  [
    "mixes fleets",
    store(
      (state, now, batch) => Machine.exchange(state, now, batch)[0],
      {},
      ({ fleet }) => /one|other/.test(fleet) ? "" : fleet
    )
  ],
  [
    "names all alike",
    store((state, now, batch) => Machine.exchange(state, now, batch)[0], { name: () => "name" })
  ],
  [
    "is not atomic",
    Layer.sync(FleetStore.FleetStore, () => {
      const fleets = new Map<string, Machine.State>()
      return {
        exchange: (batch: Wire.Batch) =>
          Effect.gen(function*() {
            const before = structuredClone(fleets.get(batch.fleet) ?? Machine.make())
            yield* Effect.yieldNow()
            const [reply] = Machine.exchange(before, nowMillis(liveClock), batch)
            fleets.set(batch.fleet, before)
            return reply
          }),
        pushes: Stream.empty,
        name: (text: string) => text
      }
    })
  ],
  [
    "dies of what it does not know",
    store((state, now, batch) => {
      if (batch.commands.some(({ op }) => op.length > 20)) throw new Error("what?")
      return Machine.exchange(state, now, batch)[0]
    })
  ],
  [
    "fails",
    store((state, now, batch) => Machine.exchange(state, now, batch)[0], {
      exchange: () => new FleetStore.StoreError({ retryable: true })
    })
  ]
]

describe("Laws.fleetStore", () => {
  it.live("F4, F7, F8, F10-F15: holds of the store in memory", () =>
    Laws.fleetStore(FleetStore.layerMemory, { runs: runs(300, 60) }))

  it.live.each(broken)("finds a store that %s", ([, layer]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Laws.fleetStore(layer, { runs: 60 }))
      expect(error.message).toMatch(/^Laws\.fleetStore: /)
    }))

  it.live("a store that cannot be made is a broken law", () =>
    Effect.gen(function*() {
      const layer = Layer.fail("no server")
      const error = yield* Effect.flip(Laws.fleetStore(layer))
      expect(error.message).toBe("Laws.fleetStore: the store cannot be made: no server")
    }))

  it.live("an interruption ends it", () =>
    Effect.gen(function*() {
      const law = Laws.fleetStore(FleetStore.layerMemory, { runs: 1_000_000 })
      const ended = yield* Effect.timeoutOption(law, "1 second")
      expect(ended._tag).toBe("None")
    }))
})

if (!isInstalled) without("Redis")

describe.skipIf(!isInstalled)("Laws.fleetStore, Redis", () => {
  let server: Server
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  it.live("F4, F7, F8, F10-F15: holds of Redis", () =>
    Laws.fleetStore(Redis.layer({ secret: "secret", url: url(server.port) }), {
      runs: runs(300, 60)
    }))
})
