import * as fs from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { pause, type Server, without } from "../support/processes.js"
import { isInstalled, startRedis, until } from "../support/redis.js"
import { type Member, minimumCalls, now, quantile, startMember } from "./processes.js"
import type { Outage, Status } from "./worker.js"

if (!isInstalled) without("Redis")

/** `FLEET_ROUNDS=100 npm run test:long` measures with more of them. */
const rounds = Number(process.env["FLEET_ROUNDS"] ?? "12")

const interval = 250

const print = (text: string): void => void fs.writeSync(2, `\n${text}\n`)

describe.skipIf(!isInstalled)("eight processes on one Redis", () => {
  let server: Server
  let members: Array<Member> = []
  beforeAll(async () => {
    server = await startRedis()
    members = await Promise.all(Array.from({ length: 8 }, (_, n) => startMember(`m${n}`)))
  }, 120_000)
  afterAll(async () => {
    for (const { child } of members) child.kill("SIGKILL")
    await server.stop()
  })

  const all = <A>(ask: (member: Member) => Promise<A>): Promise<Array<A>> =>
    Promise.all(members.map(ask))

  const join = (fleet: string, push: boolean) =>
    all(({ ask, name }) => ask({ do: "join", port: server.port, fleet, member: name, push }))

  const leave = () => all(({ ask }) => ask({ do: "leave" }))

  /**
   * From the end of the last call that the circuit needed to the rejection by the last member. Each
   * member has served so many calls before; it votes when as many have failed.
   */
  const measured = async (name: string, served: number): Promise<number> => {
    if (served > 0) {
      await all(({ ask }) => ask({ do: "serve", name, calls: served }))
      await pause(1.5 * interval)
    }
    const atMillis = now() + 100 + Math.random() * interval
    const seen = await all(({ ask }) => ask<Outage>({ do: "outage", name, atMillis }))
    const failed = seen.flatMap(({ failedMillis }) => failedMillis).toSorted((a, b) => a - b)
    const votes = seen.map(({ failedMillis }) => failedMillis[Math.max(0, served - 1)] ?? Infinity)
    const needed = Math.max(minimumCalls, 8 * served)
    const crossed = Math.max(
      failed[needed - 1] ?? Number.NaN,
      votes.toSorted((a, b) => a - b)[3] ?? Number.NaN
    )
    return Math.max(...seen.map(({ rejectedMillis }) => rejectedMillis)) - crossed
  }

  const cases = [
    ["the rate is reached, with push", true, 10, rounds],
    ["the rate is reached, without push", false, 10, rounds],
    ["the minimum of calls is reached, with push", true, 0, Math.ceil(rounds / 2)]
  ] as const
  for (const [what, push, served, times] of cases) {
    it(`F7: all reject within 2 intervals and 3 round trips; ${what}`, async () => {
      await join(`measured ${what}`, push)
      await pause(2 * interval)
      const spans: Array<number> = []
      for (let round = 0; round < times; round++) {
        spans.push(await measured(`round ${round}`, served))
      }
      await leave()
      const known = spans.filter((span) => !Number.isNaN(span))
      const [p50, p99] = [quantile(known, 0.5), quantile(known, 0.99)].map((span) =>
        span.toFixed(0)
      )
      print(
        `eight processes, ${what}, ${known.length} outages: ` +
          `the last rejects ${p50} ms (p50), ${p99} ms (p99) after the last call needed`
      )
      expect(known.length).toBeGreaterThan(times / 2)
      // A machine that is busy with other tests is late by more than the network.
      expect(quantile(known, 0.9)).toBeLessThan(2 * interval + 300)
    }, 120_000)
  }

  const statusOf = ({ ask }: Member) => ask<Status>({ do: "status" })

  const listed = (count: number) =>
    until(async () => {
      const found = await statusOf(members[0]!)
      return found.connected && found.members.length === count
    })

  it("F9, F16, F20: members that are killed or frozen, and a Redis that is", async () => {
    await join("faults", true)
    await listed(8)
    expect((await all(({ ask }) => ask({ do: "force", name: "b", open: true }))).every(Boolean))
      .toBe(true)
    await until(async () =>
      (await all(({ ask }) => ask({ do: "call", name: "b" }))).every((is) => !is)
    )

    // One is killed, and one is frozen: both are listed no more; the frozen one comes back.
    const [killed, frozen] = members.splice(6)
    killed!.child.kill("SIGKILL")
    frozen!.child.kill("SIGSTOP")
    await listed(6)
    expect((await all(({ ask }) => ask({ do: "call", name: "b" }))).some(Boolean)).toBe(false)
    expect(await members[0]!.ask({ do: "force", name: "b", open: false })).toBe(true)
    await until(async () => (await all(({ ask }) => ask({ do: "call", name: "b" }))).every(Boolean))
    frozen!.child.kill("SIGCONT")
    members.push(frozen!)
    await listed(7)
    await until(async () => await frozen!.ask({ do: "call", name: "b" }) === true)

    // Redis freezes and is killed: calls go on, orders fail, and what is known comes back.
    expect(await members[0]!.ask({ do: "force", name: "kept", open: true })).toBe(true)
    await until(async () =>
      (await all(({ ask }) => ask({ do: "call", name: "kept" }))).every((is) => !is)
    )
    server.signal("SIGSTOP")
    await until(async () => !(await all(statusOf)).some(({ connected }) => connected))
    expect((await all(({ ask }) => ask({ do: "call", name: "b" }))).every(Boolean)).toBe(true)
    expect(await all(({ ask }) => ask({ do: "call", name: "kept" }))).toEqual(
      members.map(() => false)
    )
    expect(await members[0]!.ask({ do: "force", name: "late", open: true })).toBe(false)
    server.signal("SIGCONT")
    await listed(7)
    await server.kill()
    await until(async () => !(await all(statusOf)).some(({ connected }) => connected))
    fs.rmSync(`${server.folder}/appendonlydir`, { recursive: true, force: true })
    await server.restart()
    await listed(7)
    const late = await startMember("late")
    members.push(late)
    await late.ask({ do: "join", port: server.port, fleet: "faults", member: "late", push: true })
    expect(await late.ask({ do: "call", name: "kept" })).toBe(false)
    expect(await late.ask({ do: "call", name: "b" })).toBe(true)
    await leave()
  }, 120_000)
})
