/**
 * A thousand members of one fleet in virtual time, over the store in memory. Each makes so many
 * calls, and the run ends with them.
 */
import { Clock, Effect, Exit } from "effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as VirtualTime from "effect-resilience/testing/VirtualTime"
import * as fs from "node:fs"
import { describe, expect, it } from "vitest"
import { join, type MemberOf, memoryStore } from "./fleets.js"

const count = 1000

/** Milliseconds of one exchange, there and back. */
const roundTrip = 4

/** `members * 1 ms`. */
const interval = count

const openMillis = 6000

const minimumCalls = 500

const trials = 3

const print = (text: string): void => void fs.writeSync(2, `\n${text}\n`)

/** A call that ended. */
interface Ended {
  readonly at: number
  readonly member: number
  readonly failed: boolean
}

/** When the calls that ended satisfy the policy, and half of the members vote. */
const crossing = (ended: ReadonlyArray<Ended>): number => {
  const own = Array.from({ length: count }, () => ({ calls: 0, failures: 0 }))
  let [calls, failures] = [0, 0]
  for (const { at, failed, member } of ended) {
    const mine = own[member]!
    mine.calls++
    calls++
    if (failed) {
      mine.failures++
      failures++
    }
    if (calls < minimumCalls || failures * 2 < calls) continue
    const votes = own.filter((each) => each.calls > 0 && each.failures * 2 >= each.calls).length
    const withCalls = own.filter((each) => each.calls > 0).length
    if (votes >= Math.ceil(0.5 * Math.min(withCalls, failures))) return at
  }
  return Number.NaN
}

const measured = Effect.gen(function*() {
  const store = yield* memoryStore
  const now = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)
  const all: ReadonlyArray<MemberOf> = yield* Effect.forEach(
    Array.from({ length: count }, (_, n) => n),
    (n) => Effect.delay(join(store, { member: `m${n}` }, { delay: roundTrip }), n),
    { concurrency: "unbounded" }
  )
  yield* Effect.sleep("3 seconds")
  const asked = () => all.reduce((sum, { wire }) => sum + wire.sent.length, 0)

  /** How many exchanges there are in a second while something runs for so many. */
  const perSecond = (seconds: number, run: Effect.Effect<unknown>) =>
    Effect.gen(function*() {
      const before = asked()
      const begun = yield* now
      yield* Effect.all([run, Effect.sleep(seconds * 1000)], { concurrency: "unbounded" })
      return (asked() - before) * 1000 / ((yield* now) - begun)
    })

  const idle = yield* perSecond(4, Effect.void)
  const breakers = yield* Effect.forEach(all, (member) =>
    member.use(
      CircuitBreaker.makeShared({
        name: "upstream",
        minimumCalls,
        openDuration: openMillis,
        halfOpen: CircuitBreaker.consecutive(trials)
      })
    ))

  const ended: Array<Ended> = []
  const rejectedMillis = new Map<number, number>()
  let admitted = 0

  /** Each member makes so many calls, this far apart. */
  const calls = (times: number, pause: number, failed: boolean) =>
    Effect.forEach(
      breakers,
      (breaker, member) =>
        Effect.forEach(Array.from({ length: times }), () =>
          Effect.gen(function*() {
            const exit = yield* Effect.exit(
              breaker.protect(Effect.suspend(() => {
                admitted++
                return failed ? Effect.fail("down") : Effect.void
              }))
            )
            const at = yield* now
            const isRejected = Exit.isFailure(exit) && !(failed && isDown(exit))
            if (!isRejected) ended.push({ at, member, failed })
            else if (!rejectedMillis.has(member)) rejectedMillis.set(member, at)
            yield* Effect.sleep(pause)
          }), { discard: true }).pipe(Effect.delay(member % 97)),
      {
        concurrency: "unbounded",
        discard: true
      }
    )

  const busy = yield* perSecond(4, calls(8, 480, false))

  // Everything fails: a call of each member every 40 ms.
  const begun = yield* now
  yield* calls(12, 40, true)
  const crossed = crossing(ended)
  const agreed = Math.max(...rejectedMillis.values()) - crossed
  const rejecting = rejectedMillis.size

  const states = () => Effect.forEach(breakers, (breaker) => breaker.state())
  const opened = new Set(yield* states())
  yield* Effect.sleep(begun + openMillis + 1500 - (yield* now))

  // The upstream serves again: all members want a trial at once.
  const before = admitted
  const halfOpen = new Set(yield* states())
  const askedBefore = asked()
  yield* Effect.forEach(breakers, (breaker) =>
    breaker.protect(Effect.zipRight(
      Effect.sync(() => admitted++),
      Effect.sleep("50 millis")
    )).pipe(Effect.exit), { concurrency: "unbounded", discard: true })
  const tried = admitted - before
  const askedForTrials = asked() - askedBefore
  yield* Effect.sleep(2 * interval + 3 * roundTrip)
  const closed = new Set(yield* states())
  const { connected, members } = yield* all[0]!.use(Fleet.status)
  return {
    agreed,
    askedForTrials,
    busy,
    closed,
    connected,
    halfOpen,
    idle,
    members,
    opened,
    rejecting,
    tried
  }
})

const isDown = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error === "down"

describe("a thousand members", () => {
  it(
    "F2, F7, F8, F19: ask 1,000 times a second at most, agree in time, and share trials",
    async () => {
      const begun = performance.now()
      const found = await Effect.runPromise(VirtualTime.run(Effect.scoped(measured)))
      const seconds = (performance.now() - begun) / 1000
      print(
        `a thousand members: ${found.idle.toFixed(0)} exchanges a second idle, ` +
          `${found.busy.toFixed(0)} with calls; the last rejects ${found.agreed.toFixed(0)} ms ` +
          `after the last call needed; ${found.tried} trials of ${trials} in one half-open period, ` +
          `${found.askedForTrials} exchanges for them (${seconds.toFixed(1)} s)`
      )
      expect([found.connected, found.members]).toEqual([true, count])
      expect(found.idle).toBeLessThanOrEqual(count * 3 / 5 + 10)
      expect(found.busy).toBeLessThanOrEqual(1000 * 1.01)
      expect(found.rejecting).toBe(count)
      expect(found.opened).toEqual(new Set(["Open"]))
      expect(found.agreed).toBeLessThanOrEqual(2 * interval + 3 * roundTrip)
      expect(found.halfOpen).toEqual(new Set(["HalfOpen"]))
      expect(found.tried).toBe(trials)
      // One question for each member that wants one, and the ends of those that were granted.
      expect(found.askedForTrials).toBeLessThanOrEqual(2 * count)
      expect(found.closed).toEqual(new Set(["Closed"]))
    },
    120_000
  )
})
